//! How many connections each peer has open, for a server that has a limit for that.
//!
//! Rule: a peer is in the table as long as it has a connection, so that the table is never larger than the server is busy.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use landspout_netutil::PeerAddress;

/// Who counts as one: an IPv4 address, or the 64 bits of an IPv6 address that a provider gives to a single customer (RFC 6177
/// asks for at least that; whoever has one address of such a network has them all).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    V4(u32),
    V6(u64),
}

impl Peer {
    /// `None` for a Unix-domain socket, whose peers have no address.
    fn of(address: &PeerAddress) -> Option<Self> {
        Some(match address.inet()?.ip().to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        })
    }
}

pub(crate) struct Peers {
    limit: usize,
    open: RefCell<HashMap<Peer, usize>>,
}

/// What a connection owes to the table.
pub(crate) enum Place {
    /// One entry less when it closes.
    Taken(Peer),
    /// Nothing: its peer has no address.
    Free,
}

impl Peers {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, open: RefCell::default() }
    }

    /// A place for one more connection, unless its peer has enough.
    pub(crate) fn take(&self, address: &PeerAddress) -> Option<Place> {
        let Some(peer) = Peer::of(address) else { return Some(Place::Free) };
        let mut open = self.open.borrow_mut();
        let count = open.entry(peer).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Place::Taken(peer))
    }

    pub(crate) fn give_back(&self, place: &Place) {
        let Place::Taken(peer) = place else { return };
        let mut open = self.open.borrow_mut();
        if let Some(count) = open.get_mut(peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn at(ip: &str) -> PeerAddress {
        PeerAddress::Inet(SocketAddr::new(ip.parse().unwrap(), 1234))
    }

    #[test]
    fn addresses_that_count_as_one() {
        for (one, other, same) in [
            ("1.2.3.4", "1.2.3.4", true),
            ("1.2.3.4", "1.2.3.5", false),
            ("1.2.3.4", "::ffff:1.2.3.4", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("::1", "0.0.0.1", false),
        ] {
            assert_eq!(Peer::of(&at(one)) == Peer::of(&at(other)), same, "{one} {other}");
        }
    }

    #[test]
    fn the_table_is_as_large_as_the_server_is_busy() {
        let peers = Peers::new(2);
        for _ in 0..3 {
            let mut places = Vec::new();
            for n in 0..1000 {
                let address = at(&format!("10.0.{}.{}", n / 250, n % 250));
                places.extend([peers.take(&address).unwrap(), peers.take(&address).unwrap()]);
                assert!(peers.take(&address).is_none());
            }
            assert_eq!(peers.open.borrow().len(), 1000);
            for place in places {
                peers.give_back(&place);
            }
            assert!(peers.open.borrow().is_empty());
        }
    }
}

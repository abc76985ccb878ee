//! Whom to believe: IP networks, and lists of peers made of them.
//!
//! Rules: a network is written without bits behind its prefix, since `10.0.0.1/8` may mean a host or a network; an IPv4 address
//! that came in an IPv6 one (`::ffff:192.0.2.7`, RFC 4291, section 2.5.5.2) is the IPv4 address.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::listener::PeerAddress;

/// An IP network in the notation of RFC 4632 (CIDR), or a single address.
///
/// ```
/// use landspout_netutil::IpNetwork;
///
/// let network: IpNetwork = "192.0.2.0/24".parse()?;
/// assert!(network.contains("192.0.2.7".parse().unwrap()));
/// assert!(network.contains("::ffff:192.0.2.7".parse().unwrap()));
/// assert!(!network.contains("192.0.3.7".parse().unwrap()));
/// assert_eq!("2001:db8::7".parse::<IpNetwork>()?.to_string(), "2001:db8::7/128");
/// # Ok::<(), landspout_netutil::ParseNetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// The addresses whose first `prefix` bits are those of `address`.
    ///
    /// # Errors
    /// [`ParseNetworkError`] when the prefix is longer than an address (32 bits, or 128), or `address` has bits behind it.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, ParseNetworkError> {
        let refused = || ParseNetworkError { text: format!("{address}/{prefix}") };
        let (length, behind) = match address {
            IpAddr::V4(ip) => (32, u32::MAX.checked_shr(prefix.into()).unwrap_or(0) & ip.to_bits() != 0),
            IpAddr::V6(ip) => (128, u128::MAX.checked_shr(prefix.into()).unwrap_or(0) & ip.to_bits() != 0),
        };
        if prefix > length || behind {
            return Err(refused());
        }
        // What is compared with it is IPv4 where it can be; a shorter prefix than the 96 bits in front of that is IPv6's own.
        Ok(match address.to_canonical() {
            IpAddr::V4(ip) if address.is_ipv6() && prefix >= 96 => Self { address: ip.into(), prefix: prefix - 96 },
            _ => Self { address, prefix },
        })
    }

    /// Whether `ip` is one of this network's. An IPv4-mapped IPv6 address is the IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                (network.to_bits() ^ ip.to_bits()).checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                (network.to_bits() ^ ip.to_bits()).checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// The network's first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses share.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }
}

impl From<IpAddr> for IpNetwork {
    /// A single address.
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for IpNetwork {
    type Err = ParseNetworkError;

    /// Reads `ADDRESS` or `ADDRESS/BITS`.
    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let refused = || ParseNetworkError { text: text.to_owned() };
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Self::from).map_err(|_| refused());
        };
        let address = address.parse().map_err(|_| refused())?;
        // std would take `+8` and `08`.
        let plain = prefix == "0" || (!prefix.starts_with('0') && prefix.bytes().all(|byte| byte.is_ascii_digit()));
        match prefix.parse() {
            Ok(prefix) if plain => Self::new(address, prefix).map_err(|_| refused()),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A text that is neither an IP address nor a network. See [`IpNetwork`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseNetworkError {
    /// The text.
    pub text: String,
}

impl fmt::Display for ParseNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is neither an IP address nor a network", self.text)
    }
}

impl Error for ParseNetworkError {}

/// A list of peers that are believed: proxies, as a rule. It decides by the address of the socket's other end.
///
/// ```
/// use landspout_netutil::TrustedPeers;
///
/// let proxies: TrustedPeers = "10.1.0.0/16, 2001:db8::/32, unix".parse()?;
/// assert!(proxies.contains("10.1.2.3".parse().unwrap()));
/// assert!(proxies.trusts_unix());
/// assert!(!proxies.contains("127.0.0.1".parse().unwrap()));
/// # Ok::<(), landspout_netutil::ParseNetworkError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedPeers {
    networks: Vec<IpNetwork>,
    unix: bool,
}

impl TrustedPeers {
    /// Nobody.
    pub const fn none() -> Self {
        Self { networks: Vec::new(), unix: false }
    }

    /// Everybody. Right only where nobody but proxies can connect.
    pub fn any() -> Self {
        Self::none().with(v4([0, 0, 0, 0], 0)).with(v6(0, 0)).unix(true)
    }

    /// This machine: 127.0.0.0/8 and ::1 (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3). Not Unix-domain sockets.
    pub fn loopback() -> Self {
        Self::none().with(v4([127, 0, 0, 0], 8)).with(v6(1, 128))
    }

    /// Private networks: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918), fc00::/7 (RFC 4193), and
    /// [`loopback`](Self::loopback). Not Unix-domain sockets.
    pub fn private() -> Self {
        Self::loopback()
            .with(v4([10, 0, 0, 0], 8))
            .with(v4([172, 16, 0, 0], 12))
            .with(v4([192, 168, 0, 0], 16))
            .with(v6(0xfc00 << 112, 7))
    }

    /// And these, too.
    pub fn with(mut self, network: impl Into<IpNetwork>) -> Self {
        self.networks.push(network.into());
        self
    }

    /// Whether peers on Unix-domain sockets are believed, who have no address: whoever may open the socket's file. Default: no.
    pub fn unix(mut self, trusted: bool) -> Self {
        self.unix = trusted;
        self
    }

    /// Whether `ip` is in the list.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }

    /// Whether peers on Unix-domain sockets are in the list.
    pub fn trusts_unix(&self) -> bool {
        self.unix
    }

    /// Whether this peer is in the list.
    pub fn trusts(&self, peer: &PeerAddress) -> bool {
        match peer {
            PeerAddress::Inet(address) => self.contains(address.ip()),
            PeerAddress::Unix(_) => self.unix,
        }
    }

    /// The networks in the list.
    pub fn networks(&self) -> &[IpNetwork] {
        &self.networks
    }
}

impl<N: Into<IpNetwork>> Extend<N> for TrustedPeers {
    fn extend<I: IntoIterator<Item = N>>(&mut self, networks: I) {
        self.networks.extend(networks.into_iter().map(Into::into));
    }
}

impl<N: Into<IpNetwork>> FromIterator<N> for TrustedPeers {
    fn from_iter<I: IntoIterator<Item = N>>(networks: I) -> Self {
        let mut peers = Self::none();
        peers.extend(networks);
        peers
    }
}

impl From<IpNetwork> for TrustedPeers {
    fn from(network: IpNetwork) -> Self {
        Self::none().with(network)
    }
}

impl From<IpAddr> for TrustedPeers {
    fn from(address: IpAddr) -> Self {
        Self::none().with(address)
    }
}

impl FromStr for TrustedPeers {
    type Err = ParseNetworkError;

    /// Reads a list with commas between addresses, networks and the words `loopback`, `private`, `unix` and `any`.
    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let mut peers = Self::none();
        for entry in text.split(',').map(str::trim) {
            let named = match entry {
                "loopback" => Self::loopback(),
                "private" => Self::private(),
                "unix" => Self::none().unix(true),
                "any" => Self::any(),
                network => Self::from(network.parse::<IpNetwork>()?),
            };
            peers.extend(named.networks);
            peers.unix |= named.unix;
        }
        Ok(peers)
    }
}

fn v4(octets: [u8; 4], prefix: u8) -> IpNetwork {
    IpNetwork { address: Ipv4Addr::from(octets).into(), prefix }
}

fn v6(bits: u128, prefix: u8) -> IpNetwork {
    IpNetwork { address: Ipv6Addr::from_bits(bits).into(), prefix }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn network(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_what_shares_their_prefix() {
        for (text, inside, outside) in [
            ("192.0.2.7", &["192.0.2.7", "::ffff:192.0.2.7"][..], &["192.0.2.6", "::192.0.2.7", "::1"][..]),
            ("192.0.2.7/32", &["192.0.2.7"], &["192.0.2.6"]),
            ("192.0.2.0/31", &["192.0.2.0", "192.0.2.1"], &["192.0.2.2", "192.0.1.255"]),
            ("192.0.2.128/25", &["192.0.2.128", "192.0.2.255"], &["192.0.2.127", "192.0.3.0"]),
            ("10.0.0.0/8", &["10.0.0.0", "10.255.255.255"], &["9.255.255.255", "11.0.0.0", "::ffff:11.0.0.0"]),
            ("128.0.0.0/1", &["128.0.0.0", "255.255.255.255"], &["127.255.255.255"]),
            ("0.0.0.0/0", &["0.0.0.0", "255.255.255.255", "::ffff:1.2.3.4"], &["::", "2001:db8::1"]),
            ("2001:db8::7", &["2001:db8::7"], &["2001:db8::8", "2001:db8:1::7", "1.2.3.4"]),
            ("2001:db8::/32", &["2001:db8::", "2001:db8:ffff::1"], &["2001:db9::", "2001:db7::"]),
            ("2001:db8::/127", &["2001:db8::", "2001:db8::1"], &["2001:db8::2"]),
            ("8000::/1", &["ffff::"], &["7fff::"]),
            ("::/0", &["::", "ffff::"], &["1.2.3.4", "::ffff:1.2.3.4"]),
            ("::ffff:192.0.2.0/120", &["192.0.2.7", "::ffff:192.0.2.7"], &["192.0.3.0"]),
            ("::ffff:192.0.2.7", &["192.0.2.7"], &["192.0.2.6"]),
            ("::ffff:0.0.0.0/96", &["192.0.2.7"], &["::1"]),
        ] {
            for inside in inside {
                assert!(network(text).contains(ip(inside)), "{inside} is in {text}");
            }
            for outside in outside {
                assert!(!network(text).contains(ip(outside)), "{outside} isn't in {text}");
            }
        }
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/256",
            "10.0.0.0/8/8",
            "10.0.0.0/255.0.0.0",
            "10/8",
            "10.0.0.1/8",
            "192.0.2.1/31",
            "1.2.3.4/0",
            "::1/127",
            "::/129",
            "2001:db8::1/32",
            "localhost",
            "localhost/8",
            "[::1]",
            "[::1]/128",
            " 10.0.0.0/8",
            "10.0.0.0/8 ",
            "fe80::1%eth0",
            "10.0.0.0 /8",
            "010.0.0.0/8",
        ] {
            assert_eq!(text.parse::<IpNetwork>(), Err(ParseNetworkError { text: text.to_owned() }));
        }
        assert_eq!(IpNetwork::new(ip("10.0.0.1"), 8).unwrap_err().text, "10.0.0.1/8");
    }

    #[test]
    fn networks_are_written_as_they_are_read() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "192.0.2.7/32", "::1/128"] {
            assert_eq!(network(text).to_string(), text);
        }
        assert_eq!(network("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn lists_have_words_for_what_is_meant_most() {
        for (list, inside, outside) in [
            ("loopback", &["127.0.0.1", "127.9.9.9", "::1"][..], &["10.0.0.1", "::2", "0.0.0.0"][..]),
            (
                "private",
                &["127.0.0.1", "::1", "10.9.9.9", "172.31.0.1", "192.168.0.1", "fd00::1"],
                &["172.32.0.1", "8.8.8.8"],
            ),
            ("any", &["127.0.0.1", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8"], &[]),
            ("10.1.0.0/16,2001:db8::/32 , 192.0.2.7", &["10.1.2.3", "2001:db8::9", "192.0.2.7"], &["10.2.0.0", "::1"]),
        ] {
            let peers: TrustedPeers = list.parse().unwrap();
            for inside in inside {
                assert!(peers.contains(ip(inside)), "{inside} is in {list}");
            }
            for outside in outside {
                assert!(!peers.contains(ip(outside)), "{outside} isn't in {list}");
            }
        }
        assert!("".parse::<TrustedPeers>().is_err() && "10.0.0.0/8,".parse::<TrustedPeers>().is_err());
        assert!(!TrustedPeers::none().contains(ip("127.0.0.1")));
    }

    #[test]
    fn unix_sockets_are_a_choice_of_their_own() {
        let (end, _other) = UnixStream::pair().unwrap();
        let unix = PeerAddress::from(end.peer_addr().unwrap());
        let inet = PeerAddress::Inet("127.0.0.1:80".parse().unwrap());
        for (list, trusts_inet, trusts_unix) in [
            ("loopback", true, false),
            ("private", true, false),
            ("unix", false, true),
            ("unix, loopback", true, true),
            ("any", true, true),
        ] {
            let peers: TrustedPeers = list.parse().unwrap();
            assert_eq!((peers.trusts(&inet), peers.trusts(&unix)), (trusts_inet, trusts_unix), "{list}");
        }
    }
}

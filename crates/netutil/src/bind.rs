//! TCP listeners on every address of a host.
//!
//! Rules:
//! - The set is whole or it is an error: what was opened before a failure is closed before the error returns.
//! - IPv4 comes first and the order never depends on the resolver, so that several processes binding the same name meet the
//!   same conflict at the same address instead of each holding a part.
//! - At port 0 the first address picks the number and the others take it. When another address has that number in use, the
//!   set is closed and a new number is picked.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::BindError;

/// How many connections the kernel keeps waiting for `accept`, unless told otherwise: Tornado's number.
#[doc(alias = "_DEFAULT_BACKLOG")]
pub const DEFAULT_BACKLOG: u32 = 128;

/// How many numbers are tried at port 0 before "in use" is believed. One try fails with a probability of (ports in use on the
/// other family) / (size of the ephemeral range): with half of the range taken, 16 in a row fail once in 65,536 calls.
const PORT_ATTEMPTS: u32 = 16;

/// Opens listening sockets on `port` for every address of `address`: [`BindOptions::bind_sockets`] with the defaults.
///
/// `address` is an IP address, a host name (resolved by the system, which may block), or `None` or `""` for every address of
/// this host, IPv4 and IPv6. `port` 0 lets the system pick one; all sockets get the same.
///
/// ```
/// let sockets = landspout_netutil::bind_sockets(0, "127.0.0.1")?;
/// println!("http://{}/", sockets[0].local_addr()?);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// See [`BindOptions::bind_sockets`].
pub fn bind_sockets<'a>(port: u16, address: impl Into<Option<&'a str>>) -> Result<Vec<TcpListener>, BindError> {
    BindOptions::new().bind_sockets(port, address)
}

/// Which addresses to listen on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// All there are. The default.
    #[default]
    #[doc(alias = "AF_UNSPEC")]
    Unspecified,
    /// IPv4 only.
    #[doc(alias = "AF_INET")]
    Inet,
    /// IPv6 only.
    #[doc(alias = "AF_INET6")]
    Inet6,
}

impl AddressFamily {
    pub(crate) fn contains(self, address: &SocketAddr) -> bool {
        match self {
            AddressFamily::Unspecified => true,
            AddressFamily::Inet => address.is_ipv4(),
            AddressFamily::Inet6 => address.is_ipv6(),
        }
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressFamily::Unspecified => "IP address",
            AddressFamily::Inet => "IPv4 address",
            AddressFamily::Inet6 => "IPv6 address",
        })
    }
}

/// What [`bind_sockets`] takes beyond port and address.
///
/// ```
/// use landspout_netutil::{AddressFamily, BindOptions};
///
/// let options = BindOptions::new().family(AddressFamily::Inet).backlog(1024).reuse_port(true);
/// let mine = options.bind_sockets(0, "localhost")?;
/// let port = mine[0].local_addr()?.port();
/// let a_second_process_could = options.bind_sockets(port, "localhost")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BindOptions {
    family: AddressFamily,
    backlog: u32,
    reuse_port: bool,
}

impl Default for BindOptions {
    fn default() -> BindOptions {
        BindOptions::new()
    }
}

impl BindOptions {
    /// Every family, a backlog of [`DEFAULT_BACKLOG`], no `SO_REUSEPORT`.
    pub const fn new() -> BindOptions {
        BindOptions { family: AddressFamily::Unspecified, backlog: DEFAULT_BACKLOG, reuse_port: false }
    }

    /// Listens on addresses of this family only.
    pub const fn family(mut self, family: AddressFamily) -> BindOptions {
        self.family = family;
        self
    }

    /// How many connections may wait for `accept`. The system has its own maximum (`net.core.somaxconn` on Linux).
    pub const fn backlog(mut self, connections: u32) -> BindOptions {
        self.backlog = connections;
        self
    }

    /// Sets `SO_REUSEPORT`: several sockets, of several processes or threads of one user, listen on the same port, and
    /// the kernel deals connections out among them (on Linux; macOS gives them all to one).
    pub const fn reuse_port(mut self, reuse: bool) -> BindOptions {
        self.reuse_port = reuse;
        self
    }

    /// Opens listening sockets on `port` for every address of `address`; see [`bind_sockets`] for the two arguments.
    ///
    /// The sockets are non-blocking and close-on-exec, have `SO_REUSEADDR`, and those of IPv6 have `IPV6_V6ONLY`. Addresses
    /// are tried once each, IPv4 first. Those of a family that the kernel lacks are left out, and so is `::1` for the name
    /// `localhost` where no interface has it (containers without IPv6).
    ///
    /// Tornado's `bind_sockets(port, address, family, backlog, flags, reuse_port)`.
    ///
    /// # Errors
    /// - [`BindError::Resolve`]: the name is unknown.
    /// - [`BindError::Bind`]: an address is in use, not of this host, or its port needs a privilege. No socket stays open.
    /// - [`BindError::NoAddress`]: there is no address of the family, or none that the kernel could serve.
    /// - [`BindError::ReusePortUnsupported`]: `reuse_port` on a platform without it.
    #[doc(alias = "listen")]
    pub fn bind_sockets<'a>(
        &self,
        port: u16,
        address: impl Into<Option<&'a str>>,
    ) -> Result<Vec<TcpListener>, BindError> {
        if self.reuse_port && !HAS_REUSE_PORT {
            return Err(BindError::ReusePortUnsupported);
        }
        let name = address.into().unwrap_or_default();
        let addresses = self.resolve(name, port)?;
        let sockets = bind_set(name, &addresses, |address| self.open(address))?;
        if sockets.is_empty() {
            return Err(BindError::NoAddress { address: name.to_owned(), family: self.family });
        }
        Ok(sockets)
    }

    /// The addresses of `name`: of the family asked for, each once, IPv4 first.
    fn resolve(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, BindError> {
        let mut addresses: Vec<SocketAddr> = if name.is_empty() {
            let wildcards: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            wildcards.map(|ip| SocketAddr::new(ip, port)).into()
        } else {
            let resolved = (name, port).to_socket_addrs();
            resolved.map_err(|source| BindError::Resolve { address: name.to_owned(), source })?.collect()
        };
        addresses.retain(|address| self.family.contains(address));
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses)
    }

    fn open(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A server restarted within the minutes that its old connections stay in TIME_WAIT must get its port back.
        socket.set_reuse_address(true)?;
        if self.reuse_port {
            set_reuse_port(&socket)?;
        }
        if address.is_ipv6() {
            // Linux would otherwise hand IPv4 clients to the IPv6 wildcard, and refuse it beside the IPv4 one.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // listen(2) takes a signed number; a larger one means "as many as possible" either way.
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    }
}

/// Binds the whole set, at port 0 again and again until all addresses have the same number free.
fn bind_set(
    name: &str,
    addresses: &[SocketAddr],
    mut open: impl FnMut(SocketAddr) -> io::Result<TcpListener>,
) -> Result<Vec<TcpListener>, BindError> {
    let any_port = addresses.iter().all(|address| address.port() == 0);
    let mut attempts_left = if any_port { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts_left -= 1;
        match bind_each(name, addresses, &mut open) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts_left > 0 => {}
            result => return result,
        }
    }
}

/// Binds each address once. On an error the sockets opened so far are dropped, and thereby closed.
fn bind_each(
    name: &str,
    addresses: &[SocketAddr],
    open: &mut impl FnMut(SocketAddr) -> io::Result<TcpListener>,
) -> Result<Vec<TcpListener>, BindError> {
    let mut sockets: Vec<TcpListener> = Vec::with_capacity(addresses.len());
    let mut picked = None;
    for &asked in addresses {
        let mut address = asked;
        if let (0, Some(port)) = (asked.port(), picked) {
            address.set_port(port);
        }
        match open(address).and_then(|socket| Ok((socket.local_addr()?.port(), socket))) {
            Ok((port, socket)) => {
                picked = Some(port);
                sockets.push(socket);
            }
            Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => {}
            // Docker without IPv6 still lists "::1 localhost" in /etc/hosts.
            Err(error)
                if error.kind() == io::ErrorKind::AddrNotAvailable
                    && name.eq_ignore_ascii_case("localhost")
                    && address.ip() == Ipv6Addr::LOCALHOST => {}
            Err(source) => return Err(BindError::Bind { address, source }),
        }
    }
    Ok(sockets)
}

const HAS_REUSE_PORT: bool = !cfg!(any(target_os = "solaris", target_os = "illumos"));

#[cfg(not(any(target_os = "solaris", target_os = "illumos")))]
fn set_reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(any(target_os = "solaris", target_os = "illumos"))]
fn set_reuse_port(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// "Address family not supported": std has no `ErrorKind` for it, and a dependency for one number is too much. Linux has its
/// own numbers on two architectures; everything else that is Unix follows BSD.
const EAFNOSUPPORT: i32 = if cfg!(not(any(target_os = "linux", target_os = "android"))) {
    47
} else if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    124
} else if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) {
    47
} else {
    97
};

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: [SocketAddr; 2] =
        [SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)];

    fn in_use() -> io::Error {
        io::ErrorKind::AddrInUse.into()
    }

    fn open(address: SocketAddr) -> io::Result<TcpListener> {
        BindOptions::new().open(address)
    }

    #[test]
    fn a_number_taken_on_the_second_family_is_given_up_for_another() {
        // Whenever IPv4 has picked a number, somebody else has it on IPv6, four times in a row.
        let mut taken = Vec::new();
        let sockets = bind_set("", &LOOPBACK, |address| {
            let socket = open(address)?;
            if address.is_ipv4() && taken.len() < 4 {
                let port = socket.local_addr()?.port();
                taken.push(open(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port))?);
            }
            Ok(socket)
        })
        .unwrap();
        assert_eq!(taken.len(), 4);
        let ports: Vec<u16> = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 2);
        assert_eq!(ports[0], ports[1]);
        assert!(taken.iter().all(|other| other.local_addr().unwrap().port() != ports[0]));
    }

    #[test]
    fn the_search_for_a_number_ends() {
        let mut calls = 0;
        let result = bind_set("", &LOOPBACK, |address| {
            calls += 1;
            if address.is_ipv6() { Err(in_use()) } else { open(address) }
        });
        assert!(matches!(result, Err(BindError::Bind { address, .. }) if address.is_ipv6() && address.port() != 0));
        assert_eq!(calls, 2 * PORT_ATTEMPTS);
    }

    #[test]
    fn a_port_that_was_asked_for_is_tried_once() {
        let mut calls = 0;
        let result = bind_set("", &["127.0.0.1:1".parse().unwrap()], |_| {
            calls += 1;
            Err(in_use())
        });
        assert_eq!(result.unwrap_err(), BindError::Bind { address: "127.0.0.1:1".parse().unwrap(), source: in_use() });
        assert_eq!(calls, 1);
    }

    #[test]
    fn a_family_the_kernel_lacks_is_left_out() {
        let sockets = bind_set("", &LOOPBACK, |address| {
            if address.is_ipv6() { Err(io::Error::from_raw_os_error(EAFNOSUPPORT)) } else { open(address) }
        });
        assert_eq!(sockets.unwrap().len(), 1);
    }

    #[test]
    fn the_number_for_a_missing_family_is_the_systems() {
        // No kernel has address family 255: what it answers is the number we look for.
        let error = Socket::new(Domain::from(255), Type::STREAM, None).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(EAFNOSUPPORT));
    }

    #[test]
    fn only_localhost_may_lack_its_ipv6_address() {
        let open = |address: SocketAddr| {
            if address.is_ipv6() { Err(io::ErrorKind::AddrNotAvailable.into()) } else { open(address) }
        };
        assert_eq!(bind_set("localhost", &LOOPBACK, open).unwrap().len(), 1);
        assert_eq!(bind_set("LocalHost", &LOOPBACK, open).unwrap().len(), 1);
        let error = bind_set("example.test", &LOOPBACK, open).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        let elsewhere: [SocketAddr; 1] = ["[2001:db8::1]:0".parse().unwrap()];
        assert_eq!(bind_set("localhost", &elsewhere, open).unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn addresses_are_sorted_and_come_once() {
        let all = BindOptions::new().resolve("", 80).unwrap();
        assert_eq!(all, ["0.0.0.0:80".parse().unwrap(), "[::]:80".parse().unwrap()]);
        let inet6 = BindOptions::new().family(AddressFamily::Inet6).resolve("", 80).unwrap();
        assert_eq!(inet6, ["[::]:80".parse().unwrap()]);
        let localhost = BindOptions::new().resolve("localhost", 80).unwrap();
        assert!(localhost.is_sorted() && localhost.windows(2).all(|pair| pair[0] != pair[1]), "{localhost:?}");
    }
}

//! What listens, what comes in, and from where: one type each for TCP and Unix sockets.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{self, UnixListener, UnixStream};

/// A listening socket. It must be non-blocking to be used on a loop, as those of this crate are.
#[derive(Debug)]
pub enum Listener {
    /// TCP, as [`bind_sockets`](crate::bind_sockets) returns it.
    Tcp(TcpListener),
    /// Unix, as [`bind_unix_socket`](crate::bind_unix_socket) returns it.
    Unix(UnixListener),
}

impl Listener {
    /// Whether `accept` waits for a connection. The listeners of this crate don't.
    ///
    /// # Errors
    /// What the system says of the descriptor.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.set_nonblocking(nonblocking),
            Listener::Unix(listener) => listener.set_nonblocking(nonblocking),
        }
    }
}

/// An accepted connection: non-blocking, close-on-exec.
#[derive(Debug)]
pub enum Connection {
    /// Accepted by [`Listener::Tcp`].
    Tcp(TcpStream),
    /// Accepted by [`Listener::Unix`].
    Unix(UnixStream),
}

/// Who is at the other end of a [`Connection`].
///
/// Shows itself as `192.0.2.7:4711`, `[2001:db8::7]:4711`, a path, `@name` for an abstract Unix name, or `unix:` for the
/// usual nameless Unix client.
#[derive(Clone, Debug)]
pub enum PeerAddress {
    /// IP address and port.
    Inet(SocketAddr),
    /// What a Unix client bound its end to: nearly always nothing.
    Unix(net::SocketAddr),
}

impl PeerAddress {
    /// IP address and port; `None` for a Unix peer.
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            PeerAddress::Inet(address) => Some(*address),
            PeerAddress::Unix(_) => None,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerAddress::Inet(address) => address.fmt(f),
            PeerAddress::Unix(address) => match (address.as_pathname(), abstract_name(address)) {
                (Some(path), _) => path.display().fmt(f),
                (None, Some(name)) => write!(f, "@{}", name.escape_ascii()),
                (None, None) => f.write_str("unix:"),
            },
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn abstract_name(address: &net::SocketAddr) -> Option<&[u8]> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    address.as_abstract_name()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn abstract_name(_: &net::SocketAddr) -> Option<&[u8]> {
    None
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> PeerAddress {
        PeerAddress::Inet(address)
    }
}

impl From<net::SocketAddr> for PeerAddress {
    fn from(address: net::SocketAddr) -> PeerAddress {
        PeerAddress::Unix(address)
    }
}

/// Both pairs of enums hold std's sockets and lend or give away their descriptor in the same way.
macro_rules! descriptor {
    ($name:ident, $tcp:ty, $unix:ty) => {
        impl From<$tcp> for $name {
            fn from(socket: $tcp) -> $name {
                $name::Tcp(socket)
            }
        }

        impl From<$unix> for $name {
            fn from(socket: $unix) -> $name {
                $name::Unix(socket)
            }
        }

        impl From<$name> for OwnedFd {
            fn from(socket: $name) -> OwnedFd {
                match socket {
                    $name::Tcp(socket) => socket.into(),
                    $name::Unix(socket) => socket.into(),
                }
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                match self {
                    $name::Tcp(socket) => socket.as_fd(),
                    $name::Unix(socket) => socket.as_fd(),
                }
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }
    };
}

descriptor!(Listener, TcpListener, UnixListener);
descriptor!(Connection, TcpStream, UnixStream);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_show_themselves() {
        let inet: SocketAddr = "[2001:db8::7]:4711".parse().unwrap();
        assert_eq!(PeerAddress::from(inet).to_string(), "[2001:db8::7]:4711");
        assert_eq!(PeerAddress::from(inet).inet(), Some(inet));

        let path = net::SocketAddr::from_pathname("/run/x.sock").unwrap();
        assert_eq!(PeerAddress::from(path).to_string(), "/run/x.sock");

        let (end, _other) = UnixStream::pair().unwrap();
        let nameless = PeerAddress::from(end.peer_addr().unwrap());
        assert_eq!(nameless.to_string(), "unix:");
        assert_eq!(nameless.inet(), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_shows_as_ss_shows_it() {
        use std::os::linux::net::SocketAddrExt;
        let address = net::SocketAddr::from_abstract_name(b"a\nb").unwrap();
        assert_eq!(PeerAddress::from(address).to_string(), "@a\\nb");
    }
}

//! `RequestContext`: who is at the other end of a connection.
//!
//! Rules: the address of the socket never changes; address and protocol that a trusted proxy reports hold for one request
//! and are taken back at its end.

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The scheme by which a request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Plain HTTP.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
}

impl Protocol {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who is at the other end of a connection (Tornado's `_HTTPRequestContext`).
///
/// Shown with `{}` it is what logs call the peer: the remote address, or the name of a Unix socket.
pub struct RequestContext {
    peer: Peer,
    /// What the current request says of itself, through a trusted proxy.
    remote_ip: Cell<IpAddr>,
    protocol: Cell<Protocol>,
    /// What the connection is, to go back to.
    own_protocol: Protocol,
    overridden: Cell<bool>,
    /// Boxed, as most connections have none.
    peer_certificate: Option<Box<PeerCertificate>>,
}

/// It is known when the handshake is over, which is later than the context is made, and few ask for it.
struct PeerCertificate {
    source: Box<dyn Fn() -> Option<Vec<u8>>>,
    known: OnceCell<Vec<u8>>,
}

enum Peer {
    Inet(SocketAddr),
    /// A Unix socket's name; most peers have none.
    Unix(Box<str>),
}

impl RequestContext {
    /// A peer on an IP network.
    pub const fn new(address: SocketAddr, protocol: Protocol) -> Self {
        Self::with_peer(Peer::Inet(address), address.ip(), protocol)
    }

    /// A peer on a Unix socket, under the name that logs shall show; it may be empty. Its `remote_ip` is `0.0.0.0`, as in Tornado.
    pub fn unix(name: impl Into<Box<str>>, protocol: Protocol) -> Self {
        Self::with_peer(Peer::Unix(name.into()), IpAddr::V4(Ipv4Addr::UNSPECIFIED), protocol)
    }

    const fn with_peer(peer: Peer, remote_ip: IpAddr, protocol: Protocol) -> Self {
        Self {
            peer,
            remote_ip: Cell::new(remote_ip),
            protocol: Cell::new(protocol),
            own_protocol: protocol,
            overridden: Cell::new(false),
            peer_certificate: None,
        }
    }

    /// The same with the peer's certificate, DER-encoded, from a function that is called when somebody asks for it, until it
    /// gives one.
    #[must_use]
    pub fn with_peer_certificate(mut self, source: impl Fn() -> Option<Vec<u8>> + 'static) -> Self {
        self.peer_certificate = Some(Box::new(PeerCertificate { source: Box::new(source), known: OnceCell::new() }));
        self
    }

    /// The address of the socket's other end; `None` for a Unix socket. No proxy header changes it.
    #[inline]
    pub const fn address(&self) -> Option<SocketAddr> {
        match self.peer {
            Peer::Inet(address) => Some(address),
            Peer::Unix(_) => None,
        }
    }

    /// The address of the client: the socket's, unless a trusted proxy told another; `0.0.0.0` for a Unix socket.
    #[inline]
    pub fn remote_ip(&self) -> IpAddr {
        self.remote_ip.get()
    }

    /// The protocol that the client speaks: the connection's, unless a trusted proxy told another.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol.get()
    }

    /// Replaces the client's address until [`restore`](Self::restore).
    pub fn set_remote_ip(&self, remote_ip: IpAddr) {
        self.remote_ip.set(remote_ip);
        self.overridden.set(true);
    }

    /// Replaces the client's protocol until [`restore`](Self::restore).
    pub fn set_protocol(&self, protocol: Protocol) {
        self.protocol.set(protocol);
        self.overridden.set(true);
    }

    /// Goes back to what the connection itself is; for the end of a request.
    #[doc(alias = "_unapply_xheaders")]
    #[inline]
    pub fn restore(&self) {
        if !self.overridden.replace(false) {
            return;
        }
        self.remote_ip.set(self.own_remote_ip());
        self.protocol.set(self.own_protocol);
    }

    /// Whether address or protocol were replaced for the current request.
    #[inline]
    pub fn is_overridden(&self) -> bool {
        self.overridden.get()
    }

    /// The address of the socket's other end, whatever a proxy told; `0.0.0.0` for a Unix socket.
    pub fn own_remote_ip(&self) -> IpAddr {
        match self.peer {
            Peer::Inet(address) => address.ip(),
            Peer::Unix(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }

    /// The protocol of the connection, whatever a proxy told.
    pub fn own_protocol(&self) -> Protocol {
        self.own_protocol
    }

    /// The certificate that the peer showed in the TLS handshake, DER-encoded; `None` if it showed none.
    ///
    /// The connection is asked the first time, so that time has to be before it is closed.
    #[doc(alias = "get_ssl_certificate")]
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        let certificate = self.peer_certificate.as_ref()?;
        if certificate.known.get().is_none() {
            // Whoever asks the source once more from within it comes first.
            let _ = certificate.known.set((certificate.source)()?);
        }
        certificate.known.get().map(Vec::as_slice)
    }
}

impl fmt::Display for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            Peer::Inet(_) => self.remote_ip().fmt(f),
            Peer::Unix(name) if name.is_empty() => f.write_str("unix socket"),
            Peer::Unix(name) => f.write_str(name),
        }
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("address", &self.address())
            .field("remote_ip", &self.remote_ip())
            .field("protocol", &self.protocol())
            .finish_non_exhaustive()
    }
}

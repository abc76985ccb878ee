//! TLS (feature `tls`): what a user says of it, and what can be asked of a stream. [`transport`] moves the bytes.
//!
//! Rule: rustls' connections are named in `transport.rs` alone, its configurations here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

mod transport;

pub(crate) use transport::TlsTransport;

/// How long a handshake may take, unless told otherwise: as nginx's `ssl_handshake_timeout`.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// How a stream is to be secured: which side of TLS it is, with which configuration, whom it expects, and how long that may
/// take. What Tornado's `start_tls(server_side, ssl_options, server_hostname)` takes.
///
/// `landspout-netutil` makes configurations from PEM files (`SslOptions`); any other of rustls does as well.
#[derive(Clone)]
#[doc(alias = "ssl_options")]
pub struct Tls {
    pub(crate) side: Side,
    pub(crate) handshake_timeout: Duration,
    pub(crate) take_unread: bool,
}

#[derive(Clone)]
pub(crate) enum Side {
    Client(Arc<ClientConfig>, ServerName<'static>),
    Server(Arc<ServerConfig>),
}

impl Tls {
    fn new(side: Side) -> Self {
        Self { side, handshake_timeout: HANDSHAKE_TIMEOUT, take_unread: false }
    }

    /// The side that was connected to. 0-RTT data is never accepted, whatever the configuration says: it can be replayed
    /// (RFC 8446, section 8).
    pub fn server(config: Arc<ServerConfig>) -> Self {
        Self::new(Side::Server(transport::without_early_data(config)))
    }

    /// The side that connects, and expects the certificate of `server_name`: a host name, which is also sent as SNI
    /// (RFC 6066, section 3), or an IP address. Tornado's `server_hostname`.
    ///
    /// # Errors
    /// [`InvalidServerName`] when it is neither.
    #[doc(alias = "server_hostname")]
    pub fn client(config: Arc<ClientConfig>, server_name: &str) -> Result<Self, InvalidServerName> {
        let name = ServerName::try_from(server_name)
            .map_err(|_| InvalidServerName { name: server_name.to_owned() })?
            .to_owned();
        Ok(Self::new(Side::Client(config, name)))
    }

    /// How long the handshake may take, from the moment the connection stands. Default 60 s, as nginx's
    /// `ssl_handshake_timeout`; Tornado has none.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// What the stream has read and nobody consumed belongs to the handshake. For protocols that put something plain before
    /// TLS and wait for no answer, as the PROXY protocol does. Default: such bytes are an error, as after `STARTTLS`: there, they
    /// were sent by somebody who wants them to be taken for secured ones (CVE-2011-0411).
    pub fn take_unread(mut self, take: bool) -> Self {
        self.take_unread = take;
        self
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.side {
            Side::Client(_, name) => write!(f, "Tls::client({:?})", name.to_str()),
            Side::Server(_) => f.write_str("Tls::server"),
        }
    }
}

/// A text that is neither a host name nor an IP address. See [`Tls::client`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidServerName {
    /// The text.
    pub name: String,
}

impl fmt::Display for InvalidServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is neither a host name nor an IP address", self.name)
    }
}

impl std::error::Error for InvalidServerName {}

/// What two sides have agreed on. See [`IoStream::tls`](crate::IoStream::tls).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `"TLSv1.2"` or `"TLSv1.3"`, as Python's `SSLSocket.version()`.
    pub version: &'static str,
    /// The cipher suite's registered name, such as `"TLS13_AES_128_GCM_SHA256"`.
    pub cipher: &'static str,
    /// The protocol that ALPN chose (RFC 7301): `b"http/1.1"`.
    pub alpn: Option<Vec<u8>>,
    /// The peer's certificates as DER, its own first. Empty where the peer showed none. On the server's side these were
    /// verified by what the configuration says of clients.
    #[doc(alias = "get_ssl_certificate")]
    pub peer_certificates: Vec<Vec<u8>>,
    /// The host name that the client asked for by SNI; only on the server's side.
    pub server_name: Option<String>,
    /// The session was resumed: no certificate was sent this time, [`peer_certificates`](Self::peer_certificates) are those of
    /// the first one.
    pub resumed: bool,
}

/// What went wrong between the two sides of TLS: a certificate that isn't trusted, a peer that doesn't speak TLS, an alert.
/// What rustls says of it is [`source`](std::error::Error::source).
#[derive(Debug, Clone, PartialEq)]
pub struct TlsFailure(Arc<rustls::Error>);

impl TlsFailure {
    /// Whether the peer's certificate was refused by us.
    pub fn is_certificate(&self) -> bool {
        matches!(*self.0, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    }

    /// Whether the peer ended it by an alert (RFC 8446, section 6.2): it refused us.
    pub fn is_alert(&self) -> bool {
        matches!(*self.0, rustls::Error::AlertReceived(_))
    }
}

impl From<rustls::Error> for TlsFailure {
    fn from(error: rustls::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl From<TlsFailure> for std::io::Error {
    fn from(failure: TlsFailure) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, failure)
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two sides of TLS can't agree")
    }
}

impl std::error::Error for TlsFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

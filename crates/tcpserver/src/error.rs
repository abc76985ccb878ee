//! Why a server can't start.

use std::fmt;

use landspout_ioloop::LoopError;
use landspout_netutil::BindError;
#[cfg(feature = "tls")]
use landspout_netutil::TlsError;
use landspout_process::ForkError;

/// A server could not listen, fork or start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The sockets could not be bound.
    Bind(BindError),
    /// The loop refused a listener.
    Loop(LoopError),
    /// The workers could not be forked.
    Fork(ForkError),
    /// A thread could not be started.
    Thread(std::io::Error),
    /// The TLS options can't serve anybody. Tornado's `KeyError` or `ValueError` of the constructor.
    #[cfg(feature = "tls")]
    Tls(TlsError),
    /// [`start`](crate::TcpServer::start) was called before. Tornado's assertion.
    AlreadyStarted,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(_) => f.write_str("cannot bind the server's sockets"),
            Self::Loop(_) => f.write_str("cannot accept connections on this loop"),
            Self::Fork(_) => f.write_str("cannot fork the server's workers"),
            Self::Thread(_) => f.write_str("cannot start a thread of the server"),
            #[cfg(feature = "tls")]
            Self::Tls(_) => f.write_str("the server's TLS options are of no use"),
            Self::AlreadyStarted => f.write_str("the server was started already"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind(cause) => Some(cause),
            Self::Loop(cause) => Some(cause),
            Self::Fork(cause) => Some(cause),
            Self::Thread(cause) => Some(cause),
            #[cfg(feature = "tls")]
            Self::Tls(cause) => Some(cause),
            Self::AlreadyStarted => None,
        }
    }
}

impl From<BindError> for ServerError {
    fn from(cause: BindError) -> Self {
        Self::Bind(cause)
    }
}

impl From<LoopError> for ServerError {
    fn from(cause: LoopError) -> Self {
        Self::Loop(cause)
    }
}

impl From<ForkError> for ServerError {
    fn from(cause: ForkError) -> Self {
        Self::Fork(cause)
    }
}

#[cfg(feature = "tls")]
impl From<TlsError> for ServerError {
    fn from(cause: TlsError) -> Self {
        Self::Tls(cause)
    }
}

//! Why there is no connection.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use landspout_iostream::CloseCause;
#[cfg(feature = "tls")]
use landspout_iostream::{InvalidServerName, StreamError};
#[cfg(feature = "tls")]
use landspout_netutil::TlsError;
use landspout_netutil::{AddressFamily, ResolveError};

/// What [`TcpClient`](crate::TcpClient) reports. Turns into an [`io::Error`] of [`kind()`](ConnectError::kind) by `?`.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host has no address.
    Resolve(ResolveError),
    /// No attempt led to a connection. [`source()`](Error::source) is the last of them.
    Failed {
        /// The host that was asked for.
        host: String,
        /// The port that was asked for.
        port: u16,
        /// Every attempt, in the order in which they failed; at least one.
        attempts: Vec<FailedAttempt>,
    },
    /// It took too long.
    #[doc(alias = "TimeoutError")]
    Timeout {
        /// The host that was asked for.
        host: String,
        /// The port that was asked for.
        port: u16,
        /// What was going on.
        stage: Stage,
        /// What was allowed: for this stage, or for all of them.
        limit: Duration,
        /// The attempts that had failed by then.
        attempts: Vec<FailedAttempt>,
    },
    /// The source address can't be used with the family that was asked for.
    SourceFamily {
        /// [`ConnectOptions::source_ip`](crate::ConnectOptions::source_ip).
        source_ip: IpAddr,
        /// [`ConnectOptions::af`](crate::ConnectOptions::af).
        family: AddressFamily,
    },
    /// The connection stood, and TLS failed on it: a certificate that isn't trusted, a peer without TLS.
    #[cfg(feature = "tls")]
    Tls {
        /// The host that was asked for.
        host: String,
        /// The address that had answered.
        address: SocketAddr,
        /// What went wrong.
        source: StreamError,
    },
    /// TLS can't expect this name of a server.
    #[cfg(feature = "tls")]
    ServerName(InvalidServerName),
    /// The default configuration of TLS can't be made.
    #[cfg(feature = "tls")]
    Options(TlsError),
}

/// A part of connecting that has a time-out of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Looking for the host's addresses.
    Resolve,
    /// Trying them.
    Connect,
    /// The handshake of TLS.
    Tls,
}

/// An address that was tried in vain. [`source()`](Error::source) says why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// The address.
    pub address: SocketAddr,
    /// The source address, if it is what failed: not one of this host, or a port that is taken or needs a privilege.
    pub source_address: Option<SocketAddr>,
    /// Why it failed.
    pub cause: CloseCause,
}

impl ConnectError {
    /// The kind of [`io::Error`] that stands for this error; of several attempts, that of the last one.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            ConnectError::Resolve(error) => error.kind(),
            ConnectError::Failed { attempts, .. } => {
                attempts.last().and_then(|attempt| attempt.cause.io_kind()).unwrap_or(io::ErrorKind::Other)
            }
            ConnectError::Timeout { .. } => io::ErrorKind::TimedOut,
            ConnectError::SourceFamily { .. } => io::ErrorKind::InvalidInput,
            #[cfg(feature = "tls")]
            ConnectError::Tls { source: StreamError::Closed(Some(cause)), .. } => {
                cause.io_kind().unwrap_or(io::ErrorKind::InvalidData)
            }
            #[cfg(feature = "tls")]
            ConnectError::Tls { .. } => io::ErrorKind::NotConnected,
            #[cfg(feature = "tls")]
            ConnectError::ServerName(_) | ConnectError::Options(_) => io::ErrorKind::InvalidInput,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Resolve(_) => f.write_str("found no address to connect to"),
            ConnectError::Failed { host, port, attempts } => {
                write!(f, "cannot connect to {host:?}, port {port}, tried ")?;
                for (attempt, comma) in attempts.iter().zip(["", ", "].into_iter().chain(std::iter::repeat(", "))) {
                    write!(f, "{comma}{}", attempt.address)?;
                }
                Ok(())
            }
            ConnectError::Timeout { host, port, stage, limit, .. } => {
                write!(f, "{host:?}, port {port}: {stage} was not done within {limit:?}")
            }
            ConnectError::SourceFamily { source_ip, family } => write!(f, "the source {source_ip} is no {family}"),
            #[cfg(feature = "tls")]
            ConnectError::Tls { host, address, .. } => write!(f, "no TLS with {host:?} at {address}"),
            #[cfg(feature = "tls")]
            ConnectError::ServerName(_) => f.write_str("TLS needs the name of the server"),
            #[cfg(feature = "tls")]
            ConnectError::Options(_) => f.write_str("no configuration for TLS"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ConnectError::Resolve(error) => Some(error),
            ConnectError::Failed { attempts, .. } | ConnectError::Timeout { attempts, .. } => {
                attempts.last().map(|attempt| attempt as _)
            }
            ConnectError::SourceFamily { .. } => None,
            #[cfg(feature = "tls")]
            ConnectError::Tls { source, .. } => Some(source),
            #[cfg(feature = "tls")]
            ConnectError::ServerName(error) => Some(error),
            #[cfg(feature = "tls")]
            ConnectError::Options(error) => Some(error),
        }
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Resolve => "the lookup",
            Stage::Connect => "the connection",
            Stage::Tls => "the TLS handshake",
        })
    }
}

impl fmt::Display for FailedAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source_address {
            Some(source) => write!(f, "cannot bind to {source} for {}", self.address),
            None => write!(f, "cannot connect to {}", self.address),
        }
    }
}

impl Error for FailedAttempt {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

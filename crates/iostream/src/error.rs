//! What a stream's operations fail with.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tls")]
use crate::TlsFailure;

/// A failed operation on an [`IoStream`](crate::IoStream).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream is closed, or was closed before the operation was done. The cause is `None` after a clean end by the
    /// peer and after [`close`](crate::IoStream::close). Tornado's `StreamClosedError`, the cause being its `real_error`.
    #[doc(alias = "StreamClosedError")]
    Closed(Option<CloseCause>),
    /// A write would take the write buffer past `max_write_buffer_size`. Nothing was queued; the stream stays open.
    #[doc(alias = "StreamBufferFullError")]
    WriteBufferFull {
        /// `max_write_buffer_size` in bytes.
        limit: usize,
        /// Bytes that are waiting to be sent.
        pending: usize,
        /// Bytes of the refused write.
        asked: usize,
    },
    /// More bytes were asked for than `max_buffer_size` lets the stream hold. Nothing was read; the stream stays open.
    ReadTooLarge {
        /// `max_buffer_size` in bytes.
        limit: usize,
        /// Bytes asked for.
        asked: usize,
    },
    /// The writing side was ended ([`shutdown_write`](crate::IoStream::shutdown_write)); the stream can still be read.
    WriteEnded,
    /// Another read of this stream is waiting. Tornado's assertion "Already reading".
    AlreadyReading,
    /// TLS, or another layer ([`add_layer`](crate::IoStream::add_layer)), can't begin here: a read waits, bytes are unread or
    /// unsent, or a handshake goes on. Tornado's `ValueError`. The stream stays as it was.
    NotIdle,
}

/// Why a stream was closed, if not by a clean end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CloseCause {
    /// An operation of the transport failed (refused, reset, unreachable, ...).
    Io(Arc<io::Error>),
    /// A read with `max_bytes` could not be satisfied within that many bytes. Tornado's `UnsatisfiableReadError`.
    #[doc(alias = "UnsatisfiableReadError")]
    UnsatisfiableRead {
        /// The limit of the read.
        max_bytes: usize,
    },
    /// The peer sent more than `max_buffer_size` before a read was satisfied. Tornado's `StreamBufferFullError`.
    #[doc(alias = "StreamBufferFullError")]
    ReadBufferFull {
        /// The limit of the stream.
        max_buffer_size: usize,
    },
    /// The stream's event loop was closed.
    LoopClosed,
    /// The connection ended without the goodbye of its protocol: the peer may have had more to say (RFC 8446, section 6.1).
    Truncated,
    /// The handshake took longer than it may.
    HandshakeTimeout {
        /// What was allowed.
        limit: Duration,
    },
    /// For so long the peer took nothing of the bytes that alone kept the stream
    /// ([`linger_timeout`](crate::StreamOptions::linger_timeout)).
    LingerTimeout {
        /// The limit of the stream.
        limit: Duration,
    },
    /// For so long the peer took nothing of what was to be sent ([`send_timeout`](crate::StreamOptions::send_timeout)).
    SendTimeout {
        /// The limit of the stream.
        limit: Duration,
    },
    /// The peer and we have no TLS in common, or don't trust each other.
    #[cfg(feature = "tls")]
    Tls(TlsFailure),
}

impl CloseCause {
    /// The kind of an I/O cause.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io(error) => Some(error.kind()),
            _ => None,
        }
    }

    /// Whether the two sides of TLS could not agree: nothing that is wrong with this program.
    pub(crate) fn is_failed_trust(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(_) => true,
            _ => false,
        }
    }

    /// Says in the log what ended a stream in a read or a write.
    #[cold]
    pub(crate) fn log(&self, operation: &str) {
        if self.is_failed_trust() {
            tracing::info!("closing a stream: {}", Whole(self));
        } else if !self.is_disconnect() {
            tracing::warn!("error on {operation}: {self}");
        }
    }

    /// Whether the peer just went away: no reason for a log line.
    pub(crate) fn is_disconnect(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut};
        matches!(self, Self::Truncated)
            || matches!(self.io_kind(), Some(ConnectionReset | ConnectionAborted | BrokenPipe | TimedOut))
    }
}

impl PartialEq for CloseCause {
    /// I/O causes are compared by their kind.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Io(a), Self::Io(b)) => a.kind() == b.kind(),
            (Self::UnsatisfiableRead { max_bytes: a }, Self::UnsatisfiableRead { max_bytes: b }) => a == b,
            (Self::ReadBufferFull { max_buffer_size: a }, Self::ReadBufferFull { max_buffer_size: b }) => a == b,
            (Self::LoopClosed, Self::LoopClosed) | (Self::Truncated, Self::Truncated) => true,
            (Self::HandshakeTimeout { limit: a }, Self::HandshakeTimeout { limit: b }) => a == b,
            (Self::LingerTimeout { limit: a }, Self::LingerTimeout { limit: b }) => a == b,
            (Self::SendTimeout { limit: a }, Self::SendTimeout { limit: b }) => a == b,
            #[cfg(feature = "tls")]
            (Self::Tls(a), Self::Tls(b)) => a == b,
            _ => false,
        }
    }
}

impl From<io::Error> for CloseCause {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Truncated;
        }
        #[cfg(feature = "tls")]
        let error = match error.downcast() {
            Ok(failure) => return Self::Tls(failure),
            Err(error) => error,
        };
        Self::Io(Arc::new(error))
    }
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::UnsatisfiableRead { max_bytes } => {
                write!(f, "what was to be read did not come within {max_bytes} bytes")
            }
            Self::ReadBufferFull { max_buffer_size } => {
                write!(f, "the peer sent more than the read buffer of {max_buffer_size} bytes takes")
            }
            Self::LoopClosed => f.write_str("the event loop was closed"),
            Self::Truncated => f.write_str("the connection ended without a goodbye"),
            Self::HandshakeTimeout { limit } => {
                write!(f, "the handshake was not done within {limit:?}")
            }
            Self::LingerTimeout { limit } => {
                write!(f, "the peer took none of the last bytes for {limit:?}")
            }
            Self::SendTimeout { limit } => {
                write!(f, "the peer took nothing of what was to be sent for {limit:?}")
            }
            #[cfg(feature = "tls")]
            Self::Tls(failure) => write!(f, "{failure}"),
        }
    }
}

impl std::error::Error for CloseCause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(&**error),
            #[cfg(feature = "tls")]
            Self::Tls(failure) => std::error::Error::source(failure),
            _ => None,
        }
    }
}

/// A cause with its own causes, for log lines: nobody else asks for them there.
pub(crate) struct Whole<'a>(pub(crate) &'a CloseCause);

impl fmt::Display for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        // An error of the system is all that its cause says.
        let mut source = match self.0 {
            CloseCause::Io(_) => None,
            cause => std::error::Error::source(cause),
        };
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("stream is closed"),
            Self::WriteBufferFull { limit, pending, asked } => {
                write!(f, "{asked} bytes don't fit into the write buffer: {pending} of {limit} are taken")
            }
            Self::ReadTooLarge { limit, asked } => {
                write!(f, "a read of {asked} bytes exceeds the read buffer of {limit} bytes")
            }
            Self::WriteEnded => f.write_str("the writing side was ended"),
            Self::AlreadyReading => f.write_str("another read of this stream is waiting"),
            Self::NotIdle => f.write_str("the stream is not idle: TLS can't begin"),
        }
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed(Some(cause)) => Some(cause),
            _ => None,
        }
    }
}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match &error {
            StreamError::Closed(Some(CloseCause::Io(cause))) => cause.kind(),
            StreamError::Closed(Some(CloseCause::Truncated)) => io::ErrorKind::UnexpectedEof,
            StreamError::Closed(_) => io::ErrorKind::NotConnected,
            StreamError::WriteEnded => io::ErrorKind::BrokenPipe,
            StreamError::WriteBufferFull { .. } => io::ErrorKind::WouldBlock,
            StreamError::ReadTooLarge { .. } => io::ErrorKind::InvalidInput,
            StreamError::AlreadyReading | StreamError::NotIdle => io::ErrorKind::ResourceBusy,
        };
        io::Error::new(kind, error)
    }
}

//! Why a listener could not be opened.
//!
//! One rule: an error names what was asked for; what the system answered is reached through `source()` alone.

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::AddressFamily;

/// What [`bind_sockets`](crate::bind_sockets) and [`bind_unix_socket`](crate::bind_unix_socket) report.
///
/// Comparable: two causes count as equal when their [`io::ErrorKind`] and error number are. Turns into an [`io::Error`]
/// of [`kind()`](BindError::kind) by `?`.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The host name could not be resolved.
    Resolve {
        /// The name as it was given.
        address: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing to listen on: the name has no address of the family, or the kernel knows none of the families left.
    NoAddress {
        /// The name as it was given; empty for every address of this host.
        address: String,
        /// The family asked for.
        family: AddressFamily,
    },
    /// One address could not be listened on; sockets already opened for the others are closed again.
    Bind {
        /// The address that failed. When port 0 was asked for, this holds the number that an earlier address picked.
        address: SocketAddr,
        /// What the system said: `AddrInUse`, `PermissionDenied`, `AddrNotAvailable`...
        source: io::Error,
    },
    /// `reuse_port` was asked for on a platform without `SO_REUSEPORT`.
    ReusePortUnsupported,
    /// Another process listens on this Unix socket.
    InUse {
        /// The file, or the abstract name with its leading NUL.
        path: PathBuf,
    },
    /// The file exists and is something other than a socket; it was not touched.
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// A Unix socket could not be opened.
    Unix {
        /// The file, or the abstract name with its leading NUL.
        path: PathBuf,
        /// What the system said; `InvalidInput` for a name that is empty, too long (107 bytes on Linux) or holds a NUL.
        source: io::Error,
    },
}

impl BindError {
    /// The kind of [`io::Error`] that stands for this error, e.g. `AddrInUse`.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            BindError::Resolve { source, .. } | BindError::Bind { source, .. } | BindError::Unix { source, .. } => {
                source.kind()
            }
            BindError::NoAddress { .. } => io::ErrorKind::AddrNotAvailable,
            BindError::ReusePortUnsupported => io::ErrorKind::Unsupported,
            BindError::InUse { .. } => io::ErrorKind::AddrInUse,
            BindError::NotASocket { .. } => io::ErrorKind::AlreadyExists,
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::Resolve { address, .. } => write!(f, "cannot resolve {address:?}"),
            BindError::NoAddress { address, family } => {
                let host = if address.is_empty() { "this host" } else { address };
                write!(f, "{host} has no {family} to listen on")
            }
            BindError::Bind { address, .. } => write!(f, "cannot listen on {address}"),
            BindError::ReusePortUnsupported => f.write_str("this platform has no SO_REUSEPORT"),
            BindError::InUse { path } => write!(f, "another process listens on {}", ShowPath(path)),
            BindError::NotASocket { path } => write!(f, "{} exists and is not a socket", ShowPath(path)),
            BindError::Unix { path, .. } => write!(f, "cannot listen on {}", ShowPath(path)),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            BindError::Resolve { source, .. } | BindError::Bind { source, .. } | BindError::Unix { source, .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}

impl PartialEq for BindError {
    fn eq(&self, other: &BindError) -> bool {
        use BindError::{Bind, InUse, NoAddress, NotASocket, Resolve, ReusePortUnsupported, Unix};
        match (self, other) {
            (Resolve { address: a, source: s }, Resolve { address: b, source: t }) => a == b && same_cause(s, t),
            (NoAddress { address: a, family: f }, NoAddress { address: b, family: g }) => a == b && f == g,
            (Bind { address: a, source: s }, Bind { address: b, source: t }) => a == b && same_cause(s, t),
            (ReusePortUnsupported, ReusePortUnsupported) => true,
            (InUse { path: a }, InUse { path: b }) | (NotASocket { path: a }, NotASocket { path: b }) => a == b,
            (Unix { path: a, source: s }, Unix { path: b, source: t }) => a == b && same_cause(s, t),
            _ => false,
        }
    }
}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

pub(crate) fn same_cause(a: &io::Error, b: &io::Error) -> bool {
    a.kind() == b.kind() && a.raw_os_error() == b.raw_os_error()
}

/// Shows the leading NUL of an abstract name as `@`, as `ss` and `/proc/net/unix` do.
pub(crate) struct ShowPath<'a>(pub(crate) &'a Path);

impl fmt::Display for ShowPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_os_str().as_bytes().split_first() {
            Some((0, name)) => write!(f, "@{}", Path::new(OsStr::from_bytes(name)).display()),
            _ => write!(f, "{}", self.0.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_asked_and_hides_the_cause_behind_source() {
        let error = BindError::Bind {
            address: "127.0.0.1:80".parse().unwrap(),
            source: io::Error::from(io::ErrorKind::PermissionDenied),
        };
        assert_eq!(error.to_string(), "cannot listen on 127.0.0.1:80");
        assert_eq!(error.source().unwrap().to_string(), "permission denied");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::PermissionDenied);

        let error = BindError::NoAddress { address: String::new(), family: AddressFamily::Inet6 };
        assert_eq!(error.to_string(), "this host has no IPv6 address to listen on");
        let error = BindError::InUse { path: PathBuf::from("\0name") };
        assert_eq!(error.to_string(), "another process listens on @name");
    }

    #[test]
    fn compares_by_what_was_asked_and_by_the_kind_of_cause() {
        let refused = |kind| BindError::Resolve { address: "host".into(), source: io::Error::from(kind) };
        assert_eq!(refused(io::ErrorKind::NotFound), refused(io::ErrorKind::NotFound));
        assert_ne!(refused(io::ErrorKind::NotFound), refused(io::ErrorKind::TimedOut));
    }
}

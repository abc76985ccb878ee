//! Why a host has no address.

use std::error::Error;
use std::fmt;
use std::io;

use crate::AddressFamily;
use crate::error::same_cause;

/// Why a [`Resolver`](crate::Resolver) gave no address.
///
/// Comparable: two causes count as equal when their [`io::ErrorKind`] and error number are. Turns into an [`io::Error`]
/// of [`kind()`](ResolveError::kind) by `?`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResolveError {
    /// The lookup failed: an unknown name, no server that answers.
    Lookup {
        /// The host that was asked for.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// The host has addresses, but none of the family.
    NoAddress {
        /// The host that was asked for.
        host: String,
        /// The family that was asked for.
        family: AddressFamily,
    },
    /// Nobody looked: the executor dropped the job, as it may when the program ends.
    Abandoned {
        /// The host that was asked for.
        host: String,
    },
}

impl ResolveError {
    /// The host that was asked for.
    pub fn host(&self) -> &str {
        match self {
            ResolveError::Lookup { host, .. }
            | ResolveError::NoAddress { host, .. }
            | ResolveError::Abandoned { host } => host,
        }
    }

    /// The kind of [`io::Error`] that stands for this error.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            ResolveError::Lookup { source, .. } => source.kind(),
            ResolveError::NoAddress { .. } => io::ErrorKind::AddrNotAvailable,
            ResolveError::Abandoned { .. } => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::Lookup { host, .. } => write!(f, "cannot resolve {host:?}"),
            ResolveError::NoAddress { host, family } => write!(f, "{host:?} has no {family}"),
            ResolveError::Abandoned { host } => write!(f, "the lookup of {host:?} was given up"),
        }
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ResolveError::Lookup { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl PartialEq for ResolveError {
    fn eq(&self, other: &ResolveError) -> bool {
        use ResolveError::{Abandoned, Lookup, NoAddress};
        match (self, other) {
            (Lookup { host: a, source: s }, Lookup { host: b, source: t }) => a == b && same_cause(s, t),
            (NoAddress { host: a, family: f }, NoAddress { host: b, family: g }) => a == b && f == g,
            (Abandoned { host: a }, Abandoned { host: b }) => a == b,
            _ => false,
        }
    }
}

impl From<ResolveError> for io::Error {
    fn from(error: ResolveError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

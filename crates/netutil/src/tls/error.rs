//! Why a TLS configuration could not be made.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use rustls_pki_types::pem;

use super::{PemOrigin, TlsVersion};

/// What is wrong with [`SslOptions`](crate::SslOptions). `option` is the name of the option that is guilty.
///
/// Comparable: two errors count as equal when they and their causes say the same.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A server, or a private key, without a certificate.
    MissingCertfile,
    /// The file doesn't exist.
    NotFound {
        /// `certfile`, `keyfile` or `ca_certs`.
        option: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file exists and can't be read: no permission, a directory, larger than 16 MiB.
    Unreadable {
        /// `certfile`, `keyfile` or `ca_certs`.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It looks like PEM and isn't.
    Malformed {
        /// `certfile`, `keyfile` or `ca_certs`.
        option: &'static str,
        /// The text.
        pem: PemOrigin,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// There is no certificate in it.
    NoCertificate {
        /// `certfile` or `ca_certs`.
        option: &'static str,
        /// The text.
        pem: PemOrigin,
    },
    /// There is no private key in it.
    NoKey {
        /// `keyfile`, or `certfile` when no keyfile was given.
        option: &'static str,
        /// The text.
        pem: PemOrigin,
    },
    /// The private key is protected with a password; decrypt it (`openssl pkey`) and protect the file instead.
    EncryptedKey {
        /// The text.
        pem: PemOrigin,
    },
    /// A certificate that can't be used.
    BadCertificate {
        /// `certfile` or `ca_certs`.
        option: &'static str,
        /// The text it stands in.
        pem: PemOrigin,
        /// What rustls said.
        source: rustls::Error,
    },
    /// A private key that can't be used: broken, or of a kind that the provider doesn't know.
    BadKey {
        /// The text it stands in.
        pem: PemOrigin,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The private key doesn't belong to the certificate.
    KeyMismatch {
        /// Where the certificate stands.
        certificate: PemOrigin,
        /// Where the key stands.
        key: PemOrigin,
    },
    /// A server is to ask for client certificates, and no `ca_certs` say whom to believe.
    MissingCaCerts,
    /// The system has no root certificates that could be read; a client needs `ca_certs` then.
    NoSystemRoots {
        /// The first reason, if there was one.
        source: Option<rustls_native_certs::Error>,
    },
    /// Not a host name, nor `*.` before one.
    BadServerName {
        /// As it was given.
        name: String,
    },
    /// A further certificate can never be chosen: it has no host names, and none were given.
    NoServerName {
        /// The certificate.
        pem: PemOrigin,
    },
    /// Not a cipher suite of this provider.
    UnknownCipher {
        /// As it was given.
        name: String,
    },
    /// The minimum version is above the maximum.
    NoVersion {
        /// The lowest version allowed.
        minimum: TlsVersion,
        /// The highest version allowed.
        maximum: TlsVersion,
    },
    /// A protocol of ALPN is empty or longer than 255 bytes (RFC 7301, section 3.1).
    BadAlpn {
        /// As it was given.
        protocol: Vec<u8>,
    },
    /// Neither `tls-aws-lc` nor `tls-ring` is on, none was given, and the process has no default.
    NoProvider,
    /// The provider of cryptography is not up to it.
    Provider {
        /// What rustls said.
        source: rustls::Error,
    },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::MissingCertfile => f.write_str("missing key \"certfile\" in ssl_options"),
            TlsError::NotFound { option, path } => write!(f, "{option} \"{}\" does not exist", path.display()),
            TlsError::Unreadable { option, path, .. } => write!(f, "cannot read {option} \"{}\"", path.display()),
            TlsError::Malformed { option, pem, .. } => write!(f, "{option} {pem} is malformed"),
            TlsError::NoCertificate { option, pem } => write!(f, "no certificate in {option} {pem}"),
            TlsError::NoKey { option, pem } => write!(f, "no private key in {option} {pem}"),
            TlsError::EncryptedKey { pem } => write!(f, "the private key {pem} is protected with a password"),
            TlsError::BadCertificate { option, pem, .. } => write!(f, "unusable certificate in {option} {pem}"),
            TlsError::BadKey { pem, .. } => write!(f, "unusable private key {pem}"),
            TlsError::KeyMismatch { certificate, key } => {
                write!(f, "the private key {key} does not belong to the certificate {certificate}")
            }
            TlsError::MissingCaCerts => f.write_str("cert_reqs without ca_certs: nobody could be believed"),
            TlsError::NoSystemRoots { .. } => f.write_str("no root certificates in this system"),
            TlsError::BadServerName { name } => write!(f, "{name:?} is no host name"),
            TlsError::NoServerName { pem } => write!(f, "no host name in the certificate {pem}, and none given"),
            TlsError::UnknownCipher { name } => write!(f, "unknown cipher suite {name:?}"),
            TlsError::NoVersion { minimum, maximum } => {
                write!(f, "the minimum version {minimum} is above the maximum {maximum}")
            }
            TlsError::BadAlpn { protocol } => {
                write!(f, "\"{}\" has not 1 to 255 bytes, as ALPN requires", protocol.escape_ascii())
            }
            TlsError::NoProvider => {
                f.write_str("no provider of cryptography: turn on the feature tls-aws-lc or tls-ring, or give one")
            }
            TlsError::Provider { .. } => f.write_str("the provider of cryptography is not up to these options"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TlsError::Unreadable { source, .. } => Some(source),
            TlsError::Malformed { source, .. } => Some(source),
            TlsError::BadCertificate { source, .. }
            | TlsError::BadKey { source, .. }
            | TlsError::Provider { source } => Some(source),
            TlsError::NoSystemRoots { source } => source.as_ref().map(|source| source as _),
            _ => None,
        }
    }
}

impl PartialEq for TlsError {
    fn eq(&self, other: &TlsError) -> bool {
        // Every text names all fields but the cause.
        let texts = |error: &TlsError| (error.to_string(), error.source().map(ToString::to_string));
        texts(self) == texts(other)
    }
}

/// Ready-made configurations have no errors; with this they go through the same door as options.
impl From<Infallible> for TlsError {
    fn from(never: Infallible) -> TlsError {
        match never {}
    }
}

//! TLS options: from what Tornado calls `ssl_options` to rustls' configurations.
//!
//! Rules:
//! - Nothing here knows a connection: what comes out is configuration, which the transport of a stream puts to use.
//! - Everything that can be wrong with files is found when the configuration is built, and the error names the file.
//! - The provider of cryptography is always told (`builder_with_provider`), so that no choice of another crate in the same
//!   program can make this one panic.

mod build;
mod error;
mod options;
mod pem;
mod provider;
mod reload;
mod sni;
mod verify;

pub use error::TlsError;
pub use options::{CertReqs, SniCertificate, SslOptions, TlsVersion};
pub use pem::{Pem, PemOrigin};
pub use reload::ReloadableServerConfig;
/// rustls' own, so that who only passes them on needs no dependency of the right version.
pub use rustls::{ClientConfig, ServerConfig};

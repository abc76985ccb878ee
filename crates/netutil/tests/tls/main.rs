//! What the configurations made of `SslOptions` do: handshakes in memory, with certificates made on the fly.
#![cfg(feature = "tls")]

mod certificates;
mod client;
mod files;
mod handshake;
mod reload;
mod server;
mod sni;
mod versions;

use landspout_netutil::SslOptions;

/// Options as a user has them: with the provider of the feature that is on. With none of them on, the test brings its own.
fn options() -> SslOptions {
    let options = SslOptions::new();
    if cfg!(any(feature = "tls-ring", feature = "tls-aws-lc")) {
        options
    } else {
        options.provider(rustls::crypto::ring::default_provider())
    }
}

//! Tornado's network layers in Rust: one name for all the landspout crates. What makes them fast is told in
//! [`guide::speed`].
#![forbid(unsafe_code)]

pub use landspout_http1 as http1;
pub use landspout_http1connection as http1connection;
pub use landspout_httpserver as httpserver;
pub use landspout_httputil as httputil;
pub use landspout_ioloop as ioloop;
pub use landspout_iostream as iostream;
pub use landspout_netutil as netutil;
pub use landspout_process as process;
pub use landspout_tcpclient as tcpclient;
pub use landspout_tcpserver as tcpserver;

/// Pages that are about all of the crates together.
pub mod guide {
    #[doc = include_str!("guide/speed.md")]
    pub mod speed {}
}

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

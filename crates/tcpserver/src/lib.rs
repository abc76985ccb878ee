//! A TCP server: Tornado's `tcpserver`.
//!
//! [`TcpServer`] listens, accepts and hands each connection to a handler as an [`IoStream`](landspout_iostream::IoStream). All
//! of Tornado's ways to start are there, and one more: [`start_threads`].
//!
//! ```
//! use landspout_ioloop::IoLoop;
//! use landspout_iostream::IoStream;
//! use landspout_tcpserver::TcpServer;
//!
//! let server = TcpServer::new(async |stream: IoStream, _address| {
//!     let line = stream.read_until(b"\n", Some(1000)).await?;
//!     stream.write(&line)?.await
//! });
//! server.listen(0, "127.0.0.1")?;
//! let address = server.addresses()[0];
//! let echo = IoLoop::current().run_sync(async move {
//!     let client = IoStream::connect(address).await?;
//!     client.write(b"hello\n")?;
//!     client.read_until(b"\n", None).await
//! })?;
//! assert_eq!(echo?, &b"hello\n"[..]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Processes or threads?
//! Forked workers are kept alive by their parent and share nothing; threads share memory and a fate. A worker takes at most 8
//! connections per turn from a listener that it shares with its siblings, so that whoever wakes first doesn't take all.
//!
//! # Limits, and the end
//! [`TcpServerOptions::max_connections`] lets further clients wait in the backlog,
//! [`max_connections_per_peer`](TcpServerOptions::max_connections_per_peer) refuses those who have enough, and
//! [`send_timeout`](TcpServerOptions::send_timeout) those who take nothing of what is sent. [`TcpServer::connections`] tells how many
//! there are. [`TcpServer::drain`] stops accepting, waits for the connections to end, and cuts those that don't in time.
//!
//! # Behind a proxy
//! [`TcpServerOptions::proxy_protocol`] takes the addresses of clients from trusted proxies that speak the PROXY protocol.
//!
//! # Differences from Tornado
//! - A handler that fails has its stream closed (Tornado leaves it open).
//! - `handle_stream` is a trait's method, or an async closure, instead of a method to override.
//! - Listening again after `stop` works, and the next `stop` ends it.
//! - Streams keep at most 100 MiB unsent; Tornado's limit is infinite.
//! - `ssl_options` are read when the server is made, and what is wrong with them is said then: also a file without a certificate, or
//!   a key of another one, which Tornado finds out with the first client. `TcpServer::reload_certificates` reads them again
//!   (Tornado issue 2895).
//! - A handshake has a deadline of 60 seconds; in Tornado a silent client may stay as long as it likes (issue 2373).
//! - A server knows its connections: it counts them, can have a limit for all (Tornado issue 2860) and one for each peer, and `drain` ends it without cutting
//!   those that are served in time (issue 1791).
//! - The PROXY protocol is understood, versions 1 and 2 (Tornado issue 2492).
#![forbid(unsafe_code)]

mod connections;
mod error;
mod handler;
mod options;
mod peers;
mod proxy_protocol;
mod server;
mod threads;

pub use connections::ConnectionCounts;
pub use error::ServerError;
pub use handler::{BoxError, HandleStream, HandlerResult};
pub use options::TcpServerOptions;
pub use proxy_protocol::ProxyProtocol;
pub use server::TcpServer;
pub use threads::{ServerThreads, start_threads, start_threads_with};

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

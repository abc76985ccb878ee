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
//! # Differences from Tornado
//! - A handler that fails has its stream closed (Tornado leaves it open).
//! - `handle_stream` is a trait's method, or an async closure, instead of a method to override.
//! - Listening again after `stop` works, and the next `stop` ends it.
//! - Streams keep at most 100 MiB unsent; Tornado's limit is infinite.
//! - `ssl_options` comes with TLS, which is not there yet.
#![forbid(unsafe_code)]

mod error;
mod handler;
mod server;
mod threads;

pub use error::ServerError;
pub use handler::{BoxError, HandleStream, HandlerResult};
pub use server::TcpServer;
pub use threads::{ServerThreads, start_threads};

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

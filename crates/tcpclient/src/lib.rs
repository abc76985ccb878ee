//! Outgoing TCP connections by host name: Tornado's `tcpclient`.
//!
//! [`TcpClient`] looks up a host, tries its addresses as Happy Eyeballs has it (RFC 8305), and gives an
//! [`IoStream`](landspout_iostream::IoStream). A host whose IPv6 is broken costs 300 ms and not minutes. With the feature
//! `tls`, the stream can be secured.
//!
//! ```no_run
//! use landspout_ioloop::IoLoop;
//! use landspout_tcpclient::{ConnectOptions, TcpClient};
//! use std::time::Duration;
//!
//! IoLoop::current().run_sync(async {
//!     let options = ConnectOptions::new().timeout(Duration::from_secs(10));
//!     let stream = TcpClient::new().connect_with("example.com", 80, &options).await?;
//!     stream.write(b"GET / HTTP/1.0\r\n\r\n")?;
//!     println!("{:?}", stream.read_until_close().await?);
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is tried, what failed and what won is told to [`ConnectOptions::on_event`], and logged by `tracing` at level "debug".
//!
//! # Differences from Tornado
//! - **Dropping the future gives everything up** and closes what was opened; Tornado's connector goes on until it has an end.
//! - **One error for all attempts.** Tornado raises the last one. [`ConnectError::Failed`] has each address with its cause.
//! - **A source address narrows the family.** Tornado tries the other family, too, and lets the whole call fail when it can't be
//!   bound; here addresses that can't be reached from [`ConnectOptions::source_ip`] are not tried.
//! - **A source that can't be bound** is the failure of that attempt and is found in the error's list.
//! - **Time-outs for each stage.** Tornado's one `timeout` is an end for all stages together; it is here, too, and
//!   [`ConnectError::Timeout`] says which stage was going on. A failed handshake closes the socket (Tornado issue 2785).
//! - **A client needs no `close`.** What the resolver holds goes with it.
//!
//! # Differences from RFC 8305
//! Both families are looked up before the first attempt (the lookup is the system's), and one attempt per family is under way
//! at a time, as in Tornado (section 5 has one more each 250 ms, whatever its family). Addresses are tried as the system sorts
//! them (RFC 6724).
#![forbid(unsafe_code)]

mod client;
mod connector;
mod error;
mod event;
mod options;

pub use client::TcpClient;
pub use error::{ConnectError, FailedAttempt, Stage};
pub use event::ConnectEvent;
pub use options::ConnectOptions;

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

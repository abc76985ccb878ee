//! Buffered, non-blocking streams: Tornado's `iostream`.
//!
//! [`IoStream`] reads by count, delimiter or end, writes without waiting, and tells when it is closed. It is one concrete type
//! over any [`Transport`]: TCP, Unix-domain sockets, pipes, TLS over any of these, or one of your own.
//!
//! ```
//! use landspout_ioloop::IoLoop;
//! use landspout_iostream::{IoStream, StreamOptions};
//! use std::net::TcpListener;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! IoLoop::current().run_sync(async move {
//!     let client = IoStream::connect(address).await?;
//!     let server = IoStream::from_tcp(listener.accept().unwrap().0, StreamOptions::new()).unwrap();
//!     client.write(b"hello\n")?;
//!     assert_eq!(server.read_until(b"\n", Some(100)).await?, &b"hello\n"[..]);
//!     Ok::<_, landspout_iostream::StreamError>(())
//! })??;
//! # Ok(())
//! # }
//! ```
//!
//! # Reading
//! A read looks at the buffer first, then reads the transport without waiting, and registers nothing: a stream has one
//! registration for its whole life. One read at a time. Dropping a read's future consumes nothing.
//!
//! # Writing
//! [`write`](IoStream::write) appends to the stream's buffer, and the loop flushes every written stream once a turn, before it
//! polls: many small writes leave in one system call. Large writes go to the kernel at once, from where they are.
//! [`write_bytes`](IoStream::write_bytes) keeps shared `Bytes` instead of copying what the kernel doesn't take, and gathers several
//! in one system call. [`ready`](IoStream::ready) waits while much is unsent: await it before each piece to send no faster than the
//! peer reads.
//!
//! # TLS
//! With the feature `tls`, `start_tls` secures a stream, at any moment and as either side: `IoStream::connect_tls` does it
//! at once, a server calls `begin_tls` on what it accepts. It stays the same stream; reads, writes and limits are those of the
//! plaintext. The loop does the handshake within a deadline, whether anybody reads or writes, and what is written waits
//! for it. A close says goodbye to the peer (close_notify); an end without the peer's goodbye is told apart as
//! [`CloseCause::Truncated`]. Configurations are rustls'; `landspout-netutil` makes them from PEM files.
//!
//! # Memory
//! A stream without unread or unsent bytes holds no buffer: its memory comes from the loop's free list and goes back there.
//!
//! # Features
//! None is on by default.
//! - `futures-io`: `AsyncRead` and `AsyncWrite` of the crate of that name for [`IoStream`]. Brings that crate alone.
//! - `tokio`: the same for the traits of tokio, none of whose features are turned on: brings its traits, no runtime.
//! - `recvmsg`: whenever something has come in over a Unix socket, one read less. The kernel ends a read where a peer passed
//!   descriptors, and only recvmsg(2) tells; without the feature, each read is followed by another that finds nothing. Brings four
//!   packages (`nix` and what it is made of). For TCP it changes nothing.
//! - `regex`: [`read_until_regex`](IoStream::read_until_regex) and [`Regex`]. Brings two packages (`regex-automata` without
//!   its searching engines, and `regex-syntax`).
//!
//! # Differences from Tornado
//! - Cancelling a read loses no data (Tornado consumes and discards it).
//! - When the peer's end is read while bytes are still to be sent, these are sent before the stream closes.
//! - When a write fails, what the peer had sent before is read all the same, up to 64 KiB of what the kernel has of it: a server may
//!   refuse an upload and reset the connection.
//! - Bytes that were accepted survive the last handle; `close()` sends what the kernel takes. A peer that takes none of them for
//!   [`linger_timeout`](StreamOptions::linger_timeout) loses them.
//! - A peer that takes nothing of what is sent to an open stream can be given up: [`send_timeout`](StreamOptions::send_timeout).
//! - The writing side can be ended alone ([`shutdown_write`](IoStream::shutdown_write)); writes are refused then, and what the
//!   peer sends is still read.
//! - A read past `max_buffer_size` is refused as such, with the stream left open.
//! - A close callback that is set on a closed stream runs, and so does that of a stream whose last handle goes.
//! - What `read_until_regex` gives doesn't depend on how the bytes came in packets. Tornado returns whatever matches in what
//!   has arrived, so that `[0-9]+` may cut a number in two; here a match that may grow waits for the byte that ends it.
//! - A read of `max_buffer_size` bytes comes out well however the peer cuts them: no more is taken from the kernel than fits.
//! - `write_bytes` and `ready` are new: Tornado copies what it can't send, and who streams awaits the future of each write.
//! - `max_write_buffer_size` counts what the kernel doesn't take, not what waits for the end of the turn.
//! - `read_until_close` gives what came however the stream ended; [`IoStream::error`] tells whether that was a reset. (In
//!   Tornado it depends on the moment at which the error is met.)
//! - A stream whose loop is closed closes with it; its close callback is dropped, as there is no loop to run it.
//! - `start_tls` secures the stream in place; in Tornado it gives a new one, and a timeout of the caller's leaks the old one's
//!   descriptor (Tornado issue 2785). It says what it was refused for ([`StreamError::NotIdle`]).
//! - A handshake has a deadline, and nothing that waits for it costs anything (in Tornado a write that waits for a stalled
//!   handshake takes all of the processor: issue 2373).
//! - A failed handshake is one line at level "info" (Tornado warns: issue 3347), and none if the peer just left.
//! - Any number of tasks may wait for a handshake; Tornado refuses the second one.
//! - A stream can be told that what was written is only a part: should it end then, its peer sees no end in order
//!   ([`abort_on_close`](IoStream::abort_on_close)).
//! - TLS says goodbye (close_notify) when it closes, and an end without one is told apart (RFC 8446, section 6.1).
//! - A second read while one waits gives [`StreamError::AlreadyReading`].
//! - Host names are not resolved here: `connect` takes addresses, so that it never blocks.
#![forbid(unsafe_code)]

#[cfg(any(feature = "futures-io", feature = "tokio"))]
mod async_io;
mod buffer;
mod error;
mod inner;
mod options;
mod read;
#[cfg(feature = "regex")]
mod read_regex;
mod stream;
mod transport;
mod transports;
mod write;

pub use error::{CloseCause, StreamError};
pub use options::StreamOptions;
pub use read::ReadTarget;
#[cfg(feature = "regex")]
pub use read_regex::{Regex, RegexError};
pub use stream::{IoStream, WeakIoStream};
pub use transport::{Raiser, Transport};
#[cfg(feature = "tls")]
pub use transports::tls::{InvalidServerName, Tls, TlsFailure, TlsInfo};
pub use write::Written;

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! HTTP/1 connections over streams: Tornado's `http1connection`, the pump between the codec and the stream.
//!
//! [`Http1Service`] holds a delegate and the settings; [`Http1ServerConnection`] serves one stream with it: it reads requests,
//! hands them to the delegate as they arrive, sends the answers in order, and keeps the connection open for the next one.
//! Most programs use `landspout-httpserver` on top of it.
//!
//! [`Http1ClientConnection`] is the other side: it writes a request to a stream and hands the response to a delegate as it
//! arrives, one exchange after the other.
//!
//! # Idle connections
//! A connection that waits for its next request consists of its socket, its registration, a small task and a deadline.
//! Buffers go back to the loop, and what a request needs (the delegate, its futures, the codec's state) lives in a *worker*, a
//! box that is taken when the first byte of a request was read and given back when nothing more is there.
//!
//! # When a request is over
//! When the delegate's `finish` has returned and `HttpConnection::finish` was called, in either order. Only then is the next head
//! parsed, so answers leave in the order of the requests, and those to a pipelined batch leave in one write.
//!
//! # When the peer leaves
//! While the application works the connection is watched. A peer that ends its sending side still gets its answer; the
//! close callback runs once. A reset, a hang-up or a failed write drops the pending call and calls
//! `on_connection_close`. Pipelined bytes hide neither. A delegate that has panicked, or is cancelled with the loop, is
//! dropped without another call.
//!
//! # When the server closes
//! The last answer is sent first. A peer that asked for the end itself and sends nothing more has all the time that the stream gives
//! it ([`linger_timeout`](landspout_iostream::StreamOptions::linger_timeout)). Any other is cut off when it takes nothing of it for
//! 30 seconds.
//!
//! Then only the writing side ends, and what comes is read and thrown away until the peer closes, for 30 seconds at most, 5 of
//! silence. To close at once would reset the connection if another byte came, be it an empty line, and the peer could lose the
//! answer (RFC 9112, section 9.6). One that asked for the end, and got no more than 8 KiB on the whole connection, with a length, is
//! closed at once all the same: that is out of the kernel's hands.
//!
//! # When a response is cut
//! A handler that fails behind its response's head, or lets it go, cuts it: nothing more of it is taken
//! ([`Closed`](landspout_httputil::HttpOutputError::Closed)), what was written is sent, the answers to earlier requests among it, and the
//! connection ends as behind any last answer.
//!
//! The framing tells that something is missing: of a `Content-Length`, or the last chunk. A body to a client of HTTP/1.0 may have neither, and is
//! whole when the connection ends in order (RFC 9112, section 6.3, rule 8). So that stream is told
//! ([`abort_on_close`](landspout_iostream::IoStream::abort_on_close)) from the body's head until its last byte is sent: whatever ends the
//! connection before, be it the application's failure, a limit of time, [`Http1ServerConnection::close`] or the end of the
//! process, resets it, and TLS says no goodbye. A reset throws away what the kernel has not sent: when the application has failed, it is
//! given a second for that. Over a Unix socket there is no such end, and the body looks whole.
//!
//! # On the client's side
//! The delegate is a server's with another start line: `HttpMessageDelegate<ResponseStartLine>`. Reading a response doesn't wait for the
//! end of the request, so an early answer is noticed; when it is complete the connection is closed, and an upload that still goes
//! on fails with it. [`AfterResponse`] tells whether another request can follow, or hands the stream over where HTTP has ended.
//!
//! # Time
//! A connection has one timer, for what it waits for now: its first byte, the next request, the rest of a head, more of a body, the
//! peer's goodbye. Setting a deadline stores a number; the timer that fires early arms itself again. A peer that takes nothing of
//! an answer is the stream's matter ([`send_timeout`](landspout_iostream::StreamOptions::send_timeout)): only a stream whose bytes
//! were refused has a timer for that.
//!
//! # When the application takes the stream
//! [`Detach`] is for what begins as a request and goes on as something else. HTTP ends there and then; the bytes that came
//! behind the request are in the stream.
//!
//! # Differences from Tornado
//! - `start_request` is called when a request's head is there, not before its first byte: a delegate never waits for a
//!   request that doesn't come.
//! - Every refusal has its status (400, 408, 413, 414, 417, 431, 501, 505), a short body and `Connection: close`, and the
//!   connection lingers so that the peer can read it (RFC 9112, section 9.6). Tornado answers 400 or nothing.
//! - What such an answer looks like can be chosen: [`Http1Service::error_response`].
//! - An error or panic of the application is answered with 500 while that is possible, and so is a request whose last handle
//!   was dropped without a complete response.
//! - A cut body that ends with the connection ends with a reset; Tornado ends it in order, and the client takes it for whole.
//! - There are limits for the first byte, for a head alone, for the pace of a body, and for the number of requests, and who
//!   exceeds one within a request gets 408 (Tornado closes without a word).
//! - A connection can be told to end behind what is under way: [`Http1ServerConnection::drain`] (Tornado issue 1791).
//! - A client that leaves is noticed although it has pipelined more.
//! - When the application answers before it has read the body, up to 256 KiB of the rest are skipped and the connection stays.
//! - `detach` may come later than `headers_received`, if no part of a body is missing; in the middle of a response it is
//!   refused, where Tornado would mix it with what follows. `on_close` comes at once, even if the delegate goes on.
//! - A client's `read_response` tells why it failed ([`ResponseError`]); Tornado logs it and gives `False`. It can begin before the
//!   request is complete. An answer before that ends the exchange; Tornado goes on sending.
//! - A client's `header_timeout` counts from the end of the request, and anew from each interim response.
//! - A client whose server sent something unasked sends no further request on that connection (RFC 9112, section 9.2).
//! - 101 and 2xx to CONNECT end HTTP on a client's side, and the stream is handed over (RFC 9110, section 15.2.2; RFC 9112,
//!   section 6.3); Tornado takes 101 for an interim response.
//! - A delegate whose response is finished before the message was received gets no further call.
#![forbid(unsafe_code)]

mod client;
mod connection;
mod detach;
mod error;
#[cfg(feature = "gzip")]
mod gzip;
mod pace;
mod params;
mod pump;
mod refusal;
mod rendered;
mod serve;
mod server;
mod watch;
mod worker;

pub use client::{AfterResponse, Http1ClientConnection};
pub use connection::Http1Connection;
pub use detach::{Detach, DetachError};
pub use error::ResponseError;
#[cfg(feature = "gzip")]
pub use gzip::{CompressingDelegate, GzipContentEncoding, GzipMessageDelegate, GzipRequests};
pub use landspout_http1::{DecodeError, Limits};
pub use params::Http1ConnectionParameters;
pub use refusal::{ErrorResponse, Refusal};
pub use server::{Http1ServerConnection, Http1Service};

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

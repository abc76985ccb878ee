//! An HTTP/1.1 server made of Tornado's delegate chain: Tornado's `httpserver`.
//!
//! The shortest server takes an async closure:
//!
//! ```
//! use landspout_httpserver::{HttpHeaders, HttpServer, HttpServerRequest, StatusCode};
//! use landspout_ioloop::IoLoop;
//! use landspout_iostream::IoStream;
//!
//! let server = HttpServer::new(async |request: HttpServerRequest| {
//!     const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
//!     request.write_response(StatusCode::OK, &PLAIN, format!("You asked for {}", request.path()))
//! });
//! server.listen(0, "127.0.0.1")?;
//! let address = server.addresses()[0];
//! let answer = IoLoop::current().run_sync(async move {
//!     let client = IoStream::connect(address).await?;
//!     client.write(b"GET /it HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
//!     client.read_until_close().await
//! })??;
//! assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
//! assert!(answer.ends_with(b"\r\n\r\nYou asked for /it"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One that takes requests piece by piece is an [`HttpServerConnectionDelegate`], which makes an [`HttpMessageDelegate`] for each
//! request: see the example `delegate_chain` of the workbench.
//!
//! # Differences from Tornado
//! - The closure and the delegate have a constructor each, since Rust tells them apart by type.
//! - `on_close` reaches the user's delegate (Tornado keeps it for itself).
//! - Clients that take their time meet limits that Tornado doesn't have ([`first_byte_timeout`](HttpServerOptions::first_byte_timeout),
//!   [`head_timeout`](HttpServerOptions::head_timeout), [`min_body_rate`](HttpServerOptions::min_body_rate),
//!   [`send_timeout`](HttpServerOptions::send_timeout)), by default too; who is in the middle of a request is answered with 408.
//!   For all limits of time `None` and zero mean that there is none (in Tornado an `idle_connection_timeout` of 0 is the hour).
//! - [`drain`](HttpServer::drain) ends a server without cutting what is under way (Tornado issues 1791 and 3009).
//! - [`Detach`] is there for requests as well, so that a callback can take the stream.
//! - [`xheaders`](HttpServerOptions::xheaders) believes trusted peers only: with `true`, loopback addresses and Unix-domain sockets. In
//!   Tornado every peer can choose its address (pull request 2579). A proxy elsewhere has to be named: [`XHeaders::trusting`].
//! - One family of header fields counts, with `true` `X-Forwarded-For` and `X-Forwarded-Proto`. Tornado reads `X-Real-Ip` and `X-Scheme`
//!   as well and prefers them, so that a client can set what the proxy doesn't (issue 763). For these there is
//!   [`XHeaders::x_real_ip`], for RFC 7239 [`XHeaders::forwarded`], which Tornado doesn't know.
//! - Entries of `X-Forwarded-For` are compared as addresses, not as texts; [`trusted_downstream`](HttpServerOptions::trusted_downstream)
//!   takes networks, too, and believes what is in them when it connects itself.
//! - `X-Real-IP` and `X-Scheme` have one value; of several, Tornado takes the last scheme.
//! - [`proxy_protocol`](HttpServerOptions::proxy_protocol): Tornado issue 2492.
//! - Nothing leaves that wasn't framed here: bytes before a head, or more of a body than its `Content-Length` says, are an
//!   error, and none of them is sent (RFC 9112, section 6.3). Tornado lets an application write a whole response as it likes.
//! - Forms are parsed when the callback asks for them ([`HttpServerRequest::parse_body`]), not before it is called: who passes a body
//!   on pays for no parsing, who reads one chooses its limits, and what isn't asked for isn't in the program.
//! - A handler that fails is answered with 500, one that hands on the error of a malformed form with 400; what these answers, and
//!   those to malformed requests, look like can be chosen ([`error_response`](HttpServerOptions::error_response)).
//! - gzip (feature `gzip`): a body that isn't whole, or no gzip, is answered with 400 and one that is too large with 413; Tornado takes
//!   the first, closes without a word at the second, and answers 400 to the third. `x-gzip` is the same (RFC 9110, section
//!   8.4.1.3), all members of a body are read (RFC 1952, section 2.2), and a limit that was raised for a request is one for
//!   what is decompressed, too.
//! - Responses are compressed by the server; `Accept-Encoding` is read with its weights (RFC 9110, section 12.5.3), `ETag` is
//!   weakened (section 8.8.1), and parts of a representation and `no-transform` are left alone.
//!
//! What concerns single connections is in `landspout-http1connection`, what concerns the bytes in `landspout-http1`.
#![forbid(unsafe_code)]

mod adapter;
mod live;
mod server;
mod xheaders;

pub use adapter::CallbackResult;
#[cfg(feature = "gzip")]
pub use landspout_http1connection::{CompressingDelegate, GzipContentEncoding, GzipMessageDelegate, GzipRequests};
pub use landspout_http1connection::{
    DecodeError, Detach, DetachError, ErrorResponse, Http1ConnectionParameters, Limits, Refusal,
};
pub use landspout_httputil::{
    BoxError, Bytes, HttpConnection, HttpHeaders, HttpInputError, HttpMessageDelegate, HttpOutputError,
    HttpServerConnectionDelegate, HttpServerRequest, Method, Protocol, RequestContext, RequestStartLine,
    ResponseStartLine, ServerConnectionId, StatusCode, Version,
};
pub use landspout_netutil::{IpNetwork, TrustedPeers};
pub use landspout_tcpserver::{ConnectionCounts, ProxyProtocol, ServerError};
pub use live::Drained;
pub use server::{HttpServer, HttpServerOptions};
pub use xheaders::XHeaders;

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

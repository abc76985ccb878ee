//! A strict sans-IO HTTP/1 codec: bytes in, events out; events in, bytes out.
//!
//! It knows no socket, no clock and no runtime. On a server's side a [`RequestDecoder`] is handed what arrived and says what it
//! means, and a [`ResponseEncoder`] is told what to answer and appends the bytes; on a client's, a [`RequestEncoder`] and a
//! [`ResponseDecoder`] do the opposite, by the same rules. In Tornado this is the part of `http1connection` that looks at
//! bytes.
//!
//! ```
//! use landspout_http1::{Event, Limits, RequestDecoder, ResponseEncoder};
//! use landspout_httputil::{HttpHeaders, ResponseStartLine, StatusCode};
//!
//! /// Answers all requests that are complete in `input`; returns how much of it is done with.
//! fn serve(decoder: &mut RequestDecoder, input: &[u8], output: &mut Vec<u8>) -> Result<usize, Box<dyn std::error::Error>> {
//!     const HEADERS: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
//!     let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
//!     let (mut done, mut response) = (0, None);
//!     loop {
//!         let decoded = decoder.decode(&input[done..])?;
//!         done += decoded.consumed;
//!         match decoded.event {
//!             None => return Ok(done),
//!             Some(Event::Head(head)) => response = Some(ResponseEncoder::for_request(&head)),
//!             Some(Event::End) => {
//!                 let start_line = ResponseStartLine::new(StatusCode::OK);
//!                 if let Some(mut encoder) = response.take() {
//!                     encoder.response(&start_line, &HEADERS, b"Hello", date, output)?;
//!                 }
//!                 decoder.start_next();
//!             }
//!             Some(_) => {} // the body's data and trailers
//!         }
//!     }
//! }
//!
//! let mut output = Vec::new();
//! let mut decoder = RequestDecoder::new(Limits::default());
//! let input = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /3";
//! let done = serve(&mut decoder, input, &mut output)?;
//! assert_eq!(&input[done..], b"GET /3");
//! assert_eq!(output.windows(15).filter(|w| w == b"HTTP/1.1 200 OK").count(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The states of a connection
//!
//! Reading. One decoder serves all messages of a connection. Responses are read as requests are, except where it says so.
//!
//! | state | input | says | next state |
//! |---|---|---|---|
//! | head | one empty line before a request | – | head |
//! | head | a message without body | [`Head`](Event::Head) | end |
//! | head | a message with `Content-Length` | `Head` | fixed |
//! | head | a message with `Transfer-Encoding: chunked` | `Head` | chunked |
//! | head | a response with neither | `Head` | until close |
//! | head | an interim response | `Head` | head |
//! | fixed | some of the body | [`Data`](Event::Data) | fixed, or end after the last byte |
//! | chunked | some of a chunk | `Data` | chunked |
//! | chunked | the last chunk and trailer fields | [`Trailers`](Event::Trailers) | end |
//! | chunked | the last chunk and the empty line | [`End`](Event::End) | done |
//! | until close | some of the body | `Data` | until close |
//! | until close | [the end](ResponseDecoder::eof) | `End` | done |
//! | end | – | `End` | done |
//! | done | is left alone | – | [`start_next`](RequestDecoder::start_next), [`expect`](ResponseDecoder::expect): head, or closed after the last message |
//! | closed | is ignored | – | closed |
//! | any | something wrong, or too much | [`DecodeError`] | failed |
//! | failed | is left alone | the same error | failed |
//!
//! Writing. One encoder serves one request, or the responses to one.
//!
//! | state | call | next state |
//! |---|---|---|
//! | idle | [`head`](ResponseEncoder::head) with 1xx | idle |
//! | idle | `head` | the body, as it is framed: by length, by chunks, until the connection closes, or none |
//! | idle | [`response`](ResponseEncoder::response), [`request`](RequestEncoder::request) | done |
//! | body | [`data`](ResponseEncoder::data) | body |
//! | body | [`finish`](ResponseEncoder::finish) | done |
//!
//! Every other call is an [`HttpOutputError`] that changes nothing.
//!
//! # What it promises
//! - **Cuts don't matter.** Any input cut anywhere gives the same events, but for the pieces of a body's data. A head or
//!   trailer section is refused as soon as the byte or the line that is wrong is there, in whatever pieces it comes.
//! - **Linear work.** A head that comes byte by byte costs a look at each byte, and one more at the whole.
//! - **Bounded work.** Every length has a limit, see [`Limits`]; the codec buffers nothing.
//! - **No panic** on anything that a peer sends, and no `unsafe` code.
//! - **No allocation** once warm, unless the application keeps a request's headers, names a method that is long and rare, or
//!   trailers arrive.
//! - **One framing.** A message has exactly one of `Content-Length`, chunks, the end of the connection (responses), or no body;
//!   what the application may not send is refused before a byte of it is appended.
//!
//! # What it refuses
//!
//! | status | for |
//! |---|---|
//! | 400 | anything malformed or ambiguous: bare LF or CR, control characters, folded fields, whitespace before a colon, names that are no tokens, targets that are in none of the four forms or don't suit the method, a missing, repeated or invalid `Host`, a contradictory or malformed length, a broken chunk, chunk extensions above the limit, a field in the trailers that changes framing or routing |
//! | 413 | a body above the limit: at once if `Content-Length` says so, else with the chunk that exceeds it |
//! | 414 | a request line above the limit |
//! | 417 | an expectation other than `100-continue` |
//! | 431 | a head, a field, a number of fields or a trailer section above the limit |
//! | 501 | a transfer coding besides `chunked` |
//! | 505 | a major version other than 1 |
//!
//! Of responses it refuses the same, as far as they can have it, and besides: a status line that is not version, three digits and
//! reason with single spaces between them (the second one also where the reason is empty), a length other than 0 with 204 and any with
//! 1xx, chunks with either, a 101 that nobody asked for, and bytes from a server that owes no response.
//!
//! # Differences from Tornado
//! Where Tornado is laxer than RFC 9112 asks for, the RFC wins:
//! - A bare LF doesn't end a line and folded fields aren't joined: 400 (RFC 9112, sections 2.2 and 5.2; Tornado means to do so
//!   in 7.0).
//! - `Transfer-Encoding` in HTTP/1.0 is refused (section 6.1), so that a chunked HTTP/1.0 request isn't kept alive.
//! - `Host` is checked here, so that it is for every kind of application; an empty one is refused (section 3.2; RFC 9110,
//!   section 4.2.1).
//! - Targets are checked: characters (no fragment, ASCII only), form, and whether the form goes with the method (section
//!   3.2). The authority of an absolute target takes the place of `Host` (section 3.2.2).
//! - `Connection` is a list over all fields of that name: `foo, close` closes (RFC 9110, section 7.6.1).
//! - `Expect` ignores case, counts only in HTTP/1.1 and with a body, and anything unknown gives 417 (RFC 9110, section
//!   10.1.1).
//! - CONNECT and TRACE have no body (RFC 9110, sections 9.3.6 and 9.3.8).
//! - The number of fields is limited, and the request line by itself (section 3).
//! - A response's framing fields are checked also where no body follows, in answer to HEAD and with 304 (section 6.3).
//! - A 101 needs an offer and an `Upgrade` field on the client's side, too; Tornado takes it for an interim response (RFC 9110,
//!   section 15.2.2).
//! - A request is checked before it is sent: target, `Host`, framing, expectation (section 3.2; RFC 9110, section 10.1.1). A body
//!   that the head doesn't announce is an error; Tornado sends it unframed.
//!
//! Where Tornado refuses what the RFC allows, the RFC wins too:
//! - Chunk extensions are read and ignored, trailers given to the application (section 7.1; tornadoweb/tornado PR 3677).
//! - A gzip before `chunked` gets 501 instead of 400 (section 6.1).
//! - HTTP/1.2 and later minor versions are read as HTTP/1.1 and kept alive (RFC 9110, section 2.5).
//!
//! And where it answers nothing or the wrong thing:
//! - Each limit has its own status instead of silence or 400 (tornadoweb/tornado issues 2900 and 1082).
//! - A response to HTTP/1.0 without a length ends with the connection; Tornado promises to keep that open.
//! - `Date` is added (RFC 9110, section 6.6.1). A body in answer to HEAD is counted and left out instead of an error.
//! - 101 needs an offer by the client and an `Upgrade` field (RFC 9110, section 15.2.2).
//!
//! # Not here
//! Sockets, time-outs and the order of calls: `landspout-http1connection`. Content codings, forms, cookies: above.
#![forbid(unsafe_code)]

mod chunked;
mod compose;
mod decoder;
mod encoder;
mod error;
mod event;
mod first_sight;
mod framed;
mod framing;
mod head;
mod limits;
mod message;
mod rendered;
mod request_encoder;
mod request_line;
mod response_decoder;
mod scan;
mod status_line;
mod words;
mod writing;

pub use decoder::{HeadStep, RequestDecoder};
pub use encoder::ResponseEncoder;
pub use error::DecodeError;
pub use event::{Decoded, Event, RequestHead, ResponseHead};
pub use framed::Framed;
pub use framing::BodyLength;
pub use landspout_httputil::HttpOutputError;
pub use limits::Limits;
pub use rendered::RenderedHeads;
pub use request_encoder::RequestEncoder;
pub use request_line::TargetForm;
pub use response_decoder::ResponseDecoder;

/// The README's example is tried with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

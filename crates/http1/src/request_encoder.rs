//! `RequestEncoder`: a client's requests, events in, bytes out. What may follow what is `writing.rs`'s.
//!
//! Rules: what a server would refuse is refused before a byte of it is appended, by the server's own rules (`request_line.rs`,
//! `framing.rs`); exactly one framing per request; when a call fails, nothing was appended and nothing has changed.

use landspout_httputil::{HttpHeaders, HttpOutputError, RequestStartLine};

use crate::compose::{Given, append_connection, append_fields, append_framing, values};
use crate::error::shortened;
use crate::framed::Framed;
use crate::framing::{BodyLength, ConnectionOptions, Kind, check_expect, check_transfer_encoding, outgoing_body};
use crate::request_line::{self, RequestLine};
use crate::writing::Writing;

/// Writes one request. The client's counterpart of [`ResponseEncoder`](crate::ResponseEncoder).
///
/// Make one for each request. It appends to a buffer of yours, and never part of a message: a call that fails has appended
/// nothing and changed nothing.
///
/// ```
/// use landspout_http1::RequestEncoder;
/// use landspout_httputil::{HttpHeaders, Method, RequestStartLine, Version};
///
/// let mut out = Vec::new();
/// let mut encoder = RequestEncoder::new();
/// let start_line = RequestStartLine::new(Method::POST, "/echo", Version::HTTP_11);
/// encoder.request(&start_line, &HttpHeaders::from_static(&[("Host", "example.com")]), b"hi", &mut out)?;
/// assert_eq!(out, b"POST /echo HTTP/1.1\r\nHost: example.com\r\nContent-Length: 2\r\n\r\nhi");
/// assert!(encoder.is_complete() && encoder.keep_alive());
/// # Ok::<(), landspout_http1::HttpOutputError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestEncoder {
    state: Writing,
    keep_alive: bool,
    offers_upgrade: bool,
}

impl RequestEncoder {
    /// For a new request.
    pub fn new() -> Self {
        Self { state: Writing::Idle, keep_alive: true, offers_upgrade: false }
    }

    /// Appends the head of a request whose body follows with [`data`](Self::data) and [`finish`](Self::finish).
    ///
    /// The version is always HTTP/1.1, whatever the start line says: it is that of the sender, also where a request is handed
    /// on (RFC 9112, section 2.3). `headers` need a `Host`. The body is framed by their `Content-Length`; without one, by
    /// chunks with POST, PUT and PATCH, and with any method if they have `Transfer-Encoding: chunked`; other requests have no
    /// body then. `Connection` is written anew: its options are kept, `close` and `upgrade` added where they belong.
    ///
    /// # Errors
    /// - [`HeadersAlreadySent`](HttpOutputError::HeadersAlreadySent) or
    ///   [`AlreadyFinished`](HttpOutputError::AlreadyFinished);
    /// - [`InvalidTarget`](HttpOutputError::InvalidTarget): in none of the four forms, or in one that doesn't go with the
    ///   method (RFC 9112, section 3.2);
    /// - [`InvalidHost`](HttpOutputError::InvalidHost): not exactly one good `Host`, or not that of an absolute target;
    /// - [`InvalidContentLength`](HttpOutputError::InvalidContentLength): not one plain decimal number;
    /// - [`ReservedHeader`](HttpOutputError::ReservedHeader): a `Transfer-Encoding` other than `chunked`, or one beside
    ///   `Content-Length`;
    /// - [`BodyNotAllowed`](HttpOutputError::BodyNotAllowed): a body with CONNECT or TRACE;
    /// - [`InvalidExpect`](HttpOutputError::InvalidExpect): another expectation than `100-continue`, or one without a body
    ///   (RFC 9110, section 10.1.1).
    pub fn head(
        &mut self,
        start_line: &RequestStartLine,
        headers: &HttpHeaders,
        out: &mut Vec<u8>,
    ) -> Result<(), HttpOutputError> {
        self.append_head(start_line, headers, None, out)
    }

    /// Frames a piece of the body. An empty one is nothing.
    ///
    /// # Errors
    /// - [`HeadersNotSent`](HttpOutputError::HeadersNotSent) or [`AlreadyFinished`](HttpOutputError::AlreadyFinished);
    /// - [`BodyNotAllowed`](HttpOutputError::BodyNotAllowed): the head announced none;
    /// - [`BodyTooLong`](HttpOutputError::BodyTooLong): more than `Content-Length` says.
    pub fn data<'a>(&mut self, chunk: &'a [u8]) -> Result<Framed<'a>, HttpOutputError> {
        self.state.data(chunk)
    }

    /// Ends the request.
    ///
    /// # Errors
    /// [`HeadersNotSent`](HttpOutputError::HeadersNotSent), [`AlreadyFinished`](HttpOutputError::AlreadyFinished), or
    /// [`BodyTooShort`](HttpOutputError::BodyTooShort): fewer bytes than `Content-Length` says. Then only closing the
    /// connection tells the server.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), HttpOutputError> {
        self.state.finish(out)
    }

    /// Appends a whole request: head, body, and its length as `Content-Length`. An empty body is none, unless the method is
    /// one that has a body.
    ///
    /// # Errors
    /// As [`head`](Self::head), [`data`](Self::data) and [`finish`](Self::finish), with nothing appended in each case.
    pub fn request(
        &mut self,
        start_line: &RequestStartLine,
        headers: &HttpHeaders,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), HttpOutputError> {
        let (start, before) = (out.len(), self.clone());
        let mut append = || {
            self.append_head(start_line, headers, Some(body.len() as u64), out)?;
            self.data(body)?.append_to(out);
            self.finish(out)
        };
        append().inspect_err(|_| {
            out.truncate(start);
            *self = before;
        })
    }

    /// Asks the server to close the connection behind its response. Only before the head is out.
    pub fn close_after(&mut self) {
        self.keep_alive = false;
    }

    /// Whether the connection can stay open after the response, as far as the request is concerned. Final once the head is out.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the request offers to switch protocols (RFC 9110, section 7.8). Known once the head is out.
    pub fn offers_upgrade(&self) -> bool {
        self.offers_upgrade
    }

    /// Whether the head is out.
    pub fn head_sent(&self) -> bool {
        self.state.head_sent()
    }

    /// Whether the request is over.
    pub fn is_complete(&self) -> bool {
        self.state.is_complete()
    }

    /// Appends the head, `body` being the length of a body that is there already.
    fn append_head(
        &mut self,
        start_line: &RequestStartLine,
        headers: &HttpHeaders,
        body: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), HttpOutputError> {
        self.state.check_idle()?;
        let start = out.len();
        let result = append_request_line(start_line, out).and_then(|line| {
            let line_end = out.len();
            let given = append_fields(headers, out);
            check_host(line, &out[start..line_end], headers)?;
            self.append_rest(start_line, headers, given, body, out)
        });
        result.inspect_err(|_| out.truncate(start))
    }

    /// What comes behind the application's fields: `Connection`, the framing, the blank line. Nothing of the encoder changes
    /// before the last check has passed.
    fn append_rest(
        &mut self,
        start_line: &RequestStartLine,
        headers: &HttpHeaders,
        given: Given,
        body: Option<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), HttpOutputError> {
        let given_length = given.length(headers)?;
        let chunks = given.has(Kind::TransferEncoding);
        if chunks
            && (given_length.is_some() || check_transfer_encoding(values(headers, Kind::TransferEncoding)).is_err())
        {
            return Err(HttpOutputError::ReservedHeader("Transfer-Encoding".to_owned()));
        }
        let length =
            outgoing_body(start_line.method(), given_length, body, chunks).ok_or(HttpOutputError::BodyNotAllowed)?;
        let has_body = !matches!(length, BodyLength::None | BodyLength::Fixed(0));
        if given.has(Kind::Expect) && (!has_body || check_expect(values(headers, Kind::Expect)) != Ok(true)) {
            let value = values(headers, Kind::Expect).next().unwrap_or_default();
            return Err(HttpOutputError::InvalidExpect(shortened(value)));
        }
        let options = ConnectionOptions::read(values(headers, Kind::Connection));
        let keep_alive = self.keep_alive && !options.close;
        // RFC 9110, section 7.8: whoever sends `Upgrade` says so in `Connection`, too.
        let offers_upgrade = given.has(Kind::Upgrade);
        let added: [Option<&[u8]>; 2] =
            [(!keep_alive).then_some(b"close"), (offers_upgrade && !options.upgrade).then_some(b"upgrade")];
        append_connection(added.into_iter().flatten(), headers, out);
        append_framing(length, out);
        (self.keep_alive, self.offers_upgrade) = (keep_alive, offers_upgrade);
        self.state = match length {
            BodyLength::Fixed(length) => Writing::Fixed { length, written: 0 },
            BodyLength::Chunked => Writing::Chunked,
            BodyLength::None | BodyLength::UntilClose => Writing::NoBody,
        };
        Ok(())
    }
}

impl Default for RequestEncoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends the line and has the rules for servers look at it: one that they read as something else could split the request.
fn append_request_line(start_line: &RequestStartLine, out: &mut Vec<u8>) -> Result<RequestLine, HttpOutputError> {
    let start = out.len();
    out.extend_from_slice(start_line.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(start_line.path().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    request_line::parse(&out[start..])
        .filter(|line| line.len() == out.len() - start)
        .ok_or_else(|| HttpOutputError::InvalidTarget(shortened(start_line.path().as_bytes())))
}

/// RFC 9112, section 3.2: one `Host` and a valid one, and that of the target if it has one.
fn check_host(line: RequestLine, written: &[u8], headers: &HttpHeaders) -> Result<(), HttpOutputError> {
    let mut hosts = values(headers, Kind::Host);
    let host = hosts.next().unwrap_or_default();
    let authority = line.authority(written);
    let is_targets = authority.is_none_or(|authority| written[authority].eq_ignore_ascii_case(host));
    let is_good = hosts.next().is_none() && landspout_httputil::is_valid_host(host) && is_targets;
    if is_good { Ok(()) } else { Err(HttpOutputError::InvalidHost(shortened(host))) }
}

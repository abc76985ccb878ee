//! `ResponseEncoder`: a server's responses, events in, bytes out. What may follow what is `writing.rs`'s.
//!
//! Rules: exactly one framing per response, and this file's choice is `framing.rs`'s; when a call fails, nothing was
//! appended and nothing has changed; nothing is validated twice: reason phrases were when they were made (`httputil`).

use landspout_httputil::{HttpHeaders, HttpOutputError, Method, ResponseStartLine, StatusCode, Version};

use crate::compose::{
    Given, LENGTH_NAME, append_connection, append_fields, append_framing, append_number_and_end, append_option, values,
};
use crate::event::RequestHead;
use crate::framed::Framed;
use crate::framing::{BodyLength, ConnectionOptions, Kind, MethodKind, ResponseFraming, ResponseTo};
use crate::rendered::{Key, RenderedHeads};
use crate::writing::Writing;

/// Writes the responses to one request: any number of interim ones (1xx) and a final one.
///
/// Make one for each request. It appends to a buffer of yours, and never part of a message: a call that fails has appended
/// nothing and changed nothing, so that another response can still be sent if the head wasn't out.
///
/// ```
/// use landspout_http1::ResponseEncoder;
/// use landspout_httputil::{HttpHeaders, Method, ResponseStartLine, StatusCode, Version};
///
/// let mut out = Vec::new();
/// let mut encoder = ResponseEncoder::new(&Method::GET, Version::HTTP_11, true);
/// let headers = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
/// let start_line = ResponseStartLine::new(StatusCode::OK);
/// encoder.response(&start_line, &headers, b"Hello", b"Sun, 06 Nov 1994 08:49:37 GMT", &mut out)?;
/// assert_eq!(
///     out,
///     b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
///       Content-Length: 5\r\n\r\nHello"
/// );
/// assert!(encoder.is_complete() && encoder.keep_alive());
/// # Ok::<(), landspout_http1::HttpOutputError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResponseEncoder {
    to: ResponseTo,
    keep_alive: bool,
    /// `keep_alive` is false only as long as the request's body is unread.
    unread: bool,
    /// The request offered to switch protocols.
    upgrade_offered: bool,
    follows: Follows,
    state: Writing,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// A body whose end can be told, or none.
    Framed,
    /// A body that ends with the connection.
    UntilClose,
    /// No HTTP.
    Tunnel,
}

impl ResponseEncoder {
    /// For responses to a request with that method and version. `keep_alive`: the connection stays open as far as request
    /// and server are concerned.
    #[inline]
    pub fn new(method: &Method, version: Version, keep_alive: bool) -> Self {
        Self::to(ResponseTo::of(method, version), keep_alive, false)
    }

    /// For responses to this request.
    #[inline]
    pub fn for_request(head: &RequestHead) -> Self {
        let to = ResponseTo::of(head.start_line.method(), head.start_line.version());
        Self::to(to, head.keep_alive, head.upgrade)
    }

    #[inline(always)]
    pub(crate) fn to(to: ResponseTo, keep_alive: bool, upgrade_offered: bool) -> Self {
        Self { to, keep_alive, unread: false, upgrade_offered, follows: Follows::Framed, state: Writing::Idle }
    }

    /// For the response to something that is no proper request, after which the connection is closed.
    pub fn for_error() -> Self {
        Self::new(&Method::GET, Version::HTTP_11, false)
    }

    /// Appends the head of a response whose body follows with [`data`](Self::data) and [`finish`](Self::finish).
    ///
    /// `date` is the value of the `Date` field (RFC 9110, section 5.6.7: IMF-fixdate, which has 29 characters), added unless
    /// the application gave one. The body is framed by the application's `Content-Length`; without one by chunks, or by
    /// closing the connection if the client speaks HTTP/1.0 only. `Connection` tells the client what becomes of the
    /// connection; other options that the application gives in that field are kept.
    ///
    /// A status 1xx makes an interim response; the final one is still to be sent. It isn't sent at all to an HTTP/1.0 client,
    /// which doesn't expect it (RFC 9110, section 15.2). 101 is final as far as HTTP is concerned, and only possible when the
    /// request offered an upgrade.
    ///
    /// # Errors
    /// - [`HeadersAlreadySent`](HttpOutputError::HeadersAlreadySent) or
    ///   [`AlreadyFinished`](HttpOutputError::AlreadyFinished) after a final head;
    /// - [`InvalidContentLength`](HttpOutputError::InvalidContentLength): not one plain decimal number;
    /// - [`ReservedHeader`](HttpOutputError::ReservedHeader): a `Transfer-Encoding`, which only the codec sets, or a
    ///   `Content-Length` where none may be (1xx, 204, 2xx to CONNECT);
    /// - [`InvalidStatus`](HttpOutputError::InvalidStatus): 101 without an offer or without an `Upgrade` field.
    pub fn head(
        &mut self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        date: &[u8; 29],
        out: &mut Vec<u8>,
    ) -> Result<(), HttpOutputError> {
        self.state.check_idle()?;
        let interim = start_line.code.as_u16() < 200 && start_line.code != StatusCode::SWITCHING_PROTOCOLS;
        if interim && !self.to.http11() {
            return Ok(());
        }
        let (start, before) = (out.len(), (self.keep_alive, self.unread));
        if !interim {
            // Nobody knows yet how much will be read before the response is over.
            self.body_read();
        }
        append_status_line(start_line, out);
        let given = append_fields(headers, out);
        match self.append_rest(start_line.code, headers, given, None, date, out) {
            Ok(next) => self.state = next,
            Err(error) => {
                out.truncate(start);
                (self.keep_alive, self.unread) = before;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Frames a piece of the body. An empty one is nothing.
    ///
    /// # Errors
    /// - [`HeadersNotSent`](HttpOutputError::HeadersNotSent) or [`AlreadyFinished`](HttpOutputError::AlreadyFinished);
    /// - [`BodyNotAllowed`](HttpOutputError::BodyNotAllowed) with status 204, 205, 304 or 2xx to CONNECT. In answer to HEAD a
    ///   body is counted and not sent;
    /// - [`BodyTooLong`](HttpOutputError::BodyTooLong): more than `Content-Length` says.
    #[inline]
    pub fn data<'a>(&mut self, chunk: &'a [u8]) -> Result<Framed<'a>, HttpOutputError> {
        self.state.data(chunk)
    }

    /// Ends the response.
    ///
    /// # Errors
    /// [`HeadersNotSent`](HttpOutputError::HeadersNotSent), [`AlreadyFinished`](HttpOutputError::AlreadyFinished), or
    /// [`BodyTooShort`](HttpOutputError::BodyTooShort): fewer bytes than `Content-Length` says. Then only closing the
    /// connection tells the client. In answer to HEAD writing no body at all is right too.
    #[inline]
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), HttpOutputError> {
        self.state.finish(out)
    }

    /// Appends a whole response: head, body, and its length as `Content-Length`. The fast way. In answer to HEAD the body is
    /// left out, and an application that has none at hand may give `Content-Length` instead.
    ///
    /// # Errors
    /// As [`head`](Self::head), [`data`](Self::data) and [`finish`](Self::finish), with nothing appended in each case;
    /// [`InvalidStatus`](HttpOutputError::InvalidStatus) for 1xx, which is no whole response.
    #[inline]
    pub fn response(
        &mut self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
        date: &[u8; 29],
        out: &mut Vec<u8>,
    ) -> Result<(), HttpOutputError> {
        self.render(start_line, headers, body, date, out).map(|_| ())
    }

    /// As [`response`](Self::response), with the date of `heads`, and with constant heads taken from there, or kept there.
    ///
    /// # Errors
    /// As [`response`](Self::response).
    #[inline]
    pub fn response_with(
        &mut self,
        heads: &mut RenderedHeads,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), HttpOutputError> {
        if self.kept_response(heads, start_line, headers, body, out) {
            return Ok(());
        }
        self.render_and_keep(heads, start_line, headers, body, out)
    }

    /// The part of [`response_with`](Self::response_with) that is done if the head is among `heads`. False: it isn't, or there is more
    /// to say; nothing was done then.
    #[inline(always)]
    pub fn kept_response(
        &mut self,
        heads: &mut RenderedHeads,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(key) = Key::of(start_line, headers, self.persistence()) else { return false };
        if !self.may_have_kept_head() || !heads.append(key, body.len(), out) {
            return false;
        }
        debug_assert!(self.has_plain_body(start_line.code));
        out.extend_from_slice(body);
        self.state = Writing::Done;
        true
    }

    #[cold]
    fn render_and_keep(
        &mut self,
        heads: &mut RenderedHeads,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), HttpOutputError> {
        let start = out.len();
        let number_at = self.render(start_line, headers, body, heads.date(), out)?;
        if let (Some(key), Some(number_at)) = (Key::of(start_line, headers, self.persistence()), number_at) {
            heads.keep(key, &out[start..out.len() - body.len()], number_at - start, body.len());
        }
        Ok(())
    }

    /// As [`response_with`](Self::response_with), for a body too long to be copied. True: the caller sends it behind what was
    /// appended. False: it was appended, or nobody is to get it.
    ///
    /// # Errors
    /// As [`response`](Self::response).
    #[inline(never)]
    pub fn response_before_body(
        &mut self,
        heads: &mut RenderedHeads,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, HttpOutputError> {
        let key = Key::of(start_line, headers, self.persistence()).filter(|_| self.may_have_kept_head());
        if key.is_none_or(|key| !heads.append(key, body.len(), out)) {
            let start = out.len();
            let (given, number_at) = self.render_head(start_line, headers, body.len(), heads.date(), out)?;
            let Some(number_at) = number_at else {
                let date = heads.date();
                return self.unusual_response(start_line.code, headers, given, body, date, start, out).map(|()| false);
            };
            if let Some(key) = key {
                heads.keep(key, &out[start..], number_at - start, body.len());
            }
        }
        self.state = Writing::Done;
        Ok(true)
    }

    /// Appends a whole response. If it is a usual one, the position of its `Content-Length`'s number comes back.
    #[inline]
    fn render(
        &mut self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
        date: &[u8; 29],
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, HttpOutputError> {
        let start = out.len();
        let (given, number_at) = self.render_head(start_line, headers, body.len(), date, out)?;
        if number_at.is_some() {
            out.extend_from_slice(body);
            self.state = Writing::Done;
            return Ok(number_at);
        }
        self.unusual_response(start_line.code, headers, given, body, date, start, out).map(|()| None)
    }

    /// Appends the head of a whole response; where it is no usual one, as far as the application gave it.
    #[inline]
    fn render_head(
        &self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        length: usize,
        date: &[u8; 29],
        out: &mut Vec<u8>,
    ) -> Result<(Given, Option<usize>), HttpOutputError> {
        self.state.check_idle()?;
        append_status_line(start_line, out);
        let given = append_fields(headers, out);
        if given != Given::default() || !self.has_plain_body(start_line.code) {
            return Ok((given, None));
        }
        append_date(date, out);
        if let Some(option) = self.option(self.keep_alive) {
            append_option(option, out);
        }
        out.extend_from_slice(LENGTH_NAME);
        let number_at = out.len();
        append_number_and_end(length as u64, out);
        Ok((given, Some(number_at)))
    }

    /// Has the connection closed after this response. Before the head is out, the client is told.
    #[inline]
    pub fn close_after(&mut self) {
        self.keep_alive = false;
        self.unread = false;
    }

    /// Has the connection closed after a [`response`](Self::response) that comes before [`body_read`](Self::body_read): when
    /// nobody will read the request's body any more, or nobody knows whether it comes (RFC 9110, section 10.1.1). A
    /// [`head`](Self::head) puts an end to this.
    pub fn close_if_unread(&mut self) {
        self.unread = self.keep_alive;
        self.keep_alive = false;
    }

    /// The request's body was read.
    pub fn body_read(&mut self) {
        self.keep_alive |= std::mem::take(&mut self.unread);
    }

    /// Whether the connection stays open after this response. Final once the head is out.
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Nothing more is written: what follows on the connection belongs to somebody else.
    #[cold]
    pub fn hand_over(&mut self) {
        self.keep_alive = false;
        self.state = Writing::Done;
    }

    /// The response, as far as it is written, won't be completed: nothing more of it is accepted
    /// ([`Closed`](HttpOutputError::Closed)), and the connection has to be closed. Nothing happens to one that is complete.
    #[cold]
    pub fn break_off(&mut self) {
        if !self.is_complete() {
            self.close_after();
            self.state = Writing::BrokenOff;
        }
    }

    /// Whether the response was broken off.
    #[cold]
    pub fn is_broken_off(&self) -> bool {
        matches!(self.state, Writing::BrokenOff)
    }

    /// Whether a head is out behind which there is no HTTP any more: 101, or 2xx in answer to CONNECT (RFC 9110, sections 15.2.2
    /// and 9.3.6).
    pub fn is_tunnel(&self) -> bool {
        self.follows == Follows::Tunnel
    }

    /// Whether a head is out whose body ends with the connection (RFC 9112, section 6.3, rule 8): to a client of HTTP/1.0, without
    /// `Content-Length`. If the connection is reset, it is cut.
    pub fn is_until_close(&self) -> bool {
        self.follows == Follows::UntilClose
    }

    /// Whether the head of the final response is out.
    #[inline]
    pub fn head_sent(&self) -> bool {
        self.state.head_sent()
    }

    /// Whether the response is over.
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.state.is_complete()
    }

    /// Whether a response with that status has a body like any other.
    #[inline]
    fn has_plain_body(&self, status: StatusCode) -> bool {
        self.to.method() == MethodKind::Other && matches!(status.as_u16(), 200..=203 | 206..=303 | 305..)
    }

    /// Whether a head that is kept for its status is one for this response. The status needs no look: only heads of those with a plain
    /// body are kept.
    #[inline]
    fn may_have_kept_head(&self) -> bool {
        self.to.method() == MethodKind::Other && !self.head_sent()
    }

    /// What decides about [`option`](Self::option), as a number.
    #[inline]
    fn persistence(&self) -> u8 {
        u8::from(self.to.http11()) << 1 | u8::from(self.keep_alive)
    }
}

impl ResponseEncoder {
    /// A whole response from behind the application's fields, where there is more to say than how long it is.
    #[cold]
    #[expect(clippy::too_many_arguments, reason = "the rest of one function, out of its way")]
    fn unusual_response(
        &mut self,
        status: StatusCode,
        headers: &HttpHeaders,
        given: Given,
        body: &[u8],
        date: &[u8; 29],
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), HttpOutputError> {
        let state = match status.as_u16() {
            code @ ..200 => Err(HttpOutputError::InvalidStatus(code)),
            _ => self.append_rest(status, headers, given, Some(body), date, out),
        };
        match state {
            Ok(Writing::Fixed { .. }) => out.extend_from_slice(body),
            Ok(_) => {}
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
        self.state = Writing::Done;
        Ok(())
    }

    /// What comes behind the application's fields: `Date`, `Connection`, the framing, the blank line. Nothing of the encoder
    /// changes before the last check has passed.
    #[inline(never)]
    fn append_rest(
        &mut self,
        status: StatusCode,
        headers: &HttpHeaders,
        given: Given,
        body: Option<&[u8]>,
        date: &[u8; 29],
        out: &mut Vec<u8>,
    ) -> Result<Writing, HttpOutputError> {
        if given.has(Kind::TransferEncoding) {
            return Err(HttpOutputError::ReservedHeader("Transfer-Encoding".to_owned()));
        }
        let given_length = given.length(headers)?;
        if status.as_u16() < 200 {
            return self.append_interim_rest(status, headers, given, out);
        }
        let length = given_length.or(body.map(|body| body.len() as u64));
        let framing = self.to.framing(status, length);
        // The length of nothing is no news about what didn't change.
        let length = if framing == ResponseFraming::NotModified { given_length } else { length };
        check_body(framing, body.map(|body| body.len() as u64), given_length)?;
        if !given.has(Kind::Date) {
            append_date(date, out);
        }
        // RFC 9110, section 9.3.6: behind a 2xx to CONNECT there is a tunnel, no HTTP.
        let tunnel = framing == ResponseFraming::Forbidden && self.to.method() == MethodKind::Connect;
        let mut keep_alive = self.keep_alive && framing != ResponseFraming::UntilClose && !tunnel;
        if given.has(Kind::Connection) {
            keep_alive &= !ConnectionOptions::read(values(headers, Kind::Connection)).close;
        }
        if given.has(Kind::Connection) || keep_alive != self.to.http11() && !tunnel {
            append_connection(self.option(keep_alive), headers, out);
        }
        self.keep_alive = keep_alive;
        self.follows = match framing {
            _ if tunnel => Follows::Tunnel,
            ResponseFraming::UntilClose => Follows::UntilClose,
            _ => Follows::Framed,
        };
        let (told, next) = body_after(framing, length);
        append_framing(told, out);
        Ok(next)
    }

    /// What has to be said about the connection: HTTP/1.1 stays open and HTTP/1.0 closes unless somebody says otherwise
    /// (RFC 9112, section 9.3).
    fn option(&self, keep_alive: bool) -> Option<&'static [u8]> {
        match (self.to.http11(), keep_alive) {
            (true, false) => Some(b"close"),
            (false, true) => Some(b"keep-alive"),
            _ => None,
        }
    }

    #[cold]
    fn append_interim_rest(
        &mut self,
        status: StatusCode,
        headers: &HttpHeaders,
        given: Given,
        out: &mut Vec<u8>,
    ) -> Result<Writing, HttpOutputError> {
        // RFC 9110, section 8.6.
        if given.has(Kind::ContentLength) {
            return Err(HttpOutputError::ReservedHeader("Content-Length".to_owned()));
        }
        let switching = status == StatusCode::SWITCHING_PROTOCOLS;
        // RFC 9110, sections 7.8 and 15.2.2.
        if switching && !(self.upgrade_offered && given.has(Kind::Upgrade)) {
            return Err(HttpOutputError::InvalidStatus(101));
        }
        if switching {
            self.keep_alive = false;
            self.follows = Follows::Tunnel;
            let named = ConnectionOptions::read(values(headers, Kind::Connection)).upgrade;
            append_connection((!named).then_some(&b"upgrade"[..]), headers, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(if switching { Writing::NoBody } else { Writing::Idle })
    }
}

/// `HTTP/1.1` whatever the client speaks (RFC 9112, section 2.3).
#[inline]
fn append_status_line(start_line: &ResponseStartLine, out: &mut Vec<u8>) {
    let reason = start_line.reason();
    if start_line.code == StatusCode::OK && reason == "OK" {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(start_line.code.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn append_date(date: &[u8; 29], out: &mut Vec<u8>) {
    let mut line = *b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    line[6..35].copy_from_slice(date);
    out.extend_from_slice(&line);
}

/// What the head says about the body, and what may be written behind it.
fn body_after(framing: ResponseFraming, length: Option<u64>) -> (BodyLength, Writing) {
    let told = length.map_or(BodyLength::None, BodyLength::Fixed);
    match framing {
        ResponseFraming::Forbidden => (BodyLength::None, Writing::NoBody),
        ResponseFraming::NotModified => (told, Writing::NoBody),
        ResponseFraming::Head => (told, Writing::Head { length, written: 0 }),
        ResponseFraming::Empty => (BodyLength::Fixed(0), Writing::NoBody),
        ResponseFraming::Fixed(length) => (BodyLength::Fixed(length), Writing::Fixed { length, written: 0 }),
        ResponseFraming::Chunked => (BodyLength::Chunked, Writing::Chunked),
        ResponseFraming::UntilClose => (BodyLength::UntilClose, Writing::UntilClose),
    }
}

/// Whether body and `Content-Length` go with the framing and with each other, as far as they are given.
#[inline]
fn check_body(framing: ResponseFraming, body: Option<u64>, length: Option<u64>) -> Result<(), HttpOutputError> {
    let empty = body.is_none_or(|body| body == 0);
    match (framing, length) {
        (ResponseFraming::Forbidden | ResponseFraming::NotModified | ResponseFraming::Empty, _) if !empty => {
            return Err(HttpOutputError::BodyNotAllowed);
        }
        (ResponseFraming::Forbidden, Some(_)) => {
            return Err(HttpOutputError::ReservedHeader("Content-Length".to_owned()));
        }
        (ResponseFraming::Empty, Some(1..)) => {
            return Err(HttpOutputError::InvalidContentLength(length.unwrap_or_default().to_string()));
        }
        // Nothing is sent here, so the application may leave the body out and say how long it would be.
        (ResponseFraming::NotModified | ResponseFraming::Head, _) if empty => return Ok(()),
        _ => {}
    }
    match (body, length) {
        (Some(attempted), Some(content_length)) if attempted > content_length => {
            Err(HttpOutputError::BodyTooLong { content_length, attempted })
        }
        (Some(written), Some(content_length)) if written < content_length => {
            Err(HttpOutputError::BodyTooShort { content_length, written })
        }
        _ => Ok(()),
    }
}

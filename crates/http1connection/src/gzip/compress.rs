//! Responses on their way out: Tornado's `GZipContentEncoding`.
//!
//! Rules: whatever the connection would refuse is refused, and nothing is written then; each piece that the application writes
//! leaves at once, as it would uncompressed; what was compressed is never lost, even if the connection has no room for it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::Write;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use landspout_httputil::{
    BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, HttpOutputError, HttpServerConnectionDelegate, Method,
    RequestContext, RequestStartLine, ResponseStartLine, ServerConnectionId, StatusCode,
};

use super::negotiate::{Gain, accepts_gzip, elements, gain, is_listed_as_strong};
use crate::connection::Http1Connection;

/// Has a server's responses compressed for clients that take gzip: Tornado's `GZipContentEncoding`, its `compress_response`.
///
/// Compressed is what is text by its `Content-Type`, and not shorter than 1,024 bytes where the length is known. `Vary` tells caches
/// of the choice, a strong `ETag` becomes a weak one (RFC 9110, section 8.8.1), and the length is that of what is sent. Left
/// alone are parts (206), what has a `Content-Encoding`, and what `Cache-Control: no-transform` protects.
///
/// An answer to HEAD has the fields of that to GET if it is written in pieces (RFC 9110, section 9.3.2). One that is written whole has
/// those of the bare content, and `Vary`: whether it gets any smaller only compressing it would tell.
///
/// A 304 should have the `ETag` of the 200 that it stands for (RFC 9110, section 15.4.5), and can't know that for sure. It has the
/// application's if the client takes no gzip, if what the 304 says of type, length, coding and caching means that the 200 was left
/// alone, or if `If-None-Match` has the tag as a strong one, which a compressed response never had. Otherwise it is a weak one, which
/// promises less, and there is no `Content-Length`.
///
/// [`write_response`](HttpConnection::write_response) compresses at once, about 20 ms for each megabyte. What is larger, write it in pieces:
/// each leaves as it is written, and the compressor in between keeps about 300 KB.
///
/// Don't compress a response that holds both a secret and what a stranger can put into it: its length tells about the secret
/// (the attack BREACH).
#[derive(Debug)]
#[doc(alias = "compress_response")]
pub struct GzipContentEncoding<D> {
    delegate: D,
    min_length: u64,
    level: u32,
}

impl<D> GzipContentEncoding<D> {
    /// Compresses the responses of `delegate`.
    pub fn new(delegate: D) -> Self {
        Self { delegate, min_length: 1024, level: 6 }
    }

    /// What is known to be shorter is sent as it is, in bytes. Default 1,024.
    #[doc(alias = "MIN_LENGTH")]
    pub fn min_length(mut self, bytes: u64) -> Self {
        self.min_length = bytes;
        self
    }

    /// From 1, fast, to 9, small. Default 6.
    #[doc(alias = "GZIP_LEVEL")]
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.clamp(1, 9);
        self
    }
}

impl<D: HttpServerConnectionDelegate> HttpServerConnectionDelegate for GzipContentEncoding<D> {
    type Delegate = CompressingDelegate<D::Delegate>;

    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Self::Delegate {
        let connection = Rc::new(Compressing {
            connection: request_conn,
            min_length: self.min_length,
            level: Compression::new(self.level),
            accepted: Cell::new(false),
            to_head: Cell::new(false),
            held: RefCell::default(),
            state: RefCell::new(None),
        });
        CompressingDelegate { delegate: self.delegate.start_request(server_conn, connection.clone()), connection }
    }

    fn on_close(&self, server_conn: ServerConnectionId) {
        self.delegate.on_close(server_conn);
    }
}

/// Notes what the client takes, and hands everything on: see [`GzipContentEncoding`].
pub struct CompressingDelegate<D> {
    delegate: D,
    connection: Rc<Compressing>,
}

impl<D: fmt::Debug> fmt::Debug for CompressingDelegate<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressingDelegate").field("delegate", &self.delegate).finish_non_exhaustive()
    }
}

impl<D: HttpMessageDelegate> HttpMessageDelegate for CompressingDelegate<D> {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        if *start_line.method() != Method::CONNECT && accepts_gzip(&headers) {
            self.connection.accepted.set(true);
            self.connection.to_head.set(*start_line.method() == Method::HEAD);
            let lists: Vec<_> = headers.get_list("if-none-match").collect();
            self.connection.held.replace(lists.join(&b","[..]));
        }
        self.delegate.headers_received(start_line, headers).await
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        self.delegate.data_received(chunk).await
    }

    async fn trailers_received(&mut self, trailers: HttpHeaders) -> Result<(), BoxError> {
        self.delegate.trailers_received(trailers).await
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.delegate.finish().await
    }

    fn on_connection_close(&mut self) {
        self.delegate.on_connection_close();
    }
}

/// The writing side of an exchange, with a compressor in front.
struct Compressing {
    connection: Rc<dyn HttpConnection>,
    min_length: u64,
    level: Compression,
    /// The client takes gzip.
    accepted: Cell<bool>,
    /// The answer's content isn't sent.
    to_head: Cell<bool>,
    /// The tags of the responses that it has, as it lists them.
    held: RefCell<Vec<u8>>,
    /// A response that is being compressed. Taken out while the connection is called, which may wake others.
    state: RefCell<Option<Box<Compressor>>>,
}

struct Compressor {
    /// `None`: at its end.
    encoder: Option<GzEncoder<Vec<u8>>>,
    /// In answer to HEAD there is nothing to compress.
    counts_only: bool,
    /// What the application's `Content-Length` says.
    length: Option<u64>,
    /// What it has written.
    written: u64,
    /// Compressed, but the connection had no room for it.
    pending: Vec<u8>,
}

impl Compressor {
    fn new(level: Compression, counts_only: bool, length: Option<u64>) -> Self {
        let encoder = (!counts_only).then(|| GzEncoder::new(Vec::new(), level));
        Self { encoder, counts_only, length, written: 0, pending: Vec::new() }
    }

    /// Compresses a piece, if it isn't too long, so far that the client can read all of it.
    fn compress(&mut self, chunk: &[u8]) -> Result<Vec<u8>, HttpOutputError> {
        let attempted = self.written.saturating_add(chunk.len() as u64);
        if let Some(content_length) = self.length.filter(|length| attempted > *length) {
            return Err(HttpOutputError::BodyTooLong { content_length, attempted });
        }
        if chunk.is_empty() {
            return Ok(Vec::new());
        }
        if self.counts_only {
            self.written = attempted;
            return Ok(Vec::new());
        }
        // Its end was written, and has perhaps found no room yet.
        let Some(encoder) = &mut self.encoder else { return Err(HttpOutputError::AlreadyFinished) };
        self.written = attempted;
        // To write to memory doesn't fail.
        let _ = encoder.write_all(chunk).and_then(|()| encoder.flush());
        Ok(std::mem::take(encoder.get_mut()))
    }

    /// Ends the compressed content; what is left of it is pending then.
    fn end(&mut self) {
        if let Some(Ok(rest)) = self.encoder.take().map(GzEncoder::finish) {
            self.pending.extend(rest);
        }
    }
}

impl Compressing {
    fn gain(&self, start_line: &ResponseStartLine, headers: &HttpHeaders, length: Option<u64>) -> Gain {
        gain(start_line.code.as_u16(), headers, length, self.min_length)
    }

    /// The fields of a response that isn't compressed, but may be for others, or may have been before.
    fn uncompressed(&self, headers: &HttpHeaders, gain: Gain) -> Result<HttpHeaders, HttpOutputError> {
        let mut headers = varying(headers)?;
        // Or it has the response, and as it is.
        let bare = || headers.get("etag").is_some_and(|tag| is_listed_as_strong(tag, &self.held.borrow()));
        if gain == Gain::NotModified && self.accepted.get() && !bare() {
            weaken(&mut headers)?;
            // It would have to be that of the compressed content (RFC 9110, section 8.6).
            headers.remove("content-length");
        }
        Ok(headers)
    }

    /// Calls `f` with the compressor, if there is one.
    fn with_compressor<T>(&self, f: impl FnOnce(&mut Compressor) -> T) -> Option<T> {
        let mut compressor = self.state.borrow_mut().take()?;
        let result = f(&mut compressor);
        self.state.replace(Some(compressor));
        Some(result)
    }

    /// Writes what had no room before.
    fn write_pending(&self, compressor: &mut Compressor) -> Result<(), HttpOutputError> {
        if !compressor.pending.is_empty() {
            self.connection.write(&compressor.pending)?;
            compressor.pending = Vec::new();
        }
        Ok(())
    }

    fn write_compressed(&self, compressor: &mut Compressor, chunk: &[u8]) -> Result<(), HttpOutputError> {
        self.write_pending(compressor)?;
        let compressed = compressor.compress(chunk)?;
        match self.connection.write(&compressed) {
            // The compressor can't take it back: it will be the first to have room.
            Err(HttpOutputError::WriteBufferFull(_)) => {
                compressor.pending = compressed;
                Ok(())
            }
            written => written,
        }
    }

    fn finish_compressed(&self, compressor: &mut Compressor) -> Result<(), HttpOutputError> {
        let complete =
            |length: &u64| compressor.written >= *length || compressor.counts_only && compressor.written == 0;
        if let Some(content_length) = compressor.length.filter(|length| !complete(length)) {
            // As the connection itself does: only a cut tells the client.
            if let Some(connection) = self.connection.as_any().and_then(|any| any.downcast_ref::<Http1Connection>()) {
                connection.cut();
            }
            return Err(HttpOutputError::BodyTooShort { content_length, written: compressor.written });
        }
        compressor.end();
        self.write_pending(compressor)?;
        self.connection.finish()
    }
}

impl HttpConnection for Compressing {
    fn write_headers(
        &self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        chunk: &[u8],
    ) -> Result<(), HttpOutputError> {
        let length = content_length(headers);
        let gain = match length {
            // The connection says what is wrong with it.
            Some(None) => Gain::None,
            _ => self.gain(start_line, headers, length.flatten()),
        };
        match gain {
            Gain::None => self.connection.write_headers(start_line, headers, chunk),
            Gain::Smaller if self.accepted.get() && self.state.borrow().is_none() => {
                let mut compressor = Box::new(Compressor::new(self.level, self.to_head.get(), length.flatten()));
                let compressed = compressor.compress(chunk)?;
                self.connection.write_headers(start_line, &encoded(headers)?, &compressed)?;
                self.state.replace(Some(compressor));
                Ok(())
            }
            gain => self.connection.write_headers(start_line, &self.uncompressed(headers, gain)?, chunk),
        }
    }

    fn write(&self, chunk: &[u8]) -> Result<(), HttpOutputError> {
        let written = self.with_compressor(|compressor| self.write_compressed(compressor, chunk));
        written.unwrap_or_else(|| self.connection.write(chunk))
    }

    fn write_bytes(&self, chunk: Bytes) -> Result<(), HttpOutputError> {
        let written = self.with_compressor(|compressor| self.write_compressed(compressor, &chunk));
        written.unwrap_or_else(|| self.connection.write_bytes(chunk))
    }

    fn finish(&self) -> Result<(), HttpOutputError> {
        let Some(finished) = self.with_compressor(|compressor| self.finish_compressed(compressor)) else {
            return self.connection.finish();
        };
        if finished.is_ok() {
            drop(self.state.take());
        }
        finished
    }

    fn write_response(
        &self,
        start_line: &ResponseStartLine,
        headers: &HttpHeaders,
        body: &[u8],
    ) -> Result<(), HttpOutputError> {
        let (length, given) = (body.len() as u64, content_length(headers));
        let gain = match given {
            // The length of what the client has.
            None | Some(Some(_)) if start_line.code == StatusCode::NOT_MODIFIED => {
                self.gain(start_line, headers, given.flatten())
            }
            Some(given) if given != Some(length) => Gain::None,
            _ => self.gain(start_line, headers, Some(length)),
        };
        if gain == Gain::None {
            return self.connection.write_response(start_line, headers, body);
        }
        let sent = self.accepted.get() && !self.to_head.get();
        if gain == Gain::Smaller && sent && self.state.borrow().is_none() {
            let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), self.level);
            let compressed = encoder.write_all(body).and_then(|()| encoder.finish());
            // What is compressed already in all but its name gets no smaller.
            if let Some(compressed) = compressed.ok().filter(|compressed| compressed.len() < body.len()) {
                return self.connection.write_response(start_line, &encoded(headers)?, &compressed);
            }
        }
        self.connection.write_response(start_line, &self.uncompressed(headers, gain)?, body)
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>> {
        let flushed = self.connection.poll_flush(cx);
        let is_pending = self.state.borrow().as_ref().is_some_and(|compressor| !compressor.pending.is_empty());
        if !is_pending || !matches!(flushed, Poll::Ready(Ok(()))) {
            return flushed;
        }
        // There is room now.
        match self.with_compressor(|compressor| self.write_pending(compressor)) {
            Some(Err(error)) => Poll::Ready(Err(error)),
            _ => self.connection.poll_flush(cx),
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>> {
        let is_pending = self.state.borrow().as_ref().is_some_and(|compressor| !compressor.pending.is_empty());
        if is_pending { self.poll_flush(cx) } else { self.connection.poll_ready(cx) }
    }

    fn set_close_callback(&self, callback: Option<Box<dyn FnOnce()>>) {
        self.connection.set_close_callback(callback);
    }

    fn set_body_timeout(&self, timeout: Option<Duration>) {
        self.connection.set_body_timeout(timeout);
    }

    fn set_max_body_size(&self, bytes: u64) {
        self.connection.set_max_body_size(bytes);
    }

    fn max_body_size(&self) -> Option<u64> {
        self.connection.max_body_size()
    }

    fn elapsed(&self) -> Duration {
        self.connection.elapsed()
    }

    fn context(&self) -> &RequestContext {
        self.connection.context()
    }

    fn as_any(&self) -> Option<&dyn std::any::Any> {
        self.connection.as_any()
    }
}

/// What the application says about the length: nothing, something that the connection will refuse, or a number.
fn content_length(headers: &HttpHeaders) -> Option<Option<u64>> {
    let mut values = headers.get_list("content-length");
    let value = values.next()?;
    let number = std::str::from_utf8(value).ok().filter(|_| value.iter().all(u8::is_ascii_digit));
    Some(number.and_then(|number| number.parse().ok()).filter(|_| values.next().is_none()))
}

/// The fields of a compressed response.
fn encoded(headers: &HttpHeaders) -> Result<HttpHeaders, HttpOutputError> {
    let mut headers = varying(headers)?;
    headers.set("Content-Encoding", "gzip")?;
    headers.remove("content-length");
    weaken(&mut headers)?;
    Ok(headers)
}

/// The fields, and that others get another response.
fn varying(headers: &HttpHeaders) -> Result<HttpHeaders, HttpOutputError> {
    let mut headers = headers.clone();
    let known = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
    let told = elements(&headers, "vary").any(known);
    if !told {
        headers.add("Vary", "Accept-Encoding")?;
    }
    Ok(headers)
}

/// A strong validator promises the same bytes (RFC 9110, section 8.8.1).
fn weaken(headers: &mut HttpHeaders) -> Result<(), HttpOutputError> {
    if let Some(tag) = headers.get("etag").filter(|tag| tag.starts_with(b"\"")) {
        let weak = [b"W/", tag].concat();
        headers.set("ETag", weak)?;
    }
    Ok(())
}

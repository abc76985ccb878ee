//! Compressed bodies on their way in: Tornado's `_GzipMessageDelegate`.
//!
//! Rules: a body is handed on as it is decompressed, in pieces of a bounded size, and no more of it is decompressed than was
//! handed on; decompressed bytes count against the limit of the body; what is no gzip, or not all of it, is an error before the
//! delegate's `finish`.

use std::io::{ErrorKind, Write};
use std::rc::Rc;

use bytes::Bytes;
use flate2::write::GzDecoder;
use landspout_httputil::{
    BoxError, HttpConnection, HttpHeaders, HttpInputError, HttpMessageDelegate, HttpServerConnectionDelegate,
    ServerConnectionId,
};

use crate::connection::Http1Connection;
use crate::params::Http1ConnectionParameters;
use crate::pump::pause;

/// After so many bytes without a pause the loop's other tasks run. A kilobyte of gzip can be a megabyte of zeros.
const BYTES_PER_POLL: usize = 1024 * 1024;
/// What making a decoder for a member costs, in bytes decompressed meanwhile.
const MEMBER: usize = 32 * 1024;

/// Has a server's compressed requests decompressed before `delegate` sees them: Tornado's `decompress_request`.
///
/// That is what [`Http1ConnectionParameters::decompress`] does, too. See [`GzipMessageDelegate`].
#[derive(Debug)]
pub struct GzipRequests<D> {
    delegate: D,
    chunk_size: usize,
    max_body_size: u64,
}

impl<D> GzipRequests<D> {
    /// Hands decompressed requests to `delegate`, within the limits of `params`.
    pub fn new(delegate: D, params: &Http1ConnectionParameters) -> Self {
        Self { delegate, chunk_size: params.chunk_size, max_body_size: params.limits.max_body_size }
    }
}

impl<D: HttpServerConnectionDelegate> HttpServerConnectionDelegate for GzipRequests<D> {
    type Delegate = GzipMessageDelegate<D::Delegate>;

    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Self::Delegate {
        let delegate = self.delegate.start_request(server_conn, request_conn.clone());
        let delegate = GzipMessageDelegate::new(delegate, self.chunk_size, self.max_body_size);
        GzipMessageDelegate { connection: Some(request_conn), ..delegate }
    }

    fn on_close(&self, server_conn: ServerConnectionId) {
        self.delegate.on_close(server_conn);
    }
}

/// Decompresses a message, if it is one with `Content-Encoding: gzip`, or `x-gzip`, which means the same (RFC 9110, section
/// 8.4.1.3): Tornado's `_GzipMessageDelegate`.
///
/// The delegate finds the field as `X-Consumed-Content-Encoding`. Any other message, one with several codings among them, is handed
/// on as it is. A body may have several members (RFC 1952, section 2.2), or be empty.
///
/// # Errors
/// To what the delegate's own methods fail with come [`HttpInputError::ContentEncoding`] for what is no gzip or not all of it, and
/// [`HttpInputError::BodyTooLarge`].
#[derive(Debug)]
#[doc(alias = "_GzipMessageDelegate")]
pub struct GzipMessageDelegate<D> {
    delegate: D,
    chunk_size: usize,
    max_body_size: u64,
    /// A server's: it may raise the limit for its request, and be done before the message is.
    connection: Option<Rc<dyn HttpConnection>>,
    gunzip: Option<Box<Gunzip>>,
}

impl<D> GzipMessageDelegate<D> {
    /// Hands what is decompressed to `delegate`, in pieces of at most `chunk_size` bytes and at most `max_body_size` of them.
    pub fn new(delegate: D, chunk_size: usize, max_body_size: u64) -> Self {
        Self { delegate, chunk_size: chunk_size.max(1), max_body_size, connection: None, gunzip: None }
    }

    /// The delegate within.
    pub fn into_inner(self) -> D {
        self.delegate
    }

    fn limit(&self) -> u64 {
        let own = self.connection.as_ref().and_then(|connection| connection.max_body_size());
        own.unwrap_or(self.max_body_size)
    }

    /// Whether the application is done with the request, and not interested in the rest of it.
    fn is_answered(&self) -> bool {
        let connection = self.connection.as_ref().and_then(|connection| connection.as_any());
        connection.and_then(|any| any.downcast_ref::<Http1Connection>()).is_some_and(Http1Connection::is_finished)
    }

    /// Hands on what the decoder has ready.
    async fn deliver<S>(&mut self) -> Result<(), BoxError>
    where
        D: HttpMessageDelegate<S>,
    {
        let limit = self.limit();
        let Some(gunzip) = &mut self.gunzip else { return Ok(()) };
        let mut ready = gunzip.take(limit)?;
        let tired = gunzip.is_tired();
        while !ready.is_empty() && !self.is_answered() {
            let piece = ready.split_to(self.chunk_size.min(ready.len()));
            self.delegate.data_received(piece).await?;
        }
        if tired {
            pause().await;
        }
        Ok(())
    }

    /// The body is over.
    async fn end<S>(&mut self) -> Result<(), BoxError>
    where
        D: HttpMessageDelegate<S>,
    {
        if let Some(gunzip) = &mut self.gunzip {
            gunzip.end()?;
            self.deliver().await?;
            self.gunzip = None;
        }
        Ok(())
    }
}

impl<S, D: HttpMessageDelegate<S>> HttpMessageDelegate<S> for GzipMessageDelegate<D> {
    async fn headers_received(&mut self, start_line: S, mut headers: HttpHeaders) -> Result<(), BoxError> {
        // An interim response comes before.
        self.gunzip = None;
        if is_gzip(&headers) {
            self.gunzip = Some(Box::default());
            if let Some(coding) = headers.get("content-encoding").map(<[u8]>::to_vec) {
                headers.set("X-Consumed-Content-Encoding", coding)?;
            }
            headers.remove("content-encoding");
        }
        self.delegate.headers_received(start_line, headers).await
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        if self.gunzip.is_none() {
            return self.delegate.data_received(chunk).await;
        }
        let mut rest = &chunk[..];
        while let Some(gunzip) = self.gunzip.as_mut().filter(|_| !rest.is_empty()) {
            rest = &rest[gunzip.write(rest)?..];
            self.deliver().await?;
        }
        if let Some(gunzip) = &mut self.gunzip {
            gunzip.flush()?;
        }
        self.deliver().await
    }

    async fn trailers_received(&mut self, trailers: HttpHeaders) -> Result<(), BoxError> {
        self.end().await?;
        self.delegate.trailers_received(trailers).await
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.end().await?;
        self.delegate.finish().await
    }

    fn on_connection_close(&mut self) {
        self.delegate.on_connection_close();
    }
}

fn is_gzip(headers: &HttpHeaders) -> bool {
    let mut codings = headers.get_list("content-encoding");
    let coding = codings.next().unwrap_or_default();
    codings.next().is_none() && (coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip"))
}

/// Members of gzip, one after the other.
#[derive(Debug)]
struct Gunzip {
    member: GzDecoder<Vec<u8>>,
    /// Anything came at all.
    begun: bool,
    /// What was decompressed, all in all.
    total: u64,
    /// Since the last pause.
    work: usize,
}

impl Default for Gunzip {
    fn default() -> Self {
        Self { member: GzDecoder::new(Vec::new()), begun: false, total: 0, work: 0 }
    }
}

impl Gunzip {
    /// Decompresses a part of `input`, so much that what comes of it is about 32 KiB at most; says how much that was.
    fn write(&mut self, input: &[u8]) -> Result<usize, HttpInputError> {
        self.begun = true;
        match self.member.write(input).map_err(|error| wrong(&error))? {
            // The member is over; so there is another one.
            0 => {
                self.end()?;
                let ready = std::mem::take(self.member.get_mut());
                self.member = GzDecoder::new(ready);
                self.work += MEMBER;
                match self.member.write(input).map_err(|error| wrong(&error))? {
                    0 => Err(HttpInputError::ContentEncoding("gzip that makes no progress".into())),
                    used => Ok(used),
                }
            }
            used => Ok(used),
        }
    }

    /// Has all that can be known by now ready.
    fn flush(&mut self) -> Result<(), HttpInputError> {
        self.member.flush().map_err(|error| wrong(&error))
    }

    /// Checks that the member is whole, and its checksum.
    fn end(&mut self) -> Result<(), HttpInputError> {
        if self.begun { self.member.try_finish().map_err(|error| wrong(&error)) } else { Ok(()) }
    }

    /// What is ready.
    fn take(&mut self, limit: u64) -> Result<Bytes, HttpInputError> {
        let ready = std::mem::take(self.member.get_mut());
        self.total = self.total.saturating_add(ready.len() as u64);
        self.work += ready.len();
        if self.total > limit { Err(HttpInputError::BodyTooLarge(limit)) } else { Ok(ready.into()) }
    }

    /// Whether it is time to let others work.
    fn is_tired(&mut self) -> bool {
        let tired = self.work >= BYTES_PER_POLL;
        if tired {
            self.work = 0;
        }
        tired
    }
}

#[cold]
fn wrong(error: &std::io::Error) -> HttpInputError {
    HttpInputError::ContentEncoding(match error.kind() {
        ErrorKind::UnexpectedEof => "truncated gzip".into(),
        _ => format!("invalid gzip: {error}").into(),
    })
}

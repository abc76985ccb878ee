//! `HttpServerRequest`: one request as a handler sees it (Tornado's `HTTPServerRequest`).
//!
//! Rules: a request is one pointer, so that handing it on costs nothing; one at a time allocates nothing, since it gets the memory of
//! the one before; what has to be parsed (arguments, forms, cookies) is parsed when it is first asked for and kept; a malformed form
//! is an error of those who ask for it; the debug text shows no headers, which hold secrets.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version};

use crate::body::{Form, ParseBodyConfig, parse_body_arguments};
use crate::context::{Protocol, RequestContext};
use crate::cookie::{Cookies, parse_cookie_into};
use crate::delegate::{HttpConnection, ServerConnectionId};
use crate::error::{HttpInputError, HttpOutputError};
use crate::form::{Arguments, Files, parse_qs_bytes};
use crate::headers::{HttpHeaders, text};
use crate::host::host_name;
use crate::start_line::{RequestStartLine, ResponseStartLine};
use crate::url::split_absolute_form;

/// A request, complete with its body: Tornado's `HTTPServerRequest`.
///
/// Answer it through its [`connection`](Self::connection), or in one go:
///
/// ```
/// use landspout_httputil::{HttpHeaders, HttpOutputError, HttpServerRequest, StatusCode};
///
/// async fn hello(request: HttpServerRequest) -> Result<(), HttpOutputError> {
///     const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
///     request.write_response(StatusCode::OK, &PLAIN, "Hello, World!")
/// }
/// # let _ = hello;
/// ```
#[doc(alias = "HTTPServerRequest")]
#[doc(alias = "HTTPRequest")]
pub struct HttpServerRequest {
    /// There, until the request is dropped.
    memory: Option<Memory>,
}

/// Where a request is. Empty while it waits for one.
type Memory = Box<Option<Parts>>;

struct Parts {
    start_line: RequestStartLine,
    headers: HttpHeaders,
    /// As they were when the request came: the connection forgets them when the exchange is over.
    /// `None`: as the connection itself is.
    proxied: Option<Box<(IpAddr, Protocol)>>,
    connection: Rc<dyn HttpConnection>,
    server_connection: ServerConnectionId,
    /// The body and whatever is parsed on demand.
    rest: OnceCell<Box<Rest>>,
}

#[derive(Default)]
struct Rest {
    body: Bytes,
    query_arguments: OnceCell<Arguments>,
    form: OnceCell<Result<Form, HttpInputError>>,
    /// Of query and form; only made when both have some.
    arguments: OnceCell<Arguments>,
    cookies: OnceCell<Cookies>,
}

impl HttpServerRequest {
    /// A request that came over `connection`, whose context tells the remote address and the protocol.
    ///
    /// `Host` isn't checked here (in Tornado it is): the codec has done that; for a head that comes from elsewhere there is
    /// [`validate_host`](crate::validate_host).
    #[inline(always)]
    pub fn new(
        start_line: RequestStartLine,
        headers: HttpHeaders,
        connection: Rc<dyn HttpConnection>,
        server_connection: ServerConnectionId,
    ) -> Self {
        let context = connection.context();
        let proxied = context.is_overridden().then(|| Box::new((context.remote_ip(), context.protocol())));
        let mut memory = SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default();
        // Made where it is to be, and without a look at what was there: nothing.
        let nothing = memory.replace(Parts {
            start_line,
            headers,
            proxied,
            connection,
            server_connection,
            rest: OnceCell::new(),
        });
        std::mem::forget(nothing);
        Self { memory: Some(memory) }
    }

    /// The same with other header fields; for tests of handlers.
    #[must_use]
    pub fn with_headers(mut self, headers: HttpHeaders) -> Self {
        let body = self.body().clone();
        self.parts_mut().headers = headers;
        self.with_body(body)
    }

    /// The same with another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        let rest = Rest { body: body.into(), ..Rest::default() };
        self.parts_mut().rest = OnceCell::from(Box::new(rest));
        self
    }

    /// The method.
    #[inline]
    pub fn method(&self) -> &Method {
        self.parts().start_line.method()
    }

    /// The request target as it was sent: usually path and query.
    #[inline]
    pub fn uri(&self) -> &str {
        self.parts().start_line.path()
    }

    /// The protocol version.
    #[inline]
    pub fn version(&self) -> Version {
        self.parts().start_line.version()
    }

    /// Method, target and version together.
    #[inline]
    pub fn start_line(&self) -> &RequestStartLine {
        &self.parts().start_line
    }

    /// The header fields.
    #[inline]
    pub fn headers(&self) -> &HttpHeaders {
        &self.parts().headers
    }

    /// The body; empty if there is none.
    #[inline]
    pub fn body(&self) -> &Bytes {
        static EMPTY: Bytes = Bytes::new();
        self.parts().rest.get().map_or(&EMPTY, |rest| &rest.body)
    }

    /// The client's address: the socket's other end, or what a trusted proxy told; `0.0.0.0` on a Unix socket.
    #[inline]
    pub fn remote_ip(&self) -> IpAddr {
        self.parts()
            .proxied
            .as_ref()
            .map_or_else(|| self.parts().connection.context().own_remote_ip(), |proxied| proxied.0)
    }

    /// The protocol that the client speaks: the connection's, or what a trusted proxy told.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.parts()
            .proxied
            .as_ref()
            .map_or_else(|| self.parts().connection.context().own_protocol(), |proxied| proxied.1)
    }

    /// The host the client asked for, with the port if it gave one.
    ///
    /// That is the target's own if it is in absolute form (RFC 9112, section 3.2.2), else the `Host` field, else
    /// `127.0.0.1` (HTTP/1.0 has no `Host`).
    pub fn host(&self) -> &str {
        let authority = match split_absolute_form(self.uri()) {
            // User and password before the `@` are no part of the host.
            Some((_, authority, _)) => Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host)),
            None => self.parts().headers.get("host").and_then(|host| std::str::from_utf8(host).ok()),
        };
        authority.unwrap_or("127.0.0.1")
    }

    /// The host in lower case and without a port.
    pub fn host_name(&self) -> Cow<'_, str> {
        host_name(self.host())
    }

    /// The target's path, not decoded: what is before the first `?`.
    ///
    /// Of a target in absolute form, scheme and host are left out (Tornado keeps them).
    pub fn path(&self) -> &str {
        self.path_and_query().0
    }

    /// The target's query, not decoded: what is behind the first `?`; empty if there is none.
    pub fn query(&self) -> &str {
        self.path_and_query().1
    }

    #[inline]
    fn path_and_query(&self) -> (&str, &str) {
        let uri = self.uri();
        let target = split_absolute_form(uri).map_or(uri, |(_, _, target)| target);
        // Most targets are so short that a search for strings would take longer to begin with.
        let (path, query) = match target.bytes().position(|byte| byte == b'?') {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, ""),
        };
        // `http://host?query`: an empty path is the root (RFC 9110, section 4.2.3).
        (if path.is_empty() { "/" } else { path }, query)
    }

    /// The arguments of the query, parsed at the first call.
    pub fn query_arguments(&self) -> &Arguments {
        self.rest().query_arguments.get_or_init(|| parse_qs_bytes(self.query()))
    }

    /// The arguments of the body, if it is a form; parsed at the first call.
    ///
    /// # Errors
    /// As [`parse_body`](Self::parse_body).
    pub fn body_arguments(&self) -> Result<&Arguments, HttpInputError> {
        self.parse_body().map(|form| &form.arguments)
    }

    /// The arguments of query and body, those of the query first; parsed at the first call.
    ///
    /// # Errors
    /// As [`parse_body`](Self::parse_body).
    pub fn arguments(&self) -> Result<&Arguments, HttpInputError> {
        let (query, form) = (self.query_arguments(), self.body_arguments()?);
        if form.is_empty() {
            return Ok(query);
        }
        if query.is_empty() {
            return Ok(form);
        }
        Ok(self.rest().arguments.get_or_init(|| {
            let mut all = query.clone();
            all.extend(form.iter().map(|(name, value)| (name.to_owned(), value.clone())));
            all
        }))
    }

    /// The files of the body, if it is a form; parsed at the first call.
    ///
    /// # Errors
    /// As [`parse_body`](Self::parse_body).
    pub fn files(&self) -> Result<&Files, HttpInputError> {
        self.parse_body().map(|form| &form.files)
    }

    /// Parses the body as the form that its `Content-Type` says it is, once; any other type gives an empty form.
    ///
    /// Limits are those of [`set_parse_body_config`](crate::set_parse_body_config).
    ///
    /// # Errors
    /// [`HttpInputError`]: the body breaks the format or a limit. Handed on by the handler, it answers 400.
    #[doc(alias = "_parse_body")]
    pub fn parse_body(&self) -> Result<&Form, HttpInputError> {
        self.form_within(ParseBodyConfig::current)
    }

    /// As [`parse_body`](Self::parse_body) with other limits, which have no effect when it was parsed already.
    ///
    /// # Errors
    /// As [`parse_body`](Self::parse_body).
    pub fn parse_body_with(&self, config: &ParseBodyConfig) -> Result<&Form, HttpInputError> {
        self.form_within(|| *config)
    }

    fn form_within(&self, config: impl FnOnce() -> ParseBodyConfig) -> Result<&Form, HttpInputError> {
        let parsed = self.rest().form.get_or_init(|| {
            let content_type = self.parts().headers.get("content-type").unwrap_or_default();
            parse_body_arguments(content_type, self.body(), &self.parts().headers, &config())
        });
        parsed.as_ref().map_err(Clone::clone)
    }

    /// The cookies, parsed at the first call.
    ///
    /// Several `Cookie` fields count as one, put together as RFC 9113, section 8.2.3 says.
    pub fn cookies(&self) -> &Cookies {
        self.rest().cookies.get_or_init(|| {
            let mut cookies = Cookies::new();
            for field in self.parts().headers.get_list("cookie") {
                parse_cookie_into(&mut cookies, &text(field));
            }
            cookies
        })
    }

    /// The URL that the client asked for, put together again.
    pub fn full_url(&self) -> String {
        match split_absolute_form(self.uri()) {
            Some(_) => self.uri().to_owned(),
            None => format!("{}://{}{}", self.protocol(), self.host(), self.uri()),
        }
    }

    /// The time from the request's first byte until now, or until its response was finished.
    pub fn request_time(&self) -> Duration {
        self.parts().connection.elapsed()
    }

    /// The certificate that the client showed, DER-encoded: [`RequestContext::peer_certificate`].
    #[doc(alias = "get_ssl_certificate")]
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.parts().connection.context().peer_certificate()
    }

    /// Where the answer leaves. Clone the handle to answer later, from another task.
    #[inline]
    pub fn connection(&self) -> &Rc<dyn HttpConnection> {
        &self.parts().connection
    }

    /// Which of the server's connections this is.
    #[inline]
    pub fn server_connection(&self) -> ServerConnectionId {
        self.parts().server_connection
    }

    /// Answers with a whole response; `Content-Length` is added. The shortest way and the fastest.
    ///
    /// # Errors
    /// As [`HttpConnection::write_response`]; nothing was queued then.
    #[inline]
    pub fn write_response(
        &self,
        start_line: impl Into<ResponseStartLine>,
        headers: &HttpHeaders,
        body: impl AsRef<[u8]>,
    ) -> Result<(), HttpOutputError> {
        self.parts().connection.write_response(&start_line.into(), headers, body.as_ref())
    }

    #[inline]
    #[expect(clippy::expect_used, reason = "it is only taken away when the request is dropped")]
    fn parts(&self) -> &Parts {
        self.memory.as_deref().and_then(Option::as_ref).expect("a request has its parts")
    }

    #[expect(clippy::expect_used, reason = "likewise")]
    fn parts_mut(&mut self) -> &mut Parts {
        self.memory.as_deref_mut().and_then(Option::as_mut).expect("a request has its parts")
    }

    fn rest(&self) -> &Rest {
        self.parts().rest.get_or_init(Box::default)
    }
}

thread_local! {
    /// The memory of the request that went last, for the next one.
    static SPARE: Cell<Option<Memory>> = const { Cell::new(None) };
}

impl Drop for HttpServerRequest {
    #[inline]
    fn drop(&mut self) {
        let Some(mut memory) = self.memory.take() else { return };
        // First, as foreign code may run here, even something that makes or drops a request.
        *memory = None;
        // Without a thread-local, at the thread's end, there is no next one.
        let _ = SPARE.try_with(|spare| spare.set(Some(memory)));
    }
}

/// A request without headers, body and connection, whatever is written fails with [`HttpOutputError::Closed`]; for tests of
/// handlers.
impl From<RequestStartLine> for HttpServerRequest {
    fn from(start_line: RequestStartLine) -> Self {
        let connection = Rc::new(Disconnected(RequestContext::unix("", Protocol::Http)));
        Self::new(start_line, HttpHeaders::new(), connection, ServerConnectionId::new())
    }
}

impl fmt::Debug for HttpServerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServerRequest")
            .field("protocol", &self.protocol())
            .field("host", &self.host())
            .field("method", self.method())
            .field("uri", &self.uri())
            .field("version", &self.version())
            .field("remote_ip", &self.remote_ip())
            .finish_non_exhaustive()
    }
}

/// The connection of a request that came over none.
struct Disconnected(RequestContext);

impl HttpConnection for Disconnected {
    fn write_headers(&self, _: &ResponseStartLine, _: &HttpHeaders, _: &[u8]) -> Result<(), HttpOutputError> {
        Err(HttpOutputError::Closed)
    }

    fn write(&self, _: &[u8]) -> Result<(), HttpOutputError> {
        Err(HttpOutputError::Closed)
    }

    fn finish(&self) -> Result<(), HttpOutputError> {
        Err(HttpOutputError::Closed)
    }

    fn write_response(&self, _: &ResponseStartLine, _: &HttpHeaders, _: &[u8]) -> Result<(), HttpOutputError> {
        Err(HttpOutputError::Closed)
    }

    fn poll_flush(&self, _: &mut Context<'_>) -> Poll<Result<(), HttpOutputError>> {
        Poll::Ready(Err(HttpOutputError::Closed))
    }

    fn set_close_callback(&self, _: Option<Box<dyn FnOnce()>>) {}

    fn set_body_timeout(&self, _: Option<Duration>) {}

    fn set_max_body_size(&self, _: u64) {}

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn context(&self) -> &RequestContext {
        &self.0
    }
}

//! From and to the `http` crate's types, which routers and middleware of the ecosystem speak.
//!
//! Rules: nothing is lost silently but the case of names and the order of fields of different names, which `HeaderMap` doesn't keep,
//! and a response's reason phrase, for which `http` has no place.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, Uri, request, response};

use crate::error::{HeaderError, HttpInputError, HttpOutputError, shortened};
use crate::headers::HttpHeaders;
use crate::request::HttpServerRequest;
use crate::start_line::{RequestStartLine, ResponseStartLine};

impl TryFrom<&HeaderMap> for HttpHeaders {
    type Error = HeaderError;

    /// # Errors
    /// [`HeaderError::TooLarge`] for more than 4 GiB.
    fn try_from(map: &HeaderMap) -> Result<Self, HeaderError> {
        Self::try_from_iter(map)
    }
}

impl TryFrom<HeaderMap> for HttpHeaders {
    type Error = HeaderError;

    /// # Errors
    /// [`HeaderError::TooLarge`] for more than 4 GiB.
    fn try_from(map: HeaderMap) -> Result<Self, HeaderError> {
        Self::try_from(&map)
    }
}

impl TryFrom<&HttpHeaders> for HeaderMap {
    type Error = HeaderError;

    /// # Errors
    /// [`HeaderError::TooLarge`] for more fields or a longer name than a `HeaderMap` holds (some 24,000 and 64 KiB).
    fn try_from(headers: &HttpHeaders) -> Result<Self, HeaderError> {
        let mut map = Self::new();
        for (name, value) in headers.fields() {
            let name = HeaderName::from_bytes(name).map_err(|_| HeaderError::TooLarge)?;
            let value = HeaderValue::from_bytes(value).map_err(|_| HeaderError::TooLarge)?;
            map.try_append(name, value).map_err(|_| HeaderError::TooLarge)?;
        }
        Ok(map)
    }
}

impl TryFrom<HttpHeaders> for HeaderMap {
    type Error = HeaderError;

    /// # Errors
    /// As from a reference.
    fn try_from(headers: HttpHeaders) -> Result<Self, HeaderError> {
        Self::try_from(&headers)
    }
}

impl RequestStartLine {
    /// This start line and those header fields as the `http` crate has them.
    ///
    /// # Errors
    /// [`HttpInputError::StartLine`] if the target is no [`Uri`], which has fewer characters than a target may have;
    /// [`HttpInputError::Header`] as for a [`HeaderMap`].
    pub fn to_http_parts(&self, headers: &HttpHeaders) -> Result<request::Parts, HttpInputError> {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = self.method().clone();
        parts.uri =
            Uri::try_from(self.path()).map_err(|_| HttpInputError::StartLine(shortened(self.path().as_bytes())))?;
        parts.version = self.version();
        parts.headers = headers.try_into()?;
        Ok(parts)
    }
}

impl From<&request::Parts> for RequestStartLine {
    /// The target has the form that the URI has: a path as a rule; all of it if there is a scheme.
    fn from(parts: &request::Parts) -> Self {
        Self::new(parts.method.clone(), parts.uri.to_string(), parts.version)
    }
}

impl ResponseStartLine {
    /// This start line, without its reason phrase, and those header fields as the `http` crate has them.
    ///
    /// # Errors
    /// [`HeaderError::TooLarge`] as for a [`HeaderMap`].
    pub fn to_http_parts(&self, headers: &HttpHeaders) -> Result<response::Parts, HeaderError> {
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = self.code;
        parts.version = self.version;
        parts.headers = headers.try_into()?;
        Ok(parts)
    }
}

impl From<&response::Parts> for ResponseStartLine {
    /// With the usual reason phrase of the code.
    fn from(parts: &response::Parts) -> Self {
        Self::new(parts.status).with_version(parts.version)
    }
}

impl TryFrom<&HttpServerRequest> for Request<Bytes> {
    type Error = HttpInputError;

    /// The body is shared, not copied. Who sent the request, and the connection to answer on, stay with it.
    ///
    /// # Errors
    /// As [`RequestStartLine::to_http_parts`].
    fn try_from(request: &HttpServerRequest) -> Result<Self, HttpInputError> {
        let parts = request.start_line().to_http_parts(request.headers())?;
        Ok(Self::from_parts(parts, request.body().clone()))
    }
}

/// A request that came over no connection, as from a start line alone; for tests of handlers.
impl<B: Into<Bytes>> TryFrom<Request<B>> for HttpServerRequest {
    type Error = HeaderError;

    /// # Errors
    /// [`HeaderError::TooLarge`] for more than 4 GiB of header fields.
    fn try_from(request: Request<B>) -> Result<Self, HeaderError> {
        let (parts, body) = request.into_parts();
        let headers = HttpHeaders::try_from(&parts.headers)?;
        Ok(Self::from(RequestStartLine::from(&parts)).with_headers(headers).with_body(body))
    }
}

impl HttpServerRequest {
    /// Answers with a response of the `http` crate; `Content-Length` is added.
    ///
    /// ```
    /// use landspout_httputil::{HttpOutputError, HttpServerRequest};
    ///
    /// async fn hello(request: HttpServerRequest) -> Result<(), HttpOutputError> {
    ///     request.write_http_response(&http::Response::new("Hello, World!"))
    /// }
    /// # let _ = hello;
    /// ```
    ///
    /// # Errors
    /// As [`write_response`](Self::write_response); nothing was queued then.
    pub fn write_http_response<B: AsRef<[u8]>>(&self, response: &Response<B>) -> Result<(), HttpOutputError> {
        self.write_response(response.status(), &HttpHeaders::try_from(response.headers())?, response.body())
    }
}

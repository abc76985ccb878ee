//! First lines of messages: `RequestStartLine` and `ResponseStartLine`.
//!
//! Rules: a request's line shares the storage of the request's headers; a response's line allocates only for a reason
//! phrase made at run time; a reason phrase can't contain what would end the line.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use http::{Method, StatusCode, Version};

use crate::block::{Block, RequestLine};
use crate::error::{HttpInputError, HttpOutputError, shortened};
use crate::grammar::{is_field_content, is_token};

/// First line of a request: Tornado's `RequestStartLine(method, path, version)`. A cheap handle.
#[derive(Clone)]
pub struct RequestStartLine {
    block: Rc<Block>,
}

impl RequestStartLine {
    /// A start line of its own.
    pub fn new(method: Method, path: impl AsRef<str>, version: Version) -> Self {
        let mut block = Block::default();
        let path = block.append(path.as_ref().as_bytes());
        block.request_line = RequestLine { method, version, path };
        Self { block: Rc::new(block) }
    }

    /// The one that was noted in the block.
    #[inline]
    pub(crate) fn of_block(block: &Rc<Block>) -> Self {
        Self { block: Rc::clone(block) }
    }

    /// Reads `GET /path HTTP/1.1`, without a line end.
    ///
    /// # Errors
    /// [`HttpInputError::StartLine`] unless there are exactly a token, a target of visible characters and a version
    /// `HTTP/1.x`, with single spaces between them.
    #[doc(alias = "parse_request_start_line")]
    pub fn parse(line: &str) -> Result<Self, HttpInputError> {
        Self::parse_parts(line).ok_or_else(|| HttpInputError::StartLine(shortened(line.as_bytes())))
    }

    fn parse_parts(line: &str) -> Option<Self> {
        let mut parts = line.split(' ');
        let method = parts.next().filter(|method| is_token(method.as_bytes()))?;
        let path = parts.next().filter(|p| !p.is_empty() && p.bytes().all(|b| is_field_content(b) && b != b'\t'))?;
        let version = parse_version(parts.next()?)?;
        if parts.next().is_some() {
            return None;
        }
        Some(Self::new(Method::from_bytes(method.as_bytes()).ok()?, path, version))
    }

    /// The method. Any token is one; case matters (RFC 9110, section 9.1).
    #[inline]
    pub fn method(&self) -> &Method {
        &self.block.request_line.method
    }

    /// The protocol version.
    #[inline]
    pub fn version(&self) -> Version {
        self.block.request_line.version
    }

    /// The request target as it was sent: usually a path, perhaps with `?` and a query.
    #[inline]
    pub fn path(&self) -> &str {
        // Checked when the line was made, so this never falls back.
        std::str::from_utf8(self.block.request_line.path.of(&self.block.bytes)).unwrap_or_default()
    }
}

impl fmt::Display for RequestStartLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.method(), self.path(), self.version())
    }
}

impl fmt::Debug for RequestStartLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestStartLine")
            .field("method", self.method())
            .field("path", &self.path())
            .field("version", &self.version())
            .finish()
    }
}

impl PartialEq for RequestStartLine {
    fn eq(&self, other: &Self) -> bool {
        self.method() == other.method() && self.version() == other.version() && self.path() == other.path()
    }
}

impl Eq for RequestStartLine {}

/// First line of a response: Tornado's `ResponseStartLine(version, code, reason)`.
///
/// ```
/// use landspout_httputil::{ResponseStartLine, StatusCode};
///
/// let line = ResponseStartLine::from(StatusCode::NOT_FOUND);
/// assert_eq!(line.to_string(), "HTTP/1.1 404 Not Found");
/// ```
#[derive(Clone, Debug)]
pub struct ResponseStartLine {
    /// The protocol version. A server connection writes its own, whatever this says.
    pub version: Version,
    /// The status.
    pub code: StatusCode,
    reason: Option<Cow<'static, str>>,
}

impl ResponseStartLine {
    /// A start line of HTTP/1.1 with the usual reason phrase. Allocates nothing.
    #[inline]
    pub const fn new(code: StatusCode) -> Self {
        Self { version: Version::HTTP_11, code, reason: None }
    }

    /// Replaces the version.
    #[inline]
    #[must_use]
    pub const fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Replaces the reason phrase. It may be empty.
    ///
    /// # Errors
    /// [`HttpOutputError::InvalidReason`] when it contains a control character other than tab (RFC 9112, section 4);
    /// otherwise it could split the response.
    pub fn with_reason(mut self, reason: impl Into<Cow<'static, str>>) -> Result<Self, HttpOutputError> {
        let reason = reason.into();
        if !reason.bytes().all(is_field_content) {
            return Err(HttpOutputError::InvalidReason);
        }
        self.reason = Some(reason);
        Ok(self)
    }

    /// Reads `HTTP/1.1 200 OK`, without a line end.
    ///
    /// The reason may be empty. The space before it may be missing too, as many servers leave it out (Tornado refuses
    /// that).
    ///
    /// # Errors
    /// [`HttpInputError::StartLine`] unless version `HTTP/1.x`, a three-digit code of at least 100 and a reason without
    /// control characters follow each other with single spaces between them.
    #[doc(alias = "parse_response_start_line")]
    pub fn parse(line: &str) -> Result<Self, HttpInputError> {
        Self::parse_parts(line).ok_or_else(|| HttpInputError::StartLine(shortened(line.as_bytes())))
    }

    fn parse_parts(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ' ');
        let version = parse_version(parts.next()?)?;
        let code = StatusCode::from_bytes(parts.next()?.as_bytes()).ok()?;
        let reason = parts.next().unwrap_or_default().to_owned();
        Self::new(code).with_version(version).with_reason(reason).ok()
    }

    /// Whether [`reason`](Self::reason) is the usual one of the code, because no other was given.
    #[inline]
    pub const fn has_usual_reason(&self) -> bool {
        self.reason.is_none()
    }

    /// The reason phrase: the one given, else the usual one of the code, else `Unknown`.
    #[inline]
    pub fn reason(&self) -> &str {
        match &self.reason {
            Some(reason) => reason,
            None => self.code.canonical_reason().unwrap_or("Unknown"),
        }
    }
}

impl From<StatusCode> for ResponseStartLine {
    #[inline]
    fn from(code: StatusCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for ResponseStartLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.version, self.code.as_str(), self.reason())
    }
}

impl PartialEq for ResponseStartLine {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.code == other.code && self.reason() == other.reason()
    }
}

impl Eq for ResponseStartLine {}

/// `HTTP/1.x`. Other minor versions of 1 are read as 1.1, the highest that there is (RFC 9110, section 2.5).
fn parse_version(text: &str) -> Option<Version> {
    match text.strip_prefix("HTTP/1.")?.as_bytes() {
        [b'0'] => Some(Version::HTTP_10),
        [b'1'..=b'9'] => Some(Version::HTTP_11),
        _ => None,
    }
}

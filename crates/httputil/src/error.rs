//! What can be wrong: with a field (nobody's fault yet), with what a peer sent, with what the application wants to send.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// What a delegate method may fail with.
///
/// The server answers an error that is an [`HttpInputError`] with its [`status`](HttpInputError::status), any other with
/// 500; once the response's head is out it can only cut the connection.
pub type BoxError = Box<dyn Error>;

/// A header field that can't be: neither read nor written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not a token (RFC 9110, section 5.6.2).
    InvalidName {
        /// The name as it was given.
        name: String,
    },
    /// The value contains a byte that no field value may contain (RFC 9110, section 5.5).
    ///
    /// The value itself is left out, since it may be a secret.
    InvalidValue {
        /// The field's name.
        name: String,
        /// The first byte that is not allowed.
        byte: u8,
        /// Where in the value it stands, counted without leading whitespace.
        position: usize,
    },
    /// A line without a colon.
    NoColon {
        /// The line, shortened.
        line: String,
    },
    /// The first line of a block starts with whitespace, as if it continued another one.
    NothingToContinue,
    /// An entity tag with anything but visible ASCII characters, or with a quote (RFC 9110, section 8.8.3).
    InvalidEntityTag {
        /// The tag, shortened.
        tag: String,
    },
    /// A user name with a colon, or it or the password with control characters (RFC 7617, section 2). They are left out, since
    /// they are secrets.
    InvalidCredentials,
    /// All fields together would exceed 4 GiB, or what the `http` crate's types can hold.
    TooLarge,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName { name } => write!(f, "invalid header field name {name:?}"),
            Self::InvalidValue { name, byte, position } => {
                write!(f, "invalid value of header field {name}: byte {byte:#04x} at position {position}")
            }
            Self::NoColon { line } => write!(f, "no colon in header line {line:?}"),
            Self::NothingToContinue => f.write_str("first header line is a continuation line"),
            Self::InvalidEntityTag { tag } => write!(f, "invalid entity tag {tag:?}"),
            Self::InvalidCredentials => f.write_str("invalid user name or password"),
            Self::TooLarge => f.write_str("header fields too large"),
        }
    }
}

impl Error for HeaderError {}

/// The peer sent something that is no proper HTTP: Tornado's `HTTPInputError`.
///
/// Return it (or let `?` box it) from a delegate method to have the request refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "HTTPInputError")]
pub enum HttpInputError {
    /// A start line that can't be parsed; holds the line, shortened.
    StartLine(String),
    /// A malformed header field.
    Header(HeaderError),
    /// An HTTP/1.1 request without a `Host` field (RFC 9112, section 3.2).
    MissingHost,
    /// More than one `Host` field, or a list in one (RFC 9112, section 3.2).
    MultipleHosts,
    /// A `Host` that is empty or not `uri-host [":" port]`; holds the value, shortened.
    InvalidHost(String),
    /// A `Forwarded` field that breaks the grammar of RFC 7239, section 4; holds the value, shortened.
    InvalidForwarded(String),
    /// A form in a content encoding that nobody undid; holds the encoding.
    UnsupportedContentEncoding(String),
    /// A body of a type that isn't taken here; holds the `Content-Type`.
    UnsupportedMediaType(String),
    /// A body that is no such thing as its `Content-Encoding` says; tells how.
    ContentEncoding(Cow<'static, str>),
    /// A body that is larger than the limit (bytes), which it holds, once it is decompressed.
    BodyTooLarge(u64),
    /// A form with more arguments than the limit, which it holds.
    TooManyArguments(usize),
    /// A `multipart/form-data` content type without a boundary, or with one that can be none.
    NoBoundary,
    /// A multipart body that breaks the format; says how.
    Multipart(MultipartError),
    /// Anything else that an application finds wrong with a request.
    Other(Cow<'static, str>),
}

impl HttpInputError {
    /// An error with the application's own words, which appear in the log.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Other(message.into())
    }

    /// The status that suits as an answer: 400 for most.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge(_) | Self::Multipart(MultipartError::PartTooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for HttpInputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartLine(line) => write!(f, "malformed start line {line:?}"),
            Self::Header(_) => f.write_str("malformed header field"),
            Self::MissingHost => f.write_str("missing Host header"),
            Self::MultipleHosts => f.write_str("multiple Host headers"),
            Self::InvalidHost(host) => write!(f, "invalid Host header {host:?}"),
            Self::InvalidForwarded(value) => write!(f, "malformed Forwarded header {value:?}"),
            Self::UnsupportedContentEncoding(coding) => write!(f, "unsupported Content-Encoding {coding:?} of a form"),
            Self::UnsupportedMediaType(given) => write!(f, "unsupported Content-Type {given:?}"),
            Self::ContentEncoding(how) => f.write_str(how),
            Self::BodyTooLarge(limit) => write!(f, "decompressed body too large (more than {limit} bytes)"),
            Self::TooManyArguments(limit) => write!(f, "too many form arguments (more than {limit})"),
            Self::NoBoundary => f.write_str("multipart boundary not found"),
            Self::Multipart(_) => f.write_str("invalid multipart/form-data"),
            Self::Other(message) => f.write_str(message),
        }
    }
}

impl Error for HttpInputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Header(cause) => Some(cause),
            Self::Multipart(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<HeaderError> for HttpInputError {
    fn from(cause: HeaderError) -> Self {
        Self::Header(cause)
    }
}

impl From<MultipartError> for HttpInputError {
    fn from(cause: MultipartError) -> Self {
        Self::Multipart(cause)
    }
}

/// How a `multipart/form-data` body breaks the format or a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultipartError {
    /// [`ParseMultipartConfig::enabled`](crate::ParseMultipartConfig::enabled) is off.
    Disabled,
    /// No closing delimiter at the start of a line.
    NoFinalBoundary,
    /// More parts than the limit, which it holds.
    TooManyParts(usize),
    /// A part's header block exceeds the limit, which it holds (bytes).
    PartHeaderTooLarge(usize),
    /// A part's content exceeds the limit, which it holds (bytes).
    PartTooLarge(u64),
    /// A delimiter with more whitespace behind it than the limit, which it holds (bytes).
    PaddingTooLong(usize),
    /// A part without the blank line that ends its header block, or without header fields before it.
    MissingPartHeaders,
    /// A part's header block is malformed.
    PartHeader(HeaderError),
    /// A part without `Content-Disposition: form-data`.
    InvalidDisposition,
    /// A `Content-Disposition` without a name.
    MissingName,
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("multipart/form-data parsing is disabled"),
            Self::NoFinalBoundary => f.write_str("no final boundary"),
            Self::TooManyParts(limit) => write!(f, "too many parts (more than {limit})"),
            Self::PartHeaderTooLarge(limit) => write!(f, "part header too large (more than {limit} bytes)"),
            Self::PartTooLarge(limit) => write!(f, "part too large (more than {limit} bytes)"),
            Self::PaddingTooLong(limit) => {
                write!(f, "too much whitespace behind a delimiter (more than {limit} bytes)")
            }
            Self::MissingPartHeaders => f.write_str("part without headers"),
            Self::PartHeader(_) => f.write_str("malformed part header"),
            Self::InvalidDisposition => f.write_str("invalid Content-Disposition"),
            Self::MissingName => f.write_str("Content-Disposition without a name"),
        }
    }
}

impl Error for MultipartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::PartHeader(cause) => Some(cause),
            _ => None,
        }
    }
}

/// The application's output can't be sent: it breaks the framing, or nobody is there any more. Tornado's `HTTPOutputError`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "HTTPOutputError")]
pub enum HttpOutputError {
    /// The connection is closed: the peer left, a limit struck, or the server is shutting down.
    Closed,
    /// The peer doesn't read: what is queued has reached the write buffer's limit, which it holds (bytes). Nothing of this
    /// write was queued; await a flush and try again.
    WriteBufferFull(usize),
    /// The peer didn't take the output within the given time.
    WriteTimeout(Duration),
    /// A second head.
    HeadersAlreadySent,
    /// Body bytes or the end before any head.
    HeadersNotSent,
    /// Something after the end.
    AlreadyFinished,
    /// A body where none may be: in answer to HEAD, or with status 1xx, 204 or 304 (RFC 9110, section 6.4.1); in a request
    /// whose head announced none, or with CONNECT or TRACE.
    BodyNotAllowed,
    /// More body bytes than the `Content-Length` promises.
    BodyTooLong {
        /// What `Content-Length` says.
        content_length: u64,
        /// How many bytes there would be with this write.
        attempted: u64,
    },
    /// The end before as many body bytes as the `Content-Length` promises.
    BodyTooShort {
        /// What `Content-Length` says.
        content_length: u64,
        /// How many bytes were written.
        written: u64,
    },
    /// A `Content-Length` that is no plain decimal number, or several; holds the value, shortened.
    InvalidContentLength(String),
    /// A field of the message framing that belongs to the connection, not to the application, such as
    /// `Transfer-Encoding`; holds its name.
    ReservedHeader(String),
    /// A malformed header field.
    Header(HeaderError),
    /// A reason phrase with control characters (RFC 9112, section 4).
    InvalidReason,
    /// A status that can't be sent here; 101 without an upgrade, for instance.
    InvalidStatus(u16),
    /// A request target with forbidden characters, in none of the four forms, or in one that doesn't go with the method (RFC
    /// 9112, section 3.2); holds it, shortened.
    InvalidTarget(String),
    /// A request without `Host`, with several, with an invalid one, or with another than its target names (RFC 9112, section
    /// 3.2); holds the first, shortened.
    InvalidHost(String),
    /// A request with another expectation than `100-continue`, or with that and no body (RFC 9110, section 10.1.1); holds it,
    /// shortened.
    InvalidExpect(String),
}

impl fmt::Display for HttpOutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closed"),
            Self::WriteBufferFull(limit) => write!(f, "the write buffer is full ({limit} bytes)"),
            Self::WriteTimeout(after) => write!(f, "the peer did not take the output within {after:?}"),
            Self::HeadersAlreadySent => f.write_str("the headers were sent already"),
            Self::HeadersNotSent => f.write_str("no headers were sent yet"),
            Self::AlreadyFinished => f.write_str("the message was finished already"),
            Self::BodyNotAllowed => f.write_str("this message can't have a body"),
            Self::BodyTooLong { content_length, attempted } => {
                write!(f, "tried to write {attempted} bytes, more than the Content-Length {content_length}")
            }
            Self::BodyTooShort { content_length, written } => {
                write!(f, "wrote {written} bytes, fewer than the Content-Length {content_length}")
            }
            Self::InvalidContentLength(value) => write!(f, "invalid Content-Length {value:?}"),
            Self::ReservedHeader(name) => write!(f, "header field {name} is set by the connection itself"),
            Self::Header(_) => f.write_str("malformed header field"),
            Self::InvalidReason => f.write_str("invalid reason phrase"),
            Self::InvalidStatus(code) => write!(f, "status {code} can't be sent here"),
            Self::InvalidTarget(target) => write!(f, "invalid request target {target:?}"),
            Self::InvalidHost(host) => write!(f, "a request needs one valid Host, not {host:?}"),
            Self::InvalidExpect(value) => write!(f, "the expectation {value:?} can't be sent here"),
        }
    }
}

impl Error for HttpOutputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Header(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<HeaderError> for HttpOutputError {
    fn from(cause: HeaderError) -> Self {
        Self::Header(cause)
    }
}

/// At most 80 characters of what a peer sent, fit for an error message: control characters are escaped when it is shown.
pub(crate) fn shortened(bytes: &[u8]) -> String {
    const MAX: usize = 80;
    let mut text: String = bytes.iter().take(MAX).copied().map(char::from).collect();
    if bytes.len() > MAX {
        text.push('…');
    }
    text
}

//! What can be wrong with bytes that a peer sent, and the status that tells the peer.
//!
//! Rules: one variant for each rule that was broken, with the value that broke it (shortened, and never the value of a
//! header field that may be a secret); every variant knows its status.

use std::error::Error;
use std::fmt;

use landspout_httputil::StatusCode;

/// The peer sent something that is no proper HTTP/1, or more than a limit allows.
///
/// It is final: a server answers with [`status`](Self::status) and `Connection: close`, if no answer is out yet, and closes; a
/// client closes. Nothing that follows on the connection can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A line that ends with LF alone (RFC 9112, section 2.2).
    BareLineFeed,
    /// A CR without LF behind it (RFC 9112, section 2.2).
    BareCarriageReturn,
    /// NUL, DEL or another control character where none may be (RFC 9110, section 5.5).
    ControlCharacter(u8),
    /// More than one empty line before a request (RFC 9112, section 2.2).
    EmptyLines,
    /// A first line that isn't method, target and version with single spaces between them (RFC 9112, section 3).
    RequestLine(String),
    /// A first line that isn't version, status and reason with single spaces between them (RFC 9112, section 4).
    StatusLine(String),
    /// A method that is no token (RFC 9110, section 9.1).
    Method(String),
    /// A target with forbidden characters, in none of the four forms, or in one that doesn't go with the method (RFC 9112,
    /// section 3.2).
    Target(String),
    /// Something else than `HTTP/` digit `.` digit (RFC 9112, section 2.3).
    Version(String),
    /// A version that is not HTTP/1 (RFC 9110, section 15.6.6).
    UnsupportedVersion(String),
    /// The first line is longer than this limit (RFC 9112, section 3).
    StartLineTooLong(usize),
    /// The head is longer than this limit, or the interim responses to one request are.
    HeadTooLarge(usize),
    /// A field is longer than this limit.
    FieldTooLong(usize),
    /// More fields than this limit.
    TooManyFields(usize),
    /// A field line without a colon.
    NoColon(String),
    /// A field name that is no token: empty, or with whitespace before the colon, above all (RFC 9112, section 5.1).
    FieldName(String),
    /// A field that goes on in the next line (RFC 9112, section 5.2).
    ObsoleteFolding,
    /// No `Host` in an HTTP/1.1 request (RFC 9112, section 3.2).
    MissingHost,
    /// Several `Host` fields (RFC 9112, section 3.2).
    MultipleHosts,
    /// A `Host` that is empty or not `uri-host [":" port]` (RFC 9110, section 7.2).
    InvalidHost(String),
    /// A `Content-Length` that is no plain decimal number, doesn't fit into 64 bits, or contradicts another one (RFC 9110,
    /// section 8.6).
    ContentLength(String),
    /// A `Transfer-Encoding` that doesn't end with `chunked`, names it twice, or is no list of codings (RFC 9112,
    /// sections 6.1 and 6.3).
    TransferEncoding(String),
    /// A `Transfer-Encoding` in an HTTP/1.0 request (RFC 9112, section 6.1).
    TransferEncodingInHttp10,
    /// A transfer coding besides `chunked` (RFC 9112, section 6.1).
    UnsupportedTransferCoding(String),
    /// Both `Transfer-Encoding` and `Content-Length` (RFC 9112, section 6.1).
    AmbiguousLength,
    /// A body where none may be: in a CONNECT or TRACE request (RFC 9110, sections 9.3.6 and 9.3.8), announced by a response
    /// 1xx or 204 (RFC 9110, section 8.6; RFC 9112, section 6.1).
    BodyNotAllowed,
    /// A 101 that nobody asked for, or that doesn't say to which protocol (RFC 9110, section 15.2.2).
    UnexpectedSwitch,
    /// Bytes from a server that owes no response (RFC 9112, section 9.2).
    Unsolicited,
    /// An `Expect` that is not `100-continue` (RFC 9110, section 10.1.1).
    Expectation(String),
    /// The body is longer than this limit.
    BodyTooLarge(u64),
    /// A chunk's line whose size is missing, not hexadecimal, or doesn't fit into 64 bits; holds the first byte that is
    /// wrong (RFC 9112, section 7.1).
    ChunkSize(u8),
    /// A chunk extension that doesn't follow the grammar; holds the first byte that is wrong (RFC 9112, section 7.1.1).
    ChunkExtension(u8),
    /// A chunk's line, or the extensions of all chunks, exceed this limit.
    ChunkLineTooLong(usize),
    /// A chunk that isn't followed by CRLF; holds the byte that came instead (RFC 9112, section 7.1).
    ChunkEnd(u8),
    /// The trailer section is longer than this limit.
    TrailersTooLarge(usize),
    /// A trailer field that would change framing or routing (RFC 9110, section 6.5.1); holds its name.
    ForbiddenTrailer(String),
    /// The connection ended in the middle of a message (RFC 9112, section 8).
    Truncated,
}

impl DecodeError {
    /// The status to answer a faulty request with. A gateway answers a faulty *response* with 502, whatever this says.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::StartLineTooLong(_) => StatusCode::URI_TOO_LONG,
            Self::Expectation(_) => StatusCode::EXPECTATION_FAILED,
            Self::HeadTooLarge(_) | Self::FieldTooLong(_) | Self::TooManyFields(_) | Self::TrailersTooLarge(_) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::UnsupportedTransferCoding(_) => StatusCode::NOT_IMPLEMENTED,
            Self::UnsupportedVersion(_) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BareLineFeed => f.write_str("a line ends with LF instead of CRLF"),
            Self::BareCarriageReturn => f.write_str("CR without LF"),
            Self::ControlCharacter(byte) => write!(f, "control character {byte:#04x}"),
            Self::EmptyLines => f.write_str("more than one empty line before the request line"),
            Self::RequestLine(line) => write!(f, "malformed request line {line:?}"),
            Self::StatusLine(line) => write!(f, "malformed status line {line:?}"),
            Self::Method(method) => write!(f, "invalid method {method:?}"),
            Self::Target(target) => write!(f, "invalid request target {target:?}"),
            Self::Version(version) => write!(f, "malformed HTTP version {version:?}"),
            Self::UnsupportedVersion(version) => write!(f, "unsupported HTTP version {version:?}"),
            Self::StartLineTooLong(limit) => write!(f, "first line too long (more than {limit} bytes)"),
            Self::HeadTooLarge(limit) => write!(f, "message head too large (more than {limit} bytes)"),
            Self::FieldTooLong(limit) => write!(f, "header field too long (more than {limit} bytes)"),
            Self::TooManyFields(limit) => write!(f, "too many header fields (more than {limit})"),
            Self::NoColon(line) => write!(f, "no colon in header line {line:?}"),
            Self::FieldName(name) => write!(f, "invalid header field name {name:?}"),
            Self::ObsoleteFolding => f.write_str("header field continued in the next line"),
            Self::MissingHost => f.write_str("missing Host header"),
            Self::MultipleHosts => f.write_str("multiple Host headers"),
            Self::InvalidHost(host) => write!(f, "invalid Host header {host:?}"),
            Self::ContentLength(value) => write!(f, "invalid Content-Length {value:?}"),
            Self::TransferEncoding(value) => write!(f, "invalid Transfer-Encoding {value:?}"),
            Self::TransferEncodingInHttp10 => f.write_str("Transfer-Encoding in an HTTP/1.0 message"),
            Self::UnsupportedTransferCoding(value) => write!(f, "unsupported Transfer-Encoding {value:?}"),
            Self::AmbiguousLength => f.write_str("both Transfer-Encoding and Content-Length"),
            Self::BodyNotAllowed => f.write_str("a body where none may be"),
            Self::UnexpectedSwitch => f.write_str("101 without an offer to switch protocols"),
            Self::Unsolicited => f.write_str("bytes from a server that owes no response"),
            Self::Expectation(value) => write!(f, "unknown expectation {value:?}"),
            Self::BodyTooLarge(limit) => write!(f, "body too large (more than {limit} bytes)"),
            Self::ChunkSize(byte) => write!(f, "invalid chunk size at byte {byte:#04x}"),
            Self::ChunkExtension(byte) => write!(f, "invalid chunk extension at byte {byte:#04x}"),
            Self::ChunkLineTooLong(limit) => write!(f, "chunk extensions too long (more than {limit} bytes)"),
            Self::ChunkEnd(byte) => write!(f, "byte {byte:#04x} instead of the line end behind a chunk"),
            Self::TrailersTooLarge(limit) => write!(f, "trailer section too large (more than {limit} bytes)"),
            Self::ForbiddenTrailer(name) => write!(f, "field {name:?} in the trailer section"),
            Self::Truncated => f.write_str("connection closed in the middle of a message"),
        }
    }
}

impl Error for DecodeError {}

/// At most 80 characters of what a peer sent; control characters are escaped when it is shown.
#[cold]
pub(crate) fn shortened(bytes: &[u8]) -> String {
    const MAX: usize = 80;
    let mut text: String = bytes.iter().take(MAX).copied().map(char::from).collect();
    if bytes.len() > MAX {
        text.push('…');
    }
    text
}

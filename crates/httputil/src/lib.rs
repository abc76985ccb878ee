//! The vocabulary of HTTP (Tornado's `httputil`): headers, start lines, requests, the delegate traits, and what requests
//! carry: queries, forms, uploads, cookies, ranges, dates.
//!
//! There is no socket, no loop and no clock in here. Use it by itself to parse forms, cookies or `Range` fields, or to write
//! something that any Landspout server can drive.
//!
//! | you want | look at |
//! |---|---|
//! | header fields | [`HttpHeaders`] |
//! | a request in a handler | [`HttpServerRequest`] |
//! | to take messages as they arrive | [`HttpMessageDelegate`], [`HttpServerConnectionDelegate`], [`DynMessageDelegate`] |
//! | to answer | [`HttpConnection`], [`ResponseStartLine`] |
//! | to know who is there | [`RequestContext`] |
//! | forms and uploads | [`parse_body_arguments`], [`parse_multipart_form_data`], [`parse_qs_bytes`] |
//! | uploads that don't fit into memory | [`MultipartReceiver`], [`MultipartDelegate`]; [`MultipartParser`], which does no I/O |
//! | names of files that others choose | [`harmless_filename`], [`path_beneath`] |
//! | conditional requests and ranges | [`evaluate_preconditions`], [`select_range`], [`EntityTag`] |
//! | cookies, dates, URLs | [`parse_cookie`], [`format_timestamp`], [`parse_http_date`], [`url_concat`] |
//! | to know what proxies say | [`parse_forwarded`] (RFC 7239) |
//! | to check what others send | [`validate_host`], [`is_token`], [`is_field_value`] |
//!
//! `Method`, `StatusCode` and `Version` are the [`http`] crate's; headers, start lines and requests convert from and to its types.
//!
//! ```
//! use landspout_httputil::{HttpHeaders, HttpServerRequest, Method, RequestStartLine, Version};
//!
//! // As a server makes it; here for a test of a handler.
//! let request = HttpServerRequest::from(RequestStartLine::new(Method::GET, "/search?q=ripe+figs", Version::HTTP_11))
//!     .with_headers(HttpHeaders::from_static(&[("Host", "Example.com:8888"), ("Cookie", "user=ada")]));
//! assert_eq!(request.path(), "/search");
//! assert_eq!(request.arguments()?.get("q"), Some(&b"ripe figs".to_vec()));
//! assert_eq!(request.host_name(), "example.com");
//! assert_eq!(request.cookies()["user"], "ada");
//! # Ok::<(), landspout_httputil::HttpInputError>(())
//! ```
//!
//! # Costs
//!
//! Parsers take time linear in their input, whatever is in it. A request and its headers are handles to one recycled block;
//! making, cloning and moving them allocates nothing, nor does `HttpHeaders::from_static`. Arguments, forms and cookies are
//! parsed when they are first asked for.
//!
//! # Differences from Tornado
//!
//! Headers:
//! - Names keep the case they came in; Tornado rewrites them to `Capital-Lower`. Lookups have no case in both
//!   (RFC 9110, section 5.1).
//! - Values are bytes. [`get_text`](HttpHeaders::get_text) gives what `headers[name]` gives, Latin-1 and joined.
//! - [`set`](HttpHeaders::set) checks the value as `add` does; Tornado's `headers[name] = value` lets a line break through
//!   (RFC 9110, section 5.5). Removing a field right after adding it twice works.
//! - Debug output hides credentials.
//! - Start lines take `HTTP/1.x` with a single digit and nothing else; a status line may end right after its code, as many
//!   servers' do (RFC 9112, section 4, asks for the space, and most clients don't).
//!
//! Host (RFC 9112, section 3.2; RFC 9110, section 7.2):
//! - It is checked by the codec, so also for those who use the delegates directly; Tornado checks in `HTTPServerRequest`.
//! - An empty `Host`, a port above 65535 and brackets around anything but an IP address are refused.
//! - A target in absolute form replaces `Host`, and [`path`](HttpServerRequest::path) leaves its scheme and host out
//!   (RFC 9112, section 3.2.2).
//! - [`split_host_and_port`] leaves `::1` whole (Tornado: `:` and 1).
//!
//! Requests:
//! - Forms are parsed when someone asks, and only then a malformed one is an error; Tornado parses every form at once.
//! - `remote_ip` is an [`IpAddr`](std::net::IpAddr), so it has no IPv6 zone.
//! - Names of arguments are UTF-8, and Latin-1 only where that fails (WHATWG URL, section 5.1); Tornado reads those of
//!   queries and urlencoded forms as Latin-1 always, those of multipart forms as UTF-8. Cookies likewise.
//! - Several `Cookie` fields are joined by `; ` (RFC 9113, section 8.2.3), not by a comma.
//!
//! Forms (RFC 2046, section 5.1.1; RFC 7578):
//! - Media types have no case (RFC 9110, section 8.3.1) and have to match as a whole, and parameters of the content type may be quoted.
//! - Forms that don't fit into memory can be taken part by part, through a [`MultipartDelegate`]; Tornado has nothing like it. The
//!   function for whole forms is built on the same parser.
//! - A preamble is ignored; Tornado takes it for a part, so that a body may lack its first delimiter.
//! - Delimiters count only at the start of a line. The first closing one ends the form; Tornado looks for the last.
//! - A part with header fields and no content may lack the line break of the content it hasn't; more than 998 bytes of whitespace
//!   behind a delimiter are refused.
//! - `max_parts` lets that many parts through; Tornado one fewer. [`max_part_size`](ParseMultipartConfig::max_part_size) is new.
//! - A part with two names, two file names or two `Content-Disposition` fields is refused, as two readers could take
//!   different ones.
//! - An urlencoded form has at most 10,000 arguments ([`ParseBodyConfig::max_arguments`]); Tornado knows no limit.
//! - Continued parameters (`filename*0=`, RFC 2231) are not put together: RFC 7578, section 4.2, has no room for them.
//!
//! The rest:
//! - `bytes=5-2` is no range (RFC 9110, section 14.1.1); Tornado hands it on. The unit has no case.
//! - Conditional requests are evaluated as a whole, in the order of RFC 9110, section 13.2.2; Tornado's handlers know `If-None-Match` and
//!   `If-Modified-Since`.
//! - [`encode_username_password`] refuses what a server would read otherwise (RFC 7617, section 2), and doesn't normalise text.
//! - Broken-down and zoned times are not known here: [`format_timestamp`] takes a `SystemTime`, [`format_unix_timestamp`] seconds.
//! - Pickling and the deprecated arguments of `HTTPServerRequest` have no counterpart.
#![forbid(unsafe_code)]

mod block;
mod body;
mod conditional;
mod context;
mod cookie;
mod credentials;
mod date;
mod delegate;
mod dyn_delegate;
mod error;
mod etag;
mod filename;
mod form;
mod forwarded;
mod grammar;
mod header_params;
mod header_text;
mod headers;
mod host;
mod http_types;
mod multipart;
mod range;
mod request;
mod start_line;
mod url;

pub use body::{Form, ParseBodyConfig, parse_body_arguments, set_parse_body_config};
pub use bytes::Bytes;
pub use conditional::{Precondition, RangeSelection, Validators, evaluate_preconditions, select_range};
pub use context::{Protocol, RequestContext};
pub use cookie::{Cookies, parse_cookie, unquote_cookie};
pub use credentials::encode_username_password;
pub use date::{format_timestamp, format_unix_timestamp, imf_fixdate, parse_http_date};
pub use delegate::{
    Flush, HttpConnection, HttpMessageDelegate, HttpServerConnectionDelegate, ServerConnectionId, WriteReady,
};
pub use dyn_delegate::DynMessageDelegate;
pub use error::{BoxError, HeaderError, HttpInputError, HttpOutputError, MultipartError};
pub use etag::EntityTag;
pub use filename::{harmless_filename, path_beneath};
pub use form::{Arguments, Files, FormMap, HttpFile, parse_qs_bytes};
pub use forwarded::{ForwardedElement, ForwardedName, ForwardedNode, ForwardedPort, parse_forwarded};
pub use grammar::{is_field_content, is_field_value, is_token, trim_ows};
pub use header_params::{ParsedHeader, encode_header, parse_header};
pub use headers::{Fields, HeaderIndex, HttpHeaders, Iter};
pub use host::{is_valid_host, split_host_and_port, validate_host};
pub use http::{Method, StatusCode, Version};
pub use multipart::{
    MultipartDelegate, MultipartEvent, MultipartParser, MultipartPart, MultipartReceiver, ParseMultipartConfig,
    parse_multipart_form_data,
};
pub use range::{RequestRange, get_content_range, parse_request_range};
pub use request::HttpServerRequest;
pub use start_line::{RequestStartLine, ResponseStartLine};
pub use url::{split_absolute_form, url_concat};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

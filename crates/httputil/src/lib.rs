//! The vocabulary of HTTP (Tornado's httputil): headers, start lines, requests, delegates, form parsing
#![forbid(unsafe_code)]

mod block;
mod context;
mod delegate;
mod error;
mod grammar;
mod header_text;
mod headers;
mod host;
mod start_line;

pub use bytes::Bytes;
pub use context::{Protocol, RequestContext};
pub use delegate::{Flush, HttpConnection, HttpMessageDelegate, HttpServerConnectionDelegate, ServerConnectionId};
pub use error::{BoxError, HeaderError, HttpInputError, HttpOutputError, MultipartError};
pub use grammar::{is_field_content, is_field_value, is_token, trim_ows};
pub use headers::{Fields, HeaderIndex, HttpHeaders, Iter};
pub use host::{is_valid_host, split_host_and_port, validate_host};
pub use http::{Method, StatusCode, Version};
pub use start_line::{RequestStartLine, ResponseStartLine};

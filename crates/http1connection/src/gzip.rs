//! gzip (RFC 1952) of requests and responses, as delegates around a delegate.

mod compress;
mod decompress;
mod negotiate;

pub use compress::{CompressingDelegate, GzipContentEncoding};
pub use decompress::{GzipMessageDelegate, GzipRequests};

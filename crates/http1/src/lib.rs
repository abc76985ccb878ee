//! A strict sans-IO HTTP/1 codec: bytes in, events out; events in, bytes out
#![forbid(unsafe_code)]

mod chunked;
mod decoder;
mod encoder;
mod error;
mod event;
mod first_sight;
mod framing;
mod head;
mod limits;
mod request_line;
mod scan;

pub use decoder::RequestDecoder;
pub use encoder::{Framed, ResponseEncoder};
pub use error::DecodeError;
pub use event::{Decoded, Event, RequestHead};
pub use framing::BodyLength;
pub use landspout_httputil::HttpOutputError;
pub use limits::Limits;
pub use request_line::TargetForm;

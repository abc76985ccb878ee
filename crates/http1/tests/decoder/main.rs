//! Tables of bytes and the events that they must give, however the bytes are cut.

#[path = "../common/random.rs"]
mod common;

mod chunked;
mod fields;
mod framing;
mod harness;
mod limits;
mod random;
mod request_line;
mod sequences;

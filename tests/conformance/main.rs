//! Bytes that clients, proxies and attackers send, and what `http_playground` makes of them: [README.md](README.md).

#[path = "../../crates/http1/tests/common/random.rs"]
mod random;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod chunks;
mod connection;
mod content_length;
mod differential;
mod ending;
mod expect;
mod fields;
mod harness;
mod hosts;
mod limits;
mod methods;
mod pipelining;
mod request_line;
mod smuggling;
mod targets;
mod trailers;
mod transfer_encoding;

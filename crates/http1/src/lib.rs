//! A strict sans-IO HTTP/1 codec: bytes in, events out; events in, bytes out
#![forbid(unsafe_code)]

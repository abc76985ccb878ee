//! Buffered, cancel-safe, non-blocking streams (Tornado's iostream) over TCP, Unix sockets and pipes
#![forbid(unsafe_code)]

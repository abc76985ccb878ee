//! An HTTP/1.1 server made of Tornado's delegate chain (Tornado's httpserver)
#![forbid(unsafe_code)]

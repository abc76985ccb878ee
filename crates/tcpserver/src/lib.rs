//! A TCP server with Tornado's three start patterns, and one loop per thread (Tornado's tcpserver)
#![forbid(unsafe_code)]

//! The vocabulary of HTTP (Tornado's httputil): headers, start lines, requests, delegates, form parsing
#![forbid(unsafe_code)]

//! `Http1ConnectionParameters`: what is configured for every connection of a server.

use std::time::Duration;

use landspout_http1::Limits;

/// The settings of HTTP/1 connections: Tornado's `HTTP1ConnectionParameters`.
///
/// ```
/// use landspout_http1connection::Http1ConnectionParameters;
/// use std::time::Duration;
///
/// let params = Http1ConnectionParameters { header_timeout: Some(Duration::from_secs(60)), ..Default::default() };
/// assert_eq!(params.limits.max_header_size, 65_536);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "HTTP1ConnectionParameters")]
pub struct Http1ConnectionParameters {
    /// Close after each response. Default: no.
    pub no_keep_alive: bool,
    /// The largest piece of a body that a delegate gets at once, in bytes. Default 65,536, as in Tornado.
    pub chunk_size: usize,
    /// How long a connection may stay silent before a request, the request's head included. Default: no limit, as in
    /// Tornado; `HttpServer` sets an hour.
    pub header_timeout: Option<Duration>,
    /// How long the body of a request may take. Default: no limit, as in Tornado.
    pub body_timeout: Option<Duration>,
    /// What a request may consist of: `max_header_size`, `max_body_size` and the rest.
    pub limits: Limits,
}

impl Default for Http1ConnectionParameters {
    fn default() -> Self {
        Self {
            no_keep_alive: false,
            chunk_size: 64 * 1024,
            header_timeout: None,
            body_timeout: None,
            limits: Limits::default(),
        }
    }
}

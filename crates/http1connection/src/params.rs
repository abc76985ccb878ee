//! `Http1ConnectionParameters`: what is configured for every connection of a server.

use std::time::Duration;

use landspout_http1::Limits;

/// The settings of HTTP/1 connections: Tornado's `HTTP1ConnectionParameters`, and limits that it doesn't know.
///
/// By default there is no limit of time here, as in Tornado; `HttpServer` sets some. For each of them `None` and zero mean that
/// there is none.
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
    /// How many requests a connection may bring; the last answer says `Connection: close`. Default, `None` and 0: no limit.
    pub max_requests: Option<u32>,
    /// The largest piece of a body that a delegate gets at once, in bytes. Default 65,536, as in Tornado.
    pub chunk_size: usize,
    /// How long a new connection may stay silent, a handshake of TLS included. It is closed without a word then.
    pub first_byte_timeout: Option<Duration>,
    /// How long a connection may stay silent before a request, the request's head included: Tornado's limit for both. On a
    /// new connection for which `first_byte_timeout` is set it counts from the first byte. A silent connection is closed without a
    /// word, one in the middle of a head gets 408.
    pub header_timeout: Option<Duration>,
    /// How long a request's head may take from its first byte to its last. Answered with 408.
    pub head_timeout: Option<Duration>,
    /// How long the body of a request may take as a whole, the application's time for its pieces included. Answered with 408. A
    /// delegate may set another one for its request.
    pub body_timeout: Option<Duration>,
    /// How fast a body has to come at least, in bytes per second; 0 for as slowly as it likes. A body that falls behind is answered
    /// with 408. See [`body_rate_grace`](Self::body_rate_grace).
    pub min_body_rate: u32,
    /// How far a body may fall behind `min_body_rate`, and so for how long it may pause. While the application is busy with a
    /// piece, no time passes. Default 60 s.
    pub body_rate_grace: Duration,
    /// Decompress requests: see [`GzipMessageDelegate`](crate::GzipMessageDelegate). A client's responses are wrapped by hand. Default: no.
    #[cfg(feature = "gzip")]
    pub decompress: bool,
    /// What a request may consist of: `max_header_size`, `max_body_size` and the rest.
    pub limits: Limits,
}

impl Default for Http1ConnectionParameters {
    fn default() -> Self {
        Self {
            no_keep_alive: false,
            max_requests: None,
            chunk_size: 64 * 1024,
            first_byte_timeout: None,
            header_timeout: None,
            head_timeout: None,
            body_timeout: None,
            min_body_rate: 0,
            // nginx waits as long for more of a body (`client_body_timeout`).
            body_rate_grace: Duration::from_secs(60),
            #[cfg(feature = "gzip")]
            decompress: false,
            limits: Limits::default(),
        }
    }
}

impl Http1ConnectionParameters {
    /// With one way to say that there is no limit.
    pub(crate) fn normalized(mut self) -> Self {
        for timeout in
            [&mut self.first_byte_timeout, &mut self.header_timeout, &mut self.head_timeout, &mut self.body_timeout]
        {
            *timeout = timeout.filter(|timeout| !timeout.is_zero());
        }
        self
    }

    /// How many requests a connection may bring. The most that can be counted is as good as any number.
    pub(crate) fn requests(&self) -> u32 {
        match self.max_requests {
            _ if self.no_keep_alive => 1,
            None | Some(0) => u32::MAX,
            Some(limit) => limit,
        }
    }
}

//! `HttpServer` and its options.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use landspout_http1connection::{
    ErrorResponse, Http1ConnectionParameters, Http1ServerConnection, Http1Service, Limits, Refusal,
};
use landspout_httputil::{HttpServerConnectionDelegate, HttpServerRequest, Protocol, RequestContext};
use landspout_iostream::IoStream;
use landspout_netutil::{BindOptions, IpNetwork, Listener, PeerAddress};
#[cfg(feature = "tls")]
use landspout_netutil::{ReloadableServerConfig, TlsError};
use landspout_process::ForkOptions;
use landspout_tcpserver::{ConnectionCounts, ProxyProtocol, ServerError, TcpServer, TcpServerOptions};

use crate::adapter::{CallbackDelegate, CallbackResult, ServerDelegate, XHeadersDelegate};
use crate::live::{Drained, LiveConnections};
use crate::xheaders::{Believer, XHeaders};

/// How long a connection may be idle, unless told otherwise. Tornado's hour.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long a new connection may be silent, and how long a head may take: nginx's `client_header_timeout`, which is for both; also
/// Node.js' `headersTimeout`.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// The least pace of a body, in bytes per second: Kestrel's `MinRequestBodyDataRate`.
const MIN_BODY_RATE: u32 = 240;
/// How far it may fall behind: nginx's `client_body_timeout`.
const BODY_RATE_GRACE: Duration = Duration::from_secs(60);
/// How long a client may take nothing of an answer: nginx's `send_timeout`.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// The settings of an [`HttpServer`]: the arguments of Tornado's `HTTPServer`, with its names and defaults, and limits that it
/// doesn't know, with defaults that a server on the open network can keep.
///
/// ```
/// use landspout_httpserver::{HttpServer, HttpServerOptions, HttpServerRequest};
/// use std::time::Duration;
///
/// let server: HttpServer = HttpServerOptions::new()
///     .max_body_size(1 << 20)
///     .idle_connection_timeout(Duration::from_secs(60))
///     .callback(async |request: HttpServerRequest| {
///         request.write_response(landspout_httpserver::StatusCode::OK, &Default::default(), "Hello")
///     });
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing until they make a server"]
pub struct HttpServerOptions {
    params: Http1ConnectionParameters,
    tcp: TcpServerOptions,
    xheaders: XHeaders,
    trusted_downstream: Vec<IpNetwork>,
    protocol: Option<Protocol>,
    /// Serves TLS.
    secure: bool,
    error_response: Option<ErrorHook>,
    #[cfg(feature = "gzip")]
    compress_response: bool,
}

/// What makes answers of errors. `Send` with the options, of which each thread makes a server of its own.
#[derive(Clone)]
struct ErrorHook(Arc<dyn Fn(&Refusal<'_>) -> ErrorResponse + Send + Sync>);

impl fmt::Debug for ErrorHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorHook")
    }
}

impl Default for HttpServerOptions {
    fn default() -> Self {
        let params = Http1ConnectionParameters {
            header_timeout: Some(IDLE_CONNECTION_TIMEOUT),
            first_byte_timeout: Some(FIRST_BYTE_TIMEOUT),
            head_timeout: Some(HEAD_TIMEOUT),
            min_body_rate: MIN_BODY_RATE,
            body_rate_grace: BODY_RATE_GRACE,
            ..Http1ConnectionParameters::default()
        };
        Self {
            params,
            tcp: TcpServerOptions::new().send_timeout(SEND_TIMEOUT).nodelay(true),
            secure: false,
            error_response: None,
            #[cfg(feature = "gzip")]
            compress_response: false,
            xheaders: XHeaders::off(),
            trusted_downstream: Vec::new(),
            protocol: None,
        }
    }
}

impl HttpServerOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Close each connection after one response. Default: keep it.
    pub fn no_keep_alive(mut self, close: bool) -> Self {
        self.params.no_keep_alive = close;
        self
    }

    /// Decompress the bodies of requests with `Content-Encoding: gzip`. What comes of it counts against
    /// [`max_body_size`](Self::max_body_size); what is no gzip, or not all of it, is answered with 400. Default: no.
    #[cfg(feature = "gzip")]
    pub fn decompress_request(mut self, decompress: bool) -> Self {
        self.params.decompress = decompress;
        self
    }

    /// Compress what gains by it for clients that take gzip; in Tornado a setting of `Application`. To choose more than that, put
    /// [`GzipContentEncoding`](crate::GzipContentEncoding) around the delegate. Default: no.
    #[cfg(feature = "gzip")]
    pub fn compress_response(mut self, compress: bool) -> Self {
        self.compress_response = compress;
        self
    }

    /// Takes address and protocol of the client from header fields that a proxy sends: see [`XHeaders`]. Default: no.
    ///
    /// `true` is [`XHeaders::x_forwarded`]: `X-Forwarded-For` and `X-Forwarded-Proto`, from peers on this machine and from those
    /// of [`trusted_downstream`](Self::trusted_downstream). It differs from Tornado's, which believes every peer, and two families
    /// of fields at once.
    pub fn xheaders(mut self, xheaders: impl Into<XHeaders>) -> Self {
        self.xheaders = xheaders.into();
        self
    }

    /// Proxies by their addresses or networks, besides those that [`xheaders`](Self::xheaders) trusts: they are skipped in
    /// lists of proxies, and believed when they are the peer.
    pub fn trusted_downstream<N: Into<IpNetwork>>(mut self, proxies: impl IntoIterator<Item = N>) -> Self {
        self.trusted_downstream = proxies.into_iter().map(Into::into).collect();
        self
    }

    /// The protocol that requests report, for a server behind a proxy that ends TLS. Default: that of the connection.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// The largest piece in which a body is delivered, in bytes. Default 65,536, which is also the most, as streams read no
    /// more at once.
    pub fn chunk_size(mut self, bytes: usize) -> Self {
        self.params.chunk_size = bytes;
        self
    }

    /// The largest head, blank line included, in bytes. Default 65,536. Answered with 431, or 414 for the request line.
    pub fn max_header_size(mut self, bytes: usize) -> Self {
        self.params.limits.max_header_size = bytes;
        self
    }

    /// The largest body, in bytes; 0 allows none. Default 104,857,600 (100 MiB). Answered with 413. A delegate may set
    /// another one for its request.
    pub fn max_body_size(mut self, bytes: u64) -> Self {
        self.params.limits.max_body_size = bytes;
        self
    }

    /// All limits of the codec at once.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.params.limits = limits;
        self
    }

    /// How long a connection may wait for its next request, the request's head included. Default: an hour, as in Tornado, since an
    /// idle connection is cheap here; `None` and zero: no limit (in Tornado 0 means the hour). A silent connection is closed
    /// without a word, one in the middle of a head gets 408.
    ///
    /// nginx (`keepalive_timeout`) waits 75 seconds, Apache and Node.js 5: with a limit of connections, or one of descriptors that
    /// is near, a minute is plenty.
    pub fn idle_connection_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.params.header_timeout = timeout.into();
        self
    }

    /// How long a new connection may stay silent, a handshake of TLS included; then it is closed without a word. Default 60 s, as nginx
    /// (`client_header_timeout`) gives it; `None` and zero: as long as any idle one.
    pub fn first_byte_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.params.first_byte_timeout = timeout.into();
        self
    }

    /// How long the head of a request may take, from its first byte to its last. Answered with 408. Default 60 s, as in nginx
    /// (`client_header_timeout`) and Node.js (`headersTimeout`); `None` and zero: no limit of its own.
    pub fn head_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.params.head_timeout = timeout.into();
        self
    }

    /// How long the body of a request may take as a whole. Default, `None` and zero: no limit, as in Tornado, since nobody can tell how
    /// long an upload takes; [`min_body_rate`](Self::min_body_rate) ends those that don't get on. Answered with 408. A delegate
    /// may set another one for its request.
    pub fn body_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.params.body_timeout = timeout.into();
        self
    }

    /// How fast a body has to come at least, in bytes per second, and how far it may fall behind that, which is also for how long
    /// it may pause. Answered with 408. While the application is busy with a piece no time passes. Default 240 bytes per second,
    /// as ASP.NET's Kestrel, and 60 s, as nginx waits for more of a body (`client_body_timeout`); Apache's mod_reqtimeout asks
    /// for 500 within 20 s. A rate of 0: as slowly as it likes, as in Tornado.
    ///
    /// A delegate that takes a body over hours, because it streams both ways, turns this off for its request:
    /// [`HttpConnection::set_body_timeout`](landspout_httputil::HttpConnection::set_body_timeout) with `None`.
    pub fn min_body_rate(mut self, bytes_per_second: u32, grace: Duration) -> Self {
        self.params.min_body_rate = bytes_per_second;
        self.params.body_rate_grace = grace;
        self
    }

    /// How many requests a connection may bring; the last answer says `Connection: close`. Default, `None` and 0: no limit, as in
    /// Node.js and Go: nothing of a connection grows with its requests. nginx has 1,000 (`keepalive_requests`), Apache 100;
    /// behind a balancer a limit helps to spread long-lived connections again.
    pub fn max_requests(mut self, limit: impl Into<Option<u32>>) -> Self {
        self.params.max_requests = limit.into();
        self
    }

    /// What a connection may hold unread, in bytes. Default 100 MiB.
    pub fn max_buffer_size(mut self, bytes: usize) -> Self {
        self.tcp = self.tcp.max_buffer_size(bytes);
        self
    }

    /// What a connection may hold unsent, in bytes; a write past it fails. Default 100 MiB.
    pub fn max_write_buffer_size(mut self, bytes: usize) -> Self {
        self.tcp = self.tcp.max_write_buffer_size(bytes);
        self
    }

    /// Serves HTTPS: [`TcpServerOptions::ssl_options`]. Requests then report the protocol `https`, unless
    /// [`protocol`](Self::protocol) says otherwise.
    ///
    /// # Errors
    /// [`ServerError::Tls`], which names the file that is guilty.
    #[cfg(feature = "tls")]
    pub fn ssl_options<C>(mut self, options: C) -> Result<Self, ServerError>
    where
        C: TryInto<ReloadableServerConfig>,
        C::Error: Into<TlsError>,
    {
        self.tcp = self.tcp.ssl_options(options)?;
        self.secure = true;
        Ok(self)
    }

    /// How long the handshake of TLS may take. Default 60 s.
    #[cfg(feature = "tls")]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.tcp = self.tcp.handshake_timeout(limit);
        self
    }

    /// How long a client may take nothing of an answer, while there is something to be taken: then it is cut off. A client that
    /// reads is not, however slowly it does. Default 60 s, as nginx's `send_timeout`; `None` and zero: no limit, as in Tornado,
    /// where whoever stops reading holds an answer's memory for ever. A detached stream keeps it. See
    /// [`TcpServerOptions::send_timeout`].
    pub fn send_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.tcp = self.tcp.send_timeout(limit);
        self
    }

    /// How many connections may be open at a time: [`TcpServerOptions::max_connections`].
    pub fn max_connections(mut self, limit: usize) -> Self {
        self.tcp = self.tcp.max_connections(limit);
        self
    }

    /// How many connections one peer may have open at a time; what it opens beyond that is closed at once, without an answer:
    /// [`TcpServerOptions::max_connections_per_peer`]. Default: no limit. Not for a server behind a proxy, whose peer that is,
    /// unless it speaks the PROXY protocol.
    pub fn max_connections_per_peer(mut self, limit: impl Into<Option<usize>>) -> Self {
        self.tcp = self.tcp.max_connections_per_peer(limit);
        self
    }

    /// Takes the addresses of clients from the proxies before this server, by the PROXY protocol, which comes before TLS:
    /// [`TcpServerOptions::proxy_protocol`]. The address of a request's context is then the client's, and whether
    /// [`xheaders`](Self::xheaders) are believed is decided by that one, too.
    ///
    /// Whether the client spoke TLS with the proxy the server doesn't ask: [`protocol`](Self::protocol) can say so.
    ///
    /// For proxies that forward connections as they are (HAProxy's `mode tcp`, a cloud's balancer). One that sends the requests of
    /// several clients by one connection has to tell by headers.
    pub fn proxy_protocol(mut self, protocol: impl Into<Option<ProxyProtocol>>) -> Self {
        self.tcp = self.tcp.proxy_protocol(protocol);
        self
    }

    /// Has `shape` decide about headers and body of the answers that the server gives to errors itself: to what is no request,
    /// comes too late or is too much, and to what the application fails at. Status, framing and `Connection: close` stay the
    /// server's. Default: the status in words, as plain text.
    ///
    /// ```
    /// use landspout_httpserver::{ErrorResponse, HttpHeaders, HttpServerOptions, Refusal};
    ///
    /// const JSON: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "application/json")]);
    /// let options = HttpServerOptions::new().error_response(|refusal: &Refusal<'_>| {
    ///     ErrorResponse::new(JSON, format!("{{\"error\": {}}}", refusal.status().as_u16()))
    /// });
    /// # let _ = options;
    /// ```
    pub fn error_response<F>(mut self, shape: F) -> Self
    where
        F: Fn(&Refusal<'_>) -> ErrorResponse + Send + Sync + 'static,
    {
        self.error_response = Some(ErrorHook(Arc::new(shape)));
        self
    }

    /// A server that calls an async closure with each complete request.
    pub fn callback<F, R>(self, callback: F) -> HttpServer
    where
        F: AsyncFn(HttpServerRequest) -> R + 'static,
        R: CallbackResult + 'static,
    {
        self.delegate(CallbackDelegate(Rc::new(callback)))
    }

    /// A server whose requests a delegate receives piece by piece.
    pub fn delegate<D>(self, delegate: D) -> HttpServer
    where
        D: HttpServerConnectionDelegate + 'static,
    {
        #[cfg(feature = "gzip")]
        if self.compress_response {
            return self.serve(landspout_http1connection::GzipContentEncoding::new(delegate));
        }
        self.serve(delegate)
    }

    fn serve<D>(mut self, delegate: D) -> HttpServer
    where
        D: HttpServerConnectionDelegate + 'static,
    {
        let xheaders = std::mem::replace(&mut self.xheaders, XHeaders::off());
        match Believer::new(xheaders, std::mem::take(&mut self.trusted_downstream)) {
            Some(believer) => self.serve_directly(XHeadersDelegate { delegate, believer: Rc::new(believer) }),
            None => self.serve_directly(delegate),
        }
    }

    /// Without what a proxy says. The whole of HTTP is compiled for each type of delegate: a server without options is spared the
    /// second.
    fn serve_directly<D>(self, delegate: D) -> HttpServer
    where
        D: HttpServerConnectionDelegate + 'static,
    {
        let live = Rc::new(LiveConnections::default());
        let service = Http1Service::new(ServerDelegate { delegate, live: live.clone() }, self.params);
        let service = match self.error_response {
            Some(ErrorHook(shape)) => service.error_response(move |refusal| shape(refusal)),
            None => service,
        };
        let protocol = self.protocol.unwrap_or(if self.secure { Protocol::Https } else { Protocol::Http });
        let on_stream = {
            let live = live.clone();
            #[cfg(feature = "tls")]
            let secure = self.secure;
            move |stream: IoStream, address: PeerAddress| {
                let context = context(&address, protocol);
                #[cfg(feature = "tls")]
                let context = if secure { with_peer_certificate(context, &stream) } else { context };
                let connection = Http1ServerConnection::start_serving(stream, context, &service);
                live.add(connection);
            }
        };
        HttpServer { tcp: self.tcp.on_stream(on_stream), live }
    }
}

fn context(address: &PeerAddress, protocol: Protocol) -> RequestContext {
    match address.inet() {
        Some(address) => RequestContext::new(address, protocol),
        None => RequestContext::unix(address.to_string(), protocol),
    }
}

/// The stream knows the certificate when the handshake is over. It is held weakly, since the connection owns both.
#[cfg(feature = "tls")]
fn with_peer_certificate(context: RequestContext, stream: &IoStream) -> RequestContext {
    let stream = stream.downgrade();
    context.with_peer_certificate(move || stream.upgrade()?.tls()?.peer_certificates.into_iter().next())
}

/// A non-blocking HTTP/1.1 server: Tornado's `HTTPServer`.
///
/// A cheap handle; clones mean the same server. It serves as long as its loop runs, whether a handle is kept or not. All of
/// [`TcpServer`]'s ways to start are there: [`listen`](Self::listen); [`bind`](Self::bind) and [`start`](Self::start);
/// [`add_sockets`](Self::add_sockets).
///
/// ```no_run
/// use landspout_httpserver::{HttpHeaders, HttpServer, HttpServerRequest, StatusCode};
/// use landspout_ioloop::IoLoop;
///
/// let server = HttpServer::new(async |request: HttpServerRequest| {
///     const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
///     request.write_response(StatusCode::OK, &PLAIN, "Hello, World!")
/// });
/// server.listen(8888, None)?;
/// IoLoop::current().start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[doc(alias = "HTTPServer")]
pub struct HttpServer {
    tcp: TcpServer,
    live: Rc<LiveConnections>,
}

impl HttpServer {
    /// A server that calls an async closure with each complete request, with the default settings.
    pub fn new<F, R>(callback: F) -> Self
    where
        F: AsyncFn(HttpServerRequest) -> R + 'static,
        R: CallbackResult + 'static,
    {
        HttpServerOptions::new().serve_directly(CallbackDelegate(Rc::new(callback)))
    }

    /// A server whose requests a delegate receives piece by piece, with the default settings.
    pub fn with_delegate(delegate: impl HttpServerConnectionDelegate + 'static) -> Self {
        HttpServerOptions::new().serve_directly(delegate)
    }

    /// Listens and accepts from now on: [`TcpServer::listen`].
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn listen<'a>(&self, port: u16, address: impl Into<Option<&'a str>>) -> Result<(), ServerError> {
        self.tcp.listen(port, address)
    }

    /// [`TcpServer::listen_with`].
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn listen_with<'a>(
        &self,
        port: u16,
        address: impl Into<Option<&'a str>>,
        options: &BindOptions,
    ) -> Result<(), ServerError> {
        self.tcp.listen_with(port, address, options)
    }

    /// Binds sockets for [`start`](Self::start): [`TcpServer::bind`].
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn bind<'a>(&self, port: u16, address: impl Into<Option<&'a str>>) -> Result<(), ServerError> {
        self.tcp.bind(port, address)
    }

    /// [`TcpServer::bind_with`].
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn bind_with<'a>(
        &self,
        port: u16,
        address: impl Into<Option<&'a str>>,
        options: &BindOptions,
    ) -> Result<(), ServerError> {
        self.tcp.bind_with(port, address, options)
    }

    /// Accepts from the bound sockets, in this process or in forked workers: [`TcpServer::start`].
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(&self, num_processes: impl Into<Option<usize>>) -> Result<(), ServerError> {
        self.tcp.start(num_processes)
    }

    /// [`TcpServer::start_with`].
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start_with(
        &self,
        num_processes: impl Into<Option<usize>>,
        options: &ForkOptions,
    ) -> Result<(), ServerError> {
        self.tcp.start_with(num_processes, options)
    }

    /// Accepts from listening sockets made elsewhere: [`TcpServer::add_sockets`].
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn add_sockets<I>(&self, sockets: I) -> Result<(), ServerError>
    where
        I: IntoIterator,
        I::Item: Into<Listener>,
    {
        self.tcp.add_sockets(sockets)
    }

    /// [`add_sockets`](Self::add_sockets) for one.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn add_socket(&self, socket: impl Into<Listener>) -> Result<(), ServerError> {
        self.tcp.add_socket(socket)
    }

    /// Stops accepting. Connections go on, kept-alive ones too; [`close_all_connections`](Self::close_all_connections) ends
    /// them.
    pub fn stop(&self) {
        self.tcp.stop();
    }

    /// Reads the files of `ssl_options` again: [`TcpServer::reload_certificates`].
    ///
    /// # Errors
    /// [`ServerError::Tls`]; what was in force stays in force.
    #[cfg(feature = "tls")]
    pub fn reload_certificates(&self) -> Result<(), ServerError> {
        self.tcp.reload_certificates()
    }

    /// The Internet addresses that the server listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.addresses()
    }

    /// How many connections are being served.
    pub fn connections(&self) -> usize {
        self.live.count()
    }

    /// How many connections there are, were taken, and were refused: [`TcpServer::connections`]. Of those that are open some may
    /// still send their last bytes, or belong to whoever has detached them.
    pub fn connection_counts(&self) -> ConnectionCounts {
        self.tcp.connections()
    }

    /// Closes every connection at once, cutting responses that are under way, and waits until their tasks have ended. Those that
    /// come meanwhile are left alone: [`stop`](Self::stop) first.
    ///
    /// # Cancel safety
    /// The connections are closed at the first poll; dropping the future later only stops waiting.
    pub async fn close_all_connections(&self) {
        self.live.close_all().await;
    }

    /// Ends the server in good order: [`stop`](Self::stop)s accepting, lets the requests that are under way finish, and closes at
    /// `deadline` what is still open then. Returns as soon as no connection is left, and tells how they ended.
    ///
    /// - An idle connection is closed at once, one on which nothing came yet in 5 seconds, unless a request comes.
    /// - A request that is under way, and be it with its first byte, is served. Its answer says `Connection: close`. Where the
    ///   answer's head is out already, the connection ends behind it, or with the answer to the next request if that was pipelined.
    ///   Further ones that were pipelined are not served; the client may send them again elsewhere (RFC 9112, section 9.6).
    /// - A client that doesn't close after its last answer is waited for, for 5 seconds of silence.
    /// - At the deadline connections are cut as by [`close_all_connections`](Self::close_all_connections).
    ///
    /// Streams that were detached from the server belong to whoever has them. The server can listen again, even meanwhile:
    /// connections that come then have nothing to do with this. A second drain meanwhile waits for the same connections, and
    /// the earlier deadline counts. Of forked workers each has to drain, say on SIGTERM.
    ///
    /// ```no_run
    /// use landspout_httpserver::HttpServer;
    /// use landspout_ioloop::IoLoop;
    /// use std::time::Duration;
    ///
    /// async fn end(server: HttpServer) {
    ///     let drained = server.drain(Duration::from_secs(30)).await;
    ///     println!("{} connections ended well, {} were cut", drained.finished, drained.cut);
    ///     IoLoop::current().stop();
    /// }
    /// ```
    ///
    /// # Cancel safety
    /// Everything begins with the first poll. Dropping the future later only stops waiting: no deadline cuts then.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        self.stop();
        self.tcp.close_arriving();
        self.live.drain(deadline).await
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer").field("tcp", &self.tcp).field("connections", &self.connections()).finish()
    }
}

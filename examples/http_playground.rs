//! A server to try things on, with a flag for every limit.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | `Hello, World!` |
//! | `POST /echo` | exactly the body received |
//! | `GET /big?n=BYTES` | that many bytes, sent no faster than the client reads |
//! | `GET /sleep?ms=N` | comes after that many milliseconds |
//! | `GET /events?n=COUNT&ms=PAUSE` | server-sent events, each when it happens |
//! | `GET /client` | whom this server takes the client for: protocol, IP address, the connection's address |
//!
//! Where there is GET there is HEAD. OPTIONS says what a path takes, `OPTIONS *` what the server does. Another method gives
//! 405, a bad query 400, anything else 404.
//!
//! ```sh
//! cargo run --release --example http_playground -- --help
//! curl -i --data-binary @Cargo.toml http://127.0.0.1:8888/echo
//! curl -N 'http://127.0.0.1:8888/big?n=1000000000' >/dev/null
//! curl -N 'http://127.0.0.1:8888/events?n=5&ms=1000'
//! ab -k -c 100 -n 100000 http://127.0.0.1:8888/
//! ```
//! In Tornado: what a `RequestHandler` does with `write`, `await flush()` and `on_connection_close`, one layer below
//! `tornado.web`; the flags are the arguments of `HTTPServer`.

#[path = "support/certificate.rs"]
mod certificate;
mod support;

use std::num::ParseFloatError;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use certificate::Certificate;
use landspout::httpserver::{
    BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, HttpServerConnectionDelegate, HttpServerOptions,
    HttpServerRequest, IpNetwork, Limits, Method, ProxyProtocol, RequestStartLine, ServerConnectionId, StatusCode,
    TrustedPeers, XHeaders,
};
use landspout::ioloop::{IoLoop, sleep};
use landspout::netutil::SslOptions;
use landspout::process::task_id;
use landspout::tcpserver::start_threads;
use support::{Arguments, Failure, Flag};

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
const BINARY: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "application/octet-stream")]);
const EVENTS: HttpHeaders =
    HttpHeaders::from_static(&[("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]);

/// Large answers are written in pieces of this size, each when the one before has left.
const PIECE_SIZE: usize = 64 * 1024;
static PIECE: [u8; PIECE_SIZE] = [b'x'; PIECE_SIZE];

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read("A server to try things on.", FLAGS);
    let listen = (arguments.port(), arguments.text("--address"));
    let workers = arguments.value("--workers").unwrap_or(1);
    let threads = arguments.value("--threads").unwrap_or(1);
    let mut options = options(&arguments);
    let mut scheme = "http";
    // Kept to the end: its files go with it.
    let certificate = if arguments.has("--tls") { Some(Certificate::make()?) } else { None };
    if let Some(made) = &certificate {
        options = options.ssl_options(SslOptions::new().certfile(made.certfile()).keyfile(made.keyfile()))?;
        Certificate::announce(&made.certfile());
        scheme = "https";
    }
    match (workers, threads) {
        (_, 1) => in_processes(workers, listen, options, scheme),
        (1, _) => on_threads(threads, listen, options, scheme),
        _ => support::wrong_usage("--workers and --threads: choose one of them"),
    }
}

fn in_processes(
    workers: usize,
    (port, address): (u16, Option<&str>),
    options: HttpServerOptions,
    scheme: &str,
) -> Result<(), Failure> {
    let server = options.delegate(Playground);
    server.bind(port, address)?;
    server.start(workers)?;
    support::stop_on_signals()?;
    support::announce_first(scheme, &server.addresses());
    if let Some(id) = task_id() {
        println!("worker {id} (pid {}) serves", std::process::id());
    }
    IoLoop::current().start()?;
    Ok(())
}

fn on_threads(
    threads: usize,
    (port, address): (u16, Option<&str>),
    options: HttpServerOptions,
    scheme: &str,
) -> Result<(), Failure> {
    support::stop_on_signals()?;
    let threads = start_threads(threads, port, address, move |_number, sockets| {
        let server = options.clone().delegate(Playground);
        server.add_sockets(sockets)?;
        Ok(server)
    })?;
    support::announce(scheme, threads.addresses());
    IoLoop::current().start()?;
    threads.stop();
    threads.join();
    Ok(())
}

/// A delegate, which gets requests piece by piece, and not a closure, which gets them whole: so no request waits for a body
/// that nobody wants, and `/echo` returns a body that calls itself a form (as that of `curl -d` does) without parsing it.
struct Playground;

impl HttpServerConnectionDelegate for Playground {
    type Delegate = Exchange;

    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Exchange {
        Exchange { server_conn, request_conn, echo: None }
    }
}

struct Exchange {
    server_conn: ServerConnectionId,
    request_conn: Rc<dyn HttpConnection>,
    /// The body so far, if it is to be sent back.
    echo: Option<BytesMut>,
}

impl HttpMessageDelegate for Exchange {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        let connection = self.request_conn.clone();
        let request = HttpServerRequest::new(start_line, headers, connection, self.server_conn);
        match route(&request) {
            Ok(Route::Hello) => request.write_response(StatusCode::OK, &PLAIN, "Hello, World!")?,
            Ok(Route::Client) => client(&request)?,
            Ok(Route::Echo) => self.echo = Some(BytesMut::new()),
            Ok(Route::Options { methods }) => {
                request.write_response(StatusCode::NO_CONTENT, &allowing(HttpHeaders::new(), methods)?, "")?;
            }
            Ok(Route::Big { n }) => big(&request, n).await?,
            Ok(Route::Sleep { pause }) => sleepy(&request, pause).await?,
            Ok(Route::Events { n, pause }) => events(&request, n, pause).await?,
            Err(refusal) => refusal.write(&request)?,
        }
        Ok(())
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        if let Some(body) = &mut self.echo {
            body.extend_from_slice(&chunk);
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        match self.echo.take() {
            Some(body) => echo(&*self.request_conn, &body).await,
            None => Ok(()),
        }
    }

    /// Takes the place of `finish` when the client is gone for good, or a limit struck. What was awaited has been dropped.
    fn on_connection_close(&mut self) {
        tracing::info!("a request of {} was broken off", self.request_conn.context());
    }
}

async fn echo(connection: &dyn HttpConnection, body: &[u8]) -> Result<(), BoxError> {
    if body.len() <= PIECE_SIZE {
        connection.write_response(&StatusCode::OK.into(), &BINARY, body)?;
        return Ok(());
    }
    write_head(connection, body.len() as u64)?;
    for piece in body.chunks(PIECE_SIZE) {
        connection.write(piece)?;
        connection.flush().await?;
    }
    connection.finish()?;
    Ok(())
}

async fn big(request: &HttpServerRequest, n: u64) -> Result<(), BoxError> {
    let connection = &**request.connection();
    write_head(connection, n)?;
    let mut left = if request.method() == Method::HEAD { 0 } else { n };
    while left > 0 {
        let piece = &PIECE[..usize::try_from(left).map_or(PIECE_SIZE, |left| left.min(PIECE_SIZE))];
        // `write_bytes` only queues. Without `ready` the whole answer would be in memory before its first byte left.
        connection.ready().await?;
        connection.write_bytes(Bytes::from_static(piece))?;
        left -= piece.len() as u64;
    }
    connection.finish()?;
    Ok(())
}

/// Without a length the connection would send chunks.
fn write_head(connection: &dyn HttpConnection, content_length: u64) -> Result<(), BoxError> {
    let mut headers = BINARY;
    headers.set("Content-Length", content_length.to_string())?;
    connection.write_headers(&StatusCode::OK.into(), &headers, b"")?;
    Ok(())
}

fn client(request: &HttpServerRequest) -> Result<(), BoxError> {
    let address = request.connection().context().address().map_or("a Unix socket".to_owned(), |it| it.to_string());
    let text = format!("{} {} {address}\n", request.protocol(), request.remote_ip());
    request.write_response(StatusCode::OK, &PLAIN, text)?;
    Ok(())
}

async fn sleepy(request: &HttpServerRequest, pause: Duration) -> Result<(), BoxError> {
    let peer = request.remote_ip();
    let left = move || tracing::info!("{peer} stopped sending while its answer slept");
    // It may still read: a client that has nothing more to say can close its half of the connection.
    request.connection().set_close_callback(Some(Box::new(left)));
    sleep(pause).await;
    request.write_response(StatusCode::OK, &PLAIN, format!("slept {} ms\n", pause.as_millis()))?;
    Ok(())
}

async fn events(request: &HttpServerRequest, n: u64, pause: Duration) -> Result<(), BoxError> {
    let connection = request.connection();
    connection.write_headers(&StatusCode::OK.into(), &EVENTS, b"")?;
    if request.method() != Method::HEAD {
        for number in 1..=n {
            // What is queued leaves at the latest when this task pauses; there is no need to flush.
            connection.write(format!("data: {number}\n\n").as_bytes())?;
            sleep(pause).await;
        }
    }
    connection.finish()?;
    Ok(())
}

/// What is asked for.
enum Route {
    Hello,
    Client,
    Echo,
    Options { methods: &'static [Method] },
    Big { n: u64 },
    Sleep { pause: Duration },
    Events { n: u64, pause: Duration },
}

const GET: &[Method] = &[Method::GET, Method::HEAD, Method::OPTIONS];
const POST: &[Method] = &[Method::POST, Method::OPTIONS];
const ANY: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];

fn route(request: &HttpServerRequest) -> Result<Route, Refusal> {
    let methods = match request.path() {
        "/" | "/client" | "/big" | "/sleep" | "/events" => GET,
        "/echo" => POST,
        // The server as a whole (RFC 9110, section 9.3.7).
        "*" => ANY,
        // To a proxy, which this is not (section 9.3.6).
        _ if request.method() == Method::CONNECT => ANY,
        _ => return Err(Refusal::new(StatusCode::NOT_FOUND, "no such path")),
    };
    if !methods.contains(request.method()) {
        return Err(Refusal { methods, ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "no such method here") });
    }
    if request.method() == Method::OPTIONS {
        return Ok(Route::Options { methods });
    }
    let milliseconds = || number(request, "ms").map(Duration::from_millis);
    Ok(match request.path() {
        "/client" => Route::Client,
        "/echo" => Route::Echo,
        "/big" => Route::Big { n: number(request, "n")? },
        "/sleep" => Route::Sleep { pause: milliseconds()? },
        "/events" => Route::Events { n: number(request, "n")?, pause: milliseconds()? },
        _ => Route::Hello,
    })
}

/// With the `Allow` field for these methods.
fn allowing(mut headers: HttpHeaders, methods: &[Method]) -> Result<HttpHeaders, BoxError> {
    let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
    headers.set("Allow", methods.join(", "))?;
    Ok(headers)
}

fn number(request: &HttpServerRequest, name: &str) -> Result<u64, Refusal> {
    let value =
        request.query_arguments().get_last(name).and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    value.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, format!("the query needs {name}=NUMBER")))
}

/// Why a request isn't served.
struct Refusal {
    status: StatusCode,
    why: String,
    /// For the `Allow` field.
    methods: &'static [Method],
}

impl Refusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), methods: &[] }
    }

    fn write(self, request: &HttpServerRequest) -> Result<(), BoxError> {
        let headers = if self.methods.is_empty() { PLAIN } else { allowing(PLAIN, self.methods)? };
        request.write_response(self.status, &headers, format!("{}: {}\n", self.status, self.why))?;
        Ok(())
    }
}

const FLAGS: &[Flag] = &[
    support::PORT,
    Flag("--address", "HOST", "listen on this address, or on all that this name has [every address]"),
    Flag("--workers", "N", "how many processes, 0 for one per CPU [1]"),
    Flag("--threads", "N", "how many threads with a loop each, 0 for one per CPU [1]"),
    Flag("--no-keep-alive", "", "close each connection after one answer"),
    Flag("--max-requests", "N", "close each connection after so many requests, 0 for never [0]"),
    Flag("--max-connections", "N", "let further clients wait in the backlog [any number]"),
    Flag("--max-connections-per-peer", "N", "refuse further ones of one address, 0 for none [0]"),
    Flag(
        "--first-byte-timeout",
        "SECONDS",
        "wait so long for a connection's first byte; as for all times, 0 for ever [60]",
    ),
    Flag("--idle-timeout", "SECONDS", "wait so long for a request, its head included [3600]"),
    Flag("--head-timeout", "SECONDS", "wait so long for a head, from its first byte on [60]"),
    Flag("--body-timeout", "SECONDS", "wait so long for a request's body [0]"),
    Flag("--min-body-rate", "BYTES", "that much of a body has to come each second, 0 for any pace [240]"),
    Flag("--body-rate-grace", "SECONDS", "and so far may it fall behind [60]"),
    Flag("--send-timeout", "SECONDS", "cut off who takes nothing of an answer for so long [60]"),
    Flag("--tls", "", "serve HTTPS, with a certificate made on the fly"),
    Flag("--decompress", "", "decompress requests with `Content-Encoding: gzip`"),
    Flag("--compress", "", "compress answers that are text, for clients that take gzip"),
    Flag("--max-header-size", "BYTES", "the largest head [65536]"),
    Flag("--max-start-line", "BYTES", "the longest request line [16384]"),
    Flag("--max-header-line", "BYTES", "the longest header field [65536]"),
    Flag("--max-headers", "N", "the most header fields [100]"),
    Flag("--max-body-size", "BYTES", "the largest body [104857600]"),
    Flag("--max-chunk-line", "BYTES", "the longest line with a chunk's size [4096]"),
    Flag("--max-chunk-extensions", "BYTES", "all chunk extensions of a body [16384]"),
    Flag("--max-trailer-size", "BYTES", "all trailer fields of a body [16384]"),
    Flag("--chunk-size", "BYTES", "the largest piece in which a body is read, up to [65536]"),
    Flag("--max-buffer-size", "BYTES", "what a connection may hold unread [104857600]"),
    Flag("--max-write-buffer-size", "BYTES", "what a connection may hold unsent; pieces have 65536 [104857600]"),
    Flag("--xheaders", "", "believe a proxy's X-Forwarded-For and X-Forwarded-Proto"),
    Flag("--x-real-ip", "", "believe a proxy's X-Real-IP and X-Scheme instead"),
    Flag("--forwarded", "", "believe a proxy's Forwarded (RFC 7239) instead"),
    Flag("--proxy-protocol", "", "expect the PROXY protocol, and refuse peers that are not trusted"),
    Flag("--trust", "PEERS", "IPs, networks, loopback, private, unix, any: proxies that are trusted [loopback,unix]"),
    Flag("--trusted-downstream", "PEERS", "IPs and networks of more proxies, for the header fields"),
];

fn options(arguments: &Arguments) -> HttpServerOptions {
    let default = Limits::default();
    let size = |name, default| arguments.value(name).unwrap_or(default);
    let limits = Limits {
        max_header_size: size("--max-header-size", default.max_header_size),
        max_start_line: size("--max-start-line", default.max_start_line),
        max_header_line: size("--max-header-line", default.max_header_line),
        max_headers: size("--max-headers", default.max_headers),
        max_body_size: arguments.value("--max-body-size").unwrap_or(default.max_body_size),
        max_chunk_line: size("--max-chunk-line", default.max_chunk_line),
        max_chunk_extensions: size("--max-chunk-extensions", default.max_chunk_extensions),
        max_trailer_size: size("--max-trailer-size", default.max_trailer_size),
    };
    let mut options = HttpServerOptions::new()
        .limits(limits)
        .no_keep_alive(arguments.has("--no-keep-alive"))
        .decompress_request(arguments.has("--decompress"))
        .compress_response(arguments.has("--compress"))
        .xheaders(xheaders(arguments));
    if let Some(Seconds(timeout)) = arguments.value("--idle-timeout") {
        options = options.idle_connection_timeout(timeout);
    }
    if let Some(Seconds(timeout)) = arguments.value("--first-byte-timeout") {
        options = options.first_byte_timeout(timeout);
    }
    if let Some(Seconds(timeout)) = arguments.value("--head-timeout") {
        options = options.head_timeout(timeout);
    }
    if let Some(Seconds(timeout)) = arguments.value("--body-timeout") {
        options = options.body_timeout(timeout);
    }
    let (rate, grace) = (arguments.value("--min-body-rate"), arguments.value("--body-rate-grace"));
    if rate.is_some() || grace.is_some() {
        let Seconds(grace) = grace.unwrap_or(Seconds(Duration::from_secs(60)));
        options = options.min_body_rate(rate.unwrap_or(240), grace);
    }
    if let Some(Seconds(timeout)) = arguments.value("--send-timeout") {
        options = options.send_timeout(timeout);
    }
    if let Some(limit) = arguments.value::<u32>("--max-requests") {
        options = options.max_requests(limit);
    }
    if let Some(limit) = arguments.value("--max-connections") {
        options = options.max_connections(limit);
    }
    if let Some(limit) = arguments.value::<usize>("--max-connections-per-peer") {
        options = options.max_connections_per_peer(limit);
    }
    if let Some(bytes) = arguments.value("--chunk-size") {
        options = options.chunk_size(bytes);
    }
    if let Some(bytes) = arguments.value("--max-buffer-size") {
        options = options.max_buffer_size(bytes);
    }
    if let Some(bytes) = arguments.value("--max-write-buffer-size") {
        options = options.max_write_buffer_size(bytes);
    }
    if arguments.has("--proxy-protocol") {
        options = options.proxy_protocol(ProxyProtocol::trusting(trusted(arguments)));
    }
    if let Some(Networks(proxies)) = arguments.value("--trusted-downstream") {
        options = options.trusted_downstream(proxies);
    }
    options
}

fn xheaders(arguments: &Arguments) -> XHeaders {
    let family = match ["--xheaders", "--x-real-ip", "--forwarded"].map(|flag| arguments.has(flag)) {
        [false, false, false] => XHeaders::off(),
        [true, false, false] => XHeaders::x_forwarded(),
        [false, true, false] => XHeaders::x_real_ip(),
        [false, false, true] => XHeaders::forwarded(),
        _ => support::wrong_usage("--xheaders, --x-real-ip and --forwarded: choose one of them"),
    };
    family.trusting(trusted(arguments))
}

fn trusted(arguments: &Arguments) -> TrustedPeers {
    arguments.value("--trust").unwrap_or_else(|| TrustedPeers::loopback().unix(true))
}

struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = text.parse().map_err(|error: ParseFloatError| error.to_string())?;
        Duration::try_from_secs_f64(seconds).map(Self).map_err(|error| error.to_string())
    }
}

struct Networks(Vec<IpNetwork>);

impl FromStr for Networks {
    type Err = <IpNetwork as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(|network| network.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

//! A reverse proxy: requests go on to another server while they arrive, and so do the answers, both no faster than they
//! are read at the other end.
//!
//! ```sh
//! cargo run --example http_playground -- --port 9000 &
//! cargo run --example reverse_proxy -- --upstream 127.0.0.1:9000
//! curl -T some-large-file http://127.0.0.1:8888/echo -o its-echo
//! ```
//! Without `--upstream` it has a small server of its own behind it, which shows what reaches it.
//!
//! The client's side of a request is a delegate that writes to an `Http1ClientConnection`. The answer is read by a task of its own,
//! from the moment the head is out: it may come before the request is complete. Its delegate writes to the client.
//!
//! What a proxy has to do besides (RFC 9110, section 7.6): fields that are about one connection stay behind, `Via` and the
//! `Forwarded` family are added, and the client learns by 502 or 504 what is wrong behind the proxy. It answers `Expect:
//! 100-continue` itself, and takes part in no upgrade: without their fields the server answers as if nobody had asked.

mod support;

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use landspout::http1connection::{AfterResponse, Http1ClientConnection, Http1ConnectionParameters, ResponseError};
use landspout::httpserver::{
    BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, HttpServer, HttpServerConnectionDelegate,
    HttpServerOptions, HttpServerRequest, RequestStartLine, ResponseStartLine, ServerConnectionId, StatusCode,
};
use landspout::httputil::{HttpOutputError, Method, RequestContext};
use landspout::ioloop::IoLoop;
use landspout::tcpclient::{ConnectOptions, TcpClient};

/// Connections to the upstream that wait for the next request at most.
const KEPT: usize = 32;

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

const FLAGS: &[support::Flag] = &[
    support::PORT,
    support::Flag("--upstream", "HOST:PORT", "where requests go [a server of its own]"),
    support::Flag("--timeout", "SECONDS", "how long to wait for the upstream, each time [60]"),
];

fn main() -> Result<(), support::Failure> {
    let arguments = support::Arguments::read("Hands requests on to another server, and its answers back.", FLAGS);
    let own = HttpServer::new(show);
    let upstream = match arguments.text("--upstream") {
        Some(upstream) => upstream.to_owned(),
        None => {
            own.listen(0, "127.0.0.1")?;
            own.addresses()[0].to_string()
        }
    };
    let timeout = Duration::from_secs_f64(arguments.value("--timeout").unwrap_or(60.0));
    // A proxy keeps nothing of a body: it may be of any size.
    let server = HttpServerOptions::new().max_body_size(u64::MAX).delegate(Proxy::new(&upstream, timeout));
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    support::announce("http", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

/// The upstream that is there when no other is named.
async fn show(request: HttpServerRequest) -> Result<(), HttpOutputError> {
    let fields = request.headers().iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value)));
    let text = format!("{} {}\n{}", request.method(), request.uri(), fields.collect::<String>());
    request.write_response(StatusCode::OK, &PLAIN, text)
}

/// There is one for the whole server.
struct Proxy {
    upstream: Rc<Upstream>,
}

impl Proxy {
    fn new(upstream: &str, timeout: Duration) -> Self {
        let (host, port) = match upstream.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => (host.trim_matches(['[', ']']).to_owned(), port),
            _ => support::wrong_usage(&format!("--upstream {upstream}: not HOST:PORT")),
        };
        let authority = upstream.to_owned();
        let client = TcpClient::new();
        let mut params = Http1ConnectionParameters {
            header_timeout: Some(timeout),
            // A pause of that length breaks an answer off; a long answer may take as long as it likes.
            min_body_rate: 1,
            body_rate_grace: timeout,
            ..Default::default()
        };
        params.limits.max_body_size = u64::MAX;
        Self {
            upstream: Rc::new(Upstream { host, port, authority, client, timeout, params, kept: RefCell::default() }),
        }
    }
}

impl HttpServerConnectionDelegate for Proxy {
    type Delegate = Forward;

    fn start_request(&self, _: ServerConnectionId, client: Rc<dyn HttpConnection>) -> Forward {
        Forward { upstream: self.upstream.clone(), client, connection: None }
    }
}

/// The server behind the proxy.
struct Upstream {
    host: String,
    port: u16,
    /// Both of them, for those requests that have no `Host`.
    authority: String,
    client: TcpClient,
    timeout: Duration,
    params: Http1ConnectionParameters,
    kept: RefCell<Vec<Http1ClientConnection>>,
}

impl Upstream {
    /// A connection that was kept, if it is still good, or a new one. Between this look and the request the server may close it,
    /// which costs that request a 502.
    async fn connection(&self) -> Result<Http1ClientConnection, StatusCode> {
        let mut kept = self.kept.take();
        kept.retain(Http1ClientConnection::is_idle);
        let connection = kept.pop();
        self.kept.replace(kept);
        if let Some(connection) = connection {
            return Ok(connection);
        }
        let options = ConnectOptions::new().timeout(self.timeout);
        match self.client.connect_with(&self.host, self.port, &options).await {
            Ok(stream) => Ok(Http1ClientConnection::new(stream, self.params.clone())),
            Err(error) => {
                tracing::warn!("no connection to the upstream: {error}");
                let late = error.kind() == io::ErrorKind::TimedOut;
                Err(if late { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY })
            }
        }
    }

    fn keep(&self, connection: Http1ClientConnection) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() < KEPT {
            kept.push(connection);
        }
    }
}

/// Takes a request from a client and writes it to the upstream.
struct Forward {
    upstream: Rc<Upstream>,
    client: Rc<dyn HttpConnection>,
    connection: Option<Http1ClientConnection>,
}

impl HttpMessageDelegate for Forward {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        if *start_line.method() == Method::CONNECT {
            return refuse(&*self.client, StatusCode::NOT_IMPLEMENTED);
        }
        let headers = self.outgoing(&headers)?;
        let connection = match self.upstream.connection().await {
            Ok(connection) => connection,
            Err(status) => return refuse(&*self.client, status),
        };
        match connection.write_headers(&start_line, &headers, b"") {
            Err(HttpOutputError::Closed) => return refuse(&*self.client, StatusCode::BAD_GATEWAY),
            written => written?,
        }
        // A client that has gone needs no answer. As for nginx, one that ends its sending side early has gone.
        self.client.set_close_callback(Some(Box::new({
            let connection = connection.clone();
            move || connection.close()
        })));
        IoLoop::current().spawn(answer(self.upstream.clone(), connection.clone(), self.client.clone()));
        self.connection = Some(connection);
        Ok(())
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        // If the upstream wants no more of it, or has gone, whoever reads the answer tells the client.
        if connection.write(&chunk).is_ok() {
            let _ = connection.flush().await;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        if let Some(connection) = &self.connection {
            let _ = connection.finish();
        }
        Ok(())
    }

    fn on_connection_close(&mut self) {
        if let Some(connection) = &self.connection {
            connection.close();
        }
    }
}

impl Forward {
    /// The fields as they go on.
    fn outgoing(&self, headers: &HttpHeaders) -> Result<HttpHeaders, BoxError> {
        let mut out = end_to_end(headers)?;
        out.remove("Expect");
        if headers.contains("Transfer-Encoding") {
            // With whatever method: the connection frames the body anew.
            out.set("Transfer-Encoding", "chunked")?;
        }
        let host = String::from_utf8_lossy(out.set_default("Host", &self.upstream.authority)?).into_owned();
        let context = self.client.context();
        let (ip, protocol) = (context.remote_ip(), context.protocol());
        append(&mut out, "X-Forwarded-For", &ip.to_string())?;
        out.set("X-Forwarded-Proto", protocol.as_str())?;
        out.set("X-Forwarded-Host", &host)?;
        append(&mut out, "Forwarded", &format!("for={};host=\"{host}\";proto={protocol}", node(context)))?;
        append(&mut out, "Via", "1.1 landspout")?;
        Ok(out)
    }
}

/// Reads the answer to one request and hands it to the client.
async fn answer(upstream: Rc<Upstream>, connection: Http1ClientConnection, client: Rc<dyn HttpConnection>) {
    let mut back = Back { client, begun: false };
    match connection.read_response(&mut back).await {
        Ok(AfterResponse::Reusable) => upstream.keep(connection),
        Ok(_) => {}
        Err(error) => {
            match error.source() {
                Some(cause) => tracing::info!("no answer from the upstream: {error}: {cause}"),
                None => tracing::info!("no answer from the upstream: {error}"),
            }
            let status = match error {
                ResponseError::HeaderTimeout => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            };
            if !back.begun {
                // The client may have gone.
                let _ = refuse(&*back.client, status);
            }
            // Otherwise the last handle of an exchange that isn't finished goes here, and cuts the client's connection: it
            // must not take a part for the whole.
        }
    }
}

/// Takes an answer from the upstream and writes it to the client.
struct Back {
    client: Rc<dyn HttpConnection>,
    begun: bool,
}

impl HttpMessageDelegate<ResponseStartLine> for Back {
    async fn headers_received(&mut self, start_line: ResponseStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        if start_line.code == StatusCode::CONTINUE {
            // Nobody asked for it: the client's expectation was met here.
            return Ok(());
        }
        let mut headers = end_to_end(&headers)?;
        if start_line.code == StatusCode::NO_CONTENT {
            // Some say how long nothing is, which may not be (RFC 9110, section 8.6).
            headers.remove("Content-Length");
        }
        append(&mut headers, "Via", "1.1 landspout")?;
        self.client.write_headers(&start_line, &headers, b"")?;
        self.begun = !start_line.code.is_informational();
        Ok(())
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        self.client.write_bytes(chunk)?;
        self.client.ready().await?;
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.client.finish()?;
        Ok(())
    }
}

/// The fields without those that are about one connection (RFC 9110, section 7.6.1), and a list of equal lengths as one.
fn end_to_end(headers: &HttpHeaders) -> Result<HttpHeaders, BoxError> {
    const ONE_CONNECTION: &[&str] =
        &["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"];
    // Whoever names these wants them to get lost, for a purpose.
    const KEPT: &[&str] = &["Host", "Content-Length"];
    let is_among = |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let options = headers.get_text("Connection").unwrap_or_default();
    let named: Vec<&str> = options.split(',').map(str::trim).filter(|name| !is_among(KEPT, name)).collect();
    let mut out = HttpHeaders::new();
    for (name, value) in headers {
        match value.split(|byte| *byte == b',').next() {
            _ if is_among(ONE_CONNECTION, name) || is_among(&named, name) => {}
            Some(length) if name.eq_ignore_ascii_case("Content-Length") => out.set(name, length)?,
            _ => out.add(name, value)?,
        }
    }
    Ok(out)
}

/// Appends a member to a field that is a list.
fn append(headers: &mut HttpHeaders, name: &str, member: &str) -> Result<(), BoxError> {
    let list = headers.get_text(name).map_or(member.to_owned(), |list| format!("{list}, {member}"));
    Ok(headers.set(name, list)?)
}

/// The client's address as `Forwarded` has it (RFC 7239, section 6).
fn node(context: &RequestContext) -> String {
    match context.remote_ip() {
        ip if ip.is_ipv6() => format!("\"[{ip}]\""),
        ip => ip.to_string(),
    }
}

fn refuse(client: &dyn HttpConnection, status: StatusCode) -> Result<(), BoxError> {
    let start_line = ResponseStartLine::new(status);
    let body = format!("{} {}\n", status.as_u16(), start_line.reason());
    Ok(client.write_response(&start_line, &PLAIN, body.as_bytes())?)
}

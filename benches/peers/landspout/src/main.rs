//! landspout: a callback for whole requests, as in its README.
#![forbid(unsafe_code)]

#[cfg(feature = "workers")]
mod workers;

use std::net::{SocketAddr, TcpListener};

use landspout_httpserver::{BoxError, Bytes, HttpHeaders, HttpServer, HttpServerRequest, ServerError, StatusCode};
use landspout_ioloop::IoLoop;
use peer_support::{Arguments, HELLO, next_piece, stream_length};

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
const BINARY: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "application/octet-stream")]);

fn main() -> Result<(), BoxError> {
    let flags: &[&[&str]] = &[
        #[cfg(feature = "tls")]
        &["--certfile F", "--keyfile F"],
        #[cfg(feature = "workers")]
        &workers::FLAGS,
    ];
    let arguments = Arguments::read(&flags.concat());
    #[cfg(feature = "workers")]
    if let Some(count) = arguments.number(workers::COUNT) {
        return workers::run(count, &arguments);
    }
    let listener = peer_support::listen(arguments.port())?;
    peer_support::exit_on_sigterm()?;
    serve(&server(&arguments)?, listener, peer_support::announce)
}

#[cfg(not(feature = "tls"))]
fn server(_: &Arguments) -> Result<HttpServer, ServerError> {
    Ok(HttpServer::new(answer))
}

#[cfg(feature = "tls")]
fn server(arguments: &Arguments) -> Result<HttpServer, ServerError> {
    use landspout_httpserver::HttpServerOptions;
    use landspout_netutil::{SslOptions, TlsVersion};

    let Some((certfile, keyfile)) = arguments.certificate() else { return Ok(HttpServer::new(answer)) };
    let ssl = SslOptions::new().certfile(certfile).keyfile(keyfile).alpn(["http/1.1"]);
    Ok(HttpServerOptions::new().ssl_options(ssl.minimum_version(TlsVersion::Tls13))?.callback(answer))
}

fn serve(server: &HttpServer, listener: TcpListener, listening: impl FnOnce(SocketAddr)) -> Result<(), BoxError> {
    let address = listener.local_addr()?;
    server.add_socket(listener)?;
    listening(address);
    Ok(IoLoop::current().start()?)
}

async fn answer(request: HttpServerRequest) -> Result<(), BoxError> {
    match request.path() {
        "/" => request.write_response(StatusCode::OK, &PLAIN, HELLO)?,
        "/echo" => request.write_response(StatusCode::OK, &BINARY, request.body())?,
        path => match stream_length(path) {
            Some(length) => stream(&request, length).await?,
            None => request.write_response(StatusCode::NOT_FOUND, &PLAIN, "")?,
        },
    }
    Ok(())
}

async fn stream(request: &HttpServerRequest, length: u64) -> Result<(), BoxError> {
    let connection = &**request.connection();
    let mut headers = BINARY;
    headers.set("Content-Length", length.to_string())?;
    connection.write_headers(&StatusCode::OK.into(), &headers, b"")?;
    let mut left = length;
    while left > 0 {
        let piece = next_piece(left);
        // `write_bytes` queues; this waits while the client hasn't taken what was queued before.
        connection.ready().await?;
        connection.write_bytes(Bytes::from_static(piece))?;
        left -= piece.len() as u64;
    }
    Ok(connection.finish()?)
}

//! landspout: a callback for whole requests, as in its README. `--workers N --start fork|threads` starts several
//! workers in the two ways that it has.
#![forbid(unsafe_code)]

use landspout_httpserver::{
    BoxError, HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, ServerError, StatusCode,
};
use landspout_ioloop::IoLoop;
use landspout_tcpserver::start_threads;
use peer_support::{Arguments, HELLO, next_piece, stream_length};

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
const BINARY: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "application/octet-stream")]);

const WORKERS: &str = "--workers N";
const START: &str = "--start fork|threads";
#[cfg(not(feature = "tls"))]
const FLAGS: &[&str] = &[WORKERS, START];
#[cfg(feature = "tls")]
const FLAGS: &[&str] = &[WORKERS, START, "--certfile F", "--keyfile F"];

fn main() -> Result<(), BoxError> {
    let arguments = Arguments::read(FLAGS);
    let options = options(&arguments)?;
    let workers = arguments.number("--workers").unwrap_or(1);
    match arguments.text("--start") {
        Some("threads") => on_threads(workers, arguments.port(), options),
        None | Some("fork") => in_processes(workers, arguments.port(), &options),
        Some(other) => Err(format!("--start fork or --start threads, not {other}").into()),
    }
}

#[cfg(not(feature = "tls"))]
fn options(_: &Arguments) -> Result<HttpServerOptions, ServerError> {
    Ok(HttpServerOptions::new())
}

#[cfg(feature = "tls")]
fn options(arguments: &Arguments) -> Result<HttpServerOptions, ServerError> {
    use landspout_netutil::{SslOptions, TlsVersion};

    match arguments.certificate() {
        Some((certfile, keyfile)) => {
            let ssl = SslOptions::new().certfile(certfile).keyfile(keyfile).alpn(["http/1.1"]);
            HttpServerOptions::new().ssl_options(ssl.minimum_version(TlsVersion::Tls13))
        }
        None => Ok(HttpServerOptions::new()),
    }
}

/// One process, or several that share a listening socket.
fn in_processes(workers: usize, port: u16, options: &HttpServerOptions) -> Result<(), BoxError> {
    let listener = peer_support::listen(port)?;
    // The parent stays inside of `fork_processes`; the workers, and an only process, come out of it.
    let first = workers <= 1 || landspout_process::fork_processes(workers)? == 0;
    peer_support::exit_on_sigterm()?;
    let address = listener.local_addr()?;
    let server = options.clone().callback(answer);
    server.add_socket(listener)?;
    if first {
        peer_support::announce(address);
    }
    Ok(IoLoop::current().start()?)
}

/// This thread only waits.
fn on_threads(workers: usize, port: u16, options: HttpServerOptions) -> Result<(), BoxError> {
    let threads = start_threads(workers, port, "127.0.0.1", move |_number, sockets| {
        let server: HttpServer = options.clone().callback(answer);
        server.add_sockets(sockets)?;
        Ok(server)
    })?;
    peer_support::exit_on_sigterm()?;
    peer_support::announce(threads.addresses()[0]);
    threads.join();
    Ok(())
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
        connection.write(piece)?;
        // `write` queues; this waits until the client has taken it.
        connection.flush().await?;
        left -= piece.len() as u64;
    }
    Ok(connection.finish()?)
}

//! HTTPS, with a certificate from files or one made on the fly, and a plain server beside it that sends everybody there.
//!
//! ```sh
//! cargo run --example https                           # prints its addresses and where its certificate is
//! curl --cacert CERTIFICATE https://localhost:8888/
//! curl -k https://127.0.0.1:8888/                     # without looking at the certificate
//! curl -L --cacert CERTIFICATE http://localhost:8080/ # redirected
//! cargo run --example https -- --certfile cert.pem --keyfile key.pem --hsts 31536000
//! kill -HUP PID                                       # reads the files again; connections go on
//! ```
//! In Tornado: `HTTPServer(ssl_options={"certfile": ..., "keyfile": ...})`. Here the files are checked when the server is made, and
//! a renewed certificate needs no restart.

#[path = "support/certificate.rs"]
mod certificate;
mod support;

use std::path::PathBuf;

use certificate::Certificate;
use landspout::httpserver::{BoxError, HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, StatusCode};
use landspout::ioloop::IoLoop;
use landspout::ioloop::signal::SIGHUP;
use landspout::netutil::SslOptions;
use support::{Arguments, Flag};

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn main() -> Result<(), support::Failure> {
    let flags = [
        support::PORT,
        Flag("--http-port", "N", "redirect plain HTTP on this port [8080]"),
        Flag("--certfile", "FILE", "the server's certificate as PEM [one made on the fly]"),
        Flag("--keyfile", "FILE", "its key"),
        Flag("--hsts", "SECONDS", "have browsers use HTTPS alone for so long (RFC 6797) [they may do as they like]"),
    ];
    let arguments = Arguments::read("Serves HTTPS, and redirects plain HTTP there.", &flags);

    // Kept to the end: its files go with it.
    let made = if arguments.has("--certfile") { None } else { Some(Certificate::make()?) };
    let file = |flag| PathBuf::from(arguments.text(flag).unwrap_or_default());
    let certfile = made.as_ref().map_or_else(|| file("--certfile"), Certificate::certfile);
    let keyfile = made.as_ref().map_or_else(|| file("--keyfile"), Certificate::keyfile);
    // A client that speaks HTTP/2 as well learns here that this server doesn't.
    let options = SslOptions::new().certfile(certfile.clone()).keyfile(keyfile).alpn(["http/1.1"]);

    let mut headers = PLAIN;
    if let Some(seconds) = arguments.value::<u64>("--hsts") {
        headers.set("Strict-Transport-Security", format!("max-age={seconds}"))?;
    }
    let server = HttpServerOptions::new().ssl_options(options)?.callback(async move |request: HttpServerRequest| {
        request.write_response(StatusCode::OK, &headers, format!("This is {}\n", request.full_url()))
    });
    server.listen(arguments.port(), None)?;
    let port = server.addresses().first().map_or(443, |address| address.port());

    let redirecting = HttpServer::new(async move |request: HttpServerRequest| redirect(&request, port));
    redirecting.listen(arguments.value("--http-port").unwrap_or(8080), None)?;

    support::stop_on_signals()?;
    let reloading = server.clone();
    IoLoop::current().add_signal_handler(SIGHUP, move || match reloading.reload_certificates() {
        Ok(()) => tracing::info!("new clients get the new certificate"),
        Err(error) => tracing::error!("the old certificate stays: {error}"),
    })?;
    Certificate::announce(&certfile);
    support::announce("https", &server.addresses());
    support::announce("http", &redirecting.addresses());
    IoLoop::current().start()?;
    Ok(())
}

/// 308 and not 301, after which a POST would become a GET (RFC 9110, section 15.4.9).
fn redirect(request: &HttpServerRequest, port: u16) -> Result<(), BoxError> {
    // `*`, and the whole URL that a proxy would get, lead to the top.
    let target = if request.uri().starts_with('/') { request.uri() } else { "/" };
    let mut headers = PLAIN;
    headers.set("Location", format!("https://{}:{port}{target}", request.host_name()))?;
    request.write_response(StatusCode::PERMANENT_REDIRECT, &headers, "This way, please.\n")?;
    Ok(())
}

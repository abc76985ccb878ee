//! The shortest HTTP server.
//!
//! ```sh
//! cargo run --example hello
//! curl -i http://127.0.0.1:8888/
//! ```
//! In Tornado: `HTTPServer(callback)`, `server.listen(8888)`, `IOLoop.current().start()`.

mod support;

use landspout::httpserver::{HttpHeaders, HttpServer, HttpServerRequest, StatusCode};
use landspout::ioloop::IoLoop;

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn main() -> Result<(), support::Failure> {
    let arguments = support::Arguments::read("The shortest HTTP server.", &[support::PORT]);
    let server = HttpServer::new(async |request: HttpServerRequest| {
        request.write_response(StatusCode::OK, &PLAIN, "Hello, World!")
    });
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    support::announce("http", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

//! The simplest way to start a server: `listen`, one process, one loop.
//!
//! ```sh
//! cargo run --example start_listen
//! curl http://127.0.0.1:8888/
//! ```
//! In Tornado: `server.listen(8888)`. The other ways: `start_fork`, `start_sockets`, `start_threads`.

mod support;

use landspout::httpserver::{HttpHeaders, HttpServer, HttpServerRequest, StatusCode};
use landspout::ioloop::IoLoop;

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn main() -> Result<(), support::Failure> {
    let arguments = support::Arguments::read("Starts a server by `listen`: a single process.", &[support::PORT]);
    let greeting = format!("Hello from the only process (pid {})\n", std::process::id());
    let server = HttpServer::new(async move |request: HttpServerRequest| {
        request.write_response(StatusCode::OK, &PLAIN, &greeting)
    });
    // Binds and accepts, on every address of every family. May be called again for another port.
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    support::announce("http", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

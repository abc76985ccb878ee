//! Several processes, step by step: `bind_sockets`, `fork_processes`, `add_sockets`.
//!
//! It does what `start_fork` does, but the program can act between the steps: open files that all workers share, drop
//! privileges, make a server per worker, listen on several ports.
//!
//! ```sh
//! cargo run --example start_sockets -- --workers 4
//! curl http://127.0.0.1:8888/
//! ```
//! In Tornado: the functions of the same names.

mod support;

use landspout::httpserver::{HttpHeaders, HttpServer, HttpServerRequest, StatusCode};
use landspout::ioloop::IoLoop;
use landspout::netutil::bind_sockets;
use landspout::process::ForkOptions;

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn main() -> Result<(), support::Failure> {
    let about = "Starts a server by `bind_sockets`, `fork_processes` and `add_sockets`.";
    let arguments = support::Arguments::read(about, &[support::PORT, support::WORKERS]);

    // In the parent: a port below 1024 needs privileges only here.
    let sockets = bind_sockets(arguments.port(), None)?;
    let addresses = sockets.iter().map(|socket| socket.local_addr()).collect::<Result<Vec<_>, _>>()?;

    // The parent stays inside, and tells what becomes of its workers. Each of these comes out with its number, as does the
    // one that replaces it should it die.
    let parent = ForkOptions::new().on_worker(|event| tracing::debug!("{event:?}"));
    let id = parent.fork_processes(arguments.workers())?;

    // In each worker.
    let me = format!("worker {id} (pid {})", std::process::id());
    let greeting = format!("Hello from {me}\n");
    let server = HttpServer::new(async move |request: HttpServerRequest| {
        request.write_response(StatusCode::OK, &PLAIN, &greeting)
    });
    server.add_sockets(sockets)?;
    support::stop_on_signals()?;
    support::announce_first("http", &addresses);
    println!("{me} serves");
    IoLoop::current().start()?;
    Ok(())
}

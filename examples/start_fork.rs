//! Several processes, the simple way: `bind`, then `start(n)`. The workers share the listening sockets.
//!
//! ```sh
//! cargo run --example start_fork -- --workers 4
//! curl http://127.0.0.1:8888/                    # tells who served: do it some times
//! kill -9 PID                                    # of a worker: another one takes its place and its number
//! ```
//! SIGTERM or Ctrl-C to the parent ends all workers and then, with status 0, the parent.
//!
//! In Tornado: `server.bind(8888)`, `server.start(0)`.

mod support;

use landspout::httpserver::{HttpHeaders, HttpServer, HttpServerRequest, StatusCode};
use landspout::ioloop::IoLoop;
use landspout::process::task_id;

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn main() -> Result<(), support::Failure> {
    let about = "Starts a server by `bind` and `start`: forked workers. --workers 1 forks none.";
    let arguments = support::Arguments::read(about, &[support::PORT, support::WORKERS]);
    let server = HttpServer::new(async |request: HttpServerRequest| {
        request.write_response(StatusCode::OK, &PLAIN, format!("Hello from {}\n", who_am_i()))
    });
    // No event loop may exist before the fork. Neither the constructor nor `bind` makes one.
    server.bind(arguments.port(), None)?;
    server.start(arguments.workers())?;
    // From here on this is a worker. The parent stays inside of `start`, replaces workers that die, and exits there.
    support::stop_on_signals()?;
    support::announce_first("http", &server.addresses());
    println!("{} serves", who_am_i());
    IoLoop::current().start()?;
    Ok(())
}

fn who_am_i() -> String {
    let pid = std::process::id();
    match task_id() {
        Some(id) => format!("worker {id} (pid {pid})"),
        None => format!("the only process (pid {pid})"),
    }
}

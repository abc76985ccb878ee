//! One loop per thread in a single process, the way to use every CPU that Tornado doesn't have.
//!
//! ```sh
//! cargo run --example start_threads -- --workers 4
//! curl http://127.0.0.1:8888/                        # tells who served: do it some times
//! ```
//! Each thread has a loop, a server and listening sockets of its own; all listen on the same port (`SO_REUSEPORT`), and
//! the kernel deals the connections out. What belongs to a loop never leaves its thread; threads talk to each other
//! through `Remote`. Compared with forked workers: memory can be shared, but a crash takes all of them.

mod support;

use landspout::httpserver::{HttpHeaders, HttpServer, HttpServerRequest, StatusCode};
use landspout::ioloop::IoLoop;
use landspout::tcpserver::start_threads;

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn main() -> Result<(), support::Failure> {
    let about = "Starts a server on several threads, each with a loop of its own.";
    let arguments = support::Arguments::read(about, &[support::PORT, support::WORKERS]);

    // This thread only waits for a signal, on a loop of its own.
    support::stop_on_signals()?;
    // The closure runs on each of the others, which keep what it returns: the server.
    let threads = start_threads(arguments.workers(), arguments.port(), None, |number, sockets| {
        let me = format!("thread {number} (pid {})", std::process::id());
        println!("{me} serves");
        let greeting = format!("Hello from {me}\n");
        let server = HttpServer::new(async move |request: HttpServerRequest| {
            request.write_response(StatusCode::OK, &PLAIN, &greeting)
        });
        server.add_sockets(sockets)?;
        Ok(server)
    })?;
    support::announce("http", threads.addresses());
    IoLoop::current().start()?;
    threads.stop();
    threads.join();
    Ok(())
}

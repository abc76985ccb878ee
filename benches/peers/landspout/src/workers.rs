//! `--workers N --start fork|threads`: several workers, in the two ways that there are.

use landspout_httpserver::{BoxError, HttpServer, HttpServerOptions};
use landspout_tcpserver::start_threads;
use peer_support::Arguments;

use super::{answer, serve};

pub(crate) const COUNT: &str = "--workers";
pub(crate) const FLAGS: [&str; 2] = ["--workers N", "--start fork|threads"];

pub(crate) fn run(count: usize, arguments: &Arguments, options: HttpServerOptions) -> Result<(), BoxError> {
    match arguments.text("--start") {
        Some("threads") => on_threads(count, arguments.port(), options),
        None | Some("fork") => in_processes(count, arguments.port(), options),
        Some(other) => Err(format!("--start fork or --start threads, not {other}").into()),
    }
}

/// They share a listening socket. The parent stays inside of `fork_processes`.
fn in_processes(count: usize, port: u16, options: HttpServerOptions) -> Result<(), BoxError> {
    let listener = peer_support::listen(port)?;
    let first = landspout_process::fork_processes(count)? == 0;
    peer_support::exit_on_sigterm()?;
    serve(listener, options, |address| {
        if first {
            peer_support::announce(address);
        }
    })
}

/// This thread only waits.
fn on_threads(count: usize, port: u16, options: HttpServerOptions) -> Result<(), BoxError> {
    let threads = start_threads(count, port, "127.0.0.1", move |_number, sockets| {
        let server: HttpServer = options.clone().callback(answer);
        server.add_sockets(sockets)?;
        Ok(server)
    })?;
    peer_support::exit_on_sigterm()?;
    peer_support::announce(threads.addresses()[0]);
    threads.join();
    Ok(())
}

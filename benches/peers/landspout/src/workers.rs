//! `--workers N --start fork|reuse-port|threads`: several workers, in the ways that there are.

use landspout_httpserver::{BoxError, HttpServer};
use landspout_ioloop::IoLoop;
use landspout_netutil::BindOptions;
use landspout_tcpserver::start_threads;
use peer_support::Arguments;

use super::{answer, serve};

pub(crate) const COUNT: &str = "--workers";
pub(crate) const FLAGS: [&str; 2] = ["--workers N", "--start fork|reuse-port|threads"];

pub(crate) fn run(count: usize, arguments: &Arguments) -> Result<(), BoxError> {
    match arguments.text("--start") {
        Some("threads") => on_threads(count, arguments.port()),
        Some("reuse-port") => in_processes_with_sockets(count, arguments.port()),
        None | Some("fork") => in_processes(count, arguments.port()),
        Some(other) => Err(format!("--start fork, reuse-port or threads, not {other}").into()),
    }
}

/// They share a listening socket. The parent stays inside of `fork_processes`.
fn in_processes(count: usize, port: u16) -> Result<(), BoxError> {
    let listener = peer_support::listen(port)?;
    let first = landspout_process::fork_processes(count)? == 0;
    peer_support::exit_on_sigterm()?;
    serve(&HttpServer::new(answer), listener, |address| {
        if first {
            peer_support::announce(address);
        }
    })
}

/// Each has a listening socket of its own, among which the kernel deals out the connections.
fn in_processes_with_sockets(count: usize, port: u16) -> Result<(), BoxError> {
    let own = BindOptions::new().reuse_port(true).backlog(u32::MAX);
    // Only to find a free port: held by the parent, who never accepts, it would get its share of the connections.
    let port = own.bind_sockets(port, "127.0.0.1")?[0].local_addr()?.port();
    let first = landspout_process::fork_processes(count)? == 0;
    peer_support::exit_on_sigterm()?;
    let server = HttpServer::new(answer);
    server.listen_with(port, "127.0.0.1", &own)?;
    if first {
        peer_support::announce(server.addresses()[0]);
    }
    Ok(IoLoop::current().start()?)
}

/// This thread only waits.
fn on_threads(count: usize, port: u16) -> Result<(), BoxError> {
    let threads = start_threads(count, port, "127.0.0.1", |_number, sockets| {
        let server = HttpServer::new(answer);
        server.add_sockets(sockets)?;
        Ok(server)
    })?;
    peer_support::exit_on_sigterm()?;
    peer_support::announce(threads.addresses()[0]);
    threads.join();
    Ok(())
}

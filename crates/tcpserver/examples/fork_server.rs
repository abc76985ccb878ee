//! A server that is started in one of Tornado's ways to use several processes: what the tests of forking drive.
//!
//! `fork_server PATTERN WORKERS`: PATTERN is `listen` (one process), `bind_start`, `add_sockets` or `reuse_port`. Before the fork
//! it prints `port N`; each worker prints `worker ID`, where ID is its task id, and tells it to whoever connects.

use std::io::Write;

use landspout_ioloop::IoLoop;
use landspout_iostream::IoStream;
use landspout_netutil::{BindOptions, bind_sockets};
use landspout_process::{fork_processes, task_id};
use landspout_tcpserver::TcpServer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let pattern = arguments.next().ok_or("usage: fork_server PATTERN WORKERS")?;
    let workers: usize = arguments.next().ok_or("usage: fork_server PATTERN WORKERS")?.parse()?;

    let server =
        TcpServer::new(async |stream: IoStream, _address| stream.write(format!("{:?}\n", task_id()).as_bytes())?.await);
    match pattern.as_str() {
        "listen" => {
            server.listen(0, "127.0.0.1")?;
            say("port", server.addresses()[0].port());
        }
        "bind_start" => {
            server.bind(0, "127.0.0.1")?;
            say("port", server.addresses()[0].port());
            server.start(workers)?;
        }
        "add_sockets" => {
            let sockets = bind_sockets(0, "127.0.0.1")?;
            say("port", sockets[0].local_addr()?.port());
            fork_processes(workers)?;
            server.add_sockets(sockets)?;
        }
        "reuse_port" => {
            let options = BindOptions::new().reuse_port(true);
            // Only to find a free port: held by the parent, who never accepts, it would get its share of the connections.
            let port = options.bind_sockets(0, "127.0.0.1")?[0].local_addr()?.port();
            say("port", port);
            fork_processes(workers)?;
            server.listen_with(port, "127.0.0.1", &options)?;
        }
        other => return Err(format!("no pattern {other:?}").into()),
    }
    say("worker", task_id().map_or("none".to_owned(), |id| id.to_string()));
    IoLoop::current().start()?;
    Ok(())
}

/// One write for each line: several processes share the output.
fn say(what: &str, value: impl std::fmt::Display) {
    let line = format!("{what} {value}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).expect("somebody reads");
}

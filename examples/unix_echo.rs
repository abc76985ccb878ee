//! A server behind a Unix-domain socket: it sends each line back.
//!
//! ```sh
//! cargo run --example unix_echo              # prints the socket's path
//! nc -U /tmp/landspout-unix_echo-1234.sock
//! ```
//! In Tornado: `server.add_socket(bind_unix_socket(path))`. Only this user may connect: the mode is 0o600 unless told
//! otherwise, and set before anyone can.

mod support;

use std::path::PathBuf;

use landspout::ioloop::IoLoop;
use landspout::iostream::{IoStream, StreamError};
use landspout::netutil::bind_unix_socket;
use landspout::tcpserver::TcpServer;

/// A client that sends more without a line end is cut off.
const MAX_LINE: usize = 64 * 1024;

fn main() -> Result<(), support::Failure> {
    let path_flag =
        support::Flag("--path", "PATH", "where the socket is made [a new name in the directory for temporary files]");
    let arguments = support::Arguments::read("Sends each line back, over a Unix-domain socket.", &[path_flag]);
    let path = arguments.text("--path").map_or_else(temporary_path, PathBuf::from);

    let server = TcpServer::new(async |stream: IoStream, _peer| {
        loop {
            let line = match stream.read_until(b"\n", Some(MAX_LINE)).await {
                Ok(line) => line,
                Err(StreamError::Closed(None)) => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.write(&line)?.await?;
        }
    });
    server.add_socket(bind_unix_socket(&path)?)?;
    support::stop_on_signals()?;
    println!("{}", path.display());
    IoLoop::current().start()?;
    // The file outlives its listener. One that a crash left behind is replaced by the next bind to it.
    server.stop();
    std::fs::remove_file(&path)?;
    Ok(())
}

fn temporary_path() -> PathBuf {
    std::env::temp_dir().join(format!("landspout-unix_echo-{}.sock", std::process::id()))
}

//! Streams without HTTP: whatever a client sends goes back to it, no faster than it reads.
//!
//! ```sh
//! cargo run --example tcp_echo
//! nc 127.0.0.1 8888
//! ```
//! In Tornado: a subclass of `TCPServer` that overrides `handle_stream`. Here that is an async closure, or a type that
//! implements the trait `HandleStream`. An error that leaves it is logged and closes the stream.

mod support;

use landspout::ioloop::IoLoop;
use landspout::iostream::{IoStream, StreamError};
use landspout::tcpserver::TcpServer;

/// What is read at once, in bytes.
const PIECE_SIZE: usize = 64 * 1024;

fn main() -> Result<(), support::Failure> {
    let arguments = support::Arguments::read("Sends back whatever it gets.", &[support::PORT]);
    let server = TcpServer::new(async |stream: IoStream, address| {
        tracing::debug!("{address} connected");
        loop {
            // As soon as there is anything. While it waits, the connection holds no memory for what may come.
            let piece = match stream.read_bytes_partial(PIECE_SIZE).await {
                Ok(piece) => piece,
                // The client's clean end has no cause; a reset has one.
                Err(StreamError::Closed(None)) => break tracing::debug!("{address} left"),
                Err(error) => return Err(error),
            };
            // `write` queues. Awaiting what it returns is the back-pressure: nothing more is read until this has left.
            stream.write(&piece)?.await?;
        }
        Ok(())
    });
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    support::announce("tcp", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

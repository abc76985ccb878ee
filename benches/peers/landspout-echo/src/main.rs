//! A TCP echo on landspout's streams, as in its example `tcp_echo`.
#![forbid(unsafe_code)]

use std::error::Error;

use landspout_ioloop::IoLoop;
use landspout_iostream::{IoStream, StreamError};
use landspout_tcpserver::TcpServer;
use peer_support::{Arguments, PIECE_SIZE};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(&[]);
    let listener = peer_support::listen(arguments.port())?;
    peer_support::exit_on_sigterm()?;
    peer_support::announce(listener.local_addr()?);
    let server = TcpServer::new(async |stream: IoStream, _| {
        loop {
            let piece = match stream.read_bytes_partial(PIECE_SIZE).await {
                Ok(piece) => piece,
                Err(StreamError::Closed(_)) => break Ok(()),
                Err(error) => break Err(error),
            };
            stream.write(&piece)?.await?;
        }
    });
    server.add_socket(listener)?;
    Ok(IoLoop::current().start()?)
}

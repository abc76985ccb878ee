//! A TCP echo on landspout's streams: a task for each connection, which reads into memory of its own and writes that.
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
        let mut buffer = vec![0; PIECE_SIZE];
        loop {
            let length = match stream.read_into_partial(&mut buffer).await {
                Ok(length) => length,
                Err(StreamError::Closed(_)) => break Ok(()),
                Err(error) => break Err(error),
            };
            stream.write(&buffer[..length])?.await?;
        }
    });
    server.add_socket(listener)?;
    Ok(IoLoop::current().start()?)
}

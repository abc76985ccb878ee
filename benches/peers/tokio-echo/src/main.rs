//! A TCP echo on tokio's current-thread runtime, as in the example of its README: a task for each connection, which reads into
//! a buffer and writes it.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io;

use peer_support::{Arguments, PIECE_SIZE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(&[]);
    let listener = peer_support::listen(arguments.port())?;
    peer_support::exit_on_sigterm()?;
    runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        peer_support::announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(echo(stream));
        }
    })
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_SIZE];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

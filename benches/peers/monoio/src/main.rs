//! monoio, the runtime: a task for each connection, one buffer for what came and one for what leaves, which is all that came at
//! once. It has no finished HTTP server (its authors call monoio-http a work in progress), so this is the least that can be called
//! one, over httparse: it reads requests as RFC 9112 has them, but has no limits of time and few of size.
//!
//! The feature `epoll` or `io-uring` chooses the driver.
#![forbid(unsafe_code)]

mod answers;
mod connection;
mod request;

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;

use answers::Answers;
use connection::Connection;
#[cfg(feature = "io-uring")]
use monoio::IoUringDriver as Driver;
#[cfg(feature = "epoll")]
use monoio::LegacyDriver as Driver;
use monoio::RuntimeBuilder;
use monoio::net::TcpListener;
use peer_support::Arguments;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(&[]);
    let listener = peer_support::listen(arguments.port())?;
    peer_support::exit_on_sigterm()?;
    let address = listener.local_addr()?;
    let mut runtime = match RuntimeBuilder::<Driver>::new().build() {
        Ok(runtime) => runtime,
        Err(error) => peer_support::not_here(format_args!("this kernel refuses io_uring: {error}")),
    };
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let answers = Rc::new(RefCell::new(Answers::default()));
        peer_support::announce(address);
        loop {
            let (stream, _) = listener.accept().await?;
            let connection = Connection::new(stream, answers.clone());
            // A client that breaks off is nothing to tell of.
            monoio::spawn(async { drop(connection.serve().await) });
        }
    })
}

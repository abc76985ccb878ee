//! may_minihttp: a coroutine for each connection, one worker; stacks and their pool as in its example for the TechEmpower
//! benchmarks.
//!
//! It adds `Server: M`, binds its socket itself (without TCP_NODELAY, backlog 1024), knows bodies by their length only, and has
//! no way to send an answer in pieces.
#![forbid(unsafe_code)]

use std::io::{self, BufRead};

use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};
use peer_support::{Arguments, HELLO};

fn main() -> io::Result<()> {
    let arguments = Arguments::read(&[]);
    // It doesn't tell which port it got.
    let address = peer_support::listen(arguments.port())?.local_addr()?;
    peer_support::exit_on_sigterm()?;
    may::config().set_workers(1).set_pool_capacity(1000).set_stack_size(0x1000);
    let server = Peer.start(address)?;
    peer_support::announce(address);
    server.join().map_err(|_| io::Error::other("the server panicked"))
}

#[derive(Clone)]
struct Peer;

impl HttpServiceFactory for Peer {
    type Service = Self;

    fn new_service(&self, _: usize) -> Self {
        Self
    }
}

impl HttpService for Peer {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        match request.path() {
            "/" => {
                response.header("Content-Type: text/plain").body(HELLO);
            }
            "/echo" => {
                response.header("Content-Type: application/octet-stream");
                let mut body = request.body();
                loop {
                    let piece = body.fill_buf()?;
                    if piece.is_empty() {
                        break;
                    }
                    response.body_mut().extend_from_slice(piece);
                    let length = piece.len();
                    body.consume(length);
                }
            }
            _ => {
                response.status_code(404, "Not Found");
            }
        }
        Ok(())
    }
}

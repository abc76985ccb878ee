//! The practical limit of a TCP echo: an epoll loop, one read and one write for what came at once, one buffer for all connections.
//!
//! What a client doesn't take at once is kept, and nothing more is read from it until that has left.
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use peer_support::epoll::{accept_all, number};
use peer_support::{Arguments, PIECE_SIZE};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{Errno, read, write};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(&[]);
    let listener = peer_support::listen(arguments.port())?;
    peer_support::exit_on_sigterm()?;
    peer_support::announce(listener.local_addr()?);
    serve(&listener)?;
    Ok(())
}

struct Connection {
    socket: OwnedFd,
    unsent: Vec<u8>,
}

fn serve(listener: &TcpListener) -> Result<(), Errno> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let listening = number(listener);
    epoll::add(&epoll, listener, EventData::new_u64(listening as u64), EventFlags::IN)?;
    // By the number of the descriptor.
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; PIECE_SIZE];
    loop {
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Err(Errno::INTR) => continue,
            result => result?,
        };
        for event in events.drain(..) {
            let at = event.data.u64() as usize;
            if at == listening {
                accept_all(listener, &epoll, &mut connections, |socket| Connection { socket, unsent: Vec::new() })?;
            } else if let Some(Some(connection)) = connections.get_mut(at)
                && connection.is_ready(&epoll, &mut buffer).is_err()
            {
                // Closing it takes it out of epoll.
                connections[at] = None;
            }
        }
    }
}

/// The connection is at its end.
struct Gone;

impl Connection {
    fn is_ready(&mut self, epoll: &OwnedFd, buffer: &mut [u8]) -> Result<(), Gone> {
        if !self.unsent.is_empty() {
            let sent = self.send(&self.unsent)?;
            self.unsent.drain(..sent);
            return if self.unsent.is_empty() { self.watch(epoll, EventFlags::IN) } else { Ok(()) };
        }
        let received = match read(&self.socket, &mut *buffer) {
            Ok(0) => return Err(Gone),
            Ok(received) => &buffer[..received],
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(_) => return Err(Gone),
        };
        let sent = self.send(received)?;
        if sent < received.len() {
            self.unsent.extend_from_slice(&received[sent..]);
            return self.watch(epoll, EventFlags::OUT);
        }
        Ok(())
    }

    fn send(&self, bytes: &[u8]) -> Result<usize, Gone> {
        match write(&self.socket, bytes) {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(_) => Err(Gone),
        }
    }

    fn watch(&self, epoll: &OwnedFd, events: EventFlags) -> Result<(), Gone> {
        let data = EventData::new_u64(number(&self.socket) as u64);
        epoll::modify(epoll, &self.socket, data, events).map_err(|_| Gone)
    }
}

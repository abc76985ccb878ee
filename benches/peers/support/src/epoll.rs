//! Accepting, for epoll loops by hand.

use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

/// Accepts until nobody waits. Who comes is watched for something to read, under the number of its descriptor, which is its
/// place among the connections too.
pub fn accept_all<C>(
    listener: &TcpListener,
    epoll: &OwnedFd,
    connections: &mut Vec<Option<C>>,
    connection: impl Fn(OwnedFd) -> C,
) -> Result<(), Errno> {
    loop {
        let socket = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => socket,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::CONNABORTED | Errno::INTR) => continue,
            Err(error) => return Err(error),
        };
        let at = number(&socket);
        epoll::add(epoll, &socket, EventData::new_u64(at as u64), EventFlags::IN)?;
        if connections.len() <= at {
            connections.resize_with(at + 1, || None);
        }
        connections[at] = Some(connection(socket));
    }
}

/// A descriptor's number.
pub fn number(descriptor: &impl AsFd) -> usize {
    usize::try_from(descriptor.as_fd().as_raw_fd()).expect("an open descriptor has no negative number")
}

//! Transports that count their calls.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use landspout_iostream::{IoStream, StreamOptions, Transport};

/// The calls that a transport has seen.
#[derive(Debug, Default)]
pub struct Calls {
    pub reads: Cell<usize>,
    pub writes: Cell<usize>,
    /// Reads that found nothing: each was in vain.
    pub empty_reads: Cell<usize>,
    /// Writes that found no room.
    pub full_writes: Cell<usize>,
    /// Reads that found the end.
    pub ends: Cell<usize>,
    /// The largest read that was asked for.
    pub largest_asked: Cell<usize>,
    pub dropped: Cell<bool>,
}

impl Calls {
    /// Reads and writes since this was asked last.
    pub fn take(&self) -> (usize, usize) {
        (self.reads.take(), self.writes.take())
    }
}

fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

/// A socket that counts.
pub struct Counting<S> {
    socket: S,
    calls: Rc<Calls>,
}

/// What is read and written through a shared reference.
pub trait Socket: AsFd + 'static {
    fn get(&self, buf: &mut [u8]) -> io::Result<usize>;
    fn put(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;
    fn unblock(&self);
}

macro_rules! socket {
    ($socket:ty) => {
        impl Socket for $socket {
            fn get(&self, buf: &mut [u8]) -> io::Result<usize> {
                (&*self).read(buf)
            }

            fn put(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
                (&*self).write_vectored(bufs)
            }

            fn unblock(&self) {
                self.set_nonblocking(true).unwrap();
            }
        }
    };
}

socket!(TcpStream);
socket!(UnixStream);

impl<S: Socket> Transport for Counting<S> {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        count(&self.calls.reads);
        self.calls.largest_asked.set(self.calls.largest_asked.get().max(buf.len()));
        let result = self.socket.get(buf);
        match &result {
            Ok(0) => count(&self.calls.ends),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => count(&self.calls.empty_reads),
            _ => {}
        }
        result
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        count(&self.calls.writes);
        let result = self.socket.put(bufs);
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            count(&self.calls.full_writes);
        }
        result
    }
}

impl<S> Drop for Counting<S> {
    fn drop(&mut self) {
        self.calls.dropped.set(true);
    }
}

/// A stream over `socket` whose calls are counted.
pub fn counted(socket: impl Socket, options: StreamOptions) -> (IoStream, Rc<Calls>) {
    socket.unblock();
    let calls = Rc::<Calls>::default();
    let stream = IoStream::new(Counting { socket, calls: calls.clone() }, options).unwrap();
    (stream, calls)
}

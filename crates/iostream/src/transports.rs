//! The transports of the operating system: TCP and Unix sockets, and pipes.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;

use crate::transport::Transport;

#[cfg(feature = "tls")]
pub(crate) mod tls;

/// Repeats a call that a signal interrupted.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// One slice is a plain write: the common case, and the cheaper system call.
fn write_to(mut sink: impl Write, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    uninterrupted(|| match bufs {
        [buf] => sink.write(buf),
        bufs => sink.write_vectored(bufs),
    })
}

/// Called when the descriptor is closed: for a server that counts. It fits into the allocation that a transport needs anyway.
#[derive(Default)]
pub(crate) struct OnClosed(pub(crate) Option<Rc<dyn Fn()>>);

impl Drop for OnClosed {
    fn drop(&mut self) {
        if let Some(closed) = &self.0 {
            closed();
        }
    }
}

/// A connected, or connecting, TCP socket.
pub(crate) struct Tcp {
    /// Closed before the hook is called.
    socket: TcpStream,
    /// Nagle's algorithm is known to be off.
    nodelay: bool,
    _closed: OnClosed,
}

impl Tcp {
    pub(crate) fn new(socket: TcpStream, closed: OnClosed) -> Self {
        Self { socket, nodelay: false, _closed: closed }
    }

    /// One that is known to have Nagle's algorithm off, or not.
    pub(crate) fn accepted(socket: TcpStream, nodelay: bool, closed: OnClosed) -> Self {
        Self { socket, nodelay, _closed: closed }
    }
}

impl Transport for Tcp {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.socket.read(buf))
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        write_to(&self.socket, bufs)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// A lingering close of no time is a reset (socket(7)), whoever closes the descriptor: the kernel, too, if the process is killed.
    fn abort_on_close(&mut self, abort: bool) {
        // Refused on a connection that has ended, which needs no other end.
        let _ = SockRef::from(&self.socket).set_linger(abort.then_some(Duration::ZERO));
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    fn set_nodelay(&mut self, nodelay: bool) -> io::Result<()> {
        if nodelay && self.nodelay {
            return Ok(());
        }
        self.socket.set_nodelay(nodelay)?;
        self.nodelay = nodelay;
        Ok(())
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }
}

/// A Unix-domain stream socket.
pub(crate) struct Unix {
    /// Closed before the hook is called.
    socket: UnixStream,
    /// The peer passes descriptors, or may, unseen.
    passing: bool,
    _closed: OnClosed,
}

impl Unix {
    pub(crate) fn new(socket: UnixStream, closed: OnClosed) -> Self {
        Self { socket, passing: !cfg!(feature = "recvmsg"), _closed: closed }
    }
}

impl Transport for Unix {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    /// Descriptors that come with the bytes are closed by the kernel, since there is no room for them (unix(7)). Only recvmsg(2)
    /// tells that there were any, and std has no stable door to it.
    #[cfg(feature = "recvmsg")]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        use nix::sys::socket::{MsgFlags, recvmsg};
        use std::os::fd::AsRawFd;

        uninterrupted(|| {
            let bufs = &mut [io::IoSliceMut::new(buf)];
            let received = recvmsg::<()>(self.socket.as_raw_fd(), bufs, None, MsgFlags::empty())?;
            self.passing |= received.flags.contains(MsgFlags::MSG_CTRUNC);
            Ok(received.bytes)
        })
    }

    /// As above, unseen.
    #[cfg(not(feature = "recvmsg"))]
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.socket.read(buf))
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        write_to(&self.socket, bufs)
    }

    /// The kernel ends a read at bytes that descriptors came with, although there may be more.
    fn drained(&self, asked: usize, got: usize) -> bool {
        got < asked && !self.passing
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }
}

/// The descriptor isn't open for this direction. The same number everywhere.
const EBADF: i32 = 9;

/// One end of a pipe. It carries one direction.
pub(crate) struct Pipe(pub(crate) File);

impl Pipe {
    /// Takes the descriptor over and makes it non-blocking.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        SockRef::from(&fd).set_nonblocking(true)?;
        Ok(Self(File::from(fd)))
    }
}

impl Transport for Pipe {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    /// The end that is written to has nothing to read, but is reported readable when the reader is gone. The read then fails
    /// with EBADF, and means what a write would say.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match uninterrupted(|| self.0.read(buf)) {
            Err(error) if error.raw_os_error() == Some(EBADF) => Err(io::ErrorKind::BrokenPipe.into()),
            result => result,
        }
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        write_to(&self.0, bufs)
    }

    /// The end that is read has nothing to end here (EBADF, as above); the other one is ended by closing it.
    fn shutdown_write(&mut self) -> io::Result<()> {
        match self.0.write(&[]) {
            Err(error) if error.raw_os_error() == Some(EBADF) => Ok(()),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// In packet mode (pipe(2)) a read brings one packet, and which mode it is only the writer knows. Terminals give lines.
    fn drained(&self, _asked: usize, _got: usize) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With descriptors among the bytes: `tests/short_reads.rs`.
    #[test]
    fn a_short_read_of_a_unix_socket_has_drained_it_if_recvmsg_says_so() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut unix = Unix::new(ours, OnClosed::default());
        (&theirs).write_all(b"all of it").unwrap();
        assert_eq!(unix.read(&mut [0; 100]).unwrap(), 9);
        assert_eq!(unix.drained(100, 9), cfg!(feature = "recvmsg"));
        assert!(!unix.drained(9, 9));
    }
}

//! A transport made of memory: two queues of limited size, read and written in pieces of odd sizes, with switches for
//! what a network can do. It stands on the crate's public interface alone, as anybody's would.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use landspout_ioloop::Ready;
use landspout_iostream::{IoStream, Raiser, StreamOptions, Transport};

/// What one direction holds when nothing else is said.
pub const CAPACITY: usize = 64 * 1024;

/// One direction.
struct Queue {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The writer has ended it.
    ended: bool,
    /// The reader is gone.
    abandoned: bool,
    /// What the next read fails with, after the bytes.
    read_error: Option<io::ErrorKind>,
    /// What the next write fails with.
    write_error: Option<io::ErrorKind>,
    reader: Option<Raiser>,
    writer: Option<Raiser>,
    /// A read found nothing or a write found no room: the other end has to be told when that changes.
    reader_waits: bool,
    writer_waits: bool,
    /// At most so many bytes a call, and then one less, and so on around.
    piece: usize,
}

/// A hand on one direction of a pair, for the test.
#[derive(Clone)]
pub struct Wire(Rc<RefCell<Queue>>);

impl Wire {
    fn new(capacity: usize) -> Self {
        Self(Rc::new(RefCell::new(Queue {
            bytes: VecDeque::new(),
            capacity,
            ended: false,
            abandoned: false,
            read_error: None,
            write_error: None,
            reader: None,
            writer: None,
            reader_waits: true,
            writer_waits: false,
            piece: usize::MAX,
        })))
    }

    /// Bytes that are written and not read.
    pub fn len(&self) -> usize {
        self.0.borrow().bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The writer has ended it, or is gone.
    pub fn is_ended(&self) -> bool {
        self.0.borrow().ended
    }

    /// Lets pieces of `size` bytes through at most.
    pub fn limit_pieces(&self, size: usize) {
        self.0.borrow_mut().piece = size;
    }

    /// The reader's next read fails so, after what is there.
    pub fn fail_reads(&self, kind: io::ErrorKind) {
        self.0.borrow_mut().read_error = Some(kind);
        self.raise_reader(Ready::READABLE | Ready::ERROR);
    }

    /// The same without an event.
    pub fn fail_reads_silently(&self, kind: io::ErrorKind) {
        self.0.borrow_mut().read_error = Some(kind);
    }

    /// The writer's next write fails so.
    pub fn fail_writes(&self, kind: io::ErrorKind) {
        self.0.borrow_mut().write_error = Some(kind);
        self.raise_writer(Ready::WRITABLE | Ready::ERROR);
    }

    fn raise_reader(&self, ready: Ready) {
        let reader = self.0.borrow().reader.clone();
        if let Some(reader) = reader {
            reader.raise(ready);
        }
    }

    fn raise_writer(&self, ready: Ready) {
        let writer = self.0.borrow().writer.clone();
        if let Some(writer) = writer {
            writer.raise(ready);
        }
    }

    fn read(&self, target: &mut [u8]) -> io::Result<usize> {
        let mut queue = self.0.borrow_mut();
        if queue.bytes.is_empty() {
            if let Some(kind) = queue.read_error {
                return Err(kind.into());
            }
            if queue.ended {
                return Ok(0);
            }
            queue.reader_waits = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = target.len().min(queue.bytes.len()).min(queue.piece);
        for (to, from) in target.iter_mut().zip(queue.bytes.drain(..n)) {
            *to = from;
        }
        queue.reader_waits = n < target.len() && queue.bytes.is_empty();
        let tell = std::mem::take(&mut queue.writer_waits);
        drop(queue);
        if tell {
            self.raise_writer(Ready::WRITABLE);
        }
        Ok(n)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        let mut queue = self.0.borrow_mut();
        if let Some(kind) = queue.write_error {
            return Err(kind.into());
        }
        if queue.abandoned || queue.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = data.len().min(queue.capacity - queue.bytes.len());
        queue.bytes.extend(&data[..n]);
        queue.writer_waits = n < data.len();
        if n == 0 && !data.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let tell = std::mem::take(&mut queue.reader_waits);
        drop(queue);
        if tell {
            self.raise_reader(Ready::READABLE);
        }
        Ok(n)
    }

    fn end(&self) {
        self.0.borrow_mut().ended = true;
        self.raise_reader(Ready::READABLE | Ready::READ_CLOSED);
    }

    fn abandon(&self) {
        self.0.borrow_mut().abandoned = true;
        self.raise_writer(Ready::WRITABLE | Ready::WRITE_CLOSED);
    }
}

/// One end.
struct End {
    incoming: Wire,
    outgoing: Wire,
}

impl Transport for End {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(buf)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for buf in bufs {
            match self.outgoing.write(buf) {
                Ok(n) => written += n,
                Err(error) if written == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(written)
    }

    fn drained(&self, _asked: usize, _got: usize) -> bool {
        // A piece may be short although there is more.
        self.incoming.0.borrow().reader_waits
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.outgoing.end();
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.outgoing.end();
        self.incoming.abandon();
    }
}

/// Two streams and the wires between them: from the first to the second, and back.
pub struct Simulated {
    pub first: IoStream,
    pub second: IoStream,
    pub there: Wire,
    pub back: Wire,
}

/// Two connected streams; each direction holds `capacity` bytes.
pub fn wired(capacity: usize, first: StreamOptions, second: StreamOptions) -> Simulated {
    let (there, back) = (Wire::new(capacity), Wire::new(capacity));
    let one = End { incoming: back.clone(), outgoing: there.clone() };
    let other = End { incoming: there.clone(), outgoing: back.clone() };
    let first = IoStream::new(one, first).expect("nothing to refuse");
    let second = IoStream::new(other, second).expect("nothing to refuse");
    for (wire, writer, reader) in [(&there, &first, &second), (&back, &second, &first)] {
        let mut queue = wire.0.borrow_mut();
        queue.writer = Some(writer.raiser());
        queue.reader = Some(reader.raiser());
    }
    Simulated { first, second, there, back }
}

/// A single one, which nobody else holds an end of.
pub fn stream() -> io::Result<IoStream> {
    IoStream::new(End { incoming: Wire::new(1), outgoing: Wire::new(1) }, StreamOptions::new())
}

/// As [`wired`], with pieces of an odd size and without the wires.
pub fn pair(capacity: usize, first: StreamOptions, second: StreamOptions) -> (IoStream, IoStream) {
    let Simulated { first, second, there, back } = wired(capacity, first, second);
    there.limit_pieces(997);
    back.limit_pieces(1009);
    (first, second)
}

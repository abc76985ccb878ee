//! What a stream's buffering costs: `read_until` over a transport made of memory, so that no kernel is part of it.

mod parts;

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use landspout::ioloop::{IoLoop, Ready};
use landspout::iostream::{IoStream, StreamOptions, Transport};

fn main() {
    parts::run(&[read_until, read_bytes]);
}

const SIZES: [usize; 7] = [1, 64, 1 << 10, 16 << 10, 64 << 10, 1 << 20, 4 << 20];

/// A line, delimiter included, found, taken out of the buffer and dropped.
fn read_until(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read_until");
    for size in SIZES {
        measure(&mut group, "one at a time", size, size, async |stream: &IoStream, size| {
            assert_eq!(stream.read_until(b"\n", None).await.expect("a line").len(), size);
        });
    }
    // Whatever is buffered is looked at before the transport is.
    for size in [1, 64, 1 << 10] {
        measure(&mut group, "64 KiB of them at a time", size, 64 << 10, async |stream: &IoStream, size| {
            assert_eq!(stream.read_until(b"\n", None).await.expect("a line").len(), size);
        });
    }
    group.finish();
}

/// The same without a delimiter to look for.
fn read_bytes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read_bytes");
    for size in SIZES {
        measure(&mut group, "one at a time", size, size, async |stream: &IoStream, size| {
            assert_eq!(stream.read_bytes(size).await.expect("a message").len(), size);
        });
    }
    group.finish();
}

/// Reads lines of `size` bytes that come `burst` bytes at a time.
fn measure(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    size: usize,
    burst: usize,
    read: impl AsyncFn(&IoStream, usize) + Copy + 'static,
) {
    group.throughput(Throughput::Bytes(size as u64));
    group.bench_function(BenchmarkId::new(name, size), |bencher| {
        let io_loop = IoLoop::new().expect("a loop");
        io_loop.make_current();
        let stream = IoStream::new(Lines::new(size, burst), StreamOptions::new()).expect("a stream");
        // Once is enough, as it never says that nothing is left.
        stream.raiser().raise(Ready::READABLE);
        bencher.iter_custom(|count| {
            let stream = stream.clone();
            let all = async move {
                let begin = Instant::now();
                for _ in 0..count {
                    read(&stream, size).await;
                }
                begin.elapsed()
            };
            io_loop.run_sync(all).expect("the loop runs")
        });
    });
}

/// Gives line after line, without end.
struct Lines {
    /// What comes before the next pause: whole lines.
    burst: Vec<u8>,
    given: usize,
}

impl Lines {
    fn new(size: usize, burst: usize) -> Self {
        let mut line = vec![b'.'; size];
        line[size - 1] = b'\n';
        Self { burst: line.repeat(burst / size), given: 0 }
    }
}

impl Transport for Lines {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = &self.burst[self.given..];
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        self.given = (self.given + count) % self.burst.len();
        Ok(count)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(bufs.iter().map(|buf| buf.len()).sum())
    }

    fn drained(&self, _asked: usize, _got: usize) -> bool {
        false
    }
}

//! A stream that is always ready must not keep the loop for itself.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use landspout_ioloop::{IoLoop, Ready};
use landspout_iostream::{IoStream, StreamOptions, Transport};

/// Takes everything, and always has more.
struct Endless;

impl Transport for Endless {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        buf.fill(b'x');
        Ok(buf.len())
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(bufs.iter().map(|buf| buf.len()).sum())
    }
}

/// Runs `endless`, which counts its rounds, beside a task that looks at the count each time it gets a turn. Gives the most
/// rounds that lay between two looks.
fn longest_run<F: Future<Output = ()> + 'static>(endless: impl FnOnce(IoStream, Rc<Cell<u32>>) -> F) -> u32 {
    let io_loop = IoLoop::new().unwrap();
    let rounds = Rc::new(Cell::new(0));
    let looks = Rc::new(RefCell::new(Vec::new()));
    let stream = IoStream::new(Endless, StreamOptions::new()).unwrap();
    stream.raiser().raise(Ready::READABLE);
    io_loop.spawn(endless(stream, rounds.clone()));
    let other = {
        let looks = looks.clone();
        async move {
            for _ in 0..20 {
                looks.borrow_mut().push(rounds.get());
                let mut looked = false;
                poll_fn(|cx| match std::mem::replace(&mut looked, true) {
                    true => Poll::Ready(()),
                    false => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                })
                .await;
            }
        }
    };
    io_loop.run_sync_timeout(Duration::from_secs(60), other).expect("the other task gets its turns");
    let looks = looks.borrow();
    looks.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
}

#[test]
fn a_writer_whose_peer_takes_everything_lets_others_run() {
    let longest = longest_run(|stream, rounds| async move {
        loop {
            stream.write(b"piece").unwrap().await.unwrap();
            rounds.set(rounds.get() + 1);
        }
    });
    assert!((1..=64).contains(&longest), "{longest} writes in a row");
}

#[test]
fn a_reader_whose_peer_always_has_more_lets_others_run() {
    let longest = longest_run(|stream, rounds| async move {
        loop {
            stream.read_bytes(100_000).await.unwrap();
            rounds.set(rounds.get() + 1);
        }
    });
    assert!((1..=64).contains(&longest), "{longest} reads in a row");
}

#[test]
fn a_reader_into_its_own_memory_lets_others_run() {
    let longest = longest_run(|stream, rounds| async move {
        let mut memory = vec![0; 65_536];
        loop {
            stream.read_into_partial(&mut memory).await.unwrap();
            rounds.set(rounds.get() + 1);
        }
    });
    assert!((1..=64).contains(&longest), "{longest} reads in a row");
}

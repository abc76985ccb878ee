//! A loop that closes while its streams live: descriptors go, futures resolve, and what is left gives errors, not panics.

mod common;

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use common::counting::counted;
use common::simulated::{self, Simulated, wired};
use common::*;
use landspout_ioloop::{IoLoop, Ready};
use landspout_iostream::{CloseCause, IoStream, StreamError, StreamOptions, Written};

/// Polls without a loop.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn ready<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it would wait for ever"),
    }
}

fn loop_closed<T>() -> Result<T, StreamError> {
    Err(StreamError::Closed(Some(CloseCause::LoopClosed)))
}

/// Everything that a handle can do.
fn use_it(stream: &IoStream) {
    assert!(stream.closed());
    assert_eq!(stream.error(), Some(CloseCause::LoopClosed));
    assert_eq!(ready(stream.read_bytes(1)), loop_closed());
    assert_eq!(ready(stream.read_bytes(0)).unwrap(), "");
    assert_eq!(ready(stream.read_bytes_partial(1)), loop_closed());
    assert_eq!(ready(stream.read_until(b"\n", Some(5))), loop_closed());
    assert_eq!(ready(stream.read_into_partial(&mut [0; 10_000])), loop_closed());
    assert_eq!(ready(stream.read_until_close()).unwrap(), "");
    assert_eq!(stream.write(b"x").map(drop), loop_closed());
    assert_eq!(stream.write(&[0; 100_000]).map(drop), loop_closed());
    assert_eq!(stream.write_with(1, |_| ()), loop_closed());
    assert_eq!(ready(stream.connected()), loop_closed());
    assert_eq!(ready(stream.shutdown_write()), loop_closed());
    assert_eq!(stream.set_nodelay(true), loop_closed());
    assert_eq!(stream.peer_addr(), None);
    assert_eq!(stream.pending_write(), 0);
    assert!(!stream.writing() && !stream.reading());
    assert!(stream.peer_has_closed() && stream.peer_is_gone());
    stream.set_close_callback(Some(Box::new(|| panic!("no loop runs it"))));
    stream.set_close_callback(None);
    stream.raiser().raise(Ready::READABLE | Ready::WRITABLE | Ready::READ_CLOSED);
    stream.close_when_flushed();
    stream.close();
    assert!(!format!("{stream:?}").is_empty());
}

#[test]
fn streams_close_with_their_loop() {
    // Each stream has something going on, and a peer outside of the loop that sees its descriptor go.
    let io_loop = IoLoop::new().unwrap();
    let mut peers = Vec::new();
    let mut make = || {
        let (socket, peer) = UnixStream::pair().unwrap();
        // A descriptor that stays open must fail the test, not keep it.
        peer.set_read_timeout(Some(GUARD)).unwrap();
        peers.push(peer);
        IoStream::from_unix(socket, StreamOptions::new()).unwrap()
    };
    let (idle, reading, writing, ending, watched) = (make(), make(), make(), make(), make());
    let forgotten = make();
    let results = Trace::default();
    let mut written = Vec::new();
    for stream in [&writing, &ending, &forgotten] {
        written.push(stream.write(&[0; 10_000_000]).unwrap());
    }
    ending.close_when_flushed();
    drop(forgotten);
    written.pop();
    watched.set_close_callback(results.callback("callback"));
    io_loop.spawn({
        let reading = reading.clone();
        async move { reading.read_bytes(1).await }
    });
    io_loop.spawn({
        let flush = writing.flush();
        let trace = results.clone();
        async move {
            let _ = flush.await;
            trace.push("written");
        }
    });
    io_loop.run_sync(turns(3)).unwrap();
    io_loop.close().unwrap();
    for mut peer in peers {
        let mut rest = Vec::new();
        match peer.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    for stream in [&idle, &reading, &writing, &ending, &watched] {
        use_it(stream);
    }
    for written in written {
        assert_eq!(ready(written), loop_closed());
    }
    assert_eq!(results.take(), [""; 0], "tasks and callbacks of a closed loop don't run");
    drop(io_loop);
    for stream in [idle, reading, writing, ending, watched] {
        use_it(&stream);
        drop(stream);
    }
}

/// The last handle of the loop is its close.
#[test]
fn streams_outlive_a_dropped_loop() {
    let io_loop = IoLoop::new().unwrap();
    let (one, other) = Over::Tcp.plain_pair(StreamOptions::new(), StreamOptions::new());
    let written: Written = one.write(&[0; 20_000_000]).unwrap();
    let calls = Trace::default();
    one.set_close_callback(calls.callback("callback"));
    IoLoop::clear_current();
    drop(io_loop);
    assert!(one.io_loop().is_none());
    use_it(&one);
    use_it(&other);
    assert_eq!(ready(written), loop_closed());
    assert!(calls.is_empty());
}

/// What was in the buffer can still be read.
#[test]
fn buffered_bytes_are_left() {
    let io_loop = IoLoop::new().unwrap();
    let (from, to) = Over::Unix.plain_pair(StreamOptions::new(), StreamOptions::new());
    io_loop
        .run_sync({
            let (from, to) = (from.clone(), to.clone());
            async move {
                from.write(b"abc\ndef").unwrap();
                assert_eq!(to.read_bytes(1).await.unwrap(), "a");
            }
        })
        .unwrap();
    io_loop.close().unwrap();
    assert_eq!(ready(to.read_until(b"\n", None)).unwrap(), "bc\n");
    assert_eq!(ready(to.read_bytes(4)), loop_closed());
    assert_eq!(ready(to.read_until_close()).unwrap(), "def");
}

/// Futures that were polled on the loop and live on elsewhere.
#[test]
fn futures_outlive_their_loop() {
    let io_loop = IoLoop::new().unwrap();
    let (from, to) = Over::Tcp.plain_pair(StreamOptions::new(), StreamOptions::new());
    let mut read = Box::pin({
        let to = to.clone();
        async move { to.read_bytes(1).await }
    });
    let mut written = Box::pin(from.write(&[0; 20_000_000]).unwrap());
    assert!(poll(read.as_mut()).is_pending());
    assert!(poll(written.as_mut()).is_pending());
    let dropped_later = [from.flush(), from.flush()];
    let sent: Vec<_> = (0..1000).map(|_| to.write(b"").unwrap()).collect();
    io_loop.close().unwrap();
    drop(io_loop);
    assert_eq!(poll(read.as_mut()), Poll::Ready(loop_closed()));
    assert_eq!(poll(written.as_mut()), Poll::Ready(loop_closed()));
    drop(dropped_later);
    for sent in sent {
        assert_eq!(ready(sent), Ok(()), "no loop refills what a task may do in one poll");
    }
}

/// A stream that only its unsent bytes kept alive is freed.
#[test]
fn an_orphan_ends_with_its_loop() {
    let io_loop = IoLoop::new().unwrap();
    let (socket, _peer) = UnixStream::pair().unwrap();
    let (stream, calls) = counted(socket, StreamOptions::new());
    stream.write(&[0; 10_000_000]).unwrap();
    drop(stream);
    io_loop.run_sync(turns(3)).unwrap();
    assert!(!calls.dropped.get());
    io_loop.close().unwrap();
    assert!(calls.dropped.get());
}

/// A callback that holds its own stream is freed with the loop: nothing goes round in a circle.
#[test]
fn a_callback_that_holds_its_stream_is_freed() {
    let io_loop = IoLoop::new().unwrap();
    let (socket, _peer) = UnixStream::pair().unwrap();
    let (stream, calls) = counted(socket, StreamOptions::new());
    let dropped = Trace::default();
    let guard = OnDrop({
        let (dropped, _stream) = (dropped.clone(), stream.clone());
        move || {
            let _ = &_stream;
            dropped.push("dropped");
        }
    });
    stream.set_close_callback(Some(Box::new(move || drop(guard))));
    drop(stream);
    assert!(!calls.dropped.get(), "the callback keeps it");
    io_loop.close().unwrap();
    assert!(calls.dropped.get());
    assert_eq!(dropped.take(), ["dropped"]);
}

/// Streams that a task of the loop owns go with the task.
#[test]
fn a_cancelled_task_lets_go_of_its_stream() {
    let io_loop = IoLoop::new().unwrap();
    let (socket, _peer) = UnixStream::pair().unwrap();
    let (stream, calls) = counted(socket, StreamOptions::new());
    io_loop.spawn(async move {
        let written = stream.write(&[0; 10_000_000]).unwrap();
        let read = stream.read_bytes(1);
        let _ = (read.await, written.await);
    });
    io_loop.run_sync(turns(3)).unwrap();
    io_loop.close().unwrap();
    assert!(calls.dropped.get());
}

/// A simulated transport has no source that the poller could know; its stream is told as all others.
#[test]
fn a_simulated_stream_closes_with_its_loop() {
    let io_loop = IoLoop::new().unwrap();
    let pair = wired(4, StreamOptions::new(), StreamOptions::new());
    let written = pair.first.write(b"abcdefgh").unwrap();
    io_loop.run_sync(turns(2)).unwrap();
    io_loop.close().unwrap();
    use_it(&pair.first);
    assert_eq!(ready(written), loop_closed());
    drop(io_loop);
    use_it(&pair.first);
    use_it(&pair.second);
}

#[test]
fn a_simulated_orphan_ends_with_its_loop() {
    let io_loop = IoLoop::new().unwrap();
    let Simulated { first, second, there, back } = wired(4, StreamOptions::new(), StreamOptions::new());
    first.write(b"abcdefgh").unwrap();
    drop(first);
    io_loop.run_sync(turns(3)).unwrap();
    assert!(!there.is_ended(), "its unsent bytes keep it");
    io_loop.close().unwrap();
    assert!(there.is_ended() && back.is_ended());
    drop(second);
}

#[test]
fn a_closed_loop_takes_no_simulated_stream() {
    let io_loop = IoLoop::new().unwrap();
    io_loop.close().unwrap();
    io_loop.make_current();
    assert!(simulated::stream().is_err());
}

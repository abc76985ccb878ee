//! Closing: by whom, in which order things are told, what is still delivered, and what is logged.

#[macro_use]
mod common;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use common::simulated::wired;
use common::wakers::{waker_with_drop, waker_with_wake};
use common::*;
use landspout_iostream::{CloseCause, IoStream, ReadTarget, StreamError, StreamOptions, Transport};
use socket2::SockRef;

over_each_transport! {
    close_callback_with_pending_read,
    future_close_callback,
    future_delayed_close_callback,
    close_buffered_data,
    the_callback_is_one_slot,
    a_callback_set_after_the_close_runs,
    the_last_handle_closes,
    close_sends_what_the_kernel_takes,
    close_when_flushed_sends_everything,
    a_read_that_takes_the_last_bytes_lets_the_close_be_noticed,
    a_dropped_read_lets_the_close_be_noticed,
    a_read_that_is_not_polled_lets_the_close_be_noticed,
    what_is_buffered_at_the_close_satisfies_the_read,
    reads_at_the_end,
}

over_each_two_way_transport! {
    a_half_closed_peer_gets_its_answer,
    unsent_bytes_go_to_a_half_closed_peer_first,
    shutdown_write_leaves_the_other_direction,
    the_peer_has_closed_but_is_not_gone,
}

/// Tornado: TestReadWriteMixin.test_close_callback_with_pending_read. The read learns of it first.
async fn close_callback_with_pending_read(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"OK\r\n").unwrap();
    assert_eq!(to.read_until(b"\r\n", None).await.unwrap(), "OK\r\n");
    let order = Trace::default();
    to.set_close_callback(order.callback("callback"));
    let (stream, trace) = (to.clone(), order.clone());
    let read = spawn(async move {
        assert_closed_cleanly(&stream.read_bytes(1).await);
        trace.push("read");
    });
    turns(3).await;
    assert!(order.is_empty());
    from.close();
    read.await.unwrap();
    until(|| order.len() == 2).await;
    assert_eq!(order.take(), ["read", "callback"]);
    turns(3).await;
    assert!(order.is_empty(), "once");
}

/// Tornado: TestReadWriteMixin.test_future_close_callback.
async fn future_close_callback(over: Over) {
    let (from, to) = over.pair().await;
    let closed = Trace::default();
    to.set_close_callback(closed.callback("closed"));
    from.write(b"OK\r\n").unwrap();
    assert_eq!(to.read_until(b"\r\n", None).await.unwrap(), "OK\r\n");
    turns(5).await;
    assert!(closed.is_empty());
    from.close();
    until(|| !closed.is_empty()).await;
    assert!(to.closed());
    assert_eq!(to.error(), None);
}

/// Tornado: TestReadWriteMixin.test_future_delayed_close_callback. While something is unread, the close is not told.
async fn future_delayed_close_callback(over: Over) {
    let (from, to) = over.pair().await;
    let closed = Trace::default();
    to.set_close_callback(closed.callback("closed"));
    from.write(b"12").unwrap();
    assert_eq!(to.read_bytes(1).await.unwrap(), "1");
    from.close();
    let stream = to.clone();
    until(|| stream.peer_has_closed()).await;
    turns(5).await;
    assert!(closed.is_empty());
    assert!(!to.closed());
    assert_eq!(to.read_bytes(1).await.unwrap(), "2");
    until(|| !closed.is_empty()).await;
    assert!(to.closed());
}

/// Tornado: TestReadWriteMixin.test_close_buffered_data. What the kernel holds is read after the peer's close, whether somebody
/// wants to know of that or not.
async fn close_buffered_data(over: Over) {
    for watched in [false, true] {
        let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().read_chunk_size(256)).await;
        let closed = Trace::default();
        to.set_close_callback(if watched { closed.callback("closed") } else { None });
        from.write(&[b'A'; 512]).unwrap();
        assert_eq!(to.read_bytes(256).await.unwrap(), [b'A'; 256][..]);
        from.close();
        until(|| to.peer_has_closed()).await;
        turns(3).await;
        assert!(!to.closed() && closed.is_empty());
        assert_eq!(to.read_bytes(256).await.unwrap(), [b'A'; 256][..]);
        assert_closed_cleanly(&to.read_bytes(1).await);
    }
}

async fn the_callback_is_one_slot(over: Over) {
    let (from, to) = over.pair().await;
    let calls = Trace::default();
    let dropped = calls.clone();
    let guard = OnDrop(move || dropped.push("first is dropped"));
    to.set_close_callback(Some(Box::new(move || drop(guard))));
    to.set_close_callback(calls.callback("second"));
    assert_eq!(calls.take(), ["first is dropped"]);
    to.close();
    assert!(calls.is_empty(), "not inside of the call");
    to.close();
    turns(3).await;
    assert_eq!(calls.take(), ["second"]);
    from.set_close_callback(calls.callback("removed"));
    from.set_close_callback(None);
    from.close();
    turns(3).await;
    assert!(calls.is_empty());
}

async fn a_callback_set_after_the_close_runs(over: Over) {
    let (from, to) = over.pair().await;
    let calls = Trace::default();
    // The peer's close is known, and nobody was interested.
    from.close();
    until(|| to.peer_has_closed()).await;
    assert!(!to.closed());
    to.set_close_callback(calls.callback("peer"));
    until(|| !calls.is_empty()).await;
    assert!(to.closed());
    calls.take();
    to.set_close_callback(calls.callback("late"));
    assert!(calls.is_empty(), "not inside of the call");
    turns(2).await;
    assert_eq!(calls.take(), ["late"]);
    to.set_close_callback(None);
}

async fn the_last_handle_closes(over: Over) {
    let (from, to) = over.pair().await;
    let calls = Trace::default();
    let clone = from.clone();
    from.set_close_callback(calls.callback("closed"));
    drop(from);
    turns(5).await;
    assert!(calls.is_empty());
    clone.write(b"x").unwrap();
    drop(clone);
    assert_eq!(to.read_until_close().await.unwrap(), "x");
    until(|| !calls.is_empty()).await;
}

async fn close_sends_what_the_kernel_takes(over: Over) {
    let (from, to) = over.pair().await;
    let small = from.write(b"hello").unwrap();
    from.close();
    small.await.unwrap();
    assert_eq!(to.read_until_close().await.unwrap(), "hello");

    let (from, to) = over.pair().await;
    let large = from.write(&vec![b'x'; 30_000_000]).unwrap();
    from.close();
    assert!(from.closed());
    assert!(!from.writing());
    assert_closed_cleanly(&large.await);
    let got = to.read_until_close().await.unwrap();
    assert!(!got.is_empty() && got.len() < 30_000_000, "{}", got.len());
}

async fn close_when_flushed_sends_everything(over: Over) {
    let (from, to) = over.pair().await;
    let calls = Trace::default();
    from.set_close_callback(calls.callback("closed"));
    let data = Random::new(2).bytes(20_000_000);
    let reading = from.clone();
    // (A pipe's writer can't be read from, but asked.)
    let read = spawn(async move { reading.read_bytes(1).await });
    turns(2).await;
    let written = from.write(&data).unwrap();
    from.close_when_flushed();
    assert_closed_cleanly(&read.await.unwrap());
    assert!(!from.closed());
    assert_closed_cleanly(&from.write(b"more"));
    assert_closed_cleanly(&from.read_bytes(1).await);
    from.close_when_flushed();
    turns(5).await;
    assert!(calls.is_empty());
    assert!(to.read_until_close().await.unwrap() == data);
    written.await.unwrap();
    until(|| !calls.is_empty()).await;
    assert!(from.closed());
    assert_eq!(from.error(), None);

    let (from, to) = over.pair().await;
    let written = from.write(b"small").unwrap();
    from.close_when_flushed();
    assert!(from.closed(), "what fits at once doesn't wait");
    written.await.unwrap();
    assert_eq!(to.read_until_close().await.unwrap(), "small");
}

/// The read that waits takes exactly what comes before the end, straight into the caller's memory or by way of the buffer.
async fn a_read_that_takes_the_last_bytes_lets_the_close_be_noticed(over: Over) {
    for size in [10, 8192] {
        for direct in [false, true] {
            let (from, to) = over.pair().await;
            let calls = Trace::default();
            to.set_close_callback(calls.callback("closed"));
            let stream = to.clone();
            let read = spawn(async move {
                if direct {
                    let mut memory = vec![0; size];
                    stream.read_into(&mut ReadTarget::new(&mut memory)).await.unwrap();
                } else {
                    stream.read_bytes(size).await.unwrap();
                }
            });
            turns(2).await;
            assert!(to.reading());
            from.write(&vec![b'x'; size]).unwrap();
            from.close();
            read.await.unwrap();
            until(|| !calls.is_empty()).await;
            assert!(to.closed());
        }
    }
}

/// The close comes while a read waits, and the read is dropped before it can look.
async fn a_dropped_read_lets_the_close_be_noticed(over: Over) {
    for data in ["", "ab"] {
        let (from, to) = over.pair().await;
        let calls = Trace::default();
        to.set_close_callback(calls.callback("closed"));
        let mut read = Box::pin(to.read_bytes(10));
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(data.as_bytes()).unwrap();
        from.close();
        until(|| to.peer_has_closed()).await;
        drop(read);
        assert_eq!(to.read_bytes(data.len()).await.unwrap(), data);
        until(|| !calls.is_empty()).await;
    }
}

async fn a_read_that_is_not_polled_lets_the_close_be_noticed(over: Over) {
    let (from, to) = over.pair().await;
    let calls = Trace::default();
    to.set_close_callback(calls.callback("closed"));
    let mut read = pin!(to.read_bytes(10));
    assert!(poll_once(read.as_mut()).await.is_none());
    from.close();
    until(|| !calls.is_empty()).await;
    assert_closed_cleanly(&read.await);
}

/// `close` leaves the buffer, and a read that it satisfies succeeds.
async fn what_is_buffered_at_the_close_satisfies_the_read(over: Over) {
    let (from, to) = over.pair().await;
    let calls = Trace::default();
    // With a callback set, the loop itself reads up to the close.
    to.set_close_callback(calls.callback("closed"));
    let mut read = pin!(to.read_bytes(2));
    assert!(poll_once(read.as_mut()).await.is_none());
    from.write(b"ab").unwrap();
    from.close();
    until(|| to.with_buffered(<[u8]>::len) == 2).await;
    to.close();
    assert_eq!(read.await.unwrap(), "ab");
    until(|| !calls.is_empty()).await;
}

async fn reads_at_the_end(over: Over) {
    let end = async |n: usize| {
        let (from, to) = over.pair().await;
        from.write(b"abc").unwrap();
        from.close();
        match n {
            0 => assert_closed_cleanly(&to.read_bytes(4).await),
            1 => assert_closed_cleanly(&to.read_until(b"d", None).await),
            2 => assert_closed_cleanly(&to.read_until(b"d", Some(3)).await),
            3 => assert_closed_cleanly(&to.read_into(&mut ReadTarget::new(&mut [0; 4])).await),
            4 => assert_closed_cleanly(&to.read_into(&mut ReadTarget::new(&mut [0; 5000])).await),
            _ => {
                let mut memory = [0; 5000];
                assert_eq!(to.read_into_partial(&mut memory).await, Ok(3));
                assert_closed_cleanly(&to.read_into_partial(&mut memory).await);
            }
        }
        assert!(to.closed());
        assert_eq!(to.error(), None);
    };
    for n in 0..6 {
        end(n).await;
    }
}

/// The order that `close` promises, over a transport that tells when it is dropped.
#[test]
fn order_of_events_at_close() {
    /// Nothing to read, no room to write.
    struct Stuck(Trace);
    impl Transport for Stuck {
        fn fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }
        fn write(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }
    }
    impl Drop for Stuck {
        fn drop(&mut self) {
            self.0.push("descriptor closed");
        }
    }
    run(async {
        let order = Trace::default();
        let stream = IoStream::new(Stuck(order.clone()), StreamOptions::new()).unwrap();
        stream.set_close_callback(order.callback("callback"));
        let written = [stream.write(b"x").unwrap(), stream.write(b"y").unwrap()];
        let (reading, trace) = (stream.clone(), order.clone());
        spawn(async move {
            assert_closed_cleanly(&reading.read_bytes(1).await);
            trace.push("read failed");
        });
        for (written, name) in written.into_iter().zip(["first write failed", "second write failed"]) {
            let trace = order.clone();
            spawn(async move {
                assert_closed_cleanly(&written.await);
                trace.push(name);
            });
        }
        turns(3).await;
        assert!(order.is_empty());
        // What a waker sees when it is called: nothing is to be had from the descriptor any more.
        let mut flush = pin!(stream.flush());
        let waker = waker_with_wake({
            let (stream, order) = (stream.clone(), order.clone());
            move || order.push(if stream.closed() { "told while closed" } else { "told too early" })
        });
        assert!(flush.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        stream.close();
        assert_eq!(order.take(), ["descriptor closed", "told while closed"]);
        assert!(stream.closed());
        until(|| order.len() == 4).await;
        assert_eq!(order.take(), ["read failed", "first write failed", "second write failed", "callback"]);
    });
}

async fn a_half_closed_peer_gets_its_answer(over: Over) {
    let (client, server) = over.pair().await;
    client.write(b"question\n").unwrap();
    client.shutdown_write().await.unwrap();
    until(|| server.peer_has_closed()).await;
    assert_eq!(server.read_until(b"\n", None).await.unwrap(), "question\n");
    assert!(!server.closed());
    server.write(b"answer\n").unwrap().await.unwrap();
    assert_eq!(client.read_until(b"\n", None).await.unwrap(), "answer\n");
    // Only a read meets the end.
    assert_closed_cleanly(&server.read_bytes(1).await);
    assert!(server.closed());
    assert_eq!(client.read_until_close().await.unwrap(), "");
}

/// Tornado closes when it reads the end, whatever is still to be sent.
async fn unsent_bytes_go_to_a_half_closed_peer_first(over: Over) {
    let (client, server) = over.pair().await;
    client.write(b"question").unwrap();
    client.shutdown_write().await.unwrap();
    let data = Random::new(3).bytes(20_000_000);
    let calls = Trace::default();
    server.set_close_callback(calls.callback("closed"));
    let answer = server.write(&data).unwrap();
    assert_eq!(server.read_until_close().await.unwrap(), "question");
    assert!(!server.closed() && server.writing());
    assert_closed_cleanly(&server.write(b"more"));
    assert_closed_cleanly(&server.read_bytes(1).await);
    turns(5).await;
    assert!(calls.is_empty());
    assert!(client.read_until_close().await.unwrap() == data);
    answer.await.unwrap();
    until(|| !calls.is_empty()).await;
    assert_eq!(server.error(), None);
}

async fn shutdown_write_leaves_the_other_direction(over: Over) {
    let (client, server) = over.pair().await;
    let data = Random::new(4).bytes(3_000_000);
    client.write(&data).unwrap();
    let ended = spawn({
        let client = client.clone();
        async move { client.shutdown_write().await }
    });
    assert!(server.read_bytes(data.len()).await.unwrap() == data);
    ended.await.unwrap().unwrap();
    until(|| server.peer_has_closed()).await;
    server.write(&data).unwrap();
    assert!(client.read_bytes(data.len()).await.unwrap() == data);
    assert!(!client.closed());
    client.close();
    assert_closed_cleanly(&client.shutdown_write().await);
}

async fn the_peer_has_closed_but_is_not_gone(over: Over) {
    let (client, server) = over.pair().await;
    assert!(!server.peer_has_closed() && !server.peer_is_gone());
    client.shutdown_write().await.unwrap();
    until(|| server.peer_has_closed()).await;
    assert!(!server.peer_is_gone(), "it can still read");
    server.close();
    assert!(server.peer_is_gone());
}

/// Closes `socket` so that the peer gets a reset.
fn reset(socket: std::net::TcpStream) {
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(socket);
}

#[test]
fn a_reset_is_a_quiet_close_with_its_cause() {
    let ((), lines) = logged(|| {
        run(async {
            // A read waits.
            let (socket, peer) = tcp_sockets();
            let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
            let order = Trace::default();
            stream.set_close_callback(order.callback("callback"));
            let (reading, trace) = (stream.clone(), order.clone());
            let read = spawn(async move {
                let result = reading.read_bytes(1).await;
                trace.push("read");
                result
            });
            turns(3).await;
            reset(peer);
            assert_closed_by(&read.await.unwrap(), ErrorKind::ConnectionReset);
            until(|| order.len() == 2).await;
            assert_eq!(order.take(), ["read", "callback"]);
            assert!(stream.closed() && stream.peer_is_gone());
            assert_eq!(stream.error().unwrap().io_kind(), Some(ErrorKind::ConnectionReset));
            assert_closed_by(&stream.write(b"x"), ErrorKind::ConnectionReset);
            assert_closed_by(&stream.read_bytes(1).await, ErrorKind::ConnectionReset);

            // A write waits.
            let (socket, peer) = tcp_sockets();
            let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
            let written = stream.write(&vec![0; 30_000_000]).unwrap();
            let second = stream.write(b"x").unwrap();
            turns(3).await;
            reset(peer);
            assert_closed_by(&written.await, ErrorKind::ConnectionReset);
            assert_closed_by(&second.await, ErrorKind::ConnectionReset);
            assert!(!stream.writing());

            // Nobody waits but the callback.
            let (socket, peer) = tcp_sockets();
            let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
            stream.set_close_callback(order.callback("callback"));
            turns(3).await;
            reset(peer);
            until(|| !order.is_empty()).await;
            assert_eq!(stream.error().unwrap().io_kind(), Some(ErrorKind::ConnectionReset));

            // Nobody waits at all.
            let (socket, peer) = tcp_sockets();
            let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
            turns(3).await;
            reset(peer);
            until(|| stream.peer_is_gone()).await;
            assert!(!stream.closed());
            assert_closed_by(&stream.read_bytes(1).await, ErrorKind::ConnectionReset);
        });
    });
    assert!(lines.is_empty(), "{lines:?}");
}

/// What came before the reset is there.
#[test]
fn bytes_before_a_reset_are_read() {
    run(async {
        let (socket, mut peer) = tcp_sockets();
        let stream = IoStream::from_tcp(socket, StreamOptions::new().read_chunk_size(2)).unwrap();
        io::Write::write_all(&mut peer, b"abcdef").unwrap();
        assert_eq!(stream.read_bytes(1).await.unwrap(), "a");
        reset(peer);
        until(|| stream.peer_is_gone()).await;
        assert_eq!(stream.read_bytes(5).await.unwrap(), "bcdef");
        assert_closed_by(&stream.read_bytes(1).await, ErrorKind::ConnectionReset);
    });
}

/// The reader of a pipe goes: no read waits, and there is nothing to read at that end.
#[test]
fn a_pipe_without_reader_is_a_quiet_broken_pipe() {
    let ((), lines) = logged(|| {
        run(async {
            let (from, to) = Over::Pipe.pair().await;
            let calls = Trace::default();
            from.set_close_callback(calls.callback("closed"));
            drop(to);
            until(|| !calls.is_empty()).await;
            assert_eq!(from.error().unwrap().io_kind(), Some(ErrorKind::BrokenPipe));

            let (from, to) = Over::Pipe.pair().await;
            let written = from.write(&[0; 1_000_000]).unwrap();
            drop(to);
            assert_closed_by(&written.await, ErrorKind::BrokenPipe);
        });
    });
    assert!(lines.is_empty(), "{lines:?}");
}

/// Tornado: TestIOStreamMixin.test_inline_read_error. The error is met by the read itself, and is the caller's to log.
#[test]
fn inline_read_error() {
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::TimedOut, ErrorKind::BrokenPipe];
    for kind in kinds {
        let ((), lines) = logged(|| {
            run(async move {
                let pair = wired(10, StreamOptions::new(), StreamOptions::new());
                pair.first.write(b"abc").unwrap().await.unwrap();
                turns(2).await;
                pair.there.fail_reads_silently(kind);
                assert_eq!(pair.second.read_bytes(1).await.unwrap(), "a");
                pair.there.fail_reads(kind);
                assert_closed_by(&pair.second.read_bytes(3).await, kind);
                assert_eq!(pair.second.read_bytes(2).await.unwrap(), "bc");
                assert_eq!(pair.second.error().unwrap().io_kind(), Some(kind));
            });
        });
        assert!(lines.is_empty(), "{lines:?}");
    }
}

/// Tornado: TestIOStreamMixin.test_async_read_error_logging. Errors that no peer can cause are warned of, once.
#[test]
fn async_read_error_logging() {
    let ((), lines) = logged(|| {
        run(async {
            let pair = wired(10, StreamOptions::new(), StreamOptions::new());
            let closed = Trace::default();
            pair.second.set_close_callback(closed.callback("closed"));
            let stream = pair.second.clone();
            let read = spawn(async move { stream.read_bytes(1).await });
            turns(2).await;
            pair.there.fail_reads(ErrorKind::PermissionDenied);
            assert_closed_by(&read.await.unwrap(), ErrorKind::PermissionDenied);
            until(|| !closed.is_empty()).await;
        });
    });
    assert!(matches!(&lines[..], [line] if line.starts_with("WARN error on read: ")), "{lines:?}");
}

/// Tornado: TestIOStreamMixin.test_read_until_close_with_error, where the error comes out of the call or not depending on
/// when it is met. Ours always gives what came, and the stream tells the cause.
#[test]
fn read_until_close_with_error() {
    run(async {
        let pair = wired(10, StreamOptions::new(), StreamOptions::new());
        pair.first.write(b"abc").unwrap().await.unwrap();
        turns(2).await;
        pair.there.fail_reads(ErrorKind::ConnectionReset);
        assert_eq!(pair.second.read_until_close().await.unwrap(), "abc");
        assert_eq!(pair.second.error().unwrap().io_kind(), Some(ErrorKind::ConnectionReset));
    });
}

#[test]
fn errors_say_what_and_why() {
    use std::error::Error;
    let closed = StreamError::Closed(None);
    assert_eq!(closed.to_string(), "stream is closed");
    assert!(closed.source().is_none());
    let reset = StreamError::Closed(Some(io::Error::from(ErrorKind::ConnectionReset).into()));
    assert_eq!(reset.to_string(), "stream is closed");
    assert_eq!(reset.source().unwrap().to_string(), "connection reset");
    assert_ne!(reset, closed);
    assert_eq!(io::Error::from(reset.clone()).kind(), ErrorKind::ConnectionReset);
    assert_eq!(io::Error::from(closed).kind(), ErrorKind::NotConnected);
    let full = StreamError::WriteBufferFull { limit: 10, pending: 7, asked: 4 };
    for value in ["10", "7", "4"] {
        assert!(full.to_string().contains(value));
    }
    let large = StreamError::ReadTooLarge { limit: 10, asked: 11 };
    assert!(large.to_string().contains("10") && large.to_string().contains("11"));
    assert!(CloseCause::UnsatisfiableRead { max_bytes: 23 }.to_string().contains("23"));
    assert!(CloseCause::ReadBufferFull { max_buffer_size: 42 }.to_string().contains("42"));
}

/// A waker's drop may do what it likes, with the stream too: it is never borrowed then. Each case leaves a waker in the
/// stream and has it replaced.
#[test]
fn nothing_foreign_is_dropped_under_a_borrow() {
    type Poller = Box<dyn FnMut(&mut Context<'_>)>;
    fn poller<F: Future + 'static>(future: F) -> Poller {
        let mut future = Box::pin(future);
        Box::new(move |cx| assert!(matches!(future.as_mut().poll(cx), Poll::Pending)))
    }
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().into();
        let connecting = || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            IoStream::connecting(socket, &address, StreamOptions::new()).unwrap()
        };
        let mut peers = Vec::new();
        let mut stuck = async || {
            let pair = wired(1, StreamOptions::new(), StreamOptions::new());
            pair.first.write(b"x").unwrap().await.unwrap();
            peers.push(pair.second);
            pair.first
        };

        let cases: Vec<(IoStream, Poller)> = vec![
            {
                let stream = stuck().await;
                let written = stream.write(b"y").unwrap();
                (stream, poller(written))
            },
            {
                let stream = stuck().await;
                stream.write(b"y").unwrap();
                (stream.clone(), poller(poll_fn(move |cx| stream.poll_flush(cx))))
            },
            {
                let stream = stuck().await;
                (stream.clone(), poller(async move { stream.read_bytes(1).await }))
            },
            {
                let stream = connecting();
                (stream.clone(), poller(async move { stream.connected().await }))
            },
            {
                let stream = connecting();
                (stream.clone(), poller(async move { stream.read_bytes(1).await }))
            },
            {
                let stream = connecting();
                let written = stream.write(b"y").unwrap();
                (stream, poller(written))
            },
        ];
        for (number, (stream, mut poll)) in cases.into_iter().enumerate() {
            let dropped = Rc::new(RefCell::new(0));
            let hook = || {
                let (dropped, stream) = (dropped.clone(), stream.clone());
                waker_with_drop(move || {
                    // Each of these borrows the stream.
                    stream.set_close_callback(None);
                    let _ = stream.write(b"z");
                    *dropped.borrow_mut() += 1;
                })
            };
            for _ in 0..3 {
                let waker = hook();
                poll(&mut Context::from_waker(&waker));
            }
            drop(poll);
            stream.close();
            assert_eq!(*dropped.borrow(), 3, "case {number}");
        }

        // A callback that is replaced, and what a transport holds.
        let (one, other) = Over::Unix.pair().await;
        let stream = one.clone();
        let guard = OnDrop(move || drop(stream.write(b"x")));
        one.set_close_callback(Some(Box::new(move || drop(guard))));
        one.set_close_callback(None);
        assert_eq!(other.read_bytes(1).await.unwrap(), "x");
    });
}

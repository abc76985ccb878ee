//! Writes: accepted at the call, sent by the loop, observed by futures of which each one resolves; and their limit.

#[macro_use]
mod common;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;

use common::simulated::{Simulated, wired};
use common::*;
use landspout_ioloop::Ready;
use landspout_iostream::{IoStream, StreamError, StreamOptions};

over_each_transport! {
    write_zero_bytes,
    write_a_part_of_a_slice,
    writes_arrive_in_order_without_an_await,
    pipe_iostream,
    pipe_iostream_big_write,
    future_write,
    a_small_write_leaves_with_the_turn,
    a_large_write_leaves_at_once,
    awaiting_flushes_at_once,
    dropped_write_futures_change_nothing,
    write_with_composes_in_place,
    write_with_flushes_past_the_mark,
    a_write_beyond_the_limit_is_refused_whole,
    the_limit_counts_what_the_kernel_does_not_take,
    writes_on_a_closed_stream_fail_at_the_call,
    sent_bytes_stay_sent,
    total_written_counts_sent_or_not,
    a_flush_after_bytes_were_given_up_fails,
}

over_each_two_way_transport! {
    an_end_waits_for_what_is_written_meanwhile,
}

/// Who asks only after the close whether everything was sent must not hear that it was.
async fn a_flush_after_bytes_were_given_up_fails(over: Over) {
    let (from, _to) = over.pair().await;
    let sent = from.write(b"sent").unwrap();
    sent.await.unwrap();
    let last = loop {
        let written = from.write(&vec![0; 1 << 20]).unwrap();
        if from.pending_write() > 0 {
            break written;
        }
    };
    from.close();
    assert_closed_cleanly(&last.await);
    assert_closed_cleanly(&from.flush().await);
    assert_closed_cleanly(&poll_fn(|cx| from.poll_flush(cx)).await);

    let (from, _to) = over.pair().await;
    from.write(b"sent").unwrap().await.unwrap();
    from.close();
    assert_eq!(from.flush().await, Ok(()), "nothing was lost");
}

/// What another handle writes while the end is awaited was accepted, too.
async fn an_end_waits_for_what_is_written_meanwhile(over: Over) {
    let (from, to) = over.pair().await;
    let mut written = 0;
    while from.pending_write() == 0 {
        from.write(&vec![b'x'; 1 << 20]).unwrap();
        written += 1 << 20;
    }
    let end = spawn({
        let from = from.clone();
        async move { from.shutdown_write().await }
    });
    turns(2).await;
    let tail = vec![b'y'; 3 << 20];
    from.write(&tail).unwrap();
    let all = to.read_until_close().await.unwrap();
    assert_eq!(all.len(), written + tail.len());
    assert!(all.ends_with(b"y"));
    end.await.unwrap().unwrap();
}

async fn total_written_counts_sent_or_not(over: Over) {
    let (from, to) = over.pair_with(StreamOptions::new().max_write_buffer_size(1000), StreamOptions::new()).await;
    assert_eq!(from.total_written(), 0);
    from.write(b"abc").unwrap();
    assert_eq!((from.total_written(), from.pending_write()), (3, 3));
    from.write(b"defg").unwrap().await.unwrap();
    assert_eq!((from.total_written(), from.pending_write()), (7, 0));
    assert!(from.write(&[0; 1001]).is_err());
    assert_eq!(from.total_written(), 7);
    assert_eq!(to.read_bytes(7).await.unwrap(), "abcdefg");
}

/// Tornado: TestReadWriteMixin.test_write_zero_bytes.
async fn write_zero_bytes(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"").unwrap().await.unwrap();
    assert!(!from.writing());
    let bytes = from.write(b"x").unwrap();
    let nothing = from.write(b"").unwrap();
    nothing.await.unwrap();
    bytes.await.unwrap();
    assert_eq!(to.read_bytes(1).await.unwrap(), "x");
    assert_eq!(to.with_buffered(<[u8]>::len), 0);
}

/// Tornado: TestReadWriteMixin.test_write_memoryview.
async fn write_a_part_of_a_slice(over: Over) {
    let (from, to) = over.pair().await;
    from.write(&b"say hello!"[4..9]).unwrap();
    assert_eq!(to.read_bytes(4).await.unwrap(), "hell");
    assert_eq!(to.read_bytes(1).await.unwrap(), "o");
}

async fn writes_arrive_in_order_without_an_await(over: Over) {
    let (from, to) = over.pair().await;
    let mut rng = Random::new(3);
    let mut all = Vec::new();
    // Below, at and above the size from which a write doesn't wait for the turn's end.
    for size in [0, 1, 10, 5_000, 16_383, 1, 16_384, 16_385, 100_000, 2, 300_000, 3] {
        let piece = rng.bytes(size);
        all.extend_from_slice(&piece);
        drop(from.write(&piece).unwrap());
    }
    assert!(to.read_bytes(all.len()).await.unwrap() == all);
}

/// Tornado: TestPipeIOStream.test_pipe_iostream.
async fn pipe_iostream(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"hel").unwrap();
    from.write(b"lo world").unwrap();
    assert_eq!(to.read_until(b" ", None).await.unwrap(), "hello ");
    assert_eq!(to.read_bytes(3).await.unwrap(), "wor");
    from.close();
    assert_eq!(to.read_until_close().await.unwrap(), "ld");
}

/// Tornado: TestPipeIOStream.test_pipe_iostream_big_write.
async fn pipe_iostream_big_write(over: Over) {
    let (from, to) = over.pair().await;
    let data = Random::new(4).bytes(1 << 20);
    let written = from.write(&data).unwrap();
    assert!(to.read_bytes(data.len()).await.unwrap() == data);
    written.await.unwrap();
}

/// Tornado: TestIOStreamMixin.test_future_write.
async fn future_write(over: Over) {
    const WRITERS: u8 = 10;
    const WRITES: usize = 400;
    let (from, to) = over.pair().await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let from = from.clone();
            spawn(async move {
                for _ in 0..WRITES {
                    from.write(&[n; 5000]).unwrap().await.unwrap();
                }
            })
        })
        .collect();
    let mut counts = [0; WRITERS as usize];
    for _ in 0..WRITES * WRITERS as usize {
        let piece = to.read_bytes(5000).await.unwrap();
        assert!(piece.iter().all(|byte| *byte == piece[0]), "writes don't mix");
        counts[piece[0] as usize] += 1;
    }
    assert_eq!(counts, [WRITES; WRITERS as usize]);
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn a_small_write_leaves_with_the_turn(over: Over) {
    let (from, to) = over.pair().await;
    drop(from.write(b"hello").unwrap());
    drop(from.write(b" world").unwrap());
    assert_eq!(from.pending_write(), 11);
    assert!(from.writing());
    // Nobody awaits anything of the stream.
    turns(2).await;
    assert_eq!(from.pending_write(), 0);
    assert!(!from.writing());
    assert_eq!(to.read_bytes(11).await.unwrap(), "hello world");
}

async fn a_large_write_leaves_at_once(over: Over) {
    let (from, to) = over.pair().await;
    drop(from.write(b"hello").unwrap());
    assert_eq!(from.pending_write(), 5);
    let large = [b'x'; 20_000];
    drop(from.write(&large).unwrap());
    assert_eq!(from.pending_write(), 0);
    assert_eq!(to.read_bytes(5).await.unwrap(), "hello");
    assert_eq!(to.read_bytes(20_000).await.unwrap(), large[..]);
}

async fn awaiting_flushes_at_once(over: Over) {
    let (from, _to) = over.pair().await;
    let written = from.write(b"hello").unwrap();
    assert_eq!(from.pending_write(), 5);
    assert_eq!(poll_once(pin!(written)).await, Some(Ok(())));
    assert_eq!(from.pending_write(), 0);
    drop(from.write(b"hello").unwrap());
    assert_eq!(poll_once(pin!(from.flush())).await, Some(Ok(())));
    drop(from.write(b"hello").unwrap());
    poll_fn(|cx| {
        assert!(from.poll_flush(cx).is_ready());
        std::task::Poll::Ready(())
    })
    .await;
    assert_eq!(from.pending_write(), 0);
    assert_eq!(poll_once(pin!(from.flush())).await, Some(Ok(())), "nothing to wait for");
}

async fn dropped_write_futures_change_nothing(over: Over) {
    let (from, to) = over.pair().await;
    let data = Random::new(5).bytes(3_000_000);
    for piece in data.chunks(300_000) {
        let mut written = Box::pin(from.write(piece).unwrap());
        // Some have registered a waker, some not.
        if piece[0] % 2 == 0 {
            let _ = poll_once(written.as_mut()).await;
        }
        drop(written);
    }
    let last = from.flush();
    assert!(to.read_bytes(data.len()).await.unwrap() == data);
    last.await.unwrap();
}

async fn write_with_composes_in_place(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"one ").unwrap();
    let answer = from.write_with(0, |out| {
        out.extend_from_slice(b"two ");
        2
    });
    assert_eq!(answer, Ok(2));
    from.write(b"three").unwrap();
    assert_eq!(from.pending_write(), 13);
    assert_eq!(to.read_bytes(13).await.unwrap(), "one two three");
    from.write_with(0, |_| ()).unwrap();
    turns(2).await;
    assert!(!from.writing());
    from.close();
    assert_closed_cleanly(&from.write_with(0, |_| unreachable!("the stream is closed")));
}

/// What is composed in one turn is not gathered without bound while the peer would take it.
async fn write_with_flushes_past_the_mark(over: Over) {
    let (from, to) = over.pair().await;
    let mut most = 0;
    for _ in 0..40 {
        from.write_with(0, |out| out.extend_from_slice(&[b'x'; 1000])).unwrap();
        most = most.max(from.pending_write());
    }
    assert!(most < 20_000, "{most}");
    assert_eq!(to.read_bytes(40_000).await.unwrap(), [b'x'; 40_000][..]);
}

async fn a_write_beyond_the_limit_is_refused_whole(over: Over) {
    let (from, to) = over.pair_with(StreamOptions::new().max_write_buffer_size(1000), StreamOptions::new()).await;
    assert_eq!(
        from.write(&[0; 1001]).map(drop),
        Err(StreamError::WriteBufferFull { limit: 1000, pending: 0, asked: 1001 })
    );
    assert_eq!(from.pending_write(), 0);
    from.write(&[b'a'; 1000]).unwrap().await.unwrap();
    assert_eq!(to.read_bytes(1000).await.unwrap(), [b'a'; 1000][..]);

    // A peer that takes nothing: what fits is kept, what doesn't leaves no trace.
    while from.pending_write() < 600 {
        let _ = from.write(&[b'b'; 300]);
        let _ = poll_once(pin!(from.flush())).await;
    }
    let pending = from.pending_write();
    assert_eq!(
        from.write(&[b'c'; 700]).map(drop),
        Err(StreamError::WriteBufferFull { limit: 1000, pending, asked: 700 })
    );
    assert_eq!(from.pending_write(), pending);
    from.write(&vec![b'd'; 1000 - pending]).unwrap();
    assert!(matches!(from.write(b"e"), Err(StreamError::WriteBufferFull { pending: 1000, .. })));
    assert!(from.write(b"").is_ok(), "nothing always fits");
    assert!(!from.closed());
    let sent = spawn(async move {
        from.flush().await.unwrap();
        from.write(b"the end").unwrap().await.unwrap();
    });
    let all = to.read_until(b"the end", None).await.unwrap();
    assert!(all[..all.len() - 7].iter().all(|byte| b"bd".contains(byte)), "nothing of what was refused");
    assert_eq!(all.iter().filter(|byte| **byte == b'd').count() - 1, 1000 - pending);
    sent.await.unwrap();
}

/// What waits only for the end of the turn is no reason to refuse more.
async fn the_limit_counts_what_the_kernel_does_not_take(over: Over) {
    let (from, to) = over.pair_with(StreamOptions::new().max_write_buffer_size(1000), StreamOptions::new()).await;
    for _ in 0..10 {
        from.write(&[b'x'; 600]).unwrap();
    }
    for _ in 0..10 {
        from.write_with(0, |out| out.extend_from_slice(&[b'y'; 1500])).unwrap();
    }
    from.write(&[b'z'; 1000]).unwrap();
    assert_eq!(to.read_bytes(6_000).await.unwrap(), [b'x'; 6_000][..]);
    assert_eq!(to.read_bytes(15_000).await.unwrap(), [b'y'; 15_000][..]);
    assert_eq!(to.read_bytes(1_000).await.unwrap(), [b'z'; 1_000][..]);
}

async fn writes_on_a_closed_stream_fail_at_the_call(over: Over) {
    let (from, _to) = over.pair().await;
    from.close();
    assert_closed_cleanly(&from.write(b"x"));
    assert_closed_cleanly(&from.write(b""));
    assert_closed_cleanly(&from.write_with(0, |out| out.push(b'x')));
    from.flush().await.unwrap();
}

/// A future whose bytes went out says so, however late it is asked.
async fn sent_bytes_stay_sent(over: Over) {
    let (from, to) = over.pair().await;
    let sent = from.write(b"hello").unwrap();
    from.flush().await.unwrap();
    from.close();
    assert_eq!(sent.await, Ok(()));
    assert_eq!(to.read_until_close().await.unwrap(), "hello");
}

/// Two streams with room for four bytes in between, and nobody who reads: the first four are gone already.
async fn narrow() -> Simulated {
    let pair = wired(4, StreamOptions::new(), StreamOptions::new());
    pair.first.write(b"0123").unwrap().await.unwrap();
    pair
}

/// Has the peer take `n` bytes.
async fn take(pair: &Simulated, n: usize) {
    assert_eq!(pair.second.read_bytes(n).await.unwrap().len(), n);
}

#[test]
fn write_futures_resolve_in_order_each_with_its_own_bytes() {
    run(async {
        let pair = narrow().await;
        let done = Trace::default();
        for (text, name) in [("ab", "first"), ("", "none"), ("cd", "second"), ("efgh", "third")] {
            let (written, done) = (pair.first.write(text.as_bytes()).unwrap(), done.clone());
            spawn(async move {
                written.await.unwrap();
                done.push(name);
            });
        }
        turns(5).await;
        assert!(done.is_empty());
        pair.there.limit_pieces(2);
        let expected: [&[&str]; 4] = [&["first", "none"], &["second"], &[], &["third"]];
        for names in expected {
            // Each piece of two bytes that the peer takes makes room for two more.
            poll_fn(|cx| pair.second.poll_fill(cx)).await.unwrap();
            pair.second.consume(2);
            turns(5).await;
            assert_eq!(done.take(), names);
        }
    });
}

/// Several futures of one task: the waker is the same, what they wait for is not.
#[test]
fn an_earlier_future_does_not_wait_for_a_later_one() {
    for drop_later in [false, true] {
        run(async move {
            let pair = narrow().await;
            let earlier = pair.first.write(b"ab").unwrap();
            let later = pair.first.write(b"cdefghij").unwrap();
            let waiting = spawn(async move {
                let (mut earlier, mut later) = (pin!(earlier), Box::pin(later));
                assert_eq!(poll_once(later.as_mut()).await, None);
                assert_eq!(poll_once(earlier.as_mut()).await, None);
                if drop_later {
                    drop(later);
                    earlier.await.unwrap();
                } else {
                    earlier.await.unwrap();
                    assert_eq!(poll_once(later.as_mut()).await, None, "nobody took its bytes yet");
                }
            });
            turns(3).await;
            pair.there.limit_pieces(2);
            poll_fn(|cx| pair.second.poll_fill(cx)).await.unwrap();
            waiting.await.unwrap();
        });
    }
}

#[test]
fn poll_flush_wakes_its_task_whatever_else_the_task_waits_for() {
    run(async {
        let pair = narrow().await;
        let stream = pair.first.clone();
        let polls = Rc::new(std::cell::Cell::new(0));
        stream.write(b"ab").unwrap();
        let waiting = spawn({
            let (stream, polls) = (stream.clone(), polls.clone());
            async move {
                let mut written = Some(Box::pin(stream.write(b"cd").unwrap()));
                assert_eq!(poll_once(written.as_mut().unwrap().as_mut()).await, None);
                poll_fn(|cx| {
                    polls.set(polls.get() + 1);
                    let poll = stream.poll_flush(cx);
                    // The future of the same task goes; the wake for the flush must stay.
                    drop(written.take());
                    poll
                })
                .await
            }
        });
        turns(5).await;
        assert_eq!(polls.get(), 1, "woken for nothing");
        take(&pair, 8).await;
        waiting.await.unwrap().unwrap();
    });
}

/// A task that polls for room again and again, for bytes that become more, is woken when there is some.
#[test]
fn repeated_polls_wake_once() {
    run(async {
        let pair = narrow().await;
        let stream = pair.first.clone();
        let wakes = Rc::new(std::cell::Cell::new(0));
        let waiting = spawn({
            let (stream, wakes) = (stream.clone(), wakes.clone());
            poll_fn(move |cx| {
                wakes.set(wakes.get() + 1);
                if wakes.get() == 1 {
                    for _ in 0..1000 {
                        stream.write(b"x").unwrap();
                        assert!(stream.poll_flush(cx).is_pending());
                    }
                }
                stream.poll_flush(cx)
            })
        });
        turns(3).await;
        assert_eq!(wakes.get(), 1);
        take(&pair, 1004).await;
        waiting.await.unwrap().unwrap();
    });
}

#[test]
fn every_write_future_resolves_when_the_stream_closes() {
    run(async {
        let pair = narrow().await;
        let done = Trace::default();
        let sent = pair.first.flush();
        for name in ["first", "second"] {
            let (written, done) = (pair.first.write(b"abc").unwrap(), done.clone());
            spawn(async move {
                assert_closed_cleanly(&written.await);
                done.push(name);
            });
        }
        let asked_later = pair.first.write(b"abc").unwrap();
        turns(3).await;
        assert!(done.is_empty());
        pair.first.close();
        turns(3).await;
        assert_eq!(done.take(), ["first", "second"]);
        assert_closed_cleanly(&asked_later.await);
        assert_eq!(sent.await, Ok(()), "that one's bytes were sent");
    });
}

#[test]
fn write_futures_carry_the_cause() {
    run(async {
        let pair = narrow().await;
        let waiting = spawn(pair.first.write(b"abc").unwrap());
        turns(3).await;
        pair.there.fail_writes(std::io::ErrorKind::ConnectionReset);
        assert_closed_by(&waiting.await.unwrap(), std::io::ErrorKind::ConnectionReset);
        assert!(pair.first.closed());
        assert_eq!(pair.first.error().unwrap().io_kind(), Some(std::io::ErrorKind::ConnectionReset));
    });
}

/// A failure in the call itself is the call's own: a large write goes to the transport at once.
#[test]
fn a_large_write_fails_at_the_call() {
    run(async {
        let pair = wired(4, StreamOptions::new(), StreamOptions::new());
        pair.there.fail_writes(std::io::ErrorKind::BrokenPipe);
        let result = pair.first.write(&[0; 20_000]);
        assert_closed_by(&result, std::io::ErrorKind::BrokenPipe);
        assert!(pair.first.closed());
        assert!(!pair.first.writing());
        turns(3).await;
    });
}

/// Tornado logs such a thing as a warning; that the peer went away is none.
#[test]
fn only_unusual_write_errors_are_logged() {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, PermissionDenied, TimedOut};
    for kind in [BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, PermissionDenied] {
        let ((), lines) = logged(|| {
            run(async move {
                let pair = wired(4, StreamOptions::new(), StreamOptions::new());
                pair.there.fail_writes(kind);
                let written = pair.first.write(b"abc").unwrap();
                assert_closed_by(&written.await, kind);
            });
        });
        if kind == PermissionDenied {
            assert!(matches!(&lines[..], [line] if line.starts_with("WARN error on write: ")), "{lines:?}");
        } else {
            assert!(lines.is_empty(), "{lines:?}");
        }
    }
}

/// A writable event flushes, though no future of the stream is polled and no turn has anything to write.
#[test]
fn room_is_used_when_it_comes() {
    run(async {
        let pair = narrow().await;
        drop(pair.first.write(b"abcd").unwrap());
        turns(3).await;
        assert_eq!(pair.first.pending_write(), 4);
        take(&pair, 4).await;
        until(|| pair.first.pending_write() == 0).await;
        take(&pair, 4).await;
        // A spurious event does no harm.
        pair.first.raiser().raise(Ready::WRITABLE | Ready::READABLE);
        turns(3).await;
        assert!(!pair.first.closed());
    });
}

#[test]
fn nodelay_reaches_the_socket() {
    run(async {
        let (one, other) = tcp_sockets();
        let watched = one.try_clone().unwrap();
        let stream = IoStream::from_tcp(one, StreamOptions::new()).unwrap();
        for nodelay in [true, false, true] {
            stream.set_nodelay(nodelay).unwrap();
            assert_eq!(watched.nodelay().unwrap(), nodelay);
        }
        // On a connection that is being reset it doesn't matter any more.
        socket2::SockRef::from(&other).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(other);
        stream.set_nodelay(true).unwrap();
        stream.close();
        assert_closed_cleanly(&stream.set_nodelay(true));
        for over in [Over::Unix, Over::Pipe, Over::Simulated] {
            let (one, _other) = over.pair().await;
            one.set_nodelay(true).unwrap();
            one.set_nodelay(false).unwrap();
            one.close();
            assert_closed_cleanly(&one.set_nodelay(true));
        }
    });
}

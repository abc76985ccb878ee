//! Peers that don't take what is sent: to streams that only wait for their last bytes to go, and to open ones. The clock jumps
//! when the loop is idle.

mod common;

use std::pin::pin;
use std::time::{Duration, Instant};

use common::counting::counted;
use common::*;
use landspout_ioloop::{IoLoop, ManualClock, sleep};
use landspout_iostream::{CloseCause, IoStream, StreamError, StreamOptions};

const MUCH: usize = 30_000_000;
const LIMIT: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn run_jumping<F: Future + 'static>(future: F) -> F::Output {
    IoLoop::with_clock(ManualClock::jumping()).run_sync(future).unwrap()
}

fn now() -> Instant {
    IoLoop::current().now()
}

fn timers() -> usize {
    IoLoop::current().pending_timeouts()
}

/// The time that passes until `condition` holds, to the second.
async fn seconds_until(mut condition: impl FnMut() -> bool) -> u64 {
    let begin = now();
    while !condition() {
        assert!(now() - begin < HOUR, "it never happens");
        sleep(Duration::from_secs(1)).await;
    }
    (now() - begin).as_secs()
}

fn timed_out<T>() -> Result<T, StreamError> {
    Err(StreamError::Closed(Some(CloseCause::LingerTimeout { limit: LIMIT })))
}

#[test]
fn a_stream_without_handles_waits_a_minute_for_a_peer_that_takes_nothing() {
    run_jumping(async {
        let (socket, _peer) = tcp_sockets();
        let (stream, calls) = counted(socket, StreamOptions::new());
        let other = stream.clone();
        stream.write(&vec![0; MUCH]).unwrap();
        drop(stream);
        sleep(HOUR).await;
        assert_eq!((calls.dropped.get(), timers()), (false, 0), "somebody holds it");
        drop(other);
        assert_eq!(timers(), 1);
        assert!((60..=121).contains(&seconds_until(|| calls.dropped.get()).await));
        assert_eq!(timers(), 0);
    });
}

/// In the turn of the write, before it is known that the kernel doesn't take everything.
#[test]
fn a_stream_that_is_dropped_at_once_waits_as_long() {
    run_jumping(async {
        let (socket, _peer) = tcp_sockets();
        let (stream, calls) = counted(socket, StreamOptions::new());
        stream.write_with(MUCH, |out| out.resize(out.len() + MUCH, 0)).unwrap();
        stream.write(b"a last word").unwrap();
        drop(stream);
        assert!((60..=121).contains(&seconds_until(|| calls.dropped.get()).await));
    });
}

#[test]
fn a_future_that_waits_for_the_bytes_is_a_handle_too() {
    run_jumping(async {
        let (socket, _peer) = tcp_sockets();
        let (stream, calls) = counted(socket, StreamOptions::new());
        let mut written = Box::pin(stream.write(&vec![0; MUCH]).unwrap());
        drop(stream);
        assert!(poll_once(written.as_mut()).await.is_none());
        sleep(HOUR).await;
        assert!(!calls.dropped.get());
        drop(written);
        assert!((60..=121).contains(&seconds_until(|| calls.dropped.get()).await));
    });
}

#[test]
fn a_stream_that_is_about_to_end_is_closed_with_the_cause() {
    run_jumping(async {
        let (socket, _peer) = tcp_sockets();
        let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
        let closed = Trace::default();
        stream.set_close_callback(closed.callback("closed"));
        let written = stream.write(&vec![0; MUCH]).unwrap();
        let begin = now();
        stream.close_when_flushed();
        assert_eq!(written.await, timed_out());
        assert!((60..=121).contains(&(now() - begin).as_secs()));
        assert_eq!(stream.read_bytes(1).await, timed_out());
        until(|| closed.take() == ["closed"]).await;
    });
}

#[test]
fn a_peer_that_ends_and_takes_nothing_has_as_long() {
    run_jumping(async {
        let (socket, peer) = tcp_sockets();
        let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let written = stream.write(&vec![0; MUCH]).unwrap();
        assert_closed_cleanly(&stream.read_bytes(1).await);
        assert!(!stream.closed());
        assert_eq!(written.await, timed_out());
    });
}

/// It takes a little every 50 seconds, and gets all.
#[test]
fn a_slow_peer_is_not_cut_off() {
    for way in ["dropped", "ending"] {
        run_jumping(async move {
            let (from, to) = Over::Unix.pair().await;
            from.write(&vec![0; 3_000_000]).unwrap();
            let kept = (way == "ending").then(|| from.clone());
            if way == "ending" {
                from.close_when_flushed();
            }
            drop(from);
            let mut came = 0;
            while came < 3_000_000 {
                sleep(Duration::from_secs(50)).await;
                came += to.read_bytes(300_000.min(3_000_000 - came)).await.unwrap().len();
            }
            assert_closed_cleanly(&to.read_bytes(1).await);
            assert_eq!(timers(), 0, "nothing is left of it");
            drop(kept);
        });
    }
}

#[test]
fn the_limit_is_an_option() {
    run_jumping(async {
        let short = Duration::from_secs(5);
        for (limit, dropped) in [(None, false), (Some(short), true)] {
            let (socket, _peer) = tcp_sockets();
            let (stream, calls) = counted(socket, StreamOptions::new().linger_timeout(limit));
            stream.write(&vec![0; MUCH]).unwrap();
            drop(stream);
            sleep(short * 2 + Duration::from_secs(1)).await;
            assert_eq!(calls.dropped.get(), dropped);
            sleep(HOUR).await;
            assert_eq!(calls.dropped.get(), dropped);
        }
        assert_eq!(StreamOptions::new().linger_timeout, Some(LIMIT));
    });
}

#[test]
fn an_open_stream_that_is_held_has_no_limit_and_no_timer() {
    run_jumping(async {
        let (socket, _peer) = tcp_sockets();
        let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
        let mut written = pin!(stream.write(&vec![0; MUCH]).unwrap());
        for _ in 0..3 {
            drop(stream.clone());
            assert!(poll_once(written.as_mut()).await.is_none());
            sleep(HOUR).await;
            assert_eq!(timers(), 0);
        }
        assert!(!stream.closed());
    });
}

fn within_a_minute() -> StreamOptions {
    StreamOptions::new().linger_timeout(None).send_timeout(Some(LIMIT))
}

fn sent_too_slowly<T>() -> Result<T, StreamError> {
    Err(StreamError::Closed(Some(CloseCause::SendTimeout { limit: LIMIT })))
}

#[test]
fn a_held_stream_is_closed_when_its_peer_takes_nothing_for_the_send_timeout() {
    run_jumping(async {
        let (socket, _peer) = tcp_sockets();
        let stream = IoStream::from_tcp(socket, within_a_minute()).unwrap();
        sleep(HOUR).await;
        stream.write(b"what the kernel takes").unwrap().await.unwrap();
        sleep(HOUR).await;
        assert!(!stream.closed() && timers() == 0, "nothing was to be sent");
        let begin = now();
        let written = stream.write(&vec![0; MUCH]).unwrap();
        assert_eq!(written.await, sent_too_slowly());
        assert!((60..=121).contains(&(now() - begin).as_secs()) && timers() == 0);
        assert_eq!(stream.read_bytes(1).await, sent_too_slowly(), "whoever reads learns it, too");
    });
}

/// A write that the kernel takes only later, and nobody who waits for it.
#[test]
fn the_send_timeout_needs_nobody_who_waits() {
    run_jumping(async {
        let (from, to) = Over::Unix.pair_with(within_a_minute(), StreamOptions::new()).await;
        from.write(&vec![0; MUCH]).unwrap();
        assert_eq!(seconds_until(|| from.closed()).await, 60);
        drop(to);
    });
}

/// The kernel tells of room only when there is plenty of it. Bytes that a slow reader has made room for count all the same.
#[test]
fn a_slow_reader_never_meets_the_send_timeout() {
    run_jumping(async {
        let (from, to) = Over::Unix.pair_with(within_a_minute(), StreamOptions::new()).await;
        from.write(&vec![0; 5_000_000]).unwrap();
        for _ in 0..25 {
            sleep(LIMIT * 9 / 10).await;
            to.read_bytes(200_000).await.unwrap();
        }
        assert!(!from.closed());
        from.write(&vec![0; MUCH]).unwrap();
        let closed = seconds_until(|| from.closed()).await;
        assert!((60..=121).contains(&closed), "and when it reads no more: {closed}");
        assert_eq!(timers(), 0);
    });
}

#[test]
fn of_two_limits_the_shorter_one_counts() {
    let (short, long) = (Duration::from_secs(10), Duration::from_secs(100));
    let (send, linger) = (CloseCause::SendTimeout { limit: short }, CloseCause::LingerTimeout { limit: short });
    for (send_timeout, linger_timeout, cause) in
        [(Some(short), Some(long), send.clone()), (Some(long), Some(short), linger.clone()), (Some(short), None, send)]
    {
        run_jumping(async move {
            let options = StreamOptions::new().send_timeout(send_timeout).linger_timeout(linger_timeout);
            let (from, to) = Over::Unix.pair_with(options, StreamOptions::new()).await;
            from.write(&vec![0; MUCH]).unwrap();
            next_turn().await;
            from.close_when_flushed();
            assert_eq!(seconds_until(|| from.closed()).await, 10, "{cause:?}");
            assert_eq!(from.error(), Some(cause));
            drop(to);
        });
    }
    assert_eq!(StreamOptions::new().send_timeout, None);
}

#[test]
fn a_send_timeout_of_zero_is_none() {
    run_jumping(async {
        let (from, to) =
            Over::Unix.pair_with(within_a_minute().send_timeout(Some(Duration::ZERO)), StreamOptions::new()).await;
        from.write(&vec![0; MUCH]).unwrap();
        sleep(HOUR).await;
        assert!(!from.closed() && timers() == 0);
        drop(to);
    });
}

/// Whoever looks at the buffer may drop a handle meanwhile.
#[test]
fn a_handle_may_go_while_the_buffer_is_looked_at() {
    run(async {
        let (one, other) = Over::Unix.pair().await;
        one.write(b"x").unwrap();
        other.write(&vec![0; MUCH]).unwrap();
        other.read_bytes_partial(0).await.unwrap();
        let (clone, another) = (other.clone(), other.clone());
        other.parse_buffered(|_| (0, drop(clone)));
        other.with_buffered(|_| drop(another));
    });
}

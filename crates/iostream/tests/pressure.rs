//! Peers that never read, never write, send without end or go away: each costs nothing but its own stream. And large
//! transfers within bounded memory.

#[macro_use]
mod common;

use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use common::counting::counted;
use common::*;
use landspout_ioloop::{Clock, IoLoop, ManualClock, sleep};
use landspout_iostream::{CloseCause, IoStream, StreamError, StreamOptions};

const MIB: usize = 1024 * 1024;

over_each_transport! {
    a_peer_that_never_reads,
    a_peer_that_sends_without_end,
    written_bytes_survive_the_last_handle,
    sixty_four_mebibytes_one_way,
}

over_each_two_way_transport! {
    sixty_four_mebibytes_both_ways_at_once,
    two_peers_that_only_write_at_first,
}

async fn a_peer_that_never_reads(over: Over) {
    const LIMIT: usize = 100_000;
    let (from, to) = over.pair_with(StreamOptions::new().max_write_buffer_size(LIMIT), StreamOptions::new()).await;
    let mut accepted = 0;
    let mut futures = Vec::new();
    let refused = loop {
        match from.write(&[b'x'; 10_000]) {
            Ok(written) => {
                futures.push(written);
                accepted += 10_000;
            }
            Err(refused) => {
                // The kernel may have moved something to the peer's side meanwhile.
                turns(5).await;
                if from.pending_write() + 10_000 > LIMIT {
                    break refused;
                }
            }
        }
        assert!(from.pending_write() <= LIMIT);
        assert!(accepted < 200 * MIB, "the kernel's buffers have an end");
    };
    assert!(matches!(refused, StreamError::WriteBufferFull { limit: LIMIT, asked: 10_000, .. }), "{refused:?}");
    let pending = from.pending_write();
    for _ in 0..100 {
        assert!(from.write(&[b'y'; 10_000]).is_err());
        assert!(from.write_with(10_000, |_| ()).is_err());
        next_turn().await;
    }
    assert_eq!(from.pending_write(), pending, "nothing was queued");
    assert!(!from.closed());
    // And when it does read, everything that was accepted comes, and all futures resolve.
    let counted = spawn(async move {
        let mut got = 0;
        while let Ok(piece) = to.read_bytes_partial(65_536).await {
            assert!(piece.iter().all(|byte| *byte == b'x'));
            got += piece.len();
        }
        got
    });
    for written in futures {
        written.await.unwrap();
    }
    from.close();
    assert_eq!(counted.await.unwrap(), accepted);
}

async fn a_peer_that_sends_without_end(over: Over) {
    const LIMIT: usize = 100_000;
    let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().max_buffer_size(LIMIT)).await;
    let flood = spawn(async move {
        loop {
            if let Err(error) = from.write(&[b'x'; 50_000]) {
                return error;
            }
            if let Err(error) = from.flush().await {
                return error;
            }
        }
    });
    let full = to.read_until(b"\n", None).await;
    assert_eq!(full, Err(StreamError::Closed(Some(CloseCause::ReadBufferFull { max_buffer_size: LIMIT }))));
    assert!(to.with_buffered(<[u8]>::len) <= LIMIT + 1);
    drop(to);
    assert!(matches!(flood.await.unwrap(), StreamError::Closed(_)), "the peer learns of it");
}

async fn written_bytes_survive_the_last_handle(over: Over) {
    let data = Random::new(5).bytes(20 * MIB);
    // Written in one piece or in many, polled or not, and forgotten.
    for piece in [data.len(), 100_000] {
        let (from, to) = over.pair().await;
        for piece in data.chunks(piece) {
            let mut written = Box::pin(from.write(piece).unwrap());
            if piece[0] % 2 == 0 {
                let _ = poll_once(written.as_mut()).await;
            }
        }
        drop(from);
        assert!(to.read_until_close().await.unwrap() == data);
    }
    // Small enough to wait for the turn's end.
    let (from, to) = over.pair().await;
    drop(from.write(b"hello").unwrap());
    drop(from);
    assert_eq!(to.read_until_close().await.unwrap(), "hello");
}

/// A long text in which every place is told from its neighbours.
fn pattern() -> Rc<[u8]> {
    Random::new(6).bytes(MIB + 1).into()
}

/// Sends `total` bytes of the pattern, repeated, in pieces of odd sizes, and awaits each.
async fn send(stream: IoStream, pattern: Rc<[u8]>, total: usize) -> usize {
    let mut rng = Random::new(7);
    let (mut sent, mut most_pending) = (0, 0);
    while sent < total {
        let at = sent % pattern.len();
        let n = (1 + rng.below(150_000)).min(pattern.len() - at).min(total - sent);
        stream.write(&pattern[at..at + n]).unwrap().await.unwrap();
        sent += n;
        most_pending = most_pending.max(stream.pending_write());
    }
    most_pending
}

/// Receives `total` bytes and compares them; gives the most that the buffer held.
async fn receive(stream: IoStream, pattern: Rc<[u8]>, total: usize) -> usize {
    let mut rng = Random::new(8);
    let (mut got, mut most_buffered) = (0, 0);
    let mut memory = vec![0; 100_000];
    while got < total {
        let at = got % pattern.len();
        let limit = (1 + rng.below(memory.len())).min(pattern.len() - at).min(total - got);
        let n = match rng.below(3) {
            0 => {
                let piece = stream.read_bytes(limit).await.unwrap();
                assert!(piece == pattern[at..at + limit], "after {got}");
                limit
            }
            1 => {
                let piece = stream.read_bytes_partial(limit).await.unwrap();
                assert!(piece == pattern[at..at + piece.len()], "after {got}");
                piece.len()
            }
            _ => {
                let n = stream.read_into_partial(&mut memory[..limit]).await.unwrap();
                assert!(memory[..n] == pattern[at..at + n], "after {got}");
                n
            }
        };
        got += n;
        most_buffered = most_buffered.max(stream.with_buffered(<[u8]>::len));
    }
    most_buffered
}

async fn sixty_four_mebibytes_one_way(over: Over) {
    const TOTAL: usize = 64 * MIB;
    let (from, to) = over.pair().await;
    let pattern = pattern();
    let sent = spawn(send(from, pattern.clone(), TOTAL));
    let buffered = receive(to.clone(), pattern, TOTAL).await;
    assert!(buffered <= 64 * 1024, "{buffered}");
    assert_eq!(sent.await.unwrap(), 0, "an awaited write leaves nothing");
    assert_eq!(to.read_until_close().await.unwrap(), "");
}

async fn sixty_four_mebibytes_both_ways_at_once(over: Over) {
    const TOTAL: usize = 64 * MIB;
    let (one, other) = over.pair().await;
    let pattern = pattern();
    let sent = [&one, &other].map(|stream| spawn(send(stream.clone(), pattern.clone(), TOTAL)));
    let received = [&one, &other].map(|stream| spawn(receive(stream.clone(), pattern.clone(), TOTAL)));
    for received in received {
        let buffered = received.await.unwrap();
        assert!(buffered <= 64 * 1024, "{buffered}");
    }
    for sent in sent {
        assert_eq!(sent.await.unwrap(), 0);
    }
}

/// Neither reads before the other has taken everything: what doesn't fit waits, and nothing is lost.
async fn two_peers_that_only_write_at_first(over: Over) {
    let (one, other) = over.pair().await;
    let data = Random::new(9).bytes(10 * MIB);
    let written = [one.write(&data).unwrap(), other.write(&data).unwrap()];
    turns(20).await;
    assert!(one.writing() && other.writing());
    assert!(one.read_bytes(data.len()).await.unwrap() == data);
    assert!(other.read_bytes(data.len()).await.unwrap() == data);
    for written in written {
        written.await.unwrap();
    }
}

/// A clock that jumps when the loop is idle and counts the polls at which it could have been.
struct Watched {
    time: ManualClock,
    polls: Rc<Cell<usize>>,
}

impl Clock for Watched {
    fn monotonic(&self) -> Instant {
        self.time.monotonic()
    }

    fn wall(&self) -> SystemTime {
        self.time.wall()
    }

    fn block_for(&self, now: Instant, deadline: Option<Instant>) -> Option<Duration> {
        self.polls.set(self.polls.get() + 1);
        assert!(self.polls.get() < 10_000, "the loop spins");
        self.time.block_for(now, deadline)
    }

    fn idled(&self, deadline: Option<Instant>) {
        self.time.idled(deadline);
    }
}

/// Peers in every state of stalling, and an hour of the loop's time: it wakes up for the hour's end alone.
#[test]
fn stalled_peers_cost_no_time() {
    let polls = Rc::new(Cell::new(0));
    let io_loop = IoLoop::with_clock(Watched { time: ManualClock::jumping(), polls: polls.clone() });
    io_loop
        .run_sync(async move {
            let mut streams = Vec::new();
            let mut calls = Vec::new();
            for _ in 0..10 {
                // Never reads, with bytes waiting and a future that waits for them, open or about to end.
                let (socket, peer) = tcp_sockets();
                let (stream, counts) = counted(socket, StreamOptions::new());
                stream.set_close_callback(Some(Box::new(|| {})));
                let written = stream.write(&vec![0; 10 * MIB]).unwrap();
                spawn(written);
                calls.push(counts);
                streams.push((stream, peer));
                let (socket, peer) = tcp_sockets();
                let (stream, counts) = counted(socket, StreamOptions::new());
                stream.write(&vec![0; 10 * MIB]).unwrap();
                stream.close_when_flushed();
                calls.push(counts);
                streams.push((stream, peer));
                // Never writes, while a read waits, or has half-closed, or has sent what nobody reads.
                let (socket, peer) = tcp_sockets();
                let (stream, counts) = counted(socket, StreamOptions::new());
                spawn({
                    let stream = stream.clone();
                    async move { stream.read_bytes(1).await }
                });
                calls.push(counts);
                streams.push((stream, peer));
                let (socket, mut peer) = tcp_sockets();
                std::io::Write::write_all(&mut peer, b"unread").unwrap();
                peer.shutdown(std::net::Shutdown::Write).unwrap();
                let (stream, counts) = counted(socket, StreamOptions::new());
                stream.set_close_callback(Some(Box::new(|| {})));
                calls.push(counts);
                streams.push((stream, peer));
            }
            // Those that are to end are given up.
            sleep(Duration::from_secs(130)).await;
            for calls in &calls {
                calls.take();
            }
            polls.set(0);
            sleep(Duration::from_secs(3600)).await;
            assert!(polls.get() <= 5, "{}", polls.get());
            for calls in &calls {
                assert_eq!(calls.take(), (0, 0));
            }
        })
        .unwrap();
}

/// A stream that nobody holds any more goes with its peer.
#[test]
fn an_orphan_ends_with_its_peer() {
    run(async {
        for reset in [false, true] {
            let (socket, peer) = tcp_sockets();
            let (stream, calls) = counted(socket, StreamOptions::new());
            stream.write(&vec![0; 30 * MIB]).unwrap();
            drop(stream);
            turns(5).await;
            assert!(!calls.dropped.get(), "it still has something to send");
            if reset {
                socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
            }
            drop(peer);
            until(|| calls.dropped.get()).await;
        }
    });
}

/// One peer's reset is no other's business, on the same loop and in the same turn.
#[test]
fn a_reset_costs_its_own_stream_alone() {
    run(async {
        let mut pairs = Vec::new();
        for _ in 0..50 {
            let (socket, peer) = tcp_sockets();
            pairs.push((IoStream::from_tcp(socket, StreamOptions::new()).unwrap(), peer));
        }
        let reading: Vec<_> = pairs
            .iter()
            .map(|(stream, _)| {
                let stream = stream.clone();
                spawn(async move { stream.read_bytes(5).await })
            })
            .collect();
        turns(2).await;
        let mut alive = Vec::new();
        for (n, (_, mut peer)) in pairs.into_iter().enumerate() {
            if n % 2 == 0 {
                socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
                drop(peer);
            } else {
                std::io::Write::write_all(&mut peer, b"alive").unwrap();
                alive.push(peer);
            }
        }
        for (n, read) in reading.into_iter().enumerate() {
            let result = read.await.unwrap();
            if n % 2 == 0 {
                assert_closed_by(&result, ErrorKind::ConnectionReset);
            } else {
                assert_eq!(result.unwrap(), "alive");
            }
        }
    });
}

/// A peer that is gone is noticed by the write that meets it.
#[test]
fn writing_to_a_peer_that_is_gone_ends_the_stream() {
    run(async {
        for over in [Over::Tcp, Over::Unix, Over::Pipe, Over::Simulated] {
            let (from, to) = over.pair().await;
            to.close();
            let error = loop {
                // The first one may still be taken, by TCP.
                let result = match from.write(b"x") {
                    Ok(written) => written.await,
                    Err(error) => Err(error),
                };
                next_turn().await;
                if let Err(error) = result {
                    break error;
                }
            };
            let StreamError::Closed(Some(cause)) = &error else { panic!("{error:?}") };
            assert!(matches!(cause.io_kind(), Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)), "{cause:?}");
            assert!(from.closed());
            assert_eq!(from.error().as_ref(), Some(cause));
        }
    });
}

//! Writes of shared bytes: in order with the others, whole however they are taken, not copied, and let go when they were
//! sent; and waiting until a stream is ready for more of them.

#[macro_use]
mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use common::counting::counted;
use common::simulated::wired;
use common::*;
use landspout_iostream::{IoStream, StreamError, StreamOptions};

const KIB: usize = 1024;
/// What is unsent of a stream that is not ready, at least.
const MARK: usize = 768 * KIB;

over_each_transport! {
    shared_bytes_and_others_arrive_in_order,
    shared_bytes_leave_with_the_turn,
    a_future_tells_when_its_shared_bytes_are_sent,
    shared_bytes_count_for_the_limit,
    what_waits_to_be_ready_sends_in_bounded_memory,
    shared_bytes_survive_the_last_handle,
    shared_bytes_are_sent_before_a_close,
    shared_bytes_are_given_up_by_a_close,
}

/// The pieces of a conversation, by length; those below 8 KiB are copied.
const PIECES: &[usize] = &[10, 9_000, 0, 8_192, 8_191, 3, 20_000, 70_000, 5, 100_000, 8_192, 8_192, 1];

async fn shared_bytes_and_others_arrive_in_order(over: Over) {
    let (from, to) = over.pair().await;
    let mut rng = Random::new(11);
    let mut all = Vec::new();
    for round in 0..20 {
        for length in PIECES {
            let piece = rng.bytes(*length);
            all.extend_from_slice(&piece);
            match rng.below(4) {
                0 => drop(from.write(&piece).unwrap()),
                1 => from.write_with(*length, |out| out.extend_from_slice(&piece)).unwrap(),
                _ => drop(from.write_bytes(piece).unwrap()),
            }
        }
        if round % 3 == 0 {
            next_turn().await;
        }
    }
    assert!(to.read_bytes(all.len()).await.unwrap() == all);
    from.flush().await.unwrap();
    assert_eq!((from.pending_write(), from.writing()), (0, false));
}

async fn shared_bytes_leave_with_the_turn(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"head").unwrap();
    from.write_bytes(vec![b'x'; 9_000]).unwrap();
    assert_eq!((from.pending_write(), from.writing()), (9_004, true), "nothing is sent before the turn's end");
    assert_eq!(to.read_bytes(9_004).await.unwrap()[..5], *b"headx");
}

async fn a_future_tells_when_its_shared_bytes_are_sent(over: Over) {
    let (from, to) = over.pair().await;
    let first = from.write_bytes(vec![b'a'; 3_000_000]).unwrap();
    let second = from.write_bytes(vec![b'b'; 9_000]).unwrap();
    let read = spawn(async move { to.read_bytes(3_009_000).await });
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(from.pending_write(), 0);
    assert_eq!(read.await.unwrap().unwrap().last(), Some(&b'b'));
}

async fn shared_bytes_count_for_the_limit(over: Over) {
    const LIMIT: usize = 100_000;
    let (from, to) = over.pair_with(StreamOptions::new().max_write_buffer_size(LIMIT), StreamOptions::new()).await;
    assert_eq!(
        from.write_bytes(vec![0; LIMIT + 1]).map(drop),
        Err(StreamError::WriteBufferFull { limit: LIMIT, pending: 0, asked: LIMIT + 1 })
    );
    let mut accepted = 0;
    loop {
        match from.write_bytes(vec![b'x'; 9_000]) {
            Ok(_) => accepted += 9_000,
            // The kernel may have moved something to the peer's side meanwhile.
            Err(_) => {
                turns(5).await;
                if from.pending_write() + 9_000 > LIMIT {
                    break;
                }
            }
        }
        assert!(from.pending_write() <= LIMIT);
    }
    let pending = from.pending_write();
    let asked = LIMIT - pending + 1;
    let full = Err(StreamError::WriteBufferFull { limit: LIMIT, pending, asked });
    assert_eq!(from.write_bytes(vec![b'y'; asked]).map(drop), full);
    assert_eq!(from.write(&vec![b'y'; asked]).map(drop), full);
    assert_eq!(from.write_with(asked, |_| ()), full);
    from.write(&vec![b'x'; LIMIT - pending]).unwrap();
    assert_eq!(from.pending_write(), LIMIT);
    let all = to.read_bytes(accepted + LIMIT - pending).await.unwrap();
    assert!(all.iter().all(|byte| *byte == b'x'), "nothing of what was refused");
}

async fn what_waits_to_be_ready_sends_in_bounded_memory(over: Over) {
    const TOTAL: usize = 32 * KIB * KIB;
    const PIECE: usize = 64 * KIB;
    let (from, to) = over.pair().await;
    let most = Rc::new(Cell::new(0));
    let sending = spawn({
        let most = most.clone();
        async move {
            let piece = Bytes::from(vec![b'x'; PIECE]);
            for _ in 0..TOTAL / PIECE {
                from.ready().await?;
                from.write_bytes(piece.clone())?;
                most.set(most.get().max(from.pending_write()));
            }
            from.flush().await?;
            // All were let go.
            Ok::<_, StreamError>(piece.is_unique())
        }
    });
    // It goes no faster than it is read.
    turns(50).await;
    assert!(most.get() < MARK + PIECE);
    let mut got = 0;
    while got < TOTAL {
        got += to.read_bytes_partial(100_000).await.unwrap().len();
    }
    assert_eq!(sending.await.unwrap(), Ok(true));
    assert!((MARK / 2..MARK + PIECE).contains(&most.get()), "{}", most.get());
}

/// So much that no kernel takes it all.
fn much() -> Vec<u8> {
    Random::new(12).bytes(10 * KIB * KIB)
}

async fn shared_bytes_survive_the_last_handle(over: Over) {
    for data in [much(), vec![b'x'; 9_000]] {
        let (from, to) = over.pair().await;
        from.write_bytes(data.clone()).unwrap();
        drop(from);
        assert!(to.read_until_close().await.unwrap() == data);
        assert_eq!(to.error(), None);
    }
}

async fn shared_bytes_are_sent_before_a_close(over: Over) {
    let (from, to) = over.pair().await;
    let data = much();
    from.write_bytes(data.clone()).unwrap();
    from.close_when_flushed();
    assert_closed_cleanly(&from.write_bytes(vec![0; 9_000]));
    assert_closed_cleanly(&from.ready().await);
    assert!(to.read_until_close().await.unwrap() == data);
    assert_eq!((from.error(), to.error()), (None, None));
}

async fn shared_bytes_are_given_up_by_a_close(over: Over) {
    for ends_only_writing in [false, true] {
        let (from, _to) = over.pair().await;
        let data = Bytes::from(much());
        let sent = from.write_bytes(data.clone()).unwrap();
        next_turn().await;
        assert!(!data.is_unique());
        if ends_only_writing {
            from.shutdown_write_now().unwrap();
        } else {
            from.close();
        }
        assert!(data.is_unique(), "they were let go");
        assert!(sent.await.is_err() && from.ready().await.is_err());
        assert_eq!((from.pending_write(), from.writing()), (0, false));
    }
}

/// However little is taken at first, and wherever that cuts the pieces.
#[test]
fn a_partial_write_may_end_anywhere() {
    run(async {
        let lengths = [5, 8_192, 7, 9_000, 8_200, 4];
        let mut ends = vec![0];
        ends.extend(lengths.iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        }));
        let near = |cut: &usize| ends.iter().any(|end| cut.abs_diff(*end) <= 2) || cut % 500 == 0;
        let mut rng = Random::new(13);
        let pieces = lengths.map(|length| rng.bytes(length));
        let all = pieces.concat();
        for cut in (1..=all.len() + 1).filter(near) {
            let pair = wired(cut, StreamOptions::new(), StreamOptions::new());
            for piece in &pieces {
                if piece.len() < 1_000 {
                    pair.first.write(piece).unwrap();
                } else {
                    pair.first.write_bytes(piece.clone()).unwrap();
                }
            }
            turns(2).await;
            assert_eq!(pair.first.pending_write(), all.len().saturating_sub(cut));
            pair.first.write(b"!").unwrap();
            // Very short pieces would only take long.
            let n = all.len() + 1;
            let read = if cut < 20 { n.min(2_000) } else { n };
            let got = pair.second.read_bytes(read).await.unwrap();
            assert!(got[..read.min(all.len())] == all[..read.min(all.len())], "cut at {cut}");
        }
    });
}

/// A piece each: one call for all of them, and for the small writes around them.
#[test]
fn several_pieces_leave_in_one_call() {
    run(async {
        let (socket, peer) = tcp_sockets();
        let (from, calls) = counted(socket, StreamOptions::new());
        let to = IoStream::from_tcp(peer, StreamOptions::new()).unwrap();
        next_turn().await;
        calls.take();
        let mut length = 0;
        for _ in 0..4 {
            from.write(b"head\r\n").unwrap();
            from.write_bytes(vec![b'x'; 9_000]).unwrap();
            length += 9_006;
        }
        from.write(b"\r\n").unwrap();
        assert_eq!(to.read_bytes(length + 2).await.unwrap().len(), length + 2);
        assert_eq!(calls.take().1, 1);
        // More than one call can carry.
        for _ in 0..100 {
            from.write_bytes(Bytes::from_static(&[b'y'; 8_192])).unwrap();
        }
        assert_eq!(to.read_bytes(100 * 8_192).await.unwrap().len(), 100 * 8_192);
    });
}

/// What is let go may do what it likes when it goes.
#[test]
fn the_drop_of_shared_bytes_may_use_the_stream() {
    // `Bytes` are for all threads, so the stream is found by the thread.
    thread_local! {
        static STREAM: RefCell<Option<IoStream>> = const { RefCell::new(None) };
    }

    struct Telling(Vec<u8>);

    impl AsRef<[u8]> for Telling {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Telling {
        fn drop(&mut self) {
            STREAM.with_borrow(|stream| {
                let stream = stream.as_ref().unwrap();
                let _ = (stream.write(b"gone"), stream.pending_write());
            });
        }
    }

    run(async {
        for over in [Over::Tcp, Over::Simulated] {
            let (from, to) = over.pair().await;
            STREAM.set(Some(from.clone()));
            from.write_bytes(Bytes::from_owner(Telling(vec![b'x'; 9_000]))).unwrap();
            let all = to.read_until(b"gone", None).await.unwrap();
            assert_eq!(all.len(), 9_004);
            // And when it is given up.
            from.write_bytes(Bytes::from_owner(Telling(much()))).unwrap();
            next_turn().await;
            from.close();
            from.write_bytes(Bytes::from_owner(Telling(much()))).map(drop).unwrap_err();
            STREAM.set(None);
        }
    });
}

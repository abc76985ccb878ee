//! Reads: by count, by delimiter, into the caller's memory, to the end; their limits; and what dropping one loses: nothing.

#[macro_use]
mod common;

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::rc::Rc;

use common::*;
use landspout_ioloop::Ready;
use landspout_iostream::{CloseCause, IoStream, ReadTarget, StreamError, StreamOptions, Transport};

over_each_transport! {
    read_bytes_takes_exactly_that_many,
    read_zero_bytes,
    read_bytes_partial,
    read_until_finds_a_delimiter_that_comes_in_pieces,
    read_until_max_bytes,
    read_until_max_bytes_inline,
    read_until_max_bytes_ignores_extra,
    read_until_waits_at_the_limit_and_fails_beyond,
    large_read_until,
    read_until_with_close_after_second_packet,
    read_until_unsatisfied_after_close,
    small_reads_from_large_buffer,
    small_read_untils_from_large_buffer,
    flow_control,
    read_into,
    read_into_partial,
    read_into_zero_bytes,
    many_mixed_reads,
    read_until_close_gives_everything,
    read_until_close_within_the_limit,
    a_read_as_large_as_the_buffer,
    a_read_larger_than_the_buffer_is_refused,
    a_peer_that_sends_past_the_buffer,
    one_read_at_a_time,
    dropped_reads_lose_nothing,
    a_dropped_read_into_tells_how_far_it_came,
    a_closed_stream_gives_what_it_has,
    chunks_bound_what_a_read_fetches,
}

/// The peer has sent `data`, and it sits in the reader's buffer.
async fn buffered(to: &IoStream, from: &IoStream, data: &[u8]) {
    from.write(data).unwrap().await.unwrap();
    let mut read = Box::pin(to.read_bytes(data.len() + 1));
    while to.with_buffered(|bytes| bytes != data) {
        assert!(poll_once(read.as_mut()).await.is_none());
        next_turn().await;
    }
}

async fn read_bytes_takes_exactly_that_many(over: Over) {
    let (from, to) = over.pair().await;
    for piece in ["hel", "lo wor", "ld, and more"] {
        from.write(piece.as_bytes()).unwrap().await.unwrap();
    }
    assert_eq!(to.read_bytes(5).await.unwrap(), "hello");
    assert_eq!(to.read_bytes(1).await.unwrap(), " ");
    assert_eq!(to.read_bytes(5).await.unwrap(), "world");
    let mut read = pin!(to.read_bytes(11));
    assert!(poll_once(read.as_mut()).await.is_none(), "ten of eleven are there");
    from.write(b"!").unwrap();
    assert_eq!(read.await.unwrap(), ", and more!");
}

/// Tornado: TestIOStreamWebMixin.test_read_zero_bytes.
async fn read_zero_bytes(over: Over) {
    let (from, to) = over.pair().await;
    // Before anything came.
    assert_eq!(poll_once(pin!(to.read_bytes(0))).await.unwrap().unwrap(), "");
    from.write(b"HTTP/1.0 200 OK").unwrap();
    assert_eq!(to.read_bytes(9).await.unwrap(), "HTTP/1.0 ");
    assert_eq!(poll_once(pin!(to.read_bytes(0))).await.unwrap().unwrap(), "");
    assert_eq!(to.read_bytes(3).await.unwrap(), "200");
}

/// Tornado: TestReadWriteMixin.test_read_bytes_partial.
async fn read_bytes_partial(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"hello").unwrap();
    assert_eq!(to.read_bytes_partial(50).await.unwrap(), "hello");
    from.write(b"hello").unwrap();
    assert_eq!(to.read_bytes_partial(3).await.unwrap(), "hel");
    assert_eq!(poll_once(pin!(to.read_bytes_partial(0))).await.unwrap().unwrap(), "");
    assert_eq!(to.read_bytes_partial(3).await.unwrap(), "lo");
    assert_eq!(poll_once(pin!(to.read_bytes_partial(0))).await.unwrap().unwrap(), "");
    assert!(poll_once(pin!(to.read_bytes_partial(1))).await.is_none(), "at least one byte, unless none was asked for");
}

async fn read_until_finds_a_delimiter_that_comes_in_pieces(over: Over) {
    let (from, to) = over.pair().await;
    let mut read = pin!(to.read_until(b"\r\n\r\n", None));
    for piece in ["a line\r", "\n", "another\r\n", "\r", "\r\n\r", "\nrest"] {
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(piece.as_bytes()).unwrap().await.unwrap();
        turns(3).await;
    }
    assert_eq!(read.await.unwrap(), "a line\r\nanother\r\n\r\r\n\r\n");
    assert_eq!(to.read_until(b"", None).await.unwrap(), "", "an empty delimiter is there at once");
    assert_eq!(to.read_until(b"", Some(0)).await.unwrap(), "");
    assert_eq!(to.read_until(b"r", None).await.unwrap(), "r");
    assert_eq!(to.read_until(b"st", None).await.unwrap(), "est");
}

/// Tornado: TestReadWriteMixin.test_read_until_max_bytes.
async fn read_until_max_bytes(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"abcdef").unwrap();
    assert_eq!(to.read_until(b"def", Some(50)).await.unwrap(), "abcdef", "far below the limit");
    from.write(b"abcdef").unwrap();
    assert_eq!(to.read_until(b"def", Some(6)).await.unwrap(), "abcdef", "exactly at the limit");
    let closed = Trace::default();
    to.set_close_callback(closed.callback("closed"));
    let mut read = pin!(to.read_until(b"def", Some(5)));
    assert!(poll_once(read.as_mut()).await.is_none());
    from.write(b"123456").unwrap();
    let cause = CloseCause::UnsatisfiableRead { max_bytes: 5 };
    assert_eq!(read.await, Err(StreamError::Closed(Some(cause.clone()))));
    assert!(to.closed());
    assert_eq!(to.error(), Some(cause));
    next_turn().await;
    assert_eq!(closed.take(), ["closed"]);
}

/// Tornado: TestReadWriteMixin.test_read_until_max_bytes_inline. The data is there before the read.
async fn read_until_max_bytes_inline(over: Over) {
    let (from, to) = over.pair().await;
    buffered(&to, &from, b"123456").await;
    let read = to.read_until(b"def", Some(5)).await;
    assert_eq!(read, Err(StreamError::Closed(Some(CloseCause::UnsatisfiableRead { max_bytes: 5 }))));
}

/// Tornado: TestReadWriteMixin.test_read_until_max_bytes_ignores_extra. The delimiter is there, but ends past the limit.
async fn read_until_max_bytes_ignores_extra(over: Over) {
    for (limit, fits) in [(5, false), (6, true)] {
        let (from, to) = over.pair().await;
        buffered(&to, &from, b"abcdefgh").await;
        let read = to.read_until(b"def", Some(limit)).await;
        if fits {
            assert_eq!(read.unwrap(), "abcdef");
        } else {
            let cause = CloseCause::UnsatisfiableRead { max_bytes: limit };
            assert_eq!(read, Err(StreamError::Closed(Some(cause))));
        }
    }
}

async fn read_until_waits_at_the_limit_and_fails_beyond(over: Over) {
    let (from, to) = over.pair().await;
    let mut read = pin!(to.read_until(b"\n", Some(5)));
    for _ in 0..5 {
        from.write(b"x").unwrap();
        turns(3).await;
        assert!(poll_once(read.as_mut()).await.is_none(), "up to the limit it may still come out well");
    }
    from.write(b"x").unwrap();
    assert!(matches!(read.await, Err(StreamError::Closed(Some(CloseCause::UnsatisfiableRead { max_bytes: 5 })))));
}

#[test]
fn an_unsatisfiable_read_is_one_line_in_the_log() {
    let ((), lines) = logged(|| {
        run(async {
            let (from, to) = Over::Unix.pair().await;
            from.write(b"123456").unwrap();
            to.read_until(b"def", Some(5)).await.unwrap_err();
        });
    });
    assert!(matches!(&lines[..], [line] if line.starts_with("INFO unsatisfiable read")), "{lines:?}");
}

/// Tornado: TestReadWriteMixin.test_large_read_until. A search that began anew with each piece would look at 34 GB,
/// and so meet the guard.
async fn large_read_until(over: Over) {
    let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().read_chunk_size(256)).await;
    let written = spawn(async move {
        for _ in 0..16_384 {
            from.write(&[b'A'; 256]).unwrap().await.unwrap();
        }
        from.write(b"\r\n").unwrap().await.unwrap();
    });
    let read = to.read_until(b"\r\n", None).await.unwrap();
    assert_eq!(read.len(), 4096 * 1024 + 2);
    assert!(read.ends_with(b"A\r\n"));
    written.await.unwrap();
}

/// Tornado: TestReadWriteMixin.test_read_until_with_close_after_second_packet.
async fn read_until_with_close_after_second_packet(over: Over) {
    let (from, to) = over.pair().await;
    let mut read = pin!(to.read_until(b"done", None));
    from.write(&[b'x'; 2048]).unwrap().await.unwrap();
    turns(3).await;
    assert!(poll_once(read.as_mut()).await.is_none());
    from.write(b"done").unwrap();
    from.close();
    let read = read.await.unwrap();
    assert_eq!(read.len(), 2052);
    assert!(read.ends_with(b"xdone"));
}

/// Tornado: TestReadWriteMixin.test_read_until_unsatisfied_after_close. No limit was given, so none was exceeded.
async fn read_until_unsatisfied_after_close(over: Over) {
    let (from, to) = over.pair().await;
    let mut read = pin!(to.read_until(b"done", None));
    from.write(&[b'x'; 2048]).unwrap().await.unwrap();
    turns(3).await;
    assert!(poll_once(read.as_mut()).await.is_none());
    from.write(b"foo").unwrap();
    from.close();
    assert_closed_cleanly(&read.await);
}

/// Tornado: TestReadWriteMixin.test_small_reads_from_large_buffer. Ten times what the buffer holds, but never at once.
async fn small_reads_from_large_buffer(over: Over) {
    let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().max_buffer_size(10 * 1024)).await;
    from.write(&[b'a'; 100 * 1024]).unwrap();
    for _ in 0..100 {
        assert_eq!(to.read_bytes(1024).await.unwrap(), [b'a'; 1024][..]);
        assert!(to.with_buffered(<[u8]>::len) <= 10 * 1024);
    }
}

/// Tornado: TestReadWriteMixin.test_small_read_untils_from_large_buffer.
async fn small_read_untils_from_large_buffer(over: Over) {
    let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().max_buffer_size(10 * 1024)).await;
    let mut line = vec![b'a'; 1024];
    line[1023] = b'\n';
    from.write(&line.repeat(100)).unwrap();
    for _ in 0..100 {
        assert_eq!(to.read_until(b"\n", Some(4096)).await.unwrap(), line);
        assert!(to.with_buffered(<[u8]>::len) <= 10 * 1024);
    }
}

/// Tornado: TestReadWriteMixin.test_flow_control. What nobody reads stays with the peer.
async fn flow_control(over: Over) {
    const MIB: usize = 1024 * 1024;
    let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().max_buffer_size(5 * MIB)).await;
    from.write(&vec![b'a'; 10 * MIB]).unwrap();
    // Whoever wants to know of a close doesn't read for that.
    to.set_close_callback(Some(Box::new(|| {})));
    assert_eq!(to.read_bytes(MIB).await.unwrap().len(), MIB);
    let kept = to.with_buffered(<[u8]>::len);
    assert!(kept <= 64 * 1024);
    turns(50).await;
    assert_eq!(to.with_buffered(<[u8]>::len), kept, "nothing is read for nobody");
    assert!(from.writing());
    for _ in 0..9 {
        assert_eq!(to.read_bytes(MIB).await.unwrap().len(), MIB);
    }
    until(|| !from.writing()).await;
    assert!(!to.closed());
}

/// Reads `memory` full and gives what it holds.
async fn fill(stream: &IoStream, memory: &mut [u8]) -> Result<Vec<u8>, StreamError> {
    let mut target = ReadTarget::new(memory);
    stream.read_into(&mut target).await?;
    assert!(target.is_full());
    Ok(target.filled().to_vec())
}

/// Tornado: TestReadWriteMixin.test_read_into.
async fn read_into(over: Over) {
    let (from, to) = over.pair().await;
    let mut memory = [0; 10];
    {
        let mut read = pin!(fill(&to, &mut memory));
        assert!(poll_once(read.as_mut()).await.is_none());
        assert!(to.reading());
        from.write(b"hello").unwrap().await.unwrap();
        turns(3).await;
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(b"world!!").unwrap();
        assert_eq!(read.await.unwrap(), b"helloworld");
        assert!(!to.reading());
    }
    // What was too much comes first.
    {
        let mut read = pin!(fill(&to, &mut memory));
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(b"1234567890").unwrap();
        assert_eq!(read.await.unwrap(), b"!!12345678");
    }
    assert_eq!(to.read_bytes(2).await.unwrap(), "90");
    buffered(&to, &from, b"1234567890").await;
    assert_eq!(poll_once(pin!(fill(&to, &mut memory[..4]))).await.unwrap().unwrap(), b"1234");
    assert_eq!(to.read_bytes(6).await.unwrap(), "567890");
}

/// Tornado: TestReadWriteMixin.test_read_into_partial.
async fn read_into_partial(over: Over) {
    let (from, to) = over.pair().await;
    let mut memory = *b"..........";
    {
        let mut read = pin!(to.read_into_partial(&mut memory));
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(b"hello").unwrap();
        assert_eq!(read.await.unwrap(), 5);
    }
    assert_eq!(&memory, b"hello.....", "the rest is left alone");
    buffered(&to, &from, b"world!1234567890").await;
    assert_eq!(to.read_into_partial(&mut memory).await.unwrap(), 10);
    assert_eq!(&memory, b"world!1234");
    assert_eq!(poll_once(pin!(to.read_into_partial(&mut memory))).await.unwrap().unwrap(), 6);
    assert_eq!(&memory, b"5678901234");
}

/// Tornado: TestReadWriteMixin.test_read_into_zero_bytes.
async fn read_into_zero_bytes(over: Over) {
    let (_from, to) = over.pair().await;
    assert_eq!(poll_once(pin!(to.read_into_partial(&mut []))).await.unwrap().unwrap(), 0);
    assert_eq!(poll_once(pin!(fill(&to, &mut []))).await.unwrap().unwrap(), b"");
    assert!(!to.closed());
}

/// Tornado: TestReadWriteMixin.test_many_mixed_reads.
async fn many_mixed_reads(over: Over) {
    let (from, to) = over.pair().await;
    let data = Random::new(42).bytes(1_000_000);
    let written = spawn({
        let data = data.clone();
        async move {
            let mut rng = Random::new(7);
            let mut rest = &data[..];
            while !rest.is_empty() {
                let (piece, more) = rest.split_at((rng.below(1000) + 1).min(rest.len()));
                from.write(piece).unwrap().await.unwrap();
                rest = more;
            }
        }
    });
    let mut rng = Random::new(8);
    let mut read = Vec::with_capacity(data.len());
    while read.len() < data.len() {
        let n = (rng.below(1000) + 1).min(data.len() - read.len());
        if rng.one_in(2) {
            read.extend_from_slice(&to.read_bytes(n).await.unwrap());
        } else {
            read.extend(fill(&to, &mut vec![0; n]).await.unwrap());
        }
    }
    assert!(read == data);
    written.await.unwrap();
}

/// Tornado: TestIOStreamWebMixin.test_future_read_until_close, TestReadWriteMixin.test_read_until_close_after_close.
async fn read_until_close_gives_everything(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"1234").unwrap();
    assert_eq!(to.read_bytes(1).await.unwrap(), "1");
    from.close();
    assert_eq!(to.read_until_close().await.unwrap(), "234");
    assert!(to.closed());
    assert_eq!(to.error(), None);
    assert_closed_cleanly(&to.read_bytes(1).await);
    assert_eq!(to.read_until_close().await.unwrap(), "", "nothing is left, which is no error");

    let (from, to) = over.pair().await;
    let mut read = pin!(to.read_until_close());
    for piece in ["one ", "two ", "three"] {
        from.write(piece.as_bytes()).unwrap().await.unwrap();
        turns(3).await;
        assert!(poll_once(read.as_mut()).await.is_none());
    }
    drop(from);
    assert_eq!(read.await.unwrap(), "one two three");
}

async fn read_until_close_within_the_limit(over: Over) {
    for (sent, fits) in [(999, true), (1000, true), (1001, false), (4000, false)] {
        let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().max_buffer_size(1000)).await;
        from.write(&vec![b'x'; sent]).unwrap();
        from.close_when_flushed();
        let read = to.read_until_close().await;
        if fits {
            assert_eq!(read.unwrap().len(), sent);
        } else {
            let cause = CloseCause::ReadBufferFull { max_buffer_size: 1000 };
            assert_eq!(read, Err(StreamError::Closed(Some(cause))), "{sent} bytes");
        }
    }
}

/// The buffer holds what it says, however the bytes come and whatever follows them.
async fn a_read_as_large_as_the_buffer(over: Over) {
    const LIMIT: usize = 10_000;
    for first in [1, 2_500, 4_999, 5_000, 5_001, 9_999] {
        let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().max_buffer_size(LIMIT)).await;
        let mut read = pin!(to.read_bytes(LIMIT));
        from.write(&vec![b'a'; first]).unwrap().await.unwrap();
        turns(3).await;
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(&vec![b'a'; LIMIT - first]).unwrap();
        from.write(&[b'b'; 5_000]).unwrap();
        assert_eq!(read.await.unwrap(), [b'a'; LIMIT][..], "the first {first} came before");
        assert!(to.with_buffered(<[u8]>::len) <= LIMIT);
        assert_eq!(to.read_bytes(5_000).await.unwrap(), [b'b'; 5_000][..]);

        let mut line = vec![b'a'; LIMIT];
        line[LIMIT - 1] = b'\n';
        let mut read = pin!(to.read_until(b"\n", None));
        from.write(&line[..first]).unwrap().await.unwrap();
        turns(3).await;
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(&line[first..]).unwrap();
        assert_eq!(read.await.unwrap(), line, "the first {first} came before");
    }
}

async fn a_read_larger_than_the_buffer_is_refused(over: Over) {
    let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().max_buffer_size(1000)).await;
    assert_eq!(to.read_bytes(1001).await, Err(StreamError::ReadTooLarge { limit: 1000, asked: 1001 }));
    assert!(!to.closed());
    assert!(!to.reading());
    from.write(b"fine").unwrap();
    assert_eq!(to.read_bytes_partial(1001).await.unwrap(), "fine", "which needs no such buffer");
    from.write(&[b'x'; 3000]).unwrap();
    assert_eq!(fill(&to, &mut [0; 3000]).await.unwrap(), [b'x'; 3000], "nor does this");

    let (_from, to) = over.pair().await;
    let asked = 104_857_601;
    assert_eq!(to.read_bytes(asked).await, Err(StreamError::ReadTooLarge { limit: 104_857_600, asked }));
}

async fn a_peer_that_sends_past_the_buffer(over: Over) {
    let (from, to) = over.pair_with(StreamOptions::new(), StreamOptions::new().max_buffer_size(1000)).await;
    let closed = Trace::default();
    to.set_close_callback(closed.callback("closed"));
    from.write(&[b'x'; 1000]).unwrap().await.unwrap();
    let mut read = pin!(to.read_until(b"\n", None));
    while to.with_buffered(<[u8]>::len) < 1000 {
        assert!(poll_once(read.as_mut()).await.is_none());
        next_turn().await;
    }
    assert!(poll_once(read.as_mut()).await.is_none(), "the buffer is full, not overfull");
    from.write(b"x").unwrap();
    let cause = CloseCause::ReadBufferFull { max_buffer_size: 1000 };
    assert_eq!(read.await, Err(StreamError::Closed(Some(cause.clone()))));
    assert_eq!(to.error(), Some(cause));
    next_turn().await;
    assert_eq!(closed.take(), ["closed"]);
}

#[test]
fn a_full_read_buffer_is_one_line_in_the_log() {
    let ((), lines) = logged(|| {
        run(async {
            let (from, to) =
                Over::Unix.pair_with(StreamOptions::new(), StreamOptions::new().max_buffer_size(1000)).await;
            from.write(&[b'x'; 3000]).unwrap();
            to.read_until(b"\n", None).await.unwrap_err();
        });
    });
    assert!(matches!(&lines[..], [line] if line.starts_with("ERROR read buffer of 1000 bytes")), "{lines:?}");
}

async fn one_read_at_a_time(over: Over) {
    let (from, to) = over.pair().await;
    assert!(!to.reading());
    {
        let mut read = pin!(to.read_bytes(2));
        assert!(!to.reading(), "a future that was not polled is nothing");
        assert!(poll_once(read.as_mut()).await.is_none());
        assert!(to.reading());
        let mut memory = [0; 1];
        assert_eq!(to.read_bytes(1).await, Err(StreamError::AlreadyReading));
        assert_eq!(to.read_bytes_partial(1).await, Err(StreamError::AlreadyReading));
        assert_eq!(to.read_until(b"\n", None).await, Err(StreamError::AlreadyReading));
        assert_eq!(to.read_into_partial(&mut memory).await, Err(StreamError::AlreadyReading));
        assert_eq!(fill(&to, &mut memory).await, Err(StreamError::AlreadyReading));
        assert_eq!(to.read_until_close().await, Err(StreamError::AlreadyReading));
        assert!(to.reading(), "refused reads don't end the one that waits");
        from.write(b"ab").unwrap();
        assert_eq!(read.await.unwrap(), "ab");
    }
    assert!(!to.reading());
    assert!(poll_once(pin!(to.read_bytes(2))).await.is_none());
    assert!(!to.reading(), "dropped");
    from.write(b"cd").unwrap();
    assert_eq!(to.read_bytes(2).await.unwrap(), "cd");

    // On a closed stream the close is what matters, as in Tornado.
    let mut read = pin!(to.read_bytes(2));
    assert!(poll_once(read.as_mut()).await.is_none());
    to.close();
    assert_closed_cleanly(&to.read_bytes(1).await);
    assert_closed_cleanly(&read.await);
}

async fn dropped_reads_lose_nothing(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"abc").unwrap().await.unwrap();
    // Each sees the three bytes come and leaves them.
    for _ in 0..3 {
        for kind in 0..5 {
            let stream = to.clone();
            let mut read: std::pin::Pin<Box<dyn Future<Output = ()>>> = match kind {
                0 => Box::pin(async move { stream.read_bytes(4).await.map(drop).unwrap() }),
                1 => Box::pin(async move { stream.read_until(b"cd", None).await.map(drop).unwrap() }),
                2 => Box::pin(async move { stream.read_until(b"x", Some(10)).await.map(drop).unwrap() }),
                3 => Box::pin(async move { stream.read_until_close().await.map(drop).unwrap() }),
                _ => Box::pin(async move { stream.read_bytes(100).await.map(drop).unwrap() }),
            };
            for _ in 0..3 {
                assert!(poll_once(read.as_mut()).await.is_none());
                next_turn().await;
            }
        }
    }
    from.write(b"d").unwrap();
    assert_eq!(to.read_bytes(4).await.unwrap(), "abcd");
    // A read that is ready, but was not polled to its end, has taken nothing.
    {
        let mut read = pin!(to.read_bytes(4));
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(b"efgh").unwrap().await.unwrap();
        turns(5).await;
    }
    assert_eq!(to.read_bytes(4).await.unwrap(), "efgh");
}

async fn a_dropped_read_into_tells_how_far_it_came(over: Over) {
    for size in [10, 10_000] {
        let (from, to) = over.pair().await;
        let data = Random::new(1).bytes(size);
        let half = size / 2;
        let mut memory = vec![0; size];
        let mut target = ReadTarget::new(&mut memory);
        from.write(&data[..half]).unwrap().await.unwrap();
        while target.filled().len() < half {
            assert!(poll_once(pin!(to.read_into(&mut target))).await.is_none());
            next_turn().await;
        }
        assert!(!target.is_full());
        assert_eq!(target.filled(), &data[..half]);
        from.write(&data[half..]).unwrap();
        to.read_into(&mut target).await.unwrap();
        assert!(target.is_full());
        assert_eq!(target.filled(), data);
        assert!(to.with_buffered(<[u8]>::is_empty), "nothing came twice");
        // What came before the end is told too.
        let mut target = ReadTarget::new(&mut memory);
        from.write(b"end").unwrap();
        from.close();
        assert_closed_cleanly(&to.read_into(&mut target).await);
        assert_eq!(target.filled(), b"end");
    }
}

/// Reads on a closed stream look at the buffer first.
async fn a_closed_stream_gives_what_it_has(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"ab\ncdefg").unwrap();
    from.close();
    assert_closed_cleanly(&to.read_bytes(10).await);
    assert!(to.closed());
    assert_closed_cleanly(&to.read_until(b"x", None).await);
    assert_eq!(to.read_until(b"\n", None).await.unwrap(), "ab\n");
    assert_eq!(to.read_bytes(1).await.unwrap(), "c");
    assert_eq!(fill(&to, &mut [0; 2]).await.unwrap(), b"de");
    assert_eq!(to.read_bytes_partial(1).await.unwrap(), "f");
    assert_closed_cleanly(&to.read_bytes(2).await);
    assert_eq!(to.read_bytes(1).await.unwrap(), "g");
    assert_closed_cleanly(&to.read_bytes(1).await);
    assert_closed_cleanly(&to.read_bytes_partial(1).await);
    assert_closed_cleanly(&to.read_into_partial(&mut [0]).await);
    assert_eq!(to.read_bytes(0).await.unwrap(), "");
}

async fn chunks_bound_what_a_read_fetches(over: Over) {
    let fetched = async |options: StreamOptions| {
        let (from, to) = over.pair_with(StreamOptions::new(), options).await;
        from.write(&vec![b'x'; 300_000]).unwrap();
        turns(3).await;
        to.read_bytes(1).await.unwrap();
        let fetched = to.with_buffered(<[u8]>::len) + 1;
        assert!(fetched <= 65_536);
        fetched
    };
    assert!(fetched(StreamOptions::new().read_chunk_size(256)).await <= 256);
    assert!(fetched(StreamOptions::new().max_buffer_size(1000)).await <= 500, "at most half of the buffer");
    assert!(fetched(StreamOptions::new().read_chunk_size(1_000_000)).await > 256, "64 KiB at most, and by default");
    assert!(fetched(StreamOptions::new()).await > 256);
}

/// Always has more.
struct Endless;

impl Transport for Endless {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = buf.len().min(4096);
        buf[..n].fill(b'x');
        Ok(n)
    }

    fn write(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn drained(&self, _asked: usize, _got: usize) -> bool {
        false
    }
}

/// However much there is to read at once: other tasks get their turn meanwhile.
#[test]
fn a_long_read_lets_others_run() {
    const SIZE: usize = 4 * 1024 * 1024;
    run(async {
        let stream = IoStream::new(Endless, StreamOptions::new()).unwrap();
        stream.raiser().raise(Ready::READABLE);
        let polls = Rc::new(Cell::new(0_usize));
        let others = spawn({
            let polls = polls.clone();
            async move {
                loop {
                    polls.set(polls.get() + 1);
                    yield_now().await;
                }
            }
        });
        assert_eq!(stream.read_bytes(SIZE).await.unwrap().len(), SIZE);
        assert!(polls.replace(0) > 10);
        assert_eq!(fill(&stream, &mut vec![0; SIZE]).await.unwrap().len(), SIZE);
        assert!(polls.replace(0) > 10);
        let full = stream.read_until(b"y", None).await;
        assert!(matches!(full, Err(StreamError::Closed(Some(CloseCause::ReadBufferFull { .. })))));
        assert!(polls.replace(0) > 10);
        others.abort();
    });
}

#[test]
fn the_limits_have_the_defaults_of_the_documents() {
    let options = StreamOptions::new();
    assert_eq!(options, StreamOptions::default());
    assert_eq!(options.max_buffer_size, 104_857_600);
    assert_eq!(options.read_chunk_size, 65_536);
    assert_eq!(options.max_write_buffer_size, usize::MAX);
    run(async {
        let (one, _other) = Over::Unix.pair().await;
        assert_eq!(*one.options(), StreamOptions::new());
        let options = StreamOptions::new().max_buffer_size(100).max_write_buffer_size(5);
        let (one, _other) = Over::Unix.pair_with(options, StreamOptions::new()).await;
        assert_eq!((one.options().max_buffer_size, one.options().read_chunk_size), (100, 50));
        assert_eq!(one.options().max_write_buffer_size, 5);
    });
}

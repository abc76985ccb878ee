//! Streams by `futures_io`'s traits: what these promise, and what is built on them.
#![cfg(feature = "futures-io")]

#[macro_use]
mod common;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use common::*;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy};
use futures_util::stream::StreamExt;
use landspout_iostream::{IoStream, StreamOptions};

over_each_transport! {
    a_read_gives_what_is_there_and_0_at_the_end,
    lines_of_a_buffered_reader,
    a_copy_through_two_streams,
    an_endless_writer_waits_for_its_reader,
    a_small_write_buffer_is_respected,
    several_slices_are_one_write,
    nothing_is_written_after_close,
    a_read_of_ours_comes_first,
}

over_each_two_way_transport! {
    the_end_of_the_peer_leaves_the_stream_open,
    two_tasks_read_and_write_one_stream,
}

async fn a_read_gives_what_is_there_and_0_at_the_end(over: Over) {
    let (mut from, mut to) = over.pair().await;
    let mut memory = vec![0; 10_000];
    assert_eq!(to.read(&mut []).await.unwrap(), 0);
    from.write_all(b"hello").await.unwrap();
    assert_eq!(to.read(&mut memory[..2]).await.unwrap(), 2);
    assert_eq!(to.read(&mut memory[2..]).await.unwrap(), 3);
    assert_eq!(&memory[..5], b"hello");
    // Large reads go straight into the memory.
    from.write_all(&[7; 9000]).await.unwrap();
    AsyncWriteExt::close(&mut from).await.unwrap();
    to.read_exact(&mut memory[..9000]).await.unwrap();
    for _ in 0..3 {
        assert_eq!(to.read(&mut memory).await.unwrap(), 0);
    }
    assert!(!to.closed());
    AsyncWriteExt::close(&mut to).await.unwrap();
    assert!(to.closed(), "both sides have ended");
    assert_eq!(to.read(&mut memory).await.unwrap(), 0, "as it was");
}

async fn lines_of_a_buffered_reader(over: Over) {
    let (mut from, to) = over.pair().await;
    let writing = spawn(async move {
        for n in 0..1000 {
            from.write_all(format!("line {n}\r\n").as_bytes()).await.unwrap();
        }
        from.write_all(b"the last").await.unwrap();
        AsyncWriteExt::close(&mut from).await.unwrap();
    });
    let lines: Vec<String> = BufReader::new(to).lines().map(Result::unwrap).collect().await;
    assert_eq!(lines.len(), 1001);
    assert!(lines[..1000].iter().enumerate().all(|(n, line)| *line == format!("line {n}")));
    assert_eq!(lines[1000], "the last");
    writing.await.unwrap();
}

async fn a_copy_through_two_streams(over: Over) {
    let (mut from, middle) = over.pair().await;
    let (mut there, mut to) = over.pair().await;
    let data = Random::new(5).bytes(1_000_000);
    let writing = spawn({
        let data = data.clone();
        async move {
            from.write_all(&data).await.unwrap();
            AsyncWriteExt::close(&mut from).await.unwrap();
        }
    });
    let copying = spawn(async move {
        let copied = copy(middle, &mut there).await.unwrap();
        AsyncWriteExt::close(&mut there).await.unwrap();
        copied
    });
    let mut came = Vec::new();
    to.read_to_end(&mut came).await.unwrap();
    assert!(came == data);
    assert_eq!(copying.await.unwrap(), data.len() as u64);
    writing.await.unwrap();
}

async fn an_endless_writer_waits_for_its_reader(over: Over) {
    const MARK: usize = 64 * 1024;
    let (from, to) = over.pair().await;
    let written = Rc::new(Cell::new(0));
    let endless = spawn({
        let (mut from, written) = (from.clone(), written.clone());
        async move {
            loop {
                written.set(written.get() + AsyncWriteExt::write(&mut from, &[1; 100_000]).await.unwrap());
            }
        }
    });
    let mut before = usize::MAX;
    while before != written.get() || from.pending_write() == 0 {
        before = written.get();
        turns(20).await;
    }
    assert!(from.pending_write() <= MARK, "{}", from.pending_write());
    to.read_bytes(before + 1).await.unwrap();
    assert!(written.get() > before);
    assert!(from.pending_write() <= MARK);
    endless.abort();
}

async fn a_small_write_buffer_is_respected(over: Over) {
    for (limit, much) in [(1, 1000), (1000, 100_000)] {
        let options = StreamOptions::new().max_write_buffer_size(limit);
        let (mut from, to) = over.pair_with(options, StreamOptions::new()).await;
        let writing = spawn(async move {
            from.write_all(&vec![1; much]).await.unwrap();
            assert!(from.pending_write() <= limit);
            AsyncWriteExt::flush(&mut from).await.unwrap();
            assert_eq!(from.pending_write(), 0);
        });
        assert_eq!(to.read_until_close().await.unwrap().len(), much);
        writing.await.unwrap();
    }
}

async fn several_slices_are_one_write(over: Over) {
    let (mut from, to) = over.pair().await;
    let pieces: [&[u8]; 5] = [b"", b"one ", b"", b"two ", b"three"];
    assert_eq!(from.write_vectored(&pieces.map(IoSlice::new)).await.unwrap(), 13);
    assert_eq!(from.write_vectored(&[IoSlice::new(b"")]).await.unwrap(), 0);
    assert_eq!(to.read_bytes(13).await.unwrap(), "one two three");
}

async fn nothing_is_written_after_close(over: Over) {
    let (mut from, mut to) = over.pair().await;
    from.write_all(&[9; 1000]).await.unwrap();
    AsyncWriteExt::close(&mut from).await.unwrap();
    AsyncWriteExt::close(&mut from).await.unwrap();
    let error = AsyncWriteExt::write(&mut from, b"more").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::NotConnected), "{error:?}");
    let mut all = Vec::new();
    to.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, [9; 1000]);
    // Our own close is no end of the peer's.
    to.close();
    let (_from, mut other) = over.pair().await;
    IoStream::close(&other);
    assert_eq!(other.read(&mut [0; 9]).await.unwrap_err().kind(), ErrorKind::NotConnected);
}

async fn a_read_of_ours_comes_first(over: Over) {
    let (mut from, mut to) = over.pair().await;
    from.write_all(b"two").await.unwrap();
    let reader = to.clone();
    let mut ours = Box::pin(reader.read_bytes(5));
    assert!(poll_once(ours.as_mut()).await.is_none());
    assert_eq!(to.read(&mut [0; 9]).await.unwrap_err().kind(), ErrorKind::ResourceBusy);
    drop(ours);
    let mut memory = [0; 9];
    assert_eq!(to.read(&mut memory).await.unwrap(), 3);
    assert_eq!(&memory[..3], b"two");
}

async fn the_end_of_the_peer_leaves_the_stream_open(over: Over) {
    let (mut client, mut server) = over.pair().await;
    client.write_all(b"question").await.unwrap();
    AsyncWriteExt::close(&mut client).await.unwrap();
    let mut question = Vec::new();
    server.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    server.write_all(b"answer").await.unwrap();
    AsyncWriteExt::close(&mut server).await.unwrap();
    assert!(server.closed());
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
    until(|| client.closed()).await;
    assert_eq!(client.error(), None);
}

/// Each is woken for its own direction.
async fn two_tasks_read_and_write_one_stream(over: Over) {
    let (one, other) = over.pair().await;
    let data = Rc::new(Random::new(6).bytes(1_000_000));
    let mut tasks = Vec::new();
    for stream in [one, other] {
        let (mut reader, mut writer) = stream.split();
        let (expected, data) = (data.clone(), data.clone());
        tasks.push(spawn(async move {
            writer.write_all(&data).await.unwrap();
            writer.close().await.unwrap();
        }));
        tasks.push(spawn(async move {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await.unwrap();
            assert!(all == *expected);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn a_reset_is_an_error_and_no_end() {
    run(async {
        let (socket, peer) = tcp_sockets();
        let mut stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
        socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(peer);
        for _ in 0..2 {
            assert_eq!(stream.read(&mut [0; 9]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        assert_eq!(AsyncWriteExt::write(&mut stream, b"x").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
#[cfg(feature = "tls")]
fn an_end_without_goodbye_is_an_error_and_no_end() {
    run(async {
        let (socket, peer) = tcp_sockets();
        let end = peer.try_clone().unwrap();
        let plain = (
            IoStream::from_tcp(socket, StreamOptions::new()).unwrap(),
            IoStream::from_tcp(peer, StreamOptions::new()).unwrap(),
        );
        let (mut one, mut other) = tls::secured(plain).await;
        other.write_all(b"x").await.unwrap();
        AsyncWriteExt::flush(&mut other).await.unwrap();
        end.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = Vec::new();
        assert_eq!(one.read_to_end(&mut all).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(all, b"x");
    });
}

#[test]
fn a_pending_write_fails_with_its_stream() {
    run(async {
        let (mut from, to) = Over::Unix.pair().await;
        let handle = from.clone();
        let writing = spawn(async move {
            loop {
                AsyncWriteExt::write(&mut from, &[0; 50_000]).await?;
            }
            #[allow(unreachable_code, reason = "it tells the type")]
            Ok::<(), io::Error>(())
        });
        until(|| handle.pending_write() > 0).await;
        turns(20).await;
        to.close();
        let error = writing.await.unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error:?}");
    });
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Over a wire that holds little, so that the reader decides how much is left to be sent.
#[test]
fn a_writer_goes_on_when_half_is_gone() {
    const MARK: usize = 64 * 1024;
    for waits_for_all_as_well in [false, true] {
        run(async move {
            let small = StreamOptions::new().read_chunk_size(100);
            let simulated::Simulated { mut first, second, .. } = simulated::wired(100, StreamOptions::new(), small);
            let woken = Arc::new(Flag(AtomicBool::new(false)));
            let waker = Waker::from(woken.clone());
            let cx = &mut Context::from_waker(&waker);
            for _ in 0..3 {
                while Pin::new(&mut first).poll_write(cx, &[1; 10_000]).is_ready() {}
                turns(3).await;
            }
            if waits_for_all_as_well {
                // The same task: it is woken for what comes first.
                assert!(first.poll_flush(cx).is_pending());
            }
            assert!(Pin::new(&mut first).poll_write(cx, &[1; 10_000]).is_pending());
            assert_eq!(first.pending_write(), MARK);
            woken.0.store(false, Ordering::Relaxed);
            second.read_bytes(MARK / 2 - 1000).await.unwrap();
            turns(3).await;
            assert!(!woken.0.load(Ordering::Relaxed), "{} are left", first.pending_write());
            second.read_bytes(2000).await.unwrap();
            turns(3).await;
            assert!(woken.0.load(Ordering::Relaxed), "{} are left", first.pending_write());
        });
    }
}

/// A task that polls both directions has one waker for them.
#[test]
fn one_task_may_poll_everything() {
    run(async {
        let (mut one, other) = Over::Simulated.pair().await;
        let (mut read, mut written) = (0, 0);
        let echo = spawn(async move {
            let mut other = other;
            let reader = other.clone();
            copy(reader, &mut other).await.unwrap();
            AsyncWriteExt::close(&mut other).await.unwrap();
        });
        const ALL: usize = 1_000_000;
        poll_fn(|cx| {
            let mut memory = [0; 5000];
            while written < ALL {
                let Poll::Ready(n) = Pin::new(&mut one).poll_write(cx, &[1; 5000]) else { break };
                written += n.unwrap();
            }
            while let Poll::Ready(n) = Pin::new(&mut one).poll_read(cx, &mut memory) {
                read += n.unwrap();
                if read >= ALL {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
        AsyncWriteExt::close(&mut one).await.unwrap();
        echo.await.unwrap();
    });
}

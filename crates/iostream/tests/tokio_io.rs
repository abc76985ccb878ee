//! Streams by tokio's traits, without its runtime: tokio-util's codecs over them.
#![cfg(feature = "tokio")]

#[macro_use]
mod common;

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use common::*;
use futures_util::sink::SinkExt;
use futures_util::stream::StreamExt;
use landspout_iostream::IoStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::codec::{Framed, FramedRead, FramedWrite, LengthDelimitedCodec, LinesCodec, LinesCodecError};

over_each_transport! {
    a_read_fills_what_is_there_and_nothing_at_the_end,
    lines,
    frames_with_their_length,
    a_line_beyond_the_limit,
    a_sink_waits_for_its_reader,
    slices_and_shutdown,
}

over_each_two_way_transport! {
    a_framed_stream_answers,
}

async fn read(stream: &mut IoStream, room: usize) -> std::io::Result<Vec<u8>> {
    let mut memory = vec![0; room];
    let mut buf = ReadBuf::new(&mut memory);
    poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buf)).await?;
    Ok(buf.filled().to_vec())
}

async fn shutdown(stream: &mut IoStream) {
    poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await.unwrap();
}

async fn a_read_fills_what_is_there_and_nothing_at_the_end(over: Over) {
    let (mut from, mut to) = over.pair().await;
    from.write(b"hello").unwrap();
    assert_eq!(read(&mut to, 0).await.unwrap(), b"");
    assert_eq!(read(&mut to, 2).await.unwrap(), b"he");
    assert_eq!(read(&mut to, 100).await.unwrap(), b"llo");
    shutdown(&mut from).await;
    for _ in 0..2 {
        assert_eq!(read(&mut to, 100).await.unwrap(), b"");
    }
    assert!(!to.closed());
    let (_from, mut to) = over.pair().await;
    to.close();
    assert_eq!(read(&mut to, 100).await.unwrap_err().kind(), ErrorKind::NotConnected);
}

async fn lines(over: Over) {
    let (from, to) = over.pair().await;
    let writing = spawn(async move {
        let mut from = FramedWrite::new(from, LinesCodec::new());
        for n in 0..1000 {
            from.send(format!("line {n}")).await.unwrap();
        }
        SinkExt::<String>::close(&mut from).await.unwrap();
    });
    let mut to = FramedRead::new(to, LinesCodec::new_with_max_length(100));
    for n in 0..1000 {
        assert_eq!(to.next().await.unwrap().unwrap(), format!("line {n}"));
    }
    assert!(to.next().await.is_none());
    writing.await.unwrap();
}

async fn frames_with_their_length(over: Over) {
    let (from, to) = over.pair().await;
    let mut rng = Random::new(11);
    let frames: Vec<Bytes> = (0..100)
        .map(|_| {
            let n = rng.below(30_000);
            rng.bytes(n).into()
        })
        .collect();
    let writing = spawn({
        let frames = frames.clone();
        async move {
            let mut from = FramedWrite::new(from, LengthDelimitedCodec::new());
            for frame in frames {
                from.feed(frame).await.unwrap();
            }
            SinkExt::<Bytes>::close(&mut from).await.unwrap();
        }
    });
    let came: Vec<BytesMut> = FramedRead::new(to, LengthDelimitedCodec::new()).map(Result::unwrap).collect().await;
    assert!(came.iter().eq(frames.iter()));
    writing.await.unwrap();
}

async fn a_line_beyond_the_limit(over: Over) {
    let (from, to) = over.pair().await;
    from.write(&[b'x'; 101]).unwrap();
    let mut to = FramedRead::new(to, LinesCodec::new_with_max_length(100));
    assert!(matches!(to.next().await, Some(Err(LinesCodecError::MaxLineLengthExceeded))));
}

async fn a_sink_waits_for_its_reader(over: Over) {
    let (from, to) = over.pair().await;
    let handle = from.clone();
    let endless = spawn(async move {
        let mut from = FramedWrite::new(from, LengthDelimitedCodec::new());
        loop {
            from.feed(Bytes::from_static(&[0; 10_000])).await.unwrap();
        }
    });
    let mut before = 1;
    while handle.pending_write() == 0 || before != handle.pending_write() {
        before = handle.pending_write();
        turns(50).await;
    }
    assert!(handle.pending_write() <= 64 * 1024, "{}", handle.pending_write());
    to.read_bytes(1_000_000).await.unwrap();
    endless.abort();
}

async fn slices_and_shutdown(over: Over) {
    let (mut from, to) = over.pair().await;
    assert!(from.is_write_vectored());
    let slices = [IoSlice::new(b"one "), IoSlice::new(b"two")];
    assert_eq!(poll_fn(|cx| Pin::new(&mut from).poll_write_vectored(cx, &slices)).await.unwrap(), 7);
    assert_eq!(poll_fn(|cx| Pin::new(&mut from).poll_write(cx, b"!")).await.unwrap(), 1);
    poll_fn(|cx| Pin::new(&mut from).poll_flush(cx)).await.unwrap();
    assert_eq!(from.pending_write(), 0);
    shutdown(&mut from).await;
    shutdown(&mut from).await;
    assert_eq!(to.read_until_close().await.unwrap(), "one two!");
    assert!(poll_fn(|cx| Pin::new(&mut from).poll_write(cx, b"!")).await.is_err());
}

/// One task, one handle, both directions.
async fn a_framed_stream_answers(over: Over) {
    let (client, server) = over.pair().await;
    let serving = spawn(async move {
        let mut server = Framed::new(server, LinesCodec::new());
        while let Some(line) = server.next().await {
            server.send(line.unwrap().to_uppercase()).await.unwrap();
        }
        server.send("BYE").await.unwrap();
        SinkExt::<String>::close(&mut server).await.unwrap();
    });
    let mut client = Framed::new(client, LinesCodec::new());
    for _ in 0..100 {
        client.send("hello").await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), "HELLO");
    }
    client.send("pipelined\nlines").await.unwrap();
    SinkExt::<String>::close(&mut client).await.unwrap();
    let rest: Vec<String> = client.map(Result::unwrap).collect().await;
    assert_eq!(rest, ["PIPELINED", "LINES", "BYE"]);
    serving.await.unwrap();
}

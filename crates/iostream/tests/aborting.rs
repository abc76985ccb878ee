//! Streams whose end, were it to come now, is to look like a break: the peer reads what came before, and then learns that it isn't all.

#[macro_use]
mod common;

use std::io::{ErrorKind, Read};

use common::*;
use landspout_iostream::{IoStream, StreamError, StreamOptions};

/// Each way of a stream to end.
const ENDS: [&str; 6] =
    ["close", "close_when_flushed", "shutdown_write", "shutdown_write_now", "drop", "the peer's end"];

async fn end(stream: IoStream, peer: &IoStream, how: &str) {
    match how {
        "close" => stream.close(),
        "close_when_flushed" => stream.close_when_flushed(),
        "shutdown_write" => stream.shutdown_write().await.unwrap(),
        "shutdown_write_now" => {
            stream.flush().await.unwrap();
            stream.shutdown_write_now().unwrap();
        }
        "drop" => drop(stream),
        _ => {
            peer.shutdown_write().await.unwrap();
            assert!(stream.read_bytes(1).await.is_err());
        }
    }
}

/// What a peer reads to the end, and whether the end is one in order.
async fn read_all(peer: IoStream) -> (String, bool) {
    let mut all = Vec::new();
    while let Ok(piece) = peer.read_bytes_partial(100).await {
        all.extend_from_slice(&piece);
    }
    (String::from_utf8(all).unwrap(), peer.error().is_none())
}

/// Whether the transport has another end than one in order.
fn tells(over: Over) -> bool {
    !matches!(over, Over::Unix | Over::Pipe | Over::Simulated)
}

async fn the_end_of_a_part_is_no_end_in_order(over: Over) {
    let tells = tells(over);
    for how in ENDS.iter().take(if over.both_ways() { 6 } else { 5 }) {
        let (stream, peer) = over.pair().await;
        stream.abort_on_close(true);
        stream.write(b"a part").unwrap();
        assert!(stream.aborts_on_close());
        end(stream, &peer, how).await;
        assert_eq!(read_all(peer).await, ("a part".to_owned(), !tells), "{how}");
    }
}

async fn the_end_of_the_whole_is_one_in_order(over: Over) {
    for how in ENDS.iter().take(if over.both_ways() { 6 } else { 5 }) {
        let (stream, peer) = over.pair().await;
        stream.abort_on_close(true);
        stream.write(b"a part").unwrap();
        stream.flush().await.unwrap();
        stream.write(b", and the rest").unwrap();
        stream.abort_on_close(false);
        assert!(!stream.aborts_on_close());
        end(stream, &peer, how).await;
        assert_eq!(read_all(peer).await, ("a part, and the rest".to_owned(), true), "{how}");
    }
}

/// All was written, but the stream ends before all is sent.
async fn the_end_of_a_whole_that_is_given_up_is_no_end_in_order(over: Over) {
    let tells = tells(over);
    for how in ["close", "shutdown_write_now", "close_when_flushed"] {
        let (stream, peer) = over.pair().await;
        stream.abort_on_close(true);
        stream.write(&vec![b'x'; 30_000_000]).unwrap();
        stream.abort_on_close(false);
        assert!(stream.writing() && !stream.aborts_on_close());
        match how {
            "close" => stream.close(),
            "shutdown_write_now" => stream.shutdown_write_now().unwrap(),
            _ => {
                stream.close_when_flushed();
                drop(stream);
            }
        }
        let (all, in_order) = read_all(peer).await;
        let given_up = how != "close_when_flushed";
        assert_eq!((all.len() < 30_000_000, in_order), (given_up, !given_up || !tells), "{how}");
    }
}

/// What is unsent goes first, as long as the peer takes it.
async fn what_was_written_goes_before_the_break(over: Over) {
    let (stream, peer) = over.pair().await;
    stream.abort_on_close(true);
    let data = vec![b'x'; 8 << 20];
    stream.write(&data).unwrap();
    let sender = spawn(async move { stream.shutdown_write().await });
    let mut got = 0;
    // The last of it is in the kernel when the stream breaks off, and may be lost with that.
    while got < 1 << 20 {
        got += peer.read_bytes_partial(1 << 16).await.unwrap().len();
    }
    let rest = spawn(read_all(peer));
    sender.await.unwrap().unwrap();
    let (rest, in_order) = rest.await.unwrap();
    if tells(over) {
        assert!(got + rest.len() <= data.len() && !in_order);
    } else {
        assert_eq!((got + rest.len(), in_order), (data.len(), true));
    }
}

over_each_transport![
    the_end_of_a_part_is_no_end_in_order,
    the_end_of_the_whole_is_one_in_order,
    the_end_of_a_whole_that_is_given_up_is_no_end_in_order,
    what_was_written_goes_before_the_break,
];

/// A peer without TLS of ours, and without a stream: the kernel says it.
#[test]
fn over_tcp_it_is_a_reset() {
    run(async {
        let (socket, mut peer) = tcp_sockets();
        let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
        stream.abort_on_close(true);
        stream.write(b"a part").unwrap();
        stream.close();
        assert_eq!(stream.error(), None, "nothing has failed here");
        assert!(matches!(stream.write(b"x"), Err(StreamError::Closed(None))));
        let mut got = [0; 6];
        peer.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"a part");
        assert_eq!(peer.read(&mut got).unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

/// It is no end of anything on a stream that has ended.
#[test]
fn a_closed_stream_has_nothing_to_abort() {
    run(async {
        let (stream, peer) = Over::Tcp.pair().await;
        stream.close();
        stream.abort_on_close(true);
        assert!(stream.shutdown_write_now().is_err());
        assert_eq!(read_all(peer).await, (String::new(), true));
    });
}

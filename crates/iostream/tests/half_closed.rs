//! Streams whose writing side was ended: what is still sent, what is refused, and that reading goes on.

#[macro_use]
mod common;

use std::pin::pin;

use common::*;
use landspout_iostream::{IoStream, StreamError, StreamOptions};

over_each_two_way_transport! {
    a_write_after_the_end_is_refused_and_reading_goes_on,
    bytes_given_up_do_not_end_the_reading_side,
    the_end_of_both_sides_closes,
}

over_each_transport! {
    every_waiting_future_learns_that_its_bytes_were_given_up,
}

const MUCH: usize = 30_000_000;

async fn a_write_after_the_end_is_refused_and_reading_goes_on(over: Over) {
    let (client, server) = over.pair().await;
    let sent = client.write(b"last").unwrap();
    client.shutdown_write().await.unwrap();
    assert_eq!(sent.await, Ok(()), "it was sent before");
    assert_eq!(client.write(b"more").map(drop), Err(StreamError::WriteEnded));
    assert_eq!(client.write_with(4, |out| out.extend_from_slice(b"more")), Err(StreamError::WriteEnded));
    assert_eq!(client.flush().await, Ok(()), "nothing was lost");
    client.shutdown_write().await.unwrap();
    assert_eq!(server.read_bytes(4).await.unwrap(), "last");
    until(|| server.peer_has_closed()).await;
    server.write(b"answer").unwrap().await.unwrap();
    turns(5).await;
    assert_eq!(client.read_bytes(6).await.unwrap(), "answer");
    assert!(!client.closed());
}

/// They were flushed into a socket that takes no more, whose error then closed the reading side, too.
async fn bytes_given_up_do_not_end_the_reading_side(over: Over) {
    let (client, server) = over.pair().await;
    let lost = client.write(&vec![1; MUCH]).unwrap();
    turns(3).await;
    assert!(client.writing());
    client.shutdown_write_now().unwrap();
    assert!(!client.writing());
    assert_eq!(client.pending_write(), 0);
    assert_eq!(lost.await, Err(StreamError::WriteEnded));
    server.write(b"x").unwrap().await.unwrap();
    // Room comes, and nobody uses it.
    let came = server.read_until_close().await.unwrap().len();
    assert!(came < MUCH, "{came} of {MUCH}");
    turns(5).await;
    assert_eq!(client.read_bytes(1).await.unwrap(), "x");
    assert_closed_cleanly(&client.read_bytes(1).await);
}

async fn the_end_of_both_sides_closes(over: Over) {
    let (client, server) = over.pair().await;
    client.shutdown_write().await.unwrap();
    server.shutdown_write().await.unwrap();
    assert_closed_cleanly(&client.read_bytes(1).await);
    assert_closed_cleanly(&server.read_bytes(1).await);
    assert!(client.closed() && server.closed());
    assert_closed_cleanly(&client.write(b"x").map(drop));
}

async fn every_waiting_future_learns_that_its_bytes_were_given_up(over: Over) {
    let (from, to) = over.pair().await;
    let first = from.write(&vec![0; MUCH]).unwrap();
    let mut second = pin!(from.write(b"second").unwrap());
    assert!(poll_once(second.as_mut()).await.is_none());
    let waiting = spawn({
        let from = from.clone();
        async move { from.flush().await }
    });
    turns(3).await;
    from.shutdown_write_now().unwrap();
    for result in [first.await, second.await, waiting.await.unwrap()] {
        match over {
            // Its other side would be the same one.
            Over::Pipe => assert_closed_cleanly(&result),
            _ => assert_eq!(result, Err(StreamError::WriteEnded)),
        }
    }
    assert!(to.read_until_close().await.unwrap().len() < MUCH);
}

#[test]
fn a_pipe_is_ended_by_its_writing_end() {
    run(async {
        let (writer, reader) = Over::Pipe.pair().await;
        reader.shutdown_write().await.unwrap();
        assert!(!reader.closed(), "it has no writing side");
        writer.write(&vec![7; 1_000_000]).unwrap();
        let ended = spawn({
            let writer = writer.clone();
            async move { writer.shutdown_write().await }
        });
        assert_eq!(reader.read_until_close().await.unwrap().len(), 1_000_000);
        ended.await.unwrap().unwrap();
        assert!(writer.closed());
        assert_closed_cleanly(&writer.write(b"x").map(drop));
    });
}

/// What kept it were the bytes.
#[test]
fn a_stream_without_handles_goes_when_its_bytes_are_given_up() {
    run(async {
        let (socket, _peer) = tcp_sockets();
        let (stream, calls) = counting::counted(socket, StreamOptions::new());
        stream.write(&vec![0; MUCH]).unwrap();
        turns(2).await;
        stream.shutdown_write_now().unwrap();
        drop(stream);
        assert!(calls.dropped.get());
    });
}

/// A stream whose peer has read nothing, has said this, and has broken off: nothing of it is read yet, and the next write fails.
async fn refused_with(said: &[u8]) -> IoStream {
    let (socket, mut peer) = tcp_sockets();
    let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
    stream.write(b"request").unwrap().await.unwrap();
    std::io::Write::write_all(&mut peer, said).unwrap();
    // With bytes unread this is a reset.
    drop(peer);
    until(|| stream.peer_is_gone()).await;
    stream
}

/// As a server does that refuses an upload in the middle of it and closes.
#[test]
fn what_the_peer_said_before_a_write_failed_is_read() {
    run(async {
        let stream = refused_with(b"refusal").await;
        let written = stream.write(b"more").unwrap().await;
        assert!(matches!(written, Err(StreamError::Closed(Some(_)))), "{written:?}");
        assert!(stream.closed());
        assert_eq!(stream.read_bytes(7).await.unwrap(), "refusal");
        assert!(matches!(stream.read_bytes(1).await, Err(StreamError::Closed(Some(_)))));
    });
}

/// Over TLS it may have said why in an alert, which is no data: a server that refuses a client's certificate does so when the client
/// believes to be done.
#[cfg(feature = "tls")]
#[test]
fn why_the_peer_left_before_a_write_failed_is_told() {
    use common::tls::{BOTH_VERSIONS, client, server_config_of};
    use landspout_iostream::{CloseCause, Tls};

    run(async {
        let (stream, peer) = Over::Tcp.plain_pair(StreamOptions::new(), StreamOptions::new());
        stream.begin_tls(client()).unwrap();
        let asking = Tls::server(std::sync::Arc::new(server_config_of(BOTH_VERSIONS, true)));
        assert!(peer.start_tls(asking).await.is_err());
        // This is answered by a reset.
        stream.write(b"request").unwrap().await.unwrap();
        until(|| stream.peer_is_gone()).await;
        let written = stream.write(b"more").unwrap().await;
        let Err(StreamError::Closed(Some(CloseCause::Tls(failure)))) = written else { panic!("{written:?}") };
        assert!(failure.is_alert(), "{failure:?}");
    });
}

/// The same in the middle of a handshake.
#[cfg(feature = "tls")]
#[test]
fn why_the_peer_left_before_a_handshake_failed_is_told() {
    use common::tls::client;
    use landspout_iostream::CloseCause;

    run(async {
        // A record with a fatal alert: access_denied (RFC 8446, section 6).
        let stream = refused_with(&[21, 3, 3, 0, 2, 2, 49]).await;
        let secured = stream.start_tls(client()).await;
        let Err(StreamError::Closed(Some(CloseCause::Tls(failure)))) = secured else { panic!("{secured:?}") };
        assert!(failure.is_alert(), "{failure:?}");
    });
}

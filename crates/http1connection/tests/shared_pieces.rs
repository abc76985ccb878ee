//! Bodies in pieces that aren't copied: framed like others, counted, limited, and sent no faster than the peer reads.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use common::recorder::{Connection, begin};
use common::*;
use landspout_http1connection::Http1Service;
use landspout_httputil::{HttpHeaders, HttpOutputError, ResponseStartLine, StatusCode};
use landspout_iostream::StreamOptions;

/// A handler of whole requests.
fn handling<F>(handler: impl Fn(Connection) -> F + 'static) -> Http1Service
where
    F: Future<Output = Result<(), landspout_httputil::BoxError>> + 'static,
{
    let handler = Rc::new(handler);
    service(Recorder::new(move |connection, call| {
        let handler = handler.clone();
        async move { if let Call::Finish(_) = call { handler(connection).await } else { done() } }
    }))
}

fn begin_fixed(connection: &Connection, length: usize) {
    let mut headers = HttpHeaders::new();
    headers.set("Content-Length", length.to_string()).unwrap();
    connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &headers, b"").unwrap();
}

/// Copied ones and others, in turns.
fn pieces() -> Vec<Bytes> {
    let lengths = [9_000, 3, 70_000, 8_192, 0, 4_096, 8_191, 300_000, 1];
    lengths.iter().zip(b'a'..).map(|(length, letter)| Bytes::from(vec![letter; *length])).collect()
}

#[test]
fn large_pieces_are_framed_like_others() {
    for fixed in [false, true] {
        run(async move {
            let service = handling(move |connection| async move {
                let pieces = pieces();
                if fixed {
                    begin_fixed(&connection, pieces.iter().map(Bytes::len).sum());
                } else {
                    begin(&connection)?;
                }
                for (n, piece) in pieces.iter().enumerate() {
                    if n % 4 == 1 { connection.write(piece)? } else { connection.write_bytes(piece.clone())? }
                }
                Ok(connection.finish()?)
            });
            let (client, _) = connect(&service);
            let whole = pieces().concat();
            for _ in 0..3 {
                let response = client.get("/").await;
                assert_eq!(response.field("transfer-encoding").is_some(), !fixed);
                assert!(response.text().as_bytes() == whole);
            }
        });
    }
}

#[test]
fn an_answer_to_head_has_no_pieces() {
    run(async {
        let service = handling(|connection| async move {
            begin_fixed(&connection, 20_000);
            connection.write_bytes(vec![b'x'; 20_000].into())?;
            assert!(connection.write_bytes(vec![b'x'; 9_000].into()).is_err(), "it is counted");
            Ok(connection.finish()?)
        });
        let (client, _) = connect(&service);
        client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.head().await.field("content-length"), Some("20000"));
        turns(5).await;
        client.assert_silent();
    });
}

#[test]
fn a_piece_that_does_not_fit_is_refused_whole() {
    run(async {
        let service = handling(|connection| async move {
            begin_fixed(&connection, 30_000);
            let too_much = connection.write_bytes(vec![b'x'; 50_001].into());
            assert_eq!(too_much, Err(HttpOutputError::WriteBufferFull(50_000)));
            let too_long = connection.write_bytes(vec![b'x'; 30_001].into());
            assert!(matches!(too_long, Err(HttpOutputError::BodyTooLong { .. })), "{too_long:?}");
            connection.write_bytes(vec![b'y'; 30_000].into())?;
            Ok(connection.finish()?)
        });
        let (client, _) = connect_with(&service, StreamOptions::new().max_write_buffer_size(50_000));
        assert!(client.get("/").await.text().as_bytes() == vec![b'y'; 30_000]);
    });
}

/// Its head and it leave together, though only the head is copied; and the limit is one of the body.
#[test]
fn a_large_body_is_answered_whole() {
    const FIELDS: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
    let rows = [(16_383, 20_000), (16_384, 16_384), (19_990, 20_000), (300_000, 300_000), (3_000_000, 4_000_000)];
    for ((length, limit), constant) in rows.into_iter().flat_map(|row| [(row, true), (row, false)]) {
        run(async move {
            let service = handling(move |connection| async move {
                let mut headers = FIELDS;
                if !constant {
                    headers.set("X-Made", "at run time").unwrap();
                }
                let line = ResponseStartLine::new(StatusCode::OK);
                let too_much = connection.write_response(&line, &headers, &vec![b'x'; limit + 1]);
                assert_eq!(too_much, Err(HttpOutputError::WriteBufferFull(limit)));
                Ok(connection.write_response(&line, &headers, &vec![b'y'; length])?)
            });
            let (client, _) = connect_with(&service, StreamOptions::new().max_write_buffer_size(limit));
            for _ in 0..3 {
                let response = client.get("/").await;
                assert_eq!(response.field("content-length"), Some(&*length.to_string()));
                assert!(response.text().as_bytes() == vec![b'y'; length]);
            }
            client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.head().await.field("content-length"), Some(&*length.to_string()));
            client.assert_silent();
        });
    }
}

/// The handler waits before each piece; the client doesn't read, and then it does.
#[test]
fn a_handler_that_waits_to_be_ready_is_as_fast_as_its_client() {
    run(async {
        const PIECES: usize = 512;
        const PIECE: usize = 64 * 1024;
        let written = Rc::new(Cell::new(0));
        let service = handling({
            let written = written.clone();
            move |connection| {
                let written = written.clone();
                async move {
                    begin_fixed(&connection, PIECES * PIECE);
                    let piece = Bytes::from(vec![b'x'; PIECE]);
                    for _ in 0..PIECES {
                        connection.ready().await?;
                        connection.write_bytes(piece.clone())?;
                        written.set(written.get() + 1);
                    }
                    Ok(connection.finish()?)
                }
            }
        });
        let (client, _) = connect(&service);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut before = usize::MAX;
        while before != written.get() {
            before = written.get();
            turns(20).await;
        }
        assert!((4..PIECES).contains(&before), "{before} pieces were written");
        assert_eq!(client.response().await.text().len(), PIECES * PIECE);
        assert_eq!(written.get(), PIECES);
    });
}

#[test]
fn a_handler_that_waits_to_be_ready_learns_that_the_client_is_gone() {
    run(async {
        let trace = Trace::default();
        let service = handling({
            let trace = trace.clone();
            move |connection| {
                let trace = trace.clone();
                async move {
                    let gone = OnDrop(trace, "gone");
                    begin(&connection)?;
                    loop {
                        connection.ready().await?;
                        connection.write_bytes(Bytes::from_static(&[b'x'; 65_536]))?;
                        let _ = &gone;
                    }
                }
            }
        });
        let (client, _) = connect(&service);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        turns(20).await;
        client.reset();
        until(|| trace.has("gone")).await;
    });
}

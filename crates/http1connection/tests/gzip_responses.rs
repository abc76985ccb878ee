//! Compressed responses: to whom, of what, with which fields; whole and in pieces. RFC 9110, sections 8.4, 8.8 and 12.5.
#![cfg(feature = "gzip")]

mod common;

use std::io::Write;
use std::os::unix::net::UnixStream;

use common::recorder::Connection;
use common::*;
use flate2::write::{GzDecoder, MultiGzDecoder};
use landspout_http1connection::{
    Detach, GzipContentEncoding, Http1ConnectionParameters, Http1ServerConnection, Http1Service,
};
use landspout_httputil::{BoxError, HttpHeaders, HttpOutputError, ResponseStartLine, StatusCode};
use landspout_iostream::{IoStream, StreamOptions};

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = GzDecoder::new(Vec::new());
    decoder.write_all(bytes).unwrap();
    decoder.finish().unwrap()
}

/// Serves with a handler of complete requests, compressing what it answers.
fn compressing<F>(handler: impl Fn(Connection) -> F + 'static) -> Http1Service
where
    F: Future<Output = Result<(), BoxError>> + 'static,
{
    Http1Service::new(GzipContentEncoding::new(handling(handler)), Http1ConnectionParameters::default())
}

fn handling<F>(handler: impl Fn(Connection) -> F + 'static) -> Recorder
where
    F: Future<Output = Result<(), BoxError>> + 'static,
{
    Recorder::new(move |connection: Connection, call| {
        let handled = matches!(call, Call::Finish(_)).then(|| handler(connection));
        async move {
            match handled {
                Some(handled) => handled.await,
                None => done(),
            }
        }
    })
}

type Fields = &'static [(&'static str, &'static str)];

fn headers(fields: Fields) -> HttpHeaders {
    HttpHeaders::from_static(fields)
}

const HTML: &[(&str, &str)] = &[("Content-Type", "text/html")];
const OK: StatusCode = StatusCode::OK;
const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n";
const GET_PLAIN: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const GET_10: &str = "GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n";

fn text() -> String {
    "All work and no play makes Jack a dull boy. ".repeat(100)
}

/// Whole or in pieces, with `Content-Length` or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Whole,
    Pieces,
    Shared,
    Counted,
}

fn write(connection: &Connection, way: Way, status: StatusCode, headers: &HttpHeaders, body: &str) {
    let line = ResponseStartLine::new(status);
    let mut headers = headers.clone();
    if way == Way::Whole {
        return connection.write_response(&line, &headers, body.as_bytes()).unwrap();
    }
    if way == Way::Counted {
        headers.add("Content-Length", body.len().to_string()).unwrap();
    }
    let (first, rest) = body.split_at(body.len() / 3);
    connection.write_headers(&line, &headers, first.as_bytes()).unwrap();
    connection.write(b"").unwrap();
    if way == Way::Shared {
        connection.write_bytes(rest.as_bytes().to_vec().into()).unwrap();
    } else {
        connection.write(rest.as_bytes()).unwrap();
    }
    connection.finish().unwrap();
}

#[test]
fn the_content_is_compressed_for_those_who_take_it() {
    for way in [Way::Whole, Way::Pieces, Way::Shared, Way::Counted] {
        for (request, compressed) in [(GET, true), (GET_PLAIN, false), (GET_10, true)] {
            run(async move {
                let service = compressing(move |connection| async move {
                    const TAGGED: &[(&str, &str)] = &[("Content-Type", "text/html; charset=utf-8"), ("ETag", "\"x\"")];
                    write(&connection, way, OK, &headers(TAGGED), &text());
                    done()
                });
                let (client, _handle) = connect(&service);
                client.send(request);
                let response = client.response().await;
                let shown = format!("{way:?} {request:?} {response:?}");
                assert_eq!(response.field("vary"), Some("Accept-Encoding"), "{shown}");
                assert_eq!(response.field("content-encoding"), compressed.then_some("gzip"), "{shown}");
                assert_eq!(response.field("etag"), Some(if compressed { "W/\"x\"" } else { "\"x\"" }), "{shown}");
                // What is compressed as it is written has no length that could be told.
                let counted = way == Way::Whole || way == Way::Counted && !compressed;
                assert_eq!(response.field("content-length").is_some(), counted, "{shown}");
                let body = if compressed { gunzip(&response.body) } else { response.body.clone() };
                assert!(body == text().as_bytes(), "{shown}");
                assert!(!compressed || response.body.len() < text().len() / 5);
                // HTTP/1.1 goes on.
                if request == GET {
                    client.send(request);
                    assert_eq!(client.response().await.status, 200);
                }
            });
        }
    }
}

#[test]
fn what_does_not_gain_is_left_alone() {
    let long = text();
    let rows: [(&str, u16, Fields, &str); 8] = [
        (GET, 200, HTML, "short"),
        (GET, 200, &[("Content-Type", "image/png"), ("ETag", "\"x\"")], &long),
        (GET, 200, &[], &long),
        (GET, 200, &[("Content-Type", "text/html"), ("Content-Encoding", "br")], &long),
        (GET, 200, &[("Content-Type", "text/html"), ("Cache-Control", "no-transform")], &long),
        (GET, 206, &[("Content-Type", "text/html"), ("Content-Range", "bytes 0-4399/5000")], &long),
        (GET, 200, &[("Content-Type", "text/html"), ("Content-Range", "bytes 0-4399/5000")], &long),
        (GET_PLAIN, 200, HTML, "short"),
    ];
    for (request, status, fields, body) in rows {
        for way in [Way::Whole, Way::Counted] {
            let body = body.to_owned();
            run(async move {
                let sent = body.clone();
                let service = compressing(move |connection| {
                    let sent = sent.clone();
                    async move {
                        write(&connection, way, StatusCode::from_u16(status).unwrap(), &headers(fields), &sent);
                        done()
                    }
                });
                let (client, _handle) = connect(&service);
                client.send(request);
                let response = client.response().await;
                assert!(response.body == body.as_bytes(), "{fields:?}");
                // Date, Content-Length and what the application gave, unchanged.
                assert_eq!(response.fields.len(), fields.len() + 2, "{response:?}");
                for (name, value) in fields {
                    assert_eq!(response.field(&name.to_ascii_lowercase()), Some(*value));
                }
            });
        }
    }
}

#[test]
fn content_that_gets_no_smaller_is_sent_as_it_is() {
    run(async {
        // No byte can be guessed from those before.
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(5000)
        .collect();
        let sent = noise.clone();
        let service = compressing(move |connection| {
            let sent = sent.clone();
            async move {
                connection.write_response(&ResponseStartLine::new(OK), &headers(HTML), &sent)?;
                done()
            }
        });
        let (client, _handle) = connect(&service);
        client.send(GET);
        let response = client.response().await;
        assert_eq!((response.field("content-encoding"), response.field("vary")), (None, Some("Accept-Encoding")));
        assert!(response.body == noise);
    });
}

#[test]
fn an_answer_to_head_has_no_coding_and_tells_of_the_choice() {
    run(async {
        let service = compressing(|connection| async move {
            write(&connection, Way::Whole, OK, &headers(HTML), &text());
            done()
        });
        let (client, _handle) = connect(&service);
        client.send(HEAD);
        let response = client.head().await;
        assert_eq!(response.field("content-encoding"), None);
        assert_eq!(response.field("vary"), Some("Accept-Encoding"));
        assert_eq!(response.field("content-length").unwrap(), text().len().to_string());
        client.send(GET);
        assert_eq!(client.response().await.field("content-encoding"), Some("gzip"));
    });
}

/// RFC 9110, section 9.3.2: what is written in pieces is compressed whatever it is, so that is known without writing it.
#[test]
fn an_answer_to_head_in_pieces_has_the_fields_of_get() {
    const TAGGED: Fields = &[("Content-Type", "text/html"), ("ETag", "\"x\"")];
    const IMAGE: Fields = &[("Content-Type", "image/png"), ("ETag", "\"x\"")];
    for (way, accepting, fields) in [
        (Way::Pieces, true, TAGGED),
        (Way::Pieces, false, TAGGED),
        (Way::Pieces, true, IMAGE),
        (Way::Shared, true, TAGGED),
        (Way::Counted, true, TAGGED),
        (Way::Counted, false, TAGGED),
        (Way::Counted, true, IMAGE),
    ] {
        run(async move {
            let service = compressing(move |connection| async move {
                write(&connection, way, OK, &headers(fields), &text());
                done()
            });
            let (client, _handle) = connect(&service);
            client.send(if accepting { GET } else { GET_PLAIN });
            let get = client.response().await;
            for _ in 0..2 {
                client.send(if accepting { GET } else { GET_PLAIN }.replace("GET", "HEAD"));
                let head = client.head().await;
                for name in ["content-encoding", "content-length", "vary", "etag"] {
                    assert_eq!(head.field(name), get.field(name), "{name} of {way:?}, {accepting}: {head:?}");
                }
            }
            client.send(if accepting { GET } else { GET_PLAIN });
            assert!(client.response().await.body == get.body, "nothing of a body was sent in between");
        });
    }
}

/// The body that nobody gets is counted all the same.
#[test]
fn an_answer_to_head_is_counted_although_it_has_another_length() {
    const COUNTED: Fields = &[("Content-Type", "text/html"), ("Content-Length", "5000")];
    let start = |connection: &Connection| connection.write_headers(&ResponseStartLine::new(OK), &headers(COUNTED), b"");
    run(async move {
        let service = compressing(move |connection| async move {
            start(&connection)?;
            connection.write(&[0; 4000])?;
            let too_long = HttpOutputError::BodyTooLong { content_length: 5000, attempted: 5001 };
            assert_eq!(connection.write(&[0; 1001]), Err(too_long));
            connection.write(&[0; 1000])?;
            Ok(connection.finish()?)
        });
        let (client, _handle) = connect(&service);
        client.send(HEAD);
        assert_eq!(client.head().await.field("content-encoding"), Some("gzip"));

        let service = compressing(move |connection| async move {
            start(&connection)?;
            Ok(connection.finish()?)
        });
        let (client, _handle) = connect(&service);
        for _ in 0..2 {
            client.send(HEAD);
            assert_eq!(client.head().await.field("content-encoding"), Some("gzip"), "no body at all is right, too");
        }
    });
}

/// RFC 9110, section 15.4.5: the fields that the 200 would have had, as far as the 304 and its request tell.
#[test]
fn not_modified_speaks_of_the_response_that_the_client_has() {
    const BARE: Fields = &[("ETag", "\"x\"")];
    const HTML: Fields = &[("ETag", "\"x\""), ("Content-Type", "text/html")];
    const LONG: Fields = &[("ETag", "\"x\""), ("Content-Length", "1024")];
    const PNG: Fields = &[("ETag", "\"x\""), ("Content-Type", "image/png")];
    const SHORT: Fields = &[("ETag", "\"x\""), ("Content-Type", "text/html"), ("Content-Length", "1023")];
    const ENCODED: Fields = &[("ETag", "\"x\""), ("Content-Encoding", "br")];
    const FIXED: Fields = &[("ETag", "\"x\""), ("Cache-Control", "no-transform")];
    let (gzip, strong, weak) = ("Accept-Encoding: gzip\r\n", "\"x\"", "W/\"x\"");
    for (fields, request, tag, varies) in [
        // A client without gzip has never got anything compressed.
        (BARE, "", strong, true),
        (BARE, "If-None-Match: W/\"x\"\r\n", strong, true),
        // Nothing is known: a weak tag promises less.
        (BARE, gzip, weak, true),
        (HTML, gzip, weak, true),
        (LONG, gzip, weak, true),
        (LONG, "", strong, true),
        // The 200 would have been left alone.
        (PNG, gzip, strong, false),
        (SHORT, gzip, strong, false),
        (ENCODED, gzip, strong, false),
        (FIXED, gzip, strong, false),
        // The client says how it got it.
        (BARE, "Accept-Encoding: gzip\r\nIf-None-Match: \"x\"\r\n", strong, true),
        (HTML, "Accept-Encoding: gzip\r\nIf-None-Match: \"w\", \"x\"\r\nIf-None-Match: W/\"y\"\r\n", strong, true),
        (BARE, "Accept-Encoding: gzip\r\nIf-None-Match: W/\"x\"\r\n", weak, true),
        (BARE, "Accept-Encoding: gzip\r\nIf-None-Match: \"x\"\r\nIf-None-Match: W/\"x\"\r\n", weak, true),
        (BARE, "Accept-Encoding: gzip\r\nIf-None-Match: *\r\n", weak, true),
    ] {
        for (method, whole) in [("GET", true), ("GET", false), ("HEAD", true), ("HEAD", false)] {
            run(async move {
                let service = compressing(move |connection| async move {
                    let line = ResponseStartLine::new(StatusCode::NOT_MODIFIED);
                    if whole {
                        connection.write_response(&line, &headers(fields), b"")?;
                    } else {
                        connection.write_headers(&line, &headers(fields), b"")?;
                        connection.finish()?;
                    }
                    done()
                });
                let (client, _handle) = connect(&service);
                client.send(format!("{method} / HTTP/1.1\r\nHost: x\r\n{request}\r\n"));
                let response = client.head().await;
                let shown = format!("{fields:?} {request:?} {method} {whole}");
                assert_eq!((response.status, response.field("etag")), (304, Some(tag)), "{shown}");
                assert_eq!(response.field("vary"), varies.then_some("Accept-Encoding"), "{shown}");
                // Of the bare content, RFC 9110, section 8.6: none, or the right one.
                let given = fields.iter().find(|(name, _)| *name == "Content-Length").map(|(_, length)| *length);
                assert_eq!(response.field("content-length"), given.filter(|_| tag == strong), "{shown}");
            });
        }
    }
}

#[test]
fn vary_keeps_what_it_says() {
    let rows: [(Fields, &[&str]); 4] = [
        (&[("Content-Type", "text/html"), ("Vary", "Origin")], &["Origin", "Accept-Encoding"]),
        (&[("Content-Type", "text/html"), ("Vary", "Origin, accept-encoding")], &["Origin, accept-encoding"]),
        (&[("Content-Type", "text/html"), ("Vary", "*")], &["*"]),
        (&[("Content-Type", "text/html"), ("ETag", "W/\"y\"")], &["Accept-Encoding"]),
    ];
    for (fields, vary) in rows {
        run(async move {
            let service = compressing(move |connection| async move {
                write(&connection, Way::Whole, OK, &headers(fields), &text());
                done()
            });
            let (client, _handle) = connect(&service);
            client.send(GET);
            let response = client.response().await;
            let told: Vec<_> =
                response.fields.iter().filter(|(name, _)| name == "vary").map(|(_, value)| value).collect();
            assert_eq!(told, vary);
            assert!(response.fields.iter().all(|(name, value)| name != "etag" || value == "W/\"y\""));
        });
    }
}

/// Events of a server: the client can read each when it was written.
#[test]
fn each_piece_leaves_when_it_is_written() {
    run(async {
        let gates = [Gate::default(), Gate::default()];
        let service = compressing({
            let gates = gates.clone();
            move |connection| {
                let gates = gates.clone();
                async move {
                    connection.write_headers(&ResponseStartLine::new(OK), &headers(HTML), b"")?;
                    for (event, gate) in ["data: 1\n\n", "data: 2\n\n"].into_iter().zip(gates) {
                        connection.write(event.as_bytes())?;
                        gate.wait().await;
                    }
                    connection.finish()?;
                    done()
                }
            }
        });
        let (client, _handle) = connect(&service);
        client.send(GET);
        assert_eq!(client.head().await.field("content-encoding"), Some("gzip"));
        let mut decoder = MultiGzDecoder::new(Vec::new());
        for (gate, expected) in gates.iter().zip(["data: 1\n\n", "data: 2\n\n"]) {
            while decoder.get_ref().len() < expected.len() {
                decoder.write_all(&client.chunk().await.unwrap()).unwrap();
                decoder.flush().unwrap();
            }
            assert_eq!(std::mem::take(decoder.get_mut()), expected.as_bytes());
            gate.open();
        }
        while let Some(chunk) = client.chunk().await {
            decoder.write_all(&chunk).unwrap();
        }
        assert!(decoder.finish().unwrap().is_empty(), "the end is there, and nothing else");
    });
}

/// The application's promise is checked though it is not what is sent.
#[test]
fn a_wrong_number_of_bytes_is_the_applications_error() {
    run(async {
        let service = compressing(|connection| async move {
            let line = ResponseStartLine::new(OK);
            const FIVE_THOUSAND: &[(&str, &str)] = &[("Content-Type", "text/html"), ("Content-Length", "5000")];
            let too_long = Err(HttpOutputError::BodyTooLong { content_length: 5000, attempted: 5001 });
            assert_eq!(connection.write_headers(&line, &headers(FIVE_THOUSAND), &[b'x'; 5001]), too_long);
            let wrong = connection.write_response(&line, &headers(FIVE_THOUSAND), &[b'x'; 4999]);
            assert_eq!(wrong, Err(HttpOutputError::BodyTooShort { content_length: 5000, written: 4999 }));
            const BAD: &[(&str, &str)] = &[("Content-Type", "text/html"), ("Content-Length", "5_000")];
            let invalid = Err(HttpOutputError::InvalidContentLength("5_000".to_owned()));
            assert_eq!(connection.write_headers(&line, &headers(BAD), b""), invalid);
            assert_eq!(connection.write(b"x"), Err(HttpOutputError::HeadersNotSent));
            assert_eq!(connection.finish(), Err(HttpOutputError::HeadersNotSent));
            // Nothing of all that was sent.
            connection.write_headers(&line, &headers(FIVE_THOUSAND), &[b'x'; 3000])?;
            assert_eq!(connection.write_headers(&line, &headers(HTML), b""), Err(HttpOutputError::HeadersAlreadySent));
            assert_eq!(connection.write(&[b'x'; 2001]), too_long);
            connection.write(&[b'x'; 2000])?;
            connection.finish()?;
            assert_eq!(connection.finish(), Err(HttpOutputError::AlreadyFinished));
            assert_eq!(connection.write(b"x"), Err(HttpOutputError::AlreadyFinished));
            done()
        });
        let (client, _handle) = connect(&service);
        client.send(GET);
        assert!(gunzip(&client.response().await.body) == [b'x'; 5000]);
    });
}

#[test]
fn too_few_bytes_cut_the_connection() {
    run(async {
        let trace = Trace::default();
        let service = compressing({
            let trace = trace.clone();
            move |connection| {
                let trace = trace.clone();
                async move {
                    const FIVE_THOUSAND: &[(&str, &str)] = &[("Content-Type", "text/html"), ("Content-Length", "5000")];
                    connection.write_headers(&ResponseStartLine::new(OK), &headers(FIVE_THOUSAND), &[b'x'; 3000])?;
                    trace.push(format!("{:?}", connection.finish()));
                    done()
                }
            }
        });
        let (client, _handle) = connect(&service);
        client.send(GET);
        let sent = client.cut().await;
        assert!(!sent.ends_with(b"0\r\n\r\n"), "the end is missing");
        assert_eq!(trace.take(), ["Err(BodyTooShort { content_length: 5000, written: 3000 })"]);
    });
}

/// What was compressed can't be compressed again: a piece for which there is no room waits, and comes first.
#[test]
fn a_full_write_buffer_loses_nothing() {
    for shared in [false, true] {
        a_full_write_buffer(shared);
    }
}

fn a_full_write_buffer(shared: bool) {
    run(async move {
        // 26 letters in an order that hardly repeats.
        let mut state = 1_u32;
        let body: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 24) as u8 % 26
        })
        .take(2_000_000)
        .collect();
        let trace = Trace::default();
        let handler = handling({
            let (body, trace) = (body.clone(), trace.clone());
            move |connection: Connection| {
                let (body, trace) = (body.clone(), trace.clone());
                async move {
                    connection.write_headers(&ResponseStartLine::new(OK), &headers(HTML), b"")?;
                    let write = |piece: &[u8]| match shared {
                        false => connection.write(piece),
                        true => connection.write_bytes(piece.to_vec().into()),
                    };
                    for piece in body.chunks(10_000) {
                        while let Err(error) = write(piece) {
                            assert!(matches!(error, HttpOutputError::WriteBufferFull(_)), "{error}");
                            trace.push("full");
                            if shared { connection.ready().await? } else { connection.flush().await? }
                        }
                    }
                    while let Err(error) = connection.finish() {
                        assert!(matches!(error, HttpOutputError::WriteBufferFull(_)), "{error}");
                        // It was ended all the same, and says so.
                        assert_eq!(connection.write(b"more"), Err(HttpOutputError::AlreadyFinished));
                        connection.flush().await?;
                    }
                    assert_eq!(connection.write(b"more"), Err(HttpOutputError::AlreadyFinished));
                    done()
                }
            }
        });
        let service = Http1Service::new(GzipContentEncoding::new(handler), Http1ConnectionParameters::default());
        // The kernel holds less of a Unix socket than of a connection.
        let (client, server) = UnixStream::pair().unwrap();
        let client = Client::new(IoStream::from_unix(client, StreamOptions::new()).unwrap());
        let server = IoStream::from_unix(server, StreamOptions::new().max_write_buffer_size(16_384)).unwrap();
        Http1ServerConnection::start_serving(server, context(), &service);
        client.send(GET);
        until(|| trace.has("full")).await;
        let response = client.response().await;
        assert!(gunzip(&response.body) == body);
    });
}

#[test]
fn settings_and_other_calls_reach_the_connection() {
    run(async {
        let handler = handling(|connection: Connection| async move {
            connection.set_max_body_size(5);
            assert_eq!(connection.max_body_size(), Some(5));
            assert_eq!(connection.context().remote_ip().to_string(), "127.0.0.1");
            const UPGRADE: &[(&str, &str)] = &[("Upgrade", "echo")];
            let switching = ResponseStartLine::new(StatusCode::SWITCHING_PROTOCOLS);
            connection.write_headers(&switching, &headers(UPGRADE), b"")?;
            let stream = connection.detach()?;
            stream.write(b"bye")?;
            done()
        });
        let delegate = GzipContentEncoding::new(handler).min_length(1).level(9);
        let service = Http1Service::new(delegate, Http1ConnectionParameters::default());
        let (client, _handle) = connect(&service);
        client
            .send("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        assert_eq!(client.head().await.status, 101);
        assert_eq!(client.rest().await, b"bye");
    });
}

//! Compressed requests: what is decompressed, in which pieces, and what is refused. RFC 1952; RFC 9110, section 8.4.
#![cfg(feature = "gzip")]

mod common;

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;

use common::log::alarms;
use common::recorder::{Connection, ok};
use common::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use landspout_http1connection::{Detach, Http1ConnectionParameters, Http1Service, Limits};

fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn params(chunk_size: usize, max_body_size: u64) -> Http1ConnectionParameters {
    let limits = Limits { max_body_size, ..Limits::default() };
    Http1ConnectionParameters { decompress: true, chunk_size, limits, ..Default::default() }
}

/// Answers with what the body is, if it is whole.
fn gathering() -> Recorder {
    let body: Rc<Cell<Vec<u8>>> = Rc::default();
    Recorder::new(move |connection: Connection, call| {
        let body = body.clone();
        async move {
            match call {
                Call::Data(chunk) => {
                    assert!(!chunk.is_empty());
                    let mut gathered = body.take();
                    gathered.extend(chunk);
                    body.set(gathered);
                }
                Call::Finish(_) => ok(&connection, body.take())?,
                _ => {}
            }
            done()
        }
    })
}

fn request(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

const GZIP: &str = "Content-Encoding: gzip\r\n";

/// The response to one request on a connection of its own.
async fn answer(params: Http1ConnectionParameters, recorder: Recorder, request: &[u8]) -> (u16, Vec<u8>) {
    let (client, _handle) = connect(&Http1Service::new(recorder, params));
    client.send(request);
    let response = client.response().await;
    (response.status, response.body)
}

#[test]
fn gzip_by_both_its_names_and_nothing_else_is_decompressed() {
    let compressed = gzip("hello");
    let rows = [
        ("Content-Encoding: gzip\r\n", true),
        ("Content-Encoding: GZip\r\n", true),
        ("Content-Encoding: x-gzip\r\n", true),
        ("", false),
        ("Content-Encoding: br\r\n", false),
        ("Content-Encoding: deflate\r\n", false),
        ("Content-Encoding: gzip, gzip\r\n", false),
        ("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", false),
    ];
    for (fields, decompressed) in rows {
        let compressed = compressed.clone();
        run(async move {
            let expected = if decompressed { b"hello".to_vec() } else { compressed.clone() };
            let answer = answer(params(65_536, 1000), gathering(), &request(fields, &compressed)).await;
            assert_eq!(answer, (200, expected), "{fields}");
        });
    }
}

#[test]
fn the_delegate_learns_what_was_undone() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| {
            if let Call::Headers(_, headers) = call {
                let of = |name| headers.get_text(name).map(|value| value.into_owned());
                let text = format!("{:?} {:?}", of("content-encoding"), of("x-consumed-content-encoding"));
                ok(&connection, text)?;
            }
            done()
        });
        let answer = answer(params(10, 100), recorder, &request("Content-Encoding: GZIP\r\n", b"")).await;
        assert_eq!(String::from_utf8(answer.1).unwrap(), "None Some(\"GZIP\")");
    });
}

#[test]
fn members_follow_each_other() {
    let rows: [(Vec<Vec<u8>>, &str); 4] = [
        (vec![gzip("one"), gzip("two")], "onetwo"),
        (vec![gzip(""), gzip("one"), gzip(""), gzip("")], "one"),
        (vec![gzip("")], ""),
        // No content at all is none.
        (vec![], ""),
    ];
    for (members, content) in rows {
        run(async move {
            let answer = answer(params(65_536, 1000), gathering(), &request(GZIP, &members.concat())).await;
            assert_eq!(answer, (200, content.as_bytes().to_vec()));
        });
    }
}

/// A body of two members in chunks, cut at each place; with names, comments and whatever else a header may have.
#[test]
fn a_body_may_be_cut_anywhere() {
    let mut first =
        flate2::GzBuilder::new().filename("a").comment("b").extra("cd").write(Vec::new(), Compression::fast());
    first.write_all(b"hello, ").unwrap();
    let body = [first.finish().unwrap(), gzip("world")].concat();
    for cut in 1..body.len() {
        let (one, other) = body.split_at(cut);
        let mut request =
            format!("POST / HTTP/1.1\r\nHost: x\r\n{GZIP}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in [one, other] {
            request.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        request.extend(b"0\r\nX: y\r\n\r\n");
        run(async move {
            assert_eq!(answer(params(65_536, 1000), gathering(), &request).await, (200, b"hello, world".to_vec()));
        });
    }
}

#[test]
fn what_is_cut_short_is_refused() {
    let body = [gzip("hello, "), gzip("world")].concat();
    let first = gzip("hello, ").len();
    for (framing, len) in (1..body.len()).flat_map(|len| [("length", len), ("chunked", len)]) {
        // Where the first member ends, nothing is missing.
        let status = if len == first { 200 } else { 400 };
        let body = &body[..len];
        let request = match framing {
            "length" => request(GZIP, body),
            _ => {
                let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{GZIP}Transfer-Encoding: chunked\r\n\r\n{len:x}\r\n");
                [head.as_bytes(), body, b"\r\n0\r\nX: y\r\n\r\n"].concat()
            }
        };
        run(async move {
            let recorder = gathering();
            let trace = recorder.trace.clone();
            assert_eq!(answer(params(65_536, 1000), recorder, &request).await.0, status, "{framing} {len}");
            assert_eq!(
                (trace.has("finish"), trace.has("trailers")),
                (status == 200, status == 200 && framing == "chunked")
            );
        });
    }
}

#[test]
fn what_is_no_gzip_is_refused_with_a_word() {
    let good = gzip("hello");
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] ^= byte;
        bad
    };
    let rows = [
        b"hello".to_vec(),
        b"\x1f\x8b".repeat(20),
        with(2, 1),
        // A reserved flag; the deflated data; the checksum; the length.
        with(3, 0x80),
        with(10, 0xff),
        with(good.len() - 8, 1),
        with(good.len() - 4, 1),
        [&good[..], b"garbage"].concat(),
        [&good[..], &[0; 20]].concat(),
    ];
    for body in rows {
        let shown = format!("{body:?}");
        let ((status, text), lines) = logged(|| {
            run(async move {
                let recorder = gathering();
                let trace = recorder.trace.clone();
                let answer = answer(params(65_536, 1000), recorder, &request(GZIP, &body)).await;
                assert!(!trace.has("finish"));
                answer
            })
        });
        assert_eq!((status, text), (400, b"400 Bad Request\n".to_vec()), "{shown}");
        assert!(alarms(&lines).is_empty() && lines.iter().any(|line| line.contains("gzip")), "{lines:?}");
    }
}

/// What it is decompressed, and not only what it was: 100 bytes pass, 101 don't. A limit that the request set for itself counts
/// for both.
#[test]
fn the_limit_of_a_body_counts_what_is_decompressed() {
    let rows = [(100, None, 100, 200), (100, None, 101, 413), (100, Some(200), 200, 200), (100, Some(200), 201, 413)];
    let more =
        [(100, Some(50), 51, 413), (100, Some(0), 1, 413), (0, None, 1, 413), (100, Some(10_000_000), 5_000_000, 200)];
    for (limit, own, content, status) in rows.into_iter().chain(more) {
        run(async move {
            let recorder = Recorder::new(move |connection: Connection, call| async move {
                match (call, own) {
                    (Call::Headers(..), Some(own)) => connection.set_max_body_size(own),
                    (Call::Finish(_), _) => ok(&connection, "")?,
                    _ => {}
                }
                done()
            });
            let trace = recorder.trace.clone();
            let body = gzip("a".repeat(content));
            let answer = answer(params(65_536, limit), recorder, &request(GZIP, &body)).await;
            assert_eq!(answer.0, status, "{limit} {own:?} {content}");
            assert_eq!(trace.has("finish"), status == 200);
        });
    }
}

#[test]
fn a_bomb_is_defused_before_it_fills_the_memory() {
    run(async {
        let recorder = gathering();
        let trace = recorder.trace.clone();
        let body = gzip(vec![0; 50_000_000]);
        assert!(body.len() < 60_000);
        assert_eq!(answer(params(65_536, 1_000_000), recorder, &request(GZIP, &body)).await.0, 413);
        let pieces = trace.take().into_iter().filter(|entry| entry.ends_with(" done"));
        let sizes =
            pieces.filter_map(|entry| entry.strip_prefix("data ")?.strip_suffix(" done")?.parse::<usize>().ok());
        let sum: usize = sizes.sum();
        assert!((900_000..=1_000_000).contains(&sum), "{sum}");
    });
}

/// Tornado: StreamingChunkSizeTest.test_compressed_body and test_chunked_compressed.
#[test]
fn pieces_are_no_larger_than_asked() {
    let body = gzip("a".repeat(50));
    let (one, other) = body.split_at(10);
    let chunked = format!("POST / HTTP/1.1\r\nHost: x\r\n{GZIP}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    let size = |chunk: &[u8]| format!("{:x}\r\n", chunk.len()).into_bytes();
    let chunked = [&chunked, &size(one)[..], one, b"\r\n", &size(other)[..], other, b"\r\n0\r\n\r\n"].concat();
    for request in [request(GZIP, &body), chunked] {
        run(async move {
            let recorder = gathering();
            let trace = recorder.trace.clone();
            assert_eq!(answer(params(16, 1000), recorder, &request).await, (200, vec![b'a'; 50]));
            let calls = trace.take();
            let sizes: Vec<usize> = calls.iter().filter_map(|call| call.strip_prefix("data ")?.parse().ok()).collect();
            assert!(sizes.iter().all(|size| (1..=16).contains(size)) && sizes.iter().sum::<usize>() == 50, "{sizes:?}");
        });
    }
}

/// What is known of the content is there as soon as it is: a client may wait for an answer before it goes on.
#[test]
fn pieces_come_as_they_are_sent() {
    run(async {
        let recorder = gathering();
        let trace = recorder.trace.clone();
        let (client, _handle) = connect(&Http1Service::new(recorder, params(65_536, 1000)));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{GZIP}Transfer-Encoding: chunked\r\n\r\n"));
        for piece in ["1", "22", "333"] {
            encoder.write_all(piece.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let compressed = std::mem::take(encoder.get_mut());
            client.send([format!("{:x}\r\n", compressed.len()).as_bytes(), &compressed, b"\r\n"].concat());
            until(|| trace.has(&format!("data {} done", piece.len()))).await;
        }
    });
}

#[test]
fn a_delegate_that_waits_holds_the_rest_back() {
    run(async {
        let gate = Gate::default();
        let recorder = Recorder::new({
            let gate = gate.clone();
            move |connection: Connection, call| {
                let gate = gate.clone();
                async move {
                    match call {
                        Call::Data(_) => gate.wait().await,
                        Call::Finish(_) => ok(&connection, "")?,
                        _ => {}
                    }
                    done()
                }
            }
        });
        let trace = recorder.trace.clone();
        let (client, _handle) = connect(&Http1Service::new(recorder, params(1000, 1_000_000)));
        client.send(request(GZIP, &gzip(vec![0; 5000])));
        until(|| gate.is_waited_for()).await;
        turns(10).await;
        assert_eq!(trace.take().len(), 4, "start, headers, headers done, data");
        gate.open();
        assert_eq!(client.response().await.status, 200);
        assert_eq!(trace.count("data 1000 done"), 5);
    });
}

#[test]
fn others_run_while_much_is_decompressed() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => ok(&connection, ""),
            _ => done(),
        });
        let (client, _handle) = connect(&Http1Service::new(recorder, params(65_536, 1_000_000_000)));
        let ticks = Rc::new(Cell::new(0));
        spawn({
            let ticks = ticks.clone();
            async move {
                loop {
                    next_turn().await;
                    ticks.set(ticks.get() + 1);
                }
            }
        });
        client.send(request(GZIP, &gzip(vec![0; 50_000_000])));
        assert_eq!(client.response().await.status, 200);
        // A turn has eight rounds for tasks that are ready again at once.
        assert!(ticks.get() >= 5, "{}", ticks.get());
    });
}

#[test]
fn whoever_has_answered_gets_no_more() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Data(_) => ok(&connection, "enough"),
            _ => done(),
        });
        let trace = recorder.trace.clone();
        let answer = answer(params(10, 1000), recorder, &request(GZIP, &gzip("a".repeat(100)))).await;
        assert_eq!(answer, (200, b"enough".to_vec()));
        until(|| trace.has("drop")).await;
        assert_eq!(trace.count("data 10"), 1);
        assert!(!trace.has("finish"));
    });
}

#[test]
fn a_stream_can_be_detached_from_behind_the_decompressor() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| {
            if let Call::Headers(..) = call {
                let stream = connection.detach()?;
                let body = stream.read_bytes(4).await?;
                stream.write(&body)?;
                stream.close_when_flushed();
            }
            done()
        });
        let (client, _handle) = connect(&Http1Service::new(recorder, params(10, 1000)));
        client.send(request(GZIP, b"\x1f\x8b\x08\x00"));
        assert_eq!(client.rest().await, b"\x1f\x8b\x08\x00");
    });
}

//! What is refused: each with its own status, answered once, and never as two requests. End to end, through a socket.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::*;
use landspout_httpserver::{HttpServerOptions, Limits};

/// Requests, and the statuses of all answers until the end of the connection. The client has ended its sending side, so that
/// the server closes after whatever it understood.
async fn table(options: HttpServerOptions, rows: &[(&[u8], &str)]) {
    let server = echo(options);
    let address = listen(&server);
    for (request, expected) in rows {
        let seen = exchange(address, request).await;
        assert_eq!(seen, *expected, "{:?}", String::from_utf8_lossy(request));
    }
    // Whatever came: the server lives.
    assert_eq!(exchange(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await, "200");
}

#[test]
fn start_lines_and_hosts() {
    run(table(
        HttpServerOptions::new(),
        &[
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
            (b"GET / HTTP/1.0\r\n\r\n", "200"),
            (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", "200"),
            (b"GET / HTTP/1.1\r\n\r\n", "400"),
            (b"GET / HTTP/1.2\r\n\r\n", "400"),
            (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
            (b"GET /\r\n\r\n", "400"),
            (b"asdf\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: foo bar\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
            (b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
            (b"FOO,BAR / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
            (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
            (b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nNo colon\r\nHost: x\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\n: empty\r\nHost: x\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\nHost: x\n\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", "400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", "400"),
            (b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
            (b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nExpect: the-moon\r\n\r\n", "417"),
        ],
    ));
}

/// Every way that two readers might disagree about where a message ends: one answer, an error, and the end.
#[test]
fn smuggling() {
    const HIDDEN: &[u8] = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    let heads: &[(&str, &str)] = &[
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "400"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "400"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "400"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "400"),
        ("Transfer-Encoding: chunked, identity\r\n", "400"),
        ("Transfer-Encoding: ,chunked\r\n", "400"),
        ("Transfer-Encoding: chunked,\r\n", "400"),
        ("Transfer-Encoding: chunked;q=1\r\n", "400"),
        ("Transfer-Encoding: \"chunked\"\r\n", "400"),
        ("Transfer-Encoding: xchunked\r\n", "400"),
        ("Transfer-Encoding: identity\r\n", "400"),
        ("Transfer-Encoding: gzip\r\n", "400"),
        ("Transfer-Encoding: \r\n", "400"),
        ("Transfer-Encoding: \u{b}chunked\r\n", "400"),
        ("Transfer-Encoding: \u{85}chunked\r\n", "400"),
        ("Transfer-Encoding: gzip, chunked\r\n", "501"),
        ("Transfer-Encoding : chunked\r\n", "400"),
        ("Transfer-Encoding\r\n: chunked\r\n", "400"),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", "400"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "400"),
        ("Content-Length: 5, 6\r\n", "400"),
        ("Content-Length: 5 ,5\r\n", "400"),
        ("Content-Length: +5\r\n", "400"),
        ("Content-Length: -1\r\n", "400"),
        ("Content-Length: 0x5\r\n", "400"),
        ("Content-Length: 1_0\r\n", "400"),
        ("Content-Length: 5 5\r\n", "400"),
        ("Content-Length: \r\n", "400"),
        ("Content-Length: five\r\n", "400"),
        ("Content-Length: 99999999999999999999\r\n", "400"),
        ("Content-Length: 18446744073709551615\r\n", "413"),
        ("Content-Length : 5\r\n", "400"),
    ];
    let chunked: &[(&str, &str)] = &[
        ("5;ext=val\r\nhello\r\n0\r\n\r\n", "200 200"),
        ("5 \r\nhello\r\n0\r\n\r\n", "400"),
        (" 5\r\nhello\r\n0\r\n\r\n", "400"),
        ("0x5\r\nhello\r\n0\r\n\r\n", "400"),
        ("+5\r\nhello\r\n0\r\n\r\n", "400"),
        ("-5\r\nhello\r\n0\r\n\r\n", "400"),
        ("1_a\r\nhello\r\n0\r\n\r\n", "400"),
        ("\r\nhello\r\n0\r\n\r\n", "400"),
        ("5\nhello\n0\n\n", "400"),
        ("5\r\nhello\n0\r\n\r\n", "400"),
        ("5\r\nhelloXX0\r\n\r\n", "400"),
        ("5\r\nhello!\r\n0\r\n\r\n", "400"),
        ("5;\nhello\r\n0\r\n\r\n", "400"),
        ("ffffffffffffffff\r\nhello\r\n0\r\n\r\n", "413"),
        ("10000000000000005\r\nhello\r\n0\r\n\r\n", "400"),
        ("5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n", "400"),
        ("5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ("5\r\nhello\r\n0\r\nHost: y\r\n\r\n", "400"),
        ("5\r\nhello\r\n0\r\nNo colon\r\n\r\n", "400"),
        ("5\r\nhello\r\n0\r\nA: b\r\n\r\n", "200 200"),
        ("5\r\nhello\r\n000\r\n\r\n", "200 200"),
    ];
    let mut rows: Vec<(Vec<u8>, &str)> = Vec::new();
    for (fields, expected) in heads {
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        // Latin-1, as on the wire.
        let head: Vec<u8> = head.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        for body in [&b"0\r\n\r\n"[..], b"5\r\nhello\r\n0\r\n\r\n", b"hello", b""] {
            rows.push(([&head, body, HIDDEN].concat(), expected));
        }
    }
    for (body, expected) in chunked {
        let head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        rows.push(([head, body.as_bytes(), HIDDEN].concat(), expected));
    }
    rows.push(([b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", HIDDEN].concat(), "400"));
    rows.push(([b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", HIDDEN].concat(), "400"));
    // No length: no body. What follows is a request, for every reader.
    rows.push(([b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", HIDDEN].concat(), "200 200"));
    rows.push(([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello", HIDDEN].concat(), "200 200"));
    run(async move {
        let rows: Vec<(&[u8], &str)> = rows.iter().map(|(request, expected)| (request.as_slice(), *expected)).collect();
        table(HttpServerOptions::new(), &rows).await;
    });
}

#[test]
fn limits() {
    let head = |filler: usize| {
        let head = "GET / HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n";
        head.replace("X: ", &format!("X: {}", "x".repeat(filler - head.len()))).into_bytes()
    };
    let path = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(length)).into_bytes();
    let fields = |count: usize| {
        let fields: String = (1..count).map(|n| format!("F{n}: x\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n").into_bytes()
    };
    let body = |length: usize| {
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length)).into_bytes()
    };
    let chunks = |length: usize| {
        let body = "x".repeat(length);
        format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
            .into_bytes()
    };
    run(async move {
        let rows = [
            (head(65_536), "200"),
            (head(65_537), "431"),
            (head(200_000), "431"),
            (path(16_000), "200"),
            (path(17_000), "414"),
            (path(100_000), "414"),
            (fields(100), "200"),
            (fields(101), "431"),
        ];
        table(HttpServerOptions::new(), &rows.each_ref().map(|(request, expected)| (request.as_slice(), *expected)))
            .await;

        let small = HttpServerOptions::new().max_header_size(1024).max_body_size(4096);
        let rows = [
            (head(1024), "200"),
            (head(1025), "431"),
            (body(4096), "200"),
            (body(4097), "413"),
            (body(10_240), "413"),
            (chunks(4096), "200"),
            (chunks(4097), "413"),
            (chunks(10_240), "413"),
        ];
        table(small, &rows.each_ref().map(|(request, expected)| (request.as_slice(), *expected))).await;

        let none = HttpServerOptions::new().max_body_size(0);
        let rows = [(body(0), "200"), (body(1), "413"), (chunks(1), "413")];
        table(none, &rows.each_ref().map(|(request, expected)| (request.as_slice(), *expected))).await;

        let limits = Limits { max_headers: 3, max_start_line: 20, ..Limits::default() };
        let rows = [(fields(3), "200"), (fields(4), "431"), (path(20), "414")];
        let options = HttpServerOptions::new().limits(limits);
        table(options, &rows.each_ref().map(|(request, expected)| (request.as_slice(), *expected))).await;
    });
}

#[test]
fn a_refusal_is_a_whole_response() {
    run(async {
        let server = echo(HttpServerOptions::new());
        let client = client_of(&server);
        client.send("asdf\r\n\r\n");
        let response = client.response().await;
        assert_eq!((response.status, &*response.reason, response.text()), (400, "Bad Request", "400 Bad Request\n"));
        assert_eq!(response.field("connection"), Some("close"));
        assert_eq!(response.field("content-type"), Some("text/plain"));
        client.end().await;
    });
}

/// What came before the fault is answered, in order; what comes after it is not looked at.
#[test]
fn a_fault_behind_good_requests() {
    run(async {
        let server = echo(HttpServerOptions::new());
        let address = listen(&server);
        let good = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(exchange(address, [good, post, "bad\r\n\r\n", good].concat()).await, "200 200 400");
        assert_eq!(exchange(address, [post, "GET / HTTP/9.9\r\n\r\n", post].concat()).await, "200 505");
    });
}

/// The peer's faults are no alarms, and the log never shows a header's value.
#[test]
fn a_peers_faults_are_noted_quietly() {
    let ((), lines) = logged(|| {
        run(async {
            let server = echo(HttpServerOptions::new());
            let address = listen(&server);
            for request in ["asdf\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nCookie: secret\0\r\n\r\n"] {
                assert_eq!(exchange(address, request).await, "400");
            }
            // Tornado: test_empty_request.
            assert_eq!(exchange(address, "").await, "");
            assert_eq!(exchange(address, "GET / HT").await, "");
        });
    });
    assert!(alarms(&lines).is_empty(), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("127.0.0.1") && line.contains("asdf")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:#?}");
}

/// A client that writes 200 MB of a refused body and only then reads. The first 3 of them are enough to fill every buffer.
#[test]
fn a_refused_upload_is_answered_without_a_reset() {
    run(async {
        let server = echo(HttpServerOptions::new());
        let address = listen(&server);
        let answer = in_thread(move || {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 209715200\r\n\r\n").unwrap();
            for _ in 0..48 {
                client.write_all(&[b'x'; 1 << 16]).expect("no reset while it sends");
            }
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("no reset while it reads");
            answer
        })
        .await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        until(|| server.connections() == 0).await;
    });
}

/// Nothing of a body that is too large is asked for.
#[test]
fn a_refused_body_is_not_asked_for() {
    run(async {
        let server = echo(HttpServerOptions::new().max_body_size(10));
        let client = client_of(&server);
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.response().await.status, 413);
        client.end().await;
    });
}

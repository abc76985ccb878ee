//! Sizes, at the limit and one beyond: an answer that says what is too large, and that a client can read while it still
//! sends (RFC 9110, sections 15.5.14, 15.5.15; RFC 6585, section 5; RFC 9112, section 9.6).

use crate::harness::{Case, check, check_with, echo, get};

fn get_target(len: usize) -> Vec<u8> {
    format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(len - 1)).into_bytes()
}

fn fields(count: usize) -> String {
    (0..count).map(|n| format!("X-{n}: y\r\n")).collect()
}

/// A GET whose head has that many bytes.
fn head(len: usize) -> Vec<u8> {
    let empty = get("A: \r\n").len();
    get(format!("A: {}\r\n", "b".repeat(len - empty)))
}

/// What a usual server takes, and what none does.
#[test]
fn defaults() {
    let chunk = |size: usize| format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size));
    let chunked = |body: String| echo("Transfer-Encoding: chunked\r\n", body);
    check([
        Case::new("a target of 8,000 bytes", "9112 3; Http11Probe COMP-LONG-URL-OK", get_target(8000), "404 open"),
        Case::new("a target of 16,000 bytes", "9112 3", get_target(16_000), "404 open"),
        Case::new("a target of 17,000 bytes", "9110 15.5.15", get_target(17_000), "414 closed"),
        Case::new(
            "a target of 100,000 bytes",
            "9110 15.5.15; Http11Probe MAL-LONG-URL",
            get_target(100_000),
            "414 closed",
        ),
        Case::new("a target of a megabyte", "9110 15.5.15", get_target(1 << 20), "414 closed"),
        Case::new(
            "a query of 100,000 bytes",
            "9110 15.5.15",
            format!("GET /?{} HTTP/1.1\r\nHost: a\r\n\r\n", "q".repeat(100_000)),
            "414 closed",
        ),
        Case::new(
            "a method of 100,000 bytes",
            "9112 3; Http11Probe MAL-LONG-METHOD",
            format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(100_000)),
            "400 closed",
        ),
        Case::new(
            "a version of 100,000 bytes",
            "9112 2.3",
            format!("GET / HTTP/1.{}\r\nHost: a\r\n\r\n", "1".repeat(100_000)),
            "414 closed",
        ),
        Case::new("a line of 100,000 bytes", "9112 3", "x".repeat(100_000), "400 closed"),
        Case::new("a value of 8,000 bytes", "6585 5", get(format!("A: {}\r\n", "b".repeat(8000))), "200 open"),
        Case::new("a value of 60,000 bytes", "6585 5", get(format!("A: {}\r\n", "b".repeat(60_000))), "200 open"),
        Case::new(
            "a value of 100,000 bytes",
            "6585 5; Http11Probe MAL-LONG-HEADER-VALUE",
            get(format!("A: {}\r\n", "b".repeat(100_000))),
            "431 closed",
        ),
        Case::new("a value of a megabyte", "6585 5", get(format!("A: {}\r\n", "b".repeat(1 << 20))), "431 closed"),
        Case::new(
            "a name of 100,000 bytes",
            "6585 5; Http11Probe MAL-LONG-HEADER-NAME",
            get(format!("{}: b\r\n", "A".repeat(100_000))),
            "431 closed",
        ),
        Case::new(
            "a Host of 100,000 bytes",
            "6585 5",
            format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(100_000)),
            "431 closed",
        ),
        Case::new("a name of 1,000 bytes", "6585 5", get(format!("{}: b\r\n", "A".repeat(1000))), "200 open"),
        Case::new("a head of 65,536 bytes", "6585 5; Tornado's limit", head(65_536), "200 open"),
        Case::new("a head of 65,537 bytes", "6585 5; Tornado's limit", head(65_537), "431 closed"),
        Case::new("100 fields", "6585 5", get(fields(99)), "200 open"),
        Case::new("101 fields", "6585 5", get(fields(100)), "431 closed"),
        Case::new("10,000 fields", "6585 5; Http11Probe MAL-MANY-HEADERS", get(fields(10_000)), "431 closed"),
        Case::new("50 times one field", "6585 5", get("A: b\r\n".repeat(50)), "200 open"),
        Case::new(
            "fields without end",
            "6585 5",
            [b"GET / HTTP/1.1\r\n", "A: b\r\n".repeat(50_000).as_bytes()].concat(),
            "431 closed",
        ),
        Case::new(
            "a body of a megabyte",
            "9110 15.5.14",
            echo("Content-Length: 1048576\r\n", vec![b'x'; 1 << 20]),
            "200 open",
        ),
        Case::new("a length above the limit", "9110 15.5.14", echo("Content-Length: 104857601\r\n", ""), "413 closed"),
        Case::new(
            "a length above the limit, and some of it",
            "9110 15.5.14; 9112 9.6",
            echo("Content-Length: 104857601\r\n", vec![b'x'; 3 << 20]),
            "413 closed",
        ),
        Case::new("a chunk above the limit", "9110 15.5.14", chunked("6400001\r\n".to_owned()), "413 closed"),
        Case::new(
            "a chunk above the limit, and some of it",
            "9110 15.5.14; 9112 9.6",
            echo("Transfer-Encoding: chunked\r\n", [b"6400001\r\n", &[b'x'; 3 << 20][..]].concat()),
            "413 closed",
        ),
        Case::new("a chunk of 100,000 bytes", "9112 7.1", chunked(chunk(100_000)), "200 open"),
        Case::new("10,000 chunks", "9112 7.1", chunked("1\r\nx\r\n".repeat(10_000) + "0\r\n\r\n"), "200 open"),
        Case::new(
            "an extension of 4,000 bytes",
            "9112 7.1.1",
            chunked(format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(4000))),
            "200=hello open",
        ),
        Case::new(
            "an extension of 65,536 bytes",
            "9112 7.1.1; Http11Probe MAL-CHUNK-EXT-64K",
            chunked(format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(65_536))),
            "400 closed",
        ),
        Case::new(
            "extensions of many chunks",
            "9112 7.1.1; Node's CVE-2024-22019",
            chunked(format!("1;{}\r\nx\r\n", "a".repeat(100)).repeat(1000) + "0\r\n\r\n"),
            "400 closed",
        ),
        Case::new(
            "10,000 zeros before a size",
            "9112 7.1",
            chunked(format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(10_000))),
            "400 closed",
        ),
        Case::new(
            "trailers of 16,000 bytes",
            "9112 7.1.2",
            chunked(format!("0\r\nA: {}\r\n\r\n", "b".repeat(16_000))),
            "200= open",
        ),
        Case::new(
            "trailers of 100,000 bytes",
            "9112 7.1.2",
            chunked(format!("0\r\nA: {}\r\n\r\n", "b".repeat(100_000))),
            "431 closed",
        ),
        Case::new("101 trailers", "9112 7.1.2", chunked(format!("0\r\n{}\r\n", fields(101))), "431 closed"),
        Case::new(
            "trailers without end",
            "9112 7.1.2",
            chunked(format!("0\r\n{}", "A: b\r\n".repeat(50_000))),
            "431 closed",
        ),
        Case::new("a megabyte of line ends", "9112 2.2", "\r\n".repeat(1 << 19), "400 closed"),
        Case::new("a megabyte of NUL", "9112 2.2", vec![0; 1 << 20], "400 closed"),
        Case::new(
            "1,000 ranges",
            "9110 14.2; Http11Probe MAL-RANGE-OVERLAPPING",
            get(format!("Range: bytes={}\r\n", vec!["0-"; 1000].join(","))),
            "200 open",
        ),
        Case::new(
            "20,000 options of a connection",
            "9110 7.6.1",
            get(format!("Connection: {}close\r\n", "a,".repeat(20_000))),
            "200 closed",
        ),
        Case::new(
            "20,000 times a length",
            "9110 8.6",
            echo(format!("Content-Length: {}5\r\n", "5,".repeat(20_000)), "hello"),
            "200=hello open",
        ),
    ]);
}

/// The user's own limits, at the byte.
#[test]
fn limits_of_the_user() {
    let arguments = [
        "--max-header-size",
        "400",
        "--max-start-line",
        "100",
        "--max-header-line",
        "200",
        "--max-headers",
        "5",
        "--max-body-size",
        "10",
        "--max-chunk-line",
        "12",
        "--max-chunk-extensions",
        "20",
        "--max-trailer-size",
        "50",
    ];
    let chunked = |body: &str| echo("Transfer-Encoding: chunked\r\n", body);
    let line = |len: usize| get(format!("A: {}\r\n", "b".repeat(len - 3)));
    let two = |len: usize| get(format!("A: {}\r\nB: {}\r\n", "b".repeat(180), "b".repeat(len)));
    check_with(
        &arguments,
        [
            Case::new("request line at the limit", "9110 15.5.15", get_target(87), "404 open"),
            Case::new("request line beyond", "9110 15.5.15", get_target(88), "414 closed"),
            Case::new("field at the limit", "6585 5", line(200), "200 open"),
            Case::new("field beyond", "6585 5", line(201), "431 closed"),
            Case::new("head at the limit", "6585 5", two(400 - two(0).len()), "200 open"),
            Case::new("head beyond", "6585 5", two(401 - two(0).len()), "431 closed"),
            Case::new("fields at the limit", "6585 5", get(fields(4)), "200 open"),
            Case::new("fields beyond", "6585 5", get(fields(5)), "431 closed"),
            Case::new(
                "body at the limit",
                "9110 15.5.14",
                echo("Content-Length: 10\r\n", "0123456789"),
                "200=0123456789 open",
            ),
            Case::new("body beyond", "9110 15.5.14", echo("Content-Length: 11\r\n", "0123456789x"), "413 closed"),
            Case::new(
                "chunk at the limit",
                "9110 15.5.14",
                chunked("a\r\n0123456789\r\n0\r\n\r\n"),
                "200=0123456789 open",
            ),
            Case::new("chunk beyond", "9110 15.5.14", chunked("b\r\n0123456789x\r\n0\r\n\r\n"), "413 closed"),
            Case::new(
                "chunks at the limit",
                "9110 15.5.14",
                chunked("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"),
                "200=helloworld open",
            ),
            Case::new("chunks beyond", "9110 15.5.14", chunked("5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n"), "413 closed"),
            Case::new(
                "chunk line at the limit",
                "9112 7.1",
                chunked("5;abcdefghij\r\nhello\r\n0\r\n\r\n"),
                "200=hello open",
            ),
            Case::new("chunk line beyond", "9112 7.1", chunked("5;abcdefghijk\r\nhello\r\n0\r\n\r\n"), "400 closed"),
            Case::new(
                "extensions at the limit",
                "9112 7.1.1",
                chunked("1;abcdefghi\r\nx\r\n1;abcdefghi\r\nx\r\n0\r\n\r\n"),
                "200=xx open",
            ),
            Case::new(
                "extensions beyond",
                "9112 7.1.1",
                chunked("1;abcdefghi\r\nx\r\n1;abcdefghij\r\nx\r\n0\r\n\r\n"),
                "400 closed",
            ),
            Case::new(
                "trailers at the limit",
                "9112 7.1.2",
                chunked(&format!("0\r\nA: {}\r\n\r\n", "b".repeat(43))),
                "200= open",
            ),
            Case::new(
                "trailers beyond",
                "9112 7.1.2",
                chunked(&format!("0\r\nA: {}\r\n\r\n", "b".repeat(44))),
                "431 closed",
            ),
            Case::new(
                "each message has its own limit",
                "9110 15.5.14",
                [echo("Content-Length: 10\r\n", "0123456789"), chunked("a\r\n0123456789\r\n0\r\n\r\n"), get("")]
                    .concat(),
                "200 200 200 open",
            ),
        ],
    );
}

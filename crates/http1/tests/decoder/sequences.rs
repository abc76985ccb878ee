//! Several messages on one connection, and what would become of smuggled ones.

use landspout_http1::{BodyLength, DecodeError, Event, Limits, RequestDecoder};
use landspout_httputil::HttpHeaders;

use crate::harness::{Row, check};

#[test]
fn pipelining() {
    let rows: &[Row<'_>] = &[
        (
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /3 HTTP/1.1\r\nHost: a\r\n\r\n",
            &["GET /1 1.1 - keep", "end", "GET /2 1.1 - keep", "end", "HEAD /3 1.1 - keep", "end"],
        ),
        (
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            &["POST /1 1.1 =5 keep", "data hello", "end", "GET /2 1.1 - keep", "end"],
        ),
        (
            b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            &["POST /1 1.1 chunked keep", "data hello", "end", "GET /2 1.1 - keep", "end"],
        ),
        (
            b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
            &["POST /1 1.1 chunked keep", "trailers A: b", "end", "POST /2 1.1 =1 keep", "data x", "end", "GET /3 1.1 - keep", "end"],
        ),
        // A body that the head doesn't mention is the next request.
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\nhello\r\n\r\n", &["POST / 1.1 - keep", "end", "!400 RequestLine"]),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nXGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            &["POST / 1.1 =0 keep", "end", "XGET / 1.1 - keep", "end"],
        ),
        (
            b"GET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            &["GET /1 1.1 =33 keep", "data GET /admin HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n\\r", "end", "!400 BareLineFeed"],
        ),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
            &["GET / 1.0 - keep", "end", "GET / 1.0 - close", "end", "closed"],
        ),
        // RFC 9112, section 9.6: what follows the last message is nobody's request.
        (
            b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n\0\0garbage",
            &["GET /1 1.1 - close", "end", "closed"],
        ),
        (b"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n", &["GET / 1.0 - close", "end", "closed"]),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi!!",
            &["POST / 1.1 =2 close", "data hi", "end", "closed"],
        ),
        // Each request's own `Host` is looked at, whatever the one before had.
        (
            b"GET /1 HTTP/1.1\r\nHost: abc\r\n\r\nGET /2 HTTP/1.1\r\nHost: ab\r\n\r\nGET /3 HTTP/1.1\r\nHost: abc\r\n\r\nGET /4 HTTP/1.1\r\nHost: ab/\r\n\r\n",
            &["GET /1 1.1 - keep", "end", "GET /2 1.1 - keep", "end", "GET /3 1.1 - keep", "end", "!400 InvalidHost"],
        ),
        (
            b"GET /1 HTTP/1.1\r\nHost: abc\r\n\r\nGET /2 HTTP/1.1\r\nHost:\r\n\r\n",
            &["GET /1 1.1 - keep", "end", "!400 InvalidHost"],
        ),
        (
            b"GET /1 HTTP/1.1\r\nHost: a-host-name-that-is-rather-long.example.com\r\n\r\nGET /2 HTTP/1.1\r\nHost: a-host-name-that-is-rather-long.example.com \r\n\r\nGET /3 HTTP/1.1\r\nHost: a-host-name-that-is-rather-lon,\r\n\r\n",
            &["GET /1 1.1 - keep", "end", "GET /2 1.1 - keep", "end", "!400 InvalidHost"],
        ),
        // The error comes in its turn.
        (
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
            &["GET /1 1.1 - keep", "end", "!400 MissingHost"],
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\0", &["GET / 1.1 - keep", "end", "!400 ControlCharacter"]),
    ];
    for (input, expected) in rows {
        check(input, expected);
    }
}

#[test]
fn smuggling() {
    const GET: &str = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for (fields, body, error) in [
        // CL.TE and TE.CL.
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "!400 AmbiguousLength"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 30\r\n", "0\r\n\r\n", "!400 AmbiguousLength"),
        ("Content-Length: 45\r\nTransfer-Encoding: Chunked\r\n", "0\r\n\r\n", "!400 AmbiguousLength"),
        ("Content-Length: +45\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "!400 AmbiguousLength"),
        ("Content-Length: 45x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "!400 AmbiguousLength"),
        ("Content-Length: 45\r\nTransfer-Encoding: , chunked\r\n", "0\r\n\r\n", "!400 AmbiguousLength"),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 45\r\n",
            "0\r\n\r\n",
            "!400 AmbiguousLength",
        ),
        (
            "Transfer-Encoding: chunked\r\nConnection: close\r\nContent-Length: 0\r\n",
            "0\r\n\r\n",
            "!400 AmbiguousLength",
        ),
        // TE.TE: one of two readers is to overlook it.
        ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", "!400 TransferEncoding"),
        ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n", "!400 FieldName"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n", "!400 TransferEncoding"),
        ("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n", "!400 ControlCharacter"),
        ("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "!400 BareLineFeed"),
        ("X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "!400 BareCarriageReturn"),
        ("X: y\0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "!400 ControlCharacter"),
        ("Transfer-Encoding\r\n : chunked\r\n", "0\r\n\r\n", "!400 NoColon"),
        ("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n", "!400 ObsoleteFolding"),
        (" Transfer-Encoding: chunked\r\n", "0\r\n\r\n", "!400 ObsoleteFolding"),
        ("Foo: bar\r\n\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n", "!400 BareCarriageReturn"),
        // CL.CL.
        ("Content-Length: 4\r\nContent-Length: 49\r\n", "PING", "!400 ContentLength"),
        ("Content-Length: 4, 49\r\n", "PING", "!400 ContentLength"),
        ("Content-Length: 4\r\nContent-Length : 49\r\n", "PING", "!400 FieldName"),
        // CL.0 with a colon less.
        ("Content-Length 49\r\n", "", "!400 NoColon"),
    ] {
        let input = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}{GET}");
        check(input.as_bytes(), &[error]);
    }
    // Chunks that one reader would take for others.
    for (body, events) in [
        ("+0\r\n\r\n", &["!400 ChunkSize"][..]),
        ("0x0\r\n\r\n", &["!400 ChunkSize"]),
        ("0;\nGET / HTTP/1.1\r\n", &["!400 BareLineFeed"]),
        ("2;\nxx\r\n0\r\n\r\n", &["!400 BareLineFeed"]),
        ("5\r\nAAAAAXX2\r\n45\r\n0\r\n\r\n", &["data AAAAA", "!400 ChunkEnd"]),
        ("1\r\nA\r\n\0", &["data A", "!400 ChunkSize"]),
        ("100000000000000000\r\n", &["!400 ChunkSize"]),
        ("0\r\nContent-Length: 5\r\n\r\n", &["!400 ForbiddenTrailer"]),
        ("0\r\nX: y\r\nHost: evil\r\n\r\n", &["!400 ForbiddenTrailer"]),
    ] {
        let input = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{GET}");
        check(input.as_bytes(), &[&["POST / 1.1 chunked keep"], events].concat());
    }
}

#[test]
fn states_and_questions() {
    let mut decoder = RequestDecoder::new(Limits::default());
    assert!(decoder.is_idle() && !decoder.is_complete() && decoder.start_next());
    let nothing = decoder.decode(b"").unwrap();
    assert!(nothing.consumed == 0 && nothing.event.is_none() && decoder.is_idle());
    // An empty line is gone at once and leaves the connection idle.
    let line = decoder.decode(b"\r\n").unwrap();
    assert!(line.consumed == 2 && line.event.is_none() && decoder.is_idle());
    let part = b"POST / HTTP/1.1\r\nHost: a\r\n";
    assert!(decoder.decode(part).unwrap().event.is_none() && !decoder.is_idle() && !decoder.start_next());
    let whole = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    let decoded = decoder.decode(whole).unwrap();
    let Some(Event::Head(head)) = decoded.event else { panic!() };
    assert!(decoded.consumed == whole.len() && head.body == BodyLength::Fixed(2));
    assert!(!decoder.is_idle() && !decoder.is_complete() && !decoder.start_next());
    assert_eq!(decoder.decode(b"hi").unwrap().event, Some(Event::Data(0..2)));
    // Over, though the event is still due.
    assert!(decoder.is_complete());
    assert_eq!(decoder.decode(b"").unwrap().event, Some(Event::End));
    assert!(decoder.is_complete() && decoder.decode(whole).unwrap().consumed == 0);
    assert!(decoder.start_next() && decoder.is_idle());
    // A message whose end nobody asked for can be left behind too.
    assert!(matches!(decoder.decode(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().event, Some(Event::Head(_))));
    assert!(decoder.is_complete() && decoder.start_next() && decoder.is_idle());
}

#[test]
fn end_of_input() {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    for (input, expected) in [
        (&b""[..], Ok(None)),
        (b"\r\n", Ok(None)),
        (b"G", Err(DecodeError::Truncated)),
        (b"GET / HTTP/1.1\r\n", Err(DecodeError::Truncated)),
        (head, Err(DecodeError::Truncated)),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some(Event::End))),
    ] {
        let mut decoder = RequestDecoder::new(Limits::default());
        let _ = decoder.decode(input).unwrap();
        assert_eq!(decoder.eof(), expected, "{}", input.escape_ascii());
        assert!(!decoder.is_idle() && !decoder.start_next());
        match expected {
            // Final as any error.
            Err(error) => assert_eq!(decoder.decode(b"x").unwrap_err(), error),
            Ok(Some(_)) => assert_eq!(decoder.eof(), Ok(None)),
            Ok(None) => assert_eq!(decoder.decode(b"GET").unwrap().consumed, 3),
        }
    }
}

/// A head is copied into the same storage again and again, unless the application keeps it.
#[test]
fn storage_is_used_again() {
    let input = b"GET /some/path HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
    let mut decoder = RequestDecoder::new(Limits::default());
    let mut head = || {
        let decoded = decoder.decode(input).unwrap();
        let Some(Event::Head(head)) = decoded.event else { panic!() };
        assert!(decoder.start_next());
        head
    };
    let first = head();
    let place = first.start_line.path().as_ptr();
    drop(first);
    for _ in 0..3 {
        assert_eq!(head().start_line.path().as_ptr(), place);
    }
    let kept = head();
    let next = head();
    assert_ne!(next.start_line.path().as_ptr(), place);
    assert_eq!(kept.headers.get("accept"), Some(&b"*/*"[..]));
    drop((kept, next));
    // An idle connection needs none.
    let storage = decoder.take_storage();
    assert!(storage.capacity() > 0 && decoder.take_storage().capacity() == 0);
    decoder.set_storage(storage);
    let decoded = decoder.decode(input).unwrap();
    let Some(Event::Head(head)) = decoded.event else { panic!() };
    assert_eq!(head.headers.len(), 2);
    assert_eq!(head.headers, HttpHeaders::from_static(&[("Host", "a"), ("Accept", "*/*")]));
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<RequestDecoder>() <= 208, "{}", size_of::<RequestDecoder>());
}

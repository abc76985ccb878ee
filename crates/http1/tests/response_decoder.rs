//! Tables of what a server sends, what was asked, and the events that it must give, however the bytes are cut: RFC 9112,
//! sections 4, 6.3, 7.1 and 9; RFC 9110, section 15.
//!
//! Events are written as text:
//! - `1.1 200 OK -`: a head with version, status, reason and body (`-` none, `=5` a length, `chunked`, `close` until the end);
//!   then `keep` where the connection can stay, and `switches` where HTTP is over;
//! - `data hello`: the body's data, its pieces merged; `trailers A: 1; B: 2`; `end`;
//! - `rest hello`: what isn't consumed at the end;
//! - `...`: the input ended while a response was owed;
//! - `!StatusLine`: an error.

#[path = "common/random.rs"]
mod common;

use common::Random;
use landspout_http1::{BodyLength, DecodeError, Event, Limits, ResponseDecoder, ResponseHead};
use landspout_httputil::{HttpHeaders, Method, StatusCode, Version};

/// A decoder in the middle of an input.
struct Run {
    decoder: ResponseDecoder,
    buffer: Vec<u8>,
    lines: Vec<String>,
    /// The fields of each head: they too must not depend on the cuts.
    heads: Vec<String>,
    failed: bool,
}

impl Run {
    /// What these pieces give, in answer to these requests (`GET`, or `GET upgrade`).
    fn of(limits: &Limits, requests: &[&str], pieces: &[&[u8]]) -> (Vec<String>, Vec<String>) {
        let decoder = ResponseDecoder::new(limits.clone());
        let mut run = Self { decoder, buffer: Vec::new(), lines: Vec::new(), heads: Vec::new(), failed: false };
        let mut requests = requests.iter();
        run.ask(&mut requests);
        for piece in pieces {
            run.buffer.extend_from_slice(piece);
            run.decode(&mut requests);
        }
        run.end();
        (run.lines, run.heads)
    }

    fn ask<'a>(&mut self, requests: &mut impl Iterator<Item = &'a &'a str>) {
        if let Some(request) = requests.next() {
            let (method, upgrade) = request.split_once(' ').map_or((*request, false), |(method, _)| (method, true));
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            if !self.decoder.expect(&method, upgrade) {
                self.lines.push("no more".to_owned());
            }
        }
    }

    fn decode<'a>(&mut self, requests: &mut impl Iterator<Item = &'a &'a str>) {
        while !self.failed {
            let decoded = match self.decoder.decode(&self.buffer) {
                Ok(decoded) => decoded,
                Err(error) => return self.fail(&error),
            };
            let rest = self.buffer.split_off(decoded.consumed);
            let done = std::mem::replace(&mut self.buffer, rest);
            match decoded.event {
                None => break,
                Some(Event::Head(head)) => {
                    self.lines.push(describe(&head));
                    self.heads.push(list(&head.headers));
                }
                Some(Event::Data(range)) => self.data(&done[range]),
                Some(Event::Trailers(trailers)) => self.lines.push(format!("trailers {}", list(&trailers))),
                Some(Event::End) => {
                    self.lines.push("end".to_owned());
                    assert!(self.decoder.is_complete());
                    self.ask(requests);
                }
                Some(other) => panic!("unknown event {other:?}"),
            }
        }
    }

    fn data(&mut self, data: &[u8]) {
        assert!(!data.is_empty(), "data is never empty");
        let text = data.escape_ascii().to_string();
        match self.lines.last_mut() {
            Some(last) if last.starts_with("data ") => last.push_str(&text),
            _ => self.lines.push(format!("data {text}")),
        }
    }

    fn fail(&mut self, error: &DecodeError) {
        assert_eq!(self.decoder.decode(b"").unwrap_err(), *error, "an error is final");
        assert!(!self.decoder.expect(&Method::GET, false) && !self.decoder.is_complete());
        let debug = format!("{error:?}");
        self.lines.push(format!("!{}", debug.split('(').next().unwrap()));
        self.failed = true;
    }

    fn end(&mut self) {
        if self.failed {
            return;
        }
        match self.decoder.eof() {
            Ok(None) => {}
            Ok(Some(Event::End)) => self.lines.push("end".to_owned()),
            Ok(Some(event)) => panic!("{event:?} at the end"),
            Err(error) => {
                assert_eq!(error, DecodeError::Truncated);
                self.lines.push("...".to_owned());
            }
        }
        // What lies there unread while something is missing depends on the cuts, and on nothing else otherwise.
        if !self.buffer.is_empty() && self.lines.last().is_none_or(|line| line != "...") {
            self.lines.push(format!("rest {}", self.buffer.escape_ascii()));
        }
    }
}

fn describe(head: &ResponseHead) -> String {
    let version = match head.start_line.version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        other => panic!("version {other:?}"),
    };
    let body = match head.body {
        BodyLength::None => "-".to_owned(),
        BodyLength::Fixed(length) => format!("={length}"),
        BodyLength::Chunked => "chunked".to_owned(),
        BodyLength::UntilClose => "close".to_owned(),
        other => panic!("body {other:?}"),
    };
    let mut line = format!("{version} {} {} {body}", head.start_line.code.as_u16(), head.start_line.reason());
    line.push_str(if head.keep_alive { " keep" } else { "" });
    line.push_str(if head.switches { " switches" } else { "" });
    assert_eq!(head.is_interim(), head.start_line.code.as_u16() < 200 && !head.switches);
    line
}

fn list(headers: &HttpHeaders) -> String {
    let fields: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect();
    fields.join("; ")
}

fn check_limited(limits: &Limits, requests: &[&str], input: &[u8], expected: &[&str]) {
    let whole = Run::of(limits, requests, &[input]);
    assert_eq!(whole.0, expected, "whole: {}", input.escape_ascii());
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(Run::of(limits, requests, &bytes), whole, "byte by byte: {}", input.escape_ascii());
    for cut in 0..=input.len() {
        let (a, b) = input.split_at(cut);
        assert_eq!(Run::of(limits, requests, &[a, b]), whole, "cut at {cut}: {}", input.escape_ascii());
    }
}

fn check(requests: &[&str], input: impl AsRef<[u8]>, expected: &[&str]) {
    check_limited(&Limits::default(), requests, input.as_ref(), expected);
}

#[test]
fn status_lines() {
    for (line, expected) in [
        (&b"HTTP/1.1 200 OK"[..], "1.1 200 OK =0 keep"),
        // The space has to be there, the reason not.
        (b"HTTP/1.1 200 ", "1.1 200  =0 keep"),
        (b"HTTP/1.1 404 Nothing here, at all", "1.1 404 Nothing here, at all =0 keep"),
        (b"HTTP/1.1 200  two spaces", "1.1 200  two spaces =0 keep"),
        (b"HTTP/1.1 200 a\tb", "1.1 200 a\tb =0 keep"),
        (b"HTTP/1.1 200 \xc3\xa9", "1.1 200 \u{e9} =0 keep"),
        (b"HTTP/1.1 200 \xe9", "1.1 200 \u{e9} =0 keep"),
        (b"HTTP/1.0 200 OK", "1.0 200 OK =0"),
        (b"HTTP/1.2 200 OK", "1.1 200 OK =0 keep"),
        (b"HTTP/1.9 299 x", "1.1 299 x =0 keep"),
        (b"HTTP/1.1 999 x", "1.1 999 x =0 keep"),
    ] {
        check(&["GET"], [line, b"\r\nContent-Length: 0\r\n\r\n"].concat(), &[expected, "end"]);
    }
    for (line, expected) in [
        ("", "!StatusLine"),
        ("HTTP/1.1 200", "!StatusLine"),
        ("HTTP/1.1  200 OK", "!StatusLine"),
        ("HTTP/1.1\t200 OK", "!Version"),
        (" HTTP/1.1 200 OK", "!StatusLine"),
        ("HTTP/1.1 20 OK", "!StatusLine"),
        ("HTTP/1.1 2000 OK", "!StatusLine"),
        ("HTTP/1.1 099 OK", "!StatusLine"),
        ("HTTP/1.1 000 OK", "!StatusLine"),
        ("HTTP/1.1 2x0 OK", "!StatusLine"),
        ("HTTP/1.1 -20 OK", "!StatusLine"),
        ("HTTP/1.1 +20 OK", "!StatusLine"),
        ("HTTP/1.1 200\tOK", "!StatusLine"),
        ("HTTP/1.1 200OK", "!StatusLine"),
        ("HTTP/1.1", "!StatusLine"),
        ("HTTP/2 200 OK", "!Version"),
        ("HTTP/2.0 200 OK", "!UnsupportedVersion"),
        ("HTTP/0.9 200 OK", "!UnsupportedVersion"),
        ("HTTP/1.10 200 OK", "!Version"),
        ("HTTP/1 200 OK", "!Version"),
        ("HTTP/1.x 200 OK", "!Version"),
        ("http/1.1 200 OK", "!StatusLine"),
        ("ICY 200 OK", "!StatusLine"),
        ("SSH-2.0-OpenSSH_9.6", "!StatusLine"),
        ("GET / HTTP/1.1", "!StatusLine"),
        ("HTTP/1.1 200 O\rK", "!BareCarriageReturn"),
        ("HTTP/1.1 200 O\0K", "!ControlCharacter"),
        ("HTTP/1.1 200 O\x7fK", "!ControlCharacter"),
    ] {
        check(&["GET"], format!("{line}\r\nContent-Length: 0\r\n\r\n"), &[expected]);
    }
    // What is wrong is said with the line, and with the byte where that is enough.
    check(&["GET"], "HTTP/1.1 200\r\n", &["!StatusLine"]);
    check(&["GET"], "HTTP/1.1 200 OK\n", &["!BareLineFeed"]);
    check(&["GET"], "<html>\n", &["!BareLineFeed"]);
}

/// RFC 9112, section 6.3, rule by rule.
#[test]
fn where_a_response_ends() {
    for (request, head, body, expected) in [
        // Rule 1: no body, whatever the fields say.
        ("HEAD", "200 OK\r\nContent-Length: 7", "", &["1.1 200 OK - keep", "end"][..]),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked", "", &["1.1 200 OK - keep", "end"]),
        ("HEAD", "200 OK", "", &["1.1 200 OK - keep", "end"]),
        ("HEAD", "206 Partial Content\r\nContent-Length: 7", "", &["1.1 206 Partial Content - keep", "end"]),
        ("HEAD", "404 Not Found\r\nContent-Length: 7", "", &["1.1 404 Not Found - keep", "end"]),
        ("GET", "304 Not Modified\r\nContent-Length: 7", "", &["1.1 304 Not Modified - keep", "end"]),
        ("GET", "304 Not Modified\r\nTransfer-Encoding: chunked", "", &["1.1 304 Not Modified - keep", "end"]),
        ("GET", "204 No Content", "", &["1.1 204 No Content - keep", "end"]),
        ("GET", "204 No Content\r\nContent-Length: 0", "", &["1.1 204 No Content - keep", "end"]),
        ("HEAD", "204 No Content", "", &["1.1 204 No Content - keep", "end"]),
        // Rule 2: a tunnel, and its first bytes are left alone.
        ("CONNECT", "200 OK", "tunnel", &["1.1 200 OK - switches", "end", "rest tunnel"]),
        ("CONNECT", "200 OK\r\nContent-Length: 3", "tunnel", &["1.1 200 OK - switches", "end", "rest tunnel"]),
        (
            "CONNECT",
            "299 x\r\nTransfer-Encoding: chunked\r\nContent-Length: x",
            "0\r\n\r\n",
            &["1.1 299 x - switches", "end", "rest 0\\r\\n\\r\\n"],
        ),
        ("CONNECT", "407 No\r\nContent-Length: 2", "no", &["1.1 407 No =2 keep", "data no", "end"]),
        // Rule 3.
        ("GET", "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n", &["!AmbiguousLength"]),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", "", &["!AmbiguousLength"]),
        // Rule 4: what doesn't end with chunked would go on until the close, in a coding that isn't understood.
        (
            "GET",
            "200 OK\r\nTransfer-Encoding: chunked",
            "2\r\nhi\r\n0\r\n\r\n",
            &["1.1 200 OK chunked keep", "data hi", "end"],
        ),
        (
            "GET",
            "200 OK\r\nTransfer-Encoding: Chunked",
            "2;x=y\r\nhi\r\n0\r\nA: b\r\n\r\n",
            &["1.1 200 OK chunked keep", "data hi", "trailers A: b", "end"],
        ),
        (
            "GET",
            "200 OK\r\nTransfer-Encoding: chunked",
            "2\r\nhi\r\n0\r\nContent-Length: 1\r\n\r\n",
            &["1.1 200 OK chunked keep", "data hi", "!ForbiddenTrailer"],
        ),
        ("GET", "200 OK\r\nTransfer-Encoding: chunked", "2\r\nhi", &["1.1 200 OK chunked keep", "data hi", "..."]),
        (
            "GET",
            "200 OK\r\nTransfer-Encoding: chunked",
            "2\r\nhix",
            &["1.1 200 OK chunked keep", "data hi", "!ChunkEnd"],
        ),
        ("GET", "200 OK\r\nTransfer-Encoding: gzip", "x", &["!TransferEncoding"]),
        ("GET", "200 OK\r\nTransfer-Encoding: gzip, chunked", "x", &["!UnsupportedTransferCoding"]),
        ("GET", "200 OK\r\nTransfer-Encoding: identity", "x", &["!TransferEncoding"]),
        ("GET", "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "x", &["!TransferEncoding"]),
        // Rule 5.
        ("GET", "200 OK\r\nContent-Length: x", "x", &["!ContentLength"]),
        ("GET", "200 OK\r\nContent-Length: +1", "x", &["!ContentLength"]),
        ("GET", "200 OK\r\nContent-Length:", "x", &["!ContentLength"]),
        ("HEAD", "200 OK\r\nContent-Length: x", "", &["!ContentLength"]),
        ("GET", "304 Not Modified\r\nContent-Length: 1, 2", "", &["!ContentLength"]),
        // Rule 6, and RFC 9110, section 8.6: a list of one number.
        ("GET", "200 OK\r\nContent-Length: 2", "hi", &["1.1 200 OK =2 keep", "data hi", "end"]),
        ("GET", "200 OK\r\nContent-Length: 2,2", "hi", &["1.1 200 OK =2 keep", "data hi", "end"]),
        ("GET", "200 OK\r\nContent-Length: 2, 2,2", "hi", &["1.1 200 OK =2 keep", "data hi", "end"]),
        ("GET", "200 OK\r\nContent-Length: 2\r\nContent-Length: 2", "hi", &["1.1 200 OK =2 keep", "data hi", "end"]),
        ("GET", "200 OK\r\nContent-Length: 2,4", "hi", &["!ContentLength"]),
        ("GET", "200 OK\r\nContent-Length: 2, 2,3", "hi", &["!ContentLength"]),
        ("GET", "200 OK\r\nContent-Length: 2", "h", &["1.1 200 OK =2 keep", "data h", "..."]),
        // Reset Content has none to show, but is framed like any other.
        ("GET", "205 Reset Content\r\nContent-Length: 0", "", &["1.1 205 Reset Content =0 keep", "end"]),
        // Rule 8.
        ("GET", "200 OK", "hello", &["1.1 200 OK close", "data hello", "end"]),
        ("GET", "200 OK", "", &["1.1 200 OK close", "end"]),
        (
            "POST",
            "500 No\r\nConnection: keep-alive",
            "HTTP/1.1 200 OK\r\n\r\n",
            &["1.1 500 No close", "data HTTP/1.1 200 OK\\r\\n\\r\\n", "end"],
        ),
        // RFC 9110, section 8.6, and RFC 9112, section 6.1.
        ("GET", "204 No Content\r\nContent-Length: 5", "hello", &["!BodyNotAllowed"]),
        ("GET", "204 No Content\r\nTransfer-Encoding: chunked", "0\r\n\r\n", &["!BodyNotAllowed"]),
        ("GET", "100 Continue\r\nContent-Length: 0", "", &["!BodyNotAllowed"]),
        ("GET", "103 Early Hints\r\nContent-Length: 5", "", &["!BodyNotAllowed"]),
        ("GET", "103 Early Hints\r\nTransfer-Encoding: chunked", "", &["!BodyNotAllowed"]),
    ] {
        check(&[request], format!("HTTP/1.1 {head}\r\n\r\n{body}"), expected);
    }
    // RFC 9112, section 6.1: chunks of HTTP/1.0 are faulty framing.
    check(&["GET"], "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &["!TransferEncodingInHttp10"]);
    check(&["GET"], "HTTP/1.0 200 OK\r\n\r\nhi", &["1.0 200 OK close", "data hi", "end"]);
}

#[test]
fn whether_the_connection_stays() {
    for (version, fields, expected) in [
        ("1.1", "", "1.1 200 OK =0 keep"),
        ("1.1", "Connection: close\r\n", "1.1 200 OK =0"),
        ("1.1", "Connection: foo, Close\r\n", "1.1 200 OK =0"),
        ("1.1", "Connection: foo\r\nConnection: close\r\n", "1.1 200 OK =0"),
        ("1.1", "Connection: keep-alive, close\r\n", "1.1 200 OK =0"),
        ("1.0", "", "1.0 200 OK =0"),
        ("1.0", "Connection: keep-alive\r\n", "1.0 200 OK =0 keep"),
        ("1.0", "Connection: keep-alive, close\r\n", "1.0 200 OK =0"),
    ] {
        let last = if expected.ends_with("keep") { "..." } else { "no more" };
        let input = format!("HTTP/{version} 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
        check(&["GET", "GET"], input, &[expected, "end", last]);
    }
}

#[test]
fn interim_responses_come_before_the_final_one() {
    check(
        &["POST"],
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nA",
        &["1.1 100 Continue - keep", "1.1 103 Early Hints - keep", "1.1 200 OK =1 keep", "data A", "end"],
    );
    check(&["POST"], "HTTP/1.1 100 Continue\r\n\r\n", &["1.1 100 Continue - keep", "..."]);
    check(&["POST"], "HTTP/1.1 199 \r\n\r\nx", &["1.1 199  - keep", "..."]);
}

/// A server could go on with them for ever, and each of them gives it more time.
#[test]
fn interim_responses_are_together_no_longer_than_a_head_may_be() {
    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n";
    let limits = Limits { max_header_size: 3 * HINT.len(), ..Limits::default() };
    let hint = "1.1 103 Early Hints - keep";
    let end = "HTTP/1.1 204 No Content\r\n\r\n";
    // Each request has all of it again.
    let input = (HINT.repeat(3) + end).repeat(2);
    let events = [hint, hint, hint, "1.1 204 No Content - keep", "end"];
    check_limited(&limits, &["GET", "GET"], input.as_bytes(), &[events, events].concat());
    let error = "!HeadTooLarge";
    check_limited(&limits, &["GET"], (HINT.repeat(4) + end).as_bytes(), &[hint, hint, hint, error]);
    let other = "HTTP/1.1 100 Continue\r\n\r\n";
    check_limited(
        &limits,
        &["GET"],
        (HINT.repeat(2) + other + other).as_bytes(),
        &[hint, hint, "1.1 100 Continue - keep", error],
    );
}

#[test]
fn switching_protocols_ends_http() {
    const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: x\r\n";
    for (request, fields, expected) in [
        ("GET upgrade", UPGRADE, &["1.1 101 Go - switches", "end", "no more", "rest \\x00x"][..]),
        // Nobody asked, or it doesn't say to what.
        ("GET", UPGRADE, &["!UnexpectedSwitch"]),
        ("GET upgrade", "Connection: upgrade\r\n", &["!UnexpectedSwitch"]),
        ("GET upgrade", "Upgrade: x\r\nContent-Length: 0\r\n", &["!BodyNotAllowed"]),
    ] {
        check(&[request, "GET"], format!("HTTP/1.1 101 Go\r\n{fields}\r\n\0x"), expected);
    }
    // An interim response before it.
    check(
        &["GET upgrade"],
        format!("HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 101 Go\r\n{UPGRADE}\r\nx"),
        &["1.1 102 Wait - keep", "1.1 101 Go - switches", "end", "rest x"],
    );
    // The offer was declined.
    check(&["GET upgrade"], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &["1.1 200 OK =0 keep", "end"]);
}

#[test]
fn several_responses() {
    check(
        &["HEAD", "GET", "GET"],
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1 404 No\r\n\r\nx",
        &["1.1 200 OK - keep", "end", "1.1 200 OK chunked keep", "data a", "end", "1.1 404 No close", "data x", "end"],
    );
    // RFC 9112, section 9.2: nobody asked for the second one.
    check(
        &["GET"],
        "HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n",
        &["1.1 204 No - keep", "end", "rest HTTP/1.1 200 OK\\r\\n"],
    );
    check(&[], "HTTP/1.1 408 Too late\r\n", &["!Unsolicited"]);
    check(&["GET"], "", &["..."]);
    check(&[], "", &[]);
}

#[test]
fn fields_follow_the_same_rules_as_those_of_requests() {
    for (fields, expected) in [
        ("A: b\n", "!BareLineFeed"),
        ("A: b\rc\r\n", "!BareCarriageReturn"),
        ("A : b\r\n", "!FieldName"),
        (": b\r\n", "!FieldName"),
        ("A\r\n", "!NoColon"),
        ("A: b\r\n c\r\n", "!ObsoleteFolding"),
        (" A: b\r\n", "!ObsoleteFolding"),
        ("A: \0\r\n", "!ControlCharacter"),
    ] {
        check(&["GET"], format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), &[expected]);
    }
    let mut decoder = ResponseDecoder::new(Limits::default());
    decoder.expect(&Method::GET, false);
    let input = b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie:  b \r\nX: \xe9\r\n\r\n";
    let Some(Event::Head(head)) = decoder.decode(input).unwrap().event else { panic!() };
    assert_eq!(list(&head.headers), "Set-Cookie: a; set-cookie: b; X: \\xe9");
    assert_eq!(head.start_line.code, StatusCode::OK);
    assert!(head.start_line.has_usual_reason());
}

#[test]
fn limits() {
    let limits = Limits {
        max_header_size: 60,
        max_start_line: 20,
        max_header_line: 20,
        max_headers: 2,
        max_body_size: 4,
        ..Limits::default()
    };
    let check = |input: &str, expected: &[&str]| check_limited(&limits, &["GET"], input.as_bytes(), expected);
    check("HTTP/1.1 200 12345678", &["!StartLineTooLong"]);
    check("xxxxxxxxxxxxxxxxxxxxx", &["!StatusLine"]);
    check("HTTP/1.1 200 1234567\r\n", &["..."]);
    check("HTTP/1.1 200 OK\r\nA: 345678901234567890x", &["!FieldTooLong"]);
    check("HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\nA: b\r\n", &["!TooManyFields"]);
    check("HTTP/1.1 200 OK\r\nA: 3456789012345678\r\nA: 3456789012345678\r\nx", &["!HeadTooLarge"]);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &["1.1 200 OK =5 keep", "!BodyTooLarge"]);
    check("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", &["1.1 200 OK =4 keep", "data abcd", "end"]);
    check("HTTP/1.1 200 OK\r\n\r\nabcd", &["1.1 200 OK close", "data abcd", "end"]);
    check("HTTP/1.1 200 OK\r\n\r\nabcde", &["1.1 200 OK close", "data abcd", "!BodyTooLarge"]);
    // The body that isn't sent may be of any size.
    check_limited(&limits, &["HEAD"], b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &["1.1 200 OK - keep", "end"]);
    // One message's limit is its own.
    let mut decoder = ResponseDecoder::new(limits.clone());
    let input = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    for limit in [Some(5), None] {
        assert!(decoder.expect(&Method::GET, false));
        let decoded = decoder.decode(input).unwrap();
        assert_eq!(decoded.consumed, input.len());
        if let Some(limit) = limit {
            decoder.set_max_body_size(limit);
            assert_eq!(decoder.decode(b"hello").unwrap().event, Some(Event::Data(0..5)));
            assert_eq!(decoder.decode(b"").unwrap().event, Some(Event::End));
        } else {
            assert_eq!(decoder.decode(b"").unwrap_err(), DecodeError::BodyTooLarge(4));
        }
    }
}

/// Good responses with faults put in anywhere, in pieces of any size.
#[test]
fn cuts_change_nothing() {
    const CORPUS: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"b\"\r\nhi\r\n0\r\nX: y\r\n\r\nHTTP/1.0 200 OK\r\n\r\nrest",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\0\x01\x02",
        b"HTTP/1.0 404 Not \xe9\r\nConnection: keep-alive\r\nContent-Length: 2, 2\r\n\r\nnoHTTP/1.1 304 Not Modified\r\n\r\n",
    ];
    const SPLICES: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b"0",
        b"f",
        b"\xff",
        b"\r\n\r\n",
        b"0\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"HTTP/1.1 103 x\r\n\r\n",
    ];
    let small = Limits {
        max_header_size: 90,
        max_start_line: 24,
        max_header_line: 32,
        max_headers: 3,
        max_body_size: 4,
        ..Limits::default()
    };
    let mut random = Random(0x7265_7370_6F6E_7365);
    let (mut good, mut bad) = (0, 0);
    for round in 0..10_000 {
        let faults = random.below(4);
        let mut input = random.faulty(CORPUS, SPLICES, faults);
        if random.below(4) == 0 {
            input.truncate(1 + random.below(input.len()));
        }
        let requests: [&[&str]; 3] = [&["GET", "GET"], &["GET upgrade", "HEAD", "GET"], &["CONNECT", "GET"]];
        let requests = requests[random.below(requests.len())];
        let limits = if round % 4 == 0 { small.clone() } else { Limits::default() };
        let whole = Run::of(&limits, requests, &[&input]);
        *(if whole.0.last().is_some_and(|line| line.starts_with('!')) { &mut bad } else { &mut good }) += 1;
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(Run::of(&limits, requests, &bytes), whole, "byte by byte: {}", input.escape_ascii());
        let (first, rest) = input.split_at(random.below(input.len()));
        let (second, third) = rest.split_at(random.below(rest.len()));
        assert_eq!(Run::of(&limits, requests, &[first, second, third]), whole, "in pieces: {}", input.escape_ascii());
    }
    assert!(good > 1_000 && bad > 1_000, "{good} good, {bad} bad");
}

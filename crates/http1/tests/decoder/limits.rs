//! Every limit at its last good byte and at the first too many.

use landspout_http1::{DecodeError, Decoded, Event, Limits, RequestDecoder};

use crate::harness::check_limited;

const GOOD: &[&str] = &["GET / 1.1 - keep", "end"];

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[test]
fn head_size() {
    let head = |filler: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(filler));
    let exact = head(100);
    let limits = limits(|l| l.max_header_size = exact.len());
    check_limited(&limits, exact.as_bytes(), GOOD);
    // Behind an empty line, which doesn't count.
    check_limited(&limits, format!("\r\n{exact}").as_bytes(), GOOD);
    check_limited(&limits, head(101).as_bytes(), &["!431 HeadTooLarge"]);
    check_limited(&limits, head(5000).as_bytes(), &["!431 HeadTooLarge"]);
    // As many bytes without an end: no more is asked for.
    check_limited(&limits, &head(500).as_bytes()[..exact.len()], &["!431 HeadTooLarge"]);
    check_limited(&limits, &head(500).as_bytes()[..exact.len() - 1], &["..."]);
    // What is wrong before the limit is said first, and what is wrong behind it never.
    check_limited(&limits, head(500).replace("Host", "Ho st").as_bytes(), &["!400 FieldName"]);
    check_limited(&limits, format!("{}\0", head(500)).as_bytes(), &["!431 HeadTooLarge"]);
    // Pipelined behind a head that fits.
    check_limited(&limits, exact.repeat(3).as_bytes(), &[GOOD, GOOD, GOOD].concat());
}

/// However high the limit is set: nothing is made as large as it, fields are numbered right, and as many as have numbers are taken.
#[test]
fn no_limit_of_fields() {
    for no_limit in [1_000_000, usize::MAX] {
        let limits = limits(|l| {
            l.max_headers = no_limit;
            l.max_header_size = 1 << 20;
        });
        check_limited(&limits, b"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n", GOOD);
        let last = "Transfer-Encoding: gzip\r\n\r\n";
        for (others, expected) in
            [(65_533, "!400 TransferEncoding"), (65_534, "!431 TooManyFields"), (65_535, "!431 TooManyFields")]
        {
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{}{last}", "a:\r\n".repeat(others));
            for pieces in [vec![head.as_bytes()], vec![&head.as_bytes()[..9], &head.as_bytes()[9..]]] {
                assert_eq!(crate::harness::run(&limits, &pieces).lines, [expected], "{others}");
            }
        }
    }
}

#[test]
fn the_default_head_is_tornados() {
    let head = |len: usize| {
        let rest = len - "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(rest))
    };
    let whole = |input: &str| crate::harness::run(&Limits::default(), &[input.as_bytes()]).lines;
    assert_eq!(whole(&head(65_536)), GOOD);
    assert_eq!(whole(&head(65_537)), ["!431 HeadTooLarge"]);
    // RFC 9112, section 3: 8,000 bytes of request line at least.
    let line = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(len - "GET / HTTP/1.1".len()));
    assert!(whole(&line(8_000))[0].starts_with("GET /yyy"));
    assert!(whole(&line(16_384))[0].starts_with("GET /yyy"));
    assert_eq!(whole(&line(16_385)), ["!414 StartLineTooLong"]);
    assert_eq!(whole(&line(100_000)), ["!414 StartLineTooLong"]);
    assert_eq!(whole(&"A".repeat(100_000)), ["!400 RequestLine"]);
    assert_eq!(whole(&format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(100_000))), ["!400 RequestLine"]);
    let field = |field: String| format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
    assert_eq!(whole(&field(format!("{}: 1", "A".repeat(100_000)))), ["!431 HeadTooLarge"]);
    assert_eq!(whole(&field(format!("X: {}", "A".repeat(100_000)))), ["!431 HeadTooLarge"]);
    let many = |n: usize| field((0..n).map(|n| format!("X-{n}: v")).collect::<Vec<_>>().join("\r\n"));
    assert_eq!(whole(&many(99)), GOOD);
    assert_eq!(whole(&many(100)), ["!431 TooManyFields"]);
    assert_eq!(whole(&many(5000)), ["!431 TooManyFields"]);
}

#[test]
fn start_line() {
    let limits = limits(|l| l.max_start_line = 20);
    check_limited(&limits, b"GET /23456 HTTP/1.1\r\nHost: a\r\n\r\n", &["GET /23456 1.1 - keep", "end"]);
    check_limited(&limits, b"GET /234567 HTTP/1.1\r\nHost: a\r\n\r\n", &["GET /234567 1.1 - keep", "end"]);
    check_limited(&limits, b"GET /2345678 HTTP/1.1\r\nHost: a\r\n\r\n", &["!414 StartLineTooLong"]);
    check_limited(&limits, b"GET /23456789012345678901234567890", &["!414 StartLineTooLong"]);
    check_limited(&limits, b"GET /2345678901234567\nHost: a\r\n\r\n", &["!414 StartLineTooLong"]);
    check_limited(&limits, b"123456789012345678901", &["!400 RequestLine"]);
    check_limited(&limits, b"12345678901234567890", &["..."]);
    // The fields may be longer.
    check_limited(&limits, b"GET / HTTP/1.1\r\nHost: a\r\nX: 34567890123456789012345\r\n\r\n", GOOD);
}

#[test]
fn field_line() {
    let limits = limits(|l| l.max_header_line = 20);
    check_limited(&limits, b"GET / HTTP/1.1\r\nHost: a\r\nX: 45678901234567890\r\n\r\n", GOOD);
    check_limited(&limits, b"GET / HTTP/1.1\r\nHost: a\r\nX: 456789012345678901\r\n\r\n", &["!431 FieldTooLong"]);
    check_limited(&limits, b"GET / HTTP/1.1\r\nHost: a\r\n123456789012345678901", &["!431 FieldTooLong"]);
    // Whitespace counts too.
    check_limited(&limits, b"GET / HTTP/1.1\r\nHost: a                 \r\n\r\n", &["!431 FieldTooLong"]);
    // The request line may be longer.
    check_limited(
        &limits,
        b"GET /678901234567890 HTTP/1.1\r\nHost: a\r\n\r\n",
        &["GET /678901234567890 1.1 - keep", "end"],
    );
}

#[test]
fn number_of_fields() {
    let head = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(n - 1));
    for max in [1, 2, 99, 100, 101, 150, 300] {
        let limits = limits(|l| l.max_headers = max);
        check_limited(&limits, head(max).as_bytes(), GOOD);
        check_limited(&limits, head(max + 1).as_bytes(), &["!431 TooManyFields"]);
    }
    // A line that is known from the request before counts like any other.
    let one = limits(|l| l.max_headers = 1);
    let host = |more: &str| format!("GET / HTTP/1.1\r\nHost: example.com\r\n{more}\r\n");
    check_limited(&one, [host(""), host("")].concat().as_bytes(), &[GOOD, GOOD].concat());
    let expected = [GOOD, &["!431 TooManyFields"]].concat();
    check_limited(&one, [host(""), host("X: y\r\n")].concat().as_bytes(), &expected);
    let limits = limits(|l| l.max_headers = 0);
    check_limited(&limits, b"GET / HTTP/1.0\r\n\r\n", &["GET / 1.0 - close", "end", "closed"]);
    check_limited(&limits, b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", &["!431 TooManyFields"]);
}

#[test]
fn body_size() {
    let limits = limits(|l| l.max_body_size = 5);
    let fixed = |n: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {n}\r\n\r\nhello!");
    check_limited(&limits, &fixed(5).as_bytes()[..fixed(5).len() - 1], &["POST / 1.1 =5 keep", "data hello", "end"]);
    check_limited(&limits, fixed(6).as_bytes(), &["POST / 1.1 =6 keep", "!413 BodyTooLarge"]);
    let chunked = |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    const HEAD: &str = "POST / 1.1 chunked keep";
    check_limited(&limits, chunked("5\r\nhello\r\n0\r\n\r\n").as_bytes(), &[HEAD, "data hello", "end"]);
    check_limited(&limits, chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n").as_bytes(), &[HEAD, "data hello", "end"]);
    check_limited(&limits, chunked("6\r\nhello!\r\n0\r\n\r\n").as_bytes(), &[HEAD, "!413 BodyTooLarge"]);
    check_limited(
        &limits,
        chunked("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n").as_bytes(),
        &[HEAD, "data hello", "!413 BodyTooLarge"],
    );
    check_limited(
        &limits,
        chunked("2\r\nhe\r\n4\r\nllo!\r\n0\r\n\r\n").as_bytes(),
        &[HEAD, "data he", "!413 BodyTooLarge"],
    );
    // A line that is wrong is wrong before it is too large.
    check_limited(&limits, chunked("6;\r\n").as_bytes(), &[HEAD, "!400 ChunkExtension"]);
    let none = Limits { max_body_size: 0, ..limits };
    check_limited(&none, chunked("0\r\n\r\n").as_bytes(), &[HEAD, "end"]);
    check_limited(&none, chunked("1\r\na").as_bytes(), &[HEAD, "!413 BodyTooLarge"]);
    check_limited(&none, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", &["POST / 1.1 =0 keep", "end"]);
    check_limited(
        &none,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        &["POST / 1.1 =1 keep", "!413 BodyTooLarge"],
    );
}

/// Tornado's `set_max_body_size`: for this message, before its body is read.
#[test]
fn the_application_moves_the_body_limit_for_one_message() {
    let input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nhello!".repeat(2);
    let mut decoder = RequestDecoder::new(limits(|l| l.max_body_size = 5));
    let Decoded { consumed, event: Some(Event::Head(_)) } = decoder.decode(&input).unwrap() else { panic!() };
    decoder.set_max_body_size(6);
    let rest = &input[consumed..];
    // Even without a byte of the body it can be asked: before `100 Continue` is sent.
    assert!(decoder.decode(b"").unwrap().event.is_none());
    let data = decoder.decode(rest).unwrap();
    assert_eq!(data.event, Some(Event::Data(0..6)));
    let rest = &rest[data.consumed..];
    assert_eq!(decoder.decode(rest).unwrap().event, Some(Event::End));
    assert!(decoder.start_next());
    let head = decoder.decode(rest).unwrap();
    assert!(matches!(head.event, Some(Event::Head(_))));
    assert_eq!(decoder.decode(b"").unwrap_err(), DecodeError::BodyTooLarge(5));
}

#[test]
fn chunk_lines_and_extensions() {
    const HEAD: &str = "POST / 1.1 chunked keep";
    let request = |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let limits = limits(|l| {
        l.max_chunk_line = 10;
        l.max_chunk_extensions = 25;
    });
    check_limited(&limits, request("1;34567890\r\na\r\n0\r\n\r\n").as_bytes(), &[HEAD, "data a", "end"]);
    check_limited(&limits, request("1;a4567890\r\na\r\n0\r\n\r\n").as_bytes(), &[HEAD, "data a", "end"]);
    check_limited(&limits, request("1;a45678901\r\na\r\n0\r\n\r\n").as_bytes(), &[HEAD, "!400 ChunkLineTooLong"]);
    check_limited(&limits, request("0000000001\r\na\r\n0\r\n\r\n").as_bytes(), &[HEAD, "data a", "end"]);
    check_limited(&limits, request("00000000001\r\na\r\n0\r\n\r\n").as_bytes(), &[HEAD, "!400 ChunkLineTooLong"]);
    check_limited(&limits, request("1;a=\"67890123").as_bytes(), &[HEAD, "!400 ChunkLineTooLong"]);
    check_limited(&limits, request("0;a4567890\r\n\r\n").as_bytes(), &[HEAD, "end"]);
    check_limited(&limits, request("0;a45678901\r\n\r\n").as_bytes(), &[HEAD, "!400 ChunkLineTooLong"]);
    // All extensions of a body together: 9 + 9 + 7, and one more.
    let chunk = "1;a4567890\r\na\r\n";
    check_limited(&limits, request(&format!("{chunk}{chunk}0;a45678\r\n\r\n")).as_bytes(), &[HEAD, "data aa", "end"]);
    check_limited(
        &limits,
        request(&format!("{chunk}{chunk}0;a456789\r\n\r\n")).as_bytes(),
        &[HEAD, "data aa", "!400 ChunkLineTooLong"],
    );
    // The next body begins anew.
    let body = format!("{chunk}{chunk}0\r\n\r\n");
    let events = [HEAD, "data aa", "end"];
    check_limited(&limits, request(&body).repeat(2).as_bytes(), &[events, events].concat());
    // The defaults: 4 KiB a line, 16 KiB a body.
    let whole = |body: String| crate::harness::run(&Limits::default(), &[request(&body).as_bytes()]).lines;
    assert_eq!(whole(format!("5;ext={}\r\nhello\r\n0\r\n\r\n", "a".repeat(4000))), [HEAD, "data hello", "end"]);
    assert_eq!(whole(format!("5;ext={}\r\nhello\r\n0\r\n\r\n", "a".repeat(65_536))), [HEAD, "!400 ChunkLineTooLong"]);
    assert_eq!(whole("1;a=b\r\na\r\n".repeat(10_000)).last().unwrap(), "!400 ChunkLineTooLong");
}

/// Zeros before a size wrap a byte as well as extensions do. Those that fill up a number of 64 bits are free.
#[test]
fn zeros_before_a_size_count_as_extensions_do() {
    const HEAD: &str = "POST / 1.1 chunked keep";
    let limits = limits(|l| l.max_chunk_extensions = 5);
    let request = |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let chunks =
        |zeros: usize, n: usize| request(&(format!("{}1\r\na\r\n", "0".repeat(zeros)).repeat(n) + "0\r\n\r\n"));
    check_limited(&limits, chunks(15, 10).as_bytes(), &[HEAD, "data aaaaaaaaaa", "end"]);
    check_limited(&limits, chunks(16, 5).as_bytes(), &[HEAD, "data aaaaa", "end"]);
    check_limited(&limits, chunks(16, 6).as_bytes(), &[HEAD, "data aaaaa", "!400 ChunkLineTooLong"]);
    check_limited(&limits, chunks(20, 1).as_bytes(), &[HEAD, "data a", "end"]);
    check_limited(&limits, chunks(21, 1).as_bytes(), &[HEAD, "!400 ChunkLineTooLong"]);
    check_limited(&limits, request("1;abc\r\na\r\n00000000000000000\r\n\r\n").as_bytes(), &[HEAD, "data a", "end"]);
    check_limited(
        &limits,
        request("1;abc\r\na\r\n000000000000000000\r\n\r\n").as_bytes(),
        &[HEAD, "data a", "!400 ChunkLineTooLong"],
    );
}

#[test]
fn trailer_section() {
    const HEAD: &str = "POST / 1.1 chunked keep";
    let request =
        |trailers: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{trailers}\r\n");
    let size = limits(|l| l.max_trailer_size = 20);
    check_limited(&size, request("X: 4567890123456\r\n").as_bytes(), &[HEAD, "trailers X: 4567890123456", "end"]);
    check_limited(&size, request("X: 45678901234567\r\n").as_bytes(), &[HEAD, "!431 TrailersTooLarge"]);
    check_limited(
        &size,
        request("X: 4567890123456789012345678901234567890\r\n").as_bytes(),
        &[HEAD, "!431 TrailersTooLarge"],
    );
    let line = limits(|l| l.max_header_line = 10);
    check_limited(
        &line,
        &request("X: 4567890\r\n").replace("Transfer-Encoding: chunked\r\n", "").into_bytes(),
        &["POST / 1.1 - keep", "end", "!400 RequestLine"],
    );
    let number = limits(|l| l.max_headers = 3);
    check_limited(&number, request("A: 1\r\nB: 2\r\nC: 3\r\n").as_bytes(), &[HEAD, "trailers A: 1; B: 2; C: 3", "end"]);
    check_limited(&number, request("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n").as_bytes(), &[HEAD, "!431 TooManyFields"]);
    let line = limits(|l| l.max_header_line = 26);
    check_limited(
        &line,
        request(&format!("X: {}\r\n", "y".repeat(23))).as_bytes(),
        &[HEAD, &format!("trailers X: {}", "y".repeat(23)), "end"],
    );
    check_limited(&line, request(&format!("X: {}\r\n", "y".repeat(24))).as_bytes(), &[HEAD, "!431 FieldTooLong"]);
}

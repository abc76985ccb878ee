//! Multipart bodies in pieces: the same events wherever they are cut; and the delegate behind them.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use landspout_httputil::{
    BoxError, Bytes, HttpHeaders, HttpInputError, HttpMessageDelegate, Method, MultipartDelegate, MultipartError,
    MultipartEvent, MultipartParser, MultipartPart, MultipartReceiver, ParseMultipartConfig, RequestStartLine,
    StatusCode, Version, parse_multipart_form_data,
};

/// Name, content, and whether its end was told.
type Part = (String, Vec<u8>, bool);

/// What came out, with the pieces of each content put together; then how it ended.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    parts: Vec<Part>,
    pieces: usize,
    outcome: Option<MultipartError>,
}

fn read<'a>(config: &ParseMultipartConfig, pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let mut parser = MultipartParser::new(b"1234", config).unwrap();
    let mut seen = Seen::default();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match parser.next_event(&mut input) {
                Ok(None) => break assert!(input.is_empty(), "input was left over"),
                Ok(Some(event)) => seen.note(event),
                Err(error) => {
                    assert_eq!(parser.next_event(&mut input), Err(error.clone()), "it is told again");
                    assert_eq!(parser.finish(), Err(error.clone()));
                    assert!(!parser.is_complete());
                    return Seen { outcome: Some(error), ..seen };
                }
            }
        }
    }
    let complete = parser.is_complete();
    let outcome = parser.finish().err();
    assert_eq!(complete, outcome.is_none());
    Seen { outcome, ..seen }
}

impl Seen {
    fn note(&mut self, event: MultipartEvent) {
        match event {
            MultipartEvent::Part(part) => {
                assert!(self.parts.last().is_none_or(|(_, _, ended)| *ended), "the one before hasn't ended");
                self.parts.push((part.name().to_owned(), Vec::new(), false));
            }
            MultipartEvent::Data(data) => {
                assert!(!data.is_empty());
                self.pieces += 1;
                let (_, content, ended) = self.parts.last_mut().expect("a part begins before its content");
                assert!(!*ended);
                content.extend_from_slice(&data);
            }
            MultipartEvent::PartEnd => {
                let (_, _, ended) = self.parts.last_mut().expect("a part begins before it ends");
                assert!(!std::mem::replace(ended, true));
            }
        }
    }

    fn told(&self) -> (&[Part], &Option<MultipartError>) {
        (&self.parts, &self.outcome)
    }
}

/// Whole, byte by byte, and cut in two at every place.
fn everywhere(config: &ParseMultipartConfig, body: &[u8]) -> Seen {
    let whole = read(config, [body]);
    let bytewise = read(config, body.chunks(1));
    assert_eq!(whole.told(), bytewise.told(), "byte by byte: {:?}", String::from_utf8_lossy(body));
    for cut in 0..=body.len() {
        let (a, b) = body.split_at(cut);
        let halves = read(config, [a, b]);
        assert_eq!(whole.told(), halves.told(), "cut at {cut}: {:?}", String::from_utf8_lossy(body));
    }
    whole
}

const A: &str = "Content-Disposition: form-data; name=a\r\n\r\n";
const B: &str = "Content-Disposition: form-data; name=b; filename=f\r\nContent-Type: x/y\r\n\r\n";

#[test]
fn bodies_that_are_complete() {
    let content = |content: &str| vec![("a".to_owned(), content.as_bytes().to_vec(), true)];
    let two = vec![("a".to_owned(), b"one".to_vec(), true), ("b".to_owned(), b"two\r\n".to_vec(), true)];
    for (body, expected) in [
        ("--1234--".to_owned(), vec![]),
        ("\r\n--1234--\r\n".to_owned(), vec![]),
        ("preamble\r\n--1234x\r\n--1234--epilogue\r\n--1234\r\nnot a part".to_owned(), vec![]),
        (format!("--1234\r\n{A}one\r\n--1234--"), content("one")),
        (format!("--1234\r\n{A}one\r\n--1234\r\n{B}two\r\n\r\n--1234--\r\n"), two.clone()),
        (format!("pre\r\n--1234 \t\r\n{A}one\r\n--1234  \r\n{B}two\r\n\r\n--1234--\r\nepi"), two),
        // No content: with the line break before the delimiter and without one of its own (RFC 2046, section 5.1.1).
        (format!("--1234\r\n{A}\r\n--1234--"), content("")),
        (format!("--1234\r\n{A}--1234--"), content("")),
        // Nearly delimiters.
        (format!("--1234\r\n{A}\r\r\n--1234--"), content("\r")),
        (format!("--1234\r\n{A}\r\n\r\n--1234--"), content("\r\n")),
        (format!("--1234\r\n{A}--123\r\n--1234--"), content("--123")),
        (format!("--1234\r\n{A}--1234x\r\n--1234--"), content("--1234x")),
        (format!("--1234\r\n{A}-\r\n--1234-\r\n--1234--"), content("-\r\n--1234-")),
        (format!("--1234\r\n{A}x--1234--\n--1234--\r\n--1234--"), content("x--1234--\n--1234--")),
        (format!("--1234\r\n{A}\r\n--1234 \t x\r\n--1234--"), content("\r\n--1234 \t x")),
        (format!("--1234\r\n{A}\r\n--1234 \t -\r\n--1234--"), content("\r\n--1234 \t -")),
        (format!("--1234\r\n{A}\r\n--1234\r\r\n--1234--"), content("\r\n--1234\r")),
        (format!("--1234\r\n{A}\r\n--1234\n\r\n--1234--"), content("\r\n--1234\n")),
        (format!("--1234\r\n{A}\r\n--12\r\n--1234--"), content("\r\n--12")),
        (format!("--1234\r\n{A}\r\n\r\n--\r\n--1\r\n--1234--"), content("\r\n\r\n--\r\n--1")),
    ] {
        let seen = everywhere(&ParseMultipartConfig::default(), body.as_bytes());
        assert_eq!((&seen.parts, seen.outcome), (&expected, None), "{body:?}");
    }
}

#[test]
fn bodies_that_are_wrong() {
    use MultipartError::*;
    let config =
        ParseMultipartConfig { max_parts: 2, max_part_header_size: 60, max_part_size: 16, ..Default::default() };
    let part = format!("--1234\r\n{A}x\r\n");
    let long = " ".repeat(998);
    for (body, expected) in [
        (String::new(), NoFinalBoundary),
        ("--1234".to_owned(), NoFinalBoundary),
        ("--1234-".to_owned(), NoFinalBoundary),
        (" --1234--".to_owned(), NoFinalBoundary),
        ("\n--1234--".to_owned(), NoFinalBoundary),
        (format!("--1234\r\n{A}x"), NoFinalBoundary),
        (format!("--1234\r\n{A}x\r\n--1234"), NoFinalBoundary),
        (format!("--1234\r\n{A}x\r\n--1234-x"), NoFinalBoundary),
        ("--1234\r\n\r\nx\r\n--1234--".to_owned(), MissingPartHeaders),
        ("--1234\r\n--1234--".to_owned(), MissingPartHeaders),
        ("--1234\r\nA: b\r\n--1234 \r\n".to_owned(), MissingPartHeaders),
        ("--1234\r\nContent-Disposition: x\r\n\r\n".to_owned(), InvalidDisposition),
        (format!("{part}--1234\r\nA: b\r\n\r\n--1234--"), InvalidDisposition),
        (format!("{part}{part}--1234\r\n"), TooManyParts(2)),
        (format!("--1234\r\nA: {}", "x".repeat(62)), PartHeaderTooLarge(60)),
        (format!("--1234\r\n{}", "A:\r\n".repeat(17)), PartHeaderTooLarge(60)),
        (format!("--1234\r\n{A}0123456789abcdefg"), PartTooLarge(16)),
        (format!("--1234\r\n{A}0123456789abcde\r\n\r\n--1234--"), PartTooLarge(16)),
        (format!("--1234{long} "), PaddingTooLong(998)),
        (format!("--1234\r\n{A}x\r\n--1234{long}\t"), PaddingTooLong(998)),
    ] {
        let seen = everywhere(&config, body.as_bytes());
        assert_eq!(seen.outcome, Some(expected), "{body:?}");
    }
    for fits in [
        format!("{part}{part}--1234--"),
        format!("--1234\r\n{A}0123456789abcdef\r\n--1234--"),
        format!("--1234{long}\r\n{A}x\r\n--1234--"),
    ] {
        assert_eq!(everywhere(&config, fits.as_bytes()).outcome, None, "{fits:?}");
    }
}

/// What is seen of a part that is too large doesn't depend on the cuts, either.
#[test]
fn a_part_that_is_too_large_is_given_up_to_the_limit() {
    let config = ParseMultipartConfig { max_part_size: 3, ..Default::default() };
    let seen = everywhere(&config, format!("--1234\r\n{A}12345").as_bytes());
    assert_eq!(seen.parts, [("a".to_owned(), b"123".to_vec(), false)]);
}

/// A naive reading of what RFC 2046 calls a delimiter line.
fn delimiter_at(body: &[u8], at: usize) -> bool {
    let Some(rest) = body[at..].strip_prefix(b"\r\n--1234") else { return false };
    let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    rest.starts_with(b"--") || rest[padding..].starts_with(b"\r\n")
}

/// Contents made of what delimiters are made of, cut at random, against the naive reading.
#[test]
fn random_contents_with_random_cuts() {
    const MATERIAL: [&str; 14] = [
        "\r\n--1234",
        "\r\n--1234--",
        "\r\n--12",
        "--1234",
        "--1234--",
        "34",
        "\r\n",
        "\r",
        "\n",
        "--",
        "-",
        " ",
        "\t",
        "x",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let (mut cut_off, mut whole) = (0, 0);
    for _ in 0..20_000 {
        let content: String = (0..random(12)).map(|_| MATERIAL[random(MATERIAL.len())]).collect();
        // A delimiter may stand at the start of the content, as a line break is before it.
        let with_break = format!("\r\n{content}\r\n--1234--").into_bytes();
        let end = (0..with_break.len()).find(|at| delimiter_at(&with_break, *at)).unwrap();
        let expected = &with_break[2.min(end)..end];
        if end == content.len() + 2 {
            whole += 1
        } else {
            cut_off += 1
        }
        let body = format!("--1234\r\n{A}{content}\r\n--1234--").into_bytes();
        let mut pieces = Vec::new();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (piece, further) = rest.split_at(1 + random(rest.len().min(20)));
            pieces.push(piece);
            rest = further;
        }
        let config = ParseMultipartConfig::default();
        let (cut, uncut) = (read(&config, pieces), read(&config, [&body[..]]));
        assert_eq!(cut.told(), uncut.told(), "{:?}", String::from_utf8_lossy(&body));
        assert_eq!(uncut.parts[0].1, expected, "{:?}", String::from_utf8_lossy(&body));
        assert!(uncut.parts[0].2);
    }
    assert!(cut_off > 1000 && whole > 1000, "{cut_off} {whole}");
}

/// So that a file of a whole form can share the form's memory.
#[test]
fn a_content_that_is_not_cut_is_one_piece() {
    for content in ["x", "--1234x", "\r\n--123", "\r\n--1234 x\r\n--1234-y\r", "-"] {
        let body = format!("--1234\r\n{A}{content}\r\n--1234--");
        assert_eq!(read(&ParseMultipartConfig::default(), [body.as_bytes()]).pieces, 1, "{content:?}");
    }
}

/// What is in hand is handed on at once, but for what may be the beginning of a delimiter.
#[test]
fn contents_are_handed_on_as_they_come() {
    let mut parser = MultipartParser::new(b"1234", &ParseMultipartConfig::default()).unwrap();
    let mut next = |piece: &str| {
        let mut input = Bytes::copy_from_slice(piece.as_bytes());
        let mut all = Vec::new();
        while let Some(event) = parser.next_event(&mut input).unwrap() {
            all.push(match event {
                MultipartEvent::Part(part) => format!("part {}", part.name()),
                MultipartEvent::Data(data) => format!("data {:?}", String::from_utf8_lossy(&data)),
                MultipartEvent::PartEnd => "end".to_owned(),
            });
        }
        all.join(", ")
    };
    assert_eq!(next(&format!("--1234\r\n{A}")), "part a");
    assert_eq!(next("one"), r#"data "one""#);
    assert_eq!(next("two\r\n--12"), r#"data "two""#);
    assert_eq!(next("x"), r#"data "\r\n--12", data "x""#);
    assert_eq!(next("\r\n--1234"), "");
    assert_eq!(next("\r"), "");
    assert_eq!(next("\n"), "end");
    assert_eq!(next(&format!("{B}y\r\n--1234--")), r#"part b, data "y", end"#);
    assert_eq!(next("\r\n--1234\r\n"), "");
}

#[test]
fn what_is_told_of_a_part() {
    let mut parser = MultipartParser::new(b"1234", &ParseMultipartConfig::default()).unwrap();
    let mut input = Bytes::from(format!("--1234\r\n{B}"));
    let Ok(Some(MultipartEvent::Part(part))) = parser.next_event(&mut input) else { panic!("a part") };
    assert_eq!((part.name(), part.filename(), &*part.content_type()), ("b", Some("f"), "x/y"));
    assert_eq!(part.headers().len(), 2);
    let mut parser = MultipartParser::new(b"1234", &ParseMultipartConfig::default()).unwrap();
    let mut input = Bytes::from("--1234\r\nContent-Disposition: form-data; name=a; filename=\"\"\r\n\r\n");
    let Ok(Some(MultipartEvent::Part(part))) = parser.next_event(&mut input) else { panic!("a part") };
    assert_eq!((part.filename(), &*part.content_type()), (None, "application/unknown"));
}

#[test]
fn boundaries_that_can_be_none() {
    for boundary in [&b""[..], b"\"\"", b"a\r\nb", b"a\n"] {
        let refused = MultipartParser::new(boundary, &ParseMultipartConfig::default());
        assert_eq!(refused.err(), Some(HttpInputError::NoBoundary), "{boundary:?}");
        let refused = parse_multipart_form_data(boundary, &Bytes::new(), &ParseMultipartConfig::default());
        assert_eq!(refused.err(), Some(HttpInputError::NoBoundary), "{boundary:?}");
    }
    let off = ParseMultipartConfig { enabled: false, ..Default::default() };
    assert_eq!(MultipartParser::new(b"a", &off).err(), Some(MultipartError::Disabled.into()));
}

/// Notes its calls, and fails at the one that is named.
#[derive(Default)]
struct Recorder {
    calls: Vec<String>,
    fail_at: &'static str,
}

impl Recorder {
    fn note(&mut self, call: impl Into<String>) -> Result<(), BoxError> {
        let call = call.into();
        let fails = call == self.fail_at;
        self.calls.push(call);
        if fails { Err(HttpInputError::new("no").into()) } else { Ok(()) }
    }
}

impl MultipartDelegate for Recorder {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        self.note(format!("headers {} {}", start_line.method(), headers.len()))
    }

    async fn part_received(&mut self, part: MultipartPart) -> Result<(), BoxError> {
        self.note(format!("part {}", part.name()))
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        self.note(format!("data {}", chunk.len()))
    }

    async fn part_finished(&mut self) -> Result<(), BoxError> {
        self.note("part finished")
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.note("finish")
    }

    fn on_connection_close(&mut self) {
        let _ = self.note("closed");
    }
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a future that has nothing to wait for is pending"),
    }
}

fn head(fields: &[(&str, &str)]) -> (RequestStartLine, HttpHeaders) {
    let line = RequestStartLine::new(Method::POST, "/", Version::HTTP_11);
    (line, HttpHeaders::try_from_iter(fields.iter().copied()).unwrap())
}

const FORM: &[(&str, &str)] = &[("Content-Type", "multipart/form-data; boundary=\"1234\"")];

#[test]
fn a_delegate_gets_each_part_and_the_end() {
    let mut link = MultipartReceiver::new(Recorder::default());
    let (line, headers) = head(FORM);
    ready(link.headers_received(line, headers)).unwrap();
    ready(link.data_received(Bytes::from(format!("--1234\r\n{A}on")))).unwrap();
    ready(link.data_received(Bytes::from(format!("e\r\n--1234\r\n{B}two\r\n--1234--\r\n")))).unwrap();
    ready(link.finish()).unwrap();
    let calls = ["headers POST 1", "part a", "data 2", "data 1", "part finished", "part b", "data 3", "part finished"];
    assert_eq!(link.delegate().calls[..8], calls);
    assert_eq!(link.into_delegate().calls[8..], ["finish"]);
}

#[test]
fn a_delegate_whose_client_leaves_is_told() {
    let mut link = MultipartReceiver::new(Recorder::default());
    let (line, headers) = head(FORM);
    ready(link.headers_received(line, headers)).unwrap();
    link.on_connection_close();
    assert_eq!(link.delegate().calls, ["headers POST 1", "closed"]);
}

#[test]
fn the_first_error_of_a_delegate_ends_it() {
    let mut link = MultipartReceiver::new(Recorder { fail_at: "part a", ..Recorder::default() });
    let (line, headers) = head(FORM);
    ready(link.headers_received(line, headers)).unwrap();
    let error = ready(link.data_received(Bytes::from(format!("--1234\r\n{A}one\r\n--1234--")))).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&HttpInputError::new("no")));
    assert_eq!(link.delegate().calls, ["headers POST 1", "part a"]);
}

#[test]
fn requests_without_such_a_form_are_refused_before_their_body() {
    let text = |text: &str| HttpInputError::UnsupportedMediaType(text.to_owned());
    let gzip = HttpInputError::UnsupportedContentEncoding("gzip".to_owned());
    for (fields, expected, status) in [
        (&[][..], text(""), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[("Content-Type", "text/plain")], text("text/plain"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[("Content-Type", "multipart/form-data")], HttpInputError::NoBoundary, StatusCode::BAD_REQUEST),
        (&[FORM[0], ("Content-Encoding", "gzip")], gzip, StatusCode::BAD_REQUEST),
    ] {
        let mut link = MultipartReceiver::new(Recorder::default());
        let (line, headers) = head(fields);
        let error = ready(link.headers_received(line, headers)).unwrap_err();
        let error: &HttpInputError = error.downcast_ref().unwrap();
        assert_eq!((error, error.status()), (&expected, status));
        assert!(link.delegate().calls.is_empty());
    }
}

#[test]
fn errors_of_a_body_have_their_status() {
    let config = ParseMultipartConfig { max_part_size: 2, ..Default::default() };
    for (body, status) in [
        (format!("--1234\r\n{A}123"), StatusCode::PAYLOAD_TOO_LARGE),
        ("--1234\r\n\r\n".to_owned(), StatusCode::BAD_REQUEST),
        (format!("--1234\r\n{A}1\r\n--1234"), StatusCode::BAD_REQUEST),
    ] {
        let mut link = MultipartReceiver::with_config(Recorder::default(), config);
        let (line, headers) = head(FORM);
        ready(link.headers_received(line, headers)).unwrap();
        let received = ready(link.data_received(Bytes::from(body.clone())));
        let error = received.and_then(|()| ready(link.finish())).unwrap_err();
        assert_eq!(error.downcast_ref::<HttpInputError>().unwrap().status(), status, "{body:?}");
        assert!(!link.delegate().calls.contains(&"finish".to_owned()));
    }
}

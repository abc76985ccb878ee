//! Encode → decode is the identity: random messages, several on a connection, through an encoder, cut at random, through the
//! decoder of the other side. What was written has to come out again: start lines, fields in their order, bodies, ends.
//!
//! The seeds are fixed; `LANDSPOUT_ROUNDS` sets the number of connections, see `cargo xtask fuzz`.

#[path = "common/random.rs"]
mod common;

use common::Random;
use landspout_http1::{Event, Limits, RequestDecoder, RequestEncoder, ResponseDecoder, ResponseEncoder};
use landspout_httputil::{HttpHeaders, Method, RequestStartLine, ResponseStartLine, StatusCode, Version};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// A message as both sides see it: the start line, the fields that the application gave, the body.
#[derive(Debug, PartialEq)]
struct Message {
    line: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Random {
    fn bytes(&mut self, len: usize, from: &[u8]) -> Vec<u8> {
        (0..self.below(len)).map(|_| self.pick(from)).collect()
    }

    /// Fields with any name and any value that there can be.
    fn fields(&mut self) -> Vec<(String, Vec<u8>)> {
        let names: Vec<u8> = b"!#$%&'*+-.^_`|~".iter().copied().chain(b'0'..=b'9').chain(b'a'..=b'z').collect();
        let values: Vec<u8> = (b' '..=b'~').chain(0x80..=0xff).chain([b'\t']).collect();
        let field = |random: &mut Self| {
            let name = [b"X-", &random.bytes(12, &names)[..]].concat();
            (String::from_utf8(name).unwrap(), random.bytes(40, &values).trim_ascii().to_vec())
        };
        (0..self.below(6)).map(|_| field(self)).collect()
    }

    /// A body in pieces, empty ones among them.
    fn pieces(&mut self) -> Vec<Vec<u8>> {
        let any: Vec<u8> = (0..=255).chain(*b"\r\n\r\n\r\n0123").collect();
        let len = self.pick(&[3, 50, 3000]);
        (0..self.below(5)).map(|_| self.bytes(len, &any)).collect()
    }

    /// All of `bytes` in pieces of random lengths.
    fn cut<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let (mut pieces, longest) = (Vec::new(), self.pick(&[1, 7, 100, 100_000]));
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(1 + self.below(longest.min(bytes.len())));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

fn rounds() -> usize {
    std::env::var("LANDSPOUT_ROUNDS").map_or(1_000, |rounds| rounds.parse().expect("a number"))
}

fn headers(host: Option<&str>, fields: &[(String, Vec<u8>)]) -> HttpHeaders {
    let mut headers = HttpHeaders::new();
    if let Some(host) = host {
        headers.add("Host", host).unwrap();
    }
    for (name, value) in fields {
        headers.add(name, value).unwrap();
    }
    headers
}

/// The fields that the application gave.
fn given(headers: &HttpHeaders) -> Vec<(String, Vec<u8>)> {
    let fields = headers.iter().filter(|(name, _)| name.starts_with("X-"));
    fields.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

/// Writes a random request.
fn write_request(random: &mut Random, out: &mut Vec<u8>) -> Message {
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH];
    let method = methods[random.below(methods.len())].clone();
    let path: Vec<u8> = (b'!'..=b'~').filter(|byte| *byte != b'#').collect();
    let target = format!("/{}", String::from_utf8(random.bytes(30, &path)).unwrap());
    let fields = random.fields();
    let line = RequestStartLine::new(method.clone(), &*target, Version::HTTP_11);
    let mut headers = headers(Some(random.pick(&["a", "example.com:8080", "[::1]"])), &fields);
    let (pieces, mut encoder) = (random.pieces(), RequestEncoder::new());
    let mut body = pieces.concat();
    match random.below(4) {
        0 => {
            body.clear();
            encoder.request(&line, &headers, b"", out).unwrap();
        }
        1 => encoder.request(&line, &headers, &body, out).unwrap(),
        framing => {
            match framing {
                2 => headers.add("Content-Length", body.len().to_string()).unwrap(),
                _ => headers.add("Transfer-Encoding", "chunked").unwrap(),
            }
            encoder.head(&line, &headers, out).unwrap();
            for piece in &pieces {
                encoder.data(piece).unwrap().append_to(out);
            }
            encoder.finish(out).unwrap();
        }
    }
    assert!(encoder.is_complete());
    Message { line: format!("{method} {target}"), fields, body }
}

#[test]
fn requests() {
    let mut random = Random(0x726F_756E_645F_7471);
    for _ in 0..rounds() {
        let mut wire = Vec::new();
        let written: Vec<Message> = (0..1 + random.below(4)).map(|_| write_request(&mut random, &mut wire)).collect();
        let (mut decoder, mut buffer, mut read) = (RequestDecoder::new(Limits::default()), Vec::new(), Vec::new());
        let mut ended = 0;
        for piece in random.cut(&wire) {
            buffer.extend_from_slice(piece);
            loop {
                let decoded =
                    decoder.decode(&buffer).unwrap_or_else(|error| panic!("{error}: {}", wire.escape_ascii()));
                let done: Vec<u8> = buffer.drain(..decoded.consumed).collect();
                match decoded.event {
                    None => break,
                    Some(Event::Head(head)) => read.push(Message {
                        line: format!("{} {}", head.start_line.method(), head.start_line.path()),
                        fields: given(&head.headers),
                        body: Vec::new(),
                    }),
                    Some(Event::Data(range)) => read.last_mut().unwrap().body.extend_from_slice(&done[range]),
                    Some(Event::End) => {
                        ended += 1;
                        assert!(decoder.start_next());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!((&read, ended, buffer.len()), (&written, written.len(), 0), "{}", wire.escape_ascii());
        assert!(decoder.is_idle() && decoder.eof() == Ok(None));
    }
}

/// Writes a random response to a request with this method; the last one of its connection if `last` and chance say so.
fn write_response(random: &mut Random, method: &Method, last: bool, out: &mut Vec<u8>) -> Message {
    let version = if last && random.below(2) == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut encoder = ResponseEncoder::new(method, version, !last);
    let code = StatusCode::from_u16(random.pick(&[200, 201, 301, 404, 500, 204, 304])).unwrap();
    let line = ResponseStartLine::new(code);
    let fields = random.fields();
    let mut headers = headers(None, &fields);
    let bodiless = matches!(code.as_u16(), 204 | 304);
    let pieces = if bodiless { Vec::new() } else { random.pieces() };
    let body = pieces.concat();
    if random.below(2) == 0 {
        encoder.response(&line, &headers, &body, DATE, out).unwrap();
    } else {
        if !bodiless && random.below(2) == 0 {
            headers.add("Content-Length", body.len().to_string()).unwrap();
        }
        encoder.head(&line, &headers, DATE, out).unwrap();
        for piece in &pieces {
            encoder.data(piece).unwrap().append_to(out);
        }
        encoder.finish(out).unwrap();
    }
    let body = if *method == Method::HEAD { Vec::new() } else { body };
    Message { line: code.to_string(), fields, body }
}

#[test]
fn responses() {
    let mut random = Random(0x726F_756E_645F_7470);
    for _ in 0..rounds() {
        let methods: Vec<Method> = (0..1 + random.below(4))
            .map(|_| [Method::GET, Method::HEAD, Method::POST][random.below(3)].clone())
            .collect();
        let (mut wire, mut written) = (Vec::new(), Vec::new());
        let closes = random.below(2) == 0;
        for (n, method) in methods.iter().enumerate() {
            written.push(write_response(&mut random, method, closes && n + 1 == methods.len(), &mut wire));
        }
        let (mut decoder, mut buffer, mut read) = (ResponseDecoder::new(Limits::default()), Vec::new(), Vec::new());
        let mut asked = methods.iter();
        assert!(decoder.expect(asked.next().unwrap(), false));
        let mut ended = 0;
        for piece in random.cut(&wire) {
            buffer.extend_from_slice(piece);
            loop {
                let decoded =
                    decoder.decode(&buffer).unwrap_or_else(|error| panic!("{error}: {}", wire.escape_ascii()));
                let done: Vec<u8> = buffer.drain(..decoded.consumed).collect();
                match decoded.event {
                    None => break,
                    Some(Event::Head(head)) => read.push(Message {
                        line: head.start_line.code.to_string(),
                        fields: given(&head.headers),
                        body: Vec::new(),
                    }),
                    Some(Event::Data(range)) => read.last_mut().unwrap().body.extend_from_slice(&done[range]),
                    Some(Event::End) => {
                        ended += 1;
                        let Some(method) = asked.next() else { break };
                        assert!(decoder.expect(method, false));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        // A body that the end of the connection ends.
        if decoder.eof() == Ok(Some(Event::End)) {
            ended += 1;
        }
        assert_eq!((&read, ended, buffer.len()), (&written, written.len(), 0), "{}", wire.escape_ascii());
    }
}

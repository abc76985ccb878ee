//! Other readers of the same bytes: hyper's server, which is httparse and hyper's rules for framing; and Python's h11, by
//! `cargo xtask fuzz h11`, which compares it with what this test writes to the file that `LANDSPOUT_FRAMES` names.
//!
//! Rules: every row of the tables is read, and random mutations of them (`LANDSPOUT_ROUNDS` sets their number, the seed is
//! fixed). What one reader refuses or leaves unread is no difference: nothing behind it is ever served. What both take must
//! be the same requests, with the same bodies, or one of them could be made to see a request that the other doesn't.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use landspout::http1::{Event, Limits, RequestDecoder};

use crate::harness::Case;
use crate::random::{REQUEST_SPLICES, Random};

/// What one reader makes of a stream of bytes.
#[derive(Debug, PartialEq)]
struct Reading {
    /// Method, target and body of each complete request.
    requests: Vec<(String, String, Vec<u8>)>,
    end: End,
}

/// Why there is no further request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Refused,
    /// The last request was the last one of its connection.
    Closed,
    /// More bytes are needed, for a message that has begun or for one that has not.
    Waits,
}

impl Reading {
    /// Whether both can read the same connection without one of them being fooled.
    fn agrees(&self, other: &Self) -> bool {
        let both = self.requests.len().min(other.requests.len());
        let shorter = if self.requests.len() < other.requests.len() { self } else { other };
        self.requests[..both] == other.requests[..both]
            && (self.requests.len() == other.requests.len() || shorter.end != End::Waits)
    }
}

fn ours(input: &[u8]) -> Reading {
    let mut decoder = RequestDecoder::new(Limits::default());
    let mut reading = Reading { requests: Vec::new(), end: End::Waits };
    let (mut at, mut current) = (0, None);
    loop {
        let Ok(decoded) = decoder.decode(&input[at..]) else { return Reading { end: End::Refused, ..reading } };
        let from = at;
        at += decoded.consumed;
        match decoded.event {
            None => return reading,
            Some(Event::Head(head)) => {
                // hyper gives scheme and host in lower case and adds the empty path; that is no framing.
                let target = head.start_line.path();
                let target = target.parse().map_or(target.to_owned(), |uri: Uri| uri.to_string());
                current = Some((head.start_line.method().to_string(), target, Vec::new()));
            }
            Some(Event::Data(range)) => {
                if let Some((_, _, body)) = &mut current {
                    body.extend_from_slice(&input[from + range.start..from + range.end]);
                }
            }
            Some(Event::End) => {
                reading.requests.extend(current.take());
                if !decoder.start_next() {
                    return Reading { end: End::Closed, ..reading };
                }
            }
            Some(_) => {}
        }
    }
}

/// A connection whose client has sent everything and ended its side.
struct Sent<'a> {
    input: &'a [u8],
    answers: Rc<RefCell<Vec<u8>>>,
}

impl hyper::rt::Read for Sent<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let (now, rest) = self.input.split_at(self.input.len().min(buf.remaining()));
        buf.put_slice(now);
        self.input = rest;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Sent<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.answers.borrow_mut().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, _: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.answers.borrow_mut().extend_from_slice(&all);
        Poll::Ready(Ok(all.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn hypers(input: &[u8]) -> Reading {
    let requests = RefCell::new(Vec::new());
    let broken = RefCell::new(None);
    let answers = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let (requests, broken) = (&requests, &broken);
        async move {
            let (method, target) = (request.method().to_string(), request.uri().to_string());
            match request.into_body().collect().await {
                Ok(body) => requests.borrow_mut().push((method, target, body.to_bytes().to_vec())),
                Err(error) => *broken.borrow_mut() = Some(error),
            }
            let mut response = Response::new(Empty::<Bytes>::new());
            // A success would make a tunnel of CONNECT.
            *response.status_mut() = StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(response)
        }
    });
    let outcome = {
        let io = Sent { input, answers: answers.clone() };
        let mut connection = pin!(Builder::new().half_close(true).serve_connection(io, service));
        let mut cx = Context::from_waker(futures_util::task::noop_waker_ref());
        let outcome = (0..10_000).find_map(|_| match connection.as_mut().poll(&mut cx) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        });
        outcome.unwrap_or_else(|| panic!("hyper never ends with {}", input.escape_ascii()))
    };
    let answers = String::from_utf8_lossy(&answers.borrow()).to_ascii_lowercase();
    let last = answers.rsplit("http/1.").next().unwrap_or_default();
    let end = match (broken.into_inner(), outcome) {
        (Some(error), _) | (None, Err(error)) => match is_incomplete(&error) {
            true => End::Waits,
            false => End::Refused,
        },
        (None, Ok(()))
            if last.contains("connection: close") || last.starts_with("0 ") && !last.contains("keep-alive") =>
        {
            End::Closed
        }
        (None, Ok(())) => End::Waits,
    };
    Reading { requests: requests.into_inner(), end }
}

/// The input ended in the middle of something.
fn is_incomplete(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return true;
        }
        source = error.source();
    }
    error.is_incomplete_message()
}

/// The tables' inputs, each with a request behind it, by which one sees where the reader takes the message's end to be.
fn corpus() -> Vec<Vec<u8>> {
    const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    let cases = crate::chunks::cases()
        .chain(crate::connection::cases())
        .chain(crate::content_length::cases())
        .chain(crate::expect::cases())
        .chain(crate::fields::cases())
        .chain(crate::hosts::cases())
        .chain(crate::methods::cases())
        .chain(crate::pipelining::cases())
        .chain(crate::request_line::cases())
        .chain(crate::smuggling::cases())
        .chain(crate::targets::cases())
        .chain(crate::trailers::cases())
        .chain(crate::transfer_encoding::cases());
    cases.map(|Case { input, .. }| [&input, NEXT].concat()).collect()
}

/// One line for another reader: the input, what we make of it, and how it ends, all bytes in hexadecimal.
fn frame(input: &[u8], reading: &Reading) -> String {
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let mut line = hex(input);
    let _ = write!(line, " {:?}", reading.end);
    for (method, target, body) in &reading.requests {
        let _ = write!(line, " {}:{}:{}", hex(method.as_bytes()), hex(target.as_bytes()), hex(body));
    }
    line + "\n"
}

#[test]
fn hyper_frames_nothing_otherwise() {
    let rounds = std::env::var("LANDSPOUT_ROUNDS").map_or(20_000, |rounds| rounds.parse().expect("a number"));
    let corpus = corpus();
    let mut random = Random(0x6879_7065_725F_6831);
    let mutated = (0..rounds).map(|_| {
        let faults = 1 + random.below(3);
        random.faulty(&corpus, REQUEST_SPLICES, faults)
    });
    let inputs = corpus.iter().cloned().chain(mutated);
    let (mut frames, mut both, mut differences) = (String::new(), 0, String::new());
    for input in inputs {
        let (ours, hypers) = (ours(&input), hypers(&input));
        both += ours.requests.len().min(hypers.requests.len());
        if !ours.agrees(&hypers) {
            let _ = writeln!(differences, "{}\n  ours    {ours:?}\n  hyper's {hypers:?}", input.escape_ascii());
        }
        if std::env::var_os("LANDSPOUT_FRAMES").is_some() {
            frames.push_str(&frame(&input, &ours));
        }
    }
    if let Some(path) = std::env::var_os("LANDSPOUT_FRAMES") {
        std::fs::write(path, frames).unwrap();
    }
    assert!(differences.is_empty(), "framed differently:\n{differences}");
    // It must not be by refusing everything that nothing differs.
    assert!(both > corpus.len() / 2, "both took {both} requests");
    println!("{both} requests were taken by both");
}

//! Runs an input whole, byte by byte and at every two-way cut, and compares what is said with what a table expects.
//!
//! Events are written as text:
//! - `GET /path 1.1 - keep`: a head with method, target, version, body (`-` none, `=5` a length, `chunked`), and `keep` or
//!   `close`; then `expect`, `upgrade` and a target's unusual form where they apply;
//! - `data hello`: the body's data, its pieces merged;
//! - `trailers A: 1; B: 2`, `end`;
//! - `closed`: the last message of the connection is over, what follows is ignored;
//! - `...`: the input ended in the middle of a message;
//! - `!400 BareLineFeed`: an error with its status.

use landspout_http1::{BodyLength, DecodeError, Event, Limits, RequestDecoder, RequestHead, TargetForm};
use landspout_httputil::{HttpHeaders, Version};

/// A table's row: input, expected events.
pub(crate) type Row<'a> = (&'a [u8], &'a [&'a str]);

/// Checks one input with the default limits.
pub(crate) fn check(input: &[u8], expected: &[&str]) {
    check_limited(&Limits::default(), input, expected);
}

/// Checks one input with these limits.
pub(crate) fn check_limited(limits: &Limits, input: &[u8], expected: &[&str]) {
    let whole = run(limits, &[input]);
    assert_eq!(whole.lines, expected, "whole: {}", input.escape_ascii());
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(limits, &bytes), whole, "byte by byte: {}", input.escape_ascii());
    // Every cut, or those that count in an input too long for all.
    let step = 1 + input.len() / 400;
    for cut in (0..=input.len()).step_by(step) {
        let (a, b) = input.split_at(cut);
        assert_eq!(run(limits, &[a, b]), whole, "cut at {cut}: {}", input.escape_ascii());
    }
}

/// What an input gave.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// The events as the tables have them.
    pub(crate) lines: Vec<String>,
    /// The fields of each head, which aren't in the tables: they too must not depend on the cuts.
    pub(crate) heads: Vec<String>,
}

/// What these pieces give, one after the other.
pub(crate) fn run(limits: &Limits, pieces: &[&[u8]]) -> Outcome {
    let mut decoder = RequestDecoder::new(limits.clone());
    let mut log = Outcome::default();
    let mut buffer = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let decoded = match decoder.decode(&buffer) {
                Ok(decoded) => decoded,
                Err(error) => {
                    assert_eq!(decoder.decode(&buffer).unwrap_err(), error, "an error is final");
                    assert_eq!(decoder.decode(b"").unwrap_err(), error, "an error is final");
                    assert!(!decoder.start_next() && !decoder.is_idle() && !decoder.is_complete());
                    return log.fail(&error);
                }
            };
            assert!(decoded.consumed <= buffer.len());
            let rest = buffer.split_off(decoded.consumed);
            let done = std::mem::replace(&mut buffer, rest);
            match decoded.event {
                None => break,
                Some(Event::Head(head)) => {
                    log.lines.push(describe(&head));
                    log.heads.push(list(&head.headers));
                }
                Some(Event::Data(range)) => {
                    assert!(!range.is_empty(), "data is never empty");
                    log.data(&done[range]);
                }
                Some(Event::Trailers(trailers)) => log.lines.push(format!("trailers {}", list(&trailers))),
                Some(Event::End) => {
                    log.lines.push("end".to_owned());
                    assert!(decoder.is_complete());
                    if !decoder.start_next() {
                        log.lines.push("closed".to_owned());
                    }
                }
                Some(other) => panic!("unknown event {other:?}"),
            }
        }
    }
    match decoder.eof() {
        Ok(None) => log,
        Ok(Some(event)) => panic!("{event:?} was due"),
        Err(DecodeError::Truncated) => {
            log.lines.push("...".to_owned());
            log
        }
        Err(error) => panic!("{error:?} at the end"),
    }
}

impl Outcome {
    fn data(&mut self, data: &[u8]) {
        let text = data.escape_ascii().to_string();
        match self.lines.last_mut() {
            Some(last) if last.starts_with("data ") => last.push_str(&text),
            _ => self.lines.push(format!("data {text}")),
        }
    }

    fn fail(mut self, error: &DecodeError) -> Self {
        let debug = format!("{error:?}");
        let name = debug.split('(').next().unwrap_or_default();
        self.lines.push(format!("!{} {name}", error.status().as_u16()));
        self
    }
}

fn describe(head: &RequestHead) -> String {
    let version = match head.start_line.version() {
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        other => panic!("version {other:?}"),
    };
    let body = match head.body {
        BodyLength::None => "-".to_owned(),
        BodyLength::Fixed(length) => format!("={length}"),
        BodyLength::Chunked => "chunked".to_owned(),
        other => panic!("body {other:?}"),
    };
    let mut line = format!("{} {} {version} {body}", head.start_line.method(), head.start_line.path());
    line.push_str(if head.keep_alive { " keep" } else { " close" });
    for (flag, name) in [
        (head.expect_continue, " expect"),
        (head.upgrade, " upgrade"),
        (head.target == TargetForm::Absolute, " absolute"),
        (head.target == TargetForm::Authority, " authority"),
        (head.target == TargetForm::Asterisk, " asterisk"),
    ] {
        line.push_str(if flag { name } else { "" });
    }
    line
}

pub(crate) fn list(headers: &HttpHeaders) -> String {
    let fields: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect();
    fields.join("; ")
}

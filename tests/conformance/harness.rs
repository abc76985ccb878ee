//! Sends a case's bytes over a socket, whole and byte by byte, and compares what comes back with what the table expects.
//!
//! An expectation lists the answers in their order, and how it ends:
//! - `200`: an answer with this status; `200=some_text`: with this body (`some text`); `200!`: to HEAD, so that no body follows;
//! - `open`: the connection is kept: one more request gets its answer, and nothing came before that;
//! - `closed`: the server ends the connection without being asked to, and the last answer has said so;
//! - `cut`: it does, and nothing has said so;
//! - `waits`: nothing further comes, since a message isn't complete; and nothing when the client ends its side then.
//!
//! Each answer is held against the rules for answers, whatever the case is about: see [`Answer::parse`].

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::support::{DEADLINE, Example};

/// A row: a name, where it comes from (sections of the RFCs, names in public suites), the bytes, what is expected.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) source: &'static str,
    pub(crate) input: Vec<u8>,
    pub(crate) expected: String,
    /// The pieces in which the input is sent.
    steps: &'static [usize],
}

impl Case {
    pub(crate) fn new(
        name: &str,
        source: &'static str,
        input: impl Into<Vec<u8>>,
        expected: impl Into<String>,
    ) -> Self {
        let input = input.into();
        let steps: &[usize] = if input.len() > LONG { &[usize::MAX, 1000] } else { &[usize::MAX, 1] };
        Self { name: name.to_owned(), source, input, expected: expected.into(), steps }
    }

    /// The case is about what comes at once.
    pub(crate) fn whole(self) -> Self {
        Self { steps: &[usize::MAX], ..self }
    }
}

/// A request for `/` with these fields, each with its line end.
pub(crate) fn get(fields: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: a\r\n", fields.as_ref(), b"\r\n"].concat()
}

/// A request for `/echo` with these fields, each with its line end, and what follows the head.
pub(crate) fn echo(fields: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    [b"POST /echo HTTP/1.1\r\nHost: a\r\n", fields.as_ref(), b"\r\n", body.as_ref()].concat()
}

/// What no case's own request gets as an answer.
const PROBE: &[u8] = b"GET /sleep?ms=0 HTTP/1.1\r\nHost: probe\r\n\r\n";
const PROBE_ANSWER: &[u8] = b"slept 0 ms\n";

/// Longer inputs aren't sent byte by byte.
const LONG: usize = 4096;

/// Runs all cases against one server, and fails with a list of those that went wrong.
pub(crate) fn check(cases: impl IntoIterator<Item = Case>) {
    check_with(&[], cases);
}

/// The same with arguments for the server.
pub(crate) fn check_with(arguments: &[&str], cases: impl IntoIterator<Item = Case>) {
    let server = Example::start("http_playground", arguments);
    let mut failures = String::new();
    let mut names = Vec::new();
    for case in cases {
        assert!(!names.contains(&case.name), "two cases are called {}", case.name);
        for step in case.steps {
            if let Err(why) = run(server.address(), &case, *step) {
                let how = if *step == usize::MAX { "whole" } else { "in pieces" };
                let input: String = case.input.escape_ascii().to_string().chars().take(400).collect();
                let _ = writeln!(failures, "{} ({}) {how}: {why}\n    {input}", case.name, case.source);
                break;
            }
        }
        names.push(case.name);
    }
    assert!(failures.is_empty(), "\n{failures}");
    println!("{} cases", names.len());
    server.terminate();
}

fn run(address: SocketAddr, case: &Case, step: usize) -> Result<(), String> {
    Wire::connect(address).map_err(|error| format!("connecting: {error}"))?.finish(case, step)
}

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    arrived: Vec<u8>,
    ended: bool,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, arrived: Vec::new(), ended: false })
    }

    /// Sends a case's bytes, in pieces of `step`, and compares all that comes from here on with what it expects.
    pub(crate) fn finish(mut self, case: &Case, step: usize) -> Result<(), String> {
        let (answers, end) = case.expected.rsplit_once(' ').unwrap_or(("", &case.expected));
        self.send(&case.input, step);
        if end == "open" {
            self.send(PROBE, usize::MAX);
        }
        let mut last = None;
        for expected in answers.split_whitespace() {
            let answer = self.answer(expected.ends_with('!') && !expected.contains('='))?;
            answer.compare(expected)?;
            last = Some(answer);
        }
        match end {
            "open" => {
                let answer = self.answer(false)?;
                if answer.body != PROBE_ANSWER {
                    return Err(format!("before the answer to the request behind it came:\n{answer}"));
                }
                if last.as_ref().is_some_and(|last| last.closes()) || answer.closes() {
                    return Err("an answer says that the connection closes, and it doesn't".to_owned());
                }
                self.end_sending();
            }
            "waits" => self.end_sending(),
            "closed" | "cut" => {}
            other => panic!("{}: what does {other:?} mean?", case.name),
        }
        self.expect_end()?;
        match last {
            // RFC 9112, section 9.6. HTTP/1.0 knows it without being told.
            Some(last) if end == "closed" && !last.closes() && !last.to_http10(case) => {
                Err(format!("no `Connection: close` before the end:\n{last}"))
            }
            _ => Ok(()),
        }
    }

    /// Errors are left to the reader: a server may have ended the connection, and what it said counts.
    pub(crate) fn send(&mut self, bytes: &[u8], step: usize) {
        for piece in bytes.chunks(step) {
            if self.stream.write_all(piece).is_err() {
                return;
            }
        }
    }

    pub(crate) fn end_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn more(&mut self) -> Result<(), String> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => self.ended = true,
            Ok(n) => self.arrived.extend_from_slice(&piece[..n]),
            Err(error) => return Err(format!("{error} after {:?}", self.arrived.escape_ascii().to_string())),
        }
        Ok(())
    }

    pub(crate) fn answer(&mut self, to_head: bool) -> Result<Answer, String> {
        loop {
            if let Some((answer, len)) = Answer::parse(&self.arrived, to_head, self.ended)? {
                self.arrived.drain(..len);
                return Ok(answer);
            }
            if self.ended {
                return Err(format!(
                    "the end instead of an answer, after {:?}",
                    self.arrived.escape_ascii().to_string()
                ));
            }
            self.more()?;
        }
    }

    /// All that comes until the end.
    pub(crate) fn everything(mut self) -> Result<Vec<u8>, String> {
        while !self.ended {
            self.more()?;
        }
        Ok(self.arrived)
    }

    pub(crate) fn expect_end(&mut self) -> Result<(), String> {
        while !self.ended {
            self.more()?;
        }
        match self.arrived.is_empty() {
            true => Ok(()),
            false => Err(format!("instead of the end came {:?}", self.arrived.escape_ascii().to_string())),
        }
    }
}

/// An answer that keeps the rules.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    /// The answer at the start of `bytes` and its length; `None` if more is needed. `ended`: nothing more will come.
    ///
    /// The status line and the fields follow the grammar strictly (RFC 9112, sections 4 and 5). A final answer has one `Date`
    /// (RFC 9110, section 6.6.1), and one framing at most (RFC 9112, section 6.3): none with 1xx, 204 and 304; 405 comes with
    /// `Allow` (RFC 9110, section 15.5.6), content with its type (section 8.3).
    fn parse(bytes: &[u8], to_head: bool, ended: bool) -> Result<Option<(Self, usize)>, String> {
        let Some(head_len) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&bytes[..head_len]).map_err(|error| error.to_string())?;
        let wrong = |what: &str| Err(format!("{what}:\n{head}"));
        let mut lines = head.split("\r\n");
        let Some(status) = lines.next().and_then(status_of) else { return wrong("no status line") };
        let mut fields = Vec::new();
        for line in lines {
            match line.split_once(": ") {
                Some((name, value)) if is_token(name) && is_value(value) => {
                    fields.push((name.to_ascii_lowercase(), value.to_owned()));
                }
                _ => return wrong("a field that is none"),
            }
        }
        let mut answer = Self { status, fields, body: Vec::new() };
        let count = |name: &str| answer.fields.iter().filter(|(field, _)| field == name).count();
        if ["date", "content-length", "transfer-encoding", "connection", "content-type"]
            .into_iter()
            .any(|name| count(name) > 1)
        {
            return wrong("a field twice");
        }
        let (length, chunked) = (answer.field("content-length"), count("transfer-encoding") == 1);
        let start = head_len + 4;
        if status < 200 || status == 204 || status == 304 {
            if chunked || length.is_some() && status != 304 {
                return wrong("framing without a body");
            }
        } else if length.is_some() && chunked {
            return wrong("two framings");
        }
        if status >= 200 && !answer.field("date").is_some_and(is_date) {
            return wrong("no date");
        }
        if status == 405 && answer.field("allow").is_none_or(str::is_empty) {
            return wrong("405 without Allow");
        }
        if to_head || status < 200 || status == 204 || status == 304 {
            return Ok(Some((answer, start)));
        }
        let rest = &bytes[start..];
        let len = match length {
            Some(length) => {
                let Ok(length) = length.parse::<usize>() else { return wrong("a length that is no number") };
                let Some(body) = rest.get(..length) else { return Ok(None) };
                answer.body = body.to_vec();
                length
            }
            None if chunked => match chunks(rest)? {
                None => return Ok(None),
                Some((body, len)) => {
                    answer.body = body;
                    len
                }
            },
            // Until the connection ends.
            None if !ended => return Ok(None),
            None => {
                answer.body = rest.to_vec();
                rest.len()
            }
        };
        if !answer.body.is_empty() && answer.field("content-type").is_none() {
            return wrong("content without a type");
        }
        Ok(Some((answer, start + len)))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| &**value)
    }

    pub(crate) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Whether it answers the last request of a case, and that was one of HTTP/1.0.
    fn to_http10(&self, case: &Case) -> bool {
        find(&case.input, b" HTTP/1.0\r\n").is_some()
    }

    pub(crate) fn compare(&self, expected: &str) -> Result<(), String> {
        let (status, body) = match expected.split_once('=') {
            Some((status, body)) => (status, Some(body.replace('_', " "))),
            None => (expected.trim_end_matches('!'), None),
        };
        let same_body = body.is_none_or(|body| self.body.trim_ascii_end() == body.as_bytes());
        match status == self.status.to_string() && same_body {
            true => Ok(()),
            false => Err(format!("expected {expected}, got\n{self}")),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.fields {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "\n{}", self.body.escape_ascii())
    }
}

fn status_of(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.1 ")?;
    let (code, reason) = rest.split_once(' ')?;
    let good = code.len() == 3 && reason.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    code.parse().ok().filter(|code| good && (100..600).contains(code))
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_value(value: &str) -> bool {
    value == value.trim() && value.bytes().all(|byte| byte == b' ' || byte == b'\t' || byte.is_ascii_graphic())
}

/// IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
fn is_date(date: &str) -> bool {
    let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let words: Vec<&str> = shape.split(' ').collect();
    let [day, "00", month, "0000", "00:00:00", "GMT"] = words[..] else { return false };
    ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"].contains(&day)
        && "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(' ').any(|name| name == month)
}

/// A chunked body: its data and its length on the wire.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line_len) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(&bytes[at..at + line_len]).into_owned();
        let size = usize::from_str_radix(&line, 16).map_err(|_| format!("{line:?} is no size of a chunk"))?;
        let start = at + line_len + 2;
        let Some(chunk) = bytes.get(start..start + size + 2) else { return Ok(None) };
        let Some(data) = chunk.strip_suffix(b"\r\n") else { return Err("a chunk without an end".to_owned()) };
        body.extend_from_slice(data);
        at = start + size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

//! A client just big enough to use an example once: one request or one echo per connection, over plain sockets.
//!
//! It shares no code with the crates of this repository, so that it can't share their mistakes.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// For one use, from connecting to the last byte.
const DEADLINE: Duration = Duration::from_secs(30);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    head: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]);
        write!(f, "{:?} with {} bytes of body: {start:?}", self.head, self.body.len())
    }
}

/// Sends one request and reads its answer until the server closes, as the request asks it to.
pub(crate) fn http(address: SocketAddr, method: &str, target: &str, body: &[u8]) -> Result<Answer, String> {
    ask(address, method, target, &[], body)
}

/// The same for GET, with further fields.
pub(crate) fn get_with(address: SocketAddr, target: &str, fields: &[(&str, &str)]) -> Result<Answer, String> {
    ask(address, "GET", target, fields, b"")
}

/// Sends a form of parts with that boundary.
pub(crate) fn post_form(address: SocketAddr, target: &str, boundary: &str, body: &[u8]) -> Result<Answer, String> {
    ask(address, "POST", target, &[("Content-Type", &format!("multipart/form-data; boundary={boundary}"))], body)
}

fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, String> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n").into_bytes();
    for (name, value) in fields {
        request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() {
        request.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    let answer = exchange(address, &request).and_then(|answer| parse(&answer, method == "HEAD"));
    answer.map_err(|problem| format!("{method} {target}: {problem}"))
}

fn exchange(address: SocketAddr, request: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = tcp(address)?;
    stream.write_all(request).map_err(|error| format!("while sending: {error}"))?;
    let mut answer = Vec::new();
    let begin = Instant::now();
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(answer),
            Ok(n) => answer.extend_from_slice(&chunk[..n]),
            Err(error) => return Err(format!("no end after {} bytes: {error}", answer.len())),
        }
        if begin.elapsed() > DEADLINE {
            return Err(format!("no end after {} bytes and {DEADLINE:?}", answer.len()));
        }
    }
}

/// Writes a line and expects the same line.
pub(crate) fn echo(mut stream: impl Read + Write) -> Result<(), String> {
    const LINE: &[u8] = b"how much wood would a woodchuck chuck\n";
    let mut answer = [0; LINE.len()];
    stream
        .write_all(LINE)
        .and_then(|()| stream.read_exact(&mut answer))
        .map_err(|error| format!("no echo of a line: {error}"))?;
    if answer == LINE { Ok(()) } else { Err(format!("the echo is {:?}", String::from_utf8_lossy(&answer))) }
}

/// Writes `said` and reads until the text `expected` came.
pub(crate) fn converse(stream: &mut TcpStream, said: &[u8], expected: &str) -> Result<(), String> {
    let problem = |error, heard: &[u8]| format!("no {expected:?}: {error}, after {:?}", String::from_utf8_lossy(heard));
    let mut heard = Vec::new();
    stream.write_all(said).map_err(|error| problem(error, &heard))?;
    while !heard.windows(expected.len()).any(|window| window == expected.as_bytes()) {
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) => return Err(problem(io::ErrorKind::UnexpectedEof.into(), &heard)),
            Ok(n) => heard.extend_from_slice(&piece[..n]),
            Err(error) => return Err(problem(error, &heard)),
        }
    }
    Ok(())
}

/// Writes `said` and reads until the other side closes.
pub(crate) fn converse_to_end(stream: &mut TcpStream, said: &[u8]) -> Result<Vec<u8>, String> {
    let mut heard = Vec::new();
    let read = stream.write_all(said).and_then(|()| stream.read_to_end(&mut heard));
    read.map_err(|error| format!("no end after {:?}: {error}", String::from_utf8_lossy(&heard)))?;
    Ok(heard)
}

pub(crate) fn tcp(address: SocketAddr) -> Result<TcpStream, String> {
    let connect = || {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(stream)
    };
    connect().map_err(|error: io::Error| format!("connecting to {address}: {error}"))
}

pub(crate) fn unix(path: &Path) -> Result<UnixStream, String> {
    let connect = || {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(stream)
    };
    connect().map_err(|error: io::Error| format!("connecting to {}: {error}", path.display()))
}

/// `to_head`: the answer is one to HEAD, which tells about a body that doesn't follow.
fn parse(answer: &[u8], to_head: bool) -> Result<Answer, String> {
    let shown = || String::from_utf8_lossy(&answer[..answer.len().min(300)]);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| format!("an answer without a head: {:?}", shown()))?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("no status line: {:?}", shown()))?;
    let body = &answer[end + 4..];
    let body = if to_head {
        body.to_vec()
    } else if field(&head, "Transfer-Encoding").is_some() {
        dechunk(body).ok_or("a chunked body that is broken or cut")?
    } else {
        match field(&head, "Content-Length") {
            Some(length) if length != body.len().to_string() => {
                return Err(format!("Content-Length: {length}, but {} bytes of body", body.len()));
            }
            _ => body.to_vec(),
        }
    };
    Ok(Answer { status, body, head })
}

fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        rest = &rest[end + 2..];
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
        if size == 0 {
            return rest.is_empty().then_some(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer = parse(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno", false).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (404, &b"no"[..]));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(parse(chunked, false).unwrap().body, b"abc0123456789");
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true).unwrap().body, b"");
    }

    #[test]
    fn broken_answers_are_refused() {
        let broken: [&[u8]; 6] = [
            b"",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nmore",
        ];
        for answer in broken {
            assert!(parse(answer, false).is_err(), "{:?}", String::from_utf8_lossy(answer));
        }
    }
}

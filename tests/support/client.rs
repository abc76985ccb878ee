//! A client with one connection: sends bytes as they are, reads answers by their framing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::DEADLINE;

/// A kept-alive connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// With the status line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// `GET target`, as bytes.
pub(crate) fn get(target: &str) -> Vec<u8> {
    request("GET", target)
}

/// A request without a body.
pub(crate) fn request(method: &str, target: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// `POST target` with a body by `Content-Length`.
pub(crate) fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// `POST target` with a body in chunks of the given sizes in turn.
pub(crate) fn post_chunked(target: &str, mut body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out =
        format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    for size in sizes.iter().cycle() {
        let (chunk, rest) = body.split_at(body.len().min(*size));
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        if chunk.is_empty() {
            break;
        }
        body = rest;
    }
    out
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        // Small: a test may have a thousand of these.
        Ok(Self { stream: BufReader::with_capacity(4096, stream) })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("while sending: {error}"));
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more is sent, and can still receive.
    pub(crate) fn shutdown_write(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    pub(crate) fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.answer()
    }

    pub(crate) fn try_ask(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.try_send(request)?;
        self.try_answer()
    }

    /// Reads one answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().unwrap_or_else(|error| panic!("while reading an answer: {error}"))
    }

    /// Reads one answer to HEAD, which tells about a body that doesn't follow.
    pub(crate) fn answer_to_head(&mut self) -> Answer {
        self.head().unwrap_or_else(|error| panic!("while reading an answer's head: {error}"))
    }

    pub(crate) fn try_answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head()?;
        answer.body = match (answer.field("Transfer-Encoding"), answer.field("Content-Length")) {
            (Some("chunked"), None) => {
                let mut body = Vec::new();
                while let Some(chunk) = self.chunk()? {
                    body.extend_from_slice(&chunk);
                }
                body
            }
            (None, Some(length)) => {
                let mut body = vec![0; length.parse().map_err(|_| broken(&answer.head))?];
                self.stream.read_exact(&mut body)?;
                body
            }
            _ => return Err(broken(&answer.head)),
        };
        Ok(answer)
    }

    /// The status line and the fields; the body is left unread.
    pub(crate) fn head(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let before = head.len();
            if self.stream.read_line(&mut head)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the end in the head {head:?}")));
            }
            if before == 0 && !head.starts_with("HTTP/1.1 ") {
                return Err(broken(&head));
            }
        }
        let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(|| broken(&head))?;
        Ok(Answer { status, head, body: Vec::new() })
    }

    /// The next chunk of a chunked body; `None` after the last.
    pub(crate) fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end(), 16).map_err(|_| broken(&line))?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk)?;
        match chunk.split_off(size).as_slice() {
            b"\r\n" => Ok((size > 0).then_some(chunk)),
            _ => Err(broken(&line)),
        }
    }

    /// What has arrived, at most `limit` bytes and at least one.
    pub(crate) fn some(&mut self, limit: usize) -> Vec<u8> {
        let arrived = self.stream.fill_buf().unwrap_or_else(|error| panic!("while reading: {error}"));
        assert!(!arrived.is_empty(), "the end instead of a body");
        let piece = arrived[..arrived.len().min(limit)].to_vec();
        self.stream.consume(piece.len());
        piece
    }

    /// So many bytes of a body.
    pub(crate) fn read_exactly(&mut self, n: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; n];
        self.stream.read_exact(&mut bytes).map(|()| bytes)
    }

    /// Waits until the server has closed the connection, or it is reset; nothing more may come.
    pub(crate) fn expect_end(&mut self) {
        match self.stream.fill_buf() {
            Ok(rest) => assert_eq!(String::from_utf8_lossy(rest), "", "expected the end"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "expected the end"),
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP as it should be: {what:?}"))
}

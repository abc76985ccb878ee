//! A client of a connection that is kept alive: it reads one answer after the other, and no byte too many.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For one wait: only a failure takes that long.
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Result<Self, String> {
        let connect = || {
            let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.set_write_timeout(Some(DEADLINE))?;
            std::io::Result::Ok(Self { stream: BufReader::new(stream) })
        };
        connect().map_err(|error| format!("connecting to {address}: {error}"))
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.get_mut().write_all(bytes).map_err(|error| format!("while sending: {error}"))
    }

    pub(super) fn answer(&mut self) -> Result<Answer, String> {
        Answer::read(&mut self.stream)
    }

    /// The server has closed, and nothing is left.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self.stream.fill_buf() {
            Ok([]) => Ok(()),
            Ok(rest) => Err(format!("{} bytes behind the answer", rest.len())),
            Err(error) => Err(format!("it is not closed: {error}")),
        }
    }

    pub(super) fn exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        exactly(&mut self.stream, length)
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    /// In their order.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Of head and body as they came, in bytes.
    pub(super) length: usize,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// An answer whose body has its length told: the contract knows no other.
    pub(super) fn read(source: &mut impl BufRead) -> Result<Self, String> {
        let mut length = 0;
        let mut line = |source: &mut dyn BufRead| {
            let mut line = String::new();
            source.read_line(&mut line).map_err(|error| format!("no whole head came: {error}"))?;
            length += line.len();
            match line.strip_suffix("\r\n") {
                Some(line) => Ok(line.to_owned()),
                None => Err(format!("a head that ends with {line:?}")),
            }
        };
        let first = line(source)?;
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| format!("no status line: {first:?}"))?;
        let mut answer = Self { status, fields: Vec::new(), body: Vec::new(), length: 0 };
        loop {
            let line = line(source)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| format!("no header field: {line:?}"))?;
            answer.fields.push((name.to_owned(), value.trim().to_owned()));
        }
        let body = answer.field("Content-Length").and_then(|length| length.parse().ok());
        let body = body.ok_or_else(|| format!("status {status}, and the length of the body isn't told"))?;
        answer.body = exactly(source, body)?;
        answer.length = length + body;
        Ok(answer)
    }
}

fn exactly(source: &mut impl Read, length: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; length];
    source.read_exact(&mut bytes).map_err(|error| format!("no {length} bytes came: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_one_by_one() {
        let mut source =
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nokHTTP/1.1 404 No\r\ncontent-length:0\r\n\r\n"[..];
        let first = Answer::read(&mut source).unwrap();
        assert_eq!(
            (first.status, first.field("x"), first.body.as_slice(), first.length),
            (200, Some("y"), &b"ok"[..], 46)
        );
        assert_eq!(Answer::read(&mut source).unwrap().status, 404);
        assert!(Answer::read(&mut source).is_err());
    }

    #[test]
    fn broken_answers_are_refused() {
        let broken: [&[u8]; 5] = [
            b"HTTP/1.1 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno",
            b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n",
        ];
        for mut answer in broken {
            assert!(Answer::read(&mut answer).is_err());
        }
    }
}

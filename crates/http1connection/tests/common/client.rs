//! A client that takes nothing for granted: every byte of a response is accounted for.

use std::future::Future;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use landspout_iostream::{IoStream, StreamError};

/// A client's side of a connection.
pub struct Client {
    pub stream: IoStream,
}

/// A response, read strictly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub reason: String,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The sizes of a chunked body's chunks.
    pub chunks: Vec<usize>,
}

impl Response {
    /// The value of a field that may occur once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} occurs once in {self:?}");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Status and body.
    pub fn brief(&self) -> (u16, &str) {
        (self.status, self.text())
    }
}

impl Client {
    pub fn new(stream: IoStream) -> Self {
        Self { stream }
    }

    /// Sends, now, what the kernel takes.
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        let mut written = self.stream.write(bytes.as_ref()).unwrap();
        // The first poll hands it to the kernel.
        let _ = Pin::new(&mut written).poll(&mut Context::from_waker(Waker::noop()));
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        self.response().await
    }

    /// Reads the response to a request other than HEAD.
    pub async fn response(&self) -> Response {
        let mut response = self.head().await;
        if response.status < 200 || matches!(response.status, 204 | 304) {
            return response;
        }
        if response.field("transfer-encoding").is_some() {
            self.read_chunks(&mut response).await;
        } else if let Some(length) = response.field("content-length") {
            response.body = self.stream.read_bytes(length.parse().unwrap()).await.unwrap().to_vec();
        } else {
            response.body = self.rest().await;
        }
        response
    }

    /// Reads a response's head; for HEAD that is all.
    pub async fn head(&self) -> Response {
        let head = self.stream.read_until(b"\r\n\r\n", Some(65_536)).await.expect("a response comes");
        let head = std::str::from_utf8(&head).unwrap();
        let mut lines = head.split_terminator("\r\n");
        let status_line = lines.next().unwrap().strip_prefix("HTTP/1.1 ").expect("always HTTP/1.1");
        let (status, reason) = status_line.split_once(' ').unwrap();
        let fields = lines.take_while(|line| !line.is_empty()).map(|line| {
            assert!(!line.contains('\n') && !line.starts_with(' '), "one line for each field: {head:?}");
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        });
        let response = Response {
            status: status.parse().unwrap(),
            reason: reason.to_owned(),
            fields: fields.collect(),
            body: Vec::new(),
            chunks: Vec::new(),
        };
        let framings = ["content-length", "transfer-encoding"].map(|name| response.field(name).is_some());
        assert!(framings != [true, true], "one framing: {response:?}");
        if response.status >= 200 {
            assert_eq!(response.field("date").map(str::len), Some(29), "{response:?}");
        }
        response
    }

    async fn read_chunks(&self, response: &mut Response) {
        assert_eq!(response.field("transfer-encoding"), Some("chunked"));
        loop {
            let Some(chunk) = self.chunk().await else { return };
            response.chunks.push(chunk.len());
            response.body.extend(chunk);
        }
    }

    /// Reads one chunk; `None` for the last.
    pub async fn chunk(&self) -> Option<Vec<u8>> {
        let line = self.stream.read_until(b"\r\n", Some(20)).await.unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&line[..line.len() - 2]).unwrap(), 16).unwrap();
        let chunk = self.stream.read_bytes(size).await.unwrap();
        assert_eq!(self.stream.read_bytes(2).await.unwrap(), "\r\n");
        (size > 0).then(|| chunk.to_vec())
    }

    /// Reads to the end, which has to be a clean one: no reset.
    pub async fn rest(&self) -> Vec<u8> {
        let rest = self.stream.read_until_close().await.unwrap().to_vec();
        assert_eq!(self.stream.error(), None, "no clean end after {:?}", String::from_utf8_lossy(&rest));
        rest
    }

    /// The server says nothing more and closes, cleanly.
    pub async fn end(&self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "more than expected: {:?}", String::from_utf8_lossy(&rest));
    }

    /// The server has closed, cleanly or by a reset; gives what came before.
    pub async fn cut(&self) -> Vec<u8> {
        self.stream.read_until_close().await.unwrap().to_vec()
    }

    /// Nothing is there to be read.
    pub fn assert_silent(&self) {
        let mut waiting = Box::pin(self.stream.read_bytes_partial(1000));
        if let Poll::Ready(read) = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            panic!("expected silence, got {read:?}");
        }
    }

    /// Ends the sending side and goes on reading.
    pub fn end_sending(&self) {
        self.stream.shutdown_write_now().unwrap();
    }

    /// Closes in an orderly way.
    pub fn hang_up(self) {
        self.stream.close();
    }

    /// Breaks the connection off: closing with unread bytes makes the kernel reset it.
    pub fn reset(self) {
        self.stream.close();
    }
}

/// Waits until `n` bytes lie in a socket's receive buffer.
pub async fn until_received(socket: &TcpStream, n: usize) {
    let mut memory = vec![0; n];
    super::until(|| socket.peek(&mut memory).is_ok_and(|got| got == n)).await;
}

/// The error of a read or write on a stream whose connection was reset.
pub fn is_reset(error: &StreamError) -> bool {
    let StreamError::Closed(Some(cause)) = error else { return false };
    cause.io_kind() == Some(std::io::ErrorKind::ConnectionReset)
}

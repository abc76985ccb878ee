//! A client of HTTP for `peer.rs`: `Http1ClientConnection` against servers that share no code with it.
//!
//! Each `--request` is `METHOD TARGET [BODY N]`, where BODY is how N bytes go with it: `length`, `chunks`, or `expect`, by length
//! and waiting for `100 Continue`. They go over one connection as long as the server keeps it. For each there is a line: status,
//! the statuses of interim responses, how much of a body came and whether it was the one that was sent, how much of that was
//! written, and what becomes of the connection.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use landspout::http1connection::{AfterResponse, Http1ClientConnection, Http1ConnectionParameters};
use landspout::httputil::{
    BoxError, HttpHeaders, HttpMessageDelegate, HttpOutputError, Method, RequestStartLine, ResponseStartLine, Version,
};
use landspout::ioloop::IoLoop;
use landspout::iostream::{IoStream, Tls};

use super::{Outcome, PIECE, Pattern};

/// Sends the requests, one after the other.
pub(crate) async fn send(address: SocketAddr, tls: Option<Tls>, requests: Vec<String>) -> Outcome<String> {
    let mut kept: Option<Http1ClientConnection> = None;
    let mut connections = 0;
    for request in &requests {
        let connection = match kept.take() {
            Some(connection) => connection,
            None => {
                connections += 1;
                let stream = IoStream::connect(address).await?;
                if let Some(tls) = &tls {
                    stream.start_tls(tls.clone()).await?;
                }
                Http1ClientConnection::new(stream, Http1ConnectionParameters::default())
            }
        };
        if let AfterResponse::Reusable = exchange(&connection, address, request).await? {
            kept = Some(connection);
        }
    }
    Ok(format!("{} answers on {connections} connections", requests.len()))
}

async fn exchange(connection: &Http1ClientConnection, address: SocketAddr, request: &str) -> Outcome<AfterResponse> {
    let mut words = request.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let start_line = RequestStartLine::new(Method::from_bytes(word().as_bytes())?, word(), Version::HTTP_11);
    let (framing, size) = (word(), word().parse().unwrap_or(0));
    let mut headers = HttpHeaders::try_from_iter([("Host", address.to_string())])?;
    match framing {
        "length" | "expect" => headers.set("Content-Length", size.to_string())?,
        "chunks" => headers.set("Transfer-Encoding", "chunked")?,
        _ => {}
    }
    if framing == "expect" {
        headers.set("Expect", "100-continue")?;
    }
    connection.write_headers(&start_line, &headers, b"")?;
    let upload = Upload { connection: connection.clone(), size, written: Rc::default() };
    let written = upload.written.clone();
    let mut answer =
        Answer { status: 0, interim: Vec::new(), expected: Pattern::default(), same: true, length: 0, waiting: None };
    if framing == "expect" {
        answer.waiting = Some(upload);
    } else {
        upload.start();
    }
    let after = connection.read_response(&mut answer).await?;
    let Answer { status, interim, same, length, .. } = answer;
    let what = if length > 0 && length == size && same { "what was sent" } else { "another body" };
    let becomes = match after {
        AfterResponse::Reusable => "kept",
        AfterResponse::Closed => "closed",
        _ => "switched",
    };
    println!("answer: {status} {interim:?} {length} bytes, {what}, {becomes}; sent {} of {size}", written.get());
    Ok(after)
}

/// A body, written no faster than the server reads it.
struct Upload {
    connection: Http1ClientConnection,
    size: usize,
    written: Rc<Cell<usize>>,
}

impl Upload {
    /// By a task of its own, which ends where the server wants no more.
    fn start(self) {
        IoLoop::current().spawn(async move { self.write().await });
    }

    async fn write(self) -> Result<(), HttpOutputError> {
        let mut pattern = Pattern::default();
        while self.written.get() < self.size {
            let piece = pattern.next((self.size - self.written.get()).min(PIECE));
            self.connection.write(&piece)?;
            self.connection.flush().await?;
            self.written.set(self.written.get() + piece.len());
        }
        self.connection.finish()
    }
}

/// A response as it comes.
struct Answer {
    status: u16,
    interim: Vec<u16>,
    expected: Pattern,
    same: bool,
    length: usize,
    /// What waits for `100 Continue`.
    waiting: Option<Upload>,
}

impl HttpMessageDelegate<ResponseStartLine> for Answer {
    async fn headers_received(&mut self, start_line: ResponseStartLine, _: HttpHeaders) -> Result<(), BoxError> {
        let status = start_line.code.as_u16();
        if status >= 200 {
            self.status = status;
            return Ok(());
        }
        self.interim.push(status);
        if let (100, Some(upload)) = (status, self.waiting.take()) {
            upload.start();
        }
        Ok(())
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        self.length += chunk.len();
        self.same &= chunk == self.expected.next(chunk.len());
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

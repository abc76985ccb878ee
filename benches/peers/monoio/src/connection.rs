//! One client: requests are answered into a buffer as long as whole ones are there; then it leaves, and more is read.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use httparse::Status;
use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use peer_support::next_piece;

use crate::answers::Answers;
use crate::request::{Body, Head, Route, head, invalid};

/// What is read at once, at least.
const ROOM: usize = 16 * 1024;
const MAX_HEAD: usize = 64 * 1024;
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

pub(crate) struct Connection {
    stream: TcpStream,
    answers: Rc<RefCell<Answers>>,
    input: Vec<u8>,
    /// What was taken of `input`.
    taken: usize,
    output: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, answers: Rc<RefCell<Answers>>) -> Self {
        Self { stream, answers, input: Vec::with_capacity(ROOM), taken: 0, output: Vec::with_capacity(ROOM) }
    }

    pub(crate) async fn serve(mut self) -> io::Result<()> {
        while self.fill().await? {
            self.answers.borrow_mut().refresh();
            while let Some(head) = head(&self.input[self.taken..])? {
                self.taken += head.length;
                self.answer(&head).await?;
                if head.close {
                    return self.flush().await;
                }
            }
            if self.input.len() - self.taken > MAX_HEAD {
                return Err(invalid("a head without an end"));
            }
            self.flush().await?;
        }
        Ok(())
    }

    async fn answer(&mut self, head: &Head) -> io::Result<()> {
        let body = if head.body == Body::Length(0) { Vec::new() } else { self.body(head.body).await? };
        match head.route {
            Route::Hello => self.answers.borrow().hello(&mut self.output),
            Route::Echo => {
                self.answers.borrow().binary(body.len() as u64, &mut self.output);
                self.output.extend_from_slice(&body);
            }
            Route::Stream(length) => {
                self.answers.borrow().binary(length, &mut self.output);
                self.pieces(length).await?;
            }
            Route::Unknown => self.output.extend_from_slice(NOT_FOUND),
        }
        Ok(())
    }

    async fn pieces(&mut self, length: u64) -> io::Result<()> {
        self.flush().await?;
        let mut left = length;
        while left > 0 {
            let piece = next_piece(left);
            self.stream.write_all(piece).await.0?;
            left -= piece.len() as u64;
        }
        Ok(())
    }

    /// The whole body.
    async fn body(&mut self, framing: Body) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match framing {
            Body::Length(length) => self.take(length, &mut body).await?,
            Body::Chunked => loop {
                let (line, size) = self.chunk_size().await?;
                self.taken += line;
                // The line's end behind a chunk, and the last line: trailer fields are not known here.
                let end = body.len();
                self.take(size + 2, &mut body).await?;
                if !body.ends_with(b"\r\n") {
                    return Err(invalid("the end of a chunk"));
                }
                body.truncate(end + size as usize);
                if size == 0 {
                    break;
                }
            },
        }
        Ok(body)
    }

    async fn take(&mut self, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
        let mut left = usize::try_from(length).map_err(|_| invalid("a body's length"))?;
        loop {
            let taken = left.min(self.input.len() - self.taken);
            body.extend_from_slice(&self.input[self.taken..self.taken + taken]);
            self.taken += taken;
            left -= taken;
            if left == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    /// The length of the line and the size in it.
    async fn chunk_size(&mut self) -> io::Result<(usize, u64)> {
        loop {
            match httparse::parse_chunk_size(&self.input[self.taken..]) {
                Ok(Status::Complete(found)) => return Ok(found),
                Ok(Status::Partial) => self.more().await?,
                Err(_) => return Err(invalid("the size of a chunk")),
            }
        }
    }

    /// Within a body.
    async fn more(&mut self) -> io::Result<()> {
        if self.fill().await? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads once. False at the client's end.
    async fn fill(&mut self) -> io::Result<bool> {
        let mut input = std::mem::take(&mut self.input);
        input.drain(..self.taken);
        self.taken = 0;
        let length = input.len();
        input.reserve(ROOM);
        let (result, input) = self.stream.read(input.slice_mut(length..)).await;
        self.input = input.into_inner();
        Ok(result? > 0)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let (result, mut output) = self.stream.write_all(std::mem::take(&mut self.output)).await;
        output.clear();
        self.output = output;
        result.map(drop)
    }
}

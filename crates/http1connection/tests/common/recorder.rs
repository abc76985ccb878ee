//! A delegate that writes down each call and lets the test answer it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use landspout_httputil::{
    BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, HttpServerConnectionDelegate, RequestStartLine,
    ResponseStartLine, ServerConnectionId, StatusCode,
};

use super::{OnDrop, Trace};

/// What the delegate was called with.
pub enum Call {
    Headers(RequestStartLine, HttpHeaders),
    Data(Bytes),
    Trailers(HttpHeaders),
    /// With the request's target.
    Finish(String),
}

pub type Doing = Pin<Box<dyn Future<Output = Result<(), BoxError>>>>;
pub type Connection = Rc<dyn HttpConnection>;

/// A delegate for connections whose every call is written down before `act` decides what it does.
///
/// Entries: `start`, `headers METHOD TARGET`, `data LENGTH`, `trailers`, `finish`; the same with ` done` when the call
/// returned; `connection close`; `drop`; `close` for the connection itself.
#[derive(Clone)]
pub struct Recorder {
    pub trace: Trace,
    act: Rc<dyn Fn(Connection, Call) -> Doing>,
}

impl Recorder {
    pub fn new<F>(act: impl Fn(Connection, Call) -> F + 'static) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + 'static,
    {
        Self { trace: Trace::default(), act: Rc::new(move |connection, call| Box::pin(act(connection, call))) }
    }

    /// Answers each request with its target when it is complete.
    pub fn answering() -> Self {
        Self::new(async |connection: Connection, call| match call {
            Call::Finish(target) => ok(&connection, target),
            _ => done(),
        })
    }
}

/// Answers 200 with a body.
pub fn ok(connection: &Connection, body: impl AsRef<[u8]>) -> Result<(), BoxError> {
    connection.write_response(&ResponseStartLine::new(StatusCode::OK), &HttpHeaders::new(), body.as_ref())?;
    Ok(())
}

/// The head of a response, chunked for HTTP/1.1.
pub fn begin(connection: &Connection) -> Result<(), BoxError> {
    connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &HttpHeaders::new(), b"")?;
    Ok(())
}

/// The result of a call that does nothing.
pub fn done() -> Result<(), BoxError> {
    Ok(())
}

pub struct RecordedMessage {
    recorder: Recorder,
    connection: Connection,
    target: String,
    _drop: OnDrop,
}

impl HttpServerConnectionDelegate for Recorder {
    type Delegate = RecordedMessage;

    fn start_request(&self, _: ServerConnectionId, connection: Connection) -> RecordedMessage {
        self.trace.push("start");
        RecordedMessage {
            recorder: self.clone(),
            connection,
            target: String::new(),
            _drop: OnDrop(self.trace.clone(), "drop"),
        }
    }

    fn on_close(&self, _: ServerConnectionId) {
        self.trace.push("close");
    }
}

impl RecordedMessage {
    async fn call(&self, entry: String, call: Call) -> Result<(), BoxError> {
        self.recorder.trace.push(entry.clone());
        let result = (self.recorder.act)(self.connection.clone(), call).await;
        self.recorder.trace.push(format!("{entry} done"));
        result
    }
}

impl HttpMessageDelegate for RecordedMessage {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        self.target = start_line.path().to_owned();
        let entry = format!("headers {} {}", start_line.method(), self.target);
        self.call(entry, Call::Headers(start_line, headers)).await
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        self.call(format!("data {}", chunk.len()), Call::Data(chunk)).await
    }

    async fn trailers_received(&mut self, trailers: HttpHeaders) -> Result<(), BoxError> {
        self.call("trailers".to_owned(), Call::Trailers(trailers)).await
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.call("finish".to_owned(), Call::Finish(self.target.clone())).await
    }

    fn on_connection_close(&mut self) {
        self.recorder.trace.push("connection close");
    }
}

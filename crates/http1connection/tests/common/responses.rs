//! A client's delegate that writes down each call, and clients on connections of the test's.

use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use landspout_http1connection::{AfterResponse, Http1ClientConnection, Http1ConnectionParameters, ResponseError};
use landspout_httputil::{
    BoxError, HttpHeaders, HttpMessageDelegate, HttpOutputError, Method, RequestStartLine, ResponseStartLine, Version,
};
use landspout_iostream::{IoStream, StreamOptions};

use super::recorder::Doing;
use super::{Trace, tcp_sockets};

/// Entries: `headers STATUS REASON`, `data TEXT`, `trailers N`, `finish`, `connection close`.
#[derive(Clone)]
pub struct Reader {
    pub trace: Trace,
    pub body: Rc<std::cell::RefCell<Vec<u8>>>,
    act: Rc<dyn Fn(String) -> Doing>,
}

impl Reader {
    pub fn new() -> Self {
        Self::acting(async |_| Ok(()))
    }

    /// What each entry leads to.
    pub fn acting<F>(act: impl Fn(String) -> F + 'static) -> Self
    where
        F: Future<Output = Result<(), BoxError>> + 'static,
    {
        Self { trace: Trace::default(), body: Rc::default(), act: Rc::new(move |entry| Box::pin(act(entry))) }
    }

    async fn call(&self, entry: String) -> Result<(), BoxError> {
        self.trace.push(entry.clone());
        (self.act)(entry).await
    }
}

impl HttpMessageDelegate<ResponseStartLine> for Reader {
    async fn headers_received(&mut self, line: ResponseStartLine, _: HttpHeaders) -> Result<(), BoxError> {
        self.call(format!("headers {} {}", line.code.as_u16(), line.reason())).await
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        assert!(!chunk.is_empty());
        self.body.borrow_mut().extend_from_slice(&chunk);
        let entry =
            if chunk.len() > 20 { format!("data of {}", chunk.len()) } else { format!("data {}", text(&chunk)) };
        self.call(entry).await
    }

    async fn trailers_received(&mut self, trailers: HttpHeaders) -> Result<(), BoxError> {
        self.call(format!("trailers {}", trailers.len())).await
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.call("finish".to_owned()).await
    }

    fn on_connection_close(&mut self) {
        self.trace.push("connection close");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A client and the server's end of its TCP connection, which the test plays.
pub fn client() -> (Http1ClientConnection, IoStream) {
    client_with(Http1ConnectionParameters::default())
}

pub fn client_with(params: Http1ConnectionParameters) -> (Http1ClientConnection, IoStream) {
    let (client, server) = tcp_sockets();
    let client = IoStream::from_tcp(client, StreamOptions::new()).unwrap();
    (Http1ClientConnection::new(client, params), IoStream::from_tcp(server, StreamOptions::new()).unwrap())
}

/// As [`client_with`] over a pair of Unix sockets, for clocks that jump.
pub fn client_pair(params: Http1ConnectionParameters) -> (Http1ClientConnection, IoStream) {
    let (client, server) = IoStream::pair().unwrap();
    (Http1ClientConnection::new(client, params), server)
}

pub fn line(method: &str, target: &str) -> RequestStartLine {
    RequestStartLine::new(Method::from_bytes(method.as_bytes()).unwrap(), target, Version::HTTP_11)
}

/// `Host` and these fields, a line each.
pub fn fields(lines: &str) -> HttpHeaders {
    let lines = ["Host: x"].into_iter().chain(lines.lines());
    HttpHeaders::try_from_iter(lines.map(|line| line.split_once(": ").unwrap())).unwrap()
}

/// Sends a request without a body.
pub fn ask(client: &Http1ClientConnection, method: &str, target: &str) -> Result<(), HttpOutputError> {
    client.write_request(&line(method, target), &fields(""), b"")
}

/// What becomes of a connection, or why there is no response.
pub fn after(result: &Result<AfterResponse, ResponseError>) -> String {
    match result {
        Ok(AfterResponse::Reusable) => "reusable".to_owned(),
        Ok(AfterResponse::Closed) => "closed".to_owned(),
        Ok(AfterResponse::Switched(_)) => "switched".to_owned(),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{error:?}"),
    }
}

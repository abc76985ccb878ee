//! The delegate traits: that they can be implemented, boxed, shared and awaited as documented.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use landspout_httputil::{
    BoxError, Bytes, DynMessageDelegate, HttpConnection, HttpHeaders, HttpInputError, HttpMessageDelegate,
    HttpServerConnectionDelegate, HttpServerRequest, Method, RequestStartLine, ResponseStartLine, ServerConnectionId,
    StatusCode, Version,
};

type Log = Rc<RefCell<Vec<String>>>;

/// Works for requests and responses alike.
struct Recorder(Log);

impl<S: std::fmt::Display> HttpMessageDelegate<S> for Recorder {
    async fn headers_received(&mut self, start_line: S, headers: HttpHeaders) -> Result<(), BoxError> {
        self.0.borrow_mut().push(format!("headers {start_line} {}", headers.len()));
        Ok(())
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        if chunk == "bad" {
            return Err(HttpInputError::new("bad chunk").into());
        }
        self.0.borrow_mut().push(format!("data {}", chunk.len()));
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.0.borrow_mut().push("finish".into());
        Ok(())
    }

    fn on_connection_close(&mut self) {
        self.0.borrow_mut().push("closed".into());
    }
}

struct Server(Log);

impl HttpServerConnectionDelegate for Server {
    type Delegate = Recorder;

    fn start_request(&self, _: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Recorder {
        self.0.borrow_mut().push(format!("start {}", request_conn.context()));
        Recorder(Rc::clone(&self.0))
    }
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a future that has nothing to wait for is pending"),
    }
}

async fn feed<S>(delegate: &mut impl HttpMessageDelegate<S>, start_line: S) -> Result<(), BoxError> {
    delegate.headers_received(start_line, HttpHeaders::new()).await?;
    delegate.data_received(Bytes::from_static(b"abc")).await?;
    delegate.trailers_received(HttpHeaders::new()).await?;
    delegate.finish().await
}

fn request_line() -> RequestStartLine {
    RequestStartLine::new(Method::GET, "/", Version::HTTP_11)
}

#[test]
fn a_chain_of_shared_server_and_boxed_delegates() {
    let log = Log::default();
    let server = Rc::new(Server(Rc::clone(&log)));
    let connection = HttpServerRequest::from(request_line()).connection().clone();
    let id = ServerConnectionId::new();
    let mut plain = server.start_request(id, connection.clone());
    ready(feed(&mut plain, request_line())).unwrap();
    let mut boxed = Box::new(server.start_request(id, connection.clone()));
    ready(feed(&mut boxed, request_line())).unwrap();
    let mut erased = DynMessageDelegate::new(server.start_request(id, connection));
    ready(feed(&mut erased, request_line())).unwrap();
    HttpMessageDelegate::<RequestStartLine>::on_connection_close(&mut erased);
    server.on_close(id);
    let once = ["start unix socket", "headers GET / HTTP/1.1 0", "data 3", "finish"];
    assert_eq!(*log.borrow(), [&once[..], &once, &once, &["closed"]].concat());
}

#[test]
fn a_client_takes_responses() {
    let log = Log::default();
    let mut delegate = DynMessageDelegate::<ResponseStartLine>::new(Recorder(Rc::clone(&log)));
    ready(feed(&mut delegate, StatusCode::OK.into())).unwrap();
    assert_eq!(log.borrow()[0], "headers HTTP/1.1 200 OK 0");
}

#[test]
fn an_input_error_can_be_told_from_others() {
    let mut delegate: DynMessageDelegate = DynMessageDelegate::new(Recorder(Log::default()));
    let error = ready(delegate.data_received(Bytes::from_static(b"bad"))).unwrap_err();
    let input = error.downcast_ref::<HttpInputError>().unwrap();
    assert_eq!((input.status(), input.to_string().as_str()), (StatusCode::BAD_REQUEST, "bad chunk"));
}

#[test]
fn flush_is_a_future() {
    let request = HttpServerRequest::from(request_line());
    assert!(ready(request.connection().flush()).is_err());
}

#[test]
fn connections_have_identities_of_their_own() {
    let (a, b) = (ServerConnectionId::new(), ServerConnectionId::new());
    assert_ne!(a, b);
    assert_eq!(a.to_string(), a.get().to_string());
}

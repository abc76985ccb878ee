//! The end of a server in good order: what is under way is finished, what is idle is closed, and a deadline cuts the rest.
//!
//! ```sh
//! cargo run --example drain -- --deadline 30          # prints its process id, too
//! curl -v 'http://127.0.0.1:8888/slow?ms=20000'       # in another terminal; it is answered with `Connection: close`
//! kill PID                                            # in a third one: it drains; once more: it cuts what is left
//! ```
//! Each connection tells how it ended, and what was under way on it.
//!
//! In Tornado: `stop` and `close_all_connections`, and nothing between them. What goes on behind one `drain` here is told in
//! its documentation; the delegate below only watches it.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use landspout::httpserver::{
    BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, HttpServer, HttpServerConnectionDelegate,
    HttpServerRequest, RequestStartLine, ServerConnectionId, StatusCode,
};
use landspout::ioloop::signal::{SIGINT, SIGTERM};
use landspout::ioloop::{IoLoop, sleep};

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn main() -> Result<(), support::Failure> {
    let deadline = support::Flag("--deadline", "SECONDS", "cut what is still under way after so long [30]");
    let arguments = support::Arguments::read("Answers slowly, and ends in good order.", &[support::PORT, deadline]);
    let deadline = Duration::from_secs(arguments.value("--deadline").unwrap_or(30));

    let server = HttpServer::with_delegate(Watched::default());
    server.listen(arguments.port(), None)?;
    let asked = Rc::new(Cell::new(false));
    for signal in [SIGINT, SIGTERM] {
        let (server, asked) = (server.clone(), asked.clone());
        IoLoop::current().add_signal_handler(signal, move || {
            let again = asked.replace(true);
            println!("{}", if again { "asked again: cutting what is left" } else { "draining" });
            let (server, deadline) = (server.clone(), if again { Duration::ZERO } else { deadline });
            IoLoop::current().spawn(async move {
                let drained = server.drain(deadline).await;
                if !again {
                    println!("{} connections ended well, {} were cut", drained.finished, drained.cut);
                    IoLoop::current().stop();
                }
            });
        })?;
    }
    println!("process {}", std::process::id());
    support::announce("http", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

/// What is known of each connection that has brought a request.
#[derive(Default)]
struct Watched {
    connections: Rc<RefCell<BTreeMap<ServerConnectionId, String>>>,
}

impl HttpServerConnectionDelegate for Watched {
    type Delegate = Exchange;

    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Exchange {
        Exchange { connections: self.connections.clone(), server_conn, request_conn, request: None }
    }

    fn on_close(&self, server_conn: ServerConnectionId) {
        let state = self.connections.borrow_mut().remove(&server_conn);
        println!("[{server_conn}] ended; {}", state.as_deref().unwrap_or("it brought no request"));
    }
}

/// One request.
struct Exchange {
    connections: Rc<RefCell<BTreeMap<ServerConnectionId, String>>>,
    server_conn: ServerConnectionId,
    request_conn: Rc<dyn HttpConnection>,
    request: Option<HttpServerRequest>,
}

impl Exchange {
    fn say(&self, what: String) {
        println!("[{}] {what}", self.server_conn);
        self.connections.borrow_mut().insert(self.server_conn, what);
    }
}

impl HttpMessageDelegate for Exchange {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        self.say(format!("{} {} is under way", start_line.method(), start_line.path()));
        self.request = Some(HttpServerRequest::new(start_line, headers, self.request_conn.clone(), self.server_conn));
        Ok(())
    }

    async fn data_received(&mut self, _: Bytes) -> Result<(), BoxError> {
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        let Some(request) = self.request.take() else { return Ok(()) };
        if request.path() == "/slow" {
            let pause =
                request.query_arguments().get_last("ms").and_then(|ms| std::str::from_utf8(ms).ok()?.parse().ok());
            sleep(Duration::from_millis(pause.unwrap_or(10_000))).await;
        }
        request.write_response(StatusCode::OK, &PLAIN, "Hello, and goodbye.\n")?;
        self.say(format!("{} {} was answered", request.method(), request.uri()));
        Ok(())
    }

    /// Takes the place of `finish`; where that was under way already, it is dropped.
    fn on_connection_close(&mut self) {
        self.say("a request was cut".to_owned());
    }
}

//! What happens to a request: each call that the connection makes on a delegate is printed when it is made.
//!
//! ```sh
//! cargo run --example delegate_chain
//! curl http://127.0.0.1:8888/path
//! curl -d 'some body' http://127.0.0.1:8888/
//! curl -T - http://127.0.0.1:8888/                    # type, a line at a time; Ctrl-D ends it, Ctrl-C breaks it off
//! ```
//! A delegate takes a request piece by piece, while it arrives, where the closure of `hello` gets it whole: for uploads
//! that don't fit into memory, for refusals before the body comes, for proxies.
//!
//! In Tornado: `HTTPServerConnectionDelegate` and `HTTPMessageDelegate`, which `tornado.web` is built on. Here
//! `start_request` is called when the head is there, and every method but the callbacks of a close may await.

mod support;

use std::rc::Rc;

use bytes::Bytes;
use landspout::httpserver::{
    BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, HttpServer, HttpServerConnectionDelegate,
    RequestStartLine, ResponseStartLine, ServerConnectionId, StatusCode,
};
use landspout::ioloop::IoLoop;

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn main() -> Result<(), support::Failure> {
    let arguments = support::Arguments::read("Prints each call of the delegate chain.", &[support::PORT]);
    let server = HttpServer::with_delegate(Chain);
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    support::announce("http", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

/// There is one for the whole server. It makes a delegate for each request.
struct Chain;

impl HttpServerConnectionDelegate for Chain {
    type Delegate = Link;

    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Link {
        println!("[{server_conn}] start_request: from {}", request_conn.context());
        Link { server_conn, request_conn, summary: String::new(), pieces: 0, bytes: 0 }
    }

    fn on_close(&self, server_conn: ServerConnectionId) {
        println!("[{server_conn}] on_close");
    }
}

/// Takes one request. The answer leaves through `request_conn`.
struct Link {
    server_conn: ServerConnectionId,
    request_conn: Rc<dyn HttpConnection>,
    summary: String,
    pieces: usize,
    bytes: usize,
}

impl HttpMessageDelegate for Link {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        println!("[{}] headers_received: {start_line}, {} header fields", self.server_conn, headers.len());
        self.summary = format!("{start_line}\n{} header fields\n", headers.len());
        Ok(())
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        println!("[{}] data_received: {} bytes", self.server_conn, chunk.len());
        self.pieces += 1;
        self.bytes += chunk.len();
        Ok(())
    }

    async fn trailers_received(&mut self, trailers: HttpHeaders) -> Result<(), BoxError> {
        println!("[{}] trailers_received: {} trailer fields", self.server_conn, trailers.len());
        self.summary += &format!("{} trailer fields\n", trailers.len());
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        println!("[{}] finish", self.server_conn);
        self.summary += &format!("{} bytes of body in {} pieces\n", self.bytes, self.pieces);
        self.request_conn.write_response(&ResponseStartLine::new(StatusCode::OK), &PLAIN, self.summary.as_bytes())?;
        Ok(())
    }

    /// Instead of `finish`, when the client leaves before its request is complete.
    fn on_connection_close(&mut self) {
        println!("[{}] on_connection_close", self.server_conn);
    }
}

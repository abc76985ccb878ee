//! ntex: its HTTP service without the web framework, one worker, on the runtime that a feature chooses. Keep-alive and the first
//! request have no time limit, as in the entry that its authors keep for the TechEmpower benchmarks.
//!
//! Its server accepts on a thread of its own and serves on the worker's.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use ntex::SharedCfg;
use ntex::http::body::{Body, BodySize, MessageBody};
use ntex::http::header::{CONTENT_TYPE, HeaderValue};
use ntex::http::{HttpService, HttpServiceConfig, KeepAlive, Request, Response, StatusCode};
use ntex::time::Seconds;
use ntex::util::{Bytes, BytesMut};
use peer_support::{Arguments, HELLO, next_piece, stream_length};

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

fn main() -> io::Result<()> {
    let arguments = Arguments::read(&[]);
    if cfg!(feature = "neon-uring") {
        peer_support::expect_io_uring();
    }
    serve(arguments.port())
}

#[ntex::main]
async fn serve(port: u16) -> io::Result<()> {
    let listener = peer_support::listen(port)?;
    let address = listener.local_addr()?;
    peer_support::exit_on_sigterm()?;
    let http = HttpServiceConfig::new().set_keepalive(KeepAlive::Os).set_client_timeout(Seconds::ZERO);
    let server = ntex::server::build()
        .workers(1)
        .disable_signals()
        .listen("peer", listener, SharedCfg::new("peer").add(http), async |_| HttpService::h1(answer))?
        .run();
    peer_support::announce(address);
    server.await
}

async fn answer(mut request: Request) -> Result<Response, io::Error> {
    match request.path() {
        "/" => Ok(response(PLAIN, Body::Bytes(Bytes::from_static(HELLO.as_bytes())))),
        "/echo" => {
            let mut body = BytesMut::new();
            while let Some(piece) = request.payload().next().await {
                body.extend_from_slice(&piece.map_err(io::Error::other)?);
            }
            Ok(response(BINARY, Body::Bytes(body.freeze())))
        }
        path => match stream_length(path) {
            Some(left) => Ok(response(BINARY, Body::from_message(Pieces { left }))),
            None => Ok(Response::new(StatusCode::NOT_FOUND)),
        },
    }
}

/// What is left of a stream of pieces. ntex asks for one when it can take it.
struct Pieces {
    left: u64,
}

impl MessageBody for Pieces {
    fn size(&self) -> BodySize {
        BodySize::Sized(self.left)
    }

    fn poll_next_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Rc<dyn Error>>>> {
        let piece = next_piece(self.left);
        self.left -= piece.len() as u64;
        Poll::Ready((!piece.is_empty()).then(|| Ok(Bytes::from_static(piece))))
    }
}

fn response(content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::with_body(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

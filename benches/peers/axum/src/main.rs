//! axum: a router as in its documentation, served by hyper as in its example `serve-with-hyper`, since `axum::serve` has no
//! settings: hyper 1 on tokio's current-thread runtime, a task for each connection, with `pipeline_flush` or,
//! for long bodies, without.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::error::Error;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::stream;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use peer_support::{Arguments, HELLO, next_piece};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;

const NO_PIPELINE_FLUSH: &str = "--no-pipeline-flush";
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(&[NO_PIPELINE_FLUSH]);
    let mut builder = Builder::new();
    builder.pipeline_flush(!arguments.has(NO_PIPELINE_FLUSH));
    let listener = peer_support::listen(arguments.port())?;
    peer_support::exit_on_sigterm()?;
    let router =
        Router::new().route("/", get(hello)).route("/echo", post(echo)).route("/stream/{length}", get(stream_of));
    runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        peer_support::announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream, TowerToHyperService::new(router.clone()), builder.clone()));
        }
    })
}

async fn serve(stream: TcpStream, router: TowerToHyperService<Router>, builder: Builder) {
    // A client that breaks off is nothing to tell of.
    let _ = builder.serve_connection(TokioIo::new(stream), router).await;
}

async fn hello() -> Response {
    response(PLAIN, Body::from(HELLO))
}

async fn echo(body: Bytes) -> Response {
    response(BINARY, Body::from(body))
}

async fn stream_of(Path(length): Path<u64>) -> Response {
    let pieces = stream::unfold(length, async |left| {
        let piece = next_piece(left);
        let left = left - piece.len() as u64;
        (!piece.is_empty()).then(|| (Ok::<_, Infallible>(Bytes::from_static(piece)), left))
    });
    let mut response = response(BINARY, Body::from_stream(pieces));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn response(content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

//! actix-web: an application with routes, one worker. Keep-alive and the first request have no time limit, as in the entry that its
//! authors keep for the TechEmpower benchmarks; nothing is compressed.
//!
//! Its server accepts on a thread of its own and serves on the worker's.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::http::{KeepAlive, StatusCode};
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer, rt};
use futures_util::{Stream, stream};
use peer_support::{Arguments, HELLO, next_piece};

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

fn main() -> std::io::Result<()> {
    let arguments = Arguments::read(&[]);
    let listener = peer_support::listen(arguments.port())?;
    let address = listener.local_addr()?;
    peer_support::exit_on_sigterm()?;
    rt::System::new().block_on(async {
        let application = || {
            App::new()
                .route("/", web::get().to(hello))
                .route("/echo", web::post().to(echo))
                .route("/stream/{length}", web::get().to(stream_of))
        };
        let server = HttpServer::new(application)
            .workers(1)
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .disable_signals()
            .listen(listener)?
            .run();
        peer_support::announce(address);
        server.await
    })
}

async fn hello() -> HttpResponse<Bytes> {
    response(PLAIN, Bytes::from_static(HELLO.as_bytes()))
}

async fn echo(body: Bytes) -> HttpResponse<Bytes> {
    response(BINARY, body)
}

async fn stream_of(length: web::Path<u64>) -> HttpResponse<SizedStream<impl Stream<Item = Result<Bytes, Infallible>>>> {
    let pieces = stream::unfold(*length, async |left| {
        let piece = next_piece(left);
        let left = left - piece.len() as u64;
        (!piece.is_empty()).then(|| (Ok(Bytes::from_static(piece)), left))
    });
    response(BINARY, SizedStream::new(*length, pieces))
}

fn response<B>(content_type: HeaderValue, body: B) -> HttpResponse<B> {
    let mut response = HttpResponse::with_body(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

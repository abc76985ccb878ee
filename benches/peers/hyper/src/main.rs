//! hyper 1 on tokio's current-thread runtime, a task for each connection.
//!
//! `pipeline_flush` gathers the answers to pipelined requests. It also copies bodies, and takes a long one whole, however slow its
//! client is; `--no-pipeline-flush` is for those.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use peer_support::{Arguments, HELLO, next_piece, stream_length};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime;

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

const NO_PIPELINE_FLUSH: &str = "--no-pipeline-flush";
#[cfg(not(feature = "tls"))]
const FLAGS: &[&str] = &[NO_PIPELINE_FLUSH];
#[cfg(feature = "tls")]
const FLAGS: &[&str] = &[NO_PIPELINE_FLUSH, "--certfile F", "--keyfile F"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(FLAGS);
    let mut builder = Builder::new();
    builder.keep_alive(true).pipeline_flush(!arguments.has(NO_PIPELINE_FLUSH));
    let listener = peer_support::listen(arguments.port())?;
    peer_support::exit_on_sigterm()?;
    runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        peer_support::announce(listener.local_addr()?);
        #[cfg(feature = "tls")]
        if let Some((certfile, keyfile)) = arguments.certificate() {
            let config = peer_support::tls::server_config(certfile, keyfile)?;
            return serve_tls(&listener, &config.into(), builder).await;
        }
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream, builder.clone()));
        }
    })
}

#[cfg(feature = "tls")]
async fn serve_tls(
    listener: &TcpListener,
    acceptor: &tokio_rustls::TlsAcceptor,
    builder: Builder,
) -> Result<(), Box<dyn Error>> {
    loop {
        let (stream, _) = listener.accept().await?;
        let accepting = acceptor.accept(stream);
        let builder = builder.clone();
        tokio::spawn(async move {
            if let Ok(stream) = accepting.await {
                serve(stream, builder).await;
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, builder: Builder) {
    // A client that breaks off is nothing to tell of.
    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Answer>, hyper::Error> {
    match request.uri().path() {
        "/" => Ok(response(PLAIN, Answer::Whole(Bytes::from_static(HELLO.as_bytes())))),
        "/echo" => Ok(response(BINARY, Answer::Whole(request.into_body().collect().await?.to_bytes()))),
        path => match stream_length(path) {
            Some(left) => Ok(response(BINARY, Answer::Pieces { left })),
            None => {
                let mut response = response(PLAIN, Answer::Whole(Bytes::new()));
                *response.status_mut() = StatusCode::NOT_FOUND;
                Ok(response)
            }
        },
    }
}

fn response(content_type: HeaderValue, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// hyper derives `Content-Length` from its size, and polls for a piece when it can take one.
enum Answer {
    Whole(Bytes),
    Pieces { left: u64 },
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let piece = match &mut *self {
            Answer::Whole(bytes) => std::mem::take(bytes),
            Answer::Pieces { left } => {
                let piece = next_piece(*left);
                *left -= piece.len() as u64;
                Bytes::from_static(piece)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Answer::Whole(bytes) => bytes.len() as u64,
            Answer::Pieces { left } => *left,
        })
    }
}

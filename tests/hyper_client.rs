//! A library of the ecosystem on our loop and our streams: hyper's HTTP/1 connection, which knows nothing of either and needs
//! no runtime of tokio's, talks to our server on the same thread.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::ReadBufCursor;
use hyper::{Request, StatusCode};
use landspout::httpserver::{HttpHeaders, HttpServer, HttpServerRequest};
use landspout::ioloop::{IoLoop, JoinHandle};
use landspout::iostream::IoStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const GUARD: Duration = Duration::from_secs(60);

/// hyper has traits of its own; this is all that lies between them and a stream.
struct Hyper(IoStream);

impl hyper::rt::Read for Hyper {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut memory = [0; 8192];
        let room = buf.remaining().min(memory.len());
        let mut read = ReadBuf::new(&mut memory[..room]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut read))?;
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Hyper {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// A server that tells what it was asked for, and a client connection to it.
async fn connected() -> (HttpServer, SendRequest<Body>, JoinHandle<hyper::Result<()>>) {
    let server = HttpServer::new(async |request: HttpServerRequest| {
        let line = format!("{} {} {}\n", request.method(), request.uri(), request.body().len());
        let more = "x".repeat(if request.path() == "/big" { 3_000_000 } else { 0 });
        request.write_response(StatusCode::OK, &HttpHeaders::new(), line + &more)
    });
    server.listen(0, Some("127.0.0.1")).unwrap();
    let stream = IoStream::connect(server.addresses()[0]).await.unwrap();
    let (sender, connection) = handshake(Hyper(stream)).await.unwrap();
    (server, sender, IoLoop::current().spawn(connection))
}

async fn ask(sender: &mut SendRequest<Body>, method: &str, path: &str, body: Body) -> String {
    let request = Request::builder().method(method).uri(path).header("host", "localhost").body(body).unwrap();
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn whole(body: &'static str) -> Body {
    Full::from(body).boxed()
}

#[test]
fn hyper_talks_to_our_server_over_our_stream() {
    let test = IoLoop::current().run_sync_timeout(GUARD, async {
        let (server, mut sender, connection) = connected().await;
        for _ in 0..3 {
            assert_eq!(ask(&mut sender, "GET", "/small", whole("")).await, "GET /small 0\n");
            assert_eq!(ask(&mut sender, "POST", "/post", whole("hello")).await, "POST /post 5\n");
        }
        let big = ask(&mut sender, "GET", "/big", whole("")).await;
        assert_eq!(big.len(), "GET /big 0\n".len() + 3_000_000);
        // Of unknown length: hyper sends chunks. More of them than wait to be sent at once.
        let pieces = (0..50).map(|_| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'y'; 40_000]))));
        let chunked = StreamBody::new(futures_util::stream::iter(pieces)).boxed();
        assert_eq!(ask(&mut sender, "PUT", "/chunks", chunked).await, "PUT /chunks 2000000\n");
        drop(sender);
        connection.await.unwrap().unwrap();
        server.stop();
    });
    test.unwrap();
}

/// Our server's end of a kept-alive connection reaches hyper as an end, and not as an error.
#[test]
fn hyper_learns_of_the_servers_end() {
    let test = IoLoop::current().run_sync_timeout(GUARD, async {
        let (server, mut sender, connection) = connected().await;
        assert_eq!(ask(&mut sender, "GET", "/", whole("")).await, "GET / 0\n");
        server.stop();
        server.close_all_connections().await;
        connection.await.unwrap().unwrap();
        assert!(sender.is_closed());
    });
    test.unwrap();
}

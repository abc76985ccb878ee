//! WebSockets: requests that leave HTTP by `detach`, and a library of the ecosystem on the stream that remains.
//!
//! ```sh
//! cargo run --example websocket_upgrade     # then open its page in a browser
//! ```
//! In Tornado: `HTTP1Connection.detach`, on which `tornado.websocket` is built. The handshake (RFC 6455, section 4.2) is here; frames,
//! masks and the closing handshake are `async-tungstenite`'s matter, which reads and writes by the traits of `futures-io`.

mod support;

use std::future::poll_fn;
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use async_tungstenite::tungstenite::{Error, Message};
use futures_util::StreamExt;
use landspout::httpserver::{
    BoxError, Detach, HttpHeaders, HttpOutputError, HttpServer, HttpServerRequest, Method, ResponseStartLine,
    StatusCode,
};
use landspout::ioloop::{IoLoop, with_timeout};
use landspout::iostream::{IoStream, StreamError};

/// In bytes. A longer message ends the conversation.
const MAX_MESSAGE: usize = 64 * 1024;
/// Who says nothing for so long is asked whether he is there, and has as long to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who sends a message that is too long has so long to finish it, and whoever ends the conversation as long to see our end.
const GOODBYE: Duration = Duration::from_secs(2);
/// And has finished when nothing has come for so long.
const SILENCE: Duration = Duration::from_millis(200);

fn main() -> Result<(), support::Failure> {
    let arguments = support::Arguments::read("Says back what is said over a WebSocket.", &[support::PORT]);
    let server = HttpServer::new(async |request: HttpServerRequest| match request.path() {
        "/" => Ok(request.write_response(StatusCode::OK, &HTML, PAGE)?),
        "/echo" => upgrade(&request),
        _ => Ok(refuse(&request, StatusCode::NOT_FOUND, &PLAIN)?),
    });
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    support::announce("http", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

/// Answers the handshake. If it is a good one, the conversation is a task of its own, and the request is over.
fn upgrade(request: &HttpServerRequest) -> Result<(), BoxError> {
    let accept = match check(request) {
        Ok(key) => derive_accept_key(key),
        Err((status, headers)) => return Ok(refuse(request, status, &headers)?),
    };
    let headers = HttpHeaders::try_from_iter([("Upgrade", "websocket"), ("Sec-WebSocket-Accept", &accept)])?;
    let switching = ResponseStartLine::new(StatusCode::SWITCHING_PROTOCOLS);
    request.connection().write_headers(&switching, &headers, b"")?;
    // A hasty client's first message may be in it already.
    let stream = request.detach()?;
    let peer = request.remote_ip();
    IoLoop::current().spawn(async move {
        match converse(stream).await {
            Ok(()) => tracing::info!("{peer} said goodbye"),
            Err(error) => tracing::info!("{peer}: {error}"),
        }
    });
    Ok(())
}

/// The key, if the request is the handshake of RFC 6455, section 4.2.1; otherwise what to answer.
fn check(request: &HttpServerRequest) -> Result<&[u8], (StatusCode, HttpHeaders)> {
    let headers = request.headers();
    let names = |field: &str, option: &[u8]| {
        let mut options = headers.get_list(field).flat_map(|value| value.split(|byte| *byte == b','));
        options.any(|other| other.trim_ascii().eq_ignore_ascii_case(option))
    };
    if request.method() != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, HttpHeaders::from_static(&[("Allow", "GET")])));
    }
    // RFC 9110, section 15.5.22: 426 tells which protocol it takes.
    const WEBSOCKET: HttpHeaders = HttpHeaders::from_static(&[("Connection", "upgrade"), ("Upgrade", "websocket")]);
    if !names("connection", b"upgrade") || !names("upgrade", b"websocket") {
        return Err((StatusCode::UPGRADE_REQUIRED, WEBSOCKET));
    }
    // RFC 6455, section 4.4.
    const VERSION: HttpHeaders = HttpHeaders::from_static(&[
        ("Connection", "upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
    ]);
    if headers.get("sec-websocket-version") != Some(b"13") {
        return Err((StatusCode::UPGRADE_REQUIRED, VERSION));
    }
    // A page of anybody's may open a WebSocket to here, and the browser sends our cookies along: it also sends where the page
    // is from. Programs that are no browsers send nothing.
    let own = |origin: &[u8]| {
        let host = origin.splitn(2, |byte| *byte == b'/').nth(1).and_then(|rest| rest.strip_prefix(b"/"));
        host.is_some_and(|host| host.eq_ignore_ascii_case(request.host().as_bytes()))
    };
    if headers.get("origin").is_some_and(|origin| !own(origin)) {
        return Err((StatusCode::FORBIDDEN, PLAIN));
    }
    // 16 bytes in base64.
    let is_key = |key: &&[u8]| {
        let digits = key.strip_suffix(b"==").unwrap_or_default();
        digits.len() == 22 && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
    };
    headers.get("sec-websocket-key").filter(is_key).ok_or((StatusCode::BAD_REQUEST, PLAIN))
}

fn refuse(request: &HttpServerRequest, status: StatusCode, headers: &HttpHeaders) -> Result<(), HttpOutputError> {
    request.write_response(status, headers, format!("{status}\n"))
}

/// Says everything back until the client has said goodbye.
async fn converse(stream: IoStream) -> Result<(), Error> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        // Otherwise each connection begins with buffers of 128 KiB.
        .read_buffer_size(4096)
        .write_buffer_size(0);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let mut asked = false;
    loop {
        let Ok(next) = with_timeout(PATIENCE, socket.next()).await else {
            if asked {
                return Err(Error::Io(std::io::ErrorKind::TimedOut.into()));
            }
            asked = true;
            socket.send(Message::Ping(Default::default())).await?;
            continue;
        };
        asked = false;
        match next {
            // It comes no faster than the client reads: the next one is read when this one is on its way.
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => socket.send(message).await?,
            // The library answers pings and goodbyes while it is asked for more.
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let code = match error {
                    Error::Capacity(_) => {
                        hear_out(socket.get_ref()).await;
                        CloseCode::Size
                    }
                    Error::Utf8(_) => CloseCode::Invalid,
                    _ => CloseCode::Protocol,
                };
                // RFC 6455, section 7.1.7. Whoever is gone doesn't hear it.
                let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: "".into() }))).await;
                leave(socket.into_inner()).await;
                return Err(error);
            }
            None => return Ok(()),
        }
    }
}

/// Reads on until the client is silent: a browser that is told the end in the middle of a message that is too long calls that no
/// clean close.
async fn hear_out(stream: &IoStream) {
    let silence = async { while let Ok(Ok(())) = with_timeout(SILENCE, more(stream)).await {} };
    let _ = with_timeout(GOODBYE, silence).await;
}

/// Ends our side and reads on for a moment: to close at what is still coming would reset the connection, and the client could
/// lose our last words.
async fn leave(stream: IoStream) {
    if stream.shutdown_write().await.is_ok() {
        let rest = async { while more(&stream).await.is_ok() {} };
        let _ = with_timeout(GOODBYE, rest).await;
    }
}

/// Throws away what comes.
async fn more(stream: &IoStream) -> Result<(), StreamError> {
    poll_fn(|cx| stream.poll_fill(cx)).await?;
    stream.consume(usize::MAX);
    Ok(())
}

const HTML: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/html; charset=utf-8")]);
const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Echo</title>
<form><input autofocus autocomplete="off" placeholder="Say something"> <button>Say</button></form>
<p><output>connecting</output></p>
<ul></ul>
<script>
  const find = selector => document.querySelector(selector);
  const state = text => { find("output").textContent = text; };
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/echo`);
  socket.onopen = () => state("connected");
  socket.onclose = event => state(`closed: ${event.code}, ${event.wasClean ? "clean" : "not clean"}`);
  socket.onmessage = event => {
    const item = document.createElement("li");
    item.textContent = event.data;
    find("ul").append(item);
  };
  find("form").onsubmit = event => {
    event.preventDefault();
    socket.send(find("input").value);
    find("input").value = "";
  };
</script>
</html>
"#;

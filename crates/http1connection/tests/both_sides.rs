//! Our client against our server: what one writes the other reads.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::recorder::{Connection, begin, ok};
use common::responses::*;
use common::*;
use landspout_http1connection::{
    AfterResponse, Http1ClientConnection, Http1ConnectionParameters, Http1ServerConnection, Http1Service,
};
use landspout_httputil::{HttpHeaders, HttpOutputError, ResponseStartLine, StatusCode};
use landspout_iostream::{IoStream, StreamOptions};

/// A client of `service`, whose stream's read buffer is smaller than the bodies that come.
fn client_of(service: &Http1Service) -> Http1ClientConnection {
    let (client, server) = tcp_sockets();
    let small = StreamOptions::new().max_buffer_size(65_536);
    let client = IoStream::from_tcp(client, small).unwrap();
    let server = IoStream::from_tcp(server, StreamOptions::new()).unwrap();
    Http1ServerConnection::start_serving(server, context(), service);
    Http1ClientConnection::new(client, Http1ConnectionParameters::default())
}

/// Answers with what the request has: its body, framed by its length for `/length`, by chunks otherwise.
fn echo() -> Recorder {
    let body: Rc<RefCell<Vec<u8>>> = Rc::default();
    Recorder::new(move |connection: Connection, call| {
        let body = body.clone();
        async move {
            match call {
                Call::Data(chunk) => body.borrow_mut().extend_from_slice(&chunk),
                Call::Finish(target) if target == "/length" => ok(&connection, body.take())?,
                Call::Finish(_) => {
                    begin(&connection)?;
                    for (n, piece) in body.take().chunks(10_000).enumerate() {
                        if n % 2 == 0 {
                            connection.write(piece)?;
                        } else {
                            connection.write_bytes(piece.to_vec().into())?;
                        }
                    }
                    connection.finish()?;
                }
                _ => {}
            }
            done()
        }
    })
}

#[test]
fn bodies_of_each_framing_go_there_and_back_on_one_connection() {
    run(async {
        let recorder = echo();
        let (trace, service) = (recorder.trace.clone(), service(recorder));
        let client = client_of(&service);
        for (n, size) in [0, 1, 4095, 4096, 102_400, 1 << 20].into_iter().enumerate() {
            for target in ["/length", "/chunks"] {
                let body: Vec<u8> = (0..size).map(|i| (i * 7 + n) as u8).collect();
                let in_pieces = [fields(""), fields(&format!("Content-Length: {size}"))];
                for headers in in_pieces {
                    client.write_headers(&line("POST", target), &headers, b"").unwrap();
                    for (n, piece) in body.chunks(70_000).enumerate() {
                        if n % 2 == 0 {
                            client.write(piece).unwrap();
                            client.flush().await.unwrap();
                        } else {
                            client.ready().await.unwrap();
                            client.write_bytes(piece.to_vec()).unwrap();
                        }
                    }
                    client.finish().unwrap();
                    let mut reader = Reader::new();
                    assert_eq!(after(&client.read_response(&mut reader).await), "reusable");
                    assert!(*reader.body.borrow() == body, "{size} bytes to {target}");
                }
                client.write_request(&line("PUT", target), &fields(""), &body).unwrap();
                let mut reader = Reader::new();
                assert_eq!(after(&client.read_response(&mut reader).await), "reusable");
                assert!(*reader.body.borrow() == body, "{size} bytes to {target}");
            }
        }
        assert_eq!(trace.count("headers POST /length"), 12);
        assert!(!trace.has("close"), "all on one connection");
    });
}

#[test]
fn methods_without_bodies() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(target) if target == "/304" => {
                let line = ResponseStartLine::new(StatusCode::NOT_MODIFIED);
                Ok(connection.write_response(&line, &HttpHeaders::from_static(&[("Content-Length", "7")]), b"")?)
            }
            Call::Finish(target) if target == "/204" => {
                Ok(connection.write_response(&StatusCode::NO_CONTENT.into(), &HttpHeaders::new(), b"")?)
            }
            Call::Finish(_) => ok(&connection, "ok"),
            _ => done(),
        });
        let service = service(recorder);
        let client = client_of(&service);
        for (method, target, calls) in [
            ("HEAD", "/", &["headers 200 OK", "finish"][..]),
            ("OPTIONS", "*", &["headers 200 OK", "data ok", "finish"]),
            ("GET", "/304", &["headers 304 Not Modified", "finish"]),
            ("DELETE", "/204", &["headers 204 No Content", "finish"]),
            ("GET", "/", &["headers 200 OK", "data ok", "finish"]),
        ] {
            ask(&client, method, target).unwrap();
            let mut reader = Reader::new();
            assert_eq!(after(&client.read_response(&mut reader).await), "reusable", "{method} {target}");
            assert_eq!(reader.trace.take(), calls, "{method} {target}");
        }
    });
}

#[test]
fn the_server_asks_for_a_body_that_waits_or_refuses_it() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(line, _) if line.path() == "/no" => {
                Ok(connection.write_response(&StatusCode::FORBIDDEN.into(), &HttpHeaders::new(), b"no")?)
            }
            Call::Finish(_) => ok(&connection, "thanks"),
            _ => done(),
        });
        let service = service(recorder);
        for (target, calls, outcome) in [
            ("/yes", &["headers 100 Continue", "headers 200 OK", "data thanks", "finish"][..], "reusable"),
            ("/no", &["headers 403 Forbidden", "data no", "finish"], "closed"),
        ] {
            let client = client_of(&service);
            client.write_headers(&line("POST", target), &fields("Expect: 100-continue"), b"").unwrap();
            let mut reader = Reader::acting({
                let client = client.clone();
                move |entry| {
                    let client = client.clone();
                    async move {
                        if entry == "headers 100 Continue" {
                            client.write(b"body")?;
                            client.finish()?;
                        }
                        Ok(())
                    }
                }
            });
            assert_eq!(after(&client.read_response(&mut reader).await), outcome);
            assert_eq!(reader.trace.take(), calls);
        }
    });
}

/// The application answers before it has read the body, which the client sends on and on.
#[test]
fn an_early_refusal_reaches_a_client_that_is_still_sending() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(..) => {
                Ok(connection.write_response(&StatusCode::PAYLOAD_TOO_LARGE.into(), &HttpHeaders::new(), b"no")?)
            }
            _ => done(),
        });
        let service = service(recorder);
        let client = client_of(&service);
        client.write_headers(&line("POST", "/"), &fields(""), b"").unwrap();
        let upload = spawn({
            let client = client.clone();
            async move {
                while client.write(&[b'x'; 65_536]).is_ok() {
                    if client.flush().await.is_err() {
                        break;
                    }
                }
                client.write(b"x")
            }
        });
        let mut reader = Reader::new();
        assert_eq!(after(&client.read_response(&mut reader).await), "closed");
        assert_eq!(reader.trace.take(), ["headers 413 Payload Too Large", "data no", "finish"]);
        assert_eq!(upload.await.unwrap(), Err(HttpOutputError::Closed));
    });
}

#[test]
fn an_upgrade_ends_http_on_both_sides() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => {
                let headers = HttpHeaders::from_static(&[("Upgrade", "x")]);
                connection.write_headers(&StatusCode::SWITCHING_PROTOCOLS.into(), &headers, b"")?;
                Ok(connection.finish()?)
            }
            _ => done(),
        });
        let service = service(recorder);
        let client = client_of(&service);
        client.write_request(&line("GET", "/"), &fields("Upgrade: x"), b"").unwrap();
        let result = client.read_response(&mut Reader::new()).await;
        assert!(matches!(result, Ok(AfterResponse::Switched(_))), "{result:?}");
    });
}

//! A client's exchanges with servers that the test plays: what the delegate gets, and what becomes of the connection.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::responses::*;
use common::*;
use landspout_http1connection::{AfterResponse, Http1ConnectionParameters, ResponseError};
use landspout_httputil::HttpOutputError;
use landspout_ioloop::with_timeout;
use landspout_iostream::IoStream;

/// Sends a request, has the server answer with these bytes and close its side, and reads.
async fn exchange(method: &str, response: &[u8]) -> (Vec<String>, String) {
    let (client, server) = client();
    client.write_request(&line(method, "/"), &fields("Upgrade: x"), b"").unwrap();
    server.write(response).unwrap();
    server.shutdown_write().await.unwrap();
    let mut reader = Reader::new();
    let result = client.read_response(&mut reader).await;
    if let Ok(AfterResponse::Switched(stream)) = &result {
        assert_eq!(stream.read_until_close().await.unwrap(), "tunnel");
    }
    (reader.trace.take(), after(&result))
}

#[test]
fn the_delegate_gets_each_response_as_it_is() {
    run(async {
        for (method, response, calls, outcome) in [
            // A server that closes its side behind a response leaves no connection for another request.
            (
                "GET",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                &["headers 200 OK", "data hi", "finish"][..],
                "reusable",
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\nContent-Length: 2,2\r\n\r\nhi",
                &["headers 200 OK", "data hi", "finish"],
                "reusable",
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\nContent-Length: 2, 2,2\r\n\r\nhi",
                &["headers 200 OK", "data hi", "finish"],
                "reusable",
            ),
            (
                "GET",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
                &["headers 200 OK", "data hi", "finish"],
                "closed",
            ),
            (
                "GET",
                "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n",
                &["headers 200 ", "data hi", "trailers 1", "finish"],
                "reusable",
            ),
            // No length: all until the close.
            ("GET", "HTTP/1.0 200 OK\r\n\r\nhello", &["headers 200 OK", "data hello", "finish"], "closed"),
            ("GET", "HTTP/1.1 200 OK\r\n\r\n", &["headers 200 OK", "finish"], "closed"),
            // No body.
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", &["headers 200 OK", "finish"], "reusable"),
            (
                "GET",
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
                &["headers 304 Not Modified", "finish"],
                "reusable",
            ),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n", &["headers 204 No Content", "finish"], "reusable"),
            (
                "GET",
                "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                &["headers 204 No Content", "finish"],
                "closed",
            ),
            // Interim ones, asked for or not.
            (
                "GET",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nA",
                &["headers 100 Continue", "headers 103 Hint", "headers 200 OK", "data A", "finish"],
                "reusable",
            ),
            // HTTP is over.
            (
                "GET",
                "HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\ntunnel",
                &["headers 101 Go", "finish"],
                "switched",
            ),
        ] {
            let (trace, result) = exchange(method, response.as_bytes()).await;
            assert_eq!((trace, &*result), (calls.iter().map(|call| call.to_string()).collect(), outcome), "{response}");
        }
    });
}

#[test]
fn a_response_that_cannot_be_right_closes_the_connection() {
    run(async {
        for (response, calls, error) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2,4\r\n\r\nhi", &[][..], "ContentLength"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2,3\r\n\r\nhi", &[], "ContentLength"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
                &[],
                "AmbiguousLength",
            ),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", &[], "BodyNotAllowed"),
            ("220 mail.example.com\r\n", &[], "StatusLine"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhix",
                &["headers 200 OK", "data hi"],
                "ChunkEnd",
            ),
            // Ends that come too early.
            ("", &[], "Closed(None)"),
            ("HTTP/1.1 200", &[], "Closed(None)"),
            ("HTTP/1.1 100 Continue\r\n\r\n", &["headers 100 Continue"], "Closed(None)"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", &["headers 200 OK", "data hi"], "Closed(None)"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
                &["headers 200 OK", "data hi"],
                "Closed(None)",
            ),
        ] {
            let (mut trace, result) = exchange("GET", response.as_bytes()).await;
            assert_eq!(trace.pop().as_deref(), Some("connection close"), "{response}");
            assert_eq!(trace, calls, "{response}");
            assert!(result.contains(error), "{result} for {response}");
        }
    });
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    run(async {
        let (client, server) = client();
        for n in 0..3 {
            assert!(client.is_idle());
            ask(&client, "GET", &format!("/{n}")).unwrap();
            assert!(!client.is_idle());
            assert_eq!(
                server.read_until(b"\r\n\r\n", None).await.unwrap(),
                format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n")
            );
            server.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}").as_bytes()).unwrap();
            let mut reader = Reader::new();
            assert_eq!(after(&client.read_response(&mut reader).await), "reusable");
            assert_eq!(reader.trace.take(), ["headers 200 OK", &*format!("data {n}"), "finish"]);
        }
    });
}

#[test]
fn whoever_wants_no_further_request_says_so_and_closes() {
    run(async {
        let params = Http1ConnectionParameters { no_keep_alive: true, ..Default::default() };
        let (client, server) = client_with(params);
        ask(&client, "GET", "/").unwrap();
        let head = server.read_until(b"\r\n\r\n", None).await.unwrap();
        assert_eq!(head, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        server.write(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!(after(&client.read_response(&mut Reader::new()).await), "closed");
        assert_eq!(ask(&client, "GET", "/"), Err(HttpOutputError::Closed));
        assert_eq!(server.read_until_close().await.unwrap(), "");
    });
}

/// RFC 9112, section 9.2: what comes on an idle connection answers nothing.
#[test]
fn a_connection_on_which_the_server_did_something_unasked_is_not_used_again() {
    run(async {
        for unasked in ["HTTP/1.1 408 Request Timeout\r\n\r\n", ""] {
            let (client, server) = client();
            ask(&client, "GET", "/").unwrap();
            server.write(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            assert_eq!(after(&client.read_response(&mut Reader::new()).await), "reusable");
            server.write(unasked.as_bytes()).unwrap();
            if unasked.is_empty() {
                server.close();
            }
            until(|| !client.is_idle()).await;
            assert_eq!(ask(&client, "GET", "/"), Err(HttpOutputError::Closed));
            assert!(client.stream().closed());
        }
        // A response nobody asked for, sent along with one that somebody did.
        let (client, server) = client();
        ask(&client, "GET", "/").unwrap();
        server.write(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!(after(&client.read_response(&mut Reader::new()).await), "reusable");
        assert!(!client.is_idle());
        assert_eq!(ask(&client, "GET", "/"), Err(HttpOutputError::Closed));
    });
}

#[test]
fn calls_in_the_wrong_order_change_nothing() {
    run(async {
        let (client, server) = client();
        assert_eq!(client.read_response(&mut Reader::new()).await.unwrap_err(), ResponseError::NoRequest);
        assert_eq!(client.write(b"x"), Err(HttpOutputError::HeadersNotSent));
        assert_eq!(client.finish(), Err(HttpOutputError::HeadersNotSent));
        assert_eq!(ask(&client, "GET", "nowhere"), Err(HttpOutputError::InvalidTarget("nowhere".to_owned())));
        let refused = client.write_headers(&line("GET", "/"), &fields(""), b"a body that the head doesn't announce");
        assert_eq!(refused, Err(HttpOutputError::BodyNotAllowed));
        ask(&client, "GET", "/").unwrap();
        assert_eq!(ask(&client, "GET", "/"), Err(HttpOutputError::HeadersAlreadySent));
        assert_eq!(client.write(b"x"), Err(HttpOutputError::AlreadyFinished));
        assert_eq!(client.finish(), Err(HttpOutputError::AlreadyFinished));
        let reading = spawn({
            let client = client.clone();
            async move { after(&client.read_response(&mut Reader::new()).await) }
        });
        next_turn().await;
        assert_eq!(client.read_response(&mut Reader::new()).await.unwrap_err(), ResponseError::AlreadyReading);
        server.write(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert_eq!(reading.await.unwrap(), "reusable");
        // Nothing else was sent.
        assert_eq!(server.read_until(b"\r\n\r\n", None).await.unwrap(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(server.with_buffered(<[u8]>::is_empty));
    });
}

#[test]
fn a_body_of_another_length_than_announced_closes_the_connection() {
    run(async {
        let (client, server) = client();
        client.write_headers(&line("POST", "/"), &fields("Content-Length: 4"), b"ab").unwrap();
        assert_eq!(client.write(b"cde"), Err(HttpOutputError::BodyTooLong { content_length: 4, attempted: 5 }));
        client.write(b"c").unwrap();
        assert_eq!(client.finish(), Err(HttpOutputError::BodyTooShort { content_length: 4, written: 3 }));
        assert!(server.read_until_close().await.unwrap().ends_with(b"\r\n\r\nabc"));
        assert_eq!(client.read_response(&mut Reader::new()).await.unwrap_err(), ResponseError::Closed(None));
    });
}

/// The body waits in the delegate for the 100 of a head before it.
#[test]
fn a_body_can_wait_for_100_continue() {
    run(async {
        let (client, server) = client();
        client.write_headers(&line("POST", "/"), &fields("Expect: 100-continue"), b"").unwrap();
        let mut reader = Reader::acting({
            let client = client.clone();
            move |entry| {
                let client = client.clone();
                async move {
                    if entry == "headers 100 Continue" {
                        client.write(b"the body")?;
                        client.finish()?;
                    }
                    Ok(())
                }
            }
        });
        spawn(async move {
            server.read_until(b"\r\n\r\n", None).await.unwrap();
            server.write(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            assert_eq!(server.read_until(b"0\r\n\r\n", None).await.unwrap(), "8\r\nthe body\r\n0\r\n\r\n");
            server.write(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            // Nobody reads on before the client has its answer.
            server.read_until_close().await.unwrap();
        });
        assert_eq!(after(&client.read_response(&mut reader).await), "reusable");
        assert_eq!(reader.trace.take(), ["headers 100 Continue", "headers 204 No Content", "finish"]);
    });
}

#[test]
fn a_refusal_instead_of_100_continue_ends_the_exchange_without_the_body() {
    run(async {
        let (client, server) = client();
        client.write_headers(&line("POST", "/"), &fields("Expect: 100-continue"), b"").unwrap();
        server.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").unwrap();
        let mut reader = Reader::new();
        assert_eq!(after(&client.read_response(&mut reader).await), "closed");
        assert_eq!(reader.trace.take(), ["headers 403 Forbidden", "data no", "finish"]);
        assert_eq!(client.write(b"the body"), Err(HttpOutputError::Closed));
        assert!(server.read_until_close().await.unwrap().ends_with(b"Transfer-Encoding: chunked\r\n\r\n"));
    });
}

/// The server reads no more; the upload waits in a flush when the answer comes.
#[test]
fn an_answer_that_comes_before_the_request_is_whole_ends_the_upload() {
    run(async {
        for shared in [false, true] {
            let (client, server) = client();
            client.write_headers(&line("POST", "/"), &fields(""), b"").unwrap();
            let upload = spawn({
                let client = client.clone();
                async move {
                    loop {
                        let written = match shared {
                            false => client.write(&[b'x'; 65_536]).and(client.flush().await),
                            true => client.write_bytes(&[b'x'; 65_536][..]).and(client.ready().await),
                        };
                        if let Err(error) = written {
                            return error;
                        }
                    }
                }
            });
            // The kernels' buffers are full.
            until(|| client.stream().writing()).await;
            turns(10).await;
            server.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").unwrap();
            let mut reader = Reader::new();
            assert_eq!(after(&client.read_response(&mut reader).await), "closed");
            assert_eq!(reader.trace.take(), ["headers 403 Forbidden", "data no", "finish"]);
            assert_eq!(upload.await.unwrap(), HttpOutputError::Closed);
        }
    });
}

/// It closes with the upload unread, which resets the connection; and the client notices that by a write.
#[test]
fn the_answer_of_a_server_that_breaks_off_is_read() {
    run(async {
        let (client, server) = client();
        client.write_headers(&line("POST", "/"), &fields(""), b"").unwrap();
        client.write(b"begin").unwrap();
        client.flush().await.unwrap();
        turns(3).await;
        let reading = spawn({
            let client = client.clone();
            async move {
                let mut reader = Reader::new();
                (after(&client.read_response(&mut reader).await), reader.trace.take())
            }
        });
        let upload = spawn(async move {
            server.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").unwrap();
            server.close();
            // The reader waits; before the loop tells it anything, a write fails.
            let mut written = Ok(());
            while written.is_ok() {
                written = client.write(b"more").and(client.flush().await);
            }
            written
        });
        assert_eq!(upload.await.unwrap(), Err(HttpOutputError::Closed));
        let (outcome, trace) = reading.await.unwrap();
        assert_eq!(
            (&*outcome, trace),
            ("closed", vec!["headers 403 Forbidden".into(), "data no".into(), "finish".into()])
        );
    });
}

#[test]
fn a_response_may_begin_before_the_request_is_whole_and_end_after_it() {
    run(async {
        let (client, server) = client();
        client.write_headers(&line("POST", "/"), &fields(""), b"ping").unwrap();
        server.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npong\r\n").unwrap();
        let mut reader = Reader::acting({
            let (client, server) = (client.clone(), server.clone());
            move |entry| {
                let (client, server) = (client.clone(), server.clone());
                async move {
                    if entry == "data pong" {
                        client.finish()?;
                        server.write(b"0\r\n\r\n")?;
                    }
                    Ok(())
                }
            }
        });
        assert_eq!(after(&client.read_response(&mut reader).await), "reusable");
        assert!(client.is_idle());
    });
}

/// A delegate that takes its time holds the server up: only the buffers of stream and kernels fill.
#[test]
fn a_slow_delegate_slows_the_server_down() {
    const BODY: usize = 64 << 20;
    run(async {
        let (client, server) = client();
        ask(&client, "GET", "/").unwrap();
        let gate = Gate::default();
        let mut reader = Reader::acting({
            let gate = gate.clone();
            move |entry| {
                let gate = gate.clone();
                async move {
                    if entry.starts_with("data") {
                        gate.wait().await;
                    }
                    Ok(())
                }
            }
        });
        let sent = Rc::new(Cell::new(0));
        spawn({
            let sent = sent.clone();
            async move {
                server.read_until(b"\r\n\r\n", None).await.unwrap();
                server.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n").as_bytes()).unwrap();
                let piece = vec![b'x'; 1 << 20];
                while sent.get() < BODY && server.write(&piece).unwrap().await.is_ok() {
                    sent.set(sent.get() + piece.len());
                }
            }
        });
        let reading = spawn({
            let client = client.clone();
            async move { (after(&client.read_response(&mut reader).await), reader.body.borrow().len()) }
        });
        until(|| gate.is_waited_for()).await;
        let mut before = usize::MAX;
        while before != sent.get() {
            before = sent.get();
            turns(100).await;
        }
        assert!(before < BODY / 2, "{before} bytes were taken while the delegate worked");
        gate.open();
        assert_eq!(reading.await.unwrap(), ("reusable".to_owned(), BODY));
    });
}

#[test]
fn a_read_that_is_given_up_closes_the_connection() {
    run_jumping(|_| async {
        let (client, server) = client_pair(Http1ConnectionParameters::default());
        ask(&client, "GET", "/").unwrap();
        server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx").unwrap();
        let mut reader = Reader::new();
        assert!(with_timeout(Duration::from_secs(1), client.read_response(&mut reader)).await.is_err());
        assert_eq!(reader.trace.take(), ["headers 200 OK", "data x"]);
        assert!(client.stream().closed());
        assert_eq!(ask(&client, "GET", "/"), Err(HttpOutputError::Closed));
    });
}

#[test]
fn an_error_of_the_delegate_is_the_result_and_closes_the_connection() {
    run(async {
        for (at, calls) in [
            ("headers 200 OK", &["headers 200 OK", "connection close"][..]),
            ("data x", &["headers 200 OK", "data x", "connection close"]),
            ("trailers 1", &["headers 200 OK", "data x", "trailers 1", "connection close"]),
            ("finish", &["headers 200 OK", "data x", "trailers 1", "finish"]),
        ] {
            let (client, server) = client();
            ask(&client, "GET", "/").unwrap();
            server.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\n\r\n").unwrap();
            let mut reader =
                Reader::acting(move |entry| async move { if entry == at { Err("no more".into()) } else { Ok(()) } });
            let error = client.read_response(&mut reader).await.unwrap_err();
            assert_eq!(error, ResponseError::Delegate("no more".into()));
            assert_eq!(reader.trace.take(), calls);
            assert!(client.stream().closed());
        }
    });
}

/// A body without a length ends with the server's clean end, not with any other.
#[test]
fn closing_this_side_is_not_the_end_of_a_body() {
    run(async {
        let (client, server) = client();
        ask(&client, "GET", "/").unwrap();
        server.write(b"HTTP/1.1 200 OK\r\n\r\nx").unwrap();
        let mut reader = Reader::acting({
            let client = client.clone();
            move |entry| {
                if entry == "data x" {
                    client.close();
                }
                async { Ok(()) }
            }
        });
        assert_eq!(client.read_response(&mut reader).await.unwrap_err(), ResponseError::Closed(None));
        assert_eq!(reader.trace.take(), ["headers 200 OK", "data x", "connection close"]);
    });
}

#[test]
fn a_reset_is_not_the_end_of_a_body() {
    run(async {
        let (client, server) = client();
        ask(&client, "GET", "/").unwrap();
        server.write(b"HTTP/1.1 200 OK\r\n\r\nx").unwrap().await.unwrap();
        let mut reader = Reader::acting({
            let server = server.clone();
            move |entry| {
                // With the request unread this is a reset.
                if entry == "data x" {
                    server.close();
                }
                async { Ok(()) }
            }
        });
        let error = client.read_response(&mut reader).await.unwrap_err();
        let ResponseError::Closed(Some(cause)) = error else { panic!("{error:?}") };
        assert_eq!(cause.io_kind(), Some(std::io::ErrorKind::ConnectionReset));
        assert!(reader.trace.has("connection close"));
    });
}

#[test]
fn a_tunnel_is_handed_over_with_what_was_read_of_it() {
    run(async {
        let (client, server) = client();
        client
            .write_request(
                &line("CONNECT", "a:443"),
                &landspout_httputil::HttpHeaders::from_static(&[("Host", "a:443")]),
                b"",
            )
            .unwrap();
        server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst").unwrap();
        let Ok(AfterResponse::Switched(stream)) = client.read_response(&mut Reader::new()).await else { panic!() };
        assert_eq!(stream.read_bytes(5).await.unwrap(), "first");
        assert_eq!(ask(&client, "GET", "/"), Err(HttpOutputError::Closed));
        server.read_until(b"\r\n\r\n", None).await.unwrap();
        pass_on(&stream, &server).await;
        pass_on(&server, &stream).await;
        // A handle of the client that goes takes nothing with it.
        drop(client);
        pass_on(&stream, &server).await;
    });
}

async fn pass_on(from: &IoStream, to: &IoStream) {
    from.write(b"bytes").unwrap();
    assert_eq!(to.read_bytes(5).await.unwrap(), "bytes");
}

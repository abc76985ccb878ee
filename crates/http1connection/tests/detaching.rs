//! The application takes the stream, and HTTP ends on it.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::log::alarms;
use common::recorder::{Connection, begin, ok};
use common::*;
use landspout_http1connection::{Detach, DetachError};
use landspout_httputil::{HttpHeaders, HttpOutputError, ResponseStartLine, StatusCode};
use landspout_iostream::IoStream;

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n";

/// Writes the head that announces the change.
fn switch(connection: &Connection) -> Result<(), HttpOutputError> {
    const ECHO: HttpHeaders = HttpHeaders::from_static(&[("Upgrade", "echo")]);
    connection.write_headers(&ResponseStartLine::new(StatusCode::SWITCHING_PROTOCOLS), &ECHO, b"")
}

/// Gives back what comes, line by line, until the client ends.
async fn echo(stream: IoStream) {
    while let Ok(line) = stream.read_until(b"\n", None).await {
        stream.write(&line).unwrap();
    }
}

/// What reached the client before the end, with the `Date` of responses taken out.
async fn received(client: &Client) -> String {
    let text = String::from_utf8(client.rest().await).unwrap();
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect()
}

fn task_of_its_own(connection: &Connection, call: &Call) -> Result<(), landspout_httputil::BoxError> {
    if let Call::Headers(..) = call {
        switch(connection)?;
        spawn(echo(connection.detach()?));
    }
    done()
}

#[test]
fn the_stream_is_handed_over_with_the_bytes_behind_the_head() {
    // Whole, and cut at every place: nothing is lost, and nothing is read as HTTP.
    let sent = format!("{UPGRADE}one\nGET / HTTP/1.1\r\n\r\n");
    for cut in 0..sent.len() {
        run({
            let sent = sent.clone();
            async move {
                let recorder = Recorder::new(async |connection: Connection, call| task_of_its_own(&connection, &call));
                let trace = recorder.trace.clone();
                let (client, handle) = connect(&service(recorder));
                client.send(&sent[..cut]);
                if cut > 0 {
                    turns(3).await;
                }
                client.send(&sent[cut..]);
                until(|| trace.has("close")).await;
                assert!(handle.closed(), "it is HTTP's no more");
                handle.close();
                client.send("two\n");
                client.end_sending();
                assert_eq!(received(&client).await, format!("{SWITCHED}one\nGET / HTTP/1.1\r\n\r\ntwo\n"));
                let calls = trace.take();
                assert_eq!(calls, ["start", "headers GET /", "headers GET / done", "drop", "close"]);
            }
        });
    }
}

#[test]
fn the_delegate_may_go_on_with_the_stream_itself() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| {
            if let Call::Headers(..) = call {
                switch(&connection)?;
                echo(connection.detach()?).await;
            }
            done()
        });
        let trace = recorder.trace.clone();
        let (client, handle) = connect(&service(recorder));
        client.send(format!("{UPGRADE}one\n"));
        // The server is told while the delegate is still at work.
        until(|| trace.has("close")).await;
        assert!(!trace.has("headers GET / done") && handle.closed());
        // And has nothing to end any more.
        handle.drain();
        handle.close();
        client.send("two\n");
        assert_eq!(client.head().await.status, 101);
        assert_eq!(client.stream.read_bytes(8).await.unwrap(), "one\ntwo\n");
        client.send("three\n");
        client.end_sending();
        assert_eq!(received(&client).await, "three\n");
        until(|| trace.has("drop")).await;
        let calls = trace.take();
        assert_eq!(calls, ["start", "headers GET /", "close", "headers GET / done", "drop"]);
    });
}

#[test]
fn a_delegate_that_waits_does_not_take_the_readers_place() {
    run(async {
        let gate = Gate::default();
        let recorder = Recorder::new({
            let gate = gate.clone();
            move |connection: Connection, call| {
                let gate = gate.clone();
                async move {
                    if let Call::Headers(..) = call {
                        // The connection's task has noted itself as the stream's reader once already.
                        next_turn().await;
                        task_of_its_own(&connection, &call)?;
                        gate.wait().await;
                    }
                    done()
                }
            }
        });
        let trace = recorder.trace.clone();
        let (client, _handle) = connect(&service(recorder));
        client.send(UPGRADE);
        assert_eq!(client.head().await.status, 101);
        for line in ["one\n", "two\n"] {
            client.send(line);
            assert_eq!(client.stream.read_bytes(4).await.unwrap(), line);
        }
        client.end_sending();
        client.end().await;
        assert!(!trace.has("headers GET / done"));
        gate.open();
        until(|| trace.has("drop")).await;
        assert_eq!(trace.count("close"), 1);
    });
}

#[test]
fn once_the_request_was_read_another_task_may_detach() {
    run(async {
        let slot: Rc<RefCell<Option<Connection>>> = Rc::default();
        let recorder = Recorder::new({
            let slot = slot.clone();
            move |connection: Connection, call| {
                if let Call::Finish(_) = call {
                    slot.replace(Some(connection));
                }
                async { done() }
            }
        });
        let trace = recorder.trace.clone();
        let (client, _handle) = connect(&service(recorder));
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodymore\n");
        until(|| trace.has("drop")).await;
        let connection = slot.take().unwrap();
        spawn(echo(connection.detach().unwrap()));
        until(|| trace.has("close")).await;
        drop(connection);
        client.end_sending();
        assert_eq!(received(&client).await, "more\n");
    });
}

#[test]
fn without_an_answer_the_application_has_the_first_word() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| {
            if let Call::Headers(..) = call {
                let stream = connection.detach()?;
                stream.write(b"no HTTP at all: ")?;
                stream.write(&stream.read_bytes(4).await?)?;
                stream.close_when_flushed();
            }
            done()
        });
        let (client, _handle) = connect(&service(recorder));
        // Not even the body is read, nor is anybody told to go on with it.
        client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
        assert_eq!(client.stream.read_bytes(16).await.unwrap(), "no HTTP at all: ");
        turns(5).await;
        client.assert_silent();
        client.send("body");
        assert_eq!(received(&client).await, "body");
    });
}

#[test]
fn answers_to_pipelined_requests_leave_before() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(ref line, _) if line.path() == "/" => task_of_its_own(&connection, &call),
            Call::Finish(target) => ok(&connection, target),
            _ => done(),
        });
        let (client, _handle) = connect(&service(recorder));
        client.send(format!("GET /first HTTP/1.1\r\nHost: x\r\n\r\n{UPGRADE}one\n"));
        client.end_sending();
        assert_eq!(client.response().await.brief(), (200, "/first"));
        assert_eq!(received(&client).await, format!("{SWITCHED}one\n"));
    });
}

#[test]
fn a_connect_is_answered_and_becomes_a_tunnel() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| {
            if let Call::Headers(..) = call {
                let established = ResponseStartLine::new(StatusCode::OK);
                // As a whole: that is over, but only HTTP is.
                connection.write_response(&established, &HttpHeaders::new(), b"")?;
                spawn(echo(connection.detach()?));
            }
            done()
        });
        let (client, _handle) = connect(&service(recorder));
        client.send("CONNECT there:443 HTTP/1.1\r\nHost: there:443\r\n\r\n\x16tls\n");
        client.end_sending();
        assert_eq!(received(&client).await, "HTTP/1.1 200 OK\r\n\r\n\x16tls\n");
    });
}

/// Tries to detach at some point, and notes how that went.
fn attempt(connection: &Connection, trace: &Trace) {
    trace.push(match connection.detach() {
        Ok(_) => "detached".to_owned(),
        Err(error) => format!("{error:?}"),
    });
}

#[test]
fn what_comes_too_late_or_in_the_middle_changes_nothing() {
    type Step = fn(&Connection, &Trace, &Call);
    let steps: [(&str, Step, &str); 5] = [
        // Behind a whole response, and behind one that another response could follow.
        (
            "200 /",
            |connection, trace, call| {
                if let Call::Headers(..) = call {
                    ok(connection, "/").unwrap();
                    attempt(connection, trace);
                }
            },
            "TooLate",
        ),
        (
            "200 /",
            |connection, trace, call| match call {
                Call::Headers(..) => {
                    begin(connection).unwrap();
                    attempt(connection, trace);
                }
                Call::Finish(_) => {
                    connection.write(b"/").unwrap();
                    connection.finish().unwrap();
                }
                _ => {}
            },
            "ResponseUnfinished",
        ),
        (
            "200 4",
            |connection, trace, call| {
                if let Call::Data(chunk) = call {
                    attempt(connection, trace);
                    ok(connection, chunk.len().to_string()).unwrap();
                }
            },
            "BodyUnfinished",
        ),
        (
            "200 trailers",
            |connection, trace, call| {
                if let Call::Trailers(_) = call {
                    attempt(connection, trace);
                    ok(connection, "trailers").unwrap();
                }
            },
            "BodyUnfinished",
        ),
        // An interim response is no answer yet; nothing stands against it.
        (
            "",
            |connection, trace, call| {
                if let Call::Headers(..) = call {
                    let early = ResponseStartLine::new(StatusCode::from_u16(103).unwrap());
                    connection.write_headers(&early, &HttpHeaders::new(), b"").unwrap();
                    attempt(connection, trace);
                }
            },
            "detached",
        ),
    ];
    for (answer, step, outcome) in steps {
        run(async move {
            let attempts = Trace::default();
            let recorder = Recorder::new({
                let attempts = attempts.clone();
                move |connection: Connection, call| {
                    step(&connection, &attempts, &call);
                    async { done() }
                }
            });
            let (client, handle) = connect(&service(recorder));
            client
                .send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: y\r\n\r\n");
            if outcome == "detached" {
                assert_eq!(client.cut().await, b"HTTP/1.1 103 Early Hints\r\n\r\n");
            } else {
                let response = client.response().await;
                assert_eq!(format!("{} {}", response.status, response.text()), answer);
                turns(5).await;
                assert!(!handle.closed(), "it is kept for the next request");
            }
            assert_eq!(attempts.take(), [outcome]);
        });
    }
}

#[test]
fn a_stream_is_handed_out_once() {
    run(async {
        let slot: Rc<RefCell<Vec<Connection>>> = Rc::default();
        let recorder = Recorder::new({
            let slot = slot.clone();
            move |connection: Connection, call| {
                let slot = slot.clone();
                async move {
                    match call {
                        Call::Headers(ref line, _) if line.path() == "/" => {
                            task_of_its_own(&connection, &call)?;
                            assert_eq!(connection.detach().unwrap_err(), DetachError::AlreadyDetached);
                            assert_eq!(connection.write(b"x"), Err(HttpOutputError::AlreadyFinished));
                            assert_eq!(connection.finish(), Err(HttpOutputError::AlreadyFinished));
                            assert_eq!(connection.flush().await, Err(HttpOutputError::AlreadyFinished));
                            connection.set_close_callback(Some(Box::new(|| panic!("it is none of HTTP's"))));
                            slot.borrow_mut().push(connection);
                        }
                        Call::Finish(target) => {
                            ok(&connection, target)?;
                            slot.borrow_mut().push(connection);
                        }
                        _ => {}
                    }
                    done()
                }
            }
        });
        let trace = recorder.trace.clone();
        let (client, _handle) = connect(&service(recorder));
        client.send(format!("GET /first HTTP/1.1\r\nHost: x\r\n\r\n{UPGRADE}"));
        until(|| trace.has("close")).await;
        let kept = slot.take();
        for connection in &kept {
            // That of the first request as well: the stream isn't there any more.
            assert_eq!(connection.detach().unwrap_err(), DetachError::AlreadyDetached);
        }
        client.end_sending();
        client.cut().await;
    });
}

#[test]
fn a_response_that_was_announced_and_not_followed_up_ends_the_connection() {
    run(async {
        let slot: Rc<RefCell<Option<Connection>>> = Rc::default();
        let recorder = Recorder::new({
            let slot = slot.clone();
            move |connection: Connection, call| {
                let slot = slot.clone();
                async move {
                    if let Call::Finish(_) = call {
                        switch(&connection)?;
                        connection.finish()?;
                        slot.replace(Some(connection));
                    }
                    done()
                }
            }
        });
        let trace = recorder.trace.clone();
        let (client, _handle) = connect(&service(recorder));
        client.send(UPGRADE);
        assert_eq!(client.head().await.status, 101);
        client.end().await;
        // The goodbye has begun: it is too late, and once it is said there is nothing left.
        assert_eq!(slot.borrow().as_ref().unwrap().detach().unwrap_err(), DetachError::TooLate);
        client.hang_up();
        until(|| trace.has("close")).await;
        assert_eq!(slot.take().unwrap().detach().unwrap_err(), DetachError::TooLate);
    });
}

#[test]
fn of_a_connection_that_is_gone_nothing_is_handed_out() {
    run(async {
        let slot: Rc<RefCell<Option<Connection>>> = Rc::default();
        let recorder = Recorder::new({
            let slot = slot.clone();
            move |connection: Connection, call| {
                if let Call::Finish(_) = call {
                    slot.replace(Some(connection));
                }
                async { done() }
            }
        });
        let trace = recorder.trace.clone();
        let (client, handle) = connect(&service(recorder));
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        until(|| trace.has("drop")).await;
        handle.close();
        assert_eq!(slot.borrow().as_ref().unwrap().detach().unwrap_err(), DetachError::Closed);
        client.cut().await;
    });
}

#[test]
fn a_stream_that_nobody_wants_is_closed() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| {
            if let Call::Headers(..) = call {
                switch(&connection)?;
                drop(connection.detach()?);
            }
            done()
        });
        let trace = recorder.trace.clone();
        let (client, _handle) = connect(&service(recorder));
        client.send(UPGRADE);
        assert_eq!(received(&client).await, SWITCHED);
        assert_eq!(trace.count("close"), 1);
    });
}

#[test]
fn errors_and_panics_after_it_leave_the_stream_alone() {
    for call_ends in ["error", "closed", "panic"] {
        let ((), lines) = logged(|| run(ends_after_detaching(call_ends)));
        assert_eq!(alarms(&lines).len(), usize::from(call_ends != "closed"), "{lines:?}");
    }
}

async fn ends_after_detaching(call_ends: &'static str) {
    let recorder = Recorder::new(move |connection: Connection, call| async move {
        if let Call::Headers(..) = call {
            task_of_its_own(&connection, &call)?;
            match call_ends {
                "error" => return Err("afterwards".into()),
                "closed" => return Err(HttpOutputError::Closed.into()),
                _ => panic!("afterwards"),
            }
        }
        done()
    });
    let trace = recorder.trace.clone();
    let (client, _handle) = connect(&service(recorder));
    client.send(format!("{UPGRADE}one\n"));
    until(|| trace.has("close")).await;
    client.send("two\n");
    client.end_sending();
    assert_eq!(received(&client).await, format!("{SWITCHED}one\ntwo\n"));
    assert!(!trace.has("connection close") && trace.count("close") == 1);
}

#[test]
fn no_deadline_of_http_reaches_a_detached_stream() {
    run_jumping(|_| async {
        let recorder = Recorder::new(async |connection: Connection, call| {
            if let Call::Headers(..) = call {
                connection.set_body_timeout(Some(std::time::Duration::from_secs(1)));
                task_of_its_own(&connection, &call)?;
            }
            done()
        });
        let params = landspout_http1connection::Http1ConnectionParameters {
            header_timeout: Some(std::time::Duration::from_secs(1)),
            body_timeout: Some(std::time::Duration::from_secs(1)),
            ..Default::default()
        };
        let service = landspout_http1connection::Http1Service::new(recorder, params);
        let (client, _handle) = connect_pair(&service);
        client.send(UPGRADE);
        assert_eq!(client.head().await.status, 101);
        landspout_ioloop::sleep(std::time::Duration::from_secs(10_000)).await;
        client.send("one\n");
        assert_eq!(client.stream.read_bytes(4).await.unwrap(), "one\n");
    });
}

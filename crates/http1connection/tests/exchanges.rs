//! One exchange after the other: answers in their places, handles that outlive their exchange, storage that is used again.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::poll_fn;
use std::rc::Rc;

use common::recorder::{Connection, begin, ok};
use common::*;
use landspout_http1connection::Http1ServerConnection;
use landspout_httputil::{HttpHeaders, HttpOutputError, ResponseStartLine, StatusCode};
use landspout_iostream::IoStream;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// Requests whose answers come from other tasks, opened by the test in any order.
#[test]
fn answers_of_other_tasks_land_in_their_places() {
    run(async {
        let gates: [Gate; 3] = Default::default();
        let recorder = Recorder::new({
            let gates = gates.clone();
            move |connection: Connection, call| {
                let gates = gates.clone();
                async move {
                    let Call::Finish(target) = call else { return done() };
                    match target[1..].parse::<usize>() {
                        Ok(n) => {
                            let gate = gates[n].clone();
                            spawn(async move {
                                gate.wait().await;
                                ok(&connection, format!("late {n}")).unwrap();
                            });
                            done()
                        }
                        Err(_) => ok(&connection, target),
                    }
                }
            }
        });
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        client.send(["/a", "/0", "/b", "/1", "/2", "/c"].map(get).concat());
        gates[2].open();
        gates[1].open();
        assert_eq!(client.response().await.text(), "/a");
        turns(10).await;
        client.assert_silent();
        // Nothing of the next request is begun before.
        assert_eq!(trace.count("start"), 2);
        assert!(trace.has("finish done"));
        gates[0].open();
        for expected in ["late 0", "/b", "late 1", "late 2", "/c"] {
            assert_eq!(client.response().await.text(), expected);
        }
    });
}

#[test]
fn a_response_can_be_complete_before_finish_returns() {
    run(async {
        let gate = Gate::default();
        let recorder = Recorder::new({
            let gate = gate.clone();
            move |connection: Connection, call| {
                let gate = gate.clone();
                async move {
                    if let Call::Finish(target) = call {
                        ok(&connection, target)?;
                        gate.wait().await;
                    }
                    done()
                }
            }
        });
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        client.send([get("/1"), get("/2")].concat());
        // It is sent at once; the next request waits for the delegate.
        assert_eq!(client.response().await.text(), "/1");
        turns(10).await;
        assert_eq!((trace.count("start"), trace.count("finish done")), (1, 0));
        gate.open();
        assert_eq!(client.response().await.text(), "/2");
        assert_eq!(trace.count("finish done"), 2);
    });
}

#[test]
fn a_response_can_be_complete_in_headers_received() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(start_line, _) => ok(&connection, start_line.path()),
            _ => done(),
        });
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        client.send([get("/1"), get("/2")].concat());
        assert_eq!(client.response().await.text(), "/1");
        assert_eq!(client.response().await.text(), "/2");
        assert_eq!(trace.count("finish"), 2, "the message was complete, too");
    });
}

/// Everything that a kept handle can do, tried while the next exchange is under way.
#[test]
fn a_kept_handle_can_do_nothing_to_the_next_exchange() {
    run(async {
        let kept: Rc<RefCell<Vec<Connection>>> = Rc::default();
        let gate = Gate::default();
        let recorder = Recorder::new({
            let (kept, gate) = (kept.clone(), gate.clone());
            move |connection: Connection, call| {
                let (kept, gate) = (kept.clone(), gate.clone());
                async move {
                    match call {
                        Call::Headers(..) => kept.borrow_mut().push(connection),
                        Call::Finish(target) => {
                            if target == "/2" {
                                begin(&connection)?;
                                connection.write(b"half, ")?;
                                gate.wait().await;
                                connection.write(b"whole")?;
                                connection.finish()?;
                            } else {
                                ok(&connection, target)?;
                            }
                        }
                        _ => {}
                    }
                    done()
                }
            }
        });
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        assert_eq!(client.get("/1").await.text(), "/1");
        client.send("POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
        until(|| kept.borrow().len() == 2).await;
        let old = kept.borrow()[0].clone();
        let over = Err(HttpOutputError::AlreadyFinished);
        let (line, headers) = (ResponseStartLine::new(StatusCode::OK), HttpHeaders::new());
        let called = Trace::default();
        let misuse = || {
            assert_eq!(old.write(b"x"), over);
            assert_eq!(old.finish(), over);
            assert_eq!(old.write_headers(&line, &headers, b"x"), over);
            assert_eq!(old.write_response(&line, &headers, b"x"), over);
            old.set_max_body_size(1);
            old.set_body_timeout(Some(std::time::Duration::ZERO));
            old.set_close_callback(called.callback("called"));
        };
        misuse();
        client.send("abc");
        until(|| gate.is_waited_for()).await;
        misuse();
        gate.open();
        assert_eq!(client.response().await.text(), "half, whole");
        assert_eq!(client.get("/3").await.text(), "/3");
        client.hang_up();
        until(|| trace.has("close")).await;
        turns(5).await;
        assert!(!called.has("called"));
    });
}

/// What isn't kept is used again: ten thousand requests need one exchange and one block for their heads.
#[test]
fn storage_is_used_again() {
    run(async {
        let exchanges: Rc<RefCell<HashSet<*const ()>>> = Rc::default();
        let heads: Rc<RefCell<HashSet<*const u8>>> = Rc::default();
        let recorder = Recorder::new({
            let (exchanges, heads) = (exchanges.clone(), heads.clone());
            move |connection: Connection, call| {
                if let Call::Headers(_, headers) = &call {
                    exchanges.borrow_mut().insert(Rc::as_ptr(&connection).cast());
                    heads.borrow_mut().insert(headers.get("host").unwrap().as_ptr());
                }
                async move { if let Call::Finish(_) = call { ok(&connection, "hello") } else { done() } }
            }
        });
        let service = service(recorder);
        let (client, _) = connect(&service);
        let batch = get("/").repeat(100);
        for _ in 0..100 {
            client.send(&batch);
            for _ in 0..100 {
                assert_eq!(client.response().await.text(), "hello");
            }
        }
        assert_eq!((exchanges.borrow().len(), heads.borrow().len()), (1, 1));
        // The next connection takes over what the first one left.
        client.hang_up();
        let (client, _) = connect(&service);
        assert_eq!(client.get("/").await.text(), "hello");
        assert_eq!((exchanges.borrow().len(), heads.borrow().len()), (1, 1));
    });
}

#[test]
fn what_the_application_keeps_stays_as_it_was() {
    run(async {
        type Kept = (Connection, String, HttpHeaders);
        let kept: Rc<RefCell<Vec<Kept>>> = Rc::default();
        let recorder = Recorder::new({
            let kept = kept.clone();
            move |connection: Connection, call| {
                if let Call::Headers(start_line, headers) = &call {
                    kept.borrow_mut().push((connection.clone(), start_line.path().to_owned(), headers.clone()));
                }
                async move { if let Call::Finish(target) = call { ok(&connection, target) } else { done() } }
            }
        });
        let (client, _) = connect(&service(recorder));
        // One after the other, then all at once.
        for n in 0..25 {
            client.send(format!("GET /{n} HTTP/1.1\r\nHost: x\r\nX-N: {n}\r\n\r\n"));
            assert_eq!(client.response().await.text(), format!("/{n}"));
        }
        let batch: String = (25..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: x\r\nX-N: {n}\r\n\r\n")).collect();
        client.send(batch);
        for n in 25..50 {
            assert_eq!(client.response().await.text(), format!("/{n}"));
        }
        let exchanges: HashSet<*const ()> =
            kept.borrow().iter().map(|(connection, ..)| Rc::as_ptr(connection).cast()).collect();
        assert_eq!(exchanges.len(), 50);
        for (n, (_, path, headers)) in kept.borrow().iter().enumerate() {
            assert_eq!((path.as_str(), headers.get("x-n").unwrap()), (&*format!("/{n}"), n.to_string().as_bytes()));
        }
    });
}

/// The pump waits for another task's answer, half of which is out: whatever fails then must not add a second answer.
#[test]
fn a_panic_in_a_close_callback_cuts_the_answer_of_another_task() {
    logged(|| {
        run(async {
            let kept: Rc<RefCell<Option<Connection>>> = Rc::default();
            let recorder = Recorder::new({
                let kept = kept.clone();
                move |connection: Connection, call| {
                    let kept = kept.clone();
                    async move {
                        if let Call::Finish(_) = call {
                            begin(&connection)?;
                            connection.set_close_callback(Some(Box::new(|| panic!("this was planned"))));
                            kept.replace(Some(connection));
                        }
                        done()
                    }
                }
            });
            let trace = recorder.trace.clone();
            let (client, _) = connect(&service(recorder));
            client.send([get("/"), get("/")].concat());
            assert_eq!(client.head().await.status, 200);
            client.end_sending();
            assert_eq!(client.cut().await, b"", "no second answer within the first");
            until(|| trace.has("close")).await;
            assert_eq!(kept.take().unwrap().write(b"x"), Err(HttpOutputError::Closed));
        });
    });
}

/// Tornado calls its close callback for the request that is under way; here too, although the next one is there already.
#[test]
fn each_exchange_has_its_own_callback_and_its_own_limits() {
    run(async {
        let number = Rc::new(Cell::new(0));
        let recorder = Recorder::new({
            let number = number.clone();
            move |connection: Connection, call| {
                if let Call::Headers(..) = call {
                    number.set(number.get() + 1);
                    if number.get() == 1 {
                        connection.set_max_body_size(1 << 30);
                    }
                }
                async move { if let Call::Finish(target) = call { ok(&connection, target) } else { done() } }
            }
        });
        let mut params = landspout_http1connection::Http1ConnectionParameters::default();
        params.limits.max_body_size = 4;
        let (client, _) = connect(&landspout_http1connection::Http1Service::new(recorder, params));
        // Tornado: BodyLimitsTest.test_body_size_override_reset.
        client.send("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789");
        assert_eq!(client.response().await.text(), "/1");
        client.send("POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789");
        assert_eq!(client.response().await.status, 413);
        client.end().await;
    });
}

/// Tornado: BodyLimitsTest.test_large_body_streaming and its kin. A delegate that takes the body piece by piece has the
/// server's limit, and moves it when it has seen the headers.
#[test]
fn the_limit_of_a_body_holds_for_a_delegate_too() {
    let fixed = "Content-Length: 10\r\n\r\n0123456789";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n";
    for (target, body, expected) in [
        ("/usual", fixed, (413, "413 Payload Too Large\n")),
        ("/usual", chunked, (413, "413 Payload Too Large\n")),
        ("/raised", fixed, (200, "10")),
        ("/raised", chunked, (200, "10")),
        ("/usual", "Content-Length: 4\r\n\r\n0123", (200, "4")),
        ("/usual", "Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n0\r\n\r\n", (200, "4")),
    ] {
        run(async move {
            let received = Rc::new(Cell::new(0));
            let recorder = Recorder::new(move |connection: Connection, call| {
                match &call {
                    Call::Headers(start_line, _) if start_line.path() == "/raised" => connection.set_max_body_size(10),
                    Call::Data(chunk) => received.set(received.get() + chunk.len()),
                    _ => {}
                }
                let received = received.get().to_string();
                async move { if let Call::Finish(_) = call { ok(&connection, received) } else { done() } }
            });
            let mut params = landspout_http1connection::Http1ConnectionParameters::default();
            params.limits.max_body_size = 4;
            let (client, _) = connect(&landspout_http1connection::Http1Service::new(recorder, params));
            client.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\n{body}"));
            assert_eq!(client.response().await.brief(), expected, "{target} {body}");
        });
    }
}

/// `100 Continue` has its place before the final response's head, and nowhere else.
#[test]
fn continue_does_not_come_within_a_response() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(..) => begin(&connection),
            Call::Data(chunk) => Ok(connection.write(&chunk)?),
            Call::Finish(_) => Ok(connection.finish()?),
            Call::Trailers(_) => done(),
        });
        let (client, _) = connect(&service(recorder));
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.head().await.status, 200);
        turns(5).await;
        client.assert_silent();
        client.send("hello");
        assert_eq!(client.chunk().await.unwrap(), b"hello");
        assert_eq!(client.chunk().await, None);
        assert_eq!(client.get("/").await.status, 200);
    });
}

/// What a request sets that has no body is not left for the next one.
#[test]
fn limits_that_found_no_body_are_forgotten() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(start_line, _) if start_line.path() == "/sets" => {
                connection.set_max_body_size(1);
                connection.set_body_timeout(Some(std::time::Duration::ZERO));
                done()
            }
            Call::Finish(target) => ok(&connection, target),
            _ => done(),
        });
        let (client, _) = connect(&service(recorder));
        let post = "POST /next HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(client.get("/sets").await.text(), "/sets");
        client.send(post);
        turns(5).await;
        client.send("hello");
        assert_eq!(client.response().await.brief(), (200, "/next"));
        client.send([get("/sets"), post.to_owned()].concat());
        assert_eq!(client.response().await.text(), "/sets");
        turns(5).await;
        client.send("hello");
        assert_eq!(client.response().await.brief(), (200, "/next"));
    });
}

/// The connection waits for two answers from handles that are let go at once; the first one's was given long ago.
#[test]
fn a_handle_of_an_answered_request_says_nothing_about_the_next_one() {
    run(async {
        let kept: Rc<RefCell<Vec<Connection>>> = Rc::default();
        let recorder = Recorder::new({
            let kept = kept.clone();
            move |connection: Connection, call| {
                if let Call::Finish(_) = call {
                    kept.borrow_mut().push(connection);
                }
                async { done() }
            }
        });
        let (client, connection) = connect(&service(recorder));
        client.send(get("/1"));
        until(|| kept.borrow().len() == 1).await;
        turns(3).await;
        ok(&kept.borrow()[0], "one").unwrap();
        assert_eq!(client.response().await.brief(), (200, "one"));
        client.send(get("/2"));
        until(|| kept.borrow().len() == 2).await;
        turns(3).await;
        let first = kept.borrow_mut().remove(0);
        let second = kept.borrow_mut().remove(0);
        drop(second);
        drop(first);
        let response = client.response().await;
        assert_eq!((response.status, response.field("connection")), (500, Some("close")));
        turns(10).await;
        assert!(connection.is_answered(), "nothing is read any more but the peer's goodbye");
        client.end().await;
    });
}

/// A proxy's headers speak of one request; the next one may be of another client.
#[test]
fn what_a_delegate_says_of_the_client_holds_for_its_request() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| {
            let context = connection.context();
            match call {
                Call::Headers(line, _) if line.path() == "/proxied" => {
                    context.set_remote_ip([192, 0, 2, 7].into());
                    done()
                }
                Call::Finish(_) => ok(&connection, context.remote_ip().to_string()),
                _ => done(),
            }
        });
        let (client, _) = connect(&service(recorder));
        client.send(["/proxied", "/", "/proxied"].map(get).concat());
        for client_ip in ["192.0.2.7", "127.0.0.1", "192.0.2.7"] {
            assert_eq!(client.response().await.text(), client_ip);
        }
        assert_eq!(client.get("/").await.text(), "127.0.0.1");
    });
}

/// Whoever had the stream before, to read the header of the PROXY protocol, say, has read on.
#[test]
fn a_request_that_lies_in_the_stream_already_is_served() {
    run_jumping(async |_| {
        let (client, server) = IoStream::pair().unwrap();
        let client = Client::new(client);
        client.send(get("/1") + &get("/2"));
        poll_fn(|cx| server.poll_fill(cx)).await.unwrap();
        let _connection = Http1ServerConnection::start_serving(server, context(), &service(Recorder::answering()));
        assert_eq!(client.response().await.text(), "/1");
        assert_eq!(client.response().await.text(), "/2");
    });
}

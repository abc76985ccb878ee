//! The peer leaves while the application works: by FIN, which half-closes, or by a reset, which ends everything.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::log::alarms;
use common::recorder::{Connection, begin, ok};
use common::*;
use landspout_httputil::HttpOutputError;
use landspout_iostream::{IoStream, StreamOptions};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A delegate that sets a close callback and then waits for the gate before it answers.
fn waiting(gate: &Gate) -> Recorder {
    let gate = gate.clone();
    let slot: Rc<RefCell<Option<Trace>>> = Rc::default();
    let recorder = Recorder::new({
        let slot = slot.clone();
        move |connection: Connection, call| {
            let (gate, trace) = (gate.clone(), slot.borrow().clone().unwrap());
            async move {
                if let Call::Finish(_) = call {
                    let _dropped = OnDrop(trace.clone(), "future dropped");
                    connection.set_close_callback(trace.callback("close callback"));
                    gate.wait().await;
                    ok(&connection, "answer")?;
                }
                done()
            }
        }
    });
    slot.replace(Some(recorder.trace.clone()));
    recorder
}

/// Entries that tell of an end.
fn ends(trace: &Trace) -> Vec<String> {
    let mut entries = trace.take();
    entries.retain(|entry| !entry.starts_with("headers") && !entry.starts_with("data") && entry != "start");
    entries
}

#[test]
fn a_half_closed_client_gets_its_answer() {
    run(async {
        let gate = Gate::default();
        let recorder = waiting(&gate);
        let trace = recorder.trace.clone();
        let (client, connection) = connect(&service(recorder));
        client.send(GET);
        until(|| gate.is_waited_for()).await;
        client.end_sending();
        until(|| trace.has("close callback")).await;
        turns(10).await;
        assert_eq!(trace.count("close callback"), 1);
        assert!(!trace.has("future dropped") && !connection.closed());
        gate.open();
        assert_eq!(client.response().await.brief(), (200, "answer"));
        client.end().await;
        until(|| trace.has("close")).await;
        assert_eq!(
            ends(&trace),
            ["finish", "close callback", "future dropped", "finish done", "drop", "close"],
            "once each, and no `connection close`"
        );
    });
}

/// Not only as much as the kernel takes at once, and not only where so much is unsent that the connection waits before it looks for
/// another request.
#[test]
fn a_half_closed_client_gets_all_of_its_answer() {
    for connect in [connect, connect_pair] {
        for (size, at_once) in (1..=24).flat_map(|n| [false, true].map(|at_once| (n * 24 * 1024, at_once))) {
            run(async move {
                let recorder = Recorder::new(move |connection: Connection, call| async move {
                    if let Call::Finish(_) = call { ok(&connection, vec![b'x'; size]) } else { done() }
                });
                let trace = recorder.trace.clone();
                let (client, connection) = connect(&service(recorder));
                client.send(GET);
                if !at_once {
                    turns(20).await;
                }
                client.end_sending();
                turns(20).await;
                let all = client.rest().await;
                assert!(all.len() > size, "{} of {size}", all.len());
                until(|| trace.has("close")).await;
                assert!(connection.closed());
            });
        }
    }
}

/// Who asks only then whether the client is still there learns it, too.
#[test]
fn a_close_callback_that_comes_late_is_called() {
    run(async {
        let kept: Rc<RefCell<Option<Connection>>> = Rc::default();
        let recorder = Recorder::new({
            let kept = kept.clone();
            move |connection: Connection, call| {
                if let Call::Finish(_) = call {
                    kept.replace(Some(connection));
                }
                async { done() }
            }
        });
        let trace = recorder.trace.clone();
        let (client, connection) = connect(&service(recorder));
        client.send(GET);
        until(|| trace.has("drop")).await;
        client.end_sending();
        turns(20).await;
        let exchange = kept.borrow_mut().take().unwrap();
        exchange.set_close_callback(trace.callback("close callback"));
        until(|| trace.has("close callback")).await;
        assert!(!connection.closed());
        ok(&exchange, "answer").unwrap();
        assert_eq!(client.response().await.brief(), (200, "answer"));
        client.end().await;
        assert_eq!(trace.count("close callback"), 1);
    });
}

#[test]
fn a_client_that_half_closed_before_it_was_served_gets_all_its_answers() {
    run(async {
        let recorder = Recorder::answering();
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
        client.end_sending();
        assert_eq!(client.response().await.text(), "/1");
        assert_eq!(client.response().await.text(), "/2");
        client.end().await;
        until(|| trace.has("close")).await;
        assert_eq!(trace.count("finish done"), 2);
    });
}

/// Tornado does not notice this.
#[test]
fn pipelined_bytes_hide_no_fin() {
    run(async {
        let gate = Gate::default();
        let recorder = waiting(&gate);
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        client.send([GET, GET, "GET /thi"].concat());
        until(|| gate.is_waited_for()).await;
        client.send("rd HTTP/1.1\r\nHost: x\r\n\r\n");
        client.end_sending();
        until(|| trace.has("close callback")).await;
        gate.open();
        for _ in 0..3 {
            assert_eq!(client.response().await.text(), "answer");
        }
        client.end().await;
        until(|| trace.has("close")).await;
        assert_eq!(trace.count("finish done"), 3);
        assert_eq!(trace.count("connection close"), 0);
    });
}

/// A client whose socket still holds an unread answer resets the connection when it closes.
async fn with_an_unread_answer(recorder: Recorder) -> (Client, Trace) {
    let trace = recorder.trace.clone();
    let (socket, server) = tcp_sockets();
    let observer = socket.try_clone().unwrap();
    let client = Client::new(IoStream::from_tcp(socket, StreamOptions::new()).unwrap());
    let server = IoStream::from_tcp(server, StreamOptions::new()).unwrap();
    landspout_http1connection::Http1ServerConnection::start_serving(server, context(), &service(recorder));
    client.send("GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
    client::until_received(&observer, 16).await;
    until(|| trace.has("drop")).await;
    trace.take();
    (client, trace)
}

/// Answers `/fast` at once, anything else as [`waiting`].
fn waiting_but_fast(gate: &Gate, asynchronously: bool) -> Recorder {
    let gate = gate.clone();
    let slot: Rc<RefCell<Option<Trace>>> = Rc::default();
    let recorder = Recorder::new({
        let slot = slot.clone();
        move |connection: Connection, call| {
            let (gate, trace) = (gate.clone(), slot.borrow().clone().unwrap());
            async move {
                let Call::Finish(target) = call else { return done() };
                if target == "/fast" {
                    return ok(&connection, "fast");
                }
                connection.set_close_callback(trace.callback("close callback"));
                let answer = async move {
                    let _dropped = OnDrop(trace.clone(), "future dropped");
                    gate.wait().await;
                    let result = ok(&connection, "too late");
                    if result.is_err() {
                        trace.push("refused");
                    }
                    result
                };
                if asynchronously {
                    spawn(async move { answer.await.is_ok() });
                    return done();
                }
                answer.await
            }
        }
    });
    slot.replace(Some(recorder.trace.clone()));
    recorder
}

#[test]
fn a_reset_drops_the_pending_call() {
    for more in ["", "GET /more HTTP/1.1\r\nHost: x\r\n\r\nGET /much-m"] {
        let ((), lines) = logged(|| {
            run(async move {
                let gate = Gate::default();
                let (client, trace) = with_an_unread_answer(waiting_but_fast(&gate, false)).await;
                client.send([GET, more].concat());
                until(|| gate.is_waited_for()).await;
                client.reset();
                until(|| trace.has("close")).await;
                assert_eq!(
                    ends(&trace),
                    ["finish", "future dropped", "connection close", "close callback", "drop", "close"]
                );
            });
        });
        assert!(alarms(&lines).is_empty(), "{lines:#?}");
    }
}

#[test]
fn a_reset_ends_the_wait_for_another_task() {
    let ((), lines) = logged(|| {
        run(async {
            let gate = Gate::default();
            let (client, trace) = with_an_unread_answer(waiting_but_fast(&gate, true)).await;
            client.send(GET);
            until(|| gate.is_waited_for()).await;
            client.reset();
            until(|| trace.has("close")).await;
            assert_eq!(ends(&trace), ["finish", "finish done", "drop", "close callback", "close"]);
            // The task is the application's: it goes on, and its answer reaches nobody.
            gate.open();
            until(|| trace.has("future dropped")).await;
            assert!(trace.has("refused"));
        });
    });
    assert!(alarms(&lines).is_empty(), "{lines:#?}");
}

#[test]
fn a_reset_while_headers_or_data_are_taken() {
    for at in ["headers", "data"] {
        run(async move {
            let gate = Gate::default();
            let recorder = Recorder::new({
                let gate = gate.clone();
                move |connection, call| {
                    let gate = gate.clone();
                    async move {
                        match call {
                            Call::Headers(start_line, _) if at == "headers" && start_line.path() != "/fast" => {
                                gate.wait().await
                            }
                            Call::Data(_) => gate.wait().await,
                            Call::Finish(_) => ok(&connection, "")?,
                            _ => {}
                        }
                        done()
                    }
                }
            });
            let (client, trace) = with_an_unread_answer(recorder).await;
            client.send("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
            until(|| gate.is_waited_for()).await;
            client.reset();
            until(|| trace.has("close")).await;
            assert_eq!(ends(&trace), ["connection close", "drop", "close"], "{at}");
        });
    }
}

/// Tornado: StreamingRequestBodyTest.test_close_during_upload.
#[test]
fn a_client_that_leaves_during_its_upload() {
    for reset in [false, true] {
        let ((), lines) = logged(|| {
            run(async move {
                let recorder = Recorder::answering();
                let (client, trace) = with_an_unread_answer(recorder).await;
                client.send("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
                until(|| trace.has("data 3 done")).await;
                if reset {
                    client.reset()
                } else {
                    client.end_sending()
                }
                until(|| trace.has("close")).await;
                assert_eq!(ends(&trace), ["connection close", "drop", "close"]);
            });
        });
        assert!(alarms(&lines).is_empty(), "{lines:#?}");
    }
}

/// Tornado: KeepAliveTest.test_finish_while_closed.
#[test]
fn an_answer_from_the_close_callback() {
    for reset in [false, true] {
        let ((), lines) = logged(|| {
            run(async move {
                let recorder = Recorder::new(async |connection: Connection, call| {
                    let Call::Finish(target) = call else { return done() };
                    if target == "/fast" {
                        return ok(&connection, "fast");
                    }
                    begin(&connection)?;
                    let late = connection.clone();
                    connection.set_close_callback(Some(Box::new(move || {
                        let _ = late.write(b"bye");
                        let _ = late.finish();
                    })));
                    done()
                });
                let (client, trace) = with_an_unread_answer(recorder).await;
                client.send(GET);
                until(|| trace.has("finish done")).await;
                if reset {
                    client.reset();
                } else {
                    client.end_sending();
                    client.response().await;
                    let response = client.response().await;
                    assert_eq!((response.status, response.text(), &*response.chunks), (200, "bye", &[3][..]));
                    client.end().await;
                }
                until(|| trace.has("close")).await;
            });
        });
        assert!(alarms(&lines).is_empty(), "{lines:#?}");
    }
}

#[test]
fn the_close_callback_is_called_at_most_once_and_only_for_its_request() {
    run(async {
        let gate = Gate::default();
        let recorder = waiting_but_fast(&gate, false);
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        client.send(GET);
        until(|| gate.is_waited_for()).await;
        gate.open();
        assert_eq!(client.response().await.text(), "too late");
        client.hang_up();
        until(|| trace.has("close")).await;
        assert_eq!(trace.count("close callback"), 0, "its response was complete");
    });
}

/// It is no client that ends it then, but whoever writes the response in another task has to know all the same.
#[test]
fn the_close_callback_is_called_when_a_panic_cuts_the_response() {
    run(async {
        for panics_in_it in [false, true] {
            let slot: Rc<RefCell<Option<Trace>>> = Rc::default();
            let kept: Rc<RefCell<Vec<Connection>>> = Rc::default();
            let recorder = Recorder::new({
                let (slot, kept) = (slot.clone(), kept.clone());
                move |connection: Connection, call| {
                    let (trace, kept) = (slot.borrow().clone().unwrap(), kept.clone());
                    async move {
                        if let Call::Finish(_) = call {
                            begin(&connection)?;
                            connection.set_close_callback(Some(Box::new(move || {
                                trace.push("close callback");
                                assert!(!panics_in_it, "a callback that panics");
                            })));
                            kept.borrow_mut().push(connection);
                            panic!("a handler that panics");
                        }
                        done()
                    }
                }
            });
            let trace = recorder.trace.clone();
            slot.replace(Some(trace.clone()));
            let (client, connection) = connect(&service(recorder));
            client.send(GET);
            assert_eq!(client.head().await.status, 200);
            client.cut().await;
            until(|| trace.has("close")).await;
            assert_eq!((trace.count("close callback"), connection.closed()), (1, true));
            assert_eq!(kept.borrow()[0].write(b"x"), Err(HttpOutputError::Closed));
        }
    });
}

#[test]
fn a_close_callback_can_be_taken_back() {
    run(async {
        let gate = Gate::default();
        let trace = Trace::default();
        let recorder = Recorder::new({
            let (gate, trace) = (gate.clone(), trace.clone());
            move |connection: Connection, call| {
                let (gate, trace) = (gate.clone(), trace.clone());
                async move {
                    if let Call::Finish(_) = call {
                        connection.set_close_callback(trace.callback("first"));
                        connection.set_close_callback(trace.callback("second"));
                        connection.set_close_callback(None);
                        gate.wait().await;
                        ok(&connection, "answer")?;
                    }
                    done()
                }
            }
        });
        let calls = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        client.send(GET);
        client.end_sending();
        until(|| gate.is_waited_for()).await;
        turns(5).await;
        gate.open();
        assert_eq!(client.response().await.text(), "answer");
        until(|| calls.has("close")).await;
        assert_eq!(trace.take(), [""; 0]);
    });
}

/// Whoever asks too late is told too, as by a stream's close callback.
#[test]
fn a_close_callback_for_a_connection_that_is_gone() {
    run(async {
        let gate = Gate::default();
        let kept = Rc::new(RefCell::new(None));
        let recorder = Recorder::new({
            let (gate, kept) = (gate.clone(), kept.clone());
            move |connection: Connection, call| {
                let (gate, kept) = (gate.clone(), kept.clone());
                async move {
                    if let Call::Finish(_) = call {
                        kept.replace(Some(connection));
                        gate.wait().await;
                    }
                    done()
                }
            }
        });
        let trace = recorder.trace.clone();
        let (client, connection) = connect(&service(recorder));
        client.send(GET);
        until(|| gate.is_waited_for()).await;
        connection.close();
        until(|| trace.has("close")).await;
        let handle = kept.take().expect("a request came");
        let called = Trace::default();
        handle.set_close_callback(called.callback("called"));
        until(|| called.has("called")).await;
        assert_eq!(ok(&handle, "").unwrap_err().to_string(), HttpOutputError::Closed.to_string());
        drop(client);
    });
}

/// A callback holds a handle of its own exchange as a rule. That must not keep either of them, whenever it was set.
#[test]
fn close_callbacks_are_let_go_with_their_request() {
    run(async {
        let alive = Rc::new(());
        let recorder = Recorder::new({
            let alive = alive.clone();
            move |connection: Connection, call| {
                let alive = alive.clone();
                async move {
                    let Call::Finish(target) = call else { return done() };
                    let late = connection.clone();
                    let callback = Box::new(move || {
                        let _ = (late.finish(), alive);
                    });
                    if target == "/after" {
                        ok(&connection, "answer")?;
                        connection.set_close_callback(Some(callback));
                        return done();
                    }
                    connection.set_close_callback(Some(callback));
                    ok(&connection, "answer")
                }
            }
        });
        let (client, _) = connect(&service(recorder));
        for target in ["/before", "/after", "/before", "/after"] {
            client.get(target).await;
            until(|| Rc::strong_count(&alive) <= 2).await;
        }
        assert_eq!(Rc::strong_count(&alive), 2, "the test's and the delegate's");
    });
}

/// Tornado: KeepAliveTest.test_cancel_during_download. The client reads a little of a large answer and leaves.
#[test]
fn a_client_that_leaves_during_its_download() {
    let ((), lines) = logged(|| {
        run(async {
            let sent = Rc::new(Cell::new(0_usize));
            let recorder = Recorder::new({
                let sent = sent.clone();
                move |connection: Connection, call| {
                    let sent = sent.clone();
                    async move {
                        if let Call::Finish(_) = call {
                            begin(&connection)?;
                            for _ in 0..4096 {
                                connection.write(&[b'x'; 64 << 10])?;
                                sent.set(sent.get() + 1);
                                connection.flush().await?;
                            }
                            connection.finish()?;
                        }
                        done()
                    }
                }
            });
            let trace = recorder.trace.clone();
            let (client, _) = connect(&service(recorder));
            client.send(GET);
            client.head().await;
            client.stream.read_bytes(1024).await.unwrap();
            let mut last = 0;
            while sent.get() > last {
                last = sent.get();
                turns(20).await;
            }
            client.reset();
            until(|| trace.has("close")).await;
            assert!(sent.get() < 4096, "nobody reads a quarter of a gigabyte");
            assert_eq!(trace.count("connection close") + trace.count("finish done"), 1);
        });
    });
    assert!(alarms(&lines).is_empty(), "a client may leave: {lines:#?}");
}

/// The same, when the application meets the error itself.
#[test]
fn an_application_that_writes_to_a_client_that_left_is_no_alarm() {
    let ((), lines) = logged(|| {
        run(async {
            let recorder = Recorder::new(async |connection: Connection, call| {
                if let Call::Finish(_) = call {
                    begin(&connection)?;
                    // Never pending: the connection's end comes as an error of the application's own call.
                    loop {
                        connection.write(&[b'x'; 64 << 10])?;
                        next_turn().await;
                    }
                }
                done()
            });
            let trace = recorder.trace.clone();
            let (client, connection) = connect(&service(recorder));
            client.send(GET);
            client.head().await;
            connection.close();
            until(|| trace.has("close")).await;
        });
    });
    assert!(alarms(&lines).is_empty(), "a client may leave: {lines:#?}");
}

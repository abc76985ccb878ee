//! The delegate chain: who is called when, that reading waits for it, and what becomes of a delegate that fails.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::log::alarms;
use common::recorder::{Connection, begin, ok};
use common::*;
use landspout_http1connection::{Http1ConnectionParameters, Http1Service};
use landspout_httputil::{
    BoxError, HttpHeaders, HttpInputError, HttpMessageDelegate, HttpOutputError, HttpServerConnectionDelegate,
    RequestStartLine, ResponseStartLine, ServerConnectionId, StatusCode,
};

const POST_5: &str = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";

#[test]
fn calls_come_in_order_and_one_at_a_time() {
    run(async {
        let recorder = Recorder::answering();
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        turns(3).await;
        assert_eq!(trace.take(), [""; 0], "nothing before a head is there");
        client.send(POST_5);
        until(|| trace.has("headers POST /p done")).await;
        assert_eq!(trace.take(), ["start", "headers POST /p", "headers POST /p done"]);
        client.send("he");
        until(|| trace.has("data 2 done")).await;
        client.send("llo");
        assert_eq!(client.response().await.brief(), (200, "/p"));
        let finish = ["data 2", "data 2 done", "data 3", "data 3 done", "finish", "finish done", "drop"];
        assert_eq!(trace.take(), finish);

        client.send("GET /g HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().await.brief(), (200, "/g"));
        let get = ["start", "headers GET /g", "headers GET /g done", "finish", "finish done", "drop"];
        assert_eq!(trace.take(), get);
        client.hang_up();
        until(|| trace.has("close")).await;
        assert_eq!(trace.take(), ["close"]);
    });
}

#[test]
fn chunks_and_trailers_reach_the_delegate() {
    run(async {
        let bodies = Rc::new(RefCell::new(Vec::new()));
        let recorder = Recorder::new({
            let bodies = bodies.clone();
            move |connection, call| {
                match &call {
                    Call::Data(chunk) => bodies.borrow_mut().extend_from_slice(chunk),
                    Call::Trailers(trailers) => assert_eq!(trailers.get("x-sum"), Some(&b"42"[..])),
                    _ => {}
                }
                async move { if let Call::Finish(_) = call { ok(&connection, "got it") } else { done() } }
            }
        });
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 42\r\n\r\n");
        assert_eq!(client.response().await.text(), "got it");
        assert_eq!(*bodies.borrow(), b"abcdefg");
        let calls: Vec<_> = trace.take().into_iter().filter(|entry| !entry.ends_with(" done")).collect();
        assert_eq!(calls, ["start", "headers POST /", "data 3", "data 4", "trailers", "finish", "drop"]);
    });
}

/// Tornado: *FlowControlTest.
#[test]
fn reading_waits_for_each_call() {
    for (name, request) in [
        ("fixed", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabcdef"),
        (
            "chunked",
            "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nA: b\r\n\r\n",
        ),
    ] {
        run(async move {
            let gates: [Gate; 8] = Default::default();
            let at = Rc::new(Cell::new(0));
            let recorder = Recorder::new({
                let (gates, at) = (gates.clone(), at.clone());
                move |connection, call| {
                    let gate = gates[at.replace(at.get() + 1)].clone();
                    async move {
                        gate.wait().await;
                        if let Call::Finish(_) = call { ok(&connection, "end") } else { done() }
                    }
                }
            });
            let trace = recorder.trace.clone();
            let params = Http1ConnectionParameters { chunk_size: 3, ..Default::default() };
            let (client, _) = connect(&Http1Service::new(recorder, params));
            client.send(request);
            let mut calls = 0;
            while !trace.has("finish done") {
                let gate = &gates[calls];
                until(|| gate.is_waited_for()).await;
                turns(3).await;
                calls += 1;
                assert_eq!(at.get(), calls, "{name}: a call began before the last one had ended");
                gate.open();
                until(|| at.get() > calls || trace.has("finish done")).await;
            }
            assert_eq!(calls, if name == "fixed" { 4 } else { 5 });
            assert_eq!(client.response().await.text(), "end");
        });
    }
}

#[test]
fn a_slow_delegate_slows_its_peer_down() {
    run(async {
        const LENGTH: usize = 32 << 20;
        let gate = Gate::default();
        let recorder = Recorder::new({
            let gate = gate.clone();
            move |connection, call| {
                let gate = gate.clone();
                async move {
                    gate.wait().await;
                    if let Call::Finish(_) = call { ok(&connection, "end") } else { done() }
                }
            }
        });
        let (client, _) = connect(&service(recorder));
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n"));
        until(|| gate.is_waited_for()).await;
        client.send(vec![b'x'; LENGTH]);
        let mut unsent = usize::MAX;
        // Until the kernel takes nothing more.
        while client.stream.pending_write() < unsent {
            unsent = client.stream.pending_write();
            turns(20).await;
        }
        assert!(unsent > LENGTH / 2, "{unsent} bytes were not taken");
        gate.open();
        assert_eq!(client.response().await.text(), "end");
    });
}

/// Tornado: StreamingChunkSizeTest.
#[test]
fn chunk_size_bounds_the_pieces() {
    let body = "01234567890123456789012345678901234567890123456789";
    let fixed = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{body}");
    let (twenty, thirty) = body.split_at(20);
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{twenty}\r\n1e\r\n{thirty}\r\n0\r\n\r\n"
    );
    for (request, expected) in [(fixed, "16 16 16 2"), (chunked, "16 4 16 14")] {
        run(async move {
            let sizes = Rc::new(RefCell::new(Vec::new()));
            let recorder = Recorder::new({
                let sizes = sizes.clone();
                move |connection, call| {
                    if let Call::Data(chunk) = &call {
                        sizes.borrow_mut().push(chunk.len().to_string());
                    }
                    async move { if let Call::Finish(_) = call { ok(&connection, "") } else { done() } }
                }
            });
            let params = Http1ConnectionParameters { chunk_size: 16, ..Default::default() };
            let (client, _) = connect(&Http1Service::new(recorder, params));
            client.send(request);
            assert_eq!(client.response().await.status, 200);
            assert_eq!(sizes.borrow().join(" "), expected);
        });
    }
}

/// A delegate that does `act` at the call named `at`.
fn failing(at: &'static str, act: impl Fn(Connection) -> Result<(), BoxError> + 'static) -> Recorder {
    let act = Rc::new(act);
    Recorder::new(move |connection, call| {
        let name = match call {
            Call::Headers(..) => "headers",
            Call::Data(_) => "data",
            Call::Trailers(_) => "trailers",
            Call::Finish(_) => "finish",
        };
        let act = act.clone();
        async move { if name == at { act(connection) } else { done() } }
    })
}

const CALLS: [&str; 4] = ["headers", "data", "trailers", "finish"];
const CHUNKED: &str = "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn an_error_of_any_call_is_answered_and_ends_the_connection() {
    fn input() -> BoxError {
        HttpInputError::new("no good").into()
    }
    fn other() -> BoxError {
        "out of order".into()
    }
    type Cause = fn() -> BoxError;
    let errors = [(input as Cause, 400, "INFO"), (other, 500, "ERROR")];
    for at in CALLS {
        for (error, status, level) in errors {
            let (trace, lines) = logged(|| {
                run(async move {
                    let recorder = failing(at, move |_| Err(error()));
                    let trace = recorder.trace.clone();
                    let (client, _) = connect(&service(recorder));
                    client.send(CHUNKED);
                    let response = client.response().await;
                    assert_eq!(response.status, status, "{at}");
                    assert_eq!(response.field("connection"), Some("close"));
                    client.end().await;
                    client.hang_up();
                    until(|| trace.has("close")).await;
                    trace.take()
                })
            });
            assert!(lines.iter().any(|line| line.starts_with(level)), "{lines:#?}");
            if level == "INFO" {
                assert!(alarms(&lines).is_empty(), "a peer's fault is no alarm: {lines:#?}");
            }
            assert_ends(&trace, usize::from(at == "finish"), usize::from(at != "finish"));
        }
    }
}

/// How a message ends: by `finish` or by `on_connection_close`, never by both; then the delegate is dropped, and last the
/// connection is closed, without another request.
#[track_caller]
fn assert_ends(trace: &[String], finishes: usize, closes: usize) {
    let count = |entry| trace.iter().filter(|known| *known == entry).count();
    assert_eq!((count("finish"), count("connection close")), (finishes, closes), "{trace:?}");
    assert_eq!((count("start"), count("drop"), count("close")), (1, 1, 1), "{trace:?}");
    assert_eq!(trace.last().map(String::as_str), Some("close"), "{trace:?}");
}

#[test]
fn a_panic_of_any_call_is_answered_and_costs_one_connection() {
    for at in CALLS {
        let ((), lines) = logged(|| {
            run(async move {
                let recorder = failing(at, |_| panic!("this was planned"));
                let trace = recorder.trace.clone();
                let service = service(recorder);
                let (client, _) = connect(&service);
                client.send(CHUNKED);
                assert_eq!(client.response().await.status, 500, "{at}");
                client.end().await;
                client.hang_up();
                until(|| trace.has("close")).await;
                // A delegate that has panicked is asked for nothing more.
                assert_ends(&trace.take(), usize::from(at == "finish"), 0);

                let (client, _) = connect(&service);
                client.send(CHUNKED);
                assert_eq!(client.response().await.status, 500, "the service lives on");
            });
        });
        assert!(lines.iter().any(|line| line.contains("this was planned")), "{lines:#?}");
    }
}

#[test]
fn a_failure_after_the_head_cuts_the_response() {
    let failures: [fn(); 2] = [|| (), || panic!("this was planned")];
    for fail in failures {
        logged(|| {
            run(async move {
                let recorder = failing("finish", move |connection| {
                    begin(&connection)?;
                    connection.write(b"half")?;
                    fail();
                    Err("half is all there is".into())
                });
                let trace = recorder.trace.clone();
                let (client, _) = connect(&service(recorder));
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
                let head = client.head().await;
                assert_eq!(head.field("transfer-encoding"), Some("chunked"));
                // The chunk that was written, and no last one.
                assert_eq!(client.cut().await, b"4\r\nhalf\r\n");
                until(|| trace.has("close")).await;
                assert_eq!(trace.count("start"), 1);
            });
        });
    }
}

#[test]
fn a_failure_after_the_whole_response_does_not_spoil_it() {
    logged(|| {
        run(async {
            let recorder = failing("finish", |connection| {
                ok(&connection, "complete")?;
                Err("and yet".into())
            });
            let (client, _) = connect(&service(recorder));
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.response().await.brief(), (200, "complete"));
        });
    });
}

/// A delegate that panics where it is made, told of an end, or dropped.
struct Panics(&'static str);

struct PanickingMessage(&'static str);

impl HttpServerConnectionDelegate for Panics {
    type Delegate = PanickingMessage;

    fn start_request(&self, _: ServerConnectionId, _: Connection) -> PanickingMessage {
        assert!(self.0 != "start_request", "this was planned");
        PanickingMessage(self.0)
    }

    fn on_close(&self, _: ServerConnectionId) {
        assert!(self.0 != "on_close", "this was planned");
    }
}

impl HttpMessageDelegate for PanickingMessage {
    async fn headers_received(&mut self, _: RequestStartLine, _: HttpHeaders) -> Result<(), BoxError> {
        Ok(())
    }

    async fn data_received(&mut self, _: bytes::Bytes) -> Result<(), BoxError> {
        Err("this is the end".into())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        Ok(())
    }

    fn on_connection_close(&mut self) {
        assert!(self.0 != "on_connection_close", "this was planned");
    }
}

impl Drop for PanickingMessage {
    fn drop(&mut self) {
        assert!(self.0 != "drop", "this was planned");
    }
}

#[test]
fn panics_elsewhere_cost_one_connection_too() {
    for place in ["start_request", "on_connection_close", "drop", "on_close"] {
        let ((), lines) = logged(|| {
            run(async move {
                let service = service(Panics(place));
                for _ in 0..3 {
                    let (client, connection) = connect(&service);
                    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
                    assert_eq!(client.response().await.status, 500, "{place}");
                    client.end().await;
                    client.hang_up();
                    until(|| connection.closed()).await;
                }
            });
        });
        assert_eq!(lines.iter().filter(|line| line.contains("this was planned")).count(), 3, "{lines:#?}");
    }
}

#[test]
fn a_handler_that_never_answers_and_lets_its_request_go() {
    let ((), lines) = logged(|| {
        run(async {
            let (client, _) = connect(&service(Recorder::new(async |_, _| done())));
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.response().await.status, 500);
            client.end().await;
        });
    });
    assert_eq!(alarms(&lines).len(), 1, "{lines:#?}");
}

#[test]
fn a_task_that_lets_the_request_go_without_an_answer() {
    for (begun, answer) in [(false, "HTTP/1.1 500 "), (true, "HTTP/1.1 200 ")] {
        let ((), lines) = logged(|| {
            run(async move {
                let gate = Gate::default();
                let recorder = Recorder::new({
                    let gate = gate.clone();
                    move |connection: Connection, call| {
                        let gate = gate.clone();
                        async move {
                            if let Call::Finish(_) = call {
                                spawn(async move {
                                    if begun {
                                        begin(&connection).unwrap();
                                    }
                                    gate.wait().await;
                                    drop(connection);
                                });
                            }
                            done()
                        }
                    }
                });
                let trace = recorder.trace.clone();
                let (client, _) = connect(&service(recorder));
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                until(|| gate.is_waited_for() && trace.has("drop")).await;
                gate.open();
                let all = client.cut().await;
                let text = String::from_utf8_lossy(&all);
                assert!(text.starts_with(answer) && !text.ends_with("0\r\n\r\n"), "{text}");
                client.hang_up();
                until(|| trace.has("close")).await;
            });
        });
        assert_eq!(alarms(&lines).len(), 1, "{lines:#?}");
    }
}

/// Tornado: StreamingRequestBodyTest.test_early_return, test_early_return_with_data.
#[test]
fn an_answer_before_the_body() {
    run(async {
        // A little body is skipped and the connection stays, whether it comes at once or later.
        for pieces in [&["hello"][..], &["", "hel", "lo"], &["he", "", "llo"]] {
            let recorder = failing("headers", |connection| ok(&connection, "early"));
            let trace = recorder.trace.clone();
            let (client, _) = connect(&service(recorder));
            for _ in 0..2 {
                client.send([POST_5, pieces[0]].concat());
                assert_eq!(client.response().await.brief(), (200, "early"));
                for piece in &pieces[1..] {
                    client.send(piece);
                    turns(3).await;
                }
                until(|| trace.has("drop")).await;
                assert_eq!(trace.take(), ["start", "headers POST /p", "headers POST /p done", "drop"]);
            }
        }
    });
}

/// RFC 9112, section 9.6: a client whose body will not be read is told that the connection ends.
#[test]
fn an_answer_before_the_body_says_what_becomes_of_the_connection() {
    run(async {
        for (fields, closes) in [
            ("Content-Length: 5\r\n", false),
            ("Content-Length: 262144\r\n", false),
            ("Content-Length: 262145\r\n", true),
            ("Transfer-Encoding: chunked\r\n", false),
            // It may send the body or not.
            ("Content-Length: 5\r\nExpect: 100-continue\r\n", true),
            ("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", true),
        ] {
            let recorder = failing("headers", |connection| ok(&connection, "early"));
            let (client, _) = connect(&service(recorder));
            client.send(format!("POST /p HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
            let response = client.response().await;
            assert_eq!(response.field("connection"), closes.then_some("close"), "{fields}");
        }
    });
}

/// Likewise of one that is larger than its delegate wants to read, as soon as that is known.
#[test]
fn an_answer_before_a_body_beyond_the_delegates_limit_says_that_the_connection_ends() {
    run(async {
        // The last one that is set counts.
        for (limits, closes) in
            [(&[999][..], true), (&[1000], false), (&[999, 1000], false), (&[1000, 999], true), (&[1 << 30], false)]
        {
            for (server_limit, fields) in
                [(1 << 20, "Content-Length: 1000\r\n"), (500, "Content-Length: 1000\r\n"), (500, "")]
            {
                let recorder = failing("headers", move |connection| {
                    limits.iter().for_each(|limit| connection.set_max_body_size(*limit));
                    ok(&connection, "early")
                });
                let mut params = Http1ConnectionParameters::default();
                params.limits.max_body_size = server_limit;
                let (client, _) = connect(&Http1Service::new(recorder, params));
                let body = if fields.is_empty() { 0 } else { 1000 };
                let closes = closes && body > 0;
                let request = format!("POST /p HTTP/1.1\r\nHost: x\r\n{fields}\r\n{}", "x".repeat(body));
                // What was known of one body says nothing about the next request.
                for _ in 0..2 {
                    client.send(&request);
                    let response = client.response().await;
                    assert_eq!(response.field("connection"), closes.then_some("close"), "{limits:?} {server_limit}");
                    if closes {
                        client.end().await;
                        break;
                    }
                    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                    assert_eq!(client.response().await.field("connection"), None, "{limits:?} {server_limit}");
                }
            }
        }
    });
}

/// Likewise of one that is larger than the server reads of any, however little it is.
#[test]
fn an_answer_before_a_body_beyond_the_limit_says_that_the_connection_ends() {
    run(async {
        for (length, closes) in [(1000, false), (1001, true)] {
            let recorder = failing("headers", |connection| ok(&connection, "early"));
            let mut params = Http1ConnectionParameters::default();
            params.limits.max_body_size = 1000;
            let (client, _) = connect(&Http1Service::new(recorder, params));
            client.send(format!("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
            assert_eq!(client.response().await.field("connection"), closes.then_some("close"), "{length}");
            client.send("x".repeat(length));
            if closes {
                client.end().await;
            } else {
                assert_eq!(client.get("/next").await.text(), "early");
            }
        }
    });
}

#[test]
fn an_answer_within_the_body() {
    run(async {
        let recorder = failing("data", |connection| ok(&connection, "enough"));
        let trace = recorder.trace.clone();
        let params = Http1ConnectionParameters { chunk_size: 2, ..Default::default() };
        let (client, _) = connect(&Http1Service::new(recorder, params));
        client.send(["POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "6\r\nabcdef\r\n"].concat());
        assert_eq!(client.response().await.brief(), (200, "enough"));
        client.send("3\r\nxyz\r\n0\r\nA: b\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
        until(|| trace.has("headers GET /next")).await;
        let expected = ["start", "headers POST /p", "headers POST /p done", "data 2", "data 2 done", "drop"];
        assert_eq!(trace.take()[..6], expected);
    });
}

#[test]
fn an_answer_that_closes_before_a_large_body() {
    run(async {
        let recorder = failing("headers", |connection| ok(&connection, "too much"));
        let service = service(recorder);
        let (socket, connection) = connect_socket(&service);
        let all = in_thread(move || {
            use std::io::{Read, Write};
            let mut socket = socket;
            let length = 3 << 20;
            socket
                .write_all(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes())
                .unwrap();
            // All of it, before a byte of the answer is read.
            socket.write_all(&vec![b'x'; length]).expect("the server lingers");
            let mut all = String::new();
            socket.read_to_string(&mut all).expect("no reset");
            all
        })
        .await;
        assert!(all.starts_with("HTTP/1.1 200 ") && all.ends_with("too much"), "{all}");
        until(|| connection.closed()).await;
    });
}

/// With `Expect: 100-continue` an early answer comes instead of `100 Continue`, and the connection is closed, since nobody knows
/// whether the body follows.
#[test]
fn an_answer_instead_of_continue() {
    run(async {
        let recorder = failing("headers", |connection| ok(&connection, "no, thanks"));
        let (client, _) = connect(&service(recorder));
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.response().await.brief(), (200, "no, thanks"));
        client.end().await;
    });
}

/// The same with a head that could not know it yet: what the client sends next is neither taken for the body nor for a request.
#[test]
fn an_answer_in_pieces_instead_of_continue() {
    run(async {
        let recorder = failing("headers", |connection| {
            begin(&connection)?;
            Ok(connection.finish()?)
        });
        let trace = recorder.trace.clone();
        let (client, _) = connect(&service(recorder));
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.response().await.brief(), (200, ""));
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        client.end().await;
        assert_eq!(trace.count("start"), 1);
    });
}

/// Chunks don't tell before how many will come.
#[test]
fn an_answered_body_without_a_length_is_skipped_so_far() {
    run(async {
        for (size, follows) in [(200_000, true), (300_000, false)] {
            let recorder = failing("headers", |connection| ok(&connection, "early"));
            let (client, _) = connect(&service(recorder));
            client.send("POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
            assert_eq!(client.response().await.text(), "early");
            client.send(format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size)));
            client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            if follows {
                assert_eq!(client.response().await.text(), "early");
            }
            client.end().await;
        }
    });
}

#[test]
fn output_that_breaks_the_framing_is_refused_with_nothing_written() {
    run(async {
        let recorder = failing("finish", |connection| {
            let ok = ResponseStartLine::new(StatusCode::OK);
            let five = HttpHeaders::from_static(&[("Content-Length", "5")]);
            assert_eq!(connection.write(b"x"), Err(HttpOutputError::HeadersNotSent));
            assert_eq!(connection.finish(), Err(HttpOutputError::HeadersNotSent));
            let too_long = HttpOutputError::BodyTooLong { content_length: 5, attempted: 6 };
            assert_eq!(connection.write_headers(&ok, &five, b"sixsix"), Err(too_long.clone()));
            for bad in ["foo", "+10", "1_0", ""] {
                let mut headers = HttpHeaders::new();
                headers.set("Content-Length", bad).unwrap();
                let refused = connection.write_headers(&ok, &headers, b"");
                assert_eq!(refused, Err(HttpOutputError::InvalidContentLength(bad.to_owned())));
            }
            assert_eq!(connection.write_headers(&ok, &five, b"abc"), Ok(()));
            assert_eq!(connection.write_headers(&ok, &five, b""), Err(HttpOutputError::HeadersAlreadySent));
            assert_eq!(connection.write(b"def"), Err(too_long));
            assert_eq!(connection.write(b"de"), Ok(()));
            assert_eq!(connection.finish(), Ok(()));
            assert_eq!(connection.finish(), Err(HttpOutputError::AlreadyFinished));
            assert_eq!(connection.write(b""), Err(HttpOutputError::AlreadyFinished));
            done()
        });
        let (client, _) = connect(&service(recorder));
        assert_eq!(client.get("/").await.brief(), (200, "abcde"));
        assert_eq!(client.get("/").await.brief(), (200, "abcde"));
    });
}

/// Tornado: IncorrectContentLengthTest.test_content_length_too_high.
#[test]
fn a_response_that_ends_early_is_cut() {
    let ((), lines) = logged(|| {
        run(async {
            let recorder = failing("finish", |connection| {
                let headers = HttpHeaders::from_static(&[("Content-Length", "42")]);
                connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &headers, b"ok")?;
                Ok(connection.finish()?)
            });
            let (client, _) = connect(&service(recorder));
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(client.head().await.field("content-length"), Some("42"));
            assert_eq!(client.cut().await, b"ok");
        });
    });
    assert!(lines.iter().any(|line| line.contains("wrote 2 bytes, fewer than the Content-Length 42")), "{lines:#?}");
}

/// The same when the application doesn't look: the next answer must not become a part of the body.
#[test]
fn a_response_that_ends_early_is_cut_although_nobody_looks() {
    run(async {
        let recorder = failing("finish", |connection| {
            let headers = HttpHeaders::from_static(&[("Content-Length", "42")]);
            connection.write_headers(&ResponseStartLine::new(StatusCode::OK), &headers, b"ok")?;
            let _ = connection.finish();
            done()
        });
        let (client, _) = connect(&service(recorder));
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.head().await.field("content-length"), Some("42"));
        assert_eq!(client.cut().await, b"ok");
    });
}

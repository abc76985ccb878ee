//! The end of a connection that the server wants: after so many requests, or when it drains. What is under way is finished, the last
//! answer says that it is the last, and nothing that was sent is lost.

mod common;

use std::time::Duration;

use common::recorder::{Connection, begin, ok};
use common::*;
use landspout_http1connection::{Http1ConnectionParameters, Http1Service};
use landspout_ioloop::{IoLoop, sleep};

const SECOND: Duration = Duration::from_secs(1);
const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Lets time pass until the condition holds.
async fn later(mut condition: impl FnMut() -> bool) {
    while !condition() {
        sleep(SECOND / 10).await;
    }
}

/// Answers each request with its target: `/wait` when the gate is opened, `/begin` likewise, with the head sent before.
fn gated(gate: &Gate) -> Recorder {
    let gate = gate.clone();
    Recorder::new(move |connection: Connection, call| {
        let gate = gate.clone();
        async move {
            let Call::Finish(target) = call else { return done() };
            match target.as_str() {
                "/wait" => gate.wait().await,
                "/begin" => {
                    begin(&connection)?;
                    gate.wait().await;
                    connection.write(target.as_bytes())?;
                    return Ok(connection.finish()?);
                }
                _ => {}
            }
            ok(&connection, target)
        }
    })
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn the_last_of_so_many_requests_says_so() {
    run(async {
        let params = Http1ConnectionParameters { max_requests: Some(3), ..Default::default() };
        let service = Http1Service::new(Recorder::answering(), params);
        for pipelined in [false, true] {
            let (client, connection) = connect(&service);
            if pipelined {
                client.send(GET.repeat(5));
            }
            for close in [None, None, Some("close")] {
                if !pipelined {
                    client.send(GET);
                }
                let response = client.response().await;
                assert_eq!((response.status, response.field("connection")), (200, close));
            }
            client.end().await;
            client.hang_up();
            until(|| connection.closed()).await;
        }
    });
}

#[test]
fn of_one_request_the_first_is_the_last() {
    run(async {
        let params = Http1ConnectionParameters { max_requests: Some(1), ..Default::default() };
        let (client, _) = connect(&Http1Service::new(Recorder::answering(), params));
        assert_eq!(client.get("/").await.field("connection"), Some("close"));
        client.end().await;
    });
}

#[test]
fn an_idle_connection_is_closed_at_once() {
    run(async {
        let recorder = Recorder::answering();
        let trace = recorder.trace.clone();
        let (client, connection) = connect(&service(recorder));
        client.get("/").await;
        turns(5).await;
        assert!(!connection.is_draining());
        connection.drain();
        connection.drain();
        client.end().await;
        until(|| connection.closed()).await;
        assert_eq!(trace.count("close"), 1);
        connection.drain();
        assert!(!connection.is_draining(), "it is over");
    });
}

/// The request is in the kernel's buffer when the server begins to drain, unread.
#[test]
fn a_request_that_came_in_time_is_served() {
    run(async {
        for used_before in [false, true] {
            let (client, connection) = connect(&service(Recorder::answering()));
            if used_before {
                client.get("/").await;
                turns(5).await;
            }
            client.send(GET);
            connection.drain();
            let response = client.response().await;
            assert_eq!((response.status, response.field("connection")), (200, Some("close")));
            client.end().await;
        }
    });
}

/// Who has just connected is about to send: it has 5 seconds.
#[test]
fn a_new_connection_may_still_bring_a_request() {
    run_jumping(async |_| {
        let service = service(Recorder::answering());
        let (late, gone) = connect_pair(&service);
        let (client, served) = connect_pair(&service);
        next_turn().await;
        for connection in [&gone, &served] {
            connection.drain();
        }
        let begin = IoLoop::current().now();
        sleep(SECOND * 4).await;
        client.send(GET);
        assert_eq!(client.response().await.field("connection"), Some("close"));
        late.end().await;
        assert_eq!(IoLoop::current().now() - begin, SECOND * 5);
        later(|| gone.closed()).await;
    });
}

#[test]
fn a_request_under_way_is_answered_as_the_last() {
    run(async {
        let gate = Gate::default();
        let (client, connection) = connect(&service(gated(&gate)));
        client.send(get("/wait"));
        until(|| gate.is_waited_for()).await;
        connection.drain();
        turns(10).await;
        assert!(!connection.closed() && connection.is_draining());
        gate.open();
        let response = client.response().await;
        assert_eq!((response.text(), response.field("connection")), ("/wait", Some("close")));
        client.end().await;
        until(|| connection.is_answered() || connection.closed()).await;
        client.hang_up();
        until(|| connection.closed()).await;
    });
}

/// Within a head and within a body: it is served to its end.
#[test]
fn a_request_that_is_still_coming_is_served() {
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    for cut in [1, 20, post.len() - 7, post.len() - 5, post.len() - 1] {
        run(async move {
            let (client, connection) = connect(&service(Recorder::answering()));
            client.get("/").await;
            client.send(&post[..cut]);
            turns(10).await;
            connection.drain();
            turns(10).await;
            assert!(!connection.closed(), "{cut}");
            client.send(&post[cut..]);
            let response = client.response().await;
            assert_eq!((response.status, response.field("connection")), (200, Some("close")), "{cut}");
            client.end().await;
        });
    }
}

/// What was pipelined behind the last answer is thrown away, as RFC 9112, section 9.6, asks; the client can send it again
/// elsewhere, since it was told.
#[test]
fn pipelined_requests_behind_the_last_answer_are_notserved() {
    run(async {
        let gate = Gate::default();
        let recorder = gated(&gate);
        let trace = recorder.trace.clone();
        let (client, connection) = connect(&service(recorder));
        client.send([get("/1"), get("/wait"), get("/3"), get("/4")].concat());
        until(|| gate.is_waited_for()).await;
        connection.drain();
        gate.open();
        assert_eq!(client.response().await.field("connection"), None);
        let last = client.response().await;
        assert_eq!((last.text(), last.field("connection")), ("/wait", Some("close")));
        client.end().await;
        assert_eq!(trace.count("start"), 2);
    });
}

/// An answer that has begun can't say any more that it is the last. The connection ends behind it without a word, or with the
/// next one, if that is there already.
#[test]
fn an_answer_that_has_begun_is_finished() {
    for pipelined in [false, true] {
        run(async move {
            let gate = Gate::default();
            let (client, connection) = connect(&service(gated(&gate)));
            client.send(get("/begin"));
            if pipelined {
                client.send([get("/2"), get("/3")].concat());
            }
            until(|| gate.is_waited_for()).await;
            connection.drain();
            turns(5).await;
            gate.open();
            let response = client.response().await;
            assert_eq!((response.text(), response.field("connection")), ("/begin", None));
            if pipelined {
                let response = client.response().await;
                assert_eq!((response.text(), response.field("connection")), ("/2", Some("close")));
            }
            client.end().await;
        });
    }
}

/// The client sends its next request while the last answer is on its way, and is not told by a reset.
#[test]
fn a_client_that_was_not_told_reads_its_answer() {
    run(async {
        let gate = Gate::default();
        let (mut socket, connection) = connect_socket(&service(gated(&gate)));
        use std::io::{Read, Write};
        socket.write_all(get("/begin").as_bytes()).unwrap();
        until(|| gate.is_waited_for()).await;
        connection.drain();
        gate.open();
        until(|| connection.is_answered()).await;
        let all = in_thread(move || {
            for _ in 0..20 {
                socket.write_all(&[b'x'; 1 << 16]).unwrap();
            }
            let mut all = String::new();
            socket.read_to_string(&mut all).unwrap();
            all
        })
        .await;
        assert!(all.ends_with("6\r\n/begin\r\n0\r\n\r\n"), "{all}");
        until(|| connection.closed()).await;
    });
}

/// A response that comes after its delegate, from another task.
#[test]
fn an_answer_that_somebody_kept_is_the_last() {
    run(async {
        let kept = std::rc::Rc::new(std::cell::RefCell::new(None));
        let recorder = Recorder::new({
            let kept = kept.clone();
            move |connection: Connection, _| {
                kept.replace(Some(connection));
                async { done() }
            }
        });
        let trace = recorder.trace.clone();
        let (client, connection) = connect(&service(recorder));
        client.send(GET);
        until(|| trace.has("drop")).await;
        connection.drain();
        turns(10).await;
        assert!(!connection.closed());
        ok(&kept.take().unwrap(), "late").unwrap();
        let response = client.response().await;
        assert_eq!((response.text(), response.field("connection")), ("late", Some("close")));
        client.end().await;
    });
}

/// Who asked for keep-alive in HTTP/1.0 isn't promised it.
#[test]
fn an_http_1_0_client_is_not_kept() {
    run(async {
        let gate = Gate::default();
        let (client, connection) = connect(&service(gated(&gate)));
        client.send("GET /wait HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        until(|| gate.is_waited_for()).await;
        connection.drain();
        gate.open();
        assert_eq!(client.response().await.field("connection"), None);
        client.end().await;
    });
}

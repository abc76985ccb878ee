//! Time: how long a connection waits for a request, for the rest of a head, for a body, and for the peer's goodbye.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::recorder::{Connection, ok};
use common::*;
use landspout_http1connection::{Http1ConnectionParameters, Http1ServerConnection, Http1Service};
use landspout_ioloop::{IoLoop, ManualClock, sleep};
use landspout_iostream::{IoStream, StreamOptions};

const MINUTE: Duration = Duration::from_secs(60);

/// How much time has passed since this was made, in milliseconds.
struct Watch(Instant);

impl Watch {
    fn start() -> Self {
        Self(IoLoop::current().now())
    }

    fn passed(&self) -> u128 {
        (IoLoop::current().now() - self.0).as_millis()
    }
}

/// Lets time pass until the condition holds; `until` would leave the loop no moment to let it pass.
async fn later(mut condition: impl FnMut() -> bool) {
    while !condition() {
        sleep(Duration::from_millis(100)).await;
    }
}

fn idle_after_a_minute(recorder: Recorder) -> Http1Service {
    Http1Service::new(recorder, Http1ConnectionParameters { header_timeout: Some(MINUTE), ..Default::default() })
}

/// Tornado: IdleTimeoutTest.test_unused_connection.
#[test]
fn a_silent_connection_is_closed_without_a_word() {
    run_jumping(async |_| {
        let recorder = Recorder::answering();
        let trace = recorder.trace.clone();
        let (client, connection) = connect_pair(&idle_after_a_minute(recorder));
        let watch = Watch::start();
        client.end().await;
        assert_eq!(watch.passed(), 60_000);
        assert!(connection.closed());
        assert_eq!(trace.take(), ["close"]);
    });
}

/// Tornado: IdleTimeoutTest.test_idle_after_use.
#[test]
fn the_time_counts_anew_after_each_response() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&idle_after_a_minute(Recorder::answering()));
        for _ in 0..3 {
            sleep(MINUTE * 9 / 10).await;
            assert_eq!(client.get("/").await.status, 200);
        }
        let watch = Watch::start();
        client.end().await;
        assert_eq!(watch.passed(), 60_000);
    });
}

#[test]
fn without_a_limit_nothing_is_closed() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&service(Recorder::answering()));
        sleep(MINUTE * 60 * 24).await;
        assert_eq!(client.get("/").await.status, 200);
        client.send("GET / HTT");
        sleep(MINUTE * 60 * 24).await;
        client.send("P/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().await.status, 200);
    });
}

#[test]
fn an_unfinished_head_gets_408() {
    run_jumping(async |_| {
        let recorder = Recorder::answering();
        let trace = recorder.trace.clone();
        let (client, connection) = connect_pair(&idle_after_a_minute(recorder));
        let watch = Watch::start();
        sleep(MINUTE / 2).await;
        client.send("GET / HTTP/1.1\r\nHo");
        let response = client.response().await;
        // The silence before it counts.
        assert_eq!((watch.passed(), response.status), (60_000, 408));
        assert_eq!(response.field("connection"), Some("close"));
        client.end().await;
        client.hang_up();
        later(|| connection.closed()).await;
        assert_eq!(trace.take(), ["close"]);
    });
}

#[test]
fn a_head_that_trickles_in_does_not_extend_its_time() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&idle_after_a_minute(Recorder::answering()));
        let watch = Watch::start();
        client.get("/").await;
        for byte in "GET / HTTP/1.1\r\nX: ".bytes() {
            client.send([byte]);
            sleep(MINUTE / 20).await;
        }
        assert_eq!((client.response().await.status, watch.passed()), (408, 60_000));
    });
}

/// An empty line before a request may be skipped (RFC 9112, section 2.2), but it is no request.
#[test]
fn an_empty_line_does_not_extend_the_time() {
    run_jumping(async |_| {
        let (client, connection) = connect_pair(&idle_after_a_minute(Recorder::answering()));
        let watch = Watch::start();
        sleep(MINUTE / 2).await;
        client.send("\r\n");
        later(|| connection.closed()).await;
        assert_eq!(watch.passed(), 60_000);
    });
}

/// One, however long ago it came: what is skipped doesn't depend on how the bytes arrive.
#[test]
fn a_second_empty_line_is_refused_although_the_connection_fell_idle_between() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&idle_after_a_minute(Recorder::answering()));
        for path in ["/1", "/2"] {
            client.send("\r\n");
            sleep(MINUTE / 10).await;
            client.get(path).await;
        }
        client.send("\r\n");
        sleep(MINUTE / 10).await;
        client.send("\r\n");
        assert_eq!(client.response().await.status, 400);
    });
}

#[test]
fn a_pipelined_head_has_its_own_time() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&idle_after_a_minute(Recorder::answering()));
        sleep(MINUTE / 2).await;
        let watch = Watch::start();
        client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\n");
        assert_eq!(client.response().await.text(), "/1");
        assert_eq!((client.response().await.status, watch.passed()), (408, 60_000));
    });
}

#[test]
fn the_application_may_take_its_time() {
    run_jumping(async |_| {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => {
                sleep(MINUTE * 60).await;
                ok(&connection, "at last")
            }
            _ => done(),
        });
        let (client, _) = connect_pair(&idle_after_a_minute(recorder));
        assert_eq!(client.get("/").await.text(), "at last");
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(client.response().await.text(), "at last");
    });
}

/// A service with a limit of a minute for bodies, whose delegate calls `set` when the headers are there.
fn body_within_a_minute(set: impl Fn(&Connection) + 'static) -> Http1Service {
    let set = Rc::new(set);
    let recorder = Recorder::new(move |connection: Connection, call| {
        let set = set.clone();
        async move {
            match call {
                Call::Headers(..) => set(&connection),
                Call::Finish(_) => ok(&connection, "thanks")?,
                _ => {}
            }
            done()
        }
    });
    Http1Service::new(recorder, Http1ConnectionParameters { body_timeout: Some(MINUTE), ..Default::default() })
}

const POST_3: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n";

/// Tornado: BodyLimitsTest.test_timeout, which gets nothing but the end.
#[test]
fn a_slow_body_gets_408() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&body_within_a_minute(|_| {}));
        let watch = Watch::start();
        client.send([POST_3, "a"].concat());
        sleep(MINUTE * 9 / 10).await;
        client.send("b");
        let response = client.response().await;
        assert_eq!((watch.passed(), response.status), (60_000, 408));
        client.end().await;
    });
}

#[test]
fn a_body_within_its_time() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&body_within_a_minute(|_| {}));
        for _ in 0..3 {
            client.send([POST_3, "a"].concat());
            sleep(MINUTE * 9 / 10).await;
            client.send("bc");
            assert_eq!(client.response().await.status, 200);
            // No time is counted between requests.
            sleep(MINUTE * 2).await;
        }
    });
}

/// Whether the time is taken, or nobody asks for it, as there is no body.
#[test]
fn one_request_sets_its_own_time() {
    for with_body in [true, false] {
        run_jumping(async move |_| {
            let first = Cell::new(true);
            let service = body_within_a_minute(move |connection| {
                if first.replace(false) {
                    connection.set_body_timeout(Some(MINUTE * 3));
                }
            });
            let (client, _) = connect_pair(&service);
            if with_body {
                client.send(POST_3);
                sleep(MINUTE * 2).await;
                client.send("abc");
            } else {
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            }
            assert_eq!(client.response().await.status, 200, "three minutes for the first");
            let watch = Watch::start();
            client.send(POST_3);
            assert_eq!(client.response().await.status, 408, "one again for the second");
            assert_eq!(watch.passed(), 60_000);
        });
    }
}

#[test]
fn one_request_has_no_limit() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&body_within_a_minute(|connection| connection.set_body_timeout(None)));
        client.send(POST_3);
        sleep(MINUTE * 600).await;
        client.send("abc");
        assert_eq!(client.response().await.status, 200);
    });
}

/// "From now on": also in the middle of the body.
#[test]
fn the_time_can_be_set_within_the_body() {
    run_jumping(async |_| {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Data(_) => {
                connection.set_body_timeout(Some(MINUTE / 2));
                done()
            }
            Call::Finish(_) => ok(&connection, "thanks"),
            _ => done(),
        });
        let params = Http1ConnectionParameters { body_timeout: Some(MINUTE), ..Default::default() };
        let (client, _) = connect_pair(&Http1Service::new(recorder, params));
        client.send(POST_3);
        sleep(MINUTE * 9 / 10).await;
        client.send("a");
        sleep(MINUTE * 4 / 10).await;
        client.send("b");
        let watch = Watch::start();
        assert_eq!((client.response().await.status, watch.passed()), (408, 30_000));
    });
}

/// The application's time for the pieces is a part of the body's, also when there is always more to be read.
#[test]
fn a_body_whose_bytes_are_always_there_has_its_time_all_the_same() {
    run_jumping(async |_| {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Data(_) => {
                sleep(MINUTE / 4).await;
                done()
            }
            Call::Finish(_) => ok(&connection, "thanks"),
            _ => done(),
        });
        let trace = recorder.trace.clone();
        let params = Http1ConnectionParameters { body_timeout: Some(MINUTE), ..Default::default() };
        let (client, _) = connect_pair(&Http1Service::new(recorder, params));
        let watch = Watch::start();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
        client.send(vec![b'x'; 1_000_000]);
        assert_eq!((client.response().await.status, watch.passed()), (408, 60_000));
        assert!(trace.has("connection close") && !trace.has("finish"));
    });
}

/// Keeps the connection of the request whose head came last.
fn keeping(kept: &Rc<RefCell<Option<Connection>>>) -> Recorder {
    let kept = kept.clone();
    Recorder::new(move |connection: Connection, call| {
        if let Call::Headers(..) = call {
            kept.replace(Some(connection.clone()));
        }
        async move { if let Call::Finish(_) = call { ok(&connection, "thanks") } else { done() } }
    })
}

/// "From now on": also if nothing of the body comes in the meantime.
#[test]
fn another_task_can_set_the_time_while_the_body_is_awaited() {
    run_jumping(async |_| {
        for (time, status, passed) in
            [(Some(MINUTE / 2), 408, 40_000), (Some(MINUTE * 5), 408, 310_000), (None, 200, 600_000)]
        {
            let kept = Rc::default();
            let params = Http1ConnectionParameters { body_timeout: Some(MINUTE), ..Default::default() };
            let (client, _) = connect_pair(&Http1Service::new(keeping(&kept), params));
            let watch = Watch::start();
            client.send([POST_3, "a"].concat());
            sleep(MINUTE / 6).await;
            kept.borrow_mut().take().expect("a request").set_body_timeout(time);
            if time.is_none() {
                sleep(Duration::from_secs(590)).await;
                client.send("bc");
            }
            assert_eq!((client.response().await.status, watch.passed()), (status, passed), "{time:?}");
        }
    });
}

/// A client that owes a body which nobody wants any more has the time of a goodbye, no matter who has answered.
#[test]
fn the_rest_of_a_body_that_another_task_answered_is_not_awaited_forever() {
    run_jumping(async |_| {
        let kept = Rc::default();
        let (client, connection) = connect_pair(&idle_after_a_minute(keeping(&kept)));
        client.send([POST_3, "a"].concat());
        sleep(MINUTE).await;
        ok(&kept.borrow_mut().take().expect("a request"), "enough").unwrap();
        assert_eq!(client.response().await.text(), "enough");
        let watch = Watch::start();
        client.end().await;
        assert_eq!(watch.passed(), 30_000);
        client.hang_up();
        later(|| connection.closed()).await;
        // Whoever sends it in time is welcome.
        let (client, _) = connect_pair(&idle_after_a_minute(keeping(&kept)));
        client.send([POST_3, "a"].concat());
        sleep(MINUTE).await;
        ok(&kept.borrow_mut().take().expect("a request"), "enough").unwrap();
        assert_eq!(client.response().await.text(), "enough");
        client.send(["bc", POST_3, "abc"].concat());
        assert_eq!(client.response().await.text(), "thanks");
    });
}

/// An early answer skips what little is left of the body, but waits for it no longer than for a peer's goodbye.
#[test]
fn the_rest_of_an_answered_body_is_not_awaited_forever() {
    run_jumping(async |_| {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(..) => ok(&connection, "enough"),
            _ => done(),
        });
        let (client, connection) = connect_pair(&idle_after_a_minute(recorder));
        client.send([POST_3, "a"].concat());
        assert_eq!(client.response().await.text(), "enough");
        let watch = Watch::start();
        client.end().await;
        assert_eq!(watch.passed(), 30_000);
        client.hang_up();
        later(|| connection.closed()).await;
    });
}

/// Nor for longer than for one that somebody wants.
#[test]
fn the_rest_of_an_answered_body_has_no_more_time_than_any_body() {
    run_jumping(async |_| {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(..) => ok(&connection, "enough"),
            _ => done(),
        });
        let params = Http1ConnectionParameters { body_timeout: Some(Duration::from_secs(2)), ..Default::default() };
        let (client, _) = connect_pair(&Http1Service::new(recorder, params));
        client.send([POST_3, "a"].concat());
        assert_eq!(client.response().await.text(), "enough");
        let watch = Watch::start();
        client.end().await;
        assert_eq!(watch.passed(), 2_000);
    });
}

/// Nor than its delegate gives it, instead of the server.
#[test]
fn the_rest_of_an_answered_body_has_the_time_that_its_delegate_sets() {
    const fn seconds(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n))
    }
    for (servers, delegates, passed) in [
        (None, seconds(2), 2_000),
        (seconds(10), seconds(2), 2_000),
        (seconds(2), seconds(10), 10_000),
        (None, seconds(60), 30_000),
        (seconds(2), None, 30_000),
    ] {
        run_jumping(async move |_| {
            let recorder = Recorder::new(move |connection: Connection, call| async move {
                match call {
                    Call::Headers(..) => {
                        connection.set_body_timeout(delegates);
                        ok(&connection, "enough")
                    }
                    _ => done(),
                }
            });
            let params = Http1ConnectionParameters { body_timeout: servers, ..Default::default() };
            let (client, _) = connect_pair(&Http1Service::new(recorder, params));
            client.send([POST_3, "a"].concat());
            assert_eq!(client.response().await.text(), "enough");
            let watch = Watch::start();
            client.end().await;
            assert_eq!(watch.passed(), passed, "{servers:?}, {delegates:?}");
        });
    }
}

/// What is left of the time, if the answer comes within the body.
#[test]
fn an_answer_within_a_body_gives_it_no_new_time() {
    run_jumping(async |_| {
        let kept = Rc::default();
        let params = Http1ConnectionParameters { body_timeout: Some(MINUTE / 6), ..Default::default() };
        let (client, _) = connect_pair(&Http1Service::new(keeping(&kept), params));
        let watch = Watch::start();
        client.send([POST_3, "a"].concat());
        sleep(MINUTE / 10).await;
        ok(&kept.borrow_mut().take().expect("a request"), "enough").unwrap();
        assert_eq!(client.response().await.text(), "enough");
        client.end().await;
        assert_eq!(watch.passed(), 10_000);
    });
}

/// The connection lingers while the peer sends, 30 seconds at most, 5 seconds of silence at most.
#[test]
fn lingering_ends() {
    for (pause, expected) in [(Duration::from_secs(1), 30_000), (Duration::from_secs(6), 5_000)] {
        run_jumping(async move |_| {
            // A client that doesn't close when the server does.
            let (mut client, server) = UnixStream::pair().unwrap();
            client.set_nonblocking(true).unwrap();
            let server = IoStream::from_unix(server, StreamOptions::new()).unwrap();
            let connection = Http1ServerConnection::start_serving(server, context(), &service(Recorder::answering()));
            client.write_all(b"nonsense\r\n\r\n").unwrap();
            let mut answer = String::new();
            until(|| client.read_to_string(&mut answer).is_ok()).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            let watch = Watch::start();
            spawn(async move {
                // Until the server has closed.
                while client.write_all(b"more").is_ok() {
                    sleep(pause).await;
                }
            });
            later(|| connection.closed()).await;
            assert_eq!(watch.passed(), expected);
        });
    }
}

/// A client that takes little, and slowly, takes it: that the kernel tells of room only when there is much of it is not its fault.
#[test]
fn a_last_answer_that_is_read_slowly_is_not_given_up() {
    for (no_keep_alive, option) in [(true, "keep-alive"), (false, "close")] {
        run_jumping(async move |_| {
            let recorder = Recorder::new(async |connection: Connection, call| match call {
                Call::Finish(_) => ok(&connection, "x".repeat(10_000_000)),
                _ => done(),
            });
            let params = Http1ConnectionParameters { no_keep_alive, ..Default::default() };
            let (mut client, server) = UnixStream::pair().unwrap();
            client.set_nonblocking(true).unwrap();
            let server = IoStream::from_unix(server, StreamOptions::new()).unwrap();
            let service = Http1Service::new(recorder, params);
            let connection = Http1ServerConnection::start_serving(server, context(), &service);
            client.write_all(format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: {option}\r\n\r\n").as_bytes()).unwrap();
            let watch = Watch::start();
            // So much that the kernel has room for more before the time is over, and so little that it doesn't tell.
            let mut piece = [0; 4096];
            while watch.passed() < 600_000 {
                sleep(Duration::from_secs(1)).await;
                assert!(!connection.closed(), "cut after {} ms", watch.passed());
                client.read_exact(&mut piece).unwrap();
            }
        });
    }
}

/// Bytes from a client that doesn't take its last answer give it no more time.
#[test]
fn a_last_answer_that_is_not_read_is_given_up_although_the_client_sends_on() {
    run_jumping(async |_| {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => ok(&connection, "x".repeat(10_000_000)),
            _ => done(),
        });
        let params = Http1ConnectionParameters { no_keep_alive: true, ..Default::default() };
        let (client, connection) = connect_pair(&Http1Service::new(recorder, params));
        let watch = Watch::start();
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        while !connection.closed() && watch.passed() < 1_000_000 {
            client.send("more");
            sleep(Duration::from_secs(1)).await;
        }
        assert!((30_000..=31_000).contains(&watch.passed()), "{}", watch.passed());
    });
}

/// The application keeps a handle for good: the connection's end is not its business.
#[test]
fn a_kept_handle_does_not_keep_the_socket() {
    run_jumping(async |_| {
        let kept = Rc::new(RefCell::new(Vec::new()));
        let recorder = Recorder::new({
            let kept = kept.clone();
            move |connection, _| {
                kept.borrow_mut().push(connection);
                async { Err("no luck".into()) }
            }
        });
        let trace = recorder.trace.clone();
        let (client, connection) = connect_pair(&service(recorder));
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().await.status, 500);
        later(|| trace.has("close")).await;
        assert!(connection.closed());
        assert_eq!(kept.borrow().len(), 1);
    });
}

/// Tornado's request_time.
#[test]
fn the_elapsed_time_counts_from_the_first_byte_to_the_response() {
    run_jumping(async |clock: ManualClock| {
        let kept = Rc::new(RefCell::new(None));
        let recorder = Recorder::new({
            let kept = kept.clone();
            move |connection: Connection, call| {
                kept.replace(Some(connection.clone()));
                async move {
                    if let Call::Finish(_) = call {
                        assert_eq!(connection.elapsed(), Duration::from_secs(5));
                        sleep(Duration::from_secs(3)).await;
                        assert_eq!(connection.elapsed(), Duration::from_secs(8));
                        ok(&connection, "done")?;
                    }
                    done()
                }
            }
        });
        let (client, _) = connect_pair(&service(recorder));
        for _ in 0..2 {
            sleep(Duration::from_secs(100)).await;
            client.send("GET / HTT");
            sleep(Duration::from_secs(2)).await;
            client.send("P/1");
            sleep(Duration::from_secs(3)).await;
            client.send(".1\r\nHost: x\r\n\r\n");
            assert_eq!(client.response().await.text(), "done");
            sleep(Duration::from_secs(100)).await;
            let connection = kept.take().expect("a request came");
            assert_eq!(connection.elapsed(), Duration::from_secs(8));
        }
        assert!(!clock.jumps().is_empty());
    });
}

//! The limits of time that Tornado doesn't know: for the first byte, for a head, for the pace of a body, for a peer that takes
//! nothing. The clock jumps when nothing is to be done.

mod common;

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::recorder::{Connection, begin, ok};
use common::*;
use landspout_http1connection::{Http1ConnectionParameters, Http1ServerConnection, Http1Service};
use landspout_ioloop::{IoLoop, sleep};
use landspout_iostream::{IoStream, StreamOptions};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn now() -> Instant {
    IoLoop::current().now()
}

/// The seconds since.
fn since(begin: Instant) -> u64 {
    (now() - begin).as_secs()
}

/// Lets time pass until the condition holds.
async fn later(mut condition: impl FnMut() -> bool) {
    while !condition() {
        sleep(SECOND / 10).await;
    }
}

/// First byte within 10 seconds, a head within 20, a request's head within an hour of silence.
fn three_limits() -> Http1Service {
    let params = Http1ConnectionParameters {
        first_byte_timeout: Some(SECOND * 10),
        head_timeout: Some(SECOND * 20),
        header_timeout: Some(MINUTE * 60),
        ..Default::default()
    };
    Http1Service::new(Recorder::answering(), params)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_new_connection_has_its_own_time_for_the_first_byte() {
    run_jumping(async |_| {
        let (client, connection) = connect_pair(&three_limits());
        let begin = now();
        client.end().await;
        assert_eq!((since(begin), connection.closed()), (10, true));
    });
}

/// The idle time is for all connections, new ones too.
#[test]
fn a_new_connection_is_no_longer_silent_than_an_idle_one() {
    run_jumping(async |_| {
        for (first, idle, closed) in [(10, 60, 10), (60, 10, 10), (0, 10, 10), (10, 0, 10)] {
            let params = Http1ConnectionParameters {
                first_byte_timeout: Some(SECOND * first),
                header_timeout: Some(SECOND * idle),
                ..Default::default()
            };
            let (client, _) = connect_pair(&Http1Service::new(Recorder::answering(), params));
            let begin = now();
            client.end().await;
            assert_eq!(since(begin), closed, "{first} {idle}");
        }
    });
}

/// The time for the first byte is over with that byte, and with an empty line it is not.
#[test]
fn the_first_byte_begins_the_time_of_the_head() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&three_limits());
        let begin = now();
        sleep(SECOND * 8).await;
        client.send("G");
        let response = client.response().await;
        assert_eq!((response.status, since(begin)), (408, 28));
        assert_eq!(response.field("connection"), Some("close"));

        let (client, _) = connect_pair(&three_limits());
        let begin = now();
        sleep(SECOND * 8).await;
        client.send("\r\n");
        client.end().await;
        assert_eq!(since(begin), 10);
    });
}

#[test]
fn between_requests_the_first_byte_has_the_idle_time() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&three_limits());
        assert_eq!(client.get("/").await.status, 200);
        sleep(MINUTE * 59).await;
        assert_eq!(client.get("/").await.status, 200);
        let begin = now();
        client.end().await;
        assert_eq!(since(begin), 3600);
    });
}

#[test]
fn each_head_has_its_own_time() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&three_limits());
        // The second and third one are the rest of a packet; the last one comes byte by byte.
        for _ in 0..3 {
            client.send(&GET[..10]);
            sleep(SECOND * 19).await;
            client.send([&GET[10..], GET, &GET[..5]].concat());
            assert_eq!((client.response().await.status, client.response().await.status), (200, 200));
            sleep(SECOND * 19).await;
            client.send(&GET[5..]);
            assert_eq!(client.response().await.status, 200);
            sleep(MINUTE).await;
        }
        let begin = now();
        for byte in "GET / HTTP/1.1\r\nX: and so on".bytes() {
            client.send([byte]);
            sleep(SECOND).await;
            if since(begin) >= 20 {
                break;
            }
        }
        assert_eq!((client.response().await.status, since(begin)), (408, 20));
    });
}

/// Tornado's limit for silence and head together still counts.
#[test]
fn a_head_that_begins_late_has_what_is_left_of_the_idle_time() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&three_limits());
        client.get("/").await;
        let begin = now();
        sleep(SECOND * 3590).await;
        client.send("GET / HT");
        assert_eq!((client.response().await.status, since(begin)), (408, 3600));
    });
}

#[test]
fn zero_is_no_limit_and_neither_is_eternity() {
    for timeout in [Duration::ZERO, Duration::MAX] {
        run_jumping(async move |_| {
            let params = Http1ConnectionParameters {
                first_byte_timeout: Some(timeout),
                head_timeout: Some(timeout),
                header_timeout: Some(timeout),
                body_timeout: Some(timeout),
                min_body_rate: u32::from(timeout > Duration::ZERO),
                body_rate_grace: timeout,
                max_requests: Some(0),
                ..Default::default()
            };
            let (client, _) = connect_pair(&Http1Service::new(Recorder::answering(), params));
            for _ in 0..3 {
                sleep(MINUTE * 600).await;
                client.send("POST / HTTP/1.1\r\n");
                sleep(MINUTE * 600).await;
                client.send("Host: x\r\nContent-Length: 2\r\n\r\n1");
                sleep(MINUTE * 600).await;
                client.send("2");
                assert_eq!(client.response().await.status, 200);
            }
        });
    }
}

/// At least 100 bytes a second, or 10 seconds behind.
fn paced(recorder: Recorder) -> Http1Service {
    let params = Http1ConnectionParameters { min_body_rate: 100, body_rate_grace: SECOND * 10, ..Default::default() };
    Http1Service::new(recorder, params)
}

const POST_10_000: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n";

#[test]
fn a_body_that_trickles_in_gets_408() {
    for (piece, expected) in [(0, 10), (1, 10), (50, 19), (90, 91)] {
        run_jumping(async move |_| {
            let recorder = Recorder::answering();
            let trace = recorder.trace.clone();
            let (client, _) = connect_pair(&paced(recorder));
            client.send(POST_10_000);
            let begin = now();
            while client.stream.with_buffered(<[u8]>::is_empty) && since(begin) < 200 {
                sleep(SECOND).await;
                client.send(vec![b'x'; piece]);
                next_turn().await;
                let _ = poll_answer(&client).await;
            }
            let response = client.response().await;
            assert_eq!((response.status, response.field("connection")), (408, Some("close")), "{piece}");
            assert!(since(begin).abs_diff(expected) <= 2, "{piece}: {} instead of {expected}", since(begin));
            assert_eq!(trace.count("connection close"), 1);
        });
    }
}

/// Reads what is there of an answer.
async fn poll_answer(client: &Client) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(client.stream.poll_fill(cx).is_ready())).await
}

#[test]
fn a_slow_body_that_keeps_the_pace_is_read() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&paced(Recorder::answering()));
        for _ in 0..2 {
            client.send(POST_10_000);
            let begin = now();
            for _ in 0..20 {
                sleep(SECOND * 4).await;
                client.send([b'x'; 500]);
            }
            assert_eq!((client.response().await.status, since(begin)), (200, 80));
            // No pace is asked for between requests, nor in a head.
            sleep(MINUTE).await;
        }
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            client.send(["3e8\r\n", &"x".repeat(1000), "\r\n"].concat());
            sleep(SECOND * 9).await;
        }
        client.send("0\r\n\r\n");
        assert_eq!(client.response().await.status, 200);
    });
}

/// Much at once doesn't buy an hour: a peer that vanishes within its body is noticed.
#[test]
fn a_body_may_not_pause_for_longer_than_the_grace() {
    run_jumping(async |_| {
        let (client, _) = connect_pair(&paced(Recorder::answering()));
        client.send(POST_10_000);
        client.send([b'x'; 9_999]);
        let begin = now();
        assert_eq!((client.response().await.status, since(begin)), (408, 10));
    });
}

/// The application lets the body wait: nobody can blame the client.
#[test]
fn the_applications_time_does_not_count() {
    run_jumping(async |_| {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(..) | Call::Data(_) => {
                sleep(MINUTE).await;
                done()
            }
            Call::Finish(_) => ok(&connection, "thanks"),
            Call::Trailers(_) => done(),
        });
        let (client, _) = connect_pair(&paced(recorder));
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
        sleep(MINUTE).await;
        for byte in ["a", "b", "c"] {
            sleep(SECOND * 3).await;
            client.send(byte);
            sleep(MINUTE).await;
        }
        assert_eq!(client.response().await.status, 200);
    });
}

/// A delegate that streams both ways turns the limits off for its request.
#[test]
fn a_body_without_a_time_limit_has_no_pace_either() {
    run_jumping(async |_| {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(start_line, _) => {
                if start_line.path() == "/slow" {
                    connection.set_body_timeout(None);
                }
                done()
            }
            Call::Finish(_) => ok(&connection, "thanks"),
            _ => done(),
        });
        let (client, _) = connect_pair(&paced(recorder));
        client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na");
        sleep(MINUTE * 60).await;
        client.send("b");
        assert_eq!(client.response().await.status, 200);
        client.send("POST /fast HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na");
        let begin = now();
        assert_eq!((client.response().await.status, since(begin)), (408, 10), "only for that request");
    });
}

#[test]
fn a_late_body_whose_answer_has_begun_is_cut_off() {
    run_jumping(async |_| {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Headers(..) => begin(&connection),
            _ => done(),
        });
        let trace = recorder.trace.clone();
        let (client, _) = connect_pair(&paced(recorder));
        client.send(POST_10_000);
        assert_eq!(client.head().await.status, 200);
        assert_eq!(client.cut().await, b"", "no second answer within the first");
        later(|| trace.has("close")).await;
        assert_eq!(trace.count("connection close"), 1);
    });
}

/// A connection whose client takes nothing of an answer for a minute is cut: while the application waits for it, while it is
/// elsewhere, while the next request is awaited, and while the connection is to end.
#[test]
fn a_client_that_takes_nothing_is_cut_off() {
    const MUCH: usize = 8 << 20;
    for (path, how) in [
        ("/flush", "while the application waits for it"),
        ("/sleep", "while it is elsewhere"),
        ("/next", "while the next request is awaited"),
        ("/close", "while the connection is to end"),
    ] {
        run_jumping(async move |_| {
            let recorder = Recorder::new(async |connection: Connection, call| {
                let Call::Finish(path) = call else { return done() };
                begin(&connection)?;
                connection.write(&vec![b'x'; MUCH])?;
                match path.as_str() {
                    "/flush" => connection.flush().await?,
                    "/sleep" => sleep(MINUTE * 600).await,
                    _ => {}
                }
                Ok(connection.finish()?)
            });
            let trace = recorder.trace.clone();
            let (near, far) = UnixStream::pair().unwrap();
            let client = Client::new(IoStream::from_unix(near, StreamOptions::new()).unwrap());
            let server = IoStream::from_unix(far, StreamOptions::new().send_timeout(Some(MINUTE))).unwrap();
            let connection = Http1ServerConnection::start_serving(server, context(), &service(recorder));
            let close = if path == "/close" { "Connection: close\r\n" } else { "" };
            client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{close}\r\n"));
            let begin = now();
            later(|| connection.closed()).await;
            assert_eq!(since(begin), 60, "{how}");
            assert_eq!(trace.count("close"), 1, "{how}");
            // Whoever waited for the flush has its error.
            assert_eq!(trace.count("connection close"), usize::from(path == "/sleep"), "{how}");
        });
    }
}

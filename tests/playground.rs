//! The example `http_playground` as its users see it: bodies, big answers, pipelining, events, clients that leave, limits.

mod support;

use support::Example;
use support::client::{Client, get, post, post_chunked, request};

/// Bytes that look like nothing in particular, the same in every run.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn echo_returns_exactly_what_it_got() {
    let example = Example::start("http_playground", &[]);
    let mut client = Client::connect(example.address());
    for size in [0, 1, 65_536, 1_000_000] {
        let body = noise(size);
        let by_length = post("/echo", &body);
        let in_small_chunks = post_chunked("/echo", &body, &[1, 7, 4096, 10_000]);
        let in_large_chunks = post_chunked("/echo", &body, &[300_000]);
        for request in [by_length, in_small_chunks, in_large_chunks] {
            let answer = client.ask(&request);
            assert_eq!(answer.status, 200, "{}", answer.head);
            assert_eq!(answer.field("Content-Length"), Some(size.to_string().as_str()));
            assert!(answer.body == body, "{size} bytes came back differently");
        }
    }
    example.terminate();
}

#[test]
fn a_big_answer_waits_for_a_slow_reader_and_nobody_else_does() {
    const N: usize = 5_000_000;
    let example = Example::start("http_playground", &[]);
    let (mut slow, mut other) = (Client::connect(example.address()), Client::connect(example.address()));
    slow.send(&get(&format!("/big?n={N}")));
    let head = slow.head().unwrap();
    assert_eq!((head.status, head.field("Content-Length")), (200, Some("5000000")));
    let mut count = 0;
    let mut take = |limit| {
        let piece = slow.some(limit);
        assert!(piece.iter().all(|byte| *byte == b'x'));
        count += piece.len();
        count
    };
    // Slowly: between two small pieces another client has a whole request answered.
    for _ in 0..200 {
        take(100);
        assert_eq!(other.ask(&get("/")).text(), "Hello, World!");
    }
    while take(N) < N {}
    assert_eq!(count, N);
    // Not a byte too many: the next thing on the connection is the next answer.
    assert_eq!(slow.ask(&get("/")).text(), "Hello, World!");
    example.terminate();
}

#[test]
fn head_is_get_without_its_body() {
    let example = Example::start("http_playground", &[]);
    let mut client = Client::connect(example.address());
    for (target, status, length) in
        [("/", 200, Some("13")), ("/big?n=5000000", 200, Some("5000000")), ("/nothing", 404, None)]
    {
        client.send(&request("HEAD", target));
        let answer = client.answer_to_head();
        assert_eq!(answer.status, status, "{target}");
        assert!(length.is_none() || answer.field("Content-Length") == length, "{}", answer.head);
        assert_eq!(client.ask(&get("/")).text(), "Hello, World!");
    }
    example.terminate();
}

#[test]
fn what_is_not_there_is_refused_and_the_connection_stays() {
    let example = Example::start("http_playground", &[]);
    let mut client = Client::connect(example.address());
    for (request, status) in [
        (get("/nothing"), 404),
        (get("/Echo"), 404),
        (get("/echo"), 405),
        (post("/", b"body"), 405),
        (get("/big"), 400),
        (get("/big?n=-1"), 400),
    ] {
        let answer = client.ask(&request);
        assert_eq!(answer.status, status, "{:?}", String::from_utf8_lossy(&request));
    }
    assert_eq!(client.ask(&get("/echo")).field("Allow"), Some("POST, OPTIONS"));
    assert_eq!(client.ask(&get("/")).status, 200);
    example.terminate();
}

#[test]
fn a_hundred_requests_in_one_write_are_answered_in_order() {
    let example = Example::start("http_playground", &[]);
    let mut client = Client::connect(example.address());
    let mut requests = get("/sleep?ms=1");
    for number in 0..99 {
        match number % 3 {
            0 => requests.extend(post("/echo", format!("number {number}").as_bytes())),
            1 => requests.extend(post_chunked("/echo", format!("number {number}").as_bytes(), &[3])),
            _ => requests.extend(get(&format!("/big?n={number}"))),
        }
    }
    client.send(&requests);
    assert_eq!(client.answer().text(), "slept 1 ms\n");
    for number in 0..99 {
        let answer = client.answer();
        assert_eq!(answer.status, 200);
        match number % 3 {
            2 => assert_eq!(answer.body.len(), number),
            _ => assert_eq!(answer.text(), format!("number {number}")),
        }
    }
    // That was all.
    assert_eq!(client.ask(&get("/")).text(), "Hello, World!");
    example.terminate();
}

#[test]
fn an_event_arrives_when_it_happens() {
    let example = Example::start("http_playground", &[]);
    // The second event is an hour away: what comes now was not held back for it.
    let mut client = Client::connect(example.address());
    client.send(&get("/events?n=2&ms=3600000"));
    let head = client.head().unwrap();
    assert_eq!((head.status, head.field("Content-Type")), (200, Some("text/event-stream")));
    assert_eq!(client.chunk().unwrap().as_deref(), Some(&b"data: 1\n\n"[..]));
    let mut client = Client::connect(example.address());
    client.send(&get("/events?n=3&ms=1"));
    client.head().unwrap();
    for number in 1..=3 {
        assert_eq!(client.chunk().unwrap(), Some(format!("data: {number}\n\n").into_bytes()));
    }
    assert_eq!(client.chunk().unwrap(), None);
    assert_eq!(client.ask(&get("/")).text(), "Hello, World!");

    // Who goes away ends the handler: what it writes next meets a reset.
    client.send(&get("/events?n=1000000000&ms=1"));
    assert_eq!(client.head().unwrap().status, 200);
    drop(client);
    example.wait_for("that the client is gone", |output| output.contains("was broken off").then_some(()));
    example.terminate();
}

#[test]
fn a_client_that_only_ends_its_sending_side_is_noticed_and_served() {
    let example = Example::start("http_playground", &[]);
    let mut client = Client::connect(example.address());
    // What it pipelined hides nothing.
    client.send(&[get("/sleep?ms=500"), get("/")].concat());
    client.shutdown_write();
    example.wait_for("that the client is done", |output| output.contains("stopped sending").then_some(()));
    assert_eq!(client.answer().text(), "slept 500 ms\n");
    assert_eq!(client.answer().text(), "Hello, World!");
    client.expect_end();
    example.terminate();
}

#[test]
fn each_limit_has_its_status_and_the_answer_arrives() {
    let limits =
        ["--max-body-size", "1000", "--max-header-size", "2000", "--max-headers", "5", "--max-start-line", "200"];
    let example = Example::start("http_playground", &limits);
    let field = |value: &str| format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {value}\r\n\r\n").into_bytes();
    for (request, status) in [
        (post("/echo", &noise(1001)), 413),
        (post_chunked("/echo", &noise(1001), &[400]), 413),
        (get(&format!("/{}", "x".repeat(200))), 414),
        (field(&"x".repeat(3000)), 431),
        (field(&"x\r\nX: ".repeat(5)), 431),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n".to_vec(), 505),
        (b"rubbish\r\n\r\n".to_vec(), 400),
    ] {
        let mut client = Client::connect(example.address());
        // Far more than the kernel takes at once may still be on its way: the answer must not be lost to a reset.
        let answer = client.ask(&request);
        assert_eq!(answer.status, status, "{:?}", String::from_utf8_lossy(&request));
        assert_eq!(answer.field("Connection"), Some("close"));
        client.expect_end();
    }
    let mut client = Client::connect(example.address());
    assert_eq!(client.ask(&post("/echo", &noise(1000))).status, 200);
    example.terminate();
}

/// Each client leaves one thing undone, and waits for what comes of it.
#[test]
fn each_limit_of_time_ends_a_slow_client() {
    let half_a_body = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc";
    for (limits, sent, status) in [
        (&["--first-byte-timeout", "0.1"][..], &b""[..], None),
        (&["--idle-timeout", "0.1"], b"", None),
        (&["--head-timeout", "0.1"], b"GET / HTTP/1.1\r\nHost", Some(408)),
        (&["--body-timeout", "0.1"], half_a_body, Some(408)),
        (&["--min-body-rate", "1000", "--body-rate-grace", "0.1"], half_a_body, Some(408)),
    ] {
        let example = Example::start("http_playground", limits);
        let mut client = Client::connect(example.address());
        client.send(sent);
        if let Some(status) = status {
            let answer = client.answer();
            assert_eq!((answer.status, answer.field("Connection")), (status, Some("close")), "{limits:?}");
        }
        client.expect_end();
        example.terminate();
    }
    let example = Example::start("http_playground", &["--send-timeout", "0.1"]);
    let mut client = Client::connect(example.address());
    client.send(&get("/big?n=1000000000"));
    example.wait_for("that it was cut", |output| output.contains("was broken off").then_some(()));
    example.terminate();
}

#[test]
fn requests_and_connections_are_limited() {
    let example = Example::start("http_playground", &["--max-requests", "2", "--max-connections-per-peer", "1"]);
    let mut client = Client::connect(example.address());
    assert_eq!(client.ask(&get("/")).field("Connection"), None);
    Client::connect(example.address()).expect_end();
    assert_eq!(client.ask(&get("/")).field("Connection"), Some("close"));
    client.expect_end();
    example.terminate();
    let example = Example::start("http_playground", &["--max-connections", "1"]);
    let (mut first, mut second) = (Client::connect(example.address()), Client::connect(example.address()));
    second.send(&get("/"));
    assert_eq!(first.ask(&get("/")).status, 200);
    drop(first);
    assert_eq!(second.answer().status, 200, "it has waited");
    example.terminate();
}

#[test]
fn it_serves_from_workers_and_from_threads() {
    for arguments in [&["--workers", "2"], &["--threads", "2"]] {
        let example = Example::start("http_playground", arguments);
        let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(example.address())).collect();
        for client in &mut clients {
            assert_eq!(client.ask(&get("/")).text(), "Hello, World!");
        }
        example.terminate();
    }
}

#[test]
fn it_tells_whom_it_takes_the_client_for() {
    let asked = |arguments: &[&str], before: &[u8], fields: &str| {
        let example = Example::start("http_playground", arguments);
        let mut client = Client::connect(example.address());
        client.send(before);
        let request = format!("GET /client HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let text = client.ask(request.as_bytes()).text().to_owned();
        example.terminate();
        text
    };
    const FIELDS: &str = "X-Forwarded-For: 4.4.4.4, 10.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 5.5.5.5\r\n\
        Forwarded: for=6.6.6.6\r\n";
    for (arguments, expected) in [
        (&[][..], "http 127.0.0.1 127.0.0.1:"),
        (&["--xheaders"], "https 10.1.1.1 127.0.0.1:"),
        (&["--xheaders", "--trusted-downstream", "10.0.0.0/8"], "https 4.4.4.4 127.0.0.1:"),
        (&["--xheaders", "--trust", "10.0.0.0/8,127.0.0.1"], "https 4.4.4.4 127.0.0.1:"),
        (&["--xheaders", "--trust", "10.0.0.0/8"], "http 127.0.0.1 127.0.0.1:"),
        (&["--x-real-ip"], "http 5.5.5.5 127.0.0.1:"),
        (&["--forwarded"], "http 6.6.6.6 127.0.0.1:"),
    ] {
        let text = asked(arguments, b"", FIELDS);
        assert!(text.starts_with(expected), "{arguments:?}: {text}");
    }
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
    assert_eq!(asked(&["--proxy-protocol"], header, ""), "http 192.0.2.7 192.0.2.7:56324\n");
}

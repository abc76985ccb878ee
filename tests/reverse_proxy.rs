//! The example `reverse_proxy` between clients and servers that the test plays, and before `http_playground`.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use support::client::{Client, get, post, post_chunked, request};
use support::{DEADLINE, Example};

/// The server behind the proxy: its end of one connection.
struct Upstream(BufReader<TcpStream>);

impl Upstream {
    fn accept(listener: &TcpListener) -> Self {
        let stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// A request's head, a line each.
    fn head(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the end after {lines:?}");
            match line.trim_end() {
                "" => return lines,
                line => lines.push(line.to_owned()),
            }
        }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    fn expect_end(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.0.read_to_end(&mut rest);
    }
}

/// A proxy, and what `play` does behind it, in a thread that is to be joined.
fn proxy<T: Send + 'static>(play: impl FnOnce(TcpListener) -> T + Send + 'static) -> (Example, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    let proxy = Example::start("reverse_proxy", &["--upstream", &upstream]);
    (proxy, thread::spawn(move || play(listener)))
}

/// What the client gets for `GET /`, and when the upstream says this and closes.
fn answered(method: &str, says: &'static [u8]) -> (Example, Client) {
    let (proxy, upstream) = proxy(move |listener| {
        let mut upstream = Upstream::accept(&listener);
        upstream.head();
        upstream.send(says);
    });
    let mut client = Client::connect(proxy.address());
    client.send(&request(method, "/"));
    upstream.join().unwrap();
    (proxy, client)
}

#[test]
fn fields_of_one_connection_stay_behind_and_those_of_a_proxy_are_added() {
    let (proxy, upstream) = proxy(|listener| {
        let mut upstream = Upstream::accept(&listener);
        let head = upstream.head();
        upstream.send(
            "HTTP/1.1 200 OK\r\nKeep-Alive: x\r\nConnection: bar\r\nBar: 1\r\nProxy-Connection: x\r\nTrailer: x\r\n\
             Server: test\r\nVia: 1.0 other\r\nContent-Length: 2, 2\r\n\r\nhi",
        );
        head
    });
    let mut client = Client::connect(proxy.address());
    let answer = client.ask(
        b"GET /p?q HTTP/1.1\r\nHost: example.com\r\nConnection: foo, Host, keep-alive, upgrade\r\nFoo: 1\r\nUpgrade: x\r\n\
          TE: trailers\r\nKeep-Alive: x\r\nProxy-Connection: x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
          Forwarded: for=1.2.3.4\r\nCookie: a=b\r\n\r\n",
    );
    assert_eq!(
        upstream.join().unwrap(),
        [
            "GET /p?q HTTP/1.1",
            "Host: example.com",
            "X-Forwarded-For: 1.2.3.4, 127.0.0.1",
            "X-Forwarded-Proto: http",
            "Forwarded: for=1.2.3.4, for=127.0.0.1;host=\"example.com\";proto=http",
            "Cookie: a=b",
            "X-Forwarded-Host: example.com",
            "Via: 1.1 landspout",
        ]
    );
    assert_eq!(answer.text(), "hi");
    let fields: Vec<&str> = answer.head.lines().skip(1).filter(|line| !line.is_empty()).collect();
    assert!(fields.iter().any(|line| line.starts_with("Date: ")));
    let fields: Vec<&str> = fields.into_iter().filter(|line| !line.starts_with("Date: ")).collect();
    assert_eq!(fields, ["Server: test", "Via: 1.0 other, 1.1 landspout", "Content-Length: 2"]);
    proxy.terminate();
}

#[test]
fn an_http_10_client_without_host_reaches_the_upstream_by_its_name() {
    let (proxy, upstream) = proxy(|listener| {
        let mut upstream = Upstream::accept(&listener);
        let head = upstream.head();
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
        (head, listener.local_addr().unwrap())
    });
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nhi") && !answer.contains("chunked"), "{answer}");
    let (head, address) = upstream.join().unwrap();
    assert_eq!(head[..2], ["GET / HTTP/1.1".to_owned(), format!("Host: {address}")]);
    proxy.terminate();
}

#[test]
fn answers_of_each_framing() {
    for (method, says, expected) in [
        ("GET", &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..], Some("hi")),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n", Some("hi")),
        ("GET", b"HTTP/1.0 200 OK\r\n\r\nhi", Some("hi")),
        ("GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Some("hi")),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", None),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", None),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", None),
    ] {
        let (proxy, mut client) = answered(method, says);
        let shown = says.escape_ascii();
        match expected {
            Some(body) => assert_eq!(client.answer().text(), body, "{shown}"),
            None => assert!(client.answer_to_head().status < 400, "{shown}"),
        }
        proxy.terminate();
    }
}

#[test]
fn hints_are_handed_on_before_the_answer() {
    let (proxy, mut client) = answered(
        "GET",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    let hint = client.head().unwrap();
    assert_eq!((hint.status, hint.field("Link")), (103, Some("</a>")));
    assert_eq!(client.answer().text(), "hi");
    proxy.terminate();
}

#[test]
fn an_upstream_that_answers_nothing_good_gives_502() {
    for says in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\n",
        b"220 mail.example.com\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ] {
        let (proxy, mut client) = answered("GET", says);
        let answer = client.answer();
        assert_eq!((answer.status, answer.text()), (502, "502 Bad Gateway\n"), "{}", says.escape_ascii());
        // The connection to the client is none the worse for it.
        client.send(&request("CONNECT", "a:1"));
        assert_eq!(client.answer().status, 501);
        proxy.terminate();
    }
    // Nobody there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let proxy = Example::start("reverse_proxy", &["--upstream", &nobody]);
    assert_eq!(Client::connect(proxy.address()).ask(&get("/")).status, 502);
    proxy.terminate();
}

#[test]
fn an_upstream_that_is_silent_gives_504() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    let proxy = Example::start("reverse_proxy", &["--upstream", &upstream, "--timeout", "0.1"]);
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.ask(&get("/")).text(), "504 Gateway Timeout\n");
    // And one that pauses in the middle of an answer breaks it off.
    client.send(&get("/"));
    let _silent = Upstream::accept(&listener);
    let mut pausing = Upstream::accept(&listener);
    pausing.head();
    pausing.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi");
    assert!(client.try_answer().is_err());
    proxy.terminate();
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    for says in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    ] {
        let (proxy, mut client) = answered("GET", says);
        assert!(client.try_answer().is_err(), "{}", says.escape_ascii());
        proxy.terminate();
    }
}

#[test]
fn bodies_of_each_framing_go_there_and_back() {
    let playground = Example::start("http_playground", &["--max-body-size", "100000000"]);
    let proxy = Example::start("reverse_proxy", &["--upstream", &playground.address().to_string()]);
    let mut client = Client::connect(proxy.address());
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i ^ i >> 8) as u8).collect();
    for request in [post("/echo", &body), post_chunked("/echo", &body, &[1, 5_000, 100_000])] {
        let answer = client.ask(&request);
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "{} bytes came back", answer.body.len());
    }
    assert_eq!(client.ask(&post("/echo", b"hi")).text(), "hi");
    playground.terminate();
    proxy.terminate();
}

/// The upstream sends as fast as it can, the client reads in small pieces; the proxy keeps next to nothing of it.
#[test]
fn a_slow_reader_fills_no_memory() {
    const BODY: usize = 64 << 20;
    let (proxy, upstream) = proxy(|listener| {
        let mut upstream = Upstream::accept(&listener);
        upstream.head();
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n"));
        for _ in 0..BODY >> 20 {
            upstream.send(vec![b'x'; 1 << 20]);
        }
    });
    let mut client = Client::connect(proxy.address());
    client.send(&get("/"));
    assert_eq!(client.head().unwrap().status, 200);
    let mut left = BODY;
    while left > 0 {
        left -= client.some(4096).len();
    }
    upstream.join().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    assert!(peak.is_none_or(|kib: usize| kib < 32 << 10), "{peak:?} KiB at most");
    proxy.terminate();
}

#[test]
fn an_early_refusal_reaches_a_client_that_is_still_sending() {
    let (proxy, upstream) = proxy(|listener| {
        let mut upstream = Upstream::accept(&listener);
        upstream.head();
        upstream.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        upstream.expect_end();
    });
    let mut client = Client::connect(proxy.address());
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nbegin");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (403, "no"));
    // The upstream's connection is over, as the rest of the body will never come.
    upstream.join().unwrap();
    proxy.terminate();
}

#[test]
fn requests_of_several_clients_share_a_connection_one_after_the_other() {
    let (proxy, upstream) = proxy(|listener| {
        let mut upstream = Upstream::accept(&listener);
        for n in 0..3 {
            assert_eq!(upstream.head()[0], format!("GET /{n} HTTP/1.1"));
            upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}"));
        }
        // One that the server closes isn't used any more.
        drop(upstream);
        let mut upstream = Upstream::accept(&listener);
        upstream.head();
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    for n in 0..3 {
        assert_eq!(Client::connect(proxy.address()).ask(&get(&format!("/{n}"))).text(), n.to_string());
    }
    let mut client = Client::connect(proxy.address());
    client.send(&get("/"));
    let status = client.answer_to_head().status;
    // The close may still be on its way when the request is.
    if status == 502 {
        // On a connection of its own, since the text of that answer is left unread here.
        let mut client = Client::connect(proxy.address());
        client.send(&get("/"));
        assert_eq!(client.answer_to_head().status, 204);
    } else {
        assert_eq!(status, 204);
    }
    upstream.join().unwrap();
    proxy.terminate();
}

#[test]
fn a_client_that_leaves_ends_its_request_at_the_upstream() {
    let (proxy, upstream) = proxy(|listener| {
        for _ in 0..2 {
            let mut upstream = Upstream::accept(&listener);
            upstream.head();
            upstream.expect_end();
        }
    });
    for request in [get("/"), b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbegin".to_vec()] {
        let mut client = Client::connect(proxy.address());
        client.send(&request);
        drop(client);
    }
    upstream.join().unwrap();
    proxy.terminate();
}

#[test]
fn without_an_upstream_it_shows_what_would_reach_one() {
    let proxy = Example::start("reverse_proxy", &[]);
    let answer = Client::connect(proxy.address()).ask(&get("/x"));
    assert!(answer.text().starts_with("GET /x\nHost: localhost\n"), "{}", answer.text());
    proxy.terminate();
}

/// The upstream answers each piece before the next one is sent.
#[test]
fn bodies_go_both_ways_while_they_come() {
    let (proxy, upstream) = proxy(|listener| {
        let mut upstream = Upstream::accept(&listener);
        upstream.head();
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut piece = [0; 9];
        for _ in 0..100 {
            upstream.0.read_exact(&mut piece).unwrap();
            assert_eq!(&piece, b"4\r\nping\r\n");
            upstream.send("4\r\npong\r\n");
        }
        upstream.0.read_exact(&mut piece[..5]).unwrap();
        upstream.send("0\r\n\r\n");
    });
    let mut client = Client::connect(proxy.address());
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.head().unwrap().status, 200);
    for _ in 0..100 {
        client.send(b"4\r\nping\r\n");
        assert_eq!(client.chunk().unwrap().as_deref(), Some(&b"pong"[..]));
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.chunk().unwrap(), None);
    upstream.join().unwrap();
    proxy.terminate();
}

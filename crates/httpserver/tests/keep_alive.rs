//! One connection, several requests. Tornado: KeepAliveTest.

mod common;

use common::*;
use landspout_httpserver::{HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, StatusCode};

fn client() -> Client {
    client_of(&echo(HttpServerOptions::new()))
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// test_two_requests
#[test]
fn two_requests() {
    run(async {
        let client = client();
        assert_eq!(client.get("/one").await.text(), "GET /one 0");
        assert_eq!(client.get("/two").await.text(), "GET /two 0");
        client.assert_silent();
        client.hang_up();
    });
}

/// test_request_close; the option is one of a list, without regard to case.
#[test]
fn request_close() {
    for connection in ["close", "CLOSE", "foo, close", "close, foo", "Foo\r\nConnection: Close"] {
        run(async move {
            let client = client();
            client.send(format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n"));
            let response = client.response().await;
            assert_eq!((response.status, response.field("connection")), (200, Some("close")), "{connection}");
            client.end().await;
        });
    }
}

/// test_http10
#[test]
fn http10() {
    run(async {
        let client = client();
        client.send("GET / HTTP/1.0\r\n\r\n");
        let response = client.response().await;
        assert_eq!((response.status, response.field("connection")), (200, None));
        client.end().await;
    });
}

/// test_http10_keepalive
#[test]
fn http10_keep_alive() {
    run(async {
        let client = client();
        for connection in ["keep-alive", "Keep-Alive", "KEEP-ALIVE"] {
            client.send(format!("GET / HTTP/1.0\r\nConnection: {connection}\r\n\r\n"));
            let response = client.response().await;
            assert_eq!((response.status, response.field("connection")), (200, Some("keep-alive")));
        }
        client.assert_silent();
        client.hang_up();
    });
}

/// test_http10_keepalive_extra_crlf
#[test]
fn http10_keep_alive_with_an_extra_crlf() {
    run(async {
        let client = client();
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\r\n");
        assert_eq!(client.response().await.status, 200);
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.response().await.status, 200);
    });
}

/// An HTTP/1.0 request with a method that may have a body, and no length: nobody knows where it ends.
#[test]
fn http10_post_without_a_length() {
    run(async {
        let client = client();
        client.send("POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = client.response().await;
        assert_eq!((response.status, response.field("connection")), (200, None));
        client.end().await;
    });
}

/// test_pipelined_requests
#[test]
fn pipelined_requests() {
    run(async {
        let client = client();
        let post = "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let chunked = "PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n";
        client.send(
            ["GET /a HTTP/1.1\r\nHost: x\r\n\r\n", post, chunked, "DELETE /d HTTP/1.1\r\nHost: x\r\n\r\n"].concat(),
        );
        for expected in ["GET /a 0", "POST /b 3", "PUT /c 4", "DELETE /d 0"] {
            assert_eq!(client.response().await.text(), expected);
        }
    });
}

/// The same, however the bytes are cut.
#[test]
fn pipelined_requests_in_pieces() {
    let all = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
               PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n";
    for size in [1, 7, 31] {
        run(async move {
            let client = client();
            for piece in all.as_bytes().chunks(size) {
                client.send(piece);
                next_turn().await;
            }
            for expected in ["GET /a 0", "POST /b 3", "PUT /c 4"] {
                assert_eq!(client.response().await.text(), expected, "pieces of {size}");
            }
        });
    }
}

/// test_pipelined_cancel
#[test]
fn pipelined_cancel() {
    run(async {
        let server = echo(HttpServerOptions::new());
        let address = listen(&server);
        let client = connect(address);
        client.send(GET.repeat(2));
        assert_eq!(client.response().await.status, 200);
        client.hang_up();
        until(|| server.connections() == 0).await;
        assert_eq!(connect(address).get("/").await.status, 200);
    });
}

/// test_keepalive_chunked
#[test]
fn keep_alive_chunked() {
    run(async {
        let client = client();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        assert_eq!(client.response().await.text(), "POST / 0");
        assert_eq!(client.get("/after").await.text(), "GET /after 0");
    });
}

/// HTTPConnectionTest.test_100_continue
#[test]
fn continue_is_sent_when_the_body_is_awaited() {
    run(async {
        let client = client();
        for expect in ["100-continue", "100-Continue"] {
            client.send(format!("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 1024\r\nExpect: {expect}\r\n\r\n"));
            let interim = client.response().await;
            assert_eq!((interim.status, &*interim.reason), (100, "Continue"));
            assert_eq!(interim.fields, []);
            client.send([b'x'; 1024]);
            assert_eq!(client.response().await.text(), "POST /c 1024");
        }
        // The body is there already, or there is none: nothing to say.
        client.send("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
        assert_eq!(client.response().await.brief(), (200, "POST /c 3"));
        client.send("GET /c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(client.response().await.brief(), (200, "GET /c 0"));
        client.send("POST /c HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
        turns(5).await;
        client.assert_silent();
        client.send("abc");
        assert_eq!(client.response().await.brief(), (200, "POST /c 3"));
    });
}

/// "A server MAY omit sending a 100 response if it has already received some or all of the content" (RFC 9110, section
/// 10.1.1): a client that has begun waits for none.
#[test]
fn continue_is_not_sent_within_a_body() {
    run(async {
        let client = client();
        client.send("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\nabc");
        turns(5).await;
        client.assert_silent();
        client.send("def");
        assert_eq!(client.response().await.brief(), (200, "POST /c 6"));
    });
}

#[test]
fn no_keep_alive() {
    run(async {
        let server = echo(HttpServerOptions::new().no_keep_alive(true));
        let address = listen(&server);
        let client = connect(address);
        // A client that pipelines has not been told yet.
        client.send(GET.repeat(3));
        let response = client.response().await;
        assert_eq!((response.status, response.field("connection")), (200, Some("close")));
        client.end().await;
        until(|| server.connections() == 0).await;
    });
}

/// A handler that takes long holds the connection's next request back, nobody else's.
#[test]
fn connections_are_independent() {
    run(async {
        let gate = Gate::default();
        let server = HttpServer::new({
            let gate = gate.clone();
            async move |request: HttpServerRequest| {
                if request.path() == "/slow" {
                    gate.wait().await;
                }
                request.write_response(StatusCode::OK, &HttpHeaders::new(), request.path())
            }
        });
        let address = listen(&server);
        let (slow, fast) = (connect(address), connect(address));
        slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /after HTTP/1.1\r\nHost: x\r\n\r\n");
        until(|| gate.is_waited_for()).await;
        for _ in 0..10 {
            assert_eq!(fast.get("/fast").await.text(), "/fast");
        }
        slow.assert_silent();
        gate.open();
        assert_eq!(slow.response().await.text(), "/slow");
        assert_eq!(slow.response().await.text(), "/after");
    });
}

//! What a closure is given, end to end. Tornado: HTTPServerTest, HTTPConnectionTest, HTTPServerRawTest, UnixSocketTest.

mod common;

use std::net::{IpAddr, Ipv4Addr};

use common::*;
use landspout_httpserver::{
    BoxError, HttpHeaders, HttpInputError, HttpServer, HttpServerOptions, HttpServerRequest, Method, Protocol,
    StatusCode, Version,
};
use landspout_httputil::{ParseBodyConfig, ParseMultipartConfig};
use landspout_iostream::IoStream;
use landspout_netutil::bind_unix_socket;

const NONE: HttpHeaders = HttpHeaders::new();

/// A server that checks its request and says so.
fn checking(check: impl Fn(&HttpServerRequest) + 'static) -> HttpServer {
    HttpServer::new(async move |request: HttpServerRequest| {
        check(&request);
        request.write_response(StatusCode::OK, &NONE, "checked")
    })
}

/// Sends raw requests to such a server, which has to be content with each of them.
fn check(requests: &'static [&'static str], check: impl Fn(&HttpServerRequest) + 'static) {
    run(async move {
        let client = client_of(&checking(check));
        for request in requests {
            client.send(request);
            assert_eq!(client.response().await.brief(), (200, "checked"), "{request}");
        }
    });
}

/// test_types
#[test]
fn every_part_of_a_request() {
    check(
        &[
            "GET /p%61th?foo=b%C3%A4r&foo=2 HTTP/1.1\r\nHost: Example.com:8888\r\nCookie: k=v\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n",
        ],
        |request| {
            assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
            assert_eq!(request.uri(), "/p%61th?foo=b%C3%A4r&foo=2");
            assert_eq!((request.path(), request.query()), ("/p%61th", "foo=b%C3%A4r&foo=2"));
            assert_eq!((request.host(), &*request.host_name()), ("Example.com:8888", "example.com"));
            assert_eq!(request.full_url(), "http://Example.com:8888/p%61th?foo=b%C3%A4r&foo=2");
            let values: Vec<_> = request.query_arguments().get_list("foo").collect();
            assert_eq!(values, ["bär".as_bytes(), b"2"]);
            assert_eq!(request.cookies().get("k").unwrap(), "v");
            assert_eq!(request.headers().get_text("X-TWICE").unwrap(), "1,2");
            assert_eq!((request.protocol(), request.remote_ip()), (Protocol::Http, IpAddr::V4(Ipv4Addr::LOCALHOST)));
            assert!(request.body().is_empty());
            assert!(request.connection().context().address().is_some());
            assert!(!format!("{request:?}").contains("k=v"), "no header in the debug text");
        },
    );
}

/// test_query_string_encoding, test_empty_query_string
#[test]
fn query_strings() {
    check(&["GET /?foo=%C3%A9 HTTP/1.1\r\nHost: x\r\n\r\n"], |request| {
        assert_eq!(request.query_arguments().get("foo").unwrap(), "é".as_bytes());
    });
    check(&["GET /?foo=&foo= HTTP/1.1\r\nHost: x\r\n\r\n"], |request| {
        let values: Vec<_> = request.query_arguments().get_list("foo").collect();
        assert_eq!(values, [b"", b""]);
    });
}

/// test_double_slash
#[test]
fn a_path_of_two_slashes_is_a_path() {
    check(&["GET //doubleslash HTTP/1.1\r\nHost: x\r\n\r\n"], |request| {
        assert_eq!((request.path(), request.host()), ("//doubleslash", "x"));
    });
}

/// test_empty_post_parameters, test_chunked_request_body, test_chunked_request_uppercase
#[test]
fn forms() {
    check(
        &[
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\nfoo=&bar=",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: Chunked\r\n\r\n\
             4\r\nfoo=\r\n5\r\n&bar=\r\n0\r\n\r\n",
        ],
        |request| {
            let form = request.body_arguments().unwrap();
            assert!(form.get("foo").unwrap().is_empty() && form.get("bar").unwrap().is_empty());
            assert_eq!(request.body(), "foo=&bar=");
        },
    );
}

/// test_multipart_form: HTTP/1.0, latin-1 in a header, UTF-8 in the form.
#[test]
fn a_multipart_form() {
    run(async {
        let client = client_of(&checking(|request| {
            assert_eq!(request.headers().get_text("X-Header-Encoding-Test").unwrap(), "\u{e9}");
            let arguments = request.body_arguments().unwrap();
            assert_eq!(arguments.get("argument").unwrap(), "\u{e1}".as_bytes());
            let file = request.files().unwrap().get("files").unwrap();
            assert_eq!((&*file.filename, &file.body[..]), ("\u{f3}", "\u{fa}".as_bytes()));
        }));
        let body = "--1234567890\r\nContent-Disposition: form-data; name=\"argument\"\r\n\r\n\u{e1}\r\n--1234567890\r\n\
             Content-Disposition: form-data; name=\"files\"; filename=\"\u{f3}\"\r\n\r\n\u{fa}\r\n--1234567890--\r\n";
        let head = format!(
            "POST / HTTP/1.0\r\nContent-Type: multipart/form-data; boundary=1234567890\r\nContent-Length: {}\r\n",
            body.len()
        );
        client.send([head.as_bytes(), b"X-Header-encoding-test: \xe9\r\n\r\n", body.as_bytes()].concat());
        assert_eq!(client.response().await.brief(), (200, "checked"));
    });
}

/// Answers with what the form of several parts has to say, read with limits of its own, or with the body's length.
fn form_or_length() -> HttpServer {
    HttpServer::new(async |request: HttpServerRequest| -> Result<(), BoxError> {
        let text = match request.path() {
            "/form" => {
                let multipart = ParseMultipartConfig { max_parts: 1, ..Default::default() };
                let form = request.parse_body_with(&ParseBodyConfig { multipart, ..Default::default() })?;
                form.arguments.len().to_string()
            }
            _ => request.body().len().to_string(),
        };
        Ok(request.write_response(StatusCode::OK, &NONE, text)?)
    })
}

fn multipart_to(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A form is parsed when the callback asks for it, with the limits that it gives; what doesn't ask has the body as it came.
#[test]
fn forms_are_parsed_when_asked_for() {
    let ((), lines) = logged(|| {
        run(async {
            let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n1\r\n");
            let (one, two) = (format!("{}--b--\r\n", part("x")), format!("{}{}--b--\r\n", part("x"), part("y")));
            let endless = "--b\r\nno end";
            for (path, body, expected) in [
                ("/form", &*one, (200, "1".to_owned())),
                ("/form", &two, (400, String::new())),
                ("/form", endless, (400, String::new())),
                ("/", &two, (200, two.len().to_string())),
                ("/", endless, (200, endless.len().to_string())),
            ] {
                let client = client_of(&form_or_length());
                client.send(multipart_to(path, body));
                let response = client.response().await;
                assert_eq!(response.status, expected.0, "{path} {body}");
                if response.status == 200 {
                    assert_eq!(response.text(), expected.1, "{path} {body}");
                } else {
                    client.end().await;
                }
            }
        });
    });
    assert!(alarms(&lines).is_empty(), "{lines:#?}");
}

/// A body comes whole, however it was sent.
#[test]
fn bodies_come_whole() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            request.write_response(StatusCode::OK, &NONE, request.body())
        });
        let client = client_of(&server);
        for length in [0, 1, 1000, 65_536, 1_000_000] {
            let body: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            client.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
            client.send(&body);
            assert_eq!(client.response().await.body, body, "{length}");
            client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(40_000) {
                client.send(format!("{:X}\r\n", chunk.len()));
                client.send([chunk, b"\r\n"].concat());
            }
            client.send("0\r\n\r\n");
            assert_eq!(client.response().await.body, body, "{length} in chunks");
        }
    });
}

/// The forms of a target (RFC 9112, section 3.2).
#[test]
fn targets() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            let text = format!("{} {} {} {}", request.method(), request.host(), request.path(), request.query());
            request.write_response(StatusCode::OK, &NONE, text)
        });
        let client = client_of(&server);
        for (target, expected) in [
            ("GET /a?b=c", "GET x /a b=c"),
            ("GET http://y:1/a?b", "GET y:1 /a b"),
            ("OPTIONS *", "OPTIONS x * "),
            ("get /", "get x / "),
        ] {
            client.send(format!("{target} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(client.response().await.text(), expected, "{target}");
        }
    });
}

/// UnixSocketTest.test_unix_socket, test_unix_socket_bad_request
#[test]
fn unix_sockets() {
    let path = std::env::temp_dir().join(format!("landspout-httpserver-{}", std::process::id()));
    run({
        let path = path.clone();
        async move {
            let server = checking(|request| {
                assert_eq!(request.remote_ip(), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                assert_eq!(request.connection().context().address(), None);
            });
            server.add_socket(bind_unix_socket(&path).unwrap()).unwrap();
            let client = Client::new(IoStream::connect_unix(&path).await.unwrap());
            assert_eq!(client.get("/").await.text(), "checked");
            client.send("garbage\r\n\r\n");
            assert_eq!(client.response().await.status, 400);
            client.end().await;
            until(|| server.connections() == 0).await;
        }
    });
    std::fs::remove_file(path).unwrap();
}

/// What a closure's errors become.
#[test]
fn errors_of_a_closure() {
    let ((), lines) = logged(|| {
        run(async {
            let server = HttpServer::new(async |request: HttpServerRequest| -> Result<(), BoxError> {
                match request.path() {
                    "/input" => Err(HttpInputError::new("no good"))?,
                    "/other" => Err("out of order")?,
                    "/panic" => panic!("this was planned"),
                    "/nothing" => {}
                    "/twice" => {
                        request.write_response(StatusCode::OK, &NONE, "once")?;
                        request.write_response(StatusCode::OK, &NONE, "twice")?;
                    }
                    path => request.write_response(StatusCode::OK, &NONE, path)?,
                }
                Ok(())
            });
            let address = listen(&server);
            for (path, expected) in [
                ("/input", (400, "400 Bad Request\n")),
                ("/other", (500, "500 Internal Server Error\n")),
                ("/panic", (500, "500 Internal Server Error\n")),
                ("/nothing", (500, "500 Internal Server Error\n")),
                ("/twice", (200, "once")),
            ] {
                let client = connect(address);
                client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
                assert_eq!(client.response().await.brief(), expected, "{path}");
                client.end().await;
                assert_eq!(connect(address).get("/alive").await.brief(), (200, "/alive"));
            }
        });
    });
    for text in [
        "bad request from 127.0.0.1: no good",
        "out of order",
        "this was planned",
        "without finishing",
        "finished already",
    ] {
        assert_eq!(lines.iter().filter(|line| line.contains(text)).count(), 1, "{text}: {lines:#?}");
    }
}

/// A closure may return nothing, or any error.
#[test]
fn closures_of_any_result() {
    run(async {
        let answer = |request: &HttpServerRequest| request.write_response(StatusCode::OK, &NONE, "fine");
        let servers = [
            HttpServer::new(async move |request: HttpServerRequest| answer(&request).unwrap()),
            HttpServer::new(async move |request: HttpServerRequest| answer(&request)),
            HttpServer::new(async move |request: HttpServerRequest| {
                answer(&request).map_err(|error| error.to_string())
            }),
            HttpServerOptions::new()
                .callback(async move |request: HttpServerRequest| -> Result<(), BoxError> { Ok(answer(&request)?) }),
        ];
        for server in servers {
            assert_eq!(client_of(&server).get("/").await.text(), "fine");
        }
    });
}

//! What an application may not send: a typed error for it, nothing on the wire, and a good answer still possible.

mod common;

use common::*;
use landspout_httpserver::{
    HttpConnection, HttpHeaders, HttpOutputError, HttpServer, HttpServerRequest, ResponseStartLine, StatusCode,
};

const NONE: HttpHeaders = HttpHeaders::new();

type Misuse = fn(&dyn HttpConnection) -> Result<(), HttpOutputError>;

fn line(code: u16) -> ResponseStartLine {
    ResponseStartLine::new(StatusCode::from_u16(code).unwrap())
}

fn length(bytes: &str) -> HttpHeaders {
    HttpHeaders::try_from_iter([("Content-Length", bytes)]).unwrap()
}

fn invalid_length(bytes: &str) -> HttpOutputError {
    HttpOutputError::InvalidContentLength(bytes.to_owned())
}

fn reserved(name: &str) -> HttpOutputError {
    HttpOutputError::ReservedHeader(name.to_owned())
}

/// Before a head is out: each is refused as a whole.
fn misuses() -> Vec<(Misuse, HttpOutputError)> {
    vec![
        (|to| to.write(b"x"), HttpOutputError::HeadersNotSent),
        (|to| to.finish(), HttpOutputError::HeadersNotSent),
        (|to| to.write_response(&line(204), &NONE, b"x"), HttpOutputError::BodyNotAllowed),
        (|to| to.write_response(&line(205), &NONE, b"x"), HttpOutputError::BodyNotAllowed),
        (|to| to.write_response(&line(304), &NONE, b"x"), HttpOutputError::BodyNotAllowed),
        (|to| to.write_headers(&line(204), &NONE, b"x"), HttpOutputError::BodyNotAllowed),
        (|to| to.write_headers(&line(304), &NONE, b"x"), HttpOutputError::BodyNotAllowed),
        // An interim response has no content, and is no whole response.
        (|to| to.write_headers(&line(103), &NONE, b"x"), HttpOutputError::HeadersNotSent),
        (|to| to.write_response(&line(103), &NONE, b""), HttpOutputError::InvalidStatus(103)),
        (|to| to.write_headers(&line(101), &NONE, b""), HttpOutputError::InvalidStatus(101)),
        (|to| to.write_headers(&line(204), &length("0"), b""), reserved("Content-Length")),
        (
            |to| to.write_headers(&line(200), &length("5"), b"123456"),
            HttpOutputError::BodyTooLong { content_length: 5, attempted: 6 },
        ),
        (
            |to| to.write_response(&line(200), &length("5"), b"123456"),
            HttpOutputError::BodyTooLong { content_length: 5, attempted: 6 },
        ),
        (
            |to| to.write_response(&line(200), &length("5"), b"1234"),
            HttpOutputError::BodyTooShort { content_length: 5, written: 4 },
        ),
        (|to| to.write_headers(&line(200), &length("+5"), b""), invalid_length("+5")),
        (|to| to.write_headers(&line(200), &length("5, 5"), b""), invalid_length("5, 5")),
        (
            |to| to.write_headers(&line(200), &length("99999999999999999999"), b""),
            invalid_length("99999999999999999999"),
        ),
        (
            |to| {
                let twice = HttpHeaders::from_static(&[("Content-Length", "5"), ("content-length", "5")]);
                to.write_headers(&line(200), &twice, b"")
            },
            invalid_length("5"),
        ),
        (
            |to| {
                let chunked = HttpHeaders::from_static(&[("Transfer-Encoding", "chunked")]);
                to.write_headers(&line(200), &chunked, b"")
            },
            reserved("Transfer-Encoding"),
        ),
        (
            |to| {
                let both = HttpHeaders::from_static(&[("transfer-encoding", "identity"), ("Content-Length", "0")]);
                to.write_response(&line(200), &both, b"")
            },
            reserved("Transfer-Encoding"),
        ),
    ]
}

#[test]
fn a_response_that_was_refused_left_nothing_behind() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            let connection = &**request.connection();
            let (misuse, expected) = misuses().swap_remove(request.query().parse().unwrap());
            assert_eq!(misuse(connection), Err(expected));
            request.write_response(StatusCode::OK, &NONE, "and yet")
        });
        let client = client_of(&server);
        for number in 0..misuses().len() {
            assert_eq!(client.get(&format!("/?{number}")).await.brief(), (200, "and yet"), "{number}");
        }
        assert_eq!(server.connections(), 1, "all of them over one connection");
    });
}

/// Names, values and reasons are checked when they are made, so nobody can send one.
#[test]
fn what_splits_a_response_can_not_be_made() {
    for bad in ["a\r\nb", "a\nb", "a\rb", "a\0b", "a\x7fb"] {
        assert!(HttpHeaders::new().add("X", bad).is_err(), "{bad:?}");
        assert!(HttpHeaders::new().set("X", bad).is_err(), "{bad:?}");
        assert!(HttpHeaders::new().add(bad, "x").is_err(), "{bad:?}");
        assert_eq!(line(200).with_reason(bad), Err(HttpOutputError::InvalidReason), "{bad:?}");
    }
    for bad in ["", "a b", "a:b", "a\u{e9}", "(a)"] {
        assert!(HttpHeaders::new().add(bad, "x").is_err(), "{bad:?}");
    }
}

/// Once the head is out, what is wrong is refused, and what is right goes on.
#[test]
fn a_response_that_was_begun_goes_on_behind_a_refusal() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            let connection = &**request.connection();
            connection.write_headers(&line(200), &length("5"), b"12")?;
            assert_eq!(connection.write_headers(&line(200), &NONE, b""), Err(HttpOutputError::HeadersAlreadySent));
            assert_eq!(connection.write_response(&line(500), &NONE, b"x"), Err(HttpOutputError::HeadersAlreadySent));
            let too_long = HttpOutputError::BodyTooLong { content_length: 5, attempted: 6 };
            assert_eq!(connection.write(b"3456"), Err(too_long));
            connection.write(b"345")?;
            connection.finish()?;
            for again in
                [connection.finish(), connection.write(b"x"), connection.write_response(&line(200), &NONE, b"")]
            {
                assert_eq!(again, Err(HttpOutputError::AlreadyFinished));
            }
            Ok::<_, HttpOutputError>(())
        });
        let client = client_of(&server);
        for _ in 0..2 {
            assert_eq!(client.get("/").await.brief(), (200, "12345"));
        }
    });
}

#[test]
fn too_few_bytes_cut_the_connection_and_are_told() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            let connection = request.connection();
            connection.write_headers(&line(200), &length("5"), b"1234")?;
            let too_short = HttpOutputError::BodyTooShort { content_length: 5, written: 4 };
            assert_eq!(connection.finish(), Err(too_short));
            Ok::<_, HttpOutputError>(())
        });
        let client = client_of(&server);
        client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let sent = String::from_utf8(client.cut().await).unwrap();
        assert!(sent.ends_with("\r\n\r\n1234") && sent.matches("HTTP/1.1").count() == 1, "{sent:?}");
    });
}

//! Compressed requests and responses, as options of the server.

mod common;

use common::*;
use landspout_httpserver::{BoxError, HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, StatusCode};

/// Answers with the argument `foo` of a form.
fn form(options: HttpServerOptions) -> HttpServer {
    options.callback(async |request: HttpServerRequest| {
        let text = request.body_arguments()?.get("foo").map(|value| String::from_utf8_lossy(value).into_owned());
        request.write_response(StatusCode::OK, &HttpHeaders::new(), format!("{text:?}"))?;
        Ok::<_, BoxError>(())
    })
}

async fn post(server: &HttpServer, coding: &str, body: &[u8]) -> (u16, String) {
    let client = client_of(server);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n{coding}Content-Length: {}\r\n\r\n",
        body.len()
    );
    client.send([head.as_bytes(), body].concat());
    let response = client.response().await;
    (response.status, response.text().to_owned())
}

fn gzip(content: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Tornado: GzipUnsupportedTest.test_gzip_unsupported, GzipBaseTest.test_uncompressed.
#[test]
fn without_the_option_a_compressed_form_is_refused() {
    run(async {
        let server = form(HttpServerOptions::new());
        assert_eq!(post(&server, "", b"foo=bar").await, (200, "Some(\"bar\")".to_owned()));
        assert_eq!(post(&server, "Content-Encoding: gzip\r\n", &gzip("foo=bar")).await.0, 400);
    });
}

/// Tornado: GzipTest.test_gzip, test_gzip_case_insensitive, GzipBaseTest.test_uncompressed.
#[cfg(feature = "gzip")]
#[test]
fn a_compressed_form_is_a_form() {
    run(async {
        let server = form(HttpServerOptions::new().decompress_request(true).xheaders(true));
        for (coding, body) in [
            ("", b"foo=bar".to_vec()),
            ("Content-Encoding: gzip\r\n", gzip("foo=bar")),
            ("Content-Encoding: GZIP\r\n", gzip("foo=bar")),
            ("Content-Encoding: x-gzip\r\n", gzip("foo=bar")),
        ] {
            assert_eq!(post(&server, coding, &body).await, (200, "Some(\"bar\")".to_owned()), "{coding}");
        }
    });
}

/// Tornado: GzipTest.test_size_limit.
#[cfg(feature = "gzip")]
#[test]
fn a_form_may_not_become_too_large() {
    let ((), lines) = logged(|| {
        run(async {
            let server = form(HttpServerOptions::new().decompress_request(true).max_body_size(100));
            let body = |len: usize| gzip(&format!("foo={}", "a".repeat(len - 4)));
            assert_eq!(post(&server, "Content-Encoding: gzip\r\n", &body(100)).await.0, 200);
            assert_eq!(post(&server, "Content-Encoding: gzip\r\n", &body(101)).await.0, 413);
        });
    });
    assert!(lines.iter().any(|line| line.contains("decompressed body too large")), "{lines:?}");
}

#[cfg(feature = "gzip")]
#[test]
fn responses_are_compressed_for_those_who_ask() {
    run(async {
        const HTML: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/html")]);
        let options = HttpServerOptions::new().compress_response(true).decompress_request(true);
        let server = options.callback(async |request: HttpServerRequest| {
            request.write_response(StatusCode::OK, &HTML, "a".repeat(2000))
        });
        let client = client_of(&server);
        assert_eq!(client.get("/").await.text().len(), 2000);
        client.send("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, deflate, br\r\n\r\n");
        let response = client.response().await;
        assert_eq!(response.field("content-encoding"), Some("gzip"));
        assert!(response.body.starts_with(b"\x1f\x8b") && response.body.len() < 100);
    });
}

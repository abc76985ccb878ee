//! Kept heads change nothing but the cost: what comes out is what would be composed afresh.

use landspout_http1::{RenderedHeads, ResponseEncoder};
use landspout_httputil::{HttpHeaders, HttpOutputError, Method, ResponseStartLine, StatusCode, Version};

const DATES: [&[u8; 29]; 2] = [b"Sun, 06 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 08:49:38 GMT"];
const FIELDS: [HttpHeaders; 6] = [
    HttpHeaders::from_static(&[]),
    HttpHeaders::from_static(&[("Content-Type", "text/plain")]),
    HttpHeaders::from_static(&[("Content-Type", "text/html"), ("Cache-Control", "no-store")]),
    HttpHeaders::from_static(&[("Date", "Thu, 01 Jan 1970 00:00:00 GMT")]),
    HttpHeaders::from_static(&[("Content-Length", "5")]),
    HttpHeaders::from_static(&[("Connection", "close")]),
];
const CODES: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::NOT_FOUND,
    StatusCode::NO_CONTENT,
    StatusCode::NOT_MODIFIED,
    StatusCode::RESET_CONTENT,
    StatusCode::CONTINUE,
];

type Outcome = (Result<(), HttpOutputError>, Vec<u8>, bool, bool);

fn outcome(
    method: &Method,
    version: Version,
    keep_alive: bool,
    respond: impl FnOnce(&mut ResponseEncoder, &mut Vec<u8>) -> Result<(), HttpOutputError>,
) -> Outcome {
    let mut encoder = ResponseEncoder::new(method, version, keep_alive);
    let mut out = b"before".to_vec();
    let result = respond(&mut encoder, &mut out);
    (result, out, encoder.keep_alive(), encoder.is_complete())
}

#[test]
fn a_kept_head_is_the_one_that_would_be_composed() {
    let (mut heads, mut heads_of_large) = (RenderedHeads::new(), RenderedHeads::new());
    let mut responses = 0;
    // Twice, so that every head that is kept is used; bodies whose lengths have one digit and many in between.
    for round in 0..2 {
        for (headers, code) in FIELDS.iter().flat_map(|headers| CODES.map(|code| (headers, code))) {
            for (date, body) in
                DATES.iter().flat_map(|date| ["", "Hello", "Hello", &"x".repeat(70_000)].map(|b| (date, b.to_owned())))
            {
                for (method, version, keep_alive) in [
                    (Method::GET, Version::HTTP_11, true),
                    (Method::GET, Version::HTTP_11, false),
                    (Method::GET, Version::HTTP_10, false),
                    (Method::GET, Version::HTTP_10, true),
                    (Method::HEAD, Version::HTTP_11, true),
                    (Method::CONNECT, Version::HTTP_11, true),
                ] {
                    let line = ResponseStartLine::new(code);
                    let afresh = outcome(&method, version, keep_alive, |encoder, out| {
                        encoder.response(&line, headers, body.as_bytes(), date, out)
                    });
                    let kept = outcome(&method, version, keep_alive, |encoder, out| {
                        heads.set_date(date);
                        encoder.response_with(&mut heads, &line, headers, body.as_bytes(), out)
                    });
                    assert_eq!(
                        kept,
                        afresh,
                        "{round}: {method} {version:?} {keep_alive} {code} {headers:?} {}",
                        body.len()
                    );
                    let in_two = outcome(&method, version, keep_alive, |encoder, out| {
                        heads_of_large.set_date(date);
                        let body = body.as_bytes();
                        if encoder.response_before_body(&mut heads_of_large, &line, headers, body, out)? {
                            out.extend_from_slice(body);
                        }
                        Ok(())
                    });
                    assert_eq!(in_two, afresh, "{round}: {method} {version:?} {keep_alive} {code} {headers:?}");
                    responses += 1;
                }
            }
        }
    }
    assert_eq!(responses, 2 * 6 * 6 * 8 * 6);
}

#[test]
fn a_reason_of_its_own_and_fields_made_at_run_time_are_composed_afresh() {
    let mut heads = RenderedHeads::new();
    let usual = ResponseStartLine::new(StatusCode::OK);
    let own = ResponseStartLine::new(StatusCode::OK).with_reason("Fine").unwrap();
    let mut changed = FIELDS[1].clone();
    changed.set("Content-Type", "text/csv").unwrap();
    let mut head = |line: &ResponseStartLine, headers: &HttpHeaders| {
        let (result, out, ..) = outcome(&Method::GET, Version::HTTP_11, true, |encoder, out| {
            encoder.response_with(&mut heads, line, headers, b"", out)
        });
        result.unwrap();
        String::from_utf8(out).unwrap().lines().take(2).collect::<Vec<_>>().join("|")
    };
    for _ in 0..2 {
        assert_eq!(head(&usual, &FIELDS[1]), "beforeHTTP/1.1 200 OK|Content-Type: text/plain");
        assert_eq!(head(&own, &FIELDS[1]), "beforeHTTP/1.1 200 Fine|Content-Type: text/plain");
        assert_eq!(head(&usual, &changed), "beforeHTTP/1.1 200 OK|Content-Type: text/csv");
    }
}

#[test]
fn a_second_response_is_refused_although_its_head_is_kept() {
    let mut heads = RenderedHeads::new();
    let line = ResponseStartLine::new(StatusCode::OK);
    let mut out = Vec::new();
    for _ in 0..2 {
        let mut encoder = ResponseEncoder::new(&Method::GET, Version::HTTP_11, true);
        encoder.response_with(&mut heads, &line, &FIELDS[1], b"one", &mut out).unwrap();
        let len = out.len();
        let again = encoder.response_with(&mut heads, &line, &FIELDS[1], b"two", &mut out);
        assert_eq!((again, out.len()), (Err(HttpOutputError::AlreadyFinished), len));
    }
}

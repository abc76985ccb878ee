//! What parsing costs: bytes that are looked at, by the parser's own count.

use super::*;

const PART: &str = "--1234\r\nContent-Disposition: form-data; name=a\r\n\r\n";

/// Reads a body in pieces of that size; gives the work for each byte of it, and how much was kept at most.
fn cost(boundary: &[u8], body: &[u8], piece: usize) -> (f64, usize) {
    let config = ParseMultipartConfig { max_parts: usize::MAX, ..ParseMultipartConfig::default() };
    let mut parser = MultipartParser::new(boundary, &config).unwrap();
    let mut kept = 0;
    let body = Bytes::copy_from_slice(body);
    for start in (0..body.len()).step_by(piece) {
        let mut input = body.slice(start..body.len().min(start + piece));
        while let Ok(Some(_)) = parser.next_event(&mut input) {}
        kept = kept.max(parser.held.bytes.len() + parser.head.len());
    }
    (parser.work as f64 / body.len() as f64, kept)
}

#[test]
fn the_cost_is_linear_whatever_comes_and_however_it_is_cut() {
    let long_boundary = "x".repeat(500);
    let long_part = PART.replace("1234", &long_boundary);
    for (boundary, start, repeated) in [
        ("1234", PART, "x"),
        ("1234", PART, "\r"),
        ("1234", PART, "\r\n"),
        ("1234", PART, "\r\n--123"),
        ("1234", PART, "\r\n--1234x"),
        ("1234", PART, "\r\n--1234-"),
        ("1234", PART, "\r\n--1234\r"),
        ("1234", PART, &format!("\r\n--1234{}x", " ".repeat(998))),
        ("1234", "", &format!("{PART}\r\n")),
        ("1234", "", "\r\n--1234x"),
        ("1234", "--1234\r\n", "A: b\r\n"),
        ("1234", "--1234--", "\r\n--1234\r\n"),
        (&long_boundary, &long_part, &format!("\r\n--{}", &long_boundary[1..])),
        (&long_boundary, &long_part, &format!("\r\n--{long_boundary}y")),
    ] {
        for size in [10_000, 100_000] {
            let body = format!("{start}{}", repeated.repeat(size / repeated.len()));
            for piece in [1, 7, 1000, body.len()] {
                let (work, kept) = cost(boundary.as_bytes(), body.as_bytes(), piece);
                assert!(work < 4.0, "{repeated:?} in pieces of {piece}: {work} for each byte of {size}");
                assert!(kept < 12_000, "{repeated:?} in pieces of {piece}: {kept} bytes kept");
            }
        }
    }
}

//! What a pipelined request costs in the codec alone. Count its instructions with
//!
//! ```sh
//! cargo build --release -p landspout-http1 --example count
//! valgrind --tool=callgrind --toggle-collect='*serve_batch*' target/release/examples/count 1000
//! ```
//!
//! and divide by the number of requests that it prints. `count 1000 browser` does it with a browser's request.

use std::hint::black_box;

use landspout_http1::{Event, Limits, RequestDecoder, ResponseEncoder};
use landspout_httputil::{HttpHeaders, ResponseStartLine, StatusCode};

/// What load generators send.
const SMALL: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8888\r\n\r\n";
/// What a browser sends.
const BROWSER: &[u8] = b"GET /news?page=2&sort=date HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n\
    Cache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n\
    Referer: https://www.example.com/news\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; seen=1730000000\r\n\r\n";
const PIPELINED: usize = 16;

fn main() {
    let batches: usize = std::env::args().nth(1).map_or(1000, |n| n.parse().expect("a number of batches"));
    let request = if std::env::args().nth(2).as_deref() == Some("browser") { BROWSER } else { SMALL };
    let input = request.repeat(PIPELINED);
    let mut decoder = RequestDecoder::new(Limits::default());
    let mut out = Vec::new();
    for _ in 0..batches {
        out.clear();
        serve_batch(&mut decoder, &input, &mut out);
    }
    assert!(out.ends_with(b"\r\n\r\nHello, World!"));
    println!("{} requests, {} bytes for the last {PIPELINED}", batches * PIPELINED, out.len());
}

#[inline(never)]
fn serve_batch(decoder: &mut RequestDecoder, mut input: &[u8], out: &mut Vec<u8>) {
    let headers = HttpHeaders::from_static(&[("Content-Type", "text/plain; charset=utf-8")]);
    // As if they came from elsewhere, as they do in a server.
    let (headers, body, date) = black_box((&headers, &b"Hello, World!"[..], b"Sun, 06 Nov 1994 08:49:37 GMT"));
    while !input.is_empty() {
        let decoded = decoder.decode(input).expect("a good request");
        input = &input[decoded.consumed..];
        let Some(Event::Head(head)) = decoded.event else { unreachable!("a whole head") };
        let mut encoder = ResponseEncoder::for_request(&head);
        let start_line = ResponseStartLine::new(StatusCode::OK);
        encoder.response(&start_line, headers, body, date, out).expect("a good response");
        drop(head);
        assert!(decoder.start_next());
    }
}

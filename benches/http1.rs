//! What the codec costs: heads read and written, bodies in chunks both ways.

mod parts;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use landspout::http1::{
    Event, Limits, RenderedHeads, RequestDecoder, RequestEncoder, ResponseDecoder, ResponseEncoder,
};
use landspout::httputil::{HttpHeaders, Method, RequestStartLine, ResponseStartLine, StatusCode, Version};

fn main() {
    parts::run(&[head_parse, head_encode, chunked_decode, chunked_encode]);
}

const SHORT: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8888\r\n\r\n";
/// What a browser sends: 12 fields, about 700 bytes.
const BROWSER: &[u8] = b"GET /news?page=2&sort=date HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\
    Referer: https://www.example.com/news\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; seen=1730000000\r\n\r\n";
const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
const BODY: &[u8] = b"Hello, World!";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Length: 0\r\n\r\n";

/// Of a GET: without a body, its head is all.
fn head_parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head parse");
    for (name, request) in [("short", SHORT), ("browser", BROWSER)] {
        group.throughput(Throughput::Bytes(request.len() as u64));
        group.bench_function(name, |bencher| {
            let mut decoder = RequestDecoder::new(Limits::default());
            bencher.iter(|| {
                let decoded = decoder.decode(black_box(request)).expect("a good request");
                assert_eq!(decoded.consumed, request.len());
                // The head's memory goes back before the next one.
                drop(black_box(decoded));
                assert!(decoder.start_next());
            });
        });
        // The long way: the first half shows that something is missing.
        group.bench_function(BenchmarkId::new(name, "in two pieces"), |bencher| {
            let mut decoder = RequestDecoder::new(Limits::default());
            bencher.iter(|| {
                let decoded = decoder.decode(black_box(&request[..request.len() / 2])).expect("half of a good request");
                assert!(decoded.event.is_none());
                let rest = &request[decoded.consumed..];
                drop(black_box(decoder.decode(black_box(rest)).expect("a good request")));
                assert!(decoder.start_next());
            });
        });
    }
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    group.bench_function("a response's", |bencher| {
        let mut decoder = ResponseDecoder::new(Limits::default());
        bencher.iter(|| {
            assert!(decoder.expect(&Method::GET, false));
            drop(black_box(decoder.decode(black_box(RESPONSE)).expect("a good response")));
            while !decoder.is_complete() {
                drop(black_box(decoder.decode(b"").expect("its end")));
            }
        });
    });
    group.finish();
}

fn head_encode(criterion: &mut Criterion) {
    const CONSTANT: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
    let ok = ResponseStartLine::new(StatusCode::OK);
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("head encode");
    group.bench_function("constant fields, kept rendered", |bencher| {
        let mut heads = RenderedHeads::new();
        bencher.iter(|| {
            out.clear();
            let mut encoder = ResponseEncoder::new(&Method::GET, Version::HTTP_11, true);
            let written = encoder.response_with(&mut heads, &ok, black_box(&CONSTANT), BODY, &mut out);
            written.expect("a good response");
            black_box(&out);
        });
    });
    for (name, fields) in [("1 field", 1), ("12 fields", 12)] {
        let headers = made(fields);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let mut encoder = ResponseEncoder::new(&Method::GET, Version::HTTP_11, true);
                encoder.response(&ok, black_box(&headers), BODY, DATE, &mut out).expect("a good response");
                black_box(&out);
            });
        });
    }
    let headers = HttpHeaders::try_from_iter([("Host", "www.example.com"), ("Accept", "*/*")]).expect("good fields");
    group.bench_function("a request's", |bencher| {
        bencher.iter(|| {
            out.clear();
            let line = RequestStartLine::new(Method::GET, "/news?page=2&sort=date", Version::HTTP_11);
            RequestEncoder::new().request(&line, black_box(&headers), b"", &mut out).expect("a good request");
            black_box(&out);
        });
    });
    group.finish();
}

/// Fields that were made at run time.
fn made(count: usize) -> HttpHeaders {
    let fields = (0..count).map(|i| (format!("X-Field-{i}"), format!("value number {i}")));
    HttpHeaders::try_from_iter(fields).expect("good fields")
}

const BODY_SIZE: usize = 1 << 20;
const CHUNKS: [usize; 3] = [100, 4 << 10, 64 << 10];
/// What a stream hands to the decoder at a time.
const READ: usize = 64 << 10;

/// A body of 1 MiB in chunks of several sizes, which arrives 64 KiB at a time.
fn chunked_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked decode");
    group.throughput(Throughput::Bytes(BODY_SIZE as u64));
    for size in CHUNKS {
        let input = upload(size);
        group.bench_function(BenchmarkId::new("chunks of", size), |bencher| {
            let mut decoder = RequestDecoder::new(Limits::default());
            bencher.iter(|| {
                assert_eq!(body_bytes(&mut decoder, black_box(&input)), BODY_SIZE);
                assert!(decoder.start_next());
            });
        });
    }
    group.finish();
}

/// Decodes one message; how many bytes its body has.
fn body_bytes(decoder: &mut RequestDecoder, input: &[u8]) -> usize {
    let (mut done, mut arrived, mut total) = (0, 0, 0);
    loop {
        let decoded = decoder.decode(&input[done..arrived]).expect("a good request");
        done += decoded.consumed;
        match decoded.event {
            None => {
                assert!(arrived < input.len(), "the message has an end");
                arrived = input.len().min(arrived + READ);
            }
            Some(Event::Data(range)) => total += range.len(),
            Some(Event::End) => return total,
            Some(_) => {}
        }
    }
}

/// A request with a body of 1 MiB in such chunks.
fn upload(chunk: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = RequestEncoder::new();
    let line = RequestStartLine::new(Method::POST, "/upload", Version::HTTP_11);
    encoder.head(&line, &HttpHeaders::from_static(&[("Host", "a")]), &mut out).expect("a good head");
    for piece in vec![b'.'; BODY_SIZE].chunks(chunk) {
        encoder.data(piece).expect("a piece").append_to(&mut out);
    }
    encoder.finish(&mut out).expect("the end");
    out
}

/// The same on its way out: framed, and copied behind each other as into a stream's buffer.
fn chunked_encode(criterion: &mut Criterion) {
    let body = vec![b'.'; BODY_SIZE];
    let headers = HttpHeaders::from_static(&[("Content-Type", "application/octet-stream")]);
    let ok = ResponseStartLine::new(StatusCode::OK);
    let mut group = criterion.benchmark_group("chunked encode");
    group.throughput(Throughput::Bytes(BODY_SIZE as u64));
    for size in CHUNKS {
        group.bench_function(BenchmarkId::new("chunks of", size), |bencher| {
            let mut out = Vec::new();
            bencher.iter(|| {
                out.clear();
                let mut encoder = ResponseEncoder::new(&Method::GET, Version::HTTP_11, true);
                encoder.head(&ok, &headers, DATE, &mut out).expect("a good head");
                for piece in black_box(&body).chunks(size) {
                    encoder.data(piece).expect("a piece").append_to(&mut out);
                }
                encoder.finish(&mut out).expect("the end");
                black_box(&out);
            });
        });
    }
    group.finish();
}

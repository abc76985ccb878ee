//! What headers cost: looking up a field, going through all, making them.

mod parts;

use std::hint::black_box;

use criterion::Criterion;
use landspout::httputil::HttpHeaders;

fn main() {
    parts::run(&[lookup, make]);
}

/// Those of a browser.
const FIELDS: [(&str, &str); 12] = [
    ("Host", "www.example.com"),
    ("Connection", "keep-alive"),
    ("Upgrade-Insecure-Requests", "1"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    ),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Referer", "https://www.example.com/news"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    ("Cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; seen=1730000000"),
];

fn lookup(criterion: &mut Criterion) {
    let headers = HttpHeaders::try_from_iter(FIELDS).expect("good fields");
    let mut group = criterion.benchmark_group("header lookup");
    let cases = [
        ("the first", "Host", true),
        ("the last", "Cookie", true),
        ("the last, in lower case", "cookie", true),
        ("one that isn't there", "Authorization", false),
    ];
    for (name, field, there) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(black_box(&headers).get(black_box(field)).is_some(), there));
        });
    }
    group.bench_function("all of one name", |bencher| {
        bencher.iter(|| assert_eq!(black_box(&headers).get_list(black_box("Accept-Encoding")).count(), 1));
    });
    group.bench_function("all, one after the other", |bencher| {
        bencher.iter(|| black_box(&headers).iter().map(|(name, value)| name.len() + value.len()).sum::<usize>());
    });
    group.finish();
}

fn make(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header make");
    group.bench_function("3 fields", |bencher| {
        bencher.iter(|| {
            let mut headers = HttpHeaders::new();
            for (name, value) in [("Content-Type", "text/html"), ("ETag", "\"1234\""), ("Cache-Control", "no-cache")] {
                headers.add(black_box(name), black_box(value)).expect("a good field");
            }
            headers
        });
    });
    group.finish();
}

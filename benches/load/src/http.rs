//! The kinds of load over HTTP: what is asked, and on how many connections.

use crate::Error;
use crate::connections::{self, Plan};
use crate::options::{Headers, Options};
use crate::window::{Totals, Window};

const HELLO: u64 = 13;
const POSTED: usize = 16 * 1024;
const CHUNK: usize = 4 * 1024;
const STREAMED: u64 = 1 << 30;

/// What a browser of our days sends: 12 fields, 700 bytes.
const BROWSER: &str = "Host: localhost:8888\r
Connection: keep-alive\r
Cache-Control: max-age=0\r
Upgrade-Insecure-Requests: 1\r
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r
Sec-Fetch-Site: none\r
Sec-Fetch-Mode: navigate\r
Sec-Fetch-Dest: document\r
Accept-Encoding: gzip, deflate, br, zstd\r
Accept-Language: en-US,en;q=0.9,de;q=0.8\r
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=2024-11-21T00:00:00Z; visited=1; basket=a1b2c3d4e5f67890a; _ga=GA1.1.1234567890.1234567890\r
";

pub(crate) fn keepalive(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    connections::drive(options, &Plan { expected: Some(HELLO), ..Plan::new(get(options)) }, window)
}

pub(crate) fn pipelined(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let request = get(options).repeat(options.batch);
    connections::drive(
        options,
        &Plan { batch: options.batch as u64, expected: Some(HELLO), ..Plan::new(request) },
        window,
    )
}

pub(crate) fn churn(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let mut request = get(options);
    request.truncate(request.len() - 2);
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    connections::drive(
        options,
        &Plan { closes: Some(options.closer), expected: Some(HELLO), ..Plan::new(request) },
        window,
    )
}

pub(crate) fn post(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let mut request = post_head(&format!("Content-Length: {POSTED}"));
    request.resize(request.len() + POSTED, b'x');
    connections::drive(options, &Plan { expected: Some(POSTED as u64), ..Plan::new(request) }, window)
}

pub(crate) fn post_chunked(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let mut request = post_head("Transfer-Encoding: chunked");
    for _ in 0..POSTED / CHUNK {
        request.extend_from_slice(format!("{CHUNK:x}\r\n").as_bytes());
        request.resize(request.len() + CHUNK, b'x');
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    connections::drive(options, &Plan { expected: Some(POSTED as u64), ..Plan::new(request) }, window)
}

pub(crate) fn stream(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let request = format!("GET /stream/{STREAMED} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
    let plan = Plan { connections: 1, discards: true, expected: Some(STREAMED), ..Plan::new(request) };
    connections::drive(options, &plan, window)
}

pub(crate) fn get(options: &Options) -> Vec<u8> {
    let fields = match options.headers {
        Headers::Short => "Host: localhost\r\n",
        Headers::Browser => BROWSER,
    };
    format!("GET / HTTP/1.1\r\n{fields}\r\n").into_bytes()
}

fn post_head(framing: &str) -> Vec<u8> {
    format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_sends_12_fields_and_700_bytes() {
        let options = Options { headers: Headers::Browser, ..Options::parse(&[]).unwrap() };
        assert_eq!(BROWSER.lines().count(), 12);
        assert_eq!(get(&options).len(), 700);
    }
}

//! Heads with the date of this second.

use std::time::{SystemTime, UNIX_EPOCH};

use peer_support::HELLO;

#[derive(Default)]
pub(crate) struct Answers {
    second: u64,
    hello: Vec<u8>,
    /// From `Date` to the length of a binary body, which is missing.
    binary: Vec<u8>,
}

impl Answers {
    /// Once for all that came at once.
    pub(crate) fn refresh(&mut self) {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second == self.second {
            return;
        }
        self.second = second;
        let date = httpdate::fmt_http_date(now);
        let length = HELLO.len();
        self.hello = format!(
            "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{HELLO}"
        )
        .into();
        self.binary =
            format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: application/octet-stream\r\nContent-Length: ")
                .into();
    }

    pub(crate) fn hello(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.hello);
    }

    /// The head of an answer with so many bytes.
    pub(crate) fn binary(&self, length: u64, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.binary);
        output.extend_from_slice(format!("{length}\r\n\r\n").as_bytes());
    }
}

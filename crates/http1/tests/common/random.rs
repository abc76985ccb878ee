//! Random numbers, and random faults in messages: the same ones in every run with the same seed.
//!
//! The conformance tests of the workbench use it too.
#![allow(dead_code, unreachable_pub, reason = "each test is a program of its own and uses a part of this")]

/// What is worth putting anywhere into a request.
pub const REQUEST_SPLICES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"#",
    b"%",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"0",
    b"5",
    b"f",
    b"-",
    b"+",
    b"_",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"chunked",
    b", chunked",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length : 7\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Host: b\r\n",
    b"Expect: 100-continue\r\n",
    b" HTTP/1.1",
    b" HTTP/1.0",
    b"POST",
    b"HEAD",
    b"99999999999999999999",
    b";a=b",
    b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"Expect: x\r\n",
    b"GET / HTTP/1.1\r\n",
];

/// An endless number of them.
pub struct Random(pub u64);

impl Random {
    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A message of the corpus with so many faults: bytes that are changed, lost or repeated, the rest of another message, or one of
    /// the splices. Never empty.
    pub fn faulty(&mut self, corpus: &[impl AsRef<[u8]>], splices: &[&[u8]], faults: usize) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].as_ref().to_vec();
        for _ in 0..faults {
            let at = self.below(input.len() + 1);
            match self.below(6) {
                0 if at < input.len() => input[at] = self.below(256) as u8,
                1 if at < input.len() => drop(input.remove(at)),
                2 => {
                    let end = (at + 1 + self.below(20)).min(input.len());
                    let piece = input[at..end].to_vec();
                    input.splice(at..at, piece);
                }
                3 => {
                    let other = corpus[self.below(corpus.len())].as_ref();
                    let from = self.below(other.len());
                    input.splice(at.., other[from..].iter().copied());
                }
                _ => drop(input.splice(at..at, self.pick(splices).iter().copied())),
            }
        }
        if input.is_empty() {
            input.push(b'G');
        }
        input
    }
}

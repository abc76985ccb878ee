//! Random mutations of inputs, the same ones in every run with the same seed.

/// What is worth putting anywhere.
const SPLICES: &[&[u8]] = &[
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
];

/// An endless number of them.
pub(crate) struct Mutations<'a> {
    corpus: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutations<'a> {
    pub(crate) fn new(corpus: &'a [Vec<u8>], seed: u64) -> Self {
        Self { corpus, state: seed }
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.corpus[self.below(self.corpus.len())].clone();
        for _ in 0..1 + self.below(3) {
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
                    let other = self.below(self.corpus.len());
                    let from = self.below(self.corpus[other].len());
                    input.splice(at.., self.corpus[other][from..].iter().copied());
                }
                _ => {
                    let splice = SPLICES[self.below(SPLICES.len())];
                    input.splice(at..at, splice.iter().copied());
                }
            }
        }
        input
    }

    /// Below `n`, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % n as u64) as usize
    }
}

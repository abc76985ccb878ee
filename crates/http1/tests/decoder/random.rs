//! Messages with random faults, cut at random: the cuts must change nothing, and nothing may panic. The seeds are fixed;
//! `LANDSPOUT_ROUNDS` sets the number of messages, see `cargo xtask fuzz`.

use landspout_http1::Limits;

use crate::common::{REQUEST_SPLICES, Random};
use crate::harness::run;

const CORPUS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"GET /a?b=c HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"\r\nPOST /echo HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\nhello world",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\\\"\";c\r\nhello\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PUT http://a:1/x HTTP/1.1\r\nHost: b\r\nContent-Length: 2, 2\r\nContent-Length: 2\r\n\r\nhi\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /odd HTTP/1.1\r\nHost: a\r\nA:  b\r\nC: d \r\nE: f\tg\r\nH:\ti\r\nJ: \r\nK:\r\nL: \xe9\xa0\x85\r\n\r\n",
    b"GET /many HTTP/1.1\r\nHost: a\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\nf: 6\r\ng: 7\r\nh: 8\r\ni: 9\r\nj: 10\r\nk: 11\r\nl: 12\r\nm: 13\r\nn: 14\r\no: 15\r\np: 16\r\nq: 17\r\nr: 18\r\ns: 19\r\nt: 20\r\nu: 21\r\nv: 22\r\nw: 23\r\nx: 24\r\ny: 25\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nGET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"POST / HTTP/1.2\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTE: trailers\r\nCookie: a=b; c=d\r\n\r\nA\r\n0123456789\r\n1\r\nx\r\n00\r\n\r\n",
];

fn mutate(random: &mut Random) -> Vec<u8> {
    let faults = random.below(4);
    let mut input = random.faulty(CORPUS, REQUEST_SPLICES, faults);
    if random.below(6) == 0 {
        input.truncate(1 + random.below(input.len()));
    }
    input
}

#[test]
fn cuts_change_nothing() {
    let small = Limits {
        max_header_size: 120,
        max_start_line: 24,
        max_header_line: 32,
        max_headers: 4,
        max_body_size: 12,
        max_chunk_line: 12,
        max_chunk_extensions: 14,
        max_trailer_size: 24,
    };
    let mut random = Random(0x6C61_6E64_7370_6F75);
    let (mut good, mut bad) = (0, 0);
    let rounds = std::env::var("LANDSPOUT_ROUNDS").map_or(20_000, |rounds| rounds.parse().expect("a number"));
    for round in 0..rounds {
        let input = mutate(&mut random);
        let limits = if round % 4 == 0 { small.clone() } else { Limits::default() };
        let whole = run(&limits, &[&input]);
        if whole.lines.last().is_some_and(|line| line.starts_with('!')) {
            bad += 1
        } else {
            good += 1
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(run(&limits, &bytes), whole, "byte by byte: {}", input.escape_ascii());
        for _ in 0..2 {
            let mut pieces = Vec::new();
            let mut rest = &input[..];
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(1 + random.below(rest.len()));
                pieces.push(piece);
                rest = more;
            }
            assert_eq!(run(&limits, &pieces), whole, "in pieces: {}", input.escape_ascii());
        }
    }
    // The faults must neither be all nor none.
    assert!(good > 2_000 && bad > 2_000, "{good} good, {bad} bad");
}

#[test]
fn noise_is_harmless() {
    let mut random = Random(0x7274_6963_6C65_5F31);
    for _ in 0..5_000 {
        let len = random.below(80);
        // Mostly from a small alphabet, so that lines and sizes come about by chance.
        let input: Vec<u8> = (0..len)
            .map(|_| match random.below(8) {
                0 => random.below(256) as u8,
                _ => b"\r\n\r\n  :;0aG/TH1.,=\"\t"[random.below(19)],
            })
            .collect();
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(run(&Limits::default(), &bytes), run(&Limits::default(), &[&input]), "{}", input.escape_ascii());
    }
}

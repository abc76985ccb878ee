//! Reads up to a match: what is returned, when, within which limit, and that no cut of the bytes changes it.
#![cfg(feature = "regex")]

#[macro_use]
mod common;

use std::io;
use std::pin::pin;

use common::*;
use landspout_iostream::{CloseCause, IoStream, Regex, StreamError, StreamOptions};

over_each_transport! {
    read_until_regex,
    a_match_that_comes_in_pieces,
    read_until_regex_max_bytes,
    read_until_regex_max_bytes_inline,
    read_until_regex_max_bytes_ignores_extra,
    the_byte_past_the_limit_may_settle_it,
    a_match_that_may_grow_waits_for_what_follows,
    a_clean_end_settles_what_may_grow,
    a_match_that_cannot_come_any_more_is_not_waited_for,
    what_follows_the_match_is_left,
    dropped_reads_lose_nothing,
    a_long_read_in_small_pieces,
    one_read_at_a_time,
    no_cut_changes_what_is_read,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

fn unsatisfiable<T>(max_bytes: usize) -> Result<T, StreamError> {
    Err(StreamError::Closed(Some(CloseCause::UnsatisfiableRead { max_bytes })))
}

/// The peer has sent `data`, and it sits in the reader's buffer.
async fn buffered(to: &IoStream, from: &IoStream, data: &[u8]) {
    from.write(data).unwrap().await.unwrap();
    let mut read = Box::pin(to.read_bytes(data.len() + 1));
    while to.with_buffered(|bytes| bytes != data) {
        assert!(poll_once(read.as_mut()).await.is_none());
        next_turn().await;
    }
}

async fn read_until_regex(over: Over) {
    let (from, to) = over.pair().await;
    let (blank_line, number) = (regex(r"\r?\n\r?\n"), regex(r"\b[0-9]+\b"));
    from.write(b"one: 1\ntwo: 2\r\n\nfor 12 apples").unwrap();
    assert_eq!(to.read_until_regex(&blank_line, None).await.unwrap(), "one: 1\ntwo: 2\r\n\n");
    assert_eq!(to.read_until_regex(&number, None).await.unwrap(), "for 12");
    assert_eq!(to.read_until_regex(&regex("(?i)P{2}"), None).await.unwrap(), " app");
    assert_eq!(to.read_until_regex(&regex(""), None).await.unwrap(), "", "it is there at once");
    assert_eq!(to.read_until_regex(&regex("^le"), Some(2)).await.unwrap(), "le", "read is from here");
    from.write(b"\xff\x00\xfe").unwrap();
    assert_eq!(to.read_until_regex(&regex(r"[\xfe\x00]"), None).await.unwrap(), &b"s\xff\x00"[..]);
}

async fn a_match_that_comes_in_pieces(over: Over) {
    let (from, to) = over.pair().await;
    let blank_line = regex(r"\r?\n\r?\n");
    let mut read = pin!(to.read_until_regex(&blank_line, None));
    for piece in ["a line\r", "\n", "another\r\n", "\r", "\r\n\r"] {
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(piece.as_bytes()).unwrap().await.unwrap();
        turns(3).await;
    }
    assert!(poll_once(read.as_mut()).await.is_none());
    from.write(b"\nrest").unwrap();
    assert_eq!(read.await.unwrap(), "a line\r\nanother\r\n\r\r\n\r\n");
    assert_eq!(to.read_bytes(4).await.unwrap(), "rest");
}

/// Tornado: TestReadWriteMixin.test_read_until_regex_max_bytes.
async fn read_until_regex_max_bytes(over: Over) {
    let (from, to) = over.pair().await;
    let def = regex("def");
    from.write(b"abcdef").unwrap();
    assert_eq!(to.read_until_regex(&def, Some(50)).await.unwrap(), "abcdef", "far below the limit");
    from.write(b"abcdef").unwrap();
    assert_eq!(to.read_until_regex(&def, Some(6)).await.unwrap(), "abcdef", "exactly at the limit");
    let closed = Trace::default();
    to.set_close_callback(closed.callback("closed"));
    let mut read = pin!(to.read_until_regex(&def, Some(5)));
    assert!(poll_once(read.as_mut()).await.is_none());
    from.write(b"12345").unwrap();
    turns(3).await;
    assert!(poll_once(read.as_mut()).await.is_none(), "so far, anything may come");
    from.write(b"6").unwrap();
    assert_eq!(read.await, unsatisfiable(5));
    assert!(to.closed());
    next_turn().await;
    assert_eq!(closed.take(), ["closed"]);
}

/// Tornado: TestReadWriteMixin.test_read_until_regex_max_bytes_inline. The data is there before the read.
async fn read_until_regex_max_bytes_inline(over: Over) {
    let (from, to) = over.pair().await;
    buffered(&to, &from, b"123456").await;
    assert_eq!(to.read_until_regex(&regex("def"), Some(5)).await, unsatisfiable(5));
}

/// Tornado: TestReadWriteMixin.test_read_until_regex_max_bytes_ignores_extra. The match is there, but ends past the limit.
async fn read_until_regex_max_bytes_ignores_extra(over: Over) {
    for (limit, expected) in [(5, unsatisfiable(5)), (6, Ok("abcdef".into()))] {
        let (from, to) = over.pair().await;
        buffered(&to, &from, b"abcdefgh").await;
        assert_eq!(to.read_until_regex(&regex("def"), Some(limit)).await, expected);
    }
}

async fn the_byte_past_the_limit_may_settle_it(over: Over) {
    for (limit, expected) in [(4, unsatisfiable(4)), (5, Ok("12345".into())), (6, Ok("12345".into()))] {
        let (from, to) = over.pair().await;
        from.write(b"12345 6789").unwrap();
        assert_eq!(to.read_until_regex(&regex("[0-9]+"), Some(limit)).await, expected, "{limit}");
    }
}

async fn a_match_that_may_grow_waits_for_what_follows(over: Over) {
    let (from, to) = over.pair().await;
    let (greedy, lazy) = (regex("login: *"), regex("login: *?"));
    from.write(b"login:login: ").unwrap().await.unwrap();
    assert_eq!(to.read_until_regex(&lazy, None).await.unwrap(), "login:");
    let mut read = pin!(to.read_until_regex(&greedy, None));
    for _ in 0..3 {
        assert!(poll_once(read.as_mut()).await.is_none());
        turns(3).await;
        from.write(b" ").unwrap();
    }
    from.write(b"x").unwrap();
    assert_eq!(read.await.unwrap(), "login:    ");
}

async fn a_clean_end_settles_what_may_grow(over: Over) {
    let (from, to) = over.pair().await;
    let (digits, line_ends) = (regex("[0-9]+"), regex(r"(?s).*\n"));
    from.write(b"a\nb\nc1234").unwrap();
    from.close_when_flushed();
    drop(from);
    assert_eq!(to.read_until_regex(&line_ends, None).await.unwrap(), "a\nb\n");
    assert_eq!(to.read_until_regex(&regex("[0-9]+?"), None).await.unwrap(), "c1", "also from a closed stream");
    assert_eq!(to.read_until_regex(&digits, None).await.unwrap(), "234");
    assert_closed_cleanly(&to.read_until_regex(&digits, None).await);
    assert_eq!(to.read_until_regex(&regex("x?$"), None).await.unwrap(), "");
}

async fn a_match_that_cannot_come_any_more_is_not_waited_for(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"220 ready\r\nhello").unwrap();
    let reply = regex(r"^[0-9]{3} [^\n]*\n");
    assert_eq!(to.read_until_regex(&reply, Some(100)).await.unwrap(), "220 ready\r\n");
    assert_eq!(to.read_until_regex(&reply, Some(100)).await, unsatisfiable(1), "no digit, and no other byte helps");
}

async fn what_follows_the_match_is_left(over: Over) {
    let (from, to) = over.pair().await;
    from.write(b"aab").unwrap();
    assert_eq!(to.read_until_regex(&regex("a+"), None).await.unwrap(), "aa", "the b was needed to tell");
    assert_eq!(to.read_bytes(1).await.unwrap(), "b");
}

async fn dropped_reads_lose_nothing(over: Over) {
    let (from, to) = over.pair().await;
    let line = regex(r"\r\n");
    for piece in ["ab", "c\r", "\nd"] {
        let mut read = pin!(to.read_until_regex(&line, None));
        assert!(poll_once(read.as_mut()).await.is_none());
        from.write(piece.as_bytes()).unwrap().await.unwrap();
        turns(3).await;
        if !piece.starts_with('\n') {
            assert!(poll_once(read.as_mut()).await.is_none());
        }
    }
    assert_eq!(to.read_until_regex(&line, None).await.unwrap(), "abc\r\n");
    assert_eq!(to.read_bytes(1).await.unwrap(), "d");
}

async fn a_long_read_in_small_pieces(over: Over) {
    let (from, to) = over.pair().await;
    let written = spawn(async move {
        for _ in 0..4096 {
            from.write(&[b'A'; 256]).unwrap().await.unwrap();
        }
        from.write(b"\r\n").unwrap().await.unwrap();
    });
    let read = to.read_until_regex(&regex(r"\r?\n"), None).await.unwrap();
    assert_eq!(read.len(), 4096 * 256 + 2);
    written.await.unwrap();
}

async fn one_read_at_a_time(over: Over) {
    let (from, to) = over.pair().await;
    let digit = regex("[0-9]");
    {
        let mut read = pin!(to.read_until_regex(&digit, None));
        assert!(poll_once(read.as_mut()).await.is_none());
        assert!(to.reading());
        assert_eq!(to.read_until_regex(&digit, None).await, Err(StreamError::AlreadyReading));
        assert_eq!(to.read_bytes(1).await, Err(StreamError::AlreadyReading));
    }
    from.write(b"1").unwrap();
    assert_eq!(to.read_until_regex(&digit, None).await.unwrap(), "1");
}

/// One after the other until the stream ends, in pieces of random sizes, beside a search in the whole text.
async fn no_cut_changes_what_is_read(over: Over) {
    const PATTERNS: [&str; 9] = ["a+", "ab?", "ab|a", r"b*\n", r"\r?\n", r"[^\n]*\n", "(ab)+", r"(?m)a$", r"b(a|\n)??"];
    for seed in 0..60 {
        let mut rng = Random::new(seed);
        let pattern = PATTERNS[seed as usize % PATTERNS.len()];
        let (ours, theirs) = (regex(pattern), regex::bytes::Regex::new(pattern).unwrap());
        let text: Vec<u8> = (0..rng.below(400)).map(|_| b"ab\r\n"[rng.below(4)]).collect();
        let (from, to) =
            over.pair_with(StreamOptions::new(), StreamOptions::new().read_chunk_size(1 + rng.below(20))).await;
        let writing = spawn({
            let text = text.clone();
            async move {
                let mut rest = &text[..];
                while !rest.is_empty() {
                    let (piece, more) = rest.split_at((1 + rng.below(30)).min(rest.len()));
                    from.write(piece).unwrap();
                    rest = more;
                    turns(rng.below(3)).await;
                }
                from.close_when_flushed();
            }
        });
        let mut rest = &text[..];
        while let Some(found) = theirs.find(rest) {
            let (expected, more) = rest.split_at(found.end());
            assert_eq!(to.read_until_regex(&ours, None).await.unwrap(), expected, "{pattern:?}, seed {seed}");
            rest = more;
        }
        assert_closed_cleanly(&to.read_until_regex(&ours, None).await);
        assert_eq!(to.read_until_close().await.unwrap(), rest);
        writing.await.unwrap();
    }
}

/// More may have been on its way, so a match that could have grown is none; one that was certain is.
#[test]
fn a_reset_settles_nothing() {
    run(async {
        let simulated::Simulated { first, second, there, .. } =
            simulated::wired(simulated::CAPACITY, StreamOptions::new(), StreamOptions::new());
        first.write(b"12.34").unwrap().await.unwrap();
        there.fail_reads(io::ErrorKind::ConnectionReset);
        let (digits, point) = (regex("[0-9]+$|[0-9]{4}"), regex(r"\."));
        assert_closed_by(&second.read_until_regex(&digits, None).await, io::ErrorKind::ConnectionReset);
        assert_eq!(second.read_until_regex(&point, None).await.unwrap(), "12.");
        assert_closed_by(&second.read_until_regex(&regex("[0-9]+"), None).await, io::ErrorKind::ConnectionReset);
        assert_eq!(second.read_until_close().await.unwrap(), "34");
    });
}

#[test]
fn an_unsatisfiable_read_is_one_line_in_the_log() {
    let ((), lines) = logged(|| {
        run(async {
            let (from, to) = Over::Unix.pair().await;
            from.write(b"123456").unwrap();
            to.read_until_regex(&regex("def"), Some(5)).await.unwrap_err();
        });
    });
    assert!(matches!(&lines[..], [line] if line.starts_with("INFO unsatisfiable read")), "{lines:?}");
}

#[test]
fn a_pattern_is_shared_by_threads_and_streams() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let line = regex(r"\r?\n");
    shared(&line);
    assert_eq!((line.as_str(), format!("{line:?}").as_str()), (r"\r?\n", r#"Regex("\\r?\\n")"#));
}

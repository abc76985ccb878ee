//! Random sequences of calls, the same in each run, against a model that is no more than the text that was written and
//! how far it was read. Reads are dropped at random points, writes are refused, forgotten or awaited in any order.

#[macro_use]
mod common;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;

use common::*;
use landspout_iostream::{CloseCause, IoStream, ReadTarget, StreamError, StreamOptions, Written};

over_each_transport!(random_sequences);

async fn random_sequences(over: Over) {
    for seed in 0..sequences() {
        let mut rng = Random::new(seed);
        let (first, second) = over.pair_with(options(&mut rng), options(&mut rng)).await;
        // Without it, most of the time of a conversation over TCP would be spent waiting for the kernel's timers.
        first.set_nodelay(true).unwrap();
        second.set_nodelay(true).unwrap();
        if over.both_ways() && rng.one_in(2) {
            both_ways(first, second, &mut rng).await;
        } else {
            one_way(first, second, &mut rng).await;
        }
    }
}

/// The peer is a thread with a blocking descriptor: bytes come at any point, not only between turns.
async fn random_sequences_from_outside(over: Over) {
    for seed in 0..sequences() / 20 {
        let mut rng = Random::new(seed + 1_000_000);
        let text = Text::new(&mut rng);
        let bytes = text.bytes.clone().to_vec();
        let (to, writer) = match over {
            Over::Tcp => {
                let (one, other) = tcp_sockets();
                (IoStream::from_tcp(one, options(&mut rng)).unwrap(), std::os::fd::OwnedFd::from(other))
            }
            Over::Unix => {
                let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
                (IoStream::from_unix(one, options(&mut rng)).unwrap(), other.into())
            }
            Over::Pipe => {
                let (reader, writer) = os_pipe();
                (IoStream::from_pipe(reader, options(&mut rng)).unwrap(), writer)
            }
            _ => unreachable!("no plain descriptor is the other end of {over:?}"),
        };
        let thread = std::thread::spawn(move || {
            let mut rng = Random::new(seed);
            let mut file = std::fs::File::from(writer);
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, more) = rest.split_at((1 + rng.below(2000)).min(rest.len()));
                std::io::Write::write_all(&mut file, piece)?;
                rest = more;
                if rng.one_in(4) {
                    std::thread::yield_now();
                }
            }
            Ok::<_, std::io::Error>(())
        });
        let mut reader = Reader { stream: to, text, at: 0, rng };
        reader.read_some_or_all().await;
        let complete = reader.read_the_end().await;
        drop(reader);
        let written = thread.join().unwrap();
        assert!(written.is_ok() || !complete, "{written:?}");
    }
}

mod random_sequences_from_outside {
    use super::common::{Over, run};

    #[test]
    fn tcp() {
        run(super::random_sequences_from_outside(Over::Tcp));
    }

    #[test]
    fn unix() {
        run(super::random_sequences_from_outside(Over::Unix));
    }

    #[test]
    fn pipe() {
        run(super::random_sequences_from_outside(Over::Pipe));
    }
}

/// Small limits, so that they matter, or none.
fn options(rng: &mut Random) -> StreamOptions {
    let mut options = StreamOptions::new();
    match rng.below(3) {
        0 => options = options.read_chunk_size(1 + rng.below(300)),
        1 => options = options.max_buffer_size(1000 + rng.below(3000)),
        _ => {}
    }
    if rng.one_in(2) {
        options = options.max_write_buffer_size(500 + rng.below(5000));
    }
    options
}

/// All that one side writes. Few letters, so that delimiters are frequent.
#[derive(Clone)]
struct Text {
    bytes: Rc<[u8]>,
}

impl Text {
    fn new(rng: &mut Random) -> Self {
        let length = match rng.below(10) {
            0 => 0,
            1..8 => rng.below(3000),
            8 => rng.below(30_000),
            _ => rng.below(300_000),
        };
        Self { bytes: (0..length).map(|_| b"abcd\r\n"[rng.below(6)]).collect() }
    }
}

async fn one_way(from: IoStream, to: IoStream, rng: &mut Random) {
    let text = Text::new(rng);
    let writing = spawn(write_everything(from, text.clone(), Random::new(rng.next()), true));
    let mut reader = Reader { stream: to, text, at: 0, rng: Random::new(rng.next()) };
    reader.read_some_or_all().await;
    let complete = reader.read_the_end().await;
    drop(reader);
    match writing.await.unwrap() {
        Ok(()) => {}
        Err(StreamError::Closed(Some(CloseCause::Io(_)))) if !complete => {}
        other => panic!("{other:?}, complete: {complete}"),
    }
}

async fn both_ways(one: IoStream, other: IoStream, rng: &mut Random) {
    let mut tasks = Vec::new();
    for (from, to) in [(&one, &other), (&other, &one)] {
        let text = Text::new(rng);
        let written = write_everything(from.clone(), text.clone(), Random::new(rng.next()), false);
        tasks.push(spawn(async { written.await.unwrap() }));
        let mut reader = Reader { stream: to.clone(), text, at: 0, rng: Random::new(rng.next()) };
        tasks.push(spawn(async move { reader.read_all().await }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let (closer, other) = if rng.one_in(2) { (one, other) } else { (other, one) };
    closer.close();
    assert_eq!(other.read_until_close().await.unwrap(), "");
    assert_eq!((closer.error(), other.error()), (None, None));
}

/// Polls a few times and gives up, or waits for the end.
async fn attempt<F: Future>(future: F, patient: bool, rng: &mut Random) -> Option<F::Output> {
    let mut future = pin!(future);
    if patient {
        return Some(future.await);
    }
    for _ in 0..rng.below(4) {
        if let Some(output) = poll_once(future.as_mut()).await {
            return Some(output);
        }
        if rng.one_in(2) {
            next_turn().await;
        } else {
            yield_now().await;
        }
    }
    None
}

/// Writes the text and perhaps ends the stream. Fails when the reader went away before.
async fn write_everything(stream: IoStream, text: Text, mut rng: Random, end: bool) -> Result<(), StreamError> {
    let limit = stream.options().max_write_buffer_size;
    let mut kept: Vec<Pin<Box<Written>>> = Vec::new();
    let mut at = 0;
    while at < text.bytes.len() {
        let most = if rng.one_in(10) { 100_000 } else { 500 };
        let n = rng.below(most + 1).min(text.bytes.len() - at);
        let piece = &text.bytes[at..at + n];
        let before = stream.pending_write();
        let result = if rng.one_in(4) {
            stream.write_with(n, |out| out.extend_from_slice(piece)).map(|()| None)
        } else if rng.one_in(3) {
            stream.write_bytes(piece.to_vec()).map(Some)
        } else {
            stream.write(piece).map(Some)
        };
        match result {
            Ok(written) => {
                at += n;
                match (written, rng.below(5)) {
                    (Some(written), 0) => written.await?,
                    (Some(written), 1..4) => kept.push(Box::pin(written)),
                    _ => {}
                }
            }
            Err(StreamError::WriteBufferFull { limit: said, pending, asked }) => {
                assert_eq!((said, asked), (limit, n));
                assert!(pending + n > limit && pending <= before && stream.pending_write() == pending);
                // A piece that never fits is tried again in another size.
                if rng.one_in(2) {
                    stream.flush().await?;
                } else {
                    next_turn().await;
                }
            }
            Err(error) => return Err(error),
        }
        assert!(stream.pending_write() <= limit);
        match rng.below(9) {
            0 => next_turn().await,
            1 => yield_now().await,
            2 => stream.flush().await?,
            3 => poll_fn(|cx| stream.poll_flush(cx)).await?,
            8 => stream.ready().await?,
            4 if !kept.is_empty() => {
                let place = rng.below(kept.len());
                // Asked once and perhaps forgotten.
                match poll_once(kept[place].as_mut()).await {
                    Some(result) => {
                        result?;
                        drop(kept.swap_remove(place));
                    }
                    None if rng.one_in(2) => drop(kept.swap_remove(place)),
                    None => {}
                }
            }
            _ => {}
        }
    }
    if end {
        match rng.below(4) {
            0 => stream.close_when_flushed(),
            1 => {
                stream.flush().await?;
                stream.close();
            }
            2 if rng.one_in(2) => {
                let _ = stream.shutdown_write().await;
                stream.close_when_flushed();
            }
            _ => drop(stream),
        }
    } else {
        stream.flush().await?;
    }
    // In any order, and some of them together: all were sent.
    while !kept.is_empty() {
        let place = rng.below(kept.len());
        kept.swap_remove(place).await?;
    }
    Ok(())
}

struct Reader {
    stream: IoStream,
    text: Text,
    /// How much of the text was read.
    at: usize,
    rng: Random,
}

impl Reader {
    fn rest(&self) -> &[u8] {
        &self.text.bytes[self.at..]
    }

    #[track_caller]
    fn took(&mut self, piece: &[u8]) {
        assert!(self.rest().starts_with(piece), "after {} of {}", self.at, self.text.bytes.len());
        self.at += piece.len();
    }

    async fn read_all(&mut self) {
        while !self.rest().is_empty() {
            self.step().await;
        }
    }

    async fn read_some_or_all(&mut self) {
        let stop = if self.rng.one_in(2) { self.rng.below(self.text.bytes.len() + 1) } else { self.text.bytes.len() };
        while self.at < stop {
            self.step().await;
        }
    }

    /// Less than is left, mostly not much.
    fn some(&mut self) -> usize {
        let most = match self.rng.below(10) {
            0 => 20_000,
            1 => 3,
            _ => 500,
        };
        self.rng.below(most + 1).min(self.rest().len())
    }

    async fn step(&mut self) {
        let stream = self.stream.clone();
        let limit = stream.options().max_buffer_size;
        let patient = !self.rng.one_in(3);
        match self.rng.below(9) {
            0 | 1 => {
                let n = self.some().min(limit);
                if let Some(result) = attempt(stream.read_bytes(n), patient, &mut self.rng).await {
                    let piece = result.unwrap();
                    assert_eq!(piece.len(), n);
                    self.took(&piece);
                }
            }
            2 => {
                let n = self.some();
                if let Some(result) = attempt(stream.read_bytes_partial(n), patient, &mut self.rng).await {
                    let piece = result.unwrap();
                    assert!(piece.len() <= n && (n == 0 || !piece.is_empty()));
                    self.took(&piece);
                }
            }
            3 | 4 => {
                let delimiter: &[u8] = [&b"\r\n"[..], b"a", b"abc", b"ddd", b"\n\n\n\n", b""][self.rng.below(6)];
                let found = memchr::memmem::find(self.rest(), delimiter).map(|at| at + delimiter.len());
                let Some(end) = found.filter(|end| *end <= limit) else { return };
                let max_bytes = match self.rng.below(3) {
                    0 => None,
                    1 => Some(end),
                    _ => Some(end + self.rng.below(1000)),
                };
                if let Some(result) = attempt(stream.read_until(delimiter, max_bytes), patient, &mut self.rng).await {
                    let piece = result.unwrap();
                    assert_eq!(piece.len(), end);
                    self.took(&piece);
                }
            }
            5 => {
                let mut memory = vec![0; self.some()];
                let mut target = ReadTarget::new(&mut memory);
                let done = attempt(stream.read_into(&mut target), patient, &mut self.rng).await;
                if let Some(result) = done {
                    result.unwrap();
                    assert!(target.is_full());
                }
                let filled = target.filled().to_vec();
                self.took(&filled);
            }
            6 => {
                let mut memory = vec![0; self.some()];
                let done = attempt(stream.read_into_partial(&mut memory), patient, &mut self.rng).await;
                if let Some(result) = done {
                    let n = result.unwrap();
                    assert!(n > 0 || memory.is_empty());
                    self.took(&memory[..n]);
                }
            }
            7 => self.step_by_regex(limit, patient).await,
            _ => {
                // As a protocol does it: fill, look, take.
                if stream.with_buffered(<[u8]>::is_empty) {
                    attempt(poll_fn(|cx| stream.poll_fill(cx)), patient, &mut self.rng).await.map(Result::unwrap);
                }
                let n = self.some().min(stream.with_buffered(<[u8]>::len));
                let piece = stream.take_buffered(n);
                self.took(&piece);
            }
        }
        assert!(!stream.reading());
        assert!(stream.with_buffered(|buffered| buffered.len() <= limit && self.rest().starts_with(buffered)));
    }

    /// By patterns whose match is certain with its last byte: the text may end there, and the stream not yet.
    #[cfg(feature = "regex")]
    async fn step_by_regex(&mut self, limit: usize, patient: bool) {
        thread_local! {
            static PATTERNS: Vec<(landspout_iostream::Regex, regex::bytes::Regex)> =
                [r"\r?\n", "[ab]+?c", "(a|bc)d", r"d{2}|\n{2}", r"[^\r]*\r\n"]
                    .iter()
                    .map(|pattern| (pattern.parse().unwrap(), regex::bytes::Regex::new(pattern).unwrap()))
                    .collect();
        }
        let stream = self.stream.clone();
        let (ours, theirs) = PATTERNS.with(|patterns| patterns[self.rng.below(patterns.len())].clone());
        let Some(end) = theirs.find(self.rest()).map(|found| found.end()).filter(|end| *end <= limit) else { return };
        let max_bytes = self.rng.one_in(2).then(|| end + self.rng.below(100));
        if let Some(result) = attempt(stream.read_until_regex(&ours, max_bytes), patient, &mut self.rng).await {
            let piece = result.unwrap();
            assert_eq!(piece.len(), end);
            self.took(&piece);
        }
    }

    #[cfg(not(feature = "regex"))]
    async fn step_by_regex(&mut self, _limit: usize, _patient: bool) {}

    /// The writer ends, or has ended. Gives whether all that it writes was wanted.
    async fn read_the_end(&mut self) -> bool {
        let stream = self.stream.clone();
        let limit = stream.options().max_buffer_size;
        let left = self.rest().len();
        match self.rng.below(4) {
            0 if left <= limit => {}
            1 if left < limit => {
                assert_closed_cleanly(&stream.read_bytes(left + 1).await);
                assert_eq!(stream.read_bytes(left).await.unwrap(), self.rest());
                assert_closed_cleanly(&stream.read_bytes(1).await);
                self.at += left;
            }
            2 if left > 1 => {
                let max_bytes = self.rng.below(left.min(limit));
                let cause = CloseCause::UnsatisfiableRead { max_bytes };
                assert_eq!(
                    stream.read_until(b"not in the text", Some(max_bytes)).await,
                    Err(StreamError::Closed(Some(cause)))
                );
                // What was read up to there is still to be had.
                let rest = stream.read_until_close().await.unwrap();
                assert!(rest.len() > max_bytes);
                self.took(&rest);
                return false;
            }
            _ if left <= limit => {
                let mut read = Box::pin(stream.read_until_close());
                for _ in 0..self.rng.below(5) {
                    if let Some(result) = poll_once(read.as_mut()).await {
                        self.took(&result.unwrap());
                        assert!(self.rest().is_empty());
                        return true;
                    }
                    next_turn().await;
                }
            }
            _ => {
                let full = stream.read_until_close().await;
                let cause = CloseCause::ReadBufferFull { max_buffer_size: limit };
                assert_eq!(full, Err(StreamError::Closed(Some(cause))));
                return false;
            }
        }
        let rest = stream.read_until_close().await.unwrap();
        self.took(&rest);
        assert!(self.rest().is_empty());
        assert!(stream.closed());
        assert_eq!(stream.error(), None);
        true
    }
}

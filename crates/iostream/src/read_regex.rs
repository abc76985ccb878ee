//! `read_until_regex`: a pattern made once into an automaton, and a read that takes each byte through it once.
//!
//! Rule: the answer is that of a search in all the bytes the stream will ever carry, so it can't depend on how they were
//! cut into packets. It is given as soon as nothing that may follow could change it.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

use crate::error::{CloseCause, StreamError};
use crate::read::Reading;
use crate::stream::IoStream;

/// What a pattern's automaton may take, and what making it may take besides. That of a delimiter has a few hundred bytes.
const MAX_AUTOMATON: usize = 4 * 1024 * 1024;

impl IoStream {
    /// Reads up to and including the first match of `regex`. With `max_bytes` the match has to end within that many bytes.
    ///
    /// The match is the one that a search in the whole stream would find: of all the leftmost, and of those that begin there
    /// the one that the pattern prefers. It is returned as soon as no further byte could change it. So the result never
    /// depends on how the bytes were cut into packets, but the moment depends on the pattern:
    /// - `\r?\n\r?\n` is certain with its last byte, as is every pattern that ends in something definite;
    /// - `[0-9]+` is certain when a byte comes that is no digit, or the stream ends cleanly. Where the peer may be waiting
    ///   for an answer first, write the end lazily: `login: *?` is certain with the colon and the blank, `login: *` only with
    ///   the byte behind the blanks;
    /// - `(?s).*\n` goes on to the last line end of the whole stream.
    ///
    /// `^` stands for the place from which is read, `$` for the end of the stream. Each byte costs the same small work once,
    /// in whatever pieces it comes.
    ///
    /// # Errors
    /// [`StreamError::Closed`] when the stream ends before, or, with the cause [`CloseCause::UnsatisfiableRead`], when
    /// no match is certain with the first byte past `max_bytes`, or none can come any more, which closes the stream;
    /// [`StreamError::AlreadyReading`].
    ///
    /// # Cancel safety
    /// Dropping the future consumes nothing.
    ///
    /// ```
    /// # use landspout_ioloop::IoLoop;
    /// use landspout_iostream::{IoStream, Regex};
    ///
    /// let blank_line = Regex::new(r"\r?\n\r?\n").unwrap();
    /// IoLoop::current().run_sync(async move {
    ///     let (here, there) = IoStream::pair().unwrap();
    ///     here.write(b"GET / HTTP/1.0\nHost: example\n\nbody").unwrap();
    ///     let head = there.read_until_regex(&blank_line, Some(65_536)).await.unwrap();
    ///     assert_eq!(head, "GET / HTTP/1.0\nHost: example\n\n");
    /// }).unwrap();
    /// ```
    pub async fn read_until_regex(&self, regex: &Regex, max_bytes: Option<usize>) -> Result<Bytes, StreamError> {
        let _reading = Reading::begin(&self.inner)?;
        let mut search = Search::new(regex, max_bytes.unwrap_or(usize::MAX));
        let n = poll_fn(|cx| {
            loop {
                match self.with_buffered(|buffered| search.look(buffered)) {
                    Ok(Some(end)) => return Poll::Ready(Ok(end)),
                    Ok(None) => {}
                    Err(cause) => return Poll::Ready(Err(self.inner.unsatisfiable(cause))),
                }
                match self.inner.poll_fill(cx) {
                    Poll::Ready(Ok(())) => {}
                    // Nothing follows, so what a further byte might have changed stands.
                    Poll::Ready(Err(StreamError::Closed(None))) => {
                        let end = self.with_buffered(|buffered| search.look_at_the_end(buffered));
                        return Poll::Ready(end.ok_or(StreamError::Closed(None)));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await?;
        Ok(self.take_buffered(n))
    }
}

/// A pattern for [`IoStream::read_until_regex`]: made once, used for any number of reads and streams, cheap to clone.
///
/// The syntax is that of the [`regex`](https://docs.rs/regex/latest/regex/#syntax) crate, about bytes and not characters, as a
/// pattern of Python's type `bytes` is: `\d`, `\w`, `\s`, `\b` and `(?i)` mean ASCII, `.` is any byte but `\n`, and a byte
/// beyond ASCII is written `\xFF`. As there, there are no back-references and nothing that looks around but `^`, `$`, `\b`
/// and their kin.
#[derive(Clone)]
pub struct Regex(Arc<Compiled>);

struct Compiled {
    pattern: String,
    dfa: dense::DFA<Vec<u32>>,
    start: StateID,
}

impl Regex {
    /// Makes a pattern ready to be searched for.
    ///
    /// # Errors
    /// [`RegexError::Syntax`] tells where the pattern is wrong; [`RegexError::TooLarge`] says that its automaton would take
    /// more than 4 MiB, as that of `a.{25}b`, which had to remember where among 26 bytes there was an `a`.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let config = dense::Config::new()
            .match_kind(MatchKind::LeftmostFirst)
            .start_kind(StartKind::Unanchored)
            .accelerate(false)
            .dfa_size_limit(Some(MAX_AUTOMATON))
            .determinize_size_limit(Some(MAX_AUTOMATON));
        let dfa = dense::Builder::new()
            .configure(config)
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build(pattern)
            .map_err(RegexError::from)?;
        let start = dfa
            .start_state(&start::Config::new().anchored(Anchored::No))
            .map_err(|error| RegexError::Syntax(error.to_string()))?;
        Ok(Self(Arc::new(Compiled { pattern: pattern.to_owned(), dfa, start })))
    }

    /// The pattern, as it was given.
    pub fn as_str(&self) -> &str {
        &self.0.pattern
    }
}

impl std::str::FromStr for Regex {
    type Err = RegexError;

    fn from_str(pattern: &str) -> Result<Self, RegexError> {
        Self::new(pattern)
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Regex").field(&self.as_str()).finish()
    }
}

impl Compiled {
    /// All bytes that the pattern doesn't tell apart are one; this gives one of each kind.
    fn kinds_of_bytes(&self) -> impl Iterator<Item = u8> {
        self.dfa.byte_classes().representatives(..).filter_map(|unit| unit.as_u8())
    }

    /// Whether a match ends where the bytes do.
    fn matches_at_the_end(&self, state: StateID) -> bool {
        self.dfa.is_match_state(self.dfa.next_eoi_state(state))
    }

    /// Whether a match that ends where the bytes do stands whatever follows. An automaton enters the state that says "match"
    /// with the byte behind it, so all of these have to, with no way on from there.
    fn stands_whatever_follows(&self, state: StateID) -> bool {
        self.kinds_of_bytes().all(|byte| {
            let behind = self.dfa.next_state(state, byte);
            self.dfa.is_match_state(behind) && self.ends_here(behind)
        })
    }

    /// Whether no further match can come.
    fn ends_here(&self, state: StateID) -> bool {
        let dead = |byte| self.dfa.is_dead_state(self.dfa.next_state(state, byte));
        !self.matches_at_the_end(state) && self.kinds_of_bytes().all(dead)
    }
}

/// How far a read has come.
struct Search<'a> {
    regex: &'a Compiled,
    max_bytes: usize,
    state: StateID,
    /// Bytes that went through the automaton.
    searched: usize,
    /// Where the best match so far ends.
    matched: Option<usize>,
}

impl<'a> Search<'a> {
    fn new(regex: &'a Regex, max_bytes: usize) -> Self {
        let regex = &*regex.0;
        Self { regex, max_bytes, state: regex.start, searched: 0, matched: None }
    }

    /// Where the match ends, once that is certain. `bytes` are those of the look before, and more.
    fn look(&mut self, bytes: &[u8]) -> Result<Option<usize>, CloseCause> {
        if bytes.len() < self.searched {
            // Somebody has consumed meanwhile.
            (self.state, self.searched, self.matched) = (self.regex.start, 0, None);
        }
        let regex = self.regex;
        // The byte past the limit may still settle that the match ended before.
        let visible = &bytes[..bytes.len().min(self.max_bytes.saturating_add(1))];
        for byte in &visible[self.searched..] {
            let next = regex.dfa.next_state(self.state, *byte);
            if regex.dfa.is_match_state(next) {
                self.matched = Some(self.searched);
            } else if regex.dfa.is_dead_state(next) {
                return match self.matched {
                    Some(end) => Ok(Some(end)),
                    None => Err(CloseCause::UnsatisfiableRead { max_bytes: self.max_bytes.min(self.searched + 1) }),
                };
            }
            self.state = next;
            self.searched += 1;
        }
        if self.matched.is_some() && regex.ends_here(self.state) {
            return Ok(self.matched);
        }
        if bytes.len() > self.max_bytes {
            return Err(CloseCause::UnsatisfiableRead { max_bytes: self.max_bytes });
        }
        let certain = regex.matches_at_the_end(self.state) && regex.stands_whatever_follows(self.state);
        Ok(certain.then_some(bytes.len()))
    }

    /// Where the match ends when nothing follows. Asked after [`look`](Self::look) has seen the same bytes.
    fn look_at_the_end(&self, bytes: &[u8]) -> Option<usize> {
        debug_assert_eq!(self.searched, bytes.len());
        if self.regex.matches_at_the_end(self.state) { Some(bytes.len()) } else { self.matched }
    }
}

/// Why a [`Regex`] can't be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegexError {
    /// This is no pattern; the text tells where and why, over several lines.
    Syntax(String),
    /// The pattern is one, but too large an automaton.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl From<dense::BuildError> for RegexError {
    fn from(error: dense::BuildError) -> Self {
        if error.is_size_limit_exceeded() {
            return Self::TooLarge { limit: MAX_AUTOMATON };
        }
        // The last cause is the parser, which shows the place.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Syntax(cause.to_string())
    }
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) => write!(f, "not a pattern: {text}"),
            Self::TooLarge { limit } => write!(f, "the pattern's automaton would take more than {limit} bytes"),
        }
    }
}

impl std::error::Error for RegexError {}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERNS: [&str; 34] = [
        "",
        "a",
        "ab",
        "a+",
        "a+?",
        "a*",
        "a*b",
        "ab?",
        "ab??",
        "a|ab",
        "ab|a",
        "a(bb)?",
        "aab|ba",
        r"b?\nb?\n",
        r"b?\nb?\n|aa",
        r"(?s).*\n",
        r"(?s).*?\n",
        r"(?s)a.*b|a",
        r".*\n",
        r"[^\n]+\n",
        "^a",
        "^ab|^a",
        r"\Aab",
        "a$",
        r"a\z",
        r"(?m)a$",
        r"(?m)^b",
        r"\ba",
        r"a\b",
        r"a\B",
        r"(?i)A\n",
        r"\x61",
        "a{2,3}",
        "(a|b)(a|b)?\n",
    ];

    const LETTERS: &[u8] = b"ab\n";

    /// All texts of up to `length` letters.
    fn texts(length: usize) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        let mut last = all.clone();
        for _ in 0..length {
            last = last.iter().flat_map(|text| LETTERS.iter().map(|letter| [text, &[*letter][..]].concat())).collect();
            all.extend_from_slice(&last);
        }
        all
    }

    fn independent(pattern: &str) -> regex::bytes::Regex {
        regex::bytes::RegexBuilder::new(pattern).unicode(false).build().unwrap()
    }

    /// Gives the bytes one after the other, as the slowest peer does, and then the end.
    fn answer(regex: &Regex, text: &[u8]) -> (Option<usize>, usize) {
        let mut search = Search::new(regex, usize::MAX);
        for seen in 0..=text.len() {
            match search.look(&text[..seen]) {
                Ok(Some(end)) => return (Some(end), seen),
                Ok(None) => {}
                Err(_) => return (None, seen),
            }
        }
        (search.look_at_the_end(text), text.len() + 1)
    }

    #[test]
    fn the_answer_is_that_of_a_search_in_the_whole_stream() {
        for pattern in PATTERNS {
            let (regex, independent) = (Regex::new(pattern).unwrap(), independent(pattern));
            for text in texts(6) {
                let expected = independent.find(&text).map(|found| found.end());
                assert_eq!(answer(&regex, &text).0, expected, "{pattern:?} in {:?}", text.escape_ascii().to_string());
                // And in one piece.
                let mut search = Search::new(&regex, usize::MAX);
                let whole = match search.look(&text) {
                    Ok(None) => search.look_at_the_end(&text),
                    other => other.unwrap_or(None),
                };
                assert_eq!(whole, expected, "{pattern:?} in {:?}", text.escape_ascii().to_string());
            }
        }
    }

    /// What was said before the end can't be taken back, and where something is withheld two continuations differ.
    #[test]
    fn the_answer_comes_when_it_is_certain_and_no_later() {
        let continuations = texts(3);
        for pattern in PATTERNS {
            let (regex, independent) = (Regex::new(pattern).unwrap(), independent(pattern));
            for text in texts(4) {
                let (end, seen) = answer(&regex, &text);
                let mut ends = continuations.iter().map(|more| {
                    let stream = [&text[..], more].concat();
                    independent.find(&stream).map(|found| found.end())
                });
                let shown = text.escape_ascii().to_string();
                if seen <= text.len() {
                    assert!(ends.all(|other| other == end), "{pattern:?} in {shown:?} was too early");
                } else {
                    assert!(ends.any(|other| other != end), "{pattern:?} in {shown:?} is certain");
                }
            }
        }
    }

    #[test]
    fn each_byte_goes_through_the_automaton_once() {
        let regex = Regex::new("[a-z]+=[0-9]{3}\r\n").unwrap();
        let text = [&b"abc=12 ".repeat(1000)[..], b"x=123\r\n"].concat();
        let mut search = Search::new(&regex, usize::MAX);
        for seen in 1..text.len() {
            assert_eq!(search.look(&text[..seen]), Ok(None));
            assert_eq!(search.searched, seen);
        }
        assert_eq!(search.look(&text), Ok(Some(text.len())));
    }

    #[test]
    fn what_is_no_pattern_is_told_with_its_place() {
        let Err(RegexError::Syntax(text)) = Regex::new("a(b") else { panic!("unclosed") };
        assert!(text.contains("a(b") && text.contains("unclosed group"), "{text}");
        assert!(matches!(Regex::new("[é]"), Err(RegexError::Syntax(_))), "one of several bytes");
        assert!(matches!(Regex::new(r"(?u:\w)"), Err(RegexError::Syntax(_))));
        let too_large = RegexError::TooLarge { limit: MAX_AUTOMATON };
        assert_eq!(Regex::new("a.{25}b").unwrap_err(), too_large);
        assert_eq!(too_large.to_string(), "the pattern's automaton would take more than 4194304 bytes");
    }
}

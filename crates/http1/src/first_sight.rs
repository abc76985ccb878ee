//! The usual head, whole at first sight: found and taken apart in one pass.
//!
//! Rules: what this file takes is well formed, and it takes nearly every head that is; a head that is cut, wrong, long, or
//! merely odd (another target than a path, tabs, whitespace at the end of a line) it leaves to `scan.rs` and `head.rs`, which know
//! everything. The tests feed each input whole and in pieces, so that one way is checked against the other.

use landspout_httputil::{HeaderIndex, HttpHeaders, is_token};

use crate::framing::{
    FramingFields, Kind, KnownHost, RequestFraming, ResponseTo, goes_without_saying, kind, says_close,
};
use crate::limits::Limits;
use crate::request_line::{self, TargetForm};
use crate::words::{letters_len, value_len};

/// New storage has room for heads of this size.
const ROOM: usize = 256;
/// What is behind each line, and behind the last field once more.
const END: &[u8; 2] = b"\r\n";

/// A head as short as this can break no limit but that of its fields' number. 0 if it may have none: then nothing is read here.
pub(crate) fn max_len(limits: &Limits) -> usize {
    if limits.max_headers == 0 {
        return 0;
    }
    limits.max_header_size.min(limits.max_start_line).min(limits.max_header_line)
}

/// Stores the head at the start of `input`, no longer than [`max_len`], and what it says about the message; gives its length. `None` if
/// it is not a usual one or has too many fields; the storage holds rubbish then.
///
/// A function of its own, since it wants the registers for itself.
#[inline(never)]
pub(crate) fn read(
    input: &[u8],
    limits: &Limits,
    storage: &mut HttpHeaders,
    hosts: &mut KnownHost,
    framing: &mut RequestFraming,
) -> Option<usize> {
    debug_assert!(input.len() <= max_len(limits));
    let line = request_line::parse(input)?;
    if line.form != TargetForm::Origin {
        return None;
    }
    let to = line.response_to(input);
    let mut index = storage.begin(ROOM);
    let mut at = line.len();
    // What nearly every head begins with, and the requests of a connection rarely have another one.
    let known_host = hosts.known_at(input.get(at..)?);
    if let Some(host) = known_host {
        index.push(at..at + 4, at + 6..at + 6 + host);
        at += host + 8;
    }
    if known_host.is_some() && input.get(at..)?.first_chunk() == Some(END) {
        *framing = RequestFraming::silent(to);
    } else {
        (at, *framing) = read_fields(input, at, limits, line.method(input), to, &mut index, hosts)?;
    }
    let head = &input[..at + END.len()];
    line.note(head, &mut index);
    index.set_bytes(head);
    Some(head.len())
}

/// The fields from `at` on; gives the place of the empty line behind them, and what all fields say, one that was pushed before, `Host`,
/// among them. Apart, as it would take the registers of those who need few.
#[inline(never)]
fn read_fields(
    input: &[u8],
    mut at: usize,
    limits: &Limits,
    method: &[u8],
    to: ResponseTo,
    index: &mut HeaderIndex<'_>,
    hosts: &mut KnownHost,
) -> Option<(usize, RequestFraming)> {
    let mut seen = FramingFields::default();
    if !index.is_empty() {
        seen.see(Kind::Host, 0);
    }
    loop {
        let rest = input.get(at..)?;
        if rest.first_chunk() == Some(END) {
            break;
        }
        let count = index.len();
        if count == limits.max_fields() {
            return None;
        }
        let name_len = name_len(rest)?;
        let kind = kind(&rest[..name_len]);
        // Behind the colon, which `name_len` saw.
        let mut value = rest.get(name_len + 1..)?;
        if let [b' ', behind @ ..] = value {
            value = behind;
        }
        let start = input.len() - value.len();
        let (value, behind) = value.split_at(value_len(value));
        // A line that doesn't end here is odd, and so is whitespace around the value.
        if behind.first_chunk() != Some(END) || value.first() == Some(&b' ') || value.last() == Some(&b' ') {
            return None;
        }
        let end = start + value.len();
        if kind == Kind::Host {
            if seen.has(Kind::Host) {
                return None;
            }
            seen.see(Kind::Host, count);
            hosts.check(value, &input[at..end + 2]).ok()?;
        } else if says_close(kind, value) {
            // Whatever else is said.
            seen.closes = true;
        } else if kind != Kind::Other && !(to.http11() && goes_without_saying(kind, value)) {
            seen.see(kind, count);
        }
        index.push(at..at + name_len, start..end);
        at = end + 2;
    }
    if to.http11() && !seen.has(Kind::Host) {
        return None;
    }
    let mut framing = RequestFraming::silent(to);
    if !seen.is_silent() {
        framing = seen.conclude(method, to, index, input).ok()?;
    }
    framing.keep_alive &= !seen.closes;
    Some((at, framing))
}

/// The length of the name, behind which there is a colon.
#[inline]
fn name_len(line: &[u8]) -> Option<usize> {
    // Nearly all names are of letters and hyphens.
    let mut len = letters_len(line);
    if line.get(len) != Some(&b':') {
        len += line[len..].iter().position(|byte| !is_token(&[*byte]))?;
    }
    (len != 0 && line[len] == b':').then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(input: &[u8], max_header_size: usize, max_headers: usize) -> bool {
        let limits = Limits { max_header_size, max_headers, ..Limits::default() };
        let input = &input[..input.len().min(max_len(&limits))];
        let (mut storage, mut hosts, mut framing) = <(HttpHeaders, KnownHost, _)>::default();
        read(input, &limits, &mut storage, &mut hosts, &mut framing).is_some()
    }

    #[test]
    fn the_usual_is_taken_and_the_odd_left() {
        let takes = |fields: &str| usual(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes(), 1000, 100);
        for usual in ["", "A: b\r\n", "A:b\r\n", "A:\r\n", "A: \r\n", "A: b c\r\nD: e\u{e9}\r\n"] {
            assert!(takes(usual), "{usual:?}");
        }
        for odd in [
            "A:  b\r\n",
            "A: b \r\n",
            "A: b\tc\r\n",
            "A:\tb\r\n",
            "A: b\r\n c\r\n",
            "A : b\r\n",
            "A\r\n",
            ": b\r\n",
            "A: b\n",
            "Host: a\r\n",
            "Expect: b\r\n",
        ] {
            assert!(!takes(odd), "{odd:?}");
        }
        assert!(takes(&"A: b\r\n".repeat(99)) && !takes(&"A: b\r\n".repeat(100)));
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\nX";
        for max in 0..=whole.len() {
            assert_eq!(usual(whole, max, 2), max >= whole.len() - 1);
            assert_eq!(usual(&whole[..max], 1000, 2), max >= whole.len() - 1);
        }
        assert!(!usual(whole, 1000, 1));
        assert!(usual(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1000, 1) && !usual(b"GET / HTTP/1.0\r\n\r\n", 1000, 0));
    }

    #[test]
    fn a_host_that_is_known_hides_no_other() {
        let line = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (framing, limits) = (&mut RequestFraming::default(), &Limits::default());
        for host in ["example.org", "12345678", "1234567", "a.host.of.24.bytes.org:80", "a.host.of.24.bytes.org:8"] {
            let (mut storage, mut hosts) = <(HttpHeaders, KnownHost)>::default();
            let good = line(host).into_bytes();
            assert_eq!(hosts.known_at(&good[16..]), None);
            for known in [false, true] {
                assert_eq!(read(&good, limits, &mut storage, &mut hosts, framing), Some(good.len()));
                assert_eq!(storage.get("host"), Some(host.as_bytes()), "known: {known}");
                assert_eq!(hosts.known_at(&good[16..]).is_some(), (8..=24).contains(&host.len()), "{host}");
            }
            // Whatever differs from it in one byte, or is shorter or longer, is read as if nothing were known.
            let others = (0..good.len()).flat_map(|at| (0..=255).map(move |byte| (at, Some(byte))));
            for (at, byte) in others.chain((0..good.len()).map(|at| (at, None))) {
                let mut other = good.clone();
                match byte {
                    Some(byte) => other[at] = byte,
                    None => drop(other.remove(at)),
                }
                let mut fresh = HttpHeaders::default();
                let expected =
                    read(&other, limits, &mut fresh, &mut KnownHost::default(), &mut RequestFraming::default());
                let mut known = hosts.clone();
                assert_eq!(read(&other, limits, &mut storage, &mut known, framing), expected, "{at} {byte:?}");
                assert!(expected.is_none() || fresh.fields().eq(storage.fields()), "{at} {byte:?}");
            }
        }
    }
}

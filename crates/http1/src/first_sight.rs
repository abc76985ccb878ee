//! The usual head, whole at first sight: found and taken apart in one pass.
//!
//! Rules: what this file takes is well formed, and it takes nearly every head that is; a head that is cut, wrong, long, or
//! merely odd (another target than a path, tabs, whitespace at the end of a line) it leaves to `scan.rs` and `head.rs`, which know
//! everything. The tests feed each input whole and in pieces, so that one way is checked against the other.

use landspout_httputil::{HeaderIndex, HttpHeaders, is_token};

use crate::error::DecodeError;
use crate::framing::{FramingFields, Kind, KnownHost, kind};
use crate::head::{Parsed, method_of};
use crate::request_line::{self, TargetForm};

/// Stores the head at the start of `input`; `None` if it is not a usual one, has more than `max_size` bytes or more than
/// `max_headers` fields. The storage holds rubbish then.
#[inline]
pub(crate) fn read(
    input: &[u8],
    max_size: usize,
    max_headers: usize,
    storage: &mut HttpHeaders,
    hosts: &mut KnownHost,
) -> Option<Result<Parsed, DecodeError>> {
    let input = &input[..input.len().min(max_size)];
    let line = request_line::parse(input)?;
    if line.form != TargetForm::Origin {
        return None;
    }
    let mut index = storage.begin(max_size.min(256));
    let mut seen = FramingFields::default();
    let mut host = &input[..0];
    let end = read_fields(input, line.len(), max_headers, &mut index, &mut seen, &mut host)?;
    let head = &input[..end];
    let method = line.method(head);
    let count = index.len();
    let field = |n| {
        let (name, value) = index.field(n).unwrap_or_default();
        (&head[name], &head[value])
    };
    let framing = match seen.conclude(method, line.http11, count, || host, field, hosts) {
        Ok(framing) => framing,
        Err(error) => return Some(Err(error)),
    };
    index.set_request_line(method_of(method), line.target(), line.version());
    index.set_bytes(head);
    Some(Ok(Parsed { len: end, target: line.form, framing }))
}

/// Notes the fields from `at` on, and the value of `Host`. Gives the position behind the blank line.
#[inline]
fn read_fields<'i>(
    input: &'i [u8],
    mut at: usize,
    max_headers: usize,
    index: &mut HeaderIndex<'_>,
    seen: &mut FramingFields,
    host: &mut &'i [u8],
) -> Option<usize> {
    let mut count = 0;
    loop {
        let rest = input.get(at..)?;
        if rest.first_chunk() == Some(b"\r\n") {
            return Some(at + 2);
        }
        if count == max_headers {
            return None;
        }
        // What nearly every head begins with, and the way nearly everybody writes it.
        let (name_len, kind) = match rest.first_chunk() == Some(b"Host:") {
            true => (4, Kind::Host),
            false => {
                let len = name_len(rest)?;
                (len, kind(&rest[..len]))
            }
        };
        let rest = &rest[name_len..];
        // Behind the colon, which `name_len` saw.
        let mut start = at + name_len + 1;
        let mut value = rest.get(1..)?;
        if let [b' ', behind @ ..] = value {
            (start, value) = (start + 1, behind);
        }
        let value_len = value_len(value);
        let (value, rest) = value.split_at(value_len);
        // A line that doesn't end here is odd, and so is whitespace around the value.
        if rest.first_chunk() != Some(b"\r\n") || value.first() == Some(&b' ') || value.last() == Some(&b' ') {
            return None;
        }
        seen.see_name(kind, count);
        if kind == Kind::Host {
            *host = value;
        }
        index.push(at..at + name_len, start..start + value_len);
        at = start + value_len + 2;
        count += 1;
    }
}

/// The length of the name, behind which there is a colon.
#[inline]
fn name_len(line: &[u8]) -> Option<usize> {
    // Four at a time as long as that goes well, then one by one.
    let fours =
        line.chunks_exact(4).take_while(|four| four.iter().fold(true, |good, b| good & is_token(&[*b]))).count() * 4;
    let len = fours + line[fours..].iter().position(|byte| !is_token(&[*byte]))?;
    (len != 0 && line[len] == b':').then_some(len)
}

/// How many bytes come before the first control character (tab included): eight at a time, then one by one.
#[inline]
fn value_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    for word in bytes.chunks_exact(8) {
        let controls = controls(word.try_into().unwrap_or_default());
        if controls != 0 {
            return len + controls.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    len + bytes[len..].iter().take_while(|byte| **byte >= b' ' && **byte != 0x7F).count()
}

/// A number whose lowest set bit is in the first byte that is a control character; 0 if none is. Higher bits say nothing,
/// since a subtraction may have borrowed from their bytes.
#[inline]
fn controls(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let del = word ^ (ONES * 0x7F);
    let is_del = del.wrapping_sub(ONES) & !del;
    (below_space | is_del) & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(input: &[u8], max_size: usize, max_headers: usize) -> bool {
        read(input, max_size, max_headers, &mut HttpHeaders::new(), &mut KnownHost::default()).is_some()
    }

    #[test]
    fn every_byte_at_every_place_of_a_value() {
        for byte in 0..=255_u8 {
            let stops = byte < b' ' || byte == 0x7F;
            for place in 0..45 {
                for other in [b'a', 0x80, 0xFF, b' ', 0x7E] {
                    let mut value = [other; 45];
                    value[place] = byte;
                    assert_eq!(value_len(&value), if stops { place } else { 45 }, "{byte:#04x} at {place}");
                }
            }
        }
    }

    #[test]
    fn the_usual_is_taken_and_the_odd_left() {
        let takes = |fields: &str| usual(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes(), 1000, 100);
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
        ] {
            assert!(!takes(odd), "{odd:?}");
        }
        assert!(takes(&"A: b\r\n".repeat(100)) && !takes(&"A: b\r\n".repeat(101)));
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\nX";
        for max in 0..=whole.len() {
            assert_eq!(usual(whole, max, 2), max >= whole.len() - 1);
            assert_eq!(usual(&whole[..max], 1000, 2), max >= whole.len() - 1);
        }
        assert!(!usual(whole, 1000, 1));
    }
}

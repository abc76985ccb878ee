//! The usual head, whole at first sight: found and taken apart in one pass.
//!
//! Rules: what this file takes is well formed, and it takes nearly every head that is; a head that is cut, wrong, long, or
//! merely odd (many fields, tabs, whitespace at the end of a line) it leaves to `scan.rs` and `head.rs`, which know
//! everything. The tests feed each input whole and in pieces, so that one way is checked against the other.

use std::ops::Range;

use landspout_httputil::is_token;

use crate::request_line::{self, RequestLine};

/// More fields are odd.
pub(crate) const MAX_FIELDS: usize = 24;

/// Start and end of each name, then of its value. 16 bits are enough for a head that isn't long.
pub(crate) type Fields = [[u16; 4]; MAX_FIELDS];

/// A head at the start of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) line: RequestLine,
    /// With the blank line.
    pub(crate) len: usize,
    /// How many fields there are.
    pub(crate) count: usize,
}

/// Reads the head at the start of `input`; `None` if it is not a usual one, has more than `max_size` bytes or more than
/// `max_headers` fields.
#[inline]
pub(crate) fn read(input: &[u8], max_size: usize, max_headers: usize, fields: &mut Fields) -> Option<Head> {
    // Nothing behind this is looked at, so every offset fits.
    let input = &input[..input.len().min(max_size).min(u16::MAX.into())];
    let line = request_line::parse(input)?;
    let mut at = line.len();
    for count in 0..=max_headers {
        let rest = &input[at..];
        if rest.first_chunk() == Some(b"\r\n") {
            return Some(Head { line, len: at + 2, count });
        }
        let name_end = at + name_len(rest)?;
        let mut value = name_end + 1;
        if input.get(value) == Some(&b' ') {
            value += 1;
        }
        let value_end = value + value_len(&input[value..]);
        // Whitespace around the value is odd, and so is a line that doesn't end here.
        let ends = input[value_end..].first_chunk() == Some(b"\r\n");
        if !ends || input[value] == b' ' || input[value_end - 1] == b' ' && value != value_end {
            return None;
        }
        *fields.get_mut(count)? = [at, name_end, value, value_end].map(|offset| offset as u16);
        at = value_end + 2;
    }
    None
}

/// Where name and value of a field lie.
#[inline]
pub(crate) fn field(fields: &Fields, n: usize) -> (Range<usize>, Range<usize>) {
    let [name, name_end, value, value_end] = fields[n].map(usize::from);
    (name..name_end, value..value_end)
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
        read(input, max_size, max_headers, &mut [[0; 4]; MAX_FIELDS]).is_some()
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
        assert!(takes(&"A: b\r\n".repeat(MAX_FIELDS)) && !takes(&"A: b\r\n".repeat(MAX_FIELDS + 1)));
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\nX";
        for max in 0..=whole.len() {
            assert_eq!(usual(whole, max, 2), max >= whole.len() - 1);
            assert_eq!(usual(&whole[..max], 1000, 2), max >= whole.len() - 1);
        }
        assert!(!usual(whole, 1000, 1));
    }
}

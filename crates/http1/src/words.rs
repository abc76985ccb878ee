//! Where a run of bytes of one kind ends, found eight bytes at a time: most of what a head's reading costs is looking at its bytes.
//!
//! Rules: a *mark* is the top bit of a byte of a word. The lowest mark is right; higher ones say nothing, since a subtraction may
//! have borrowed from their bytes, or an addition carried into them. A byte of zeros ends every run, so that what fills up the last
//! word does.

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const TOPS: u64 = ONES << 7;

/// How many bytes of a field's value come before a control character (tab included) or the end.
#[inline(always)]
pub(crate) fn value_len(bytes: &[u8]) -> usize {
    // The usual: nothing but visible ASCII and spaces.
    let usual = |word: u64| (word.wrapping_sub(ONES * 0x20) | word.wrapping_add(ONES)) & TOPS == 0;
    run(bytes, usual, |word| (word.wrapping_sub(ONES * 0x20) | (word & !TOPS).wrapping_add(ONES)) & !word)
}

/// How many bytes of a request's target come before one that can't be part of it, which is anything but visible ASCII, and `#`.
#[inline(always)]
pub(crate) fn target_len(bytes: &[u8]) -> usize {
    run(bytes, never, |word| {
        let hash = word ^ (ONES * u64::from(b'#'));
        word | word.wrapping_sub(ONES * 0x21) | word.wrapping_add(ONES) | hash.wrapping_sub(ONES)
    })
}

/// How many letters and hyphens come before anything else.
#[inline(always)]
pub(crate) fn letters_len(bytes: &[u8]) -> usize {
    run(bytes, never, |word| {
        let lower = word | (ONES * 0x20);
        let from_a = lower.wrapping_add(ONES * (0x80 - 0x61));
        let above_z = lower.wrapping_add(ONES * (0x80 - 0x7B));
        let hyphen = word ^ (ONES * u64::from(b'-'));
        let no_hyphen = (hyphen & !TOPS).wrapping_add(!TOPS);
        word | no_hyphen & (above_z | !from_a)
    })
}

/// Nothing is so usual that it is worth asking first.
#[inline(always)]
fn never(_: u64) -> bool {
    false
}

/// The position of the first mark. Words that are `usual` have none.
#[inline(always)]
fn run(bytes: &[u8], usual: impl Fn(u64) -> bool, marks: impl Fn(u64) -> u64) -> usize {
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        if !usual(word) {
            let marks = marks(word) & TOPS;
            if marks != 0 {
                return bytes.len() - rest.len() + marks.trailing_zeros() as usize / 8;
            }
        }
        rest = behind;
    }
    run_of_rest(bytes, rest.len(), marks)
}

/// Likewise, when no mark is in front of the last `len` bytes, fewer than eight. Out of line, as it wants many registers.
#[inline(never)]
fn run_of_rest(bytes: &[u8], len: usize, marks: impl Fn(u64) -> u64) -> usize {
    let word = match bytes.last_chunk::<8>() {
        // Without what was looked at already; in two steps, since that may be all of it.
        Some(eight) => u64::from_le_bytes(*eight) >> 8 >> (8 * (7 - len)),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    bytes.len() - len + (marks(word) & TOPS).trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use landspout_httputil::is_token;

    use super::*;

    /// Every byte at every place, among bytes that come close to having it mistaken.
    fn check(len: fn(&[u8]) -> usize, ends: impl Fn(u8) -> bool, others: &[u8]) {
        for length in 0..45 {
            for other in others {
                assert_eq!(len(&vec![*other; length]), length, "{length} times {other:#04x}");
            }
        }
        for length in [1, 7, 8, 9, 16, 17, 45] {
            for (byte, place, other) in (0..=255_u8)
                .flat_map(|byte| (0..length).flat_map(move |place| others.iter().map(move |o| (byte, place, o))))
            {
                let mut bytes = vec![*other; length];
                bytes[place] = byte;
                assert_eq!(len(&bytes), if ends(byte) { place } else { length }, "{byte:#04x} at {place} of {length}");
            }
        }
    }

    #[test]
    fn a_value_ends_with_a_control_character() {
        check(value_len, |byte| byte < b' ' || byte == 0x7F, &[b'a', 0x80, 0xFF, 0xA0, b' ', 0x7E]);
    }

    #[test]
    fn a_target_ends_with_what_is_not_visible() {
        check(target_len, |byte| !byte.is_ascii_graphic() || byte == b'#', b"!\"$a~/");
    }

    #[test]
    fn letters_and_hyphens_are_token_characters() {
        check(letters_len, |byte| !byte.is_ascii_alphabetic() && byte != b'-', b"azAZ-");
        assert!((0..=255_u8).all(|byte| is_token(&[byte]) || letters_len(&[byte]) == 0));
    }
}

//! The two character classes of HTTP header fields, as tables. Every crate that reads or writes fields asks here.

/// Whether `bytes` is a token (RFC 9110, section 5.6.2): what a method or a field name may be. Empty is not.
#[inline]
pub const fn is_token(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        if !TOKEN[*first as usize] {
            return false;
        }
        rest = tail;
    }
    !bytes.is_empty()
}

/// Whether `bytes` is a field value (RFC 9110, section 5.5): visible ASCII and 0x80–0xFF, spaces and tabs inside only.
///
/// An empty value is one. CR, LF, NUL, every other control and DEL are not part of any value; whitespace at either end
/// is not part of the value either, so it has to be cut off before.
#[inline]
pub const fn is_field_value(bytes: &[u8]) -> bool {
    match bytes {
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => false,
        _ => is_content(bytes),
    }
}

#[inline]
const fn is_content(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    // Values are longer than names: eight bytes at a time, and one by one only around a suspect.
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        if may_have_control(u64::from_ne_bytes(*word)) && !is_content_bytewise(word) {
            return false;
        }
        rest = tail;
    }
    is_content_bytewise(rest)
}

#[inline]
const fn is_content_bytewise(mut bytes: &[u8]) -> bool {
    while let [first, tail @ ..] = bytes {
        if !FIELD_CONTENT[*first as usize] {
            return false;
        }
        bytes = tail;
    }
    true
}

/// Whether a byte of `word` may be below 0x20 or DEL. A borrow can make a neighbour suspect too, but it never hides one.
#[inline]
const fn may_have_control(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let delete = word ^ (0x7F * ONES);
    let below_space = word.wrapping_sub(0x20 * ONES) & !word;
    let is_delete = delete.wrapping_sub(ONES) & !delete;
    (below_space | is_delete) & HIGH != 0
}

/// Whether `byte` may occur inside a field value: HTAB, SP, visible ASCII or 0x80–0xFF.
#[inline]
pub const fn is_field_content(byte: u8) -> bool {
    FIELD_CONTENT[byte as usize]
}

/// `bytes` without optional whitespace at either end (RFC 9110, section 5.6.3: SP and HTAB, nothing else).
///
/// Cutting anything else that some language calls a space (NEL, NBSP, vertical tab) hides a value from a checker that
/// does not: `Transfer-Encoding: \x85chunked`.
#[inline]
pub const fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes {
        if !is_ows(*first) {
            break;
        }
        bytes = rest;
    }
    while let [rest @ .., last] = bytes {
        if !is_ows(*last) {
            break;
        }
        bytes = rest;
    }
    bytes
}

const fn is_ows(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        table[i] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        i += 1;
    }
    table
};

static FIELD_CONTENT: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        table[i] = b == b'\t' || (b >= 0x20 && b != 0x7F);
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_the_set_of_rfc_9110() {
        let allowed = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for byte in 0..=255_u8 {
            assert_eq!(is_token(&[b'a', byte]), allowed.contains(&byte), "byte {byte:#04x}");
        }
        assert!(!is_token(b""));
    }

    #[test]
    fn field_value_allows_whitespace_inside_only() {
        for byte in 0..=255_u8 {
            let allowed = byte == b'\t' || (0x20..=0x7E).contains(&byte) || byte >= 0x80;
            assert_eq!(is_field_value(&[b'a', byte, b'b']), allowed, "byte {byte:#04x}");
        }
        assert!(is_field_value(b""));
        for bad in [&b" "[..], b" a", b"a ", b"\ta", b"a\t"] {
            assert!(!is_field_value(bad), "{bad:?}");
        }
    }

    #[test]
    fn field_value_checks_every_place_of_a_word() {
        for length in 3..20 {
            for place in 1..length - 1 {
                for byte in 0..=255_u8 {
                    let mut value = vec![b'a'; length];
                    // A neighbour that is allowed, with the highest and the lowest bytes that are.
                    value[place - 1] = [b'a', 0xFF, 0x20, 0x80][usize::from(byte % 4)];
                    value[place] = byte;
                    let expected = value.iter().all(|b| is_field_content(*b)) && !is_ows(value[0]);
                    assert_eq!(is_field_value(&value), expected, "{value:?}");
                }
            }
        }
    }

    #[test]
    fn trim_cuts_space_and_tab_alone() {
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
        for kept in [&b"\x85chunked"[..], b"\xa0chunked\xa0", b"\x0bchunked", b"\x0cchunked"] {
            assert_eq!(trim_ows(kept), kept);
        }
    }
}

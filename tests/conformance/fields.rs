//! Field lines: `field-name ":" OWS field-value OWS` (RFC 9112, section 5; RFC 9110, section 5).

use crate::harness::{Case, check, get};

/// Name, source, field lines behind `Host`, what is expected.
const LINES: &[(&str, &str, &[u8], &str)] = &[
    ("none", "9112 5", b"", "200 open"),
    ("no whitespace", "9112 5", b"A:b\r\n", "200 open"),
    ("much whitespace", "9112 5.1", b"A: \t  \t b \t \t\r\n", "200 open"),
    ("empty value", "9110 5.5", b"A:\r\n", "200 open"),
    ("value of whitespace", "9110 5.5", b"A: \t \r\n", "200 open"),
    ("colons in the value", "9110 5.5", b"A: :b::c:\r\n", "200 open"),
    ("tab in the value", "9110 5.5", b"A: b\tc\r\n", "200 open"),
    ("quotes and commas in the value", "9110 5.6", b"A: \"b, c\", \"\\\"\r\n", "200 open"),
    ("open quote", "9110 5.6.4", b"A: \"b\r\n", "200 open"),
    ("Latin-1 in the value", "9110 5.5; llhttp", b"A: D\xfcsseldorf\r\n", "200 open"),
    ("UTF-8 in the value", "9110 5.5; llhttp", "A: D\u{fc}sseldorf\r\n".as_bytes(), "200 open"),
    ("0xFF in the value", "9110 5.5; llhttp", b"A: \xffb\r\n", "200 open"),
    ("next line around the value", "Tornado's suite", b"A: \x85b\x85\r\n", "200 open"),
    ("line separators of Unicode", "Tornado's suite", "A: b\u{2028}c\u{2029}d\u{85}e\r\n".as_bytes(), "200 open"),
    ("every token character in the name", "9110 5.6.2", b"!#$%&'*+-.^_`|~09AZaz: b\r\n", "200 open"),
    ("name of one character", "9110 5.1", b"~: b\r\n", "200 open"),
    ("name of digits", "9110 5.1", b"123: b\r\n", "200 open"),
    ("the same name often", "9110 5.3", b"A: b\r\nA: c\r\na: d\r\n", "200 open"),
    ("unknown fields", "9110 5.1; llhttp", b"aaaaaaaaaaaaa:++++++++++\r\n", "200 open"),
    ("request line as a value", "9112 5", b"A: GET /evil HTTP/1.1\r\n", "200 open"),
    // Names.
    ("no name", "9112 5; Http11Probe EMPTY-HEADER-NAME, llhttp", b": b\r\n", "400 closed"),
    ("colon alone", "9112 5", b":\r\n", "400 closed"),
    ("no colon", "9112 5; Http11Probe HEADER-NO-COLON", b"NoColon\r\n", "400 closed"),
    ("no colon, a space", "9112 5", b"A b\r\n", "400 closed"),
    ("no colon, equals", "9112 5", b"A=b\r\n", "400 closed"),
    ("space before the colon", "9112 5.1; Http11Probe SP-BEFORE-COLON", b"A : b\r\n", "400 closed"),
    ("tab before the colon", "9112 5.1", b"A\t: b\r\n", "400 closed"),
    ("spaces before the colon", "9112 5.1", b"A  : b\r\n", "400 closed"),
    ("space in the name", "9112 5.1", b"A B: c\r\n", "400 closed"),
    ("tab in the name", "9112 5.1", b"A\tB: c\r\n", "400 closed"),
    ("space before the name", "9112 5.2", b" A: b\r\n", "400 closed"),
    ("tab before the name", "9112 5.2", b"\tA: b\r\n", "400 closed"),
    ("brackets in the name", "9110 5.1; Http11Probe INVALID-HEADER-NAME", b"Bad[Name: b\r\n", "400 closed"),
    ("at sign in the name", "9110 5.1; llhttp", b"Fo@: b\r\n", "400 closed"),
    ("parentheses in the name", "9110 5.1", b"A(b): c\r\n", "400 closed"),
    ("quotes in the name", "9110 5.1", b"\"A\": b\r\n", "400 closed"),
    ("slash in the name", "9110 5.1", b"A/b: c\r\n", "400 closed"),
    ("backslash in the name", "9110 5.1", b"A\\b: c\r\n", "400 closed"),
    ("comma in the name", "9110 5.1", b"A,b: c\r\n", "400 closed"),
    ("semicolon in the name", "9110 5.1", b"A;b: c\r\n", "400 closed"),
    ("angle brackets in the name", "9110 5.1", b"<A>: c\r\n", "400 closed"),
    ("braces in the name", "9110 5.1", b"{A}: c\r\n", "400 closed"),
    ("question mark in the name", "9110 5.1", b"A?: c\r\n", "400 closed"),
    ("equals in the name", "9110 5.1", b"A=: c\r\n", "400 closed"),
    ("NUL in the name", "9110 5.1", b"A\0: b\r\n", "400 closed"),
    ("control character in the name", "9110 5.1; llhttp", b"Foo\x01test: b\r\n", "400 closed"),
    ("DEL in the name", "9110 5.1", b"A\x7f: b\r\n", "400 closed"),
    ("Latin-1 in the name", "9110 5.1; http-garden", b"\xefoo: b\r\n", "400 closed"),
    (
        "UTF-8 in the name",
        "9110 5.1; Http11Probe MAL-NON-ASCII-HEADER-NAME",
        "X-T\u{eb}st: b\r\n".as_bytes(),
        "400 closed",
    ),
    // Folding.
    ("folded with a space", "9112 5.2; Http11Probe OBS-FOLD", b"A: b\r\n c\r\n", "400 closed"),
    ("folded with a tab", "9112 5.2; llhttp", b"A: b\r\n\tc\r\n", "400 closed"),
    ("folded with an empty first line", "9112 5.2; llhttp", b"A:\r\n b\r\n", "400 closed"),
    ("folded into whitespace", "9112 5.2", b"A: b\r\n \r\n", "400 closed"),
    ("folded with LF", "9112 5.2; llhttp", b"A: b\n c\r\n", "400 closed"),
    ("folded name", "9112 5.2; llhttp", b"name\r\n : value\r\n", "400 closed"),
    ("folded with a form feed", "9112 5.2; Tornado's suite", b"A: b\r\n\x0cc\r\n", "400 closed"),
    // Line ends.
    ("LF", "9112 2.2; Http11Probe BARE-LF-HEADER", b"A: b\nC: d\r\n", "400 closed"),
    ("LF in a value", "9112 2.2; llhttp", b"A: b\nc\r\n", "400 closed"),
    ("LF behind a colon", "9112 2.2; llhttp", b"A:\nB: c\r\n", "400 closed"),
    ("CR in a value", "9110 5.5; llhttp", b"A: b\rc\r\n", "400 closed"),
    ("CR between fields", "9112 2.2; llhttp", b"A: b\rC: d\r\n", "400 closed"),
    ("CR in a name", "9112 2.2; llhttp", b"A\rB: c\r\n", "400 closed"),
    ("CR behind a colon", "9112 2.2; llhttp", b"A:\rB: c\r\n", "400 closed"),
    ("CR before a name", "9112 2.2; llhttp", b"\rA: b\r\n", "400 closed"),
    ("CR behind a value", "9112 2.2", b"A: b\r\r\n", "400 closed"),
    ("LF CR", "9112 2.2", b"A: b\n\r", "400 closed"),
    ("CR for a hyphen", "9112 2.2; llhttp", b"Connection: keep\ralive\r\n", "400 closed"),
    ("corrupted name", "9112 5; llhttp", b"X-Some-Header\r\x1b\x35\xd5eep-Alive\r\n", "400 closed"),
    // Control characters.
    ("NUL in a value", "9110 5.5; Http11Probe MAL-NUL-IN-HEADER-VALUE", b"A: b\0c\r\n", "400 closed"),
    ("NUL and CR in a value", "9110 5.5; http-garden", b"A: v\0\ralue\r\n", "400 closed"),
    ("NUL as a value", "9110 5.5", b"A: \0\r\n", "400 closed"),
    (
        "bell, backspace, vertical tab",
        "9110 5.5; Http11Probe MAL-CONTROL-CHARS-HEADER",
        b"A: a\x07\x08\x0bd\r\n",
        "400 closed",
    ),
    ("escape", "9110 5.5", b"A: \x1b[31m\r\n", "400 closed"),
    ("DEL in a value", "9110 5.5", b"A: b\x7fc\r\n", "400 closed"),
    ("vertical tab around a value", "9110 5.5", b"A:\x0bb\x0b\r\n", "400 closed"),
    ("form feed around a value", "9110 5.5", b"A:\x0cb\x0c\r\n", "400 closed"),
    // Fields whose content is nobody's business here.
    (
        "content type twice",
        "9110 8.3; Http11Probe COMP-DUPLICATE-CT",
        b"Content-Type: a/b\r\nContent-Type: c/d\r\n",
        "200 open",
    ),
    (
        "nonsense to accept",
        "9110 12.5.1; Http11Probe COMP-ACCEPT-NONSENSE",
        b"Accept: application/x-nonsense\r\n",
        "200 open",
    ),
    ("ranges that aren't served", "9110 14.2; Http11Probe COMP-RANGE-INVALID", b"Range: bytes=abc-xyz\r\n", "200 open"),
    ("odd cookies", "6265 5.4", b"Cookie: ; =; a=\"b; c\r\nCookie: d=e\r\n", "200 open"),
    ("odd date", "9110 13.1.3", b"If-Modified-Since: yesterday\r\n", "200 open"),
    ("authorisation of no scheme", "9110 11.4", b"Authorization: \xff\r\n", "200 open"),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    LINES.iter().map(|(name, source, lines, expected)| Case::new(name, source, get(lines), *expected))
}

#[test]
fn field_lines() {
    check(cases());
}

/// What may be in a value (RFC 9110, section 5.5): all but CR, LF, NUL and the other control characters, of which tab may.
#[test]
fn every_byte_in_a_value() {
    check((0..=255_u8).map(|byte| {
        let good = byte == b'\t' || byte >= b' ' && byte != 0x7f;
        let line = [b"A: b", &[byte][..], b"c\r\n"].concat();
        Case::new(&format!("{byte:#04x}"), "9110 5.5", get(line), if good { "200 open" } else { "400 closed" })
    }));
}

/// What may be in a name (RFC 9110, section 5.6.2). A colon ends it.
#[test]
fn every_byte_in_a_name() {
    check((0..=255_u8).map(|byte| {
        let good = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&byte);
        let line = [b"A", &[byte][..], b"b: c\r\n"].concat();
        Case::new(&format!("{byte:#04x}"), "9110 5.1", get(line), if good { "200 open" } else { "400 closed" })
    }));
}

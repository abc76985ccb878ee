//! What is code in a Rust file, and where a word stands in it.

/// The text with comments, strings and character literals blanked out. Lines keep their numbers.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    while code.len() < bytes.len() {
        let at = code.len();
        let literal = literal_length(&text[at..], at > 0 && is_word(bytes[at - 1]));
        if literal == 0 {
            // Whole characters at a time, so that slicing stays valid.
            let length = text[at..].chars().next().map_or(1, char::len_utf8);
            code.extend_from_slice(&bytes[at..at + length]);
        } else {
            code.extend(bytes[at..at + literal].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
        }
    }
    String::from_utf8(code).expect("whole characters were copied or blanked")
}

/// The lines (from 1) on which `word` stands by itself and not as a part of a longer name.
pub(super) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let alone = |at: usize| {
        let end = at + word.len();
        !(at > 0 && is_word(bytes[at - 1]) || end < bytes.len() && is_word(bytes[end]))
    };
    code.match_indices(word).filter(|(at, _)| alone(*at)).map(|(at, _)| line_of(code, at)).collect()
}

/// The lines (from 1) on which `needle` begins.
pub(super) fn lines_with(text: &str, needle: &str) -> Vec<usize> {
    text.match_indices(needle).map(|(at, _)| line_of(text, at)).collect()
}

pub(super) fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// How long the comment or literal is that begins here; 0 if none does.
fn literal_length(text: &str, within_word: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_length(text);
    }
    if text.starts_with('"') {
        return string_length(text, 1);
    }
    if text.starts_with('\'') {
        return character_length(text);
    }
    // b"..", c"..", r"..", br#".."#, cr##".."##; the prefix is no end of a longer name.
    let prefix = if within_word { 0 } else { text.bytes().take_while(|byte| b"bcr".contains(byte)).count().min(2) };
    let rest = &text[prefix..];
    match prefix {
        0 => 0,
        _ if text[..prefix].ends_with('r') => raw_string_length(rest).map_or(0, |length| prefix + length),
        _ if rest.starts_with('"') => prefix + string_length(rest, 1),
        _ => 0,
    }
}

fn block_comment_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (2, 1);
    while depth > 0 && at < bytes.len() {
        match &bytes[at..bytes.len().min(at + 2)] {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

fn string_length(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    bytes.len().min(at + 1)
}

fn raw_string_length(text: &str) -> Option<usize> {
    let hashes = text.bytes().take_while(|byte| *byte == b'#').count();
    let body = text[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(body.find(&end).map_or(text.len(), |at| hashes + 1 + at + end.len()))
}

/// A character literal, or 0 for a lifetime or label.
fn character_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        // The character after the backslash may be a quote itself.
        Some((_, '\\')) => text[3.min(text.len())..].find('\'').map_or(text.len(), |at| 3 + at + 1),
        Some(_) => characters.next().filter(|(_, next)| *next == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_remains() {
        let table = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x \" y", z)"#, r#"f(        , z)"#),
            (r##"f(r#"x " y"#, z)"##, "f(          , z)"),
            (r#"f(b"x", br"\", c"y")"#, r#"f(    ,      ,     )"#),
            ("let r#type = 'x'; 'a: loop {}", "let r#type =    ; 'a: loop {}"),
            (r"('\'', '\\', '\u{1F300}', 'ü', &'a b)", r"(    ,     ,            ,     , &'a b)"),
            ("number\"s\"", "number   "),
            ("\"ä\nö\" ü", "   \n    ü"),
            ("\"open", "     "),
        ];
        for (text, expected) in table {
            let code = code_only(text);
            assert_eq!(
                code.split_whitespace().collect::<Vec<_>>(),
                expected.split_whitespace().collect::<Vec<_>>(),
                "{text}"
            );
            assert_eq!(code.len(), text.len(), "{text}");
            assert_eq!(code.lines().count(), text.lines().count(), "{text}");
        }
    }

    #[test]
    fn words_stand_alone() {
        assert_eq!(lines_with_word("use mio::net;\nuse signal_hook_mio;\nmio2; xmio\n(mio)", "mio"), [1, 4]);
    }
}

//! File names and paths that others choose, made harmless.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// As long as a name may become, in bytes: file systems take 255 (`NAME_MAX`), and a caller may want to add something.
const MAX_LENGTH: usize = 200;

/// A name that can be used for a file in a directory of uploads, as near as possible to the one that a client gave: RFC 7578, section 4.2, and
/// RFC 6266, section 4.3, ask for something like it.
///
/// It has no directory, whichever separator was meant; no control characters, nor those that turn or hide text, nor what
/// Windows or a shell takes for something special; it isn't hidden, looks like no option, and is at most 200 bytes long. If nothing is
/// left of the name it is `file`. Two names may become one: open files with `create_new`.
///
/// ```
/// use landspout_httputil::harmless_filename;
///
/// assert_eq!(harmless_filename("../../etc/passwd"), "passwd");
/// assert_eq!(harmless_filename(r"C:\Users\ada\Ünïcode name.txt"), "Ünïcode name.txt");
/// assert_eq!(harmless_filename(".."), "file");
/// ```
pub fn harmless_filename(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = base.chars().map(|c| if is_harmful(c) { '_' } else { c }).collect();
    // Dots and spaces at the end vanish on Windows, so that two names would be one.
    let plain = plain.trim_start_matches(['.', '-', ' ', '~']).trim_end_matches(['.', ' ']);
    if plain.is_empty() {
        return "file".to_owned();
    }
    let name = shortened(plain.to_owned());
    // Also one that was cut to it.
    if is_device(&name) { shortened(format!("_{name}")) } else { name }
}

/// The path below some directory that the path of a request's target means, percent escapes undone; `None` if it could lead out of that
/// directory, or means nothing that can be a file.
///
/// What comes out is relative and has names alone, neither `..` nor `.`, so it can be joined to the directory. Refused are `..`, NUL,
/// slashes that come out of escapes, backslashes, and what isn't UTF-8. It knows nothing of the file system: symbolic links may lead
/// anywhere, so whoever serves files looks where the path ends.
///
/// ```
/// use std::path::Path;
/// use landspout_httputil::path_beneath;
///
/// assert_eq!(path_beneath("/img//./a%20b.png").as_deref(), Some(Path::new("img/a b.png")));
/// assert_eq!(path_beneath("/img/%2e%2e/secret"), None);
/// ```
pub fn path_beneath(path: &str) -> Option<PathBuf> {
    let mut beneath = PathBuf::new();
    for segment in path.split('/') {
        let name = percent_decode_str(segment).decode_utf8().ok()?;
        match &*name {
            "" | "." => {}
            ".." => return None,
            name if name.contains(['/', '\\', '\0']) => return None,
            name => beneath.push(name),
        }
    }
    Some(beneath)
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '`' | '$' | '&' | ';' | '\'' | '!')
        // What changes the direction of text or can't be seen: `gpj.exe` shown as `exe.jpg`.
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Names that mean devices on Windows, whatever stands behind the first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix| stem.strip_prefix(prefix).is_some_and(|n| matches!(n.as_bytes(), [b'0'..=b'9']));
    ["CON", "PRN", "AUX", "NUL"].contains(&&*stem) || numbered("COM") || numbered("LPT")
}

/// Cuts in the middle, so that the extension stays.
fn shortened(mut name: String) -> String {
    if name.len() <= MAX_LENGTH {
        return name;
    }
    let extension = name.rfind('.').filter(|dot| name.len() - dot <= 20).unwrap_or(name.len());
    let mut end = MAX_LENGTH - (name.len() - extension);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let end = name[..end].trim_end_matches(['.', ' ']).len();
    name.replace_range(end..extension, "");
    name
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use super::*;

    #[test]
    fn names_become_harmless() {
        for (given, harmless) in [
            ("a.txt", "a.txt"),
            ("a b-c_d.tar.gz", "a b-c_d.tar.gz"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("a/b\\c", "c"),
            ("a/", "file"),
            ("", "file"),
            (".", "file"),
            ("...", "file"),
            (". .", "file"),
            (".htaccess", "htaccess"),
            ("-rf", "rf"),
            ("~root", "root"),
            ("a\0b\r\nc\u{7f}\u{85}", "a_b__c__"),
            ("x<y>:\"|?*", "x_y______"),
            ("$(a);`b`&'c'!", "_(a)__b___c__"),
            ("a\u{202e}gpj.exe", "a_gpj.exe"),
            ("a\u{feff}b\u{200b}c\u{2066}d\u{2028}e", "a_b_c_d_e"),
            ("name. . ", "name"),
            ("NUL", "_NUL"),
            (&format!("nul{}x", " ".repeat(300)), "_nul"),
            (&format!("nul{}x.txt", " ".repeat(300)), "_nul.txt"),
            ("con.txt", "_con.txt"),
            ("Com1 .x", "_Com1 .x"),
            ("com10", "com10"),
            ("测试.txt", "测试.txt"),
        ] {
            assert_eq!(harmless_filename(given), harmless, "{given:?}");
            assert_eq!(harmless_filename(harmless), harmless, "it stays as it is");
        }
    }

    #[test]
    fn paths_stay_beneath() {
        for (path, beneath) in [
            ("/", Some("")),
            ("", Some("")),
            ("*", Some("*")),
            ("/a/b.txt", Some("a/b.txt")),
            ("//a///b/", Some("a/b")),
            ("/./a/./b/.", Some("a/b")),
            ("/%2e/%61", Some("a")),
            ("/a%20b+c", Some("a b+c")),
            ("/%E6%B5%8B", Some("测")),
            ("/%", Some("%")),
            ("/%zz", Some("%zz")),
            ("/...", Some("...")),
            ("/..a/.b", Some("..a/.b")),
            ("/%252e%252e/a", Some("%2e%2e/a")),
            ("/..", None),
            ("/../a", None),
            ("/a/..", None),
            ("/a/../b", None),
            ("/%2e%2e/a", None),
            ("/.%2E/a", None),
            ("/a%2f..%2fb", None),
            ("/%2fetc/passwd", None),
            ("/..%5ca", None),
            ("/..\\a", None),
            ("/a%00.txt", None),
            ("/%ff", None),
            ("/%c0%ae%c0%ae/a", None),
        ] {
            let found = path_beneath(path);
            assert_eq!(found.as_deref(), beneath.map(Path::new), "{path:?}");
            let normal = |path: PathBuf| path.components().all(|part| matches!(part, Component::Normal(_)));
            assert!(found.is_none_or(normal), "{path:?}");
        }
    }

    /// Names and paths made of what is dangerous in them.
    #[test]
    fn whatever_comes_is_harmless() {
        const MATERIAL: [&str; 20] = [
            "..",
            ".",
            "/",
            "\\",
            "-",
            "~",
            " ",
            "con",
            "NUL",
            "lpt1",
            "\0",
            "\n",
            "%2e",
            "%2F",
            "%00",
            "%",
            "é",
            "x",
            "\u{202e}",
            "long.name.with.many.dots ",
        ];
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for _ in 0..20_000 {
            let given: String = (0..random(40)).map(|_| MATERIAL[random(MATERIAL.len())]).collect();
            let name = harmless_filename(&given);
            assert!(!name.is_empty() && name.len() <= MAX_LENGTH, "{given:?} became {name:?}");
            assert!(!name.contains(['/', '\\']) && !name.chars().any(is_harmful), "{given:?} became {name:?}");
            assert!(
                !name.starts_with(['.', '-', ' ', '~']) && !name.ends_with(['.', ' ']),
                "{given:?} became {name:?}"
            );
            assert!(!is_device(&name), "{given:?} became {name:?}");
            assert_eq!(harmless_filename(&name), name);
            if let Some(path) = path_beneath(&given) {
                assert!(
                    path.components().all(|part| matches!(part, Component::Normal(_))),
                    "{given:?} became {path:?}"
                );
                assert!(!path.to_str().is_none_or(|path| path.contains('\0')), "{given:?} became {path:?}");
            }
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        for (given, end) in [
            (format!("{}.jpeg", "é".repeat(400)), "é.jpeg"),
            ("x".repeat(1000), "xxx"),
            (format!("{}. .{}", "x".repeat(197), "y".repeat(100)), "xxx"),
            (format!("a.{}", "y".repeat(1000)), "yyy"),
            (format!("{}a.{}", "测".repeat(70), "é".repeat(9)), "é"),
        ] {
            let name = harmless_filename(&given);
            assert!(name.len() <= 200 && name.len() > 190 && name.ends_with(end), "{name}");
            assert_eq!(harmless_filename(&name), name);
        }
    }
}

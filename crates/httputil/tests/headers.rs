//! `HttpHeaders`: Tornado's cases (HTTPHeadersTest), then our own.

use landspout_httputil::{HeaderError, HttpHeaders, Method, Version};

fn pairs(headers: &HttpHeaders) -> Vec<(String, String)> {
    headers.iter().map(|(n, v)| (n.to_owned(), String::from_utf8_lossy(v).into_owned())).collect()
}

/// Fills headers as a codec does.
fn index(headers: &mut HttpHeaders, head: &str) {
    let mut index = headers.reset(head.as_bytes());
    index.set_request_line(Method::GET, 4..head.find(" HTTP/").unwrap(), Version::HTTP_11);
    let mut at = head.find("\r\n").unwrap() + 2;
    for line in head[at..].split_terminator("\r\n").take_while(|line| !line.is_empty()) {
        let colon = line.find(": ").unwrap();
        index.push(at..at + colon, at + colon + 2..at + line.len());
        at += line.len() + 2;
    }
}

#[test]
fn multi_line() {
    let text = "Foo: bar\r\n baz\r\nAsdf: qwer\r\n\tzxcv\r\nFoo: even\r\n     more\r\n     lines\r\n";
    let headers = HttpHeaders::parse(text).unwrap();
    assert_eq!(headers.get_text("asdf").unwrap(), "qwer zxcv");
    assert_eq!(headers.get_list("asdf").collect::<Vec<_>>(), [b"qwer zxcv"]);
    assert_eq!(headers.get_text("FOO").unwrap(), "bar baz,even more lines");
    assert_eq!(headers.get_list("foo").collect::<Vec<_>>(), [&b"bar baz"[..], b"even more lines"]);
    assert_eq!(headers.get("foo"), Some(&b"bar baz"[..]));
    assert!(headers.contains("fOO") && !headers.contains("bar"));
}

#[test]
fn continuation() {
    assert_eq!(HttpHeaders::parse("Foo: bar\r\n\tbaz").unwrap().get("foo"), Some(&b"bar baz"[..]));
    assert_eq!(HttpHeaders::parse(" Foo: bar"), Err(HeaderError::NothingToContinue));
    assert_eq!(HttpHeaders::parse("\tFoo: bar"), Err(HeaderError::NothingToContinue));
    assert!(HttpHeaders::parse("Foo: bar\r\n\x0cbaz").is_err());
    // Whitespace around what is joined is no part of the value.
    assert_eq!(HttpHeaders::parse("Foo:\r\n bar\r\n \r\n").unwrap().get("foo"), Some(&b"bar"[..]));
    assert!(matches!(
        HttpHeaders::parse("Foo: bar\r\n b\x00z"),
        Err(HeaderError::InvalidValue { byte: 0, position: 1, .. })
    ));
}

#[test]
fn continuation_of_what_was_added_before_a_removal() {
    let mut headers = HttpHeaders::parse("A: 1\r\nB: 2\r\nC: 3").unwrap();
    headers.set("B", "22").unwrap();
    headers.parse_line(b" more").unwrap();
    assert_eq!(headers.get("c"), Some(&b"3 more"[..]));
    assert_eq!(headers.get("b"), Some(&b"22"[..]));
}

#[test]
fn forbidden_ascii_characters() {
    for byte in 0..=255_u8 {
        let line = [b"Foo: bar", &[byte][..], b"baz"].concat();
        let expected = match byte {
            // The start of a second line, without a colon.
            b'\n' => None,
            b'\t' | 0x20..=0x7E | 0x80.. => Some([b"bar", &[byte][..], b"baz"].concat()),
            _ => None,
        };
        let parsed = HttpHeaders::parse(&line).ok().and_then(|h| h.get("foo").map(<[u8]>::to_vec));
        assert_eq!(parsed, expected, "byte {byte:#04x}");
        // LF doesn't separate anything here.
        let added = HttpHeaders::new().add("Foo", [b"bar", &[byte][..], b"baz"].concat());
        assert_eq!(added.is_ok(), expected.is_some(), "byte {byte:#04x}");
    }
}

#[test]
fn unicode_newlines() {
    for newline in ["\u{1b}", "\u{1c}", "\u{1d}", "\u{1e}", "\u{1f}", "\x0b", "\x0c"] {
        assert!(HttpHeaders::parse(format!("Foo: bar{newline}baz: x")).is_err(), "{newline:?}");
    }
    for newline in [&b"\x85"[..], b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9"] {
        let headers = HttpHeaders::parse([b"Cookie: foo=", newline, b"bar\r\n"].concat()).unwrap();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers.get("cookie").unwrap(), [b"foo=", newline, b"bar"].concat());
    }
}

#[test]
fn unicode_whitespace() {
    for (space, stripped) in [
        (&b" "[..], true),
        (b"\t", true),
        (b" \t\t ", true),
        (b"\xa0", false),
        (b"\x85", false),
        (b"\xc2\xa0", false),
        (b"\xe3\x80\x80", false),
    ] {
        let padded = [space, b"chunked", space].concat();
        let expected = if stripped { b"chunked".to_vec() } else { padded.clone() };
        let parsed = HttpHeaders::parse([b"Transfer-Encoding:", &padded[..], b"\r\n"].concat()).unwrap();
        assert_eq!(parsed.get("transfer-encoding"), Some(&expected[..]));
        let mut added = HttpHeaders::new();
        added.add("Transfer-Encoding", &padded).unwrap();
        assert_eq!(added, parsed);
    }
}

#[test]
fn optional_cr() {
    let headers = HttpHeaders::parse("CRLF: crlf\r\nLF: lf\nLast: one").unwrap();
    assert_eq!(pairs(&headers), [("CRLF", "crlf"), ("LF", "lf"), ("Last", "one")].map(|(n, v)| (n.into(), v.into())));
    for lone in ["CR: cr\rMore: more\r\n", "CR: cr\r", "CR: cr\r\r\n", "\rCR: cr\r\n"] {
        assert!(HttpHeaders::parse(lone).is_err(), "{lone:?}");
    }
}

#[test]
fn copy() {
    let all = [("A", "1"), ("A", "2"), ("B", "c")];
    let original = HttpHeaders::try_from_iter(all).unwrap();
    let mut copy = original.clone();
    assert_eq!(copy, original);
    copy.add("B", "d").unwrap();
    copy.remove("A");
    assert_eq!(pairs(&original), all.map(|(n, v)| (n.into(), v.into())));
    assert_eq!(pairs(&copy), [("B", "c"), ("B", "d")].map(|(n, v)| (n.into(), v.into())));
}

#[test]
fn pickle_roundtrip() {
    let headers = HttpHeaders::try_from_iter([("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"), ("Foo", "x,y")]).unwrap();
    assert_eq!(HttpHeaders::try_from_iter(headers.iter()).unwrap(), headers);
}

#[test]
fn setdefault() {
    let mut headers = HttpHeaders::from_static(&[("Foo", "bar")]);
    assert_eq!(headers.set_default("foo", "baz").unwrap(), b"bar");
    assert_eq!(headers.set_default("qux", "xyz").unwrap(), b"xyz");
    assert_eq!(headers.get("QUX"), Some(&b"xyz"[..]));
    assert_eq!(headers.len(), 2);
}

#[test]
fn string() {
    let headers = HttpHeaders::try_from_iter([("Foo", "1"), ("Foo", "2"), ("Bar", "é"), ("Empty", "")]).unwrap();
    assert_eq!(headers.to_string(), "Foo: 1\nFoo: 2\nBar: é\nEmpty: \n");
    assert_eq!(HttpHeaders::parse(headers.to_string()).unwrap(), headers);
}

#[test]
fn invalid_header_names() {
    for name in ["", " ", "foo bar", "foo\tbar", "foo\nbar", "foo\x00bar", "foo ", " foo", "foo:", "é", "foo\r"] {
        let mut headers = HttpHeaders::from_static(&[("Foo", "bar")]);
        let error = HeaderError::InvalidName { name: name.to_owned() };
        assert_eq!(headers.add(name, "x"), Err(error.clone()));
        assert_eq!(headers.set(name, "x"), Err(error));
        assert_eq!(headers.len(), 1);
        assert!(name.contains(['\n', ':']) || HttpHeaders::parse(format!("{name}: x\r\n")).is_err(), "{name:?}");
    }
    assert!(matches!(HttpHeaders::parse("Foo : x"), Err(HeaderError::InvalidName { name }) if name == "Foo "));
    assert!(matches!(HttpHeaders::parse(b"\xe9: x"), Err(HeaderError::InvalidName { name }) if name == "é"));
    assert!(matches!(HttpHeaders::parse("no colon"), Err(HeaderError::NoColon { line }) if line == "no colon"));
}

/// A million fields of one name, folded lines, and a look at all of them: anything quadratic would not end.
#[test]
fn linear_performance() {
    let mut headers = HttpHeaders::new();
    for _ in 0..1_000_000 {
        headers.add("X-Foo", "bar").unwrap();
    }
    assert_eq!(headers.len(), 1_000_000);
    assert_eq!(headers.get_text("x-foo").unwrap().len(), 4 * 1_000_000 - 1);
    assert!(headers.remove("X-FOO") && headers.is_empty());

    let folded = HttpHeaders::parse(["A: b\r\n", &" c\r\n".repeat(1_000_000)].concat()).unwrap();
    assert_eq!(folded.get("a").unwrap().len(), 1 + 2 * 1_000_000);
    let folded = HttpHeaders::parse("A: b\r\n c\r\n".repeat(300_000)).unwrap();
    assert_eq!(folded.len(), 300_000);
}

#[test]
fn set_replaces_all_at_the_place_of_the_first() {
    let mut headers = HttpHeaders::try_from_iter([("A", "1"), ("B", "2"), ("a", "3"), ("C", "4"), ("A", "5")]).unwrap();
    headers.set("a", " 6 ").unwrap();
    assert_eq!(pairs(&headers), [("A", "6"), ("B", "2"), ("C", "4")].map(|(n, v)| (n.into(), v.into())));
    headers.set("D", "7").unwrap();
    assert_eq!(headers.len(), 4);
    assert!(headers.set("A", "x\r\ny").is_err());
    assert_eq!(headers.get("A"), Some(&b"6"[..]), "a refused value changes nothing");
    // Deleting right after adding twice is a KeyError in Tornado.
    headers.add("E", "1").unwrap();
    headers.add("E", "2").unwrap();
    assert!(headers.remove("e"));
    assert!(!headers.remove("e"));
}

#[test]
fn get_text_is_latin1() {
    let mut headers = HttpHeaders::new();
    headers.add("X", b"\xe9").unwrap();
    headers.add("X", "b").unwrap();
    assert_eq!(headers.get_text("x").unwrap(), "é,b");
    assert_eq!(headers.get_text("y"), None);
}

#[test]
fn debug_hides_credentials() {
    let headers = HttpHeaders::from_static(&[
        ("Host", "a"),
        ("Cookie", "secret"),
        ("authorization", "secret"),
        ("Set-Cookie", "secret"),
        ("Proxy-Authorization", "secret"),
    ]);
    let debug = format!("{headers:?}");
    assert!(debug.contains(r#""Host": "a""#) && debug.contains("Cookie"), "{debug}");
    assert!(!debug.contains("secret"), "{debug}");
}

#[test]
fn equality_ignores_case_and_the_order_of_different_names() {
    let a = HttpHeaders::from_static(&[("A", "1"), ("B", "2"), ("A", "3")]);
    assert_eq!(a, HttpHeaders::from_static(&[("b", "2"), ("a", "1"), ("a", "3")]));
    assert_ne!(a, HttpHeaders::from_static(&[("a", "3"), ("a", "1"), ("b", "2")]));
    assert_ne!(a, HttpHeaders::from_static(&[("a", "1"), ("b", "2")]));
}

#[test]
fn from_static_is_a_constant_and_copied_when_written_to() {
    const HEADERS: HttpHeaders = HttpHeaders::from_static(&[("Server", "x"), ("A", "")]);
    let mut headers = HEADERS;
    assert_eq!(headers.capacity(), 0);
    assert_eq!(headers.get("server"), Some(&b"x"[..]));
    headers.add("B", "2").unwrap();
    assert_eq!((headers.len(), HEADERS.len()), (3, 2));
    assert!(std::panic::catch_unwind(|| HttpHeaders::from_static(&[("A", " x")])).is_err());
    assert!(std::panic::catch_unwind(|| HttpHeaders::from_static(&[("", "x")])).is_err());
}

#[test]
fn reset_uses_its_storage_again_when_nobody_shares_it() {
    let mut recycled = HttpHeaders::new();
    index(&mut recycled, "GET /one HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n");
    let (storage, capacity) = (recycled.get("host").unwrap().as_ptr(), recycled.capacity());
    for i in 0..100 {
        let given = recycled.clone();
        drop(given);
        index(&mut recycled, &format!("GET /{i} HTTP/1.1\r\nHost: b\r\n\r\n"));
        assert_eq!(recycled.capacity(), capacity);
    }
    index(&mut recycled, "GET /one HTTP/1.1\r\nHost: c\r\nX: 1\r\n\r\n");
    assert_eq!(recycled.get("host").unwrap().as_ptr(), storage);
    assert_eq!(recycled.get("host"), Some(&b"c"[..]));
}

#[test]
fn reset_leaves_what_an_application_kept_alone() {
    let mut recycled = HttpHeaders::new();
    index(&mut recycled, "GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
    let kept = recycled.clone();
    let line = recycled.request_start_line();
    index(&mut recycled, "GET /two HTTP/1.1\r\nHost: b\r\n\r\n");
    drop(kept.clone());
    assert_eq!(kept.get("host"), Some(&b"a"[..]));
    assert_eq!(recycled.get("host"), Some(&b"b"[..]));
    assert_eq!(line.path(), "/one");
    // A start line alone keeps it too.
    let line = recycled.request_start_line();
    index(&mut recycled, "GET /333 HTTP/1.1\r\nHost: c\r\n\r\n");
    assert_eq!(line.path(), "/two");
}

#[test]
fn a_start_line_takes_the_place_of_the_one_before() {
    let mut recycled = HttpHeaders::new();
    let lines =
        [("GET", Version::HTTP_11), ("GET", Version::HTTP_10), ("HEAD", Version::HTTP_11), ("PURGE", Version::HTTP_10)];
    for (before, after) in lines.iter().flat_map(|before| lines.iter().map(move |after| (before, after))) {
        for (path, (method, version)) in [("/", before), ("/after", after)] {
            let target = method.len() + 1..method.len() + 1 + path.len();
            let mut index = recycled.reset(format!("{method} {path}").as_bytes());
            match *method {
                "GET" => index.set_get_line(target, *version),
                _ => index.set_request_line(method.parse().unwrap(), target, *version),
            }
        }
        let line = recycled.request_start_line();
        let (method, version) = after;
        assert_eq!((line.method().as_str(), line.path(), line.version()), (*method, "/after", *version), "{before:?}");
    }
}

#[test]
fn indexed_headers_can_be_changed() {
    let mut headers = HttpHeaders::new();
    index(&mut headers, "GET / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n\r\n");
    headers.remove("content-encoding");
    headers.add("X-Consumed-Content-Encoding", "gzip").unwrap();
    assert_eq!(headers.to_string(), "Host: a\nX-Consumed-Content-Encoding: gzip\n");
    headers.clear();
    assert!(headers.is_empty() && headers.capacity() > 0);
}

#[test]
fn a_start_line_without_a_head_has_an_empty_path() {
    let headers = HttpHeaders::new();
    assert_eq!(headers.request_start_line().path(), "");
}

#[test]
fn iterators_know_their_length_and_both_ends() {
    let headers = HttpHeaders::try_from_iter([("A", "1"), ("B", "2")]).unwrap();
    for headers in [headers, HttpHeaders::from_static(&[("A", "1"), ("B", "2")])] {
        assert_eq!(headers.iter().len(), 2);
        assert_eq!(headers.fields().next_back(), Some((&b"B"[..], &b"2"[..])));
        assert_eq!((&headers).into_iter().next_back(), Some(("B", &b"2"[..])));
    }
}

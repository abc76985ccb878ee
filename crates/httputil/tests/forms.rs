//! Queries, URLs and parameters: Tornado's cases (TestUrlConcat, QsParseTest, and those of HTTPServerTest about encodings).

use landspout_httputil::{
    Bytes, HttpHeaders, HttpInputError, ParseBodyConfig, encode_header, parse_body_arguments, parse_header,
    parse_qs_bytes, url_concat,
};

#[test]
fn url_concat_cases() {
    let url = "https://localhost/path";
    for (name, url, args, expected) in [
        ("no_query_params", url, &[("y", "y"), ("z", "z")][..], "https://localhost/path?y=y&z=z"),
        ("encode_args", url, &[("y", "/y"), ("z", "z")], "https://localhost/path?y=%2Fy&z=z"),
        ("trailing_q", "https://localhost/path?", &[("y", "y")], "https://localhost/path?y=y"),
        ("q_with_no_trailing_amp", "https://localhost/path?x", &[("y", "y")], "https://localhost/path?x=&y=y"),
        ("trailing_amp", "https://localhost/path?x&", &[("y", "y")], "https://localhost/path?x=&y=y"),
        ("mult_params", "https://localhost/path?a=1&b=2", &[("y", "y")], "https://localhost/path?a=1&b=2&y=y"),
        ("no_params", "https://localhost/path?r=1&t=2", &[], "https://localhost/path?r=1&t=2"),
        ("with_frag", "https://localhost/path#tab", &[("y", "y")], "https://localhost/path?y=y#tab"),
        ("multi_same_params", url, &[("y", "y1"), ("y", "y2")], "https://localhost/path?y=y1&y=y2"),
        (
            "multi_same_query_params",
            "https://localhost/path?r=1&r=2",
            &[("y", "y")],
            "https://localhost/path?r=1&r=2&y=y",
        ),
        ("space_and_unicode", "/p?q=a+b%20c", &[("é", "~x y")], "/p?q=a+b+c&%C3%A9=~x+y"),
        ("frag_with_question_mark", "/p#a?b", &[("y", "y")], "/p?y=y#a?b"),
        ("query_that_is_not_utf8", "/p?q=%E9%ZZ", &[("y", "y")], "/p?q=%E9%25ZZ&y=y"),
    ] {
        assert_eq!(url_concat(url, args.iter().copied()), expected, "{name}");
    }
}

#[test]
fn url_concat_none_params() {
    assert_eq!(url_concat("https://localhost/path?r=1", None::<(&str, &str)>), "https://localhost/path?r=1");
}

#[test]
fn url_concat_dict_params() {
    let map = std::collections::BTreeMap::from([("y", "y")]);
    assert_eq!(url_concat("https://localhost/path?r=1", map), "https://localhost/path?r=1&y=y");
}

#[test]
fn qs_parsing() {
    let arguments = parse_qs_bytes("a=1&b=2&a=3");
    let mut pairs: Vec<_> = arguments.iter().map(|(n, v)| (n, &v[..])).collect();
    pairs.sort_unstable();
    assert_eq!(pairs, [("a", &b"1"[..]), ("a", b"3"), ("b", b"2")]);
    assert_eq!(arguments.get_list("a").collect::<Vec<_>>(), [b"1", b"3"]);
    assert_eq!((arguments.get("a").unwrap()[0], arguments.get_last("a").unwrap()[0]), (b'1', b'3'));
}

#[test]
fn qs_edges() {
    for (query, expected) in [
        ("", &[][..]),
        ("&&", &[]),
        ("a", &[("a", &b""[..])]),
        ("=b", &[("", b"b")]),
        ("a=b=c", &[("a", b"b=c")]),
        ("a;b=c", &[("a;b", b"c")]),
        ("a+b=c%2Bd+e", &[("a b", b"c+d e")]),
        ("a=%", &[("a", b"%")]),
        ("a=%4&b=%zz&c=%41", &[("a", b"%4"), ("b", b"%zz"), ("c", b"A")]),
        ("%C3%A9=%E9", &[("é", b"\xe9")]),
        ("%E9=x", &[("é", b"x")]),
        ("a=%00%26", &[("a", b"\0&")]),
    ] {
        let arguments = parse_qs_bytes(query);
        assert_eq!(arguments.iter().map(|(n, v)| (n, &v[..])).collect::<Vec<_>>(), expected, "{query:?}");
    }
    assert_eq!(parse_qs_bytes("a&".repeat(1_000_000)).len(), 1_000_000);
}

fn parse(
    content_type: &str,
    body: &'static [u8],
    headers: &HttpHeaders,
) -> Result<Vec<(String, Vec<u8>)>, HttpInputError> {
    parse_body_arguments(content_type, &Bytes::from_static(body), headers, &ParseBodyConfig::default())
        .map(|form| form.arguments.into_iter().collect())
}

#[test]
fn media_types() {
    let none = HttpHeaders::new();
    let pair = vec![("foo".to_owned(), b"bar".to_vec())];
    for form in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8",
        "Application/X-WWW-Form-Urlencoded ;x",
    ] {
        assert_eq!(parse(form, b"foo=bar", &none), Ok(pair.clone()), "{form}");
    }
    for other in
        ["", "text/plain", "application/x-www-form-urlencoded-2", "application/json;application/x-www-form-urlencoded"]
    {
        assert_eq!(parse(other, b"foo=bar", &none), Ok(vec![]), "{other}");
    }
    let body = b"--a\r\nContent-Disposition: form-data; name=foo\r\n\r\nbar\r\n--a--";
    for form in [
        "multipart/form-data; boundary=a",
        "Multipart/Form-Data;Boundary=\"a\"",
        "multipart/form-data ; charset=\"x;boundary=b\" ; boundary=a ; y=z",
    ] {
        assert_eq!(parse(form, body, &none), Ok(pair.clone()), "{form}");
    }
    for form in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\""] {
        assert_eq!(parse(form, body, &none), Err(HttpInputError::NoBoundary), "{form}");
    }
}

#[test]
fn post_encodings() {
    for encoded in [&b"q=\xe9"[..], b"q=%E9", b"q=%e9"] {
        let arguments = parse("application/x-www-form-urlencoded", encoded, &HttpHeaders::new()).unwrap();
        assert_eq!(arguments, [("q".to_owned(), b"\xe9".to_vec())]);
    }
    for encoded in [&b"q=\xc4\xe3"[..], b"q=%C4%E3"] {
        let arguments = parse("application/x-www-form-urlencoded", encoded, &HttpHeaders::new()).unwrap();
        assert_eq!(arguments[0].1, b"\xc4\xe3", "GBK");
    }
}

#[test]
fn empty_post_parameters() {
    let arguments = parse("application/x-www-form-urlencoded", b"foo=&bar=", &HttpHeaders::new()).unwrap();
    assert_eq!(arguments, [("foo".to_owned(), vec![]), ("bar".to_owned(), vec![])]);
}

/// GzipUnsupportedTest: a form that is still compressed is an error, any other body is not looked at.
#[test]
fn gzip_unsupported() {
    let gzip = HttpHeaders::from_static(&[("Content-Encoding", "gzip")]);
    let error = Err(HttpInputError::UnsupportedContentEncoding("gzip".into()));
    assert_eq!(parse("application/x-www-form-urlencoded", b"\x1f\x8b", &gzip), error);
    assert_eq!(parse("multipart/form-data; boundary=a", b"\x1f\x8b", &gzip), error);
    assert_eq!(parse("text/plain", b"\x1f\x8b", &gzip), Ok(vec![]));
    let both = HttpHeaders::from_static(&[("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]);
    assert_eq!(parse("application/x-www-form-urlencoded", b"\x1f\x8b", &both), error);
    let identity = HttpHeaders::from_static(&[("Content-Encoding", "identity")]);
    assert!(parse("application/x-www-form-urlencoded", b"a=b", &identity).is_ok());
}

#[test]
fn too_many_arguments() {
    let config = ParseBodyConfig { max_arguments: 3, ..Default::default() };
    let parse = |body: &'static str| {
        let body = Bytes::from_static(body.as_bytes());
        parse_body_arguments("application/x-www-form-urlencoded", &body, &HttpHeaders::new(), &config).map(|_| ())
    };
    assert_eq!(parse("a&b&&c&"), Ok(()));
    assert_eq!(parse("a&b&c&d"), Err(HttpInputError::TooManyArguments(3)));
}

#[test]
fn header_parameters() {
    let parsed = parse_header(br#"text/html; Charset="utf-8" ;flag; a=b=c; q="x\"y\\z\w"; last=1; last=2"#);
    assert_eq!(parsed.value(), "text/html");
    for (name, value) in
        [("charset", Some("utf-8")), ("flag", None), ("a", Some("b=c")), ("q", Some(r#"x"y\z\w"#)), ("last", Some("2"))]
    {
        assert_eq!(parsed.get(name).as_deref(), value, "{name}");
    }
    assert_eq!(parse_header(b"").value(), "");
    assert_eq!(parse_header(b"a; b=\"unclosed; c=d").get("b").as_deref(), Some("\"unclosed; c=d"));
    assert_eq!(parse_header(b"a; b=\"x\\").get("b").as_deref(), Some("\"x\\"));
}

#[test]
fn extended_parameters() {
    for (value, expected) in [
        ("UTF-8''na%C3%AFve%20x", Some("naïve x")),
        ("utf-8'en'%e2%82%ac", Some("€")),
        ("iso-8859-1''%E9", Some("é")),
        ("utf-8''%E9", None),
        ("gbk''%C4%E3", None),
        ("plain", None),
    ] {
        let alone = parse_header(format!("a; f*={value}").as_bytes()).get("f");
        assert_eq!(alone.as_deref(), expected, "{value}");
        for both in [format!("a; f=plain; f*={value}"), format!("a; f*={value}; f=plain")] {
            let parsed = parse_header(both.as_bytes());
            assert_eq!(parsed.get("F").as_deref(), expected.or(Some("plain")), "{both}");
        }
    }
}

#[test]
fn encode_header_is_the_way_back() {
    assert_eq!(encode_header("permessage-deflate", []), "permessage-deflate");
    assert_eq!(encode_header("x", [("a", None), ("b", Some("1"))]), "x; a; b=1");
    for value in ["", "a b", r#"a"b\c;d"#, "é"] {
        let encoded = encode_header("x", [("v", Some(value))]);
        assert_eq!(parse_header(encoded.as_bytes()).get("v").as_deref(), Some(value), "{encoded}");
    }
}

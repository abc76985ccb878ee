//! The Host rules, and `split_host_and_port`.

use landspout_httputil::{HttpHeaders, HttpInputError, Version, is_valid_host, split_host_and_port, validate_host};

#[test]
fn valid_hosts() {
    for host in [
        "a",
        "example.com",
        "example.com:80",
        "example.com:",
        "example.com:0",
        "x:65535",
        "x:00080",
        "127.0.0.1:8888",
        "[::1]",
        "[::1]:80",
        "[2001:db8::1.2.3.4]",
        "[v1.a:b]",
        "a_b-c~!$&'()*+;=",
        "%41%c3%A9",
        "xn--bcher-kva.example",
    ] {
        assert!(is_valid_host(host.as_bytes()), "{host:?}");
    }
}

#[test]
fn invalid_hosts() {
    for host in [
        "",
        ":",
        ":80",
        "foo bar",
        "foo\tbar",
        "a,b",
        "a/b",
        "a@b",
        "a?b",
        "a#b",
        "a\\b",
        "<a>",
        "a\"b",
        "é",
        "a:b",
        "a:80:80",
        "x:65536",
        "x:99999999999999999999",
        "x:+80",
        "x:-1",
        "x: 80",
        "%",
        "%4",
        "%4g",
        "::1",
        "[::1",
        "::1]",
        "[::1]80",
        "[::1]:x",
        "[]",
        "[:::1]",
        "[1.2.3.4]",
        "[fe80::1%25lo]",
        "[v.a]",
        "[v1.]",
        "[v1a]",
        "[vg.a]",
        "[a]b",
        "a[b]",
        "a^b",
        "{a}",
    ] {
        assert!(!is_valid_host(host.as_bytes()), "{host:?}");
    }
    assert!(!is_valid_host(b"\xff") && !is_valid_host(b"a\0"));
}

#[test]
fn validate_host_tells_what_is_wrong() {
    let check = |fields: &[(&str, &str)], version| {
        let headers = HttpHeaders::try_from_iter(fields.iter().copied()).unwrap();
        validate_host(&headers, version).map(|host| host.map(str::to_owned))
    };
    let (http10, http11) = (Version::HTTP_10, Version::HTTP_11);
    assert_eq!(check(&[("host", "a:80")], http11), Ok(Some("a:80".into())));
    assert_eq!(check(&[("Host", "a")], http10), Ok(Some("a".into())));
    assert_eq!(check(&[], http10), Ok(None));
    assert_eq!(check(&[], http11), Err(HttpInputError::MissingHost));
    for version in [http10, http11] {
        assert_eq!(check(&[("Host", "a"), ("HOST", "a")], version), Err(HttpInputError::MultipleHosts));
        assert_eq!(check(&[("Host", "a, b")], version), Err(HttpInputError::MultipleHosts));
        assert_eq!(check(&[("Host", "foo bar")], version), Err(HttpInputError::InvalidHost("foo bar".into())));
        assert_eq!(check(&[("Host", "")], version), Err(HttpInputError::InvalidHost(String::new())));
    }
}

#[test]
fn split_host_and_port_cases() {
    for (netloc, host, port) in [
        ("example.com", "example.com", None),
        ("example.com:80", "example.com", Some(80)),
        ("[::1]:8888", "[::1]", Some(8888)),
        ("[::1]", "[::1]", None),
        ("::1", "::1", None),
        ("a:", "a:", None),
        ("a:b", "a:b", None),
        ("a:+1", "a:+1", None),
        ("a:65536", "a:65536", None),
        ("", "", None),
    ] {
        assert_eq!(split_host_and_port(netloc), (host, port), "{netloc:?}");
    }
}

//! `Host`: exactly one, and one that is a host (RFC 9112, section 3.2; RFC 9110, section 7.2).

use crate::harness::{Case, check};

/// Name, source, value of `Host`, what is expected.
const VALUES: &[(&str, &str, &[u8], &str)] = &[
    ("name", "9110 7.2", b"example.com", "200 open"),
    ("name in capitals", "3986 3.2.2", b"EXAMPLE.com", "200 open"),
    ("name with a final dot", "3986 3.2.2", b"example.com.", "200 open"),
    ("name with an underscore", "3986 3.2.2", b"a_b", "200 open"),
    ("name with a hyphen first", "3986 3.2.2", b"-a", "200 open"),
    ("escaped name", "3986 3.2.2", b"%C3%A9.example", "200 open"),
    ("port", "9110 7.2", b"example.com:8888", "200 open"),
    ("port 0", "3986 3.2.3", b"a:0", "200 open"),
    ("port 65535", "3986 3.2.3", b"a:65535", "200 open"),
    ("port with zeros", "3986 3.2.3", b"a:00080", "200 open"),
    ("empty port", "3986 3.2.3", b"a:", "200 open"),
    ("IPv4", "3986 3.2.2", b"127.0.0.1:80", "200 open"),
    ("IPv6", "3986 3.2.2", b"[::1]", "200 open"),
    ("IPv6 and a port", "3986 3.2.2", b"[2001:db8::1]:8888", "200 open"),
    ("IPv6 with IPv4", "3986 3.2.2", b"[::ffff:127.0.0.1]", "200 open"),
    ("a future address", "3986 3.2.2", b"[v1.a:b]", "200 open"),
    ("253 bytes", "1035 2.3.4", &[b'a'; 253], "200 open"),
    ("whitespace around", "9110 5.5", b" \t a \t ", "200 open"),
    ("empty", "9110 4.2.1; Http11Probe COMP-HOST-EMPTY-VALUE", b"", "400 closed"),
    ("whitespace alone", "9110 4.2.1", b" \t ", "400 closed"),
    ("user information", "9110 7.2; Http11Probe COMP-HOST-WITH-USERINFO", b"user@example.com", "400 closed"),
    ("user and password", "9110 7.2", b"user:pass@example.com", "400 closed"),
    ("path", "9110 7.2; Http11Probe COMP-HOST-WITH-PATH", b"example.com/path", "400 closed"),
    ("slash", "9110 7.2", b"example.com/", "400 closed"),
    ("query", "9110 7.2", b"example.com?a", "400 closed"),
    ("fragment", "9110 7.2", b"example.com#a", "400 closed"),
    ("scheme", "9110 7.2", b"http://example.com", "400 closed"),
    ("space inside", "9110 7.2; Tornado's suite", b"foo bar", "400 closed"),
    ("tab inside", "9110 7.2", b"foo\tbar", "400 closed"),
    ("comma", "9110 7.2; Http11Probe SMUG-MULTIPLE-HOST-COMMA", b"a, b", "400 closed"),
    ("comma without a space", "9110 7.2", b"a,b", "400 closed"),
    ("the same twice in a list", "9110 7.2", b"a, a", "400 closed"),
    ("comma alone", "9110 7.2", b",", "400 closed"),
    ("port too high", "3986 3.2.3", b"a:65536", "400 closed"),
    ("port that wraps", "3986 3.2.3", b"a:4294967376", "400 closed"),
    ("port that wraps twice", "3986 3.2.3", b"a:18446744073709551696", "400 closed"),
    ("port of letters", "3986 3.2.3", b"a:http", "400 closed"),
    ("port with a sign", "3986 3.2.3", b"a:+80", "400 closed"),
    ("port below 0", "3986 3.2.3", b"a:-1", "400 closed"),
    ("port with a space before", "3986 3.2.3", b"a: 80", "400 closed"),
    ("space before the port", "3986 3.2.3", b"a :80", "400 closed"),
    ("two ports", "3986 3.2.3", b"a:80:80", "400 closed"),
    ("port alone", "9110 7.2", b":80", "400 closed"),
    ("colon alone", "9110 7.2", b":", "400 closed"),
    ("IPv6 without brackets", "3986 3.2.2", b"::1", "400 closed"),
    ("open bracket", "3986 3.2.2", b"[::1", "400 closed"),
    ("close bracket", "3986 3.2.2", b"::1]", "400 closed"),
    ("empty brackets", "3986 3.2.2", b"[]", "400 closed"),
    ("name in brackets", "3986 3.2.2", b"[a]", "400 closed"),
    ("IPv4 in brackets", "3986 3.2.2", b"[127.0.0.1]", "400 closed"),
    ("no IPv6", "3986 3.2.2", b"[1:2:3]", "400 closed"),
    ("zone", "6874 2; 9110 4.2", b"[fe80::1%25eth0]", "400 closed"),
    ("letters behind brackets", "3986 3.2.2", b"[::1]a", "400 closed"),
    ("two brackets", "3986 3.2.2", b"[[::1]]", "400 closed"),
    ("backslash", "3986 3.2.2", b"a\\b", "400 closed"),
    ("quotes", "3986 3.2.2", b"\"a\"", "400 closed"),
    ("angle brackets", "3986 3.2.2", b"<a>", "400 closed"),
    ("bar", "3986 3.2.2", b"a|b", "400 closed"),
    ("braces", "3986 3.2.2", b"{a}", "400 closed"),
    ("cut escape", "3986 2.1", b"a%2", "400 closed"),
    ("no escape", "3986 2.1", b"a%zz", "400 closed"),
    ("beyond ASCII", "3986 3.2.2", b"\xc3\xa9.example", "400 closed"),
    ("NUL", "9110 5.5", b"a\0b", "400 closed"),
    ("DEL", "9110 5.5", b"a\x7fb", "400 closed"),
];

/// Name, source, the whole request, what is expected.
const REQUESTS: &[(&str, &str, &str, &str)] = &[
    ("none", "9112 3.2; Http11Probe MISSING-HOST", "GET / HTTP/1.1\r\n\r\n", "400 closed"),
    ("none, other fields", "9112 3.2", "GET / HTTP/1.1\r\nA: b\r\nHosts: a\r\nX-Host: a\r\n\r\n", "400 closed"),
    ("none in HTTP/1.2", "9112 3.2", "GET / HTTP/1.2\r\n\r\n", "400 closed"),
    ("none in HTTP/1.0", "9112 3.2; Http11Probe COMP-HTTP10-NO-HOST", "GET / HTTP/1.0\r\n\r\n", "200 closed"),
    ("none with an absolute target", "9112 3.2.2", "GET http://a/ HTTP/1.1\r\n\r\n", "400 closed"),
    ("none with an absolute target in HTTP/1.0", "9112 3.2.2", "GET http://a/ HTTP/1.0\r\n\r\n", "200 closed"),
    ("none with a body", "9112 3.2", "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", "400 closed"),
    (
        "none with chunks",
        "9112 3.2",
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "400 closed",
    ),
    ("name in capitals", "9110 5.1", "GET / HTTP/1.1\r\nHOST: a\r\n\r\n", "200 open"),
    ("name in lower case", "9110 5.1", "GET / HTTP/1.1\r\nhost: a\r\n\r\n", "200 open"),
    ("last field", "9110 5.3", "GET / HTTP/1.1\r\nA: b\r\nC: d\r\nHost: a\r\n\r\n", "200 open"),
    ("two", "9112 3.2; Http11Probe DUPLICATE-HOST", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 closed"),
    (
        "the same twice",
        "9112 3.2; Http11Probe COMP-DUPLICATE-HOST-SAME",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    ("twice in other case", "9112 3.2", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nhOST: a\r\n\r\n", "400 closed"),
    ("three", "9112 3.2", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\nHost: a\r\n\r\n", "400 closed"),
    ("one and an empty one", "9112 3.2", "GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n", "400 closed"),
    ("two in HTTP/1.0", "9112 3.2", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400 closed"),
    ("invalid in HTTP/1.0", "9112 3.2", "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", "400 closed"),
    ("empty in HTTP/1.0", "9110 4.2.1", "GET / HTTP/1.0\r\nHost:\r\n\r\n", "400 closed"),
    ("two with an absolute target", "9112 3.2", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 closed"),
    ("folded", "9112 5.2", "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n", "400 closed"),
    ("space before the colon", "9112 5.1", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400 closed"),
    (
        "space before the name",
        "9112 2.2; Http11Probe COMP-WHITESPACE-BEFORE-HEADERS",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "400 closed",
    ),
    ("tab before the name", "9112 2.2; http-garden", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", "400 closed"),
    (
        "line of a space before",
        "9112 2.2; Http11Probe COMP-WHITESPACE-BEFORE-HEADERS",
        "GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n",
        "400 closed",
    ),
    (
        "one in a field that proxies read",
        "7239 5.3",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: b\r\nForwarded: host=c\r\n\r\n",
        "200 open",
    ),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    values().chain(requests())
}

fn values() -> impl Iterator<Item = Case> {
    VALUES.iter().map(|(name, source, value, expected)| {
        let request = [b"GET / HTTP/1.1\r\nHost: ", *value, b"\r\n\r\n"].concat();
        Case::new(name, source, request, *expected)
    })
}

#[test]
fn values_of_host() {
    check(values());
}

fn requests() -> impl Iterator<Item = Case> {
    REQUESTS.iter().map(|(name, source, request, expected)| Case::new(name, source, *request, *expected))
}

#[test]
fn one_host_and_only_one() {
    check(requests());
}

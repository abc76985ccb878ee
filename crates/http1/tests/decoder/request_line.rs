//! The request line: RFC 9112, sections 2.2, 2.3 and 3.

use crate::harness::{Row, check};

/// What comes of `line`, followed by a good `Host` and nothing else.
fn line(line: &[u8], expected: &str) {
    let input = [line, b"\r\nHost: example.com\r\n\r\n"].concat();
    match expected {
        error if error.starts_with("!4") || error.starts_with("!5") => check(&input, &[error]),
        last if last.contains(" close") => check(&input, &[last, "end", "closed"]),
        head => check(&input, &[head, "end"]),
    }
}

#[test]
fn good_lines() {
    for (text, expected) in [
        ("GET / HTTP/1.1", "GET / 1.1 - keep"),
        ("GET / HTTP/1.0", "GET / 1.0 - close"),
        ("POST /a/b?c=d&e HTTP/1.1", "POST /a/b?c=d&e 1.1 - keep"),
        ("HEAD //double//slash HTTP/1.1", "HEAD //double//slash 1.1 - keep"),
        ("PUT /%C3%A9 HTTP/1.1", "PUT /%C3%A9 1.1 - keep"),
        ("DELETE /;a=b,c HTTP/1.1", "DELETE /;a=b,c 1.1 - keep"),
        ("PATCH /a:b@c!$&'()*+ HTTP/1.1", "PATCH /a:b@c!$&'()*+ 1.1 - keep"),
        ("TRACE / HTTP/1.1", "TRACE / 1.1 - keep"),
        ("QUERY / HTTP/1.1", "QUERY / 1.1 - keep"),
        // Methods are case-sensitive tokens, and any token is one: RFC 9110, section 9.1.
        ("get / HTTP/1.1", "get / 1.1 - keep"),
        ("M-SEARCH / HTTP/1.1", "M-SEARCH / 1.1 - keep"),
        ("!#$%&'*+-.^_`|~09 / HTTP/1.1", "!#$%&'*+-.^_`|~09 / 1.1 - keep"),
        (
            "VERY-LONG-METHOD-NAME-THAT-NO-ENUM-KNOWS / HTTP/1.1",
            "VERY-LONG-METHOD-NAME-THAT-NO-ENUM-KNOWS / 1.1 - keep",
        ),
        ("PRI / HTTP/1.1", "PRI / 1.1 - keep"),
        // Not in the grammar of a URI, and harmless: browsers send some of them.
        ("GET /a|b[c]{d}\\e^f`g\"h<i> HTTP/1.1", "GET /a|b[c]{d}\\e^f`g\"h<i> 1.1 - keep"),
        ("GET /%00%zz%0d%0a HTTP/1.1", "GET /%00%zz%0d%0a 1.1 - keep"),
        ("GET /? HTTP/1.1", "GET /? 1.1 - keep"),
        // HTTP/1.x with x > 1 is read as 1.1: RFC 9110, section 2.5.
        ("GET / HTTP/1.2", "GET / 1.1 - keep"),
        ("GET /HTTP/1.1 HTTP/1.9", "GET /HTTP/1.1 1.1 - keep"),
        // The four forms: RFC 9112, section 3.2.
        ("OPTIONS * HTTP/1.1", "OPTIONS * 1.1 - keep asterisk"),
        ("OPTIONS / HTTP/1.1", "OPTIONS / 1.1 - keep"),
        ("OPTIONS http://example.com HTTP/1.1", "OPTIONS http://example.com 1.1 - keep absolute"),
        ("GET http://example.com/a?b HTTP/1.1", "GET http://example.com/a?b 1.1 - keep absolute"),
        ("GET HTTPS://EXAMPLE.com:443/ HTTP/1.0", "GET HTTPS://EXAMPLE.com:443/ 1.0 - close absolute"),
        ("GET http://[::1]:8888/ HTTP/1.1", "GET http://[::1]:8888/ 1.1 - keep absolute"),
        ("GET http://example.com?q HTTP/1.1", "GET http://example.com?q 1.1 - keep absolute"),
        ("CONNECT example.com:443 HTTP/1.1", "CONNECT example.com:443 1.1 - keep authority"),
        ("CONNECT [2001:db8::1]:22 HTTP/1.1", "CONNECT [2001:db8::1]:22 1.1 - keep authority"),
        ("CONNECT 127.0.0.1:1 HTTP/1.0", "CONNECT 127.0.0.1:1 1.0 - close authority"),
    ] {
        line(text.as_bytes(), expected);
    }
}

#[test]
fn bad_lines() {
    for (text, error) in [
        // Spaces: exactly one between the parts.
        ("GET  / HTTP/1.1", "RequestLine"),
        ("GET /  HTTP/1.1", "RequestLine"),
        (" GET / HTTP/1.1", "RequestLine"),
        ("GET / HTTP/1.1 ", "RequestLine"),
        ("GET / HTTP/1.1 x", "RequestLine"),
        ("GET /a b HTTP/1.1", "RequestLine"),
        ("GET\t/ HTTP/1.1", "RequestLine"),
        ("GET /\tHTTP/1.1", "RequestLine"),
        ("GET\t/\tHTTP/1.1", "RequestLine"),
        ("GET / HTTP/1.1\t", "Version"),
        ("\tGET / HTTP/1.1", "Method"),
        ("GET /\ta HTTP/1.1", "Target"),
        // Parts missing.
        ("GET", "RequestLine"),
        ("GET ", "RequestLine"),
        ("GET /", "RequestLine"),
        ("GET / ", "Version"),
        ("GET HTTP/1.1", "RequestLine"),
        ("GET  HTTP/1.1", "Target"),
        (" / HTTP/1.1", "Method"),
        ("/ HTTP/1.1", "RequestLine"),
        ("HTTP/1.1 200 OK", "Method"),
        ("asdf", "RequestLine"),
        ("   ", "RequestLine"),
        // Methods.
        ("G ET / HTTP/1.1", "RequestLine"),
        ("GET, / HTTP/1.1", "Method"),
        ("FOO,BAR / HTTP/1.1", "Method"),
        ("GE(T) / HTTP/1.1", "Method"),
        ("\"GET\" / HTTP/1.1", "Method"),
        ("G\u{e9}T / HTTP/1.1", "Method"),
        ("GET: / HTTP/1.1", "Method"),
        ("<GET> / HTTP/1.1", "Method"),
        ("{} / HTTP/1.1", "Method"),
        ("A/B / HTTP/1.1", "Method"),
        // Versions: 505 for another major version, 400 for what is none.
        ("GET / HTTP/0.9", "UnsupportedVersion"),
        ("GET / HTTP/2.0", "UnsupportedVersion"),
        ("PRI * HTTP/2.0", "UnsupportedVersion"),
        ("GET / HTTP/3.0", "UnsupportedVersion"),
        ("GET / HTTP/9.9", "UnsupportedVersion"),
        ("GET / HTTP/2", "Version"),
        ("GET / HTTP/1", "Version"),
        ("GET / HTTP/1.", "Version"),
        ("GET / HTTP/.1", "Version"),
        ("GET / HTTP/11", "Version"),
        ("GET / HTTP/1.10", "Version"),
        ("GET / HTTP/1.1.", "Version"),
        ("GET / HTTP/1.1.1", "Version"),
        ("GET / HTTP/01.1", "Version"),
        ("GET / HTTP/1.01", "Version"),
        ("GET / HTTP/1.x", "Version"),
        ("GET / HTTP/a.b", "Version"),
        ("GET / HTTP/-1.1", "Version"),
        ("GET / HTTP/1,1", "Version"),
        ("GET / HTTP 1.1", "RequestLine"),
        ("GET / HTTP/ 1.1", "RequestLine"),
        ("GET / http/1.1", "Version"),
        ("GET / Http/1.1", "Version"),
        ("GET / HTTPS/1.1", "Version"),
        ("GET / HTP/1.1", "Version"),
        ("GET / HTTP1.1", "Version"),
        ("GET / FTP/1.1", "Version"),
        ("GET / /1.1", "Version"),
        ("GET / HTTP/\u{661}.1", "Version"),
        ("GET / RTSP/1.0", "Version"),
        ("GET / ICY", "Version"),
        // Targets: characters.
        ("GET /a#b HTTP/1.1", "Target"),
        ("GET # HTTP/1.1", "Target"),
        ("GET /\u{e9} HTTP/1.1", "Target"),
        ("GET /caf\u{c3}\u{a9} HTTP/1.1", "Target"),
        ("GET http://example.com/\u{e9} HTTP/1.1", "Target"),
        // Targets: forms.
        ("GET * HTTP/1.1", "Target"),
        ("POST * HTTP/1.1", "Target"),
        ("OPTIONS ** HTTP/1.1", "Target"),
        ("OPTIONS *?a HTTP/1.1", "Target"),
        ("GET a HTTP/1.1", "Target"),
        ("GET a/b HTTP/1.1", "Target"),
        ("GET ?a HTTP/1.1", "Target"),
        ("GET ../a HTTP/1.1", "Target"),
        ("GET \\a HTTP/1.1", "Target"),
        ("GET example.com HTTP/1.1", "Target"),
        ("GET example.com:80 HTTP/1.1", "Target"),
        ("OPTIONS example.com:80 HTTP/1.1", "Target"),
        ("GET http:/a HTTP/1.1", "Target"),
        ("GET http:a HTTP/1.1", "Target"),
        ("GET http:// HTTP/1.1", "Target"),
        ("GET http:///a HTTP/1.1", "Target"),
        ("GET http://?a HTTP/1.1", "Target"),
        ("GET http://:80/ HTTP/1.1", "Target"),
        ("GET http://user@example.com/ HTTP/1.1", "Target"),
        ("GET http://user:password@example.com/ HTTP/1.1", "Target"),
        ("GET http://example.com:x/ HTTP/1.1", "Target"),
        ("GET http://example.com:65536/ HTTP/1.1", "Target"),
        ("GET http://a,b/ HTTP/1.1", "Target"),
        ("GET http://[::1/ HTTP/1.1", "Target"),
        ("GET http://[::g]/ HTTP/1.1", "Target"),
        ("GET http://example.com#a HTTP/1.1", "Target"),
        ("GET ftp://example.com/ HTTP/1.1", "Target"),
        ("GET ws://example.com/ HTTP/1.1", "Target"),
        ("GET urn:a HTTP/1.1", "Target"),
        ("CONNECT / HTTP/1.1", "Target"),
        ("CONNECT * HTTP/1.1", "Target"),
        ("CONNECT example.com HTTP/1.1", "Target"),
        ("CONNECT example.com: HTTP/1.1", "Target"),
        ("CONNECT example.com:0 HTTP/1.1", "Target"),
        ("CONNECT example.com:x HTTP/1.1", "Target"),
        ("CONNECT example.com:65536 HTTP/1.1", "Target"),
        ("CONNECT example.com:443/ HTTP/1.1", "Target"),
        ("CONNECT :443 HTTP/1.1", "Target"),
        ("CONNECT user@example.com:443 HTTP/1.1", "Target"),
        ("CONNECT http://example.com:443 HTTP/1.1", "Target"),
        ("CONNECT ::1:443 HTTP/1.1", "Target"),
    ] {
        let status = if error == "UnsupportedVersion" { 505 } else { 400 };
        // As Latin-1, so that the table can hold bytes above 0x7F.
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
        line(&bytes, &format!("!{status} {error}"));
    }
}

#[test]
fn every_byte_in_every_part() {
    for byte in 0..=255_u8 {
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let control = match byte {
            b'\n' => Some("!400 BareLineFeed"),
            b'\r' => Some("!400 BareCarriageReturn"),
            0..=8 | 11..=31 | 127 => Some("!400 ControlCharacter"),
            _ => None,
        };
        let method = match byte {
            b' ' => "!400 RequestLine".to_owned(),
            _ if token => format!("A{}B / 1.1 - keep", byte as char),
            _ => "!400 Method".to_owned(),
        };
        line(&[b"A", &[byte][..], b"B / HTTP/1.1"].concat(), control.unwrap_or(&method));
        let target = match byte {
            b' ' => "!400 RequestLine".to_owned(),
            0x21..=0x7E if byte != b'#' => format!("A /a{}b 1.1 - keep", byte as char),
            _ => "!400 Target".to_owned(),
        };
        line(&[b"A /a", &[byte][..], b"b HTTP/1.1"].concat(), control.unwrap_or(&target));
        let version = match byte {
            b' ' => "!400 RequestLine",
            _ => "!400 Version",
        };
        line(&[b"A / HTTP", &[byte][..], b"/1.1"].concat(), control.unwrap_or(version));
    }
}

#[test]
fn garbage_is_refused_when_it_is_seen() {
    let rows: &[Row<'_>] = &[
        // A TLS ClientHello, and other things that aren't even a line: no blank line is waited for.
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &["!400 ControlCharacter"]),
        (b"\x80\x2e\x01\x03\x01", &["!400 ControlCharacter"]),
        (b"\x00", &["!400 ControlCharacter"]),
        (b"GET /\r\n", &["!400 RequestLine"]),
        (b"GET / HTTP/1.1\r\nX", &["..."]),
        (b"GET / HTTP/1.1\r\nX\r\n", &["!400 NoColon"]),
        (b"GET / HTTP/1.1\r\nHost: a", &["..."]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", &["..."]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r", &["..."]),
        (b"G", &["..."]),
        (b"\xff\xff\xff\xff", &["..."]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &["!505 UnsupportedVersion"]),
        (b"EHLO example.com\r\n", &["!400 RequestLine"]),
        (b"SSH-2.0-OpenSSH_9.9\r\n", &["!400 RequestLine"]),
        (b"HTTP/1.1 200 OK\r\n", &["!400 Method"]),
        (b"HELP\r\n", &["!400 RequestLine"]),
        (b"\r\nHELP\r\n", &["!400 RequestLine"]),
        (b"{\"id\":1}\n", &["!400 BareLineFeed"]),
        (b"stats\n", &["!400 BareLineFeed"]),
    ];
    for (input, expected) in rows {
        check(input, expected);
    }
}

#[test]
fn line_ends() {
    let rows: &[Row<'_>] = &[
        (b"GET / HTTP/1.1\nHost: a\n\n", &["!400 BareLineFeed"]),
        (b"GET / HTTP/1.1\nHost: a\r\n\r\n", &["!400 BareLineFeed"]),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", &["!400 BareLineFeed"]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", &["!400 BareLineFeed"]),
        (b"GET / HTTP/1.1\r\nHost: a\n\n", &["!400 BareLineFeed"]),
        (b"GET / HTTP/1.1\r\nA: b\nHost: a\r\n\r\n", &["!400 BareLineFeed"]),
        (b"GET / HTTP/1.1\r\nHost: a \nA: b\r\n\r\n", &["!400 BareLineFeed"]),
        (b"GET / HTTP/1.1\rHost: a\r\r", &["!400 BareCarriageReturn"]),
        (b"GET / HTTP/1.1\r\rHost: a\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", &["!400 BareCarriageReturn"]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rX", &["!400 BareCarriageReturn"]),
        (b"GET / HTTP/1.1\r \nHost: a\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b"GET / HTTP/1.1\r\nHost:\r a\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b"GET / HTTP/1.1\r\n\n", &["!400 BareLineFeed"]),
        (b"GET / HTTP/1.1\n\n", &["!400 BareLineFeed"]),
        (b"GET / HTTP/1.1\n\r\n", &["!400 BareLineFeed"]),
        (b"GET /\x0bHTTP/1.1\r\n\r\n", &["!400 ControlCharacter"]),
        (b"GET / HTTP/1.1\x0c\r\n\r\n", &["!400 ControlCharacter"]),
    ];
    for (input, expected) in rows {
        check(input, expected);
    }
}

#[test]
fn empty_lines_before_a_request() {
    let rows: &[Row<'_>] = &[
        (b"", &[]),
        (b"\r\n", &[]),
        (b"\r", &["..."]),
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["GET / 1.1 - keep", "end"]),
        (b"\r\nGET / HTTP/1.2\r\nHost: a\r\n\r\n", &["GET / 1.1 - keep", "end"]),
        (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["!400 EmptyLines"]),
        (b"\r\n\r\n", &["!400 EmptyLines"]),
        (b"\r\n\r", &["..."]),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["!400 BareLineFeed"]),
        (b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["!400 BareLineFeed"]),
        (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b"\r\n\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b" \r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["!400 RequestLine"]),
        // Again one for the next request.
        (
            b"\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
            &["GET /1 1.1 - keep", "end", "GET /2 1.1 - keep", "end"],
        ),
        (
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            &["GET /1 1.1 - keep", "end", "!400 EmptyLines"],
        ),
    ];
    for (input, expected) in rows {
        check(input, expected);
    }
}

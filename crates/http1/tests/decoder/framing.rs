//! Where a message ends and whether the connection stays: RFC 9112, sections 6 and 9; RFC 9110, sections 7.6.1, 7.8, 8.6 and
//! 10.1.1.

use crate::harness::check;

/// A head with these fields, and nothing behind it.
fn head(method: &str, version: &str, fields: &str, expected: &str) {
    let input = format!("{method} / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
    // As Latin-1, so that a table can hold bytes above 0x7F.
    let bytes: Vec<u8> = input.chars().map(|c| c as u8).collect();
    if expected.starts_with('!') {
        return check(&bytes, &[expected]);
    }
    let expected = format!("{method} / {version} {expected}");
    let mut events = vec![&*expected];
    if expected.contains(" - ") || expected.contains(" =0 ") {
        events.push("end");
        if expected.contains(" close") {
            events.push("closed");
        }
    } else {
        events.push("...");
    }
    check(&bytes, &events);
}

#[test]
fn content_length() {
    for (fields, expected) in [
        ("Content-Length: 0\r\n", "=0 keep"),
        ("Content-Length: 00\r\n", "=0 keep"),
        ("Content-Length: 5\r\n", "=5 keep"),
        ("content-length:5\r\n", "=5 keep"),
        ("CONTENT-LENGTH:  \t 5 \t\r\n", "=5 keep"),
        ("Content-Length: 007\r\n", "=7 keep"),
        ("Content-Length: 104857600\r\n", "=104857600 keep"),
        // The same number again is one number: RFC 9110, section 8.6.
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "=5 keep"),
        ("Content-Length: 5\r\nX: y\r\ncontent-length: 5\r\nContent-Length: 5\r\n", "=5 keep"),
        ("Content-Length: 5, 5\r\n", "=5 keep"),
        ("Content-Length: 5,5,5\r\n", "=5 keep"),
        ("Content-Length: 5,  \t5\r\nContent-Length: 5\r\n", "=5 keep"),
        // Not the name of the field.
        ("Content_Length: 5\r\n", "- keep"),
        ("Content-Length-: 5\r\n", "- keep"),
        ("X-Content-Length: 5\r\n", "- keep"),
        ("ContentLength: 5\r\n", "- keep"),
    ] {
        head("POST", "1.1", fields, expected);
        head("GET", "1.1", fields, expected);
    }
    for value in [
        "",
        " ",
        "\t",
        "+5",
        "-5",
        "-0",
        "+0",
        "5.",
        "5.0",
        ".5",
        "5e0",
        "0x5",
        "0X5",
        "0o5",
        "0b1",
        "5h",
        "h5",
        "foo",
        "1_0",
        "1 0",
        "1\t0",
        "5;",
        "5;a=b",
        "\"5\"",
        "'5'",
        "(5)",
        "#5",
        "5,",
        ",5",
        ",",
        ",,",
        "5,,5",
        "5, ",
        "5 ,5",
        "5, 6",
        "6, 5",
        "5,05",
        "05,5",
        "5, -5",
        "5, 5x",
        "5;5",
        "5 5",
        "18446744073709551616",
        "99999999999999999999",
        "340282366920938463463374607431768211461",
        "\u{b2}",
        "\u{a0}5",
        "5\u{a0}",
        "\u{85}5",
        "infinity",
        "NaN",
        "null",
        "%35",
        "5\\",
        "\\5",
    ] {
        head("POST", "1.1", &format!("Content-Length: {value}\r\n"), "!400 ContentLength");
        head("POST", "1.0", &format!("Content-Length: {value}\r\n"), "!400 ContentLength");
    }
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 05\r\n",
        "Content-Length: 5\r\nX: y\r\nCONTENT-LENGTH: 50\r\n",
        "Content-Length: 5\r\nContent-Length:\r\n",
        "Content-Length:\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5, 6\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n",
        "Content-Length: 5\r\nContent-Length: -5\r\n",
    ] {
        head("POST", "1.1", fields, "!400 ContentLength");
    }
    // It fits into 64 bits and is more than the limit: said when the body is due.
    for value in ["104857601", "9223372036854775807", "9223372036854775808", "18446744073709551615"] {
        let input = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\n");
        check(input.as_bytes(), &[&format!("POST / 1.1 ={value} keep"), "!413 BodyTooLarge"]);
    }
}

#[test]
fn transfer_encoding() {
    for (value, expected) in [
        ("chunked", "chunked keep"),
        ("Chunked", "chunked keep"),
        ("CHUNKED", "chunked keep"),
        (" \t chunked \t ", "chunked keep"),
        // Understood, not implemented: RFC 9112, section 6.1.
        ("gzip, chunked", "!501 UnsupportedTransferCoding"),
        ("gzip,chunked", "!501 UnsupportedTransferCoding"),
        ("gzip , chunked", "!501 UnsupportedTransferCoding"),
        ("deflate, gzip, chunked", "!501 UnsupportedTransferCoding"),
        ("identity, chunked", "!501 UnsupportedTransferCoding"),
        ("x;a=b, chunked", "!501 UnsupportedTransferCoding"),
        ("foo, Chunked", "!501 UnsupportedTransferCoding"),
        // The length can't be told: RFC 9112, section 6.3, rule 4.
        ("gzip", "!400 TransferEncoding"),
        ("identity", "!400 TransferEncoding"),
        ("chunked, gzip", "!400 TransferEncoding"),
        ("chunked, identity", "!400 TransferEncoding"),
        ("chunked, chunked", "!400 TransferEncoding"),
        ("chunked,chunked", "!400 TransferEncoding"),
        ("gzip, chunked, chunked", "!400 TransferEncoding"),
        ("chunked, gzip, chunked", "!400 TransferEncoding"),
        ("xchunked", "!400 TransferEncoding"),
        ("chunkedx", "!400 TransferEncoding"),
        ("x-chunked", "!400 TransferEncoding"),
        ("chunke", "!400 TransferEncoding"),
        ("nchunked", "!400 TransferEncoding"),
        ("chunk", "!400 TransferEncoding"),
        ("true", "!400 TransferEncoding"),
        // Obfuscations.
        ("", "!400 TransferEncoding"),
        (" ", "!400 TransferEncoding"),
        (",", "!400 TransferEncoding"),
        (",chunked", "!400 TransferEncoding"),
        (", chunked", "!400 TransferEncoding"),
        ("chunked,", "!400 TransferEncoding"),
        ("chunked, ", "!400 TransferEncoding"),
        ("gzip,,chunked", "!400 TransferEncoding"),
        ("chunked;", "!400 TransferEncoding"),
        ("chunked;a", "!400 TransferEncoding"),
        ("chunked;a=b", "!400 TransferEncoding"),
        ("chunked ;a=b", "!400 TransferEncoding"),
        ("gzip, chunked;a=b", "!400 TransferEncoding"),
        (";chunked", "!400 TransferEncoding"),
        ("\"chunked\"", "!400 TransferEncoding"),
        ("'chunked'", "!400 TransferEncoding"),
        ("chunked\"", "!400 TransferEncoding"),
        ("(chunked)", "!400 TransferEncoding"),
        ("chun ked", "!400 TransferEncoding"),
        ("chunked gzip", "!400 TransferEncoding"),
        ("chunked chunked", "!400 TransferEncoding"),
        ("gzip chunked", "!400 TransferEncoding"),
        ("chunked/1", "!400 TransferEncoding"),
        ("chunked:", "!400 TransferEncoding"),
        (": chunked", "!400 TransferEncoding"),
        ("[chunked]", "!400 TransferEncoding"),
        ("chunked\\", "!400 TransferEncoding"),
        ("\u{85}chunked", "!400 TransferEncoding"),
        ("\u{a0}chunked", "!400 TransferEncoding"),
        ("chunked\u{a0}", "!400 TransferEncoding"),
        ("\u{ff}chunked", "!400 TransferEncoding"),
        ("c\u{df}unked", "!400 TransferEncoding"),
        ("\u{0b}chunked", "!400 ControlCharacter"),
        ("\u{0c}chunked", "!400 ControlCharacter"),
        ("chunked\0", "!400 ControlCharacter"),
        ("\u{7f}chunked", "!400 ControlCharacter"),
    ] {
        head("POST", "1.1", &format!("Transfer-Encoding: {value}\r\n"), expected);
        head("GET", "1.1", &format!("transfer-encoding:{value}\r\n"), expected);
    }
    for (fields, expected) in [
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "!400 TransferEncoding"),
        ("Transfer-Encoding: chunked\r\nX: y\r\nTRANSFER-encoding: Chunked\r\n", "!400 TransferEncoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "!400 TransferEncoding"),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "!501 UnsupportedTransferCoding"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "!501 UnsupportedTransferCoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", "!400 TransferEncoding"),
        ("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", "!400 TransferEncoding"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: deflate\r\n", "!400 TransferEncoding"),
        // Not the name of the field.
        ("Transfer_Encoding: chunked\r\n", "- keep"),
        ("Transfer-Encodings: chunked\r\n", "- keep"),
        ("TransferEncoding: chunked\r\n", "- keep"),
        ("X-Transfer-Encoding: chunked\r\n", "- keep"),
        ("TE: chunked\r\n", "- keep"),
        ("Content-Encoding: chunked\r\n", "- keep"),
    ] {
        head("POST", "1.1", fields, expected);
    }
}

#[test]
fn both_lengths_or_the_wrong_version() {
    for value in ["chunked", "Chunked", "gzip, chunked", "identity", "xchunked", "", ",chunked", "chunked;a=b"] {
        for length in ["0", "5", "+5", "", "5x"] {
            for fields in [
                format!("Transfer-Encoding: {value}\r\nContent-Length: {length}\r\n"),
                format!("Content-Length: {length}\r\nX: y\r\nTransfer-Encoding: {value}\r\n"),
            ] {
                head("POST", "1.1", &fields, "!400 AmbiguousLength");
                head("POST", "1.0", &fields, "!400 TransferEncodingInHttp10");
            }
        }
        head("POST", "1.0", &format!("Transfer-Encoding: {value}\r\n"), "!400 TransferEncodingInHttp10");
        head(
            "GET",
            "1.0",
            &format!("Connection: keep-alive\r\nTransfer-Encoding: {value}\r\n"),
            "!400 TransferEncodingInHttp10",
        );
    }
}

#[test]
fn methods_without_a_body() {
    for (fields, expected) in [
        ("", "- keep"),
        ("Content-Length: 0\r\n", "=0 keep"),
        ("Content-Length: 1\r\n", "!400 BodyNotAllowed"),
        ("Transfer-Encoding: chunked\r\n", "!400 BodyNotAllowed"),
    ] {
        head("TRACE", "1.1", fields, expected);
    }
    check(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", &["!400 BodyNotAllowed"]);
    check(
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        &["CONNECT a:1 1.1 =0 keep authority", "end"],
    );
    // Every other method may have one (RFC 9110, section 9.3), and none has one unless it says so.
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "FOO"] {
        head(method, "1.1", "", "- keep");
        head(method, "1.1", "Content-Length: 3\r\n", "=3 keep");
        head(method, "1.1", "Transfer-Encoding: chunked\r\n", "chunked keep");
    }
}

#[test]
fn connection() {
    for (fields, http11, http10) in [
        ("", "keep", "close"),
        ("Connection: close\r\n", "close", "close"),
        ("Connection: CLOSE\r\n", "close", "close"),
        ("connection: Close\r\n", "close", "close"),
        ("Connection: keep-alive\r\n", "keep", "keep"),
        ("Connection: Keep-Alive\r\n", "keep", "keep"),
        ("Connection: foo, close\r\n", "close", "close"),
        ("Connection: close, foo\r\n", "close", "close"),
        ("Connection: foo,close,bar\r\n", "close", "close"),
        ("Connection: foo\tclose\r\n", "keep", "close"),
        ("Connection: ,close,\r\n", "close", "close"),
        ("Connection: , ,keep-alive\r\n", "keep", "keep"),
        ("Connection: foo\r\nConnection: close\r\n", "close", "close"),
        ("Connection: close\r\nX: y\r\nConnection: foo\r\n", "close", "close"),
        ("Connection: keep-alive, close\r\n", "close", "close"),
        ("Connection: close, keep-alive\r\n", "close", "close"),
        ("Connection: keep-alive\r\nConnection: close\r\n", "close", "close"),
        ("Connection: close\r\nConnection: keep-alive\r\n", "close", "close"),
        ("Connection: foo, keep-alive\r\n", "keep", "keep"),
        ("Connection: foo\r\nConnection: keep-alive\r\n", "keep", "keep"),
        ("Connection: closed\r\n", "keep", "close"),
        ("Connection: close;x\r\n", "keep", "close"),
        ("Connection: \"close\"\r\n", "keep", "close"),
        ("Connection: keepalive\r\n", "keep", "close"),
        ("Connection: keep_alive\r\n", "keep", "close"),
        ("Connection:\r\n", "keep", "close"),
        ("X-Connection: close\r\n", "keep", "close"),
        ("Proxy-Connection: keep-alive\r\n", "keep", "close"),
        ("Proxy-Connection: close\r\n", "keep", "close"),
        ("Keep-Alive: timeout=5\r\n", "keep", "close"),
    ] {
        head("GET", "1.1", fields, &format!("- {http11}"));
        head("GET", "1.0", fields, &format!("- {http10}"));
        head("HEAD", "1.0", fields, &format!("- {http10}"));
        // HTTP/1.0 with a method that may have a body says how long it is, or closes.
        head("POST", "1.0", fields, "- close");
        head("DELETE", "1.0", fields, "- close");
        head("POST", "1.0", &format!("{fields}Content-Length: 0\r\n"), &format!("=0 {http10}"));
    }
}

#[test]
fn expect() {
    for (value, expected) in [
        ("100-continue", "expect"),
        ("100-Continue", "expect"),
        ("100-CONTINUE", "expect"),
        (" 100-continue ", "expect"),
        ("100-continue, 100-continue", "expect"),
        ("200-ok", "!"),
        ("100", "!"),
        ("100-continued", "!"),
        ("100-continue, foo", "!"),
        ("foo, 100-continue", "!"),
        ("100-continue;a=b", "!"),
        ("meow", "!"),
        // A list may be empty, and its members too (section 5.6.1.2).
        (", 100-continue ,", "expect"),
        ("", "-"),
        (" , ,", "-"),
    ] {
        let field = format!("Expect: {value}\r\n");
        let (with_body, chunked, without) = match expected {
            "expect" => ("=5 keep expect", "chunked keep expect", "- keep"),
            "-" => ("=5 keep", "chunked keep", "- keep"),
            _ => ("!417 Expectation", "!417 Expectation", "!417 Expectation"),
        };
        head("POST", "1.1", &format!("{field}Content-Length: 5\r\n"), with_body);
        head("POST", "1.1", &format!("Transfer-Encoding: chunked\r\n{field}"), chunked);
        // Nobody waits when there is no body; HTTP/1.0 doesn't know of it: RFC 9110, section 10.1.1.
        head("GET", "1.1", &field, without);
        head("GET", "1.0", &field, "- close");
        head("POST", "1.0", &format!("{field}Content-Length: 5\r\n"), "=5 close");
    }
    head("POST", "1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n", "=0 keep");
    head("POST", "1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", "=5 keep expect");
    head("POST", "1.1", "Expect: 100-continue\r\nExpect: foo\r\nContent-Length: 5\r\n", "!417 Expectation");
    // Framing is looked at before.
    head("POST", "1.1", "Expect: foo\r\nContent-Length: x\r\n", "!400 ContentLength");
}

#[test]
fn upgrade() {
    for (fields, http11) in [
        ("Connection: upgrade\r\nUpgrade: websocket\r\n", "- keep upgrade"),
        ("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", "- keep upgrade"),
        ("Connection: keep-alive\r\nConnection: UPGRADE\r\nUpgrade: a, b/1\r\n", "- keep upgrade"),
        ("Connection: close, upgrade\r\nUpgrade: websocket\r\n", "- close upgrade"),
        ("Connection: close\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", "- close upgrade"),
        ("Connection: upgrade\r\nUpgrade: websocket\r\nConnection: close\r\n", "- close upgrade"),
        ("Upgrade: websocket\r\n", "- keep"),
        ("Connection: upgrade\r\n", "- keep"),
        ("Connection: upgrade\r\nUpgrade:\r\n", "- keep"),
        ("Connection: upgrades\r\nUpgrade: websocket\r\n", "- keep"),
        ("Connection: keep-alive\r\nUpgrade: websocket\r\n", "- keep"),
        ("Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n", "=2 keep upgrade"),
    ] {
        head("GET", "1.1", fields, http11);
    }
    // RFC 9110, section 7.8: never in HTTP/1.0.
    head("GET", "1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", "- close");
    head("GET", "1.0", "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n", "- keep");
}

//! Chunked bodies and trailers: RFC 9112, section 7.1; RFC 9110, section 6.5.

use crate::harness::check;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const HEAD_EVENT: &str = "POST / 1.1 chunked keep";

/// What comes of a chunked body, behind its head.
fn body(body: &[u8], expected: &[&str]) {
    check(&[HEAD, body].concat(), &[&[HEAD_EVENT], expected].concat());
}

/// What comes of one chunk's line, of a chunk of 5 bytes if it is good.
fn line(line: &[u8], expected: &str) {
    let input = [line, b"\r\nhello\r\n0\r\n\r\n"].concat();
    if expected.starts_with('!') { body(&input, &[expected]) } else { body(&input, &["data hello", "end"]) }
}

#[test]
fn good_bodies() {
    for (text, expected) in [
        (&b"0\r\n\r\n"[..], &["end"][..]),
        (b"000\r\n\r\n", &["end"]),
        (b"0000000000000000000000000000000000000000000000000000000000000\r\n\r\n", &["end"]),
        (b"1\r\na\r\n0\r\n\r\n", &["data a", "end"]),
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", &["data hello world", "end"]),
        (b"a\r\n0123456789\r\n0\r\n\r\n", &["data 0123456789", "end"]),
        (b"A\r\n0123456789\r\n0\r\n\r\n", &["data 0123456789", "end"]),
        (b"0A\r\n0123456789\r\n0\r\n\r\n", &["data 0123456789", "end"]),
        (b"00000000000000000000000000000001\r\na\r\n0\r\n\r\n", &["data a", "end"]),
        (b"1F\r\n0123456789012345678901234567890\r\n0\r\n\r\n", &["data 0123456789012345678901234567890", "end"]),
        // Data may look like anything.
        (b"2\r\n\r\n\r\n0\r\n\r\n", &["data \\r\\n", "end"]),
        (b"7\r\n0\r\n\r\nab\r\n0\r\n\r\n", &["data 0\\r\\n\\r\\nab", "end"]),
        (b"3\r\n\x00\xff\n\r\n0\r\n\r\n", &["data \\x00\\xff\\n", "end"]),
        // Not there yet.
        (b"", &["..."]),
        (b"5", &["..."]),
        (b"5\r", &["..."]),
        (b"5\r\n", &["..."]),
        (b"5\r\nhel", &["data hel", "..."]),
        (b"5\r\nhello", &["data hello", "..."]),
        (b"5\r\nhello\r", &["data hello", "..."]),
        (b"5\r\nhello\r\n", &["data hello", "..."]),
        (b"5\r\nhello\r\n0\r\n", &["data hello", "..."]),
        (b"5\r\nhello\r\n0\r\n\r", &["data hello", "..."]),
        (b"5;a=", &["..."]),
        (b"5;a=\"", &["..."]),
    ] {
        body(text, expected);
    }
}

#[test]
fn bad_sizes() {
    for (text, error) in [
        (&b""[..], "ChunkSize"),
        (b" 5", "ChunkSize"),
        (b"\t5", "ChunkSize"),
        (b"5 ", "ChunkExtension"),
        (b"5\t", "ChunkExtension"),
        (b"5 5", "ChunkExtension"),
        (b"+5", "ChunkSize"),
        (b"-5", "ChunkSize"),
        (b"-1", "ChunkSize"),
        (b"+0", "ChunkSize"),
        (b"-0", "ChunkSize"),
        (b"0x5", "ChunkSize"),
        (b"0X5", "ChunkSize"),
        (b"x5", "ChunkSize"),
        (b"5h", "ChunkSize"),
        (b"g", "ChunkSize"),
        (b"G", "ChunkSize"),
        (b"1_0", "ChunkSize"),
        (b"1_a", "ChunkSize"),
        (b"5.0", "ChunkSize"),
        (b"5,5", "ChunkSize"),
        (b"5:", "ChunkSize"),
        (b"5=a", "ChunkSize"),
        (b"\"5\"", "ChunkSize"),
        (b";a", "ChunkSize"),
        (b"hello", "ChunkSize"),
        (b"\xb5", "ChunkSize"),
        (b"\xa05", "ChunkSize"),
        (b"5\xa0", "ChunkSize"),
        (b"5\x00", "ChunkSize"),
        (b"\x005", "ChunkSize"),
        (b"5\x0b", "ChunkSize"),
        (b"5\x0c", "ChunkSize"),
        (b"10000000000000000", "ChunkSize"),
        (b"FFFFFFFFFFFFFFFF0", "ChunkSize"),
        (b"ffffffffffffffffffff", "ChunkSize"),
        (b"00000000000000000010000000000000000", "ChunkSize"),
        (b"5\rX", "BareCarriageReturn"),
        (b"5\r", "BareCarriageReturn"),
        (b"5\r\r", "BareCarriageReturn"),
        (b"5\r\x00", "BareCarriageReturn"),
        (b"5\n", "BareLineFeed"),
        (b"\n5", "BareLineFeed"),
        (b"\r\n5", "ChunkSize"),
    ] {
        line(text, &format!("!400 {error}"));
    }
    body(b"5\nhello\r\n0\r\n\r\n", &["!400 BareLineFeed"]);
    body(b"\nhello", &["!400 BareLineFeed"]);
    body(b"5\rhello\r\n0\r\n\r\n", &["!400 BareCarriageReturn"]);
    // Sizes that fit into 64 bits and are too large all the same.
    for size in ["6400001", "7fffffffffffffff", "8000000000000000", "FFFFFFFFFFFFFFFF", "0000FFFFFFFFFFFFFFFF"] {
        line(size.as_bytes(), "!413 BodyTooLarge");
    }
    body(b"5\r\nhello\r\nffffffffffffffff\r\n", &["data hello", "!413 BodyTooLarge"]);
    body(b"5\r\nhello\r\nfffffffffffffffb\r\n", &["data hello", "!413 BodyTooLarge"]);
}

/// `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`.
#[test]
fn extensions() {
    for good in [
        &b"5;a"[..],
        b"5;a=b",
        b"5;a=b;c=d",
        b"5;a;b;c",
        b"5;a=",
        b"5;a=\"\"",
        b"5;a=\"b\"",
        b"5;a=\"b c;d=e\";f",
        b"5;a=\"\\\"\\\\\\;\"",
        b"5;a=\"\xe9\x80\xff\"",
        b"5;a=\"\\\xe9\"",
        b"5;a=\"\t\"",
        b"5;a=\"0\\\t\"",
        b"5 ;a",
        b"5\t;a",
        b"5 \t ; \t a \t = \t b",
        b"5; a=b ;c",
        b"5;a= \"b\" ;c",
        b"5;a =b",
        b"5;a ;b",
        b"5;!#$%&'*+-.^_`|~09=~",
        b"05;a",
    ] {
        let expected = if good.ends_with(b"=") { "!400 ChunkExtension" } else { "" };
        line(good, expected);
    }
    for bad in [
        &b"5;"[..],
        b"5;;a",
        b"5; ",
        b"5;=",
        b"5;=b",
        b"5;a=;b",
        b"5;a= ",
        b"5;a==b",
        b"5;a=b=c",
        b"5;a ",
        b"5;a=b ",
        b"5;a=\"b\" ",
        b"5;a b",
        b"5;a=b c",
        b"5;a=\"b\"c",
        b"5;a=b\"c\"",
        b"5;a=\"b",
        b"5;a=\"\\",
        b"5;bad[=x",
        b"5;a=[",
        b"5;a,b",
        b"5;a=b,c",
        b"5;\"a\"",
        b"5;a:b",
        b"5;\x00ext",
        b"5;a\x00",
        b"5;a=\x01",
        b"5;a=\"\x00\"",
        b"5;a=\"\x0b\"",
        b"5;a=\"\x7f\"",
        b"5;a=\"\\\x00\"",
        b"5;a=\"\\\x7f\"",
        b"5;\xe9",
        b"5;a=\xe9",
        b"5;a\x0b",
        b"5;a\x7f",
        b"5 ;",
        b"5 a",
        b"5;a;",
        b"5;a; ",
    ] {
        line(bad, "!400 ChunkExtension");
    }
    for (bad, error) in [
        (&b"5;a\rX"[..], "BareCarriageReturn"),
        (b"5;a\r", "BareCarriageReturn"),
        (b"5;a=\"b\"\rX", "BareCarriageReturn"),
        (b"5;a=b\r\r", "BareCarriageReturn"),
        (b"5;\r", "ChunkExtension"),
        (b"5;a=\"b\rc\"", "ChunkExtension"),
        (b"5;a=\"b\r\nc\"", "ChunkExtension"),
        (b"5;\n", "BareLineFeed"),
        (b"5;a\n", "BareLineFeed"),
        (b"5;a=b\nc", "BareLineFeed"),
        (b"5;a=\"b\nc\"", "BareLineFeed"),
        (b"5 \n", "BareLineFeed"),
    ] {
        line(bad, &format!("!400 {error}"));
    }
    // On the last chunk too.
    body(b"0;a=b\r\n\r\n", &["end"]);
    body(b"0;a=\"b\"; c\r\nX: y\r\n\r\n", &["trailers X: y", "end"]);
    body(b"0;\r\n\r\n", &["!400 ChunkExtension"]);
    body(b"0 \r\n\r\n", &["!400 ChunkExtension"]);
}

#[test]
fn bad_ends() {
    for (text, expected) in [
        (&b"5\r\nhello0\r\n\r\n"[..], &["data hello", "!400 ChunkEnd"][..]),
        (b"5\r\nhello\n0\r\n\r\n", &["data hello", "!400 ChunkEnd"]),
        (b"5\r\nhello!!\r\n0\r\n\r\n", &["data hello", "!400 ChunkEnd"]),
        (b"5\r\nhello\r0\r\n\r\n", &["data hello", "!400 ChunkEnd"]),
        (b"5\r\nhello\r\r\n0\r\n\r\n", &["data hello", "!400 ChunkEnd"]),
        (b"5\r\nhello \r\n0\r\n\r\n", &["data hello", "!400 ChunkEnd"]),
        (b"5\r\nhello\r\n\r\n0\r\n\r\n", &["data hello", "!400 ChunkSize"]),
        (b"5\r\nhello\r\n\n0\r\n\r\n", &["data hello", "!400 BareLineFeed"]),
        (b"4\r\nhello\r\n0\r\n\r\n", &["data hell", "!400 ChunkEnd"]),
        (b"6\r\nhello\r\n0\r\n\r\n", &["data hello\\r", "!400 ChunkEnd"]),
        (b"0\r\n\n", &["!400 BareLineFeed"]),
        (b"0\n\r\n", &["!400 BareLineFeed"]),
        (b"0\n\n", &["!400 BareLineFeed"]),
        (b"0\r\n\rX", &["!400 BareCarriageReturn"]),
        (b"0\r\n\r\r\n", &["!400 BareCarriageReturn"]),
        (b"0\r\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b"0\r\nX\r\n\r\n", &["!400 NoColon"]),
        (b"0\r\n5\r\nhello\r\n0\r\n\r\n", &["!400 NoColon"]),
    ] {
        body(text, expected);
    }
}

#[test]
fn trailers() {
    for (text, expected) in [
        (&b"0\r\nX: y\r\n\r\n"[..], &["trailers X: y", "end"][..]),
        (b"2\r\nhi\r\n0\r\nX-Checksum: abc\r\n\r\n", &["data hi", "trailers X-Checksum: abc", "end"]),
        (b"0\r\nA: 1\r\nA: 2\r\nb:\r\n\r\n", &["trailers A: 1; A: 2; b: ", "end"]),
        (b"0\r\nA:  1 \t\r\n\r\n", &["trailers A: 1", "end"]),
        (b"0\r\nA: \xe9\r\n\r\n", &["trailers A: \\xe9", "end"]),
        (
            b"0\r\nServer-Timing: a;dur=1\r\nSignature: b\r\n\r\n",
            &["trailers Server-Timing: a;dur=1; Signature: b", "end"],
        ),
        (b"0\r\nX: y\r\n", &["..."]),
        (b"0\r\nX: y", &["..."]),
        (b"0\r\nX: y\r\n\r", &["..."]),
        // Malformed as in a head.
        (b"0\r\nX : y\r\n\r\n", &["!400 FieldName"]),
        (b"0\r\n: y\r\n\r\n", &["!400 FieldName"]),
        (b"0\r\nX\r\n\r\n", &["!400 NoColon"]),
        (b"0\r\n X: y\r\n\r\n", &["!400 ObsoleteFolding"]),
        (b"0\r\nX: y\r\n z\r\n\r\n", &["!400 ObsoleteFolding"]),
        (b"0\r\nX: y\n\r\n", &["!400 BareLineFeed"]),
        (b"0\r\nX: y\r\n\n", &["!400 BareLineFeed"]),
        (b"0\r\nX: y\rz\r\n\r\n", &["!400 BareCarriageReturn"]),
        (b"0\r\nX: \x00\r\n\r\n", &["!400 ControlCharacter"]),
        (b"0\r\nX: \x7f\r\n\r\n", &["!400 ControlCharacter"]),
        (b"0\r\nX\xe9: y\r\n\r\n", &["!400 FieldName"]),
        (b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &["!400 NoColon"]),
    ] {
        body(text, expected);
    }
    // RFC 9110, section 6.5.1: framing and routing have no place there.
    for name in [
        "Content-Length",
        "Transfer-Encoding",
        "transfer-encoding",
        "HOST",
        "Connection",
        "Trailer",
        "TE",
        "Upgrade",
        "Expect",
        "Content-Encoding",
        "Content-Type",
        "Content-Range",
        "Keep-Alive",
        "Proxy-Connection",
    ] {
        body(format!("0\r\n{name}: 1\r\n\r\n").as_bytes(), &["!400 ForbiddenTrailer"]);
        body(format!("0\r\nX: y\r\n{name}:\r\nZ: 1\r\n\r\n").as_bytes(), &["!400 ForbiddenTrailer"]);
    }
}

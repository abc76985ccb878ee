//! The `Forwarded` field: what is one, what is none, and what it says. Sections are those of RFC 7239.

use landspout_httputil::{ForwardedElement, ForwardedName, ForwardedPort, HttpInputError, parse_forwarded};

/// In a fixed form: `for by host proto extensions`, with `-` for what isn't there, elements with `|` between them.
fn read(value: &str) -> Result<String, HttpInputError> {
    let element = |element: &ForwardedElement| {
        let node = |node: &Option<_>| node.as_ref().map_or("-".to_owned(), ToString::to_string);
        let text = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
        let mut read =
            [node(&element.forwarded_for), node(&element.by), text(&element.host), text(&element.proto)].join(" ");
        for (name, value) in &element.extensions {
            read.push_str(&format!(" {name}={value}"));
        }
        read
    };
    let bytes: Vec<u8> = value.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    Ok(parse_forwarded(&bytes)?.iter().map(element).collect::<Vec<_>>().join(" | "))
}

#[test]
fn fields_that_are_some() {
    for (value, expected) in [
        // The examples of sections 4, 6 and 7.
        (r#"for="_gazonk""#, "_gazonk - - -"),
        (r#"For="[2001:db8:cafe::17]:4711""#, "[2001:db8:cafe::17]:4711 - - -"),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60 203.0.113.43 - http"),
        ("for=192.0.2.43, for=198.51.100.17", "192.0.2.43 - - - | 198.51.100.17 - - -"),
        ("for=_hidden, for=_SEVKISEK", "_hidden - - - | _SEVKISEK - - -"),
        (r#"for=192.0.2.43, for="[2001:db8:cafe::17]""#, "192.0.2.43 - - - | [2001:db8:cafe::17] - - -"),
        (
            r#"for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown"#,
            "192.0.2.43 - - - | [2001:db8:cafe::17] - - - | unknown - - -",
        ),
        (
            "for=192.0.2.43,for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com",
            "192.0.2.43 - - - | 198.51.100.17 203.0.113.60 example.com http",
        ),
        // Nodes.
        (r#"for="192.0.2.43:47011""#, "192.0.2.43:47011 - - -"),
        (r#"for="192.0.2.43:0""#, "192.0.2.43:0 - - -"),
        (r#"for="192.0.2.43:65535""#, "192.0.2.43:65535 - - -"),
        (r#"for="192.0.2.43:_port.1-2""#, "192.0.2.43:_port.1-2 - - -"),
        (r#"for="unknown:80""#, "unknown:80 - - -"),
        (r#"for="_x:_y""#, "_x:_y - - -"),
        (r#"for="[::1]:_y""#, "[::1]:_y - - -"),
        ("for=UNKNOWN", "unknown - - -"),
        ("for=_a.b_c-D9", "_a.b_c-D9 - - -"),
        (r#"for="[::ffff:192.0.2.1]""#, "[::ffff:192.0.2.1] - - -"),
        // Names have no case, order does not matter, and values may be quoted.
        ("PROTO=https;BY=_b;HOST=x;FOR=_a", "_a _b x https"),
        (r#"for="192.0.2.1";proto="https";host="example.com:8080""#, "192.0.2.1 - example.com:8080 https"),
        (r#"host="[::1]:80""#, "- - [::1]:80 -"),
        ("proto=coap+tcp", "- - - coap+tcp"),
        (r#"for="\1\92.0.2.1""#, "192.0.2.1 - - -"),
        // Extensions.
        (r#"for=_a;Secret="a;b,c=\"d\" \\";x=y"#, r#"_a - - - secret=a;b,c="d" \ x=y"#),
        (r#"x="""#, "- - - - x="),
        ("x=\"\u{e4}\t\"", "- - - - x=\u{e4}\t"),
        // What is empty doesn't count.
        ("", ""),
        (" , ,\t, ", ""),
        (";;", ""),
        (";for=_a;;by=_b;", "_a _b - -"),
        (",for=_a,,for=_b,", "_a - - - | _b - - -"),
        (" \tfor=_a ; \tby=_b\t,for=_c ", "_a _b - - | _c - - -"),
    ] {
        assert_eq!(read(value).as_deref(), Ok(expected), "{value}");
    }
}

#[test]
fn fields_that_are_none() {
    for value in [
        "for",
        "for=",
        "=_a",
        "for =_a",
        "for= _a",
        "for=_a by=_b",
        "for=_a _b",
        "for=_a=_b",
        "_a",
        "192.0.2.1",
        // Quotes that don't end, begin late, or hold what may not be there.
        r#"for=""#,
        r#"for="_a"#,
        r#"for="_a\"#,
        r#"for="_a\""#,
        r#"for=_a""#,
        r#"for="_a"_b"#,
        r#"for="_a"";proto=http"#,
        "x=\"\x01\"",
        "x=\"\\\x01\"",
        "x=\"\x7f\"",
        "x=\"\r\n\"",
        "x=\u{e4}",
        "\u{e4}=x",
        // What has to be quoted (section 4: colons and brackets are no token characters).
        "for=192.0.2.1:80",
        "for=[::1]",
        "for=_x:_y",
        "host=example.com:80",
        "x=a/b",
        "x=@",
        // Nodes that are none.
        r#"for="""#,
        "for=::1",
        r#"for="::1""#,
        r#"for="[::1""#,
        r#"for="[::1]80""#,
        r#"for="[192.0.2.1]""#,
        r#"for="[::1]:""#,
        r#"for="192.0.2.1:""#,
        r#"for="192.0.2.1:65536""#,
        r#"for="192.0.2.1:000080""#,
        r#"for="192.0.2.1:+80""#,
        r#"for="192.0.2.1:8_0""#,
        r#"for="192.0.2.1:_""#,
        r#"for="192.0.2.1:80:80""#,
        "for=192.0.2",
        "for=192.0.2.256",
        "for=192.0.2.01",
        "for=example.com",
        "for=_",
        r#"for="_a b""#,
        r#"for="_a/b""#,
        r#"for="[fe80::1%eth0]""#,
        "for=hidden",
        "for=unknowns",
        r#"for=" 192.0.2.1""#,
        r#"for="192.0.2.1 ""#,
        "by=nobody",
        // Hosts and schemes.
        r#"host="""#,
        r#"host="a b""#,
        r#"host="a/b""#,
        r#"host="a:x""#,
        r#"host="a,b""#,
        r#"proto="""#,
        "proto=1http",
        r#"proto="http:""#,
        "proto=ht_tp",
        // Twice in one element.
        "for=_a;for=_a",
        "for=_a;FOR=_b",
        "by=_a;by=_b",
        "proto=http;proto=http",
        "host=a;host=b",
        "x=1;X=2",
        // Not the last of them.
        "for=_a,for=[::1],for=_c",
        r#"for=_a, for="_b, for=_c"#,
        "for=_a\n",
    ] {
        assert!(matches!(read(value), Err(HttpInputError::InvalidForwarded(_))), "{value:?} {:?}", read(value));
    }
}

/// A field cut anywhere is a field of its own or none; nothing panics, whatever stands there.
#[test]
fn any_bytes_are_read_or_refused() {
    let value = br#"For="[2001:db8::17]:4711";proto=http ; by="_x:_y" , for=192.0.2.43;x="\"\\,;" "#;
    for cut in 0..=value.len() {
        let _ = parse_forwarded(&value[..cut]);
        for byte in 0..=255 {
            let mut changed = value.to_vec();
            changed.insert(cut, byte);
            let _ = parse_forwarded(&changed);
        }
    }
}

#[test]
fn nodes_tell_what_they_are() {
    let elements = parse_forwarded(br#"for="192.0.2.43:_p", for="unknown:80", for=_x"#).unwrap();
    let nodes: Vec<_> = elements.iter().map(|element| element.forwarded_for.clone().unwrap()).collect();
    assert_eq!(nodes[0].ip(), Some("192.0.2.43".parse().unwrap()));
    assert_eq!(nodes[0].port, Some(ForwardedPort::Obfuscated("_p".to_owned())));
    assert_eq!((&nodes[1].name, nodes[1].ip()), (&ForwardedName::Unknown, None));
    assert_eq!(nodes[1].port, Some(ForwardedPort::Number(80)));
    assert_eq!(nodes[2].name, ForwardedName::Obfuscated("_x".to_owned()));
}

#[test]
fn a_malformed_field_is_a_bad_request() {
    let error = parse_forwarded(b"for=[::1]").unwrap_err();
    assert_eq!(error.status(), 400);
    assert_eq!(error.to_string(), r#"malformed Forwarded header "for=[::1]""#);
}

//! What a request is seen as, coming from 127.0.0.1 over plain HTTP unless said otherwise. The first tables are the cases of
//! Tornado's XHeaderTest, and have the names of its methods.

use std::net::SocketAddr;

use super::*;

/// What is seen, and that nothing is left of it afterwards.
fn seen_from(context: &RequestContext, xheaders: XHeaders, fields: &[(&str, &str)]) -> String {
    let mut headers = HttpHeaders::new();
    for (name, value) in fields {
        headers.add(name, value).unwrap();
    }
    let before = (context.protocol(), context.remote_ip());
    let believer = Believer::new(xheaders, []).unwrap();
    if let Err(error) = believer.apply_xheaders(context, &headers) {
        assert_eq!(before, (context.protocol(), context.remote_ip()));
        return error.status().to_string();
    }
    let seen = format!("{} {}", context.protocol(), context.remote_ip());
    context.restore();
    assert_eq!(before, (context.protocol(), context.remote_ip()));
    seen
}

fn peer(address: &str) -> RequestContext {
    RequestContext::new(SocketAddr::new(address.parse().unwrap(), 4711), Protocol::Http)
}

fn seen(xheaders: XHeaders, fields: &[(&str, &str)]) -> String {
    seen_from(&peer("127.0.0.1"), xheaders, fields)
}

#[test]
fn test_ip_headers() {
    for (fields, expected) in [
        (&[("X-Real-IP", "4.4.4.4")][..], "http 4.4.4.4"),
        (&[("X-Real-IP", "2620:0:1cfe:face:b00c::3")], "http 2620:0:1cfe:face:b00c::3"),
        (&[("X-Real-IP", "4.4.4.4<script>")], "http 127.0.0.1"),
        (&[("X-Real-IP", "www.google.com")], "http 127.0.0.1"),
        (&[("X-Real-IP", "4.4.4.4"), ("X-Real-IP", "5.5.5.5")], "http 127.0.0.1"),
        (&[("X-Real-IP", "4.4.4.4, 5.5.5.5")], "http 127.0.0.1"),
        (&[("X-Real-IP", "[::1]")], "http 127.0.0.1"),
        (&[("X-Real-IP", "4.4.4.4:80")], "http 127.0.0.1"),
        (&[("X-Real-IP", "")], "http 127.0.0.1"),
        (&[], "http 127.0.0.1"),
    ] {
        assert_eq!(seen(XHeaders::x_real_ip(), fields), expected, "{fields:?}");
    }
    for (fields, expected) in [
        (&[("X-Forwarded-For", "127.0.0.1, 4.4.4.4")][..], "http 4.4.4.4"),
        (&[("X-Forwarded-For", "::1, 2620:0:1cfe:face:b00c::3")], "http 2620:0:1cfe:face:b00c::3"),
        (&[("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-For", "4.4.4.4")], "http 4.4.4.4"),
        (&[("X-Forwarded-For", "4.4.4.4, 5.5.5.5<script>")], "http 127.0.0.1"),
        (&[("X-Forwarded-For", "4.4.4.4, www.google.com")], "http 127.0.0.1"),
        (&[("X-Forwarded-For", "junk, 4.4.4.4")], "http 4.4.4.4"),
        (&[("X-Forwarded-For", "9.9.9.9,\t4.4.4.4 ")], "http 4.4.4.4"),
        (&[("X-Forwarded-For", "4.4.4.4\u{a0}")], "http 127.0.0.1"),
        (&[("X-Forwarded-For", "4.4.4.4,")], "http 127.0.0.1"),
        (&[("X-Forwarded-For", "")], "http 127.0.0.1"),
        (&[], "http 127.0.0.1"),
    ] {
        assert_eq!(seen(XHeaders::from(true), fields), expected, "{fields:?}");
    }
}

#[test]
fn test_trusted_downstream() {
    let trusted = || "127.0.0.1, 5.5.5.5, 6.6.0.0/16, 2001:db8::/32".parse().unwrap();
    let forwarded = |list| seen(XHeaders::x_forwarded().trusting(trusted()), &[("X-Forwarded-For", list)]);
    assert_eq!(forwarded("127.0.0.1, 4.4.4.4, 5.5.5.5"), "http 4.4.4.4");
    assert_eq!(forwarded("1.1.1.1, 4.4.4.4, 6.6.1.1, 2001:db8::9,5.5.5.5"), "http 4.4.4.4");
    assert_eq!(forwarded("4.4.4.4, ::ffff:5.5.5.5"), "http 4.4.4.4", "an IPv4 address in an IPv6 one");
    assert_eq!(forwarded("4.4.4.4, 7.7.7.7, 5.5.5.5"), "http 7.7.7.7", "not every other one");
    assert_eq!(forwarded("6.6.6.6, 5.5.5.5"), "http 6.6.6.6", "the first, if all are trusted");
    assert_eq!(forwarded("5.5.5.5"), "http 5.5.5.5");
    assert_eq!(forwarded("4.4.4.4, junk, 5.5.5.5"), "http 127.0.0.1");
}

#[test]
fn test_scheme_headers() {
    for (value, expected) in [
        ("https", "https 127.0.0.1"),
        ("http", "http 127.0.0.1"),
        ("unknown", "http 127.0.0.1"),
        ("HTTPS", "http 127.0.0.1"),
        ("", "http 127.0.0.1"),
    ] {
        assert_eq!(seen(XHeaders::x_real_ip(), &[("X-Scheme", value)]), expected, "X-Scheme: {value}");
        assert_eq!(
            seen(XHeaders::x_forwarded(), &[("X-Forwarded-Proto", value)]),
            expected,
            "X-Forwarded-Proto: {value}"
        );
    }
    for (value, expected) in
        [("https , http", "http 127.0.0.1"), ("http,https", "https 127.0.0.1"), ("https,", "http 127.0.0.1")]
    {
        assert_eq!(seen(XHeaders::x_forwarded(), &[("X-Forwarded-Proto", value)]), expected, "{value}");
    }
    assert_eq!(seen(XHeaders::x_real_ip(), &[("X-Scheme", "http,https")]), "http 127.0.0.1", "no list");
}

/// Tornado issue 763: a proxy passes on what a client says in the fields that it doesn't set.
#[test]
fn only_the_chosen_family_counts() {
    let fields = [
        ("X-Forwarded-For", "1.1.1.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Real-IP", "2.2.2.2"),
        ("X-Scheme", "http"),
        ("Forwarded", "for=3.3.3.3;proto=https"),
    ];
    assert_eq!(seen(XHeaders::from(true), &fields), "https 1.1.1.1");
    assert_eq!(seen(XHeaders::x_forwarded(), &fields), "https 1.1.1.1");
    assert_eq!(seen(XHeaders::x_real_ip(), &fields), "http 2.2.2.2");
    assert_eq!(seen(XHeaders::forwarded(), &fields), "https 3.3.3.3");
    assert_eq!(seen(XHeaders::x_forwarded(), &fields[2..]), "http 127.0.0.1");
    assert_eq!(seen(XHeaders::x_real_ip(), &[fields[0], fields[1], fields[4]]), "http 127.0.0.1");
    assert_eq!(seen(XHeaders::forwarded(), &fields[..4]), "http 127.0.0.1");
    assert!(Believer::new(XHeaders::off(), []).is_none());
    assert!(Believer::new(XHeaders::from(false), []).is_none());
}

#[test]
fn forwarded_elements_are_read_from_the_right() {
    let trusted = || "127.0.0.1, 5.5.5.5, 6.6.0.0/16".parse().unwrap();
    let forwarded = |fields: &[&str]| {
        let fields: Vec<_> = fields.iter().map(|value| ("Forwarded", *value)).collect();
        seen(XHeaders::forwarded().trusting(trusted()), &fields)
    };
    for (fields, expected) in [
        (&["for=4.4.4.4;proto=https"][..], "https 4.4.4.4"),
        (&["For=4.4.4.4;PROTO=HTTPS"], "https 4.4.4.4"),
        (&[r#"for="[2001:db8::7]:4711";by=_x"#], "http 2001:db8::7"),
        (&[r#"for="4.4.4.4:4711""#], "http 4.4.4.4"),
        (&["for=1.1.1.1;proto=https, for=4.4.4.4"], "http 4.4.4.4"),
        (&["for=1.1.1.1", "for=4.4.4.4;proto=https"], "https 4.4.4.4"),
        (&["for=1.1.1.1, for=4.4.4.4;proto=https, for=6.6.6.6;proto=http", "for=5.5.5.5"], "https 4.4.4.4"),
        (&["for=6.6.6.6;proto=https, for=5.5.5.5"], "https 6.6.6.6"),
        // Who that was nobody can tell, nor what it was told before.
        (&["for=1.1.1.1, for=unknown;proto=https"], "https 127.0.0.1"),
        (&["for=1.1.1.1, for=_hidden"], "http 127.0.0.1"),
        (&["for=1.1.1.1, for=_hidden, for=5.5.5.5"], "http 127.0.0.1"),
        (&["for=1.1.1.1, proto=https"], "https 127.0.0.1"),
        (&["for=1.1.1.1, by=5.5.5.5"], "http 127.0.0.1"),
        (&["for=4.4.4.4;proto=gopher"], "http 4.4.4.4"),
        (&[""], "http 127.0.0.1"),
        (&[], "http 127.0.0.1"),
        // A client's open quote would have the proxy's words inside.
        (&[r#"for="1.1.1.1, for=4.4.4.4"#], "400 Bad Request"),
        (&[r#"for="1.1.1.1"#, "for=4.4.4.4"], "400 Bad Request"),
        (&["for=4.4.4.4:80"], "400 Bad Request"),
        (&["junk"], "400 Bad Request"),
    ] {
        assert_eq!(forwarded(fields), expected, "{fields:?}");
    }
}

/// Tornado's PR 2579.
#[test]
fn only_trusted_peers_are_believed() {
    let fields = [("X-Forwarded-For", "4.4.4.4"), ("X-Forwarded-Proto", "https")];
    let unix = || RequestContext::unix("", Protocol::Http);
    let believed = |context: &RequestContext, trusted: Option<&str>| {
        let mut xheaders = XHeaders::x_forwarded();
        if let Some(trusted) = trusted {
            xheaders = xheaders.trusting(trusted.parse().unwrap());
        }
        match seen_from(context, xheaders, &fields).as_str() {
            "https 4.4.4.4" => true,
            other => {
                assert_eq!(other, format!("http {}", context.remote_ip()));
                false
            }
        }
    };
    for (context, trusted, expected) in [
        (peer("127.0.0.1"), None, true),
        (peer("127.1.2.3"), None, true),
        (peer("::1"), None, true),
        (peer("::ffff:127.0.0.1"), None, true),
        (unix(), None, true),
        (peer("10.0.0.1"), None, false),
        (peer("192.0.2.7"), None, false),
        (peer("2001:db8::7"), None, false),
        (peer("10.0.0.1"), Some("10.0.0.0/8"), true),
        (peer("127.0.0.1"), Some("10.0.0.0/8"), false),
        (unix(), Some("10.0.0.0/8"), false),
        (unix(), Some("unix"), true),
        (peer("127.0.0.1"), Some("unix"), false),
        (peer("192.0.2.7"), Some("any"), true),
        (unix(), Some("any"), true),
    ] {
        assert_eq!(believed(&context, trusted), expected, "{context:?} with {trusted:?}");
    }
    // Also not in order to refuse them.
    assert_eq!(seen_from(&peer("10.0.0.1"), XHeaders::forwarded(), &[("Forwarded", "junk")]), "http 10.0.0.1");
}

#[test]
fn trusted_downstream_adds_to_the_trusted_peers() {
    let believer = Believer::new(XHeaders::from(true), [IpNetwork::from(IpAddr::from([5, 5, 5, 5]))]).unwrap();
    let mut headers = HttpHeaders::new();
    headers.add("X-Forwarded-For", "4.4.4.4, 5.5.5.5").unwrap();
    for (from, expected) in [("127.0.0.1", "4.4.4.4"), ("5.5.5.5", "4.4.4.4"), ("6.6.6.6", "6.6.6.6")] {
        let context = peer(from);
        believer.apply_xheaders(&context, &headers).unwrap();
        assert_eq!(context.remote_ip().to_string(), expected, "from {from}");
    }
}

//! Cookies: Tornado's cases (ParseCookieTest); and credentials.

use landspout_httputil::{HeaderError, encode_username_password, parse_cookie, unquote_cookie};

fn check(cookie: &str, expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    assert_eq!(parse_cookie(cookie), expected, "{cookie:?}");
}

#[test]
fn python_cookies() {
    // A semicolon separates inside quotes as well: browsers know no quotes.
    check(r#"a=b; v="1=2; x=y; z=\073"; c=d"#, &[("a", "b"), ("v", "\"1=2"), ("x", "y"), ("z", "\\073\""), ("c", "d")]);
    check("keebler=E=mc2", &[("keebler", "E=mc2")]);
    check("a:b=x[y]", &[("a:b", "x[y]")]);
    check("a=b:c[d]", &[("a", "b:c[d]")]);
}

#[test]
fn cookie_edgecases() {
    check(
        "a=b; Domain=x.example; Path=/; Secure",
        &[("a", "b"), ("Domain", "x.example"), ("Path", "/"), ("", "Secure")],
    );
    check("a=b; c=d; a=e", &[("a", "e"), ("c", "d")]);
}

#[test]
fn invalid_cookies() {
    check("chips", &[("", "chips")]);
    check("a=b; ; c=d; = ;", &[("a", "b"), ("c", "d")]);
    check("=x", &[("", "x")]);
    check("a b c=d e=f; g=h", &[("a b c", "d e=f"), ("g", "h")]);
    check("a@[]=}{\u{1}<>", &[("a@[]", "}{\u{1}<>")]);
    check("saint=André Bessette; 日=本", &[("saint", "André Bessette"), ("日", "本")]);
    check(" a \t=\t b ", &[("a", "b")]);
    check("", &[]);
}

#[test]
fn unquote() {
    for (quoted, plain) in [
        (r#""x=\"""#, "x=\""),
        (r#""x=\\""#, r"x=\"),
        (r#""x=\y\é""#, "x=yé"),
        (r#""\101\012\377""#, "A\n\u{ff}"),
        (r#""\400\48\189""#, "40048189"),
        (r#""\\101""#, r"\101"),
        (r#""\\\101""#, r"\A"),
        (r#""\134\042""#, "\\\""),
        (r#""end\""#, r"end\"),
        (r#""plain""#, "plain"),
        (r#""""#, ""),
        (r#"""#, "\""),
        (r#"not\"quoted"#, r#"not\"quoted"#),
        (r#""half"#, "\"half"),
        ("", ""),
    ] {
        assert_eq!(unquote_cookie(quoted), plain, "{quoted}");
    }
}

/// A quadratic unquoting would not end.
#[test]
fn unquote_large() {
    for escape in [r"\n", r"\012", r"\\", "\\\""] {
        let quoted = format!("\"{}\"", escape.repeat(1_000_000));
        assert_eq!(unquote_cookie(&quoted).len(), 1_000_000);
    }
    let many = parse_cookie(&"a=b; ".repeat(500_000));
    assert_eq!(many.len(), 1);
    let distinct: String = (0..200_000).map(|i| format!("{i}=b;")).collect();
    assert_eq!(parse_cookie(&distinct).len(), 200_000);
}

#[test]
fn user_names_and_passwords() {
    for (name, password, expected) in [
        ("Aladdin", "open sesame", "Aladdin:open sesame"),
        ("", "", ":"),
        ("test", "123£", "test:123£"),
        ("a", "b:c", "a:b:c"),
    ] {
        assert_eq!(encode_username_password(name, password).unwrap(), expected.as_bytes());
    }
    assert_eq!(encode_username_password(b"\xe9", b"\xff").unwrap(), b"\xe9:\xff");
    for (name, password) in [("a:b", "c"), ("a\nb", "c"), ("a", "b\0"), ("a\x7f", "")] {
        assert_eq!(encode_username_password(name, password), Err(HeaderError::InvalidCredentials));
    }
}

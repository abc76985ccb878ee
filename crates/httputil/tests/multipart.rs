//! Multipart forms: Tornado's cases (MultipartFormDataTest), then the rules of RFC 2046.

use landspout_httputil::{
    Bytes, Form, HeaderError, HttpInputError, MultipartError, ParseMultipartConfig, encode_header,
    parse_multipart_form_data,
};

fn parse_with(data: impl AsRef<[u8]>, config: &ParseMultipartConfig) -> Result<Form, HttpInputError> {
    parse_multipart_form_data(b"1234", &Bytes::copy_from_slice(data.as_ref()), config)
}

fn parse(data: impl AsRef<[u8]>) -> Result<Form, HttpInputError> {
    parse_with(data, &ParseMultipartConfig::default())
}

fn one_part(disposition: &str) -> String {
    format!("--1234\r\nContent-Disposition: {disposition}\r\n\r\nFoo\r\n--1234--\r\n")
}

#[track_caller]
fn assert_file(form: &Form, filename: &str) {
    assert_eq!((form.files.len(), form.arguments.len()), (1, 0), "{form:?}");
    let file = form.files.get("files").unwrap();
    assert_eq!((file.filename.as_str(), &file.body[..]), (filename, &b"Foo"[..]));
}

#[track_caller]
fn assert_error(data: impl AsRef<[u8]>, error: MultipartError) {
    assert_eq!(parse(data), Err(HttpInputError::Multipart(error)));
}

#[test]
fn file_upload() {
    let form = parse(one_part(r#"form-data; name="files"; filename="ab.txt""#)).unwrap();
    assert_file(&form, "ab.txt");
    assert_eq!(form.files.get("files").unwrap().content_type, "application/unknown");
    let typed =
        "--1234\r\ncontent-disposition: Form-Data; Name=files; Filename=x\r\nCONTENT-TYPE: a/b\r\n\r\nFoo\r\n--1234--";
    assert_eq!(parse(typed).unwrap().files.get("files").unwrap().content_type, "a/b");
}

#[test]
fn unquoted_names() {
    assert_file(&parse(one_part("form-data; name=files; filename=ab.txt")).unwrap(), "ab.txt");
}

#[test]
fn special_filenames() {
    for name in [
        "a;b.txt",
        "a\"b.txt",
        "a\";b.txt",
        ";\"a.txt",
        "a\"b\"c",
        "a b\\c",
        "a\\\"b",
        "\\",
        "a\tb",
        "  x  ",
        ";;;",
        "\"",
    ] {
        let disposition = encode_header("form-data", [("name", Some("files")), ("filename", Some(name))]);
        assert_file(&parse(one_part(&disposition)).unwrap(), name);
    }
    // Old browsers escape nothing but quotes.
    assert_file(&parse(one_part(r#"form-data; name="files"; filename="C:\temp\x.txt""#)).unwrap(), r"C:\temp\x.txt");
}

#[test]
fn invalid_chars() {
    for (c, byte) in [('\r', 0x0D), ('\0', 0), ('\u{8}', 8), ('\u{7f}', 0x7F)] {
        let data = one_part(&format!("form-data; name=\"files\"; filename=\"ab{c}.txt\""));
        assert!(
            matches!(
                parse(data),
                Err(HttpInputError::Multipart(MultipartError::PartHeader(HeaderError::InvalidValue { byte: found, .. })))
                if found == byte
            ),
            "{c:?}"
        );
    }
}

#[test]
fn non_ascii_filename_rfc5987() {
    let data = one_part("form-data; name=\"files\"; filename=\"ab.txt\"; filename*=UTF-8''%C3%A1b.txt");
    assert_file(&parse(data).unwrap(), "áb.txt");
}

#[test]
fn non_ascii_filename_raw() {
    assert_file(&parse(one_part("form-data; name=\"files\"; filename=\"测试.txt\"")).unwrap(), "测试.txt");
}

#[test]
fn boundary_starts_and_ends_with_quotes() {
    let data = Bytes::from(one_part("form-data; name=files; filename=ab.txt"));
    let form = parse_multipart_form_data(b"\"1234\"", &data, &ParseMultipartConfig::default()).unwrap();
    assert_file(&form, "ab.txt");
    for empty in [&b""[..], b"\"\""] {
        let refused = parse_multipart_form_data(empty, &data, &ParseMultipartConfig::default());
        assert_eq!(refused, Err(HttpInputError::NoBoundary));
    }
}

#[test]
fn missing_headers() {
    assert_error("--1234\r\n\r\nFoo\r\n--1234--\r\n", MultipartError::MissingPartHeaders);
    assert_error("--1234\r\n\r\n\r\n\r\nFoo\r\n--1234--\r\n", MultipartError::MissingPartHeaders);
    assert_error("--1234\r\nA: b\r\n\r\nFoo\r\n--1234--\r\n", MultipartError::InvalidDisposition);
    assert_error("--1234\r\n--1234--\r\n", MultipartError::MissingPartHeaders);
    assert_error(
        "--1234\r\nno colon\r\n\r\n\r\n--1234--",
        MultipartError::PartHeader(HeaderError::NoColon { line: "no colon".into() }),
    );
}

#[test]
fn invalid_content_disposition() {
    for disposition in ["invalid; name=files", "attachment; name=files; filename=x", "; name=files"] {
        assert_error(one_part(disposition), MultipartError::InvalidDisposition);
    }
    // Two readers could take different names.
    for disposition in ["form-data; name=a; name=b", "form-data; name=a; filename=b; FILENAME=c"] {
        assert_error(one_part(disposition), MultipartError::InvalidDisposition);
    }
    assert_error(
        one_part("form-data; name=a\r\nContent-Disposition: form-data; name=b"),
        MultipartError::InvalidDisposition,
    );
}

#[test]
fn line_does_not_end_with_correct_line_break() {
    let data = "--1234\r\nContent-Disposition: form-data; name=files; filename=ab.txt\r\n\r\nFoo--1234--";
    assert_error(data, MultipartError::NoFinalBoundary);
    assert_error(data.replace("Foo", "Foo\n"), MultipartError::NoFinalBoundary);
}

#[test]
fn content_disposition_header_without_name_parameter() {
    assert_error(one_part("form-data; filename=\"ab.txt\""), MultipartError::MissingName);
    assert_error(one_part("form-data; name=\"\"; filename=\"ab.txt\""), MultipartError::MissingName);
}

#[test]
fn data_after_final_boundary() {
    for epilogue in ["\r\n", "", "\r\nmore", " \r\n--1234\r\n\r\n--1234--"] {
        let data = one_part("form-data; name=files; filename=ab.txt") + epilogue;
        assert_file(&parse(data).unwrap(), "ab.txt");
    }
}

/// Sizes that anything quadratic could not finish.
#[test]
fn disposition_param_linear_performance() {
    let config = ParseMultipartConfig { max_part_header_size: usize::MAX, ..Default::default() };
    for quoted in [";", "\\\"", "\\\\", "\\;"] {
        let filename = format!("x{}", quoted.repeat(1_000_000));
        let data = one_part(&format!("form-data; name=\"files\"; filename=\"{filename}\""));
        let form = parse_with(data, &config).unwrap();
        assert!(form.files.get("files").unwrap().filename.len() > 1_000_000);
    }
    for repeated in ["; x=y", ";", "; x*=utf-8''y", "; x=\"", "\r\n folded", "\r\nX: y"] {
        let data = one_part(&format!("form-data; name=files; filename=z{}", repeated.repeat(300_000)));
        assert!(parse_with(data, &config).is_ok(), "{repeated:?}");
    }
}

#[test]
fn body_scan_linear_performance() {
    let config = ParseMultipartConfig { max_parts: usize::MAX, ..Default::default() };
    let part = "--1234\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
    let form = parse_with(format!("{}--1234--", part.repeat(200_000)), &config).unwrap();
    assert_eq!(form.arguments.len(), 200_000);
    // Near misses, and no end.
    for miss in ["\r\n--123", "\r\n--1234x", "\r\n--1234 \t", "\r\n--1234\r", "--1234\r\n"] {
        let data = format!("{}{}", &part[..part.len() - 2], miss.repeat(300_000));
        assert!(parse_with(data, &config).is_err(), "{miss:?}");
    }
}

#[test]
fn multipart_config() {
    let data = one_part("form-data; name=files; filename=ab.txt");
    let with = |config| parse_with(&data, &config).map(|_| ());
    let default = ParseMultipartConfig::default();
    assert_eq!((default.enabled, default.max_parts, default.max_part_header_size), (true, 100, 10 * 1024));
    assert_eq!(with(default), Ok(()));
    let none = ParseMultipartConfig { max_parts: 0, ..default };
    assert_eq!(with(none), Err(MultipartError::TooManyParts(0).into()));
    let short = ParseMultipartConfig { max_part_header_size: 10, ..default };
    assert_eq!(with(short), Err(MultipartError::PartHeaderTooLarge(10).into()));
    let off = ParseMultipartConfig { enabled: false, ..default };
    assert_eq!(with(off), Err(MultipartError::Disabled.into()));
}

#[test]
fn limits_are_exact() {
    let header = "Content-Disposition: form-data; name=files; filename=ab.txt";
    let data = one_part("form-data; name=files; filename=ab.txt");
    for (limit, fits) in [(header.len(), true), (header.len() - 1, false)] {
        let config = ParseMultipartConfig { max_part_header_size: limit, ..Default::default() };
        assert_eq!(parse_with(&data, &config).is_ok(), fits);
    }
    let part = "--1234\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n";
    assert_eq!(parse(format!("{}--1234--", part.repeat(100))).unwrap().arguments.len(), 100);
    assert_error(format!("{}--1234--", part.repeat(101)), MultipartError::TooManyParts(100));
}

/// CVE-2025-47287: the first error ends it, whatever follows.
#[test]
fn stops_at_the_first_error() {
    let bad = "--1234\r\nContent-Disposition: invalid\r\n\r\nx\r\n";
    assert_error(format!("{}--1234--", bad.repeat(50)), MultipartError::InvalidDisposition);
}

#[test]
fn preamble_is_ignored() {
    for preamble in ["\r\n", "This is a message in MIME format.\r\n", "a: b\r\n\r\nc\r\n", "--123\r\n", "--12345\r\n"] {
        let data = preamble.to_owned() + &one_part("form-data; name=files; filename=ab.txt");
        assert_file(&parse(data).unwrap(), "ab.txt");
    }
}

#[test]
fn delimiters_count_at_the_start_of_a_line_only() {
    let content = "y--1234 \r\nx--1234--\r\n--1234x\r\n --1234\r\n\n--1234\r\n--1234-\r\n--12345--";
    let data = format!("--1234\r\nContent-Disposition: form-data; name=a\r\n\r\n{content}\r\n--1234--");
    assert_eq!(parse(data).unwrap().arguments.get("a").unwrap(), content.as_bytes());
}

#[test]
fn padding_after_a_delimiter() {
    let data = one_part("form-data; name=files; filename=ab.txt").replacen("--1234\r\n", "--1234 \t \r\n", 1);
    assert_file(&parse(data).unwrap(), "ab.txt");
}

#[test]
fn contents_are_exact() {
    for content in [&b""[..], b"\r\n", b"\r\n\r\n", b"x\r\n", b"\0\xff", b"\r", b"\n", b"--", b"\r\n--"] {
        let head = b"--1234\r\nContent-Disposition: form-data; name=a\r\n\r\n";
        let form = parse([head, content, b"\r\n--1234--"].concat()).unwrap();
        assert_eq!(form.arguments.get("a").unwrap(), content);
    }
}

#[test]
fn an_empty_filename_is_no_file() {
    let form = parse(one_part("form-data; name=a; filename=\"\"")).unwrap();
    assert_eq!((form.arguments.get("a").unwrap().as_slice(), form.files.is_empty()), (&b"Foo"[..], true));
}

#[test]
fn empty_and_truncated_bodies() {
    assert_error("", MultipartError::NoFinalBoundary);
    assert_eq!(parse("--1234--"), Ok(Form::default()));
    let data = one_part("form-data; name=files; filename=ab.txt");
    let complete = data.len() - 2;
    for end in 0..complete {
        assert!(parse(&data[..end]).is_err(), "cut at {end}");
    }
    assert!(parse(&data[..complete]).is_ok());
}

#[test]
fn a_file_shares_the_body() {
    let data = Bytes::from(one_part("form-data; name=files; filename=ab.txt"));
    let form = parse_multipart_form_data(b"1234", &data, &ParseMultipartConfig::default()).unwrap();
    let range = data.as_ptr_range();
    assert!(range.contains(&form.files.get("files").unwrap().body.as_ptr()));
}

//! Conditional requests and ranges, after RFC 9110, sections 13 and 14.

use std::time::{Duration, SystemTime};

use landspout_httputil::{
    EntityTag, HeaderError, HttpHeaders, Method, Precondition, RangeSelection, StatusCode, Validators,
    evaluate_preconditions, select_range,
};

use Precondition::{Failed, NotModified, Passed};

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// Changed at `THEN` and a fraction of a second, of which dates don't know.
fn modified() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(784_111_777, 999_999_999)
}

fn strong() -> Validators {
    Validators { etag: Some(EntityTag::strong("a").unwrap()), last_modified: Some(modified()) }
}

fn weak() -> Validators {
    Validators { etag: Some(EntityTag::weak("a").unwrap()), last_modified: None }
}

fn fields(fields: &[(&str, &str)]) -> HttpHeaders {
    HttpHeaders::try_from_iter(fields.iter().copied()).unwrap()
}

#[track_caller]
fn check(given: &[(&str, &str)], current: Option<&Validators>, get: Precondition, put: Precondition) {
    let headers = fields(given);
    assert_eq!(evaluate_preconditions(&Method::GET, &headers, current), get, "GET {given:?}");
    assert_eq!(evaluate_preconditions(&Method::HEAD, &headers, current), get, "HEAD {given:?}");
    assert_eq!(evaluate_preconditions(&Method::PUT, &headers, current), put, "PUT {given:?}");
    assert_eq!(evaluate_preconditions(&Method::DELETE, &headers, current), put, "DELETE {given:?}");
    // Section 13.2.1: methods that select no representation.
    for method in [Method::OPTIONS, Method::TRACE, Method::CONNECT] {
        assert_eq!(evaluate_preconditions(&method, &headers, current), Passed, "{method} {given:?}");
    }
}

#[test]
fn without_conditions_everything_passes() {
    check(&[], Some(&strong()), Passed, Passed);
    check(&[], None, Passed, Passed);
}

#[test]
fn if_match_compares_strongly() {
    for (value, with_strong, with_weak, with_none) in [
        ("\"a\"", Passed, Failed, Failed),
        ("\"b\"", Failed, Failed, Failed),
        ("W/\"a\"", Failed, Failed, Failed),
        ("\"b\", \"a\"", Passed, Failed, Failed),
        ("*", Passed, Passed, Failed),
        ("a", Failed, Failed, Failed),
        ("", Failed, Failed, Failed),
    ] {
        let given = [("If-Match", value)];
        check(&given, Some(&strong()), with_strong, with_strong);
        check(&given, Some(&weak()), with_weak, with_weak);
        check(&given, None, with_none, with_none);
    }
    // Something that exists, and has no tag.
    check(&[("If-Match", "\"a\"")], Some(&Validators::default()), Failed, Failed);
    check(&[("If-Match", "*")], Some(&Validators::default()), Passed, Passed);
}

#[test]
fn if_none_match_compares_weakly() {
    for (value, matches) in [
        ("\"a\"", true),
        ("W/\"a\"", true),
        ("\"b\"", false),
        ("\"b\" , W/\"c\",,\t\"a\"", true),
        ("\"b,\\\", \"a\"", true),
        ("\",\", \"a\"", true),
        ("*", true),
        ("a", false),
        ("w/\"a\"", false),
        ("\"a", false),
        ("\"A\"", false),
        ("\"a\"b", false),
        ("\"b, \"a\"", false),
        ("", false),
    ] {
        let given = [("If-None-Match", value)];
        let (get, put) = if matches { (NotModified, Failed) } else { (Passed, Passed) };
        check(&given, Some(&strong()), get, put);
        check(&given, Some(&weak()), get, put);
        check(&given, None, Passed, Passed);
    }
    // Several fields are one list (section 5.3).
    let two = [("If-None-Match", "\"b\""), ("if-none-match", "\"a\"")];
    check(&two, Some(&strong()), NotModified, Failed);
    let two = [("If-Match", "\"b\""), ("if-match", "\"a\"")];
    check(&two, Some(&strong()), Passed, Passed);
}

#[test]
fn dates_are_compared_by_whole_seconds() {
    for (date, unmodified) in [(BEFORE, false), (THEN, true), (AFTER, true), ("Sun Nov  6 08:49:37 1994", true)] {
        let get = if unmodified { NotModified } else { Passed };
        check(&[("If-Modified-Since", date)], Some(&strong()), get, Passed);
        let both = if unmodified { Passed } else { Failed };
        check(&[("If-Unmodified-Since", date)], Some(&strong()), both, both);
    }
    // Before there were dates of Unix: it is a condition all the same.
    check(&[("If-Unmodified-Since", "Thu, 01 Jan 1959 00:00:00 GMT")], Some(&strong()), Failed, Failed);
}

#[test]
fn conditions_that_have_to_be_ignored_are() {
    for field in ["If-Modified-Since", "If-Unmodified-Since"] {
        for value in ["", "yesterday", "Mon, 06 Nov 1994 08:49:37 GMT", "784111777", "Sun, 06 Nov 1994 08:49:37 +0000"]
        {
            check(&[(field, value)], Some(&strong()), Passed, Passed);
        }
        // No list (sections 13.1.3 and 13.1.4).
        check(&[(field, AFTER), (field, BEFORE)], Some(&strong()), Passed, Passed);
        check(&[(field, AFTER), (field, AFTER)], Some(&strong()), Passed, Passed);
        // No date to compare with.
        for date in [BEFORE, AFTER] {
            check(&[(field, date)], Some(&weak()), Passed, Passed);
            check(&[(field, date)], None, Passed, Passed);
        }
    }
}

#[test]
fn the_order_is_that_of_section_13_2_2() {
    let current = strong();
    for (given, get, put) in [
        // A tag is in charge of the date of its kind, whatever that says.
        ([("If-Match", "\"a\""), ("If-Unmodified-Since", BEFORE)], Passed, Passed),
        ([("If-Match", "\"b\""), ("If-Unmodified-Since", AFTER)], Failed, Failed),
        ([("If-None-Match", "\"b\""), ("If-Modified-Since", AFTER)], Passed, Passed),
        ([("If-None-Match", "\"a\""), ("If-Modified-Since", BEFORE)], NotModified, Failed),
        // The first group comes first and decides when it fails; else the second does.
        ([("If-None-Match", "\"a\""), ("If-Match", "\"b\"")], Failed, Failed),
        ([("If-None-Match", "\"a\""), ("If-Match", "\"a\"")], NotModified, Failed),
        ([("If-Modified-Since", AFTER), ("If-Match", "\"b\"")], Failed, Failed),
        ([("If-Modified-Since", AFTER), ("If-Match", "\"a\"")], NotModified, Passed),
        ([("If-None-Match", "\"a\""), ("If-Unmodified-Since", BEFORE)], Failed, Failed),
        ([("If-None-Match", "\"a\""), ("If-Unmodified-Since", AFTER)], NotModified, Failed),
        ([("If-Modified-Since", AFTER), ("If-Unmodified-Since", BEFORE)], Failed, Failed),
    ] {
        check(&given, Some(&current), get, put);
    }
}

#[test]
fn what_to_answer_with() {
    assert_eq!(Passed.status(), None);
    assert_eq!(NotModified.status(), Some(StatusCode::NOT_MODIFIED));
    assert_eq!(Failed.status(), Some(StatusCode::PRECONDITION_FAILED));
}

#[test]
fn ranges_are_selected() {
    use RangeSelection::{NotSatisfiable, Part, Whole};
    for (value, size, expected) in [
        ("bytes=0-0", 10, Part(0..1)),
        ("bytes=2-5", 10, Part(2..6)),
        ("bytes=2-", 10, Part(2..10)),
        ("bytes=0-", 10, Part(0..10)),
        ("bytes=-3", 10, Part(7..10)),
        ("bytes=-30", 10, Part(0..10)),
        ("bytes=8-99999999999999999999", 10, Part(8..10)),
        ("bytes=10-", 10, NotSatisfiable),
        ("bytes=10-20", 10, NotSatisfiable),
        ("bytes=-0", 10, NotSatisfiable),
        ("bytes=0-", 0, NotSatisfiable),
        ("bytes=5-2", 10, Whole),
        ("bytes=0-1,4-5", 10, Whole),
        ("lines=1-2", 10, Whole),
        ("bytes", 10, Whole),
        ("", 10, Whole),
    ] {
        let headers = fields(&[("Range", value)]);
        assert_eq!(select_range(&Method::GET, &headers, &strong(), size), expected, "{value:?} of {size}");
        for method in [Method::HEAD, Method::POST, Method::PUT] {
            assert_eq!(select_range(&method, &headers, &strong(), size), Whole, "{method}");
        }
    }
    assert_eq!(select_range(&Method::GET, &HttpHeaders::new(), &strong(), 10), Whole);
    let two = fields(&[("Range", "bytes=0-1"), ("Range", "bytes=0-1")]);
    assert_eq!(select_range(&Method::GET, &two, &strong(), 10), Whole);
}

#[test]
fn if_range_asks_for_exactly_the_current_version() {
    for (value, current, holds) in [
        ("\"a\"", strong(), true),
        ("\"b\"", strong(), false),
        ("W/\"a\"", strong(), false),
        ("\"a\"", weak(), false),
        ("W/\"a\"", weak(), false),
        ("\"a\"", Validators::default(), false),
        ("\"a\", \"b\"", strong(), false),
        ("*", strong(), false),
        ("a", strong(), false),
        ("", strong(), false),
        (THEN, strong(), true),
        (BEFORE, strong(), false),
        (AFTER, strong(), false),
        (THEN, weak(), false),
        ("yesterday", strong(), false),
        ("yesterday", weak(), false),
    ] {
        for (range, whenever) in
            [("bytes=1-2", RangeSelection::Part(1..3)), ("bytes=10-", RangeSelection::NotSatisfiable)]
        {
            let headers = fields(&[("Range", range), ("If-Range", value)]);
            let expected = if holds { whenever } else { RangeSelection::Whole };
            assert_eq!(select_range(&Method::GET, &headers, &current, 10), expected, "{value:?} {range}");
        }
    }
    let alone = fields(&[("If-Range", "\"a\"")]);
    assert_eq!(select_range(&Method::GET, &alone, &strong(), 10), RangeSelection::Whole);
    let two = fields(&[("Range", "bytes=1-2"), ("If-Range", "\"a\""), ("If-Range", "\"a\"")]);
    assert_eq!(select_range(&Method::GET, &two, &strong(), 10), RangeSelection::Whole);
}

#[test]
fn validators_become_fields() {
    let mut headers = fields(&[("ETag", "\"old\"")]);
    strong().add_to(&mut headers).unwrap();
    assert_eq!(headers, fields(&[("ETag", "\"a\""), ("Last-Modified", THEN)]));
    let mut headers = HttpHeaders::new();
    weak().add_to(&mut headers).unwrap();
    assert_eq!(headers, fields(&[("ETag", "W/\"a\"")]));
    // What a client gives back of it means the same version.
    let ancient = Validators { etag: None, last_modified: Some(SystemTime::UNIX_EPOCH - Duration::from_millis(1)) };
    let mut headers = HttpHeaders::new();
    ancient.add_to(&mut headers).unwrap();
    let date = headers.get_text("last-modified").unwrap().into_owned();
    check(&[("If-Modified-Since", &date)], Some(&ancient), NotModified, Passed);
    check(&[("If-Unmodified-Since", &date)], Some(&ancient), Passed, Passed);
}

#[test]
fn tags_are_checked_when_they_are_made() {
    for opaque in ["", "a", "!#~", "W/"] {
        assert_eq!(EntityTag::strong(opaque).unwrap().to_string(), format!("\"{opaque}\""));
        assert_eq!(EntityTag::weak(opaque).unwrap().to_string(), format!("W/\"{opaque}\""));
    }
    for opaque in ["\"", "a b", "a\r\nb", "é", "\0", "\u{7f}"] {
        assert_eq!(EntityTag::strong(opaque), EntityTag::weak(opaque), "both are refused");
        assert!(matches!(EntityTag::strong(opaque), Err(HeaderError::InvalidEntityTag { .. })), "{opaque:?}");
    }
    let tag = EntityTag::strong("a").unwrap();
    assert!(!tag.is_weak() && EntityTag::weak("a").unwrap().is_weak());
    assert!(tag.matches_strongly(b"\"a\"") && !tag.matches_weakly(b"\"\xff\""));
}

/// Lists as long as a head may be.
#[test]
fn long_lists_are_read_to_the_end() {
    for repeated in ["\"b\",", ",", "\"", "W/\"x\" ", "*x,"] {
        let list = format!("{}\"a\"", repeated.repeat(20_000));
        let expected = if repeated.ends_with(',') { NotModified } else { Passed };
        assert_eq!(
            evaluate_preconditions(&Method::GET, &fields(&[("If-None-Match", &list)]), Some(&strong())),
            expected,
            "{repeated:?}"
        );
    }
}

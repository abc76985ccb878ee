//! `Range`, `Content-Range` and dates (Tornado's FormatTimestampTest).

use std::time::{Duration, SystemTime};

use landspout_httputil::{
    RequestRange, format_timestamp, format_unix_timestamp, get_content_range, imf_fixdate, parse_http_date,
    parse_request_range,
};

const TIMESTAMP: i64 = 1_359_312_200;
const EXPECTED: &str = "Sun, 27 Jan 2013 18:43:20 GMT";

#[test]
fn request_ranges() {
    use RequestRange::{From, FromTo, Last};
    for (field, expected) in [
        ("bytes=1-2", Some(FromTo(1, 2))),
        ("bytes=6-", Some(From(6))),
        ("bytes=-6", Some(Last(6))),
        ("bytes=-0", Some(Last(0))),
        ("BYTES = 0 - 0", Some(FromTo(0, 0))),
        ("bytes=0-99999999999999999999", Some(FromTo(0, u64::MAX))),
        ("bytes=99999999999999999999-", Some(From(u64::MAX))),
        ("bytes=5-2", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("foo=42", None),
        ("bytes=1-2,6-10", None),
        ("bytes=+1-2", None),
        ("bytes=--1", None),
        ("bytes=a-b", None),
        ("bytes", None),
        ("", None),
    ] {
        assert_eq!(parse_request_range(field), expected, "{field:?}");
    }
}

#[test]
fn ranges_of_contents() {
    use RequestRange::{From, FromTo, Last};
    for (range, size, expected) in [
        (FromTo(0, 0), 1, Some(0..1)),
        (FromTo(1, 9), 5, Some(1..5)),
        (FromTo(5, 9), 5, None),
        (FromTo(0, u64::MAX), 5, Some(0..5)),
        (FromTo(0, 0), 0, None),
        (From(2), 5, Some(2..5)),
        (From(5), 5, None),
        (From(u64::MAX), 5, None),
        (Last(2), 5, Some(3..5)),
        (Last(9), 5, Some(0..5)),
        (Last(0), 5, None),
        (Last(1), 0, None),
    ] {
        assert_eq!(range.of(size), expected, "{range:?} of {size}");
    }
}

#[test]
fn content_ranges() {
    assert_eq!(get_content_range(Some(0..4), 4), "bytes 0-3/4");
    assert_eq!(get_content_range(Some(2..3), 4), "bytes 2-2/4");
    assert_eq!(get_content_range(None, 4), "bytes */4");
    assert_eq!(get_content_range(Some(0..0), 0), "bytes */0");
}

#[test]
fn unix_time_int() {
    assert_eq!(format_unix_timestamp(TIMESTAMP), EXPECTED);
}

#[test]
fn unix_time_float() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(TIMESTAMP as f64 + 0.7);
    assert_eq!(format_timestamp(time), EXPECTED);
}

#[test]
fn dates_without_a_form_become_the_nearest() {
    let first = "Thu, 01 Jan 1970 00:00:00 GMT";
    let last = "Fri, 31 Dec 9999 23:59:59 GMT";
    assert_eq!(format_unix_timestamp(-1), first);
    assert_eq!(format_unix_timestamp(i64::MIN), first);
    assert_eq!(format_unix_timestamp(i64::MAX), last);
    assert_eq!(format_timestamp(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), first);
    assert_eq!(format_timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)), last);
}

#[test]
fn imf_fixdate_is_the_same_text() {
    for seconds in [0, 951_782_399, 1_359_312_200, 4_102_444_800] {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(imf_fixdate(time), format_timestamp(time).as_bytes());
    }
}

#[test]
fn http_dates_have_three_forms() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
        assert_eq!(parse_http_date(date), Some(time), "{date}");
    }
    let padded = parse_http_date("\t Sun, 06 Nov 1994 08:49:37 GMT ");
    assert_eq!(padded, Some(time));
}

/// Each day of 800 years, in all forms that tell its year, and the last days that have one.
#[test]
fn dates_are_read_as_they_are_written() {
    for day in (0..800 * 365_i64).chain(2_932_800..2_932_897) {
        let seconds = day * 86_400 + (day * 7919) % 86_400;
        let text = format_unix_timestamp(seconds);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds as u64);
        assert_eq!(text, httpdate::fmt_http_date(time));
        let time = Some(time);
        assert_eq!(parse_http_date(&text), time, "{text}");
        let words: Vec<_> = text.split([' ', ',']).collect();
        let [weekday, _, day, month, year, clock, _] = words[..] else { panic!("{text}") };
        let asctime = format!("{weekday} {month} {:>2} {clock} {year}", day.trim_start_matches('0'));
        assert_eq!(parse_http_date(&asctime), time, "{asctime}");
    }
}

#[test]
fn years_of_two_digits_are_near() {
    for (date, meant) in [
        ("Thursday, 01-Jan-70 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Friday, 31-Dec-99 23:59:59 GMT", "Fri, 31 Dec 1999 23:59:59 GMT"),
        ("Saturday, 01-Jan-00 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("Tuesday, 31-Dec-69 23:59:59 GMT", "Tue, 31 Dec 2069 23:59:59 GMT"),
    ] {
        assert_eq!(parse_http_date(date).map(format_timestamp).as_deref(), Some(meant));
    }
}

#[test]
fn leap_seconds_and_ancient_dates_are_dates() {
    let leap = parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT");
    assert_eq!(leap.map(format_timestamp).as_deref(), Some("Sun, 01 Jan 2017 00:00:00 GMT"));
    let year = Duration::from_secs(365 * 86_400);
    assert_eq!(parse_http_date("Wed, 01 Jan 1969 00:00:00 GMT"), Some(SystemTime::UNIX_EPOCH - year));
    // The first day of the Gregorian calendar's 400 years before 2000-01-01, which is the same day of the week.
    let cycle = Duration::from_secs(146_097 * 86_400);
    let millennium = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800);
    assert_eq!(parse_http_date("Sat, 01 Jan 1600 00:00:00 GMT"), Some(millennium - cycle));
}

#[test]
fn what_is_no_date() {
    for date in [
        "",
        "yesterday",
        "1359312200",
        "2013-01-27T18:43:20Z",
        "Sun, 27 Jan 2013 18:43:20",
        "Sun, 27 Jan 2013 18:43:20 UTC",
        "Sun, 27 Jan 2013 18:43:20 +0000",
        "Mon, 27 Jan 2013 18:43:20 GMT",
        "sun, 27 jan 2013 18:43:20 gmt",
        "Sun,27 Jan 2013 18:43:20 GMT",
        "Sun, 7 Jan 2013 18:43:20 GMT",
        "Sun, 27  Jan 2013 18:43:20 GMT",
        "Sun, 27 Jan 13 18:43:20 GMT",
        "Sun, 27-Jan-13 18:43:20 GMT",
        "Sunday, 27 Jan 2013 18:43:20 GMT",
        "Sunday, 27-Jan-2013 18:43:20 GMT",
        "Sun, 27 Jan 2013 24:00:00 GMT",
        "Sun, 27 Jan 2013 18:60:20 GMT",
        "Sun, 27 Jan 2013 18:43:60 GMT",
        "Sun, 27 Jan 2013 18:43 GMT",
        "Sun, 27 Jan 2013 18:43:20:00 GMT",
        "Sun, 27 Jan 2013 +8:43:20 GMT",
        "Thu, 29 Feb 1900 00:00:00 GMT",
        "Fri, 31 Jun 2013 00:00:00 GMT",
        "Mon, 00 Jan 2013 00:00:00 GMT",
        "Mon, 32 Dec 2012 00:00:00 GMT",
        "Sun Jan 27 18:43:20 2013 GMT",
        "Sun Jan 7 18:43:20 2013",
        "Sun Jan  27 18:43:20 2013",
        "S\u{e9}n Jan 27 18:43:20 2013",
        "Sun, \u{e9}7 Jan 2013 18:43:20 GMT",
    ] {
        assert_eq!(parse_http_date(date), None, "{date:?}");
    }
}

//! Dates as HTTP writes them: `Sun, 27 Jan 2013 18:43:20 GMT` (IMF-fixdate, RFC 9110, section 5.6.7).
//!
//! Rules: no clock is read here; a time that has no such form (before 1970, behind 9999) becomes the nearest that has one.
//! Reading is strict about the form and knows all times that it can tell, leap seconds and what is before 1970 among them: a condition
//! with a date that couldn't be read would be ignored.

use std::time::{Duration, SystemTime};

/// Formats a time for a header field: Tornado's `format_timestamp`.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use landspout_httputil::format_timestamp;
///
/// let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_359_312_200);
/// assert_eq!(format_timestamp(time), "Sun, 27 Jan 2013 18:43:20 GMT");
/// ```
pub fn format_timestamp(time: SystemTime) -> String {
    imf_fixdate(time).map(char::from).iter().collect()
}

/// As [`format_timestamp`], for seconds since 1970.
pub fn format_unix_timestamp(seconds: i64) -> String {
    imf_fixdate_of(u64::try_from(seconds).unwrap_or(0)).map(char::from).iter().collect()
}

/// As [`format_timestamp`], without allocating: what a server puts into `Date`.
pub fn imf_fixdate(time: SystemTime) -> [u8; 29] {
    imf_fixdate_of(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn imf_fixdate_of(since_1970: u64) -> [u8; 29] {
    /// The last second of the year 9999.
    const LAST_SECOND: u64 = 253_402_300_799;
    let seconds = since_1970.min(LAST_SECOND) as i64;
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date_of(days);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    text[..3].copy_from_slice(&DAYS[(days + 4) as usize % 7].as_bytes()[..3]);
    text[8..11].copy_from_slice(MONTHS[month as usize - 1].as_bytes());
    for (at, number) in
        [(5, day), (12, year / 100), (14, year % 100), (17, time / 3600), (20, time / 60 % 60), (23, time % 60)]
    {
        text[at] = b'0' + (number / 10) as u8;
        text[at + 1] = b'0' + (number % 10) as u8;
    }
    text
}

/// Reads a date in any of the three forms that HTTP knows (RFC 9110, section 5.6.7), as in `If-Modified-Since`.
///
/// Of a year with two digits, 70 and more mean the last century. A leap second is the second after it.
///
/// ```
/// use landspout_httputil::{format_timestamp, parse_http_date};
///
/// let time = parse_http_date("Sunday, 27-Jan-13 18:43:20 GMT").unwrap();
/// assert_eq!(format_timestamp(time), "Sun, 27 Jan 2013 18:43:20 GMT");
/// ```
pub fn parse_http_date(date: &str) -> Option<SystemTime> {
    let date = date.trim_matches([' ', '\t']);
    let seconds = match date.split_once(", ") {
        Some((name, rest)) => imf_or_rfc850(name, rest),
        None => asctime(date),
    }?;
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `06 Nov 1994 08:49:37 GMT` or `06-Nov-94 08:49:37 GMT`, behind the name of the day.
fn imf_or_rfc850(name: &str, rest: &str) -> Option<i64> {
    let (date, time) = rest.strip_suffix(" GMT")?.rsplit_once(' ')?;
    if let Some(weekday) = DAYS.iter().position(|day| day[..3] == *name) {
        let [day, month, year] = parts(date, ' ')?;
        return seconds(weekday, number(year, 4)?, month, number(day, 2)?, time);
    }
    let weekday = DAYS.iter().position(|day| *day == name)?;
    let [day, month, year] = parts(date, '-')?;
    // What appears to be more than 50 years ahead is past.
    let year = number(year, 2).map(|year| if year < 70 { 2000 + year } else { 1900 + year })?;
    seconds(weekday, year, month, number(day, 2)?, time)
}

/// `Sun Nov  6 08:49:37 1994`.
fn asctime(date: &str) -> Option<i64> {
    let (rest, year) = date.rsplit_once(' ')?;
    let (rest, time) = rest.rsplit_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    let (month, day) = rest.split_once(' ')?;
    let weekday = DAYS.iter().position(|day| day[..3] == *name)?;
    let day = match day.strip_prefix(' ') {
        Some(digit) => number(digit, 1)?,
        None => number(day, 2)?,
    };
    seconds(weekday, number(year, 4)?, month, day, time)
}

/// Since 1970; `None` if there is no such day, or it is another day of the week.
fn seconds(weekday: usize, year: i64, month: &str, day: i64, time: &str) -> Option<i64> {
    let month = 1 + MONTHS.iter().position(|name| *name == month)? as i64;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let days = days_since_1970(year, month, day);
    if !(1..=last).contains(&day) || (days + 4).rem_euclid(7) != weekday as i64 {
        return None;
    }
    let [hour, minute, second] = parts(time, ':')?;
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let leap_second = (hour, minute, second) == (23, 59, 60);
    let valid = hour < 24 && minute < 60 && (second < 60 || leap_second);
    valid.then_some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// In the Gregorian calendar, whose years are counted from March on here, so that a leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between the first of March of the year 0 and 1970.
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// Year, month and day: the way back.
fn date_of(days_since_1970: i64) -> (i64, i64, i64) {
    /// 400 years are as many days, whichever they are.
    const CYCLE: i64 = 146_097;
    let days = days_since_1970 + 719_468;
    let (cycle, day) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
    // Without the leap days, all years are of one length.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (year * 365 + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, month, day)
}

fn parts(text: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = text.split(separator);
    let all = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(all)
}

/// Exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| text.parse().ok()).flatten()
}

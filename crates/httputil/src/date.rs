//! Dates as HTTP writes them: `Sun, 27 Jan 2013 18:43:20 GMT` (IMF-fixdate, RFC 9110, section 5.6.7).
//!
//! Rules: no clock is read here; a time that has no such form (before 1970, behind 9999) becomes the nearest that has one.

use std::io::Write;
use std::time::{Duration, SystemTime};

use httpdate::HttpDate;

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
    http_date(time).to_string()
}

/// As [`format_timestamp`], for seconds since 1970.
pub fn format_unix_timestamp(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(LAST_SECOND));
    format_timestamp(SystemTime::UNIX_EPOCH + since)
}

/// As [`format_timestamp`], without allocating: what a server puts into `Date`.
pub fn imf_fixdate(time: SystemTime) -> [u8; 29] {
    let mut bytes = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // The text is 29 bytes long, whatever the date, so it always fits.
    let _ = write!(&mut bytes[..], "{}", http_date(time));
    bytes
}

/// Reads a date in any of the three forms that HTTP knows (RFC 9110, section 5.6.7), as in `If-Modified-Since`.
pub fn parse_http_date(date: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(date).ok()
}

/// The last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

fn http_date(time: SystemTime) -> HttpDate {
    // `HttpDate` panics on what it can't show.
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    HttpDate::from(SystemTime::UNIX_EPOCH + since.min(Duration::from_secs(LAST_SECOND)))
}

//! The status line: `HTTP-version SP status-code SP [ reason-phrase ] CRLF` (RFC 9112, section 4).
//!
//! Rules: single spaces, the second one also before a reason that is empty; three digits, 100 at least; the version is HTTP/1.x,
//! where x above 1 is read as 1 (RFC 9110, section 2.5). `parse` alone decides what is good; `explain` says what is wrong
//! with the rest.

use std::borrow::Cow;

use landspout_httputil::{ResponseStartLine, StatusCode, Version, is_field_content};

use crate::error::{DecodeError, shortened};

/// A good status line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusLine<'a> {
    pub(crate) http11: bool,
    pub(crate) code: StatusCode,
    reason: &'a [u8],
    /// With its line end.
    pub(crate) len: usize,
}

/// What comes before the reason: `HTTP/1.1 200 `.
const BEFORE_REASON: usize = 13;

/// Reads the line at the start of `input`, line end included.
pub(crate) fn parse(input: &[u8]) -> Option<StatusLine<'_>> {
    let (before, rest) = input.split_at_checked(BEFORE_REASON)?;
    let &[b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', b' ', ref code @ .., b' '] = before else {
        return None;
    };
    let code = StatusCode::from_bytes(code).ok()?;
    let reason = &rest[..rest.iter().position(|byte| !is_field_content(*byte))?];
    rest[reason.len()..].starts_with(b"\r\n").then_some(StatusLine {
        http11: minor != b'0',
        code,
        reason,
        len: BEFORE_REASON + reason.len() + 2,
    })
}

impl StatusLine<'_> {
    /// As applications see it. Allocates nothing for the usual reason of a status.
    pub(crate) fn to_start_line(self) -> ResponseStartLine {
        let line = ResponseStartLine::new(self.code).with_version(if self.http11 {
            Version::HTTP_11
        } else {
            Version::HTTP_10
        });
        if line.reason().as_bytes() == self.reason {
            return line;
        }
        let reason: Cow<'static, str> = match std::str::from_utf8(self.reason) {
            Ok(reason) => reason.to_owned().into(),
            Err(_) => self.reason.iter().copied().map(char::from).collect::<String>().into(),
        };
        // It was checked byte by byte, so nothing falls back.
        line.clone().with_reason(reason).unwrap_or(line)
    }
}

/// What is wrong with `line`, which `parse` refused.
#[cold]
pub(crate) fn explain(line: &[u8]) -> DecodeError {
    let version = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => DecodeError::StatusLine(shortened(line)),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            DecodeError::UnsupportedVersion(shortened(version))
        }
        [b'H', b'T', b'T', b'P', b'/', ..] => DecodeError::Version(shortened(version)),
        _ => DecodeError::StatusLine(shortened(line)),
    }
}

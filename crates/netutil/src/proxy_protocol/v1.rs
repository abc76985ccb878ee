//! Version 1: a line of text.

use std::net::{IpAddr, SocketAddr};

use super::{ProxyHeader, ProxyHeaderError};

const BEGIN: &[u8] = b"PROXY ";
/// The longest line, CR LF included (section 2.1).
const LONGEST: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let common = bytes.len().min(BEGIN.len());
    if bytes[..common] != BEGIN[..common] {
        return Err(ProxyHeaderError::NoHeader);
    }
    let seen = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = seen.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if seen.len() == LONGEST { Err(ProxyHeaderError::LineTooLong) } else { Ok(None) };
    };
    match (seen[end], seen.get(end + 1)) {
        (b'\r', Some(b'\n')) => {}
        (b'\r', None) if seen.len() == LONGEST => return Err(ProxyHeaderError::LineTooLong),
        (b'\r', None) => return Ok(None),
        _ => return Err(ProxyHeaderError::LineEnd),
    }
    let line = seen.get(BEGIN.len()..end).ok_or(ProxyHeaderError::Line)?;
    let addresses = addresses(line).ok_or(ProxyHeaderError::Line)?;
    let (source, destination) = addresses.unzip();
    Ok(Some((ProxyHeader { version: 1, local: false, source, destination, tlvs: Vec::new() }, end + 2)))
}

/// What follows `PROXY `. `Some(None)` is a line that names no addresses, `None` is no line.
fn addresses(line: &[u8]) -> Option<Option<(SocketAddr, SocketAddr)>> {
    // What follows is to be ignored, whatever it is.
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Some(None);
    }
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let family = words.next()?;
    let mut address = || -> Option<IpAddr> {
        match family {
            "TCP4" => words.next()?.parse().ok().map(IpAddr::V4),
            "TCP6" => words.next()?.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, destination) = (address()?, address()?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    let ends = (SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port));
    words.next().is_none().then_some(Some(ends))
}

/// Decimal, without a sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    if plain { text.parse().ok() } else { None }
}

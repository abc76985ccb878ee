//! The `Forwarded` field (RFC 7239): what each proxy on the way says about who it got the request from.
//!
//! Rules: the grammar of section 4, with optional whitespace around semicolons (as RFC 9110, section 5.6.6, has it for other
//! parameters) and empty list elements ignored (section 5.6.1.2); a parameter that an element repeats, a node that is none, a
//! host or a scheme that can't be one makes the whole field malformed, since what follows may belong to what came before.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::{HttpInputError, shortened};
use crate::grammar::{is_field_content, is_token};
use crate::headers::latin1;
use crate::host::is_valid_host;

/// What one proxy says. The last element of a list is that of the nearest proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardedElement {
    /// `for`: who sent the request to the proxy (section 5.2).
    pub forwarded_for: Option<ForwardedNode>,
    /// `by`: where the request came in at the proxy (section 5.1).
    pub by: Option<ForwardedNode>,
    /// `host`: the `Host` that the proxy received (section 5.3).
    pub host: Option<String>,
    /// `proto`: the scheme that the request came by (section 5.4), as it is written.
    pub proto: Option<String>,
    /// Other parameters (section 5.5), names in lower case.
    pub extensions: Vec<(String, String)>,
}

/// One end of a connection (section 6): an address or a name for it, and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardedNode {
    /// Who.
    pub name: ForwardedName,
    /// At which port.
    pub port: Option<ForwardedPort>,
}

/// Who is at one end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardedName {
    /// An address.
    Ip(IpAddr),
    /// `unknown`: the proxy can't tell (section 6.2).
    Unknown,
    /// `_name`: the proxy won't tell, but knows what it means (section 6.3). With the underscore.
    Obfuscated(String),
}

/// A port, or a name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardedPort {
    /// A port.
    Number(u16),
    /// `_name` (section 6.3), with the underscore.
    Obfuscated(String),
}

impl ForwardedNode {
    /// The address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.name {
            ForwardedName::Ip(ip) => Some(ip),
            _ => None,
        }
    }

    /// Reads `nodename [":" node-port]`.
    fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (ip, rest) = rest.split_once(']')?;
                (ForwardedName::Ip(ip.parse::<Ipv6Addr>().ok()?.into()), rest)
            }
            None => {
                let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
                let name = if name.eq_ignore_ascii_case("unknown") {
                    ForwardedName::Unknown
                } else if is_obfuscated(name) {
                    ForwardedName::Obfuscated(name.to_owned())
                } else {
                    ForwardedName::Ip(name.parse::<Ipv4Addr>().ok()?.into())
                };
                (name, rest)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(port) => Some(ForwardedPort::parse(port)?),
            None if port.is_empty() => None,
            None => return None,
        };
        Some(Self { name, port })
    }
}

impl ForwardedPort {
    fn parse(text: &str) -> Option<Self> {
        if is_obfuscated(text) {
            return Some(Self::Obfuscated(text.to_owned()));
        }
        let number = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        if number { text.parse().ok().map(Self::Number) } else { None }
    }
}

impl fmt::Display for ForwardedNode {
    /// As it stands in the field, without quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            ForwardedName::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            ForwardedName::Ip(ip) => ip.fmt(f)?,
            ForwardedName::Unknown => f.write_str("unknown")?,
            ForwardedName::Obfuscated(name) => f.write_str(name)?,
        }
        match &self.port {
            None => Ok(()),
            Some(ForwardedPort::Number(port)) => write!(f, ":{port}"),
            Some(ForwardedPort::Obfuscated(port)) => write!(f, ":{port}"),
        }
    }
}

/// `"_" 1*(ALPHA / DIGIT / "." / "_" / "-")`.
fn is_obfuscated(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(allowed))
}

/// Reads the value of a `Forwarded` field, the elements in their order: that of the nearest proxy is the last. Takes the values of
/// several fields, joined by commas, as one (RFC 9110, section 5.3).
///
/// ```
/// use landspout_httputil::parse_forwarded;
///
/// let elements = parse_forwarded(br#"for=_hidden;proto=http, For="[2001:db8::7]:4711";proto=https"#)?;
/// let client = elements[1].forwarded_for.as_ref().unwrap();
/// assert_eq!(client.ip(), Some("2001:db8::7".parse().unwrap()));
/// assert_eq!(elements[0].proto.as_deref(), Some("http"));
/// assert_eq!(elements[0].forwarded_for.as_ref().unwrap().to_string(), "_hidden");
/// # Ok::<(), landspout_httputil::HttpInputError>(())
/// ```
///
/// # Errors
/// [`HttpInputError::InvalidForwarded`].
pub fn parse_forwarded(value: &[u8]) -> Result<Vec<ForwardedElement>, HttpInputError> {
    let mut elements = Vec::new();
    let mut rest = Rest(value);
    let malformed = || HttpInputError::InvalidForwarded(shortened(value));
    loop {
        let element = rest.element().ok_or_else(malformed)?;
        if element != ForwardedElement::default() {
            elements.push(element);
        }
        if rest.0.is_empty() {
            return Ok(elements);
        }
        // An element ends at a comma or at the end.
        rest.skip(b',');
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn skip(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(found)..];
        found
    }

    fn skip_whitespace(&mut self) {
        while self.skip(b' ') || self.skip(b'\t') {}
    }

    /// `[ forwarded-pair ] *( ";" [ forwarded-pair ] )`, up to a comma or the end.
    fn element(&mut self) -> Option<ForwardedElement> {
        let mut element = ForwardedElement::default();
        loop {
            self.skip_whitespace();
            match self.0.first() {
                None | Some(b',') => return if has_twins(&element.extensions) { None } else { Some(element) },
                Some(b';') => {}
                Some(_) => {
                    self.pair(&mut element)?;
                    self.skip_whitespace();
                }
            }
            if !self.skip(b';') && !matches!(self.0.first(), None | Some(b',')) {
                return None;
            }
        }
    }

    fn pair(&mut self, element: &mut ForwardedElement) -> Option<()> {
        let name = latin1(self.token()?).to_ascii_lowercase();
        if !self.skip(b'=') {
            return None;
        }
        let value = if self.0.first() == Some(&b'"') { self.quoted()? } else { latin1(self.token()?).into_owned() };
        match name.as_str() {
            "for" => once(&mut element.forwarded_for, ForwardedNode::parse(&value)?),
            "by" => once(&mut element.by, ForwardedNode::parse(&value)?),
            "host" if is_valid_host(value.as_bytes()) => once(&mut element.host, value),
            "proto" if is_scheme(&value) => once(&mut element.proto, value),
            "host" | "proto" => None,
            _ => {
                element.extensions.push((name, value));
                Some(())
            }
        }
    }

    fn token(&mut self) -> Option<&[u8]> {
        let end = self.0.iter().position(|byte| !is_token(&[*byte])).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        if token.is_empty() { None } else { Some(token) }
    }

    /// A quoted string (RFC 9110, section 5.6.4), without its quotes and escapes.
    fn quoted(&mut self) -> Option<String> {
        let mut plain = Vec::new();
        let mut i = 1;
        loop {
            let byte = match *self.0.get(i)? {
                b'"' => break,
                b'\\' => {
                    i += 1;
                    *self.0.get(i)?
                }
                byte => byte,
            };
            if !is_field_content(byte) {
                return None;
            }
            plain.push(byte);
            i += 1;
        }
        self.0 = &self.0[i + 1..];
        Some(latin1(&plain).into_owned())
    }
}

/// Each parameter may occur once in an element (section 4).
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = Some(value);
    Some(())
}

/// As `once`, looked for when all are there: so it takes no quadratic time, however many a peer sends.
fn has_twins(extensions: &[(String, String)]) -> bool {
    let mut names: Vec<&str> = extensions.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )` (RFC 3986, section 3.1).
fn is_scheme(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(allowed)
}

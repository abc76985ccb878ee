//! Entity tags (RFC 9110, section 8.8.3): one of our own, and the lists of them that requests carry.

use std::fmt;

use crate::error::{HeaderError, shortened};
use crate::grammar::trim_ows;

/// An entity tag: what tells one version of a resource from another.
///
/// ```
/// use landspout_httputil::EntityTag;
///
/// let tag = EntityTag::strong("33a64df5")?;
/// assert_eq!(tag.to_string(), "\"33a64df5\"");
/// assert!(tag.matches_strongly(b"\"33a64df5\""));
/// assert!(!tag.matches_strongly(b"W/\"33a64df5\"") && tag.matches_weakly(b"W/\"33a64df5\""));
/// # Ok::<(), landspout_httputil::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag {
    weak: bool,
    opaque: String,
}

impl EntityTag {
    /// A tag that changes with each byte of the content.
    ///
    /// # Errors
    /// [`HeaderError::InvalidEntityTag`] if there is anything but visible ASCII characters in it, or a quote.
    pub fn strong(opaque: impl Into<String>) -> Result<Self, HeaderError> {
        Self::new(false, opaque.into())
    }

    /// A tag that changes when what the content means does. It serves caches, but neither ranges nor `If-Match`.
    ///
    /// # Errors
    /// As [`strong`](Self::strong).
    pub fn weak(opaque: impl Into<String>) -> Result<Self, HeaderError> {
        Self::new(true, opaque.into())
    }

    fn new(weak: bool, opaque: String) -> Result<Self, HeaderError> {
        // Above ASCII, a tag may have bytes, but not all clients give them back as they came.
        if opaque.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') {
            Ok(Self { weak, opaque })
        } else {
            Err(HeaderError::InvalidEntityTag { tag: shortened(opaque.as_bytes()) })
        }
    }

    /// Whether it is a weak one.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// Whether a tag of a request is the same, and both are strong (RFC 9110, section 8.8.3.2).
    pub fn matches_strongly(&self, tag: &[u8]) -> bool {
        !self.weak && parse(tag) == Some((false, self.opaque.as_bytes()))
    }

    /// Whether a tag of a request is the same, weak or not (RFC 9110, section 8.8.3.2).
    pub fn matches_weakly(&self, tag: &[u8]) -> bool {
        parse(tag).is_some_and(|(_, opaque)| opaque == self.opaque.as_bytes())
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weak = if self.weak { "W/" } else { "" };
        write!(f, "{weak}\"{}\"", self.opaque)
    }
}

/// Whether it is weak, and what stands between the quotes.
fn parse(tag: &[u8]) -> Option<(bool, &[u8])> {
    let (weak, quoted) = tag.strip_prefix(b"W/").map_or((false, tag), |rest| (true, rest));
    let opaque = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let valid = opaque.iter().all(|byte| *byte > b' ' && *byte != b'"' && *byte != 0x7F);
    valid.then_some((weak, opaque))
}

/// The elements of a list, cut at the commas that are not in quotes. What is no tag is among them, and matches nothing.
pub(crate) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let mut quoted = false;
        let end = list.iter().position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        });
        rest = end.map(|end| &list[end + 1..]);
        Some(trim_ows(&list[..end.unwrap_or(list.len())]))
    })
}

//! Names with values, as forms have them: the map, files, and `application/x-www-form-urlencoded`.
//!
//! Rules: order is kept and a name may repeat; names are text (UTF-8, or Latin-1 where that fails), values bytes, because
//! only the application knows their encoding; nothing is dropped or repaired: an empty value stays, a broken escape stays as
//! it is written.

use bytes::Bytes;
use percent_encoding::percent_decode;

use crate::headers::text;

/// Values by name in the order in which they came; a name may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormMap<V> {
    entries: Vec<(String, V)>,
}

/// Arguments of a query or a form: Tornado's `arguments` dictionaries.
pub type Arguments = FormMap<Vec<u8>>;

/// Files of a form: Tornado's `files` dictionary.
pub type Files = FormMap<HttpFile>;

/// A file that was uploaded with a form: Tornado's `HTTPFile`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "HTTPFile")]
pub struct HttpFile {
    /// What the client calls it. It may contain anything: never use it as a path, but
    /// [`harmless_filename`](crate::harmless_filename) of it.
    pub filename: String,
    /// The content: a slice of the request's body, which lives as long as this does.
    pub body: Bytes,
    /// What the client says it is; `application/unknown` if it doesn't say.
    pub content_type: String,
}

impl<V> FormMap<V> {
    /// An empty map. Allocates nothing.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Appends a value, keeping those of the same name.
    pub fn add(&mut self, name: impl Into<String>, value: V) {
        self.entries.push((name.into(), value));
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.get_list(name).next()
    }

    /// The last value of that name: what Tornado's `get_argument` returns.
    pub fn get_last(&self, name: &str) -> Option<&V> {
        self.get_list(name).next_back()
    }

    /// All values of that name, in order.
    pub fn get_list(&self, name: &str) -> impl DoubleEndedIterator<Item = &V> {
        self.entries.iter().filter(move |(n, _)| n == name).map(|(_, value)| value)
    }

    /// Whether there is a value of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All names with their values, in order, repeated names one by one.
    #[doc(alias = "qs_to_qsl")]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &V)> + DoubleEndedIterator {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<V> Default for FormMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> Extend<(String, V)> for FormMap<V> {
    fn extend<I: IntoIterator<Item = (String, V)>>(&mut self, entries: I) {
        self.entries.extend(entries);
    }
}

impl<V> FromIterator<(String, V)> for FormMap<V> {
    fn from_iter<I: IntoIterator<Item = (String, V)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

impl<V> IntoIterator for FormMap<V> {
    type Item = (String, V);
    type IntoIter = std::vec::IntoIter<(String, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a, V> IntoIterator for &'a FormMap<V> {
    type Item = &'a (String, V);
    type IntoIter = std::slice::Iter<'a, (String, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

/// Reads `name=value&name=value`: Tornado's `parse_qs_bytes`, blank values kept.
///
/// Only `&` separates. `+` is a space. A broken percent escape stays as it is. Linear in time; a pair costs some 60 bytes
/// above its own length.
///
/// ```
/// use landspout_httputil::parse_qs_bytes;
///
/// let arguments = parse_qs_bytes("a=1&b=%C3%A9&a=2+3&c");
/// assert_eq!(arguments.get("a"), Some(&b"1".to_vec()));
/// assert_eq!(arguments.get_last("a"), Some(&b"2 3".to_vec()));
/// assert_eq!(arguments.get("b"), Some(&"é".as_bytes().to_vec()));
/// assert_eq!(arguments.get("c"), Some(&Vec::new()));
/// ```
pub fn parse_qs_bytes(query: impl AsRef<[u8]>) -> Arguments {
    pairs(query.as_ref()).collect()
}

/// The pairs one by one, so that a caller can stop at a limit.
pub(crate) fn pairs(query: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = match memchr::memchr(b'=', pair) {
            Some(equals) => (&pair[..equals], &pair[equals + 1..]),
            None => (pair, &pair[pair.len()..]),
        };
        (into_text(decode(name)), decode(value))
    })
}

/// Bytes as text: UTF-8 if they are, else Latin-1.
pub(crate) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| text(error.as_bytes()).into_owned())
}

fn decode(encoded: &[u8]) -> Vec<u8> {
    // Before the escapes: `%2B` is a plus.
    let mut bytes = encoded.to_vec();
    for byte in &mut bytes {
        if *byte == b'+' {
            *byte = b' ';
        }
    }
    if memchr::memchr(b'%', &bytes).is_some() { percent_decode(&bytes).collect() } else { bytes }
}

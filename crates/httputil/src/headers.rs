//! `HttpHeaders`: an ordered multimap of header fields (Tornado's `HTTPHeaders`).
//!
//! Rules: a handle is cheap to clone and copied when written to; names keep the case they came in and are looked up without
//! regard to it; a value is bytes, since HTTP's are (RFC 9110, section 5.5); whatever is in here has passed `is_token` and
//! `is_field_value`, so writing it out can neither split a message nor smuggle one.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use http::{Method, Version};

use crate::block::{Block, Field, RequestLine, Span};
use crate::error::HeaderError;
use crate::grammar::{is_field_content, is_field_value, is_token, trim_ows};
use crate::start_line::RequestStartLine;

/// Header fields in the order in which they came: Tornado's `HTTPHeaders`.
///
/// A field may occur several times. Lookups ignore the case of names. Cloning costs a reference count; the first change to
/// a handle that shares its storage copies it.
///
/// ```
/// use landspout_httputil::HttpHeaders;
///
/// let mut headers = HttpHeaders::new();
/// headers.add("Content-Type", "text/html")?;
/// headers.add("Set-Cookie", "A=B")?;
/// headers.add("Set-Cookie", "C=D")?;
/// assert_eq!(headers.get("content-type"), Some(&b"text/html"[..]));
/// assert_eq!(headers.get_text("set-cookie").unwrap(), "A=B,C=D");
/// assert_eq!(headers.get_list("Set-Cookie").count(), 2);
/// # Ok::<(), landspout_httputil::HeaderError>(())
/// ```
#[derive(Clone)]
#[doc(alias = "HTTPHeaders")]
pub struct HttpHeaders {
    repr: Repr,
}

#[derive(Clone)]
enum Repr {
    /// Fields that live in the program's text: a constant response head allocates nothing.
    Static(&'static [(&'static str, &'static str)]),
    Block(Rc<Block>),
}

impl HttpHeaders {
    /// No fields. Allocates nothing.
    #[inline]
    pub const fn new() -> Self {
        Self { repr: Repr::Static(&[]) }
    }

    /// The given fields, without copying them. Allocates nothing; in a `const` the check below costs nothing either.
    ///
    /// ```
    /// use landspout_httputil::HttpHeaders;
    ///
    /// const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);
    /// assert_eq!(PLAIN.get("content-type"), Some(&b"text/plain"[..]));
    /// ```
    ///
    /// # Panics
    /// When a name is not a token or a value not a field value (whitespace around it included). In a `const` that is a
    /// compile error.
    ///
    /// ```compile_fail
    /// # use landspout_httputil::HttpHeaders;
    /// const SPLIT: HttpHeaders = HttpHeaders::from_static(&[("Location", "/\r\nSet-Cookie: a=b")]);
    /// # let _ = SPLIT;
    /// ```
    #[inline]
    pub const fn from_static(fields: &'static [(&'static str, &'static str)]) -> Self {
        let mut i = 0;
        while i < fields.len() {
            assert!(is_token(fields[i].0.as_bytes()), "a header field name is not a token");
            assert!(
                is_field_value(fields[i].1.as_bytes()),
                "a header field value has characters that it must not have"
            );
            i += 1;
        }
        Self { repr: Repr::Static(fields) }
    }

    /// Collects pairs of name and value.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn try_from_iter<N: AsRef<str>, V: AsRef<[u8]>>(
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, HeaderError> {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.add(name.as_ref(), value)?;
        }
        Ok(headers)
    }

    /// Appends a field, keeping those of the same name. Whitespace around the value is cut off.
    ///
    /// The cost depends on the length of name and value alone, not on the fields that are there already.
    ///
    /// # Errors
    /// [`HeaderError`] when the name is not a token or the value contains a control character (CR and LF among them);
    /// nothing is added then.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let value = checked(name, value.as_ref())?;
        self.make_mut().add(name.as_bytes(), value)
    }

    /// Replaces all fields of that name by one, at the place of the first, or appends it: Tornado's `headers[name] = value`.
    ///
    /// # Errors
    /// As [`add`](Self::add); the old fields stay then. (Tornado doesn't check here.)
    #[doc(alias = "__setitem__")]
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let value = checked(name, value.as_ref())?;
        self.make_mut().set(name.as_bytes(), value)
    }

    /// The first value of that name, after storing `default` if there was none.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    #[doc(alias = "setdefault")]
    pub fn set_default(&mut self, name: &str, default: impl AsRef<[u8]>) -> Result<&[u8], HeaderError> {
        if !self.contains(name) {
            self.add(name, default)?;
        }
        Ok(self.get(name).unwrap_or_default())
    }

    /// Removes all fields of that name; whether there was one.
    #[doc(alias = "__delitem__")]
    pub fn remove(&mut self, name: &str) -> bool {
        // Nothing there: nothing to copy either.
        self.contains(name) && self.make_mut().remove(name.as_bytes())
    }

    /// Removes everything. Storage that nobody shares is kept for what comes next.
    pub fn clear(&mut self) {
        if self.is_unique() {
            let block = self.make_mut();
            block.bytes.clear();
            block.fields.clear();
        } else {
            *self = Self::new();
        }
    }

    /// The first value of that name.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        match &self.repr {
            Repr::Static(fields) => {
                fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
            }
            Repr::Block(block) => block.find(name.as_bytes()).map(|field| field.value.of(&block.bytes)),
        }
    }

    /// All values of that name joined by `,`, as text: Tornado's `headers[name]`.
    ///
    /// Bytes above 0x7F are read as Latin-1, as Tornado does it. A single ASCII value is borrowed. `Set-Cookie` can't be
    /// joined (RFC 9110, section 5.3): use [`get_list`](Self::get_list) for it.
    #[doc(alias = "__getitem__")]
    pub fn get_text(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.get_list(name);
        let first = latin1(values.next()?);
        let Some(second) = values.next() else { return Some(first) };
        let mut text = first.into_owned();
        for value in std::iter::once(second).chain(values) {
            text.push(',');
            text.push_str(&latin1(value));
        }
        Some(Cow::Owned(text))
    }

    /// Every value of that name, in order.
    pub fn get_list(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Every field in order, repeated ones one by one.
    #[doc(alias = "get_all")]
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { fields: self.fields() }
    }

    /// Every field in order with its name as bytes: what an encoder wants.
    #[inline]
    pub fn fields(&self) -> Fields<'_> {
        Fields {
            repr: match &self.repr {
                Repr::Static(fields) => FieldsRepr::Static(fields.iter()),
                Repr::Block(block) => FieldsRepr::Block(&block.bytes, block.fields.iter()),
            },
        }
    }

    /// Whether there is a field of that name.
    #[inline]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// How many fields there are, repeated ones counted one by one.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::Static(fields) => fields.len(),
            Repr::Block(block) => block.fields.len(),
        }
    }

    /// Whether there is no field.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codec's door: forgets all fields and takes a copy of a raw head, whose fields are then pushed as offsets.
    ///
    /// The storage is used again if this is the only handle to it, which allocates nothing once it is large enough;
    /// otherwise (the application kept the headers of the request before) new storage is made. Of a head above 4 GiB only
    /// the first 4 GiB are taken; codecs have limits far below that.
    #[inline]
    pub fn reset(&mut self, head: &[u8]) -> HeaderIndex<'_> {
        let head = &head[..head.len().min(u32::MAX as usize)];
        let mut index = self.begin(head.len());
        index.set_bytes(head);
        index
    }

    /// Starts over, with the fields first and the bytes last: for a codec that finds the end of a head by reading its fields.
    /// The storage is reused as in [`reset`](Self::reset). `size` is how much memory new storage should have.
    #[inline]
    pub fn begin(&mut self, size: usize) -> HeaderIndex<'_> {
        let block = self.block_or(|_| new_block(size));
        block.bytes.clear();
        block.fields.clear();
        HeaderIndex { block }
    }

    /// The fields that were given to [`from_static`](Self::from_static), if this is them and nothing was changed.
    #[inline]
    pub fn as_static(&self) -> Option<&'static [(&'static str, &'static str)]> {
        match self.repr {
            Repr::Static(fields) => Some(fields),
            Repr::Block(_) => None,
        }
    }

    /// How many bytes of storage this handle refers to, used or not; none for constant headers. A pool that recycles
    /// headers decides by it which have grown too large to keep.
    pub fn capacity(&self) -> usize {
        match &self.repr {
            Repr::Static(_) => 0,
            Repr::Block(block) => block.bytes.capacity() + block.fields.capacity() * size_of::<Field>(),
        }
    }

    /// The start line that [`HeaderIndex::set_request_line`] noted. It shares the storage, so nothing is copied.
    #[inline(always)]
    pub fn request_start_line(&self) -> RequestStartLine {
        match &self.repr {
            Repr::Block(block) => RequestStartLine::of_block(block),
            Repr::Static(_) => RequestStartLine::new(Method::GET, "", Version::HTTP_11),
        }
    }

    /// Lengthens the value of the last field, which was added by the call before.
    pub(crate) fn extend_last(&mut self, more: &[u8]) -> Result<(), HeaderError> {
        self.make_mut().extend_last(more)
    }

    /// The block to change: this one if nobody shares it, else a copy.
    fn make_mut(&mut self) -> &mut Block {
        self.block_or(|headers| Rc::new(Block::copy_of(headers.fields())))
    }

    #[inline(always)]
    fn block_or(&mut self, new: impl FnOnce(&Self) -> Rc<Block>) -> &mut Block {
        if !self.is_unique() {
            self.repr = Repr::Block(new(self));
        }
        match &mut self.repr {
            Repr::Block(block) => Rc::get_mut(block).expect("it is unique, or has just been made"),
            Repr::Static(_) => unreachable!("it has just been made a block"),
        }
    }

    /// Whether this is the only handle to a block. There are no weak ones.
    #[inline]
    fn is_unique(&mut self) -> bool {
        match &mut self.repr {
            Repr::Block(block) => Rc::get_mut(block).is_some(),
            Repr::Static(_) => false,
        }
    }
}

impl Default for HttpHeaders {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> IntoIterator for &'a HttpHeaders {
    type Item = (&'a str, &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Lets a codec index a raw head: made by [`HttpHeaders::reset`].
#[derive(Debug)]
pub struct HeaderIndex<'a> {
    block: &'a mut Block,
}

impl HeaderIndex<'_> {
    /// Copies the head, in place of what was there. All offsets are relative to its start; fields beyond 4 GiB would read as something
    /// else.
    #[inline]
    pub fn set_bytes(&mut self, head: &[u8]) {
        self.block.bytes.clear();
        self.block.bytes.extend_from_slice(head);
        debug_assert!(self.block.fields.iter().all(|field| {
            is_token(field.name.of(&self.block.bytes)) && is_field_value(field.value.of(&self.block.bytes))
        }));
    }

    /// The copy of the head.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.block.bytes
    }

    /// Adds the field whose name and value lie there.
    ///
    /// The codec has checked both: the name is a token and the value, without the whitespace around it, a field value. Builds
    /// with debug assertions check it again; without, a range outside the head reads as empty.
    #[inline]
    pub fn push(&mut self, name: Range<usize>, value: Range<usize>) {
        debug_assert!(self.block.bytes.is_empty() || self.block.bytes.get(name.clone()).is_some_and(is_token));
        debug_assert!(self.block.bytes.is_empty() || self.block.bytes.get(value.clone()).is_some_and(is_field_value));
        self.block.fields.push(Field { name: Span::new(name), value: Span::new(value) });
    }

    /// Where name and value of a field that was pushed lie.
    #[inline]
    pub fn field(&self, n: usize) -> Option<(Range<usize>, Range<usize>)> {
        self.block.fields.get(n).map(|field| (field.name.range(), field.value.range()))
    }

    /// Notes the start line, for [`HttpHeaders::request_start_line`]. The target lies at `path`; it is text, and reads as empty
    /// otherwise.
    #[inline]
    pub fn set_request_line(&mut self, method: Method, path: Range<usize>, version: Version) {
        self.block.request_line = RequestLine { method, version, path: Span::new(path) };
    }

    /// As [`set_request_line`](Self::set_request_line) with the method GET, which is only written if another one stands here from the
    /// head before.
    #[inline(always)]
    pub fn set_get_line(&mut self, path: Range<usize>, version: Version) {
        let line = &mut self.block.request_line;
        if line.method != Method::GET {
            line.method = Method::GET;
        }
        (line.version, line.path) = (version, Span::new(path));
    }

    /// How many fields were pushed so far.
    #[inline]
    pub fn len(&self) -> usize {
        self.block.fields.len()
    }

    /// Whether no field was pushed so far.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.block.fields.is_empty()
    }
}

/// Iterates over names and values: see [`HttpHeaders::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    fields: Fields<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // A token is ASCII, so this never falls back.
        self.fields.next().map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.fields.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.fields.next_back().map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// Iterates over names and values as bytes: see [`HttpHeaders::fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    repr: FieldsRepr<'a>,
}

#[derive(Clone, Debug)]
enum FieldsRepr<'a> {
    Static(std::slice::Iter<'static, (&'static str, &'static str)>),
    Block(&'a [u8], std::slice::Iter<'a, Field>),
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.repr {
            FieldsRepr::Static(fields) => fields.next().map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            FieldsRepr::Block(bytes, fields) => {
                fields.next().map(|field| (field.name.of(bytes), field.value.of(bytes)))
            }
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.repr {
            FieldsRepr::Static(fields) => fields.size_hint(),
            FieldsRepr::Block(_, fields) => fields.size_hint(),
        }
    }
}

impl DoubleEndedIterator for Fields<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.repr {
            FieldsRepr::Static(fields) => fields.next_back().map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            FieldsRepr::Block(bytes, fields) => {
                fields.next_back().map(|field| (field.name.of(bytes), field.value.of(bytes)))
            }
        }
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// Bytes as Latin-1 text: each byte is the character of that number. ASCII is borrowed.
pub(crate) fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// Bytes as text: UTF-8 if they are, which is what browsers send, else Latin-1, which loses nothing.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| latin1(bytes), Cow::Borrowed)
}

/// The value to store, or what is wrong with the pair.
fn checked<'v>(name: &str, value: &'v [u8]) -> Result<&'v [u8], HeaderError> {
    if !is_token(name.as_bytes()) {
        return Err(HeaderError::InvalidName { name: name.to_owned() });
    }
    let value = trim_ows(value);
    if !is_field_value(value) {
        let position = value.iter().position(|byte| !is_field_content(*byte)).unwrap_or_default();
        return Err(HeaderError::InvalidValue { name: name.to_owned(), byte: value[position], position });
    }
    Ok(value)
}

/// New storage for a head of that size. Out of line: it is the way of a connection's first request, not of the others.
#[cold]
fn new_block(size: usize) -> Rc<Block> {
    // Heads of one connection resemble each other: round up, so that the next one fits.
    Rc::new(Block {
        bytes: Vec::with_capacity((size + 64).next_power_of_two()),
        fields: Vec::with_capacity(16),
        request_line: RequestLine::default(),
    })
}

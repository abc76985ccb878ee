//! Where header fields live: one growing byte buffer and a list of offsets into it.
//!
//! Rules: fields are found by scanning (real messages have few, and a scan that compares lengths first beats hashing them);
//! names are tokens and values field values, which whoever adds a field has checked; an offset that points outside the
//! buffer reads as empty instead of panicking; removed fields leave dead bytes behind, which `compact` bounds.

use std::ops::Range;

use http::{Method, Version};

use crate::error::HeaderError;

/// A piece of a block's bytes. 32 bits keep an offset pair in one register; no header block comes near 4 GiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[inline]
    pub(crate) fn new(range: Range<usize>) -> Self {
        debug_assert!(range.start <= range.end && range.end <= u32::MAX as usize);
        Self { start: range.start as u32, end: range.end as u32 }
    }

    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    #[inline]
    fn len(self) -> usize {
        (self.end as usize).wrapping_sub(self.start as usize)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    /// A copy of the wire's head, or names and values one after another, or the first followed by the second.
    pub(crate) bytes: Vec<u8>,
    pub(crate) fields: Vec<Field>,
    /// Of a request's head. It lives here so that a start line is one pointer to hand on.
    pub(crate) request_line: RequestLine,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct RequestLine {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) path: Span,
}

impl Block {
    /// A block of its own with the fields of another, without that one's dead bytes.
    pub(crate) fn copy_of<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Self {
        let (count, size) = fields.clone().fold((0, 0), |(n, size), (k, v)| (n + 1, size + k.len() + v.len()));
        // One more field's worth of room: a copy is made because somebody is about to add one.
        let mut block = Self {
            bytes: Vec::with_capacity(size + 64),
            fields: Vec::with_capacity(count + 1),
            request_line: RequestLine::default(),
        };
        for (name, value) in fields {
            let name = block.append(name);
            let value = block.append(value);
            block.fields.push(Field { name, value });
        }
        block
    }

    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Field> {
        self.fields.iter().find(|field| self.has_name(field, name))
    }

    #[inline]
    pub(crate) fn has_name(&self, field: &Field, name: &[u8]) -> bool {
        field.name.len() == name.len() && field.name.of(&self.bytes).eq_ignore_ascii_case(name)
    }

    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        self.make_room(name.len() + value.len())?;
        let name = self.append(name);
        let value = self.append(value);
        self.fields.push(Field { name, value });
        Ok(())
    }

    /// Replaces every field of that name by one, where the first of them was.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderError> {
        let Some(first) = self.fields.iter().position(|field| self.has_name(field, name)) else {
            return self.add(name, value);
        };
        self.make_room(value.len())?;
        let value = self.append(value);
        self.fields[first].value = value;
        let mut index = 0;
        self.retain(|block, field| {
            index += 1;
            index - 1 <= first || !block.has_name(field, name)
        });
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.fields.len();
        self.retain(|block, field| !block.has_name(field, name));
        self.fields.len() != before
    }

    /// Lengthens the value of the last field.
    pub(crate) fn extend_last(&mut self, more: &[u8]) -> Result<(), HeaderError> {
        let Some(mut field) = self.fields.last().copied() else { return Ok(()) };
        self.make_room(field.value.len() + more.len())?;
        // Not at the end when something was set or removed since: move it there first.
        if field.value.end as usize != self.bytes.len() {
            let value = field.value.of(&self.bytes).to_vec();
            field.value = self.append(&value);
        }
        field.value.end = self.append(more).end;
        if let Some(last) = self.fields.last_mut() {
            *last = field;
        }
        Ok(())
    }

    fn retain(&mut self, mut keep: impl FnMut(&Self, &Field) -> bool) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.retain(|field| keep(self, field));
        self.fields = fields;
        self.compact();
    }

    /// Setting one field again and again must not grow the block for ever.
    fn compact(&mut self) {
        let live: usize = self.fields.iter().map(|f| f.name.len() + f.value.len()).sum();
        if self.bytes.len() > 2 * live + 1024 {
            *self = Self::copy_of(self.fields.iter().map(|f| (f.name.of(&self.bytes), f.value.of(&self.bytes))));
        }
    }

    fn make_room(&self, more: usize) -> Result<(), HeaderError> {
        if more > u32::MAX as usize - self.bytes.len() { Err(HeaderError::TooLarge) } else { Ok(()) }
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span::new(start..self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_field_for_ever_does_not_grow_the_block() {
        let mut block = Block::default();
        block.add(b"Host", b"example.com").unwrap();
        for i in 0..100_000 {
            block.set(b"X-Count", i.to_string().as_bytes()).unwrap();
        }
        assert!(block.bytes.len() < 4096, "{}", block.bytes.len());
        assert_eq!(block.fields.len(), 2);
        assert_eq!(block.find(b"x-count").unwrap().value.of(&block.bytes), b"99999");
        assert_eq!(block.find(b"host").unwrap().value.of(&block.bytes), b"example.com");
    }

    #[test]
    fn a_span_outside_reads_as_empty() {
        assert_eq!(Span::new(3..9).of(b"abc"), b"");
    }
}

//! A piece of a body with what goes around it, so that large ones needn't be copied.

/// What to put around a piece of a body: made by [`ResponseEncoder::data`](crate::ResponseEncoder::data).
///
/// The piece itself isn't copied, so that a large one can go to the socket from where it is.
#[derive(Clone, Debug)]
#[must_use = "nothing was written yet"]
pub struct Framed<'a> {
    /// The chunk's line, right-aligned.
    prefix: [u8; PREFIX],
    prefix_start: u8,
    chunk: &'a [u8],
    suffix: &'static [u8],
}

/// 16 digits and CRLF.
const PREFIX: usize = 18;

impl<'a> Framed<'a> {
    /// The bytes to write, in this order; any of them may be empty.
    #[inline]
    pub fn pieces(&self) -> [&[u8]; 3] {
        [self.prefix(), self.chunk, self.suffix]
    }

    /// What comes before the piece.
    #[inline]
    pub fn prefix(&self) -> &[u8] {
        self.prefix.get(usize::from(self.prefix_start)..).unwrap_or_default()
    }

    /// The piece as it was given, or nothing if it must not be sent.
    #[inline]
    pub fn chunk(&self) -> &'a [u8] {
        self.chunk
    }

    /// What comes behind the piece.
    #[inline]
    pub fn suffix(&self) -> &'static [u8] {
        self.suffix
    }

    /// Whether there is nothing to write.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Only a chunk has a prefix or suffix, and no chunk is empty.
        self.chunk.is_empty()
    }

    /// Appends all of it.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        for piece in self.pieces() {
            out.extend_from_slice(piece);
        }
    }

    #[inline]
    pub(crate) fn plain(chunk: &'a [u8]) -> Self {
        Self { prefix: [0; PREFIX], prefix_start: PREFIX as u8, chunk, suffix: b"" }
    }

    pub(crate) fn chunk_of(chunk: &'a [u8]) -> Self {
        let mut framed = Self { suffix: b"\r\n", ..Self::plain(chunk) };
        let mut start = PREFIX - 2;
        framed.prefix[start..].copy_from_slice(b"\r\n");
        let mut size = chunk.len();
        while size != 0 {
            start -= 1;
            framed.prefix[start] = b"0123456789abcdef"[size % 16];
            size /= 16;
        }
        framed.prefix_start = start as u8;
        framed
    }
}

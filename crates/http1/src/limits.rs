//! How much of a message the codec takes before it gives up, each default with its precedent.

/// What a peer may send at most. Sizes are in bytes.
///
/// ```
/// use landspout_http1::Limits;
///
/// let limits = Limits { max_body_size: 1 << 20, ..Limits::default() };
/// assert_eq!(limits.max_header_size, 65_536);
/// ```
///
/// A decoder takes them as `Limits` or as `Rc<Limits>`; a server shares one among its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole head: first line, header fields and the blank line. 65,536 as in Tornado. Beyond it: 431, or 414 if the
    /// request line doesn't end before.
    ///
    /// Also the heads of all interim responses to one request together, as in Go: a server could send them for ever.
    pub max_header_size: usize,
    /// The request line without its line end. 16,384 as Node.js allows for a whole head; RFC 9112, section 3, asks for
    /// 8,000 at least. Beyond it: 414.
    pub max_start_line: usize,
    /// One header or trailer field, name and value, without its line end. 65,536: as long as the head may be, since
    /// Kerberos tickets and cookies get that long; nginx and Apache stop at 8,192. Beyond it: 431.
    pub max_header_line: usize,
    /// The number of header fields, and of trailer fields. 100 as in Apache and hyper; more than 65,535 count as that. Beyond it:
    /// 431.
    pub max_headers: usize,
    /// The body, without the framing of its chunks. 104,857,600 (100 MiB) as in Tornado; 0 allows no body. Beyond it: 413.
    ///
    /// [`RequestDecoder::set_max_body_size`](crate::RequestDecoder::set_max_body_size) replaces it for one message.
    pub max_body_size: u64,
    /// The line with a chunk's size and extensions, without its line end. 4,096 as in Go. Beyond it: 400.
    pub max_chunk_line: usize,
    /// All chunk extensions of one body together, and the zeros before its chunks' sizes, as far as these have more than 16
    /// digits. 16,384 as in hyper and Node.js. Beyond it: 400.
    ///
    /// Without this limit a peer could wrap each byte of its body into kilobytes that count for nothing (RFC 9112,
    /// section 7.1.1; CVE-2023-39326, CVE-2024-22019).
    pub max_chunk_extensions: usize,
    /// The whole trailer section with the blank line. 16,384 as in hyper. Beyond it: 431.
    pub max_trailer_size: usize,
}

/// As many fields as can be numbered.
const MAX_FIELDS: usize = u16::MAX as usize;

impl Limits {
    /// [`max_headers`](Self::max_headers), as far as that goes.
    #[inline(always)]
    pub(crate) fn max_fields(&self) -> usize {
        self.max_headers.min(MAX_FIELDS)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_header_size: 65_536,
            max_start_line: 16_384,
            max_header_line: 65_536,
            max_headers: 100,
            max_body_size: 100 << 20,
            max_chunk_line: 4_096,
            max_chunk_extensions: 16_384,
            max_trailer_size: 16_384,
        }
    }
}

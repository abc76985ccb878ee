//! The PROXY protocol's header (versions 1 and 2): who connected to the proxy. Bytes in, a header out; no I/O.
//!
//! The specification is HAProxy's `proxy-protocol.txt`; section numbers are its. Rules: nothing is looked at in part (an address
//! counts when the whole header is there), and what can become no header is refused at the first byte that shows it.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;

mod v1;
mod v2;

/// What a proxy says about the connection that it hands on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyHeader {
    /// 1 (a line of text) or 2 (binary).
    pub version: u8,
    /// The proxy speaks for itself (`LOCAL`): a health check, as a rule.
    pub local: bool,
    /// Who connected to the proxy. `None` when the proxy speaks for itself, doesn't know (`UNKNOWN`, `UNSPEC`), or names
    /// anything but two ends of a TCP connection: then the connection's own address is all there is.
    pub source: Option<SocketAddr>,
    /// What the client connected to. `None` when `source` is.
    pub destination: Option<SocketAddr>,
    /// The bytes behind the addresses of version 2: see [`tlvs`](Self::tlvs).
    tlvs: Vec<u8>,
}

impl ProxyHeader {
    /// Reads the header at the front of `bytes`: it, and how many bytes it takes, at most `max_size`. `None` when its end has not
    /// come yet.
    ///
    /// ```
    /// use landspout_netutil::ProxyHeader;
    ///
    /// let bytes = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
    /// let (header, length) = ProxyHeader::parse(bytes, 4096)?.unwrap();
    /// assert_eq!(header.source, Some("192.0.2.7:56324".parse().unwrap()));
    /// assert_eq!(&bytes[length..], b"GET / HTTP/1.1\r\n");
    /// assert_eq!(ProxyHeader::parse(&bytes[..20], 4096)?, None);
    /// # Ok::<(), landspout_netutil::ProxyHeaderError>(())
    /// ```
    ///
    /// # Errors
    /// [`ProxyHeaderError`]: more bytes won't make it a header.
    pub fn parse(bytes: &[u8], max_size: usize) -> Result<Option<(Self, usize)>, ProxyHeaderError> {
        match bytes.first() {
            None => Ok(None),
            Some(b'P') => v1::parse(bytes),
            Some(_) => v2::parse(bytes, max_size),
        }
    }

    /// What version 2 says besides the addresses (section 2.2, `PP2_TYPE_*`), as types and values: the client's ALPN (0x01), the host name
    /// it asked for (0x02), what TLS it spoke with the proxy (0x20)... Empty for a proxy that speaks for itself or names no addresses.
    pub fn tlvs(&self) -> impl Iterator<Item = (u8, &[u8])> {
        v2::Tlvs(&self.tlvs).map_while(Result::ok)
    }
}

/// Why bytes are no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// They begin as none does.
    NoHeader,
    /// No end within the 107 bytes that a line of version 1 has at most (section 2.1).
    LineTooLong,
    /// A line end that isn't CR LF (section 2.1).
    LineEnd,
    /// A line that isn't `PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT` or `PROXY UNKNOWN ...` (section 2.1).
    Line,
    /// A version other than 2 behind the binary signature, which it holds.
    Version(u8),
    /// A command that isn't known, which it holds.
    Command(u8),
    /// A family or a transport protocol that isn't known; holds the byte with both.
    Family(u8),
    /// Longer than the limit.
    TooLarge {
        /// How long the header calls itself, in bytes.
        size: usize,
        /// The limit, in bytes.
        max_size: usize,
    },
    /// Too short for the addresses of its family; holds the length behind the first 16 bytes.
    TooShort(usize),
    /// The data behind the addresses is not made of types, lengths and values.
    Tlv,
    /// The checksum doesn't fit (section 2.2.3).
    Checksum,
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader => f.write_str("no header of the PROXY protocol"),
            Self::LineTooLong => f.write_str("PROXY line without an end within 107 bytes"),
            Self::LineEnd => f.write_str("PROXY line with an end other than CR LF"),
            Self::Line => f.write_str("malformed PROXY line"),
            Self::Version(version) => write!(f, "unknown version {version} of the PROXY protocol"),
            Self::Command(command) => write!(f, "unknown command {command:#x} of the PROXY protocol"),
            Self::Family(family) => write!(f, "unknown family or transport {family:#04x} of the PROXY protocol"),
            Self::TooLarge { size, max_size } => {
                write!(f, "PROXY header of {size} bytes, {max_size} are allowed")
            }
            Self::TooShort(length) => write!(f, "PROXY header with {length} bytes for its addresses, too few"),
            Self::Tlv => f.write_str("malformed data behind the addresses of a PROXY header"),
            Self::Checksum => f.write_str("wrong checksum of a PROXY header"),
        }
    }
}

impl Error for ProxyHeaderError {}

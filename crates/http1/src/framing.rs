//! Every decision about framing and keep-alive, for both directions. Nothing else in this crate makes one.
//!
//! Rules: each stands beside the section that asks for it. Where RFC 9110 and RFC 9112 leave a choice, the stricter one is
//! taken: two readers that disagree about where a message ends are what request smuggling is made of.

use landspout_httputil::{HeaderIndex, Method, StatusCode, Version, is_token, is_valid_host, trim_ows};

use crate::error::{DecodeError, shortened};

/// How long the body of a message is (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyLength {
    /// No body: neither `Content-Length` nor `Transfer-Encoding`.
    None,
    /// That many bytes, perhaps none.
    Fixed(u64),
    /// As many as the chunks say.
    Chunked,
    /// All that comes until the connection ends: a response that doesn't say its length.
    UntilClose,
}

/// The fields that the codec itself reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Host,
    Date,
    Upgrade,
    Expect,
    Connection,
    ContentLength,
    TransferEncoding,
    Other,
}

const KINDS: usize = Kind::Other as usize;

const HOST: u8 = 1 << Kind::Host as u8;

/// The kinds that have a say in framing and keep-alive.
const RARE: u8 = 1 << Kind::Connection as u8
    | 1 << Kind::Expect as u8
    | 1 << Kind::ContentLength as u8
    | 1 << Kind::TransferEncoding as u8;

/// Which of them `name`, a token, is. Length and first letter decide mostly.
#[inline(always)]
pub(crate) fn kind(name: &[u8]) -> Kind {
    let Some(first) = name.first() else { return Kind::Other };
    match (name.len(), first | 0x20) {
        (4, b'h') if is(name, b"host") => Kind::Host,
        (4, b'd') if is(name, b"date") => Kind::Date,
        (6, b'e') if is(name, b"expect") => Kind::Expect,
        (7, b'u') if is(name, b"upgrade") => Kind::Upgrade,
        (10, b'c') if is(name, b"connection") => Kind::Connection,
        (14, b'c') if is(name, b"content-length") => Kind::ContentLength,
        (17, b't') if is(name, b"transfer-encoding") => Kind::TransferEncoding,
        _ => Kind::Other,
    }
}

/// Compares bytes without control characters with a lower-case name of letters and hyphens. Setting bit 5 makes letters lower-case
/// and keeps the hyphen; what else it turns into these are control characters. Without branches, so that it becomes a few wide
/// instructions.
#[inline(always)]
fn is<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else { return false };
    let mut difference = 0;
    for i in 0..N {
        difference |= (name[i] | 0x20) ^ lower[i];
    }
    difference == 0
}

// ---------------------------------------------------------------------------------------------------------------------
// Requests

/// What the pass over a head's fields picks out: where each of the fields that matter occurs first, and which occur again.
/// Numbers instead of slices, since most requests have one or two of these fields and pay for all of them.
#[derive(Debug, Default)]
pub(crate) struct FramingFields {
    first: [u16; KINDS],
    /// One bit for each kind.
    seen: u8,
    repeated: u8,
    /// A field said [`close`](says_close) and is not among those that were seen.
    pub(crate) closes: bool,
}

/// What a request's head says about its message and its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestFraming {
    pub(crate) to: ResponseTo,
    pub(crate) body: BodyLength,
    pub(crate) keep_alive: bool,
    pub(crate) expect_continue: bool,
    pub(crate) upgrade: bool,
}

impl RequestFraming {
    /// Of a request that says nothing: no body (RFC 9112, section 6.3, rule 7), and the version decides about the connection
    /// (section 9.3).
    #[inline]
    pub(crate) fn silent(to: ResponseTo) -> Self {
        Self { to, body: BodyLength::None, keep_alive: to.http11(), expect_continue: false, upgrade: false }
    }
}

impl Default for RequestFraming {
    fn default() -> Self {
        Self::silent(ResponseTo::new(MethodKind::Other, true))
    }
}

/// Whether a field of a request with HTTP/1.1 tells nothing: `Connection: keep-alive`, which browsers send all the same.
#[inline(always)]
pub(crate) fn goes_without_saying(kind: Kind, value: &[u8]) -> bool {
    kind == Kind::Connection && is(value, b"keep-alive")
}

/// Whether a field is `Connection: close`, as it is usually written: the connection ends behind the answer (RFC 9112, section 9.6).
#[inline(always)]
pub(crate) fn says_close(kind: Kind, value: &[u8]) -> bool {
    kind == Kind::Connection && is(value, b"close")
}

impl FramingFields {
    /// Notes the kind of the field number `at`.
    #[inline]
    pub(crate) fn see_name(&mut self, kind: Kind, at: usize) {
        if kind != Kind::Other {
            self.see(kind, at);
        }
    }

    /// Notes that the field number `at` is of that kind.
    #[inline]
    pub(crate) fn see(&mut self, kind: Kind, at: usize) {
        let bit = 1 << kind as u8;
        if self.seen & bit == 0 {
            // No head has more fields than that has numbers: see `Limits::max_fields`.
            self.first[kind as usize] = at as u16;
        }
        self.repeated |= self.seen & bit;
        self.seen |= bit;
    }

    /// The number of the first field of that kind.
    pub(crate) fn first(&self, kind: Kind) -> usize {
        self.first[kind as usize].into()
    }

    #[inline]
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.seen & 1 << kind as u8 != 0
    }

    /// Whether nothing was seen that has a say in framing and keep-alive.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        self.seen & RARE == 0
    }

    /// RFC 9112, section 3.2: one `Host` and a valid one; none only in HTTP/1.0. `host` gives the value of one that occurs once.
    pub(crate) fn check_host<'a>(&self, http11: bool, host: impl FnOnce() -> &'a [u8]) -> Result<(), DecodeError> {
        match self.has(Kind::Host) {
            false if http11 => Err(DecodeError::MissingHost),
            false => Ok(()),
            true if self.repeated & HOST != 0 => Err(DecodeError::MultipleHosts),
            true => check_host(host()),
        }
    }

    /// The decisions about message and connection. These are the fields of `head`.
    pub(crate) fn conclude(
        &self,
        method: &[u8],
        to: ResponseTo,
        fields: &HeaderIndex<'_>,
        head: &[u8],
    ) -> Result<RequestFraming, DecodeError> {
        let http11 = to.http11();
        let values = |wanted| self.values(wanted, fields, head);
        let body = self.told_length(http11, values)?;
        let has_body = !matches!(body, BodyLength::None | BodyLength::Fixed(0));
        // RFC 9110, sections 9.3.6 and 9.3.8.
        if has_body && matches!(method, b"CONNECT" | b"TRACE") {
            return Err(DecodeError::BodyNotAllowed);
        }
        let options = ConnectionOptions::read(values(Kind::Connection));
        // In HTTP/1.0 a body without a length can't be told from the next request (RFC 1945, section 7.2.2), which is why
        // Tornado closes after such methods too.
        let keep_alive =
            options.persist(http11) && (http11 || body != BodyLength::None || matches!(method, b"GET" | b"HEAD"));
        // RFC 9110, section 10.1.1: ignored in HTTP/1.0, pointless without a body.
        let expects = http11 && self.has(Kind::Expect) && check_expect(values(Kind::Expect))?;
        Ok(RequestFraming {
            to,
            body,
            keep_alive,
            expect_continue: expects && has_body,
            // RFC 9110, section 7.8: only with the connection option, and never in HTTP/1.0.
            upgrade: http11 && options.upgrade && values(Kind::Upgrade).any(|value| !value.is_empty()),
        })
    }
}

/// For messages of both directions.
impl FramingFields {
    /// The values of a field. One that occurs once is found by its number; only repeated ones cost another walk.
    fn values<'a>(&self, wanted: Kind, fields: &HeaderIndex<'_>, head: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let first = usize::from(self.first[wanted as usize]);
        let end = match () {
            () if !self.has(wanted) => first,
            () if self.repeated & 1 << wanted as u8 == 0 => first + 1,
            () => fields.len(),
        };
        let of_that_kind = move |n| {
            let (name, value) = fields.field(n)?;
            (kind(head.get(name)?) == wanted).then(|| head.get(value)).flatten()
        };
        (first..end).filter_map(of_that_kind)
    }

    /// How long the body is by what the fields say.
    fn told_length<'a, V: Iterator<Item = &'a [u8]>>(
        &self,
        http11: bool,
        values: impl Fn(Kind) -> V,
    ) -> Result<BodyLength, DecodeError> {
        match (self.has(Kind::TransferEncoding), self.has(Kind::ContentLength)) {
            (false, false) => Ok(BodyLength::None),
            // RFC 9112, section 6.1: framing of HTTP/1.0 with transfer codings is faulty, whatever else is there.
            (true, _) if !http11 => Err(DecodeError::TransferEncodingInHttp10),
            // RFC 9112, sections 6.1 and 6.3: it may be refused, and an attempt at smuggling is what it is.
            (true, true) => Err(DecodeError::AmbiguousLength),
            (true, false) => {
                check_transfer_encoding(values(Kind::TransferEncoding))?;
                Ok(BodyLength::Chunked)
            }
            (false, true) => Ok(BodyLength::Fixed(content_length(values(Kind::ContentLength))?)),
        }
    }
}

/// How the body of a request is framed that we send: by the length that is given or `known`, else by chunks where they are asked
/// for or the method is one that has content (RFC 9110, sections 8.6, 9.3.3 and 9.3.4; RFC 5789). `None`: it may not have one
/// (RFC 9110, sections 9.3.6 and 9.3.8).
pub(crate) fn outgoing_body(
    method: &Method,
    given: Option<u64>,
    known: Option<u64>,
    chunks: bool,
) -> Option<BodyLength> {
    let usual = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    let length = match (given, known) {
        (Some(length), _) => BodyLength::Fixed(length),
        (None, _) if chunks => BodyLength::Chunked,
        (None, Some(0)) if !usual => BodyLength::None,
        (None, Some(length)) => BodyLength::Fixed(length),
        (None, None) if usual => BodyLength::Chunked,
        (None, None) => BodyLength::None,
    };
    let none = matches!(length, BodyLength::None | BodyLength::Fixed(0));
    (none || !matches!(*method, Method::CONNECT | Method::TRACE)).then_some(length)
}

/// The field `Host` that was found valid last, as it came. The requests of a connection rarely have another one, and looking at each
/// byte of it would be a quarter of the work on a small request.
#[derive(Clone, Debug)]
pub(crate) struct KnownHost {
    /// The line, name, value and end: its first and its last bytes, which overlap. Shorter and longer ones are checked each time.
    first: [u8; HALF],
    last: [u8; HALF],
    /// Where the last ones begin. As far away as can be if there is none.
    last_at: usize,
}

/// Half of what is kept at most.
const HALF: usize = 16;

impl KnownHost {
    /// Whether `input` begins with that line: the length of its value. The name is `Host`, one space before the value.
    #[inline(always)]
    pub(crate) fn known_at(&self, input: &[u8]) -> Option<usize> {
        let last = input.get(self.last_at..)?.first_chunk()?;
        let is_known = input.first_chunk() == Some(&self.first) && *last == self.last;
        is_known.then(|| self.last_at + HALF - b"Host: \r\n".len())
    }

    /// Checks a host, and keeps the line that it came in.
    #[inline(never)]
    pub(crate) fn check(&mut self, host: &[u8], line: &[u8]) -> Result<(), DecodeError> {
        check_host(host)?;
        if let (Some(first), Some(last)) = (line.first_chunk(), line.last_chunk()) {
            if line.len() <= 2 * HALF && line.starts_with(b"Host: ") {
                *self = Self { first: *first, last: *last, last_at: line.len() - HALF };
            }
        }
        Ok(())
    }
}

impl Default for KnownHost {
    fn default() -> Self {
        Self { first: [0; HALF], last: [0; HALF], last_at: usize::MAX }
    }
}

fn check_host(host: &[u8]) -> Result<(), DecodeError> {
    if is_valid_host(host) { Ok(()) } else { Err(DecodeError::InvalidHost(shortened(host))) }
}

/// RFC 9110, section 8.6: 1*DIGIT; a list is one number if all its members are the same. They are compared as text, and
/// whitespace before a comma is refused, as Tornado does it: whoever writes `2, 02` wants two readers to disagree.
fn content_length<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<u64, DecodeError> {
    let mut first = None;
    for value in values {
        for (n, member) in value.split(|byte| *byte == b',').enumerate() {
            let member = if n == 0 { member } else { trim_start(member) };
            if *first.get_or_insert(member) != member {
                return Err(DecodeError::ContentLength(shortened(value)));
            }
        }
    }
    let digits = first.unwrap_or_default();
    decimal(digits).ok_or_else(|| DecodeError::ContentLength(shortened(digits)))
}

/// 1*DIGIT that fits into 64 bits: no sign, no underscore, no whitespace.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// RFC 9112, sections 6.1, 6.3 and 7: a list of codings that ends with `chunked`, which occurs once and has no parameters.
/// Other codings before it are understood as such and not supported. Empty members are refused, since nobody sends them
/// without a purpose.
pub(crate) fn check_transfer_encoding<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<(), DecodeError> {
    let mut chunked = false;
    let mut unsupported = None;
    for value in values {
        for member in value.split(|byte| *byte == b',').map(trim_ows) {
            let coding = member.split(|byte| *byte == b';').next().map_or(member, trim_ows);
            if chunked || !is_token(coding) {
                return Err(DecodeError::TransferEncoding(shortened(value)));
            }
            if is_word(member, b"chunked") {
                chunked = true;
            } else if is_word(coding, b"chunked") {
                return Err(DecodeError::TransferEncoding(shortened(value)));
            } else {
                unsupported = Some(member);
            }
        }
    }
    match unsupported {
        // Section 6.3, rule 4: without chunked at the end nobody can tell the length.
        Some(member) if !chunked => Err(DecodeError::TransferEncoding(shortened(member))),
        Some(member) => Err(DecodeError::UnsupportedTransferCoding(shortened(member))),
        None if chunked => Ok(()),
        None => Err(DecodeError::TransferEncoding(String::new())),
    }
}

/// RFC 9110, section 10.1.1: `100-continue` without regard to case is all that there is. Gives whether it is there: a list
/// may be empty (section 5.6.1.2).
pub(crate) fn check_expect<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<bool, DecodeError> {
    let mut expects = false;
    for value in values {
        for member in value.split(|byte| *byte == b',').map(trim_ows).filter(|member| !member.is_empty()) {
            if !is_word(member, b"100-continue") {
                return Err(DecodeError::Expectation(shortened(value)));
            }
            expects = true;
        }
    }
    Ok(expects)
}

/// The options of `Connection` that matter here: a list over all fields of that name, without regard to case (RFC 9110,
/// section 7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConnectionOptions {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}

impl ConnectionOptions {
    pub(crate) fn read<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut options = Self::default();
        for option in values.flat_map(connection_options) {
            options.close |= is_word(option, b"close");
            options.keep_alive |= is_word(option, b"keep-alive");
            options.upgrade |= is_word(option, b"upgrade");
        }
        options
    }

    /// Whether the connection stays open: HTTP/1.1's does unless somebody says otherwise, HTTP/1.0's the other way round (RFC
    /// 9112, section 9.3).
    fn persist(self, http11: bool) -> bool {
        !self.close && (http11 || self.keep_alive)
    }
}

/// The members of one `Connection` field.
pub(crate) fn connection_options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_ows).filter(|option| !option.is_empty())
}

/// RFC 9110, section 6.5.1: what changes framing, routing, the connection or how the content is read has no place behind
/// the content. Such a message is refused, although dropping the field would do: no client sends it in good faith.
pub(crate) fn is_forbidden_trailer(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 13] = [
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ];
    FORBIDDEN.iter().any(|forbidden| is_word(name, forbidden))
}

/// Whether `token` is that word, without regard to case. A function, since the comparison with a constant is unrolled wherever it
/// is compiled.
#[inline(never)]
pub(crate) fn is_word(token: &[u8], word: &[u8]) -> bool {
    token.eq_ignore_ascii_case(word)
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let spaces = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &bytes[spaces..]
}

// ---------------------------------------------------------------------------------------------------------------------
// Responses

/// What of a request decides how its responses are framed: the kind of its method, and whether its version is 1.1 or higher. One byte,
/// since it is copied as soon as it was written, and a processor holds a copy up whose bytes were written one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseTo(u8);

/// The methods whose responses are special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MethodKind {
    Other,
    Head,
    Connect,
}

impl MethodKind {
    #[inline]
    pub(crate) fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// How a response is framed (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseFraming {
    /// Neither body nor framing fields: 1xx, 204 and 2xx to CONNECT (RFC 9110, section 8.6; RFC 9112, section 6.1).
    Forbidden,
    /// No body, but `Content-Length` may tell how long it would be: 304 (RFC 9110, section 15.4.5).
    NotModified,
    /// A body that isn't sent, of the length that is said here or told by `Content-Length`: HEAD (RFC 9110, section 9.3.2).
    Head,
    /// No body, and `Content-Length: 0` says so: 205 (RFC 9110, section 15.3.6).
    Empty,
    /// That many bytes.
    Fixed(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the connection closes: HTTP/1.0 without a length.
    UntilClose,
}

impl ResponseTo {
    #[inline]
    pub(crate) fn new(method: MethodKind, http11: bool) -> Self {
        Self((method as u8) << 1 | u8::from(http11))
    }

    pub(crate) fn of(method: &Method, version: Version) -> Self {
        Self::new(MethodKind::of(method.as_str().as_bytes()), version >= Version::HTTP_11)
    }

    #[inline]
    pub(crate) fn method(self) -> MethodKind {
        match self.0 >> 1 {
            0 => MethodKind::Other,
            1 => MethodKind::Head,
            _ => MethodKind::Connect,
        }
    }

    #[inline]
    pub(crate) fn http11(self) -> bool {
        self.0 & 1 != 0
    }

    /// The framing of a response with that status, `length` being the `Content-Length` if it is known.
    #[inline]
    pub(crate) fn framing(self, status: StatusCode, length: Option<u64>) -> ResponseFraming {
        let code = status.as_u16();
        match (self.method(), length) {
            _ if code < 200 || code == 204 => ResponseFraming::Forbidden,
            (MethodKind::Connect, _) if code < 300 => ResponseFraming::Forbidden,
            _ if code == 304 => ResponseFraming::NotModified,
            (MethodKind::Head, _) => ResponseFraming::Head,
            _ if code == 205 => ResponseFraming::Empty,
            (_, Some(length)) => ResponseFraming::Fixed(length),
            (_, None) if self.http11() => ResponseFraming::Chunked,
            (_, None) => ResponseFraming::UntilClose,
        }
    }
}

/// What a response's head says about its message and its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseSays {
    pub(crate) body: BodyLength,
    pub(crate) keep_alive: bool,
    /// HTTP ends here.
    pub(crate) switches: bool,
}

impl FramingFields {
    /// The decisions about a response to `to`, which offered to switch protocols or didn't (RFC 9112, section 6.3). These are the
    /// fields of `head`.
    ///
    /// The fields are checked also where no body follows, as in answer to HEAD: what they say there somebody believes.
    pub(crate) fn conclude_response(
        &self,
        to: ResponseTo,
        upgrade_offered: bool,
        status: StatusCode,
        fields: &HeaderIndex<'_>,
        head: &[u8],
    ) -> Result<ResponseSays, DecodeError> {
        let values = |wanted| self.values(wanted, fields, head);
        let framing = to.framing(status, None);
        if framing == ResponseFraming::Forbidden && to.method() == MethodKind::Connect && status.is_success() {
            // RFC 9110, section 9.3.6: a tunnel, and whatever the fields say about a length means nothing.
            return Ok(ResponseSays { body: BodyLength::None, keep_alive: false, switches: true });
        }
        let told = self.told_length(to.http11(), values)?;
        let body = match (framing, told) {
            // RFC 9110, section 8.6, and RFC 9112, section 6.1: neither field may be there. Many servers send a length of 0
            // with 204, which harms nobody; Tornado takes that, too.
            (ResponseFraming::Forbidden, BodyLength::None) => BodyLength::None,
            (ResponseFraming::Forbidden, BodyLength::Fixed(0)) if status == StatusCode::NO_CONTENT => BodyLength::None,
            (ResponseFraming::Forbidden, _) => return Err(DecodeError::BodyNotAllowed),
            (ResponseFraming::Head | ResponseFraming::NotModified, _) => BodyLength::None,
            (_, BodyLength::None) => BodyLength::UntilClose,
            (_, told) => told,
        };
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        // RFC 9110, sections 7.8 and 15.2.2.
        if switches && !(upgrade_offered && self.has(Kind::Upgrade)) {
            return Err(DecodeError::UnexpectedSwitch);
        }
        let persists = ConnectionOptions::read(values(Kind::Connection)).persist(to.http11());
        Ok(ResponseSays { body, keep_alive: persists && !switches && body != BodyLength::UntilClose, switches })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_ignore_case_and_nothing_else() {
        for (name, expected) in [
            ("Host", Kind::Host),
            ("hOST", Kind::Host),
            ("DATE", Kind::Date),
            ("Content-Length", Kind::ContentLength),
            ("TRANSFER-ENCODING", Kind::TransferEncoding),
            ("Content_Length", Kind::Other),
            ("Transfer_Encoding", Kind::Other),
            ("Transfer-Encodin", Kind::Other),
            ("Xost", Kind::Other),
        ] {
            assert_eq!(kind(name.as_bytes()), expected, "{name}");
        }
        // Every token character that is not the expected letter in one of its cases.
        for byte in (0..=255_u8).filter(|byte| is_token(&[*byte])) {
            let name = [byte, b'o', b's', b't'];
            assert_eq!(kind(&name) == Kind::Host, name.eq_ignore_ascii_case(b"host"), "{byte:#04x}");
            let name = [b"content", &[byte][..], b"length"].concat();
            assert_eq!(kind(&name) == Kind::ContentLength, byte == b'-', "{byte:#04x}");
        }
    }

    #[test]
    fn numbers_are_digits_that_fit() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"00018446744073709551615"), Some(u64::MAX));
        for bad in
            ["", "18446744073709551616", "99999999999999999999", "+1", "-1", "1_0", "0x1", " 1", "1 ", "1.0", "١"]
        {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
    }
}

//! What a proxy in front says about the client, in header fields.
//!
//! Rules: only a trusted peer is believed, and only in the one family of fields that was chosen, since a proxy that sets one family
//! passes the others on as the client sent them; a list is read from the right, where the nearest proxy adds to it, past
//! entries of proxies that are trusted; what is no address or no known scheme changes nothing; the connection's own values come
//! back at the end of each request.

use std::cell::Cell;
use std::net::IpAddr;

use landspout_httputil::{HttpHeaders, HttpInputError, Protocol, RequestContext, parse_forwarded};
use landspout_netutil::{IpNetwork, TrustedPeers};

/// Which header fields tell about the client, and which peers are believed that send them. See
/// [`HttpServerOptions::xheaders`](crate::HttpServerOptions::xheaders).
///
/// | | client | scheme | nginx sends it with |
/// |---|---|---|---|
/// | [`x_forwarded`](Self::x_forwarded) | `X-Forwarded-For` | `X-Forwarded-Proto` | `proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;` |
/// | [`x_real_ip`](Self::x_real_ip) | `X-Real-IP` | `X-Scheme` | `proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Scheme $scheme;` |
/// | [`forwarded`](Self::forwarded) | `Forwarded`: `for` | `Forwarded`: `proto` | `proxy_set_header Forwarded "for=$remote_addr;proto=$scheme";` (IPv4) |
///
/// The proxy has to set both fields of the family, or remove the one that it doesn't set: it would pass on what a client made up.
/// HAProxy's `option forwardfor` and `option forwarded` add to what the client sent, which is right.
///
/// Trusted are, unless [`trusting`](Self::trusting) says otherwise, peers on this machine: loopback addresses and Unix-domain sockets. What
/// any other peer sends is ignored, with a warning, once, if it is of the chosen family.
///
/// ```
/// use landspout_httpserver::{HttpServerOptions, HttpServerRequest, StatusCode, XHeaders};
///
/// let proxies = XHeaders::x_forwarded().trusting("10.1.0.0/16, unix".parse()?);
/// let server = HttpServerOptions::new().xheaders(proxies).callback(async |request: HttpServerRequest| {
///     let text = format!("you are {}", request.remote_ip());
///     request.write_response(StatusCode::OK, &Default::default(), text)
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XHeaders {
    family: Option<Family>,
    trusted: TrustedPeers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    XForwarded,
    XRealIp,
    Forwarded,
}

impl XHeaders {
    /// None: all of them are fields like others. The default, as in Tornado.
    pub fn off() -> Self {
        Self { family: None, trusted: TrustedPeers::none() }
    }

    /// `X-Forwarded-For`, a list, and `X-Forwarded-Proto`. Of the list counts the last entry that is no trusted proxy's, or the
    /// first if all are; of `X-Forwarded-Proto` the last, which is what the nearest proxy says. Entries are plain IP
    /// addresses, without ports and brackets.
    pub fn x_forwarded() -> Self {
        Self::of(Family::XForwarded)
    }

    /// `X-Real-IP` and `X-Scheme`, one value each, as in the configuration of nginx that Tornado's documents show.
    pub fn x_real_ip() -> Self {
        Self::of(Family::XRealIp)
    }

    /// `Forwarded` (RFC 7239). Of the list counts the last element whose `for` is no trusted proxy's, or the first if all are; its
    /// `proto` with it. Ports are left out; `unknown` and obfuscated names are no addresses.
    ///
    /// A field that breaks the grammar is refused with 400, as nobody can tell whether the proxy's part begins within the
    /// client's.
    pub fn forwarded() -> Self {
        Self::of(Family::Forwarded)
    }

    fn of(family: Family) -> Self {
        Self { family: Some(family), trusted: TrustedPeers::loopback().unix(true) }
    }

    /// Believes these peers, and skips them in lists. Replaces the ones of this machine.
    pub fn trusting(mut self, peers: TrustedPeers) -> Self {
        self.trusted = peers;
        self
    }
}

impl From<bool> for XHeaders {
    /// Tornado's argument: `true` is [`x_forwarded`](Self::x_forwarded).
    fn from(believe: bool) -> Self {
        if believe { Self::x_forwarded() } else { Self::off() }
    }
}

/// The believing itself.
pub(crate) struct Believer {
    family: Family,
    trusted: TrustedPeers,
    /// What goes wrong with each request is told once.
    told: Cell<bool>,
}

/// What the fields say.
#[derive(Default)]
struct Said {
    remote_ip: Option<IpAddr>,
    protocol: Option<Protocol>,
}

impl Believer {
    /// `None`: nobody is to be believed. `downstream` are trusted, too.
    pub(crate) fn new(xheaders: XHeaders, downstream: impl IntoIterator<Item = IpNetwork>) -> Option<Self> {
        let XHeaders { family, mut trusted } = xheaders;
        trusted.extend(downstream);
        Some(Self { family: family?, trusted, told: Cell::new(false) })
    }

    /// Replaces address and protocol of the request by what the fields say, if the peer is believed.
    ///
    /// # Errors
    /// [`HttpInputError::InvalidForwarded`].
    #[doc(alias = "_apply_xheaders")]
    pub(crate) fn apply_xheaders(&self, context: &RequestContext, headers: &HttpHeaders) -> Result<(), HttpInputError> {
        let trusted = match context.address() {
            Some(address) => self.trusted.contains(address.ip()),
            None => self.trusted.trusts_unix(),
        };
        if !trusted {
            self.tell_of_stranger(context, headers);
            return Ok(());
        }
        let said = match self.family {
            Family::XForwarded => self.x_forwarded(headers),
            Family::XRealIp => x_real_ip(headers),
            Family::Forwarded => self.forwarded(headers)?,
        };
        if let Some(ip) = said.remote_ip {
            context.set_remote_ip(ip);
        }
        if let Some(protocol) = said.protocol {
            context.set_protocol(protocol);
        }
        Ok(())
    }

    fn x_forwarded(&self, headers: &HttpHeaders) -> Said {
        let remote_ip = headers.get_text("X-Forwarded-For").and_then(|list| {
            let mut nearest = None;
            for entry in list.rsplit(',') {
                // What is no address can't be skipped as a known proxy either: nobody knows who that was.
                let ip: IpAddr = trim_ows(entry).parse().ok()?;
                nearest = Some(ip);
                if !self.trusted.contains(ip) {
                    break;
                }
            }
            nearest
        });
        let protocol =
            headers.get_text("X-Forwarded-Proto").and_then(|list| scheme(trim_ows(list.rsplit(',').next()?)));
        Said { remote_ip, protocol }
    }

    fn forwarded(&self, headers: &HttpHeaders) -> Result<Said, HttpInputError> {
        let mut elements = Vec::new();
        // Field by field, so that a quote that is open in one of them swallows no other.
        for value in headers.get_list("Forwarded") {
            elements.extend(parse_forwarded(value)?);
        }
        let mut said = Said::default();
        for element in elements.iter().rev() {
            said.remote_ip = element.forwarded_for.as_ref().and_then(|node| node.ip());
            said.protocol = element.proto.as_ref().and_then(|proto| scheme(&proto.to_ascii_lowercase()));
            if !said.remote_ip.is_some_and(|ip| self.trusted.contains(ip)) {
                break;
            }
        }
        Ok(said)
    }

    /// Somebody sends what would count if it came from a proxy: a client that tries, or a proxy that the settings forgot.
    #[cold]
    fn tell_of_stranger(&self, context: &RequestContext, headers: &HttpHeaders) {
        let names: &[&str] = match self.family {
            Family::XForwarded => &["X-Forwarded-For", "X-Forwarded-Proto"],
            Family::XRealIp => &["X-Real-IP", "X-Scheme"],
            Family::Forwarded => &["Forwarded"],
        };
        let Some(name) = names.iter().find(|name| headers.contains(name)) else { return };
        if !self.told.replace(true) {
            tracing::warn!("{name} of {context} is ignored: this peer is not trusted (said once)");
        }
    }
}

/// Repeated, a field is a list, and so neither address nor scheme: nobody can tell which one is the proxy's.
fn x_real_ip(headers: &HttpHeaders) -> Said {
    let text = |name| headers.get_text(name);
    Said {
        remote_ip: text("X-Real-IP").and_then(|ip| ip.parse().ok()),
        protocol: text("X-Scheme").and_then(|text| scheme(&text)),
    }
}

/// Optional whitespace, and nothing else that is white in Unicode (RFC 9110, section 5.6.3).
fn trim_ows(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn scheme(text: &str) -> Option<Protocol> {
    match text {
        "http" => Some(Protocol::Http),
        "https" => Some(Protocol::Https),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

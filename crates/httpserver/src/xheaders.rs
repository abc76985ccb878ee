//! What a proxy in front says about the client: `X-Forwarded-For`, `X-Real-Ip`, `X-Scheme`, `X-Forwarded-Proto`.
//!
//! Rules: values that are no address or no known scheme change nothing; the rightmost entry counts, since only that one was
//! added by the nearest proxy; the connection's own values come back at the end of each request.

use std::net::IpAddr;

use landspout_httputil::{HttpHeaders, Protocol, RequestContext};

/// Tornado's `_HTTPRequestContext._apply_xheaders` with its `trusted_downstream`.
#[derive(Debug, Clone, Default)]
pub(crate) struct XHeaders {
    pub(crate) trusted_downstream: Vec<IpAddr>,
}

impl XHeaders {
    /// Replaces address and protocol of the request by what the headers say.
    #[doc(alias = "_apply_xheaders")]
    pub(crate) fn apply_xheaders(&self, context: &RequestContext, headers: &HttpHeaders) {
        if let Some(ip) = self.remote_ip(headers) {
            context.set_remote_ip(ip);
        }
        if let Some(protocol) = protocol(headers) {
            context.set_protocol(protocol);
        }
    }

    fn remote_ip(&self, headers: &HttpHeaders) -> Option<IpAddr> {
        // Repeated, it is a list and so no address: nobody can tell which one is the proxy's.
        if let Some(ip) = headers.get_text("X-Real-Ip") {
            return ip.trim().parse().ok();
        }
        let forwarded = headers.get_text("X-Forwarded-For")?;
        let mut nearest = None;
        for entry in forwarded.rsplit(',') {
            // What is no address can't be skipped as a known proxy either: the chain ends here.
            let ip: IpAddr = entry.trim().parse().ok()?;
            nearest = Some(ip);
            if !self.trusted_downstream.contains(&ip) {
                break;
            }
        }
        nearest
    }
}

fn protocol(headers: &HttpHeaders) -> Option<Protocol> {
    let scheme = headers.get_text("X-Scheme").or_else(|| headers.get_text("X-Forwarded-Proto"))?;
    match scheme.rsplit(',').next().map(str::trim) {
        Some("http") => Some(Protocol::Http),
        Some("https") => Some(Protocol::Https),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    /// The cases of Tornado's XHeaderTest: what the request is seen as, coming from 127.0.0.1 over plain HTTP.
    fn seen(trusted: &[&str], fields: &[(&str, &str)]) -> String {
        let mut headers = HttpHeaders::new();
        for (name, value) in fields {
            headers.add(name, value).unwrap();
        }
        let context = RequestContext::new("127.0.0.1:9".parse::<SocketAddr>().unwrap(), Protocol::Http);
        let xheaders = XHeaders { trusted_downstream: trusted.iter().map(|ip| ip.parse().unwrap()).collect() };
        xheaders.apply_xheaders(&context, &headers);
        let seen = format!("{} {}", context.protocol(), context.remote_ip());
        context.restore();
        assert_eq!((context.protocol(), context.remote_ip().to_string().as_str()), (Protocol::Http, "127.0.0.1"));
        seen
    }

    #[test]
    fn test_ip_headers() {
        for (fields, expected) in [
            (&[("X-Real-Ip", "4.4.4.4")][..], "http 4.4.4.4"),
            (&[("X-Real-Ip", "2620:0:1cfe:face:b00c::3")], "http 2620:0:1cfe:face:b00c::3"),
            (&[("X-Forwarded-For", "127.0.0.1, 4.4.4.4")], "http 4.4.4.4"),
            (&[("X-Forwarded-For", "::1, 2620:0:1cfe:face:b00c::3")], "http 2620:0:1cfe:face:b00c::3"),
            (&[("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-For", "4.4.4.4")], "http 4.4.4.4"),
            (&[("X-Real-Ip", "4.4.4.4<script>")], "http 127.0.0.1"),
            (&[("X-Forwarded-For", "4.4.4.4, 5.5.5.5<script>")], "http 127.0.0.1"),
            (&[("X-Real-Ip", "www.google.com")], "http 127.0.0.1"),
            (&[("X-Real-Ip", "4.4.4.4"), ("X-Real-Ip", "5.5.5.5")], "http 127.0.0.1"),
            (&[("X-Real-Ip", "[::1]")], "http 127.0.0.1"),
            (&[], "http 127.0.0.1"),
        ] {
            assert_eq!(seen(&[], fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn test_trusted_downstream() {
        let forwarded = |list| seen(&["5.5.5.5"], &[("X-Forwarded-For", list)]);
        assert_eq!(forwarded("127.0.0.1, 4.4.4.4, 5.5.5.5"), "http 4.4.4.4");
        assert_eq!(forwarded("5.5.5.5"), "http 5.5.5.5");
        assert_eq!(forwarded("4.4.4.4, junk, 5.5.5.5"), "http 127.0.0.1");
    }

    #[test]
    fn test_scheme_headers() {
        for (fields, expected) in [
            (&[("X-Scheme", "https")][..], "https 127.0.0.1"),
            (&[("X-Forwarded-Proto", "https")], "https 127.0.0.1"),
            (&[("X-Forwarded-Proto", "https , http")], "http 127.0.0.1"),
            (&[("X-Forwarded-Proto", "http,https")], "https 127.0.0.1"),
            (&[("X-Forwarded-Proto", "unknown")], "http 127.0.0.1"),
            (&[("X-Scheme", "http"), ("X-Forwarded-Proto", "https")], "http 127.0.0.1"),
        ] {
            assert_eq!(seen(&[], fields), expected, "{fields:?}");
        }
    }
}

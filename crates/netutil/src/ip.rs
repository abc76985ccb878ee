//! Is this text an IP address?

use std::net::IpAddr;

/// Whether `text` is an IPv4 or IPv6 address, written as one and as nothing else.
///
/// True for dotted decimal of four parts without leading zeros and for IPv6 in any form of RFC 4291, section 2.2; false
/// for host names, ports, brackets, spaces, scopes (`%eth0`) and the shorthands of `inet_aton` (`"127.1"`). It looks
/// nothing up. Tornado's `is_valid_ip`, but stricter: see "Differences from Tornado" in the crate's documentation.
///
/// ```
/// use landspout_netutil::is_valid_ip;
///
/// assert!(is_valid_ip("192.0.2.7") && is_valid_ip("2001:db8::7"));
/// assert!(!is_valid_ip("localhost") && !is_valid_ip("127.1") && !is_valid_ip("[::1]"));
/// ```
pub fn is_valid_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_valid_ip;

    #[test]
    fn addresses_are_valid() {
        for text in ["127.0.0.1", "4.4.4.4", "::1", "::", "2620:0:1cfe:face:b00c::3", "::ffff:192.0.2.1"] {
            assert!(is_valid_ip(text), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        let long = "x".repeat(100);
        for text in ["www.google.com", "localhost", "4.4.4.4<", " 127.0.0.1", "127.0.0.1 ", "", " ", "\n", "\0", &long]
        {
            assert!(!is_valid_ip(text), "{text:?}");
        }
        // What getaddrinfo would let pass.
        for text in ["1", "127.1", "0x7f.1", "01.02.03.04", "fe80::1%lo", "[::1]", "1.2.3.4:80", "1.2.3.4\0"] {
            assert!(!is_valid_ip(text), "{text:?}");
        }
    }
}

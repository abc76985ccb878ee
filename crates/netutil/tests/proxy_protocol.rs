//! Headers of the PROXY protocol, as tables of bytes: whole, cut anywhere, and followed by what they are not.

use landspout_netutil::{ProxyHeader, ProxyHeaderError};

const MAX_SIZE: usize = 4096;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the bytes say: `SOURCE > DESTINATION`, `unknown` or `local`.
fn said(header: &ProxyHeader) -> String {
    match (header.local, header.source, header.destination) {
        (true, None, None) => "local".to_owned(),
        (false, None, None) => "unknown".to_owned(),
        (false, Some(source), Some(destination)) => format!("{source} > {destination}"),
        other => panic!("{other:?} makes no sense"),
    }
}

/// A good header, at every cut and with other bytes behind it.
fn good(bytes: &[u8], expected: &str) -> ProxyHeader {
    for cut in 0..bytes.len() {
        assert_eq!(ProxyHeader::parse(&bytes[..cut], MAX_SIZE), Ok(None), "{} cut at {cut}", bytes.escape_ascii());
    }
    let (header, length) = ProxyHeader::parse(bytes, MAX_SIZE).unwrap().unwrap();
    assert_eq!((said(&header).as_str(), length), (expected, bytes.len()), "{}", bytes.escape_ascii());
    for more in [&b"G"[..], b"\r", b"\n", b"\r\n", b"PROXY UNKNOWN\r\n", SIGNATURE, &[0; 5000]] {
        let followed = [bytes, more].concat();
        assert_eq!(ProxyHeader::parse(&followed, MAX_SIZE), Ok(Some((header.clone(), length))));
    }
    header
}

/// Bytes that are refused with the `nth` of them, and stay refused.
fn bad(bytes: &[u8], nth: usize, expected: ProxyHeaderError) {
    for cut in 0..=bytes.len() {
        let result = ProxyHeader::parse(&bytes[..cut], MAX_SIZE);
        let expected = if cut < nth { Ok(None) } else { Err(expected) };
        assert_eq!(result, expected, "{} cut at {cut}", bytes.escape_ascii());
    }
}

#[test]
fn lines_of_version_1() {
    for (line, expected) in [
        ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324 > 192.168.0.11:443"),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535 > 255.255.255.255:65535"),
        ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0 > 0.0.0.0:0"),
        ("PROXY TCP6 2001:DB8::1 ::1 1 2\r\n", "[2001:db8::1]:1 > [::1]:2"),
        ("PROXY TCP6 ::ffff:192.0.2.1 :: 1 2\r\n", "[::ffff:192.0.2.1]:1 > [::]:2"),
        ("PROXY UNKNOWN\r\n", "unknown"),
        ("PROXY UNKNOWN \r\n", "unknown"),
        ("PROXY UNKNOWN anything  at \0 all\r\n", "unknown"),
    ] {
        assert_eq!(good(line.as_bytes(), expected).version, 1);
    }
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    good(
        format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n").as_bytes(),
        &format!("[{longest}]:65535 > [{longest}]:65535"),
    );
    let longest = format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n");
    assert_eq!(longest.len(), 107);
    good(longest.as_bytes(), "unknown");
}

#[test]
fn lines_that_are_none() {
    // With the byte that shows it, for those who say so before the end.
    bad(b"GET / HTTP/1.1\r\n", 1, ProxyHeaderError::NoHeader);
    bad(b"POST / HTTP/1.1\r\n", 2, ProxyHeaderError::NoHeader);
    bad(b"PROXY\r\n", 6, ProxyHeaderError::NoHeader);
    bad(b"PROXY\tTCP4", 6, ProxyHeaderError::NoHeader);
    bad(b"proxy TCP4", 1, ProxyHeaderError::NoHeader);
    bad(b"\x16\x03\x01\x02\x00", 1, ProxyHeaderError::NoHeader);
    bad(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", 31, ProxyHeaderError::LineEnd);
    bad(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX", 32, ProxyHeaderError::LineEnd);
    bad(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n", 32, ProxyHeaderError::LineEnd);
    bad(b"PROXY UNKNOWN a\nb\r\n", 16, ProxyHeaderError::LineEnd);
    bad(b"PROXY UNKNOWN a\rb\r\n", 17, ProxyHeaderError::LineEnd);
    let long = [b"PROXY UNKNOWN ", &[b'x'; 100][..]].concat();
    bad(&long, 107, ProxyHeaderError::LineTooLong);
    // 108 bytes with their end.
    let long = [b"PROXY UNKNOWN ", &[b'x'; 92][..], b"\r\n"].concat();
    bad(&long, 107, ProxyHeaderError::LineTooLong);
    for line in [
        "PROXY ",
        "PROXY TCP4",
        "PROXY TCP4 ",
        "PROXY TCP4 1.1.1.1",
        "PROXY TCP4 1.1.1.1 2.2.2.2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 ",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 ",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3",
        "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2",
        "PROXY TCP4  1.1.1.1 2.2.2.2 1 2",
        "PROXY TCP4 1.1.1.1  2.2.2.2 1 2",
        "PROXY TCP4 1.1.1.1\t2.2.2.2 1 2",
        "PROXY tcp4 1.1.1.1 2.2.2.2 1 2",
        "PROXY UDP4 1.1.1.1 2.2.2.2 1 2",
        "PROXY unknown",
        "PROXY UNKNOWNS",
        "PROXY TCP5 1.1.1.1 2.2.2.2 1 2",
        "PROXY TCP4 ::1 ::2 1 2",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1 2",
        "PROXY TCP4 1.1.1.1 ::2 1 2",
        "PROXY TCP4 01.1.1.1 2.2.2.2 1 2",
        "PROXY TCP4 1.1.1 2.2.2.2 1 2",
        "PROXY TCP4 256.1.1.1 2.2.2.2 1 2",
        "PROXY TCP4 localhost 2.2.2.2 1 2",
        "PROXY TCP6 [::1] [::2] 1 2",
        "PROXY TCP6 fe80::1%lo ::2 1 2",
        "PROXY TCP6 1::2::3 ::2 1 2",
        "PROXY TCP6 12345::1 ::2 1 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 65536 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 -2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\0",
        "PROXY TCP4 1.1.1.1 2.2.2.2 x 2",
        "PROXY \u{e4}",
    ] {
        bad(format!("{line}\r\n").as_bytes(), line.len() + 2, ProxyHeaderError::Line);
    }
}

/// Version and command, family and transport, what follows them.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

const INET: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0xDC, 0x04, 0x01, 0xBB];
const INET_SAID: &str = "192.0.2.7:56324 > 198.51.100.1:443";

fn inet6() -> Vec<u8> {
    let mut addresses = vec![0; 36];
    addresses[..4].copy_from_slice(&[0x20, 0x01, 0x0D, 0xB8]);
    (addresses[15], addresses[31]) = (7, 1);
    addresses[32..].copy_from_slice(&[0x12, 0x34, 0, 80]);
    addresses
}

#[test]
fn binary_headers_of_version_2() {
    assert_eq!(good(&v2(0x21, 0x11, INET), INET_SAID).version, 2);
    good(&v2(0x21, 0x21, &inet6()), "[2001:db8::7]:4660 > [::1]:80");
    // No two ends of TCP: datagrams, Unix-domain sockets, unspecified.
    good(&v2(0x21, 0x12, INET), "unknown");
    good(&v2(0x21, 0x22, &inet6()), "unknown");
    good(&v2(0x21, 0x31, &[b'/'; 216]), "unknown");
    good(&v2(0x21, 0x32, &[0; 216]), "unknown");
    for family in [0x00, 0x01, 0x02, 0x10, 0x20, 0x30] {
        good(&v2(0x21, family, b""), "unknown");
        good(&v2(0x21, family, b"whatever"), "unknown");
    }
    // A proxy that speaks for itself, with whatever it adds.
    for family in [0x00, 0x11, 0x21, 0x31, 0xFF] {
        good(&v2(0x20, family, b""), "local");
        good(&v2(0x20, family, INET), "local");
        good(&v2(0x20, family, &[0xFF; 4000]), "local");
    }
}

#[test]
fn binary_headers_that_are_none() {
    for n in 0..SIGNATURE.len() {
        let mut signature = SIGNATURE.to_vec();
        signature[n] ^= 0x80;
        bad(&[&signature, &b"\x21\x11\0\0"[..]].concat(), n + 1, ProxyHeaderError::NoHeader);
    }
    for version in (0..16).filter(|version| *version != 2) {
        bad(&v2(version << 4 | 1, 0x11, INET), 13, ProxyHeaderError::Version(version));
    }
    for command in 2..16 {
        bad(&v2(0x20 | command, 0x11, INET), 13, ProxyHeaderError::Command(command));
    }
    for family in [0x13, 0x1F, 0x03, 0x23, 0x33, 0x40, 0x41, 0xF1, 0xFF] {
        bad(&v2(0x21, family, &[0; 300]), 14, ProxyHeaderError::Family(family));
    }
    for (family, needed) in [(0x11, 12), (0x12, 12), (0x21, 36), (0x22, 36), (0x31, 216), (0x32, 216)] {
        for short in [0, 1, needed - 1] {
            bad(&v2(0x21, family, &vec![0; short]), 16, ProxyHeaderError::TooShort(short));
        }
    }
}

#[test]
fn a_header_is_refused_for_its_length_before_it_comes() {
    let too_large = |size| ProxyHeaderError::TooLarge { size, max_size: MAX_SIZE };
    bad(&v2(0x21, 0x11, &[0; 4081]), 16, too_large(4097));
    bad(&v2(0x20, 0x00, &[0; 65535]), 16, too_large(65551));
    good(&v2(0x20, 0x00, &[0; 4080]), "local");
    assert_eq!(
        ProxyHeader::parse(&v2(0x21, 0x11, INET), 27),
        Err(ProxyHeaderError::TooLarge { size: 28, max_size: 27 })
    );
    assert!(ProxyHeader::parse(&v2(0x21, 0x11, INET), 28).unwrap().is_some());
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind], &length[..], value].concat()
}

#[test]
fn what_follows_the_addresses_has_types_and_lengths() {
    let more = [tlv(0x02, b"example.com"), tlv(0x04, b""), tlv(0xE0, b"custom")].concat();
    let header = good(&v2(0x21, 0x11, &[INET, &more].concat()), INET_SAID);
    let tlvs: Vec<_> = header.tlvs().collect();
    assert_eq!(tlvs, [(0x02, &b"example.com"[..]), (0x04, b""), (0xE0, b"custom")]);
    good(&v2(0x21, 0x31, &[&[0; 216], &more[..]].concat()), "unknown");
    for cut in (1..more.len()).filter(|cut| ![14, 17].contains(cut)) {
        let bytes = v2(0x21, 0x11, &[INET, &more[..cut]].concat());
        bad(&bytes, bytes.len(), ProxyHeaderError::Tlv);
    }
    let beyond = [INET, &[0x04, 0xFF, 0xFF, 0]].concat();
    bad(&v2(0x21, 0x11, &beyond), 16 + beyond.len(), ProxyHeaderError::Tlv);
    // Nobody looks into what a proxy that speaks for itself says.
    assert_eq!(good(&v2(0x20, 0x11, &beyond), "local").tlvs().count(), 0);
}

/// Section 2.2.3: it is taken over the whole header, with zeros in its own place.
#[test]
fn a_checksum_is_verified_where_there_is_one() {
    // Bit by bit, and not by the table of the crate.
    let crc = |bytes: &[u8]| {
        let mut crc = !0_u32;
        for byte in bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
            }
        }
        !crc
    };
    let around = |crc: &[u8]| v2(0x21, 0x11, &[INET, &tlv(0x04, b"xy"), &tlv(0x03, crc), &tlv(0x04, b"z")].concat());
    let right = crc(&around(&[0; 4]));
    good(&around(&right.to_be_bytes()), INET_SAID);
    for bit in 0..32 {
        let wrong = around(&(right ^ 1 << bit).to_be_bytes());
        bad(&wrong, wrong.len(), ProxyHeaderError::Checksum);
    }
    for length in [0, 3, 5] {
        let odd = around(&vec![0; length]);
        bad(&odd, odd.len(), ProxyHeaderError::Tlv);
    }
    let twice = |crc: &[u8]| v2(0x21, 0x11, &[INET, &tlv(0x03, crc), &tlv(0x03, crc)].concat());
    let both = twice(&crc(&twice(&[0; 4])).to_be_bytes());
    bad(&both, both.len(), ProxyHeaderError::Checksum);
}

/// Whatever comes: it is a header, the beginning of one, or none, and more bytes never take a decision back.
#[test]
fn any_bytes_are_a_header_or_none() {
    let tlvs = [tlv(0x02, b"example.com"), tlv(0x20, &[1, 0, 0, 0, 0]), tlv(0x04, b"")].concat();
    let seeds = [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET".to_vec(),
        b"PROXY TCP6 2001:db8::7 ::1 56324 443\r\n".to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        v2(0x21, 0x11, &[INET, &tlvs].concat()),
        v2(0x21, 0x21, &[inet6(), tlvs].concat()),
        v2(0x20, 0x00, b""),
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap()
    };
    for _ in 0..20_000 {
        let mut bytes = seeds[random(seeds.len())].clone();
        for _ in 0..=random(3) {
            let place = random(bytes.len());
            match random(3) {
                0 => bytes[place] = random(256) as u8,
                1 => bytes.insert(place, random(256) as u8),
                _ => drop(bytes.remove(place)),
            }
        }
        let whole = ProxyHeader::parse(&bytes, MAX_SIZE);
        let mut decided = None;
        for cut in 0..=bytes.len() {
            let result = ProxyHeader::parse(&bytes[..cut], MAX_SIZE);
            if let Ok(Some((_, length))) = &result {
                assert!(*length <= cut);
            }
            if result != Ok(None) {
                assert_eq!(*decided.get_or_insert(result.clone()), result, "{} cut at {cut}", bytes.escape_ascii());
            } else {
                assert_eq!(decided, None, "{} cut at {cut}", bytes.escape_ascii());
            }
        }
        assert_eq!(decided.unwrap_or(Ok(None)), whole);
    }
}

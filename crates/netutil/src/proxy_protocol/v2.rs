//! Version 2: 16 bytes, the addresses, and what else the proxy wants to say.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{ProxyHeader, ProxyHeaderError};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;

const LOCAL: u8 = 0;
const PROXY: u8 = 1;

const INET: u8 = 1;
const INET6: u8 = 2;
const UNIX: u8 = 3;
const STREAM: u8 = 1;
const DGRAM: u8 = 2;

const CRC32C: u8 = 0x03;

pub(super) fn parse(bytes: &[u8], max_size: usize) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let common = bytes.len().min(SIGNATURE.len());
    if bytes[..common] != SIGNATURE[..common] {
        return Err(ProxyHeaderError::NoHeader);
    }
    let Some(&version_and_command) = bytes.get(12) else { return Ok(None) };
    let (version, command) = (version_and_command >> 4, version_and_command & 0xF);
    if version != 2 {
        return Err(ProxyHeaderError::Version(version));
    }
    if command > PROXY {
        return Err(ProxyHeaderError::Command(command));
    }
    let local = command == LOCAL;
    let Some(&family_and_transport) = bytes.get(13) else { return Ok(None) };
    let (family, transport) = (family_and_transport >> 4, family_and_transport & 0xF);
    // Of a proxy that speaks for itself, all of it is to be ignored.
    if !local && (family > UNIX || transport > DGRAM) {
        return Err(ProxyHeaderError::Family(family_and_transport));
    }
    let Some(length) = bytes.get(14..FIXED) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let size = FIXED + length;
    if size > max_size {
        return Err(ProxyHeaderError::TooLarge { size, max_size });
    }
    let addresses_length = match (family, transport) {
        _ if local => 0,
        (INET, STREAM | DGRAM) => 12,
        (INET6, STREAM | DGRAM) => 36,
        (UNIX, STREAM | DGRAM) => 216,
        // Unspecified: nobody can tell how long they are.
        _ => 0,
    };
    if length < addresses_length {
        return Err(ProxyHeaderError::TooShort(length));
    }
    let Some(header) = bytes.get(..size) else { return Ok(None) };
    let (addresses, tlvs) = header[FIXED..].split_at(addresses_length);
    let (source, destination) = match (local, transport) {
        (false, STREAM) => ends(addresses).unzip(),
        _ => (None, None),
    };
    // Without a known length of the addresses, nobody knows where it begins.
    let tlvs = if addresses_length == 0 { &[] } else { tlvs };
    check(header, tlvs)?;
    Ok(Some((ProxyHeader { version, local, source, destination, tlvs: tlvs.to_vec() }, size)))
}

/// Source and destination of Internet addresses.
fn ends(addresses: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let port = |ports: &[u8], at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    if let Ok(block) = <[u8; 12]>::try_from(addresses) {
        let ip = |at: usize| Ipv4Addr::from([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        return Some(((ip(0), port(&block, 8)).into(), (ip(4), port(&block, 10)).into()));
    }
    let (ips, ports) = addresses.split_at_checked(32).filter(|(_, ports)| ports.len() == 4)?;
    let ip = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).ok().map(Ipv6Addr::from);
    Some(((ip(&ips[..16])?, port(ports, 0)).into(), (ip(&ips[16..])?, port(ports, 2)).into()))
}

/// The data behind the addresses has its form, and its checksum is right if it has one (section 2.2.3).
fn check(header: &[u8], tlvs: &[u8]) -> Result<(), ProxyHeaderError> {
    let mut at = header.len() - tlvs.len();
    let mut checked = false;
    for tlv in Tlvs(tlvs) {
        let (kind, value) = tlv?;
        at += 3;
        if kind == CRC32C {
            let claimed = <[u8; 4]>::try_from(value).map_err(|_| ProxyHeaderError::Tlv)?;
            // It was taken with zeros in its own place; of two, each would have to leave out the other.
            if checked || crc32c(&[&header[..at], &[0; 4], &header[at + 4..]]) != u32::from_be_bytes(claimed) {
                return Err(ProxyHeaderError::Checksum);
            }
            checked = true;
        }
        at += value.len();
    }
    Ok(())
}

/// Types and values; an error where the last one isn't whole.
pub(super) struct Tlvs<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<(u8, &'a [u8]), ProxyHeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((&[kind, high, low], rest)) = self.0.split_first_chunk() else {
            self.0 = &[];
            return Some(Err(ProxyHeaderError::Tlv));
        };
        let Some((value, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else {
            self.0 = &[];
            return Some(Err(ProxyHeaderError::Tlv));
        };
        self.0 = rest;
        Some(Ok((kind, value)))
    }
}

/// CRC-32 of Castagnoli (RFC 9260, appendix A).
fn crc32c(pieces: &[&[u8]]) -> u32 {
    let bytes = pieces.iter().flat_map(|piece| piece.iter());
    !bytes.fold(!0, |crc, byte| (crc >> 8) ^ CRC_TABLE[usize::from((crc as u8) ^ byte)])
}

static CRC_TABLE: [u32; 256] = {
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// RFC 3720, appendix B.4, and the usual check value.
    #[test]
    fn the_checksum_is_that_of_the_published_vectors() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, crc) in [
            (&b"123456789"[..], 0xE306_9283),
            (&[0; 32], 0x8A91_36AA),
            (&[0xFF; 32], 0x62A8_AB43),
            (&ascending, 0x46DD_794E),
            (b"", 0),
        ] {
            assert_eq!(crc32c(&[bytes]), crc);
            let (front, back) = bytes.split_at(bytes.len() / 2);
            assert_eq!(crc32c(&[front, back]), crc);
        }
    }
}

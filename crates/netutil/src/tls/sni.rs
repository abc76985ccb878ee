//! Which certificate a server shows: by the name the client asks for, SNI (RFC 6066, section 3).

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::DnsName;

use super::{PemOrigin, TlsError};

/// The certificates of a server by host name.
#[derive(Debug)]
pub(super) struct CertificatesByName {
    /// For unknown names and for none.
    default: Arc<CertifiedKey>,
    /// By name in lower case, `*.example.com` among them. Several have one name when they differ in the kind of key.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl CertificatesByName {
    pub(super) fn new(default: CertifiedKey) -> CertificatesByName {
        let default = Arc::new(default);
        let mut certificates = CertificatesByName { default: default.clone(), by_name: HashMap::new() };
        for name in names_in(&default) {
            certificates.add_name(name, &default);
        }
        certificates
    }

    /// One more, for these names, or for those that are in it.
    pub(super) fn add(&mut self, key: CertifiedKey, names: &[String], origin: PemOrigin) -> Result<(), TlsError> {
        let names = match names {
            [] => names_in(&key),
            names => names.iter().map(|name| checked(name)).collect::<Result<_, _>>()?,
        };
        if names.is_empty() {
            return Err(TlsError::NoServerName { pem: origin });
        }
        let key = Arc::new(key);
        for name in names {
            self.add_name(name, &key);
        }
        Ok(())
    }

    fn add_name(&mut self, name: String, key: &Arc<CertifiedKey>) {
        self.by_name.entry(name).or_default().push(key.clone());
    }

    /// Those for `name`, which is in lower case, since rustls makes it so.
    fn of(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let exact = self.by_name.get(name);
        // A wildcard stands for the first label, the whole of it, and nothing else (RFC 9525, section 6.3).
        let found = exact.or_else(|| self.by_name.get(&format!("*{}", &name[name.find('.')?..])));
        found.map(Vec::as_slice)
    }
}

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = hello.server_name().and_then(|name| self.of(name)).unwrap_or_default();
        let verifiable =
            certificates.iter().find(|certificate| certificate.key.choose_scheme(hello.signature_schemes()).is_some());
        Some(verifiable.or(certificates.first()).unwrap_or(&self.default).clone())
    }
}

/// The host names in a certificate, in lower case.
fn names_in(key: &CertifiedKey) -> Vec<String> {
    // That it can be parsed was seen when the key was compared with it.
    let Some(certificate) = key.cert.first().and_then(|der| webpki::EndEntityCert::try_from(der).ok()) else {
        return Vec::new();
    };
    certificate.valid_dns_names().map(str::to_ascii_lowercase).collect()
}

/// A name that was given by hand.
fn checked(name: &str) -> Result<String, TlsError> {
    match DnsName::try_from(name.strip_prefix("*.").unwrap_or(name)) {
        Ok(_) => Ok(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()),
        Err(_) => Err(TlsError::BadServerName { name: name.to_owned() }),
    }
}

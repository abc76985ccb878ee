//! The provider of cryptography: which one, and which of its suites and versions.

use std::sync::Arc;

#[cfg(feature = "tls-aws-lc")]
use rustls::crypto::aws_lc_rs as compiled;
#[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc")))]
use rustls::crypto::ring as compiled;

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::{SslOptions, TlsError, TlsVersion};

/// The provider for these options, with their cipher suites alone.
pub(super) fn provider(options: &SslOptions) -> Result<Arc<CryptoProvider>, TlsError> {
    let provider = match &options.provider {
        Some(given) => given.clone(),
        None => default_provider().ok_or(TlsError::NoProvider)?,
    };
    if options.ciphers.is_empty() {
        return Ok(provider);
    }
    let mut provider = CryptoProvider::clone(&provider);
    provider.cipher_suites = chosen_suites(&provider.cipher_suites, &options.ciphers)?;
    Ok(Arc::new(provider))
}

#[cfg(any(feature = "tls-aws-lc", feature = "tls-ring"))]
fn default_provider() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(compiled::default_provider()))
}

#[cfg(not(any(feature = "tls-aws-lc", feature = "tls-ring")))]
fn default_provider() -> Option<Arc<CryptoProvider>> {
    CryptoProvider::get_default().cloned()
}

/// Makes session tickets (RFC 5077; RFC 8446, section 4.6.1) and changes their key every six hours. A provider that was
/// given by hand has none to offer; with neither feature, sessions are resumed from memory alone.
pub(super) fn ticketer() -> Result<Option<Arc<dyn ProducesTickets>>, TlsError> {
    #[cfg(any(feature = "tls-aws-lc", feature = "tls-ring"))]
    return compiled::Ticketer::new().map(Some).map_err(|source| TlsError::Provider { source });
    #[cfg(not(any(feature = "tls-aws-lc", feature = "tls-ring")))]
    Ok(None)
}

/// From the minimum to the maximum.
pub(super) fn versions(options: &SslOptions) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let minimum = options.minimum;
    let maximum = options.maximum.unwrap_or(TlsVersion::Tls13);
    if minimum > maximum {
        return Err(TlsError::NoVersion { minimum, maximum });
    }
    let all = [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)];
    Ok(all.into_iter().filter(|(version, _)| (minimum..=maximum).contains(version)).map(|(_, known)| known).collect())
}

/// The named suites in their order, then all those of versions that no name belongs to.
fn chosen_suites(known: &[SupportedCipherSuite], names: &[String]) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let mut chosen = Vec::new();
    for name in names {
        let named = known.iter().find(|suite| suite_names(suite).contains(name));
        chosen.push(*named.ok_or_else(|| TlsError::UnknownCipher { name: name.clone() })?);
    }
    let versions: Vec<_> = chosen.iter().map(SupportedCipherSuite::version).collect();
    chosen.extend(known.iter().filter(|suite| !versions.contains(&suite.version())));
    Ok(chosen)
}

/// IANA's name and OpenSSL's.
fn suite_names(suite: &SupportedCipherSuite) -> [String; 2] {
    // rustls writes TLS13_AES_128_GCM_SHA256 where IANA has TLS_AES_128_GCM_SHA256, and both do otherwise agree.
    let name = suite.suite().as_str().unwrap_or_default();
    let Some(rest) = name.strip_prefix("TLS_") else {
        let iana = name.replacen("TLS13_", "TLS_", 1);
        return [iana.clone(), iana];
    };
    let openssl =
        rest.replace("_WITH_", "_").replace("AES_", "AES").replace("POLY1305_SHA256", "POLY1305").replace('_', "-");
    [name.to_owned(), openssl]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring::{ALL_CIPHER_SUITES, cipher_suite::*};

    fn chosen(names: &[&str]) -> Result<Vec<SupportedCipherSuite>, TlsError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        chosen_suites(ALL_CIPHER_SUITES, &names)
    }

    #[test]
    fn suites_have_the_names_of_iana_and_of_openssl() {
        let names: Vec<[String; 2]> = ALL_CIPHER_SUITES.iter().map(suite_names).collect();
        let expected = [
            ["TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"],
            ["TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"],
            ["TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"],
            ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"],
            ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"],
            ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
            ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
            ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"],
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_list_of_suites_speaks_for_the_versions_that_it_names() {
        let tls13 = [TLS13_AES_256_GCM_SHA384, TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256];
        let suites = chosen(&["ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]).unwrap();
        assert_eq!(suites[..2], [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]);
        assert_eq!(suites[2..], tls13);

        let suites = chosen(&["TLS_AES_128_GCM_SHA256"]).unwrap();
        assert_eq!(suites[0], TLS13_AES_128_GCM_SHA256);
        assert!(suites[1..].iter().all(|suite| suite.tls13().is_none()));
        assert_eq!(suites.len(), 7);

        let unknown = TlsError::UnknownCipher { name: "!aNULL".to_owned() };
        assert_eq!(chosen(&["TLS_AES_128_GCM_SHA256", "!aNULL"]).unwrap_err(), unknown);
    }
}

//! From options to rustls' configurations.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;

use super::options::{CertReqs, SniCertificate, SslOptions};
use super::provider::{provider, ticketer, versions};
use super::sni::CertificatesByName;
use super::verify::{ClientVerifier, ServerVerifier, Trust};
use super::{Pem, PemOrigin, TlsError};

/// How many sessions a server keeps for clients that want it to: rustls' own default.
const SESSIONS: usize = 256;

/// A server's configuration, and what the one that replaces it may take over.
pub(super) struct BuiltServer {
    pub(super) config: Arc<ServerConfig>,
    sessions: Sessions,
    /// Whom this configuration believed.
    authorities: Vec<CertificateDer<'static>>,
}

/// What it takes to resume sessions.
#[derive(Clone)]
struct Sessions {
    ticketer: Option<Arc<dyn ProducesTickets>>,
    storage: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    fn new() -> Result<Sessions, TlsError> {
        Ok(Sessions { ticketer: ticketer()?, storage: ServerSessionMemoryCache::new(SESSIONS) })
    }
}

/// Sessions of the `previous` configuration of the same options can be resumed, unless other client certificates are to be
/// believed now: a resumed session isn't verified again.
pub(super) fn server(options: &SslOptions, previous: Option<&BuiltServer>) -> Result<BuiltServer, TlsError> {
    let provider = provider(options)?;
    let versions = versions(options)?;
    let certificates = certificates(options, &provider)?;
    let authorities = authorities(&options.ca_certs)?;
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(&versions).map_err(|source| TlsError::Provider { source })?;
    let builder = match options.cert_reqs.unwrap_or(CertReqs::None) {
        CertReqs::None => builder.with_no_client_auth(),
        _ if authorities.is_empty() => return Err(TlsError::MissingCaCerts),
        reqs => {
            let mut webpki = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&authorities)), provider);
            if reqs == CertReqs::Optional {
                webpki = webpki.allow_unauthenticated();
            }
            // It fails without roots and with bad revocation lists alone.
            let webpki = webpki.build().map_err(|_| TlsError::MissingCaCerts)?;
            builder.with_client_cert_verifier(Arc::new(ClientVerifier { webpki, pinned: authorities.clone() }))
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = alpn(options)?;
    let sessions = match previous {
        Some(previous) if previous.authorities == authorities => previous.sessions.clone(),
        _ => Sessions::new()?,
    };
    config.session_storage = sessions.storage.clone();
    if let Some(ticketer) = &sessions.ticketer {
        config.ticketer = ticketer.clone();
    }
    Ok(BuiltServer { config: Arc::new(config), sessions, authorities })
}

pub(super) fn client(options: &SslOptions) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider(options)?;
    let versions = versions(options)?;
    let trust = match options.cert_reqs {
        Some(CertReqs::None) => None,
        _ => Some(trust(options)?),
    };
    let verifier = ServerVerifier {
        trust,
        check_hostname: !options.no_hostname_check,
        algorithms: provider.signature_verification_algorithms,
    };
    let identity = identity(options, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&versions).map_err(|source| TlsError::Provider { source })?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn(options)?;
    Ok(Arc::new(config))
}

/// All that a server may show.
fn certificates(options: &SslOptions, provider: &CryptoProvider) -> Result<CertificatesByName, TlsError> {
    let default = identity(options, provider)?.ok_or(TlsError::MissingCertfile)?;
    let mut certificates = CertificatesByName::new(default);
    for further in &options.further {
        let (key, origin) = certified(further, further.keyfile.as_ref(), provider)?;
        certificates.add(key, &further.names, origin)?;
    }
    Ok(certificates)
}

/// The certificate of `certfile` and `keyfile`, if there is one.
fn identity(options: &SslOptions, provider: &CryptoProvider) -> Result<Option<CertifiedKey>, TlsError> {
    match (&options.identity, &options.keyfile) {
        (Some(identity), keyfile) => Ok(Some(certified(identity, keyfile.as_ref(), provider)?.0)),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(TlsError::MissingCertfile),
    }
}

/// Reads a certificate with its chain and its key, and sees whether they fit.
fn certified(
    certificate: &SniCertificate,
    keyfile: Option<&Pem>,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, PemOrigin), TlsError> {
    let certfile = certificate.certfile.load("certfile")?;
    let keyfile = keyfile.map(|keyfile| keyfile.load("keyfile")).transpose()?;
    let chain = certfile.certificates()?;
    let keyfile = keyfile.as_ref().unwrap_or(&certfile);
    let fit = CertifiedKey::from_der(chain, keyfile.key()?, provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::KeyMismatch { certificate: certfile.origin.clone(), key: keyfile.origin.clone() }
        }
        source @ Error::InvalidCertificate(_) => {
            TlsError::BadCertificate { option: "certfile", pem: certfile.origin.clone(), source }
        }
        source => TlsError::BadKey { pem: keyfile.origin.clone(), source },
    })?;
    Ok((fit, certfile.origin))
}

fn alpn(options: &SslOptions) -> Result<Vec<Vec<u8>>, TlsError> {
    match options.alpn.iter().find(|protocol| protocol.is_empty() || protocol.len() > 255) {
        Some(protocol) => Err(TlsError::BadAlpn { protocol: protocol.clone() }),
        None => Ok(options.alpn.clone()),
    }
}

/// All certificates of `ca_certs`.
fn authorities(ca_certs: &[Pem]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut all = Vec::new();
    for pem in ca_certs {
        let loaded = pem.load("ca_certs")?;
        let certificates = loaded.certificates()?;
        for certificate in &certificates {
            RootCertStore::empty().add(certificate.clone()).map_err(|source| TlsError::BadCertificate {
                option: "ca_certs",
                pem: loaded.origin.clone(),
                source,
            })?;
        }
        all.extend(certificates);
    }
    Ok(all)
}

fn roots(authorities: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Every one was looked at when it was read.
    roots.add_parsable_certificates(authorities.iter().cloned());
    roots
}

/// Whom a client believes: the `ca_certs`, or the system's roots.
fn trust(options: &SslOptions) -> Result<Trust, TlsError> {
    if !options.ca_certs.is_empty() {
        let pinned = authorities(&options.ca_certs)?;
        return Ok(Trust { roots: roots(&pinned), pinned });
    }
    // A few of them may be broken or of a kind that webpki doesn't know; nobody could mend that here.
    let system = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system.certs);
    if roots.is_empty() {
        return Err(TlsError::NoSystemRoots { source: system.errors.into_iter().next() });
    }
    Ok(Trust { roots, pinned: Vec::new() })
}

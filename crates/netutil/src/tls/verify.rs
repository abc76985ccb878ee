//! Whom to believe: the other side's certificate.
//!
//! webpki does the work. Added here: a client may be told not to look at the name, or at anything; and a certificate that
//! is itself among the `ca_certs` is good, even if it calls itself an authority's.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// What a client looks at.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    /// `None`: at nothing but the signature of the handshake, which says that the server has the key of its certificate.
    pub(super) trust: Option<Trust>,
    pub(super) check_hostname: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// Roots, and certificates that are good by themselves.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) roots: RootCertStore,
    pub(super) pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &trust.roots, intermediates, now, algorithms)
            .or_else(|error| pinned_authority(error, end_entity, &trust.pinned))?;
        if self.check_hostname {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What a server looks at, if it asks for certificates.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    pub(super) webpki: Arc<dyn ClientCertVerifier>,
    pub(super) pinned: Vec<CertificateDer<'static>>,
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.webpki.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.webpki.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.webpki.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.webpki.verify_client_cert(end_entity, intermediates, now).or_else(|error| {
            pinned_authority(error, end_entity, &self.pinned)?;
            Ok(ClientCertVerified::assertion())
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Overrules webpki where it objects to nothing but "this is an authority's certificate", and the certificate is one that
/// the user named. Its time was looked at before (`check_issuer_independent_properties` in webpki's verify_cert.rs), and
/// whoever shows it has to sign with its key.
fn pinned_authority(error: Error, shown: &CertificateDer<'_>, pinned: &[CertificateDer<'_>]) -> Result<(), Error> {
    match &error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(cause)))
            if matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) && pinned.contains(shown) =>
        {
            Ok(())
        }
        _ => Err(error),
    }
}

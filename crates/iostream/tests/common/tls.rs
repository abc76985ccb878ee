//! Certificates made on the fly, and streams secured by them.

use std::sync::{Arc, LazyLock};

use landspout_iostream::{IoStream, Tls};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

/// The name in the servers' certificates.
pub const NAME: &str = "foo.example.com";

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate and its key.
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone().into())
    }
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for a name, good for both sides.
    pub fn sign(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity { certificate, key: key.serialize_der() }
    }

    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Arc::new(roots)
    }
}

/// The authority that both sides trust, the server's identity and a client's.
pub struct World {
    pub authority: Authority,
    pub server: Identity,
    pub client: Identity,
}

pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let authority = Authority::new();
    let (server, client) = (authority.sign(NAME), authority.sign("client.example.com"));
    World { authority, server, client }
});

pub const BOTH_VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

pub fn server_config() -> ServerConfig {
    server_config_of(BOTH_VERSIONS, false)
}

/// `ask`: clients have to show a certificate of the authority.
pub fn server_config_of(versions: &[&'static SupportedProtocolVersion], ask: bool) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let builder = match ask {
        true => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(WORLD.authority.roots(), provider()).build().unwrap(),
        ),
        false => builder.with_no_client_auth(),
    };
    builder.with_single_cert(vec![WORLD.server.certificate.clone()], WORLD.server.key()).unwrap()
}

pub fn client_config() -> ClientConfig {
    client_config_of(BOTH_VERSIONS, WORLD.authority.roots())
}

pub fn client_config_of(versions: &[&'static SupportedProtocolVersion], roots: Arc<RootCertStore>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

pub fn server() -> Tls {
    Tls::server(Arc::new(server_config()))
}

pub fn client() -> Tls {
    Tls::client(Arc::new(client_config()), NAME).unwrap()
}

/// Secures both; the first is the client.
pub async fn secured((first, second): (IoStream, IoStream)) -> (IoStream, IoStream) {
    first.begin_tls(client()).unwrap();
    second.start_tls(server()).await.unwrap();
    first.wait_for_handshake().await.unwrap();
    (first, second)
}

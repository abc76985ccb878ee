//! `SslOptions`: what a TLS server or client is told, before any file is read.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ServerConfig};

use super::{Pem, TlsError, build};

/// TLS options of a server or a client: Tornado's `ssl_options`.
///
/// They are only noted here; [`server_config`](Self::server_config) and [`client_config`](Self::client_config) read the files
/// and find what is wrong. Where the documentation of an option speaks of one side only, the other ignores it.
///
/// ```no_run
/// use landspout_netutil::SslOptions;
///
/// let server = SslOptions::new().certfile("/etc/tls/cert.pem").keyfile("/etc/tls/key.pem").alpn(["http/1.1"]);
/// server.check()?;
/// let client = SslOptions::new().ca_certs("/etc/tls/our-own-ca.pem");
/// let config = client.client_config()?;
/// # Ok::<(), landspout_netutil::TlsError>(())
/// ```
///
/// # The provider of cryptography
/// rustls leaves the arithmetic to a provider. It is, in this order: the one [given](Self::provider); aws-lc with the feature
/// `tls-aws-lc`; ring with the feature `tls-ring`; the default of the process
/// ([`CryptoProvider::install_default`]). With both features on it is aws-lc, as in rustls itself: it knows the post-quantum key
/// exchange, and ring needs no more than a C compiler.
#[doc(alias = "ssl_options")]
#[doc(alias = "ssl_options_to_context")]
#[doc(alias = "SSLContext")]
#[derive(Clone, Default)]
pub struct SslOptions {
    pub(super) identity: Option<SniCertificate>,
    /// Without a certificate an error, but in which order they are given is nobody's concern.
    pub(super) keyfile: Option<Pem>,
    pub(super) further: Vec<SniCertificate>,
    pub(super) ca_certs: Vec<Pem>,
    pub(super) cert_reqs: Option<CertReqs>,
    pub(super) no_hostname_check: bool,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) minimum: TlsVersion,
    pub(super) maximum: Option<TlsVersion>,
    pub(super) ciphers: Vec<String>,
    pub(super) provider: Option<Arc<CryptoProvider>>,
}

/// Whether the other side has to show a certificate that can be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertReqs {
    /// A server asks for none. A client believes anybody: neither certificate nor host name are checked.
    #[doc(alias = "CERT_NONE")]
    None,
    /// A server asks, and goes on without one; one that is shown has to be good. For a client the same as `Required`, since
    /// servers always show one.
    #[doc(alias = "CERT_OPTIONAL")]
    Optional,
    /// No connection without a certificate that leads to one of the [`ca_certs`](SslOptions::ca_certs).
    #[doc(alias = "CERT_REQUIRED")]
    Required,
}

/// Versions of the protocol. Older ones are gone (RFC 8996).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    #[default]
    #[doc(alias = "PROTOCOL_TLSv1_2")]
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

/// One of several certificates of a server, which picks by the name that the client asks for (SNI, RFC 6066, section 3).
///
/// ```no_run
/// use landspout_netutil::{SniCertificate, SslOptions};
///
/// let options = SslOptions::new()
///     .certfile("default.pem")
///     .sni(SniCertificate::new("shop.pem").keyfile("shop.key"))
///     .sni(SniCertificate::new("tests.pem").names(["*.test.example"]));
/// ```
#[derive(Clone, Debug)]
pub struct SniCertificate {
    pub(super) certfile: Pem,
    pub(super) keyfile: Option<Pem>,
    pub(super) names: Vec<String>,
}

impl SniCertificate {
    /// For the host names in the certificate; the file may hold the key, too.
    pub fn new(certfile: impl Into<Pem>) -> SniCertificate {
        SniCertificate { certfile: certfile.into(), keyfile: None, names: Vec::new() }
    }

    /// Where the private key is, if it isn't with the certificate.
    pub fn keyfile(mut self, keyfile: impl Into<Pem>) -> SniCertificate {
        self.keyfile = Some(keyfile.into());
        self
    }

    /// For these host names instead of those in the certificate. `*.example.com` is every name with one label more
    /// (RFC 9525, section 6.3).
    pub fn names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> SniCertificate {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }
}

impl SslOptions {
    /// A client that believes the system's roots and checks the host name, and, with a [`certfile`](Self::certfile), a
    /// server that asks for no client certificates. TLS 1.2 and 1.3.
    pub fn new() -> SslOptions {
        SslOptions::default()
    }

    /// The certificate, followed by those between it and its root; a server needs one, a client shows it when asked. The file
    /// may hold the private key, too.
    pub fn certfile(mut self, certfile: impl Into<Pem>) -> SslOptions {
        self.identity = Some(SniCertificate::new(certfile));
        self
    }

    /// The private key of the [`certfile`](Self::certfile), unencrypted: PKCS#8, PKCS#1 (RSA) or SEC1 (EC).
    pub fn keyfile(mut self, keyfile: impl Into<Pem>) -> SslOptions {
        self.keyfile = Some(keyfile.into());
        self
    }

    /// One more certificate of a server, for clients that ask for its names. The [`certfile`](Self::certfile) serves its own
    /// names, names that no certificate has, and clients that ask for none. An exact name goes before one with a wildcard,
    /// and among certificates for one name the first whose kind of key the client can verify.
    #[doc(alias = "sni_callback")]
    pub fn sni(mut self, certificate: SniCertificate) -> SslOptions {
        self.further.push(certificate);
        self
    }

    /// The roots that the other side's certificate has to lead to. May be given several times. A client believes these
    /// instead of the system's roots.
    ///
    /// A certificate that is given here itself is good as well, with its host names and its time checked, even if it says that it
    /// belongs to an authority (which `openssl req -x509` makes every self-signed certificate say).
    pub fn ca_certs(mut self, ca_certs: impl Into<Pem>) -> SslOptions {
        self.ca_certs.push(ca_certs.into());
        self
    }

    /// Whether the other side has to show a certificate. The default of a server is [`CertReqs::None`], with or without
    /// `ca_certs`, that of a client [`CertReqs::Required`].
    pub fn cert_reqs(mut self, cert_reqs: CertReqs) -> SslOptions {
        self.cert_reqs = Some(cert_reqs);
        self
    }

    /// With `false` a client takes a certificate of another host, too, as long as it leads to a root. A server ignores it.
    pub fn check_hostname(mut self, check: bool) -> SslOptions {
        self.no_hostname_check = !check;
        self
    }

    /// The protocols to be spoken inside, the preferred one first (ALPN, RFC 7301): `http/1.1`, `h2`. A server that has
    /// none in common with a client that offers some refuses it (section 3.2).
    #[doc(alias = "set_alpn_protocols")]
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> SslOptions {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// The lowest version; [`TlsVersion::Tls12`] is the default.
    #[doc(alias = "ssl_version")]
    pub fn minimum_version(mut self, version: TlsVersion) -> SslOptions {
        self.minimum = version;
        self
    }

    /// The highest version; the default is the newest there is.
    #[doc(alias = "ssl_version")]
    pub fn maximum_version(mut self, version: TlsVersion) -> SslOptions {
        self.maximum = Some(version);
        self
    }

    /// The cipher suites, the preferred one first, separated by colons: by IANA's names (`TLS_AES_128_GCM_SHA256`) or
    /// OpenSSL's (`ECDHE-RSA-AES256-GCM-SHA384`).
    ///
    /// It speaks for the versions of which it names a suite; as with OpenSSL, a list for TLS 1.2 leaves TLS 1.3 as it is.
    /// OpenSSL's words for sets (`HIGH`, `!aNULL`, `@STRENGTH`) are refused: rustls has nine suites, all of them with
    /// ephemeral keys and authenticated encryption, so that there is nothing to weed out.
    pub fn ciphers(mut self, list: &str) -> SslOptions {
        self.ciphers = list.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        self
    }

    /// The [provider of cryptography](Self#the-provider-of-cryptography), where it isn't to be the one of a feature.
    pub fn provider(mut self, provider: impl Into<Arc<CryptoProvider>>) -> SslOptions {
        self.provider = Some(provider.into());
        self
    }

    /// Whether a server can be made of these: all that Tornado's constructor of a server looks at (a `certfile` is
    /// given, the files exist) and what it doesn't (they can be read, hold a certificate and a key, which belong together).
    ///
    /// # Errors
    /// See [`server_config`](Self::server_config).
    pub fn check(&self) -> Result<(), TlsError> {
        self.server_config().map(drop)
    }

    /// Reads the files and makes rustls' configuration of a server. To share it costs nothing; to make it reads files and
    /// blocks. Sessions are resumed, by tickets and from memory. To have files read again, see
    /// [`ReloadableServerConfig`](crate::ReloadableServerConfig).
    ///
    /// # Errors
    /// [`TlsError`], for whatever is wrong with the options or their files.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        build::server(self, None).map(|built| built.config)
    }

    /// Reads the files, or the system's roots, and makes rustls' configuration of a client. To share it costs nothing,
    /// and only clients that share one resume their sessions; to make it reads files and blocks.
    ///
    /// The system's roots are where OpenSSL has them; the environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` say
    /// otherwise.
    ///
    /// # Errors
    /// [`TlsError`], for whatever is wrong with the options or their files.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        build::client(self)
    }
}

impl TryFrom<SslOptions> for Arc<ServerConfig> {
    type Error = TlsError;

    fn try_from(options: SslOptions) -> Result<Arc<ServerConfig>, TlsError> {
        options.server_config()
    }
}

impl TryFrom<SslOptions> for Arc<ClientConfig> {
    type Error = TlsError;

    fn try_from(options: SslOptions) -> Result<Arc<ClientConfig>, TlsError> {
        options.client_config()
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsVersion::Tls12 => "TLS 1.2",
            TlsVersion::Tls13 => "TLS 1.3",
        })
    }
}

impl fmt::Debug for SslOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SslOptions")
            .field("certfile", &self.identity.as_ref().map(|identity| &identity.certfile))
            .field("keyfile", &self.keyfile)
            .field("sni", &self.further)
            .field("ca_certs", &self.ca_certs)
            .field("cert_reqs", &self.cert_reqs)
            .field("check_hostname", &!self.no_hostname_check)
            .finish_non_exhaustive()
    }
}

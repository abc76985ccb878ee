//! Certificates for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use landspout_netutil::Pem;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority that signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// As a `ca_certs`.
    pub(crate) fn pem(&self) -> Pem {
        Pem::from_memory(self.0.pem())
    }

    pub(crate) fn text(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names.
    pub(crate) fn sign(&self, names: &[&str]) -> Made {
        let key = KeyPair::generate().unwrap();
        let cert = params(names).signed_by(&key, &self.0).unwrap();
        Made { cert: cert.pem(), key: key.serialize_pem() }
    }
}

impl Made {
    /// Signed by itself, as `openssl req -x509` makes them: an authority, too.
    pub(crate) fn self_signed(names: &[&str]) -> Made {
        Made::with_params(params(names))
    }

    /// The same, and its time is over.
    pub(crate) fn expired(names: &[&str]) -> Made {
        let mut params = params(names);
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        Made::with_params(params)
    }

    /// The same with a key of a kind that some clients don't know.
    pub(crate) fn with_ed25519(names: &[&str]) -> Made {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let cert = params(names).self_signed(&key).unwrap();
        Made { cert: cert.pem(), key: key.serialize_pem() }
    }

    fn with_params(mut params: CertificateParams) -> Made {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Made { cert: cert.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn certfile(&self) -> Pem {
        Pem::from_memory(self.cert.as_str())
    }

    pub(crate) fn keyfile(&self) -> Pem {
        Pem::from_memory(self.key.as_str())
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// A directory that goes away with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("landspout-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl AsRef<Path> for Directory {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! A certificate made on the fly, for examples of TLS. Nobody trusts it but who is given the file.

use std::path::{Path, PathBuf};

use crate::support::Failure;

/// The names that it is good for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate and its key as PEM files in a directory of their own, which goes with this.
pub(crate) struct Certificate {
    directory: PathBuf,
}

impl Certificate {
    pub(crate) fn make() -> Result<Self, Failure> {
        let directory = std::env::temp_dir().join(format!("landspout-certificate-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let certificate = Self { directory };
        let made = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned))?;
        std::fs::write(certificate.certfile(), made.cert.pem())?;
        std::fs::write(certificate.keyfile(), made.signing_key.serialize_pem())?;
        Ok(certificate)
    }

    pub(crate) fn certfile(&self) -> PathBuf {
        self.directory.join("cert.pem")
    }

    pub(crate) fn keyfile(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// Tells where the certificate is, for clients that are to trust it.
    pub(crate) fn announce(certfile: &Path) {
        println!("certificate: {}", certfile.display());
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

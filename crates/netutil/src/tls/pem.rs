//! PEM text, from files or memory, and what is in it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// No certificate file is that large (the roots of the web are some 200 KiB); `/dev/zero` is.
const MAX_FILE: u64 = 16 << 20;

/// PEM text: a file, by its path (`"server.pem".into()`), or bytes in memory.
///
/// Files are read when a configuration is built, and again when it is reloaded.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem(Text);

#[derive(Clone, PartialEq, Eq)]
enum Text {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

/// Where PEM text came from, in errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PemOrigin {
    /// This file.
    File(PathBuf),
    /// [`Pem::from_memory`].
    Memory,
}

impl Pem {
    /// The text itself, for certificates that come from somewhere else than a file.
    pub fn from_memory(text: impl Into<Vec<u8>>) -> Pem {
        Pem(Text::Memory(text.into().into()))
    }

    /// Reads the text and hands it to whoever looks for something in it. `option` is for errors.
    pub(super) fn load(&self, option: &'static str) -> Result<Loaded, TlsError> {
        let text = match &self.0 {
            Text::Memory(text) => text.clone(),
            Text::File(path) => read(path).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => TlsError::NotFound { option, path: path.clone() },
                _ => TlsError::Unreadable { option, path: path.clone(), source },
            })?,
        };
        Ok(Loaded { option, origin: self.origin(), text })
    }

    fn origin(&self) -> PemOrigin {
        match &self.0 {
            Text::File(path) => PemOrigin::File(path.clone()),
            Text::Memory(_) => PemOrigin::Memory,
        }
    }
}

fn read(path: &Path) -> io::Result<Arc<[u8]>> {
    let mut text = Vec::new();
    if File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)? as u64 > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text.into())
}

/// Text that was read, with its name for errors.
pub(super) struct Loaded {
    option: &'static str,
    pub(super) origin: PemOrigin,
    text: Arc<[u8]>,
}

impl Loaded {
    /// All certificates, at least one. Sections of other kinds are skipped.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.text).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => {
                Err(TlsError::NoCertificate { option: self.option, pem: self.origin.clone() })
            }
            Ok(certificates) => Ok(certificates),
            Err(source) => Err(self.malformed(source)),
        }
    }

    /// The first private key.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        match PrivateKeyDer::from_pem_slice(&self.text) {
            Ok(key) => Ok(key),
            Err(PemError::NoItemsFound) if self.has_encrypted_key() => {
                Err(TlsError::EncryptedKey { pem: self.origin.clone() })
            }
            Err(PemError::NoItemsFound) => Err(TlsError::NoKey { option: self.option, pem: self.origin.clone() }),
            Err(source) => Err(self.malformed(source)),
        }
    }

    /// RFC 7468, section 11. The older form (RFC 1421) looks like an unencrypted key whose base64 is broken by header
    /// fields, and is reported as malformed.
    fn has_encrypted_key(&self) -> bool {
        const LABEL: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
        self.text.windows(LABEL.len()).any(|window| window == LABEL)
    }

    fn malformed(&self, source: PemError) -> TlsError {
        TlsError::Malformed { option: self.option, pem: self.origin.clone(), source }
    }
}

impl fmt::Debug for Pem {
    /// Never the text: there may be a key in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.origin(), f)
    }
}

impl fmt::Display for PemOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PemOrigin::File(path) => write!(f, "\"{}\"", path.display()),
            PemOrigin::Memory => f.write_str("from memory"),
        }
    }
}

impl<P: AsRef<Path>> From<P> for Pem {
    fn from(path: P) -> Pem {
        Pem(Text::File(path.as_ref().to_owned()))
    }
}

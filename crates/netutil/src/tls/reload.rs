//! A server's configuration whose files can be read again while it serves.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustls::ServerConfig;

use super::build::{self, BuiltServer};
use super::{SslOptions, TlsError};

/// The configuration of a TLS server, which [`reload`](Self::reload) renews: for certificates that live ninety days in
/// servers that live longer. A cheap handle that any thread may hold; clones are the same configuration.
///
/// It is made of [`SslOptions`], or of a ready-made [`ServerConfig`], which never changes: whatever takes
/// `impl TryInto<ReloadableServerConfig>` with an error that turns into [`TlsError`] takes all of them.
///
/// ```no_run
/// use landspout_netutil::{ReloadableServerConfig, SslOptions};
///
/// let tls = ReloadableServerConfig::new(SslOptions::new().certfile("cert.pem").keyfile("key.pem"))?;
/// // Each new connection:
/// let config = tls.current();
/// // On SIGHUP, say:
/// if let Err(error) = tls.reload() {
///     eprintln!("the old certificate stays: {error}");
/// }
/// # Ok::<(), landspout_netutil::TlsError>(())
/// ```
///
/// Tornado reads the files again for each connection (slow, and a half-written file costs connections), or never, with a
/// context; see its issue 2895.
#[derive(Clone)]
pub struct ReloadableServerConfig {
    shared: Arc<Shared>,
}

struct Shared {
    current: RwLock<Arc<ServerConfig>>,
    /// `None` for a ready-made one. Locked while files are read, so that the last reload to begin is the last to end.
    source: Option<Mutex<Source>>,
}

struct Source {
    options: SslOptions,
    built: BuiltServer,
}

impl ReloadableServerConfig {
    /// Reads the files for the first time; blocks meanwhile. Made before processes fork, it gives all of them the same first key
    /// for session tickets, so that they resume each other's sessions for some hours.
    ///
    /// # Errors
    /// See [`SslOptions::server_config`].
    pub fn new(options: SslOptions) -> Result<ReloadableServerConfig, TlsError> {
        let built = build::server(&options, None)?;
        let current = RwLock::new(built.config.clone());
        Ok(ReloadableServerConfig {
            shared: Arc::new(Shared { current, source: Some(Mutex::new(Source { options, built })) }),
        })
    }

    /// The newest configuration. A connection keeps the one it began with.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again; connections from now on get what is in them. It blocks while it reads, and those who ask for
    /// [`current`](Self::current) on other threads don't wait. Clients can resume their sessions, unless
    /// [`ca_certs`](SslOptions::ca_certs) have changed: a resumed session isn't verified again. With a ready-made
    /// configuration there is nothing to read, and nothing happens.
    ///
    /// # Errors
    /// See [`SslOptions::server_config`]. The configuration stays as it was then.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Some(source) = &self.shared.source else { return Ok(()) };
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        source.built = build::server(&source.options, Some(&source.built))?;
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = source.built.config.clone();
        Ok(())
    }
}

impl TryFrom<SslOptions> for ReloadableServerConfig {
    type Error = TlsError;

    fn try_from(options: SslOptions) -> Result<ReloadableServerConfig, TlsError> {
        ReloadableServerConfig::new(options)
    }
}

impl From<Arc<ServerConfig>> for ReloadableServerConfig {
    fn from(config: Arc<ServerConfig>) -> ReloadableServerConfig {
        ReloadableServerConfig { shared: Arc::new(Shared { current: RwLock::new(config), source: None }) }
    }
}

impl From<ServerConfig> for ReloadableServerConfig {
    fn from(config: ServerConfig) -> ReloadableServerConfig {
        Arc::new(config).into()
    }
}

impl fmt::Debug for ReloadableServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReloadableServerConfig").field("reloads", &self.shared.source.is_some()).finish_non_exhaustive()
    }
}

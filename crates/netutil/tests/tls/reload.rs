//! Certificates that change while the server runs.

use std::sync::Arc;

use landspout_netutil::{CertReqs, ClientConfig, ReloadableServerConfig, SslOptions, TlsError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::certificates::{Authority, Directory, Made};
use crate::handshake::meet;
use crate::options;

/// A server whose files can be replaced.
struct Serving {
    directory: Directory,
    ca: Authority,
    first: Made,
    options: SslOptions,
}

impl Serving {
    fn new() -> Serving {
        let (directory, ca) = (Directory::new(), Authority::new("ours"));
        let first = ca.sign(&["one.test"]);
        let mut serving = Serving { options: options(), directory, ca, first };
        let (cert, key) = serving.replace(&serving.first);
        serving.options = options().certfile(cert).keyfile(key);
        serving
    }

    fn replace(&self, made: &Made) -> (std::path::PathBuf, std::path::PathBuf) {
        (self.directory.write("cert.pem", &made.cert), self.directory.write("key.pem", &made.key))
    }

    fn client(&self) -> Arc<ClientConfig> {
        options().ca_certs(self.ca.pem()).client_config().unwrap()
    }
}

#[track_caller]
fn assert_shows(tls: &ReloadableServerConfig, serving: &Serving, made: &Made) {
    let shown = meet(&serving.client(), &tls.current(), "one.test").succeeded().shown();
    assert_eq!(shown, CertificateDer::from_pem_slice(made.cert.as_bytes()).unwrap());
}

#[test]
fn a_reload_takes_the_new_files() {
    let serving = Serving::new();
    let tls = ReloadableServerConfig::new(serving.options.clone()).unwrap();
    let clone = tls.clone();
    let second = serving.ca.sign(&["one.test"]);
    serving.replace(&second);
    assert_shows(&tls, &serving, &serving.first);
    tls.reload().unwrap();
    assert_shows(&tls, &serving, &second);
    assert_shows(&clone, &serving, &second);
}

#[test]
fn a_reload_that_fails_keeps_what_there_was() {
    let serving = Serving::new();
    let tls = ReloadableServerConfig::new(serving.options.clone()).unwrap();
    let before = tls.current();
    // Half of a replacement: the new certificate with the old key.
    let second = serving.ca.sign(&["one.test"]);
    serving.directory.write("cert.pem", &second.cert);
    assert!(matches!(tls.reload(), Err(TlsError::KeyMismatch { .. })));
    serving.directory.write("cert.pem", "");
    assert!(matches!(tls.reload(), Err(TlsError::NoCertificate { .. })));
    std::fs::remove_file(serving.directory.path("key.pem")).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::NotFound { option: "keyfile", .. })));
    assert!(Arc::ptr_eq(&before, &tls.current()));
    // And it can be mended.
    serving.replace(&second);
    tls.reload().unwrap();
    assert_shows(&tls, &serving, &second);
}

#[test]
fn sessions_are_resumed_across_a_reload() {
    let serving = Serving::new();
    let tls = ReloadableServerConfig::new(serving.options.clone()).unwrap();
    let client = serving.client();
    meet(&client, &tls.current(), "one.test").succeeded();
    serving.replace(&serving.ca.sign(&["one.test"]));
    tls.reload().unwrap();
    tls.reload().unwrap();
    assert!(meet(&client, &tls.current(), "one.test").succeeded().resumed());
}

#[test]
fn a_client_that_is_no_longer_believed_cannot_resume_its_session() {
    let serving = Serving::new();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let ca_certs = serving.directory.write("clients.pem", old.text());
    let options = serving.options.clone().ca_certs(&ca_certs).cert_reqs(CertReqs::Required);
    let tls = ReloadableServerConfig::new(options).unwrap();
    let made = old.sign(&["somebody"]);
    let client = crate::options().ca_certs(serving.ca.pem()).certfile(made.certfile()).keyfile(made.keyfile());
    let client = client.client_config().unwrap();
    meet(&client, &tls.current(), "one.test").succeeded();
    tls.reload().unwrap();
    assert!(meet(&client, &tls.current(), "one.test").succeeded().resumed());
    serving.directory.write("clients.pem", new.text());
    tls.reload().unwrap();
    assert!(meet(&client, &tls.current(), "one.test").server_error.is_some());
}

#[test]
fn any_thread_may_reload() {
    let serving = Serving::new();
    let tls = ReloadableServerConfig::new(serving.options.clone()).unwrap();
    let second = serving.ca.sign(&["one.test"]);
    serving.replace(&second);
    let other = tls.clone();
    std::thread::spawn(move || other.reload()).join().unwrap().unwrap();
    assert_shows(&tls, &serving, &second);
}

#[test]
fn servers_take_options_and_ready_made_configurations_alike() {
    fn take(
        tls: impl TryInto<ReloadableServerConfig, Error: Into<TlsError>>,
    ) -> Result<ReloadableServerConfig, TlsError> {
        tls.try_into().map_err(Into::into)
    }
    let serving = Serving::new();
    let config = serving.options.server_config().unwrap();
    for tls in [take(serving.options.clone()), take(config.clone()), take(rustls::ServerConfig::clone(&config))] {
        assert_shows(&tls.unwrap(), &serving, &serving.first);
    }
    assert!(matches!(take(options()), Err(TlsError::MissingCertfile)));
}

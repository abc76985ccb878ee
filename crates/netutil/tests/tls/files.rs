//! What may be wrong with the files.

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use landspout_netutil::{Pem, PemOrigin, SslOptions, TlsError};

use crate::certificates::{Directory, Made};
use crate::options;

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
const NO_KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
const NO_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const CUT: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n";

fn refused(options: &SslOptions) -> TlsError {
    options.check().expect_err("options that are no good")
}

#[test]
fn a_server_without_a_certfile_is_refused_in_tornados_words() {
    assert_eq!(refused(&options()), TlsError::MissingCertfile);
    assert_eq!(refused(&options()).to_string(), "missing key \"certfile\" in ssl_options");
    assert_eq!(refused(&options().keyfile("key.pem")), TlsError::MissingCertfile);
    // A key of which a client makes no use is a mistake, too.
    let client = options().keyfile("key.pem").cert_reqs(landspout_netutil::CertReqs::None);
    assert_eq!(client.client_config().unwrap_err(), TlsError::MissingCertfile);
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let directory = Directory::new();
    let made = Made::self_signed(&["one.test"]);
    let cert = directory.write("cert.pem", made.cert);
    let missing = directory.path("missing.pem");
    let error = refused(&options().certfile(&missing));
    assert_eq!(error, TlsError::NotFound { option: "certfile", path: missing.clone() });
    assert_eq!(error.to_string(), format!("certfile \"{}\" does not exist", missing.display()));
    let error = refused(&options().certfile(&cert).keyfile(&missing));
    assert_eq!(error, TlsError::NotFound { option: "keyfile", path: missing.clone() });
    let error = options().ca_certs(&missing).client_config().unwrap_err();
    assert_eq!(error, TlsError::NotFound { option: "ca_certs", path: missing });
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = Directory::new();
    let error = refused(&options().certfile(directory.as_ref()));
    assert!(matches!(&error, TlsError::Unreadable { option: "certfile", path, .. } if path == directory.as_ref()));
    assert!(error.to_string().contains(directory.as_ref().to_str().unwrap()));
    assert!(error.source().is_some());
    // Whoever is root may read everything.
    let secret = directory.write("secret.pem", "");
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    if fs::read(&secret).is_err() {
        assert!(matches!(refused(&options().certfile(&secret)), TlsError::Unreadable { .. }));
    }
    let endless = refused(&options().certfile("/dev/zero"));
    assert!(
        matches!(endless, TlsError::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::FileTooLarge)
    );
}

#[test]
fn what_a_file_holds_is_looked_at() {
    let directory = Directory::new();
    let (made, other) = (Made::self_signed(&["one.test"]), Made::self_signed(&["two.test"]));
    let cert = directory.write("cert.pem", &made.cert);
    let key = directory.write("key.pem", &made.key);
    let text = directory.write("notes.txt", "no certificate at all\n");
    let origin = |path: &std::path::Path| PemOrigin::File(path.to_owned());

    assert_eq!(options().certfile(&cert).keyfile(&key).check(), Ok(()));
    let error = refused(&options().certfile(&text).keyfile(&key));
    assert_eq!(error, TlsError::NoCertificate { option: "certfile", pem: origin(&text) });
    let error = refused(&options().certfile(&key).keyfile(&key));
    assert_eq!(error, TlsError::NoCertificate { option: "certfile", pem: origin(&key) });
    let error = refused(&options().certfile(&cert));
    assert_eq!(error, TlsError::NoKey { option: "certfile", pem: origin(&cert) });
    let error = refused(&options().certfile(&cert).keyfile(&text));
    assert_eq!(error, TlsError::NoKey { option: "keyfile", pem: origin(&text) });
    let other = directory.write("other.pem", other.key);
    let error = refused(&options().certfile(&cert).keyfile(&other));
    assert_eq!(error, TlsError::KeyMismatch { certificate: origin(&cert), key: origin(&other) });
    assert!(error.to_string().contains("other.pem"));

    let encrypted = directory.write("encrypted.pem", ENCRYPTED);
    let error = refused(&options().certfile(&cert).keyfile(&encrypted));
    assert_eq!(error, TlsError::EncryptedKey { pem: origin(&encrypted) });
    let broken = directory.write("broken.pem", NO_KEY);
    assert!(
        matches!(refused(&options().certfile(&cert).keyfile(&broken)), TlsError::BadKey { pem, .. } if pem == origin(&broken))
    );
    let broken = directory.write("broken.pem", NO_CERTIFICATE);
    let error = refused(&options().certfile(&broken).keyfile(&key));
    assert!(matches!(error, TlsError::BadCertificate { option: "certfile", pem, .. } if pem == origin(&broken)));
    let error = options().ca_certs(&broken).client_config().unwrap_err();
    assert!(matches!(error, TlsError::BadCertificate { option: "ca_certs", pem, .. } if pem == origin(&broken)));
    let cut = directory.write("cut.pem", CUT);
    let error = refused(&options().certfile(&cut).keyfile(&key));
    assert!(matches!(error, TlsError::Malformed { option: "certfile", pem, .. } if pem == origin(&cut)));
    let error = options().ca_certs(&text).client_config().unwrap_err();
    assert_eq!(error, TlsError::NoCertificate { option: "ca_certs", pem: origin(&text) });
}

#[test]
fn one_file_may_hold_certificate_and_key_in_any_order() {
    let made = Made::self_signed(&["one.test"]);
    for text in [made.cert.clone() + &made.key, made.key.clone() + &made.cert] {
        let directory = Directory::new();
        assert_eq!(options().certfile(directory.write("both.pem", &text)).check(), Ok(()));
        assert_eq!(options().certfile(Pem::from_memory(text)).check(), Ok(()));
    }
}

#[test]
fn errors_and_debugging_show_no_key() {
    let made = Made::self_signed(&["one.test"]);
    let options = options().certfile(made.certfile()).keyfile(made.keyfile());
    let shown = format!("{options:?}");
    assert!(shown.contains("Memory") && !shown.contains("PRIVATE"), "{shown}");
    let error = refused(&options.certfile(made.keyfile()));
    assert_eq!(error, TlsError::NoCertificate { option: "certfile", pem: PemOrigin::Memory });
    assert!(!format!("{error} {error:?}").contains("PRIVATE"));
}

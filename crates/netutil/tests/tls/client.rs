//! What a client believes.

use std::process::Command;
use std::sync::Arc;

use landspout_netutil::{CertReqs, ServerConfig, TlsError};

use crate::certificates::{Authority, Directory, Made};
use crate::handshake::meet;
use crate::options;

fn server(made: &Made) -> Arc<ServerConfig> {
    options().certfile(made.certfile()).keyfile(made.keyfile()).server_config().unwrap()
}

#[test]
fn a_client_believes_the_ca_certs_it_was_given() {
    let ca = Authority::new("ours");
    let client = options().ca_certs(ca.pem()).client_config().unwrap();
    let met = meet(&client, &server(&ca.sign(&["one.test"])), "one.test").succeeded();
    assert_eq!(met.server.peer_certificates(), None);
}

#[test]
fn the_ca_certs_may_hold_several_authorities_in_several_files() {
    let (a, b, c) = (Authority::new("a"), Authority::new("b"), Authority::new("c"));
    let directory = Directory::new();
    let both = directory.write("both.pem", a.text() + "some text between\n" + &b.text());
    let client = options().ca_certs(both).ca_certs(c.pem()).client_config().unwrap();
    for ca in [a, b, c] {
        meet(&client, &server(&ca.sign(&["one.test"])), "one.test").succeeded();
    }
}

#[test]
fn a_client_refuses_a_certificate_of_another_authority() {
    let client = options().ca_certs(Authority::new("ours").pem()).client_config().unwrap();
    let met = meet(&client, &server(&Authority::new("theirs").sign(&["one.test"])), "one.test");
    assert!(met.server_error.is_some());
    assert!(met.refused_by_client().contains("UnknownIssuer"));
}

#[test]
fn a_client_refuses_a_certificate_of_another_host() {
    let ca = Authority::new("ours");
    let client = options().ca_certs(ca.pem()).client_config().unwrap();
    let server = server(&ca.sign(&["foo.example.com", "127.0.0.1"]));
    meet(&client, &server, "foo.example.com").succeeded();
    meet(&client, &server, "127.0.0.1").succeeded();
    for wrong in ["bar.example.com", "example.com", "127.0.0.2"] {
        assert!(meet(&client, &server, wrong).refused_by_client().contains("not valid for name"), "{wrong}");
    }
}

#[test]
fn without_the_host_name_check_the_authority_is_still_checked() {
    let ca = Authority::new("ours");
    let client = options().ca_certs(ca.pem()).check_hostname(false).client_config().unwrap();
    meet(&client, &server(&ca.sign(&["foo.example.com"])), "bar.example.com").succeeded();
    let met = meet(&client, &server(&Authority::new("theirs").sign(&["foo.example.com"])), "foo.example.com");
    assert!(met.refused_by_client().contains("UnknownIssuer"));
}

#[test]
fn a_client_that_requires_no_certificate_believes_anybody() {
    let client = options().cert_reqs(CertReqs::None).client_config().unwrap();
    meet(&client, &server(&Authority::new("theirs").sign(&["foo.example.com"])), "bar.example.com").succeeded();
    meet(&client, &server(&Made::expired(&["foo.example.com"])), "foo.example.com").succeeded();
}

#[test]
fn for_a_client_optional_is_the_same_as_required() {
    let ca = Authority::new("ours").pem();
    let client = options().ca_certs(ca).cert_reqs(CertReqs::Optional).client_config().unwrap();
    let met = meet(&client, &server(&Authority::new("theirs").sign(&["one.test"])), "one.test");
    assert!(met.refused_by_client().contains("UnknownIssuer"));
}

#[test]
fn a_self_signed_certificate_among_the_ca_certs_is_good_for_its_own_names() {
    let made = Made::self_signed(&["one.test"]);
    let client = options().ca_certs(made.certfile()).client_config().unwrap();
    meet(&client, &server(&made), "one.test").succeeded();
    assert!(meet(&client, &server(&made), "two.test").refused_by_client().contains("not valid for name"));
    let other = Made::self_signed(&["one.test"]);
    let refused = meet(&client, &server(&other), "one.test").refused_by_client();
    assert!(refused.contains("CaUsedAsEndEntity"), "{refused}");
}

#[test]
fn a_self_signed_certificate_whose_time_is_over_is_refused() {
    let made = Made::expired(&["one.test"]);
    let client = options().ca_certs(made.certfile()).client_config().unwrap();
    let refused = meet(&client, &server(&made), "one.test").refused_by_client();
    assert!(refused.to_lowercase().contains("expired"), "{refused}");
}

/// The roots of the system are read from where the environment says. To change the environment of a process with threads is
/// unsafe, so that the test runs itself once more.
#[test]
fn by_default_a_client_believes_the_roots_of_the_system() {
    const AGAIN: &str = "LANDSPOUT_TEST_AGAIN";
    if let Some(directory) = std::env::var_os(AGAIN) {
        let read = |name: &str| std::fs::read_to_string(std::path::Path::new(&directory).join(name)).unwrap();
        let made = Made { cert: read("cert.pem"), key: read("key.pem") };
        let client = options().client_config().unwrap();
        meet(&client, &server(&made), "one.test").succeeded();
        assert!(meet(&client, &server(&made), "two.test").refused_by_client().contains("not valid for name"));
        return;
    }
    let ca = Authority::new("the system's");
    let made = ca.sign(&["one.test"]);
    let directory = Directory::new();
    directory.write("cert.pem", &made.cert);
    directory.write("key.pem", &made.key);
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client::by_default_a_client_believes_the_roots_of_the_system"])
        .env("SSL_CERT_FILE", directory.write("roots.pem", ca.text()))
        .env_remove("SSL_CERT_DIR")
        .env(AGAIN, directory.as_ref())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success() && printed.contains("1 passed"), "{printed}");
}

#[test]
fn a_system_without_roots_is_an_error() {
    const AGAIN: &str = "LANDSPOUT_TEST_AGAIN";
    if std::env::var_os(AGAIN).is_some() {
        assert!(matches!(options().client_config(), Err(TlsError::NoSystemRoots { source: Some(_) })));
        // Whoever brings roots, or wants none, doesn't need the system's.
        options().ca_certs(Authority::new("ours").pem()).client_config().unwrap();
        options().cert_reqs(CertReqs::None).client_config().unwrap();
        return;
    }
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client::a_system_without_roots_is_an_error"])
        .env("SSL_CERT_FILE", Directory::new().path("nothing.pem"))
        .env_remove("SSL_CERT_DIR")
        .env(AGAIN, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success() && printed.contains("1 passed"), "{printed}");
}

//! Several certificates, chosen by the name that the client asks for.

use std::sync::Arc;

use landspout_netutil::{CertReqs, ServerConfig, SniCertificate, TlsError};
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::certificates::{Authority, Made};
use crate::handshake::meet;
use crate::options;

fn with_key(made: &Made) -> SniCertificate {
    SniCertificate::new(made.certfile()).keyfile(made.keyfile())
}

/// Does a client that asks for `name` get this one?
#[track_caller]
fn assert_shown(server: &Arc<ServerConfig>, name: &str, made: &Made) {
    let client = options().cert_reqs(CertReqs::None).client_config().unwrap();
    let shown = meet(&client, server, name).succeeded().shown();
    assert_eq!(shown, CertificateDer::from_pem_slice(made.cert.as_bytes()).unwrap(), "{name}");
}

#[test]
fn the_certificate_is_chosen_by_the_names_in_it() {
    let ca = Authority::new("ours");
    let default = ca.sign(&["one.test"]);
    let two = ca.sign(&["two.test", "Zwei.test"]);
    let wild = ca.sign(&["*.wild.test"]);
    let exact = ca.sign(&["exact.wild.test"]);
    let server = options()
        .certfile(default.certfile())
        .keyfile(default.keyfile())
        .sni(with_key(&two))
        .sni(with_key(&wild))
        .sni(SniCertificate::new(landspout_netutil::Pem::from_memory(exact.key.clone() + &exact.cert)))
        .server_config()
        .unwrap();
    assert_shown(&server, "two.test", &two);
    assert_shown(&server, "ZWEI.TEST", &two);
    assert_shown(&server, "any.wild.test", &wild);
    assert_shown(&server, "exact.wild.test", &exact);
    // The default: for its own name, for names that nobody has, for clients that ask for none.
    for name in ["one.test", "three.test", "wild.test", "a.b.wild.test", "xwild.test", "127.0.0.1"] {
        assert_shown(&server, name, &default);
    }
}

#[test]
fn the_names_of_the_default_certificate_go_before_the_wildcards_of_others() {
    let (default, wild) = (Made::self_signed(&["www.one.test"]), Made::self_signed(&["*.one.test"]));
    let server = options().certfile(default.certfile()).keyfile(default.keyfile()).sni(with_key(&wild));
    let server = server.server_config().unwrap();
    assert_shown(&server, "www.one.test", &default);
    assert_shown(&server, "ftp.one.test", &wild);
}

#[test]
fn among_certificates_for_one_name_it_is_the_first_that_the_client_can_verify() {
    let (new, old) = (Made::with_ed25519(&["one.test"]), Made::self_signed(&["one.test"]));
    let server = options().certfile(new.certfile()).keyfile(new.keyfile()).sni(with_key(&old)).server_config().unwrap();
    assert_shown(&server, "one.test", &new);
    let mut provider = rustls::crypto::ring::default_provider();
    let known = provider.signature_verification_algorithms.mapping.iter().copied();
    let known: Vec<_> = known.filter(|(scheme, _)| *scheme != SignatureScheme::ED25519).collect();
    provider.signature_verification_algorithms.mapping = Vec::leak(known);
    let client = options().provider(provider).cert_reqs(CertReqs::None).client_config().unwrap();
    let shown = meet(&client, &server, "one.test").succeeded().shown();
    assert_eq!(shown, CertificateDer::from_pem_slice(old.cert.as_bytes()).unwrap());
}

#[test]
fn names_that_are_given_take_the_place_of_those_in_the_certificate() {
    let (default, other) = (Made::self_signed(&["one.test"]), Made::self_signed(&["two.test"]));
    let server = options()
        .certfile(default.certfile())
        .keyfile(default.keyfile())
        .sni(with_key(&other).names(["Three.test", "*.four.test"]))
        .server_config()
        .unwrap();
    assert_shown(&server, "three.test", &other);
    assert_shown(&server, "x.four.test", &other);
    assert_shown(&server, "two.test", &default);
}

#[test]
fn names_that_cannot_be_are_errors() {
    let (default, other) = (Made::self_signed(&["one.test"]), Made::self_signed(&["two.test"]));
    let options = options().certfile(default.certfile()).keyfile(default.keyfile());
    for name in ["", "*", "two test", "a.*.test", "**.test", "*.127.0.0.1"] {
        let expected = TlsError::BadServerName { name: name.to_owned() };
        assert_eq!(options.clone().sni(with_key(&other).names([name])).check(), Err(expected));
    }
    let nameless = Made::self_signed(&["127.0.0.1"]);
    let refused = options.clone().sni(with_key(&nameless)).check().unwrap_err();
    assert!(matches!(refused, TlsError::NoServerName { .. }), "{refused}");
    assert_eq!(options.sni(with_key(&nameless).names(["named.test"])).check(), Ok(()));
}

#[test]
fn every_certificate_is_checked_when_the_server_is_made() {
    let (default, other) = (Made::self_signed(&["one.test"]), Made::self_signed(&["two.test"]));
    let options = options().certfile(default.certfile()).keyfile(default.keyfile());
    let crossed = SniCertificate::new(other.certfile()).keyfile(default.keyfile());
    assert!(matches!(options.sni(crossed).check(), Err(TlsError::KeyMismatch { .. })));
}

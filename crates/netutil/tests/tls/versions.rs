//! Versions, ciphers and providers.

use landspout_netutil::{CertReqs, ReloadableServerConfig, SslOptions, TlsError, TlsVersion};
use rustls::{CipherSuite, ProtocolVersion};

use crate::certificates::Made;
use crate::handshake::{Met, meet};
use crate::options;

fn server() -> SslOptions {
    let made = Made::self_signed(&["one.test"]);
    options().certfile(made.certfile()).keyfile(made.keyfile())
}

fn client() -> SslOptions {
    options().cert_reqs(CertReqs::None)
}

fn both(client: &SslOptions, server: &SslOptions) -> Met {
    meet(&client.client_config().unwrap(), &server.server_config().unwrap(), "one.test")
}

#[test]
fn the_newest_version_that_both_allow_is_spoken() {
    let (old, new) = (TlsVersion::Tls12, TlsVersion::Tls13);
    let version = |met: Met| met.succeeded().client.protocol_version();
    assert_eq!(version(both(&client(), &server())), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(version(both(&client(), &server().maximum_version(old))), Some(ProtocolVersion::TLSv1_2));
    assert_eq!(version(both(&client().maximum_version(old), &server())), Some(ProtocolVersion::TLSv1_2));
    assert_eq!(version(both(&client(), &server().minimum_version(new))), Some(ProtocolVersion::TLSv1_3));
    assert!(both(&client().maximum_version(old), &server().minimum_version(new)).server_error.is_some());
    assert!(both(&client().minimum_version(new), &server().maximum_version(old)).client_error.is_some());
}

#[test]
fn sessions_are_resumed_in_each_version() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let client = client().client_config().unwrap();
        let server = server().minimum_version(version).maximum_version(version).server_config().unwrap();
        assert!(!meet(&client, &server, "one.test").succeeded().resumed());
        assert!(meet(&client, &server, "one.test").succeeded().resumed());
    }
}

#[test]
fn a_minimum_above_the_maximum_is_an_error() {
    let (minimum, maximum) = (TlsVersion::Tls13, TlsVersion::Tls12);
    let expected = TlsError::NoVersion { minimum, maximum };
    assert_eq!(server().minimum_version(minimum).maximum_version(maximum).check(), Err(expected));
    let refused = client().minimum_version(minimum).maximum_version(maximum).client_config().unwrap_err();
    assert_eq!(refused.to_string(), "the minimum version TLS 1.3 is above the maximum TLS 1.2");
}

#[test]
fn ciphers_choose_among_the_suites() {
    let suite = |met: Met| met.succeeded().client.negotiated_cipher_suite().unwrap().suite();
    let server = server();
    let of_tls13 = "TLS_CHACHA20_POLY1305_SHA256";
    assert_eq!(suite(both(&client(), &server.clone().ciphers(of_tls13))), CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    let of_tls12 = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
    let met = both(&client().ciphers(of_tls12).maximum_version(TlsVersion::Tls12), &server);
    assert_eq!(suite(met), CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256);
    let met = both(&client(), &server.clone().ciphers(of_tls12));
    assert_eq!(met.succeeded().client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(server.ciphers("HIGH:!aNULL").check(), Err(TlsError::UnknownCipher { name: "HIGH".to_owned() }));
}

#[test]
fn ready_made_configurations_need_no_provider_of_ours() {
    let made = server().provider(rustls::crypto::ring::default_provider()).server_config().unwrap();
    let from_arc = ReloadableServerConfig::from(made.clone());
    assert!(std::sync::Arc::ptr_eq(&from_arc.current(), &made));
    from_arc.reload().unwrap();
    assert!(std::sync::Arc::ptr_eq(&from_arc.current(), &made));
    let by_value = ReloadableServerConfig::from(rustls::ServerConfig::clone(&made));
    meet(&client().client_config().unwrap(), &by_value.current(), "one.test").succeeded();
}

#[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
#[test]
fn without_a_provider_there_is_an_error_until_the_process_has_one() {
    let made = Made::self_signed(&["one.test"]);
    let options = SslOptions::new().certfile(made.certfile()).keyfile(made.keyfile());
    assert_eq!(options.check(), Err(TlsError::NoProvider));
    assert_eq!(SslOptions::new().client_config().unwrap_err(), TlsError::NoProvider);
    rustls::crypto::ring::default_provider().install_default().unwrap();
    assert_eq!(options.check(), Ok(()));
}

#[cfg(feature = "tls-aws-lc")]
#[test]
fn with_both_providers_it_is_aws_lc() {
    let made = server().server_config().unwrap();
    assert!(format!("{:?}", made.crypto_provider().secure_random).contains("AwsLcRs"));
}

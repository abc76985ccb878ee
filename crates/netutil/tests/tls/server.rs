//! Client certificates, ALPN, resumption.

use std::sync::Arc;

use landspout_netutil::{CertReqs, ClientConfig, SslOptions, TlsError};

use crate::certificates::{Authority, Made};
use crate::handshake::{Met, meet};
use crate::options;

/// A server that asks for certificates of one authority, and clients to try it.
struct Asking {
    ca: Authority,
    server: SslOptions,
}

impl Asking {
    fn new() -> Asking {
        let ca = Authority::new("ours");
        let made = ca.sign(&["one.test"]);
        let server = options().certfile(made.certfile()).keyfile(made.keyfile()).ca_certs(ca.pem());
        Asking { ca, server }
    }

    fn client(&self, shows: Option<&Made>) -> Arc<ClientConfig> {
        let mut client = options().ca_certs(self.ca.pem());
        if let Some(made) = shows {
            client = client.certfile(made.certfile()).keyfile(made.keyfile());
        }
        client.client_config().unwrap()
    }

    fn meet(&self, reqs: Option<CertReqs>, shows: Option<&Made>) -> Met {
        let mut server = self.server.clone();
        if let Some(reqs) = reqs {
            server = server.cert_reqs(reqs);
        }
        meet(&self.client(shows), &server.server_config().unwrap(), "one.test")
    }
}

#[test]
fn by_default_a_server_asks_for_no_client_certificate() {
    let asking = Asking::new();
    let made = asking.ca.sign(&["somebody"]);
    assert_eq!(asking.meet(None, Some(&made)).succeeded().server.peer_certificates(), None);
    assert_eq!(asking.meet(Some(CertReqs::None), Some(&made)).succeeded().server.peer_certificates(), None);
}

#[test]
fn a_required_client_certificate_has_to_be_shown_and_good() {
    let asking = Asking::new();
    let required = Some(CertReqs::Required);
    let met = asking.meet(required, Some(&asking.ca.sign(&["somebody"]))).succeeded();
    assert_eq!(met.server.peer_certificates().unwrap().len(), 1);
    assert!(asking.meet(required, None).refused_by_server().contains("no certificates"));
    let foreign = Authority::new("theirs").sign(&["somebody"]);
    assert!(asking.meet(required, Some(&foreign)).server_error.is_some());
}

#[test]
fn an_optional_client_certificate_may_be_missing_but_not_bad() {
    let asking = Asking::new();
    let optional = Some(CertReqs::Optional);
    assert_eq!(asking.meet(optional, None).succeeded().server.peer_certificates(), None);
    let met = asking.meet(optional, Some(&asking.ca.sign(&["somebody"]))).succeeded();
    assert_eq!(met.server.peer_certificates().unwrap().len(), 1);
    let expired = Made::expired(&["somebody"]);
    let server = asking.server.clone().cert_reqs(CertReqs::Optional).ca_certs(expired.certfile());
    let met = meet(&asking.client(Some(&expired)), &server.server_config().unwrap(), "one.test");
    assert!(met.refused_by_server().to_lowercase().contains("expired"));
}

#[test]
fn a_self_signed_client_certificate_among_the_ca_certs_is_good() {
    let asking = Asking::new();
    let (known, unknown) = (Made::self_signed(&["somebody"]), Made::self_signed(&["somebody"]));
    let server = asking.server.clone().cert_reqs(CertReqs::Required).ca_certs(known.certfile());
    let server = server.server_config().unwrap();
    meet(&asking.client(Some(&known)), &server, "one.test").succeeded();
    assert!(meet(&asking.client(Some(&unknown)), &server, "one.test").server_error.is_some());
}

#[test]
fn asking_for_client_certificates_without_ca_certs_is_an_error() {
    let made = Made::self_signed(&["one.test"]);
    let options = options().certfile(made.certfile()).keyfile(made.keyfile());
    for reqs in [CertReqs::Optional, CertReqs::Required] {
        assert_eq!(options.clone().cert_reqs(reqs).check(), Err(TlsError::MissingCaCerts));
    }
}

#[test]
fn alpn_takes_the_first_protocol_of_the_server_that_the_client_has() {
    let asking = Asking::new();
    let server = asking.server.clone().alpn(["h2", "http/1.1"]).server_config().unwrap();
    let client = |protocols: &[&str]| {
        options().ca_certs(asking.ca.pem()).alpn(protocols.iter().copied()).client_config().unwrap()
    };
    let met = meet(&client(&["http/1.0", "http/1.1", "h2"]), &server, "one.test").succeeded();
    assert_eq!(met.client.alpn_protocol(), Some(&b"h2"[..]));
    let met = meet(&client(&["http/1.1"]), &server, "one.test").succeeded();
    assert_eq!(met.server.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(meet(&client(&[]), &server, "one.test").succeeded().server.alpn_protocol(), None);
    assert!(meet(&client(&["gopher"]), &server, "one.test").server_error.is_some());
}

#[test]
fn a_protocol_that_alpn_cannot_carry_is_an_error() {
    let made = Made::self_signed(&["one.test"]);
    let options = options().certfile(made.certfile()).keyfile(made.keyfile());
    for protocol in [String::new(), "x".repeat(256)] {
        let expected = TlsError::BadAlpn { protocol: protocol.clone().into() };
        assert_eq!(options.clone().alpn([protocol]).check(), Err(expected));
    }
    assert_eq!(options.alpn(["x".repeat(255)]).check(), Ok(()));
}

#[test]
fn sessions_are_resumed() {
    let asking = Asking::new();
    let server = asking.server.server_config().unwrap();
    let client = asking.client(None);
    assert!(!meet(&client, &server, "one.test").succeeded().resumed());
    assert!(meet(&client, &server, "one.test").succeeded().resumed());
    assert!(!meet(&asking.client(None), &server, "one.test").succeeded().resumed());
}

/// With tickets the server remembers nothing: another one with the same keys can go on.
#[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
#[test]
fn sessions_are_resumed_by_tickets() {
    assert!(Asking::new().server.server_config().unwrap().ticketer.enabled());
}

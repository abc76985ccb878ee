//! A client and a server that meet in memory.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConnectionCommon, Error, HandshakeKind, ServerConfig, ServerConnection};

/// How a handshake went, once neither side has more to say.
pub(crate) struct Met {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
    pub(crate) client_error: Option<Error>,
    pub(crate) server_error: Option<Error>,
}

/// The client asks for `name`.
pub(crate) fn meet(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Met {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut met = Met {
        client: ClientConnection::new(client.clone(), name).unwrap(),
        server: ServerConnection::new(server.clone()).unwrap(),
        client_error: None,
        server_error: None,
    };
    while pass(&mut met.client, &mut met.server, &mut met.server_error)
        | pass(&mut met.server, &mut met.client, &mut met.client_error)
    {}
    met
}

impl Met {
    /// Both sides are content.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Met {
        assert_eq!((&self.client_error, &self.server_error), (&None, &None));
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
        self
    }

    /// What the client objects to.
    #[track_caller]
    pub(crate) fn refused_by_client(self) -> String {
        self.client_error.expect("the client agreed").to_string()
    }

    /// What the server objects to.
    #[track_caller]
    pub(crate) fn refused_by_server(self) -> String {
        self.server_error.expect("the server agreed").to_string()
    }

    /// The certificate that the client saw, as the PEM it was made from.
    pub(crate) fn shown(&self) -> CertificateDer<'static> {
        self.client.peer_certificates().expect("a certificate")[0].clone().into_owned()
    }

    pub(crate) fn resumed(&self) -> bool {
        let kinds = (self.client.handshake_kind(), self.server.handshake_kind());
        assert_eq!(kinds.0, kinds.1);
        kinds.0 == Some(HandshakeKind::Resumed)
    }
}

/// Hands over what `from` has to say. Whether there was anything.
fn pass<F, T>(from: &mut ConnectionCommon<F>, to: &mut ConnectionCommon<T>, refused: &mut Option<Error>) -> bool
where
    F: rustls::SideData,
    T: rustls::SideData,
{
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = bytes.as_slice();
    while !rest.is_empty() && refused.is_none() {
        to.read_tls(&mut rest).unwrap();
        *refused = to.process_new_packets().err();
    }
    !bytes.is_empty()
}

//! The kinds of load over TLS 1.3: requests on connections that stay, and a connection for each, with a full handshake or with one
//! that resumes the connection before.
//!
//! Rules: the client is as cheap as it can be: it believes any certificate, and looks at no signature. It asks for one on P-256, and
//! counts a handshake of the wrong kind as an error. Each connection has sessions of its own, so that none is without.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, HandshakeKind, SignatureScheme, crypto::ring, version::TLS13};

use crate::Error;
use crate::answers::{Answers, Known};
use crate::options::Options;
use crate::window::{Totals, Window};

/// What is to be seen of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    KeepAlive,
    /// A connection for each request.
    Full,
    /// The same, but for each slot's first one.
    Resumed,
}

const KEEP_ALIVE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const HELLO: u64 = 13;
const CONNECTIONS: usize = 64;
const MAX_ERRORS: u64 = 100;

pub(crate) fn keepalive(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    drive(options, Plan::KeepAlive, window)
}

pub(crate) fn handshake(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    drive(options, Plan::Full, window)
}

pub(crate) fn resumed(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    drive(options, Plan::Resumed, window)
}

fn drive(options: &Options, plan: Plan, window: &mut Window) -> Result<Totals, Error> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let count = options.connections.unwrap_or(CONNECTIONS);
    let mut slots = (0..count).map(|_| Slot::new(plan)).collect::<Result<Vec<_>, _>>()?;
    for (index, slot) in slots.iter_mut().enumerate() {
        slot.open(options, &epoll, index)?;
    }
    let (mut totals, mut known) = (Totals::default(), Known::default());
    let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 256];
    while window.open(&totals)? && totals.errors < MAX_ERRORS {
        // Not for ever, since a server that answers nothing raises no event.
        let timeout = window.left().clamp(Duration::from_millis(1), Duration::from_secs(1)).try_into()?;
        let ready = match epoll::wait(&epoll, &mut events, Some(&timeout)) {
            Err(Errno::INTR) => 0,
            outcome => outcome?,
        };
        for event in &events[..ready] {
            let index = event.data.u64() as usize;
            let slot = &mut slots[index];
            let outcome = match slot.turn(&mut known, &mut totals) {
                Ok(Next::Wait) => Ok(()),
                Ok(Next::Reopen) => slot.open(options, &epoll, index),
                Err(problem) => Err(problem),
            };
            if let Err(problem) = outcome {
                if totals.errors == 0 {
                    eprintln!("landspout-load: {problem}");
                }
                totals.errors += 1;
                slot.open(options, &epoll, index)?;
            }
        }
    }
    Ok(totals)
}

/// A place for one connection after the other.
struct Slot {
    plan: Plan,
    config: Arc<ClientConfig>,
    /// A session is there to be resumed.
    has_session: bool,
    connection: Option<Connection>,
}

struct Connection {
    socket: TcpStream,
    tls: ClientConnection,
    answers: Answers,
    answered: bool,
}

enum Next {
    Wait,
    Reopen,
}

impl Slot {
    fn new(plan: Plan) -> Result<Self, Error> {
        let config = Arc::new(config(plan == Plan::Resumed)?);
        Ok(Self { plan, config, has_session: false, connection: None })
    }

    /// Connects, says hello, and has the request ready for the end of the handshake.
    fn open(&mut self, options: &Options, epoll: &OwnedFd, index: usize) -> Result<(), Error> {
        // The one before is closed, which ends its registration.
        self.connection = None;
        let socket = TcpStream::connect(options.address()?)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        // Level-triggered: there may be more than one read takes.
        epoll::add(epoll, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
        let tls = ClientConnection::new(self.config.clone(), ServerName::try_from("localhost")?)?;
        let answers = Answers::new(Some(HELLO));
        let mut connection = Connection { socket, tls, answers, answered: false };
        let request = if self.plan == Plan::KeepAlive { KEEP_ALIVE } else { CLOSE };
        connection.tls.writer().write_all(request)?;
        connection.send()?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Takes what came, and sends what follows from that.
    fn turn(&mut self, known: &mut Known, totals: &mut Totals) -> Result<Next, Error> {
        let Some(connection) = &mut self.connection else {
            return Ok(Next::Wait);
        };
        let received = match connection.tls.read_tls(&mut connection.socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Next::Wait),
            received => received?,
        };
        let state = connection.tls.process_new_packets()?;
        let mut left = state.plaintext_bytes_to_read();
        let mut buffer = [0; 4096];
        while left > 0 {
            let count = connection.tls.reader().read(&mut buffer)?;
            left -= count;
            let found = connection.answers.take(&buffer[..count], known).map_err(|problem| problem.to_string())?;
            if found.answers == 0 {
                continue;
            }
            totals.requests += found.answers;
            totals.bytes += found.bytes;
            connection.answered = true;
            let kind = connection.tls.handshake_kind();
            let expected = if self.has_session { HandshakeKind::Resumed } else { HandshakeKind::Full };
            if kind != Some(expected) {
                return Err(format!("the handshake was {kind:?}, not {expected:?}").into());
            }
            if self.plan == Plan::KeepAlive {
                connection.tls.writer().write_all(KEEP_ALIVE)?;
            }
        }
        if received == 0 {
            if !connection.answered || self.plan == Plan::KeepAlive {
                return Err("the server closed the connection".into());
            }
            self.has_session = self.plan == Plan::Resumed;
            return Ok(Next::Reopen);
        }
        connection.send()?;
        Ok(Next::Wait)
    }
}

impl Connection {
    /// It is never so much that the kernel wouldn't take it.
    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

fn config(resumes: bool) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Believing))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = if resumes { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
    Ok(config)
}

/// Believes whatever the server says.
#[derive(Debug)]
struct Believing;

impl ServerCertVerifier for Believing {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 was asked for".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

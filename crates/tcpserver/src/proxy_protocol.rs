//! The PROXY protocol on a server's connections: who has to speak it, and what becomes of a connection until it has.
//!
//! Rules: whether a header is expected depends on the address of the socket alone, never on the bytes; a connection is nobody's
//! before its header is whole; what came behind the header is the stream's, or the handshake's.

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use landspout_ioloop::{IoLoop, with_timeout};
use landspout_iostream::IoStream;
use landspout_netutil::{Connection, PeerAddress, ProxyHeader, ProxyHeaderError, TrustedPeers};

use crate::connections::Ticket;
use crate::server::Inner;

/// How long a header may take, unless told otherwise. The specification wants at least 3 seconds, for a packet that is lost.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest header, unless told otherwise: as in nginx (`NGX_PROXY_PROTOCOL_MAX_HEADER`).
const MAX_HEADER_SIZE: usize = 4096;

/// Has a server learn the addresses of its clients from the proxies before it, by the PROXY protocol (versions 1 and 2): the proxy
/// sends a header before the client's first byte, and before a handshake of TLS. HAProxy's `send-proxy`, nginx's
/// `proxy_protocol on`, and what balancers of the clouds do. See
/// [`TcpServerOptions::proxy_protocol`](crate::TcpServerOptions::proxy_protocol).
///
/// Only trusted peers may connect: who could speak for others without being one would have any address. A trusted peer has to
/// send a header. One that doesn't, or doesn't in time, is closed without an answer, with a line in the log.
///
/// ```
/// use landspout_iostream::IoStream;
/// use landspout_netutil::PeerAddress;
/// use landspout_tcpserver::{ProxyProtocol, TcpServerOptions};
///
/// let proxies = ProxyProtocol::trusting("10.1.0.0/16".parse()?);
/// let server = TcpServerOptions::new().proxy_protocol(proxies).handler(async |stream: IoStream, address: PeerAddress| {
///     // The client's, not the proxy's.
///     stream.write(format!("hello, {address}\n").as_bytes())?.await
/// });
/// # Ok::<(), landspout_netutil::ParseNetworkError>(())
/// ```
///
/// # Who the peer is then
/// The handler's [`PeerAddress`] is the client's, and all that builds on it knows the client alone: an HTTP request's context, the
/// proxies whose headers that believes, [`max_connections_per_peer`](crate::TcpServerOptions::max_connections_per_peer) (until
/// the header is there, a connection counts for nobody). [`IoStream::peer_addr`] stays the proxy's. Where the header names no
/// client's address, because the proxy speaks for itself (`LOCAL`, a health check) or can't tell (`UNKNOWN`, `UNSPEC`,
/// Unix-domain sockets), the peer is the proxy, as the specification has it.
#[derive(Clone)]
#[must_use = "options do nothing until they make a server"]
pub struct ProxyProtocol {
    trusted: TrustedPeers,
    header_timeout: Duration,
    max_header_size: usize,
    serve_others: bool,
    /// [`Inner::accepted_behind_proxy`], so that who speaks no PROXY protocol has none of it in the program.
    accepted: fn(&Rc<Inner>, &Self, Connection, PeerAddress),
}

impl ProxyProtocol {
    /// Headers from these peers, and no other peers.
    pub fn trusting(peers: TrustedPeers) -> Self {
        Self {
            trusted: peers,
            header_timeout: HEADER_TIMEOUT,
            max_header_size: MAX_HEADER_SIZE,
            serve_others: false,
            accepted: Inner::accepted_behind_proxy,
        }
    }

    /// How long the header may take, from the connection's acceptance. Default 10 s.
    pub fn header_timeout(mut self, limit: Duration) -> Self {
        self.header_timeout = limit;
        self
    }

    /// The largest header of version 2, in bytes, with all that the proxy adds. Default 4096. (Version 1 has at most 107.)
    pub fn max_header_size(mut self, bytes: usize) -> Self {
        self.max_header_size = bytes;
        self
    }

    /// Serves peers that aren't trusted as if there were no PROXY protocol: they speak for themselves, and a header from one of
    /// them is data like any other. For servers that are also reached directly. Default: they are closed at once.
    pub fn serve_others(mut self, serve: bool) -> Self {
        self.serve_others = serve;
        self
    }

    /// A server has a new connection.
    pub(crate) fn accepted(&self, server: &Rc<Inner>, connection: Connection, address: PeerAddress) {
        (self.accepted)(server, self, connection, address);
    }

    /// What is to be done with a connection of this peer.
    fn judge(&self, peer: &PeerAddress) -> Judgement {
        match (self.trusted.trusts(peer), self.serve_others) {
            (true, _) => Judgement::ExpectHeader,
            (false, true) => Judgement::Serve,
            (false, false) => Judgement::Refuse,
        }
    }

    /// Reads the header, and nothing behind it.
    async fn header(&self, stream: &IoStream) -> Result<ProxyHeader, NoHeader> {
        let header = async {
            loop {
                let parsed = stream.parse_buffered(|bytes| match ProxyHeader::parse(bytes, self.max_header_size) {
                    Ok(Some((header, length))) => (length, Ok(Some(header))),
                    Ok(None) => (0, Ok(None)),
                    Err(error) => (0, Err(error)),
                });
                if let Some(header) = parsed.map_err(NoHeader::Malformed)? {
                    return Ok(header);
                }
                let silent = stream.with_buffered(<[u8]>::is_empty);
                if poll_fn(|cx| stream.poll_fill(cx)).await.is_err() {
                    return Err(if silent { NoHeader::Nothing } else { NoHeader::CutShort });
                }
            }
        };
        with_timeout(self.header_timeout, header).await.unwrap_or(Err(NoHeader::Late))
    }
}

impl fmt::Debug for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyProtocol")
            .field("trusted", &self.trusted)
            .field("header_timeout", &self.header_timeout)
            .field("max_header_size", &self.max_header_size)
            .field("serve_others", &self.serve_others)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn accepted_behind_proxy(self: &Rc<Self>, protocol: &ProxyProtocol, connection: Connection, address: PeerAddress) {
        match protocol.judge(&address) {
            Judgement::Serve => self.serve(connection, address),
            Judgement::ExpectHeader => self.expect_header(connection, address),
            Judgement::Refuse => {
                // Anybody may cause it, and a flood of them shall not be one of log lines, too.
                tracing::debug!("{address} is no trusted proxy");
                self.connections.refused_at_once();
            }
        }
    }

    /// A connection of a proxy, which will say whose it is.
    fn expect_header(self: &Rc<Self>, connection: Connection, proxy: PeerAddress) {
        let (closed, ticket) = self.connections.accepted_from_proxy();
        let Some(stream) = self.or_lost(self.stream(connection, closed), &proxy) else { return };
        self.connections.arriving(&ticket, &stream);
        let inner = self.clone();
        IoLoop::current().spawn(async move { inner.arrive(stream, proxy, &ticket).await });
    }

    async fn arrive(&self, stream: IoStream, proxy: PeerAddress, ticket: &Ticket) {
        let Some(protocol) = &self.proxy_protocol else { return };
        let header = match protocol.header(&stream).await {
            Ok(header) => header,
            Err(problem) => {
                match problem {
                    NoHeader::Nothing => tracing::debug!("{proxy}: {problem}"),
                    _ => {
                        tracing::info!("closing a connection of {proxy}: {problem}");
                        self.connections.refused_proxy_protocol();
                    }
                }
                return stream.close();
            }
        };
        let address = header.source.map_or(proxy, PeerAddress::Inet);
        if !self.connections.take_place(ticket, &address) {
            tracing::debug!("{address} has as many connections as a peer may have");
            return stream.close();
        }
        if self.or_lost(self.secure(&stream), &address).is_some() {
            self.connections.opened(ticket, &stream);
            (self.on_stream)(stream, address);
        }
    }
}

enum Judgement {
    ExpectHeader,
    Serve,
    Refuse,
}

/// Why a trusted peer's connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoHeader {
    Malformed(ProxyHeaderError),
    /// It ended within the header.
    CutShort,
    /// It ended without a byte: a look whether the port is open.
    Nothing,
    Late,
}

impl fmt::Display for NoHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::CutShort => f.write_str("the connection ended within the header of the PROXY protocol"),
            Self::Nothing => f.write_str("the connection ended before the header of the PROXY protocol"),
            Self::Late => f.write_str("the header of the PROXY protocol took too long"),
        }
    }
}

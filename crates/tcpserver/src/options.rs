//! The settings of a server: what Tornado's constructor takes, and limits that it doesn't know.
//!
//! Rule: nothing here touches a loop, since the server may fork before it starts.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use landspout_iostream::{IoStream, StreamOptions};
use landspout_netutil::PeerAddress;
#[cfg(feature = "tls")]
use landspout_netutil::{ReloadableServerConfig, TlsError};

use crate::connections::Connections;
#[cfg(feature = "tls")]
use crate::error::ServerError;
use crate::handler::{self, HandleStream};
use crate::proxy_protocol::ProxyProtocol;
use crate::server::{Inner, OnStream, TcpServer};

/// What the streams of a server may keep unsent, unless told otherwise: 100 MiB, as much as they may keep unread.
const MAX_WRITE_BUFFER_SIZE: usize = 100 * 1024 * 1024;
/// How long a handshake may take, unless told otherwise: as nginx's `ssl_handshake_timeout`.
#[cfg(feature = "tls")]
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// The settings of a [`TcpServer`].
///
/// ```
/// use landspout_iostream::IoStream;
/// use landspout_tcpserver::TcpServerOptions;
///
/// let server = TcpServerOptions::new()
///     .max_buffer_size(1 << 20)
///     .max_connections(1000)
///     .handler(async |stream: IoStream, _address| stream.write(b"hello\n")?.await);
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing until they make a server"]
pub struct TcpServerOptions {
    streams: StreamOptions,
    nodelay: bool,
    max_connections: usize,
    max_connections_per_peer: Option<usize>,
    proxy_protocol: Option<ProxyProtocol>,
    #[cfg(feature = "tls")]
    tls: Option<ReloadableServerConfig>,
    #[cfg(feature = "tls")]
    handshake_timeout: Duration,
}

impl Default for TcpServerOptions {
    fn default() -> Self {
        Self {
            streams: StreamOptions::new().max_write_buffer_size(MAX_WRITE_BUFFER_SIZE),
            nodelay: false,
            max_connections: usize::MAX,
            max_connections_per_peer: None,
            proxy_protocol: None,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }
}

impl TcpServerOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a stream may keep unread, in bytes. Default 100 MiB.
    pub fn max_buffer_size(mut self, bytes: usize) -> Self {
        self.streams.max_buffer_size = bytes;
        self
    }

    /// What one read of a stream brings at most, in bytes. Default 64 KiB.
    pub fn read_chunk_size(mut self, bytes: usize) -> Self {
        self.streams.read_chunk_size = bytes;
        self
    }

    /// What a stream may keep unsent, in bytes. Default 100 MiB; Tornado's is unlimited.
    pub fn max_write_buffer_size(mut self, bytes: usize) -> Self {
        self.streams.max_write_buffer_size = bytes;
        self
    }

    /// All limits of the streams at once.
    pub fn streams(mut self, streams: StreamOptions) -> Self {
        self.streams = streams;
        self
    }

    /// How many connections may be open at a time, in this process. At the limit the server accepts no more until one is
    /// closed; who comes meanwhile waits in the backlog. Default: no limit. 0 is taken for 1.
    pub fn max_connections(mut self, limit: usize) -> Self {
        self.max_connections = limit.max(1);
        self
    }

    /// How many connections one peer may have open at a time, in this process. A peer is an IPv4 address, or a /64 network of
    /// IPv6; clients on Unix-domain sockets are not counted. What a peer opens beyond that is closed at once, unread and before
    /// any handshake: whoever has too much of a server already gets no answer that costs more than the refusal. (They are
    /// counted: [`ConnectionCounts::refused_per_peer`](crate::ConnectionCounts::refused_per_peer).)
    ///
    /// Default, `None` and 0: no limit, as in nginx and HAProxy, since all clients of a proxy or of a large network behind one
    /// address are one peer; of a proxy that speaks the PROXY protocol, the client that it names is. Browsers open 6 connections
    /// to a server; a few times that is a good limit for a server that faces its clients.
    pub fn max_connections_per_peer(mut self, limit: impl Into<Option<usize>>) -> Self {
        self.max_connections_per_peer = limit.into().filter(|limit| *limit > 0);
        self
    }

    /// How long a peer may take nothing of what is to be sent to it; then its stream is closed. `None` and zero: no limit. Default:
    /// none, as in Tornado. See [`StreamOptions::send_timeout`].
    pub fn send_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.streams.send_timeout = limit.into();
        self
    }

    /// Whether connections over TCP send small writes at once, with Nagle's algorithm off. They inherit that from their listener,
    /// so that it costs no system call for each. Default false, as in Tornado; `HttpServer` turns it on.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Takes the addresses of clients from the proxies before this server, by the PROXY protocol, and closes the connections of
    /// all others. Default, `None`: there is no proxy, or none that speaks it.
    pub fn proxy_protocol(mut self, protocol: impl Into<Option<ProxyProtocol>>) -> Self {
        self.proxy_protocol = protocol.into();
        self
    }

    /// Serves TLS: with netutil's `SslOptions`, which are checked here and now, or a ready-made configuration of rustls. The
    /// handler is called before the handshake is done, and may read and write at once; to ask the stream about it, await
    /// [`wait_for_handshake`](IoStream::wait_for_handshake).
    ///
    /// # Errors
    /// [`ServerError::Tls`]: no certfile, a file that doesn't exist, has no certificate or key in it, or a key that doesn't fit. It
    /// names the file.
    #[cfg(feature = "tls")]
    pub fn ssl_options<C>(mut self, options: C) -> Result<Self, ServerError>
    where
        C: TryInto<ReloadableServerConfig>,
        C::Error: Into<TlsError>,
    {
        let config = options.try_into().map_err(|error| ServerError::Tls(error.into()))?;
        self.tls = Some(config);
        Ok(self)
    }

    /// How long the handshake of TLS may take. Default 60 s, as nginx's `ssl_handshake_timeout`; Tornado has no limit.
    #[cfg(feature = "tls")]
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// A server that hands its connections to `handler`: a [`HandleStream`] or an async closure.
    pub fn handler(self, handler: impl HandleStream + 'static) -> TcpServer {
        let handler = Rc::new(handler);
        let on_stream = move |stream, address| handler::spawn(handler.clone(), stream, address);
        self.build(Box::new(on_stream), true)
    }

    /// The layer below: `on_stream` is called with each connection and spawns what it needs.
    pub fn on_stream(self, on_stream: impl Fn(IoStream, PeerAddress) + 'static) -> TcpServer {
        self.build(Box::new(on_stream), false)
    }

    /// `list` the connections, so that they can be cut.
    fn build(self, on_stream: OnStream, list: bool) -> TcpServer {
        TcpServer::from_inner(Inner {
            on_stream,
            streams: self.streams,
            nodelay: self.nodelay,
            proxy_protocol: self.proxy_protocol,
            #[cfg(feature = "tls")]
            tls: self.tls.map(|config| (config, self.handshake_timeout)),
            connections: Connections::new(self.max_connections, list, self.max_connections_per_peer),
            pending: RefCell::default(),
            addresses: RefCell::default(),
            started: Cell::new(false),
        })
    }
}

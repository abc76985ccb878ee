//! `TcpServer`: listening sockets, and what is done with the connections that come in.
//!
//! Rule: neither making a server nor `bind` touches the loop, since `start` may fork after them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use landspout_ioloop::with_timeout;
#[cfg(feature = "tls")]
use landspout_iostream::Tls;
use landspout_iostream::{IoStream, StreamOptions};
#[cfg(feature = "tls")]
use landspout_netutil::ReloadableServerConfig;
use landspout_netutil::{AcceptOptions, BindOptions, Connection, Listener, PeerAddress, SHARED_ACCEPT_BATCH};
use landspout_process::{ForkOptions, task_id};

use crate::connections::{Closed, ConnectionCounts, Connections};
use crate::error::ServerError;
use crate::handler::HandleStream;
use crate::options::TcpServerOptions;
use crate::proxy_protocol::ProxyProtocol;

/// A TCP server on one thread or many processes: Tornado's `TCPServer`.
///
/// A cheap handle; clones mean the same server. It serves as long as its loop runs, whether a handle is kept or not.
///
/// # The ways to start
/// Single process:
/// ```no_run
/// # use landspout_ioloop::IoLoop;
/// # use landspout_iostream::IoStream;
/// # use landspout_tcpserver::TcpServer;
/// let server = TcpServer::new(async |stream: IoStream, _address| stream.write(b"hello\n")?.await);
/// server.listen(8888, None)?;
/// IoLoop::current().start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// Several processes, the simple way; the loop must not exist before:
/// ```no_run
/// # use landspout_ioloop::IoLoop;
/// # use landspout_iostream::IoStream;
/// # use landspout_tcpserver::TcpServer;
/// let server = TcpServer::new(async |stream: IoStream, _address| stream.write(b"hello\n")?.await);
/// server.bind(8888, None)?;
/// server.start(0)?; // forks one worker per CPU; only the workers come out of here
/// IoLoop::current().start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// Several processes, with the fork in the program's own hands:
/// ```no_run
/// # use landspout_ioloop::IoLoop;
/// # use landspout_iostream::IoStream;
/// # use landspout_tcpserver::TcpServer;
/// let sockets = landspout_netutil::bind_sockets(8888, None)?;
/// landspout_process::fork_processes(0)?;
/// let server = TcpServer::new(async |stream: IoStream, _address| stream.write(b"hello\n")?.await);
/// server.add_sockets(sockets)?;
/// IoLoop::current().start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// And one loop per thread: [`start_threads`](crate::start_threads).
#[derive(Clone)]
#[doc(alias = "TCPServer")]
pub struct TcpServer {
    inner: Rc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) on_stream: OnStream,
    pub(crate) streams: StreamOptions,
    /// Connections over TCP have Nagle's algorithm off.
    pub(crate) nodelay: bool,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<(ReloadableServerConfig, Duration)>,
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    pub(crate) connections: Rc<Connections>,
    /// Bound by `bind`, waiting for `start`.
    pub(crate) pending: RefCell<Vec<Listener>>,
    pub(crate) addresses: RefCell<Vec<SocketAddr>>,
    pub(crate) started: Cell<bool>,
}

/// What happens to each connection.
pub(crate) type OnStream = Box<dyn Fn(IoStream, PeerAddress)>;

impl TcpServer {
    /// A server that hands its connections to `handler`: a [`HandleStream`] or an async closure. For other settings than the
    /// default ones, see [`TcpServerOptions`].
    pub fn new(handler: impl HandleStream + 'static) -> Self {
        TcpServerOptions::new().handler(handler)
    }

    pub(crate) fn from_inner(inner: Inner) -> Self {
        Self { inner: Rc::new(inner) }
    }

    /// Listens on `port` of `address` (every address of a host name; `None`: all interfaces) and accepts from now on, on this
    /// thread's loop. May be called more than once.
    ///
    /// # Errors
    /// [`ServerError::Bind`], [`ServerError::Loop`].
    pub fn listen<'a>(&self, port: u16, address: impl Into<Option<&'a str>>) -> Result<(), ServerError> {
        self.listen_with(port, address, &BindOptions::new())
    }

    /// As [`listen`](Self::listen), with the family, the backlog and `reuse_port` of [`BindOptions`].
    ///
    /// # Errors
    /// [`ServerError::Bind`], [`ServerError::Loop`].
    pub fn listen_with<'a>(
        &self,
        port: u16,
        address: impl Into<Option<&'a str>>,
        options: &BindOptions,
    ) -> Result<(), ServerError> {
        self.add_sockets(options.bind_sockets(port, address)?)
    }

    /// Binds sockets that [`start`](Self::start) will accept from; clients can queue already. After `start` it accepts at once,
    /// as [`listen`](Self::listen). May be called more than once.
    ///
    /// # Errors
    /// [`ServerError::Bind`]; after `start` also [`ServerError::Loop`].
    pub fn bind<'a>(&self, port: u16, address: impl Into<Option<&'a str>>) -> Result<(), ServerError> {
        self.bind_with(port, address, &BindOptions::new())
    }

    /// As [`bind`](Self::bind), with the family, the backlog and `reuse_port` of [`BindOptions`].
    ///
    /// # Errors
    /// [`ServerError::Bind`]; after `start` also [`ServerError::Loop`].
    pub fn bind_with<'a>(
        &self,
        port: u16,
        address: impl Into<Option<&'a str>>,
        options: &BindOptions,
    ) -> Result<(), ServerError> {
        let sockets = options.bind_sockets(port, address)?;
        if self.inner.started.get() {
            return self.add_sockets(sockets);
        }
        for socket in sockets {
            self.note_address(socket.local_addr().ok());
            self.inner.pending.borrow_mut().push(socket.into());
        }
        Ok(())
    }

    /// Accepts from the sockets that [`bind`](Self::bind) made: in this process (1), or in as many forked workers (0 or `None`:
    /// one per CPU). With workers it returns in each of them, and never in the parent, which keeps them alive; see
    /// [`fork_processes`](landspout_process::fork_processes).
    ///
    /// The workers accept from the same sockets: whoever is awake first takes who waits, at most [`SHARED_ACCEPT_BATCH`] in a turn. So
    /// a busy worker, or one whose CPU is, gets fewer, and what waits when a worker dies is taken by another; of two idle ones, one
    /// may have a fifth more than the other. Shares that are equal by number come from sockets of their own: fork first, and
    /// [`listen_with`](Self::listen_with) [`reuse_port`](BindOptions::reuse_port) in each worker. The kernel deals out by a hash of
    /// the addresses then, to a busy worker too, and what waits for one that dies is lost.
    ///
    /// # Errors
    /// [`ServerError::AlreadyStarted`] the second time; [`ServerError::Fork`], above all when a loop exists already, after
    /// which it can be called again; [`ServerError::Loop`].
    pub fn start(&self, num_processes: impl Into<Option<usize>>) -> Result<(), ServerError> {
        self.start_with(num_processes, &ForkOptions::new())
    }

    /// As [`start`](Self::start), with the `max_restarts` and the callback of [`ForkOptions`].
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn start_with(
        &self,
        num_processes: impl Into<Option<usize>>,
        options: &ForkOptions,
    ) -> Result<(), ServerError> {
        if self.inner.started.get() {
            return Err(ServerError::AlreadyStarted);
        }
        let num_processes = num_processes.into();
        if num_processes != Some(1) {
            options.fork_processes(num_processes)?;
        }
        self.inner.started.set(true);
        let pending = self.inner.pending.take();
        pending.into_iter().try_for_each(|socket| self.accept_from(socket))
    }

    /// Accepts from listening sockets made elsewhere, from now on, on this thread's loop.
    ///
    /// # Errors
    /// [`ServerError::Loop`]; the remaining sockets are closed then.
    pub fn add_sockets<I>(&self, sockets: I) -> Result<(), ServerError>
    where
        I: IntoIterator,
        I::Item: Into<Listener>,
    {
        sockets.into_iter().try_for_each(|socket| self.add_socket(socket))
    }

    /// [`add_sockets`](Self::add_sockets) for one.
    ///
    /// # Errors
    /// [`ServerError::Loop`].
    pub fn add_socket(&self, socket: impl Into<Listener>) -> Result<(), ServerError> {
        let socket = socket.into();
        if let Listener::Tcp(socket) = &socket {
            self.note_address(socket.local_addr().ok());
        }
        self.accept_from(socket)
    }

    /// Stops accepting and closes the listening sockets. Connections go on. A second call does nothing; listening again
    /// afterwards is allowed.
    pub fn stop(&self) {
        self.inner.pending.take();
        self.inner.addresses.take();
        self.inner.connections.stop_accepting();
    }

    /// [`stop`](Self::stop)s, waits until every connection is closed, and closes those that are still open after `deadline`. Tells
    /// how many these were. Handlers see a closed stream then.
    ///
    /// Connections of proxies that have not said for whom they are are closed at once, as by
    /// [`close_arriving`](Self::close_arriving).
    ///
    /// Of a server made by [`on_stream`](TcpServerOptions::on_stream) it can't close them; they are left to whoever got them.
    ///
    /// # Cancel safety
    /// Dropping the future stops waiting; the server stays stopped.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.stop();
        self.close_arriving();
        let connections = &self.inner.connections;
        match with_timeout(deadline, poll_fn(|cx| connections.poll_none_open(cx))).await {
            Ok(()) => 0,
            Err(_) => connections.cut(),
        }
    }

    /// Closes the connections that nobody has got yet, since the header of the
    /// [`proxy_protocol`](TcpServerOptions::proxy_protocol) has not come. A part of every orderly end: there is nothing of
    /// theirs to finish.
    pub fn close_arriving(&self) {
        self.inner.connections.close_arriving();
    }

    /// How many connections there are, were taken, and could not be served.
    pub fn connections(&self) -> ConnectionCounts {
        self.inner.connections.counts()
    }

    /// Reads the files of [`ssl_options`](TcpServerOptions::ssl_options) again: connections from now on get what is in them, and
    /// none is lost. Of forked workers each has to do it, say on SIGHUP. Blocks while it reads. Does nothing on a server
    /// without TLS, or with a configuration that didn't come from files.
    ///
    /// # Errors
    /// [`ServerError::Tls`]; what was in force stays in force.
    #[cfg(feature = "tls")]
    pub fn reload_certificates(&self) -> Result<(), ServerError> {
        match &self.inner.tls {
            Some((config, _)) => Ok(config.reload()?),
            None => Ok(()),
        }
    }

    /// The Internet addresses that the server listens on: with port 0, the port that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.inner.addresses.borrow().clone()
    }

    fn note_address(&self, address: Option<SocketAddr>) {
        self.inner.addresses.borrow_mut().extend(address);
    }

    fn accept_from(&self, socket: Listener) -> Result<(), ServerError> {
        // Of workers that share a listener, whoever wakes first must not take everything.
        let options = match task_id() {
            Some(_) => AcceptOptions::new().batch(SHARED_ACCEPT_BATCH),
            None => AcceptOptions::new(),
        };
        let options = options.nodelay(self.inner.nodelay);
        let inner = self.inner.clone();
        let accepting =
            options.add_accept_handler(socket, move |connection, address| inner.accepted(connection, address))?;
        self.inner.connections.accept_by(accepting);
        Ok(())
    }
}

impl Inner {
    fn accepted(self: &Rc<Self>, connection: Connection, address: PeerAddress) {
        match &self.proxy_protocol {
            None => self.serve(connection, address),
            Some(protocol) => protocol.accepted(self, connection, address),
        }
    }

    pub(crate) fn serve(&self, connection: Connection, address: PeerAddress) {
        let Some((closed, ticket)) = self.connections.accepted(&address) else {
            // A flood of them shall not be one of log lines, too.
            tracing::debug!("{address} has as many connections as a peer may have");
            return;
        };
        let stream = self.stream(connection, closed).and_then(|stream| {
            self.secure(&stream)?;
            Ok(stream)
        });
        if let Some(stream) = self.or_lost(stream, &address) {
            if let Some(ticket) = ticket {
                self.connections.opened(&ticket, &stream);
            }
            (self.on_stream)(stream, address);
        }
    }

    pub(crate) fn stream(&self, connection: Connection, closed: Closed) -> io::Result<IoStream> {
        match connection {
            Connection::Tcp(socket) => IoStream::from_accepted_tcp(socket, self.streams, self.nodelay, closed),
            Connection::Unix(socket) => IoStream::from_accepted_unix(socket, self.streams, closed),
        }
    }

    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "there is no TLS to begin"))]
    pub(crate) fn secure(&self, stream: &IoStream) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some((config, limit)) = &self.tls {
            // Behind a header of the PROXY protocol, the handshake may have begun.
            let tls =
                Tls::server(config.current()).handshake_timeout(*limit).take_unread(self.proxy_protocol.is_some());
            stream.begin_tls(tls)?;
        }
        Ok(())
    }

    /// The loop is closed, or a handshake can't begin: this connection is lost, the next may not be.
    pub(crate) fn or_lost<T>(&self, result: io::Result<T>, address: &PeerAddress) -> Option<T> {
        if let Err(error) = &result {
            self.connections.refused();
            tracing::warn!("cannot serve the connection of {address}: {error}");
        }
        result.ok()
    }
}

impl fmt::Debug for TcpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServer")
            .field("addresses", &self.inner.addresses.borrow())
            .field("started", &self.inner.started.get())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

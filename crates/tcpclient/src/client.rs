//! `TcpClient`: from a host name to a stream.
//!
//! Three stages, each a future that can be dropped: the lookup, the attempts ([`Connector`]), TLS. Nothing outlives the call
//! but the stream it gives.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
#[cfg(feature = "tls")]
use std::{cell::OnceCell, sync::Arc};

use landspout_ioloop::{IoLoop, with_timeout};
#[cfg(feature = "tls")]
use landspout_iostream::Tls;
use landspout_iostream::{CloseCause, IoStream, StreamError};
#[cfg(feature = "tls")]
use landspout_netutil::{ClientConfig, SslOptions};
use landspout_netutil::{ResolveError, Resolver, ThreadedResolver};
use socket2::{Domain, Protocol, Socket, Type};

use crate::connector::Connector;
use crate::{ConnectError, ConnectEvent, ConnectOptions, FailedAttempt, Stage};

/// Makes outgoing connections. Tornado's `TCPClient`.
///
/// A cheap handle; clones share the resolver, and with `tls` the default configuration, so that sessions are resumed.
///
/// ```
/// use landspout_ioloop::IoLoop;
/// use landspout_tcpclient::TcpClient;
///
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let port = listener.local_addr()?.port();
/// # let server = std::thread::spawn(move || std::io::Write::write_all(&mut listener.accept().unwrap().0, b"hello"));
/// let greeting = IoLoop::current().run_sync(async move {
///     let stream = TcpClient::new().connect("127.0.0.1", port).await?;
///     Ok::<_, Box<dyn std::error::Error>>(stream.read_until_close().await?)
/// })?;
/// assert_eq!(greeting.unwrap(), &b"hello"[..]);
/// # server.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[doc(alias = "TCPClient")]
pub struct TcpClient {
    shared: Rc<Shared>,
}

struct Shared {
    resolver: Box<dyn Resolver>,
    /// For `connect_tls`. To read the system's roots takes its time, and sessions are kept here.
    #[cfg(feature = "tls")]
    default_tls: OnceCell<Arc<ClientConfig>>,
}

impl Default for TcpClient {
    fn default() -> TcpClient {
        TcpClient::new()
    }
}

impl TcpClient {
    /// With a [`ThreadedResolver`] on the loop's threads.
    pub fn new() -> TcpClient {
        TcpClient::with_resolver(ThreadedResolver::new())
    }

    /// With a resolver of the caller's.
    pub fn with_resolver(resolver: impl Resolver + 'static) -> TcpClient {
        TcpClient {
            shared: Rc::new(Shared {
                resolver: Box::new(resolver),
                #[cfg(feature = "tls")]
                default_tls: OnceCell::new(),
            }),
        }
    }

    /// Connects to a host, a name or an IP address without brackets: [`connect_with`](Self::connect_with) with the defaults.
    ///
    /// # Errors
    /// See [`connect_with`](Self::connect_with).
    pub async fn connect(&self, host: &str, port: u16) -> Result<IoStream, ConnectError> {
        self.connect_with(host, port, &ConnectOptions::new()).await
    }

    /// Connects to a host and secures the connection by TLS: with the system's roots, and with `host` as the name that the
    /// certificate must have. The roots are read once for each client, on a thread of the loop's executor.
    ///
    /// Other configurations: [`ConnectOptions::ssl_options`].
    ///
    /// # Errors
    /// [`ConnectError::Options`] when the system has no roots, or the program no provider of cryptography; otherwise see
    /// [`connect_with`](Self::connect_with).
    #[cfg(feature = "tls")]
    pub async fn connect_tls(&self, host: &str, port: u16) -> Result<IoStream, ConnectError> {
        let options = ConnectOptions { tls: Some(self.default_tls().await?), ..ConnectOptions::new() };
        self.connect_with(host, port, &options).await
    }

    /// Connects to a host. All its addresses are tried until one answers, those of both families side by side as Happy
    /// Eyeballs has it (RFC 8305): the family of the first address begins, the other one joins in after
    /// [300 ms](ConnectOptions::attempt_delay) or as soon as an attempt fails, and the first connection is taken.
    ///
    /// Tornado's `connect(host, port, af, ssl_options, max_buffer_size, source_ip, source_port, timeout)`.
    ///
    /// # Errors
    /// - [`ConnectError::Resolve`]: the host has no address, or none of the family.
    /// - [`ConnectError::Failed`]: no address could be reached.
    /// - [`ConnectError::Timeout`]: it took longer than one of the time-outs allows.
    /// - [`ConnectError::SourceFamily`]: the source address isn't of the family that was asked for.
    /// - `ConnectError::Tls`, `ConnectError::ServerName` (feature `tls`): the connection could not be secured.
    ///
    /// # Cancel safety
    /// Dropping the future gives everything up and closes what was opened. A lookup that runs on a thread ends there in its
    /// own time.
    pub async fn connect_with(
        &self,
        host: &str,
        port: u16,
        options: &ConnectOptions,
    ) -> Result<IoStream, ConnectError> {
        let call = Call { host, port, options, deadline: options.timeout.and_then(|limit| now().checked_add(limit)) };
        let family = options.reachable_family()?;
        // Before the first packet: what can't be expected need not be tried.
        #[cfg(feature = "tls")]
        let tls = call.tls()?;

        let lookup = self.shared.resolver.resolve(host, port, family);
        let addresses = call.within(options.resolve_timeout, lookup).await;
        let addresses = addresses.map_err(|limit| call.timeout(Stage::Resolve, limit, Vec::new()))?;
        let addresses = addresses.map_err(ConnectError::Resolve)?;
        if addresses.is_empty() {
            return Err(ConnectError::Resolve(ResolveError::NoAddress { host: host.to_owned(), family }));
        }
        options.observer.tell(ConnectEvent::Resolved(&addresses));

        let mut failures = Vec::new();
        let attempts = Connector::new(addresses, options.attempt_delay, |to| attempt(to, options), &mut failures);
        let connected = call.within(options.connect_timeout, attempts).await;
        let connected = match connected {
            Ok(Some(connected)) => connected,
            Ok(None) => return Err(ConnectError::Failed { host: host.to_owned(), port, attempts: failures }),
            Err(limit) => return Err(call.timeout(Stage::Connect, limit, failures)),
        };
        #[cfg(feature = "tls")]
        if let Some(tls) = tls {
            call.secure(&connected, tls, failures).await?;
        }
        Ok(connected.0)
    }

    #[cfg(feature = "tls")]
    async fn default_tls(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        if let Some(config) = self.shared.default_tls.get() {
            return Ok(config.clone());
        }
        let made = IoLoop::current().run_in_executor(None, || SslOptions::new().client_config()).await;
        // An executor that drops jobs leaves it to this thread.
        let made = made.unwrap_or_else(|_| SslOptions::new().client_config()).map_err(ConnectError::Options)?;
        // Who came first, if two calls made one each.
        Ok(self.shared.default_tls.get_or_init(|| made).clone())
    }
}

impl fmt::Debug for TcpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpClient").finish_non_exhaustive()
    }
}

/// One call of `connect_with`.
struct Call<'a> {
    host: &'a str,
    port: u16,
    options: &'a ConnectOptions,
    /// Of all stages together. `None` also for limits beyond what the clock can count to.
    deadline: Option<Instant>,
}

impl Call<'_> {
    /// Awaits a stage for as long as it, and the whole, may take.
    ///
    /// # Errors
    /// The limit that was in the way.
    async fn within<F: Future>(&self, limit: Option<Duration>, future: F) -> Result<F::Output, Duration> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(now()));
        let (allowed, limit) = match (left, limit) {
            (Some(left), Some(limit)) if limit < left => (limit, limit),
            (Some(left), _) => (left, self.options.timeout.unwrap_or(left)),
            (None, Some(limit)) => (limit, limit),
            (None, None) => return Ok(future.await),
        };
        with_timeout(allowed, future).await.map_err(|_| limit)
    }

    fn timeout(&self, stage: Stage, limit: Duration, attempts: Vec<FailedAttempt>) -> ConnectError {
        ConnectError::Timeout { host: self.host.to_owned(), port: self.port, stage, limit, attempts }
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Result<Option<Tls>, ConnectError> {
        let Some(config) = &self.options.tls else { return Ok(None) };
        let name = self.options.server_name.as_deref().unwrap_or(self.host);
        let tls = Tls::client(config.clone(), name).map_err(ConnectError::ServerName)?;
        Ok(Some(match self.options.tls_timeout {
            Some(limit) => tls.handshake_timeout(limit),
            None => tls,
        }))
    }

    #[cfg(feature = "tls")]
    async fn secure(
        &self,
        (stream, address): &(IoStream, SocketAddr),
        tls: Tls,
        failures: Vec<FailedAttempt>,
    ) -> Result<(), ConnectError> {
        // The stage's own limit is the stream's matter.
        match self.within(None, stream.start_tls(tls)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(StreamError::Closed(Some(CloseCause::HandshakeTimeout { limit })))) => {
                Err(self.timeout(Stage::Tls, limit, failures))
            }
            Ok(Err(source)) => Err(ConnectError::Tls { host: self.host.to_owned(), address: *address, source }),
            Err(limit) => Err(self.timeout(Stage::Tls, limit, failures)),
        }
    }
}

/// Connects to one address.
async fn attempt(address: SocketAddr, options: &ConnectOptions) -> Result<(IoStream, SocketAddr), FailedAttempt> {
    options.observer.tell(ConnectEvent::Trying(address));
    let mut watched = Watched { address, options, over: false };
    let result = reach(address, options).await;
    watched.over = true;
    options.observer.tell(match &result {
        Ok(_) => ConnectEvent::Connected(address),
        Err(failed) => ConnectEvent::Failed(failed),
    });
    result.map(|stream| (stream, address))
}

/// Tells of an attempt that is dropped before its end.
struct Watched<'a> {
    address: SocketAddr,
    options: &'a ConnectOptions,
    over: bool,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.options.observer.tell(ConnectEvent::GivenUp(self.address));
        }
    }
}

async fn reach(address: SocketAddr, options: &ConnectOptions) -> Result<IoStream, FailedAttempt> {
    let failed = |source_address, cause: CloseCause| FailedAttempt { address, source_address, cause };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP));
    let socket = socket.map_err(|error| failed(None, error.into()))?;
    if let Some(source) = options.source_for(address) {
        socket.bind(&source.into()).map_err(|error| failed(Some(source), error.into()))?;
    }
    let stream = IoStream::connecting(socket, &address.into(), options.stream);
    let stream = stream.map_err(|error| failed(None, error.into()))?;
    match stream.connected().await {
        Ok(()) => Ok(stream),
        Err(StreamError::Closed(Some(cause))) => Err(failed(None, cause)),
        Err(other) => Err(failed(None, std::io::Error::from(other).into())),
    }
}

/// The loop's time.
fn now() -> Instant {
    IoLoop::current().now()
}

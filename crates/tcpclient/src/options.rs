//! What a connection is asked for, beyond host and port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use landspout_iostream::StreamOptions;
use landspout_netutil::AddressFamily;
#[cfg(feature = "tls")]
use landspout_netutil::{ClientConfig, TlsError};

use crate::event::Observer;
use crate::{ConnectError, ConnectEvent};

/// How long the second family waits: Tornado's value. RFC 8305, section 5, recommends 250 ms and allows 100 ms to 2 s.
const ATTEMPT_DELAY: Duration = Duration::from_millis(300);

/// What [`TcpClient::connect_with`](crate::TcpClient::connect_with) takes beyond host and port.
///
/// ```
/// use landspout_netutil::AddressFamily;
/// use landspout_tcpclient::ConnectOptions;
/// use std::time::Duration;
///
/// let options = ConnectOptions::new()
///     .af(AddressFamily::Inet)
///     .resolve_timeout(Duration::from_secs(5))
///     .timeout(Duration::from_secs(20))
///     .max_buffer_size(1 << 20);
/// ```
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    pub(crate) family: AddressFamily,
    pub(crate) source_ip: Option<IpAddr>,
    pub(crate) source_port: u16,
    pub(crate) timeout: Option<Duration>,
    pub(crate) resolve_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    #[cfg(feature = "tls")]
    pub(crate) tls_timeout: Option<Duration>,
    pub(crate) attempt_delay: Duration,
    pub(crate) stream: StreamOptions,
    pub(crate) observer: Observer,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Arc<ClientConfig>>,
    #[cfg(feature = "tls")]
    pub(crate) server_name: Option<String>,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions::new()
    }
}

impl ConnectOptions {
    /// Either family, from whatever address the system picks, no time-outs but those of the system, no TLS.
    pub fn new() -> ConnectOptions {
        ConnectOptions {
            family: AddressFamily::Unspecified,
            source_ip: None,
            source_port: 0,
            timeout: None,
            resolve_timeout: None,
            connect_timeout: None,
            #[cfg(feature = "tls")]
            tls_timeout: None,
            attempt_delay: ATTEMPT_DELAY,
            stream: StreamOptions::new(),
            observer: Observer::default(),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            server_name: None,
        }
    }

    /// Addresses of this family only.
    #[doc(alias = "family")]
    pub fn af(mut self, family: AddressFamily) -> ConnectOptions {
        self.family = family;
        self
    }

    /// The address to connect from, one of this host. Only addresses of its family are tried.
    pub fn source_ip(mut self, ip: IpAddr) -> ConnectOptions {
        self.source_ip = Some(ip);
        self
    }

    /// The port to connect from; 0, the default, is any. Without a [`source_ip`](Self::source_ip) the address is the loopback
    /// of the family, as in Tornado: name the address to reach other hosts.
    pub fn source_port(mut self, port: u16) -> ConnectOptions {
        self.source_port = port;
        self
    }

    /// How long everything may take together: the lookup, all attempts, TLS. Counts from the first poll of the future.
    pub fn timeout(mut self, limit: Duration) -> ConnectOptions {
        self.timeout = Some(limit);
        self
    }

    /// How long the lookup of the host may take.
    pub fn resolve_timeout(mut self, limit: Duration) -> ConnectOptions {
        self.resolve_timeout = Some(limit);
        self
    }

    /// How long it may take from the first attempt until a connection stands, however many attempts that takes. The default
    /// is the system's, some two minutes for each attempt on Linux.
    pub fn connect_timeout(mut self, limit: Duration) -> ConnectOptions {
        self.connect_timeout = Some(limit);
        self
    }

    /// How long the handshake of TLS may take. Default 60 s, the one of `Tls`.
    #[cfg(feature = "tls")]
    pub fn tls_timeout(mut self, limit: Duration) -> ConnectOptions {
        self.tls_timeout = Some(limit);
        self
    }

    /// How long the first family has for itself before the other one is tried as well: the Connection Attempt Delay of RFC
    /// 8305, section 5. Default 300 ms.
    #[doc(alias = "_INITIAL_CONNECT_TIMEOUT")]
    pub fn attempt_delay(mut self, delay: Duration) -> ConnectOptions {
        self.attempt_delay = delay;
        self
    }

    /// The limits of the stream's buffers.
    pub fn stream_options(mut self, options: StreamOptions) -> ConnectOptions {
        self.stream = options;
        self
    }

    /// What the stream's read buffer holds at most, in bytes. Default 104,857,600.
    pub fn max_buffer_size(mut self, bytes: usize) -> ConnectOptions {
        self.stream = self.stream.max_buffer_size(bytes);
        self
    }

    /// Has `callback` told what is tried, what fails and what wins, as it happens: for numbers and for the curious. It is called
    /// while the connect future is polled, or dropped.
    pub fn on_event(mut self, callback: impl Fn(ConnectEvent<'_>) + 'static) -> ConnectOptions {
        self.observer = Observer::new(callback);
        self
    }

    /// Secures the connection by TLS: with `SslOptions`, or a configuration of rustls'. It is made here, which reads files and
    /// blocks. Keep the options: connections that share them resume their sessions.
    ///
    /// ```no_run
    /// use landspout_netutil::SslOptions;
    /// use landspout_tcpclient::ConnectOptions;
    ///
    /// let options = ConnectOptions::new().ssl_options(SslOptions::new().ca_certs("our-ca.pem"))?;
    /// # Ok::<(), landspout_netutil::TlsError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong with the options or their files.
    #[cfg(feature = "tls")]
    pub fn ssl_options(
        mut self,
        options: impl TryInto<Arc<ClientConfig>, Error: Into<TlsError>>,
    ) -> Result<ConnectOptions, TlsError> {
        self.tls = Some(options.try_into().map_err(Into::into)?);
        Ok(self)
    }

    /// Whom TLS expects, and asks for by SNI unless it is an IP address. The default is the host that is connected to.
    #[cfg(feature = "tls")]
    #[doc(alias = "server_hostname")]
    pub fn server_name(mut self, name: impl Into<String>) -> ConnectOptions {
        self.server_name = Some(name.into());
        self
    }

    /// The family to look for: that of the source, if there is one.
    pub(crate) fn reachable_family(&self) -> Result<AddressFamily, ConnectError> {
        let Some(source_ip) = self.source_ip else { return Ok(self.family) };
        let family = if source_ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        match self.family {
            asked if asked == family || asked == AddressFamily::Unspecified => Ok(family),
            family => Err(ConnectError::SourceFamily { source_ip, family }),
        }
    }

    /// What to bind to before connecting to `address`, if anything.
    pub(crate) fn source_for(&self, address: SocketAddr) -> Option<SocketAddr> {
        let loopback = || if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        match (self.source_ip, self.source_port) {
            (None, 0) => None,
            (ip, port) => Some(SocketAddr::new(ip.unwrap_or_else(loopback), port)),
        }
    }
}

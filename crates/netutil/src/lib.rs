//! Listening sockets that are right the first time (Tornado's `netutil`).
//!
//! [`bind_sockets`] opens one listener per address of a host, all on one port, dual stack, and closes everything it opened
//! when one of them fails. [`bind_unix_socket`] gives the socket file its mode before anyone can connect and never steals
//! the file of a live server by accident. With the feature `ioloop`, `add_accept_handler` accepts connections on the
//! loop of this thread. Without it this crate knows no loop: what comes out are std's own listeners, non-blocking and
//! close-on-exec, ready for any reactor, for a thread with [`set_nonblocking(false)`](std::net::TcpListener::set_nonblocking),
//! or for forked children.
//!
//! Servers behind proxies say with [`TrustedPeers`] which of them they believe, and [`ProxyHeader`] reads what these say in the
//! PROXY protocol.
//!
//! With the feature `resolver`, a `Resolver` finds the addresses of a host without stopping the loop.
//! With the feature `tls`, `SslOptions` makes rustls' configurations out of PEM files.
//!
//! ```
//! # fn main() -> Result<(), landspout_netutil::BindError> {
//! // Port 0: the first address picks a free port, every other address listens on the same one.
//! let sockets = landspout_netutil::bind_sockets(0, None)?;
//! let port = sockets[0].local_addr().unwrap().port();
//! assert!(sockets.iter().all(|socket| socket.local_addr().unwrap().port() == port));
//! # Ok(())
//! # }
//! ```
//!
//! # Differences from Tornado
//!
//! - **Port 0 on several families.** Tornado fails now and then with `EADDRINUSE`, when the number that IPv4 picked is taken
//!   on IPv6 (Tornado issue 1860). Here the whole set is closed and another number is tried.
//! - **A failed bind leaks nothing.** Sockets that were opened before the one that failed are closed before the error returns;
//!   Tornado leaves them to the garbage collector.
//! - **No `flags` argument.** Names are resolved by std ([`ToSocketAddrs`](std::net::ToSocketAddrs), that is `getaddrinfo`),
//!   which takes no `AI_*` flags. `AI_ADDRCONFIG` is off, as in Tornado. An unknown family is impossible: see [`AddressFamily`].
//! - **An empty result is an error.** When the family has no address left, [`BindError::NoAddress`] says so; Tornado returns
//!   an empty list for a family the kernel lacks, and the server listens nowhere.
//! - **The mode of a Unix socket.** Tornado's file has the mode that the umask leaves until `chmod`. Here, on Linux, it
//!   never has more than was asked for, and everywhere nobody can connect before the mode is right: the socket listens last.
//! - **A live Unix socket is not stolen.** Tornado unlinks whatever socket file is there (Tornado issue 2823). Here a file
//!   that somebody listens on gives [`BindError::InUse`]; [`UnixBindOptions::replace_live`] brings Tornado's behaviour back.
//!   A symbolic link is not a socket, wherever it points.
//! - **[`is_valid_ip`] is strict.** Tornado asks `getaddrinfo`, which takes `"1"`, `"127.1"`, `"0x7f.1"`, `"01.02.03.04"`
//!   (the shapes of `inet_aton`, none of them in RFC 3986, section 3.2.2) and scoped addresses like `"fe80::1%lo"` (RFC 4007,
//!   section 11: meaningful on one node only). Here they are no IP addresses.
//! - **Accepting doesn't spin.** In Tornado an error like `EMFILE` escapes to the loop, which logs it and comes back at once, some
//!   60,000 times a second. Here accepting pauses, with one line in the log.
//! - **A failing accept callback** costs its own connection; in Tornado it ends the batch.
//! - **The accept handler owns its listener.** `AcceptHandler::remove` hands it back, and it is closed by dropping it;
//!   Tornado's remover leaves it to whoever else holds the socket.
//! - **A resolver has no `close`.** What it holds, an executor of its own for instance, goes with it.
//! - **`ThreadedResolver` is what Tornado's resolvers in threads are:** on the loop's pool, or on one that is given to it.
//!   An IP address never goes to a thread.
//! - **`OverrideResolver` knows that names have no case** (RFC 4343).
//! - **TLS options are checked whole.** Tornado's constructors look whether files exist and leave the rest to the first
//!   connection. Here certificates and keys are read and compared when a configuration is built, and the error names the file.
//! - **Files are read once.** With a dictionary, Tornado reads them for each connection; here they are read again when
//!   `ReloadableServerConfig::reload` says so (Tornado issue 2895).
//! - **`ssl_version` is a minimum and a maximum,** and both are at least TLS 1.2 (RFC 8996). `ciphers` takes names of suites and
//!   none of OpenSSL's words for sets.
//! - **A client certificate that is asked for needs `ca_certs`;** Tornado would ask and then refuse every one.
//! - **Host names are looked for among the certificate's alternative names only,** never in its common name (RFC 9525,
//!   section 2).
#![forbid(unsafe_code)]

#[cfg(feature = "ioloop")]
mod accept;
mod bind;
mod error;
mod ip;
mod listener;
mod proxy_protocol;
#[cfg(feature = "resolver")]
mod resolver;
#[cfg(feature = "tls")]
mod tls;
mod trusted;
mod unix;

#[cfg(feature = "ioloop")]
pub use accept::{AcceptHandler, AcceptOptions, SHARED_ACCEPT_BATCH, add_accept_handler};
pub use bind::{AddressFamily, BindOptions, DEFAULT_BACKLOG, bind_sockets};
pub use error::BindError;
pub use ip::is_valid_ip;
pub use listener::{Connection, Listener, PeerAddress};
pub use proxy_protocol::{ProxyHeader, ProxyHeaderError};
#[cfg(feature = "resolver")]
pub use resolver::{BlockingResolver, OverrideResolver, ResolveError, ResolveFuture, Resolver, ThreadedResolver};
#[cfg(feature = "tls")]
pub use tls::{
    CertReqs, ClientConfig, Pem, PemOrigin, ReloadableServerConfig, ServerConfig, SniCertificate, SslOptions, TlsError,
    TlsVersion,
};
pub use trusted::{IpNetwork, ParseNetworkError, TrustedPeers};
pub use unix::{UnixBindOptions, bind_unix_socket};

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

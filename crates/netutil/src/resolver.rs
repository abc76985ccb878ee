//! Host names to addresses: what answers is a `Resolver`.
//!
//! Rules:
//! - Addresses come in the order of whoever knows them (getaddrinfo sorts by RFC 6724), each once.
//! - An IP address needs no lookup, and no thread.
//! - An error names the host that was asked for.

mod error;
mod overriding;

use std::fmt;
use std::future::{Future, ready};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;

use landspout_ioloop::{Executor, IoLoop};

use crate::AddressFamily;

pub use error::ResolveError;
pub use overriding::OverrideResolver;

/// What a [`Resolver`] gives: at least one address, or an error.
pub type ResolveFuture = Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, ResolveError>>>>;

/// Finds the addresses of a host. Tornado's `Resolver`.
///
/// ```
/// use landspout_ioloop::IoLoop;
/// use landspout_netutil::{AddressFamily, Resolver, ThreadedResolver};
///
/// let addresses = IoLoop::current().run_sync(async {
///     ThreadedResolver::new().resolve("localhost", 80, AddressFamily::Unspecified).await
/// });
/// assert!(addresses.unwrap().unwrap().iter().all(|address| address.ip().is_loopback()));
/// ```
///
/// To implement it, box a future that owns what it needs:
///
/// ```
/// use landspout_netutil::{AddressFamily, ResolveError, ResolveFuture, Resolver};
///
/// struct Nowhere;
///
/// impl Resolver for Nowhere {
///     fn resolve(&self, host: &str, _port: u16, family: AddressFamily) -> ResolveFuture {
///         let host = host.to_owned();
///         Box::pin(async move { Err(ResolveError::NoAddress { host, family }) })
///     }
/// }
/// ```
pub trait Resolver {
    /// The addresses of `host`, each with `port`, the preferred one first and none twice; those of `family` alone.
    ///
    /// `host` is a name or an IP address without brackets. An implementation gives an error rather than no address at all.
    ///
    /// # Errors
    /// The future gives [`ResolveError`], which names `host`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing but the answer. A lookup that runs on another thread ends there in its own time.
    fn resolve(&self, host: &str, port: u16, family: AddressFamily) -> ResolveFuture;
}

impl<R: Resolver + ?Sized> Resolver for Rc<R> {
    fn resolve(&self, host: &str, port: u16, family: AddressFamily) -> ResolveFuture {
        (**self).resolve(host, port, family)
    }
}

impl<R: Resolver + ?Sized> Resolver for Box<R> {
    fn resolve(&self, host: &str, port: u16, family: AddressFamily) -> ResolveFuture {
        (**self).resolve(host, port, family)
    }
}

/// Asks the system on another thread, so that the loop goes on meanwhile: the one to use. Tornado's
/// `DefaultLoopResolver`, and with an executor its `ExecutorResolver`.
///
/// The request is made by the call of [`resolve`](Resolver::resolve), on the loop of the thread. The system's lookup can't be
/// given up: a slow one keeps its thread busy, whoever waits for it or not.
#[derive(Clone, Default)]
#[doc(alias = "DefaultLoopResolver")]
#[doc(alias = "DefaultExecutorResolver")]
#[doc(alias = "ExecutorResolver")]
pub struct ThreadedResolver {
    executor: Option<Rc<dyn Executor>>,
}

impl ThreadedResolver {
    /// On the threads of the loop's default executor.
    pub fn new() -> ThreadedResolver {
        ThreadedResolver::default()
    }

    /// On the threads of `executor`, which ends with the last clone of this resolver unless others hold it (Tornado's
    /// `close_executor`).
    pub fn with_executor(executor: impl Executor + 'static) -> ThreadedResolver {
        ThreadedResolver { executor: Some(Rc::new(executor)) }
    }
}

impl Resolver for ThreadedResolver {
    fn resolve(&self, host: &str, port: u16, family: AddressFamily) -> ResolveFuture {
        if let Some(known) = literal(host, port, family) {
            return Box::pin(ready(known));
        }
        let name = host.to_owned();
        let lookup = move || look_up(&name, port, family);
        let answer = IoLoop::current().run_in_executor(self.executor.as_deref(), lookup);
        let host = host.to_owned();
        Box::pin(async move { answer.await.unwrap_or(Err(ResolveError::Abandoned { host })) })
    }
}

impl fmt::Debug for ThreadedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadedResolver").field("own_executor", &self.executor.is_some()).finish()
    }
}

/// Asks the system on this thread: the loop stands still until the answer is there. For programs that must not have
/// threads, and for hosts that `/etc/hosts` knows. Tornado's `BlockingResolver`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockingResolver;

impl BlockingResolver {
    /// It has no options.
    pub fn new() -> BlockingResolver {
        BlockingResolver
    }
}

impl Resolver for BlockingResolver {
    /// The lookup happens with the first poll of the future.
    fn resolve(&self, host: &str, port: u16, family: AddressFamily) -> ResolveFuture {
        let host = host.to_owned();
        Box::pin(async move { literal(&host, port, family).unwrap_or_else(|| look_up(&host, port, family)) })
    }
}

/// An IP address resolves to itself.
fn literal(host: &str, port: u16, family: AddressFamily) -> Option<Result<Vec<SocketAddr>, ResolveError>> {
    let address = SocketAddr::new(host.parse::<IpAddr>().ok()?, port);
    Some(distinct([address], host, family))
}

/// Asks the system, which may take its time.
fn look_up(host: &str, port: u16, family: AddressFamily) -> Result<Vec<SocketAddr>, ResolveError> {
    match (host, port).to_socket_addrs() {
        Ok(addresses) => distinct(addresses, host, family),
        Err(source) => Err(ResolveError::Lookup { host: host.to_owned(), source }),
    }
}

/// Those of the family, each once, in their order; at least one.
fn distinct(
    addresses: impl IntoIterator<Item = SocketAddr>,
    host: &str,
    family: AddressFamily,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let mut distinct: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if family.contains(&address) && !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    match distinct.is_empty() {
        true => Err(ResolveError::NoAddress { host: host.to_owned(), family }),
        false => Ok(distinct),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_come_once_in_the_order_of_the_system() {
        let system = addresses(&["[::1]:80", "10.0.0.2:80", "[::1]:80", "10.0.0.1:80", "10.0.0.2:80"]);
        let all = distinct(system.clone(), "host", AddressFamily::Unspecified).unwrap();
        assert_eq!(all, addresses(&["[::1]:80", "10.0.0.2:80", "10.0.0.1:80"]));
        let inet = distinct(system, "host", AddressFamily::Inet).unwrap();
        assert_eq!(inet, addresses(&["10.0.0.2:80", "10.0.0.1:80"]));
    }

    #[test]
    fn no_address_is_an_error() {
        let expected = ResolveError::NoAddress { host: "host".to_owned(), family: AddressFamily::Unspecified };
        assert_eq!(distinct([], "host", AddressFamily::Unspecified), Err(expected));
    }
}

//! Answers given by hand, before anybody is asked.

use std::collections::HashMap;
use std::fmt;

use super::{ResolveFuture, Resolver};
use crate::AddressFamily;

/// Replaces some hosts by others and asks another resolver for the result: for tests, and for what people do with
/// `/etc/hosts`. Tornado's `OverrideResolver`.
///
/// What fits best counts: host, port and family, else host and port, else the host. Hosts are compared without regard to case
/// (RFC 4343). An error names the host that the other resolver was asked for.
///
/// ```
/// use landspout_ioloop::IoLoop;
/// use landspout_netutil::{AddressFamily, BlockingResolver, OverrideResolver, Resolver};
///
/// let resolver = OverrideResolver::new(BlockingResolver::new())
///     .host("example.com", "127.0.0.1")
///     .host_port(("login.example.com", 443), ("127.0.0.1", 1443));
/// let addresses = resolver.resolve("login.example.com", 443, AddressFamily::Unspecified);
/// let addresses = IoLoop::current().run_sync(addresses).unwrap().unwrap();
/// assert_eq!(addresses, ["127.0.0.1:1443".parse().unwrap()]);
/// ```
pub struct OverrideResolver<R> {
    resolver: R,
    hosts: HashMap<String, String>,
    host_ports: HashMap<(String, u16), (String, u16)>,
    host_port_families: HashMap<(String, u16, AddressFamily), (String, u16)>,
}

impl<R: Resolver> OverrideResolver<R> {
    /// Overrides nothing yet; everything is asked of `resolver`.
    pub fn new(resolver: R) -> OverrideResolver<R> {
        OverrideResolver {
            resolver,
            hosts: HashMap::new(),
            host_ports: HashMap::new(),
            host_port_families: HashMap::new(),
        }
    }

    /// Whoever asks for `host` gets what `to` has, a name or an address, on the port that was asked for.
    pub fn host(mut self, host: &str, to: impl Into<String>) -> OverrideResolver<R> {
        self.hosts.insert(key(host), to.into());
        self
    }

    /// Whoever asks for this host and port gets another host and port.
    pub fn host_port(mut self, (host, port): (&str, u16), to: (impl Into<String>, u16)) -> OverrideResolver<R> {
        self.host_ports.insert((key(host), port), (to.0.into(), to.1));
        self
    }

    /// Whoever asks for this host and port in this family gets another host and port. [`AddressFamily::Unspecified`] is a
    /// family of its own here, the one of those who don't care.
    pub fn host_port_family(
        mut self,
        (host, port, family): (&str, u16, AddressFamily),
        to: (impl Into<String>, u16),
    ) -> OverrideResolver<R> {
        self.host_port_families.insert((key(host), port, family), (to.0.into(), to.1));
        self
    }
}

impl<R: Resolver> Resolver for OverrideResolver<R> {
    fn resolve(&self, host: &str, port: u16, family: AddressFamily) -> ResolveFuture {
        let name = (key(host), port);
        let exact = self.host_port_families.get(&(name.0.clone(), port, family));
        let (to, to_port) = if let Some((to, to_port)) = exact.or_else(|| self.host_ports.get(&name)) {
            (to.as_str(), *to_port)
        } else {
            (self.hosts.get(&name.0).map_or(host, String::as_str), port)
        };
        self.resolver.resolve(to, to_port, family)
    }
}

fn key(host: &str) -> String {
    host.to_ascii_lowercase()
}

impl<R: fmt::Debug> fmt::Debug for OverrideResolver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overrides = self.hosts.len() + self.host_ports.len() + self.host_port_families.len();
        f.debug_struct("OverrideResolver")
            .field("resolver", &self.resolver)
            .field("overrides", &overrides)
            .finish_non_exhaustive()
    }
}

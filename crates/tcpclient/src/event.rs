//! What happens while a client connects, for those who watch.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::FailedAttempt;

/// What [`ConnectOptions::on_event`](crate::ConnectOptions::on_event) is told, when it happens.
///
/// Each `Trying` is followed by one of `Failed`, `Connected` and `GivenUp` for the same address.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConnectEvent<'a> {
    /// The lookup gave these addresses.
    Resolved(&'a [SocketAddr]),
    /// An attempt begins.
    Trying(SocketAddr),
    /// An attempt failed.
    Failed(&'a FailedAttempt),
    /// An attempt won.
    Connected(SocketAddr),
    /// An attempt was dropped: another one won, the time is over, or nobody wants the connection any more.
    GivenUp(SocketAddr),
}

impl fmt::Display for ConnectEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectEvent::Resolved(addresses) => write!(f, "resolved to {addresses:?}"),
            ConnectEvent::Trying(address) => write!(f, "trying {address}"),
            ConnectEvent::Failed(attempt) => write!(f, "{attempt}: {}", attempt.cause),
            ConnectEvent::Connected(address) => write!(f, "connected to {address}"),
            ConnectEvent::GivenUp(address) => write!(f, "gave up {address}"),
        }
    }
}

type Callback = dyn Fn(ConnectEvent<'_>);

/// Whoever watches, and the log.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Rc<Callback>>);

impl Observer {
    pub(crate) fn new(callback: impl Fn(ConnectEvent<'_>) + 'static) -> Observer {
        Observer(Some(Rc::new(callback)))
    }

    pub(crate) fn tell(&self, event: ConnectEvent<'_>) {
        tracing::debug!("{event}");
        if let Some(callback) = &self.0 {
            callback(event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer" } else { "nobody" })
    }
}

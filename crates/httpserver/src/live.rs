//! The connections that are being served, and the ways in which they end together.
//!
//! Rule: no waker runs and no connection is closed while the list is borrowed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::{BuildHasherDefault, Hasher};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use landspout_http1connection::Http1ServerConnection;
use landspout_httputil::ServerConnectionId;
use landspout_ioloop::with_timeout;

/// How a server's connections ended. See [`HttpServer::drain`](crate::HttpServer::drain).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that ended in good order: idle ones, and those whose last answer was sent.
    pub finished: usize,
    /// Connections that were closed at the deadline with something under way: a request, its answer, or what was left of that to
    /// be sent.
    pub cut: usize,
}

#[derive(Default)]
pub(crate) struct LiveConnections {
    connections: RefCell<HashMap<ServerConnectionId, Http1ServerConnection, BuildHasherDefault<Spread>>>,
    /// How many of them are draining.
    draining: Cell<usize>,
    /// How many drains have cut, over the server's life.
    cut: Cell<usize>,
    /// Who waits until some of them are gone.
    waiting: RefCell<Vec<Waker>>,
}

/// Spreads the identities of connections over a table. They are numbers that this process gives out, one after the other, so that
/// nobody can choose them to collide.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio's fraction; the table looks at the highest bits and at the lowest.
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl LiveConnections {
    pub(crate) fn add(&self, connection: Http1ServerConnection) {
        self.connections.borrow_mut().insert(connection.id(), connection);
    }

    pub(crate) fn remove(&self, id: ServerConnectionId) {
        let removed = self.connections.borrow_mut().remove(&id);
        if removed.is_some_and(|connection| connection.is_draining()) {
            self.draining.set(self.draining.get() - 1);
        }
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.connections.borrow().len()
    }

    fn all(&self) -> Vec<Http1ServerConnection> {
        self.connections.borrow().values().cloned().collect()
    }

    /// Closes all that are here now, and waits for their ends.
    pub(crate) async fn close_all(&self) {
        let mut closed = self.all();
        closed.iter().for_each(|connection| self.close(connection));
        poll_fn(|cx| {
            closed.retain(|connection| self.connections.borrow().contains_key(&connection.id()));
            if closed.is_empty() {
                return Poll::Ready(());
            }
            self.wait(cx);
            Poll::Pending
        })
        .await;
    }

    /// Has all that are here now end, and cuts those that haven't at the deadline.
    pub(crate) async fn drain(&self, deadline: Duration) -> Drained {
        let cut_before = self.cut.get();
        for connection in self.all() {
            if !connection.is_draining() {
                connection.drain();
                // Unless it is just going.
                self.draining.set(self.draining.get() + usize::from(connection.is_draining()));
            }
        }
        let draining = self.draining.get();
        if with_timeout(deadline, poll_fn(|cx| self.poll_drained(cx))).await.is_err() {
            self.cut_draining();
            poll_fn(|cx| self.poll_drained(cx)).await;
        }
        // Another drain may have cut in the meantime.
        let cut = self.cut.get() - cut_before;
        Drained { finished: draining.saturating_sub(cut), cut }
    }

    fn poll_drained(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.draining.get() == 0 {
            return Poll::Ready(());
        }
        self.wait(cx);
        Poll::Pending
    }

    fn cut_draining(&self) {
        self.all().iter().filter(|connection| connection.is_draining()).for_each(|connection| self.close(connection));
    }

    /// Whoever closes a connection that drains cuts it.
    fn close(&self, connection: &Http1ServerConnection) {
        if connection.is_draining() && !connection.is_answered() && !connection.closed() {
            self.cut.set(self.cut.get() + 1);
        }
        connection.close();
    }

    fn wait(&self, cx: &mut Context<'_>) {
        // A waker is foreign code: it is cloned and dropped without a borrow.
        let waker = cx.waker().clone();
        let known = self.waiting.borrow().iter().any(|known| known.will_wake(&waker));
        if !known {
            self.waiting.borrow_mut().push(waker);
        }
    }
}

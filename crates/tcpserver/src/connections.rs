//! The connections of a server: how many there are, how many there may be, and how they end together.

use std::cell::{Cell, OnceCell, RefCell};
use std::mem::replace;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use landspout_iostream::{IoStream, WeakIoStream};
use landspout_netutil::{AcceptHandler, PeerAddress};
use slab::Slab;

use crate::peers::{Peers, Place};

/// What a server has seen. See [`TcpServer::connections`](crate::TcpServer::connections).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Connections that are open now, handshakes of TLS counted.
    pub open: usize,
    /// Connections taken since the server was made.
    pub accepted: u64,
    /// Those of them that were closed at once, since the loop was closed or a handshake could not begin. What waits in the backlog or
    /// is refused by the kernel isn't known here; neither is a connection that the loop's poller has no room for (ENOSPC, ENOMEM). The
    /// poller learns of it when somebody first has to wait for it: its stream closes then, with that as the cause, and a warning is logged.
    pub refused: u64,
    /// Those of them that were closed at once, since their peer had
    /// [`max_connections_per_peer`](crate::TcpServerOptions::max_connections_per_peer) open.
    pub refused_per_peer: u64,
    /// Those of them that were closed because of the [`proxy_protocol`](crate::TcpServerOptions::proxy_protocol): their peer was
    /// no trusted proxy, or sent no header, or not in time.
    pub refused_proxy_protocol: u64,
}

/// What a connection is told apart from others by.
pub(crate) struct Ticket {
    /// Its entry in the list, while it has one.
    entry: Cell<Option<usize>>,
    /// Among those of its peer, once that is known: a proxy may tell later.
    place: OnceCell<Place>,
}

/// The entry of a connection in the list.
enum Entry {
    /// It has no stream yet.
    Accepted,
    /// It waits to hear of its client.
    Arriving(WeakIoStream),
    Open(WeakIoStream),
}

/// What a stream's transport calls when its descriptor is closed.
pub(crate) type Closed = Rc<dyn Fn()>;

pub(crate) struct Connections {
    limit: usize,
    open: Cell<usize>,
    accepted: Cell<u64>,
    refused: Cell<u64>,
    refused_per_peer: Cell<u64>,
    refused_proxy_protocol: Cell<u64>,
    /// For a server that has a limit for each of them.
    peers: Option<Peers>,
    accepting: RefCell<Vec<AcceptHandler>>,
    /// For a server that doesn't tell its connections apart: one hook serves all of them.
    closed: Option<Closed>,
    list: bool,
    /// Those that can be cut, or whose client is not known yet.
    listed: RefCell<Slab<Entry>>,
    /// Who waits for `open` to reach 0.
    draining: RefCell<Vec<Waker>>,
}

impl Connections {
    /// `list` them, so that they can be cut; with a limit for each peer, if there is one.
    pub(crate) fn new(limit: usize, list: bool, per_peer: Option<usize>) -> Rc<Self> {
        Rc::new_cyclic(|myself: &Weak<Self>| {
            let closed: Option<Closed> = (!list && per_peer.is_none()).then(|| {
                let myself = myself.clone();
                Rc::new(move || {
                    if let Some(connections) = myself.upgrade() {
                        connections.one_closed();
                    }
                }) as Closed
            });
            Self {
                limit,
                open: Cell::new(0),
                accepted: Cell::new(0),
                refused: Cell::new(0),
                refused_per_peer: Cell::new(0),
                refused_proxy_protocol: Cell::new(0),
                peers: per_peer.map(Peers::new),
                accepting: RefCell::default(),
                closed,
                list,
                listed: RefCell::default(),
                draining: RefCell::default(),
            }
        })
    }

    pub(crate) fn counts(&self) -> ConnectionCounts {
        ConnectionCounts {
            open: self.open.get(),
            accepted: self.accepted.get(),
            refused: self.refused.get(),
            refused_per_peer: self.refused_per_peer.get(),
            refused_proxy_protocol: self.refused_proxy_protocol.get(),
        }
    }

    /// A listener's door, to be shut while there are enough connections.
    pub(crate) fn accept_by(&self, accepting: AcceptHandler) {
        if self.open.get() >= self.limit {
            accepting.pause();
        }
        self.accepting.borrow_mut().push(accepting);
    }

    pub(crate) fn stop_accepting(&self) {
        for accepting in self.accepting.take() {
            drop(accepting.remove());
        }
    }

    /// One more; gives what its stream calls at its end, and what it is told apart by, if it is. `None`: its peer has enough of them.
    pub(crate) fn accepted(self: &Rc<Self>, address: &PeerAddress) -> Option<(Closed, Option<Rc<Ticket>>)> {
        self.count_accepted();
        let (closed, ticket) = match &self.closed {
            Some(closed) => (closed.clone(), None),
            None => {
                let ticket = self.ticket(self.list);
                if !self.take_place(&ticket, address) {
                    self.strike_off(&ticket);
                    return None;
                }
                (self.hook(&ticket), Some(ticket))
            }
        };
        self.one_opened();
        Some((closed, ticket))
    }

    /// One more, of a proxy: it counts for nobody until its client is known, who then takes its place.
    pub(crate) fn accepted_from_proxy(self: &Rc<Self>) -> (Closed, Rc<Ticket>) {
        self.count_accepted();
        self.one_opened();
        let ticket = self.ticket(true);
        (self.hook(&ticket), ticket)
    }

    fn count_accepted(&self) {
        self.accepted.set(self.accepted.get() + 1);
    }

    fn ticket(&self, listed: bool) -> Rc<Ticket> {
        let entry = listed.then(|| self.listed.borrow_mut().insert(Entry::Accepted));
        Rc::new(Ticket { entry: Cell::new(entry), place: OnceCell::new() })
    }

    fn one_opened(&self) {
        self.open.set(self.open.get() + 1);
        if self.open.get() >= self.limit {
            self.accepting.borrow().iter().for_each(AcceptHandler::pause);
        }
    }

    /// Finds a place for a connection among those of its peer. False: there is none.
    pub(crate) fn take_place(&self, ticket: &Ticket, address: &PeerAddress) -> bool {
        let Some(peers) = &self.peers else { return true };
        match peers.take(address) {
            Some(place) => ticket.place.set(place).is_ok(),
            None => {
                self.refused_per_peer.set(self.refused_per_peer.get() + 1);
                false
            }
        }
    }

    /// A hook for a single connection.
    fn hook(self: &Rc<Self>, ticket: &Rc<Ticket>) -> Closed {
        let (connections, ticket) = (Rc::downgrade(self), ticket.clone());
        Rc::new(move || {
            let Some(connections) = connections.upgrade() else { return };
            connections.strike_off(&ticket);
            if let (Some(peers), Some(place)) = (&connections.peers, ticket.place.get()) {
                peers.give_back(place);
            }
            connections.one_closed();
        })
    }

    fn strike_off(&self, ticket: &Ticket) {
        let struck = ticket.entry.take().and_then(|entry| self.listed.borrow_mut().try_remove(entry));
        drop(struck);
    }

    /// The connection waits to hear of its client.
    pub(crate) fn arriving(&self, ticket: &Ticket, stream: &IoStream) {
        self.note(ticket, stream, Entry::Arriving);
    }

    /// Closes those that wait to hear of their clients.
    pub(crate) fn close_arriving(&self) {
        self.close_listed(|entry| match entry {
            Entry::Arriving(stream) => stream.upgrade(),
            Entry::Accepted | Entry::Open(_) => None,
        });
    }

    /// The connection has its stream, and its client is known.
    pub(crate) fn opened(&self, ticket: &Ticket, stream: &IoStream) {
        if self.list {
            self.note(ticket, stream, Entry::Open);
        } else {
            self.strike_off(ticket);
        }
    }

    fn note(&self, ticket: &Ticket, stream: &IoStream, entry: impl FnOnce(WeakIoStream) -> Entry) {
        // Who is closed already has been struck off.
        if let (Some(index), false) = (ticket.entry.get(), stream.closed()) {
            let before =
                self.listed.borrow_mut().get_mut(index).map(|listed| replace(listed, entry(stream.downgrade())));
            drop(before);
        }
    }

    pub(crate) fn refused(&self) {
        self.refused.set(self.refused.get() + 1);
    }

    /// Not a proxy, or none that does as it should.
    pub(crate) fn refused_proxy_protocol(&self) {
        self.refused_proxy_protocol.set(self.refused_proxy_protocol.get() + 1);
    }

    /// A connection that is refused before it has a stream.
    pub(crate) fn refused_at_once(&self) {
        self.count_accepted();
        self.refused_proxy_protocol();
    }

    fn one_closed(&self) {
        let open = self.open.get() - 1;
        self.open.set(open);
        if open + 1 == self.limit {
            self.accepting.borrow().iter().for_each(AcceptHandler::resume);
        }
        if open == 0 {
            self.draining.take().into_iter().for_each(Waker::wake);
        }
    }

    pub(crate) fn poll_none_open(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.open.get() == 0 {
            return Poll::Ready(());
        }
        // A waker is foreign code: it is cloned and dropped without a borrow.
        let waker = cx.waker().clone();
        let known = self.draining.borrow().iter().any(|known| known.will_wake(&waker));
        if !known {
            self.draining.borrow_mut().push(waker);
        }
        Poll::Pending
    }

    /// Closes all that are listed; tells how many were open.
    pub(crate) fn cut(&self) -> usize {
        let open = self.open.get();
        self.close_listed(|entry| match entry {
            Entry::Arriving(stream) | Entry::Open(stream) => stream.upgrade(),
            Entry::Accepted => None,
        });
        open
    }

    /// To close a stream calls its hook, so the list is not borrowed then.
    fn close_listed(&self, choose: impl Fn(&Entry) -> Option<IoStream>) {
        let chosen: Vec<_> = self.listed.borrow().iter().filter_map(|(_, entry)| choose(entry)).collect();
        chosen.iter().for_each(IoStream::close);
    }
}

#[cfg(test)]
mod tests {
    use landspout_ioloop::IoLoop;

    use super::*;

    /// However its connection ends, nobody who waited to be known is remembered.
    #[test]
    fn connections_that_were_never_known_leave_nothing() {
        let proxy = PeerAddress::Inet("192.0.2.7:1".parse().unwrap());
        IoLoop::current()
            .run_sync(async move {
                let connections = Connections::new(10, true, Some(10));
                for is_known in [false, true] {
                    let (stream, _other) = IoStream::pair().unwrap();
                    let (closed, ticket) = connections.accepted_from_proxy();
                    connections.arriving(&ticket, &stream);
                    assert!(matches!(connections.listed.borrow().iter().next(), Some((_, Entry::Arriving(_)))));
                    if is_known {
                        assert!(connections.take_place(&ticket, &proxy));
                        connections.opened(&ticket, &stream);
                        assert!(matches!(connections.listed.borrow().iter().next(), Some((_, Entry::Open(_)))));
                    }
                    assert_eq!(connections.listed.borrow().len(), 1);
                    closed();
                    assert!(connections.listed.borrow().is_empty());
                    assert_eq!(connections.counts().open, 0);
                }
            })
            .unwrap();
    }
}

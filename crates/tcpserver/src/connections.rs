//! The connections of a server: how many there are, how many there may be, and how they end together.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use landspout_iostream::{IoStream, WeakIoStream};
use landspout_netutil::{AcceptHandler, PeerAddress};

use crate::peers::Peers;

/// What a server has seen. See [`TcpServer::connections`](crate::TcpServer::connections).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Connections that are open now, handshakes of TLS counted.
    pub open: usize,
    /// Connections taken since the server was made.
    pub accepted: u64,
    /// Those of them that were closed at once, since the system had nothing left to serve them with. What waits in the backlog or is
    /// refused by the kernel isn't known here.
    pub refused: u64,
    /// Those of them that were closed at once, since their peer had
    /// [`max_connections_per_peer`](crate::TcpServerOptions::max_connections_per_peer) open.
    pub refused_per_peer: u64,
}

/// What a stream's transport calls when its descriptor is closed.
pub(crate) type Closed = Rc<dyn Fn()>;

pub(crate) struct Connections {
    limit: usize,
    open: Cell<usize>,
    accepted: Cell<u64>,
    refused: Cell<u64>,
    refused_per_peer: Cell<u64>,
    /// For a server that has a limit for each of them.
    peers: Option<Peers>,
    accepting: RefCell<Vec<AcceptHandler>>,
    /// For a server that tells its connections apart neither by peer nor by number: one hook serves all of them.
    closed: Option<Closed>,
    list: bool,
    /// By number of acceptance.
    listed: RefCell<HashMap<u64, WeakIoStream>>,
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

    /// One more; gives what its stream calls at its end. `None`: its peer has enough of them.
    pub(crate) fn accepted(self: &Rc<Self>, address: &PeerAddress) -> Option<Closed> {
        let number = self.accepted.get();
        self.accepted.set(number + 1);
        let closed = match &self.closed {
            Some(closed) => closed.clone(),
            None => self.told_apart(number, address)?,
        };
        self.open.set(self.open.get() + 1);
        if self.open.get() >= self.limit {
            self.accepting.borrow().iter().for_each(AcceptHandler::pause);
        }
        Some(closed)
    }

    /// A hook for a single connection.
    fn told_apart(self: &Rc<Self>, number: u64, address: &PeerAddress) -> Option<Closed> {
        let place = match &self.peers {
            Some(peers) => match peers.take(address) {
                Some(place) => Some(place),
                None => {
                    self.refused_per_peer.set(self.refused_per_peer.get() + 1);
                    return None;
                }
            },
            None => None,
        };
        let connections = Rc::downgrade(self);
        Some(Rc::new(move || {
            let Some(connections) = connections.upgrade() else { return };
            if connections.list {
                let listed = connections.listed.borrow_mut().remove(&number);
                drop(listed);
            }
            if let (Some(peers), Some(place)) = (&connections.peers, &place) {
                peers.give_back(place);
            }
            connections.one_closed();
        }))
    }

    /// The connection that was accepted last has its stream.
    pub(crate) fn opened(&self, stream: &IoStream) {
        if self.list && !stream.closed() {
            self.listed.borrow_mut().insert(self.accepted.get() - 1, stream.downgrade());
        }
    }

    pub(crate) fn refused(&self) {
        self.refused.set(self.refused.get() + 1);
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
        let listed: Vec<_> = self.listed.borrow().values().filter_map(WeakIoStream::upgrade).collect();
        listed.iter().for_each(IoStream::close);
        open
    }
}

//! A handshake: it begins when the connection stands, goes on with every event whether anybody reads or writes, and ends in an
//! open stream, a closed one, or at its deadline.
//!
//! Until then the stream is `Connecting`: what is written waits, and costs nothing while it does.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use landspout_ioloop::{Ready, TimeoutHandle};

use super::{Inner, Phase, State};
use crate::error::{CloseCause, StreamError, Whole};
use crate::transport::Transport;

/// What a stream remembers of a handshake that is not done.
pub(super) struct Handshake {
    limit: Duration,
    /// `None` as long as the connection below doesn't stand.
    deadline: Option<TimeoutHandle>,
}

impl Handshake {
    pub(super) fn begun(&self) -> bool {
        self.deadline.is_some()
    }
}

impl Inner {
    /// Whether TLS can begin: nobody reads, and nothing was read or written that would belong to the other side of it.
    /// `unread` bytes may be there if they are known to belong to this side.
    pub(crate) fn check_idle(self: &Rc<Self>, unread: bool) -> Result<(), StreamError> {
        // What waits for nothing but the end of the turn is no obstacle.
        self.flush_now()?;
        let state = self.state.borrow();
        let consumed = unread || state.read.is_empty();
        let idle = !state.reading && consumed && !state.has_unsent() && state.handshake.is_none();
        match state.phase {
            Phase::Connecting | Phase::Open if idle => Ok(()),
            Phase::Connecting | Phase::Open => Err(StreamError::NotIdle),
            Phase::ConnectingToEnd | Phase::Ending | Phase::Closed => Err(state.closed_error()),
        }
    }

    /// Puts a layer over the transport of an idle stream, and begins its handshake.
    pub(crate) fn secure(
        self: &Rc<Self>,
        layer: impl FnOnce(Box<dyn Transport>) -> Box<dyn Transport>,
        limit: Duration,
    ) {
        let mut state = self.state.borrow_mut();
        state.transport = state.transport.take().map(layer);
        state.layered = true;
        state.handshake = Some(Box::new(Handshake { limit, deadline: None }));
        let stands = state.phase == Phase::Open;
        state.phase = Phase::Connecting;
        drop(state);
        if stands {
            self.begin_handshake();
        }
    }

    pub(super) fn begin_handshake(self: &Rc<Self>) {
        let Some(io_loop) = self.registration.io_loop() else { return };
        if let Some(handshake) = &mut self.state.borrow_mut().handshake {
            let (limit, stream) = (handshake.limit, Rc::downgrade(self));
            handshake.deadline = Some(io_loop.call_later(limit, move || {
                if let Some(stream) = stream.upgrade() {
                    stream.handshake_failed(CloseCause::HandshakeTimeout { limit });
                }
            }));
        }
        self.go_on_with_handshake();
    }

    pub(super) fn go_on_with_handshake(self: &Rc<Self>) {
        let outcome = {
            let mut state = self.state.borrow_mut();
            let Some(transport) = &mut state.transport else { return };
            let outcome = transport.handshake();
            self.note_own_output(&mut state);
            outcome
        };
        match outcome {
            Ok(()) => {
                let handshake = self.state.borrow_mut().handshake.take();
                self.forget_handshake(handshake);
                self.opened();
                // The last bytes of the handshake may have brought the first ones of the peer's data.
                self.registration.raise(Ready::READABLE);
                // The transport's own last words, session tickets for one, go along with what the end of the handshake makes
                // somebody write in this turn.
                self.mark_dirty(&mut self.state.borrow_mut());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.handshake_failed(error.into()),
        }
    }

    /// One quiet line: anybody can connect and talk rubbish.
    fn handshake_failed(self: &Rc<Self>, cause: CloseCause) {
        if cause.is_disconnect() {
            tracing::debug!("a peer left during the handshake: {cause}");
        } else {
            let peer = self.with_transport(|transport| transport.peer_addr()).flatten();
            let peer = peer.map_or_else(|| "a peer".to_owned(), |address| address.to_string());
            tracing::info!("handshake with {peer} failed: {}", Whole(&cause));
        }
        self.close_with(Some(cause));
    }

    pub(super) fn forget_handshake(&self, handshake: Option<Box<Handshake>>) {
        let deadline = handshake.and_then(|handshake| handshake.deadline);
        if let (Some(deadline), Some(io_loop)) = (deadline, self.registration.io_loop()) {
            io_loop.remove_timeout(deadline);
        }
    }

    /// Looks whether the transport has something of its own to send, and watches for room if so.
    pub(super) fn note_own_output(&self, state: &mut State) {
        state.own_output = state.transport.as_ref().is_some_and(|transport| transport.wants_write());
        self.update_watch(state);
    }
}

//! Patience with a peer that takes nothing of what is to be sent.
//!
//! An open stream has [`send_timeout`](crate::StreamOptions::send_timeout) for that; one that is kept by nothing but its unsent bytes, or
//! only waits for them to go, [`linger_timeout`](crate::StreamOptions::linger_timeout). Both count from the last bytes that went.
//!
//! Rules: the timer is armed when the kernel has refused bytes, or when a stream with unsent bytes is left alone; it is not
//! taken back when they go, but finds that out by itself. So a stream whose bytes are taken at once pays for this with a comparison
//! when a handle is dropped, and no timer.

use std::rc::Rc;
use std::time::Duration;

use landspout_ioloop::TimeoutHandle;

use super::{Inner, Output, Phase, State};
use crate::error::CloseCause;

/// A timer that runs.
pub(super) struct Patience {
    timeout: TimeoutHandle,
    /// The stream only waits for its bytes to go.
    lingering: bool,
}

impl Inner {
    /// To be called when a handle is about to go.
    #[inline]
    pub(crate) fn released(this: &Rc<Self>) {
        // This one, and perhaps either another handle or what the unsent bytes keep.
        if Rc::strong_count(this) <= 2 {
            this.orphaned();
        }
    }

    #[cold]
    fn orphaned(self: &Rc<Self>) {
        // Borrowed: by a caller who looks at the buffer and holds a handle himself.
        let Ok(state) = self.state.try_borrow() else { return };
        let kept = state.keep_alive.is_some();
        let owes_goodbye = state.layered && state.phase == Phase::Open && state.output != Output::Ended;
        drop(state);
        if kept {
            self.linger();
        } else if owes_goodbye && Rc::strong_count(self) == 1 {
            // It may have to wait for room.
            self.close_when_flushed();
        }
    }

    /// The stream is to end with its last bytes.
    pub(super) fn linger(self: &Rc<Self>) {
        self.be_patient(&mut self.state.borrow_mut(), true);
    }

    /// The kernel has taken less than it was offered.
    #[cold]
    pub(super) fn refused(self: &Rc<Self>, state: &mut State) {
        if state.phase == Phase::Open && state.patience().is_none() {
            self.be_patient(state, false);
        }
    }

    /// Gives the peer its time, if that doesn't run already.
    fn be_patient(self: &Rc<Self>, state: &mut State, lingering: bool) {
        if state.patience().is_some_and(|patience| patience.lingering || !lingering) {
            return;
        }
        let (Some((limit, _)), Some(io_loop)) = (self.limit(lingering), self.registration.io_loop()) else { return };
        self.forget_patience(state.take_patience());
        let (flushed, stream) = (state.flushed, Rc::downgrade(self));
        let timeout = io_loop.call_later(limit, move || {
            if let Some(stream) = stream.upgrade() {
                stream.out_of_patience(flushed, lingering);
                Self::released(&stream);
            }
        });
        state.rare().patience = Some(Patience { timeout, lingering });
    }

    /// How long the peer may take nothing, and what the stream is closed with then.
    fn limit(&self, lingering: bool) -> Option<(Duration, CloseCause)> {
        let send = self.options.send_timeout.map(|limit| (limit, CloseCause::SendTimeout { limit }));
        let linger = self.options.linger_timeout.filter(|_| lingering);
        let linger = linger.map(|limit| (limit, CloseCause::LingerTimeout { limit }));
        match (send, linger) {
            (Some(send), Some(linger)) => Some(if send.0 < linger.0 { send } else { linger }),
            (send, linger) => send.or(linger),
        }
    }

    /// The time is over; `flushed` is what had gone when it began.
    fn out_of_patience(self: &Rc<Self>, flushed: u64, lingering: bool) {
        let mut state = self.state.borrow_mut();
        state.take_patience();
        let try_again = state.flushed == flushed && matches!(state.phase, Phase::Open | Phase::Ending);
        drop(state);
        if try_again {
            let _ = self.flush_unasked();
        }
        let mut state = self.state.borrow_mut();
        let unsent = state.has_unsent() || state.own_output;
        if state.phase == Phase::Closed || !unsent {
            return;
        }
        match self.limit(lingering) {
            Some((_, cause)) if state.flushed == flushed => {
                drop(state);
                tracing::debug!("closing a stream whose peer takes nothing");
                self.close_with(Some(cause));
            }
            _ => self.be_patient(&mut state, lingering),
        }
    }

    pub(super) fn forget_patience(&self, patience: Option<Patience>) {
        if let (Some(patience), Some(io_loop)) = (patience, self.registration.io_loop()) {
            io_loop.remove_timeout(patience.timeout);
        }
    }
}

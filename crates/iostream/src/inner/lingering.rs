//! Lingering: a stream that is kept by nothing but its unsent bytes, or only waits for them to go, has a peer that may never
//! take them. Then it has [`linger_timeout`](crate::StreamOptions::linger_timeout), counted from the last bytes that went.
//!
//! An ordinary stream pays for this with a comparison when a handle is dropped, and no timer.

use std::rc::Rc;

use landspout_ioloop::TimeoutHandle;

use super::Inner;
use crate::error::CloseCause;

impl Inner {
    /// To be called when a handle is about to go.
    #[inline]
    pub(crate) fn released(this: &Rc<Self>) {
        // This one, and either another handle or what the unsent bytes keep.
        if Rc::strong_count(this) == 2 {
            this.orphaned();
        }
    }

    #[cold]
    fn orphaned(self: &Rc<Self>) {
        // Borrowed: by a caller who looks at the buffer and holds a handle himself.
        if self.state.try_borrow().is_ok_and(|state| state.keep_alive.is_some()) {
            self.linger();
        }
    }

    /// Gives the peer its time, if that doesn't run already.
    pub(super) fn linger(self: &Rc<Self>) {
        let (Some(limit), Some(io_loop)) = (self.options.linger_timeout, self.registration.io_loop()) else { return };
        let mut state = self.state.borrow_mut();
        if state.lingering.is_some() {
            return;
        }
        let (flushed, stream) = (state.flushed, Rc::downgrade(self));
        state.lingering = Some(Box::new(io_loop.call_later(limit, move || {
            if let Some(stream) = stream.upgrade() {
                stream.linger_on(flushed);
            }
        })));
    }

    /// The time is over; `flushed` is what had gone when it began.
    fn linger_on(self: &Rc<Self>, flushed: u64) {
        let mut state = self.state.borrow_mut();
        state.lingering = None;
        let stalled = state.flushed == flushed;
        drop(state);
        match self.options.linger_timeout {
            Some(limit) if stalled => {
                tracing::debug!("closing a stream whose peer takes nothing");
                self.close_with(Some(CloseCause::LingerTimeout { limit }));
            }
            _ => self.linger(),
        }
    }

    pub(super) fn forget_lingering(&self, lingering: Option<Box<TimeoutHandle>>) {
        if let (Some(timeout), Some(io_loop)) = (lingering, self.registration.io_loop()) {
            io_loop.remove_timeout(*timeout);
        }
    }
}

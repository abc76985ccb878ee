//! What is true for one turn of the loop, or one poll in it: the time, and how much may still be done.
//!
//! Streams share it, so that they need not go through the loop for it.

use std::cell::Cell;
use std::task::{Context, Poll};
use std::time::Instant;

/// How many operations that never have to wait a task may do in one poll. A peer that always has more to say, or always
/// takes what it is sent, would otherwise keep the loop for itself.
const OPERATIONS_PER_POLL: u32 = 32;

pub(crate) struct Turn {
    /// The monotonic time: what deadlines are compared with, read from the clock once after each poll of the poller.
    pub(crate) now: Cell<Instant>,
    operations_left: Cell<u32>,
}

impl Turn {
    pub(crate) fn new(now: Instant) -> Self {
        Self { now: Cell::new(now), operations_left: Cell::new(OPERATIONS_PER_POLL) }
    }

    /// Before each poll of a task, and once a turn for whoever polls without a task.
    #[inline]
    pub(crate) fn refill(&self) {
        self.operations_left.set(OPERATIONS_PER_POLL);
    }

    /// Takes one operation, or wakes the task for its next poll.
    #[inline]
    pub(crate) fn poll_proceed(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.operations_left.get() {
            0 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            left => {
                self.operations_left.set(left - 1);
                Poll::Ready(())
            }
        }
    }
}

//! What a loop shares with its streams, deadlines and tasks, so that these need not go through the loop for it: the time of the turn,
//! how much may still be done in one poll, memory, tasks, timers, and the list of those who flush before the loop polls.
//!
//! Rules: nobody is called, woken or dropped while anything here is borrowed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::buffers::Buffers;
use crate::error::log_panic;
use crate::registration::EventTarget;
use crate::remote::Remote;
use crate::task::{Tasks, Wakee};
use crate::wheel::{Action, Key, Wheel};

/// How many operations that never have to wait a task may do in one poll. A peer that always has more to say, or always
/// takes what it is sent, would otherwise keep the loop for itself.
const OPERATIONS_PER_POLL: u32 = 32;

pub(crate) struct Commons {
    /// The monotonic time: what deadlines are compared with, read from the clock once after each poll of the poller.
    pub(crate) now: Cell<Instant>,
    operations_left: Cell<u32>,
    /// Nothing new is accepted.
    pub(crate) closed: Cell<bool>,
    pub(crate) buffers: Buffers,
    pub(crate) tasks: Tasks,
    /// Streams with bytes to flush before the next poll.
    dirty: RefCell<VecDeque<Rc<dyn EventTarget>>>,
    wheel: RefCell<Wheel>,
    /// The zero of the wheel's nanoseconds.
    epoch: Instant,
    /// When the wheel was due when this was last asked, in its nanoseconds and as a time.
    due: Cell<(u64, Instant)>,
}

impl Commons {
    /// `number` is the loop's.
    pub(crate) fn new(number: u64, remote: Remote, now: Instant) -> Self {
        Self {
            now: Cell::new(now),
            operations_left: Cell::new(OPERATIONS_PER_POLL),
            closed: Cell::new(false),
            buffers: Buffers::default(),
            tasks: Tasks::new(remote),
            dirty: RefCell::default(),
            // Handles of one loop mean nothing to another.
            wheel: RefCell::new(Wheel::new(number << 44)),
            epoch: now,
            due: Cell::new((0, now)),
        }
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

// Flushing.
impl Commons {
    #[inline]
    pub(crate) fn flush_later(&self, target: Rc<dyn EventTarget>) {
        if self.closed.get() {
            return drop(target);
        }
        self.dirty.borrow_mut().push_back(target);
    }

    #[inline]
    pub(crate) fn has_dirty(&self) -> bool {
        !self.dirty.borrow().is_empty()
    }

    /// Flushes those who asked for it before this.
    #[inline]
    pub(crate) fn flush(&self) {
        let count = self.dirty.borrow().len();
        for _ in 0..count {
            let Some(target) = self.dirty.borrow_mut().pop_front() else { return };
            log_panic("while a stream was flushed", || target.flush());
        }
    }

    pub(crate) fn take_dirty(&self) -> VecDeque<Rc<dyn EventTarget>> {
        self.dirty.take()
    }
}

// Timers.
impl Commons {
    pub(crate) fn arm(&self, at: Instant, action: Action) -> Key {
        let key = self.wheel.borrow_mut().insert(self.nanos(at), action);
        if self.closed.get() {
            self.remove_timer(key);
        }
        key
    }

    pub(crate) fn remove_timer(&self, key: Key) {
        let action = self.wheel.borrow_mut().remove(key);
        drop(action);
    }

    /// Makes sure that an armed timer wakes `waker`; false if the timer is not armed any more.
    #[inline]
    pub(crate) fn keep_waker(&self, key: Key, waker: &Waker) -> bool {
        let same = |armed: &Wakee| self.tasks.wakes(armed, waker);
        if self.wheel.borrow().wakee(key).is_some_and(same) { true } else { self.replace_waker(key, waker) }
    }

    #[cold]
    fn replace_waker(&self, key: Key, waker: &Waker) -> bool {
        // A waker's clone and drop are foreign code: neither happens while the wheel is borrowed.
        let wakee = self.tasks.wakee(waker);
        let old = self.wheel.borrow_mut().replace_wakee(key, wakee);
        old.is_some()
    }

    /// When the first timer is due.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let nanos = self.wheel.borrow().next_expiration()?;
        let (known, at) = self.due.get();
        if nanos == known {
            return Some(at);
        }
        let at = self.epoch + Duration::from_nanos(nanos);
        self.due.set((nanos, at));
        Some(at)
    }

    /// Runs the timers that are due now.
    #[inline(never)]
    pub(crate) fn run_timeouts(&self, batch: &mut Vec<Key>) {
        let now = self.nanos(self.now.get());
        self.wheel.borrow_mut().expire(now, batch);
        for key in batch.drain(..) {
            // An earlier one of the batch may have removed it.
            let action = self.wheel.borrow_mut().remove(key);
            match action {
                Some(Action::Call(callback)) => log_panic("in callback", callback),
                Some(Action::Wake(wakee)) => log_panic("in a waker", || self.tasks.wake(wakee)),
                None => {}
            }
        }
    }

    pub(crate) fn pending_timeouts(&self) -> usize {
        self.wheel.borrow().len()
    }

    pub(crate) fn take_timers(&self) -> Vec<Action> {
        self.wheel.borrow_mut().drain()
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

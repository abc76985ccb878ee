//! What a loop shares with its streams, deadlines and tasks, so that these need not go through the loop for it: the time of the turn,
//! how much may still be done in one poll, memory, tasks, timers, and the list of those who flush before the loop polls.
//!
//! Rules: nobody is called, woken or dropped while anything here is borrowed.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::buffers::Buffers;
use crate::ioloop::Inner;
use crate::panic::log_panic;
use crate::registration::EventTarget;
use crate::remote::Remote;
use crate::task::Tasks;
use crate::wheel::{Action, Batch, Key, Wheel};

/// How many operations that never have to wait a task may do in one poll. A peer that always has more to say, or always
/// takes what it is sent, would otherwise keep the loop for itself.
const OPERATIONS_PER_POLL: u32 = 32;

/// In place of nanoseconds that nobody has asked for.
const UNKNOWN: u64 = u64::MAX;

pub(crate) struct Commons {
    io_loop: OnceCell<Weak<Inner>>,
    /// The monotonic time: what deadlines are compared with, read from the clock once after each poll of the poller.
    now: Cell<Instant>,
    /// The same in the wheel's nanoseconds, once somebody has asked.
    now_nanos: Cell<u64>,
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
    /// When the wheel is due, if it is what it was when somebody asked.
    due: Cell<Option<Option<Instant>>>,
}

impl Commons {
    /// `number` is the loop's.
    pub(crate) fn new(number: u64, remote: Remote, now: Instant) -> Self {
        Self {
            io_loop: OnceCell::new(),
            now: Cell::new(now),
            now_nanos: Cell::new(UNKNOWN),
            operations_left: Cell::new(OPERATIONS_PER_POLL),
            closed: Cell::new(false),
            buffers: Buffers::default(),
            tasks: Tasks::new(remote),
            dirty: RefCell::default(),
            // Handles of one loop mean nothing to another.
            wheel: RefCell::new(Wheel::new(number << 44)),
            epoch: now,
            due: Cell::new(None),
        }
    }

    /// Done once, by the loop itself.
    pub(crate) fn belong_to(&self, io_loop: Weak<Inner>) {
        let _ = self.io_loop.set(io_loop);
    }

    /// The loop, unless it is gone.
    #[inline]
    pub(crate) fn io_loop(&self) -> Option<Rc<Inner>> {
        self.io_loop.get()?.upgrade()
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    #[inline]
    pub(crate) fn set_now(&self, now: Instant) {
        self.now.set(now);
        self.now_nanos.set(UNKNOWN);
    }

    /// [`now`](Self::now) in nanoseconds since the loop was made.
    #[inline]
    pub(crate) fn now_nanos(&self) -> u64 {
        match self.now_nanos.get() {
            UNKNOWN => self.count_nanos(),
            nanos => nanos,
        }
    }

    #[inline(never)]
    fn count_nanos(&self) -> u64 {
        let nanos = self.nanos(self.now.get());
        self.now_nanos.set(nanos);
        nanos
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
    pub(crate) fn arm(&self, at_nanos: u64, action: Action) -> Key {
        self.due.set(None);
        let key = self.wheel.borrow_mut().insert(at_nanos, action);
        if self.closed.get() {
            self.remove_timer(key);
        }
        key
    }

    pub(crate) fn remove_timer(&self, key: Key) {
        self.due.set(None);
        let action = self.wheel.borrow_mut().remove(key);
        drop(action);
    }

    /// Whether a timer is armed that wakes `waker` at that time or earlier.
    #[inline]
    pub(crate) fn is_armed(&self, key: Key, at_nanos: u64, waker: &Waker) -> bool {
        let wheel = self.wheel.borrow();
        wheel.wakee(key).is_some_and(|(deadline, wakee)| deadline <= at_nanos && self.tasks.wakes(wakee, waker))
    }

    /// When the first timer is due.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due.get().unwrap_or_else(|| self.find_next_deadline())
    }

    #[inline(never)]
    fn find_next_deadline(&self) -> Option<Instant> {
        let nanos = self.wheel.borrow().next_expiration();
        let due = nanos.map(|nanos| self.instant(nanos));
        self.due.set(Some(due));
        due
    }

    /// Runs the timers that are due now.
    #[inline(never)]
    pub(crate) fn run_timeouts(&self, batch: &mut Batch) {
        self.due.set(None);
        let now = self.now_nanos();
        self.wheel.borrow_mut().expire(now, batch);
        while let Some(key) = batch.pop() {
            // An earlier one of the batch may have removed it.
            let action = self.wheel.borrow_mut().remove(key);
            match action {
                Some(Action::Call(callback)) => log_panic("in callback", callback),
                Some(Action::Wake(wakee)) => log_panic("in a waker", || self.tasks.wake(wakee)),
                None => None,
            };
        }
    }

    pub(crate) fn pending_timeouts(&self) -> usize {
        self.wheel.borrow().len()
    }

    pub(crate) fn take_timers(&self) -> Vec<Action> {
        self.due.set(None);
        self.wheel.borrow_mut().drain()
    }

    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.epoch + Duration::from_nanos(nanos)
    }

    pub(crate) fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

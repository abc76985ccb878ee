//! Waiting for time: handles of callbacks, lazily re-armed deadlines, `sleep` and `with_timeout`.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::commons::Commons;
use crate::ioloop::IoLoop;
use crate::wheel::{Action, Key};

/// Names a callback that [`call_later`](IoLoop::call_later) or [`call_at`](IoLoop::call_at) planned, for
/// [`remove_timeout`](IoLoop::remove_timeout). Stale once the callback ran, and harmless then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeoutHandle(pub(crate) Key);

/// A deadline that is moved much more often than it passes, as a connection's idle timeout is.
///
/// Setting it stores a number. Only [`poll_expired`](Self::poll_expired) arms a timer, and not while an earlier one is
/// armed: that one fires, finds the deadline moved, and arms itself again.
pub struct Deadline {
    commons: Rc<Commons>,
    /// In the loop's nanoseconds; `NEVER` is none.
    at: Cell<u64>,
    armed: Cell<Key>,
}

const NEVER: u64 = u64::MAX;

impl Deadline {
    /// No deadline yet.
    pub fn new(io_loop: &IoLoop) -> Self {
        Self { commons: io_loop.inner.commons.clone(), at: Cell::new(NEVER), armed: Cell::new(Key::NONE) }
    }

    /// Moves the deadline. The waiting task learns of an earlier one when it polls next.
    pub fn set(&self, at: Instant) {
        self.at.set(self.commons.nanos(at));
    }

    /// Moves the deadline to this long from the time of the loop's turn. What is past all time, about 584 years, is no deadline.
    #[inline]
    pub fn set_after(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(NEVER);
        self.at.set(self.commons.now_nanos().saturating_add(nanos));
    }

    /// There is no deadline any more.
    #[inline]
    pub fn clear(&self) {
        self.at.set(NEVER);
    }

    /// Whether there is a deadline.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.at.get() != NEVER
    }

    /// The deadline that is set.
    pub fn get(&self) -> Option<Instant> {
        self.is_set().then(|| self.commons.instant(self.at.get()))
    }

    /// Ready once the deadline has passed, by the loop's time of this turn; the deadline stays set.
    #[inline]
    pub fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at.get();
        if at == NEVER {
            return Poll::Pending;
        }
        if self.commons.now_nanos() >= at {
            return Poll::Ready(());
        }
        if !self.commons.is_armed(self.armed.get(), at, cx.waker()) {
            self.arm(at, cx.waker());
        }
        Poll::Pending
    }

    /// It wasn't armed, or too late, or for another task, or fired early, which is what a moved deadline makes of it.
    #[inline(never)]
    fn arm(&self, at: u64, waker: &Waker) {
        let wakee = self.commons.tasks.wakee(waker);
        self.commons.remove_timer(self.armed.get());
        self.armed.set(self.commons.arm(at, Action::Wake(wakee)));
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if self.armed.get() != Key::NONE {
            self.commons.remove_timer(self.armed.get());
        }
    }
}

impl fmt::Debug for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("at", &self.get()).finish_non_exhaustive()
    }
}

/// A pause: `sleep(d).await`. See [`sleep`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Sleep {
    deadline: Deadline,
}

/// Pauses the calling task for at least `duration`, on the current loop's clock. Tornado's `gen.sleep`.
///
/// The time counts from the call, not from the first poll. Dropping the future cancels its timer.
///
/// ```
/// use landspout_ioloop::{IoLoop, sleep};
/// use std::time::Duration;
///
/// IoLoop::current().run_sync(async { sleep(Duration::from_millis(1)).await }).unwrap();
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    let io_loop = IoLoop::current();
    let deadline = Deadline::new(&io_loop);
    deadline.set(io_loop.later(duration));
    Sleep { deadline }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline.poll_expired(cx)
    }
}

/// The time was over before the future was done. See [`with_timeout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutError {
    /// What was allowed.
    pub limit: Duration,
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done within {:?}", self.limit)
    }
}

impl std::error::Error for TimeoutError {}

pin_project! {
    /// A future that is given up after a time. See [`with_timeout`].
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct WithTimeout<F> {
        #[pin]
        future: F,
        deadline: Deadline,
        limit: Duration,
    }
}

/// Awaits `future` for at most `limit`. Tornado's `gen.with_timeout`.
///
/// # Errors
/// [`TimeoutError`] when the time is over; the future is dropped with this one. Reads of landspout's streams lose
/// nothing by that, other futures have their own rules of cancel safety.
pub fn with_timeout<F: Future>(limit: Duration, future: F) -> WithTimeout<F> {
    let io_loop = IoLoop::current();
    let deadline = Deadline::new(&io_loop);
    deadline.set(io_loop.later(limit));
    WithTimeout { future, deadline, limit }
}

impl<F: Future> Future for WithTimeout<F> {
    type Output = Result<F::Output, TimeoutError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.deadline.poll_expired(cx).map(|()| Err(TimeoutError { limit: *this.limit }))
    }
}

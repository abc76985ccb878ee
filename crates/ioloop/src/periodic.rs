//! `PeriodicCallback`: a callback that is called again and again, on a grid of time that slow calls don't shift.
//!
//! A schedule is a start, a period and the next time on the grid. The timer is armed for that time only, and after a call
//! ended: calls never overlap. While a call is under way the callback is with it, so that a call can stop, start again,
//! or drop the handle.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use crate::callback::{CallbackResult, log_error};
use crate::error::{JitterError, LoopError};
use crate::ioloop::{Inner, IoLoop};
use crate::panic::log_panic;
use crate::timeout::TimeoutHandle;

const CONTEXT: &str = "in periodic callback";

/// Calls a callback every so often. Tornado's `PeriodicCallback`.
///
/// The first call comes one period after [`start`](Self::start). When a call takes longer than the period, the calls it missed
/// are skipped and the next one comes at the next whole period after the start. The call of an async callback lasts until
/// its future is done; the next one waits for that.
///
/// An error that the callback returns is logged, and so is a panic; it is called again nevertheless. It ends the schedule
/// itself by returning [`ControlFlow::Break`].
///
/// Dropping this leaves the schedule running, as in Tornado; it ends by [`stop`](Self::stop) or with its loop. (A callback
/// that holds its own `PeriodicCallback` should do so by a [`Weak`], or neither is ever freed.)
///
/// ```
/// use landspout_ioloop::{IoLoop, PeriodicCallback};
/// use std::ops::ControlFlow;
///
/// # fn main() -> Result<(), landspout_ioloop::LoopError> {
/// let mut left = 3;
/// let countdown = PeriodicCallback::new(
///     move || {
///         println!("{left}");
///         left -= 1;
///         if left > 0 {
///             return ControlFlow::Continue(());
///         }
///         IoLoop::current().stop();
///         ControlFlow::Break(())
///     },
///     10, // milliseconds
/// )?;
/// countdown.start();
/// IoLoop::current().start()
/// # }
/// ```
pub struct PeriodicCallback {
    periodic: Rc<Periodic>,
}

struct Periodic {
    /// Empty while a call is under way.
    callback: Cell<Option<Callback>>,
    period: Duration,
    jitter: Cell<f64>,
    /// `None` when it isn't running.
    schedule: RefCell<Option<Schedule>>,
}

enum Callback {
    Plain(Box<dyn FnMut() -> ControlFlow<()>>),
    Async(Box<dyn AsyncCallback>),
}

#[derive(Clone)]
struct Schedule {
    io_loop: Weak<Inner>,
    started: Instant,
    /// The time of the next call, from `started`.
    next: Duration,
    /// `None` while a call is under way.
    timer: Option<TimeoutHandle>,
}

/// The time between two calls of a [`PeriodicCallback`]: a number of milliseconds, as in Tornado, or a [`Duration`].
pub trait CallbackTime {
    /// The time, or `None` if it isn't more than zero.
    fn period(self) -> Option<Duration>;
}

impl CallbackTime for Duration {
    fn period(self) -> Option<Duration> {
        Some(self).filter(|period| !period.is_zero())
    }
}

impl CallbackTime for f64 {
    fn period(self) -> Option<Duration> {
        Duration::try_from_secs_f64(self / 1000.0).ok()?.period()
    }
}

macro_rules! whole_milliseconds {
    ($($number:ty)*) => {$(
        impl CallbackTime for $number {
            fn period(self) -> Option<Duration> {
                Duration::from_millis(u64::try_from(self).ok()?).period()
            }
        }
    )*};
}

whole_milliseconds!(i32 u32 i64 u64 usize);

impl PeriodicCallback {
    /// Calls `callback` every `callback_time`, once it is started.
    ///
    /// # Errors
    /// [`LoopError::CallbackTime`] when `callback_time` isn't more than zero.
    pub fn new<R: CallbackResult>(
        mut callback: impl FnMut() -> R + 'static,
        callback_time: impl CallbackTime,
    ) -> Result<Self, LoopError> {
        Self::build(Callback::Plain(Box::new(move || log_error(callback(), CONTEXT))), callback_time)
    }

    /// The same for an async callback. Its calls never overlap.
    ///
    /// ```
    /// use landspout_ioloop::{PeriodicCallback, sleep};
    /// use std::time::Duration;
    ///
    /// let poll = PeriodicCallback::new_async(async || sleep(Duration::from_millis(25)).await, 10).unwrap();
    /// poll.start(); // calls at 10, 40, 70 ms
    /// ```
    ///
    /// # Errors
    /// [`LoopError::CallbackTime`] when `callback_time` isn't more than zero.
    pub fn new_async<R: CallbackResult>(
        callback: impl AsyncFnMut() -> R + 'static,
        callback_time: impl CallbackTime,
    ) -> Result<Self, LoopError> {
        Self::build(Callback::Async(Box::new(callback)), callback_time)
    }

    fn build(callback: Callback, callback_time: impl CallbackTime) -> Result<Self, LoopError> {
        let period = callback_time.period().ok_or(LoopError::CallbackTime)?;
        let callback = Cell::new(Some(callback));
        Ok(Self {
            periodic: Rc::new(Periodic { callback, period, jitter: Cell::new(0.0), schedule: RefCell::default() }),
        })
    }

    /// Shortens or lengthens each period at random, so that many processes that were started together don't stay in step:
    /// with 0.1 each lasts from 95 to 105 % of `callback_time`. The default is 0.
    ///
    /// # Errors
    /// When it is negative, no number, or not less than 2: a period could be nothing then.
    pub fn jitter(self, jitter: f64) -> Result<Self, JitterError> {
        if !(0.0..2.0).contains(&jitter) {
            return Err(JitterError { jitter });
        }
        self.periodic.jitter.set(jitter);
        Ok(self)
    }

    /// The time between two calls, without jitter.
    pub fn callback_time(&self) -> Duration {
        self.periodic.period
    }

    /// Plans the first call, on the loop that is the thread's current one now. Nothing changes if it is running already.
    pub fn start(&self) {
        if self.is_running() {
            return;
        }
        let io_loop = IoLoop::current();
        let started = io_loop.later(Duration::ZERO);
        let schedule = Schedule { io_loop: Rc::downgrade(&io_loop.inner), started, next: Duration::ZERO, timer: None };
        *self.periodic.schedule.borrow_mut() = Some(schedule);
        self.periodic.plan();
    }

    /// Ends the schedule. A call that is under way goes on to its end.
    pub fn stop(&self) {
        self.periodic.stop();
    }

    /// Whether it was started and not stopped. The end of its loop stops it.
    pub fn is_running(&self) -> bool {
        let schedule = self.periodic.schedule.borrow().clone();
        schedule.and_then(|schedule| schedule.io_loop()).is_some_and(|io_loop| !io_loop.is_closed())
    }
}

impl fmt::Debug for PeriodicCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeriodicCallback")
            .field("callback_time", &self.callback_time())
            .field("jitter", &self.periodic.jitter.get())
            .field("running", &self.is_running())
            .finish()
    }
}

impl Schedule {
    fn io_loop(&self) -> Option<IoLoop> {
        self.io_loop.upgrade().map(|inner| IoLoop { inner })
    }
}

impl Periodic {
    /// Arms the timer for the next call, unless it is armed or nobody wants one.
    fn plan(self: &Rc<Self>) {
        let schedule = self.schedule.borrow().clone();
        let Some(mut schedule) = schedule.filter(|schedule| schedule.timer.is_none()) else { return };
        let Some(io_loop) = schedule.io_loop() else { return };
        let now = io_loop.later(Duration::ZERO).saturating_duration_since(schedule.started);
        schedule.next = next_call(schedule.next, now, jittered(self.period, self.jitter.get(), random()));
        let at = schedule.started.checked_add(schedule.next).unwrap_or_else(|| io_loop.later(Duration::MAX));
        let periodic = self.clone();
        schedule.timer = Some(io_loop.call_at(at, move || periodic.call()));
        *self.schedule.borrow_mut() = Some(schedule);
    }

    /// The timer has fired.
    fn call(self: Rc<Self>) {
        let io_loop = match &mut *self.schedule.borrow_mut() {
            Some(schedule) => {
                schedule.timer = None;
                schedule.io_loop()
            }
            None => return,
        };
        // A call from before `stop` and `start` may still be under way. Its end plans the next.
        let (Some(io_loop), Some(callback)) = (io_loop, self.callback.take()) else { return };
        let mut call = Call { periodic: self, callback: Some(callback), go_on: ControlFlow::Continue(()) };
        match &mut call.callback {
            Some(Callback::Plain(callback)) => {
                call.go_on = log_panic(CONTEXT, callback).unwrap_or(ControlFlow::Continue(()));
            }
            _ => drop(io_loop.spawn(async move {
                // As a whole: the task must own it, or its drop would come too early.
                let mut call = call;
                if let Some(Callback::Async(callback)) = &mut call.callback {
                    call.go_on = callback.call().await;
                }
            })),
        }
    }

    fn stop(&self) {
        let schedule = self.schedule.borrow_mut().take();
        let Some(Schedule { io_loop, timer: Some(timer), .. }) = schedule else { return };
        if let Some(inner) = io_loop.upgrade() {
            inner.commons.remove_timer(timer.0);
        }
    }
}

/// A call under way. However it ends, its drop gives the callback back and plans the next.
struct Call {
    periodic: Rc<Periodic>,
    callback: Option<Callback>,
    go_on: ControlFlow<()>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.periodic.callback.set(self.callback.take());
        match self.go_on {
            ControlFlow::Continue(()) => self.periodic.plan(),
            ControlFlow::Break(()) => self.periodic.stop(),
        }
    }
}

/// An async closure whose type is forgotten. Its future may borrow from it.
trait AsyncCallback {
    fn call(&mut self) -> Pin<Box<dyn Future<Output = ControlFlow<()>> + '_>>;
}

impl<R: CallbackResult, F: AsyncFnMut() -> R> AsyncCallback for F {
    fn call(&mut self) -> Pin<Box<dyn Future<Output = ControlFlow<()>> + '_>> {
        Box::pin(async { log_error(self().await, CONTEXT) })
    }
}

/// The time of the call after the one that was due at `last`: the next whole period that isn't over.
fn next_call(last: Duration, now: Duration, period: Duration) -> Duration {
    // Skips what was missed. A clock that went backwards, as Tornado's may, is one period on.
    let missed = now.saturating_sub(last).as_nanos() / period.as_nanos();
    let step = period.as_nanos().saturating_mul(missed + 1);
    last.saturating_add(u64::try_from(step).map_or(Duration::MAX, Duration::from_nanos))
}

/// `draw` is from 0 to 1.
fn jittered(period: Duration, jitter: f64, draw: f64) -> Duration {
    if jitter == 0.0 {
        return period;
    }
    let seconds = period.as_secs_f64() * (1.0 + jitter * (draw - 0.5));
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).max(Duration::from_nanos(1))
}

/// A number from 0 to 1. Good enough to keep processes out of step: std seeds its hashers with random keys.
fn random() -> f64 {
    let draw = RandomState::new().build_hasher().finish();
    draw as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    /// What Tornado's tests do: calls that take so many seconds each, negative ones when the clock is set back. Gives
    /// the times of the calls, all in seconds.
    fn simulate(durations: &[f64]) -> Vec<f64> {
        let mut next = Duration::from_secs(1000);
        let mut now = next;
        let mut calls = Vec::new();
        for duration in durations {
            next = next_call(next, now, TEN);
            calls.push(next.as_secs_f64());
            now = Duration::from_secs_f64(next.as_secs_f64() + duration);
        }
        calls
    }

    /// Tornado: TestPeriodicCallbackMath.test_basic.
    #[test]
    fn instant_calls_come_once_a_period() {
        assert_eq!(simulate(&[0.0; 5]), [1010.0, 1020.0, 1030.0, 1040.0, 1050.0]);
    }

    /// Tornado: TestPeriodicCallbackMath.test_overrun.
    #[test]
    fn slow_calls_skip_whole_periods_and_keep_the_phase() {
        let durations = [9.0, 9.0, 10.0, 11.0, 20.0, 20.0, 35.0, 35.0, 0.0, 0.0, 0.0];
        let calls = [
            1010.0, 1020.0, 1030.0, // the first two are quicker than the period, the third takes just one
            1050.0, // that is over when the third ends: one is skipped
            1070.0, 1100.0, 1130.0, 1170.0, 1210.0, 1220.0, 1230.0,
        ];
        assert_eq!(simulate(&durations), calls);
    }

    /// Tornado: TestPeriodicCallbackMath.test_clock_backwards.
    #[test]
    fn a_clock_set_back_stays_on_the_grid() {
        assert_eq!(simulate(&[-2.0, -1.0, -3.0, -2.0, 0.0]), [1010.0, 1020.0, 1030.0, 1040.0, 1050.0]);
        assert_eq!(simulate(&[-100.0, 0.0, 0.0]), [1010.0, 1020.0, 1030.0]);
    }

    /// Tornado: TestPeriodicCallbackMath.test_jitter.
    #[test]
    fn jitter_moves_each_call_by_a_random_part_of_the_period() {
        let mut next = Duration::from_secs(1000);
        let calls = [0.5, 1.0, 0.0, 0.75].map(|draw| {
            next = next_call(next, next, jittered(TEN, 0.5, draw));
            next.as_secs_f64()
        });
        assert_eq!(calls, [1010.0, 1022.5, 1030.0, 1041.25]);
        assert_eq!(jittered(TEN, 0.0, random()), TEN);
    }

    #[test]
    fn extreme_periods_neither_panic_nor_stand_still() {
        for period in [Duration::from_nanos(1), Duration::MAX] {
            let next = next_call(Duration::from_secs(1), Duration::from_secs(100_000), period);
            assert!(next > Duration::from_secs(100_000));
            assert!(jittered(period, 1.99, 0.0) > Duration::ZERO);
            assert!(jittered(period, 1.99, 1.0) > Duration::ZERO);
        }
        assert_eq!(next_call(Duration::MAX, Duration::MAX, TEN), Duration::MAX);
    }

    #[test]
    fn draws_differ_and_lie_between_0_and_1() {
        let draws: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)));
        assert!(draws.iter().any(|draw| *draw < 0.5) && draws.iter().any(|draw| *draw > 0.5), "{draws:?}");
    }
}

//! Where time comes from: the loop's clock, real or replaced by a test.
//!
//! Rule: nothing else in the workspace reads the time. Whoever needs it asks a loop.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

/// The source of time of an [`IoLoop`](crate::IoLoop).
///
/// Timeouts follow [`monotonic`](Clock::monotonic); [`wall`](Clock::wall) is for what people read (a `Date` header).
/// Tornado's counterpart is the `time_func` argument of its 4.x loops.
pub trait Clock {
    /// The monotonic time. Must never go backwards.
    fn monotonic(&self) -> Instant;

    /// The time of day.
    fn wall(&self) -> SystemTime;

    /// How long a loop that has nothing to do until `deadline` may block for I/O: `None` is "until something happens". `now` was
    /// read from this clock just before.
    fn block_for(&self, now: Instant, deadline: Option<Instant>) -> Option<Duration> {
        deadline.map(|at| at.saturating_duration_since(now))
    }

    /// Called when the loop waited for `deadline` and no I/O came. A simulated clock may jump there.
    fn idled(&self, deadline: Option<Instant>) {
        let _ = deadline;
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[inline]
    fn monotonic(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that stands still until a test moves it.
///
/// By default the time moves only by [`advance`](ManualClock::advance). With [`jumping`](ManualClock::jumping) the clock
/// jumps to the next deadline whenever the loop finds no I/O to do: an hour's timeout then takes no time at all.
/// Use that only where all peers run on the same loop, since a peer elsewhere would be left behind.
///
/// ```
/// use landspout_ioloop::{IoLoop, ManualClock, sleep};
/// use std::time::Duration;
///
/// let clock = ManualClock::jumping();
/// let io_loop = IoLoop::with_clock(clock.clone());
/// let started = io_loop.now();
/// io_loop.run_sync(async { sleep(Duration::from_secs(3600)).await }).unwrap();
/// assert!(io_loop.now() - started >= Duration::from_secs(3600));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    shared: Rc<Manual>,
}

#[derive(Debug)]
struct Manual {
    /// Both scales move together, from the real times at creation.
    monotonic: Cell<Instant>,
    wall: Cell<SystemTime>,
    jumps: bool,
    /// Every jump that was made, so that a test can see which deadlines woke the loop.
    jumps_made: RefCell<Vec<Instant>>,
}

impl ManualClock {
    /// A clock that only [`advance`](Self::advance) moves.
    pub fn new() -> Self {
        Self::with_jumps(false)
    }

    /// A clock that jumps to the next deadline when the loop is idle.
    pub fn jumping() -> Self {
        Self::with_jumps(true)
    }

    fn with_jumps(jumps: bool) -> Self {
        let shared = Manual {
            monotonic: Cell::new(Instant::now()),
            wall: Cell::new(SystemTime::now()),
            jumps,
            jumps_made: RefCell::default(),
        };
        Self { shared: Rc::new(shared) }
    }

    /// Moves both scales forward. Timeouts that are due by then run in the loop's next turn.
    pub fn advance(&self, by: Duration) {
        self.shared.monotonic.set(self.shared.monotonic.get() + by);
        self.shared.wall.set(self.shared.wall.get() + by);
    }

    /// Sets the time of day without touching the monotonic scale, as an administrator or NTP may.
    pub fn set_wall(&self, to: SystemTime) {
        self.shared.wall.set(to);
    }

    /// The deadlines this clock jumped to, oldest first.
    pub fn jumps(&self) -> Vec<Instant> {
        self.shared.jumps_made.borrow().clone()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Instant {
        self.shared.monotonic.get()
    }

    fn wall(&self) -> SystemTime {
        self.shared.wall.get()
    }

    fn block_for(&self, now: Instant, deadline: Option<Instant>) -> Option<Duration> {
        match deadline {
            Some(at) if self.shared.jumps || at <= now => Some(Duration::ZERO),
            _ => None,
        }
    }

    fn idled(&self, deadline: Option<Instant>) {
        if let (true, Some(at)) = (self.shared.jumps, deadline) {
            if at > self.monotonic() {
                self.advance(at - self.monotonic());
                self.shared.jumps_made.borrow_mut().push(at);
            }
        }
    }
}

//! The loop itself: what one turn does, and how a loop starts, stops and ends.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::clock::{Clock, SystemClock};
use crate::commons::Commons;
use crate::error::LoopError;
use crate::events::Events;
use crate::panic::log_panic;
use crate::reactor::Reactor;
use crate::remote::{Arrivals, Remote};
use crate::task::{self, JoinHandle, attach_to_thread, detach_from_thread};
use crate::timeout::TimeoutHandle;
use crate::wheel::{Action, Batch};

/// How often one turn lets tasks that woke each other run again before timeouts and I/O get their chance.
const TASK_ROUNDS: usize = 8;

thread_local! {
    static CURRENT: Current = const { Current(RefCell::new(None)) };
    /// A loop of this thread is inside `start`.
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// The thread's current loop. When the thread ends it is closed: its own tasks may hold handles of it, and nobody could
/// run them any more.
struct Current(RefCell<Option<IoLoop>>);

impl Current {
    fn replace(&self, io_loop: Option<IoLoop>) -> Option<IoLoop> {
        self.0.replace(io_loop)
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        if let Some(io_loop) = self.replace(None) {
            // Refused only if the process exits from inside of a running loop.
            let _ = io_loop.close();
        }
    }
}

/// Loops that exist and were not closed, in the whole process: `fork_processes` refuses to fork then.
static OPEN_LOOPS: AtomicUsize = AtomicUsize::new(0);
/// Loops made so far; each gets its number.
static LOOPS_MADE: AtomicU64 = AtomicU64::new(0);

/// The event loop of one thread: reactor, executor, timers. Tornado's `IOLoop`.
///
/// This is a cheap handle; clones mean the same loop. It cannot leave its thread, [`Remote`] can.
///
/// A program sets things up, then runs the loop until somebody stops it:
///
/// ```
/// use landspout_ioloop::IoLoop;
/// use std::time::Duration;
///
/// let io_loop = IoLoop::current();
/// io_loop.add_callback(|| println!("first turn"));
/// io_loop.call_later(Duration::from_millis(5), || IoLoop::current().stop());
/// io_loop.start().unwrap();
/// ```
#[derive(Clone)]
#[doc(alias = "IOLoop")]
pub struct IoLoop {
    pub(crate) inner: Rc<Inner>,
}

pub(crate) struct Inner {
    number: u64,
    made_by: u32,
    running: Cell<bool>,
    stop: Cell<bool>,
    clock: Rc<dyn Clock>,
    pub(crate) commons: Rc<Commons>,
    callbacks: RefCell<VecDeque<Box<dyn FnOnce()>>>,
    pub(crate) reactor: Reactor,
    remote: Remote,
    #[cfg(feature = "signal")]
    pub(crate) signals: crate::signal::SignalHandlers,
    #[cfg(feature = "executor")]
    pub(crate) executor: crate::executor::DefaultExecutor,
}

impl IoLoop {
    /// Waits for [`Events`] on a descriptor: nothing, for [`update_handler`](Self::update_handler).
    pub const NONE: Events = Events::NONE;
    /// Something to read.
    pub const READ: Events = Events::READ;
    /// Room to write.
    pub const WRITE: Events = Events::WRITE;
    /// An error or a hang-up.
    pub const ERROR: Events = Events::ERROR;

    /// The loop of this thread, made on first use. Tornado's `IOLoop.current()`.
    ///
    /// # Panics
    /// When the operating system refuses a poller (no descriptors are left); [`IoLoop::new`] gives that as an error. Also
    /// while the thread's locals are being destroyed: use [`current_or_none`](Self::current_or_none) in destructors.
    pub fn current() -> Self {
        Self::current_or_none().unwrap_or_else(|| Self::new().expect("the operating system gives a poller"))
    }

    /// The loop of this thread, if one exists and is not closed. Tornado's `IOLoop.current(instance=False)`.
    pub fn current_or_none() -> Option<Self> {
        CURRENT.try_with(|current| current.0.borrow().clone()).ok().flatten()
    }

    /// The same as [`current`](Self::current), as in Tornado since 5.0. What the process-wide singleton of older versions
    /// was used for, posting work to the main thread, is [`Remote`]'s.
    pub fn instance() -> Self {
        Self::current()
    }

    /// Makes a loop and makes it the thread's current one.
    ///
    /// # Errors
    /// [`LoopError::Poller`] when the operating system refuses a poller.
    pub fn new() -> Result<Self, LoopError> {
        Self::build(Rc::new(SystemClock))
    }

    /// As [`new`](Self::new), with a clock of the caller's.
    ///
    /// # Panics
    /// When the operating system refuses a poller.
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        Self::build(Rc::new(clock)).expect("the operating system gives a poller")
    }

    fn build(clock: Rc<dyn Clock>) -> Result<Self, LoopError> {
        let (reactor, waker) = Reactor::new()?;
        let number = LOOPS_MADE.fetch_add(1, Ordering::Relaxed);
        let remote = Remote::new(waker);
        let commons = Rc::new(Commons::new(number, remote.clone(), clock.monotonic()));
        attach_to_thread(&commons);
        let inner = Rc::new(Inner {
            number,
            made_by: std::process::id(),
            running: Cell::new(false),
            stop: Cell::new(false),
            clock,
            commons,
            callbacks: RefCell::default(),
            reactor,
            remote,
            #[cfg(feature = "signal")]
            signals: Default::default(),
            #[cfg(feature = "executor")]
            executor: Default::default(),
        });
        inner.commons.belong_to(Rc::downgrade(&inner));
        OPEN_LOOPS.fetch_add(1, Ordering::Relaxed);
        let io_loop = Self { inner };
        let previous = CURRENT.with(|current| current.replace(Some(io_loop.clone())));
        drop(previous);
        Ok(io_loop)
    }

    /// Makes this loop the thread's current one, as [`start`](Self::start) does while it runs.
    pub fn make_current(&self) {
        let previous = CURRENT.with(|current| current.replace(Some(self.clone())));
        drop(previous);
    }

    /// Leaves the thread without a current loop. Harmless when there is none.
    pub fn clear_current() {
        let previous = CURRENT.with(|current| current.replace(None));
        drop(previous);
    }

    /// Whether any thread of this process has a loop that was not closed. Forking is refused then, since parent and child
    /// would share the poller.
    pub fn exists_in_process() -> bool {
        OPEN_LOOPS.load(Ordering::Relaxed) > 0
    }

    /// Runs the loop until [`stop`](Self::stop). If that was called before, runs what is due now, returns without polling
    /// and clears the request.
    ///
    /// # Errors
    /// [`LoopError::AlreadyRunning`] inside of a running loop, [`LoopError::Closed`], [`LoopError::Forked`] in a child of
    /// the process that made the loop, [`LoopError::Poller`] if polling fails.
    pub fn start(&self) -> Result<(), LoopError> {
        let inner = &*self.inner;
        if RUNNING.get() {
            return Err(LoopError::AlreadyRunning);
        }
        if inner.commons.closed.get() {
            return Err(LoopError::Closed);
        }
        if inner.made_by != std::process::id() {
            return Err(LoopError::Forked { made_by: inner.made_by });
        }
        let _running = Running::enter(self);
        // Much time may have passed since the last turn, or since the loop was made.
        inner.read_time();
        inner.run()
    }

    /// Ends [`start`](Self::start) before it polls the next time; what this turn still has to run runs.
    pub fn stop(&self) {
        self.inner.stop.set(true);
    }

    /// Ends the loop: new work is refused; then tasks are cancelled and dropped, callbacks, timeouts and handlers dropped,
    /// in this order and until nothing new appears; streams let go of their descriptors; the poller's own are closed.
    ///
    /// Wakers and [`Remote`]s that live on, on any thread, are harmless. Closing twice is too. Dropping the last handle
    /// closes as well, but tasks and callbacks of the loop may hold handles themselves; the end of the thread closes its
    /// current loop whoever holds it.
    ///
    /// # Errors
    /// [`LoopError::AlreadyRunning`] while the loop runs: stop it first.
    pub fn close(&self) -> Result<(), LoopError> {
        if self.inner.running.get() {
            return Err(LoopError::AlreadyRunning);
        }
        self.inner.close();
        let is_me = |current: &mut IoLoop| Rc::ptr_eq(&current.inner, &self.inner);
        let me = CURRENT.try_with(|current| current.0.borrow_mut().take_if(is_me)).ok().flatten();
        drop(me);
        Ok(())
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.inner.commons.closed.get()
    }

    /// Calls `handler` with the descriptor and its events whenever it is ready for `events` or has an error.
    ///
    /// Level-triggered, as Tornado: a handler that leaves its source ready is called again in the next turn. That costs a
    /// system call after each run; streams use a [`Registration`](crate::Registration) instead. The descriptor stays the
    /// caller's, who keeps it open until [`remove_handler`](Self::remove_handler): a handler that owns its
    /// socket (moved into the closure) does that by itself.
    ///
    /// # Errors
    /// [`LoopError::HandlerExists`] when the descriptor has one already, [`LoopError::Poller`] when the system refuses it.
    pub fn add_handler(
        &self,
        fd: &impl AsFd,
        events: Events,
        handler: impl FnMut(RawFd, Events) + 'static,
    ) -> Result<(), LoopError> {
        if self.inner.commons.closed.get() {
            return Err(LoopError::Closed);
        }
        self.inner.reactor.add_handler(fd.as_fd().as_raw_fd(), events, Box::new(handler))
    }

    /// Replaces the set of events that a handler waits for.
    ///
    /// # Errors
    /// [`LoopError::NoHandler`] when the descriptor has none.
    pub fn update_handler(&self, fd: &impl AsRawFd, events: Events) -> Result<(), LoopError> {
        self.inner.reactor.update_handler(fd.as_raw_fd(), events)
    }

    /// Removes a descriptor's handler; events of it that were fetched already are dropped. No error if it had none. May be
    /// called by the handler itself. Call it before the descriptor is closed: afterwards its number may be somebody else's.
    pub fn remove_handler(&self, fd: &impl AsRawFd) {
        self.inner.reactor.remove_handler(fd.as_raw_fd());
    }

    /// Runs `callback` in the next turn; one added from inside a callback waits for the turn after. A panic in it is
    /// logged and costs it alone. On a closed loop it is dropped, as in Tornado.
    pub fn add_callback(&self, callback: impl FnOnce() + 'static) {
        if self.inner.commons.closed.get() {
            tracing::debug!("callback dropped: the event loop is closed");
            return;
        }
        self.inner.callbacks.borrow_mut().push_back(Box::new(callback));
    }

    /// Runs a future on this loop. It gets its first poll in the next round of tasks.
    ///
    /// A panic in it is logged and costs it alone. On a closed loop the future is dropped and the handle says
    /// [`JoinError::Cancelled`](crate::JoinError::Cancelled).
    ///
    /// ```
    /// use landspout_ioloop::IoLoop;
    ///
    /// let io_loop = IoLoop::current();
    /// let handle = io_loop.spawn(async { 6 * 7 });
    /// assert_eq!(io_loop.run_sync(handle).unwrap().unwrap(), 42);
    /// ```
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        task::spawn(&self.inner.commons, future)
    }

    /// As [`spawn`](Self::spawn), for a future whose end nobody waits for: it costs an allocation less.
    pub fn spawn_detached(&self, future: impl Future<Output = ()> + 'static) {
        let commons = &self.inner.commons;
        if commons.closed.get() {
            log_panic("while a task was dropped", || drop(future));
        } else {
            commons.tasks.spawn(Box::pin(future));
        }
    }

    /// Runs `callback` after `delay`, never earlier, in the resolution of a millisecond.
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> TimeoutHandle {
        self.call_at(self.later(delay), callback)
    }

    /// Runs `callback` at `when` on the clock of [`now`](Self::now); as soon as possible if that has passed. Those due in
    /// one turn run by time, then in the order they were added.
    #[doc(alias = "add_timeout")]
    pub fn call_at(&self, when: Instant, callback: impl FnOnce() + 'static) -> TimeoutHandle {
        TimeoutHandle(self.inner.commons.arm(self.inner.commons.nanos(when), Action::Call(Box::new(callback))))
    }

    /// Cancels a planned callback. Allowed after it ran, and from a callback that is due in the same turn.
    pub fn remove_timeout(&self, timeout: TimeoutHandle) {
        self.inner.commons.remove_timer(timeout.0);
    }

    /// The monotonic time of this turn, without a system call. Constant while one callback or task runs.
    #[inline]
    pub fn now(&self) -> Instant {
        self.inner.commons.now()
    }

    /// The time of day, by the loop's clock. Tornado's `IOLoop.time()`.
    #[doc(alias = "time")]
    pub fn wall_time(&self) -> SystemTime {
        self.inner.clock.wall()
    }

    /// The door for other threads.
    pub fn remote(&self) -> Remote {
        self.inner.remote.clone()
    }

    /// How many timeouts are planned, cancelled ones not counted.
    pub fn pending_timeouts(&self) -> usize {
        self.inner.commons.pending_timeouts()
    }

    /// Lends the loop's scratch buffer (64 KiB) for one read of unknown length.
    #[inline]
    pub fn with_scratch<T>(&self, f: impl FnOnce(&mut [u8]) -> T) -> T {
        self.inner.commons.buffers.with_scratch(f)
    }

    /// An empty buffer from the loop's free list. Give it back when it is empty again.
    #[inline]
    pub fn take_buffer(&self) -> Vec<u8> {
        self.inner.commons.buffers.take()
    }

    /// Gives a buffer back. One that grew past 8 KiB is freed.
    #[inline]
    pub fn give_buffer(&self, buffer: Vec<u8>) {
        self.inner.commons.buffers.give(buffer);
    }

    /// The time `delay` from now, read from the clock: a long callback before must not shorten the delay.
    pub(crate) fn later(&self, delay: Duration) -> Instant {
        let now = self.inner.clock.monotonic();
        // Past the range of `Instant` is as good as never: a century.
        now.checked_add(delay).unwrap_or_else(|| now + Duration::from_secs(3_153_600_000))
    }
}

impl fmt::Debug for IoLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoLoop")
            .field("number", &self.inner.number)
            .field("running", &self.inner.running.get())
            .field("closed", &self.inner.commons.closed.get())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn run(&self) -> Result<(), LoopError> {
        let commons = &*self.commons;
        let mut batch = Batch::default();
        loop {
            self.run_callbacks();
            commons.refill();
            commons.tasks.run(TASK_ROUNDS, || commons.refill());
            let mut time_is_fresh = false;
            if let Some(deadline) = commons.next_deadline() {
                self.read_time();
                time_is_fresh = commons.now() < deadline;
                if !time_is_fresh {
                    commons.run_timeouts(&mut batch);
                }
            }
            commons.flush();
            if self.stop.get() {
                return Ok(());
            }
            self.poll(time_is_fresh)?;
        }
    }

    /// Runs the callbacks that are queued now; those they add wait for the next turn.
    #[inline]
    fn run_callbacks(&self) {
        let count = self.callbacks.borrow().len();
        for _ in 0..count {
            let Some(callback) = self.callbacks.borrow_mut().pop_front() else { return };
            log_panic("in callback", callback);
        }
    }

    /// `time_is_fresh`: it was read, and nothing took time since.
    #[inline]
    fn poll(&self, time_is_fresh: bool) -> Result<(), LoopError> {
        let commons = &*self.commons;
        let busy = commons.tasks.has_ready() || !self.callbacks.borrow().is_empty() || commons.has_dirty();
        let mut deadline = None;
        let mut timeout = Some(Duration::ZERO);
        if !busy {
            deadline = commons.next_deadline();
            if deadline.is_some() && !time_is_fresh {
                // What took long must not be slept for as well.
                self.read_time();
            }
            timeout = self.clock.block_for(commons.now(), deadline);
        }
        let arrived = self.reactor.turn(timeout, &commons.tasks, || self.read_time())?;
        if arrived.events == 0 && !busy {
            self.clock.idled(deadline);
        }
        if arrived.from_other_threads {
            self.take_arrivals();
        }
        #[cfg(feature = "signal")]
        if arrived.signals {
            self.signals.run();
        }
        Ok(())
    }

    #[cold]
    fn take_arrivals(&self) {
        let Arrivals { callbacks, woken, stop } = self.remote.take();
        for callback in callbacks {
            self.callbacks.borrow_mut().push_back(callback);
        }
        for task in woken {
            self.commons.tasks.wake_from_remote(&task);
        }
        if stop {
            self.stop.set(true);
        }
    }

    #[inline]
    fn read_time(&self) {
        self.commons.set_now(self.clock.monotonic());
    }

    fn close(&self) {
        const DROPPED: &str = "while the loop closed";
        let commons = &*self.commons;
        if commons.closed.replace(true) {
            return;
        }
        loop {
            let mut any = commons.tasks.cancel_all();
            let callbacks = std::mem::take(&mut *self.callbacks.borrow_mut());
            any |= !callbacks.is_empty();
            for callback in callbacks {
                log_panic(DROPPED, || drop(callback));
            }
            let timers = commons.take_timers();
            any |= !timers.is_empty();
            for timer in timers {
                log_panic(DROPPED, || drop(timer));
            }
            any |= self.reactor.remove_all();
            let dirty = commons.take_dirty();
            any |= !dirty.is_empty();
            log_panic(DROPPED, || drop(dirty));
            #[cfg(feature = "signal")]
            log_panic(DROPPED, || self.signals.close());
            if !any {
                break;
            }
        }
        detach_from_thread(&self.commons);
        let arrivals = self.remote.close();
        log_panic(DROPPED, || drop(arrivals));
        #[cfg(feature = "executor")]
        log_panic(DROPPED, || drop(self.executor.replace(None)));
        self.reactor.close();
        OPEN_LOOPS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// Inside of `start`. Its drop puts things back, also when a clock panics.
struct Running<'a> {
    io_loop: &'a IoLoop,
    previous: Option<IoLoop>,
}

impl<'a> Running<'a> {
    fn enter(io_loop: &'a IoLoop) -> Self {
        let previous = CURRENT.with(|current| current.replace(Some(io_loop.clone())));
        RUNNING.set(true);
        io_loop.inner.running.set(true);
        Self { io_loop, previous }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.io_loop.inner.running.set(false);
        self.io_loop.inner.stop.set(false);
        RUNNING.set(false);
        let previous = self.previous.take().filter(|previous| !previous.is_closed());
        let me = CURRENT.with(|current| current.replace(previous));
        drop(me);
    }
}

//! The event loop of landspout: Tornado's `ioloop` on [mio](https://docs.rs/mio).
//!
//! One thread, one loop. [`IoLoop`] is reactor and executor at once: it watches descriptors, runs callbacks, timeouts and
//! futures, and none of them needs `Send` or a lock. A program scales out by more processes or more threads, each with a
//! loop of its own.
//!
//! ```
//! use landspout_ioloop::{IoLoop, sleep};
//! use std::time::Duration;
//!
//! let io_loop = IoLoop::current();
//! let answer = io_loop.run_sync(async {
//!     let background = IoLoop::current().spawn(async { 40 });
//!     sleep(Duration::from_millis(1)).await;
//!     background.await.unwrap() + 2
//! });
//! assert_eq!(answer, Ok(42));
//! ```
//!
//! # One turn
//! 1. The callbacks that are queued when the turn begins, in order. Those they add wait for the next turn.
//! 2. The tasks that are ready, and those that these wake, for a limited number of rounds.
//! 3. The timeouts that are due, by time, then in the order they were added.
//! 4. Streams that were written to flush, each once.
//! 5. If somebody called [`stop`](IoLoop::stop), the loop ends here.
//! 6. The poll. It waits until a descriptor is ready, the next timeout is due or another thread calls; not at all if
//!    there is work.
//! 7. Handlers of ready descriptors. One that an earlier handler of the batch removed does not run.
//!
//! A panic in any of them is caught there, logged by `tracing`, and costs it alone.
//!
//! # Two doors to the poller
//! [`add_handler`](IoLoop::add_handler) is Tornado's: level-triggered, a handler that leaves its source ready is called
//! again, and each run costs a system call for that. [`Registration`] is for streams and listeners: edge-triggered flags
//! and wakers, registered once for both directions; [deferred](Registration::deferred) ones not before somebody waits.
//!
//! # Time
//! The loop's [`Clock`] can be replaced, see [`ManualClock`]: no test needs to wait. Timers sit in a wheel with ticks of
//! a millisecond; arming and cancelling cost the same however many there are. The poll ends for due ones alone, with two
//! exceptions, once each: a [`Deadline`] that was moved to later, and a timer that was cancelled while it was the earliest of
//! more than 16 neighbours.
//!
//! # Threads
//! Everything of a loop is `!Send` but [`Remote`], by which other threads post callbacks. Wakers may be used anywhere. What
//! blocks goes to other threads by `run_in_executor` (feature `executor`), and its result comes back as a future.
//!
//! # The end of a loop
//! [`close`](IoLoop::close), the drop of the last handle, or the end of the thread whose current loop it is, cancels all
//! tasks, drops callbacks, timeouts and handlers, and closes every descriptor.
//!
//! # Differences from Tornado
//! - `add_callback` is for the loop's own thread; [`Remote`] is the thread-safe door, so that nothing else pays for a lock.
//! - `instance()` is [`current()`](IoLoop::current), as in Tornado since 5.0.
//! - `time()` is split in [`now`](IoLoop::now) (monotonic: timeouts don't jump with the time of day) and
//!   [`wall_time`](IoLoop::wall_time).
//! - `add_callback_from_signal` is `add_callback` (feature `signal`): a signal calls back on the loop (`add_signal_handler`),
//!   not in the middle of whatever was running. For other threads it is [`Remote::add_callback`].
//! - A callback is a closure without arguments or result: it captures what it needs. An async one goes to
//!   [`spawn_callback`](IoLoop::spawn_callback), which logs its failure, or to [`spawn`](IoLoop::spawn), which gives a handle.
//! - [`add_future`](IoLoop::add_future) passes the future's result to the callback, not the future.
//! - What Python raises through a future that nobody awaits is logged here when it happens: the panic of a task or of a job
//!   in an executor. A pool's thread ends with the pool and not with the process.
//! - A [`PeriodicCallback`] follows the monotonic time, too, so that no change of the clock shifts it. Its callback may end it by its
//!   result, and starting it again while an async call is under way makes no second series of calls.
//! - Handlers are closures that own what they need; `close(all_fds=True)` is what [`close`](IoLoop::close) always does for
//!   what they own.
//! - A timed-out [`with_timeout`] drops its future, where Tornado lets it run on.
//! - `start` in a forked child is refused, as in Tornado 4 and unlike 5 and later.
#![forbid(unsafe_code)]

mod buffers;
mod callback;
mod clock;
mod commons;
mod error;
mod events;
#[cfg(feature = "executor")]
mod executor;
mod ioloop;
mod panic;
mod periodic;
mod reactor;
mod registration;
mod remote;
mod run_sync;
#[cfg(feature = "signal")]
pub mod signal;
mod task;
#[cfg(feature = "executor")]
mod thread_pool;
mod timeout;
mod wheel;

pub use callback::CallbackResult;
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{JitterError, JoinError, LoopError, RunSyncError};
pub use events::Events;
#[cfg(feature = "executor")]
pub use executor::{Executor, ExecutorFuture, Job};
pub use ioloop::IoLoop;
pub use panic::{log_panic, panic_message, report_panic};
pub use periodic::{CallbackTime, PeriodicCallback};
pub use registration::{EventTarget, Ready, Registration};
pub use remote::Remote;
pub use task::JoinHandle;
#[cfg(feature = "executor")]
pub use thread_pool::ThreadPoolExecutor;
pub use timeout::{Deadline, Sleep, TimeoutError, TimeoutHandle, WithTimeout, sleep, with_timeout};

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

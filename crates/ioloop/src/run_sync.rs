//! `run_sync`: a loop that runs for the sake of one future.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::error::RunSyncError;
use crate::ioloop::{Inner, IoLoop};
use crate::panic::log_panic;

impl IoLoop {
    /// Runs the loop until `future` is done and gives its result. Other tasks run meanwhile, and wait afterwards.
    ///
    /// # Errors
    /// [`RunSyncError::Stopped`] when somebody stops the loop first, [`RunSyncError::Loop`] when it cannot run. The future
    /// was dropped then.
    ///
    /// # Panics
    /// When the future panics: its panic goes on here.
    pub fn run_sync<F>(&self, future: F) -> Result<F::Output, RunSyncError>
    where
        F: Future + 'static,
    {
        self.run_until(None, future)
    }

    /// [`run_sync`](Self::run_sync) with a limit.
    ///
    /// # Errors
    /// Also [`RunSyncError::Timeout`] when the limit has passed; the future was dropped then.
    ///
    /// # Panics
    /// When the future panics: its panic goes on here.
    pub fn run_sync_timeout<F>(&self, timeout: Duration, future: F) -> Result<F::Output, RunSyncError>
    where
        F: Future + 'static,
    {
        self.run_until(Some(timeout), future)
    }

    fn run_until<F>(&self, limit: Option<Duration>, future: F) -> Result<F::Output, RunSyncError>
    where
        F: Future + 'static,
    {
        let run = Rc::new(Run {
            future: Cell::new(Some(Box::pin(future))),
            result: Cell::new(None),
            timed_out: Cell::new(false),
            io_loop: Rc::downgrade(&self.inner),
        });
        let task = self.spawn({
            let run = run.clone();
            poll_fn(move |cx| run.poll(cx))
        });
        let timer = limit.map(|limit| {
            let run = run.clone();
            self.call_later(limit, move || {
                run.timed_out.set(true);
                run.stop();
            })
        });
        let started = self.start();
        if let Some(timer) = timer {
            self.remove_timeout(timer);
        }
        if let Some(result) = run.result.take() {
            return result.or_else(|payload| resume_unwind(payload));
        }
        task.abort();
        log_panic("while a cancelled future was dropped", || drop(run.future.take()));
        started.map_err(RunSyncError::Loop)?;
        match limit {
            Some(limit) if run.timed_out.get() => Err(RunSyncError::Timeout(limit)),
            _ => Err(RunSyncError::Stopped),
        }
    }
}

/// What the caller of `run_sync` and the task that it started share.
struct Run<F: Future> {
    /// Here and not in the task, so that the caller can drop it: an aborted task ends in the loop's next turn, which may
    /// never come.
    future: Cell<Option<Pin<Box<F>>>>,
    result: Cell<Option<std::thread::Result<F::Output>>>,
    timed_out: Cell<bool>,
    /// The task may be left in the loop: it must not keep it alive.
    io_loop: Weak<Inner>,
}

impl<F: Future> Run<F> {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut future) = self.future.take() else { return Poll::Ready(()) };
        let result = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => {
                self.future.set(Some(future));
                return Poll::Pending;
            }
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => Err(payload),
        };
        self.result.set(Some(result));
        self.stop();
        Poll::Ready(())
    }

    fn stop(&self) {
        if let Some(inner) = self.io_loop.upgrade() {
            IoLoop { inner }.stop();
        }
    }
}

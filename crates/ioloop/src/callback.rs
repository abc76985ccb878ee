//! Callbacks around futures: async ones, whose failure is logged, and ones that wait for a future.

use std::error::Error;
use std::future::Future;
use std::ops::ControlFlow;
use std::rc::Rc;

use crate::ioloop::IoLoop;

/// What an async callback may return: nothing, or a `Result` with any error, which is logged.
///
/// The callback of a [`PeriodicCallback`](crate::PeriodicCallback) may also say, by [`ControlFlow::Break`], that this was the
/// last time.
#[diagnostic::on_unimplemented(
    message = "a callback cannot return `{Self}`",
    note = "it returns `()`, a `ControlFlow<()>`, or one of them in a `Result`",
    note = "an async closure is for `PeriodicCallback::new_async` and `IoLoop::spawn_callback`"
)]
pub trait CallbackResult {
    /// Whether to go on, as a result.
    ///
    /// # Errors
    /// The callback's.
    fn into_result(self) -> Result<ControlFlow<()>, Box<dyn Error>>;
}

impl CallbackResult for () {
    fn into_result(self) -> Result<ControlFlow<()>, Box<dyn Error>> {
        Ok(ControlFlow::Continue(()))
    }
}

impl CallbackResult for ControlFlow<()> {
    fn into_result(self) -> Result<ControlFlow<()>, Box<dyn Error>> {
        Ok(self)
    }
}

impl<R: CallbackResult, E: Into<Box<dyn Error>>> CallbackResult for Result<R, E> {
    fn into_result(self) -> Result<ControlFlow<()>, Box<dyn Error>> {
        self.map_err(Into::into)?.into_result()
    }
}

/// Logs the failure of a callback, which doesn't keep it from being called again.
pub(crate) fn log_error(result: impl CallbackResult, context: &str) -> ControlFlow<()> {
    result.into_result().unwrap_or_else(|error| {
        tracing::error!("error {context}: {error}");
        ControlFlow::Continue(())
    })
}

impl IoLoop {
    /// Runs an async callback as a task that nobody awaits: its error is logged, and so is a panic. On a closed loop it is
    /// dropped.
    ///
    /// One that is not async goes to [`add_callback`](Self::add_callback). [`spawn`](Self::spawn) gives a handle for the
    /// result instead of logging it.
    ///
    /// ```
    /// use landspout_ioloop::IoLoop;
    ///
    /// let io_loop = IoLoop::current();
    /// io_loop.spawn_callback(async || {
    ///     IoLoop::current().stop();
    ///     "seven".parse::<u32>().map(drop) // logged: "error in callback: invalid digit found in string"
    /// });
    /// io_loop.start().unwrap();
    /// ```
    pub fn spawn_callback<R: CallbackResult>(&self, callback: impl AsyncFnOnce() -> R + 'static) {
        drop(self.spawn(async move {
            let _ = log_error(callback().await, "in callback");
        }));
    }

    /// Runs `callback` with the result of `future`, in the turn after the one in which it is done, never inline. Tornado's
    /// `add_future`.
    ///
    /// The future runs as a task of this loop. What wakes it may be on any thread, as for the future of
    #[cfg_attr(feature = "executor", doc = "[`run_in_executor`](Self::run_in_executor)")]
    #[cfg_attr(not(feature = "executor"), doc = "`run_in_executor`")]
    /// or the receiving end of a channel. If it panics, or the loop closes before it is done, `callback` is dropped; a
    /// [`JoinHandle`](crate::JoinHandle) is a future that gives both as errors.
    ///
    /// ```
    /// use landspout_ioloop::IoLoop;
    ///
    /// let io_loop = IoLoop::current();
    /// let task = io_loop.spawn(async { 42 });
    /// io_loop.add_future(task, |result| {
    ///     assert_eq!(result.unwrap(), 42);
    ///     IoLoop::current().stop();
    /// });
    /// io_loop.start().unwrap();
    /// ```
    pub fn add_future<F>(&self, future: F, callback: impl FnOnce(F::Output) + 'static)
    where
        F: Future + 'static,
    {
        // The loop owns the task.
        let inner = Rc::downgrade(&self.inner);
        drop(self.spawn(async move {
            let result = future.await;
            if let Some(inner) = inner.upgrade() {
                IoLoop { inner }.add_callback(move || callback(result));
            }
        }));
    }
}

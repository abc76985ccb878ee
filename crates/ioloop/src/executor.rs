//! Blocking work on other threads (feature `executor`): `run_in_executor`, and what runs the jobs.
//!
//! A job leaves its result in a slot that it shares with the future, and wakes who waits there; a task of a loop is woken
//! through the loop's `Remote`, as by any other thread. A job that is dropped unrun resolves its future, too, so that
//! nobody waits for ever, whatever the executor does.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::JoinError;
use crate::ioloop::IoLoop;
use crate::panic::{log_panic, report_panic};
use crate::thread_pool::ThreadPoolExecutor;

/// A piece of work for an [`Executor`]. It does not panic.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs on other threads, for [`run_in_executor`](IoLoop::run_in_executor): Python's `concurrent.futures.Executor`.
///
/// [`ThreadPoolExecutor`] is one, and so is any closure that takes a [`Job`]; thus every crate with a pool fits:
///
/// ```
/// use landspout_ioloop::{IoLoop, Job};
///
/// let io_loop = IoLoop::current();
/// let thread_for_each = |job: Job| {
///     std::thread::spawn(job);
/// };
/// let sum = io_loop.run_in_executor(Some(&thread_for_each), || (1..=100).sum::<u32>());
/// assert_eq!(io_loop.run_sync(sum).unwrap().unwrap(), 5050);
/// ```
pub trait Executor {
    /// Has `job` run once, on any thread and at any time. To refuse it is to drop it.
    fn execute(&self, job: Job);
}

impl<F: Fn(Job)> Executor for F {
    fn execute(&self, job: Job) {
        self(job);
    }
}

impl<E: Executor + ?Sized> Executor for Rc<E> {
    fn execute(&self, job: Job) {
        (**self).execute(job);
    }
}

impl<E: Executor + ?Sized> Executor for Arc<E> {
    fn execute(&self, job: Job) {
        (**self).execute(job);
    }
}

/// The executor for those who name none. Empty until it is set or needed.
#[derive(Default)]
pub(crate) struct DefaultExecutor(RefCell<Option<Rc<dyn Executor>>>);

impl DefaultExecutor {
    fn get(&self) -> Rc<dyn Executor> {
        self.0.borrow_mut().get_or_insert_with(|| Rc::new(ThreadPoolExecutor::default())).clone()
    }

    /// Puts another in its place; the old one is the caller's to drop.
    pub(crate) fn replace(&self, executor: Option<Rc<dyn Executor>>) -> Option<Rc<dyn Executor>> {
        self.0.replace(executor)
    }
}

impl IoLoop {
    /// Runs `func`, which may block, on a thread of `executor`, and gives its result on this loop. Tornado's
    /// `run_in_executor`.
    ///
    /// `None` is the loop's default executor: the one of [`set_default_executor`](Self::set_default_executor), otherwise a
    /// [`ThreadPoolExecutor`] with five threads for each CPU, which is made when it is first needed.
    ///
    /// The job is handed over by this call, not by the first poll of the future, and nothing takes it back: dropping the
    /// future, or closing the loop, loses the result and lets the job run. On a closed loop the job is dropped and the
    /// future says [`JoinError::Cancelled`], as it does when the executor drops the job. A panic in it is logged and
    /// becomes [`JoinError::Panicked`].
    ///
    /// ```
    /// use landspout_ioloop::IoLoop;
    ///
    /// let io_loop = IoLoop::current();
    /// let result = io_loop.run_sync(async {
    ///     IoLoop::current().run_in_executor(None, || std::fs::read_to_string("/no/such/file")).await
    /// });
    /// assert!(result.unwrap().unwrap().is_err());
    /// ```
    pub fn run_in_executor<T, F>(&self, executor: Option<&dyn Executor>, func: F) -> ExecutorFuture<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(Slot::Waiting(None)));
        let promise = Promise(Some(slot.clone()));
        let job = move || {
            let result = catch_unwind(AssertUnwindSafe(func)).map_err(|payload| {
                report_panic(&"in a job of an executor", &*payload);
                JoinError::Panicked(payload)
            });
            promise.resolve(result);
        };
        if self.is_closed() {
            drop(job);
        } else {
            match executor {
                Some(executor) => executor.execute(Box::new(job)),
                None => self.inner.executor.get().execute(Box::new(job)),
            }
        }
        ExecutorFuture { slot, _not_send: PhantomData }
    }

    /// What [`run_in_executor`](Self::run_in_executor) uses for `None` from now on. Without effect on a closed loop.
    pub fn set_default_executor(&self, executor: impl Executor + 'static) {
        let new: Rc<dyn Executor> = Rc::new(executor);
        if !self.is_closed() {
            let old = self.inner.executor.replace(Some(new));
            drop(old);
        }
    }
}

/// The result of a job that is still to come. See [`run_in_executor`](IoLoop::run_in_executor).
///
/// # Cancel safety
/// Dropping it loses nothing but the result: the job runs on.
#[must_use = "the result, a panic of the job included, is lost with this"]
pub struct ExecutorFuture<T> {
    slot: Arc<Mutex<Slot<T>>>,
    /// What belongs to a loop stays on its thread.
    _not_send: PhantomData<Rc<()>>,
}

impl<T> Future for ExecutorFuture<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A waker's clone and drop are foreign code: neither happens under the lock.
        let waker = cx.waker().clone();
        let before = lock(&self.slot).replace(Slot::Waiting(Some(waker)));
        match before {
            Slot::Waiting(_) => Poll::Pending,
            Slot::Done(result) => Poll::Ready(result),
        }
    }
}

impl<T> fmt::Debug for ExecutorFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finished = matches!(*lock(&self.slot), Slot::Done(_));
        f.debug_struct("ExecutorFuture").field("finished", &finished).finish()
    }
}

/// What a job and its future share.
enum Slot<T> {
    /// The waker of who awaits the result.
    Waiting(Option<Waker>),
    Done(Result<T, JoinError>),
}

impl<T> Slot<T> {
    fn replace(&mut self, new: Self) -> Self {
        std::mem::replace(self, new)
    }
}

/// The job's end of the slot. Dropped without a result, it says that the job was cancelled.
struct Promise<T>(Option<Arc<Mutex<Slot<T>>>>);

impl<T> Promise<T> {
    fn resolve(mut self, result: Result<T, JoinError>) {
        self.put(result);
    }

    fn put(&mut self, result: Result<T, JoinError>) {
        let Some(slot) = self.0.take() else { return };
        let before = lock(&slot).replace(Slot::Done(result));
        log_panic("in a waker", || {
            if let Slot::Waiting(Some(waker)) = before {
                waker.wake();
            }
        });
        // Nobody waits any more? Then the result ends here, and its destructor is no concern of the executor's.
        log_panic("while the result of a job was dropped", || drop(slot));
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.put(Err(JoinError::Cancelled));
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while the lock is held.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

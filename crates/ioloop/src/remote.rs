//! The one door by which other threads reach a loop.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::LoopError;
use crate::task::TaskWaker;

/// A handle of a loop for other threads: `Send`, `Sync`, cheap to clone, and harmless once the loop is gone.
///
/// Everything else of a loop stays on its thread. In Tornado, `IOLoop.add_callback` is itself the thread-safe method.
///
/// ```
/// use landspout_ioloop::IoLoop;
///
/// let io_loop = IoLoop::current();
/// let remote = io_loop.remote();
/// let worker = std::thread::spawn(move || {
///     remote.add_callback(|| IoLoop::current().stop()).unwrap();
/// });
/// io_loop.start().unwrap();
/// worker.join().unwrap();
/// ```
#[derive(Clone)]
pub struct Remote {
    shared: Arc<Shared>,
}

/// A callback that crosses threads.
pub(crate) type RemoteCallback = Box<dyn FnOnce() + Send>;

/// What came in since the loop looked.
#[derive(Default)]
pub(crate) struct Arrivals {
    pub(crate) callbacks: Vec<RemoteCallback>,
    /// Tasks of this loop.
    pub(crate) woken: Vec<Arc<TaskWaker>>,
    /// Somebody called `stop`. A callback could stop the wrong loop, should another be the current one by then.
    pub(crate) stop: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    /// A wake-up is under way: one system call serves all that is queued until the loop looks.
    notified: AtomicBool,
}

struct Queue {
    arrivals: Arrivals,
    /// `None` once the loop is closed. Held here, not in the loop, so that closing can free its descriptor while handles
    /// live on.
    waker: Option<mio::Waker>,
}

impl Remote {
    pub(crate) fn new(waker: mio::Waker) -> Self {
        let queue = Queue { arrivals: Arrivals::default(), waker: Some(waker) };
        let shared = Shared { queue: Mutex::new(queue), notified: AtomicBool::new(false) };
        Self { shared: Arc::new(shared) }
    }

    /// Runs `callback` on the loop's thread in one of its next turns.
    ///
    /// # Errors
    /// [`LoopError::Closed`] when the loop was closed; the callback is dropped. A loop that is closed later drops what
    /// did not run by then.
    #[doc(alias = "add_callback_from_signal")]
    pub fn add_callback(&self, callback: impl FnOnce() + Send + 'static) -> Result<(), LoopError> {
        self.post(|arrivals| arrivals.callbacks.push(Box::new(callback)))
    }

    /// Makes the loop stop after the turn in which it learns of it.
    ///
    /// # Errors
    /// [`LoopError::Closed`] when the loop was closed.
    pub fn stop(&self) -> Result<(), LoopError> {
        self.post(|arrivals| arrivals.stop = true)
    }

    /// Whether both mean the same loop.
    #[inline]
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Has the loop wake a task of its own. One that is closed has none any more.
    pub(crate) fn wake(&self, task: Arc<TaskWaker>) {
        let _ = self.post(|arrivals| arrivals.woken.push(task));
    }

    /// Takes what came in, and lets the next arrival wake the loop again.
    pub(crate) fn take(&self) -> Arrivals {
        let mut queue = self.lock();
        self.shared.notified.store(false, Ordering::Release);
        std::mem::take(&mut queue.arrivals)
    }

    /// Refuses everything from here on, frees the waker's descriptor, and hands out what is left to be dropped.
    pub(crate) fn close(&self) -> Arrivals {
        let waker = self.lock().waker.take();
        drop(waker);
        self.take()
    }

    fn post(&self, put: impl FnOnce(&mut Arrivals)) -> Result<(), LoopError> {
        let mut queue = self.lock();
        if queue.waker.is_none() {
            // What `put` holds is dropped after the lock: it is a parameter.
            return Err(LoopError::Closed);
        }
        put(&mut queue.arrivals);
        let woken = self.notify(&queue);
        drop(queue);
        log_failure(woken);
        Ok(())
    }

    fn notify(&self, queue: &Queue) -> io::Result<()> {
        match &queue.waker {
            Some(waker) if !self.shared.notified.swap(true, Ordering::AcqRel) => waker.wake(),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held; a poisoned queue would still be whole.
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called without the lock: whoever reads the log may use a `Remote`.
fn log_failure(woken: io::Result<()>) {
    if let Err(error) = woken {
        tracing::error!("cannot wake the event loop: {error}");
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("closed", &self.lock().waker.is_none()).finish()
    }
}

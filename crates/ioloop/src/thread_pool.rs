//! A bounded pool of threads (feature `executor`): the default executor of a loop.
//!
//! Threads start when jobs come and no thread is idle, and end when the last handle of the pool is gone and nothing is
//! queued. All state stands behind one mutex; no job and no destructor runs while it is held.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::executor::{Executor, Job};
use crate::panic::log_panic;

/// Tornado's own fallback pool has as many: the threads mostly wait, for a disk or a name server.
const WORKERS_PER_CPU: usize = 5;

/// An [`Executor`] with at most so many threads. Python's `concurrent.futures.ThreadPoolExecutor`.
///
/// This is a cheap handle, which any thread may use; clones mean the same pool. It starts threads when they are needed. Jobs
/// that find all of them busy wait in a queue without a bound and start in the order they came. When the last handle is dropped
/// the queued jobs still run, and then the threads end; nobody waits for them.
///
/// ```
/// use landspout_ioloop::{IoLoop, ThreadPoolExecutor};
///
/// let io_loop = IoLoop::current();
/// let pool = ThreadPoolExecutor::new(2);
/// let answer = io_loop.run_in_executor(Some(&pool), || 6 * 7);
/// assert_eq!(io_loop.run_sync(answer).unwrap().unwrap(), 42);
/// ```
#[derive(Clone)]
pub struct ThreadPoolExecutor {
    handle: Arc<Handle>,
}

/// Exists as long as anybody can submit jobs; the threads hold `Shared` alone.
struct Handle {
    shared: Arc<Shared>,
    max_workers: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified for each new job, and when the pool closes.
    news: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Threads that were started and did not end.
    workers: usize,
    /// Those of them that wait for `news`.
    idle: usize,
    closed: bool,
}

impl ThreadPoolExecutor {
    /// A pool of at most `max_workers` threads; 0 means five for each CPU, as in Tornado's default pool.
    pub fn new(max_workers: usize) -> Self {
        let max_workers = match max_workers {
            0 => WORKERS_PER_CPU * thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        Self { handle: Arc::new(Handle { shared: Arc::default(), max_workers }) }
    }

    /// How many threads there may be.
    pub fn max_workers(&self) -> usize {
        self.handle.max_workers
    }
}

impl Default for ThreadPoolExecutor {
    /// Five threads for each CPU.
    fn default() -> Self {
        Self::new(0)
    }
}

impl Executor for ThreadPoolExecutor {
    /// Queues the job. It is dropped, with a line in the log, if the pool has no thread and the system refuses one.
    fn execute(&self, job: Job) {
        let Handle { shared, max_workers } = &*self.handle;
        let mut state = shared.lock();
        state.queue.push_back(job);
        // A thread that was notified counts as idle until it took its job, which is queued until then.
        let start = state.queue.len() > state.idle && state.workers < *max_workers;
        state.workers += usize::from(start);
        drop(state);
        shared.news.notify_one();
        if start {
            self.start_worker();
        }
    }
}

impl ThreadPoolExecutor {
    fn start_worker(&self) {
        let shared = self.handle.shared.clone();
        let worker = thread::Builder::new().name("executor".into()).spawn(move || shared.work());
        let Err(error) = worker else { return };
        let mut state = self.handle.shared.lock();
        state.workers -= 1;
        // Other threads will come to the job. Without any nobody would, ever.
        let stranded = if state.workers == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        drop(state);
        tracing::error!("cannot start a thread for {} jobs: {error}", stranded.len().max(1));
        log_panic("while a job was dropped", || drop(stranded));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.news.notify_all();
    }
}

impl Shared {
    /// The life of a thread.
    fn work(&self) {
        while let Some(job) = self.next_job() {
            log_panic("in a job of an executor", job);
        }
    }

    /// Waits for a job; `None` ends the thread.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            if state.closed {
                state.workers -= 1;
                return None;
            }
            state.idle += 1;
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { workers, ref queue, .. } = *self.handle.shared.lock();
        f.debug_struct("ThreadPoolExecutor")
            .field("max_workers", &self.handle.max_workers)
            .field("workers", &workers)
            .field("queued", &queue.len())
            .finish()
    }
}

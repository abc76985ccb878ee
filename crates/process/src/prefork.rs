//! `fork_processes`: the checks before the first fork, and the way into the supervisor.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::process::ExitStatus;
use std::rc::Rc;

use crate::supervisor::{self, Plan};
use crate::{ForkError, cpu_count, task_id};

/// How often workers are replaced in all, unless told otherwise: Tornado's number.
pub const DEFAULT_MAX_RESTARTS: usize = 100;

/// Forks worker processes and keeps them alive: [`ForkOptions::fork_processes`] with the defaults.
///
/// `num_processes` is the number of workers; `None` or 0 means one per CPU. Returns in each worker, with its id.
///
/// # Errors
/// See [`ForkOptions::fork_processes`].
pub fn fork_processes(num_processes: impl Into<Option<usize>>) -> Result<usize, ForkError> {
    ForkOptions::new().fork_processes(num_processes)
}

/// What [`fork_processes`] takes beyond the number of workers.
///
/// ```no_run
/// let id = landspout_process::ForkOptions::new().max_restarts(10).fork_processes(4)?;
/// # Ok::<(), landspout_process::ForkError>(())
/// ```
#[derive(Clone)]
pub struct ForkOptions {
    max_restarts: usize,
    on_worker: Option<OnWorker>,
}

/// A callback of the parent's.
pub(crate) type OnWorker = Rc<RefCell<dyn FnMut(WorkerEvent)>>;

/// What the parent tells of a worker, see [`ForkOptions::on_worker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// It was forked: one of the first, or in the place of one that died.
    #[non_exhaustive]
    Started {
        /// Its id, which [`task_id`] gives in the worker.
        task_id: usize,
        /// Its process. It is this worker's until it is said to have ended.
        pid: u32,
    },
    /// It has ended.
    #[non_exhaustive]
    Ended {
        /// Its id.
        task_id: usize,
        /// What its process was.
        pid: u32,
        /// How it ended; `None` if somebody else waited for it.
        status: Option<ExitStatus>,
        /// Whether another one will be started in its place.
        replaced: bool,
    },
}

thread_local! {
    /// This process waits for workers, further up on the stack.
    static SUPERVISING: Cell<bool> = const { Cell::new(false) };
}

impl Default for ForkOptions {
    fn default() -> ForkOptions {
        ForkOptions::new()
    }
}

impl ForkOptions {
    /// [`DEFAULT_MAX_RESTARTS`].
    pub const fn new() -> ForkOptions {
        ForkOptions { max_restarts: DEFAULT_MAX_RESTARTS, on_worker: None }
    }

    /// How many workers that died may be replaced, all together, over the whole life of the parent.
    pub const fn max_restarts(mut self, restarts: usize) -> ForkOptions {
        self.max_restarts = restarts;
        self
    }

    /// Has the parent call `callback` whenever a worker was started or has ended: to write pids to a file, to count
    /// restarts, to tell a monitor, to clean up what a dead worker left behind. A second call replaces the callback.
    ///
    /// It runs in the parent, between two waits for a signal, so it should be short: nobody is replaced or stopped meanwhile.
    /// The signals that the parent waits for are blocked. It must make neither a thread that lasts nor an event loop, or
    /// the next fork is refused as the first one would be. A panic in it is logged and costs nothing else. Each worker
    /// drops its copy of the callback with the options: what the callback owns must not clean up when it is dropped.
    ///
    /// ```no_run
    /// use landspout_process::{ForkOptions, WorkerEvent};
    ///
    /// let options = ForkOptions::new().on_worker(|event| match event {
    ///     WorkerEvent::Started { task_id, pid, .. } => println!("worker {task_id} is process {pid}"),
    ///     WorkerEvent::Ended { task_id, pid, status, .. } => println!("worker {task_id}, process {pid}: {status:?}"),
    ///     _ => {}
    /// });
    /// let id = options.fork_processes(4)?;
    /// # Ok::<(), landspout_process::ForkError>(())
    /// ```
    pub fn on_worker(mut self, callback: impl FnMut(WorkerEvent) + 'static) -> ForkOptions {
        self.on_worker = Some(Rc::new(RefCell::new(callback)));
        self
    }

    /// Forks `num_processes` workers (`None` or 0: one per CPU) and returns the worker's id, counted from 0, in each.
    ///
    /// **The parent never returns `Ok`**: it waits, replaces workers that died, passes signals on, and when all workers have
    /// ended cleanly, or after a signal to stop, it calls [`std::process::exit`] with status 0. Nothing that it holds is
    /// dropped then. The crate's documentation has the rules for signals and restarts.
    ///
    /// What std buffers for standard output is written before each fork, or it would come out of every worker.
    ///
    /// Tornado's `fork_processes(num_processes, max_restarts)`.
    ///
    /// # Errors
    /// Before the first fork: [`ForkError::LoopExists`], [`ForkError::ThreadsRunning`] (Linux only),
    /// [`ForkError::AlreadyForked`], [`ForkError::Supervising`]. In the parent, when all workers have ended: [`ForkError::TooManyRestarts`],
    /// [`ForkError::System`]. After one of the latter the call may be made again.
    pub fn fork_processes(&self, num_processes: impl Into<Option<usize>>) -> Result<usize, ForkError> {
        if let Some(task_id) = task_id() {
            return Err(ForkError::AlreadyForked { task_id });
        }
        if SUPERVISING.get() {
            return Err(ForkError::Supervising);
        }
        let one_thread = supervisor::may_fork()?;
        let workers = num_processes.into().filter(|&count| count > 0).unwrap_or_else(cpu_count);
        SUPERVISING.set(true);
        let plan = Plan { workers, max_restarts: self.max_restarts, on_worker: self.on_worker.clone() };
        let result = supervisor::run(one_thread, plan);
        SUPERVISING.set(false);
        result
    }
}

impl fmt::Debug for ForkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = f.debug_struct("ForkOptions");
        options.field("max_restarts", &self.max_restarts).field("on_worker", &self.on_worker.is_some()).finish()
    }
}

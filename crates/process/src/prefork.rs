//! `fork_processes`: the checks before the first fork, and the way into the supervisor.

use landspout_ioloop::IoLoop;

use crate::fork::OneThread;
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
#[derive(Clone, Debug)]
pub struct ForkOptions {
    max_restarts: usize,
}

impl Default for ForkOptions {
    fn default() -> ForkOptions {
        ForkOptions::new()
    }
}

impl ForkOptions {
    /// [`DEFAULT_MAX_RESTARTS`].
    pub const fn new() -> ForkOptions {
        ForkOptions { max_restarts: DEFAULT_MAX_RESTARTS }
    }

    /// How many workers that died may be replaced, all together, over the whole life of the parent.
    pub const fn max_restarts(mut self, restarts: usize) -> ForkOptions {
        self.max_restarts = restarts;
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
    /// [`ForkError::AlreadyForked`]. In the parent, when all workers have ended: [`ForkError::TooManyRestarts`],
    /// [`ForkError::System`]. After one of the latter the call may be made again.
    pub fn fork_processes(&self, num_processes: impl Into<Option<usize>>) -> Result<usize, ForkError> {
        if let Some(task_id) = task_id() {
            return Err(ForkError::AlreadyForked { task_id });
        }
        if IoLoop::exists_in_process() {
            return Err(ForkError::LoopExists);
        }
        let one_thread = OneThread::check().map_err(|count| ForkError::ThreadsRunning { count })?;
        let workers = num_processes.into().filter(|&count| count > 0).unwrap_or_else(cpu_count);
        supervisor::run(one_thread, &Plan { workers, max_restarts: self.max_restarts })
    }
}

//! Why a process did not become a parent of workers, or ceased to be one.

use std::error::Error;
use std::fmt;
use std::io;

/// What [`fork_processes`](crate::fork_processes) reports. When it returns one, no worker is left.
///
/// Comparable: two causes count as equal when their error number is.
#[derive(Debug)]
#[non_exhaustive]
pub enum ForkError {
    /// An event loop exists in this process: make it after the fork, in each worker.
    LoopExists,
    /// This process has other threads. A child would have none of them, but all the locks they hold.
    ThreadsRunning {
        /// All threads, the calling one included.
        count: usize,
    },
    /// This process is a worker already.
    AlreadyForked {
        /// Its id.
        task_id: usize,
    },
    /// This process waits for workers already: the call came from its [`on_worker`](crate::ForkOptions::on_worker).
    Supervising,
    /// More workers died than [`max_restarts`](crate::ForkOptions::max_restarts) allows; the others were stopped.
    TooManyRestarts {
        /// The number allowed.
        max_restarts: usize,
    },
    /// A system call failed; workers that ran already were stopped.
    System {
        /// Which call.
        call: &'static str,
        /// What the system said, e.g. `EAGAIN` at the limit of processes.
        source: io::Error,
    },
}

impl fmt::Display for ForkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForkError::LoopExists => f.write_str("cannot fork: an event loop exists in this process"),
            ForkError::ThreadsRunning { count } => write!(f, "cannot fork: this process has {count} threads"),
            ForkError::AlreadyForked { task_id } => write!(f, "cannot fork: this process is worker {task_id} already"),
            ForkError::Supervising => f.write_str("cannot fork: this process waits for workers already"),
            ForkError::TooManyRestarts { max_restarts } => {
                write!(f, "workers died more than {max_restarts} times")
            }
            ForkError::System { call, .. } => write!(f, "{call} failed"),
        }
    }
}

impl Error for ForkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ForkError::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl PartialEq for ForkError {
    fn eq(&self, other: &ForkError) -> bool {
        use ForkError::{AlreadyForked, LoopExists, Supervising, System, ThreadsRunning, TooManyRestarts};
        match (self, other) {
            (LoopExists, LoopExists) | (Supervising, Supervising) => true,
            (ThreadsRunning { count: a }, ThreadsRunning { count: b }) => a == b,
            (AlreadyForked { task_id: a }, AlreadyForked { task_id: b }) => a == b,
            (TooManyRestarts { max_restarts: a }, TooManyRestarts { max_restarts: b }) => a == b,
            (System { call: a, source: s }, System { call: b, source: t }) => {
                a == b && s.raw_os_error() == t.raw_os_error()
            }
            _ => false,
        }
    }
}

impl ForkError {
    pub(crate) fn system(call: &'static str, source: io::Error) -> ForkError {
        ForkError::System { call, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_in_the_way_and_hides_the_cause_behind_source() {
        assert_eq!(ForkError::ThreadsRunning { count: 2 }.to_string(), "cannot fork: this process has 2 threads");
        let error = ForkError::system("fork", io::Error::from_raw_os_error(libc::EAGAIN));
        assert_eq!(error.to_string(), "fork failed");
        assert!(error.source().unwrap().to_string().contains("unavailable"));
        assert_eq!(error, ForkError::system("fork", io::Error::from_raw_os_error(libc::EAGAIN)));
        assert_ne!(error, ForkError::system("fork", io::Error::from_raw_os_error(libc::ENOMEM)));
    }
}

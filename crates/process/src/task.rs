//! Who am I, and how many of us make sense?

use std::sync::OnceLock;
use std::thread;

/// Set once, in a worker, before `fork_processes` returns there.
static TASK_ID: OnceLock<usize> = OnceLock::new();

/// The id of this worker, counted from 0; `None` in a process that `fork_processes` did not make.
///
/// A worker that takes the place of one that died has its id.
pub fn task_id() -> Option<usize> {
    TASK_ID.get().copied()
}

pub(crate) fn set_task_id(id: usize) {
    TASK_ID.set(id).expect("a worker does not fork workers");
}

/// How many CPUs this process may use; 1 if the system doesn't tell.
pub fn cpu_count() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_that_did_not_fork_is_nobodys_worker() {
        assert_eq!(super::task_id(), None);
    }

    #[test]
    fn there_is_a_cpu() {
        assert!(super::cpu_count() >= 1);
    }
}

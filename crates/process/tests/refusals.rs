//! When forking is refused.

mod driver;

use driver::start;
use landspout_process::{ForkError, fork_processes, task_id};

#[test]
fn a_loop_in_the_process() {
    let outcome = start(&["2", "0", "loop"]).finish();
    assert_eq!(outcome.status.code(), Some(3));
    assert_eq!(outcome.stdout, "before the fork;error: cannot fork: an event loop exists in this process\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_thread() {
    let outcome = start(&["2", "0", "thread"]).finish();
    assert_eq!(outcome.status.code(), Some(3));
    assert_eq!(outcome.stdout, "before the fork;error: cannot fork: this process has 2 threads\n");

    // This test has the harness beside it.
    assert!(matches!(fork_processes(1), Err(ForkError::ThreadsRunning { count: 2.. })));
    assert_eq!(task_id(), None);
}

#[test]
fn a_second_call_in_a_worker() {
    let parent = start(&["2", "0"]);
    for mut worker in parent.workers(2) {
        assert_eq!(worker.ask("again"), format!("cannot fork: this process is worker {} already", worker.id));
        worker.end("exit 0");
    }
    assert_eq!(parent.finish().status.code(), Some(0));
}

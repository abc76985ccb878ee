//! What the parent is told of its workers, and what it must not make of that.

mod driver;

use driver::{Outcome, start};
use nix::sys::signal::Signal;

/// The events, without the parent's pid, which each must have.
fn events(outcome: &Outcome, parent: i32) -> Vec<&str> {
    let parent = format!("{parent} ");
    outcome.log("EVENT").into_iter().map(|event| event.strip_prefix(&parent).unwrap_or(event)).collect()
}

#[test]
fn the_parent_is_told_of_each_start_and_each_end() {
    let parent = start(&["2", "5", "events"]);
    let pid = parent.pid();
    let mut workers = parent.workers(2);
    let mut expected: Vec<String> =
        workers.iter().map(|worker| format!("started {} {}", worker.id, worker.pid)).collect();
    for (order, status) in [("exit 3", "exit status: 3"), ("raise 9", "signal: 9 (SIGKILL)")] {
        let worker = workers.remove(0);
        expected.push(format!("ended {} {} {status}, replaced: true", worker.id, worker.pid));
        worker.end(order);
        let replacement = parent.worker();
        expected.push(format!("started {} {}", replacement.id, replacement.pid));
        workers.push(replacement);
    }
    let (stopped, ended) = (workers.pop().unwrap(), workers.pop().unwrap());
    let mut last = [
        format!("ended {} {} exit status: 0, replaced: false", ended.id, ended.pid),
        format!("ended {} {} signal: 15 (SIGTERM), replaced: false", stopped.id, stopped.pid),
    ];
    ended.end("exit 0");
    parent.signal(Signal::SIGTERM);
    stopped.ended();
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(0));
    // The parent may notice these two in either order.
    let mut told = events(&outcome, pid);
    told[expected.len()..].sort_unstable();
    last.sort_unstable();
    expected.extend(last);
    assert_eq!(told, expected);
}

#[test]
fn the_end_of_all_after_too_many_restarts_is_told_too() {
    let parent = start(&["2", "0", "events"]);
    let pid = parent.pid();
    let mut workers = parent.workers(2);
    let (other, failing) = (workers.pop().unwrap(), workers.pop().unwrap());
    let expected = [
        format!("started {} {}", failing.id, failing.pid),
        format!("started {} {}", other.id, other.pid),
        format!("ended {} {} exit status: 1, replaced: false", failing.id, failing.pid),
        format!("ended {} {} signal: 15 (SIGTERM), replaced: false", other.id, other.pid),
    ];
    failing.end("exit 1");
    other.ended();
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(3));
    assert_eq!(events(&outcome, pid), expected);
}

#[test]
fn a_panic_of_the_callback_is_logged_and_the_worker_replaced() {
    let parent = start(&["1", "5", "events-panic"]);
    parent.worker().end("exit 1");
    let replacement = parent.worker();
    parent.signal(Signal::SIGTERM);
    replacement.ended();
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(0));
    assert_eq!(outcome.log("ERROR"), ["panic in on_worker: told of an end"; 2], "{}", outcome.stderr);
}

/// A fork would copy the locks that the other thread holds, or share the loop's poller.
#[test]
fn what_the_callback_leaves_behind_keeps_the_next_fork_from_happening() {
    let cases = [
        ("events-loop", "cannot fork: an event loop exists in this process"),
        #[cfg(target_os = "linux")]
        ("events-thread", "cannot fork: this process has 2 threads"),
    ];
    for (word, reason) in cases {
        let parent = start(&["2", "3", word]);
        let mut workers = parent.workers(2);
        let (other, failing) = (workers.pop().unwrap(), workers.pop().unwrap());
        failing.end("exit 1");
        other.ended();
        let outcome = parent.finish();
        assert_eq!(outcome.status.code(), Some(3), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, format!("before the fork;error: {reason}\n"));
        // The death, and two of three attempts that could not replace it.
        let attempts = outcome.log("WARN").iter().filter(|line| line.contains(reason)).count();
        assert_eq!(attempts, 3, "{}", outcome.stderr);
    }
}

#[test]
fn a_fork_from_the_callback_is_refused() {
    let parent = start(&["1", "0", "events-fork"]);
    parent.worker().end("exit 0");
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(0));
    assert!(outcome.log("EVENT").contains(&"Err(Supervising)"), "{}", outcome.stderr);
}

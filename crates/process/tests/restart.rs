//! Who is started, who is replaced, and when it is enough.

mod driver;

use driver::start;

#[test]
fn each_worker_has_an_id_and_the_parent_ends_with_the_last() {
    let parent = start(&["3", "0"]);
    let mut workers = parent.workers(3);
    for (id, worker) in workers.iter_mut().enumerate() {
        assert_eq!(worker.ask("id"), format!("Some({id})"));
        assert_ne!(worker.pid, parent.pid());
    }
    for worker in workers {
        worker.end("exit 0");
    }
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(0));
    assert_eq!(outcome.stdout, "before the fork;");
    assert!(outcome.log("INFO").contains(&"starting worker processes workers=3"), "{}", outcome.stderr);
    assert!(outcome.log("WARN").is_empty(), "{}", outcome.stderr);
}

#[test]
fn no_number_means_one_worker_per_cpu() {
    let parent = start(&["0", "0"]);
    for worker in parent.workers(landspout_process::cpu_count()) {
        worker.end("exit 0");
    }
    assert_eq!(parent.finish().status.code(), Some(0));
}

#[test]
fn a_worker_that_failed_is_replaced_under_its_id_and_one_that_ended_is_not() {
    let parent = start(&["3", "3"]);
    let mut workers = parent.workers(3);

    let clean = workers.remove(1);
    clean.end("exit 0");

    for status in [2, 3] {
        let failing = workers.remove(0);
        let (id, pid) = (failing.id, failing.pid);
        failing.end(&format!("exit {status}"));
        // Nobody but the replacement connects.
        let mut replacement = parent.worker();
        assert_eq!(replacement.id, id);
        assert_ne!(replacement.pid, pid);
        assert_eq!(replacement.ask("id"), format!("Some({id})"));
        workers.push(replacement);
    }
    // A worker that had to be replaced twice.
    let again = workers.remove(0);
    let id = again.id;
    again.end("exit 1");
    let replacement = parent.worker();
    assert_eq!(replacement.id, id);
    workers.push(replacement);

    for worker in workers {
        worker.end("exit 0");
    }
    assert_eq!(parent.finish().status.code(), Some(0));
}

#[test]
fn a_worker_killed_by_a_signal_is_replaced_and_the_log_says_so() {
    let parent = start(&["2", "100"]);
    let mut workers = parent.workers(2);
    let mut expected = Vec::new();
    for (number, name) in [(9, "SIGKILL"), (11, "SIGSEGV"), (15, "SIGTERM")] {
        let victim = workers.remove(0);
        let (id, pid) = (victim.id, victim.pid);
        victim.end(&format!("raise {number}"));
        expected.push(format!("worker was killed id={id} pid={pid} signal=\"{name}\""));
        let replacement = parent.worker();
        assert_eq!(replacement.id, id);
        workers.push(replacement);
    }
    let failing = workers.remove(0);
    expected.push(format!("worker failed id={} pid={} status=7", failing.id, failing.pid));
    failing.end("exit 7");
    workers.push(parent.worker());

    for worker in workers {
        worker.end("exit 0");
    }
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(0));
    assert_eq!(outcome.log("WARN"), expected);
}

#[test]
fn too_many_restarts_end_everything_with_an_error() {
    let parent = start(&["2", "2"]);
    let mut workers = parent.workers(2);
    let bystander = workers.pop().unwrap();
    let mut failing = workers.pop().unwrap();
    for _ in 0..2 {
        failing.end("exit 1");
        failing = parent.worker();
        assert_eq!(failing.id, 0);
    }
    failing.end("exit 1");
    // Told to stop: nobody gave it an order.
    bystander.ended();
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(3));
    assert_eq!(outcome.stdout, "before the fork;error: workers died more than 2 times\n");
    assert_eq!(outcome.log("ERROR"), ["giving up: workers died more than 2 times workers=1"]);
}

#[test]
fn no_restart_can_be_allowed() {
    let parent = start(&["1", "0"]);
    parent.worker().end("exit 1");
    assert_eq!(parent.finish().status.code(), Some(3));
}

/// Each death follows the last at once: the delays must not add up to a standstill, nor stop the counting.
#[test]
fn a_storm_of_deaths_is_counted_to_its_end() {
    let parent = start(&["1", "8"]);
    for _ in 0..9 {
        parent.worker().end("raise 9");
    }
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(3));
    assert_eq!(outcome.log("WARN").len(), 9);
}

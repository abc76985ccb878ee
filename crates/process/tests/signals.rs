//! What signals do to the parent and its workers, and what the workers inherit.
#![cfg(target_os = "linux")]

mod driver;

use std::process::Command;

use driver::{bit, example, mask, start, start_command};
use nix::sys::signal::Signal::{self, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM};
use nix::sys::signal::kill;
use nix::unistd::Pid;

#[test]
fn a_signal_to_the_parent_ends_all_with_status_0() {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        let parent = start(&["3", "100"]);
        let workers = parent.workers(3);
        parent.signal(signal);
        for worker in workers {
            worker.ended();
        }
        let outcome = parent.finish();
        assert_eq!(outcome.status.code(), Some(0), "{signal}: {}", outcome.stderr);
        // None was replaced or missed.
        assert!(outcome.log("WARN").is_empty(), "{}", outcome.stderr);
    }
}

#[test]
fn workers_get_the_same_signal_and_may_take_their_time() {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        let parent = start(&["2", "100"]);
        let mut workers = parent.workers(2);
        for worker in &mut workers {
            assert_eq!(worker.ask("wait"), "waiting");
        }
        parent.signal(signal);
        for worker in &mut workers {
            assert_eq!(worker.answer(), signal.as_str());
            // Still there, after the parent has sent the signal: it waits.
            assert_eq!(worker.ask("id"), format!("Some({})", worker.id));
        }
        for worker in workers {
            // Whatever the status, it is not replaced now.
            worker.end("exit 5");
        }
        assert_eq!(parent.finish().status.code(), Some(0));
    }
}

#[test]
fn a_second_signal_kills() {
    let parent = start(&["2", "100"]);
    let mut workers = parent.workers(2);
    for worker in &mut workers {
        worker.ask("wait");
    }
    parent.signal(SIGTERM);
    for worker in &mut workers {
        assert_eq!(worker.answer(), "SIGTERM");
        // From here on it would ignore the next, too.
        worker.ask("wait");
    }
    parent.signal(SIGINT);
    for worker in workers {
        worker.ended();
    }
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.log("WARN"), ["second signal to stop: killing the workers signal=\"SIGINT\""]);
}

#[test]
fn workers_end_when_their_parent_is_killed() {
    let parent = start(&["3", "100"]);
    let mut workers = parent.workers(3);
    // A replacement has the same contract.
    workers.remove(0).end("exit 1");
    workers.push(parent.worker());
    parent.signal(SIGKILL);
    for worker in workers {
        worker.ended();
    }
    assert_eq!(parent.finish().status.code(), None);
}

#[test]
fn the_signal_at_the_parents_death_is_sigterm() {
    let parent = start(&["1", "100"]);
    let mut worker = parent.worker();
    worker.ask("wait");
    parent.signal(SIGKILL);
    assert_eq!(worker.answer(), "SIGTERM");
    worker.end("exit 0");
    parent.finish();
}

#[test]
fn workers_inherit_mask_and_actions_of_before() {
    let parent = start_command(Command::new(example()).args(["1", "100"]));
    let first = parent.worker();
    let me = std::process::id().try_into().unwrap();
    let stops = [SIGTERM, SIGINT, SIGHUP, SIGCHLD].map(bit).iter().sum::<u64>();
    // No handlers: it waits. (While it does, /proc shows what it waits for as not blocked.)
    assert_eq!(mask(parent.pid(), "SigCgt") & stops, 0);
    first.end("exit 1");
    let replacement = parent.worker();
    for name in ["SigBlk", "SigIgn"] {
        assert_eq!(replacement.mask(name) & stops, mask(me, name) & stops, "{name}");
    }
    replacement.end("exit 0");
    parent.finish();
}

#[test]
fn a_signal_ignored_from_the_start_stays_ignored() {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" 1 100"]).arg(example());
    let parent = start_command(&mut shell);
    let worker = parent.worker();
    assert_ne!(worker.mask("SigIgn") & bit(SIGHUP), 0);
    parent.signal(SIGHUP);
    // Would the parent stop now, it would not replace this one. It takes SIGHUP, number 1, before SIGCHLD.
    worker.end("exit 1");
    let replacement = parent.worker();
    parent.signal(SIGTERM);
    replacement.ended();
    assert_eq!(parent.finish().status.code(), Some(0));
}

#[test]
fn ignored_child_signals_cost_no_exit_status() {
    // The kernel would reap the workers itself: a clean exit would look like a death. A shell cannot set that up, POSIX
    // has it reset SIGCHLD.
    let env = |arguments: &[&str]| {
        let mut env = Command::new("env");
        env.arg("--ignore-signal=CHLD").args(arguments);
        env
    };
    if !env(&["true"]).output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: needs env of GNU coreutils 8.31");
        return;
    }
    let parent = start_command(&mut env(&[example().to_str().unwrap(), "2", "100"]));
    let workers = parent.workers(2);
    for worker in &workers {
        assert_ne!(worker.mask("SigIgn") & bit(SIGCHLD), 0, "restored in the worker");
    }
    for worker in workers {
        worker.end("exit 0");
    }
    let outcome = parent.finish();
    assert_eq!(outcome.status.code(), Some(0));
    assert!(outcome.log("WARN").is_empty(), "{}", outcome.stderr);
}

#[test]
fn a_worker_killed_from_outside_is_replaced() {
    let parent = start(&["2", "100"]);
    let mut workers = parent.workers(2);
    for signal in [SIGKILL, Signal::SIGSEGV] {
        let victim = workers.remove(0);
        let id = victim.id;
        kill(Pid::from_raw(victim.pid), signal).unwrap();
        victim.ended();
        let replacement = parent.worker();
        assert_eq!(replacement.id, id);
        workers.push(replacement);
    }
    parent.signal(SIGTERM);
    for worker in workers {
        worker.ended();
    }
    assert_eq!(parent.finish().status.code(), Some(0));
}

#[test]
fn a_stack_overflow_is_still_reported() {
    let parent = start(&["1", "100"]);
    parent.worker().end("overflow");
    parent.worker().end("exit 0");
    let outcome = parent.finish();
    assert!(outcome.stderr.contains("has overflowed its stack"), "{}", outcome.stderr);
    assert!(outcome.log("WARN")[0].contains("SIGABRT"), "{}", outcome.stderr);
}

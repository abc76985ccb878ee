//! Signals as callbacks of the loop. Each test has a signal of its own, since they belong to the process.
#![cfg(feature = "signal")]

mod common;

use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Barrier};

use common::*;
use landspout_ioloop::{IoLoop, LoopError};

const SIGHUP: i32 = 1;
const SIGQUIT: i32 = 3;
const SIGKILL: i32 = 9;
const SIGUSR1: i32 = 10;
const SIGUSR2: i32 = 12;
const SIGALRM: i32 = 14;
const SIGTERM: i32 = 15;
const SIGWINCH: i32 = 28;

/// Sends this process a signal, and returns once it was sent.
fn raise(name: &str) {
    let status = Command::new("kill").args(["-s", name, &std::process::id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_signal_runs_its_callback_on_the_loop_each_time() {
    let io_loop = IoLoop::new().unwrap();
    let count = Rc::new(Cell::new(0));
    io_loop
        .add_signal_handler(SIGTERM, {
            let count = count.clone();
            move || {
                count.set(count.get() + 1);
                IoLoop::current().stop();
            }
        })
        .unwrap();
    for round in 1..=3 {
        raise("TERM");
        run_until_stopped(&io_loop);
        assert_eq!(count.get(), round);
    }
}

#[test]
fn a_blocked_loop_is_woken_by_a_signal() {
    let io_loop = IoLoop::new().unwrap();
    io_loop.add_signal_handler(SIGUSR1, || IoLoop::current().stop()).unwrap();
    // Sent from the loop's first turn by another thread, most likely while the loop blocks.
    let worker = Rc::new(Cell::new(None));
    io_loop.add_callback({
        let worker = worker.clone();
        move || worker.set(Some(std::thread::spawn(|| raise("USR1"))))
    });
    run_until_stopped(&io_loop);
    worker.take().unwrap().join().unwrap();
}

#[test]
fn a_second_call_replaces_the_callback() {
    let io_loop = IoLoop::new().unwrap();
    let owned = Rc::new(());
    let captured = owned.clone();
    io_loop
        .add_signal_handler(SIGUSR2, move || {
            let _ = &captured;
            panic!("was replaced");
        })
        .unwrap();
    io_loop.add_signal_handler(SIGUSR2, || IoLoop::current().stop()).unwrap();
    assert_eq!(Rc::strong_count(&owned), 1);
    raise("USR2");
    let ((), lines) = logged(|| run_until_stopped(&io_loop));
    assert_eq!(lines, [""; 0]);
}

#[test]
fn a_callback_replaces_itself_while_it_runs() {
    let io_loop = IoLoop::new().unwrap();
    let trace = Trace::default();
    io_loop
        .add_signal_handler(SIGHUP, {
            let trace = trace.clone();
            move || {
                trace.push("first");
                let trace = trace.clone();
                let second = move || {
                    trace.push("second");
                    IoLoop::current().stop();
                };
                IoLoop::current().add_signal_handler(SIGHUP, second).unwrap();
                IoLoop::current().stop();
            }
        })
        .unwrap();
    for _ in 0..2 {
        raise("HUP");
        run_until_stopped(&io_loop);
    }
    assert_eq!(trace.take(), ["first", "second"]);
}

#[test]
fn a_callback_that_panics_is_logged_and_stays() {
    let io_loop = IoLoop::new().unwrap();
    let count = Rc::new(Cell::new(0));
    io_loop
        .add_signal_handler(SIGALRM, {
            let count = count.clone();
            move || {
                count.set(count.get() + 1);
                IoLoop::current().stop();
                panic!("alarm");
            }
        })
        .unwrap();
    for round in 1..=2 {
        raise("ALRM");
        let ((), lines) = logged(|| run_until_stopped(&io_loop));
        assert_one_error(&lines, "alarm");
        assert_eq!(count.get(), round);
    }
}

#[test]
fn every_loop_of_the_process_hears_a_signal() {
    let ready = Arc::new(Barrier::new(3));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let ready = ready.clone();
            std::thread::spawn(move || {
                let io_loop = IoLoop::new().unwrap();
                io_loop.add_signal_handler(SIGWINCH, || IoLoop::current().stop()).unwrap();
                ready.wait();
                run_until_stopped(&io_loop);
            })
        })
        .collect();
    ready.wait();
    raise("WINCH");
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_closed_loop_drops_its_callbacks_and_hears_nothing() {
    let io_loop = IoLoop::new().unwrap();
    let owned = Rc::new(());
    let captured = owned.clone();
    io_loop
        .add_signal_handler(SIGQUIT, move || {
            let _ = &captured;
            panic!("is closed");
        })
        .unwrap();
    io_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&owned), 1);
    assert_eq!(io_loop.add_signal_handler(SIGQUIT, || {}), Err(LoopError::Closed));
    // The signal's own effect, the end of the process, does not come back.
    raise("QUIT");
}

#[test]
fn signals_that_cannot_be_caught_are_refused() {
    let io_loop = IoLoop::new().unwrap();
    for signal in [SIGKILL, 4, 8, 11, 19, 0, -1, 1000] {
        match io_loop.add_signal_handler(signal, || {}) {
            Err(LoopError::Poller(_)) => {}
            other => panic!("signal {signal}: {other:?}"),
        }
    }
}

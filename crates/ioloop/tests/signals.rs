//! Signals as callbacks of the loop. Each test has a signal of its own, since they belong to the process.
#![cfg(feature = "signal")]

mod common;

use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::rc::Rc;
use std::sync::{Arc, Barrier};

use common::*;
use landspout_ioloop::signal::*;
use landspout_ioloop::{IoLoop, LoopError};

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
    const SIGILL: i32 = 4;
    const SIGFPE: i32 = 8;
    const SIGSEGV: i32 = 11;
    let io_loop = IoLoop::new().unwrap();
    for signal in [SIGKILL, SIGSTOP, SIGILL, SIGFPE, SIGSEGV, 0, -1, 1000] {
        match io_loop.add_signal_handler(signal, || {}) {
            Err(LoopError::Poller(_)) => {}
            other => panic!("signal {signal}: {other:?}"),
        }
        assert!(matches!(io_loop.add_signal_listener(signal, || {}), Err(LoopError::Poller(_))));
        assert!(!io_loop.remove_signal_handler(signal));
    }
}

#[test]
fn listeners_hear_a_signal_beside_its_handler_in_the_order_they_were_added() {
    let io_loop = IoLoop::new().unwrap();
    let trace = Trace::default();
    let pusher = |entry| {
        let trace = trace.clone();
        move || trace.push(entry)
    };
    let first = io_loop.add_signal_listener(SIGVTALRM, pusher("first")).unwrap();
    io_loop.add_signal_handler(SIGVTALRM, pusher("handler")).unwrap();
    let last = io_loop
        .add_signal_listener(SIGVTALRM, {
            let push = pusher("last");
            move || {
                push();
                IoLoop::current().stop();
            }
        })
        .unwrap();
    raise("VTALRM");
    run_until_stopped(&io_loop);
    assert_eq!(trace.take(), ["first", "handler", "last"]);

    // Each goes alone.
    drop(first);
    raise("VTALRM");
    run_until_stopped(&io_loop);
    assert_eq!(trace.take(), ["handler", "last"]);
    assert!(io_loop.remove_signal_handler(SIGVTALRM));
    raise("VTALRM");
    run_until_stopped(&io_loop);
    assert_eq!(trace.take(), ["last"]);
    drop(last);
}

#[test]
fn a_callback_may_remove_itself_and_those_behind_it() {
    let io_loop = IoLoop::new().unwrap();
    let trace = Trace::default();
    let (own, behind) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(None)));
    let listener = io_loop.add_signal_listener(SIGPROF, {
        let (own, behind, trace) = (own.clone(), behind.clone(), trace.clone());
        let dropped = OnDrop({
            let trace = trace.clone();
            move || trace.push("dropped")
        });
        move || {
            let _ = &dropped;
            drop((own.take(), behind.take()));
            assert!(IoLoop::current().remove_signal_handler(SIGPROF));
            assert!(!IoLoop::current().remove_signal_handler(SIGPROF));
            // One that is added now waits for the next.
            IoLoop::current().add_signal_handler(SIGPROF, || IoLoop::current().stop()).unwrap();
            trace.push("ran");
            IoLoop::current().stop();
        }
    });
    own.replace(Some(listener.unwrap()));
    io_loop.add_signal_handler(SIGPROF, || panic!("was removed")).unwrap();
    behind.replace(Some(io_loop.add_signal_listener(SIGPROF, || panic!("was removed")).unwrap()));
    raise("PROF");
    let ((), lines) = logged(|| run_until_stopped(&io_loop));
    assert_eq!(lines, [""; 0]);
    assert_eq!(trace.take(), ["ran", "dropped"]);
    raise("PROF");
    run_until_stopped(&io_loop);
    assert_eq!(trace.take(), [""; 0]);
}

#[test]
fn a_listener_outlives_its_loop_harmlessly() {
    let io_loop = IoLoop::new().unwrap();
    let owned = Rc::new(());
    let captured = owned.clone();
    let listener = io_loop.add_signal_listener(SIGURG, move || drop(captured.clone())).unwrap();
    io_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&owned), 1);
    assert!(matches!(io_loop.add_signal_listener(SIGURG, || {}), Err(LoopError::Closed)));
    assert!(!io_loop.remove_signal_handler(SIGURG));
    drop(io_loop);
    drop(listener);
}

#[test]
fn a_callback_added_as_from_a_signal_runs_in_the_next_turn() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    io_loop.add_callback_from_signal(trace.pusher("ran"));
    assert_eq!(trace.len(), 0);
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["ran"]);
}

#[test]
fn a_signal_heard_on_one_thread_stops_the_loop_of_another() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || {
        let io_loop = IoLoop::new().unwrap();
        sender.send(io_loop.remote()).unwrap();
        run_until_stopped(&io_loop);
        io_loop.close().unwrap();
    });
    let remote = receiver.recv().unwrap();
    let io_loop = IoLoop::new().unwrap();
    io_loop
        .add_signal_handler(SIGXCPU, move || {
            remote.add_callback(|| IoLoop::current().stop()).unwrap();
            IoLoop::current().stop();
        })
        .unwrap();
    raise("XCPU");
    run_until_stopped(&io_loop);
    other.join().unwrap();
}

// What a signal does when nobody listens to it any more ends a process: each case runs in one of its own.

/// Runs the rest of the test in another process, where this returns; here it gives that process's end.
fn in_a_process_of_its_own(test: &str, command: Command) -> Option<ExitStatus> {
    const MARK: &str = "LANDSPOUT_TEST_OF_SIGNALS";
    if std::env::var_os(MARK).is_some() {
        return None;
    }
    let mut command = command;
    let output = command.args([test, "--exact", "--nocapture"]).env(MARK, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("running 1 test"), "{text}");
    eprintln!("{text}");
    Some(output.status)
}

fn this_program() -> Command {
    let path = std::env::current_exe().unwrap();
    // What was ignored when the tests were started (by nohup, or for a background job) would stay ignored.
    let reset = |program: &std::ffi::OsStr| {
        let mut env = Command::new("env");
        env.arg("--default-signal").arg(program);
        env
    };
    match reset("true".as_ref()).output() {
        Ok(output) if output.status.success() => reset(path.as_os_str()),
        // Not GNU coreutils 8.31: take what there is.
        _ => Command::new(path),
    }
}

#[test]
fn a_signal_has_its_effect_again_when_its_last_callback_is_removed() {
    let test = "a_signal_has_its_effect_again_when_its_last_callback_is_removed";
    if let Some(status) = in_a_process_of_its_own(test, this_program()) {
        assert_eq!(status.signal(), Some(SIGTERM), "{status}");
        return;
    }
    let io_loop = IoLoop::new().unwrap();
    let other = IoLoop::new().unwrap();
    let hear = |io_loop: &IoLoop| {
        raise("TERM");
        run_until_stopped(io_loop);
    };
    io_loop.add_signal_handler(SIGTERM, || IoLoop::current().stop()).unwrap();
    other.add_signal_handler(SIGTERM, || IoLoop::current().stop()).unwrap();
    let listener = io_loop.add_signal_listener(SIGTERM, || IoLoop::current().stop()).unwrap();
    // Replacing is not removing.
    io_loop.add_signal_handler(SIGTERM, || IoLoop::current().stop()).unwrap();
    assert!(io_loop.remove_signal_handler(SIGTERM));
    hear(&io_loop);
    drop(listener);
    // Another loop still listens.
    hear(&other);
    assert!(other.remove_signal_handler(SIGTERM));
    // And back and forth.
    other.add_signal_handler(SIGTERM, || IoLoop::current().stop()).unwrap();
    hear(&other);
    assert!(other.remove_signal_handler(SIGTERM));
    raise("TERM");
    unreachable!("SIGTERM ends this process");
}

#[test]
fn closing_a_loop_does_not_bring_the_effect_back_and_removing_afterwards_does() {
    let test = "closing_a_loop_does_not_bring_the_effect_back_and_removing_afterwards_does";
    if let Some(status) = in_a_process_of_its_own(test, this_program()) {
        assert_eq!(status.signal(), Some(SIGINT), "{status}");
        return;
    }
    let closed = IoLoop::new().unwrap();
    closed.add_signal_handler(SIGINT, || panic!("is closed")).unwrap();
    closed.close().unwrap();
    raise("INT");
    let io_loop = IoLoop::new().unwrap();
    io_loop.add_signal_handler(SIGINT, || IoLoop::current().stop()).unwrap();
    raise("INT");
    run_until_stopped(&io_loop);
    assert!(io_loop.remove_signal_handler(SIGINT));
    raise("INT");
    unreachable!("SIGINT ends this process");
}

#[test]
fn a_signal_ignored_from_the_start_is_ignored_again() {
    let test = "a_signal_ignored_from_the_start_is_ignored_again";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    if let Some(status) = in_a_process_of_its_own(test, shell) {
        assert_eq!(status.code(), Some(0), "{status}");
        return;
    }
    let io_loop = IoLoop::new().unwrap();
    io_loop.add_signal_handler(SIGHUP, || IoLoop::current().stop()).unwrap();
    raise("HUP");
    run_until_stopped(&io_loop);
    assert!(io_loop.remove_signal_handler(SIGHUP));
    raise("HUP");
}

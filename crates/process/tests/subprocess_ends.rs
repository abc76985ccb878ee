//! How the end of a child is noticed, and what signals do to it.
#![cfg(feature = "subprocess")]

mod children;

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use children::{GUARD, exists, in_a_process_of_its_own, run, sh, wait_for_end, waiting};
use landspout_ioloop::signal::{SIGCHLD, SIGKILL, SIGTERM, SIGUSR1};
use landspout_ioloop::{IoLoop, LoopError, with_timeout};
use landspout_process::{Subprocess, SubprocessError, SubprocessOptions, returncode};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// A callback that notes the return code and stops the loop.
fn note(
    code: &Rc<RefCell<Vec<i32>>>,
) -> impl FnOnce(Result<std::process::ExitStatus, SubprocessError>) + 'static + use<> {
    let code = code.clone();
    move |status| {
        code.borrow_mut().push(returncode(status.unwrap()));
        IoLoop::current().stop();
    }
}

fn run_until_stopped(io_loop: &IoLoop) {
    let guard = io_loop.call_later(GUARD, || panic!("nobody stopped the loop"));
    io_loop.start().unwrap();
    io_loop.remove_timeout(guard);
}

#[test]
fn the_exit_callback_is_given_the_status_once() {
    let io_loop = IoLoop::new().unwrap();
    let codes = Rc::default();
    let child = Subprocess::spawn(&mut sh("exit 0")).unwrap();
    child.set_exit_callback(|_| panic!("was replaced"));
    child.set_exit_callback(note(&codes));
    assert_eq!(child.returncode(), None);
    run_until_stopped(&io_loop);
    assert_eq!((&*codes.borrow(), child.returncode()), (&vec![0], Some(0)));

    // Another child's end doesn't call it again.
    let other = Subprocess::spawn(&mut sh("exit 7")).unwrap();
    other.set_exit_callback(note(&codes));
    run_until_stopped(&io_loop);
    assert_eq!(*codes.borrow(), [0, 7]);
}

#[test]
fn a_callback_that_is_set_after_the_end_is_called_too_but_not_at_once() {
    let io_loop = IoLoop::new().unwrap();
    let codes = Rc::default();
    // The loop has not noticed yet.
    let child = Subprocess::spawn(&mut sh("exit 5")).unwrap();
    wait_for_end(child.pid());
    child.set_exit_callback(note(&codes));
    assert_eq!(*codes.borrow(), []);
    run_until_stopped(&io_loop);
    assert_eq!(*codes.borrow(), [5]);
    // It has.
    child.set_exit_callback(note(&codes));
    assert_eq!(*codes.borrow(), [5]);
    run_until_stopped(&io_loop);
    assert_eq!(*codes.borrow(), [5, 5]);
}

#[test]
fn waiting_gives_the_status_to_all_who_wait() {
    run(async {
        let mut child = waiting(0);
        let waits = [child.wait_for_exit(), child.wait(), child.wait_for_exit()];
        let tasks = waits.map(|wait| IoLoop::current().spawn(wait));
        drop(child.stdin.take());
        for task in tasks {
            assert!(task.await.unwrap().unwrap().success());
        }
        // And to those who come later.
        assert!(child.wait_for_exit().await.unwrap().success());
        assert_eq!(child.returncode(), Some(0));
    });
}

#[test]
fn a_status_other_than_0_is_an_error_that_has_it() {
    run(async {
        let child = Subprocess::spawn(&mut sh("exit 1")).unwrap();
        let error = child.wait_for_exit().await.unwrap_err();
        assert!(matches!(&error, SubprocessError::Failed { program, .. } if program == "/bin/sh"));
        assert_eq!(error.returncode(), Some(1));
        assert_eq!(error.to_string(), "\"/bin/sh\" failed with exit status: 1");
    });
}

#[test]
fn unless_the_status_is_asked_for() {
    run(async {
        let child = Subprocess::spawn(&mut sh("exit 1")).unwrap();
        assert_eq!(returncode(child.wait().await.unwrap()), 1);
        assert_eq!(child.returncode(), Some(1));
    });
}

#[test]
fn a_death_by_signal_is_a_negative_number() {
    run(async {
        for (signal, send) in [
            (SIGTERM, Subprocess::terminate as fn(&Subprocess) -> Result<(), SubprocessError>),
            (SIGKILL, Subprocess::kill),
            (SIGUSR1, |child| child.send_signal(SIGUSR1)),
        ] {
            let child = waiting(0);
            send(&child).unwrap();
            let status = child.wait().await.unwrap();
            assert_eq!(
                (status.signal(), returncode(status), child.returncode()),
                (Some(signal), -signal, Some(-signal))
            );
            let error = child.wait_for_exit().await.unwrap_err();
            assert_eq!(error.returncode(), Some(-signal));
            assert!(error.to_string().contains("signal"), "{error}");
        }
    });
}

#[test]
fn a_wait_that_is_given_up_costs_nothing() {
    run(async {
        let mut child = waiting(0);
        assert!(with_timeout(Duration::ZERO, child.wait_for_exit()).await.is_err());
        assert_eq!(child.try_wait(), Ok(None));
        drop(child.stdin.take());
        child.wait_for_exit().await.unwrap();
        assert!(child.try_wait().unwrap().unwrap().success());
    });
}

/// The loop is asleep when they die, or busy: either way one SIGCHLD stands for many.
#[test]
fn many_children_that_end_at_once_are_all_noticed() {
    run(async {
        let mut children: Vec<Subprocess> = (0..60).map(|n| waiting(n % 3)).collect();
        children.iter_mut().for_each(|child| drop(child.stdin.take()));
        // Nothing runs on the loop until the last of them is dead.
        children.iter().for_each(|child| wait_for_end(child.pid()));
        for (n, child) in children.iter().enumerate() {
            assert_eq!(returncode(child.wait().await.unwrap()), n as i32 % 3);
        }
        // And one by one.
        for child in (0..30).map(|n| Subprocess::spawn(&mut sh(&format!("exit {n}"))).unwrap()) {
            child.wait().await.unwrap();
        }
    });
}

#[test]
fn a_look_notices_the_end_without_the_loop() {
    let io_loop = IoLoop::new().unwrap();
    let codes = Rc::default();
    let mut child = waiting(6);
    child.set_exit_callback(note(&codes));
    assert_eq!(child.try_wait(), Ok(None));
    drop(child.stdin.take());
    wait_for_end(child.pid());
    assert_eq!(child.returncode(), None);
    assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(6));
    assert_eq!(child.returncode(), Some(6));
    assert!(!exists(child.pid()));
    // The callback is the loop's.
    assert_eq!(*codes.borrow(), []);
    run_until_stopped(&io_loop);
    assert_eq!(*codes.borrow(), [6]);
}

#[test]
fn other_children_of_this_process_keep_their_status() {
    run(async {
        let mut other = sh("exit 9").spawn().unwrap();
        wait_for_end(other.id());
        let child = Subprocess::spawn(&mut sh("exit 0")).unwrap();
        child.wait_for_exit().await.unwrap();
        assert_eq!(other.wait().unwrap().code(), Some(9));
    });
}

#[test]
fn a_status_that_somebody_else_took_is_an_error_and_no_signal_goes_astray() {
    run(async {
        let mut child = waiting(0);
        let noted = Rc::new(RefCell::new(None));
        child.set_exit_callback({
            let noted = noted.clone();
            move |result| drop(noted.replace(Some(result)))
        });
        let lost = SubprocessError::StatusLost { program: "/bin/sh".into(), pid: child.pid() };
        drop(child.stdin.take());
        waitpid(Pid::from_raw(child.pid() as i32), None).unwrap();
        assert_eq!(child.wait_for_exit().await.as_ref(), Err(&lost));
        assert_eq!(child.wait().await.as_ref(), Err(&lost));
        assert_eq!(child.try_wait().as_ref(), Err(&lost));
        assert_eq!(child.kill().as_ref(), Err(&lost));
        assert_eq!(child.returncode(), None);
        assert_eq!(noted.take().unwrap().as_ref(), Err(&lost));
    });
}

#[test]
fn a_signal_to_a_child_that_has_ended_does_nothing() {
    run(async {
        let child = Subprocess::spawn(&mut sh("exit 0")).unwrap();
        wait_for_end(child.pid());
        child.terminate().unwrap();
        assert_eq!(child.returncode(), Some(0));
        child.kill().unwrap();
        assert!(child.wait_for_exit().await.unwrap().success());
        child.kill().unwrap();
    });
}

#[test]
fn a_signal_that_does_not_exist_is_refused() {
    run(async {
        let child = waiting(0);
        for signal in [-1, 65, 1000] {
            assert!(matches!(child.send_signal(signal), Err(SubprocessError::Signal { signal: s, .. }) if s == signal));
        }
        child.send_signal(0).unwrap();
        child.kill().unwrap();
        child.wait().await.unwrap();
    });
}

#[test]
fn a_dropped_child_runs_on_and_leaves_no_zombie() {
    let io_loop = IoLoop::new().unwrap();
    let codes = Rc::default();
    let mut child = waiting(8);
    let pid = child.pid();
    let stdin = child.stdin.take();
    child.set_exit_callback(note(&codes));
    drop(child);
    assert!(exists(pid));
    drop(stdin);
    run_until_stopped(&io_loop);
    assert_eq!(*codes.borrow(), [8]);
    assert!(!exists(pid));
}

#[test]
fn a_dropped_child_is_killed_if_that_was_asked_for() {
    run(async {
        let options = SubprocessOptions::new().kill_on_drop(true);
        let mut child = Subprocess::spawn_with(sh("read line").stdin(Stdio::piped()), &options).unwrap();
        // It is not the end of its input that ends it.
        let _stdin = child.stdin.take();
        let end = child.wait();
        drop(child);
        assert_eq!(returncode(end.await.unwrap()), -SIGKILL);
        // One that has ended gets no signal.
        let child = Subprocess::spawn_with(&mut sh("exit 2"), &options).unwrap();
        let end = child.wait();
        wait_for_end(child.pid());
        drop(child);
        assert_eq!(returncode(end.await.unwrap()), 2);
    });
}

#[test]
fn the_programs_own_handler_for_sigchld_is_called_as_well() {
    run(async {
        let heard = Rc::new(Cell::new(0));
        let io_loop = IoLoop::current();
        io_loop.add_signal_handler(SIGCHLD, {
            let heard = heard.clone();
            move || heard.set(heard.get() + 1)
        })?;
        let child = Subprocess::spawn(&mut sh("exit 0")).unwrap();
        child.wait_for_exit().await.unwrap();
        assert!(heard.get() > 0);
        // Removed, it takes nothing from children.
        assert!(io_loop.remove_signal_handler(SIGCHLD));
        Subprocess::spawn(&mut sh("exit 0")).unwrap().wait_for_exit().await.unwrap();
        Ok::<_, LoopError>(())
    })
    .unwrap();
}

#[test]
fn loops_on_several_threads_have_children_of_their_own() {
    let threads: Vec<_> = (1..=3)
        .map(|thread| {
            std::thread::spawn(move || {
                run(async move {
                    let children: Vec<_> =
                        (0..10).map(|_| Subprocess::spawn(&mut sh(&format!("exit {thread}")))).collect();
                    for child in children {
                        assert_eq!(returncode(child.unwrap().wait().await.unwrap()), thread);
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A child that waits for the end of its input, which is no stream and doesn't end with the loop.
fn waiting_beside_the_loop(status: i32) -> (Subprocess, UnixStream) {
    let (here, there) = UnixStream::pair().unwrap();
    let script = format!("read line; exit {status}");
    (Subprocess::spawn(sh(&script).stdin(OwnedFd::from(there))).unwrap(), here)
}

#[test]
fn on_a_closed_loop_waiting_is_an_error_and_the_child_lives() {
    let io_loop = IoLoop::new().unwrap();
    let (child, stdin) = waiting_beside_the_loop(3);
    child.set_exit_callback(|_| panic!("the loop is closed"));
    let wait = child.wait();
    io_loop.close().unwrap();
    let other = IoLoop::new().unwrap();
    let closed = Err(SubprocessError::Loop(LoopError::Closed));
    assert_eq!(other.run_sync(wait).unwrap(), closed);
    assert_eq!(child.try_wait(), Ok(None));
    drop(stdin);
    wait_for_end(child.pid());
    assert_eq!(returncode(other.run_sync(child.wait()).unwrap().unwrap()), 3);
    child.set_exit_callback(|_| panic!("the loop is closed"));
}

/// A wait on another loop of the thread must not sleep for ever.
#[test]
fn a_loop_that_closes_wakes_those_who_wait() {
    let watching = IoLoop::new().unwrap();
    let (child, _stdin) = waiting_beside_the_loop(0);
    let other = IoLoop::new().unwrap();
    other.call_later(Duration::from_millis(1), move || watching.close().unwrap());
    let result = other.run_sync_timeout(GUARD, child.wait()).unwrap();
    assert_eq!(result, Err(SubprocessError::Loop(LoopError::Closed)));
    child.kill().unwrap();
}

/// An inherited "ignore" has the kernel throw statuses away, an inherited mask keeps the signal from coming.
#[test]
fn an_inherited_disposition_or_mask_of_sigchld_does_no_harm() {
    let test = "an_inherited_disposition_or_mask_of_sigchld_does_no_harm";
    for flag in ["--ignore-signal=CHLD", "--block-signal=CHLD"] {
        let env = || {
            let mut env = Command::new("env");
            env.arg(flag);
            env
        };
        if !env().arg("true").output().is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: needs env of GNU coreutils 8.31");
            continue;
        }
        if let Some(status) = in_a_process_of_its_own(test, env()) {
            assert!(status.success(), "{flag}: {status}");
            continue;
        }
        run(async {
            let child = Subprocess::spawn(&mut sh("exit 4")).unwrap();
            assert_eq!(returncode(child.wait().await.unwrap()), 4);
        });
        return;
    }
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    let io_loop = IoLoop::new().unwrap();
    let error = Subprocess::spawn(&mut Command::new("/no/such/program")).unwrap_err();
    assert_eq!(error.to_string(), "cannot start \"/no/such/program\"");
    assert!(matches!(&error, SubprocessError::Spawn { source, .. } if source.kind() == std::io::ErrorKind::NotFound));
    io_loop.close().unwrap();
}

//! What the tests of `Subprocess` share: shells as children, and a loop that gives up instead of hanging.

#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]

use std::future::Future;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use landspout_ioloop::IoLoop;
use landspout_process::Subprocess;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// A test that would hang ends after this.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// Runs a test's future on a loop of its own.
pub(crate) fn run<F: Future + 'static>(future: F) -> F::Output {
    let io_loop = IoLoop::new().unwrap();
    let output = io_loop.run_sync_timeout(GUARD, future).expect("the test ends by itself");
    io_loop.close().unwrap();
    output
}

/// A command for `/bin/sh`, which shares nothing with this process.
pub(crate) fn sh(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A child that lives until its input ends, and then exits with the status.
pub(crate) fn waiting(status: i32) -> Subprocess {
    Subprocess::spawn(sh(&format!("read line; exit {status}")).stdin(Stdio::piped())).unwrap()
}

/// Blocks until the process has ended, and leaves its status to others.
pub(crate) fn wait_for_end(pid: u32) {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(Pid::from_raw(pid as i32)), flags).unwrap();
}

/// Whether the process exists, if only as a zombie.
pub(crate) fn exists(pid: u32) -> bool {
    nix::sys::signal::kill(Pid::from_raw(pid as i32), None).is_ok()
}

/// Runs the rest of the test in another process, started by `command`, where this returns; here it gives that process's end.
pub(crate) fn in_a_process_of_its_own(test: &str, mut command: Command) -> Option<ExitStatus> {
    const MARK: &str = "LANDSPOUT_TEST_OF_SUBPROCESS";
    if std::env::var_os(MARK).is_some() {
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let arguments = [test, "--exact", "--nocapture", "--test-threads=1"];
    let output = command.arg(program).args(arguments).env(MARK, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("running 1 test"), "{text}");
    eprintln!("{text}");
    Some(output.status)
}

//! What the tests of this directory share: a started example, and in [`client`] somebody who talks to it.
//!
//! Rules: an example is used from outside, as a child process and over plain sockets; nothing here shares code with the
//! crates, so that it can't share their mistakes. Every wait has a deadline. A test that fails shows what the example printed.
#![allow(dead_code, reason = "every test compiles this file and uses some of it")]

pub(crate) mod client;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Generous, since the machine may be busy: only a failure takes that long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A started example. Dropping it kills what is left of it and of its workers.
pub(crate) struct Example {
    name: &'static str,
    /// Also the id of its process group.
    pid: u32,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Lines of stdout and stderr in the order in which they came.
    output: String,
    /// How many of the two pipes were closed by everyone who had them, forked workers included.
    pipes_closed: usize,
    exit: Option<ExitStatus>,
}

impl Example {
    /// Starts an example on a free port.
    pub(crate) fn start(name: &'static str, arguments: &[&str]) -> Self {
        Self::start_program(name, &[&["--port", "0"], arguments].concat())
    }

    /// Starts an example that is no server.
    pub(crate) fn start_program(name: &'static str, arguments: &[&str]) -> Self {
        let program = program(name);
        let mut command = Command::new(&program);
        command.args(arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo test` builds it, `cargo build --examples` does, too", program.display())
        });
        let example = Self { name, pid: child.id(), shared: Arc::default() };
        example.shared.collect(child.stdout.take().unwrap());
        example.shared.collect(child.stderr.take().unwrap());
        let shared = example.shared.clone();
        thread::spawn(move || {
            let exit = child.wait().unwrap();
            shared.change(|state| state.exit = Some(exit));
        });
        example
    }

    /// The address in the first line that it prints.
    pub(crate) fn address(&self) -> SocketAddr {
        self.wait_for("its address", |output| {
            let url = output.lines().find_map(|line| line.strip_prefix("http://").or(line.strip_prefix("tcp://")))?;
            url.trim_end_matches('/').parse().ok()
        })
    }

    /// Waits until `find` finds something in the complete lines of the output.
    pub(crate) fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let found = self.shared.wait(|state| match find(&state.output) {
            Some(found) => Some(Some(found)),
            None => (state.pipes_closed == 2).then_some(None),
        });
        match found {
            Some(Some(found)) => found,
            Some(None) => panic!("{} ended before it printed {what}", self.name),
            None => panic!("{} did not print {what} within {DEADLINE:?}", self.name),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends SIGTERM, waits until it and all that it forked are gone, and wants status 0 of it.
    pub(crate) fn terminate(self) {
        send_signal("TERM", self.pid);
        let exit = self.wait_for_end();
        assert!(exit.success(), "{} ended after SIGTERM with {exit}", self.name);
    }

    /// Waits until it has ended and everything that it forked is gone. Gives its own status.
    pub(crate) fn wait_for_end(&self) -> ExitStatus {
        let gone = self.shared.wait(|state| state.exit.filter(|_| state.pipes_closed == 2));
        gone.unwrap_or_else(|| match self.shared.lock().exit {
            None => panic!("{} still runs after {DEADLINE:?}", self.name),
            Some(exit) => panic!("{} ended ({exit}), but a process that it forked still runs", self.name),
        })
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let state = self.shared.lock();
        let gone = state.exit.is_some() && state.pipes_closed == 2;
        if thread::panicking() {
            eprintln!("--- {} printed:\n{}---", self.name, state.output);
        }
        drop(state);
        if !gone {
            // It may end by itself just now, which is as good.
            let _ = kill("KILL", &format!("-{}", self.pid));
        }
    }
}

/// `cargo test` puts this program into `target/<profile>/deps` and the examples beside that.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples").join(name)
}

/// Sends a signal to a process, which has to be there.
pub(crate) fn send_signal(signal: &str, pid: u32) {
    assert!(kill(signal, &pid.to_string()), "no process {pid} to send SIG{signal} to");
}

/// Whether there is such a process.
pub(crate) fn is_running(pid: u32) -> bool {
    kill("0", &pid.to_string())
}

/// `target` is a process or, with a minus sign, a group. std can't send signals; every shell can.
fn kill(signal: &str, target: &str) -> bool {
    let arguments = ["-c", "kill -s \"$1\" -- \"$2\" 2>/dev/null", "sh", signal, target];
    Command::new("sh").args(arguments).stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `ready` returns something; `None` once the deadline has passed.
    fn wait<T>(&self, ready: impl Fn(&State) -> Option<T>) -> Option<T> {
        let end = Instant::now() + DEADLINE;
        let mut state = self.lock();
        loop {
            if let Some(value) = ready(&state) {
                return Some(value);
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    /// Appends what comes out of a pipe to the output, line by line.
    fn collect(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        let shared = self.clone();
        thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                shared.change(|state| state.output.push_str(&String::from_utf8_lossy(&line)));
                line.clear();
            }
            shared.change(|state| state.pipes_closed += 1);
        });
    }
}

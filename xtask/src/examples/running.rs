//! A started example: its output as it comes, its end, and no wait without a deadline.
//!
//! Two threads read what it prints on stdout and stderr, one waits for its end. The example leads a process group of its
//! own, so that workers which it forked and lost can be ended, too.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Generous, since the machine may be busy: only a failure takes that long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A child process. Dropping it kills what is left of it.
pub(crate) struct Running {
    program: PathBuf,
    /// Also the id of its process group.
    pid: u32,
    shared: Arc<Shared>,
    /// For each single wait.
    deadline: Duration,
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

impl State {
    /// The exit status, once nothing is left of the example and of what it forked.
    fn gone(&self) -> Option<ExitStatus> {
        self.exit.filter(|_| self.pipes_closed == 2)
    }
}

impl Running {
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (program, pid) = (program.to_owned(), child.id());
        let running = Self { program, pid, shared: Arc::default(), deadline: DEADLINE };
        running.shared.collect(child.stdout.take().expect("stdout is piped"));
        running.shared.collect(child.stderr.take().expect("stderr is piped"));
        let shared = Arc::clone(&running.shared);
        thread::spawn(move || {
            let exit = child.wait().expect("nobody else waits for this child");
            shared.change(|state| state.exit = Some(exit));
        });
        Ok(running)
    }

    /// What was started.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.pid
    }

    /// Everything printed so far.
    pub(crate) fn output(&self) -> String {
        self.shared.lock().output.clone()
    }

    /// The address in the first line that has one: `http://127.0.0.1:8888/` or `127.0.0.1:8888`.
    pub(crate) fn address(&self) -> Result<SocketAddr, String> {
        self.wait_for("its address", |output| output.lines().find_map(address_in))
    }

    /// Waits until `find` finds something in the complete lines of the output.
    pub(crate) fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        self.shared
            .wait(self.deadline, |state| match find(&state.output) {
                Some(found) => Some(Ok(found)),
                None if state.pipes_closed == 2 => Some(Err(format!("ended before it printed {what}"))),
                None => None,
            })
            .unwrap_or_else(|| Err(format!("did not print {what} within {:?}", self.deadline)))
    }

    /// How it ended, if it has and nothing is left of it.
    pub(crate) fn has_ended(&self) -> Option<ExitStatus> {
        // Its pipes are closed a moment before that is known.
        let closed = |state: &State| state.pipes_closed == 2;
        let ends = |state: &State| state.gone().map(Some).or_else(|| (!closed(state)).then_some(None));
        self.shared.wait(self.deadline, ends).flatten()
    }

    /// Sends SIGTERM and waits until it and all that it forked are gone. Its status has to be 0.
    pub(crate) fn terminate(&self) -> Result<(), String> {
        if let Some(exit) = self.shared.lock().exit {
            return Err(format!("ended by itself with {exit}"));
        }
        kill("TERM", &self.pid.to_string())?;
        let exit = self.shared.wait(self.deadline, State::gone).ok_or_else(|| match self.shared.lock().exit {
            None => format!("still runs {:?} after SIGTERM", self.deadline),
            Some(exit) => format!("ended after SIGTERM ({exit}), but a process that it forked still runs"),
        })?;
        if exit.success() { Ok(()) } else { Err(format!("ended after SIGTERM with {exit}")) }
    }

    /// Waits until it and all that it forked are gone. Its status has to be 0.
    pub(crate) fn wait_for_end(&self) -> Result<(), String> {
        match self.shared.wait(self.deadline, State::gone) {
            Some(exit) if exit.success() => Ok(()),
            Some(exit) => Err(format!("ended with {exit}")),
            None => Err(format!("still runs after {:?}", self.deadline)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let gone = self.shared.lock().gone();
        if gone.is_none() {
            // It may end by itself just now, which is as good.
            let _ = kill("KILL", &format!("-{}", self.pid));
        }
    }
}

const POISONED: &str = "no thread panics with the state locked";

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(POISONED)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `ready` returns something; `None` once the deadline has passed.
    fn wait<T>(&self, deadline: Duration, ready: impl Fn(&State) -> Option<T>) -> Option<T> {
        let end = Instant::now() + deadline;
        let mut state = self.lock();
        loop {
            if let Some(value) = ready(&state) {
                return Some(value);
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            state = self.changed.wait_timeout(state, left).expect(POISONED).0;
        }
    }

    /// Appends what comes out of a pipe to the output, line by line.
    fn collect(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        let shared = Arc::clone(self);
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

/// `target` is a process or, with a minus sign, a group. `kill` is a builtin of every shell; as a program it may be missing.
pub(crate) fn kill(signal: &str, target: &str) -> Result<(), String> {
    let arguments = ["-c", "kill -s \"$1\" -- \"$2\"", "sh", signal, target];
    match Command::new("sh").args(arguments).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("kill -s {signal} {target}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("sh -c 'kill ..': {error}")),
    }
}

/// Names are not looked up: a word of a log line that looks like `name:80` must not become a DNS query.
fn address_in(line: &str) -> Option<SocketAddr> {
    line.split_whitespace().find_map(|word| {
        let word = word.split_once("://").map_or(word, |(_, rest)| rest);
        let word = word.split('/').next()?.trim_matches([',', ';', '.', '"', '`', '(', ')']);
        word.replace("localhost:", "127.0.0.1:").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Running {
        Running::start(Path::new("sh"), &["-c", script]).unwrap()
    }

    /// A started script that printed "ready". Waits after that are short, since they are to fail.
    fn ready(script: &str) -> Running {
        let mut running = shell(script);
        running.wait_for("ready", |output| output.find("ready")).unwrap();
        running.deadline = Duration::from_millis(100);
        running
    }

    #[test]
    fn addresses_are_found() {
        let expected = Some("127.0.0.1:4567".parse().unwrap());
        for line in ["http://127.0.0.1:4567/", "Echo on localhost:4567, stop me.", "see <- tcp://127.0.0.1:4567"] {
            assert_eq!(address_in(line), expected, "{line}");
        }
        assert_eq!(address_in("http://[::1]:80/path"), Some("[::1]:80".parse().unwrap()));
        for line in ["", "worker: 3", "listening", "10:30", "nowhere:80"] {
            assert_eq!(address_in(line), None, "{line}");
        }
    }

    #[test]
    fn a_program_ends_by_itself_with_status_0() {
        assert_eq!(shell("echo done").wait_for_end(), Ok(()));
        assert_eq!(shell("exit 3").wait_for_end(), Err("ended with exit status: 3".to_owned()));
        let hung = ready("echo ready; exec sleep 600");
        assert_eq!(hung.wait_for_end(), Err("still runs after 100ms".to_owned()));
    }

    #[test]
    fn a_hung_example_fails_with_its_output_at_hand() {
        let running = ready("trap '' TERM; echo ready; exec sleep 600");
        assert!(running.address().unwrap_err().contains("did not print its address within"));
        assert!(running.terminate().unwrap_err().contains("still runs"));
        assert_eq!(running.output(), "ready\n");
        assert_killed_when_dropped(running);
    }

    #[test]
    fn an_example_that_ends_early_is_not_awaited() {
        let running = shell("echo no luck >&2; exit 3");
        assert!(running.address().unwrap_err().contains("ended before it printed its address"));
        assert_eq!(running.output(), "no luck\n");
        running.shared.wait(DEADLINE, State::gone).unwrap();
        assert!(running.terminate().unwrap_err().contains("by itself with exit status: 3"));
    }

    #[test]
    fn the_exit_status_counts() {
        assert_eq!(ready("echo ready; exec sleep 600").has_ended(), None);
        let ended = shell("exit 3");
        assert!(ended.address().is_err());
        assert_eq!(ended.has_ended().and_then(|status| status.code()), Some(3));
        let end = |script: &str| {
            let mut running = ready(script);
            running.deadline = Duration::from_secs(30);
            running.terminate()
        };
        assert!(end("echo ready; exec sleep 600").unwrap_err().contains("signal: 15"));
        // The child says it, once it has none of its parent's traps any more and the signal ends it.
        let with_status = |status| format!("trap 'kill $!; exit {status}' TERM; (echo ready; exec sleep 600) & wait");
        end(&with_status(0)).unwrap();
        assert!(end(&with_status(7)).unwrap_err().contains("exit status: 7"));
    }

    #[test]
    fn a_worker_left_behind_is_noticed_and_killed() {
        let running = ready("trap 'exit 0' TERM; sleep 600 & echo ready; wait");
        assert!(running.terminate().unwrap_err().contains("still runs"));
        assert_killed_when_dropped(running);
    }

    fn assert_killed_when_dropped(running: Running) {
        let shared = Arc::clone(&running.shared);
        drop(running);
        assert!(shared.wait(DEADLINE, State::gone).is_some());
    }
}

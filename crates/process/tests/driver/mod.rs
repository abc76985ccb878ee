//! Runs the example `fork_worker` and talks with its workers. Every wait is for a line, for the end of a connection or for the end
//! of the process; the limit on each only keeps a broken test from hanging.

#![allow(dead_code)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const LIMIT: Duration = Duration::from_secs(30);

/// A running parent.
pub(crate) struct Parent {
    child: Child,
    connections: Receiver<TcpStream>,
}

/// One of its workers, as connected.
pub(crate) struct Worker {
    pub(crate) id: usize,
    pub(crate) pid: i32,
    stream: BufReader<TcpStream>,
}

/// What is left of a parent.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The log lines of a level.
    pub(crate) fn log(&self, level: &str) -> Vec<&str> {
        let lines = self.stderr.lines();
        lines.filter_map(|line| line.strip_prefix(level)?.strip_prefix(' ')).collect()
    }
}

/// The example lies beside the directory of the test's executable.
pub(crate) fn example() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let path = me.parent().unwrap().parent().unwrap().join("examples/fork_worker");
    if !is_up_to_date(&path) {
        build(&path);
    }
    path
}

/// `cargo test` builds examples too, unless it is told which tests to build: then the one of before, if any, shows what the code did
/// before. The list of what it was made from is Cargo's.
fn is_up_to_date(example: &Path) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let sources = std::fs::read_to_string(example.with_extension("d")).unwrap_or_default();
    let Some((made, (_, sources))) = changed(example).zip(sources.split_once(": ")) else { return false };
    sources.split_whitespace().all(|source| changed(Path::new(source)).is_some_and(|changed| changed <= made))
}

fn build(example: &Path) {
    let profile = example.ancestors().nth(2).unwrap();
    let name = profile.file_name().unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--offline", "--package", env!("CARGO_PKG_NAME"), "--example", "fork_worker", "--profile"]);
    cargo.arg(if name == "debug" { "dev".as_ref() } else { name }).arg("--target-dir").arg(profile.parent().unwrap());
    if cfg!(feature = "subprocess") {
        cargo.args(["--features", "subprocess"]);
    }
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

pub(crate) fn start(arguments: &[&str]) -> Parent {
    // What was ignored when the tests were started (by nohup, or for a background job) would stay ignored.
    let defaults = "--default-signal=HUP,INT,QUIT,TERM";
    let mut command = Command::new("env");
    let reset = Command::new("env").args([defaults, "true"]).output();
    if reset.is_ok_and(|output| output.status.success()) {
        command.arg(defaults).arg(example());
    } else {
        // Not GNU coreutils 8.31: take what there is.
        command = Command::new(example());
    }
    start_command(command.args(arguments))
}

pub(crate) fn start_command(command: &mut Command) -> Parent {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, connections) = channel();
    // Ends with the test process at the latest.
    thread::spawn(move || {
        for stream in listener.incoming() {
            if sender.send(stream.unwrap()).is_err() {
                break;
            }
        }
    });
    let command = command.env("FORK_WORKER_ADDRESS", address.to_string());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    Parent { child, connections }
}

impl Parent {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// The next worker that connects.
    pub(crate) fn worker(&self) -> Worker {
        let stream = self.connections.recv_timeout(LIMIT).expect("a worker connects");
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let (id, pid) = line.trim().split_once(' ').unwrap();
        Worker { id: id.parse().unwrap(), pid: pid.parse().unwrap(), stream }
    }

    /// The first workers, in the order of their ids, which are 0 to `count - 1` once each.
    pub(crate) fn workers(&self, count: usize) -> Vec<Worker> {
        let mut workers: Vec<Worker> = (0..count).map(|_| self.worker()).collect();
        workers.sort_by_key(|worker| worker.id);
        assert!(workers.iter().map(|worker| worker.id).eq(0..count));
        workers
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for the parent, and for every worker that holds its output.
    pub(crate) fn finish(mut self) -> Outcome {
        let (sender, done) = channel();
        let mut pipes = (self.child.stdout.take().unwrap(), self.child.stderr.take().unwrap());
        thread::spawn(move || {
            let mut text = (String::new(), String::new());
            pipes.0.read_to_string(&mut text.0).unwrap();
            pipes.1.read_to_string(&mut text.1).unwrap();
            sender.send(text).unwrap();
        });
        let (stdout, stderr) = done.recv_timeout(LIMIT).expect("the parent and its workers end");
        let status = self.child.wait().unwrap();
        assert!(self.connections.try_recv().is_err(), "a worker more than expected");
        Outcome { status, stdout, stderr }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing behind: workers follow their parent.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Worker {
    pub(crate) fn order(&mut self, command: &str) {
        writeln!(self.stream.get_mut(), "{command}").unwrap();
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.order(command);
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "worker {} ended without an answer", self.id);
        line.trim_end().to_owned()
    }

    /// Orders the worker to end, and waits until it has.
    pub(crate) fn end(mut self, command: &str) {
        self.order(command);
        self.ended();
    }

    /// Waits until the worker's connection ends, as it does with its process.
    pub(crate) fn ended(mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            // There was an order that nobody read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("worker {} does not end: {error}", self.id),
        }
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }

    /// A mask of signals in /proc/PID/status: `SigBlk`, `SigIgn`, `SigCgt`...
    pub(crate) fn mask(&self, name: &str) -> u64 {
        mask(self.pid, name)
    }
}

pub(crate) fn mask(pid: i32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    u64::from_str_radix(value.trim(), 16).unwrap()
}

/// The bit of a signal in such a mask.
pub(crate) fn bit(signal: Signal) -> u64 {
    1 << (signal as u32 - 1)
}

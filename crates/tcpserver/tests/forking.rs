//! The ways to start that fork, by way of the example `fork_server`: a test process has threads and can't fork itself.
//! Tornado: TestMultiprocess.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A test that would hang ends after this.
const LIMIT: Duration = Duration::from_secs(30);

struct Server {
    parent: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
    /// In the order in which they started.
    workers: Vec<String>,
}

fn start(pattern: &str, workers: usize) -> Server {
    let mut command = Command::new(example());
    command.args([pattern, &workers.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut parent = command.spawn().unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap());
    let mut next = |what: &str| {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        line.trim().strip_prefix(what).unwrap_or_else(|| panic!("{what:?} expected, got {line:?}")).trim().to_owned()
    };
    let port = next("port").parse().unwrap();
    let workers = (0..workers).map(|_| next("worker")).collect();
    Server { parent, lines, port, workers }
}

/// The example lies beside the directory of the test's executable.
fn example() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let path = me.parent().unwrap().parent().unwrap().join("examples/fork_server");
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
    cargo.args(["build", "--offline", "--package", env!("CARGO_PKG_NAME"), "--example", "fork_server", "--profile"]);
    cargo.arg(if name == "debug" { "dev".as_ref() } else { name }).arg("--target-dir").arg(profile.parent().unwrap());
    if cfg!(feature = "tls") {
        cargo.args(["--features", "tls"]);
    }
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

impl Server {
    /// What the worker that takes this connection says.
    fn ask(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    /// Ends all by SIGTERM to the parent; gives its status, and what was printed since.
    fn end(mut self) -> (Option<i32>, String, String) {
        let pid = self.parent.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        // Both end when the last worker has: they hold the pipes.
        self.lines.read_to_string(&mut stdout).unwrap();
        self.parent.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.parent.wait().unwrap().code(), stdout, stderr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing behind: workers follow their parent.
        if let Ok(None) = self.parent.try_wait() {
            let _ = self.parent.kill();
            let _ = self.parent.wait();
        }
    }
}

/// Three workers with an id each, all behind one port, and a clean end.
fn three_workers(pattern: &str) {
    let server = start(pattern, 3);
    let mut ids = server.workers.clone();
    ids.sort();
    assert_eq!(ids, ["0", "1", "2"]);
    for _ in 0..20 {
        let answer = server.ask();
        assert!(["Some(0)", "Some(1)", "Some(2)"].contains(&&*answer), "{answer}");
    }
    assert_eq!(server.end(), (Some(0), String::new(), String::new()));
}

/// Tornado: test_bind_start.
#[test]
fn bind_start() {
    three_workers("bind_start");
}

/// Tornado: test_add_sockets.
#[test]
fn add_sockets() {
    three_workers("add_sockets");
}

/// Tornado: test_listen_multi_reuse_port.
#[test]
fn listen_multi_reuse_port() {
    three_workers("reuse_port");
}

/// Tornado: test_listen_single.
#[test]
fn listen_single() {
    let server = start("listen", 1);
    assert_eq!(server.workers, ["none"]);
    assert_eq!(server.ask(), "None");
    let (status, stdout, stderr) = server.end();
    // Nobody handles the signal in a single process.
    assert_eq!((status, &*stdout, &*stderr), (None, "", ""));
}

/// Each worker that dies is replaced under its id, on the same port.
#[test]
fn a_worker_that_dies_is_replaced_and_the_port_goes_on() {
    let mut server = start("bind_start", 2);
    let children = children_of(server.parent.id());
    assert_eq!(children.len(), 2, "{children:?}");
    assert!(Command::new("kill").args(["-KILL", &children[0]]).status().unwrap().success());
    let mut line = String::new();
    server.lines.read_line(&mut line).unwrap();
    assert!(["worker 0\n", "worker 1\n"].contains(&&*line), "{line:?}");
    assert!(["Some(0)", "Some(1)"].contains(&&*server.ask()));
    let (status, stdout, _) = server.end();
    assert_eq!((status, &*stdout), (Some(0), ""));
}

/// The process ids of a process's children.
fn children_of(pid: u32) -> Vec<String> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().map(str::to_owned).collect()
}

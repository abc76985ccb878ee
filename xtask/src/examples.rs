//! `cargo xtask examples`: builds all examples, starts each, uses it once as a stranger would, and stops it.
//!
//! Rules: [`EXAMPLES`] is the list of them, and `tidy` compares it with the directory. A server is started on port 0 and
//! prints its address on stdout once it listens; that line is awaited, nobody sleeps. Every wait has a deadline, and an
//! example that fails is shown with all it printed.

mod client;
mod running;

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::ci;
use client::Answer;
use running::{Exit, Running};

/// An example, how to start it, what it must do.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    arguments: &'static [&'static str],
    use_once: fn(&Running) -> Result<(), String>,
    exit: Exit,
}

/// Every file of `examples/`.
pub(crate) const EXAMPLES: &[Example] = &[
    server("hello", get),
    server("tcp_echo", tcp_echo),
    server("start_listen", get),
    forking("start_fork", get),
    forking("start_sockets", get),
    Example { arguments: &["--port", "0", "--workers", "2"], ..server("start_threads", get) },
    server("delegate_chain", delegate_chain),
    Example { arguments: &[], ..server("unix_echo", unix_echo) },
    server("http_playground", playground),
];

const fn server(name: &'static str, use_once: fn(&Running) -> Result<(), String>) -> Example {
    Example { name, arguments: &["--port", "0"], use_once, exit: Exit::CleanOrByTheSignal }
}

/// The parent of forked workers ends them all and reports success.
const fn forking(name: &'static str, use_once: fn(&Running) -> Result<(), String>) -> Example {
    Example { name, arguments: &["--port", "0", "--workers", "2"], use_once, exit: Exit::Clean }
}

/// Runs the named examples, or all when none is named.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| !EXAMPLES.iter().any(|example| example.name == **name)) {
        return Err(format!("no example {unknown:?} in the table of xtask/src/examples.rs"));
    }
    build(root)?;
    let directory = built_examples()?;
    let mut failed = Vec::new();
    for example in EXAMPLES.iter().filter(|example| names.is_empty() || names.contains(&example.name)) {
        let begin = Instant::now();
        match example.check(root, &directory) {
            Ok(()) => println!("example {}: ok in {}", example.name, ci::seconds(begin.elapsed())),
            Err(problem) => {
                println!("example {}: FAILED: {problem}", example.name);
                failed.push(example.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("examples that failed: {}", failed.join(", "))) }
}

fn build(root: &Path) -> Result<(), String> {
    match ci::cargo(root).args(["build", "--locked", "--package", "landspout-workbench", "--examples"]).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo build --examples: {status}")),
        Err(error) => Err(format!("cargo build --examples: {error}")),
    }
}

/// Where cargo puts examples: this program lies in the same target directory, whatever that is called.
fn built_examples() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(2).ok_or("xtask does not lie in a target directory")?;
    Ok(target.join("debug/examples"))
}

impl Example {
    fn check(&self, root: &Path, directory: &Path) -> Result<(), String> {
        // A binary of an example deleted long ago may still lie in the target directory.
        if !root.join(format!("examples/{}.rs", self.name)).is_file() {
            return Err(format!("examples/{}.rs does not exist", self.name));
        }
        let running = Running::start(&directory.join(self.name), self.arguments).map_err(|error| error.to_string())?;
        (self.use_once)(&running)
            .and_then(|()| running.terminate(self.exit))
            .and_then(
                |()| if running.output().contains("panicked at") { Err("it panicked".to_owned()) } else { Ok(()) },
            )
            .map_err(|problem| format!("{problem}\n--- {} printed:\n{}---", self.name, running.output()))
    }
}

fn get(running: &Running) -> Result<(), String> {
    let answer = client::http(running.address()?, "GET", "/", b"")?;
    expect(answer.status == 200 && !answer.body.is_empty(), "GET / gives 200 and a body", &answer)
}

fn playground(running: &Running) -> Result<(), String> {
    let address = running.address()?;
    let answer = client::http(address, "GET", "/", b"")?;
    expect(answer.status == 200 && answer.body == b"Hello, World!", "GET / gives `Hello, World!`", &answer)?;
    let answer = client::http(address, "POST", "/echo", b"one\0two")?;
    expect(answer.status == 200 && answer.body == b"one\0two", "POST /echo gives the body back", &answer)?;
    let answer = client::http(address, "GET", "/big?n=300000", b"")?;
    expect(answer.status == 200 && answer.body.len() == 300_000, "GET /big?n=300000 gives that many bytes", &answer)?;
    let answer = client::http(address, "GET", "/sleep?ms=1", b"")?;
    expect(answer.status == 200, "GET /sleep?ms=1 gives 200", &answer)?;
    let answer = client::http(address, "GET", "/nothing", b"")?;
    expect(answer.status == 404, "anything else gives 404", &answer)
}

/// Each call of the chain is printed when it happens, under its name.
fn delegate_chain(running: &Running) -> Result<(), String> {
    let answer = client::http(running.address()?, "POST", "/", b"hello")?;
    expect(answer.status == 200, "POST / gives 200", &answer)?;
    running.wait_for("the calls of the chain in their order", |output| {
        let mut rest = output;
        for call in ["start_request", "headers_received", "data_received", "finish"] {
            rest = &rest[rest.find(call)? + call.len()..];
        }
        Some(())
    })
}

fn tcp_echo(running: &Running) -> Result<(), String> {
    client::echo(client::tcp(running.address()?)?)
}

fn unix_echo(running: &Running) -> Result<(), String> {
    let path = running.wait_for("the path of its socket", |output| {
        let word = output.lines().find_map(|line| line.split_whitespace().find(|word| word.contains('/')))?;
        let path =
            word.trim_start_matches("http+unix:").trim_start_matches("unix:").trim_matches(['"', '`', '\'', ',']);
        Some(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
    })?;
    client::echo(client::unix(&path)?)
}

fn expect(holds: bool, what: &str, answer: &Answer) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("expected that {what}, but got: {answer}")) }
}

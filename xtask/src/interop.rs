//! `cargo xtask interop`: our streams and servers against real peers, openssl, curl, Python's `ssl`, smtplib, Tornado, nginx,
//! HAProxy, Node, a browser. The cases are scripts in `tests/interop`; this builds our end of them, finds or installs the peers,
//! and starts them.
//!
//! Rules: programs are installed by the system's package manager and only where they are missing; what pip installs goes into
//! an environment of its own in the target directory. The smoke test installs nothing and runs what the machine has.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ci::{self, succeed};
use crate::examples;

/// Programs that the cases need, and the packages of Debian that have them.
const PROGRAMS: &[(&str, &[&str])] =
    &[("openssl", &["openssl"]), ("curl", &["curl"]), ("python3", &["python3", "python3-venv"])];

/// Likewise; without these their cases are skipped.
const OPTIONAL: &[(&str, &[&str])] =
    &[("nginx", &["nginx-light"]), ("haproxy", &["haproxy"]), ("node", &["nodejs"]), ("chromium", &["chromium"])];

/// What pip installs.
const PYTHON: &[&str] = &["tornado>=6.4,<7", "requests", "httpx", "aiohttp"];

/// All cases, or those whose name has one of these words.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<(), String> {
    install_missing(PROGRAMS)?;
    if let Err(problem) = install_missing(OPTIONAL) {
        println!("interop: {problem}");
    }
    let python = environment(&work()?.join("venv"), PYTHON)?;
    cases(root, &python, words)
}

/// Python, in an environment of its own at that place, with packages in it.
pub(crate) fn environment(place: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let python = place.join("bin/python");
    if !python.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(place))?;
    }
    succeed(
        Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages),
    )?;
    Ok(python)
}

/// Installs what is missing of programs, each with the packages of Debian that have it.
pub(crate) fn install_missing(programs: &[(&str, &[&str])]) -> Result<(), String> {
    let missing = programs.iter().filter(|(program, _)| !exists(program)).flat_map(|(_, packages)| *packages);
    let missing: Vec<&str> = missing.copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    // A machine on which nothing was installed yet doesn't know of any package; one that can't ask for news may know them still.
    let apt = |words: &[&str]| succeed(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(words));
    if let Err(problem) = apt(&["update", "--quiet"]) {
        println!("interop: apt-get update: {problem}");
    }
    apt(&[&["install", "--yes", "--no-install-recommends"], &missing[..]].concat())
        .map_err(|problem| format!("{problem}; please install {}", missing.join(", ")))
}

/// The cases that are quick and need nothing installed.
pub(crate) fn smoke(root: &Path) -> Result<(), String> {
    if !exists("python3") {
        println!("interop: skipped, for want of python3");
        return Ok(());
    }
    cases(root, Path::new("python3"), &["--smoke"])
}

fn cases(root: &Path, python: &Path, words: &[&str]) -> Result<(), String> {
    let ours = ["interop_peer", "http_playground", "websocket_upgrade"].map(|name| ["--example", name]);
    succeed(ci::cargo(root).args(["build", "--locked", "-p", "landspout-workbench"]).args(ours.concat()))?;
    let mut command = Command::new(python);
    // Without -B it would leave compiled files beside the scripts.
    command.arg("-B").arg(root.join("tests/interop/run.py"));
    command.arg("--peer").arg(examples::built_examples()?.join("interop_peer"));
    command.arg("--playground").arg(examples::built_examples()?.join("http_playground"));
    command.arg("--work").arg(work()?).args(words);
    succeed(&mut command)
}

fn work() -> Result<PathBuf, String> {
    Ok(examples::built_examples()?.join("../../interop"))
}

fn exists(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Some don't know the flag, which doesn't matter.
    command.status().is_ok()
}

//! The programs of the peers: how each is built or installed, started, and asked for its version.
//!
//! They share one target directory, and each program is put beside the others under its own name, so that a variant with other
//! features is another file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use super::{Peer, Program, nginx, program};
use crate::examples::running::Running;
use crate::{ci, interop};

/// The status of a program that this machine can't run.
const NOT_HERE: i32 = 3;

/// How to start a peer. By default: on any free port, one worker, in plain text.
#[derive(Default)]
pub(crate) struct Options<'a> {
    /// What runs the program: `taskset -c 0`, or `valgrind` with its flags.
    pub(crate) prefix: &'a [&'a str],
    /// The files of the certificate and its key.
    pub(crate) certificate: Option<(&'a Path, &'a Path)>,
    /// How many connections there may be, for those that make tables for them at their start. Otherwise as many as are ever needed.
    pub(crate) connections: Option<usize>,
    /// How many, and whether by `fork` or as `threads`.
    pub(crate) workers: Option<(usize, &'a str)>,
    /// Further flags.
    pub(crate) flags: &'a [&'a str],
}

/// A peer that listens. Dropping it ends it.
pub(crate) struct Started {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

/// Why a peer doesn't listen.
pub(crate) enum NotStarted {
    /// It ended with status 3: this machine can't do what it takes.
    NotHere(String),
    Failed(String),
}

impl From<String> for NotStarted {
    fn from(problem: String) -> Self {
        Self::Failed(problem)
    }
}

impl From<NotStarted> for String {
    fn from(problem: NotStarted) -> Self {
        problem.to_string()
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotHere(problem) | Self::Failed(problem)) = self;
        f.write_str(problem)
    }
}

/// Builds or installs what the peer takes, in its locked version.
pub(crate) fn build(root: &Path, peer: &Peer) -> Result<(), String> {
    match peer.program {
        Program::Rust { package, features, .. } => build_rust(root, peer, package, features),
        Program::Nginx => interop::install_missing(&[("nginx", &["nginx-light"])]),
        Program::Tornado { .. } => {
            interop::install_missing(&[("python3", &["python3", "python3-venv"])])?;
            let requirements = requirements(root);
            let requirements = requirements.to_str().ok_or("the repository's directory has a name that is no text")?;
            interop::environment(&environment(root), &["--requirement", requirements]).map(drop)
        }
    }
}

fn build_rust(root: &Path, peer: &Peer, package: &str, features: &str) -> Result<(), String> {
    let target = target(root);
    let mut command = ci::cargo(root);
    command.args(["build", "--release", "--locked", "--quiet", "--features", features, "--manifest-path"]);
    command.arg(root.join("benches/peers").join(package).join("Cargo.toml"));
    // What a crate asks of the compiler is newer at times than what it needs.
    command.arg("--ignore-rust-version").arg("--target-dir").arg(&target);
    ci::succeed(&mut command).map_err(|problem| format!("building {}: {problem}", peer.name))?;
    let (built, program) = (target.join("release").join(format!("peer-{package}")), program(root, peer));
    let copy = || {
        fs::create_dir_all(program.parent().expect("it lies in a directory"))?;
        // Not written to, since a peer of that name may still run.
        let _ = fs::remove_file(&program);
        fs::copy(&built, &program)
    };
    copy().map_err(|error| format!("copying {} to {}: {error}", built.display(), program.display()))?;
    Ok(())
}

/// Starts a peer that was built, and waits until it listens.
pub(crate) fn start(root: &Path, peer: &Peer, options: &Options<'_>) -> Result<Started, NotStarted> {
    begin(root, peer, options).map_err(|problem| match problem {
        NotStarted::NotHere(problem) => NotStarted::NotHere(format!("{}: {problem}", peer.name)),
        NotStarted::Failed(problem) => NotStarted::Failed(format!("{}: {problem}", peer.name)),
    })
}

fn begin(root: &Path, peer: &Peer, options: &Options<'_>) -> Result<Started, NotStarted> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut words: Vec<String> = options.prefix.iter().map(|word| (*word).to_owned()).collect();
    match peer.program {
        Program::Rust { .. } => words.push(path(&program(root, peer))),
        Program::Tornado { flags } => {
            words.push(path(&environment(root).join("bin/python")));
            // Without -B it would leave compiled files beside the program.
            words.extend(["-B".to_owned(), path(&root.join("benches/peers/tornado/server.py"))]);
            words.extend(flags.iter().map(|word| (*word).to_owned()));
        }
        Program::Nginx => return Ok(nginx::start(root, &target(root).join(peer.name), words, options)?),
    }
    words.extend(["--port", "0"].map(str::to_owned));
    if let Some((certfile, keyfile)) = options.certificate {
        words.extend(["--certfile".to_owned(), path(certfile), "--keyfile".to_owned(), path(keyfile)]);
    }
    if let Some((workers, way)) = options.workers {
        words.extend(["--workers", &workers.to_string(), "--start", way].map(str::to_owned));
    }
    words.extend(options.flags.iter().map(|word| (*word).to_owned()));
    let running = run(&words)?;
    match running.address() {
        Ok(address) => Ok(Started { running, address }),
        Err(problem) => Err(match running.has_ended() {
            Some(status) if status.code() == Some(NOT_HERE) => NotStarted::NotHere(running.output()),
            _ => NotStarted::Failed(format!("{problem}\n{}", running.output())),
        }),
    }
}

/// The first of the words is the program.
pub(super) fn run(words: &[String]) -> Result<Running, String> {
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    Running::start(Path::new(&words[0]), &arguments).map_err(|error| format!("{}: {error}", words[0]))
}

/// The version that is locked, or installed.
pub(crate) fn version(root: &Path, peer: &Peer) -> Result<String, String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    match peer.program {
        Program::Rust { package, shown, .. } => {
            let lock = root.join("benches/peers").join(package).join("Cargo.lock");
            let version = locked_version(&read(&lock)?, shown);
            Ok(format!("{shown} {}", version.ok_or_else(|| format!("{}: no {shown}", lock.display()))?))
        }
        Program::Nginx => nginx::version(),
        Program::Tornado { flags } => {
            let requirements = read(&requirements(root))?;
            let used = requirements.lines().filter(|line| line.starts_with("tornado") || !flags.is_empty());
            Ok(used.map(|line| line.replace("==", " ")).collect::<Vec<_>>().join(", "))
        }
    }
}

fn locked_version(lock: &str, package: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("\nname = \"{package}\"\nversion = \""))?;
    Some(rest.split('"').next()?.to_owned())
}

/// What is built for the peers, and what they need to run.
pub(super) fn target(root: &Path) -> PathBuf {
    root.join("target/peers")
}

fn environment(root: &Path) -> PathBuf {
    target(root).join("venv")
}

fn requirements(root: &Path) -> PathBuf {
    root.join("benches/peers/tornado/requirements.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_version_is_that_of_the_package_itself() {
        let lock = "[[package]]\nname = \"hyper-util\"\nversion = \"0.1\"\n\n[[package]]\nname = \"hyper\"\nversion = \"1.2\"\n";
        assert_eq!(locked_version(lock, "hyper").as_deref(), Some("1.2"));
        assert_eq!(locked_version(lock, "util"), None);
    }
}

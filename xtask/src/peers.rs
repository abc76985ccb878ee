//! `cargo xtask peers`: builds the servers that landspout is compared with, starts each, and shows that it keeps the contract of
//! [benches/README.md](../../benches/README.md): the same answers to the same requests, whatever made them.
//!
//! Rules: [`PEERS`] is the one list of them; `cargo xtask compare` measures what it names, by way of [`build`] and [`start`]. They
//! share one target directory, and each program is put beside the others under its own name, so that a variant with other
//! features is another file.

mod asking;
mod contract;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::ci;
use crate::examples::running::Running;
pub(crate) use contract::certificate;

/// What a peer can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    /// `GET /` in plain text: kept alive, pipelined, a connection for each.
    Hello,
    /// `POST /echo` with a length, and chunked.
    Echo,
    /// As `Echo`, but a body of 16 KiB with its length only.
    EchoOf16KiB,
    /// `GET /stream/BYTES`.
    Stream,
    /// It takes `--certfile F --keyfile F`; for `GET /`, and no plain text then.
    Tls,
    /// It takes `--workers N --start fork|threads`.
    Workers,
    /// Whatever a client sends comes back, without HTTP.
    TcpEcho,
}
use Ability::{Echo, EchoOf16KiB, Hello, Stream, Tls, Workers};

/// What landspout is compared with, itself included.
pub(crate) struct Peer {
    /// As it is typed and shown.
    pub(crate) name: &'static str,
    program: Program,
    pub(crate) abilities: &'static [Ability],
}

enum Program {
    /// A package in `benches/peers`, what it is built with, how it is started, and the crate whose version counts.
    Rust { package: &'static str, features: &'static str, flags: &'static [&'static str], shown: &'static str },
}

/// All of them, in the order in which tables show them.
pub(crate) const PEERS: &[Peer] = &[
    // No peer but the limit: it looks for the end of a head and no more.
    rust("raw", "rustix", &[Hello, EchoOf16KiB]),
    rust("landspout", "landspout-httpserver", &[Hello, Echo, Stream, Workers]),
    with_tls("landspout-tls", "landspout", "landspout-httpserver"),
    rust("hyper", "hyper", &[Hello, Echo, Stream]),
    with_tls("hyper-tls", "hyper", "hyper"),
];

const fn rust(package: &'static str, shown: &'static str, abilities: &'static [Ability]) -> Peer {
    let program = Program::Rust { package, features: "", flags: &[], shown };
    Peer { name: package, program, abilities }
}

const fn with_tls(name: &'static str, package: &'static str, shown: &'static str) -> Peer {
    let program = Program::Rust { package, features: "tls", flags: &[], shown };
    Peer { name, program, abilities: &[Hello, Tls] }
}

impl Peer {
    pub(crate) fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
    }

    /// The package in `benches/peers` and the features that it is built with, if it is built.
    pub(crate) fn package(&self) -> Option<(&'static str, &'static str)> {
        match self.program {
            Program::Rust { package, features, .. } => Some((package, features)),
        }
    }
}

/// How to start a peer. By default: on any free port, one worker, in plain text.
#[derive(Default)]
pub(crate) struct Options<'a> {
    /// What runs the program: `taskset -c 0`, or `valgrind` with its flags.
    pub(crate) prefix: &'a [&'a str],
    /// The files of the certificate and its key.
    pub(crate) certificate: Option<(&'a Path, &'a Path)>,
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

/// The peer of that name.
pub(crate) fn find(name: &str) -> Result<&'static Peer, String> {
    let names: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
    let peer = PEERS.iter().find(|peer| peer.name == name);
    peer.ok_or_else(|| format!("no peer {name:?}; there are {}", names.join(", ")))
}

/// Builds or installs what the peer takes, in its newest locked version.
pub(crate) fn build(root: &Path, peer: &Peer) -> Result<(), String> {
    match peer.program {
        Program::Rust { package, features, .. } => {
            let target = target(root);
            let mut command = ci::cargo(root);
            command.args(["build", "--release", "--locked", "--quiet", "--features", features, "--manifest-path"]);
            command.arg(root.join("benches/peers").join(package).join("Cargo.toml"));
            command.arg("--target-dir").arg(&target);
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
    }
}

/// Starts a peer that was built, and waits until it listens.
pub(crate) fn start(root: &Path, peer: &Peer, options: &Options<'_>) -> Result<Started, String> {
    let mut words: Vec<String> = options.prefix.iter().map(|word| (*word).to_owned()).collect();
    match peer.program {
        Program::Rust { flags, .. } => {
            words.push(program(root, peer).to_string_lossy().into_owned());
            words.extend(["--port", "0"].iter().chain(flags).map(|word| (*word).to_owned()));
        }
    }
    if let Some((certfile, keyfile)) = options.certificate {
        let (certfile, keyfile) = (certfile.to_string_lossy(), keyfile.to_string_lossy());
        words.extend(["--certfile", &certfile, "--keyfile", &keyfile].map(str::to_owned));
    }
    if let Some((workers, way)) = options.workers {
        words.extend(["--workers", &workers.to_string(), "--start", way].map(str::to_owned));
    }
    words.extend(options.flags.iter().map(|word| (*word).to_owned()));
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let in_context = |problem: String| format!("{}: {problem}", peer.name);
    let running = Running::start(Path::new(&words[0]), &arguments).map_err(|error| in_context(error.to_string()))?;
    let address = running.address().map_err(|problem| in_context(format!("{problem}\n{}", running.output())))?;
    Ok(Started { running, address })
}

/// The program of a peer that is built from source; for its size, for one.
pub(crate) fn program(root: &Path, peer: &Peer) -> PathBuf {
    target(root).join("programs").join(peer.name)
}

/// The version that is locked.
pub(crate) fn version(root: &Path, peer: &Peer) -> Result<String, String> {
    match peer.program {
        Program::Rust { package, shown, .. } => {
            let lock = root.join("benches/peers").join(package).join("Cargo.lock");
            let text = fs::read_to_string(&lock).map_err(|error| format!("{}: {error}", lock.display()))?;
            let version = locked_version(&text, shown).ok_or_else(|| format!("{}: no {shown}", lock.display()))?;
            Ok(format!("{shown} {version}"))
        }
    }
}

fn locked_version(lock: &str, package: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("\nname = \"{package}\"\nversion = \""))?;
    Some(rest.split('"').next()?.to_owned())
}

fn target(root: &Path) -> PathBuf {
    root.join("target/peers")
}

/// The packages of the peers are no members of the workspace, so `cargo fmt --all` passes them by.
pub(crate) fn check_format(root: &Path) -> Result<(), String> {
    let peers = root.join("benches/peers");
    let entries = fs::read_dir(&peers).map_err(|error| format!("{}: {error}", peers.display()))?;
    let manifests = entries.flatten().map(|entry| entry.path().join("Cargo.toml"));
    for manifest in manifests.filter(|manifest| manifest.exists()) {
        ci::succeed(ci::cargo(root).args(["fmt", "--check", "--manifest-path"]).arg(&manifest))
            .map_err(|problem| format!("{}: {problem}", manifest.display()))?;
    }
    Ok(())
}

/// Checks the named peers, or all when none is named, and prints what each answers.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    let chosen = match names {
        [] => PEERS.iter().collect(),
        names => names.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?,
    };
    contract::check(root, &chosen)
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

    #[test]
    fn names_are_taken_once() {
        for (at, peer) in PEERS.iter().enumerate() {
            assert!(!PEERS[..at].iter().any(|before| before.name == peer.name), "{}", peer.name);
        }
    }
}

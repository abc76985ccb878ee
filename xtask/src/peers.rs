//! `cargo xtask peers`: builds the servers that landspout is compared with, starts each, and shows that it keeps the contract of
//! [benches/README.md](../../benches/README.md): the same answers to the same requests, whatever made them.
//!
//! Rules: [`PEERS`] is the one list of them; `cargo xtask compare` and `count` measure what it names, by way of [`build`] and
//! [`start`].

mod asking;
mod contract;
mod nginx;
mod programs;

use std::fs;
use std::path::{Path, PathBuf};

use crate::ci;
pub(crate) use contract::certificate;
pub(crate) use programs::{NotStarted, Options, Started, build, start, version};

/// What a peer can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    /// `GET /`, kept alive and pipelined.
    Hello,
    /// It closes behind the answer to a request that has `Connection: close`.
    Closes,
    /// `POST /echo` with a length.
    Echo,
    /// The same, chunked.
    EchoChunked,
    /// `GET /stream/BYTES`, with one of [`STREAMED`].
    Stream,
    /// It takes `--certfile F --keyfile F`; for `GET /`, and no plain text then.
    Tls,
    /// It takes `--workers N --start fork|threads`.
    Workers,
    /// And `--start reuse-port`.
    ReusePort,
    /// Whatever a client sends comes back, without HTTP.
    TcpEcho,
}
use Ability::{Closes, Echo, EchoChunked, Hello, ReusePort, Stream, TcpEcho, Tls, Workers};

/// How many bytes may be asked for: nginx has a file for each.
pub(crate) const STREAMED: [u64; 2] = [1_000_000, 1 << 30];

/// What landspout is compared with, itself included.
pub(crate) struct Peer {
    /// As it is typed and shown.
    pub(crate) name: &'static str,
    program: Program,
    pub(crate) abilities: &'static [Ability],
}

enum Program {
    /// A package in `benches/peers`, what it is built with, and the crate whose version counts.
    Rust { package: &'static str, features: &'static str, shown: &'static str },
    /// That of the system.
    Nginx,
    /// From Python's index, with flags for the program.
    Tornado { flags: &'static [&'static str] },
}

/// What a whole HTTP server can.
const ALL: &[Ability] = &[Hello, Closes, Echo, EchoChunked, Stream];

/// All of them, in the order in which tables show them.
pub(crate) const PEERS: &[Peer] = &[
    // No peer but the limit: it looks for the end of a head and no more, and takes each body for one of 16 KiB. It closes when it
    // was started with `--close`.
    rust("raw", "rustix", &[Hello, Echo, Workers]),
    rust("landspout", "landspout-httpserver", ALL),
    rust("hyper", "hyper", ALL),
    rust("axum", "axum", ALL),
    rust("actix-web", "actix-web", ALL),
    variant("ntex", "ntex", "tokio", "ntex", ALL),
    variant("ntex-neon", "ntex", "neon-polling", "ntex", ALL),
    variant("ntex-uring", "ntex", "neon-uring", "ntex", ALL),
    rust("may_minihttp", "may_minihttp", &[Hello, Echo]),
    variant("monoio", "monoio", "epoll", "monoio", ALL),
    variant("monoio-uring", "monoio", "io-uring", "monoio", ALL),
    Peer { name: "nginx", program: Program::Nginx, abilities: &[Hello, Closes, Stream] },
    Peer { name: "tornado", program: Program::Tornado { flags: &[] }, abilities: ALL },
    Peer { name: "tornado-uvloop", program: Program::Tornado { flags: &["--uvloop"] }, abilities: ALL },
    variant("landspout-workers", "landspout", "workers", "landspout-httpserver", &[Workers, ReusePort]),
    variant("landspout-tls", "landspout", "tls", "landspout-httpserver", &[Hello, Tls]),
    variant("hyper-tls", "hyper", "tls", "hyper", &[Hello, Tls]),
    Peer { name: "nginx-tls", program: Program::Nginx, abilities: &[Hello, Tls] },
    // The limit of these.
    rust("raw-echo", "rustix", &[TcpEcho]),
    rust("landspout-echo", "landspout-iostream", &[TcpEcho]),
    rust("tokio-echo", "tokio", &[TcpEcho]),
];

const fn rust(package: &'static str, shown: &'static str, abilities: &'static [Ability]) -> Peer {
    variant(package, package, "", shown, abilities)
}

const fn variant(
    name: &'static str,
    package: &'static str,
    features: &'static str,
    shown: &'static str,
    abilities: &'static [Ability],
) -> Peer {
    Peer { name, program: Program::Rust { package, features, shown }, abilities }
}

impl Peer {
    pub(crate) fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
    }

    /// The package in `benches/peers` and the features that it is built with, if it is built.
    pub(crate) fn package(&self) -> Option<(&'static str, &'static str)> {
        match self.program {
            Program::Rust { package, features, .. } => Some((package, features)),
            Program::Nginx | Program::Tornado { .. } => None,
        }
    }

    /// How many connections it makes tables for at its start, if it makes any.
    pub(crate) fn tables(&self) -> Option<usize> {
        matches!(self.program, Program::Nginx).then_some(nginx::CONNECTIONS)
    }
}

/// The peer of that name.
pub(crate) fn find(name: &str) -> Result<&'static Peer, String> {
    let names: Vec<&str> = PEERS.iter().map(|peer| peer.name).collect();
    let peer = PEERS.iter().find(|peer| peer.name == name);
    peer.ok_or_else(|| format!("no peer {name:?}; there are {}", names.join(", ")))
}

/// The program of a peer that is built from source, beside those of the others; for its size, for one.
pub(crate) fn program(root: &Path, peer: &Peer) -> PathBuf {
    programs::target(root).join("programs").join(peer.name)
}

/// Checks the named peers, or all when none is named, and prints what each answers.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    let chosen = match names {
        [] => PEERS.iter().collect(),
        names => names.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?,
    };
    contract::check(root, &chosen)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_once() {
        for (at, peer) in PEERS.iter().enumerate() {
            assert!(!PEERS[..at].iter().any(|before| before.name == peer.name), "{}", peer.name);
        }
    }

    #[test]
    fn every_package_is_used() {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/peers");
        let used = |name: &str| match name {
            "support" => true,
            "nginx" | "tornado" => PEERS.iter().any(|peer| peer.name == name),
            _ => PEERS.iter().any(|peer| matches!(peer.program, Program::Rust { package, .. } if package == name)),
        };
        let names = fs::read_dir(peers).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        for name in names.filter(|name| !name.starts_with('.')) {
            assert!(used(&name), "{name} is built by no peer");
        }
    }
}

//! Invariants 1, 2, 4 and 5: what only some files may name.

use super::code::{line_of, lines_with, lines_with_word};
use super::{File, Problems, Repository};

/// A name that may be used in code at some places only.
struct Owned {
    name: &'static str,
    /// Beginnings of paths.
    places: &'static [&'static str],
}

const OWNED: [Owned; 2] = [
    Owned { name: "mio", places: &["crates/ioloop/", "crates/netutil/src/accept", "crates/iostream/src/transport"] },
    Owned {
        name: "rustls",
        places: &[
            "crates/iostream/src/transports/tls",
            "crates/iostream/tests/tls",
            "crates/netutil/src/tls",
            "crates/netutil/tests/tls",
            "crates/tcpclient/tests/tls",
        ],
    },
];

/// Tests may bring what they need: certificates and configurations, for one.
fn is_no_test(file: &&File) -> bool {
    !file.path.contains("/tests/") && !file.path.ends_with("/tests.rs")
}

/// mio stays in the loop, the accept handler and the transports; rustls in the TLS transport and netutil's options.
pub(super) fn owned_packages(repository: &Repository) -> Problems {
    let mut problems = Vec::new();
    for file in repository.rust("crates/").filter(is_no_test) {
        for Owned { name, places } in OWNED {
            if !places.iter().any(|place| file.path.starts_with(place)) {
                let lines = lines_with_word(file.code(), name);
                problems.extend(lines.iter().map(|line| format!("{}:{line}: names `{name}`", file.path)));
            }
        }
    }
    problems
}

/// rustls' connections (as opposed to its configurations) live in the TLS transport alone. Tests may try a configuration with them.
pub(super) fn tls_connections(repository: &Repository) -> Problems {
    let outside =
        |file: &&File| !file.path.starts_with("crates/iostream/src/transports/tls") && !file.path.contains("/tests/");
    let tls = |file: &&File| !lines_with_word(file.code(), "rustls").is_empty();
    let mut problems = Vec::new();
    for file in repository.rust("crates/").filter(is_no_test).filter(outside).filter(tls) {
        for name in ["ClientConnection", "ServerConnection", "Connection", "StreamOwned"] {
            let lines = lines_with_word(file.code(), name);
            problems.extend(lines.iter().map(|line| format!("{}:{line}: names rustls' `{name}`", file.path)));
        }
    }
    problems
}

/// One file names httparse, and it is the codec's.
pub(super) fn one_file_names_httparse(repository: &Repository) -> Problems {
    let names = |file: &&File| !lines_with_word(file.code(), "httparse").is_empty();
    let paths: Vec<&str> = repository.rust("crates/").filter(names).map(|file| file.path.as_str()).collect();
    match paths.as_slice() {
        [] => Vec::new(),
        [path] if path.starts_with("crates/http1/src/") => Vec::new(),
        paths => vec![format!("httparse is named in {}, not in one file of crates/http1/src", paths.join(", "))],
    }
}

/// The codec and the vocabulary of HTTP never see a socket, a thread or a clock. (That they don't see the loop is the
/// crate graph's matter.)
pub(super) fn sans_io(repository: &Repository) -> Problems {
    const NAMES: [&str; 8] =
        ["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "AsFd", "thread", "Instant"];
    let mut problems = Vec::new();
    for file in ["crates/http1/src/", "crates/httputil/src/"].into_iter().flat_map(|place| repository.rust(place)) {
        for name in NAMES {
            let lines = lines_with_word(file.code(), name);
            problems.extend(lines.iter().map(|line| format!("{}:{line}: names `{name}`", file.path)));
        }
    }
    problems
}

/// Every crate forbids unsafe code but `process`, which has it in one file; so does every package of the benches.
pub(super) fn unsafe_code(repository: &Repository) -> Problems {
    const FORBID: &str = "#![forbid(unsafe_code)]";
    const EXCEPTION: &str = "crates/process/";
    let mut problems = Vec::new();
    let crates = repository.crates.iter().map(|manifest| format!("crates/{}/src/lib.rs", manifest.dir));
    let is_root = |path: &str| path.ends_with("/src/main.rs") || path.ends_with("/src/lib.rs");
    let benches = repository.rust("benches/").map(|file| file.path.clone()).filter(|path| is_root(path));
    for root in crates.chain(benches).filter(|root| !root.starts_with(EXCEPTION)) {
        if !repository.text(&root).lines().any(|line| line == FORBID) {
            problems.push(format!("{root}: has no line `{FORBID}`"));
        }
    }
    let mut excepted = Vec::new();
    for file in ["benches/", "crates/", "examples/", "xtask/"].into_iter().flat_map(|place| repository.rust(place)) {
        let lines = lines_with_word(file.code(), "unsafe");
        if lines.is_empty() {
        } else if file.path.starts_with(EXCEPTION) {
            excepted.push(file.path.as_str());
        } else {
            problems.extend(lines.iter().map(|line| format!("{}:{line}: unsafe", file.path)));
        }
    }
    if excepted.len() > 1 {
        problems.push(format!("unsafe code in more than one file: {}", excepted.join(", ")));
    }
    problems
}

/// Time enters through the loop's clock alone.
pub(super) fn clock(repository: &Repository) -> Problems {
    let mut problems = Vec::new();
    for file in repository.sources().filter(|file| !file.path.starts_with("crates/ioloop/")) {
        let mut found = Vec::new();
        for call in ["Instant::now", "SystemTime::now"] {
            // In examples within comments, too; prose may still name the function.
            found.extend(lines_with(&file.text, &format!("{call}()")).into_iter().map(|line| (line, call)));
            found.extend(lines_with(file.code(), call).into_iter().map(|line| (line, call)));
        }
        found.extend(reads_of_elapsed(file.code()).into_iter().map(|line| (line, "elapsed")));
        found.sort_unstable();
        found.dedup();
        problems.extend(found.iter().map(|(line, call)| {
            format!("{}:{line}: `{call}` reads the clock; IoLoop::now() is the one door", file.path)
        }));
    }
    problems
}

/// `Instant::elapsed` reads the clock, `HttpConnection::elapsed` asks the loop. Text can't tell a type, so the receiver's
/// name has to: the one of a connection is called so.
fn reads_of_elapsed(code: &str) -> Vec<usize> {
    const CONNECTIONS: [&str; 4] = ["self", "connection", "conn", "inner"];
    let receiver = |at: usize| {
        let before = code[..at].trim_end().trim_end_matches("()");
        let start =
            before.rfind(|character: char| !(character == '_' || character.is_alphanumeric())).map_or(0, |at| at + 1);
        &before[start..]
    };
    let foreign = |at: &usize| !CONNECTIONS.iter().any(|name| receiver(*at).trim_end_matches('_').ends_with(name));
    code.match_indices(".elapsed()").map(|(at, _)| at).filter(foreign).map(|at| line_of(code, at)).collect()
}

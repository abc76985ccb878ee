//! The cases: a row each. What a case measures is a function, so that any kind of figure fits in.

use super::load::{self, Per};
use super::samples::Measured;
use super::{Bench, connections, instructions, program, timers, tls, workers, wrk};
use crate::peers::{Ability, Peer};

/// A case, and what is told about it.
pub(crate) struct Case {
    /// As it is typed, and the name of its files.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What is compared; less is better.
    pub(crate) unit: &'static str,
    /// What the second figure is, if the case has one.
    pub(crate) rate: &'static str,
    /// What landspout is to reach.
    pub(crate) goal: &'static str,
    /// Who takes part.
    pub(crate) serves: fn(&Peer) -> bool,
    /// Whether a second sample may differ from the first.
    pub(crate) varies: bool,
    /// Whether it runs when no case is named.
    pub(crate) by_default: bool,
    /// What the server's time is divided by, where a load measures it.
    per: Per,
    measure: Measure,
}

/// How a sample is taken.
enum Measure {
    /// By a load of these words, server and load on a CPU each.
    Apart(&'static [&'static str]),
    /// Both on one CPU, in turn.
    InTurn(&'static [&'static str]),
    /// By a load of this kind, over TLS.
    Tls(&'static str),
    By(fn(&Bench<'_>, &Peer) -> Result<Measured, String>),
}
use Measure::{Apart, By, InTurn, Tls};

impl Case {
    pub(crate) fn sample(&self, bench: &Bench<'_>, peer: &Peer) -> Result<Measured, String> {
        match self.measure {
            Apart(words) => load::sample(bench, peer, words, self.per),
            InTurn(words) => load::sample_in_turn(bench, peer, words, self.per),
            Tls(kind) => tls::sample(bench, peer, kind),
            By(measure) => measure(bench, peer),
        }
    }
}

/// All of them, in the order of the results.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "keepalive",
        title: "GET, keep-alive, 64 connections, short headers",
        goal: "at most 1.04 × raw, less than every peer on epoll",
        measure: Apart(&["keepalive"]),
        ..REQUESTS
    },
    Case {
        name: "browser",
        title: "GET, keep-alive, 64 connections, a browser's headers (12 fields, 700 bytes)",
        goal: "less than every peer that parses them",
        measure: Apart(&["keepalive", "--headers", "browser"]),
        ..REQUESTS
    },
    Case {
        name: "pipelined",
        title: "GET, 16 pipelined requests at a time, 64 connections, short headers",
        goal: "less than every peer that parses, at most 1.25 × raw",
        measure: Apart(&["pipelined", "--batch", "16"]),
        ..REQUESTS
    },
    Case {
        name: "together-keepalive",
        title: "GET, keep-alive, 64 connections, short headers; server and load on one CPU",
        goal: "less than every peer on epoll",
        measure: InTurn(&["keepalive"]),
        ..REQUESTS
    },
    Case {
        name: "together-pipelined",
        title: "GET, 16 pipelined requests at a time, 64 connections, short headers; server and load on one CPU",
        goal: "less than every peer that parses",
        measure: InTurn(&["pipelined", "--batch", "16"]),
        ..REQUESTS
    },
    Case {
        name: "churn",
        title: "GET, a connection for each request, 64 at a time; server and load on one CPU",
        goal: "less than every peer, at most 1.06 × raw",
        measure: By(|bench, peer| {
            // Not every server closes when it is asked to.
            let closer = if peer.can(Ability::Closes) || peer.name == "raw" { "server" } else { "client" };
            load::sample_in_turn(bench, peer, &["churn", "--closer", closer], Per::Request)
        }),
        ..REQUESTS
    },
    Case {
        name: "post",
        title: "POST of 16 KiB with its length, sent back, 64 connections",
        goal: "less than every peer",
        serves: |peer| peer.can(Ability::Echo),
        measure: Apart(&["post"]),
        ..REQUESTS
    },
    Case {
        name: "post-chunked",
        title: "POST of 16 KiB in four chunks, sent back, 64 connections",
        goal: "less than every peer",
        serves: |peer| peer.can(Ability::EchoChunked),
        measure: Apart(&["post-chunked"]),
        ..REQUESTS
    },
    Case {
        name: "stream",
        title: "GET of 1 GiB, streamed with back-pressure, one connection",
        unit: "CPU ns/KiB",
        rate: "KiB/s",
        goal: "less than every peer, with flat memory",
        serves: |peer| peer.can(Ability::Stream),
        per: Per::KiB,
        measure: Apart(&["stream"]),
        ..REQUESTS
    },
    Case {
        name: "idle",
        title: "Memory of an idle connection, of 10,000 after one request each",
        unit: "bytes",
        rate: "",
        goal: "at most 700, less than every peer",
        measure: By(connections::idle),
        ..REQUESTS
    },
    Case {
        name: "growth-1000",
        title: "GET, keep-alive, 64 connections active of 1,000, beside 64 of 64",
        measure: By(|bench, peer| connections::growth(bench, peer, 1_000)),
        ..GROWTH
    },
    Case {
        name: "growth-10000",
        title: "GET, keep-alive, 64 connections active of 10,000, beside 64 of 64",
        measure: By(|bench, peer| connections::growth(bench, peer, 10_000)),
        ..GROWTH
    },
    Case {
        name: "growth-100000",
        title: "GET, keep-alive, 64 connections active of 100,000, beside 64 of 64, with 8 workers on one CPU",
        serves: has_all_ways,
        measure: By(|bench, peer| connections::growth_of_workers(bench, peer, 100_000)),
        ..GROWTH
    },
    Case { name: "tls-keepalive", title: "GET over TLS 1.3, keep-alive, 64 connections", measure: Tls("tls"), ..TLS },
    Case {
        name: "tls-handshake",
        title: "GET over TLS 1.3, a connection and a full handshake (P-256) for each, 64 at a time",
        measure: Tls("tls-handshake"),
        ..TLS
    },
    Case {
        name: "tls-resumed",
        title: "GET over TLS 1.3, a connection and a resumed handshake for each, 64 at a time",
        measure: Tls("tls-resumed"),
        ..TLS
    },
    Case {
        name: "echo-pingpong",
        title: "TCP echo of 64 bytes, 64 connections",
        unit: "CPU µs/message",
        rate: "messages/s",
        goal: "at most 1.02 × raw",
        serves: |peer| peer.can(Ability::TcpEcho),
        measure: Apart(&["echo"]),
        ..REQUESTS
    },
    Case {
        name: "echo-bulk",
        title: "TCP echo of a stream, written in pieces of 64 KiB, one connection",
        unit: "CPU ns/KiB",
        rate: "KiB/s",
        goal: "at most 1.05 × raw",
        serves: |peer| peer.can(Ability::TcpEcho),
        per: Per::KiB,
        measure: Apart(&["bulk"]),
        ..REQUESTS
    },
    Case {
        name: "workers-fork",
        title: "GET, keep-alive, 64 connections: two processes on two CPUs beside one on one, the load on both",
        measure: By(|bench, peer| workers::two(bench, peer, "fork")),
        ..WORKERS
    },
    Case {
        name: "workers-threads",
        title: "GET, keep-alive, 64 connections: two threads on two CPUs beside one on one, the load on both",
        measure: By(|bench, peer| workers::two(bench, peer, "threads")),
        ..WORKERS
    },
    Case {
        name: "balance-fork",
        title: "Of 1,000 connections, the share of the process with most of them, of two",
        measure: By(|bench, peer| workers::balance(bench, peer, "fork")),
        ..BALANCE
    },
    Case {
        name: "balance-reuse-port",
        title: "Of 1,000 connections, the share of the process with most of them, of two with a socket each",
        measure: By(|bench, peer| workers::balance(bench, peer, "reuse-port")),
        ..BALANCE
    },
    Case {
        name: "balance-threads",
        title: "Of 1,000 connections, the share of the thread with most of them, of two",
        measure: By(|bench, peer| workers::balance(bench, peer, "threads")),
        ..BALANCE
    },
    Case {
        name: "timers",
        title: "Arming and cancelling a timer beside 1,000,000 others",
        unit: "ns",
        rate: "beside none",
        goal: "less than 100 ns, no more than beside none",
        serves: has_all_ways,
        measure: By(timers::sample),
        ..REQUESTS
    },
    Case {
        name: "startup",
        title: "From the start of the program to its first answer",
        unit: "ms",
        rate: "CPU ms",
        measure: By(program::startup),
        ..PROGRAM
    },
    Case {
        name: "size",
        title: "Size of the program without symbols",
        unit: "KiB",
        varies: false,
        measure: By(program::size),
        ..PROGRAM
    },
    Case {
        name: "packages",
        title: "Packages in the program",
        unit: "packages",
        rate: "of others",
        varies: false,
        measure: By(program::packages),
        ..PROGRAM
    },
    Case {
        name: "instructions-keepalive",
        title: "Instructions of user code, keep-alive, short headers",
        goal: "fewer than every peer that parses, 1,300",
        measure: By(|bench, peer| instructions::sample(bench, peer, 1)),
        ..INSTRUCTIONS
    },
    Case {
        name: "instructions-pipelined",
        title: "Instructions of user code, 16 pipelined requests at a time, short headers",
        goal: "fewer than every peer that parses, 800",
        measure: By(|bench, peer| instructions::sample(bench, peer, 16)),
        ..INSTRUCTIONS
    },
    Case {
        name: "wrk-keepalive",
        title: "GET, keep-alive, 64 connections, short headers, asked by wrk",
        goal: "a second opinion",
        by_default: false,
        measure: By(|bench, peer| wrk::sample(bench, peer, 1)),
        ..REQUESTS
    },
    Case {
        name: "wrk-pipelined",
        title: "GET, 16 pipelined requests at a time, 64 connections, short headers, asked by wrk",
        goal: "a second opinion",
        by_default: false,
        measure: By(|bench, peer| wrk::sample(bench, peer, 16)),
        ..REQUESTS
    },
];

/// A case that measures CPU time for a plain request.
const REQUESTS: Case = Case {
    name: "",
    title: "",
    unit: "CPU µs/request",
    rate: "requests/s",
    goal: "",
    serves: |peer| peer.can(Ability::Hello) && !peer.can(Ability::Tls),
    varies: true,
    by_default: true,
    per: Per::Request,
    measure: By(|_, _| Err("nothing to measure".to_owned())),
};

/// One that counts, which a second time gives the same.
const INSTRUCTIONS: Case = Case {
    unit: "instructions/request",
    rate: "",
    varies: false,
    // Under valgrind a wait for io_uring doesn't end on a signal, and neither does the program then.
    serves: |peer| (REQUESTS.serves)(peer) && !peer.name.ends_with("-uring"),
    ..REQUESTS
};

/// One that compares CPU time for a request with the same peer's in calmer times.
const GROWTH: Case =
    Case { unit: "× CPU/request", rate: "CPU µs/request", goal: "flat: at most 1.15 × up to 100,000", ..REQUESTS };

const TLS: Case = Case {
    goal: "less than hyper with rustls and than nginx with OpenSSL",
    serves: |peer| peer.can(Ability::Tls),
    ..REQUESTS
};

/// One that compares two workers with one.
const WORKERS: Case = Case { goal: "at most 1.05 ×", serves: |peer| peer.can(Ability::Workers), ..GROWTH };

const BALANCE: Case = Case {
    unit: "× the mean",
    rate: "",
    goal: "within 10 % of the mean: at most 1.10",
    serves: has_all_ways,
    ..REQUESTS
};

/// One about the program alone.
const PROGRAM: Case = Case {
    rate: "",
    goal: "less than hyper and actix-web",
    serves: |peer| peer.can(Ability::Hello) && !peer.can(Ability::Tls) && peer.package().is_some(),
    ..REQUESTS
};

/// For what is measured of landspout alone: its program that has all ways to start workers.
fn has_all_ways(peer: &Peer) -> bool {
    peer.name == "landspout-workers"
}

/// Flags of peers that are set up otherwise in some cases: the peer, the cases, the flags.
const SETTINGS: &[(&str, &[&str], &[&str])] = &[
    // It doesn't look whether the client wants its connection closed, so it has to be told.
    ("raw", &["churn"], &["--close"]),
    // What gathers small answers copies large ones, and holds them whole: it waits for no client.
    ("axum", &["post", "post-chunked", "stream"], &["--no-pipeline-flush"]),
    ("hyper", &["post", "post-chunked", "stream"], &["--no-pipeline-flush"]),
];

/// The flags of this peer in this case.
pub(super) fn settings(case: &str, peer: &str) -> &'static [&'static str] {
    let found = SETTINGS.iter().find(|(name, cases, _)| *name == peer && cases.contains(&case));
    found.map_or(&[], |(_, _, flags)| flags)
}

/// The cases of that name, or those whose name begins with it, as `post` is one and `instructions` are two.
pub(crate) fn find(name: &str) -> Result<Vec<&'static Case>, String> {
    let begins = |case: &&Case| case.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
    let found: Vec<&Case> = match CASES.iter().find(|case| case.name == name) {
        Some(case) => vec![case],
        None => CASES.iter().filter(begins).collect(),
    };
    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    if found.is_empty() { Err(format!("no case {name:?}; there are {}", names.join(", "))) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::super::is_ours;
    use super::*;
    use crate::peers::PEERS;

    #[test]
    fn a_case_is_found_by_its_name_or_its_family() {
        let names = |name: &str| find(name).map(|cases| cases.iter().map(|case| case.name).collect::<Vec<_>>());
        assert_eq!(names("post"), Ok(vec!["post"]));
        assert_eq!(names("instructions"), Ok(vec!["instructions-keepalive", "instructions-pipelined"]));
        assert!(names("keep").is_err());
    }

    #[test]
    fn settings_are_for_peers_and_cases_that_there_are() {
        for (peer, cases, _) in SETTINGS {
            assert!(PEERS.iter().any(|known| known.name == *peer), "{peer}");
            assert!(cases.iter().all(|case| CASES.iter().any(|known| known.name == *case)), "{peer}");
        }
        let counted =
            |(_, cases, _): &(&str, &[&str], &[&str])| cases.iter().any(|case| case.starts_with("instructions"));
        assert!(!SETTINGS.iter().any(counted), "instructions are counted as `cargo xtask count` does, without flags");
        assert_eq!(settings("churn", "raw"), ["--close"]);
        assert!(settings("keepalive", "raw").is_empty() && settings("churn", "hyper").is_empty());
    }

    #[test]
    fn every_case_has_one_of_ours_to_measure() {
        for case in CASES {
            assert!(PEERS.iter().any(|peer| is_ours(peer.name) && (case.serves)(peer)), "{}", case.name);
        }
    }

    #[test]
    fn names_are_taken_once() {
        for (at, case) in CASES.iter().enumerate() {
            assert!(!CASES[..at].iter().any(|before| before.name == case.name), "{}", case.name);
        }
    }
}

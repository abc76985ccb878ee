//! The cases: a row each. What a case measures is a function, so that any kind of figure fits in.

use super::load::{self, Per};
use super::samples::Measured;
use super::{Bench, instructions, wrk};
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
    pub(crate) measure: fn(&Bench<'_>, &Peer) -> Result<Measured, String>,
}

/// All of them, in the order of the results.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "keepalive",
        title: "GET, keep-alive, 64 connections, short headers",
        goal: "at most 1.04 × raw, less than every peer on epoll",
        measure: |bench, peer| load::sample(bench, peer, &["keepalive"], Per::Request),
        ..REQUESTS
    },
    Case {
        name: "browser",
        title: "GET, keep-alive, 64 connections, a browser's headers (12 fields, 700 bytes)",
        goal: "less than every peer that parses them",
        measure: |bench, peer| load::sample(bench, peer, &["keepalive", "--headers", "browser"], Per::Request),
        ..REQUESTS
    },
    Case {
        name: "pipelined",
        title: "GET, 16 pipelined requests at a time, 64 connections, short headers",
        goal: "less than every peer that parses, at most 1.25 × raw",
        measure: |bench, peer| load::sample(bench, peer, &["pipelined", "--batch", "16"], Per::Request),
        ..REQUESTS
    },
    Case {
        name: "churn",
        title: "GET, a connection for each request, 64 at a time",
        goal: "less than every peer, at most 1.06 × raw",
        measure: |bench, peer| load::sample(bench, peer, &["churn"], Per::Request),
        ..REQUESTS
    },
    Case {
        name: "post",
        title: "POST of 16 KiB with its length, sent back, 64 connections",
        goal: "less than every peer",
        serves: |peer| peer.can(Ability::Echo) || peer.can(Ability::EchoOf16KiB),
        measure: |bench, peer| load::sample(bench, peer, &["post"], Per::Request),
        ..REQUESTS
    },
    Case {
        name: "post-chunked",
        title: "POST of 16 KiB in four chunks, sent back, 64 connections",
        goal: "less than every peer",
        serves: |peer| peer.can(Ability::Echo),
        measure: |bench, peer| load::sample(bench, peer, &["post-chunked"], Per::Request),
        ..REQUESTS
    },
    Case {
        name: "stream",
        title: "GET of 1 GiB, streamed with back-pressure, one connection",
        unit: "CPU ns/KiB",
        rate: "KiB/s",
        goal: "less than every peer, with flat memory",
        serves: |peer| peer.can(Ability::Stream),
        measure: |bench, peer| load::sample(bench, peer, &["stream"], Per::KiB),
        ..REQUESTS
    },
    Case {
        name: "instructions-keepalive",
        title: "Instructions of user code, keep-alive, short headers",
        goal: "fewer than every peer that parses, 1,300",
        measure: |bench, peer| instructions::sample(bench, peer, 1),
        ..INSTRUCTIONS
    },
    Case {
        name: "instructions-pipelined",
        title: "Instructions of user code, 16 pipelined requests at a time, short headers",
        goal: "fewer than every peer that parses, 800",
        measure: |bench, peer| instructions::sample(bench, peer, 16),
        ..INSTRUCTIONS
    },
    Case {
        name: "wrk-keepalive",
        title: "GET, keep-alive, 64 connections, short headers, asked by wrk",
        goal: "a second opinion",
        by_default: false,
        measure: |bench, peer| wrk::sample(bench, peer, 1),
        ..REQUESTS
    },
    Case {
        name: "wrk-pipelined",
        title: "GET, 16 pipelined requests at a time, 64 connections, short headers, asked by wrk",
        goal: "a second opinion",
        by_default: false,
        measure: |bench, peer| wrk::sample(bench, peer, 16),
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
    measure: |_, _| Err("nothing to measure".to_owned()),
};

/// One that counts, which a second time gives the same.
const INSTRUCTIONS: Case = Case { unit: "instructions/request", rate: "", varies: false, ..REQUESTS };

/// Flags of peers that are set up otherwise in some cases: the peer, the cases, the flags.
const SETTINGS: &[(&str, &[&str], &[&str])] = &[
    // It doesn't look whether the client wants its connection closed, so it has to be told.
    ("raw", &["churn"], &["--close"]),
    // What gathers small answers copies large ones, and holds them whole: it waits for no client.
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
        assert_eq!(settings("churn", "raw"), ["--close"]);
        assert!(settings("keepalive", "raw").is_empty() && settings("churn", "hyper").is_empty());
    }

    #[test]
    fn names_are_taken_once() {
        for (at, case) in CASES.iter().enumerate() {
            assert!(!CASES[..at].iter().any(|before| before.name == case.name), "{}", case.name);
        }
    }
}

//! Many open connections: what an idle one takes of the server's memory, and what they cost those that are not idle.

use super::Bench;
use super::load::{self, Per, timed, word};
use super::samples::{Machine, Measured};
use crate::peers::{self, Peer, Started};

/// Each has up to 20,000 connections, and they don't get equally many.
const WORKERS: usize = 8;
const ACTIVE: usize = 64;

/// Beside few tables, what the others take is seen.
const FEW_TABLES: usize = 512;

/// Resident bytes for each connection, after one request each, from 10 connections to 10,000; and what a server has for each
/// connection since its start.
pub(super) fn idle(bench: &Bench<'_>, peer: &Peer) -> Result<Measured, String> {
    let line = resident(bench, peer, None, &["idle"])?;
    let grown = (word(&line, "many_bytes")? - word(&line, "few_bytes")?) / word(&line, "more")?;
    let since_start = match peer.tables() {
        Some(tables) => {
            let few = resident(bench, peer, Some(FEW_TABLES), &["idle", "--connections", "11"])?;
            (word(&line, "empty_bytes")? - word(&few, "empty_bytes")?) / (tables - FEW_TABLES) as f64
        }
        None => 0.0,
    };
    Ok(Measured { value: grown + since_start, memory: Some(word(&line, "peak_kib")?), ..Measured::default() })
}

/// What the generator tells about the memory of a peer.
fn resident(bench: &Bench<'_>, peer: &Peer, connections: Option<usize>, words: &[&str]) -> Result<String, String> {
    let options = peers::Options { prefix: &prefix(bench), connections, ..peers::Options::default() };
    let started = bench.start_as(peer, options)?;
    let (line, _) = load::run(bench, &started, words)?;
    started.running.terminate()?;
    Ok(line)
}

/// CPU time for a request when so many connections are open and 64 of them active, as a multiple of what it is without the
/// others, of the same process. The second figure are its microseconds.
pub(super) fn growth(bench: &Bench<'_>, peer: &Peer, open: usize) -> Result<Measured, String> {
    compared(bench, &bench.start(peer, &prefix(bench))?, open)
}

/// The same for more connections than a process may have: of several workers, on one CPU.
pub(super) fn growth_of_workers(bench: &Bench<'_>, peer: &Peer, open: usize) -> Result<Measured, String> {
    let workers = Some((WORKERS, "fork"));
    let options = peers::Options { prefix: &prefix(bench), workers, ..peers::Options::default() };
    compared(bench, &bench.start_as(peer, options)?, open)
}

fn compared(bench: &Bench<'_>, started: &Started, open: usize) -> Result<Measured, String> {
    let idle = (open - ACTIVE).to_string();
    let few = timed(bench, started, &["keepalive"], Per::Request)?;
    let many = timed(bench, started, &["keepalive", "--idle", &idle], Per::Request)?;
    started.running.terminate()?;
    Ok(ratio(&many, &few))
}

/// Pins a peer, and lets it have the descriptors that systems allow and don't give by default.
fn prefix(bench: &Bench<'_>) -> Vec<&'static str> {
    [vec!["prlimit", "--nofile=20000:"], bench.prefix()].concat()
}

/// One measurement as a multiple of another, which are both disturbed if one is.
pub(super) fn ratio(measured: &Measured, of: &Measured) -> Measured {
    let machine = of.machine.zip(measured.machine).map(|(first, second)| Machine {
        before: first.before,
        after: second.after,
        other_load: first.other_load.max(second.other_load),
    });
    Measured {
        value: measured.value / of.value,
        rate: Some(measured.value),
        busy: measured.busy,
        memory: measured.memory,
        machine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_disturbed_when_one_of_its_sides_is() {
        let measured = |value, before, after, other_load| Measured {
            value,
            machine: Some(Machine { before, after, other_load }),
            ..Measured::default()
        };
        let calm = ratio(&measured(6.0, 77.0, 78.0, 0.0), &measured(4.0, 76.0, 77.0, 0.01));
        assert_eq!((calm.value, calm.rate), (1.5, Some(6.0)));
        assert_eq!(calm.machine, Some(Machine { before: 76.0, after: 78.0, other_load: 0.01 }));
        let loaded = ratio(&measured(6.0, 77.0, 78.0, 0.0), &measured(4.0, 76.0, 77.0, 0.5));
        assert!(loaded.machine.is_some_and(|machine| machine.disturbance().is_some()));
        let moved = ratio(&measured(6.0, 390.0, 391.0, 0.0), &measured(4.0, 76.0, 77.0, 0.0));
        assert!(moved.machine.is_some_and(|machine| machine.disturbance().is_some()));
    }
}

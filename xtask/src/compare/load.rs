//! Samples by the load generator in `benches/load`: a peer on one CPU, the load on another, and the peer's CPU time for each unit.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::samples::{Machine, Measured};
use super::{Bench, SERVER_CPU};
use crate::ci;
use crate::peers::{Peer, Started};

/// What the server's CPU time is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    /// Microseconds for each request.
    Request,
    /// Nanoseconds for each KiB of the answers' bodies.
    KiB,
}

/// The CPU of the load. Its neighbour has the server.
const LOAD_CPU: &str = "1";

/// Builds the generator.
pub(super) fn build(root: &Path) -> Result<std::path::PathBuf, String> {
    let target = root.join("target/peers");
    let mut command = ci::cargo(root);
    command.args(["build", "--release", "--locked", "--quiet", "--manifest-path", "benches/load/Cargo.toml"]);
    ci::succeed(command.arg("--target-dir").arg(&target))
        .map_err(|problem| format!("building benches/load: {problem}"))?;
    Ok(target.join("release/landspout-load"))
}

/// Starts the peer, pinned, and puts this load on it.
pub(crate) fn sample(bench: &Bench<'_>, peer: &Peer, words: &[&str], per: Per) -> Result<Measured, String> {
    let started = bench.start(peer, &bench.prefix())?;
    let measured = timed(bench, &started, words, per)?;
    started.running.terminate()?;
    Ok(measured)
}

/// The same on one CPU, where the two take turns. For loads that cost the client as much as the server: with a CPU each, a fast server
/// would wait most, and pay for being woken.
pub(crate) fn sample_in_turn(bench: &Bench<'_>, peer: &Peer, words: &[&str], per: Per) -> Result<Measured, String> {
    sample(&bench.in_turn(), peer, &[words, &["--place", "together"]].concat(), per)
}

/// Puts this load on a started peer, for as long as a sample takes.
pub(crate) fn timed(bench: &Bench<'_>, started: &Started, words: &[&str], per: Per) -> Result<Measured, String> {
    let seconds = bench.seconds.to_string();
    let warm_up = (bench.seconds * 0.3).to_string();
    let (kind, rest) = words.split_first().expect("a load has a kind");
    let mut arguments = vec![*kind, "--seconds", &seconds, "--warm-up", &warm_up];
    arguments.extend(rest);
    let (line, _) = run(bench, started, &arguments)?;
    measured(&line, per)
}

/// Runs the generator beside a started peer, and returns its line and what it said on stderr.
pub(crate) fn run(bench: &Bench<'_>, started: &Started, words: &[&str]) -> Result<(String, String), String> {
    let (port, pid) = (started.address.port().to_string(), started.running.id().to_string());
    let (kind, rest) = words.split_first().expect("a load has a kind");
    call(bench, &[&[*kind, "--port", &port, "--pid", &pid][..], rest].concat())
}

/// Runs the generator, beside nothing that was started.
pub(crate) fn call(bench: &Bench<'_>, words: &[&str]) -> Result<(String, String), String> {
    let (kind, rest) = words.split_first().expect("a load has a kind");
    let mut program = bench.scheduled.iter().map(OsStr::new).chain([bench.load.as_os_str()]);
    let mut command = Command::new(program.next().expect("the generator is a program"));
    command.args(program);
    command.args([kind, "--server-cpu", SERVER_CPU, "--cpu", LOAD_CPU]).args(rest);
    let output = command.output().map_err(|error| format!("{}: {error}", bench.load.display()))?;
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        return Err(format!("the load failed: {told}"));
    }
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match word(&line, "errors")? {
        0.0 => Ok((line, told)),
        errors => Err(format!("{errors} errors, the first: {told}")),
    }
}

/// The figures in a line of the generator.
pub(crate) fn measured(line: &str, per: Per) -> Result<Measured, String> {
    let (requests, bytes, seconds) = (word(line, "requests")?, word(line, "bytes")?, word(line, "seconds")?);
    let server = word(line, "server_ns")?;
    let (units, scale) = match per {
        Per::Request => (requests, 1_000.0),
        Per::KiB => (bytes / 1_024.0, 1.0),
    };
    if units == 0.0 {
        return Err("the server answered nothing".to_owned());
    }
    Ok(Measured {
        value: server / units / scale,
        rate: Some(units / seconds),
        busy: Some(server / 1e9 / seconds),
        memory: Some(word(line, "peak_kib")?),
        machine: Some(machine(line)?),
    })
}

/// What a line of the generator says about the machine.
pub(crate) fn machine(line: &str) -> Result<Machine, String> {
    let ours = word(line, "server_ns")? + word(line, "load_ns")?;
    let other = word(line, "busy_ns")? - ours + word(line, "stolen_ns")?;
    Ok(Machine {
        before: word(line, "state_before")?,
        after: word(line, "state_after")?,
        other_load: other / 1e9 / word(line, "seconds")?,
    })
}

/// The number of a word `key=number`.
pub(crate) fn word(line: &str, key: &str) -> Result<f64, String> {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("the load printed no number {key}=: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "requests=200000 bytes=4096000 seconds=2.0 server_ns=1900000000 load_ns=1800000000 busy_ns=3900000000 \
                        stolen_ns=100000000 errors=0 peak_kib=2000 state_before=77.5 state_after=78.5";

    #[test]
    fn a_line_gives_cpu_time_for_each_unit() {
        let machine = Machine { before: 77.5, after: 78.5, other_load: 0.15 };
        let expected = Measured {
            value: 9.5,
            rate: Some(100_000.0),
            busy: Some(0.95),
            memory: Some(2_000.0),
            machine: Some(machine),
        };
        assert_eq!(measured(LINE, Per::Request), Ok(expected.clone()));
        let expected = Measured { value: 475_000.0, rate: Some(2_000.0), ..expected };
        assert_eq!(measured(LINE, Per::KiB), Ok(expected));
    }

    #[test]
    fn a_line_without_a_figure_is_an_error() {
        assert!(measured(&LINE.replace("requests=200000", "requests=0"), Per::Request).is_err());
        assert!(measured(&LINE.replace("seconds=2.0", "second=2.0"), Per::Request).is_err());
        assert!(word("state_before=x", "state_before").is_err());
        assert_eq!(word("ns=1 load_ns=2", "load_ns"), Ok(2.0));
    }
}

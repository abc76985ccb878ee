//! Several workers: what two of them on two CPUs spend on a request, beside one on one, and how connections spread over them.
//!
//! Rules: the load is the same for one worker and for two, and comes from both CPUs; each worker is pinned to one.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::Bench;
use super::connections::ratio;
use super::load::{self, Per, timed, word};
use super::samples::Measured;
use crate::ci;
use crate::peers::{self, Peer, Started};

const WORKERS: usize = 2;
const BOTH_CPUS: &str = "0,1";
/// Only a server that fails takes that long to start its workers.
const DEADLINE: Duration = Duration::from_secs(10);

/// CPU time of both workers for a request, as a multiple of what one alone needs. The second figure are its microseconds.
pub(super) fn two(bench: &Bench<'_>, peer: &Peer, way: &str) -> Result<Measured, String> {
    let started = bench.start(peer, &bench.prefix())?;
    let one = timed(bench, &started, &["both"], Per::Request)?;
    started.running.terminate()?;
    let started = start_two(bench, peer, way)?;
    let two = timed(bench, &started, &["both"], Per::Request)?;
    started.running.terminate()?;
    Ok(ratio(&two, &one))
}

/// How many of 1,000 connections the worker with most of them has, as a multiple of the mean.
pub(super) fn balance(bench: &Bench<'_>, peer: &Peer, way: &str) -> Result<Measured, String> {
    let started = start_two(bench, peer, way)?;
    let (line, _) = load::run(bench, &started, &["balance", "--workers", &WORKERS.to_string()])?;
    started.running.terminate()?;
    let (least, most) = (word(&line, "least")?, word(&line, "most")?);
    Ok(Measured { value: most * 2.0 / (least + most), ..Measured::default() })
}

fn start_two(bench: &Bench<'_>, peer: &Peer, way: &str) -> Result<Started, String> {
    let workers = Some((WORKERS, way));
    let started = bench
        .start_as(peer, peers::Options { prefix: &bench.prefix_on(BOTH_CPUS), workers, ..peers::Options::default() })?;
    for (cpu, worker) in workers_of(started.running.id(), way)?.iter().enumerate() {
        let mut command = Command::new("taskset");
        command.args(["-p", "-c", &cpu.to_string(), worker]);
        ci::succeed(command.stdout(std::process::Stdio::null()))?;
    }
    Ok(started)
}

/// The processes or threads that serve, once all of them are there.
fn workers_of(pid: u32, way: &str) -> Result<Vec<String>, String> {
    let begin = Instant::now();
    loop {
        let found = match way {
            "threads" => threads(pid),
            _ => children(pid),
        };
        let found = found.map_err(|error| format!("process {pid}: {error}"))?;
        if found.len() == WORKERS {
            return Ok(found);
        }
        if begin.elapsed() > DEADLINE {
            return Err(format!("there are workers {found:?}, not {WORKERS}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn children(pid: u32) -> std::io::Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_whitespace().map(str::to_owned).collect())
}

/// All but the first one, which waits for them.
fn threads(pid: u32) -> std::io::Result<Vec<String>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        threads.push(entry?.file_name().to_string_lossy().into_owned());
    }
    threads.retain(|thread| *thread != pid.to_string());
    Ok(threads)
}

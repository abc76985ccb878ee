//! The same requests by wrk: a second opinion, since everybody knows it. It needs more CPU for a request than our generator and
//! than a fast server, which then waits and pays for being woken.

use std::fs;

use super::Bench;
use super::load::{self, Per};
use super::samples::Measured;
use crate::peers::Peer;

/// `batch` requests are sent at a time.
pub(super) fn sample(bench: &Bench<'_>, peer: &Peer, batch: usize) -> Result<Measured, String> {
    let script = bench.results.join("pipelined.lua");
    fs::write(&script, script_for(batch)).map_err(|error| format!("{}: {error}", script.display()))?;
    let started = bench.start(peer, &bench.prefix())?;
    // wrk takes whole seconds.
    let (duration, url) = (format!("{:.0}s", bench.seconds.ceil()), format!("http://{}/", started.address));
    let script = script.to_string_lossy();
    let wrk = ["wrk", "-t", "1", "-c", "64", "-d", &duration, "-H", "Host: localhost", "-s", &script, &url];
    let (line, told) = load::run(bench, &started, &[&["around", "--"], &wrk[..]].concat())?;
    started.running.terminate()?;
    load::measured(&line.replace("requests=0", &format!("requests={}", requests(&told)?)), Per::Request)
}

fn script_for(batch: usize) -> String {
    format!(
        "init = function(args)\n  local one = wrk.format()\n  batch = one:rep({batch})\nend\n\
         request = function() return batch end\n"
    )
}

/// How many it says it got answered.
fn requests(told: &str) -> Result<u64, String> {
    if let Some(problem) = told.lines().find(|line| line.contains("Socket errors") || line.contains("Non-2xx")) {
        return Err(format!("wrk: {}", problem.trim()));
    }
    let count = told.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok());
    count.ok_or_else(|| format!("wrk told no number of requests:\n{told}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_requests_is_found() {
        let told = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  123456 requests in 1.10s, 15MB read\n";
        assert_eq!(requests(told), Ok(123_456));
        assert!(requests("").is_err());
        assert!(requests(&format!("{told}  Socket errors: connect 0, read 1, write 0, timeout 0\n")).is_err());
        assert!(requests(&format!("{told}  Non-2xx or 3xx responses: 9\n")).is_err());
    }
}

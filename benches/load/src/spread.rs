//! Load from several CPUs at once, for servers with several workers; and how connections are spread over these.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use crate::Error;
use crate::cost;
use crate::idle::Held;
use crate::options::Options;
use crate::window::{Totals, Window};

const CONNECTIONS: usize = 64;
const MANY: usize = 1_000;

/// Half of the connections from each of the two CPUs, by a process each that counts for itself. What the server spends is taken from
/// the start of the two to the end of both.
pub(crate) fn both(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let program = std::env::current_exe()?;
    let port = options.address()?.port().to_string();
    let cpus = [options.server_cpu, options.cpu].map(|cpu| cpu.map(|cpu| cpu.to_string()));
    let half = (options.connections.unwrap_or(CONNECTIONS) / 2).max(1).to_string();
    let seconds = options.seconds.as_secs_f64().to_string();
    window.begin()?;
    let start = |cpu: &Option<String>| {
        let mut command = Command::new(&program);
        command.args(["keepalive", "--port", &port, "--connections", &half, "--warm-up", "0", "--seconds", &seconds]);
        command.args(cpu.iter().flat_map(|cpu| ["--cpu", cpu]));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
    };
    let loads = [start(&cpus[0])?, start(&cpus[1])?];
    let mut totals = Totals::default();
    for load in loads {
        let output = load.wait_with_output()?;
        let line = String::from_utf8(output.stdout)?;
        totals.requests += word(&line, "requests")?;
        totals.bytes += word(&line, "bytes")?;
        totals.errors += word(&line, "errors")?;
    }
    window.end(&totals)?;
    Ok(totals)
}

fn word(line: &str, key: &str) -> Result<u64, Error> {
    let value = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    Ok(value.ok_or_else(|| format!("one of the loads printed no {key}"))?.parse()?)
}

/// Opens connections from both CPUs, each with one request, and tells how many the workers have of them: the least and the most.
pub(crate) fn balance(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let count = options.connections.unwrap_or(MANY);
    let pid = options.pid.ok_or("--pid is missing")?;
    window.begin()?;
    let before = watched(pid)?;
    let mut held = Held::default();
    held.open_from(options, &[(count / 2, options.server_cpu), (count - count / 2, options.cpu)])?;
    let after = watched(pid)?;
    let totals = Totals { requests: count as u64, ..Totals::default() };
    window.end(&totals)?;
    held.close()?;
    // What is watched besides, as the listening socket, isn't more afterwards, unless a worker began only now.
    let more = |(name, entries): &(String, usize)| {
        let old = before.iter().find(|(other, _)| other == name).map_or(0, |(_, entries)| *entries);
        entries.saturating_sub(old)
    };
    let mut shares: Vec<usize> = after.iter().map(more).filter(|share| *share > 0).collect();
    shares.resize(shares.len().max(options.workers), 0);
    if !(count..count + 10 * shares.len()).contains(&shares.iter().sum()) {
        return Err(format!("{count} connections were opened, and the workers watch {shares:?} more").into());
    }
    let (least, most) = (shares.iter().min().unwrap_or(&0), shares.iter().max().unwrap_or(&0));
    window.note(&format!("workers={} least={least} most={most}", shares.len()));
    Ok(totals)
}

/// How many descriptors each epoll instance of the server's processes watches, each under a name of its own.
fn watched(pid: u32) -> Result<Vec<(String, usize)>, Error> {
    let mut instances = Vec::new();
    for pid in cost::processes(pid)? {
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
            let entry = entry?;
            // It may be closed meanwhile.
            let Ok(target) = fs::read_link(entry.path()) else {
                continue;
            };
            if target.as_os_str() != "anon_inode:[eventpoll]" {
                continue;
            }
            let name = format!("{pid}/fdinfo/{}", entry.file_name().to_string_lossy());
            instances.push((name.clone(), entries(&fs::read_to_string(format!("/proc/{name}"))?)));
        }
    }
    if instances.is_empty() {
        return Err(io::Error::other("the server has no epoll instance").into());
    }
    Ok(instances)
}

/// The descriptors in the text of an epoll instance's `fdinfo`.
fn entries(fdinfo: &str) -> usize {
    fdinfo.lines().filter(|line| line.starts_with("tfd:")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_of_an_epoll_instance_are_counted() {
        let text = "pos:\t0\nflags:\t02000002\nmnt_id:\t16\nino:\t1\ntfd:        5 events: 19 data: 5\ntfd:        7 events: 19 data: 7\n";
        assert_eq!(entries(text), 2);
        assert_eq!(entries("pos:\t0\n"), 0);
    }

    #[test]
    fn a_word_of_a_line_is_found() {
        assert_eq!(word("requests=12 bytes=3", "bytes").unwrap(), 3);
        assert!(word("requests=12", "bytes").is_err());
    }
}

//! What was spent: CPU times of the server's processes, of this one and of the CPUs, from procfs.
//!
//! Rules: `schedstat` counts nanoseconds, but a running thread's are brought up to date by the tick, so that a reading is
//! some milliseconds old at worst. Threads that ended are lost; the servers here keep theirs. Children that are born after the
//! meter was made are not seen.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::Error;
use crate::options::Options;

/// What is read.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The server's processes; none when no one asked.
    server: Vec<u32>,
    /// Those whose load by others would disturb.
    cpus: Vec<usize>,
}

/// One reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    at: Instant,
    server: Duration,
    own: Duration,
    busy: Duration,
    stolen: Duration,
}

/// The unit of `/proc/stat`: USER_HZ is 100 on every Linux that Rust's std runs on.
const TICK: Duration = Duration::from_millis(10);

impl Meter {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        let server = options.pid.map_or(Ok(Vec::new()), processes)?;
        Ok(Self { server, cpus: options.server_cpu.into_iter().chain(options.cpu).collect() })
    }

    pub(crate) fn read(&self) -> Result<Reading, Error> {
        let mut server = Duration::ZERO;
        for pid in &self.server {
            server += run_time(&pid.to_string()).map_err(|error| format!("process {pid}: {error}"))?;
        }
        let mut own = run_time("self")? + waited_for(&fs::read_to_string("/proc/self/stat")?)?;
        for child in children(std::process::id())? {
            own += run_time(&child.to_string())?;
        }
        let (busy, stolen) =
            cpu_times(&fs::read_to_string("/proc/stat")?, &self.cpus).ok_or("/proc/stat has another form")?;
        Ok(Reading { at: Instant::now(), server, own, busy, stolen })
    }

    /// The most memory that the server's processes ever had resident, in KiB.
    pub(crate) fn peak(&self) -> Result<u64, Error> {
        self.server.iter().map(|pid| kib_of(&format!("/proc/{pid}/status"), "VmHWM:")).sum()
    }

    /// What they have resident now, in bytes. `VmRSS` would tell the same but for some hundred pages, which each CPU counts for
    /// itself.
    pub(crate) fn resident(&self) -> Result<u64, Error> {
        let kib: Result<u64, Error> =
            self.server.iter().map(|pid| kib_of(&format!("/proc/{pid}/smaps_rollup"), "Rss:")).sum();
        Ok(kib? * 1024)
    }
}

/// The number in a line "NAME 123 kB".
fn kib_of(file: &str, name: &str) -> Result<u64, Error> {
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.ok_or_else(|| format!("{file} has no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

impl Reading {
    /// What was spent between two readings, as words to print.
    pub(crate) fn since(&self, earlier: &Self) -> String {
        let seconds = (self.at - earlier.at).as_secs_f64();
        let [server, own, busy, stolen] = [
            self.server.saturating_sub(earlier.server),
            self.own.saturating_sub(earlier.own),
            self.busy.saturating_sub(earlier.busy),
            self.stolen.saturating_sub(earlier.stolen),
        ]
        .map(|time| time.as_nanos());
        format!("seconds={seconds:.6} server_ns={server} load_ns={own} busy_ns={busy} stolen_ns={stolen}")
    }
}

/// The CPU time of all threads of a process.
pub(crate) fn run_time(process: &str) -> io::Result<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        // It may just have ended.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let time = text.split(' ').next().and_then(|time| time.parse::<u64>().ok());
        sum += time.ok_or_else(|| io::Error::other("schedstat has another form"))?;
    }
    Ok(Duration::from_nanos(sum))
}

/// The CPU time of the children that ended, from the text of `/proc/self/stat`.
fn waited_for(stat: &str) -> io::Result<Duration> {
    // The name of the program, in parentheses, may have spaces. After it comes the third field; times of children are 16 and 17.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: Vec<u32> = fields.skip(13).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Ok(TICK * (user + system)),
        _ => Err(io::Error::other("/proc/self/stat has another form")),
    }
}

/// The process and all that descend from it.
pub(crate) fn processes(pid: u32) -> Result<Vec<u32>, Error> {
    let mut processes = vec![pid];
    let mut next = 0;
    while let Some(pid) = processes.get(next) {
        processes.extend(children(*pid).map_err(|error| format!("process {pid}: {error}"))?);
        next += 1;
    }
    Ok(processes)
}

fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // It may just have ended; its children are another thread's then.
        let Ok(text) = fs::read_to_string(thread?.path().join("children")) else {
            continue;
        };
        children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(children)
}

/// How long these CPUs did something, and how long their host let something else run.
fn cpu_times(stat: &str, cpus: &[usize]) -> Option<(Duration, Duration)> {
    let (mut busy, mut stolen) = (0, 0);
    for cpu in cpus {
        let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{cpu} ")))?;
        let ticks: Vec<u32> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        // Idle and waiting for disks are no work; what guests get is part of what users get.
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else {
            return None;
        };
        busy += user + nice + system + irq + softirq;
        stolen += steal;
    }
    Some((TICK * busy, TICK * stolen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_is_neither_idle_nor_stolen() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 1000 1000 4 5 6 0 0\ncpu1 10 0 0 0 0 0 0 1 0 0\ncpu10 7 0 0 0 0 0 0 0 0 0\nintr 1\n";
        assert_eq!(cpu_times(stat, &[0]), Some((TICK * 15, TICK * 6)));
        assert_eq!(cpu_times(stat, &[0, 1]), Some((TICK * 25, TICK * 7)));
        assert_eq!(cpu_times(stat, &[]), Some((Duration::ZERO, Duration::ZERO)));
        assert_eq!(cpu_times(stat, &[2]), None);
    }

    #[test]
    fn the_time_of_children_is_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 200 0 0 11 12 13 14 20 0 1 0 5 6 7";
        assert_eq!(waited_for(stat).unwrap(), TICK * 27);
        assert!(waited_for("7 (a) S 1").is_err());
    }

    #[test]
    fn the_time_of_a_process_grows_with_its_work() {
        let mut busy = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let pid = busy.id().to_string();
        let before = run_time(&pid).unwrap();
        while run_time(&pid).unwrap() <= before {}
        busy.kill().unwrap();
        busy.wait().unwrap();
    }

    #[test]
    fn children_are_found_while_threads_come_and_go() {
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                    std::thread::spawn(|| ()).join().unwrap();
                }
            });
            let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
            let seen: Vec<io::Result<bool>> = (0..1_000)
                .map(|_| children(std::process::id()).map(|children| children.contains(&child.id())))
                .collect();
            child.kill().unwrap();
            child.wait().unwrap();
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(seen.iter().all(|seen| matches!(seen, Ok(true))), "{seen:?}");
        });
    }
}

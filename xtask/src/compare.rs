//! `cargo xtask compare`: what a request costs landspout, and what it costs its peers, measured in the same run.
//!
//! Rules: the main figure is the server's CPU time, which the operating system knows; throughput comes second. The server runs on
//! one CPU and the load on another. Each round takes one sample of each peer, in an order that rotates, from a server that was just
//! started. A sample during which the machine changed its state, or others used its CPUs, is repeated; if that doesn't help it is
//! kept, but not compared. Samples lie in `target/compare`, a file for each case, so that a long run can be taken in parts;
//! tables and charts are made from these files. [`cases::CASES`] is the list of cases.

mod cases;
mod chart;
mod connections;
mod instructions;
mod load;
mod program;
mod report;
mod samples;
mod statistics;
mod timers;
mod tls;
mod workers;
mod wrk;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::peers::{self, PEERS, Peer, Started};
use crate::{count, interop};
use cases::{CASES, Case};
use samples::{Measured, Sample, Writer};

/// The CPU of the server. Its neighbour has the load.
const SERVER_CPU: &str = "0";
/// What starts a program that goes before all others.
const EXCLUSIVE: &[&str] = &["chrt", "--fifo", "1"];
/// What starts one that takes its turn, and doesn't interrupt another when it is woken.
const IN_TURN: &[&str] = &["chrt", "--batch", "0"];

/// What the command line says.
struct Options {
    measure: bool,
    cases: Vec<&'static Case>,
    peers: Vec<&'static Peer>,
    rounds: usize,
    seconds: f64,
    /// How often a sample is taken again that saw something else.
    repetitions: usize,
    exclusive: bool,
    append: bool,
    plot: bool,
    write: bool,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            measure: true,
            cases: Vec::new(),
            peers: Vec::new(),
            rounds: 9,
            seconds: 1.0,
            repetitions: 3,
            exclusive: false,
            append: false,
            plot: false,
            write: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().copied().ok_or_else(|| format!("{word}: its value is missing"));
            match *word {
                "report" => options.measure = false,
                "--case" => options.cases.extend(cases::find(value()?)?),
                "--wrk" => options.cases.extend(cases::find("wrk")?),
                "--peer" => options.peers.push(peers::find(value()?)?),
                "--rounds" => options.rounds = positive(word, value()?)?,
                "--seconds" => options.seconds = positive(word, value()?)?,
                "--exclusive" => options.exclusive = true,
                "--append" => options.append = true,
                "--plot" => options.plot = true,
                "--write" => options.write = true,
                _ => return Err(format!("compare: no flag {word:?}; cargo xtask --help lists them")),
            }
        }
        Ok(options)
    }
}

fn positive<T: std::str::FromStr + Default + PartialOrd>(flag: &str, value: &str) -> Result<T, String> {
    let number = value.parse().ok().filter(|number| *number > T::default());
    number.ok_or_else(|| format!("{flag}: has to be positive, not {value:?}"))
}

/// Whether this is no peer, but the limit of what can be done.
pub(crate) fn is_limit(peer: &str) -> bool {
    peer.starts_with("raw")
}

/// Whether this is what the others are compared with.
pub(crate) fn is_ours(peer: &str) -> bool {
    peer.starts_with("landspout")
}

/// What a case needs to measure.
#[derive(Clone)]
pub(crate) struct Bench<'a> {
    pub(crate) root: &'a Path,
    /// The program of the load generator.
    pub(crate) load: PathBuf,
    /// That count, in one sample.
    pub(crate) seconds: f64,
    /// Where samples are kept.
    pub(crate) results: &'a Path,
    /// The name of the case.
    pub(crate) case: &'a str,
    /// How server and load are scheduled: words before a program.
    pub(crate) scheduled: &'static [&'static str],
}

impl Bench<'_> {
    /// The words before a server's program.
    pub(crate) fn prefix(&self) -> Vec<&'static str> {
        self.prefix_on(SERVER_CPU)
    }

    /// The same for other CPUs, as `0,1`.
    pub(crate) fn prefix_on(&self, cpus: &'static str) -> Vec<&'static str> {
        [self.scheduled, &["taskset", "-c", cpus]].concat()
    }

    /// The same where server and load are on one CPU: each works until it has to wait for the other.
    pub(crate) fn in_turn(&self) -> Self {
        let scheduled = if self.is_exclusive() { EXCLUSIVE } else { IN_TURN };
        Self { scheduled, ..self.clone() }
    }

    fn is_exclusive(&self) -> bool {
        self.scheduled == EXCLUSIVE
    }

    /// Starts a peer as it is set up for this case, behind these words.
    pub(crate) fn start(&self, peer: &Peer, prefix: &[&str]) -> Result<Started, String> {
        self.start_as(peer, peers::Options { prefix, ..peers::Options::default() })
    }

    /// The same with more of a choice; its flags are the case's.
    pub(crate) fn start_as(&self, peer: &Peer, options: peers::Options<'_>) -> Result<Started, String> {
        let flags = cases::settings(self.case, peer.name);
        Ok(peers::start(self.root, peer, &peers::Options { flags, ..options })?)
    }
}

/// Measures, unless told `report`, and prints tables.
pub(crate) fn run(root: &Path, words: &[&str]) -> Result<(), String> {
    let mut options = Options::parse(words)?;
    if options.cases.is_empty() {
        options.cases = CASES.iter().filter(|case| case.by_default || !options.measure).collect();
    }
    let results = root.join("target/compare");
    let failed = if options.measure { measure(root, &results, &options)? } else { Vec::new() };
    for case in &options.cases {
        if let Some(section) = report::section(case, &samples::read(&results, case)?) {
            println!("\n{section}");
        }
    }
    if options.plot || options.write {
        report::plot(root, &results)?;
    }
    if options.write {
        report::write(root, &results)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("some peers failed:\n  {}", failed.join("\n  "))) }
}

/// One round of one case with the two peers that build quickest, that none of this rots. Times are not looked at.
pub(crate) fn smoke(root: &Path) -> Result<(), String> {
    let words = ["--case", "keepalive", "--peer", "raw", "--peer", "landspout", "--rounds", "1", "--seconds", "0.3"];
    if cpus() < 2 {
        println!("compare: skipped, for want of a second CPU");
        return Ok(());
    }
    let options = Options { repetitions: 0, ..Options::parse(&words)? };
    let results = root.join("target/compare/smoke");
    let failed = measure(root, &results, &options)?;
    let case = options.cases[0];
    let section = report::section(case, &samples::read(&results, case)?);
    println!("{}", section.ok_or("no samples were kept")?);
    if failed.is_empty() { Ok(()) } else { Err(failed.join(", ")) }
}

/// Takes all samples and returns what failed.
fn measure(root: &Path, results: &Path, options: &Options) -> Result<Vec<String>, String> {
    if cpus() < 2 {
        return Err("compare needs two CPUs, one for the server and one for the load".to_owned());
    }
    if options.append {
        // What can't be read is better known before hours of work than behind them.
        options.cases.iter().try_for_each(|case| samples::read(results, case).map(drop))?;
    }
    interop::install_missing(&[("taskset", &["util-linux"]), ("chrt", &["util-linux"])])?;
    if options.cases.iter().any(|case| case.name.starts_with("wrk")) {
        interop::install_missing(&[("wrk", &["wrk"])])?;
    }
    if options.cases.iter().any(|case| case.name.starts_with("instructions")) {
        count::install()?;
    }
    if options.cases.iter().any(|case| case.name.starts_with("tls")) {
        interop::install_missing(&[("openssl", &["openssl"])])?;
    }
    let chosen = |peer: &&Peer| options.peers.is_empty() || options.peers.iter().any(|chosen| chosen.name == peer.name);
    let peers: Vec<&Peer> = PEERS.iter().filter(chosen).collect();
    let (seconds, scheduled) = (options.seconds, if options.exclusive { EXCLUSIVE } else { &[] });
    let load = load::build(root)?;
    let mut bench = Bench { root, load, seconds, results, case: "", scheduled };
    let mut failed = Vec::new();
    let mut runnable = Vec::new();
    for peer in peers {
        if !options.cases.iter().any(|case| (case.serves)(peer)) {
            continue;
        }
        println!("compare: building {}", peer.name);
        match peers::build(root, peer).and_then(|()| peers::version(root, peer)) {
            Ok(version) => runnable.push((peer, version)),
            Err(problem) => failed.push(format!("{}: {problem}", peer.name)),
        }
    }
    let (date, mut commit) = (told(root, "date", &["-u", "+%F"])?, commit(root)?);
    if options.exclusive {
        commit.push_str(" with real-time priority");
    }
    for case in &options.cases {
        bench.case = case.name;
        let mut file = Writer::open(results, case, options.append)?;
        let mut competitors: Vec<_> = runnable.iter().filter(|(peer, _)| (case.serves)(peer)).collect();
        let rounds = if case.varies { options.rounds } else { 1 };
        for round in 1..=rounds {
            let mut gone = Vec::new();
            for (peer, version) in &competitors {
                match repeated(&bench, case, peer, options.repetitions) {
                    Ok(measured) => {
                        println!("{} {round}/{rounds} {}: {}", case.name, peer.name, told_shortly(case, &measured));
                        let [peer, version] = [peer.name, version].map(str::to_owned);
                        let (date, commit) = (date.clone(), commit.clone());
                        file.write(Sample { round, peer, version, date, commit, measured })?;
                    }
                    Err(problem) => {
                        println!("{} {round}/{rounds} {}: FAILED: {problem}", case.name, peer.name);
                        failed.push(format!("{}, {}: {problem}", case.name, peer.name));
                        gone.push(peer.name);
                    }
                }
            }
            competitors.retain(|(peer, _)| !gone.contains(&peer.name));
            if !competitors.is_empty() {
                competitors.rotate_left(1);
            }
        }
    }
    Ok(failed)
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A sample, taken again as long as it is disturbed or wrong.
fn repeated(bench: &Bench<'_>, case: &Case, peer: &Peer, repetitions: usize) -> Result<Measured, String> {
    let take = || {
        let mut sample = case.sample(bench, peer);
        if let Ok(Measured { machine: Some(machine), .. }) = &mut sample {
            // Others got what these two left over.
            machine.other_load *= if bench.is_exclusive() { 0.0 } else { 1.0 };
        }
        sample
    };
    let mut last = take();
    for _ in 0..repetitions {
        let problem = match &last {
            Ok(measured) => measured.machine.and_then(|machine| machine.disturbance()).map(str::to_owned),
            Err(problem) => Some(problem.clone()),
        };
        let Some(problem) = problem.filter(|_| case.varies) else { break };
        println!("{} {}: again, {problem}", case.name, peer.name);
        let next = take();
        // A disturbed sample is better than none.
        if next.is_ok() || last.is_err() {
            last = next;
        }
    }
    last
}

fn told_shortly(case: &Case, measured: &Measured) -> String {
    let machine = measured
        .machine
        .map(|machine| format!(", ping-pong {:.0} ns, other load {:.0} %", machine.before, machine.other_load * 100.0));
    format!("{} {}{}", report::figure(measured.value), case.unit, machine.unwrap_or_default())
}

/// The commit that was measured, with a mark when there is more than it.
fn commit(root: &Path) -> Result<String, String> {
    let commit = told(root, "git", &["rev-parse", "--short=10", "HEAD"])?;
    let clean = told(root, "git", &["status", "--porcelain", "--", "crates", "benches"])?.is_empty();
    Ok(if clean { commit } else { format!("{commit}+") })
}

/// What a program prints.
fn told(root: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(root).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        let options =
            Options::parse(&["--case", "instructions", "--peer", "raw", "--rounds", "2", "--seconds", "0.5"]).unwrap();
        assert!(options.measure && !options.plot && options.peers.len() == 1 && options.cases.len() == 2);
        assert_eq!((options.rounds, options.seconds), (2, 0.5));
        assert!(!Options::parse(&["report"]).unwrap().measure);
        for wrong in
            [&["--rounds", "0"][..], &["--seconds", "-1"], &["--seconds"], &["--case", "x"], &["--peer", "x"], &["x"]]
        {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}

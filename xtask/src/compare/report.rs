//! From samples to tables: what each peer needed, as medians of the samples that saw the same machine.
//!
//! Rules: samples of other states, and disturbed ones, are named and not compared. A peer that has only such ones is shown with a
//! mark. A ratio is one of samples of the same rounds; the order of peers, and the charts, are those of the medians.
//! `benches/RESULTS.md` and the charts beside it are made from all samples that there are.

use std::fs;
use std::path::Path;

use super::cases::{CASES, Case};
use super::samples::{self, Sample};
use super::statistics::Spread;
use super::{chart, is_limit, is_ours, statistics, told};

/// What a peer needed in a case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    pub(super) peer: String,
    pub(super) version: String,
    pub(super) value: Spread,
    /// As a multiple of what the limit needed in the same rounds, and of what landspout needed; none without a common round.
    to_limit: Option<Spread>,
    to_ours: Option<Spread>,
    rate: Option<f64>,
    busy: Option<f64>,
    memory: Option<f64>,
    /// Samples of which these are the medians, and samples that were taken.
    used: usize,
    taken: usize,
    /// None of them saw the machine that the others saw.
    pub(super) marked: bool,
}

/// The figures of all peers, the best first.
pub(super) fn figures(samples: &[Sample]) -> Vec<Figure> {
    let common = common_state(samples);
    let mut names: Vec<&str> = Vec::new();
    for sample in samples {
        if !names.contains(&sample.peer.as_str()) {
            names.push(&sample.peer);
        }
    }
    let peers: Vec<Taken> = names.iter().map(|name| Taken::of(name, samples, common)).collect();
    let first = |whose: fn(&str) -> bool| peers.iter().find(|taken| whose(taken.peer));
    let (limit, ours) = (first(is_limit), first(is_ours));
    let mut figures: Vec<Figure> = peers.iter().filter_map(|taken| taken.figure(limit, ours)).collect();
    figures.sort_by(|a, b| a.value.median.total_cmp(&b.value.median));
    figures
}

/// The samples of a peer.
struct Taken<'a> {
    peer: &'a str,
    all: Vec<&'a Sample>,
    /// Those that saw what the others saw.
    good: Vec<&'a Sample>,
}

impl<'a> Taken<'a> {
    fn of(peer: &'a str, samples: &'a [Sample], common: Option<(f64, f64)>) -> Self {
        let all: Vec<&Sample> = samples.iter().filter(|sample| sample.peer == peer).collect();
        let good = all.iter().filter(|sample| left_out(sample, common).is_none()).copied().collect();
        Self { peer, all, good }
    }

    /// What its figure is made of, the good ones if there are any.
    fn used(&self) -> &[&'a Sample] {
        if self.good.is_empty() { &self.all } else { &self.good }
    }

    fn figure(&self, limit: Option<&Self>, ours: Option<&Self>) -> Option<Figure> {
        let median_of = |field: fn(&Sample) -> Option<f64>| {
            statistics::median(&self.used().iter().filter_map(|sample| field(sample)).collect::<Vec<_>>())
        };
        let values: Vec<f64> = self.used().iter().map(|sample| sample.measured.value).collect();
        Some(Figure {
            peer: self.peer.to_owned(),
            version: self.all.last()?.version.clone(),
            value: Spread::of(&values)?,
            to_limit: limit.and_then(|limit| self.quotients(limit)),
            to_ours: ours.and_then(|ours| self.quotients(ours)),
            rate: median_of(|sample| sample.measured.rate),
            busy: median_of(|sample| sample.measured.busy),
            memory: median_of(|sample| sample.measured.memory),
            used: self.good.len(),
            taken: self.all.len(),
            marked: self.good.is_empty(),
        })
    }

    /// As a multiple of the other, round by round. On a host that changes its speed, or the state of its caches, the medians of two
    /// peers may be of two different hours; samples of the same minute are not.
    fn quotients(&self, other: &Self) -> Option<Spread> {
        let of_round = |round| other.good.iter().find(|sample| sample.round == round);
        let quotient = |sample: &&Sample| Some(sample.measured.value / of_round(sample.round)?.measured.value);
        Spread::of(&self.good.iter().filter_map(quotient).collect::<Vec<_>>())
    }
}

fn common_state(samples: &[Sample]) -> Option<(f64, f64)> {
    let machines = samples.iter().filter_map(|sample| sample.measured.machine);
    let calm = machines.filter(|machine| machine.disturbance().is_none());
    statistics::most_common_state(&calm.map(|machine| machine.before).collect::<Vec<_>>())
}

/// Why a sample is not compared, if it isn't.
fn left_out(sample: &Sample, common: Option<(f64, f64)>) -> Option<&'static str> {
    let machine = sample.measured.machine?;
    let same = common.is_some_and(|(least, greatest)| (least..=greatest).contains(&machine.before));
    machine.disturbance().or(if same { None } else { Some("another state of the machine") })
}

/// What is told about a case; nothing without samples.
pub(super) fn section(case: &Case, samples: &[Sample]) -> Option<String> {
    if samples.is_empty() {
        return None;
    }
    let mut text = format!("## {}\n\nGoal: {}.\n\n{}", case.title, case.goal, table(case, &figures(samples)));
    let mut runs: Vec<String> = samples.iter().map(|sample| format!("{} at {}", sample.date, sample.commit)).collect();
    runs.dedup();
    text.push_str(&format!("\nTaken {}", runs.join(" and ")));
    let common = common_state(samples);
    if let Some((least, greatest)) = common {
        text.push_str(&format!("; a cache line's ping-pong took {least:.0} to {greatest:.0} ns"));
    }
    text.push_str(".\n");
    let reasons: Vec<(&str, &Sample)> =
        samples.iter().filter_map(|sample| Some((left_out(sample, common)?, sample))).collect();
    if !reasons.is_empty() {
        text.push_str(&format!("\nLeft out, or marked above: {}.\n", others(&reasons)));
    }
    Some(text)
}

/// "other load: hyper 9.1, 9.3; the machine changed its state: raw 8.0"
fn others(samples: &[(&str, &Sample)]) -> String {
    let mut reasons: Vec<&str> = samples.iter().map(|(reason, _)| *reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let of_reason = |reason: &&str| {
        let mut peers: Vec<(&str, Vec<String>)> = Vec::new();
        for (_, sample) in samples.iter().filter(|(other, _)| other == reason) {
            let value = figure(sample.measured.value);
            match peers.iter_mut().find(|(peer, _)| *peer == sample.peer) {
                Some((_, values)) => values.push(value),
                None => peers.push((&sample.peer, vec![value])),
            }
        }
        let peers: Vec<String> = peers.iter().map(|(peer, values)| format!("{peer} {}", values.join(", "))).collect();
        format!("{reason}: {}", peers.join("; "))
    };
    reasons.iter().map(of_reason).collect::<Vec<_>>().join(". ")
}

fn table(case: &Case, figures: &[Figure]) -> String {
    let has_rate = !case.rate.is_empty();
    let has_busy = figures.iter().any(|figure| figure.busy.is_some());
    let has_memory = figures.iter().any(|figure| figure.memory.is_some());
    let mut header = vec!["peer", "version", case.unit, "quartiles", "× raw", "× landspout"];
    header.extend(has_rate.then_some(case.rate));
    header.extend(has_busy.then_some("busy"));
    header.extend(has_memory.then_some("peak MiB"));
    header.push("samples");
    let mut rows = vec![header.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    for one in figures {
        let name = if is_ours(&one.peer) { format!("**{}**", one.peer) } else { one.peer.clone() };
        let mark = if one.marked { " (disturbed)" } else { "" };
        let Spread { low, median, high } = one.value;
        let spread = if low == high { "–".to_owned() } else { format!("{}–{}", figure(low), figure(high)) };
        let mut row = vec![name, one.version.clone(), format!("{}{mark}", figure(median)), spread];
        row.extend([one.to_limit, one.to_ours].map(|quotients| quotients.map_or("–".to_owned(), ratio)));
        row.extend(has_rate.then(|| one.rate.map_or("–".to_owned(), figure)));
        row.extend(has_busy.then(|| one.busy.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0))));
        row.extend(has_memory.then(|| one.memory.map_or("–".to_owned(), |kib| figure(kib / 1024.0))));
        row.push(if one.used == one.taken { one.used.to_string() } else { format!("{} of {}", one.used, one.taken) });
        rows.push(row);
    }
    let rule: Vec<String> =
        header.iter().enumerate().map(|(at, _)| if at < 2 { "---" } else { "--:" }.to_owned()).collect();
    rows.insert(1, rule);
    rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect()
}

/// "1.02 (0.98–1.07)", or the number alone where the quartiles look the same.
fn ratio(Spread { low, median, high }: Spread) -> String {
    let [low, median, high] =
        [low, median, high].map(|ratio| if ratio < 9.995 { format!("{ratio:.2}") } else { figure(ratio) });
    if low == high { median } else { format!("{median} ({low}–{high})") }
}

/// A number with three digits, or all before the point.
pub(super) fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        x if x >= 99.95 => 0,
        x if x >= 9.995 => 1,
        x if x >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let digits: Vec<char> = whole.chars().collect();
    let mut grouped = String::new();
    for (at, digit) in digits.iter().enumerate() {
        let following = digits.len() - at;
        if at > 0 && following % 3 == 0 && digits[at - 1] != '-' {
            grouped.push(',');
        }
        grouped.push(*digit);
    }
    fraction.map_or(grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

/// A chart for each case that has samples.
pub(super) fn plot(root: &Path, results: &Path) -> Result<(), String> {
    let charts = root.join("benches/charts");
    fs::create_dir_all(&charts).map_err(|error| format!("{}: {error}", charts.display()))?;
    for case in CASES {
        let samples = samples::read(results, case)?;
        if !samples.is_empty() {
            put(&charts.join(format!("{}.svg", case.name)), &chart::bars(case.title, case.unit, &figures(&samples)))?;
        }
    }
    Ok(())
}

const INTRODUCTION: &str = "\
# Results

Made by `cargo xtask compare report --write` from the samples of `cargo xtask compare`; [README.md](README.md) tells what the
peers are and by which rules they are set up, and how to measure again.

The main figure is the CPU time that the operating system counts for the server, user code and system calls together, for each
unit of work. The server has one CPU, the load another, where a title doesn't say otherwise; both are busy all the time, or
nearly. Each figure is the median of samples taken in turn with those of all other peers; less is better. A multiple of
`raw`, or of landspout, is the median of the quotients within those rounds that both were well measured in, and in brackets their
quartiles; the order is that of the medians. Throughput follows from it where the server is what is waited for. `busy` is the
share of its CPU that the server used: one that has time to wait pays for being woken, so that its figure is too high, if
anything. Where the two take turns on one CPU, the rest is the load's. `raw` parses nothing and is the practical limit, no peer.

A virtual machine's CPUs are moved by their host, and the same work needs up to a third more CPU time when they share no cache.
So each sample is taken between two looks at how long a cache line needs from one to the other and back, and only samples of
the most common state are compared.
";

/// Writes `benches/RESULTS.md`.
pub(super) fn write(root: &Path, results: &Path) -> Result<(), String> {
    let mut text = format!("{INTRODUCTION}\n{}\n", machine(root)?);
    for case in CASES {
        if let Some(section) = section(case, &samples::read(results, case)?) {
            let (title, rest) = section.split_once("\n\n").expect("a section has a title");
            text.push_str(&format!("\n{title}\n\n![{}](charts/{}.svg)\n\n{rest}", case.title, case.name));
        }
    }
    put(&root.join("benches/RESULTS.md"), &text)
}

/// What the samples were taken on.
fn machine(root: &Path) -> Result<String, String> {
    let text = fs::read_to_string("/proc/cpuinfo").map_err(|error| format!("/proc/cpuinfo: {error}"))?;
    let named = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.trim().strip_prefix(':'))
            .unwrap_or("unknown")
            .trim()
            .to_owned()
    };
    let cpus = text.lines().filter(|line| line.starts_with("processor")).count();
    let system = told(root, "uname", &["-srm"])?;
    let compiler = told(root, "rustc", &["--version"])?;
    let rows = [
        ("CPU", format!("{}, {cpus} of them, cache of {}", named("model name"), named("cache size"))),
        ("system", system),
        ("compiler", compiler),
        ("written", told(root, "date", &["-u", "+%F"])?),
    ];
    let rows: String = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    Ok(format!("| machine | |\n|---|---|\n{rows}").trim_end().to_owned())
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    println!("compare: writing {}", path.display());
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{Machine, Measured};
    use super::*;

    fn sample(peer: &str, value: f64, machine: Option<(f64, f64, f64)>) -> Sample {
        let machine = machine.map(|(before, after, other_load)| Machine { before, after, other_load });
        let measured = Measured { value, rate: Some(1e6 / value), busy: Some(0.987), memory: Some(2_048.0), machine };
        let [peer, version, date, commit] = [peer, "1.2", "2026-01-02", "abc"].map(str::to_owned);
        Sample { round: 1, peer, version, date, commit, measured }
    }

    const NEAR: Option<(f64, f64, f64)> = Some((77.0, 78.0, 0.0));
    const FAR: Option<(f64, f64, f64)> = Some((390.0, 391.0, 0.0));
    const CHANGED: Option<(f64, f64, f64)> = Some((77.0, 391.0, 0.0));
    const LOADED: Option<(f64, f64, f64)> = Some((77.0, 78.0, 0.9));

    #[test]
    fn only_samples_of_the_most_common_state_are_compared() {
        let samples = [
            sample("hyper", 10.0, NEAR),
            sample("raw", 8.0, NEAR),
            sample("hyper", 13.0, FAR),
            sample("raw", 80.0, CHANGED),
            sample("hyper", 12.0, NEAR),
            sample("raw", 90.0, LOADED),
            sample("axum", 11.5, FAR),
        ];
        let figures = figures(&samples);
        let told: Vec<_> =
            figures.iter().map(|one| (one.peer.as_str(), one.value.median, one.used, one.taken, one.marked)).collect();
        let expected = [("raw", 8.0, 1, 3, false), ("hyper", 11.0, 2, 3, false), ("axum", 11.5, 0, 1, true)];
        assert_eq!(told, expected);
        assert_eq!(figures[1].value, Spread { low: 10.5, median: 11.0, high: 11.5 });
        let section = section(&CASES[0], &samples).unwrap();
        let listed = "Left out, or marked above: another state of the machine: hyper 13.0; axum 11.5. other load: raw 90.0. \
                      the machine changed its state: raw 80.0.";
        assert!(section.contains(listed), "{section}");
    }

    #[test]
    fn what_does_not_depend_on_the_machine_is_compared_as_it_is() {
        let samples = [sample("raw", 255.0, None), sample("landspout", 1_502.0, None)];
        assert!(figures(&samples).iter().all(|figure| !figure.marked && figure.used == 1));
    }

    #[test]
    fn the_table_has_ratios_to_the_limit_and_to_landspout() {
        let samples = [sample("hyper", 12.0, NEAR), sample("landspout", 8.4, NEAR), sample("raw", 8.0, NEAR)];
        let expected = "\
| peer | version | CPU µs/request | quartiles | × raw | × landspout | requests/s | busy | peak MiB | samples |
| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |
| raw | 1.2 | 8.00 | – | 1.00 | 0.95 | 125,000 | 99 % | 2.00 | 1 |
| **landspout** | 1.2 | 8.40 | – | 1.05 | 1.00 | 119,048 | 99 % | 2.00 | 1 |
| hyper | 1.2 | 12.0 | – | 1.50 | 1.43 | 83,333 | 99 % | 2.00 | 1 |
";
        assert_eq!(table(&CASES[0], &figures(&samples)), expected);
        let alone = table(&CASES[0], &figures(&samples[..1]));
        assert!(alone.contains("| 12.0 | – | – | – |"), "{alone}");
    }

    #[test]
    fn a_ratio_is_that_of_the_same_rounds() {
        // The host is fast, slow, and fast again, and changes once between two samples of a round; hyper came later, when raw was
        // disturbed.
        let rounds: [&[(&str, f64)]; 7] = [
            &[("raw", 8.0), ("landspout", 8.4)],
            &[("raw", 8.0), ("landspout", 12.0)],
            &[("raw", 12.0), ("landspout", 13.2)],
            &[("raw", 12.0), ("landspout", 12.6)],
            &[("raw", 8.0), ("landspout", 8.2)],
            &[("hyper", 9.0)],
            &[("raw disturbed", 90.0), ("landspout", 12.0), ("hyper", 9.0)],
        ];
        let of_round = |(before, samples): (usize, &&'static [(&str, f64)])| {
            samples.iter().map(move |(peer, value)| {
                let (peer, machine) = peer.strip_suffix(" disturbed").map_or((*peer, NEAR), |peer| (peer, LOADED));
                Sample { round: before + 1, ..sample(peer, *value, machine) }
            })
        };
        let samples: Vec<Sample> = rounds.iter().enumerate().flat_map(of_round).collect();
        let told: Vec<_> = figures(&samples)
            .into_iter()
            .map(|one| (one.peer, one.value.median, one.to_limit.map(ratio), one.to_ours.map(ratio)))
            .collect();
        let [one, twentieth] = ["1.00", "1.05 (1.05–1.10)"].map(|text| Some(text.to_owned()));
        assert_eq!(told[0], ("raw".to_owned(), 8.0, one.clone(), Some("0.95 (0.91–0.95)".to_owned())));
        assert_eq!(told[1], ("hyper".to_owned(), 9.0, None, Some("0.75".to_owned())));
        assert_eq!(told[2], ("landspout".to_owned(), 12.0, twentieth, one));
    }

    #[test]
    fn numbers_have_three_digits() {
        let table = [
            (0.0, "0"),
            (0.1234, "0.123"),
            (0.9996, "1.00"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (99.94, "99.9"),
            (99.96, "100"),
            (1_234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-123_456.0, "-123,456"),
        ];
        for (value, text) in table {
            assert_eq!(figure(value), text);
        }
    }
}

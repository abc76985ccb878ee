//! What was measured, and the files it is kept in: one of tab-separated lines for each case, so that parts of a long run can be
//! taken apart from each other and put together.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::cases::Case;
use super::statistics::same_state;

/// What one sample of a case gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    /// In the unit of the case; less is better.
    pub(crate) value: f64,
    /// A second figure, as requests per second.
    pub(crate) rate: Option<f64>,
    /// How much of its CPU the server used, from 0 to 1. One that has time to wait pays for being woken.
    pub(crate) busy: Option<f64>,
    /// The most memory the server had resident, in KiB.
    pub(crate) memory: Option<f64>,
    /// What is known about the machine meanwhile.
    pub(crate) machine: Option<Machine>,
}

/// The machine while a sample was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Machine {
    /// Nanoseconds of a cache line's ping-pong, before and after.
    pub(crate) before: f64,
    pub(crate) after: f64,
    /// What others took of the CPUs, as a share of one of them.
    pub(crate) other_load: f64,
}

/// What is more than ticks can be wrong by.
const OTHER_LOAD: f64 = 0.08;

impl Machine {
    /// Why the sample is not worth much, if so.
    pub(super) fn disturbance(&self) -> Option<&'static str> {
        if !same_state(self.before, self.after) {
            Some("the machine changed its state")
        } else if self.other_load > OTHER_LOAD {
            Some("other load")
        } else {
            None
        }
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Which one of its case's rounds it belongs to: samples of one were taken in the same minute.
    pub(super) round: usize,
    pub(super) peer: String,
    pub(super) version: String,
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) measured: Measured,
}

const COLUMNS: &str = "round\tpeer\tversion\tdate\tcommit\tvalue\trate\tbusy\tmemory\tbefore\tafter\tother_load";

impl Sample {
    fn line(&self) -> String {
        let Measured { value, rate, busy, memory, machine } = &self.measured;
        let machine = [machine.map(|m| m.before), machine.map(|m| m.after), machine.map(|m| m.other_load)];
        let mut fields = vec![self.round.to_string()];
        fields.extend([&self.peer, &self.version, &self.date, &self.commit].map(|text| text.replace('\t', " ")));
        fields.push(value.to_string());
        fields.extend(
            [*rate, *busy, *memory]
                .into_iter()
                .chain(machine)
                .map(|field| field.map_or("-".to_owned(), |x| x.to_string())),
        );
        fields.join("\t")
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [round, peer, version, date, commit, value, optional @ ..] = fields.as_slice() else { return None };
        let number = |text: &&str| if *text == "-" { Some(None) } else { text.parse::<f64>().ok().map(Some) };
        let [rate, busy, memory, before, after, other_load] =
            optional.iter().map(number).collect::<Option<Vec<_>>>()?[..]
        else {
            return None;
        };
        let machine = match (before, after, other_load) {
            (Some(before), Some(after), Some(other_load)) => Some(Machine { before, after, other_load }),
            _ => None,
        };
        let measured = Measured { value: value.parse().ok()?, rate, busy, memory, machine };
        let [peer, version, date, commit] = [peer, version, date, commit].map(|text| (*text).to_owned());
        Some(Self { round: round.parse().ok()?, peer, version, date, commit, measured })
    }
}

/// The file of a case, as long as it is written to. Rounds that are appended come behind those that are there.
pub(super) struct Writer {
    file: fs::File,
    last_round: usize,
}

impl Writer {
    /// Begins a file, or goes on with it.
    pub(super) fn open(directory: &Path, case: &Case, append: bool) -> Result<Self, String> {
        let there = if append { read(directory, case)? } else { Vec::new() };
        // What doesn't vary is the same in one round as in another.
        let last_round = there.iter().map(|sample| sample.round).max().filter(|_| case.varies).unwrap_or(0);
        let path = path(directory, case);
        let begin = || {
            fs::create_dir_all(directory)?;
            if !append || !path.exists() {
                fs::write(&path, format!("{COLUMNS}\n"))?;
            }
            fs::OpenOptions::new().append(true).open(&path)
        };
        let file = begin().map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { file, last_round })
    }

    pub(super) fn write(&mut self, mut sample: Sample) -> Result<(), String> {
        sample.round += self.last_round;
        writeln!(self.file, "{}", sample.line()).map_err(|error| format!("keeping a sample: {error}"))
    }
}

/// All samples of a case; none when there is no file. A second one of a peer and a round is in place of the first.
pub(super) fn read(directory: &Path, case: &Case) -> Result<Vec<Sample>, String> {
    let path = path(directory, case);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let mut lines = text.lines();
    let told = if lines.next() == Some(COLUMNS) { lines.map(Sample::parse).collect() } else { None };
    let told: Vec<Sample> =
        told.ok_or_else(|| format!("{}: not of this version; please measure again", path.display()))?;
    let mut samples: Vec<Sample> = Vec::new();
    for sample in told {
        samples.retain(|before| (before.round, &before.peer) != (sample.round, &sample.peer));
        samples.push(sample);
    }
    Ok(samples)
}

fn path(directory: &Path, case: &Case) -> PathBuf {
    directory.join(format!("{}.tsv", case.name))
}

#[cfg(test)]
mod tests {
    use super::super::cases::CASES;
    use super::*;

    fn sample() -> Sample {
        let machine = Some(Machine { before: 77.1, after: 78.0, other_load: -0.01 });
        let measured =
            Measured { value: 8.25, rate: Some(120_000.0), busy: Some(0.99), memory: Some(2_000.0), machine };
        let [peer, version, date, commit] = ["hyper", "hyper 1.2", "2026-01-02", "abc"].map(str::to_owned);
        Sample { round: 3, peer, version, date, commit, measured }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let bare = Sample { measured: Measured { value: 1_300.0, ..Measured::default() }, ..sample() };
        for sample in [sample(), bare] {
            assert_eq!(Sample::parse(&sample.line()), Some(sample));
        }
        let line = sample().line();
        for broken in [
            "",
            "a\tb",
            &line[1..],
            line.rsplit_once('\t').unwrap().0,
            &line.replace("8.25", "x"),
            &format!("{line}\t1"),
        ] {
            assert_eq!(Sample::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn rounds_that_are_appended_come_behind_those_that_there_are() {
        let directory = std::env::temp_dir().join(format!("landspout-samples-{}", std::process::id()));
        let case = |name: &str| CASES.iter().find(|case| case.name == name).unwrap();
        let rounds = |case: &Case| {
            for (append, values) in [(true, [1.0, 2.0]), (true, [3.0, 4.0]), (false, [5.0, 6.0]), (true, [7.0, 8.0])] {
                let mut file = Writer::open(&directory, case, append).unwrap();
                for (round, value) in (1..).zip(values) {
                    let measured = Measured { value, ..Measured::default() };
                    file.write(Sample { round, measured, ..sample() }).unwrap();
                }
            }
            let there = read(&directory, case).unwrap();
            there.iter().map(|sample| (sample.round, sample.measured.value)).collect::<Vec<_>>()
        };
        assert_eq!(rounds(case("keepalive")), [(1, 5.0), (2, 6.0), (3, 7.0), (4, 8.0)]);
        assert_eq!(rounds(case("size")), [(1, 7.0), (2, 8.0)]);
        fs::write(path(&directory, case("size")), "peer\tvalue\nraw\t1\n").unwrap();
        assert!(Writer::open(&directory, case("size"), true).is_err(), "a file of another version is not written to");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_disturbed_sample_says_by_what() {
        let disturbance = |before, after, other_load| Machine { before, after, other_load }.disturbance();
        assert_eq!(disturbance(77.0, 80.0, 0.01), None);
        assert_eq!(disturbance(77.0, 390.0, 0.01), Some("the machine changed its state"));
        assert_eq!(disturbance(77.0, 80.0, 0.5), Some("other load"));
    }
}

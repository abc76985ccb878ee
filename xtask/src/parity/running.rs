//! Runs the tests that the tables name, each test binary once, and remembers what became of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;

use super::table::Test;
use crate::ci;

/// What the test binaries printed of each test.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(BTreeMap<Test, String>);

impl Outcomes {
    /// Why this test shows nothing, unless it passed.
    pub(crate) fn problem(&self, test: &Test) -> Option<String> {
        match self.0.get(test).map(String::as_str) {
            Some("ok") => None,
            None => Some(format!("no test {test} ran")),
            Some(outcome) => Some(format!("the test {test} did not pass: {outcome}")),
        }
    }

    /// Takes up what libtest printed for a target: `test reading::short ... ok`.
    fn read(&mut self, crate_dir: &str, target: &str, output: &str) {
        for line in output.lines() {
            let Some((name, outcome)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) else {
                continue;
            };
            let path = name.trim_end_matches(" - should panic");
            let test = Test { crate_dir: crate_dir.to_owned(), target: target.to_owned(), path: path.to_owned() };
            self.0.insert(test, outcome.trim().to_owned());
        }
    }
}

/// Runs these tests with all features of their packages. A test that doesn't exist is missing from the outcomes.
pub(crate) fn run(root: &Path, tests: &BTreeSet<Test>) -> Result<Outcomes, String> {
    let mut targets: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for test in tests {
        targets.entry((&test.crate_dir, &test.target)).or_default().push(&test.path);
    }
    let mut outcomes = Outcomes::default();
    for crate_dir in targets.keys().map(|(crate_dir, _)| *crate_dir).collect::<BTreeSet<_>>() {
        // Without a target this builds the examples, too, that some tests start.
        let built =
            test_command(root, crate_dir).args(["--quiet", "--no-run"]).status().map_err(|error| error.to_string())?;
        if !built.success() {
            return Err(format!("the tests of {crate_dir} do not build"));
        }
    }
    for ((crate_dir, target), paths) in targets {
        let mut command = test_command(root, crate_dir);
        match target {
            "lib" => command.arg("--lib"),
            _ => command.args(["--test", target]),
        };
        command.args(["--", "--exact"]).args(&paths).stderr(Stdio::piped());
        let output = command.output().map_err(|error| error.to_string())?;
        let printed = String::from_utf8_lossy(&output.stdout);
        outcomes.read(crate_dir, target, &printed);
        if !output.status.success() {
            println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(outcomes)
}

fn test_command(root: &Path, crate_dir: &str) -> std::process::Command {
    let package = if crate_dir == "landspout" { crate_dir.to_owned() } else { format!("landspout-{crate_dir}") };
    let mut command = ci::cargo(root);
    command.args(["test", "--locked", "--all-features", "--package", &package]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(path: &str) -> Test {
        Test { crate_dir: "ioloop".to_owned(), target: "turns".to_owned(), path: path.to_owned() }
    }

    #[test]
    fn only_a_test_that_passed_shows_something() {
        let mut outcomes = Outcomes::default();
        let printed = "\nrunning 4 tests\ntest a ... ok\ntest b::c ... FAILED\ntest d ... ignored, slow\n\
                       test e - should panic ... ok\n\ntest result: FAILED. 2 passed\n";
        outcomes.read("ioloop", "turns", printed);
        assert_eq!(outcomes.problem(&test("a")), None);
        assert_eq!(outcomes.problem(&test("e")), None);
        let problem = |path| outcomes.problem(&test(path)).unwrap();
        assert_eq!(problem("b::c"), "the test ioloop/turns::b::c did not pass: FAILED");
        assert_eq!(problem("d"), "the test ioloop/turns::d did not pass: ignored, slow");
        assert_eq!(problem("c"), "no test ioloop/turns::c ran");
        let elsewhere = Test { target: "tasks".to_owned(), ..test("a") };
        assert_eq!(outcomes.problem(&elsewhere).unwrap(), "no test ioloop/tasks::a ran");
    }
}

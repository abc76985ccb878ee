//! Runs the tests that the tables name, each test binary once, and remembers what became of each. Where all of them have just
//! passed, as in CI, it is enough that they are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::table::Test;
use crate::ci;

/// What shows that a test passes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// It is run.
    Run,
    /// All tests have passed before, with all features: it is enough that the binary has this one and doesn't ignore it.
    Listed,
}

/// What the test binaries printed of each test.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(BTreeMap<Test, String>);

impl Outcomes {
    /// Why this test shows nothing, unless it passed.
    pub(crate) fn problem(&self, test: &Test) -> Option<String> {
        match self.0.get(test).map(String::as_str) {
            Some("ok") => None,
            None => Some(format!("there is no test {test}, or it didn't run")),
            Some("ignored") => Some(format!("the test {test} is ignored")),
            Some(outcome) => Some(format!("the test {test} did not pass: {outcome}")),
        }
    }

    /// Takes up what libtest printed for a target: `test reading::short ... ok`.
    fn read(&mut self, crate_dir: &str, target: &str, output: &str) {
        for line in output.lines() {
            let Some((name, outcome)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) else {
                continue;
            };
            self.add(crate_dir, target, name.trim_end_matches(" - should panic"), outcome.trim());
        }
    }

    /// Takes up a list of libtest's: `reading::short: test`.
    fn read_list(&mut self, crate_dir: &str, target: &str, list: &str, outcome: &str) {
        for path in list.lines().filter_map(|line| line.strip_suffix(": test")) {
            self.add(crate_dir, target, path, outcome);
        }
    }

    fn add(&mut self, crate_dir: &str, target: &str, path: &str, outcome: &str) {
        let [crate_dir, target, path] = [crate_dir, target, path].map(str::to_owned);
        self.0.insert(Test { crate_dir, target, path }, outcome.to_owned());
    }
}

/// Finds out about these tests with all features of their packages. A test that doesn't exist is missing from the outcomes.
pub(crate) fn outcomes(root: &Path, tests: &BTreeSet<Test>, evidence: Evidence) -> Result<Outcomes, String> {
    let mut packages: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for test in tests {
        packages.entry(&test.crate_dir).or_default().entry(&test.target).or_default().push(&test.path);
    }
    let mut outcomes = Outcomes::default();
    for (crate_dir, targets) in packages {
        let programs = build(root, crate_dir)?;
        for (target, paths) in targets {
            // Without a program its tests are missing.
            let Some(program) = programs.get(target) else { continue };
            let printed = |arguments: &[&str]| {
                let mut command = Command::new(&program.path);
                command.args(arguments).current_dir(&program.directory).stdin(Stdio::null());
                let output = command.output().map_err(|error| format!("{}: {error}", program.path.display()))?;
                let printed = String::from_utf8_lossy(&output.stdout).into_owned();
                if !output.status.success() {
                    println!("{printed}{}", String::from_utf8_lossy(&output.stderr));
                }
                Ok::<_, String>(printed)
            };
            match evidence {
                Evidence::Run => {
                    outcomes.read(crate_dir, target, &printed(&[&["--exact"], paths.as_slice()].concat())?)
                }
                Evidence::Listed => {
                    outcomes.read_list(crate_dir, target, &printed(&["--list"])?, "ok");
                    outcomes.read_list(crate_dir, target, &printed(&["--list", "--ignored"])?, "ignored");
                }
            }
        }
    }
    Ok(outcomes)
}

/// A test binary, and the directory of its package, where cargo starts it.
#[derive(Debug, PartialEq)]
struct Program {
    path: PathBuf,
    directory: PathBuf,
}

/// Builds all that the tests of a package take, examples too, and tells the program of each target; that of the library's own is
/// called `lib`.
fn build(root: &Path, crate_dir: &str) -> Result<BTreeMap<String, Program>, String> {
    let mut command = ci::cargo(root);
    command.args(["test", "--locked"]);
    let directory = match crate_dir {
        // The root's package has no features, and is tested with all others.
        "workbench" => root.to_owned(),
        _ => {
            command.args(["--all-features", "--package", &format!("landspout-{crate_dir}")]);
            root.join("crates").join(crate_dir)
        }
    };
    command.args(["--quiet", "--no-run", "--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("the tests of {crate_dir} do not build"));
    }
    let told = String::from_utf8_lossy(&output.stdout);
    Ok(told.lines().filter_map(test_program).filter(|(_, program)| program.directory == directory).collect())
}

/// The target and its program, if this message of cargo's is about a test binary.
fn test_program(message: &str) -> Option<(String, Program)> {
    let text_of = |text: &str, mark: &str| Some(text.split_once(mark)?.1.split_once('"')?.0.to_owned());
    let (profile, rest) = message.split_once(r#""profile":{"#)?.1.split_once('}')?;
    let path = text_of(rest, r#""executable":""#).filter(|_| profile.contains(r#""test":true"#))?;
    let manifest = text_of(message, r#""manifest_path":""#)?;
    let (_, target) = message.split_once(r#""target":{"#)?;
    let name =
        if text_of(target, r#""kind":[""#)? == "lib" { "lib".to_owned() } else { text_of(target, r#""name":""#)? };
    Some((name, Program { path: path.into(), directory: Path::new(&manifest).parent()?.to_owned() }))
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
        outcomes.read_list("ioloop", "turns", "f: test\n\n1 test, 0 benchmarks\n", "ignored");
        assert_eq!(outcomes.problem(&test("a")), None);
        assert_eq!(outcomes.problem(&test("e")), None);
        let problem = |path| outcomes.problem(&test(path)).unwrap();
        assert_eq!(problem("b::c"), "the test ioloop/turns::b::c did not pass: FAILED");
        assert_eq!(problem("d"), "the test ioloop/turns::d did not pass: ignored, slow");
        assert_eq!(problem("c"), "there is no test ioloop/turns::c, or it didn't run");
        assert_eq!(problem("f"), "the test ioloop/turns::f is ignored");
        let elsewhere = Test { target: "tasks".to_owned(), ..test("a") };
        assert_eq!(outcomes.problem(&elsewhere).unwrap(), "there is no test ioloop/tasks::a, or it didn't run");
    }

    #[test]
    fn a_test_binary_is_found_in_what_cargo_tells() {
        let message = |kind: &str, test: bool| {
            [
                r#"{"reason":"compiler-artifact","manifest_path":"/x/Cargo.toml","#,
                &format!(r#""target":{{"kind":["{kind}"],"crate_types":["bin"],"name":"end","test":true}},"#),
                &format!(r#""profile":{{"opt_level":"0","test":{test}}},"features":[],"filenames":["/t/end"],"#),
                r#""executable":"/t/deps/end-0123","fresh":true}"#,
            ]
            .concat()
        };
        let end = || Program { path: "/t/deps/end-0123".into(), directory: "/x".into() };
        assert_eq!(test_program(&message("test", true)), Some(("end".to_owned(), end())));
        assert_eq!(test_program(&message("lib", true)), Some(("lib".to_owned(), end())));
        assert_eq!(test_program(&message("bin", false)), None);
        assert_eq!(test_program(r#"{"reason":"build-finished","success":true}"#), None);
    }
}

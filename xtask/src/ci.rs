//! `cargo xtask ci`: every step that must pass, in the order of how soon it can tell something, stopping at the first
//! failure. All steps share one target directory; nothing runs twice with the same flags.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::manifest::{self, FeatureSet, Manifest};
use crate::parity::Evidence;
use crate::{compare, count, examples, interop, packages, parity, peers, tidy};

/// Runs all steps.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let steps = steps(&manifest::crates(root)?);
    let count = steps.len();
    let begin = Instant::now();
    for (step, number) in steps.iter().zip(1..) {
        println!("\n[{number}/{count}] {}", step.text());
        let begin = Instant::now();
        step.run(root).map_err(|problem| format!("ci FAILED at step {number}/{count}, {}: {problem}", step.text()))?;
        println!("[{number}/{count}] passed in {}", seconds(begin.elapsed()));
    }
    println!("\nci: all {count} steps passed in {}", seconds(begin.elapsed()));
    Ok(())
}

/// Prints what `run` would do.
pub(crate) fn list(root: &Path) -> Result<(), String> {
    for step in steps(&manifest::crates(root)?) {
        println!("{}", step.text());
    }
    Ok(())
}

enum Step {
    Cargo { environment: Option<(&'static str, &'static str)>, arguments: Vec<String> },
    Chore(&'static str, fn(&Path) -> Result<(), String>),
}

fn steps(crates: &[Manifest]) -> Vec<Step> {
    let mut steps = vec![
        Step::cargo("fmt --all --check"),
        Step::Chore("peers (their formatting)", peers::check_format),
        Step::cargo("fmt --check --manifest-path benches/load/Cargo.toml"),
        Step::Chore("tidy", tidy::run),
        Step::Chore("packages", packages::run),
        Step::cargo("clippy --locked --workspace --all-targets --all-features -- -D warnings"),
        // The README's command, as a newcomer types it.
        Step::cargo("test"),
        // Each bench once, built as the tests are: that none of them rots.
        Step::cargo("test --locked --bench *"),
        Step::cargo("test --locked -p xtask"),
    ];
    for manifest in crates {
        steps.extend(package_steps(manifest));
    }
    // What the tables name has run above.
    steps.push(Step::Chore("parity (that its tests are there)", |root| parity::run(root, false, Evidence::Listed)));
    // A short form of `cargo xtask soak`.
    steps.push(Step::cargo("run --locked -p landspout-iostream --all-features --example transfer -- 16"));
    steps.push(Step::Cargo {
        environment: Some(("RUSTDOCFLAGS", "-Dwarnings")),
        arguments: words("doc --locked --workspace --no-deps --all-features"),
    });
    // Of the peers only ours, so that it doesn't rot.
    for peer in ["landspout", "landspout-echo"] {
        let manifest = format!("--locked --manifest-path benches/peers/{peer}/Cargo.toml --target-dir target");
        steps.push(Step::cargo(&format!("clippy {manifest} --all-features -- -D warnings")));
    }
    for chore in ["clippy", "test"] {
        let warnings = if chore == "clippy" { " --all-targets -- -D warnings" } else { "" };
        let manifest = "--locked --manifest-path benches/load/Cargo.toml --target-dir target";
        steps.push(Step::cargo(&format!("{chore} {manifest}{warnings}")));
    }
    steps.push(Step::Chore("compare (a smoke test)", compare::smoke));
    steps.push(Step::Chore("count", count::run));
    steps.push(Step::Chore("examples", |root| examples::run(root, &[])));
    steps.push(Step::Chore("interop (the smoke test)", interop::smoke));
    steps
}

/// A package by itself. Features unify over everything that one cargo command builds, so that only these steps notice a
/// package that leans on a feature which another package of the workspace happened to turn on.
fn package_steps(manifest: &Manifest) -> Vec<Step> {
    let package = &manifest.name;
    let sets = manifest.feature_sets();
    let mut steps = Vec::new();
    for set in &sets {
        let flags = if sets == [FeatureSet::None] { Vec::new() } else { set.flags() };
        let step = |chore: &str, end: &str, environment| {
            let mut arguments = words(chore);
            arguments.extend(["--locked".to_owned(), "-p".to_owned(), package.clone()]);
            arguments.extend(flags.iter().cloned());
            arguments.extend(words(end));
            Step::Cargo { environment, arguments }
        };
        // The library by its normal dependencies alone, then with the features that the dev-dependencies add to them.
        steps.push(step("clippy", "-- -D warnings", None));
        // Random sequences of calls are many with no features and with all; in between a few show that they pass there, too.
        let between = *set != FeatureSet::None && Some(set) != sets.last();
        let few = between.then_some(("LANDSPOUT_SEQUENCES", "100"));
        steps.push(step("test", "", few));
    }
    steps
}

impl Step {
    fn cargo(arguments: &str) -> Self {
        Self::Cargo { environment: None, arguments: words(arguments) }
    }

    /// The step as one would type it.
    fn text(&self) -> String {
        match self {
            Self::Cargo { environment: Some((key, value)), arguments } => {
                format!("{key}={value} cargo {}", arguments.join(" "))
            }
            Self::Cargo { environment: None, arguments } => format!("cargo {}", arguments.join(" ")),
            Self::Chore(name, _) => format!("cargo xtask {name}"),
        }
    }

    fn run(&self, root: &Path) -> Result<(), String> {
        match self {
            Self::Chore(_, chore) => chore(root),
            Self::Cargo { environment, arguments } => {
                let mut command = cargo(root);
                command.args(arguments).envs(*environment);
                succeed(&mut command)
            }
        }
    }
}

/// The cargo that runs us, in the root of the repository.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).stdin(Stdio::null());
    command
}

/// Runs a program that reads nothing and has to end with status 0.
pub(crate) fn succeed(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name}: {status}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// A duration for people.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_runs_with_no_each_and_all_features() {
        let manifest = Manifest::parse("n", "[package]\nname = \"n\"\n[features]\na = []\nb = []\n");
        let texts: Vec<String> = package_steps(&manifest).iter().map(Step::text).collect();
        let expected = [
            "cargo clippy --locked -p n --no-default-features -- -D warnings",
            "cargo test --locked -p n --no-default-features",
            "cargo clippy --locked -p n --no-default-features --features a -- -D warnings",
            "LANDSPOUT_SEQUENCES=100 cargo test --locked -p n --no-default-features --features a",
            "cargo clippy --locked -p n --no-default-features --features b -- -D warnings",
            "LANDSPOUT_SEQUENCES=100 cargo test --locked -p n --no-default-features --features b",
            "cargo clippy --locked -p n --all-features -- -D warnings",
            "cargo test --locked -p n --all-features",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_package_without_features_runs_once() {
        let manifest = Manifest::parse("n", "[package]\nname = \"n\"\n");
        let texts: Vec<String> = package_steps(&manifest).iter().map(Step::text).collect();
        assert_eq!(texts, ["cargo clippy --locked -p n -- -D warnings", "cargo test --locked -p n"]);
    }
}

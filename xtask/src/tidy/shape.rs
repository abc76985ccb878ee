//! The repository's shape: what lies in it, and what no file may hold.

use super::code::lines_with;
use super::{File, Problems, Repository};

/// More than this and a file has more than one job.
const MAX_LINES: usize = 700;

/// Every crate has a README.md, a description and the workspace's lints.
pub(super) fn packages_complete(repository: &Repository) -> Problems {
    let mut problems = Vec::new();
    for manifest in &repository.crates {
        let dir = format!("crates/{}", manifest.dir);
        if repository.text(&format!("{dir}/README.md")).trim().is_empty() {
            problems.push(format!("{dir}/README.md is missing or empty"));
        }
        if manifest.description.trim().is_empty() {
            problems.push(format!("{dir}/Cargo.toml has no description"));
        }
        if !manifest.workspace_lints {
            problems.push(format!("{dir}/Cargo.toml has no `[lints] workspace = true`"));
        }
    }
    problems
}

/// The top level holds what it should and nothing else.
pub(super) fn top_level(repository: &Repository) -> Problems {
    const REQUIRED: [&str; 10] = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "crates",
        "xtask",
    ];
    // `target` is cargo's and ignored by git.
    const ALLOWED: [&str; 5] = ["benches", "examples", "rustfmt.toml", "target", "tests"];
    let top = &repository.top_level;
    let missing = REQUIRED.iter().filter(|name| !top.iter().any(|known| known == *name));
    let mut problems: Problems = missing.map(|name| format!("{name} is missing")).collect();
    let known = |name: &str| name.starts_with('.') || REQUIRED.contains(&name) || ALLOWED.contains(&name);
    problems
        .extend(top.iter().filter(|name| !known(name)).map(|name| format!("{name} does not belong to the top level")));
    problems
}

/// No path of somebody's machine.
pub(super) fn no_machine_paths(repository: &Repository) -> Problems {
    let paths = ["work", "home", "root", "Users"].map(|name| format!("/{name}/"));
    find(repository.files.iter(), &paths)
}

/// Nothing left open: it is done, or it is an issue.
pub(super) fn nothing_left_open(repository: &Repository) -> Problems {
    // Put together so that this file passes its own check.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["to", "do!("], ["unimple", "mented!("]]
        .map(|halves| halves.concat());
    find(repository.rust(""), &marks)
}

/// A test runs or does not exist.
pub(super) fn no_ignored_tests(repository: &Repository) -> Problems {
    find(repository.rust(""), &[["#[", "ignore"].concat()])
}

/// Nothing waits for time to pass where it could wait for an event.
pub(super) fn no_sleeping_threads(repository: &Repository) -> Problems {
    find(repository.rust("crates/").chain(repository.rust("tests/")), &[["thread::", "sleep"].concat()])
}

/// A file is short enough to be read in one go.
pub(super) fn short_files(repository: &Repository) -> Problems {
    let lines = |file: &File| file.text.lines().count();
    let long = repository.rust("").filter(|file| lines(file) > MAX_LINES);
    long.map(|file| format!("{}: {} lines; {MAX_LINES} are the limit", file.path, lines(file))).collect()
}

fn find<'a>(files: impl Iterator<Item = &'a File>, needles: &[String]) -> Problems {
    let mut problems = Vec::new();
    for file in files {
        for needle in needles {
            let lines = lines_with(&file.text, needle);
            problems.extend(lines.iter().map(|line| format!("{}:{line}: `{needle}`", file.path)));
        }
    }
    problems
}

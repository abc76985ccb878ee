//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md and the repository's shape, as checks of its text.
//!
//! Each check is a function with a name that says what holds, and returns what breaks it. `tests` shows for each check
//! that it fails. What text can't show is left to tests: that server constructors and `bind` don't touch the loop
//! (invariant 7) is shown by `start_fork`, which could not fork otherwise, and by the tests of `tcpserver`.

mod code;
mod documents;
mod layers;
pub(crate) mod markdown;
mod ownership;
mod shape;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use crate::examples::EXAMPLES;
use crate::manifest::{self, Manifest};

/// What breaks a check, a line each, beginning with the file.
type Problems = Vec<String>;
type Check = fn(&Repository) -> Problems;

const CHECKS: &[(&str, Check)] = &[
    ("crate_graph", layers::crate_graph),
    ("packages", layers::packages),
    ("owned_packages", ownership::owned_packages),
    ("tls_connections", ownership::tls_connections),
    ("one_file_names_httparse", ownership::one_file_names_httparse),
    ("sans_io", ownership::sans_io),
    ("unsafe_code", ownership::unsafe_code),
    ("clock", ownership::clock),
    ("packages_complete", shape::packages_complete),
    ("top_level", shape::top_level),
    ("no_machine_paths", shape::no_machine_paths),
    ("nothing_left_open", shape::nothing_left_open),
    ("no_ignored_tests", shape::no_ignored_tests),
    ("no_sleeping_threads", shape::no_sleeping_threads),
    ("short_files", shape::short_files),
    ("examples_listed", documents::examples_listed),
    ("crates_listed", documents::crates_listed),
    ("links_lead_somewhere", documents::links_lead_somewhere),
    ("parity_tables", documents::parity_tables),
];

/// Runs all checks and prints all that they find.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let examples = EXAMPLES.iter().map(|example| example.name.to_owned()).collect();
    let broken = failures(&Repository::read(root, examples)?);
    for (check, problems) in &broken {
        println!("tidy: {check} fails:");
        for problem in problems {
            println!("  {problem}");
        }
    }
    match broken.len() {
        0 => {
            println!("tidy: {} checks passed", CHECKS.len());
            Ok(())
        }
        count => Err(format!("tidy: {count} of {} checks failed", CHECKS.len())),
    }
}

fn failures(repository: &Repository) -> Vec<(&'static str, Problems)> {
    let results = CHECKS.iter().map(|(name, check)| (*name, check(repository)));
    results.filter(|(_, problems)| !problems.is_empty()).collect()
}

/// All that the checks look at, read once.
struct Repository {
    /// Names of files and directories in the root.
    top_level: Vec<String>,
    /// Every text file, sorted by path.
    files: Vec<File>,
    /// The manifests of `crates/*`, sorted by directory.
    crates: Vec<Manifest>,
    /// The manifest in the root.
    workbench: Manifest,
    /// The examples that `cargo xtask examples` knows.
    example_table: Vec<String>,
}

struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
    code: OnceCell<String>,
}

impl Repository {
    fn read(root: &Path, example_table: Vec<String>) -> Result<Self, String> {
        let mut repository = Self {
            top_level: Vec::new(),
            files: Vec::new(),
            crates: manifest::crates(root)?,
            workbench: Manifest::default(),
            example_table,
        };
        repository.walk(root, "").map_err(|error| format!("reading {}: {error}", root.display()))?;
        repository.files.sort_by(|a, b| a.path.cmp(&b.path));
        repository.workbench = Manifest::parse("", repository.text("Cargo.toml"));
        Ok(repository)
    }

    fn walk(&mut self, root: &Path, directory: &str) -> std::io::Result<()> {
        for entry in fs::read_dir(root.join(directory))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if directory.is_empty() {
                self.top_level.push(name.clone());
            }
            let path = format!("{directory}{name}");
            if name == ".git" || path == "target" {
                continue;
            }
            if entry.file_type()?.is_dir() {
                self.walk(root, &format!("{path}/"))?;
            } else if let Some(text) = fs::read(entry.path()).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                // What is not UTF-8 is no text.
                self.files.push(File { path, text, code: OnceCell::new() });
            }
        }
        Ok(())
    }

    /// The text of a file, empty if there is none.
    fn text(&self, path: &str) -> &str {
        self.files.iter().find(|file| file.path == path).map_or("", |file| &file.text)
    }

    /// The Rust files whose path begins with `place`.
    fn rust(&self, place: &str) -> impl Iterator<Item = &File> {
        self.files.iter().filter(move |file| file.path.starts_with(place) && file.path.ends_with(".rs"))
    }

    /// The Rust files of `crates/*/src`.
    fn sources(&self) -> impl Iterator<Item = &File> {
        self.rust("crates/").filter(|file| file.path.split('/').nth(2) == Some("src"))
    }
}

impl File {
    /// The text without comments, strings and character literals.
    fn code(&self) -> &str {
        self.code.get_or_init(|| code::code_only(&self.text))
    }
}

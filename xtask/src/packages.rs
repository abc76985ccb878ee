//! `cargo xtask packages`: how many packages of others each crate brings along, as `cargo tree` shows them, compared with
//! the README's crate table.
//!
//! Rules: normal dependencies only, for the machine that asks; our own crates are not counted, proc-macros and what a
//! dependency is built of are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::ci;
use crate::manifest::{self, FeatureSet};
use crate::tidy::markdown;

/// The column of the README's crate table: without features, by default, with all.
const COLUMN: &str = "packages of others";

/// Prints the numbers and fails where the README says something else.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let readme = fs::read_to_string(root.join("README.md")).map_err(|error| format!("README.md: {error}"))?;
    let rows = markdown::table(&readme, &["crate", COLUMN])
        .ok_or_else(|| format!("README.md: no table with the columns \"crate\" and {COLUMN:?}"))?;
    let mut wrong = 0;
    for manifest in manifest::crates(root)? {
        let mut numbers = Vec::new();
        for flags in [FeatureSet::None.flags(), Vec::new(), FeatureSet::All.flags()] {
            numbers.push(count(&tree(root, &manifest.name, &flags)?).to_string());
        }
        let numbers = numbers.join(" / ");
        let row = rows.iter().find(|row| markdown::code_spans(&row[0]).any(|span| span == manifest.name));
        let told = row.map_or("nothing", |row| row[1].as_str());
        println!("{:<26}{numbers}", manifest.name);
        if told != numbers {
            println!("README.md: the crate table has {told} for {}, not {numbers}", manifest.name);
            wrong += 1;
        }
    }
    if wrong == 0 { Ok(()) } else { Err(format!("{wrong} numbers of README.md's column {COLUMN:?} are not true")) }
}

fn tree(root: &Path, package: &str, flags: &[String]) -> Result<String, String> {
    let mut command = ci::cargo(root);
    command.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package", package]);
    let output = command.args(flags).output().map_err(|error| format!("cargo tree: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("cargo tree --package {package}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The packages in this tree that don't lie in a directory, each once for each of its versions.
fn count(tree: &str) -> usize {
    // "mio v1.2.4", "mio v1.2.4 (*)", "pin-project v1.1.3 (proc-macro)", "landspout-http1 v0.1.0 (/where/it/lies)"
    let package = |line: &'_ str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, _, place, ..] if place.starts_with("(/") => None,
        [name, version, ..] => Some(format!("{name} {version}")),
        _ => None,
    };
    tree.lines().filter_map(package).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_of_others_counts_once() {
        let tree = "landspout-process v0.1.0 (/a/b/crates/process)\nlibc v0.2.1\nnix v0.31.3\nlibc v0.2.1\n\
                    landspout-ioloop v0.1.0 (/a/b/crates/ioloop) (*)\nnix v0.31.3 (*)\nderive v1.0.0 (proc-macro)\n\
                    derive v1.0.0 (proc-macro) (*)\nlibc v0.1.9\n\n";
        assert_eq!(count(tree), 4);
    }
}

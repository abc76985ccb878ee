//! Invariant 1: the crate graph is the table of ARCHITECTURE.md, no more and no less.

use super::{Problems, Repository, markdown};
use crate::manifest::{Dependency, Manifest};

const DOCUMENT: &str = "ARCHITECTURE.md";
const COLUMNS: [&str; 3] = ["crate", "may depend on (ours)", "packages"];
const BEYOND: &str = "Packages beyond the table";

/// One row of the table.
struct Layer {
    dir: String,
    ours: Vec<Dependency>,
    packages: Vec<Dependency>,
}

/// Our crates depend on each other as the table says; optional dependencies stand in brackets there. Every row comes
/// after the rows that it depends on, so nothing points up.
pub(super) fn crate_graph(repository: &Repository) -> Problems {
    let Some(layers) = layers(repository) else { return missing_table() };
    let mut problems = Vec::new();
    for manifest in &repository.crates {
        let dir = &manifest.dir;
        if manifest.name != package_of(dir) {
            problems.push(format!("crates/{dir}/Cargo.toml: the package's name is not `{}`", package_of(dir)));
        }
        let Some(at) = layers.iter().position(|layer| layer.dir == *dir) else {
            problems.push(format!("{DOCUMENT}: the layer table has no row for `{dir}`"));
            continue;
        };
        let (ours, _) = split(repository, manifest);
        compare(dir, "the layer table", &layers[at].ours, &ours, &mut problems);
        for dependency in &ours {
            if !layers[..at].iter().any(|below| below.dir == dependency.package) {
                problems.push(format!("crates/{dir}/Cargo.toml: `{}` is not a layer below", dependency.package));
            }
        }
    }
    for layer in &layers {
        if !repository.crates.iter().any(|manifest| manifest.dir == layer.dir) {
            problems.push(format!("{DOCUMENT}: the layer table has a row for `{}`, which is no crate", layer.dir));
        }
    }
    if !repository.workbench.dependencies.is_empty() {
        problems.push("Cargo.toml: the workbench has dev-dependencies only".to_owned());
    }
    problems
}

/// Packages from elsewhere stand in the table, or in the list "Packages beyond the table" with a reason:
/// ``- `CRATE`: `PACKAGE`, `PACKAGE`: the reason``.
pub(super) fn packages(repository: &Repository) -> Problems {
    let Some(layers) = layers(repository) else { return missing_table() };
    let Some(items) = markdown::list(repository.text(DOCUMENT), BEYOND) else {
        return vec![format!("{DOCUMENT}: no list under \"{BEYOND}\"")];
    };
    let mut problems = Vec::new();
    let mut beyond: Vec<(String, Dependency)> = Vec::new();
    for item in &items {
        match beyond_item(item) {
            Some(entries) => beyond.extend(entries),
            None => problems.push(format!("{DOCUMENT}: under \"{BEYOND}\" without crate, package or reason: {item}")),
        }
    }
    for manifest in &repository.crates {
        let Some(layer) = layers.iter().find(|layer| layer.dir == manifest.dir) else { continue };
        let mut allowed = layer.packages.clone();
        allowed.extend(beyond.iter().filter(|(dir, _)| *dir == manifest.dir).map(|(_, package)| package.clone()));
        let (_, others) = split(repository, manifest);
        compare(&manifest.dir, "the layer table and the list beyond it", &allowed, &others, &mut problems);
    }
    problems
}

fn missing_table() -> Problems {
    vec![format!("{DOCUMENT}: no table with the columns {COLUMNS:?}")]
}

fn layers(repository: &Repository) -> Option<Vec<Layer>> {
    let rows = markdown::table(repository.text(DOCUMENT), &COLUMNS)?;
    let layer = |row: &Vec<String>| Layer {
        dir: row[0].trim_matches('`').to_owned(),
        ours: names(&row[1]),
        packages: names(&row[2]),
    };
    Some(rows.iter().map(layer).collect())
}

/// `a, b, [c]` with `c` optional; a dash for nothing.
fn names(cell: &str) -> Vec<Dependency> {
    let mut optional = false;
    let mut names = Vec::new();
    for name in cell.split([',', ';']).map(str::trim).filter(|name| !name.is_empty() && *name != "–") {
        optional |= name.starts_with('[');
        names.push(Dependency { package: name.trim_matches(['[', ']', '`']).to_owned(), optional });
        optional &= !name.ends_with(']');
    }
    names
}

/// ``- `CRATE`: `PACKAGE`, [`PACKAGE`]: the reason``
fn beyond_item(item: &str) -> Option<Vec<(String, Dependency)>> {
    let (dir, rest) = item.split_once(':')?;
    let (packages, reason) = rest.split_once(':')?;
    let dir = markdown::code_spans(dir).next()?;
    if reason.trim().is_empty() || !packages.contains('`') {
        return None;
    }
    Some(names(packages).into_iter().map(|package| (dir.to_owned(), package)).collect())
}

/// Our crates (by directory) and the packages of others.
fn split(repository: &Repository, manifest: &Manifest) -> (Vec<Dependency>, Vec<Dependency>) {
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for dependency in &manifest.dependencies {
        match repository.crates.iter().find(|known| known.name == dependency.package) {
            Some(known) => ours.push(Dependency { package: known.dir.clone(), ..*dependency }),
            None => others.push(dependency.clone()),
        }
    }
    (ours, others)
}

fn compare(dir: &str, document: &str, allowed: &[Dependency], real: &[Dependency], problems: &mut Problems) {
    let kind = |dependency: &Dependency| if dependency.optional { "optional" } else { "not optional" };
    for dependency in real {
        match allowed.iter().find(|known| known.package == dependency.package) {
            None => problems.push(format!(
                "crates/{dir}/Cargo.toml: depends on `{}`, which is not in {document} of {DOCUMENT}",
                dependency.package
            )),
            Some(known) if known.optional != dependency.optional => problems.push(format!(
                "crates/{dir}/Cargo.toml: `{}` is {}, in {document} of {DOCUMENT} {}",
                dependency.package,
                kind(dependency),
                kind(known)
            )),
            Some(_) => {}
        }
    }
    for dependency in allowed {
        if !real.iter().any(|known| known.package == dependency.package) {
            problems.push(format!(
                "{DOCUMENT}: `{dir}` does not depend on `{}`, but {document} says so",
                dependency.package
            ));
        }
    }
}

fn package_of(dir: &str) -> String {
    if dir == "landspout" { dir.to_owned() } else { format!("landspout-{dir}") }
}

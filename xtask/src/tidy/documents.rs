//! What the README has to list, and that the documents' links lead somewhere.

use super::code::line_of;
use super::{Problems, Repository, markdown};
use crate::parity;

/// Every example stands in the README and is run by `cargo xtask examples`.
pub(super) fn examples_listed(repository: &Repository) -> Problems {
    let mut problems = Vec::new();
    let spans: Vec<&str> = markdown::code_spans(repository.text("README.md")).collect();
    for path in repository.rust("examples/").map(|file| &file.path) {
        let Some(name) = example_of(path) else { continue };
        if !spans.contains(&name) {
            problems.push(format!("{path}: README.md does not list `{name}`"));
        }
        if !repository.example_table.iter().any(|known| known == name) {
            problems.push(format!("{path}: the table of xtask/src/examples.rs does not list `{name}`"));
        }
    }
    problems
}

/// The README's table lists every crate under its package name.
pub(super) fn crates_listed(repository: &Repository) -> Problems {
    let Some(rows) = markdown::table(repository.text("README.md"), &["crate"]) else {
        return vec!["README.md: no table with a column \"crate\"".to_owned()];
    };
    let listed = |name: &str| rows.iter().any(|row| markdown::code_spans(&row[0]).any(|span| span == name));
    let names = repository.crates.iter().map(|manifest| &manifest.name).filter(|name| !listed(name));
    names.map(|name| format!("README.md: the crate table does not list `{name}`")).collect()
}

/// A relative link of a Markdown file names a file or directory of this repository.
pub(super) fn links_lead_somewhere(repository: &Repository) -> Problems {
    let exists = |path: &str| repository.files.iter().any(|file| lies_at(&file.path, path));
    let mut problems = Vec::new();
    for document in repository.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (at, _) in document.text.match_indices("](") {
            let target = document.text[at + 2..].split([')', '#', '\n']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = resolve(&document.path, target);
            if !exists(&path) {
                problems.push(format!("{}:{}: no file {path}", document.path, line_of(&document.text, at)));
            }
        }
    }
    problems
}

/// The tables of `tests/parity` account for every method once; that their tests pass is for `cargo xtask parity` to say.
pub(super) fn parity_tables(repository: &Repository) -> Problems {
    let text = |path: &str| repository.files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    parity::problems(text)
}

/// `file` is `path` or lies below it.
fn lies_at(file: &str, path: &str) -> bool {
    file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path from the root that `target` means in `document`.
fn resolve(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `examples/NAME.rs` or `examples/NAME/main.rs`
fn example_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("examples/")?.strip_suffix(".rs")?;
    name.strip_suffix("/main").or(Some(name)).filter(|name| !name.contains('/'))
}

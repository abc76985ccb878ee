//! `cargo xtask parity`: accounts for every test method of Tornado's suite that a table in `tests/parity` lists.
//!
//! Rules: a table is believed only where it was checked. Each method stands in it once; the tests that it names are run,
//! and each has to pass (in CI they have, before); what differs on purpose has a reason that can be looked up and stands in the crate's
//! documentation. The number of methods of each module stands here and that of each class in its table, so that a line
//! that vanishes is noticed. [README.md](../../tests/parity/README.md) describes the form of the tables.

mod running;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub(crate) use running::Evidence;
use table::{Behaviour, Table, Test, Verdict};

/// The modules of Tornado's suite that have a table, and how many test methods they have.
pub(crate) const MODULES: &[(&str, usize)] = &[
    ("ioloop", 54),
    ("netutil", 7),
    ("iostream", 51),
    ("tcpserver", 8),
    ("process", 9),
    ("tcpclient", 30),
    ("httputil", 56),
    ("simple_httpclient", 46),
    ("http1connection", 1),
    ("httpserver", 70),
    ("web", 10),
];

/// Checks the tables and the tests that they name, and prints what is accounted for, and how.
pub(crate) fn run(root: &Path, allow_missing: bool, evidence: Evidence) -> Result<(), String> {
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let (tables, mut problems) = read_tables(MODULES, &read);
    let named: BTreeSet<Test> = tables.iter().flat_map(|(_, table)| tests_of(table)).collect();
    let outcomes = running::outcomes(root, &named, evidence)?;
    for (module, table) in &tables {
        for behaviour in &table.behaviours {
            let wrong = behaviour.tests.iter().filter_map(|test| outcomes.problem(test));
            problems.extend(wrong.map(|problem| format!("{}:{}: {problem}", path_of(module), behaviour.line)));
        }
    }
    print!("{}", report(&tables));
    let missing = tables.iter().map(|(_, table)| Count::of(table).missing).sum::<usize>();
    for problem in &problems {
        println!("parity: {problem}");
    }
    if !problems.is_empty() {
        return Err(format!("parity: {} problems", problems.len()));
    }
    if missing > 0 && !allow_missing {
        return Err(format!("parity: {missing} test methods of Tornado are not accounted for"));
    }
    let shown = if evidence == Evidence::Run { "ran and passed" } else { "are there, and none is ignored" };
    println!("parity: {} tests of ours {shown}", named.len());
    Ok(())
}

/// What is wrong with the text of the tables, a line each, beginning with the file; whether the tests that they name
/// pass is for `run` to say. `read` gives the text of a file of this repository.
pub(crate) fn problems<'a>(read: impl Fn(&str) -> Option<&'a str>) -> Vec<String> {
    read_tables(MODULES, &|path| read(path).map(str::to_owned)).1
}

type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

fn read_tables<'a>(modules: &[(&'a str, usize)], read: Read<'_>) -> (Vec<(&'a str, Table)>, Vec<String>) {
    let mut tables = Vec::new();
    let mut problems = Vec::new();
    for (module, count) in modules {
        let path = path_of(module);
        let Some(text) = read(&path) else {
            problems.push(format!("{path}: is missing"));
            continue;
        };
        match Table::parse(&text) {
            Ok(table) => {
                let found = counts(&table, *count).into_iter().chain(undocumented(&table, read));
                problems.extend(found.map(|problem| format!("{path}:{problem}")));
                tables.push((*module, table));
            }
            Err(found) => problems.extend(found.iter().map(|problem| format!("{path}:{problem}"))),
        }
    }
    (tables, problems)
}

fn path_of(module: &str) -> String {
    format!("tests/parity/{module}.toml")
}

/// Every class has as many methods as the table says, and the module as many as we know it to have.
fn counts(table: &Table, count: usize) -> Vec<String> {
    let mut problems = Vec::new();
    for (class, expected) in &table.classes {
        let found = table.behaviours.iter().filter(|behaviour| behaviour.class == *class).count();
        if found != *expected {
            problems.push(format!(" {class} has {expected} test methods, but {found} entries"));
        }
    }
    for behaviour in &table.behaviours {
        if !table.classes.iter().any(|(class, _)| *class == behaviour.class) {
            problems.push(format!("{}: [classes] doesn't count those of {}", behaviour.line, behaviour.class));
        }
    }
    let sum: usize = table.classes.iter().map(|(_, count)| count).sum();
    if sum != count {
        problems.push(format!(" [classes] counts {sum} test methods, the module has {count}"));
    }
    problems
}

/// What differs has a reason that can be looked up, and a line in the documentation.
fn undocumented(table: &Table, read: Read<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    for behaviour in &table.behaviours {
        let Verdict::Differs { reason, crate_dir, documented } = &behaviour.verdict else { continue };
        if !can_be_looked_up(reason) {
            problems
                .push(format!("{}: {behaviour} differs without an RFC's section or an issue's number", behaviour.line));
        }
        let path = format!("crates/{}/src/lib.rs", crate_dir.as_ref().unwrap_or(&table.crate_dir));
        let section = differences(&read(&path).unwrap_or_default());
        if !section.contains(&one_line(documented)) {
            let line = behaviour.line;
            problems.push(format!("{line}: {path} has no \"{documented}\" under \"Differences from Tornado\""));
        }
    }
    problems
}

/// "RFC 9112, section 6.1" or "issue 1860"
fn can_be_looked_up(reason: &str) -> bool {
    let number_after = |word: &str| {
        reason.match_indices(word).any(|(at, _)| reason[at + word.len()..].starts_with(|c: char| c.is_ascii_digit()))
    };
    number_after("issue ") || (number_after("RFC ") && number_after("section "))
}

/// The text of a crate's section "Differences from Tornado", in one line.
fn differences(lib: &str) -> String {
    let documentation = lib.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let section = documentation.skip_while(|line| *line != "# Differences from Tornado").skip(1);
    one_line(&section.take_while(|line| !line.starts_with("# ")).collect::<Vec<_>>().join(" "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn tests_of(table: &Table) -> impl Iterator<Item = Test> + '_ {
    table.behaviours.iter().flat_map(|behaviour| behaviour.tests.iter().cloned())
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    shown: usize,
    differs: usize,
    not_applicable: usize,
    missing: usize,
}

impl Count {
    fn of(table: &Table) -> Self {
        let mut count = Self::default();
        for behaviour in &table.behaviours {
            match behaviour.verdict {
                Verdict::Shown => count.shown += 1,
                Verdict::Differs { .. } => count.differs += 1,
                Verdict::NotApplicable => count.not_applicable += 1,
                Verdict::Missing(_) => count.missing += 1,
            }
        }
        count
    }
}

/// What is missing, then a row for each module.
fn report(tables: &[(&str, Table)]) -> String {
    let mut text = String::new();
    for (module, table) in tables {
        let missing = |behaviour: &Behaviour| match &behaviour.verdict {
            Verdict::Missing(what) => Some(format!("missing: {module}_test::{behaviour}: {what}\n")),
            _ => None,
        };
        text.extend(table.behaviours.iter().filter_map(missing));
    }
    let mut row = |name: &str, cells: [String; 6]| {
        let [methods, shown, differs, not_applicable, missing, tests] = cells;
        text.push_str(&format!(
            "{name:<18}{methods:>8}{shown:>8}{differs:>20}{not_applicable:>17}{missing:>10}{tests:>15}\n"
        ));
    };
    let titles = ["methods", "shown", "differs on purpose", "not applicable", "missing", "tests of ours"];
    row("module", titles.map(str::to_owned));
    for (module, table) in tables {
        let count = Count::of(table);
        let tests = tests_of(table).collect::<BTreeSet<_>>().len();
        let methods = table.behaviours.len();
        let numbers = [methods, count.shown, count.differs, count.not_applicable, count.missing, tests];
        row(module, numbers.map(|number| number.to_string()));
    }
    text
}

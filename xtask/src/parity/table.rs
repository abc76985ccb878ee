//! Reads one table of `tests/parity`.
//!
//! The tables are TOML, and this reads the part of TOML that they need: `[section]`, `key = "text"`, `key = number`,
//! `key = ["text", ..]` on one line or several, comments. Anything else is an error with its line, since what is skipped
//! unread would be a hole in the table.

use std::fmt;

/// What a table says of one module of Tornado's test suite.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// The crate (its directory) whose "Differences from Tornado" the entries mean.
    pub(crate) crate_dir: String,
    /// Test classes and how many methods each has.
    pub(crate) classes: Vec<(String, usize)>,
    pub(crate) behaviours: Vec<Behaviour>,
}

/// One test method of Tornado's suite and what became of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Behaviour {
    pub(crate) class: String,
    pub(crate) method: String,
    /// The line of its `[Class.method]`.
    pub(crate) line: usize,
    /// Those that show it; where it differs or has no meaning, those that show what happens instead.
    pub(crate) tests: Vec<Test>,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Shown,
    Differs {
        reason: String,
        /// The crate that documents it, if it isn't the table's.
        crate_dir: Option<String>,
        /// Words of the line below "Differences from Tornado".
        documented: String,
    },
    NotApplicable,
    Missing(String),
}

/// A test function of ours, written `crate/target::path`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    /// A directory of `crates`, or `workbench` for the root.
    pub(crate) crate_dir: String,
    /// A file of `tests`, or `lib` for the unit tests.
    pub(crate) target: String,
    /// As the test binary prints it.
    pub(crate) path: String,
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.class, self.method)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}::{}", self.crate_dir, self.target, self.path)
    }
}

impl Table {
    /// The problems are lines that begin with the number of the line in question.
    pub(crate) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut table = Self::default();
        let mut problems = Vec::new();
        for section in sections(text).map_err(|problem| vec![problem])? {
            let line = section.line;
            if let Err(problem) = table.section(section) {
                problems.push(format!("{line}: {problem}"));
            }
        }
        if problems.is_empty() { Ok(table) } else { Err(problems) }
    }

    fn section(&mut self, section: Section) -> Result<(), String> {
        match section.name.split_once('.') {
            None if section.name.is_empty() => {
                let mut entries = section.entries;
                self.crate_dir = text_of(&mut entries, "crate")?.ok_or("no `crate = \"..\"` at the top")?;
                nothing_else(&entries)
            }
            None if section.name == "classes" => {
                for (class, value) in section.entries {
                    let Value::Number(count) = value else { return Err(format!("`{class}` is not a number")) };
                    self.classes.push((class, count));
                }
                Ok(())
            }
            None => Err(format!("[{}] is neither [classes] nor a [Class.method]", section.name)),
            Some((class, method)) => {
                let known = self.behaviours.iter().find(|known| known.class == class && known.method == method);
                if let Some(known) = known {
                    return Err(format!("{} stands already at line {}", section.name, known.line));
                }
                let behaviour = Behaviour::from(class, method, section.line, section.entries);
                self.behaviours.push(behaviour.map_err(|problem| format!("{}: {problem}", section.name))?);
                Ok(())
            }
        }
    }
}

impl Behaviour {
    fn from(class: &str, method: &str, line: usize, mut entries: Vec<(String, Value)>) -> Result<Self, String> {
        text_of(&mut entries, "summary")?.ok_or("no summary")?;
        let shown = take(&mut entries, "shown");
        let tests = match &shown {
            None => Vec::new(),
            Some(Value::List(names)) if !names.is_empty() => tests(names)?,
            Some(_) => return Err("`shown` is not a list of tests".to_owned()),
        };
        let differs = text_of(&mut entries, "differs")?;
        let not_applicable = text_of(&mut entries, "not_applicable")?;
        let missing = text_of(&mut entries, "missing")?;
        let verdict = match (differs, not_applicable, missing) {
            (None, None, None) if shown.is_some() => Verdict::Shown,
            (Some(reason), None, None) => Verdict::Differs {
                reason,
                crate_dir: text_of(&mut entries, "crate")?,
                documented: text_of(&mut entries, "documented")?.ok_or("`differs` without `documented`")?,
            },
            (None, Some(_), None) => Verdict::NotApplicable,
            (None, None, Some(what)) if shown.is_none() => Verdict::Missing(what),
            (None, None, None) => {
                return Err("none of `shown`, `differs`, `not_applicable`, `missing`".to_owned());
            }
            _ => return Err("more than one of `shown`, `differs`, `not_applicable`, `missing`".to_owned()),
        };
        nothing_else(&entries)?;
        Ok(Self { class: class.to_owned(), method: method.to_owned(), line, tests, verdict })
    }
}

/// The tests that these names mean; `a::{b, c}` means `a::b` and `a::c`.
fn tests(names: &[String]) -> Result<Vec<Test>, String> {
    let mut tests = Vec::new();
    for name in names {
        let (front, last) = match name.split_once('{') {
            None => ("", vec![name.as_str()]),
            Some((front, rest)) => {
                let inner = rest.strip_suffix('}').ok_or_else(|| format!("`{name}`: the brace is not closed"))?;
                (front, inner.split(',').map(str::trim).collect())
            }
        };
        for last in last {
            let test = Test::parse(&format!("{front}{last}")).ok_or_else(|| {
                format!("`{name}` is not of the form crate/target::path, or crate/target::path::{{one, other}}")
            })?;
            if tests.contains(&test) {
                return Err(format!("names `{test}` twice"));
            }
            tests.push(test);
        }
    }
    Ok(tests)
}

impl Test {
    fn parse(name: &str) -> Option<Self> {
        let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let (crate_dir, rest) = name.split_once('/')?;
        let (target, path) = rest.split_once("::")?;
        let fine = word(crate_dir) && word(target) && path.split("::").all(word);
        fine.then(|| Self { crate_dir: crate_dir.to_owned(), target: target.to_owned(), path: path.to_owned() })
    }
}

#[derive(Debug)]
enum Value {
    Text(String),
    Number(usize),
    List(Vec<String>),
}

/// A `[name]` and what follows it; the first one has no name.
#[derive(Default)]
struct Section {
    name: String,
    line: usize,
    entries: Vec<(String, Value)>,
}

fn sections(text: &str) -> Result<Vec<Section>, String> {
    let mut sections = vec![Section { line: 1, ..Section::default() }];
    let mut lines = text.lines().map(|line| without_comment(line).trim()).zip(1..);
    while let Some((line, number)) = lines.next() {
        let wrong = |what: &str| format!("{number}: {what}: {line}");
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(|| wrong("`]` is missing"))?;
            sections.push(Section { name: name.to_owned(), line: number, entries: Vec::new() });
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(|| wrong("neither `[section]` nor `key = value`"))?;
        let mut value = value.trim().to_owned();
        while value.starts_with('[') && !value.ends_with(']') {
            let (more, _) = lines.next().ok_or_else(|| wrong("the list does not end"))?;
            value.push_str(more);
        }
        let value = parse_value(&value).ok_or_else(|| wrong("not a text, a number or a list of texts"))?;
        let section = sections.last_mut().expect("there is the first one");
        let key = key.trim().to_owned();
        if section.entries.iter().any(|(known, _)| *known == key) {
            return Err(wrong("stands there already"));
        }
        section.entries.push((key, value));
    }
    Ok(sections)
}

fn parse_value(value: &str) -> Option<Value> {
    if let Some(list) = value.strip_prefix('[') {
        return parse_list(list.strip_suffix(']')?.trim()).map(Value::List);
    }
    if let Some(text) = value.strip_prefix('"') {
        // No escapes: no text needs them, and one way to write a thing is enough.
        let text = text.strip_suffix('"')?;
        return (!text.contains(['"', '\\'])).then(|| Value::Text(text.to_owned()));
    }
    value.parse().ok().map(Value::Number)
}

/// Texts with commas between them, and perhaps one at the end.
fn parse_list(mut rest: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let (text, after) = rest.strip_prefix('"')?.split_once('"')?;
        texts.push(text.to_owned());
        rest = match after.trim_start() {
            "" => "",
            after => after.strip_prefix(',')?.trim_start(),
        };
    }
    Some(texts)
}

fn without_comment(line: &str) -> &str {
    let mut in_text = false;
    let comment = line.char_indices().find(|(_, character)| {
        in_text ^= *character == '"';
        *character == '#' && !in_text
    });
    comment.map_or(line, |(at, _)| &line[..at])
}

fn take(entries: &mut Vec<(String, Value)>, key: &str) -> Option<Value> {
    let at = entries.iter().position(|(known, _)| known == key)?;
    Some(entries.remove(at).1)
}

fn text_of(entries: &mut Vec<(String, Value)>, key: &str) -> Result<Option<String>, String> {
    match take(entries, key) {
        None => Ok(None),
        Some(Value::Text(text)) if !text.trim().is_empty() => Ok(Some(text)),
        Some(_) => Err(format!("`{key}` is not a text, or an empty one")),
    }
}

fn nothing_else(entries: &[(String, Value)]) -> Result<(), String> {
    match entries.first() {
        None => Ok(()),
        Some((key, _)) => Err(format!("`{key}` means nothing here")),
    }
}

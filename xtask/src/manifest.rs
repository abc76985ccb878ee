//! Reads what the chores need out of a `Cargo.toml`: names, dependencies, features.
//!
//! This is not a TOML parser. It knows the forms that this repository writes: sections, `key = value` with the value on
//! one line or an array over several, dotted keys, inline tables. Anything else it would rather miss than guess, and
//! `tidy` compares what it read with ARCHITECTURE.md in both directions, so that a miss is noticed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The parts of one manifest.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Manifest {
    /// The directory below `crates/`; for the root and `xtask` whatever the caller gave.
    pub(crate) dir: String,
    pub(crate) name: String,
    pub(crate) description: String,
    /// `[lints] workspace = true`
    pub(crate) workspace_lints: bool,
    /// `[dependencies]` of every target and `[build-dependencies]`, but not `[dev-dependencies]`.
    pub(crate) dependencies: Vec<Dependency>,
    /// Name and what it enables, in the order of the file.
    pub(crate) features: Vec<(String, Vec<String>)>,
}

/// One entry of a dependency section.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dependency {
    /// The package's name, also where the manifest renames it.
    pub(crate) package: String,
    pub(crate) optional: bool,
}

/// The manifests of `crates/*`, sorted by directory.
pub(crate) fn crates(root: &Path) -> Result<Vec<Manifest>, String> {
    let directory = root.join("crates");
    let entries = fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut manifests = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let Ok(text) = fs::read_to_string(path.join("Cargo.toml")) else { continue };
        let dir = path.file_name().unwrap_or_default().to_string_lossy();
        manifests.push(Manifest::parse(&dir, &text));
    }
    manifests.sort_by(|a, b| a.dir.cmp(&b.dir));
    Ok(manifests)
}

impl Manifest {
    pub(crate) fn parse(dir: &str, text: &str) -> Self {
        let mut manifest = Self { dir: dir.to_owned(), ..Self::default() };
        let mut section = String::new();
        let mut lines = text.lines().map(without_comment);
        while let Some(line) = lines.next() {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').trim().to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                let mut value = value.trim().to_owned();
                while value.starts_with('[') && !value.ends_with(']') {
                    let Some(more) = lines.next() else { break };
                    value.push_str(more.trim());
                }
                manifest.entry(&section, key.trim(), &value);
            }
        }
        manifest.add_implicit_features();
        manifest
    }

    /// The sets of features a package has to work with: none, each alone, all. Sets that come to the same are left out.
    pub(crate) fn feature_sets(&self) -> Vec<FeatureSet> {
        let names: Vec<&str> =
            self.features.iter().map(|(name, _)| name.as_str()).filter(|n| *n != "default").collect();
        let mut sets = vec![FeatureSet::None];
        let mut seen = vec![BTreeSet::new()];
        let singles = names.iter().map(|name| (self.enabled(&[name]), FeatureSet::One((*name).to_owned())));
        for (enabled, set) in singles.chain([(self.enabled(&names), FeatureSet::All)]) {
            if !seen.contains(&enabled) {
                seen.push(enabled);
                sets.push(set);
            }
        }
        sets
    }

    fn entry(&mut self, section: &str, key: &str, value: &str) {
        let (head, tail) = key.split_once('.').unwrap_or((key, ""));
        let last = section.rsplit('.').next().unwrap_or_default();
        match section {
            "package" if key == "name" => self.name = unquote(value),
            "package" if key == "description" => self.description = unquote(value),
            "lints" if key == "workspace" => self.workspace_lints = value == "true",
            "features" => self.features.push((unquote(key), strings(value))),
            _ if is_dependencies(section) => {
                let dependency = self.dependency(&unquote(head));
                dependency.optional |= value.contains("optional = true") || (tail == "optional" && value == "true");
                if let Some((_, package)) = value.split_once("package = \"") {
                    dependency.package = package.split('"').next().unwrap_or_default().to_owned();
                }
            }
            // [dependencies.NAME]
            _ if section.rsplit_once('.').is_some_and(|(outer, _)| is_dependencies(outer)) => {
                let dependency = self.dependency(&unquote(last));
                dependency.optional |= key == "optional" && value == "true";
            }
            _ => {}
        }
    }

    fn dependency(&mut self, name: &str) -> &mut Dependency {
        let at = self.dependencies.iter().position(|known| known.package == name).unwrap_or_else(|| {
            self.dependencies.push(Dependency { package: name.to_owned(), optional: false });
            self.dependencies.len() - 1
        });
        &mut self.dependencies[at]
    }

    /// An optional dependency is a feature by itself unless some feature names it as `dep:NAME`.
    fn add_implicit_features(&mut self) {
        for dependency in self.dependencies.iter().filter(|dependency| dependency.optional) {
            let explicit = format!("dep:{}", dependency.package);
            if !self.features.iter().any(|(_, enables)| enables.contains(&explicit)) {
                self.features.push((dependency.package.clone(), Vec::new()));
            }
        }
    }

    /// The package's own features that are on when these are asked for.
    fn enabled(&self, asked: &[&str]) -> BTreeSet<String> {
        let mut open: Vec<&str> = asked.to_vec();
        let mut enabled = BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some((_, enables)) = self.features.iter().find(|(known, _)| known == name) else { continue };
            if enabled.insert(name.to_owned()) {
                open.extend(enables.iter().map(String::as_str));
            }
        }
        enabled
    }
}

/// What to build a package with.
#[derive(Debug, PartialEq)]
pub(crate) enum FeatureSet {
    None,
    One(String),
    All,
}

impl FeatureSet {
    /// The flags for cargo.
    pub(crate) fn flags(&self) -> Vec<String> {
        match self {
            Self::None => vec!["--no-default-features".to_owned()],
            Self::One(name) => vec!["--no-default-features".to_owned(), "--features".to_owned(), name.clone()],
            Self::All => vec!["--all-features".to_owned()],
        }
    }
}

/// Not `[workspace.dependencies]`, which only says what others may inherit.
fn is_dependencies(section: &str) -> bool {
    let kind = match section.strip_prefix("target.") {
        Some(target) => target.rsplit('.').next().unwrap_or_default(),
        None => section,
    };
    kind == "dependencies" || kind == "build-dependencies"
}

fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' => in_string = !in_string,
            '#' if !in_string => return &line[..at],
            _ => {}
        }
    }
    line
}

fn unquote(value: &str) -> String {
    value.trim().trim_matches('"').to_owned()
}

/// The strings of an array.
fn strings(array: &str) -> Vec<String> {
    array.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [package]
        name = "landspout-netutil" # not "x"
        description = "Sockets #1"
        version.workspace = true

        [features]
        default = []
        ioloop = ["dep:landspout-ioloop", "dep:mio"]
        both = [
            "ioloop", # the loop
            "regex",
        ]

        [dependencies]
        landspout-ioloop = { workspace = true, optional = true }
        mio = { workspace = true, optional = true }
        regex = { workspace = true, optional = true }
        renamed = { version = "1", package = "real" }
        socket2.workspace = true

        [target.'cfg(unix)'.dependencies]
        nix = "0.31"

        [dependencies.slab]
        version = "0.4"
        optional = true

        [dev-dependencies]
        bytes.workspace = true

        [workspace.dependencies]
        itoa = "1.0"

        [lints]
        workspace = true
    "#;

    #[test]
    fn reads_every_form() {
        let manifest = Manifest::parse("netutil", TEXT);
        assert_eq!(manifest.name, "landspout-netutil");
        assert_eq!(manifest.description, "Sockets #1");
        assert!(manifest.workspace_lints);
        let packages: Vec<(&str, bool)> =
            manifest.dependencies.iter().map(|dependency| (dependency.package.as_str(), dependency.optional)).collect();
        let expected = [
            ("landspout-ioloop", true),
            ("mio", true),
            ("regex", true),
            ("real", false),
            ("socket2", false),
            ("nix", false),
            ("slab", true),
        ];
        assert_eq!(packages, expected);
    }

    #[test]
    fn feature_sets_leave_out_what_comes_to_the_same() {
        let sets = Manifest::parse("netutil", TEXT).feature_sets();
        let one = |name: &str| FeatureSet::One(name.to_owned());
        assert_eq!(sets, [FeatureSet::None, one("ioloop"), one("both"), one("regex"), one("slab"), FeatureSet::All]);

        let single = Manifest::parse("x", "[features]\ndefault = [\"a\"]\na = []\n");
        assert_eq!(single.feature_sets(), [FeatureSet::None, one("a")]);
        assert_eq!(Manifest::parse("x", "[package]\nname = \"x\"\n").feature_sets(), [FeatureSet::None]);
    }
}

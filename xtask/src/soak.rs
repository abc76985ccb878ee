//! `cargo xtask soak`: what takes too long for every commit, with the release profile: many random sequences of calls on
//! streams against a model, and a gibibyte each way through every transport at constant memory.

use std::path::Path;

use crate::ci;

/// Of random calls, over each transport.
const SEQUENCES: &str = "50000";
/// A part's name, and its cargo command.
const PARTS: [(&str, &[&str]); 2] = [
    ("sequences", &["test", "--test", "random", "--features", FEATURES]),
    ("transfer", &["run", "--example", "transfer", "--features", FEATURES]),
];
const FEATURES: &str = "tls-ring,regex";

/// Runs the parts that are named, or all when none is.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| !PARTS.iter().any(|(part, _)| part == *name)) {
        return Err(format!("no part {unknown:?}: there are sequences and transfer"));
    }
    for (name, arguments) in PARTS.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        println!("soak: {name}");
        let (chore, rest) = arguments.split_first().expect("a part is a command");
        let mut command = ci::cargo(root);
        command.args([chore, "--release", "--locked", "-p", "landspout-iostream"]).args(rest);
        command.env("LANDSPOUT_SEQUENCES", SEQUENCES);
        ci::succeed(&mut command).map_err(|problem| format!("soak {name}: {problem}"))?;
    }
    Ok(())
}

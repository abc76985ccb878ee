//! `cargo xtask fuzz`: bytes that nobody wrote, many of them, with the release profile. The codec alone, whose events may not
//! depend on how its input is cut, and which has to read what it writes; and the codec beside other readers, hyper's server
//! and Python's h11, which may refuse what it takes but not frame it otherwise.
//!
//! Rules: seeds are fixed, so that what was found is found again; each part is a test that CI runs with fewer rounds, but for
//! h11, which is installed into an environment of its own in the target directory.

use std::path::Path;
use std::process::Command;

use crate::{ci, examples, interop};

/// The parts, and how many inputs each gets.
const PARTS: [(&str, u32); 4] = [("cuts", 2_000_000), ("round-trips", 200_000), ("hyper", 1_000_000), ("h11", 200_000)];

/// What pip installs.
const H11: &str = "h11>=0.16,<0.17";

/// Runs the parts that are named, or all when none is.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| !PARTS.iter().any(|(part, _)| part == *name)) {
        return Err(format!("no part {unknown:?}: there are cuts, round-trips, hyper and h11"));
    }
    for (name, rounds) in PARTS.iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        println!("fuzz: {name}, {rounds} inputs");
        match *name {
            "cuts" => test(root, &["-p", "landspout-http1", "--test", "decoder", "random"], *rounds, None),
            "round-trips" => test(root, &["-p", "landspout-http1", "--test", "round_trips"], *rounds, None),
            "hyper" => {
                test(root, &["-p", "landspout-workbench", "--test", "conformance", "differential"], *rounds, None)
            }
            _ => h11(root, *rounds),
        }
        .map_err(|problem| format!("fuzz {name}: {problem}"))?;
    }
    Ok(())
}

fn test(root: &Path, arguments: &[&str], rounds: u32, frames: Option<&Path>) -> Result<(), String> {
    let mut command = ci::cargo(root);
    command.args(["test", "--release", "--locked"]).args(arguments).args(["--", "--nocapture"]);
    command.env("LANDSPOUT_ROUNDS", rounds.to_string());
    if let Some(path) = frames {
        command.env("LANDSPOUT_FRAMES", path);
    }
    ci::succeed(&mut command)
}

/// What the test of hyper writes down is compared with what h11 makes of it.
fn h11(root: &Path, rounds: u32) -> Result<(), String> {
    interop::install_missing(&[("python3", &["python3", "python3-venv"])])?;
    let work = examples::built_examples()?.join("../../fuzz");
    std::fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    let frames = work.join("frames");
    test(root, &["-p", "landspout-workbench", "--test", "conformance", "differential"], rounds, Some(&frames))?;
    let python = interop::environment(&work.join("venv"), &[H11])?;
    ci::succeed(Command::new(python).arg("-B").arg(root.join("tests/conformance/h11_frames.py")).arg(frames))
}

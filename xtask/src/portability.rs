//! `cargo xtask portability`: the library compiles with the oldest compiler that it promises, and for macOS. Neither is run;
//! rustup installs what is missing.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::ci;
use crate::manifest;

/// What ends the name of a feature that brings cryptography along, whose C code wants a compiler for the other system.
const CRYPTOGRAPHY: [&str; 2] = ["-aws-lc", "-ring"];
const FACADE: &str = "landspout";
const MACOS: &str = "x86_64-apple-darwin";

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let oldest = oldest_compiler(root)?;
    rustup(&["toolchain", "install", &oldest, "--profile", "minimal"])?;
    check(root, &oldest, &["check", "--features", "tls-ring"])?;
    // For the compiler that is in use.
    let current = env::var("RUSTUP_TOOLCHAIN").map_err(|_| "cargo was not started by rustup")?;
    rustup(&["target", "add", MACOS, "--toolchain", &current])?;
    check(root, &current, &["check", "--target", MACOS])
}

/// The `rust-version` of the workspace.
fn oldest_compiler(root: &Path) -> Result<String, String> {
    let path = root.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let version = text.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    Ok(version.ok_or_else(|| format!("{} has no rust-version", path.display()))?.to_owned())
}

fn rustup(arguments: &[&str]) -> Result<(), String> {
    ci::succeed(Command::new("rustup").args(arguments))
}

/// All features of the facade but those that bring cryptography along.
fn features(root: &Path) -> Result<String, String> {
    let facade = manifest::crates(root)?.into_iter().find(|manifest| manifest.name == FACADE);
    let facade = facade.ok_or_else(|| format!("there is no package {FACADE}"))?;
    let names = facade.features.iter().map(|(name, _)| name.as_str());
    let names: Vec<&str> =
        names.filter(|name| *name != "default" && !CRYPTOGRAPHY.iter().any(|end| name.ends_with(end))).collect();
    Ok(names.join(","))
}

/// In a directory of its own for each compiler, so that they don't build for each other anew.
fn check(root: &Path, toolchain: &str, arguments: &[&str]) -> Result<(), String> {
    println!("portability: {} with {toolchain}", arguments.join(" "));
    let mut command = Command::new("rustup");
    command.current_dir(root).args(["run", toolchain, "cargo"]).args(arguments);
    command.args(["--locked", "-p", FACADE, "--features", &features(root)?]);
    command.env("CARGO_TARGET_DIR", root.join("target/portability").join(toolchain)).env("RUSTFLAGS", "-D warnings");
    // Those of the compiler that runs this.
    command.env_remove("CARGO").env_remove("RUSTC");
    ci::succeed(&mut command)
}

//! The programs themselves: how soon they answer, how large they are, and how many packages are in them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::load::{self, machine, word};
use super::samples::{Machine, Measured};
use super::{Bench, told};
use crate::ci;
use crate::peers::{self, Peer};

/// Milliseconds from the start of the program to its first answer; the second figure is its CPU time until then.
pub(super) fn startup(bench: &Bench<'_>, peer: &Peer) -> Result<Measured, String> {
    let program = peers::program(bench.root, peer);
    let (line, _) = load::call(bench, &["startup", "--", &program.to_string_lossy(), "--port", "0"])?;
    let milliseconds = |key| word(&line, key).map(|nanoseconds| nanoseconds / 1e6);
    let (value, rate) = (milliseconds("startup_ns")?, Some(milliseconds("startup_cpu_ns")?));
    // The server's time is not among the load's, so what others do can't be told from it.
    let machine = Machine { other_load: 0.0, ..machine(&line)? };
    Ok(Measured { value, rate, machine: Some(machine), ..Measured::default() })
}

/// KiB of the program without symbols.
pub(super) fn size(bench: &Bench<'_>, peer: &Peer) -> Result<Measured, String> {
    let stripped = bench.results.join("stripped");
    let mut command = Command::new("strip");
    command.arg("-o").arg(&stripped).arg(peers::program(bench.root, peer));
    ci::succeed(&mut command)?;
    let length = fs::metadata(&stripped).map_err(|error| format!("{}: {error}", stripped.display()))?.len();
    Ok(Measured { value: length as f64 / 1024.0, ..Measured::default() })
}

/// What all peers have besides, in `benches/peers`.
const SUPPORT: &str = "peer-support";
/// How the names of our own packages begin.
const OURS: &str = "landspout-";

/// How many packages are in the program, without itself and what all peers have besides; the second figure counts those of
/// others alone, as the README's table does.
pub(super) fn packages(bench: &Bench<'_>, peer: &Peer) -> Result<Measured, String> {
    let (package, features) = peer.package().ok_or("it is built from no package")?;
    let manifest = bench.root.join("benches/peers").join(package).join("Cargo.toml");
    let (cargo, manifest) = (std::env::var("CARGO").unwrap_or("cargo".into()), manifest.to_string_lossy());
    let mut arguments = vec!["tree", "--locked", "--edges", "normal", "--no-dedupe", "--prefix", "depth"];
    arguments.extend(["--features", features, "--manifest-path", &manifest]);
    let names = packages_in(&told(bench.root, &cargo, &arguments)?)?;
    let of_others = names.iter().filter(|name| !name.starts_with(OURS)).count();
    Ok(Measured { value: names.len() as f64, rate: Some(of_others as f64), ..Measured::default() })
}

/// "name version" of each package in what `cargo tree` prints with depths, without the first and without the tree of
/// [`SUPPORT`].
fn packages_in(tree: &str) -> Result<BTreeSet<String>, String> {
    let mut names = BTreeSet::new();
    // The depth of what is left out, with all that is deeper.
    let mut left_out = None;
    for line in tree.lines() {
        let digits = line.chars().take_while(char::is_ascii_digit).count();
        let (depth, package) = line.split_at(digits);
        let depth: usize = depth.parse().map_err(|_| format!("cargo tree printed {line:?}"))?;
        if left_out.is_some_and(|top| depth > top) {
            continue;
        }
        left_out = (package.split(' ').next() == Some(SUPPORT)).then_some(depth);
        if depth > 0 && left_out.is_none() {
            names.insert(package.split(' ').take(2).collect::<Vec<_>>().join(" "));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_what_all_have_is_left_out() {
        let tree = "0peer-x v0.0.0 (/x)\n1hyper v1.2.3\n2bytes v1.0.0\n1peer-support v0.0.0 (/y)\n2socket2 v0.6.0\n3libc v0.2.1\n\
                    1tokio v1.0.0\n2bytes v1.0.0\n2libc v0.2.1\n";
        let names: Vec<String> = packages_in(tree).unwrap().into_iter().collect();
        assert_eq!(names, ["bytes v1.0.0", "hyper v1.2.3", "libc v0.2.1", "tokio v1.0.0"]);
        assert!(packages_in("hyper v1.2.3").is_err());
    }
}

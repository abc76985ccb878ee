//! The chores of this repository, in plain Rust without dependencies. `cargo xtask --help` lists them.
//!
//! Rules: every chore works from any directory of the repository, reads nothing from stdin, prints what it does, and
//! ends with an exit status other than 0 and one clear line when something is wrong.
#![forbid(unsafe_code)]

mod ci;
mod compare;
mod count;
mod examples;
mod fuzz;
mod interop;
mod manifest;
mod packages;
mod parity;
mod peers;
mod portability;
mod soak;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use parity::Evidence;

const HELP: &str = "\
usage: cargo xtask CHORE

  ci               everything that must pass before a commit: fmt, tidy, clippy, tests, each package by itself with
                   no, each and all features, parity, docs, examples; stops at the first failure
  ci --list        print these commands without running them
  tidy             check the invariants of ARCHITECTURE.md and of this repository's shape
  parity           account for every test method of Tornado's suite that tests/parity lists, by running our tests that
                   show the same; fails while some are missing
  parity --allow-missing   only prints those
  packages         compare the README's numbers of dependencies with what cargo tree shows
  count            instructions a request, by callgrind; fails when there are 3 % more than recorded
  portability      compile with the oldest compiler and for macOS; rustup installs both
  examples         build all examples, start each, use it once, stop it
  examples NAME..  the same for some of them
  interop          our streams and servers against openssl, curl, Python, Tornado, nginx, HAProxy; installs what is
                   missing of them
  interop WORD..   the cases whose name has one of these words
  peers            build the servers that landspout is compared with (it installs nginx and Tornado), start each, show
                   that it keeps the contract of benches/README.md
  peers NAME..     the same for some of them
  compare          the CPU time of a request here and at our peers, in tables: every case, all peers; hours of work
    --case C         one of the cases in xtask/src/compare/cases.rs, or a family of them; may be repeated
    --wrk            the cases that wrk asks
    --peer P         one of the peers in xtask/src/peers.rs; may be repeated
    --rounds N       samples of each peer (9)
    --seconds S      of a sample (1)
    --exclusive      server and load get real-time priority, for a machine that does other things, too
    --append         keep the samples that there are of these cases
    --plot           charts, in benches/charts
    --write          benches/RESULTS.md and charts
  compare report   tables, charts and results from the samples that there are, with the same flags
  fuzz             millions of random inputs: the codec, and beside hyper and Python's h11 (which it installs)
  fuzz PART..      cuts, round-trips, hyper or h11 alone
  soak             50,000 random sequences of calls and a gibibyte each way, over every transport; minutes of work
  soak PART..      sequences or transfer alone
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root of the repository");
    let outcome = match arguments.as_slice() {
        ["ci"] => ci::run(root),
        ["ci", "--list"] => ci::list(root),
        ["tidy"] => tidy::run(root),
        ["packages"] => packages::run(root),
        ["parity"] => parity::run(root, false, Evidence::Run),
        ["parity", "--allow-missing"] => parity::run(root, true, Evidence::Run),
        ["examples", names @ ..] => examples::run(root, names),
        ["interop", words @ ..] => interop::run(root, words),
        ["peers", names @ ..] => peers::run(root, names),
        ["count"] => count::run(root),
        ["portability"] => portability::run(root),
        ["compare", words @ ..] => compare::run(root, words),
        ["fuzz", parts @ ..] => fuzz::run(root, parts),
        ["soak", parts @ ..] => soak::run(root, parts),
        ["--help" | "-h" | "help"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("unknown chore\n\n{HELP}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

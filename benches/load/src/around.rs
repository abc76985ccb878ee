//! Another program as the load, as wrk: it is pinned like ours, and what the server spends is taken from its start to its end.
//! It counts for itself.

use std::process::{Command, Stdio};

use crate::Error;
use crate::options::Options;
use crate::window::{Totals, Window};

/// What it prints goes to stderr, for whoever started us to read.
pub(crate) fn run(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let (program, arguments) = options.command.split_first().ok_or("around: a command after -- is missing")?;
    window.begin()?;
    // Affinity is inherited.
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    window.end(&Totals::default())?;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(Totals::default()) } else { Err(format!("{program}: {}", output.status).into()) }
}

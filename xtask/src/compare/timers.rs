//! Timers: the example of `ioloop` that arms and cancels them, on a CPU of its own.

use super::samples::Measured;
use super::{Bench, SERVER_CPU, told};
use crate::ci;
use crate::peers::Peer;

/// Nanoseconds to arm and cancel a timer beside a million; the second figure is that beside none.
pub(super) fn sample(bench: &Bench<'_>, _ours: &Peer) -> Result<Measured, String> {
    let mut build = ci::cargo(bench.root);
    build.args(["build", "--release", "--locked", "--quiet", "-p", "landspout-ioloop", "--example", "timers"]);
    ci::succeed(&mut build)?;
    let output = told(bench.root, "taskset", &["-c", SERVER_CPU, "target/release/examples/timers"])?;
    let beside =
        |armed: &str| cost(&output, armed).ok_or_else(|| format!("timers printed no cost beside {armed}:\n{output}"));
    Ok(Measured { value: beside("1000000")?, rate: Some(beside("0")?), ..Measured::default() })
}

/// The first cost that the example prints for a number of armed timers: among those of an hour.
fn cost(output: &str, armed: &str) -> Option<f64> {
    let mut lines = output.lines().map(|line| line.split_whitespace());
    lines.find_map(|mut words| words.next().filter(|word| *word == armed).and_then(|_| words.next()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_costs_are_found() {
        let output = "    armed  ns to arm and cancel a timer\n        0   30.1  among timers of an hour\n        0   31.0  each\n\
                      \u{20} 1000000   33.5  among timers of an hour\n";
        assert_eq!((cost(output, "0"), cost(output, "1000000"), cost(output, "1000")), (Some(30.1), Some(33.5), None));
    }
}

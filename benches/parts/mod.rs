//! What the benches of the parts share: how long they measure.
//!
//! Rules: a bench measures from outside, through public items alone; what is made before is made outside of the measured
//! time; the kernel is no part of it unless the bench's name says so.

use std::time::Duration;

use criterion::Criterion;

/// What a load generator sends.
/// Runs some benches as the command line asks for. Short: who compares takes instruction counts and `cargo xtask compare`.
pub(crate) fn run(benches: &[fn(&mut Criterion)]) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for bench in benches {
        bench(&mut criterion);
    }
    criterion.final_summary();
}

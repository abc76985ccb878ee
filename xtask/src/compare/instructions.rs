//! Instructions of user code that a peer spends on a request, counted as `cargo xtask count` does for our example.

use super::Bench;
use super::samples::Measured;
use crate::count;
use crate::peers::{Peer, Started};

/// `batch` requests are sent at a time.
pub(super) fn sample(bench: &Bench<'_>, peer: &Peer, batch: usize) -> Result<Measured, String> {
    let start = |prefix: &[&str]| {
        let Started { running, address } = bench.start(peer, prefix)?;
        Ok((running, address))
    };
    Ok(Measured { value: count::per_request(count::SHORT, batch, start)?, ..Measured::default() })
}

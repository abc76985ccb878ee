//! Instructions of user code that a peer spends on a request, counted as `cargo xtask count` does for ours.

use super::Bench;
use super::samples::Measured;
use crate::count;
use crate::peers::Peer;

/// `batch` requests are sent at a time.
pub(super) fn sample(bench: &Bench<'_>, peer: &Peer, batch: usize) -> Result<Measured, String> {
    Ok(Measured { value: count::per_request(bench.root, peer, batch)?, ..Measured::default() })
}

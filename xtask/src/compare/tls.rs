//! Requests over TLS 1.3, with a certificate on P-256.

use super::Bench;
use super::load::{self, Per};
use super::samples::Measured;
use crate::peers::{self, Peer};

/// `kind` is the generator's: on connections that stay, with a full handshake each, or with a resumed one.
pub(super) fn sample(bench: &Bench<'_>, peer: &Peer, kind: &str) -> Result<Measured, String> {
    let (certfile, keyfile) = peers::certificate(bench.root)?;
    let certificate = Some((certfile.as_path(), keyfile.as_path()));
    let options = peers::Options { prefix: &bench.prefix(), certificate, ..peers::Options::default() };
    let started = bench.start_as(peer, options)?;
    let measured = load::timed(bench, &started, &[kind], Per::Request)?;
    started.running.terminate()?;
    Ok(measured)
}

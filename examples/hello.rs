//! Placeholder until the HTTP server runs.
fn main() {}

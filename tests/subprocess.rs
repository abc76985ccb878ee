//! The example `subprocess`, ended from outside while a child of its is stuck.

mod support;

use support::{Example, is_running};

#[test]
fn a_signal_ends_it_in_order_and_its_children_with_it() {
    let example = Example::start_program("subprocess", &["--deadline", "600000"]);
    let child = example.wait_for("the process that gets no input", |output| {
        output.lines().find_map(|line| line.strip_prefix("\"cat\" is process ")).and_then(|pid| pid.parse().ok())
    });
    assert!(is_running(child));
    // The child has its stderr: were it left behind, this would wait for it.
    example.terminate();
}

#[test]
fn it_ends_by_itself_with_status_0() {
    let example = Example::start_program("subprocess", &["--deadline", "500"]);
    let status = example.wait_for_end();
    assert!(status.success(), "{status}");
}

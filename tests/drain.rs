//! The example `drain` as whoever deploys it sees it: what becomes of each kind of connection when it is asked to end.

mod support;

use support::client::{Client, get};
use support::{Example, send_signal};

/// Waits until it has printed this, at the end of a line.
fn said(example: &Example, what: &str) {
    example.wait_for(what, |output| output.lines().any(|line| line.ends_with(what)).then_some(()));
}

/// A connection with half a request.
fn half_a_request(example: &Example, target: &str) -> Client {
    let mut client = Client::connect(example.address());
    client.send(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo").as_bytes());
    said(example, &format!("POST {target} is under way"));
    client
}

#[test]
fn what_is_under_way_is_finished_and_what_is_idle_is_closed() {
    let example = Example::start("drain", &[]);
    let mut idle = Client::connect(example.address());
    assert_eq!(idle.ask(&get("/")).status, 200);
    let mut busy = half_a_request(&example, "/busy");
    send_signal("TERM", example.pid());
    said(&example, "draining");
    idle.expect_end();
    assert!(Client::try_connect(example.address()).is_err(), "it accepts no more");
    busy.send(b"dy");
    let answer = busy.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    busy.expect_end();
    drop(busy);
    said(&example, "2 connections ended well, 0 were cut");
    assert!(example.wait_for_end().success());
}

#[test]
fn a_second_signal_cuts() {
    let example = Example::start("drain", &["--deadline", "3600"]);
    let mut stuck = half_a_request(&example, "/stuck");
    let mut slow = Client::connect(example.address());
    slow.send(&get("/slow?ms=3600000"));
    said(&example, "GET /slow?ms=3600000 is under way");
    send_signal("TERM", example.pid());
    said(&example, "draining");
    send_signal("INT", example.pid());
    said(&example, "0 connections ended well, 2 were cut");
    assert!(example.wait_for_end().success());
    for client in [&mut stuck, &mut slow] {
        client.expect_end();
    }
    example.wait_for("that both were cut", |output| (output.matches("a request was cut").count() >= 4).then_some(()));
}

#[test]
fn the_deadline_cuts() {
    let example = Example::start("drain", &["--deadline", "0"]);
    let _stuck = half_a_request(&example, "/stuck");
    send_signal("TERM", example.pid());
    said(&example, "0 connections ended well, 1 were cut");
    assert!(example.wait_for_end().success());
}

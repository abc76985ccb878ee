//! The order of one turn, starting and stopping, and what a panic costs.

mod common;

use std::cell::Cell;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant, SystemTime};

use common::*;
use landspout_ioloop::{Clock, EventTarget, Events, IoLoop, LoopError, Ready, Registration, RunSyncError, SystemClock};

/// A stream's stand-in that writes down when it is flushed.
struct Flushed {
    trace: Trace,
    again: Cell<bool>,
    registration: Registration,
}

impl EventTarget for Flushed {
    fn ready(self: Rc<Self>, _: Ready) {}

    fn flush(self: Rc<Self>) {
        self.trace.push("flush");
        if self.again.take() {
            self.registration.flush_later(self.clone());
        }
    }

    fn loop_closed(self: Rc<Self>) {}
}

fn dirty(io_loop: &IoLoop, trace: &Trace) -> Rc<Flushed> {
    let registration = Registration::detached(io_loop, Ready::NONE).unwrap();
    let flushed = Rc::new(Flushed { trace: trace.clone(), again: Cell::new(false), registration });
    flushed.registration.flush_later(flushed.clone());
    flushed
}

#[test]
fn one_turn_has_the_documented_order() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let (socket, peer) = socket_pair();
    write_all(&peer, b"x");
    io_loop
        .add_handler(&socket, Events::READ, {
            let (trace, socket) = (trace.clone(), socket.try_clone().unwrap());
            move |_, _| {
                read_some(&socket, 10);
                trace.push("handler");
            }
        })
        .unwrap();
    let _target = dirty(&io_loop, &trace);
    io_loop.call_at(io_loop.now(), trace.pusher("timeout"));
    io_loop.spawn({
        let trace = trace.clone();
        async move {
            trace.push("task");
            IoLoop::current().spawn(async move { trace.push("task of a task") });
        }
    });
    io_loop.add_callback({
        let trace = trace.clone();
        move || {
            trace.push("callback");
            IoLoop::current().add_callback(trace.pusher("callback of a callback"));
        }
    });
    io_loop.add_callback(trace.pusher("second callback"));
    run_until_idle(&io_loop);
    let expected = [
        "callback",
        "second callback",
        "task",
        "task of a task",
        "timeout",
        "flush",
        "handler",
        "callback of a callback",
    ];
    assert_eq!(trace.take(), expected);
}

#[test]
fn callbacks_run_in_order_and_those_they_add_wait_for_the_next_turn() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    for name in ["a", "b", "c"] {
        io_loop.add_callback({
            let trace = trace.clone();
            move || {
                trace.push(name);
                let io_loop = IoLoop::current();
                // A task separates the turns: it runs after all callbacks of this one.
                io_loop.spawn({
                    let trace = trace.clone();
                    async move { trace.push("-") }
                });
                io_loop.add_callback(trace.pusher("added"));
            }
        });
    }
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["a", "b", "c", "-", "-", "-", "added", "added", "added"]);
}

/// Tornado: test_add_callback_return_sequence. A callback that ran is not queued again, and then the loop blocks.
#[test]
fn add_callback_return_sequence() {
    let (io_loop, clock) = still_loop();
    let count = Rc::new(Cell::new(0));
    for _ in 0..2 {
        let count = count.clone();
        io_loop.add_callback(move || count.set(count.get() + 1));
    }
    run_until_idle(&io_loop);
    assert_eq!(count.get(), 2);
    assert_eq!(clock.asked(), [None], "one poll, and that one would have blocked");
}

/// Tornado: test_add_callback_wakeup.
#[test]
fn add_callback_wakeup_from_a_timeout_does_not_wait_for_the_poll() {
    let (io_loop, clock) = still_loop();
    let asked_before = Rc::new(Cell::new(None));
    io_loop.call_at(io_loop.now(), {
        let (clock, asked_before) = (clock.clone(), asked_before.clone());
        move || {
            let io_loop = IoLoop::current();
            io_loop.add_callback(move || asked_before.set(Some(clock.asked().len())));
        }
    });
    run_until_idle(&io_loop);
    assert_eq!(asked_before.get(), Some(0), "the loop never thought of blocking in between");
}

#[test]
fn a_loop_without_work_blocks() {
    let (io_loop, clock) = still_loop();
    run_until_idle(&io_loop);
    assert_eq!(clock.asked(), [None]);

    let (quiet, _peer) = socket_pair();
    io_loop.add_handler(&quiet, Events::READ, |_, _| panic!("nothing to read")).unwrap();
    io_loop.add_handler(&_peer, Events::NONE, |_, _| panic!("nothing asked for")).unwrap();
    let (registered, _other) = socket_pair();
    let registration = Registration::new(&io_loop, registered.as_fd(), Ready::NONE).unwrap();
    io_loop.spawn(std::future::pending::<()>());
    run_until_idle(&io_loop);
    // One poll brings that the registered socket can be written to, the second would have blocked.
    assert_eq!(clock.asked(), [None, None]);
    drop(registration);
}

#[test]
fn a_loop_with_a_timeout_blocks_until_then() {
    let (io_loop, clock) = still_loop();
    let at = io_loop.now() + Duration::from_millis(10);
    io_loop.call_at(at, || {});
    run_until_idle(&io_loop);
    let asked = clock.asked();
    assert_eq!(asked.len(), 1);
    let until = asked[0].unwrap();
    assert!(until >= at && until < at + Duration::from_millis(1), "{:?} after the deadline", until - at);
}

#[test]
fn tasks_that_wake_each_other_starve_nobody() {
    let (io_loop, _clock) = still_loop();
    let polls = Rc::new(Cell::new(0));
    let over = Rc::new(Cell::new(false));
    io_loop.spawn({
        let (polls, over) = (polls.clone(), over.clone());
        async move {
            // Ends by itself, so that a starving loop fails instead of hanging.
            while !over.get() && polls.get() < 100_000 {
                polls.set(polls.get() + 1);
                yield_now().await;
            }
        }
    });
    let trace = Trace::default();
    let (socket, peer) = socket_pair();
    write_all(&peer, b"x");
    io_loop.call_at(io_loop.now(), trace.pusher("timeout"));
    io_loop
        .add_handler(&socket, Events::READ, {
            let (trace, socket) = (trace.clone(), socket.try_clone().unwrap());
            move |_, _| {
                read_some(&socket, 10);
                trace.push("handler");
                IoLoop::current().add_callback(trace.pusher("callback"));
                let over = over.clone();
                IoLoop::current().add_callback(move || over.set(true));
            }
        })
        .unwrap();
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["timeout", "handler", "callback"]);
    assert!(polls.get() > 1 && polls.get() < 1000, "{} polls in two turns", polls.get());
}

#[test]
fn a_chain_of_woken_tasks_ends_in_the_turn_that_began_it() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    io_loop.call_at(io_loop.now(), trace.pusher("timeout"));
    io_loop.spawn({
        let trace = trace.clone();
        async move {
            let inner = IoLoop::current().spawn(async { IoLoop::current().spawn(async { 1 }).await.unwrap() });
            assert_eq!(inner.await.unwrap(), 1);
            trace.push("chain");
        }
    });
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["chain", "timeout"]);
}

#[test]
fn flush_comes_once_for_each_request_and_one_asked_for_meanwhile_comes_next_turn() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let target = dirty(&io_loop, &trace);
    target.again.set(true);
    io_loop.add_callback({
        let trace = trace.clone();
        move || IoLoop::current().add_callback(trace.pusher("next turn"))
    });
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["flush", "next turn", "flush"]);
}

#[test]
fn the_loop_does_not_block_while_a_stream_is_dirty() {
    struct Twice {
        clock: StillClock,
        asked: Trace<usize>,
        registration: Registration,
    }
    impl EventTarget for Twice {
        fn ready(self: Rc<Self>, _: Ready) {}
        fn flush(self: Rc<Self>) {
            self.asked.push(self.clock.asked().len());
            if self.asked.len() < 2 {
                self.registration.flush_later(self.clone());
            }
        }
        fn loop_closed(self: Rc<Self>) {}
    }
    let (io_loop, clock) = still_loop();
    let asked = Trace::default();
    let registration = Registration::detached(&io_loop, Ready::NONE).unwrap();
    let twice = Rc::new(Twice { clock, asked: asked.clone(), registration });
    twice.registration.flush_later(twice.clone());
    run_until_idle(&io_loop);
    assert_eq!(asked.take(), [0, 0]);
}

#[test]
fn a_flush_that_panics_is_logged_and_the_others_are_flushed() {
    struct Bad(Registration);
    impl EventTarget for Bad {
        fn ready(self: Rc<Self>, _: Ready) {}
        fn flush(self: Rc<Self>) {
            panic!("cannot flush");
        }
        fn loop_closed(self: Rc<Self>) {}
    }
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let bad = Rc::new(Bad(Registration::detached(&io_loop, Ready::NONE).unwrap()));
    bad.0.flush_later(bad.clone());
    let _target = dirty(&io_loop, &trace);
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "cannot flush");
    assert_eq!(trace.take(), ["flush"]);
}

#[test]
fn flush_later_keeps_a_target_alive_only_until_the_flush() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let target: Weak<Flushed> = Rc::downgrade(&dirty(&io_loop, &trace));
    assert!(target.upgrade().is_some());
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["flush"]);
    assert!(target.upgrade().is_none());
}

#[test]
fn stop_ends_the_loop_before_it_polls_and_after_the_rest_of_the_turn() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let (socket, peer) = socket_pair();
    write_all(&peer, b"x");
    io_loop
        .add_handler(&socket, Events::READ, {
            let trace = trace.clone();
            move |_, _| {
                trace.push("handler");
                IoLoop::current().stop();
                IoLoop::current().add_callback(trace.pusher("callback after the handler"));
            }
        })
        .unwrap();
    io_loop.add_callback(|| IoLoop::current().stop());
    io_loop.add_callback(trace.pusher("callback"));
    io_loop.spawn({
        let trace = trace.clone();
        async move { trace.push("task") }
    });
    io_loop.call_at(io_loop.now(), trace.pusher("timeout"));
    let _target = dirty(&io_loop, &trace);
    io_loop.start().unwrap();
    assert_eq!(trace.take(), ["callback", "task", "timeout", "flush"]);

    // Stopped by a handler, it still does the next turn up to the poll.
    io_loop.start().unwrap();
    assert_eq!(trace.take(), ["handler", "callback after the handler"]);
}

#[test]
fn stop_before_start_returns_at_once_and_is_cleared() {
    let (io_loop, clock) = still_loop();
    io_loop.stop();
    io_loop.start().unwrap();
    assert_eq!(clock.asked(), [], "it did not poll");
    // The request was served: this time the loop goes on until it is idle.
    io_loop.start().unwrap();
    assert_eq!(clock.asked(), [None]);
}

/// Tornado: test_reentrant.
#[test]
fn reentrant_start_is_refused() {
    let (io_loop, _clock) = still_loop();
    let results = Trace::default();
    io_loop.add_callback({
        let results = results.clone();
        move || {
            let io_loop = IoLoop::current();
            results.push(io_loop.start());
            results.push(io_loop.close());
            results.push(match io_loop.run_sync(async {}) {
                Err(RunSyncError::Loop(error)) => Err(error),
                other => panic!("{other:?}"),
            });
            // Another loop of this thread cannot nest either.
            let other = IoLoop::new().unwrap();
            results.push(other.start());
            other.close().unwrap();
            io_loop.make_current();
        }
    });
    run_until_idle(&io_loop);
    assert_eq!(results.take(), [(); 4].map(|()| Err(LoopError::AlreadyRunning)));
    // Nothing of the refused ones is left behind.
    run_until_idle(&io_loop);
    assert_eq!(io_loop.run_sync(async { 1 }), Ok(1));
}

/// Tornado: test_exception_logging.
#[test]
fn exception_logging_of_a_callback() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    io_loop.add_callback(|| panic!("one over {}", 0));
    io_loop.add_callback(trace.pusher("next"));
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "panic in callback: one over 0");
    assert_eq!(trace.take(), ["next"]);
}

#[test]
fn a_payload_that_is_not_text_is_logged_too() {
    let (io_loop, _clock) = still_loop();
    io_loop.add_callback(|| std::panic::panic_any(7_u32));
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "a payload that is not text");
}

#[test]
fn now_is_the_time_of_the_turn_and_never_that_of_before_the_start() {
    let (io_loop, clock) = still_loop();
    let made = io_loop.now();
    clock.advance(Duration::from_secs(10));
    let seen = Trace::default();
    io_loop.add_callback({
        let (seen, clock) = (seen.clone(), clock.clone());
        move || {
            let io_loop = IoLoop::current();
            seen.push(io_loop.now() - made);
            clock.advance(Duration::from_secs(1));
            seen.push(io_loop.now() - made);
            io_loop.add_callback(move || seen.push(IoLoop::current().now() - made));
        }
    });
    run_until_idle(&io_loop);
    assert_eq!(seen.take(), [10, 10, 11].map(Duration::from_secs));
}

#[test]
fn a_clock_that_panics_leaves_a_loop_that_can_be_closed() {
    struct Broken;
    impl Clock for Broken {
        fn monotonic(&self) -> Instant {
            SystemClock.monotonic()
        }
        fn wall(&self) -> SystemTime {
            SystemClock.wall()
        }
        fn block_for(&self, _: Instant, _: Option<Instant>) -> Option<Duration> {
            panic!("no idea")
        }
    }
    let io_loop = IoLoop::with_clock(Broken);
    assert!(catch_unwind(AssertUnwindSafe(|| io_loop.start())).is_err());
    assert_eq!(io_loop.close(), Ok(()));
    assert_eq!(IoLoop::current().run_sync(async { 1 }), Ok(1), "the thread can have another loop");
}

/// Tornado: test_add_callback_from_signal, whose variant is `Remote`'s here.
#[test]
fn add_callback_from_signal() {
    let (io_loop, _clock) = still_loop();
    let (sender, receiver) = std::sync::mpsc::channel();
    io_loop.remote().add_callback(move || sender.send(()).unwrap()).unwrap();
    run_until_idle(&io_loop);
    assert_eq!(receiver.try_recv(), Ok(()));
}

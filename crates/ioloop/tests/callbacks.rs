//! Async callbacks, whose failures are logged, and callbacks that wait for a future.

mod common;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::task::Poll;

use common::*;
use landspout_ioloop::IoLoop;

/// Tornado: test_spawn_callback, test_exception_logging_future, test_exception_logging_native_coro.
#[test]
fn the_error_of_an_async_callback_is_logged_and_costs_it_alone() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    io_loop.spawn_callback(async || {
        yield_now().await;
        "no number".parse::<u32>().map(drop)
    });
    io_loop.spawn_callback({
        let trace = trace.clone();
        async move || trace.push("next")
    });
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "error in callback: invalid digit found in string");
    assert_eq!(trace.take(), ["next"]);
}

#[test]
fn the_panic_of_an_async_callback_is_logged_and_costs_it_alone() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let impossible = Cell::new(false);
    io_loop.spawn_callback(async move || assert!(impossible.get(), "spawned"));
    io_loop.add_callback(trace.pusher("next"));
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "spawned");
    assert_eq!(trace.take(), ["next"]);
}

#[test]
fn what_an_async_callback_returns_besides_errors_is_ignored() {
    let (io_loop, _clock) = still_loop();
    io_loop.spawn_callback(async || ());
    io_loop.spawn_callback(async || ControlFlow::Break(()));
    io_loop.spawn_callback(async || Ok::<(), String>(()));
    io_loop.spawn_callback(async || Ok::<_, std::io::Error>(ControlFlow::Continue(())));
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_eq!(lines, [""; 0]);
}

#[test]
fn add_future_calls_back_in_the_next_turn_and_never_inline() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::<String>::default();
    let record = |trace: &Trace<String>, what: &str| {
        let (trace, what) = (trace.clone(), what.to_owned());
        move |result: u8| trace.push(format!("{what} {result}"))
    };
    io_loop.add_callback({
        let (trace, record) = (trace.clone(), record(&trace, "ready"));
        move || {
            let io_loop = IoLoop::current();
            io_loop.add_future(std::future::ready(1), record);
            let later = trace.clone();
            io_loop.add_callback(move || later.push("callback of the next turn".into()));
            io_loop.call_later(std::time::Duration::ZERO, {
                let trace = trace.clone();
                move || trace.push("timeout of this turn".into())
            });
            trace.push("the call returned".into());
        }
    });
    run_until_idle(&io_loop);
    let expected = ["the call returned", "timeout of this turn", "callback of the next turn", "ready 1"];
    assert_eq!(trace.take(), expected);
}

#[test]
fn add_future_accepts_what_another_thread_resolves() {
    let io_loop = IoLoop::new().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let answer = std::future::poll_fn(move |cx| match receiver.try_recv() {
        Ok(answer) => Poll::Ready(answer),
        Err(_) => {
            let (sender, waker) = (std::sync::mpsc::Sender::clone(&sender), cx.waker().clone());
            std::thread::spawn(move || {
                sender.send(42).unwrap();
                waker.wake();
            });
            Poll::Pending
        }
    });
    let seen = Rc::new(Cell::new(0));
    io_loop.add_future(answer, {
        let seen = seen.clone();
        move |answer| {
            seen.set(answer);
            IoLoop::current().stop();
        }
    });
    run_until_stopped(&io_loop);
    assert_eq!(seen.get(), 42);
}

#[test]
fn add_future_of_a_task_tells_its_panic() {
    let (io_loop, _clock) = still_loop();
    let seen = Trace::default();
    let impossible = Cell::new(false);
    let task = io_loop.spawn(async move { assert!(impossible.get(), "inside") });
    io_loop.add_future(task, {
        let seen = seen.clone();
        move |result| seen.push(result.unwrap_err().to_string())
    });
    let ((), _lines) = logged(|| run_until_idle(&io_loop));
    assert_eq!(seen.take(), ["the task panicked: inside"]);
}

#[test]
fn add_future_keeps_no_loop_alive() {
    let (io_loop, _clock) = still_loop();
    let payload = Rc::new(());
    let captured = payload.clone();
    io_loop.add_future(std::future::pending::<()>(), move |()| drop(captured));
    run_until_idle(&io_loop);
    IoLoop::clear_current();
    drop(io_loop);
    assert_eq!(Rc::strong_count(&payload), 1);
}

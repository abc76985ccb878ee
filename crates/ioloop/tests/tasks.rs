//! `spawn` and the join handle.

mod common;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use common::*;
use landspout_ioloop::{IoLoop, JoinError, JoinHandle};

/// What a finished handle says.
fn outcome<T>(handle: JoinHandle<T>) -> Result<T, JoinError> {
    match pin!(handle).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the task is not done"),
    }
}

#[test]
fn a_task_gives_its_result() {
    let (io_loop, _clock) = still_loop();
    let handle = io_loop.spawn(async { 6 * 7 });
    assert!(!handle.is_finished());
    run_until_idle(&io_loop);
    assert!(handle.is_finished());
    assert_eq!(outcome(handle).unwrap(), 42);
}

#[test]
fn spawn_does_not_poll_at_once() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    io_loop.add_callback({
        let trace = trace.clone();
        move || {
            let inner = trace.clone();
            IoLoop::current().spawn(async move { inner.push("task") });
            trace.push("after spawn");
        }
    });
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["after spawn", "task"]);
}

#[test]
fn tasks_await_each_other() {
    let (io_loop, _clock) = still_loop();
    let gate = io_loop.spawn(async {
        yield_now().await;
        20
    });
    let sum = io_loop.spawn(async move { gate.await.unwrap() + 22 });
    run_until_idle(&io_loop);
    assert_eq!(outcome(sum).unwrap(), 42);
}

/// Tornado: test_exception_logging_native_coro.
#[test]
fn exception_logging_native_coro() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    io_loop.spawn(async {
        yield_now().await;
        if true {
            panic!("half way");
        }
    });
    io_loop.spawn({
        let trace = trace.clone();
        async move {
            yield_now().await;
            trace.push("other task");
        }
    });
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "panic in task: half way");
    assert_eq!(trace.take(), ["other task"]);
}

/// Tornado: test_exception_logging_future. The one who awaits gets the payload, untouched.
#[test]
fn exception_logging_future() {
    let (io_loop, _clock) = still_loop();
    let handle = io_loop.spawn(async { std::panic::panic_any(42_u32) });
    let (outcome, lines) = logged(|| {
        run_until_idle(&io_loop);
        outcome::<()>(handle)
    });
    assert_one_error(&lines, "panic in task");
    match outcome {
        Err(JoinError::Panicked(payload)) => assert_eq!(payload.downcast_ref(), Some(&42_u32)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_of_a_join_say_what_happened() {
    let panicked = JoinError::Panicked(Box::new("boom"));
    assert_eq!(panicked.to_string(), "the task panicked: boom");
    assert_eq!(format!("{panicked:?}"), r#"Panicked("boom")"#);
    assert_eq!(JoinError::Cancelled.to_string(), "the task was cancelled");
}

#[test]
fn an_aborted_task_is_dropped_without_another_poll() {
    let (io_loop, _clock) = still_loop();
    let polls = Rc::new(Cell::new(0));
    let dropped = Rc::new(Cell::new(false));
    let waker = Rc::new(RefCell::new(None));
    let owned = OnDrop({
        let dropped = dropped.clone();
        move || dropped.set(true)
    });
    let handle = io_loop.spawn({
        let (polls, waker) = (polls.clone(), waker.clone());
        poll_fn(move |cx| {
            let _ = &owned;
            polls.set(polls.get() + 1);
            waker.replace(Some(cx.waker().clone()));
            Poll::<()>::Pending
        })
    });
    run_until_idle(&io_loop);
    handle.abort();
    run_until_idle(&io_loop);
    assert_eq!((polls.get(), dropped.get()), (1, true));
    // Its waker means nothing any more.
    waker.take().unwrap().wake();
    run_until_idle(&io_loop);
    assert_eq!(polls.get(), 1);
}

#[test]
fn a_task_aborted_before_its_first_poll_never_runs() {
    let (io_loop, clock) = still_loop();
    let owned = Rc::new(());
    let weak = Rc::downgrade(&owned);
    io_loop
        .spawn(async move {
            drop(owned);
            panic!("was aborted");
        })
        .abort();
    run_until_idle(&io_loop);
    assert!(weak.upgrade().is_none());
    assert_eq!(clock.asked(), [None]);
}

#[test]
fn a_task_aborts_itself() {
    let (io_loop, _clock) = still_loop();
    let handle = Rc::new(Cell::new(None::<JoinHandle<()>>));
    let owned = Rc::new(());
    let weak = Rc::downgrade(&owned);
    handle.set(Some(io_loop.spawn({
        let handle = handle.clone();
        async move {
            let _owned = owned;
            handle.take().unwrap().abort();
            yield_now().await;
            panic!("was aborted");
        }
    })));
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_eq!(lines, [""; 0]);
    assert!(weak.upgrade().is_none());
}

#[test]
fn aborting_a_finished_task_is_harmless() {
    let (io_loop, _clock) = still_loop();
    let handle = io_loop.spawn(async { "result" });
    run_until_idle(&io_loop);
    handle.abort();
    run_until_idle(&io_loop);
}

#[test]
fn a_detached_task_runs_and_its_panic_costs_it_alone() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    io_loop.spawn_detached(async { panic!("boom") });
    io_loop.spawn_detached({
        let trace = trace.clone();
        async move {
            yield_now().await;
            trace.push("ran");
        }
    });
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "boom");
    assert_eq!(trace.take(), ["ran"]);
    io_loop.close().unwrap();
    let owned = Rc::new(());
    let weak = Rc::downgrade(&owned);
    io_loop.spawn_detached(async move { drop(owned) });
    assert!(weak.upgrade().is_none(), "a closed loop drops it");
}

#[test]
fn a_dropped_handle_lets_the_task_run() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    drop(io_loop.spawn({
        let trace = trace.clone();
        async move {
            yield_now().await;
            trace.push("ran");
        }
    }));
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["ran"]);
}

#[test]
fn a_finished_task_is_dropped_although_its_handle_and_wakers_live() {
    let (io_loop, _clock) = still_loop();
    let owned = Rc::new(());
    let weak = Rc::downgrade(&owned);
    let waker = Rc::new(RefCell::new(None));
    let handle = io_loop.spawn({
        let waker = waker.clone();
        async move {
            poll_fn(|cx| {
                waker.replace(Some(cx.waker().clone()));
                Poll::Ready(())
            })
            .await;
            let _owned = owned;
        }
    });
    run_until_idle(&io_loop);
    assert!(weak.upgrade().is_none());
    waker.take().unwrap().wake();
    run_until_idle(&io_loop);
    assert!(handle.is_finished());
}

#[test]
fn a_closed_loop_cancels_what_is_spawned_on_it() {
    let (io_loop, _clock) = still_loop();
    io_loop.close().unwrap();
    let owned = Rc::new(());
    let weak = Rc::downgrade(&owned);
    let handle = io_loop.spawn(async move { drop(owned) });
    assert!(weak.upgrade().is_none());
    assert!(handle.is_finished());
    assert!(matches!(outcome(handle), Err(JoinError::Cancelled)));
}

#[test]
fn a_loop_that_closes_cancels_its_tasks() {
    let (io_loop, _clock) = still_loop();
    let started = io_loop.spawn(pending::<()>());
    run_until_idle(&io_loop);
    let waiting = io_loop.spawn(async { 1 });
    let done = io_loop.spawn(async { 2 });
    io_loop.close().unwrap();
    assert!(matches!(outcome(started), Err(JoinError::Cancelled)));
    assert!(matches!(outcome(waiting), Err(JoinError::Cancelled)));
    assert!(matches!(outcome(done), Err(JoinError::Cancelled)));
}

#[test]
fn a_result_survives_its_loop() {
    let (io_loop, _clock) = still_loop();
    let handle = io_loop.spawn(async { 42 });
    run_until_idle(&io_loop);
    io_loop.close().unwrap();
    assert_eq!(outcome(handle).unwrap(), 42);
}

#[test]
fn a_task_of_another_loop_can_be_awaited() {
    let (one, _clock) = still_loop();
    let (other, _clock) = still_loop();
    let handle = one.spawn(async { 42 });
    let waiting = other.spawn(handle);
    run_until_idle(&other);
    assert!(!waiting.is_finished());
    run_until_idle(&one);
    run_until_idle(&other);
    assert_eq!(outcome(waiting).unwrap().unwrap(), 42);
}

#[test]
fn another_thread_wakes_a_task() {
    let io_loop = IoLoop::new().unwrap();
    let (sender, receiver) = mpsc::channel::<Waker>();
    let (woken, was_woken) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        for waker in receiver {
            woken.send(()).unwrap();
            waker.wake();
        }
    });
    let rounds = io_loop.run_sync_timeout(GUARD, async move {
        let mut rounds = 0;
        while rounds < 100 {
            let mut sent = false;
            poll_fn(|cx| match std::mem::replace(&mut sent, true) {
                false => {
                    sender.send(cx.waker().clone()).unwrap();
                    Poll::Pending
                }
                true => Poll::Ready(()),
            })
            .await;
            was_woken.try_recv().expect("nobody but the thread wakes it");
            rounds += 1;
        }
        rounds
    });
    assert_eq!(rounds, Ok(100));
    worker.join().unwrap();
}

#[test]
fn a_wake_before_the_loop_starts_is_not_lost() {
    let (io_loop, _clock) = still_loop();
    let waker = Rc::new(RefCell::new(None::<Waker>));
    let polls = Rc::new(Cell::new(0));
    io_loop.spawn({
        let (waker, polls) = (waker.clone(), polls.clone());
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            waker.replace(Some(cx.waker().clone()));
            Poll::<()>::Pending
        })
    });
    run_until_idle(&io_loop);
    let waker = waker.take().unwrap();
    std::thread::spawn(move || waker.wake()).join().unwrap();
    run_until_idle(&io_loop);
    assert_eq!(polls.get(), 2);
}

#[test]
fn wakes_of_a_ready_task_add_up_to_one_poll() {
    let (io_loop, _clock) = still_loop();
    let waker = Rc::new(RefCell::new(None::<Waker>));
    let polls = Rc::new(Cell::new(0));
    io_loop.spawn({
        let (waker, polls) = (waker.clone(), polls.clone());
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            waker.replace(Some(cx.waker().clone()));
            Poll::<()>::Pending
        })
    });
    run_until_idle(&io_loop);
    let waker = waker.take().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    waker.wake();
    run_until_idle(&io_loop);
    assert_eq!(polls.get(), 2);
}

#[test]
fn ten_thousand_tasks_end() {
    let (io_loop, _clock) = still_loop();
    let done = Rc::new(Cell::new(0));
    for _ in 0..10_000 {
        let done = done.clone();
        io_loop.spawn(async move {
            yield_now().await;
            done.set(done.get() + 1);
        });
    }
    run_until_idle(&io_loop);
    assert_eq!(done.get(), 10_000);
}

#[test]
fn a_panic_in_the_drop_of_a_future_costs_that_task_alone() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let finished = io_loop.spawn({
        let bomb = bomb("at the end");
        poll_fn(move |_| {
            let _ = &bomb;
            Poll::Ready(42)
        })
    });
    io_loop.spawn(async move {
        let _bomb = bomb("when aborted");
        pending::<()>().await;
    });
    let aborted = io_loop.spawn({
        let bomb = bomb("when aborted");
        poll_fn(move |_| {
            let _ = &bomb;
            Poll::<()>::Pending
        })
    });
    let neighbour = trace.clone();
    io_loop.spawn(async move {
        yield_now().await;
        neighbour.push("neighbour");
    });
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "at the end");
    assert_eq!(trace.take(), ["neighbour"]);
    assert_eq!(outcome(finished).unwrap(), 42, "its result was there before");

    let ((), lines) = logged(|| {
        aborted.abort();
        run_until_idle(&io_loop);
    });
    assert_one_error(&lines, "when aborted");

    let ((), lines) = logged(|| io_loop.close().unwrap());
    assert_one_error(&lines, "when aborted");
}

#[test]
fn a_panic_in_the_drop_of_a_result_that_nobody_wants_costs_that_task_alone() {
    let (io_loop, _clock) = still_loop();
    drop(io_loop.spawn(async { bomb("unwanted result") }));
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "unwanted result");

    let late = io_loop.spawn(async { bomb("result of an aborted task") });
    run_until_idle(&io_loop);
    let ((), lines) = logged(|| late.abort());
    assert_one_error(&lines, "result of an aborted task");
}

#[test]
fn a_future_may_use_the_loop_while_it_is_dropped() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let on_drop = OnDrop({
        let trace = trace.clone();
        move || {
            let io_loop = IoLoop::current();
            let trace = trace.clone();
            io_loop.add_callback(trace.pusher("callback"));
            io_loop.spawn(async move { trace.push("task") });
        }
    });
    let handle = io_loop.spawn(async move {
        let _on_drop = on_drop;
        pending::<()>().await;
    });
    run_until_idle(&io_loop);
    handle.abort();
    run_until_idle(&io_loop);
    let mut got = trace.take();
    got.sort_unstable();
    assert_eq!(got, ["callback", "task"]);
}

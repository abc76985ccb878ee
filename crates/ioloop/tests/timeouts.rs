//! `call_later`, `call_at`, `remove_timeout`; `sleep`, `with_timeout`, `Deadline`.

mod common;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::time::Duration;

use common::*;
use landspout_ioloop::{Deadline, IoLoop, ManualClock, TimeoutError, TimeoutHandle, sleep, with_timeout};

const MS: Duration = Duration::from_millis(1);

/// Tornado: test_add_timeout_timedelta.
#[test]
fn add_timeout_timedelta() {
    let io_loop = IoLoop::new().unwrap();
    io_loop.call_later(Duration::from_micros(1), || IoLoop::current().stop());
    run_until_stopped(&io_loop);
}

/// Tornado: test_timeout_with_arguments. A closure brings its own; what remains is that every form runs.
#[test]
fn timeout_with_arguments() {
    let (io_loop, clock) = still_loop();
    let results = Trace::default();
    io_loop.call_at(io_loop.now(), results.pusher(1));
    io_loop.call_later(Duration::ZERO, results.pusher(2));
    io_loop.call_later(MS, results.pusher(3));
    io_loop.call_at(io_loop.now() + 2 * MS, results.pusher(4));
    clock.advance(2 * MS);
    run_until_idle(&io_loop);
    assert_eq!(results.take(), [1, 2, 3, 4]);
}

#[test]
fn due_timeouts_run_by_time_then_in_the_order_they_were_added() {
    let (io_loop, clock) = still_loop();
    let start = io_loop.now();
    let trace = Trace::default();
    for (micros, name) in
        [(30_000, "f"), (10_000, "c"), (10_000, "d"), (5_300, "b"), (5_100, "a"), (10_000, "e"), (90_000, "g")]
    {
        io_loop.call_at(start + Duration::from_micros(micros), trace.pusher(name));
    }
    clock.advance(50 * MS);
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(io_loop.pending_timeouts(), 1);
    clock.advance(50 * MS);
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["g"]);
}

#[test]
fn a_timeout_is_never_early_and_at_most_a_tick_late() {
    let (io_loop, clock) = still_loop();
    let trace = Trace::default();
    let delay = Duration::from_micros(5_400);
    io_loop.call_later(delay, trace.pusher("ran"));
    clock.advance(delay - Duration::from_nanos(1));
    run_until_idle(&io_loop);
    assert_eq!(trace.len(), 0);
    clock.advance(MS);
    run_until_idle(&io_loop);
    assert_eq!(trace.len(), 1);
}

/// Near and far deadlines alike pass at their time, through every level of the wheel.
#[test]
fn deadlines_from_a_millisecond_to_a_year_pass_in_their_order() {
    let (io_loop, clock) = still_loop();
    let start = io_loop.now();
    let trace = Trace::default();
    let mut millis = Vec::new();
    let mut at = 1_u64;
    while at < 365 * 86_400_000 {
        millis.push(at);
        at = at * 3 + 1;
    }
    for &at in millis.iter().rev() {
        io_loop.call_at(start + Duration::from_millis(at), trace.pusher(at));
    }
    let mut passed = 0;
    for &at in &millis {
        clock.advance(Duration::from_millis(at - passed) - MS);
        run_until_idle(&io_loop);
        assert_eq!(trace.take(), [], "a millisecond before {at}");
        clock.advance(MS);
        run_until_idle(&io_loop);
        assert_eq!(trace.take(), [at]);
        passed = at;
    }
}

/// Arms by `arm`, removes by the handle, and looks whether another one is left alone.
fn assert_removable(arm: impl Fn(&IoLoop, Trace) -> TimeoutHandle) {
    let (io_loop, clock) = still_loop();
    let (removed, kept) = (Trace::default(), Trace::default());
    let handle = arm(&io_loop, removed.clone());
    assert_ne!(handle, arm(&io_loop, kept.clone()));
    io_loop.remove_timeout(handle);
    clock.advance(2 * MS);
    run_until_idle(&io_loop);
    assert_eq!((removed.len(), kept.len()), (0, 1));
}

/// Tornado: test_call_at_return, test_add_timeout_return.
#[test]
fn call_at_return() {
    assert_removable(|io_loop, trace| io_loop.call_at(io_loop.now() + MS, trace.pusher("ran")));
}

/// Tornado: test_call_later_return.
#[test]
fn call_later_return() {
    assert_removable(|io_loop, trace| io_loop.call_later(MS, trace.pusher("ran")));
}

/// Tornado: test_remove_timeout_from_timeout.
#[test]
fn remove_timeout_from_timeout() {
    let (io_loop, clock) = still_loop();
    let trace = Trace::default();
    let second = Rc::new(Cell::new(None));
    io_loop.call_later(10 * MS, {
        let (second, trace) = (second.clone(), trace.clone());
        move || {
            trace.push("first");
            IoLoop::current().remove_timeout(second.get().unwrap());
        }
    });
    second.set(Some(io_loop.call_later(20 * MS, trace.pusher("second"))));
    io_loop.call_later(30 * MS, trace.pusher("third"));
    clock.advance(40 * MS);
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["first", "third"]);
    assert_eq!(io_loop.pending_timeouts(), 0);
}

/// Tornado: test_remove_timeout_after_fire.
#[test]
fn remove_timeout_after_fire() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let handle = io_loop.call_at(io_loop.now(), trace.pusher("ran"));
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["ran"]);
    // Its place in the wheel is another's meanwhile, which a stale handle must not touch.
    let successor = io_loop.call_at(io_loop.now(), trace.pusher("successor"));
    assert_ne!(handle, successor);
    io_loop.remove_timeout(handle);
    io_loop.remove_timeout(handle);
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["successor"]);
}

#[test]
fn a_timeout_removes_itself_while_it_runs() {
    let (io_loop, _clock) = still_loop();
    let me = Rc::new(Cell::new(None));
    let handle = io_loop.call_at(io_loop.now(), {
        let me = me.clone();
        move || IoLoop::current().remove_timeout(me.get().unwrap())
    });
    me.set(Some(handle));
    run_until_idle(&io_loop);
    assert_eq!(io_loop.pending_timeouts(), 0);
}

/// Tornado: test_remove_timeout_cleanup.
#[test]
fn remove_timeout_cleanup() {
    let (io_loop, clock) = still_loop();
    for _ in 0..2000 {
        let handle = io_loop.call_later(Duration::from_secs(3600), || panic!("was removed"));
        io_loop.remove_timeout(handle);
    }
    run_until_idle(&io_loop);
    assert_eq!((io_loop.pending_timeouts(), clock.asked()), (0, vec![None]));
}

#[test]
fn a_million_timeouts_come_and_go() {
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    let start = io_loop.now();
    let handles: Vec<_> = (0..1_000_000_u64)
        .map(|i| io_loop.call_at(start + Duration::from_micros(i * 7919 % 86_400_000_000), || panic!("was removed")))
        .collect();
    assert_eq!(io_loop.pending_timeouts(), 1_000_000);
    let ran = Rc::new(Cell::new(false));
    io_loop.call_later(Duration::from_secs(86_401), {
        let ran = ran.clone();
        move || {
            ran.set(true);
            IoLoop::current().stop();
        }
    });
    for handle in handles {
        io_loop.remove_timeout(handle);
    }
    assert_eq!(io_loop.pending_timeouts(), 1);
    io_loop.start().unwrap();
    assert!(ran.get());
    assert_eq!(io_loop.pending_timeouts(), 0);
}

#[test]
fn a_removed_timeout_is_dropped_at_once() {
    let (io_loop, _clock) = still_loop();
    let owned = Rc::new(());
    let weak = Rc::downgrade(&owned);
    let handle = io_loop.call_later(MS, move || drop(owned));
    io_loop.remove_timeout(handle);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_timeout_may_use_the_loop_while_it_is_dropped() {
    let (io_loop, clock) = still_loop();
    let trace = Trace::default();
    let on_drop = OnDrop({
        let trace = trace.clone();
        move || {
            let io_loop = IoLoop::current();
            let doomed = io_loop.call_later(MS, || panic!("was removed"));
            io_loop.call_later(MS, trace.pusher("ran"));
            io_loop.remove_timeout(doomed);
        }
    });
    let handle = io_loop.call_later(MS, move || drop(on_drop));
    io_loop.remove_timeout(handle);
    clock.advance(2 * MS);
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["ran"]);
}

#[test]
fn the_handles_of_one_loop_mean_nothing_to_another() {
    let (one, _clock) = still_loop();
    let (other, clock) = still_loop();
    let trace = Trace::default();
    let handle = one.call_later(MS, || {});
    other.call_later(MS, trace.pusher("ran"));
    other.remove_timeout(handle);
    clock.advance(2 * MS);
    run_until_idle(&other);
    assert_eq!(trace.take(), ["ran"]);
}

#[test]
fn a_deadline_in_the_past_is_due_at_once() {
    let io_loop = IoLoop::with_clock(ManualClock::new());
    let before = io_loop.now();
    let Some(past) = before.checked_sub(Duration::from_secs(3)) else { return };
    let trace = Trace::default();
    io_loop.call_at(past, trace.pusher("past"));
    io_loop.call_at(past, || IoLoop::current().stop());
    io_loop.start().unwrap();
    assert_eq!(trace.take(), ["past"]);
}

#[test]
fn a_removed_deadline_of_the_past_leaves_a_loop_that_blocks() {
    let (io_loop, clock) = still_loop();
    for _ in 0..3 {
        let handle = io_loop.call_at(io_loop.now(), || panic!("was removed"));
        io_loop.remove_timeout(handle);
    }
    run_until_idle(&io_loop);
    assert_eq!(clock.asked(), [None]);
}

#[test]
fn a_timeout_added_by_a_due_one_waits_for_the_next_turn() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    io_loop.call_at(io_loop.now(), {
        let trace = trace.clone();
        move || {
            trace.push("timeout");
            let io_loop = IoLoop::current();
            io_loop.call_at(io_loop.now(), trace.pusher("added timeout"));
            io_loop.add_callback(trace.pusher("callback"));
        }
    });
    io_loop.call_at(io_loop.now(), trace.pusher("second timeout"));
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["timeout", "second timeout", "callback", "added timeout"]);
}

#[test]
fn exception_logging_of_a_timeout() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    io_loop.call_at(io_loop.now(), || panic!("bad time"));
    io_loop.call_at(io_loop.now(), trace.pusher("next"));
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "bad time");
    assert_eq!(trace.take(), ["next"]);
}

#[test]
fn a_delay_beyond_all_time_is_never() {
    let (io_loop, _clock) = still_loop();
    let handle = io_loop.call_later(Duration::MAX, || panic!("never"));
    run_until_idle(&io_loop);
    assert_eq!(io_loop.pending_timeouts(), 1);
    io_loop.remove_timeout(handle);
    assert_eq!(io_loop.pending_timeouts(), 0);
}

#[test]
fn a_delay_counts_from_the_call_not_from_the_beginning_of_the_turn() {
    let (io_loop, clock) = still_loop();
    let trace = Trace::default();
    io_loop.add_callback({
        let (trace, clock) = (trace.clone(), clock.clone());
        move || {
            // A callback that takes ten seconds.
            clock.advance(Duration::from_secs(10));
            IoLoop::current().call_later(Duration::from_secs(5), trace.pusher("early"));
        }
    });
    run_until_idle(&io_loop);
    assert_eq!(trace.len(), 0);
    clock.advance(Duration::from_millis(5_001));
    run_until_idle(&io_loop);
    assert_eq!(trace.len(), 1);
}

#[test]
fn sleep_takes_its_time() {
    let (io_loop, clock) = still_loop();
    let trace = Trace::default();
    io_loop.spawn({
        let trace = trace.clone();
        async move {
            sleep(10 * MS).await;
            trace.push("slept");
        }
    });
    run_until_idle(&io_loop);
    clock.advance(9 * MS);
    run_until_idle(&io_loop);
    assert_eq!(trace.len(), 0);
    clock.advance(2 * MS);
    run_until_idle(&io_loop);
    assert_eq!(trace.len(), 1);
    assert_eq!(io_loop.pending_timeouts(), 0);
}

#[test]
fn sleep_counts_from_the_call() {
    let (io_loop, clock) = still_loop();
    let slept = Rc::new(Cell::new(false));
    let pause = sleep(10 * MS);
    clock.advance(11 * MS);
    io_loop.spawn({
        let slept = slept.clone();
        async move {
            pause.await;
            slept.set(true);
        }
    });
    run_until_idle(&io_loop);
    assert!(slept.get());
}

#[test]
fn a_dropped_sleep_leaves_no_timer() {
    let (io_loop, _clock) = still_loop();
    let task = io_loop.spawn(sleep(Duration::from_secs(1)));
    run_until_idle(&io_loop);
    assert_eq!(io_loop.pending_timeouts(), 1);
    task.abort();
    run_until_idle(&io_loop);
    assert_eq!(io_loop.pending_timeouts(), 0);
}

#[test]
fn with_timeout_gives_the_result_and_leaves_no_timer() {
    let (io_loop, _clock) = still_loop();
    assert_eq!(io_loop.run_sync(with_timeout(MS, async { 42 })), Ok(Ok(42)));
    let task = io_loop.spawn(with_timeout(MS, async {
        yield_now().await;
        42
    }));
    assert_eq!(io_loop.run_sync(task).unwrap().unwrap(), Ok(42));
    assert_eq!(io_loop.pending_timeouts(), 0);
}

#[test]
fn with_timeout_gives_up_and_drops_its_future() {
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    let owned = Rc::new(());
    let weak = Rc::downgrade(&owned);
    let outcome = io_loop.run_sync(async move {
        let outcome = with_timeout(Duration::from_secs(5), async move {
            let _owned = owned;
            pending::<()>().await;
        })
        .await;
        assert!(weak.upgrade().is_none(), "the future lives on");
        outcome
    });
    assert_eq!(outcome, Ok(Err(TimeoutError { limit: Duration::from_secs(5) })));
    assert_eq!(io_loop.pending_timeouts(), 0);
}

#[test]
fn with_timeout_prefers_a_result_that_is_there_when_the_time_is_over() {
    let (io_loop, clock) = still_loop();
    let limited = with_timeout(MS, async { "result" });
    clock.advance(Duration::from_secs(1));
    assert_eq!(io_loop.run_sync(limited), Ok(Ok("result")));
}

/// A task that waits for the deadline, and what it does.
fn wait_for(io_loop: &IoLoop, deadline: &Rc<Deadline>) -> (Rc<Cell<usize>>, Rc<Cell<bool>>) {
    let (polls, expired) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    io_loop.spawn({
        let (deadline, polls, expired) = (deadline.clone(), polls.clone(), expired.clone());
        async move {
            poll_fn(|cx| {
                polls.set(polls.get() + 1);
                deadline.poll_expired(cx)
            })
            .await;
            expired.set(true);
        }
    });
    (polls, expired)
}

#[test]
fn a_deadline_moved_later_many_times_arms_one_timer() {
    let (io_loop, clock) = still_loop();
    let deadline = Rc::new(Deadline::new(&io_loop));
    deadline.set(io_loop.now() + 10 * MS);
    let (polls, expired) = wait_for(&io_loop, &deadline);
    run_until_idle(&io_loop);
    for _ in 0..1000 {
        clock.advance(Duration::from_micros(5));
        deadline.set(io_loop.now() + 10 * MS);
        run_until_idle(&io_loop);
    }
    assert_eq!((io_loop.pending_timeouts(), polls.get()), (1, 1), "setting it only stored a number");
    // 5 ms have passed. The timer of the first deadline fires at 10 ms and arms itself again for 15.
    clock.advance(6 * MS);
    run_until_idle(&io_loop);
    assert_eq!((io_loop.pending_timeouts(), polls.get(), expired.get()), (1, 2, false));
    clock.advance(5 * MS);
    run_until_idle(&io_loop);
    assert_eq!((io_loop.pending_timeouts(), expired.get()), (0, true));
}

#[test]
fn a_deadline_polled_again_and_again_arms_one_timer() {
    let (io_loop, clock) = still_loop();
    let deadline = Rc::new(Deadline::new(&io_loop));
    let waker = Rc::new(RefCell::new(None));
    let polls = Rc::new(Cell::new(0));
    io_loop.spawn({
        let (deadline, waker, polls) = (deadline.clone(), waker.clone(), polls.clone());
        poll_fn(move |cx| {
            waker.replace(Some(cx.waker().clone()));
            polls.set(polls.get() + 1);
            deadline.poll_expired(cx)
        })
    });
    for i in 1..=100 {
        // Moves later for a while, then the very same one is polled.
        deadline.set(io_loop.now() + MS * i.min(50));
        run_until_idle(&io_loop);
        if let Some(waker) = &*waker.borrow() {
            waker.wake_by_ref();
        }
        run_until_idle(&io_loop);
        assert_eq!(io_loop.pending_timeouts(), 1);
    }
    let before = polls.get();
    clock.advance(2 * MS);
    run_until_idle(&io_loop);
    assert_eq!(polls.get(), before + 1, "the timer of the very first deadline is still the one");
    clock.advance(51 * MS);
    run_until_idle(&io_loop);
    assert_eq!(io_loop.pending_timeouts(), 0);
}

#[test]
fn a_deadline_moved_earlier_is_learned_at_the_next_poll() {
    let (io_loop, clock) = still_loop();
    let deadline = Rc::new(Deadline::new(&io_loop));
    deadline.set(io_loop.now() + Duration::from_secs(100));
    let expired = Rc::new(Cell::new(false));
    let kick = Rc::new(RefCell::new(None));
    io_loop.spawn({
        let (deadline, expired, kick) = (deadline.clone(), expired.clone(), kick.clone());
        async move {
            poll_fn(|cx| {
                kick.replace(Some(cx.waker().clone()));
                deadline.poll_expired(cx)
            })
            .await;
            expired.set(true);
        }
    });
    run_until_idle(&io_loop);
    deadline.set(io_loop.now() + MS);
    kick.take().unwrap().wake();
    run_until_idle(&io_loop);
    assert_eq!(io_loop.pending_timeouts(), 1, "the later timer is gone");
    clock.advance(2 * MS);
    run_until_idle(&io_loop);
    assert!(expired.get());
    assert_eq!(io_loop.pending_timeouts(), 0);
}

#[test]
fn a_cleared_deadline_does_not_pass() {
    let (io_loop, clock) = still_loop();
    let deadline = Rc::new(Deadline::new(&io_loop));
    assert_eq!(deadline.get(), None);
    deadline.set(io_loop.now() + MS);
    assert_eq!(deadline.get(), Some(io_loop.now() + MS));
    let (_, expired) = wait_for(&io_loop, &deadline);
    run_until_idle(&io_loop);
    deadline.clear();
    clock.advance(Duration::from_secs(1));
    run_until_idle(&io_loop);
    assert!(!expired.get());
    assert_eq!((deadline.get(), io_loop.pending_timeouts()), (None, 0));
}

#[test]
fn a_dropped_deadline_leaves_no_timer() {
    let (io_loop, _clock) = still_loop();
    let deadline = Rc::new(Deadline::new(&io_loop));
    deadline.set(io_loop.now() + MS);
    let (polls, _) = wait_for(&io_loop, &deadline);
    run_until_idle(&io_loop);
    assert_eq!(polls.get(), 1);
    // The task holds the other handle.
    io_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&deadline), 1);

    let (io_loop, _clock) = still_loop();
    let deadline = Deadline::new(&io_loop);
    deadline.set(io_loop.now() + MS);
    let task = io_loop.spawn(poll_fn(move |cx| deadline.poll_expired(cx)));
    run_until_idle(&io_loop);
    assert_eq!(io_loop.pending_timeouts(), 1);
    task.abort();
    run_until_idle(&io_loop);
    assert_eq!(io_loop.pending_timeouts(), 0);
}

#[test]
fn a_deadline_moves_from_one_task_to_another() {
    let (io_loop, clock) = still_loop();
    let deadline = Rc::new(Deadline::new(&io_loop));
    deadline.set(io_loop.now() + 10 * MS);
    let (first_polls, _) = wait_for(&io_loop, &deadline);
    run_until_idle(&io_loop);
    let (_, expired) = wait_for(&io_loop, &deadline);
    run_until_idle(&io_loop);
    assert_eq!(io_loop.pending_timeouts(), 1);
    clock.advance(11 * MS);
    run_until_idle(&io_loop);
    assert_eq!((first_polls.get(), expired.get()), (1, true), "the last one to poll is woken");
}

#[test]
fn timeouts_of_a_closed_loop_are_dropped() {
    let (io_loop, _clock) = still_loop();
    let owned = Rc::new(());
    let weak = Rc::downgrade(&owned);
    io_loop.close().unwrap();
    let handle = io_loop.call_later(MS, move || drop(owned));
    assert!(weak.upgrade().is_none());
    assert_eq!(io_loop.pending_timeouts(), 0);
    io_loop.remove_timeout(handle);
}

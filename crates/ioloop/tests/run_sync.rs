//! `run_sync`: start the loop, run one future, stop.

mod common;

use std::cell::Cell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use common::*;
use landspout_ioloop::{IoLoop, LoopError, ManualClock, RunSyncError, sleep};

/// Tornado: test_async_result.
#[test]
fn async_result() {
    let io_loop = IoLoop::new().unwrap();
    let result = io_loop.run_sync_timeout(GUARD, async {
        yield_now().await;
        42
    });
    assert_eq!(result, Ok(42));
}

/// Tornado: test_sync_result. What is there at once is as good: only futures can be given, so there is no BadYieldError.
#[test]
fn sync_result() {
    assert_eq!(IoLoop::new().unwrap().run_sync(std::future::ready(42)), Ok(42));
}

/// Tornado: test_sync_exception.
#[test]
fn sync_exception() {
    let io_loop = IoLoop::new().unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| io_loop.run_sync(async { std::panic::panic_any(1_u8) })));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&1_u8));
    assert_eq!(io_loop.run_sync(async { 2 }), Ok(2), "the loop is as good as before");
}

/// Tornado: test_async_exception.
#[test]
fn async_exception() {
    let io_loop = IoLoop::new().unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        io_loop.run_sync(async {
            yield_now().await;
            std::panic::panic_any(1_u8)
        })
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&1_u8));
    // An error is a result like any other.
    assert_eq!(io_loop.run_sync(async { Err::<(), _>("division") }), Ok(Err("division")));
}

/// Tornado: test_current.
#[test]
fn current() {
    let io_loop = IoLoop::new().unwrap();
    let other = IoLoop::new().unwrap();
    let inside = io_loop.run_sync(async { IoLoop::current() }).unwrap();
    // The number tells them apart.
    let number = |io_loop: &IoLoop| format!("{io_loop:?}").replace("running: true", "running: false");
    assert_eq!(number(&inside), number(&io_loop));
    assert_eq!(number(&IoLoop::current()), number(&other), "afterwards it is what it was");
}

/// Tornado: test_timeout.
#[test]
fn timeout() {
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    let limit = Duration::from_millis(10);
    let result = io_loop.run_sync_timeout(limit, sleep(Duration::from_secs(1)));
    assert_eq!(result, Err(RunSyncError::Timeout(limit)));
    assert_eq!(result.unwrap_err().to_string(), "operation timed out after 10ms");
}

#[test]
fn a_result_in_time_leaves_no_timer() {
    let (io_loop, _clock) = still_loop();
    assert_eq!(io_loop.run_sync_timeout(Duration::from_secs(1), async { 1 }), Ok(1));
    assert_eq!(io_loop.pending_timeouts(), 0);
}

/// Tornado: test_native_coroutine.
#[test]
fn native_coroutine() {
    async fn inner() -> i32 {
        yield_now().await;
        21
    }
    async fn outer() -> i32 {
        inner().await + IoLoop::current().spawn(inner()).await.unwrap()
    }
    assert_eq!(IoLoop::new().unwrap().run_sync_timeout(GUARD, outer()), Ok(42));
}

/// Tornado: test_stop_no_timeout.
#[test]
fn stop_no_timeout() {
    let io_loop = IoLoop::new().unwrap();
    let result = io_loop.run_sync(async {
        IoLoop::current().stop();
        pending::<()>().await;
    });
    assert_eq!(result, Err(RunSyncError::Stopped));
    assert!(result.unwrap_err().to_string().contains("event loop stopped"));
}

#[test]
fn a_stop_that_comes_with_the_result_does_not_lose_it() {
    let io_loop = IoLoop::new().unwrap();
    let result = io_loop.run_sync(async {
        IoLoop::current().stop();
        42
    });
    assert_eq!(result, Ok(42));
}

#[test]
fn the_future_is_dropped_before_run_sync_returns_without_it() {
    let (io_loop, _clock) = still_loop();
    let owned = Rc::new(());
    let weak = Rc::downgrade(&owned);
    let forever = |owned: Rc<()>| async move {
        let _owned = owned;
        pending::<()>().await;
    };

    // The still clock stops an idle loop.
    assert_eq!(io_loop.run_sync(forever(owned.clone())), Err(RunSyncError::Stopped));
    assert_eq!(Rc::strong_count(&owned), 1, "dropped when stopped");

    let jumping = IoLoop::with_clock(ManualClock::jumping());
    let limit = Duration::from_secs(1);
    assert_eq!(jumping.run_sync_timeout(limit, forever(owned.clone())), Err(RunSyncError::Timeout(limit)));
    assert_eq!(Rc::strong_count(&owned), 1, "dropped when timed out");

    io_loop.add_callback({
        let owned = owned.clone();
        move || {
            let refused = IoLoop::current().run_sync(forever(owned));
            assert_eq!(refused, Err(RunSyncError::Loop(LoopError::AlreadyRunning)));
            assert!(weak.upgrade().is_some());
        }
    });
    run_until_idle(&io_loop);
    assert_eq!(Rc::strong_count(&owned), 1, "dropped when refused");

    io_loop.close().unwrap();
    assert_eq!(io_loop.run_sync(forever(owned.clone())), Err(RunSyncError::Loop(LoopError::Closed)));
    assert_eq!(Rc::strong_count(&owned), 1, "dropped when closed");
}

#[test]
fn a_panic_while_the_cancelled_future_is_dropped_is_logged() {
    let (io_loop, _clock) = still_loop();
    let bomb = bomb("late");
    let future = async move {
        let _bomb = bomb;
        pending::<()>().await;
    };
    let (result, lines) = logged(|| io_loop.run_sync(future));
    assert_eq!(result, Err(RunSyncError::Stopped));
    assert_one_error(&lines, "late");
}

#[test]
fn what_run_sync_leaves_does_not_keep_the_loop_alive() {
    let (io_loop, _clock) = still_loop();
    let owned = Rc::new(());
    io_loop.add_callback({
        let owned = owned.clone();
        // Its turn comes after the loop was stopped, that is never.
        move || IoLoop::current().add_callback(move || drop(owned))
    });
    io_loop.add_callback(|| IoLoop::current().stop());
    assert_eq!(io_loop.run_sync(pending::<()>()), Err(RunSyncError::Stopped));
    assert_eq!(Rc::strong_count(&owned), 2);
    IoLoop::clear_current();
    drop(io_loop);
    assert_eq!(Rc::strong_count(&owned), 1, "the last handle is gone, and with it the loop");
}

#[test]
fn other_tasks_run_on_meanwhile_and_wait_afterwards() {
    let (io_loop, _clock) = still_loop();
    let count = Rc::new(Cell::new(0));
    let background = io_loop.spawn({
        let count = count.clone();
        async move {
            while count.get() < 100_000 {
                count.set(count.get() + 1);
                yield_now().await;
            }
        }
    });
    io_loop.run_sync(yield_now()).unwrap();
    let after_first = count.get();
    assert!(after_first > 0);
    io_loop.run_sync(yield_now()).unwrap();
    assert!(count.get() > after_first);
    background.abort();
}

#[test]
fn an_earlier_stop_is_not_taken_for_a_result() {
    let io_loop = IoLoop::new().unwrap();
    io_loop.stop();
    assert_eq!(io_loop.run_sync(pending::<()>()), Err(RunSyncError::Stopped));
}

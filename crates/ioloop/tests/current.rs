//! Which loop is the thread's current one.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::*;
use landspout_ioloop::IoLoop;

/// Two handles of one loop say the same number.
#[track_caller]
fn assert_same(one: &IoLoop, other: &IoLoop) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
}

/// Tornado: TestIOLoopConfiguration.test_default. It is made on first use and stays.
#[test]
fn default_loop() {
    assert!(IoLoop::current_or_none().is_none());
    let io_loop = IoLoop::current();
    assert_same(&io_loop, &IoLoop::current());
    assert_same(&io_loop, &IoLoop::instance());
    assert_same(&io_loop, &IoLoop::current_or_none().unwrap());
}

#[test]
fn each_thread_has_its_own() {
    let mine = format!("{:?}", IoLoop::current());
    let other = std::thread::spawn(|| format!("{:?}", IoLoop::current())).join().unwrap();
    assert_ne!(mine, other);
}

/// Tornado: TestIOLoopCurrent.test_force_current.
#[test]
fn force_current() {
    let first = IoLoop::new().unwrap();
    assert_same(&first, &IoLoop::current());
    let second = IoLoop::new().unwrap();
    assert_same(&second, &IoLoop::current());
    first.make_current();
    assert_same(&first, &IoLoop::current());
}

/// Tornado: TestIOLoopCurrent.test_non_current.
#[test]
fn non_current() {
    let (io_loop, _clock) = still_loop();
    IoLoop::clear_current();
    for _ in 0..3 {
        assert!(IoLoop::current_or_none().is_none());
        let seen = Rc::new(Cell::new(None));
        io_loop.add_callback({
            let seen = seen.clone();
            move || seen.set(IoLoop::current_or_none())
        });
        run_until_idle(&io_loop);
        assert_same(&seen.take().expect("while it runs it is current"), &io_loop);
        assert!(IoLoop::current_or_none().is_none());
    }
}

#[test]
fn start_gives_the_previous_current_back() {
    let (running, _clock) = still_loop();
    let previous = IoLoop::new().unwrap();
    run_until_idle(&running);
    assert_same(&previous, &IoLoop::current());
}

#[test]
fn start_does_not_give_back_a_loop_that_was_closed_meanwhile() {
    let (running, _clock) = still_loop();
    let previous = IoLoop::new().unwrap();
    running.add_callback(move || previous.close().unwrap());
    run_until_idle(&running);
    assert!(IoLoop::current_or_none().is_none(), "a closed loop serves nobody");
}

/// Tornado: TestIOLoopCurrentAsync.test_clear_without_current.
#[test]
fn clear_without_current() {
    IoLoop::clear_current();
    assert!(IoLoop::current_or_none().is_none());
    IoLoop::clear_current();
}

#[test]
fn a_closed_loop_is_not_current() {
    let io_loop = IoLoop::current();
    io_loop.close().unwrap();
    assert!(IoLoop::current_or_none().is_none());

    // Closing one that is not current leaves the current one alone.
    let old = IoLoop::new().unwrap();
    let current = IoLoop::new().unwrap();
    old.close().unwrap();
    assert_same(&current, &IoLoop::current());
}

/// Tornado: test_init_close_race.
#[test]
fn init_close_race() {
    let threads: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..10 {
                    let io_loop = IoLoop::new().unwrap();
                    assert_eq!(io_loop.run_sync(async { 1 }), Ok(1));
                    io_loop.close().unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

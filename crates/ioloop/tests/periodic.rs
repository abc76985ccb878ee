//! `PeriodicCallback`: when it calls, what a slow, failing or panicking callback does to the schedule, start and stop.

mod common;

use std::cell::{Cell, OnceCell};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use landspout_ioloop::{IoLoop, JitterError, LoopError, ManualClock, PeriodicCallback, sleep};

const MS: Duration = Duration::from_millis(1);

/// A loop whose clock jumps from deadline to deadline.
fn jumping_loop() -> (IoLoop, ManualClock) {
    install_log();
    let clock = ManualClock::jumping();
    (IoLoop::with_clock(clock.clone()), clock)
}

/// A list of what happened, each with its time in milliseconds since this was made.
#[derive(Clone)]
struct Times {
    trace: Trace<(u128, &'static str)>,
    begin: std::time::Instant,
}

impl Times {
    fn new(io_loop: &IoLoop) -> Self {
        Self { trace: Trace::default(), begin: io_loop.now() }
    }

    fn note(&self, what: &'static str) {
        self.trace.push(((IoLoop::current().now() - self.begin).as_millis(), what));
    }

    fn take(&self) -> Vec<(u128, &'static str)> {
        self.trace.take()
    }
}

/// Counts calls and says when they are enough.
fn times(count: usize) -> impl FnMut() -> ControlFlow<()> {
    let mut left = count;
    move || {
        left -= 1;
        if left > 0 {
            return ControlFlow::Continue(());
        }
        IoLoop::current().stop();
        ControlFlow::Break(())
    }
}

/// Runs the loop for so long by its own clock.
fn run_for(io_loop: &IoLoop, duration: Duration) {
    io_loop.run_sync(async move { sleep(duration).await }).unwrap();
}

/// Tornado: TestPeriodicCallbackAsync.test_periodic_plain.
#[test]
fn a_plain_callback_is_called_once_a_period_until_it_is_stopped() {
    let (io_loop, _clock) = jumping_loop();
    let seen = Times::new(&io_loop);
    let handle = Rc::new(OnceCell::<PeriodicCallback>::new());
    let periodic = PeriodicCallback::new(
        {
            let (seen, handle) = (seen.clone(), Rc::downgrade(&handle));
            let mut count = 0;
            move || {
                seen.note("call");
                count += 1;
                if count == 3 {
                    handle.upgrade().unwrap().get().unwrap().stop();
                    IoLoop::current().stop();
                }
            }
        },
        10,
    )
    .unwrap();
    let periodic = handle.get_or_init(|| periodic);
    assert!(!periodic.is_running());
    periodic.start();
    assert!(periodic.is_running());
    run_until_stopped(&io_loop);
    assert_eq!(seen.take(), [(10, "call"), (20, "call"), (30, "call")]);
    assert!(!periodic.is_running());
    run_for(&io_loop, Duration::from_secs(1));
    assert_eq!(seen.take(), []);
    assert_eq!(io_loop.pending_timeouts(), 0);
}

/// Tornado: TestPeriodicCallbackAsync.test_periodic_coro, test_periodic_async.
#[test]
fn an_async_callback_longer_than_its_period_never_overlaps() {
    let (io_loop, _clock) = jumping_loop();
    let seen = Times::new(&io_loop);
    let periodic = PeriodicCallback::new_async(
        {
            let (seen, mut enough) = (seen.clone(), times(3));
            async move || {
                seen.note("start");
                sleep(25 * MS).await;
                seen.note("end");
                enough()
            }
        },
        10,
    )
    .unwrap();
    periodic.start();
    run_until_stopped(&io_loop);
    let expected = [(10, "start"), (35, "end"), (40, "start"), (65, "end"), (70, "start"), (95, "end")];
    assert_eq!(seen.take(), expected);
    assert!(!periodic.is_running(), "it said that this was the last time");
    run_for(&io_loop, Duration::from_secs(1));
    assert_eq!(seen.take(), []);
}

/// Tornado: TestPeriodicCallbackMath.test_timedelta.
#[test]
fn the_period_is_milliseconds_or_a_duration() {
    let minute = PeriodicCallback::new(|| (), Duration::from_secs(83)).unwrap();
    assert_eq!(minute.callback_time(), 83_000 * MS);
    for periodic in [
        PeriodicCallback::new(|| (), 1500),
        PeriodicCallback::new(|| (), 1500_u64),
        PeriodicCallback::new(|| (), 1500.0),
        PeriodicCallback::new_async(async || (), Duration::from_millis(1500)),
    ] {
        assert_eq!(periodic.unwrap().callback_time(), 1500 * MS);
    }
    assert_eq!(PeriodicCallback::new(|| (), 0.5).unwrap().callback_time(), Duration::from_micros(500));
}

#[test]
fn a_period_that_is_not_more_than_zero_is_refused() {
    let refused = Some(LoopError::CallbackTime);
    assert_eq!(PeriodicCallback::new(|| (), 0).err(), refused);
    assert_eq!(PeriodicCallback::new(|| (), -5).err(), refused);
    assert_eq!(PeriodicCallback::new_async(async || (), Duration::ZERO).err(), refused);
    for number in [0.0, -0.0, -1.5, 1e-9, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        assert_eq!(PeriodicCallback::new(|| (), number).err(), refused, "{number}");
    }
}

#[test]
fn a_jitter_that_could_leave_no_period_is_refused() {
    for jitter in [-0.1, 2.0, 100.0, f64::INFINITY] {
        let refused = PeriodicCallback::new(|| (), 10).unwrap().jitter(jitter);
        assert_eq!(refused.err(), Some(JitterError { jitter }));
    }
    assert!(PeriodicCallback::new(|| (), 10).unwrap().jitter(f64::NAN).is_err());
    assert!(PeriodicCallback::new(|| (), 10).unwrap().jitter(0.0).unwrap().jitter(1.9).is_ok());
}

#[test]
fn jitter_keeps_each_period_within_its_window() {
    const CALLS: usize = 200;
    let (io_loop, _clock) = jumping_loop();
    let seen = Times::new(&io_loop);
    let periodic = PeriodicCallback::new(
        {
            let (seen, mut enough) = (seen.clone(), times(CALLS));
            move || {
                seen.note("call");
                enough()
            }
        },
        100,
    );
    periodic.unwrap().jitter(0.5).unwrap().start();
    run_until_stopped(&io_loop);
    let calls: Vec<i64> = [0].into_iter().chain(seen.take().iter().map(|(at, _)| *at as i64)).collect();
    let periods: Vec<i64> = calls.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(periods.len(), CALLS);
    // A tick more or less: times are rounded up to ticks.
    assert!(periods.iter().all(|period| (74..=126).contains(period)), "{periods:?}");
    assert!(periods.iter().any(|period| *period < 99) && periods.iter().any(|period| *period > 101), "{periods:?}");
}

/// A callback that blocks the loop, and later one that doesn't.
#[test]
fn missed_calls_are_skipped_and_the_phase_is_kept() {
    let (io_loop, clock) = jumping_loop();
    let seen = Times::new(&io_loop);
    let periodic = PeriodicCallback::new(
        {
            let (seen, mut enough) = (seen.clone(), times(5));
            let mut blocks = [0, 35, 20, 0, 0].into_iter();
            move || {
                seen.note("call");
                clock.advance(blocks.next().unwrap() * MS);
                enough()
            }
        },
        10,
    );
    periodic.unwrap().start();
    run_until_stopped(&io_loop);
    let times: Vec<u128> = seen.take().iter().map(|(at, _)| *at).collect();
    // 20 + 35: those of 30, 40 and 50 are missed. 60 + 20 ends just when the next is due: that one is not yet missed in
    // Tornado's arithmetic, but over.
    assert_eq!(times, [10, 20, 60, 90, 100]);
}

#[test]
fn errors_and_panics_are_logged_and_the_schedule_goes_on() {
    let (io_loop, _clock) = jumping_loop();
    let plain = PeriodicCallback::new(
        {
            let (mut enough, mut count) = (times(3), 0);
            move || {
                count += 1;
                assert!(count != 2, "the second");
                let result = if count == 1 { Err("the first") } else { Ok(ControlFlow::Continue(())) };
                let _ = enough();
                result
            }
        },
        10,
    )
    .unwrap();
    let count = Rc::new(Cell::new(0));
    let in_task = PeriodicCallback::new_async(
        {
            let count = count.clone();
            async move || {
                sleep(MS).await;
                count.set(count.get() + 1);
                assert!(count.get() != 2, "the other's second");
                if count.get() == 1 { Err("the other's first") } else { Ok(()) }
            }
        },
        10,
    )
    .unwrap();
    plain.start();
    in_task.start();
    // `times` isn't told of the call that panics.
    let ((), lines) = logged(|| run_until_stopped(&io_loop));
    let errors: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with("ERROR")).collect();
    let expected = [
        "ERROR error in periodic callback: the first",
        "ERROR error in periodic callback: the other's first",
        "ERROR panic in periodic callback: the second",
        "ERROR panic in task: the other's second",
    ];
    assert_eq!(errors, expected);
    assert!(plain.is_running() && in_task.is_running());
    assert!(count.get() >= 3);
}

#[test]
fn start_twice_is_one_schedule_and_it_can_be_started_again() {
    let (io_loop, _clock) = jumping_loop();
    let seen = Times::new(&io_loop);
    let periodic = PeriodicCallback::new(
        {
            let seen = seen.clone();
            move || seen.note("call")
        },
        10,
    )
    .unwrap();
    periodic.start();
    run_for(&io_loop, 4 * MS);
    periodic.start();
    assert_eq!(io_loop.pending_timeouts(), 1);
    run_for(&io_loop, 8 * MS);
    assert_eq!(seen.take(), [(10, "call")]);
    periodic.stop();
    periodic.stop();
    run_for(&io_loop, 11 * MS);
    periodic.start();
    run_for(&io_loop, 15 * MS);
    assert_eq!(seen.take(), [(33, "call")], "the grid begins anew, at 23");
}

/// Tornado would run two chains of calls from here on.
#[test]
fn a_restart_while_a_call_is_under_way_does_not_overlap() {
    let (io_loop, _clock) = jumping_loop();
    let seen = Times::new(&io_loop);
    let periodic = PeriodicCallback::new_async(
        {
            let seen = seen.clone();
            async move || {
                seen.note("start");
                sleep(25 * MS).await;
                seen.note("end");
            }
        },
        10,
    )
    .unwrap();
    periodic.start();
    run_for(&io_loop, 12 * MS);
    periodic.stop();
    assert!(!periodic.is_running());
    periodic.start();
    run_for(&io_loop, 60 * MS);
    // The new grid begins at 12. 22 and 32 are missed, since the old call is under way until 35.
    let expected = [(10, "start"), (35, "end"), (42, "start"), (67, "end"), (72, "start")];
    assert_eq!(seen.take(), expected);
    // The timer of the next grid, which begins at 91, is still armed when the call is over.
    periodic.stop();
    run_for(&io_loop, 19 * MS);
    periodic.start();
    run_for(&io_loop, 8 * MS);
    assert_eq!(seen.take(), [(97, "end")]);
    assert_eq!(io_loop.pending_timeouts(), 1);
}

#[test]
fn stop_lets_the_call_under_way_end() {
    let (io_loop, _clock) = jumping_loop();
    let seen = Times::new(&io_loop);
    let periodic = PeriodicCallback::new_async(
        {
            let seen = seen.clone();
            async move || {
                sleep(25 * MS).await;
                seen.note("end");
            }
        },
        10,
    )
    .unwrap();
    periodic.start();
    run_for(&io_loop, 12 * MS);
    periodic.stop();
    run_for(&io_loop, 100 * MS);
    assert_eq!(seen.take(), [(35, "end")]);
}

#[test]
fn a_dropped_handle_leaves_it_running_until_the_loop_ends() {
    let (io_loop, _clock) = jumping_loop();
    let count = Rc::new(Cell::new(0));
    for period in [10, 20] {
        let count = count.clone();
        PeriodicCallback::new(move || count.set(count.get() + 1), period).unwrap().start();
    }
    let in_task = count.clone();
    let busy = async move || {
        in_task.set(in_task.get() + 1000);
        std::future::pending::<()>().await;
    };
    PeriodicCallback::new_async(busy, 30).unwrap().start();
    run_for(&io_loop, 105 * MS);
    assert_eq!(count.get(), 1000 + 10 + 5);
    io_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&count), 1, "callbacks, waiting or under way, go with the loop");
}

#[test]
fn it_runs_on_the_loop_that_is_current_at_its_start() {
    let (first, _clock) = jumping_loop();
    let periodic = PeriodicCallback::new(times(2), 10).unwrap();
    let (second, _clock) = jumping_loop();
    first.make_current();
    periodic.start();
    assert_eq!((first.pending_timeouts(), second.pending_timeouts()), (1, 0));
    first.close().unwrap();
    assert!(!periodic.is_running(), "its loop is closed");
    periodic.stop();
    second.make_current();
    periodic.start();
    assert!(periodic.is_running());
    run_until_stopped(&second);
}

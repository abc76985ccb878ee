//! The clock is a part of the loop that a test can replace.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use common::*;
use landspout_ioloop::{
    Clock, EventTarget, Events, IoLoop, ManualClock, Ready, Registration, SystemClock, sleep, with_timeout,
};

#[test]
fn a_manual_clock_stands_still_until_it_is_moved() {
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    let (monotonic, wall) = (clock.monotonic(), clock.wall());
    assert_eq!((io_loop.now(), io_loop.wall_time()), (monotonic, wall));
    clock.advance(Duration::from_secs(5));
    assert_eq!((clock.monotonic() - monotonic, clock.wall()), (Duration::from_secs(5), wall + Duration::from_secs(5)));
    assert_eq!(io_loop.wall_time(), wall + Duration::from_secs(5));
    assert_eq!(clock.jumps(), []);
}

#[test]
fn the_time_of_day_may_jump_without_touching_timeouts() {
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    let ran = Rc::new(Cell::new(false));
    io_loop.call_later(Duration::from_secs(1), {
        let ran = ran.clone();
        move || ran.set(true)
    });
    clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000));
    io_loop.stop();
    io_loop.start().unwrap();
    assert!(!ran.get());
    assert_eq!(io_loop.wall_time(), SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000));
    clock.set_wall(SystemTime::UNIX_EPOCH);
    clock.advance(Duration::from_secs(1));
    io_loop.stop();
    io_loop.start().unwrap();
    assert!(ran.get());
}

#[test]
fn a_manual_clock_is_moved_from_inside_the_loop() {
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    let result = io_loop.run_sync(async move {
        let pause = IoLoop::current().spawn(sleep(Duration::from_secs(3600)));
        yield_now().await;
        assert!(!pause.is_finished());
        clock.advance(Duration::from_secs(3600));
        pause.await.unwrap();
        42
    });
    assert_eq!(result, Ok(42));
}

#[test]
fn a_jumping_clock_makes_hours_pass_at_once_in_their_order() {
    let clock = ManualClock::jumping();
    let io_loop = IoLoop::with_clock(clock.clone());
    let start = io_loop.now();
    let trace = Trace::default();
    for hours in [3_u64, 1, 2] {
        let trace = trace.clone();
        io_loop.spawn(async move {
            sleep(Duration::from_secs(hours * 3600)).await;
            trace.push(hours);
        });
    }
    io_loop.run_sync(sleep(Duration::from_secs(4 * 3600))).unwrap();
    assert_eq!(trace.take(), [1, 2, 3]);
    assert!(io_loop.now() - start < Duration::from_secs(4 * 3600) + Duration::from_millis(1));
    let jumps = clock.jumps();
    assert!(jumps.is_sorted() && !jumps.is_empty());
    for hours in 1..=4 {
        let at = start + Duration::from_secs(hours * 3600);
        assert!(
            jumps.iter().any(|&jump| jump >= at && jump < at + Duration::from_millis(1)),
            "no jump to hour {hours}: {jumps:?}"
        );
    }
}

#[test]
fn the_loop_wakes_for_due_timeouts_alone() {
    let clock = ManualClock::jumping();
    let io_loop = IoLoop::with_clock(clock.clone());
    let start = io_loop.now();
    // From a millisecond to 13 years, neighbours among them, and two within one tick.
    let mut expected: Vec<u64> = (0..20).flat_map(|i| [3_u64.pow(i), 3_u64.pow(i) + 1 + u64::from(i)]).collect();
    for at in &expected {
        io_loop.call_at(start + Duration::from_millis(*at), || {});
        io_loop.call_at(start + Duration::from_micros(at * 1000 - 1), || {});
    }
    expected.sort_unstable();
    expected.dedup();
    io_loop.call_at(start + Duration::from_millis(expected[expected.len() - 1]), || IoLoop::current().stop());
    io_loop.start().unwrap();
    let jumps: Vec<u128> = clock.jumps().iter().map(|jump| (*jump - start).as_millis()).collect();
    assert_eq!(jumps, expected.into_iter().map(u128::from).collect::<Vec<_>>());
}

/// Documented: one that was the earliest among many may wake the loop at its time, once.
#[test]
fn a_cancelled_timeout_wakes_the_loop_once_at_most() {
    let clock = ManualClock::jumping();
    let io_loop = IoLoop::with_clock(clock.clone());
    let start = io_loop.now();
    let hour = start + Duration::from_secs(3600);
    // Few together, as most timeouts are: the cancelled ones are forgotten.
    for i in [5, 1, 3] {
        io_loop.call_at(hour + Duration::from_secs(i), || {});
        let cancelled = io_loop.call_at(hour + Duration::from_millis(i), || {});
        io_loop.remove_timeout(cancelled);
    }
    io_loop.run_sync(sleep(Duration::from_secs(4000))).unwrap();
    let jumps: Vec<u64> = clock.jumps().iter().map(|jump| (*jump - start).as_secs()).collect();
    assert_eq!(jumps, [3601, 3603, 3605, 4000]);
    // Many together.
    let hour = io_loop.now() + Duration::from_secs(3600);
    for i in 0..1000 {
        io_loop.call_at(hour + Duration::from_secs(1), || {});
        let cancelled = io_loop.call_at(hour + Duration::from_millis(i / 500), || {});
        io_loop.remove_timeout(cancelled);
    }
    let before = clock.jumps().len();
    io_loop.run_sync(sleep(Duration::from_secs(3700))).unwrap();
    assert!(clock.jumps().len() - before <= 3, "{:?}", &clock.jumps()[before..]);
}

#[test]
fn a_jumping_clock_does_not_jump_over_work() {
    let clock = ManualClock::jumping();
    let io_loop = IoLoop::with_clock(clock.clone());
    let result = io_loop.run_sync(with_timeout(Duration::from_millis(1), async {
        for _ in 0..1000 {
            yield_now().await;
        }
    }));
    assert_eq!(result, Ok(Ok(())));
    assert_eq!(clock.jumps(), []);
}

#[test]
fn a_jumping_clock_prefers_what_is_ready_to_the_next_deadline() {
    use landspout_ioloop::Events;
    let clock = ManualClock::jumping();
    let io_loop = IoLoop::with_clock(clock.clone());
    let (socket, peer) = socket_pair();
    write_all(&peer, b"abc");
    let trace = Trace::default();
    io_loop.call_later(Duration::from_secs(1), {
        let trace = trace.clone();
        move || {
            trace.push("timeout");
            IoLoop::current().stop();
        }
    });
    io_loop
        .add_handler(&socket, Events::READ, {
            let (trace, socket) = (trace.clone(), socket.try_clone().unwrap());
            move |_, _| {
                read_some(&socket, 1);
                trace.push("read");
            }
        })
        .unwrap();
    io_loop.start().unwrap();
    assert_eq!(trace.take(), ["read", "read", "read", "timeout"]);
}

#[test]
fn a_manual_clock_blocks_until_something_happens_unless_the_deadline_has_passed() {
    let clock = ManualClock::new();
    let now = clock.monotonic();
    assert_eq!(clock.block_for(now, None), None);
    assert_eq!(clock.block_for(now, Some(now + Duration::from_nanos(1))), None);
    assert_eq!(clock.block_for(now, Some(now)), Some(Duration::ZERO));
    let jumping = ManualClock::jumping();
    let now = jumping.monotonic();
    let hour = now + Duration::from_secs(3600);
    assert_eq!((jumping.block_for(now, None), jumping.block_for(now, Some(hour))), (None, Some(Duration::ZERO)));
}

#[test]
fn the_system_clock_blocks_until_the_deadline_and_not_past_it() {
    let clock = SystemClock;
    let now = clock.monotonic();
    assert_eq!(clock.block_for(now, None), None);
    assert_eq!(clock.block_for(now, Some(now)), Some(Duration::ZERO), "a deadline that has passed");
    let hour = Duration::from_secs(3600);
    assert_eq!(clock.block_for(now, Some(now + hour)), Some(hour));
}

/// A clock that passes while the loop blocks, always by an hour, and notes what it was asked.
#[derive(Clone)]
struct Passing {
    time: ManualClock,
    asked: Trace<(Instant, Option<Instant>)>,
}

impl Passing {
    fn new() -> Self {
        Self { time: ManualClock::new(), asked: Trace::default() }
    }
}

impl Clock for Passing {
    fn monotonic(&self) -> Instant {
        self.time.monotonic()
    }

    fn wall(&self) -> SystemTime {
        self.time.wall()
    }

    fn block_for(&self, now: Instant, deadline: Option<Instant>) -> Option<Duration> {
        self.asked.push((now, deadline));
        self.time.advance(Duration::from_secs(3600));
        Some(Duration::ZERO)
    }
}

#[test]
fn a_handler_sees_the_time_after_the_poll() {
    let clock = Passing::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    let start = io_loop.now();
    let (socket, peer) = socket_pair();
    write_all(&peer, b"x");
    let seen = Trace::default();
    io_loop
        .add_handler(&socket, Events::READ, {
            let seen = seen.clone();
            move |_, _| {
                seen.push(IoLoop::current().now() - start);
                IoLoop::current().stop();
            }
        })
        .unwrap();
    io_loop.start().unwrap();
    assert_eq!(seen.take(), [Duration::from_secs(3600)]);
}

/// The loop must not sleep for the time that the first one took.
#[test]
fn a_slow_timeout_does_not_delay_the_next() {
    let clock = Passing::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    let start = io_loop.now();
    let second = Duration::from_secs(1);
    io_loop.call_at(start, {
        let clock = clock.clone();
        move || {
            clock.time.advance(second);
            IoLoop::current().call_at(start + 3 * second, || IoLoop::current().stop());
        }
    });
    io_loop.start().unwrap();
    assert_eq!(clock.asked.take(), [(start + second, Some(start + 3 * second))]);
    // Nor for what took long before the first timeout of all was armed.
    let start = clock.monotonic();
    io_loop.spawn({
        let clock = clock.clone();
        async move {
            clock.time.advance(second);
            let registration = Registration::detached(&IoLoop::current(), Ready::NONE).unwrap();
            registration.flush_later(Rc::new(ArmsWhenFlushed(start + 3 * second)));
        }
    });
    io_loop.start().unwrap();
    assert_eq!(clock.asked.take(), [(start + second, Some(start + 3 * second))]);
}

struct ArmsWhenFlushed(Instant);

impl EventTarget for ArmsWhenFlushed {
    fn ready(self: Rc<Self>, _: Ready) {}

    fn flush(self: Rc<Self>) {
        IoLoop::current().call_at(self.0, || IoLoop::current().stop());
    }

    fn loop_closed(self: Rc<Self>) {}
}

//! What timers cost: the time to arm and cancel one, beside few and beside a million others.
//!
//! ```sh
//! cargo run --release -p landspout-ioloop --example timers
//! ```
//!
//! `timers turns 100000` makes so many turns of a loop with 100 timers and does nothing else; two counts of them under
//! `valgrind --tool=callgrind` give the instructions of one turn.

use std::hint::black_box;
use std::time::{Duration, Instant};

use landspout_ioloop::{IoLoop, TimeoutHandle};

const ROUNDS: u32 = 2_000_000;
const SECOND: Duration = Duration::from_secs(1);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let ["turns", count] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return turns(count.parse().expect("a number of turns"));
    }
    println!("{:>9}  ns to arm and cancel a timer", "armed");
    for armed in [0, 1000, 1_000_000] {
        // Spread over an hour, as idle connections are.
        let io_loop = with_timers(armed, |i| SECOND * 60 + SECOND * 3600 * i / armed.max(1));
        let far = cost(&io_loop, |at, i| at + SECOND * 30 + Duration::from_micros(u64::from(i)));
        println!("{armed:9}  {far:5.1}  among timers of an hour");
        // All within a second.
        let io_loop = with_timers(armed, |i| SECOND * 60 + SECOND * i / armed.max(1));
        let crowded = cost(&io_loop, |at, i| at + SECOND * 60 + Duration::from_nanos(u64::from(i % 1_000_000) * 1000));
        println!("{armed:9}  {crowded:5.1}  among timers of the same second");
        let earliest = cost(&io_loop, |at, _| at + SECOND * 59);
        println!("{armed:9}  {earliest:5.1}  each the earliest of all");
        let cancelled = cancel_earliest(&io_loop, armed);
        println!("{armed:9}  {cancelled:5.1}  cancelling the earliest of them, again and again");
    }
}

fn with_timers(count: u32, delay: impl Fn(u32) -> Duration) -> IoLoop {
    let io_loop = IoLoop::new().expect("a loop");
    let now = io_loop.now();
    for i in 0..count {
        io_loop.call_at(now + delay(i), || {});
    }
    io_loop
}

/// Nanoseconds for a pair of arming and cancelling.
fn cost(io_loop: &IoLoop, at: impl Fn(Instant, u32) -> Instant) -> f64 {
    let now = io_loop.now();
    let begin = Instant::now();
    for i in 0..ROUNDS {
        let timeout = io_loop.call_at(at(now, i), || {});
        io_loop.remove_timeout(black_box(timeout));
    }
    begin.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
}

/// Keeps a window of timers before all others, and always cancels the first of them.
fn cancel_earliest(io_loop: &IoLoop, window: u32) -> f64 {
    let now = io_loop.now();
    let at = |i: u32| now + SECOND * 60 + Duration::from_micros(u64::from(i));
    let mut timeouts: Vec<TimeoutHandle> = (0..window.max(1)).map(|i| io_loop.call_at(at(i), || {})).collect();
    timeouts.reverse();
    let begin = Instant::now();
    let count = timeouts.len();
    while let Some(timeout) = timeouts.pop() {
        io_loop.remove_timeout(timeout);
    }
    begin.elapsed().as_nanos() as f64 / count as f64
}

fn turns(count: u32) {
    fn again(left: u32) {
        match left {
            0 => IoLoop::current().stop(),
            _ => IoLoop::current().add_callback(move || again(left - 1)),
        }
    }
    let io_loop = with_timers(100, |i| SECOND * (60 + i));
    again(count);
    io_loop.start().expect("the loop runs");
}

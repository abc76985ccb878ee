//! Callbacks that come again and again, one of them slower than its period, while a thread works.
//!
//! ```sh
//! cargo run --example periodic
//! ```
//! In Tornado: `PeriodicCallback` and `IOLoop.run_in_executor`. Here an async callback has a constructor of its own, and a
//! callback ends its schedule by what it returns.

mod support;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Instant;

use landspout::ioloop::{IoLoop, PeriodicCallback, sleep};

fn main() -> Result<(), support::Failure> {
    let ticks = support::Flag("--ticks", "N", "end after so many ticks, if the primes are counted; 0 for never [10]");
    let period = support::Flag("--period", "MS", "the time between two ticks, in milliseconds [100]");
    let arguments =
        support::Arguments::read("Ticks, polls slowly, and counts primes on another thread.", &[ticks, period]);
    let last: u64 = arguments.value("--ticks").unwrap_or(10);
    let period: f64 = arguments.value("--period").unwrap_or(100.0);

    support::stop_on_signals()?;
    let io_loop = IoLoop::current();
    say("the start");

    let mut tick = 0;
    let counted = Rc::new(Cell::new(false));
    let has_counted = counted.clone();
    let ticking = PeriodicCallback::new(
        move || {
            tick += 1;
            say(&format!("tick {tick}"));
            if last == 0 || tick < last || !has_counted.get() {
                return ControlFlow::Continue(());
            }
            IoLoop::current().stop();
            ControlFlow::Break(())
        },
        period,
    )?;
    ticking.start();

    // A call takes two and a half periods, so the next one comes a half later: never two at once. With jitter each period is
    // up to 5 % shorter or longer, so that ten of this program, started together, would not stay in step.
    let pause = ticking.callback_time().saturating_mul(5) / 2;
    let polling = PeriodicCallback::new_async(
        async move || {
            say("a slow poll begins");
            sleep(pause).await;
            say("the slow poll ends");
        },
        period,
    )?
    .jitter(0.1)?;
    polling.start();

    // Done here, this would hold up the ticks. Another thread does it, and its result comes back to the loop.
    let primes = io_loop.run_in_executor(None, || (2_u32..100_000).filter(|n| is_prime(*n)).count());
    io_loop.add_future(primes, move |count| {
        match count {
            Ok(count) => say(&format!("there are {count} primes below 100,000")),
            Err(error) => say(&format!("nobody knows how many primes there are: {error}")),
        }
        counted.set(true);
    });

    io_loop.start()?;
    say("the end");
    Ok(())
}

/// By trial, which takes its time.
fn is_prime(n: u32) -> bool {
    (2..n).take_while(|i| i * i <= n).all(|i| n % i != 0)
}

thread_local! {
    static BEGIN: Instant = IoLoop::current().now();
}

/// With the time since the start, by the loop's clock.
fn say(what: &str) {
    let since = IoLoop::current().now() - BEGIN.with(|begin| *begin);
    println!("{:5} ms: {what}", since.as_millis());
}

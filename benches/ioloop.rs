//! What the loop's own work costs: a turn, waking a task, arming and cancelling a timer.

mod parts;

use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use landspout::ioloop::{Deadline, IoLoop};

fn main() {
    parts::run(&[turn, wake, timer]);
}

/// A turn with one callback, which asks for the next one: callbacks, timeouts, a look at the poller that doesn't wait.
fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn with a system call");
    for timers in [0, 100] {
        let io_loop = with_timers(timers);
        group.bench_function(BenchmarkId::new("timers armed", timers), |bencher| {
            bencher.iter_custom(|turns| {
                io_loop.make_current();
                again(turns);
                let begin = Instant::now();
                io_loop.start().expect("the loop runs");
                begin.elapsed()
            });
        });
    }
    group.finish();
}

fn again(left: u64) {
    match left {
        0 => IoLoop::current().stop(),
        _ => IoLoop::current().add_callback(move || again(left - 1)),
    }
}

/// A task is woken and polled. Woken tasks run in the same turn for a limited number of rounds, so that a part of a turn is
/// in each.
fn wake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wake");
    for tasks in [1, 64] {
        group.throughput(Throughput::Elements(tasks));
        group.bench_function(BenchmarkId::new("tasks", tasks), |bencher| {
            let io_loop = IoLoop::new().expect("a loop");
            bencher.iter_custom(|rounds| {
                let handles: Vec<_> = (0..tasks).map(|_| io_loop.spawn(woken(rounds))).collect();
                let begin = Instant::now();
                let all = async {
                    for handle in handles {
                        handle.await.expect("a task that ends");
                    }
                };
                io_loop.run_sync(all).expect("the loop runs");
                begin.elapsed()
            });
        });
    }
    group.finish();
}

/// Ends when it was woken so often.
async fn woken(mut times: u64) {
    poll_fn(|cx| {
        if times == 0 {
            return Poll::Ready(());
        }
        times -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A timer that is cancelled before it is due, as nearly all are, beside others; and a connection's deadline that is set anew.
fn timer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timer");
    for armed in [0, 1_000, 1_000_000] {
        let io_loop = with_timers(armed);
        let soon = io_loop.now() + Duration::from_secs(30);
        group.bench_function(BenchmarkId::new("arm and cancel", armed), |bencher| {
            let mut i = 0;
            bencher.iter(|| {
                i = (i + 1) % 1_000_000;
                let timeout = io_loop.call_at(soon + Duration::from_micros(i), || {});
                io_loop.remove_timeout(black_box(timeout));
            });
        });
        group.bench_function(BenchmarkId::new("set a deadline anew", armed), |bencher| {
            let deadline = Deadline::new(&io_loop);
            let mut i = 0;
            bencher.iter(|| {
                i += 1;
                deadline.set(black_box(soon + Duration::from_micros(i)));
            });
        });
    }
    group.finish();
}

/// With so many timers, spread over an hour, as those of idle connections are.
fn with_timers(count: u32) -> IoLoop {
    let io_loop = IoLoop::new().expect("a loop");
    let begin = io_loop.now() + Duration::from_secs(60);
    for i in 0..count {
        io_loop.call_at(begin + Duration::from_secs(3600) * i / count, || {});
    }
    io_loop
}

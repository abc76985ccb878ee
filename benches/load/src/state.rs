//! The state of the machine: how long a cache line needs from one CPU to another and back. A virtual machine's CPUs may be
//! moved by their host, so that they share a cache now and then; the same work needs a quarter less time then.

use std::hint;
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Error;

/// Short enough that few are disturbed, long enough for the clock.
const ROUND_TRIPS: u32 = 2_000;
const REPETITIONS: usize = 15;
const END: u32 = u32::MAX;

/// Nanoseconds a round trip: the median of several measurements.
pub(crate) fn round_trip(one: usize, other: usize) -> Result<f64, Error> {
    let line = Line(AtomicU32::new(0));
    thread::scope(|scope| {
        let line = &line;
        let asking = scope.spawn(move || {
            // Nobody spins before both are where they belong: one could keep the other from getting there.
            pin(one).map_err(|error| format!("CPU {one}: {error}"))?;
            let (ready, pinned) = mpsc::channel();
            scope.spawn(move || {
                let outcome = pin(other).map_err(|error| format!("CPU {other}: {error}"));
                let answering = outcome.is_ok();
                if ready.send(outcome).is_ok() && answering {
                    answer(line);
                }
            });
            pinned.recv().map_err(|error| error.to_string())??;
            let mut times: Vec<f64> = (0..REPETITIONS).map(|_| ask(line)).collect();
            line.0.store(END, Release);
            times.sort_by(f64::total_cmp);
            Ok::<f64, String>(times[REPETITIONS / 2])
        });
        Ok(asking.join().map_err(|_| "the asking thread panicked")??)
    })
}

fn ask(Line(line): &Line) -> f64 {
    let begin = Instant::now();
    for trip in 0..ROUND_TRIPS {
        line.store(2 * trip + 1, Release);
        while line.load(Acquire) != 2 * trip + 2 {
            hint::spin_loop();
        }
    }
    begin.elapsed().as_nanos() as f64 / f64::from(ROUND_TRIPS)
}

/// Adds one to each odd number.
fn answer(Line(line): &Line) {
    loop {
        match line.load(Acquire) {
            END => return,
            question if question % 2 == 1 => line.store(question + 1, Release),
            _ => hint::spin_loop(),
        }
    }
}

/// The calling thread runs on this CPU alone, from now on.
pub(crate) fn pin(cpu: usize) -> rustix::io::Result<()> {
    let mut cpus = CpuSet::new();
    if cpu >= CpuSet::MAX_CPU {
        return Err(rustix::io::Errno::INVAL);
    }
    cpus.set(cpu);
    sched_setaffinity(None, &cpus)
}

/// A cache line of its own, and its neighbours, since these are fetched with it.
#[repr(align(256))]
struct Line(AtomicU32);

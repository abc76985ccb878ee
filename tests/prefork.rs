//! The example `start_fork` as whoever runs it in production sees it: workers that crash under load, and the end.

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use support::client::{Client, get};
use support::{DEADLINE, Example, is_running, send_signal};

/// A connection, and who answers on it.
struct Witness {
    client: Client,
    worker: Worker,
}

/// A worker's place and its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Worker {
    id: usize,
    pid: u32,
}

/// Reads `worker 1 (pid 1234)`.
fn worker(words: &str) -> Option<Worker> {
    let (id, pid) = words.strip_prefix("worker ")?.strip_suffix(")")?.split_once(" (pid ")?;
    Some(Worker { id: id.parse().ok()?, pid: pid.parse().ok()? })
}

/// Who answers.
fn ask(client: &mut Client) -> std::io::Result<Worker> {
    let answer = client.try_ask(&get("/"))?;
    let words = answer.text().trim_end().strip_prefix("Hello from ");
    Ok(words.and_then(worker).unwrap_or_else(|| panic!("unexpected answer {answer:?}")))
}

/// Starts the server and waits until all of its workers serve.
fn start(workers: usize) -> (Example, Vec<Worker>) {
    let example = Example::start("start_fork", &["--workers", &workers.to_string()]);
    let serving = example.wait_for("that all workers serve", |output| {
        let serving: Vec<Worker> = output.lines().filter_map(serves).collect();
        (serving.len() == workers).then_some(serving)
    });
    (example, serving)
}

fn serves(line: &str) -> Option<Worker> {
    line.strip_suffix(" serves").and_then(worker)
}

/// Opens connections until each of `wanted` answers on one. Connections come in bursts, so that no worker can take them all.
fn connect_to_each(address: SocketAddr, wanted: &[Worker]) -> Vec<Witness> {
    let end = Instant::now() + DEADLINE;
    let mut witnesses: Vec<Witness> = Vec::new();
    loop {
        let missing: Vec<&Worker> =
            wanted.iter().filter(|worker| !witnesses.iter().any(|witness| witness.worker == **worker)).collect();
        if missing.is_empty() {
            return witnesses;
        }
        assert!(Instant::now() < end, "{missing:?} took no connection within {DEADLINE:?}");
        let mut burst: Vec<Client> = (0..24).map(|_| Client::connect(address)).collect();
        for mut client in burst.drain(..) {
            let worker = ask(&mut client).unwrap();
            // Two for each are enough, and leave descriptors for another burst.
            if witnesses.iter().filter(|witness| witness.worker == worker).count() < 2 {
                witnesses.push(Witness { client, worker });
            }
        }
    }
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_the_others_notice_nothing() {
    let (example, mut workers) = start(3);
    let address = example.address();
    for (signal, victim) in [("KILL", 1), ("SEGV", 2)] {
        let victim = *workers.iter().find(|worker| worker.id == victim).unwrap();
        let (mut lost, mut kept): (Vec<_>, Vec<_>) =
            connect_to_each(address, &workers).into_iter().partition(|witness| witness.worker == victim);
        let (rounds, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        let replacement = thread::scope(|scope| {
            // Whatever fails in here ends the steady requests, or the scope would wait for them.
            let stop = StopOnDrop(&done);
            let steady = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for Witness { client, worker } in &mut kept {
                        let answered = ask(client).unwrap_or_else(|error| panic!("connection to {worker:?}: {error}"));
                        assert_eq!(answered, *worker);
                    }
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
            wait_for_rounds(&rounds, 3, &steady);
            send_signal(signal, victim.pid);
            let replacement = example.wait_for("that the worker was replaced", |output| {
                output.lines().filter_map(serves).find(|new| new.id == victim.id && !workers.contains(new))
            });
            // It serves, and under the same id.
            connect_to_each(address, &[replacement]);
            let before = rounds.load(Ordering::Relaxed);
            wait_for_rounds(&rounds, before + 3, &steady);
            drop(stop);
            replacement
        });
        assert!(!is_running(victim.pid), "{victim:?} survived SIG{signal}");
        // The victim's own connections are gone, as they must be.
        lost.iter_mut().for_each(|witness| witness.client.expect_end());
        workers.retain(|worker| *worker != victim);
        workers.push(replacement);
    }
    example.terminate();
    assert!(!workers.iter().any(|worker| is_running(worker.pid)), "a worker of {workers:?} outlived its parent");
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until the steady requests have gone round so often, or have failed.
fn wait_for_rounds(rounds: &AtomicUsize, count: usize, steady: &thread::ScopedJoinHandle<'_, ()>) {
    let end = Instant::now() + DEADLINE;
    while rounds.load(Ordering::Relaxed) < count {
        assert!(!steady.is_finished(), "a steady request failed");
        assert!(Instant::now() < end, "the steady requests stand still");
        thread::yield_now();
    }
}

#[test]
fn sigterm_to_the_parent_ends_everything_with_status_0() {
    let (example, workers) = start(2);
    let mut witnesses = connect_to_each(example.address(), &workers);
    let address = example.address();
    example.terminate();
    assert!(!workers.iter().any(|worker| is_running(worker.pid)), "a worker of {workers:?} outlived its parent");
    witnesses.iter_mut().for_each(|witness| witness.client.expect_end());
    assert!(Client::try_connect(address).is_err(), "somebody still listens");
}

#[test]
#[cfg(target_os = "linux")]
fn workers_end_with_a_parent_that_was_killed() {
    let (example, workers) = start(2);
    send_signal("KILL", example.pid());
    let exit = example.wait_for_end();
    assert!(!exit.success());
    let end = Instant::now() + DEADLINE;
    // Their pipes are closed; whoever inherited them has yet to take notice.
    while workers.iter().any(|worker| is_running(worker.pid)) {
        assert!(Instant::now() < end, "a worker of {workers:?} outlived its parent");
        thread::yield_now();
    }
}

//! A worker that does what it is told: the tests of this crate drive it, since a test itself cannot fork.
//!
//! `fork_worker WORKERS MAX_RESTARTS [loop | thread | events]` forks; each worker connects to `$FORK_WORKER_ADDRESS`, says
//! `ID PID`, and obeys one command per line:
//!
//! - `exit STATUS`, `raise NUMBER`: ends in this way
//! - `id`: answers with the task id
//! - `again`: calls `fork_processes` once more and answers with the error
//! - `overflow`: ends by a stack overflow
//! - `wait`: blocks TERM, INT and HUP, answers `waiting`, and answers with the name of the signal that comes
//!
//! With `events`, the parent prints what it is told of its workers on standard error, each with its own pid. When one has
//! ended it also does what the word after `events` says: it panics (`events-panic`), leaves a thread (`events-thread`) or a
//! loop (`events-loop`) behind, or forks (`events-fork`).
//!
//! The parent prints an error of `fork_processes` and ends with status 3. Log lines go to standard error.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::exit;
use std::thread;

use landspout_ioloop::IoLoop;
use landspout_process::{ForkOptions, WorkerEvent, task_id};
use nix::sys::signal::{SigSet, Signal, raise};

fn main() -> Result<(), Box<dyn Error>> {
    tracing::subscriber::set_global_default(log::ToStderr)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [workers, max_restarts, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: fork_worker WORKERS MAX_RESTARTS [loop | thread | events]");
        exit(2);
    };
    let io_loop = rest.iter().any(|word| word == "loop").then(IoLoop::current);
    if rest.iter().any(|word| word == "thread") {
        thread::spawn(thread::park);
    }
    // Without a line end, so that it stays in the buffer: it must come out once and not once per process.
    print!("before the fork;");
    let mut options = ForkOptions::new().max_restarts(max_restarts.parse()?);
    if let Some(word) = rest.iter().find(|word| word.starts_with("events")).cloned() {
        options = options.on_worker(move |event| told(event, &word));
    }
    match options.fork_processes(workers.parse::<usize>()?) {
        Ok(id) => obey(id),
        Err(error) => {
            println!("error: {error}");
            drop(io_loop);
            exit(3);
        }
    }
}

/// In the parent.
fn told(event: WorkerEvent, word: &str) {
    let me = std::process::id();
    match event {
        WorkerEvent::Started { task_id, pid, .. } => eprintln!("EVENT {me} started {task_id} {pid}"),
        WorkerEvent::Ended { task_id, pid, status, replaced, .. } => {
            let status = status.map(|status| status.to_string()).unwrap_or_default();
            eprintln!("EVENT {me} ended {task_id} {pid} {status}, replaced: {replaced}");
            match word {
                "events-panic" => panic!("told of an end"),
                "events-thread" => drop(thread::spawn(thread::park)),
                "events-loop" => std::mem::forget(IoLoop::current()),
                "events-fork" => eprintln!("EVENT {:?}", landspout_process::fork_processes(1)),
                _ => {}
            }
        }
        _ => exit(96),
    }
}

fn obey(id: usize) -> Result<(), Box<dyn Error>> {
    let mut answers = TcpStream::connect(std::env::var("FORK_WORKER_ADDRESS")?)?;
    writeln!(answers, "{id} {}", std::process::id())?;
    for line in BufReader::new(answers.try_clone()?).lines() {
        let line = line?;
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["exit", status] => exit(status.parse()?),
            ["raise", number] => raise(Signal::try_from(number.parse::<i32>()?)?)?,
            ["overflow"] => drop(overflow(0)),
            ["id"] => writeln!(answers, "{:?}", task_id())?,
            ["again"] => match landspout_process::fork_processes(1) {
                Ok(_) => exit(99),
                Err(error) => writeln!(answers, "{error}")?,
            },
            ["wait"] => {
                let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
                signals.thread_block()?;
                writeln!(answers, "waiting")?;
                writeln!(answers, "{}", signals.wait()?)?;
            }
            _ => exit(98),
        }
    }
    exit(97)
}

#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> [u64; 512] {
    std::hint::black_box(overflow(std::hint::black_box(depth + 1)))
}

/// The smallest subscriber that prints events.
mod log {
    use std::fmt::{Debug, Write};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    pub(crate) struct ToStderr;

    impl Subscriber for ToStderr {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_event()
        }

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            eprintln!("{}", line.0);
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            let _ = match field.name() {
                "message" => write!(self.0, " {value:?}"),
                name => write!(self.0, " {name}={value:?}"),
            };
        }
    }
}

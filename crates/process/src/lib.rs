//! Forking a server into worker processes and keeping them alive; other programs as children (Tornado's `process`).
//!
//! [`fork_processes`] turns one process into a parent and its workers. It returns in each worker, with the worker's id; the
//! parent stays inside, replaces workers that die, passes signals on, and exits when the last one has ended.
//!
//! ```no_run
//! use landspout_process::fork_processes;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let socket = std::net::TcpListener::bind("127.0.0.1:8888")?; // before the fork: all workers share it
//!     let id = fork_processes(None)?; // one worker per CPU; from here on there are several of us
//!     println!("worker {id} is process {}", std::process::id());
//!     loop {
//!         let (connection, peer) = socket.accept()?;
//! #       drop((connection, peer));
//!     }
//! }
//! ```
//!
//! `Subprocess` (feature `subprocess`) starts other programs beside an event loop: their pipes are streams, their end is an
//! event. Nothing of that is needed for forking, nor compiled for it.
//!
//! # Before the fork
//! Open the listening sockets; make no event loop and no thread. A loop's poller would be shared by parent and children, and
//! a thread would be missing in the children with whatever lock it held. Both are refused with an error ([`ForkError`]).
//!
//! # Signals
//! | to the parent | does |
//! |---|---|
//! | `SIGTERM`, `SIGINT`, `SIGHUP` | the same signal goes to each worker, none is replaced any more, and when all have ended the parent exits with status 0 |
//! | a second one of these | the workers are killed (`SIGKILL`) |
//! | one that was ignored when the program started (`nohup`, a shell's `&`) | stays ignored |
//! | `SIGKILL` | the kernel sends `SIGTERM` to each worker (on Linux) |
//!
//! A worker starts with the signal mask and the handlers that the process had before the call, so that it may end
//! gracefully on the signal that reaches it. `Ctrl-C` at a terminal reaches parent and workers alike; the parent does not
//! send it to them once more. A worker that changes its user or group id, or its capabilities, loses the signal at its
//! parent's death (prctl(2), `PR_SET_PDEATHSIG`): drop privileges before the fork. A `SIGSEGV` that somebody sends ends a
//! worker at once; std's own handler, which looks for stack overflows and goes on doing so, would swallow the first.
//!
//! # Restarts
//! A worker that ends with a status other than 0, or by a signal, is replaced by one with the same id, until the total
//! exceeds [`max_restarts`](ForkOptions::max_restarts). The first replacement is immediate. While workers go on dying
//! without a second of quiet between, each replacement waits twice as long as the last, up to 256 ms: a crash at start-up
//! costs no CPU worth mentioning, and a healthy service is still back within the second.
//!
//! # Differences from Tornado
//! - **Signals reach the workers, and they end with their parent.** Tornado's parent dies alone and leaves its children running
//!   (Tornado issue 1912).
//! - **After too many restarts** the other workers are told to stop, and killed if nothing has moved for ten seconds, before
//!   the error returns. Tornado leaves them running.
//! - **The parent can be told of its workers**, their pids among it ([`on_worker`](ForkOptions::on_worker); Tornado issue
//!   2949).
//! - **Restarts that follow each other closely are delayed**, see above. Tornado forks at full speed.
//! - **An existing loop is refused**, as in Tornado 4 and unlike later versions; a second thread is refused as well.
//! - **A second call** is an error in a worker ([`ForkError::AlreadyForked`]), where Tornado has an assertion.
//! - **Only its own children** are waited for: other child processes of the program keep their exit status. As process 1 of a
//!   container the parent is no init: what its workers orphan stays as zombies.
//! - **No random generator is reseeded**: std has none. The hash keys of `HashMap` may be the same in all workers, as they
//!   are whenever a process forks.
//! - **[`cpu_count`]** is the number of CPUs this process may use (affinity, cgroup quota), not of those in the machine.
//! - **`Subprocess` takes std's `Command`**, where `Stdio::piped()` is what `Subprocess.STREAM` is in Tornado: a pipe that
//!   blocks would be of no use on a loop. Its exit callback gets a status, of which `returncode` makes Python's number.
//! - **Waiting and the exit callback don't exclude each other**: Tornado's `wait_for_exit` takes the callback's place.
//! - **`initialize` and `uninitialize` are not needed**: the loop listens to SIGCHLD while a child runs, beside the program's
//!   own handler for it, and on any thread.
//! - **A status that somebody else took** is an error; Tornado waits for it for ever.
//!
//! Linux is tested. On other Unix systems there is no check for threads, no signal at the parent's death, no delay between
//! restarts (their number is limited as everywhere) and no limit of ten seconds.
#![deny(unsafe_code)]

mod error;
// fork(2) and a few signal calls have no safe wrapper; nothing else in the workspace may contain unsafe code.
#[allow(unsafe_code)]
mod fork;
mod prefork;
#[cfg(feature = "subprocess")]
mod subprocess;
mod supervisor;
mod task;

pub use error::ForkError;
pub use prefork::{DEFAULT_MAX_RESTARTS, ForkOptions, WorkerEvent, fork_processes};
#[cfg(feature = "subprocess")]
pub use subprocess::{Subprocess, SubprocessError, SubprocessOptions, WaitForExit, returncode};
pub use task::{cpu_count, task_id};

/// Its examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! The parent's life: start the workers, then wait for signals until the last worker has ended.
//!
//! Rules:
//! - TERM, INT, HUP and CHLD are blocked before the first fork and taken from the queue one by one. No handler runs, nothing is
//!   interrupted, nothing is lost between two waits.
//! - A worker has the mask and the actions of before back when `run` returns there, and is sure to end with its parent.
//! - Once a stop signal was seen, or the service was given up, no worker is started any more.
//! - Only pids in `workers` are waited for or signalled: they are ours until we have waited for them.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::process::{self, ExitStatus};
use std::time::Duration;

use landspout_ioloop::{IoLoop, log_panic};
use libc::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM};

use crate::fork::{
    DefaultChildAction, Forked, HAS_TIMED_WAIT, OneThread, Pid, Signal, SignalSet, Taken, any_pending, is_ignored,
    kill, let_sent_faults_kill, process_group, try_wait, wait, wait_for_signal,
};
use crate::prefork::OnWorker;
use crate::task::set_task_id;
use crate::{ForkError, WorkerEvent};

/// A second without a death ends a series of restarts.
const QUIET: Duration = Duration::from_secs(1);
/// The longest delay before a restart: short enough for a replacement to serve within a second.
const MAX_DELAY: Duration = Duration::from_millis(256);
/// How long a service that was given up waits for the next of its workers to end before it kills them.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) max_restarts: usize,
    pub(crate) on_worker: Option<OnWorker>,
}

/// Whether forking is safe now: there is neither a loop nor a second thread.
pub(crate) fn may_fork() -> Result<OneThread, ForkError> {
    if IoLoop::exists_in_process() {
        return Err(ForkError::LoopExists);
    }
    OneThread::check().map_err(|count| ForkError::ThreadsRunning { count })
}

/// Returns the id in each worker. In the parent, returns when the service was given up, else exits.
pub(crate) fn run(one_thread: OneThread, plan: Plan) -> Result<usize, ForkError> {
    let signals = Signals::block()?;
    let mut supervisor = Supervisor {
        one_thread,
        signals,
        parent: process::id(),
        workers: Vec::with_capacity(plan.workers),
        waiting: VecDeque::new(),
        max_restarts: plan.max_restarts,
        on_worker: plan.on_worker,
        restarts: 0,
        streak: 0,
        stop_signals: 0,
        failure: None,
    };
    tracing::info!(workers = plan.workers, "starting worker processes");
    let place = supervisor.supervise(plan.workers);
    let Supervisor { signals, failure, .. } = supervisor;
    // Mask and actions are as before, here and in the worker.
    drop(signals);
    if let Some(id) = place {
        return Ok(id);
    }
    match failure {
        Some(error) => Err(error),
        None => process::exit(0),
    }
}

struct Supervisor {
    one_thread: OneThread,
    signals: Signals,
    parent: u32,
    workers: Vec<Worker>,
    /// Foreign code: after it, nothing is known about threads and loops any more.
    on_worker: Option<OnWorker>,
    /// Ids whose worker died, to be started again in this order.
    waiting: VecDeque<usize>,
    max_restarts: usize,
    restarts: usize,
    /// Restarts since the last quiet second.
    streak: u32,
    /// Stop signals that the parent was sent.
    stop_signals: u32,
    /// The service was given up for this reason.
    failure: Option<ForkError>,
}

struct Worker {
    id: usize,
    pid: Pid,
    /// No stop signal was queued when its fork was over. So one that comes from the terminal later reached it as well.
    settled: bool,
}

impl Supervisor {
    /// From the first fork until all workers have ended; the id in a worker.
    fn supervise(&mut self, workers: usize) -> Option<usize> {
        for id in 0..workers {
            match self.start(id) {
                Ok(Place::Worker) => return Some(id),
                Ok(Place::Parent) => {}
                Err(error) => {
                    self.give_up(error);
                    break;
                }
            }
        }
        while !(self.workers.is_empty() && self.waiting.is_empty()) {
            match wait_for_signal(&self.signals.awaited, self.timeout()) {
                Ok(Some(Taken { signal: SIGCHLD, .. })) => self.reap(),
                Ok(Some(stop)) => self.stop(stop),
                Ok(None) => {
                    if let Some(id) = self.time_is_up() {
                        return Some(id);
                    }
                }
                // Not to be expected; if it lasts, workers could neither be replaced nor stopped.
                Err(error) => {
                    self.give_up(ForkError::system("sigtimedwait", error));
                    self.send_all(SIGKILL);
                    self.wait_for_all();
                }
            }
        }
        None
    }

    /// Forks one worker, and in the worker puts everything in order.
    fn start(&mut self, id: usize) -> Result<Place, ForkError> {
        if self.on_worker.is_some() {
            self.one_thread = may_fork()?;
        }
        match self.one_thread.fork().map_err(|error| ForkError::system("fork", error))? {
            Forked::Parent { child: pid } => {
                let settled = !any_pending(&self.signals.stops);
                tracing::debug!(id, pid, "worker started");
                self.workers.push(Worker { id, pid, settled });
                self.tell(WorkerEvent::Started { task_id: id, pid: number(pid) });
                Ok(Place::Parent)
            }
            Forked::Child => {
                set_task_id(id);
                let_sent_faults_kill();
                end_with_parent(self.parent);
                Ok(Place::Worker)
            }
        }
    }

    /// How long to wait for a signal, and what the end of that time means: see `time_is_up`.
    fn timeout(&self) -> Option<Duration> {
        if self.failure.is_some() {
            HAS_TIMED_WAIT.then_some(GRACE)
        } else if !self.waiting.is_empty() {
            Some(delay(self.streak))
        } else if self.streak > 0 {
            HAS_TIMED_WAIT.then_some(QUIET)
        } else {
            None
        }
    }

    fn time_is_up(&mut self) -> Option<usize> {
        if self.failure.is_some() {
            tracing::warn!(workers = self.workers.len(), "workers did not stop: killing them");
            self.send_all(SIGKILL);
        } else if let Some(id) = self.waiting.pop_front() {
            self.streak = self.streak.saturating_add(1);
            match self.start(id) {
                Ok(Place::Worker) => return Some(id),
                Ok(Place::Parent) => {}
                Err(error) => {
                    // Short of memory or processes for now, or of one thread: that counts as one more death.
                    tracing::warn!(id, "cannot start a worker: {}", reason(&error));
                    self.replace(id, || error);
                }
            }
        } else {
            self.streak = 0;
        }
        None
    }

    /// Waits for every worker that has ended; one SIGCHLD may stand for several.
    fn reap(&mut self) {
        let mut ended = Vec::new();
        self.workers.retain(|worker| match try_wait(worker.pid).transpose() {
            None => true,
            Some(status) => {
                ended.push((worker.id, worker.pid, status));
                false
            }
        });
        for (id, pid, status) in ended {
            let replaced = self.ended(id, pid, &status);
            self.tell(WorkerEvent::Ended { task_id: id, pid: number(pid), status: status.ok(), replaced });
        }
    }

    /// Decides what the end of a worker means; whether another one takes its place.
    fn ended(&mut self, id: usize, pid: Pid, status: &io::Result<ExitStatus>) -> bool {
        let (code, signal) = status.as_ref().map_or((None, None), |status| (status.code(), status.signal()));
        match (code, signal) {
            (Some(0), _) => {
                tracing::info!(id, pid, "worker ended");
                return false;
            }
            _ if self.stop_signals > 0 || self.failure.is_some() => {
                tracing::info!(id, pid, "worker stopped");
                return false;
            }
            (Some(status), _) => tracing::warn!(id, pid, status, "worker failed"),
            (None, Some(signal)) => tracing::warn!(id, pid, signal = name(signal), "worker was killed"),
            // ECHILD: somebody else waited for it.
            (None, None) => tracing::warn!(id, pid, "worker died"),
        }
        let max_restarts = self.max_restarts;
        self.replace(id, || ForkError::TooManyRestarts { max_restarts })
    }

    fn tell(&self, event: WorkerEvent) {
        let Some(on_worker) = &self.on_worker else { return };
        log_panic("in on_worker", || (on_worker.borrow_mut())(event));
    }

    /// Plans a restart of worker `id`, or gives up when there were too many; whether it was planned.
    fn replace(&mut self, id: usize, too_many: impl FnOnce() -> ForkError) -> bool {
        if self.failure.is_some() {
            return false;
        }
        if self.restarts >= self.max_restarts {
            self.give_up(too_many());
            return false;
        }
        self.restarts += 1;
        self.waiting.push_back(id);
        true
    }

    fn stop(&mut self, stop: Taken) {
        self.stop_signals += 1;
        self.waiting.clear();
        let signal = name(stop.signal);
        if self.stop_signals > 1 {
            tracing::warn!(signal, "second signal to stop: killing the workers");
            self.send_all(SIGKILL);
            return;
        }
        tracing::info!(signal, workers = self.workers.len(), "stopping");
        let group = process_group(0).ok();
        for worker in &self.workers {
            let has_it = stop.from_terminal && worker.settled && process_group(worker.pid).ok() == group;
            if !has_it {
                send(worker.pid, stop.signal);
            }
        }
    }

    fn give_up(&mut self, error: ForkError) {
        tracing::error!(workers = self.workers.len(), "giving up: {error}");
        self.waiting.clear();
        self.failure.get_or_insert(error);
        self.send_all(SIGTERM);
    }

    fn send_all(&self, signal: Signal) {
        for worker in &self.workers {
            send(worker.pid, signal);
        }
    }

    fn wait_for_all(&mut self) {
        while let Some(Worker { id, pid, .. }) = self.workers.pop() {
            let status = wait(pid).ok().flatten();
            self.tell(WorkerEvent::Ended { task_id: id, pid: number(pid), status, replaced: false });
        }
    }
}

/// As std counts them.
fn number(pid: Pid) -> u32 {
    pid.unsigned_abs()
}

/// As signal(7) calls it.
fn name(signal: Signal) -> String {
    // "signal: 9 (SIGKILL)"
    let shown = ExitStatus::from_raw(signal).to_string();
    shown.split(['(', ')']).nth(1).map_or_else(|| signal.to_string(), str::to_owned)
}

/// What a system call said, or what is in the way.
fn reason(error: &ForkError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Where a fork has taken us.
enum Place {
    Parent,
    Worker,
}

/// A worker that has ended meanwhile is a zombie until we wait for it: the signal does nothing.
fn send(pid: Pid, signal: Signal) {
    let _ = kill(pid, signal);
}

/// In a worker: asks for SIGTERM at the parent's death, and sends it if that has happened already.
fn end_with_parent(parent: u32) {
    #[cfg(target_os = "linux")]
    crate::fork::set_parent_death_signal(SIGTERM);
    // 0: the parent is in another pid namespace, after unshare(CLONE_NEWPID), and can't be recognised.
    let now = parent_id();
    if now != parent && now != 0 {
        // Still blocked: it is delivered when the mask is restored.
        send(process::id() as Pid, SIGTERM);
    }
}

/// The delay before the next restart: nothing for the first of a series, then doubling.
fn delay(streak: u32) -> Duration {
    match streak {
        0 => Duration::ZERO,
        _ => MAX_DELAY.min(Duration::from_millis(1).saturating_mul(2u32.saturating_pow(streak))),
    }
}

/// What the parent waits for, blocked until dropped.
struct Signals {
    /// The stop signals, without those that are ignored: a server under `nohup` doesn't end with its terminal.
    stops: Vec<Signal>,
    /// These and SIGCHLD.
    awaited: SignalSet,
    before: SignalSet,
    child_action: Option<DefaultChildAction>,
}

impl Signals {
    fn block() -> Result<Signals, ForkError> {
        let mut stops = vec![SIGTERM, SIGINT, SIGHUP];
        stops.retain(|&signal| !is_ignored(signal));
        let awaited = SignalSet::of(&[&stops[..], &[SIGCHLD]].concat());
        let before = awaited.block().map_err(|error| ForkError::system("sigprocmask", error))?;
        let mut signals = Signals { stops, awaited, before, child_action: None };
        let action = DefaultChildAction::set().map_err(|error| ForkError::system("sigaction", error))?;
        signals.child_action = Some(action);
        Ok(signals)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The action first: what is queued is delivered when the mask is back.
        self.child_action = None;
        let _ = self.before.set_as_mask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_their_names() {
        assert_eq!([SIGTERM, SIGKILL, libc::SIGABRT].map(name), ["SIGTERM", "SIGKILL", "SIGABRT"]);
        // One without a name is a number.
        assert!(!name(40).is_empty());
    }

    #[test]
    fn the_first_restart_is_immediate_and_none_waits_long() {
        assert_eq!(delay(0), Duration::ZERO);
        assert_eq!(delay(1), Duration::from_millis(2));
        assert_eq!(delay(7), Duration::from_millis(128));
        for streak in [8, 31, 32, u32::MAX] {
            assert_eq!(delay(streak), MAX_DELAY);
        }
    }
}

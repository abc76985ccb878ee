//! The parent's life: start the workers, then wait for signals until the last worker has ended.
//!
//! Rules:
//! - TERM, INT, HUP and CHLD are blocked before the first fork and taken from the queue one by one. No handler runs, nothing is
//!   interrupted, nothing is lost between two waits.
//! - A worker has the mask and the actions of before back when `run` returns there, and is sure to end with its parent.
//! - Once a stop signal was seen, or the service was given up, no worker is started any more.
//! - Only pids in `workers` are waited for or signalled: they are ours until we have waited for them.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, ExitStatus};
use std::time::Duration;

use landspout_ioloop::{IoLoop, panic_message};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getpgid, getpgrp, getpid, getppid};

use crate::fork::{
    DefaultChildAction, HAS_TIMED_WAIT, OneThread, Taken, any_pending, is_ignored, let_sent_faults_kill,
    wait_for_signal,
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
        parent: getpid(),
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
    parent: Pid,
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
                Ok(Some(Taken { signal: Signal::SIGCHLD, .. })) => self.reap(),
                Ok(Some(stop)) => self.stop(stop),
                Ok(None) => {
                    if let Some(id) = self.time_is_up() {
                        return Some(id);
                    }
                }
                // Not to be expected; if it lasts, workers could neither be replaced nor stopped.
                Err(errno) => {
                    self.give_up(ForkError::system("sigtimedwait", errno));
                    self.send_all(Signal::SIGKILL);
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
        match self.one_thread.fork().map_err(|errno| ForkError::system("fork", errno))? {
            ForkResult::Parent { child: pid } => {
                let settled = !any_pending(&self.signals.stops);
                tracing::debug!(id, %pid, "worker started");
                self.workers.push(Worker { id, pid, settled });
                self.tell(WorkerEvent::Started { task_id: id, pid: number(pid) });
                Ok(Place::Parent)
            }
            ForkResult::Child => {
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
            self.send_all(Signal::SIGKILL);
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
        self.workers.retain(|worker| match waitpid(worker.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => true,
            status => {
                ended.push((worker.id, worker.pid, status));
                false
            }
        });
        for (id, pid, status) in ended {
            let replaced = self.ended(id, pid, status);
            let status = status.ok().and_then(exit_status);
            self.tell(WorkerEvent::Ended { task_id: id, pid: number(pid), status, replaced });
        }
    }

    /// Decides what the end of a worker means; whether another one takes its place.
    fn ended(&mut self, id: usize, pid: Pid, status: nix::Result<WaitStatus>) -> bool {
        let pid = pid.as_raw();
        match status {
            Ok(WaitStatus::Exited(_, 0)) => {
                tracing::info!(id, pid, "worker ended");
                return false;
            }
            _ if self.stop_signals > 0 || self.failure.is_some() => {
                tracing::info!(id, pid, "worker stopped");
                return false;
            }
            Ok(WaitStatus::Exited(_, status)) => tracing::warn!(id, pid, status, "worker failed"),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                tracing::warn!(id, pid, signal = signal.as_str(), "worker was killed");
            }
            // ECHILD, if somebody else waited for it, or a signal that nix has no name for.
            _ => tracing::warn!(id, pid, "worker died"),
        }
        let max_restarts = self.max_restarts;
        self.replace(id, || ForkError::TooManyRestarts { max_restarts })
    }

    fn tell(&self, event: WorkerEvent) {
        let Some(on_worker) = &self.on_worker else { return };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (on_worker.borrow_mut())(event))) {
            tracing::error!("panic in on_worker: {}", panic_message(&*payload));
        }
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
        let signal = stop.signal.as_str();
        if self.stop_signals > 1 {
            tracing::warn!(signal, "second signal to stop: killing the workers");
            self.send_all(Signal::SIGKILL);
            return;
        }
        tracing::info!(signal, workers = self.workers.len(), "stopping");
        let group = getpgrp();
        for worker in &self.workers {
            let has_it = stop.from_terminal && worker.settled && getpgid(Some(worker.pid)) == Ok(group);
            if !has_it {
                send(worker.pid, stop.signal);
            }
        }
    }

    fn give_up(&mut self, error: ForkError) {
        tracing::error!(workers = self.workers.len(), "giving up: {error}");
        self.waiting.clear();
        self.failure.get_or_insert(error);
        self.send_all(Signal::SIGTERM);
    }

    fn send_all(&self, signal: Signal) {
        for worker in &self.workers {
            send(worker.pid, signal);
        }
    }

    fn wait_for_all(&mut self) {
        while let Some(Worker { id, pid, .. }) = self.workers.pop() {
            let status = loop {
                match waitpid(pid, None) {
                    Err(Errno::EINTR) => {}
                    status => break status,
                }
            };
            let status = status.ok().and_then(exit_status);
            self.tell(WorkerEvent::Ended { task_id: id, pid: number(pid), status, replaced: false });
        }
    }
}

/// As std counts them.
fn number(pid: Pid) -> u32 {
    pid.as_raw().unsigned_abs()
}

/// As wait(2) encodes it.
fn exit_status(status: WaitStatus) -> Option<ExitStatus> {
    const CORE_DUMPED: i32 = 0x80;
    match status {
        WaitStatus::Exited(_, code) => Some(ExitStatus::from_raw((code & 0xff) << 8)),
        WaitStatus::Signaled(_, signal, core) => {
            Some(ExitStatus::from_raw(signal as i32 | if core { CORE_DUMPED } else { 0 }))
        }
        _ => None,
    }
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
fn end_with_parent(parent: Pid) {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM);
    // 0: the parent is in another pid namespace, after unshare(CLONE_NEWPID), and can't be recognised.
    let now = getppid();
    if now != parent && now.as_raw() != 0 {
        // Still blocked: it is delivered when the mask is restored.
        send(getpid(), Signal::SIGTERM);
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
    stops: SigSet,
    /// These and SIGCHLD.
    awaited: SigSet,
    before: SigSet,
    child_action: Option<DefaultChildAction>,
}

impl Signals {
    fn block() -> Result<Signals, ForkError> {
        let stops = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().filter(|&signal| !is_ignored(signal));
        let stops: SigSet = stops.collect();
        let mut awaited = stops;
        awaited.add(Signal::SIGCHLD);
        let mask = awaited.thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let before = mask.map_err(|errno| ForkError::system("sigprocmask", errno))?;
        let mut signals = Signals { stops, awaited, before, child_action: None };
        let action = DefaultChildAction::set().map_err(|errno| ForkError::system("sigaction", errno))?;
        signals.child_action = Some(action);
        Ok(signals)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The action first: what is queued is delivered when the mask is back.
        self.child_action = None;
        let _ = self.before.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! A child process as the loop watches it, until somebody has waited for it.
//!
//! Rules:
//! - The loop listens to SIGCHLD before the child exists, so its end can't be missed. One signal may stand for several ends:
//!   each child looks for itself, with its own pid.
//! - The pid is used only as long as nobody has waited for the child: until then the system gives it to no other.
//! - The listener keeps the child, not the child's user: what a user has dropped is still waited for.
//! - No callback, wake-up or drop of a foreign value happens while anything here is borrowed.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::{Command, ExitStatus};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use landspout_ioloop::signal::{SIGCHLD, SignalListener};
use landspout_ioloop::{IoLoop, LoopError};

use super::error::SubprocessError;
use crate::fork::{Pid, SignalSet, kill};

type ExitCallback = Box<dyn FnOnce(Result<ExitStatus, SubprocessError>)>;

pub(super) struct Child {
    program: OsString,
    pid: u32,
    process: RefCell<std::process::Child>,
    /// Made before the process. Removed at its end.
    listener: SignalListener,
    end: Cell<Option<End>>,
    exit_callback: Cell<Option<ExitCallback>>,
    /// Of those who wait for the end.
    wakers: RefCell<BTreeMap<u64, Waker>>,
    waits: Cell<u64>,
}

/// How it ended.
#[derive(Clone, Copy)]
enum End {
    Exited(ExitStatus),
    /// Somebody else waited for it.
    Lost,
}

/// Our ends.
pub(super) struct Pipes {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

impl Child {
    pub(super) fn spawn(io_loop: &IoLoop, command: &mut Command) -> Result<(Rc<Child>, Pipes), SubprocessError> {
        let program: OsString = command.get_program().into();
        let slot = Rc::new(OnceCell::<Watch>::new());
        let watch = slot.clone();
        let listener =
            io_loop.add_signal_listener(SIGCHLD, move || watch.get().iter().for_each(|watch| watch.0.look()))?;
        // Inherited from a program that waits for signals, most likely; no end would ever be noticed.
        let _ = SignalSet::of(&[SIGCHLD]).unblock();
        let mut process = match command.spawn() {
            Ok(process) => process,
            Err(source) => return Err(SubprocessError::Spawn { program, source }),
        };
        let pipes = Pipes {
            stdin: process.stdin.take().map(OwnedFd::from),
            stdout: process.stdout.take().map(OwnedFd::from),
            stderr: process.stderr.take().map(OwnedFd::from),
        };
        let child = Rc::new(Child {
            program,
            pid: process.id(),
            process: RefCell::new(process),
            listener,
            end: Cell::new(None),
            exit_callback: Cell::new(None),
            wakers: RefCell::default(),
            waits: Cell::new(0),
        });
        slot.get_or_init(|| Watch(child.clone()));
        Ok((child, pipes))
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the process if it has ended, and tells everybody.
    fn look(&self) {
        if self.end.get().is_some() {
            return;
        }
        let end = match self.process.borrow_mut().try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => End::Exited(status),
            // ECHILD; no other error is possible.
            Err(_) => End::Lost,
        };
        self.end.set(Some(end));
        self.listener.remove();
        self.wake_all();
        if let Some(callback) = self.exit_callback.take() {
            self.call_back(callback, end);
        }
    }

    fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.wakers.borrow_mut());
        wakers.into_values().for_each(Waker::wake);
    }

    pub(super) fn set_exit_callback(&self, callback: ExitCallback) {
        match self.end.get() {
            Some(end) => self.call_back(callback, end),
            None => drop(self.exit_callback.replace(Some(callback))),
        }
    }

    fn call_back(&self, callback: ExitCallback, end: End) {
        let result = self.result(end);
        if let Some(io_loop) = self.io_loop() {
            io_loop.add_callback(move || callback(result));
        }
    }

    /// Unless it is gone or closed.
    fn io_loop(&self) -> Option<IoLoop> {
        self.listener.io_loop().filter(|io_loop| !io_loop.is_closed())
    }

    fn result(&self, end: End) -> Result<ExitStatus, SubprocessError> {
        match end {
            End::Exited(status) => Ok(status),
            End::Lost => Err(SubprocessError::StatusLost { program: self.program.clone(), pid: self.pid }),
        }
    }

    pub(super) fn noticed_status(&self) -> Option<ExitStatus> {
        match self.end.get()? {
            End::Exited(status) => Some(status),
            End::Lost => None,
        }
    }

    pub(super) fn try_wait(&self) -> Result<Option<ExitStatus>, SubprocessError> {
        self.look();
        self.end.get().map(|end| self.result(end)).transpose()
    }

    pub(super) fn send_signal(&self, number: i32) -> Result<(), SubprocessError> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        kill(self.pid as Pid, number).map_err(|source| SubprocessError::Signal { signal: number, source })
    }

    pub(super) fn wait(self: &Rc<Self>, raise_error: bool) -> WaitForExit {
        let number = self.waits.get();
        self.waits.set(number + 1);
        WaitForExit { child: self.clone(), number, raise_error }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.end.get().map(|end| self.result(end));
        f.debug_struct("Child").field("program", &self.program).field("pid", &self.pid).field("end", &end).finish()
    }
}

/// What the loop's listener holds. The loop drops it when it closes: from then on nobody waits for the child.
struct Watch(Rc<Child>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.wake_all();
    }
}

/// The future of [`Subprocess::wait_for_exit`](super::Subprocess::wait_for_exit) and [`wait`](super::Subprocess::wait). It
/// may outlive the `Subprocess`.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct WaitForExit {
    child: Rc<Child>,
    number: u64,
    raise_error: bool,
}

impl Future for WaitForExit {
    type Output = Result<ExitStatus, SubprocessError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let WaitForExit { child, number, raise_error } = &*self;
        let io_loop = child.io_loop();
        if io_loop.is_none() {
            // Nobody listens any more, but it may have ended before.
            child.look();
        }
        match child.end.get().map(|end| child.result(end)) {
            Some(Ok(status)) if *raise_error && !status.success() => {
                Poll::Ready(Err(SubprocessError::Failed { program: child.program.clone(), status }))
            }
            Some(result) => Poll::Ready(result),
            None if io_loop.is_none() => Poll::Ready(Err(LoopError::Closed.into())),
            None => {
                // Its clone and the drop of the one before are foreign code.
                let waker = cx.waker().clone();
                let old = child.wakers.borrow_mut().insert(*number, waker);
                drop(old);
                Poll::Pending
            }
        }
    }
}

impl Drop for WaitForExit {
    fn drop(&mut self) {
        let waker = self.child.wakers.borrow_mut().remove(&self.number);
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_lets_go_of_a_child_that_has_ended() {
        let io_loop = IoLoop::new().unwrap();
        let (child, _) = Child::spawn(&io_loop, &mut Command::new("true")).unwrap();
        assert_eq!(Rc::strong_count(&child), 2);
        io_loop.run_sync(child.wait(true)).unwrap().unwrap();
        assert_eq!(Rc::strong_count(&child), 1);
        assert!(child.wakers.borrow().is_empty());
        // One that could not be started was never held.
        assert!(Child::spawn(&io_loop, &mut Command::new("/no/such/program")).is_err());
        io_loop.close().unwrap();
    }

    #[test]
    fn a_wait_that_is_given_up_leaves_no_waker() {
        let io_loop = IoLoop::new().unwrap();
        let (child, _) = Child::spawn(&io_loop, Command::new("cat").stdin(std::process::Stdio::piped())).unwrap();
        for _ in 0..3 {
            let mut wait = child.wait(true);
            assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop())).is_pending());
            assert_eq!(child.wakers.borrow().len(), 1);
        }
        assert!(child.wakers.borrow().is_empty());
        child.send_signal(libc::SIGKILL).unwrap();
        io_loop.run_sync(child.wait(false)).unwrap().unwrap();
    }
}

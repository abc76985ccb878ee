//! fork(2) and what signals need beyond safe wrappers: the one file of the workspace with unsafe code.
//!
//! Rule: what is unsafe about a call is settled here, by a type or by the arguments, so that everything exported is safe.

use std::io::{self, Write};
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, fork};

/// Proof that this process has one thread, as far as the system can tell. It stays on that thread. Whoever holds it starts no
/// other, and asks for a new one after running code that may have.
pub(crate) struct OneThread(PhantomData<*const ()>);

impl OneThread {
    /// `Err`: the number of threads.
    pub(crate) fn check() -> Result<OneThread, usize> {
        // A thread that was joined can still be counted for an instant: the kernel announces its end before it is gone. One
        // look takes some 20 us.
        const PATIENCE: u32 = 500;
        for _ in 0..PATIENCE {
            if threads() <= 1 {
                return Ok(OneThread(PhantomData));
            }
            thread::yield_now();
        }
        Err(threads())
    }

    pub(crate) fn fork(&self) -> nix::Result<ForkResult> {
        // Both processes would write out what is buffered now. An error concerns whoever wrote it, not us.
        let _ = io::stdout().flush();
        // SAFETY: a child of a process with several threads may only call async-signal-safe functions, since other threads
        // may have held locks (of the allocator for one). There are none: `self` is the proof on Linux. Elsewhere the
        // documentation of the crate asks it of the caller, and a thread's lock makes a deadlock there, not undefined behaviour.
        unsafe { fork() }
    }
}

/// The threads of this process; 1 where the system doesn't tell.
fn threads() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let count = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(1)
}

/// Is the signal ignored, by inheritance (`nohup`) or by the program's wish?
pub(crate) fn is_ignored(signal: Signal) -> bool {
    action(signal as libc::c_int).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN)
}

fn action(signal: libc::c_int) -> Option<libc::sigaction> {
    let mut action = MaybeUninit::zeroed();
    // SAFETY: with a null new action the call only writes the current one, to memory of that type.
    let result = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: written by the call.
    (result == 0).then(|| unsafe { action.assume_init() })
}

/// The default action for SIGCHLD, until dropped. An inherited "ignore" would have the kernel throw exit statuses away.
pub(crate) struct DefaultChildAction(SigAction);

impl DefaultChildAction {
    pub(crate) fn set() -> nix::Result<DefaultChildAction> {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default action runs no code of ours.
        unsafe { sigaction(Signal::SIGCHLD, &default) }.map(DefaultChildAction)
    }
}

impl Drop for DefaultChildAction {
    fn drop(&mut self) {
        // SAFETY: this action was in force before; if it is a handler, then whoever set it vouched for it.
        let _ = unsafe { sigaction(Signal::SIGCHLD, &self.0) };
    }
}

/// A signal that was taken from the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) signal: Signal,
    /// The kernel sent it, for a key at the terminal, and to the whole foreground process group.
    pub(crate) from_terminal: bool,
}

/// Whether `wait_for_signal` can wait for a time.
pub(crate) const HAS_TIMED_WAIT: bool = cfg!(target_os = "linux");

/// Waits for one of the signals in `set`, which must be blocked; `None` after the timeout.
#[cfg(target_os = "linux")]
pub(crate) fn wait_for_signal(set: &SigSet, timeout: Option<Duration>) -> nix::Result<Option<Taken>> {
    use nix::errno::Errno;

    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    });
    loop {
        let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: all three point to values of their types that outlive the call; a null timeout means "for ever".
        let signal = unsafe { libc::sigtimedwait(set.as_ref(), info.as_mut_ptr(), limit) };
        match Errno::result(signal) {
            Ok(signal) => {
                // SAFETY: written by the call, and all zero before.
                let code = unsafe { info.assume_init_ref() }.si_code;
                let from_terminal = code == libc::SI_KERNEL;
                return Signal::try_from(signal).map(|signal| Some(Taken { signal, from_terminal }));
            }
            Err(Errno::EAGAIN) => return Ok(None),
            // Another signal's handler ran, or the process was stopped and continued.
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for one of the signals in `set`, which must be blocked. Without sigtimedwait(2) every timeout is over at once.
#[cfg(not(target_os = "linux"))]
pub(crate) fn wait_for_signal(set: &SigSet, timeout: Option<Duration>) -> nix::Result<Option<Taken>> {
    if timeout.is_some() && !any_pending(set) {
        return Ok(None);
    }
    set.wait().map(|signal| Some(Taken { signal, from_terminal: false }))
}

/// Does one of the signals in `set`, which must be blocked, wait to be taken?
pub(crate) fn any_pending(set: &SigSet) -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the call writes a signal set to memory of that type.
    if unsafe { libc::sigpending(pending.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: written by the call, and valid for the system as it comes from there.
    let pending = unsafe { SigSet::from_sigset_t_unchecked(pending.assume_init()) };
    set.iter().any(|signal| pending.contains(signal))
}

/// SIGSEGV and SIGBUS, and what handles them: std's detector of stack overflows, if nothing else.
static FAULTS: [(libc::c_int, AtomicUsize); 2] =
    [(libc::SIGSEGV, AtomicUsize::new(0)), (libc::SIGBUS, AtomicUsize::new(0))];

/// Lets a SIGSEGV or SIGBUS that somebody *sends* (`kill -SEGV`) end this process. std's handler takes every such signal for
/// a fault, sets the default action and returns, in the belief that the instruction will fault again; a signal that was
/// sent is lost that way. Now it is sent once more. The handlers of before go on to handle everything.
pub(crate) fn let_sent_faults_kill() {
    for (signal, before) in &FAULTS {
        let Some(mut action) = action(*signal) else { continue };
        let handler = action.sa_sigaction;
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN || action.sa_flags & libc::SA_SIGINFO == 0 {
            continue;
        }
        before.store(handler, Ordering::Relaxed);
        action.sa_sigaction = on_fault as *const () as usize;
        // SAFETY: `on_fault` has the signature that SA_SIGINFO asks for, and does nothing that isn't async-signal-safe. Mask
        // and flags (the alternative stack among them) stay those of the handler that it calls.
        unsafe { libc::sigaction(*signal, &action, ptr::null_mut()) };
    }
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some((_, before)) = FAULTS.iter().find(|(fault, _)| *fault == signal) else { return };
    // SAFETY: stored before this function was installed: the address of a handler that was installed with SA_SIGINFO.
    let before: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
        unsafe { mem::transmute(before.load(Ordering::Relaxed)) };
    before(signal, info, context);
    // SAFETY: the kernel hands a valid one to every SA_SIGINFO handler.
    let code = unsafe { (*info).si_code };
    // Linux: codes above 0 are the kernel's own, a fault that will repeat by itself.
    let sent = code <= 0;
    if sent && action(signal).is_some_and(|action| action.sa_sigaction == libc::SIG_DFL) {
        // SAFETY: async-signal-safe (POSIX); the signal is delivered when this handler returns.
        unsafe { libc::raise(signal) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigmaskHow, raise};

    // Signals are blocked and raised for this thread alone: other tests don't notice.
    #[test]
    fn signals_are_taken_and_timeouts_end() {
        let set = SigSet::from(Signal::SIGUSR1);
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
        assert!(!any_pending(&set));
        assert_eq!(wait_for_signal(&set, Some(Duration::ZERO)), Ok(None));
        raise(Signal::SIGUSR1).unwrap();
        assert!(any_pending(&set));
        let taken = Taken { signal: Signal::SIGUSR1, from_terminal: false };
        assert_eq!(wait_for_signal(&set, None), Ok(Some(taken)));
        assert_eq!(wait_for_signal(&set, Some(Duration::from_millis(2))), Ok(None));
        before.thread_set_mask().unwrap();
    }

    #[test]
    fn a_second_thread_is_seen() {
        // A test runs beside the thread of its harness.
        #[cfg(target_os = "linux")]
        assert!(OneThread::check().is_err_and(|count| count > 1));
    }

    #[test]
    fn an_ignored_signal_is_told_from_others() {
        // std ignores SIGPIPE before main.
        assert!(is_ignored(Signal::SIGPIPE));
        assert!(!is_ignored(Signal::SIGUSR2));
    }
}

//! fork(2), and the system calls about signals and children that std has no safe door to: the one file of the workspace with
//! unsafe code.
//!
//! Rules: what is unsafe about a call is settled here, by a type or by the arguments, so that everything exported is safe.
//! Nothing is decided here.

use std::io::{self, Write};
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A signal's number.
pub(crate) type Signal = libc::c_int;
/// A process, or a group of them, by number.
pub(crate) type Pid = libc::pid_t;

/// Where a fork has taken us.
pub(crate) enum Forked {
    Parent { child: Pid },
    Child,
}

/// What a call returned, unless it was -1.
fn succeeded(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

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

    pub(crate) fn fork(&self) -> io::Result<Forked> {
        // Both processes would write out what is buffered now. An error concerns whoever wrote it, not us.
        let _ = io::stdout().flush();
        // SAFETY: a child of a process with several threads may only call async-signal-safe functions, since other threads
        // may have held locks (of the allocator for one). There are none: `self` is the proof on Linux. Elsewhere the
        // documentation of the crate asks it of the caller, and a thread's lock makes a deadlock there, not undefined behaviour.
        match succeeded(unsafe { libc::fork() })? {
            0 => Ok(Forked::Child),
            child => Ok(Forked::Parent { child }),
        }
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
    action(signal).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN)
}

fn action(signal: Signal) -> Option<libc::sigaction> {
    let mut action = MaybeUninit::zeroed();
    // SAFETY: with a null new action the call only writes the current one, to memory of that type.
    let result = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: written by the call.
    (result == 0).then(|| unsafe { action.assume_init() })
}

/// The default action for SIGCHLD, until dropped. An inherited "ignore" would have the kernel throw exit statuses away.
pub(crate) struct DefaultChildAction(libc::sigaction);

impl DefaultChildAction {
    pub(crate) fn set() -> io::Result<DefaultChildAction> {
        let mut before = MaybeUninit::zeroed();
        // SAFETY: all zero is an action: the default one, with neither flags nor mask. It runs no code of ours.
        let default = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        // SAFETY: both point to values of their type; the call writes the one of before.
        succeeded(unsafe { libc::sigaction(libc::SIGCHLD, &default, before.as_mut_ptr()) })?;
        // SAFETY: written by the call.
        Ok(DefaultChildAction(unsafe { before.assume_init() }))
    }
}

impl Drop for DefaultChildAction {
    fn drop(&mut self) {
        // SAFETY: this action was in force before; if it is a handler, then whoever set it vouched for it.
        unsafe { libc::sigaction(libc::SIGCHLD, &self.0, ptr::null_mut()) };
    }
}

/// A set of signals.
#[derive(Clone, Copy)]
pub(crate) struct SignalSet(libc::sigset_t);

impl SignalSet {
    pub(crate) fn of(signals: &[Signal]) -> SignalSet {
        let mut set = MaybeUninit::zeroed();
        // SAFETY: the first call makes an empty set of that memory, the others add to it; no number is too large for them to refuse.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), *signal);
            }
            SignalSet(set.assume_init())
        }
    }

    /// Blocks these for the calling thread; gives all that were blocked before.
    pub(crate) fn block(&self) -> io::Result<SignalSet> {
        self.change_mask(libc::SIG_BLOCK)
    }

    #[cfg(feature = "subprocess")]
    pub(crate) fn unblock(&self) -> io::Result<SignalSet> {
        self.change_mask(libc::SIG_UNBLOCK)
    }

    /// From now on these are blocked, and no others.
    pub(crate) fn set_as_mask(&self) -> io::Result<SignalSet> {
        self.change_mask(libc::SIG_SETMASK)
    }

    fn change_mask(&self, how: libc::c_int) -> io::Result<SignalSet> {
        let mut before = MaybeUninit::zeroed();
        // SAFETY: both point to signal sets; the call writes the one of before.
        match unsafe { libc::pthread_sigmask(how, &self.0, before.as_mut_ptr()) } {
            // SAFETY: written by the call.
            0 => Ok(SignalSet(unsafe { before.assume_init() })),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Sends a signal to a process; 0 only asks whether that is possible.
pub(crate) fn kill(pid: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: takes two numbers.
    succeeded(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// How a child ended, which is forgotten by that; `None` while it runs.
pub(crate) fn try_wait(child: Pid) -> io::Result<Option<ExitStatus>> {
    wait_with(child, libc::WNOHANG)
}

/// Waits for the end of a child.
pub(crate) fn wait(child: Pid) -> io::Result<Option<ExitStatus>> {
    wait_with(child, 0)
}

fn wait_with(child: Pid, options: libc::c_int) -> io::Result<Option<ExitStatus>> {
    let mut status = 0;
    loop {
        // SAFETY: the call writes a number to memory of that type.
        match succeeded(unsafe { libc::waitpid(child, &mut status, options) }) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(ExitStatus::from_raw(status))),
            // A handler ran.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The group of a process; 0 is the calling one.
pub(crate) fn process_group(pid: Pid) -> io::Result<Pid> {
    // SAFETY: takes a number.
    succeeded(unsafe { libc::getpgid(pid) })
}

/// Asks for this signal at the death of the thread that forked this process.
#[cfg(target_os = "linux")]
pub(crate) fn set_parent_death_signal(signal: Signal) {
    // SAFETY: with this option the call takes a number. It fails for one that is no signal.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong) };
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
pub(crate) fn wait_for_signal(set: &SignalSet, timeout: Option<Duration>) -> io::Result<Option<Taken>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    });
    loop {
        let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: all three point to values of their types that outlive the call; a null timeout means "for ever".
        match succeeded(unsafe { libc::sigtimedwait(&set.0, info.as_mut_ptr(), limit) }) {
            Ok(signal) => {
                // SAFETY: written by the call, and all zero before.
                let code = unsafe { info.assume_init_ref() }.si_code;
                return Ok(Some(Taken { signal, from_terminal: code == libc::SI_KERNEL }));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            // Another signal's handler ran, or the process was stopped and continued.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Waits for one of the signals in `set`, which must be blocked. Without sigtimedwait(2) every timeout is over at once.
#[cfg(not(target_os = "linux"))]
pub(crate) fn wait_for_signal(set: &SignalSet, timeout: Option<Duration>) -> io::Result<Option<Taken>> {
    if timeout.is_some() && !any_pending(&[libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD]) {
        return Ok(None);
    }
    let mut signal = 0;
    // SAFETY: both point to values of their types.
    match unsafe { libc::sigwait(&set.0, &mut signal) } {
        0 => Ok(Some(Taken { signal, from_terminal: false })),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Does one of these signals, which must be blocked, wait to be taken?
pub(crate) fn any_pending(signals: &[Signal]) -> bool {
    let mut pending = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the call writes a signal set to memory of that type.
    if unsafe { libc::sigpending(pending.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: written by the call, so that others may look into it.
    signals.iter().any(|signal| unsafe { libc::sigismember(pending.as_ptr(), *signal) } == 1)
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

    // Signals are blocked and raised for this thread alone: other tests don't notice.
    #[test]
    fn signals_are_taken_and_timeouts_end() {
        let set = SignalSet::of(&[libc::SIGUSR1]);
        let before = set.block().unwrap();
        assert!(!any_pending(&[libc::SIGUSR1]));
        assert_eq!(wait_for_signal(&set, Some(Duration::ZERO)).unwrap(), None);
        // SAFETY: takes a number.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
        assert!(any_pending(&[libc::SIGTERM, libc::SIGUSR1]) && !any_pending(&[libc::SIGTERM]));
        let taken = Taken { signal: libc::SIGUSR1, from_terminal: false };
        assert_eq!(wait_for_signal(&set, None).unwrap(), Some(taken));
        assert_eq!(wait_for_signal(&set, Some(Duration::from_millis(2))).unwrap(), None);
        before.set_as_mask().unwrap();
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
        assert!(is_ignored(libc::SIGPIPE));
        assert!(!is_ignored(libc::SIGUSR2));
    }
}

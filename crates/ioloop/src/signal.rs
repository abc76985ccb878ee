//! Signals as callbacks of the loop (feature `signal`), and their numbers.
//!
//! A callback is ordinary code on the loop's thread: it may allocate, lock, spawn tasks. The handler proper, which may
//! interrupt anything, only writes to a pipe that the loop polls. A signal that comes several times before the loop looks
//! calls back once.
//!
//! A program has one handler for each signal, which [`add_signal_handler`](IoLoop::add_signal_handler) sets and replaces.
//! Libraries [listen beside it](IoLoop::add_signal_listener).
//!
//! Rule: no callback runs or is dropped while anything here is borrowed.

mod effect;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::rc::{Rc, Weak};

pub use signal_hook::consts::signal::{
    SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGKILL, SIGPIPE, SIGPROF, SIGQUIT, SIGSTOP,
    SIGSYS, SIGTERM, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGUSR1, SIGUSR2, SIGVTALRM, SIGWINCH, SIGXCPU,
    SIGXFSZ,
};

use signal_hook::consts::FORBIDDEN;
use signal_hook_mio::v1_0::Signals;

use crate::error::LoopError;
use crate::ioloop::{Inner, IoLoop};
use crate::panic::log_panic;

type Callback = Box<dyn FnMut()>;

/// The signals that one loop listens to.
#[derive(Default)]
pub(crate) struct SignalHandlers {
    /// The pipe, and what writes to it. A signal stays in there when nobody listens to it any more.
    source: RefCell<Option<Signals>>,
    /// By signal, then in the order they were added. A slot is empty while its callback runs.
    callbacks: RefCell<BTreeMap<Key, Cell<Option<Callback>>>>,
    /// Which of them is the signal's handler.
    handlers: RefCell<HashMap<i32, Key>>,
    added: Cell<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    signal: i32,
    number: u64,
}

impl IoLoop {
    /// Calls `callback` on this loop whenever the process gets the signal. A second call for the same signal replaces the
    /// callback; other loops of the process have handlers of their own. The signal's previous effect (for SIGTERM: to end the
    /// process) is gone from then on. asyncio's `loop.add_signal_handler`.
    ///
    /// ```
    /// use landspout_ioloop::{IoLoop, signal::SIGTERM};
    ///
    /// IoLoop::current().add_signal_handler(SIGTERM, || IoLoop::current().stop())?;
    /// # Ok::<(), landspout_ioloop::LoopError>(())
    /// ```
    ///
    /// # Errors
    /// [`LoopError::Closed`]; [`LoopError::Poller`] when the operating system refuses: no such signal, or one that cannot be
    /// caught (SIGKILL) or not be handled later (SIGSEGV).
    pub fn add_signal_handler(&self, signal: i32, callback: impl FnMut() + 'static) -> Result<(), LoopError> {
        let signals = &self.inner.signals;
        let key = self.listen(signal, Box::new(callback))?;
        let replaced = signals.handlers.borrow_mut().insert(signal, key);
        if let Some(replaced) = replaced {
            signals.remove(replaced);
        }
        Ok(())
    }

    /// Removes the handler that [`add_signal_handler`](Self::add_signal_handler) set; false if there is none. May be called
    /// by the handler itself. asyncio's `loop.remove_signal_handler`.
    ///
    /// When nobody in the process listens to the signal any more, it does what it did before somebody did: SIGTERM ends the
    /// process again, unless it was ignored or another library had handled it. Real-time signals stay without effect.
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        let signals = &self.inner.signals;
        let removed = signals.handlers.borrow_mut().remove(&signal);
        removed.is_some_and(|key| signals.remove(key))
    }

    /// Calls `callback` whenever the process gets the signal, beside the signal's handler and other listeners, until the
    /// [`SignalListener`] is dropped. For libraries, which must not take the program's handler from it: `Subprocess`
    /// listens to SIGCHLD in this way.
    ///
    /// ```
    /// use landspout_ioloop::{IoLoop, signal::SIGHUP};
    ///
    /// let io_loop = IoLoop::current();
    /// let listener = io_loop.add_signal_listener(SIGHUP, || println!("a hang-up"))?;
    /// io_loop.add_signal_handler(SIGHUP, || println!("the program does something about it"))?;
    /// drop(listener); // the handler stays
    /// # Ok::<(), landspout_ioloop::LoopError>(())
    /// ```
    ///
    /// # Errors
    /// See [`add_signal_handler`](Self::add_signal_handler).
    pub fn add_signal_listener(
        &self,
        signal: i32,
        callback: impl FnMut() + 'static,
    ) -> Result<SignalListener, LoopError> {
        let key = self.listen(signal, Box::new(callback))?;
        Ok(SignalListener { inner: Rc::downgrade(&self.inner), key })
    }

    /// The same as [`add_callback`](Self::add_callback): signals call back on the loop here, where everything is allowed.
    /// From another thread, a handler's or any, use [`Remote::add_callback`](crate::Remote::add_callback).
    ///
    /// Neither is for a handler proper, as sigaction(2) installs one: that may interrupt an allocation or the holder of a lock,
    /// and nothing of a loop is async-signal-safe. What it can do is write to a pipe that the loop watches, which is what
    /// [`add_signal_handler`](Self::add_signal_handler) has done for you.
    pub fn add_callback_from_signal(&self, callback: impl FnOnce() + 'static) {
        self.add_callback(callback);
    }

    fn listen(&self, signal: i32, callback: Callback) -> Result<Key, LoopError> {
        if self.is_closed() {
            return Err(LoopError::Closed);
        }
        // signal-hook panics when it is asked for these, or for a number out of range.
        if FORBIDDEN.contains(&signal) || !(1..=64).contains(&signal) {
            let refused = format!("signal {signal} cannot be handled by a callback");
            return Err(LoopError::Poller(io::Error::new(io::ErrorKind::InvalidInput, refused)));
        }
        let signals = &self.inner.signals;
        effect::remember(signal);
        let mut source = signals.source.borrow_mut();
        match &*source {
            Some(source) => source.add_signal(signal)?,
            None => {
                let mut new = Signals::new([signal])?;
                self.inner.reactor.register_signals(&mut new)?;
                *source = Some(new);
            }
        }
        drop(source);
        effect::listen(signal);
        let number = signals.added.get();
        signals.added.set(number + 1);
        let key = Key { signal, number };
        signals.callbacks.borrow_mut().insert(key, Cell::new(Some(callback)));
        Ok(key)
    }
}

impl SignalHandlers {
    /// Runs the callbacks of the signals that came.
    pub(crate) fn run(&self) {
        let pending: Vec<i32> = match &mut *self.source.borrow_mut() {
            Some(source) => source.pending().collect(),
            None => return,
        };
        for signal in pending {
            // Those that are there now: one that is added meanwhile waits for the next signal.
            let all = Key { signal, number: 0 }..=Key { signal, number: u64::MAX };
            let keys: Vec<Key> = self.callbacks.borrow().range(all).map(|(key, _)| *key).collect();
            for key in keys {
                // Empty if an earlier one removed it.
                let Some(mut callback) = self.callbacks.borrow().get(&key).and_then(Cell::take) else { continue };
                log_panic(format_args!("in the handler of signal {signal}"), &mut callback);
                let removed = match self.callbacks.borrow().get(&key) {
                    Some(slot) => slot.replace(Some(callback)),
                    None => Some(callback),
                };
                log_panic(format_args!("when the handler of signal {signal} was dropped"), || drop(removed));
            }
        }
    }

    /// Whether it was there.
    fn remove(&self, key: Key) -> bool {
        let removed = self.callbacks.borrow_mut().remove(&key);
        if removed.is_some() {
            effect::leave(key.signal, effect::Then::AsBefore);
        }
        removed.is_some()
    }

    pub(crate) fn close(&self) {
        let callbacks = std::mem::take(&mut *self.callbacks.borrow_mut());
        let source = self.source.borrow_mut().take();
        self.handlers.borrow_mut().clear();
        for key in callbacks.keys() {
            effect::leave(key.signal, effect::Then::Nothing);
        }
        drop((callbacks, source));
    }
}

/// Keeps a callback of [`add_signal_listener`](IoLoop::add_signal_listener); dropping it removes the callback. Harmless when
/// the loop is gone.
///
/// If it was the last in the process, the signal does again what it did before, as after
/// [`remove_signal_handler`](IoLoop::remove_signal_handler).
#[must_use = "dropping it removes the callback"]
pub struct SignalListener {
    inner: Weak<Inner>,
    key: Key,
}

impl SignalListener {
    /// Removes the callback now, as dropping this does. It may be called twice, and by the callback itself.
    pub fn remove(&self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.signals.remove(self.key);
        }
    }

    /// The loop that the callback runs on, unless it is gone.
    pub fn io_loop(&self) -> Option<IoLoop> {
        self.inner.upgrade().map(|inner| IoLoop { inner })
    }
}

impl Drop for SignalListener {
    fn drop(&mut self) {
        self.remove();
    }
}

impl fmt::Debug for SignalListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalListener").field("signal", &self.key.signal).finish_non_exhaustive()
    }
}

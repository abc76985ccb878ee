//! Signals as callbacks of the loop (feature `signal`): the handler proper only writes to a pipe, which the loop polls.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;

use signal_hook_mio::v1_0::Signals;

use crate::error::{LoopError, log_panic};
use crate::ioloop::IoLoop;

type Callback = Box<dyn FnMut()>;

/// The signals that one loop listens to.
#[derive(Default)]
pub(crate) struct SignalHandlers {
    source: RefCell<Option<Signals>>,
    /// A slot is empty while its callback runs.
    callbacks: RefCell<HashMap<i32, Cell<Option<Callback>>>>,
}

impl IoLoop {
    /// Calls `callback` on this loop whenever the process gets the signal. A second call for the same signal replaces the
    /// callback. The signal's previous effect (for SIGTERM: to end the process) is gone from then on.
    ///
    /// ```
    /// use landspout_ioloop::IoLoop;
    ///
    /// let io_loop = IoLoop::current();
    /// const SIGTERM: i32 = 15;
    /// io_loop.add_signal_handler(SIGTERM, || IoLoop::current().stop()).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`LoopError::Poller`] when the operating system refuses: no such signal, or one that cannot be caught (SIGKILL).
    pub fn add_signal_handler(&self, signal: i32, callback: impl FnMut() + 'static) -> Result<(), LoopError> {
        let signals = &self.inner.signals;
        if self.is_closed() {
            return Err(LoopError::Closed);
        }
        // signal-hook panics when it is asked for these, or for a number out of range.
        const FORBIDDEN: [i32; 5] = [4, 8, 9, 11, 19]; // ILL, FPE, KILL, SEGV, STOP on Linux
        if FORBIDDEN.contains(&signal) || !(1..=64).contains(&signal) {
            let refused = format!("signal {signal} cannot be handled by a callback");
            return Err(LoopError::Poller(io::Error::new(io::ErrorKind::InvalidInput, refused)));
        }
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
        let old = signals.callbacks.borrow_mut().insert(signal, Cell::new(Some(Box::new(callback))));
        drop(old);
        Ok(())
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
            let callback = self.callbacks.borrow().get(&signal).and_then(Cell::take);
            let Some(mut callback) = callback else { continue };
            log_panic(format_args!("in the handler of signal {signal}"), &mut callback);
            let callbacks = self.callbacks.borrow();
            // Replaced by itself meanwhile? Then the new one stays.
            if let Some(slot) = callbacks.get(&signal) {
                match slot.take() {
                    Some(newer) => slot.set(Some(newer)),
                    None => slot.set(Some(callback)),
                }
            }
        }
    }

    pub(crate) fn close(&self) {
        let callbacks = std::mem::take(&mut *self.callbacks.borrow_mut());
        let source = self.source.borrow_mut().take();
        drop((callbacks, source));
    }
}

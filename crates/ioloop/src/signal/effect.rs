//! What a signal does to the process when no loop listens to it any more: what it did before the first one listened.
//!
//! signal-hook never takes its handler back; with nothing left to call, it swallows the signal. So the default effect is
//! brought about from inside of that handler, under a flag. The flag is down while any loop of the process listens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::flag::register_conditional_default;

/// What happens once nobody listens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The effect of before is back: somebody said that the signal isn't handled any more.
    AsBefore,
    /// The signal has no effect: the loop is closed, and what the program does after that shall not be cut short.
    Nothing,
}

struct Signal {
    /// Callbacks, on all loops.
    listeners: usize,
    /// It had its default effect before.
    was_default: bool,
    /// Up: it has it again. Made when that is asked for the first time.
    is_default: Option<Arc<AtomicBool>>,
}

static SIGNALS: Mutex<BTreeMap<i32, Signal>> = Mutex::new(BTreeMap::new());

/// Must be called before the signal is handled for the first time.
pub(super) fn remember(signal: i32) {
    lock().entry(signal).or_insert_with(|| {
        let was_default = !has_other_effect(signal);
        Signal { listeners: 0, was_default, is_default: None }
    });
}

/// One more listener.
pub(super) fn listen(signal: i32) {
    if let Some(signal) = lock().get_mut(&signal) {
        signal.listeners += 1;
        if let Some(is_default) = &signal.is_default {
            is_default.store(false, Ordering::SeqCst);
        }
    }
}

/// One listener less.
pub(super) fn leave(number: i32, then: Then) {
    let mut signals = lock();
    let Some(signal) = signals.get_mut(&number) else { return };
    signal.listeners -= 1;
    if signal.listeners > 0 || then == Then::Nothing || !signal.was_default {
        return;
    }
    match &signal.is_default {
        Some(is_default) => is_default.store(true, Ordering::SeqCst),
        None => {
            let is_default = Arc::new(AtomicBool::new(true));
            // Refused for signals whose default it doesn't know, the real-time ones.
            if register_conditional_default(number, is_default.clone()).is_ok() {
                signal.is_default = Some(is_default);
            }
        }
    }
}

/// Whether the signal is ignored or handled; false where the system doesn't tell.
fn has_other_effect(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let masks = mask("SigIgn:").unwrap_or(0) | mask("SigCgt:").unwrap_or(0);
    masks & (1 << (signal - 1)) != 0
}

fn lock() -> MutexGuard<'static, BTreeMap<i32, Signal>> {
    // Nothing panics while the lock is held.
    SIGNALS.lock().unwrap_or_else(PoisonError::into_inner)
}

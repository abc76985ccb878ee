//! What foreign code may do: panic. A loop outlives it.
//!
//! Rule: whatever a user gave, be it called or dropped, is called and dropped here, or by what has a place for the panic (the result of a
//! task).

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs foreign code, or drops a foreign value. A panic goes no further: it is logged as one in `context`, and gives `None`.
///
/// For layers that call their users' code from a loop, as the loop itself does.
///
/// ```
/// use landspout_ioloop::log_panic;
///
/// assert_eq!(log_panic("in a callback", || 6 * 7), Some(42));
/// // Logs "panic in a callback: no".
/// assert_eq!(log_panic("in a callback", || -> i32 { panic!("no") }), None);
/// ```
#[inline]
pub fn log_panic<R>(context: impl fmt::Display, f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(payload) => {
            report_panic(&context, &*payload);
            None
        }
    }
}

/// Logs a panic that was caught, as one in `context`.
#[cold]
#[inline(never)]
pub fn report_panic(context: &dyn fmt::Display, payload: &(dyn Any + Send)) {
    tracing::error!("panic {context}: {}", panic_message(payload));
}

/// The text of a panic's payload, for log lines.
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a payload that is not text"
    }
}

//! What can go wrong with a loop.

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::panic::panic_message;

/// A request that an [`IoLoop`](crate::IoLoop) or a [`PeriodicCallback`](crate::PeriodicCallback) refuses.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoopError {
    /// [`start`](crate::IoLoop::start) or [`close`](crate::IoLoop::close) was called while this loop, or another one of
    /// this thread, is running.
    AlreadyRunning,
    /// A [`PeriodicCallback`](crate::PeriodicCallback) was given a period that isn't more than zero.
    CallbackTime,
    /// The loop was closed.
    Closed,
    /// The process forked after the loop was made: parent and child would share one poller.
    Forked {
        /// The process that made the loop.
        made_by: u32,
    },
    /// The descriptor has a handler already, see [`add_handler`](crate::IoLoop::add_handler).
    HandlerExists(RawFd),
    /// The descriptor has no handler, see [`update_handler`](crate::IoLoop::update_handler).
    NoHandler(RawFd),
    /// The operating system's poller failed or refused the descriptor.
    Poller(io::Error),
}

impl fmt::Display for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRunning => f.write_str("an event loop of this thread is already running"),
            Self::CallbackTime => f.write_str("the time between two calls must be more than zero"),
            Self::Closed => f.write_str("the event loop is closed"),
            Self::Forked { made_by } => {
                write!(f, "the event loop was made by process {made_by} before the fork; make it afterwards")
            }
            Self::HandlerExists(fd) => write!(f, "descriptor {fd} already has a handler on this loop"),
            Self::NoHandler(fd) => write!(f, "descriptor {fd} has no handler on this loop"),
            Self::Poller(_) => f.write_str("the poller of the operating system failed"),
        }
    }
}

impl std::error::Error for LoopError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Poller(error) => Some(error),
            _ => None,
        }
    }
}

impl PartialEq for LoopError {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Forked { made_by: a }, Self::Forked { made_by: b }) => a == b,
            (Self::HandlerExists(a), Self::HandlerExists(b)) | (Self::NoHandler(a), Self::NoHandler(b)) => a == b,
            (Self::Poller(a), Self::Poller(b)) => a.kind() == b.kind(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl From<io::Error> for LoopError {
    fn from(error: io::Error) -> Self {
        Self::Poller(error)
    }
}

impl From<LoopError> for io::Error {
    fn from(error: LoopError) -> Self {
        match error {
            LoopError::Poller(error) => error,
            other => io::Error::other(other),
        }
    }
}

/// A jitter that is negative, no number or not less than 2, see [`PeriodicCallback::jitter`](crate::PeriodicCallback::jitter).
///
/// Apart from [`LoopError`], which is in every program: nothing else would need what it takes to print a floating-point number.
#[derive(Debug, Clone, Copy)]
pub struct JitterError {
    /// What was asked for.
    pub jitter: f64,
}

/// By the bits of its value, so that an error equals itself also when it is about no number.
impl PartialEq for JitterError {
    fn eq(&self, other: &Self) -> bool {
        self.jitter.to_bits() == other.jitter.to_bits()
    }
}

impl fmt::Display for JitterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a jitter must lie between 0 and 2, not be {}", self.jitter)
    }
}

impl std::error::Error for JitterError {}

/// Why [`run_sync`](crate::IoLoop::run_sync) has no result.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum RunSyncError {
    /// The future took longer than it was allowed to; it was cancelled.
    Timeout(Duration),
    /// Somebody stopped the loop before the future was done; it was cancelled.
    Stopped,
    /// The loop could not run.
    Loop(LoopError),
}

impl fmt::Display for RunSyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(limit) => write!(f, "operation timed out after {limit:?}"),
            Self::Stopped => f.write_str("event loop stopped before the future completed"),
            Self::Loop(_) => f.write_str("the event loop could not run"),
        }
    }
}

impl std::error::Error for RunSyncError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Loop(error) => Some(error),
            _ => None,
        }
    }
}

/// Why a task has no result, see [`JoinHandle`](crate::JoinHandle).
#[non_exhaustive]
pub enum JoinError {
    /// The task panicked. The payload is what `std::panic::catch_unwind` gives.
    Panicked(Box<dyn Any + Send>),
    /// The task was aborted, or its loop was closed.
    Cancelled,
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => f.debug_tuple("Panicked").field(&panic_message(&**payload)).finish(),
            Self::Cancelled => f.write_str("Cancelled"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => write!(f, "the task panicked: {}", panic_message(&**payload)),
            Self::Cancelled => f.write_str("the task was cancelled"),
        }
    }
}

impl std::error::Error for JoinError {}

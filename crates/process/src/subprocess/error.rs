//! What can go wrong with a child process.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::process::ExitStatus;

use landspout_ioloop::LoopError;
use landspout_iostream::StreamError;

use super::returncode;

/// What the operations of a [`Subprocess`](crate::Subprocess) fail with.
///
/// Comparable: two causes from the system count as equal when their kind is.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubprocessError {
    /// The program could not be started: not found (its working directory may be what is missing), not executable, or the
    /// system is short of processes or descriptors.
    Spawn {
        /// As the command names it.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// The program was started, but the poller refused one of its pipes. It was killed.
    Streams {
        /// As the command names it.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// The program ended with a status other than 0, or by a signal. Python's `CalledProcessError`.
    #[doc(alias = "CalledProcessError")]
    Failed {
        /// As the command names it.
        program: OsString,
        /// How it ended.
        status: ExitStatus,
    },
    /// Somebody else waited for the child and has its status: a call like `waitpid(-1)`, or SIGCHLD is ignored.
    StatusLost {
        /// As the command names it.
        program: OsString,
        /// Another process may have that id now.
        pid: u32,
    },
    /// The signal could not be sent.
    Signal {
        /// Its number.
        signal: i32,
        /// What the system said.
        source: io::Error,
    },
    /// What the child writes could not be collected: more than the stream's `max_buffer_size`, most likely.
    Output(StreamError),
    /// The loop can't listen to signals, or was closed before the child ended.
    Loop(LoopError),
}

impl SubprocessError {
    /// Of a program that [`Failed`](Self::Failed): its [`returncode`].
    pub fn returncode(&self) -> Option<i32> {
        match self {
            SubprocessError::Failed { status, .. } => Some(returncode(*status)),
            _ => None,
        }
    }
}

impl fmt::Display for SubprocessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubprocessError::Spawn { program, .. } => write!(f, "cannot start {program:?}"),
            SubprocessError::Streams { program, .. } => write!(f, "cannot watch the pipes of {program:?}"),
            SubprocessError::Failed { program, status } => write!(f, "{program:?} failed with {status}"),
            SubprocessError::StatusLost { program, pid } => {
                write!(f, "somebody else waited for {program:?}, process {pid}")
            }
            SubprocessError::Signal { signal, .. } => write!(f, "cannot send signal {signal}"),
            SubprocessError::Output(_) => f.write_str("cannot collect the output"),
            SubprocessError::Loop(_) => f.write_str("the event loop does not watch the process"),
        }
    }
}

impl Error for SubprocessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SubprocessError::Spawn { source, .. }
            | SubprocessError::Streams { source, .. }
            | SubprocessError::Signal { source, .. } => Some(source),
            SubprocessError::Output(error) => Some(error),
            SubprocessError::Loop(error) => Some(error),
            SubprocessError::Failed { .. } | SubprocessError::StatusLost { .. } => None,
        }
    }
}

impl PartialEq for SubprocessError {
    fn eq(&self, other: &SubprocessError) -> bool {
        use SubprocessError::{Failed, Loop, Output, Signal, Spawn, StatusLost, Streams};
        match (self, other) {
            (Spawn { program: a, source: s }, Spawn { program: b, source: t })
            | (Streams { program: a, source: s }, Streams { program: b, source: t }) => a == b && s.kind() == t.kind(),
            (Failed { program: a, status: s }, Failed { program: b, status: t }) => a == b && s == t,
            (StatusLost { program: a, pid: s }, StatusLost { program: b, pid: t }) => a == b && s == t,
            (Signal { signal: a, source: s }, Signal { signal: b, source: t }) => a == b && s.kind() == t.kind(),
            (Output(a), Output(b)) => a == b,
            (Loop(a), Loop(b)) => a == b,
            _ => false,
        }
    }
}

impl From<LoopError> for SubprocessError {
    fn from(error: LoopError) -> SubprocessError {
        SubprocessError::Loop(error)
    }
}

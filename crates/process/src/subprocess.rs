//! `Subprocess`: a program that runs beside this one (feature `subprocess`). Its pipes are streams, its end is an event.
//!
//! [`Child`] knows the process and notices its end; here is what users hold.

mod child;
mod communicate;
mod error;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::rc::Rc;

use landspout_ioloop::IoLoop;
use landspout_ioloop::signal::{SIGKILL, SIGTERM};
use landspout_iostream::{IoStream, StreamOptions};

use child::Child;
pub use child::WaitForExit;
pub use error::SubprocessError;

/// A child process on the current loop. Tornado's `Subprocess`.
///
/// It is started from std's [`Command`]. What is a pipe there ([`Stdio::piped`](std::process::Stdio::piped)) is an
/// [`IoStream`] here: that is Tornado's `STREAM`.
///
/// ```
/// use landspout_ioloop::IoLoop;
/// use landspout_process::Subprocess;
/// use std::process::{Command, Stdio};
///
/// let upper = IoLoop::current().run_sync(async {
///     let mut child = Subprocess::spawn(Command::new("tr").arg("a-z").arg("A-Z").stdin(Stdio::piped()).stdout(Stdio::piped()))?;
///     let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
///     stdin.write(b"hello")?;
///     drop(stdin); // the child reads to the end of its input
///     let upper = stdout.read_until_close().await?;
///     child.wait_for_exit().await?;
///     Ok::<_, Box<dyn std::error::Error>>(upper)
/// }).unwrap().unwrap();
/// assert_eq!(&upper[..], b"HELLO");
/// ```
///
/// # How its end is noticed
/// The loop listens to SIGCHLD ([`add_signal_listener`](IoLoop::add_signal_listener)) from before the child is started
/// until it has ended, beside whatever handler the program has. As one signal may stand for several ends, each child
/// then looks for itself, by its own pid: other children of this process are never waited for. (A library that puts a handler of
/// its own in place with sigaction(2), and doesn't call the one before, keeps the loop from hearing of anything.)
///
/// # When it is dropped
/// The child runs on, and the loop still waits for it, so that no zombie stays; an exit callback still runs. With
/// [`kill_on_drop`](SubprocessOptions::kill_on_drop) it is killed. Once the *loop* is closed nobody waits for the child: it
/// runs on, and stays as a zombie until this process ends.
#[derive(Debug)]
pub struct Subprocess {
    /// The child's standard input, if it is a pipe. Dropping it, once it was taken out, ends the input when all that was
    /// written has been sent.
    #[doc(alias = "STREAM")]
    pub stdin: Option<IoStream>,
    /// The child's standard output, if it is a pipe.
    pub stdout: Option<IoStream>,
    /// The child's standard error, if it is a pipe.
    pub stderr: Option<IoStream>,
    child: Rc<Child>,
    kill_on_drop: bool,
}

/// What [`Subprocess::spawn_with`] takes beyond the command.
#[derive(Clone, Debug, Default)]
pub struct SubprocessOptions {
    streams: StreamOptions,
    kill_on_drop: bool,
}

impl SubprocessOptions {
    /// The defaults.
    pub fn new() -> SubprocessOptions {
        SubprocessOptions::default()
    }

    /// The limits of the three streams. Default: those of [`StreamOptions`].
    pub fn streams(mut self, options: StreamOptions) -> SubprocessOptions {
        self.streams = options;
        self
    }

    /// Whether the child is killed (SIGKILL) when the [`Subprocess`] is dropped while it runs. Default: no.
    pub fn kill_on_drop(mut self, kill: bool) -> SubprocessOptions {
        self.kill_on_drop = kill;
        self
    }
}

impl Subprocess {
    /// Starts the program. What `command` says nothing about is inherited, as with [`Command::spawn`].
    ///
    /// The child gets none of the descriptors behind the streams but its own ends, which block as programs expect. SIGCHLD
    /// is unblocked for this thread, should it be blocked.
    ///
    /// # Errors
    /// [`SubprocessError::Spawn`] when the program can't be started; no descriptor is left open then.
    /// [`SubprocessError::Loop`] when the loop can't listen to signals. [`SubprocessError::Streams`] when the poller refuses
    /// a pipe; the child is killed then.
    pub fn spawn(command: &mut Command) -> Result<Subprocess, SubprocessError> {
        Subprocess::spawn_with(command, &SubprocessOptions::new())
    }

    /// As [`spawn`](Self::spawn), with options.
    ///
    /// # Errors
    /// See [`spawn`](Self::spawn).
    pub fn spawn_with(command: &mut Command, options: &SubprocessOptions) -> Result<Subprocess, SubprocessError> {
        let io_loop = IoLoop::current_or_none().map_or_else(IoLoop::new, Ok)?;
        let (child, pipes) = Child::spawn(&io_loop, command)?;
        let stream = |pipe: Option<OwnedFd>| pipe.map(|pipe| IoStream::from_pipe(pipe, options.streams)).transpose();
        let streams = || Ok::<_, io::Error>((stream(pipes.stdin)?, stream(pipes.stdout)?, stream(pipes.stderr)?));
        match streams() {
            Ok((stdin, stdout, stderr)) => {
                Ok(Subprocess { stdin, stdout, stderr, child, kill_on_drop: options.kill_on_drop })
            }
            Err(source) => {
                // The loop waits for it.
                let _ = child.send_signal(SIGKILL);
                Err(SubprocessError::Streams { program: command.get_program().into(), source })
            }
        }
    }

    /// The id of the process. Another one may have it once this one has ended, so rather than to send signals to it use
    /// [`send_signal`](Self::send_signal).
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Has the loop call `callback` once, when the child has ended; soon, if it has already. One slot: a second call replaces
    /// the callback before. It gets the status, which [`returncode`] makes Python's number of.
    ///
    /// The callback runs even if the `Subprocess` is dropped meanwhile, but not on a loop that is closed.
    ///
    /// ```
    /// # use landspout_ioloop::IoLoop;
    /// # use landspout_process::{Subprocess, returncode};
    /// # use std::process::Command;
    /// let child = Subprocess::spawn(&mut Command::new("true"))?;
    /// child.set_exit_callback(|status| {
    ///     assert_eq!(returncode(status.unwrap()), 0);
    ///     IoLoop::current().stop();
    /// });
    /// IoLoop::current().start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The callback gets [`SubprocessError::StatusLost`] when somebody else waited for the child.
    pub fn set_exit_callback(&self, callback: impl FnOnce(Result<ExitStatus, SubprocessError>) + 'static) {
        self.child.set_exit_callback(Box::new(callback));
    }

    /// Waits until the child has ended, and takes a status other than 0, or a death by a signal, for an error.
    ///
    /// Any number of tasks may wait. Dropping the future changes nothing; with
    /// [`with_timeout`](landspout_ioloop::with_timeout) it has a deadline. It holds no stream: a child that waits for the end
    /// of its input waits as long as [`stdin`](Self::stdin) is open.
    ///
    /// Tornado's `wait_for_exit()`.
    ///
    /// # Errors
    /// [`SubprocessError::Failed`], Python's `CalledProcessError`; [`SubprocessError::StatusLost`] when somebody else waited
    /// for the child; [`SubprocessError::Loop`] when the loop was closed before.
    pub fn wait_for_exit(&self) -> WaitForExit {
        self.child.wait(true)
    }

    /// Waits until the child has ended, and gives its status, whatever that is. Otherwise as
    /// [`wait_for_exit`](Self::wait_for_exit).
    ///
    /// Tornado's `wait_for_exit(raise_error=False)`.
    ///
    /// # Errors
    /// [`SubprocessError::StatusLost`], [`SubprocessError::Loop`].
    #[doc(alias = "raise_error")]
    pub fn wait(&self) -> WaitForExit {
        self.child.wait(false)
    }

    /// Looks whether the child has ended, without waiting.
    ///
    /// # Errors
    /// [`SubprocessError::StatusLost`] when somebody else waited for the child.
    #[doc(alias = "poll")]
    pub fn try_wait(&self) -> Result<Option<ExitStatus>, SubprocessError> {
        self.child.try_wait()
    }

    /// The child's [`returncode`], once its end was noticed; `None` before, and when its status is lost.
    pub fn returncode(&self) -> Option<i32> {
        self.child.noticed_status().map(returncode)
    }

    /// Sends the child a signal; 0 only checks whether that would be allowed. The numbers are in
    /// [`landspout_ioloop::signal`]. Nothing happens if it has ended: as long as nobody has waited for it its pid is not
    /// given away, and afterwards no signal is sent.
    ///
    /// # Errors
    /// [`SubprocessError::Signal`] when the system refuses: no such signal, or the child changed its user.
    /// [`SubprocessError::StatusLost`] when somebody else waited for the child: its pid may be anybody's, so nothing is sent.
    pub fn send_signal(&self, signal: i32) -> Result<(), SubprocessError> {
        self.child.send_signal(signal)
    }

    /// Asks the child to end: SIGTERM.
    ///
    /// # Errors
    /// See [`send_signal`](Self::send_signal).
    pub fn terminate(&self) -> Result<(), SubprocessError> {
        self.send_signal(SIGTERM)
    }

    /// Ends the child at once: SIGKILL. Its own children live on; to reach these as well, give it a process group.
    ///
    /// # Errors
    /// See [`send_signal`](Self::send_signal).
    pub fn kill(&self) -> Result<(), SubprocessError> {
        self.send_signal(SIGKILL)
    }
}

impl Drop for Subprocess {
    fn drop(&mut self) {
        if self.kill_on_drop {
            // Nothing to be done if that fails.
            let _ = self.kill();
        }
    }
}

/// Python's number for a status: the exit code, or the negative number of the signal that killed the process.
///
/// ```
/// use landspout_process::returncode;
/// use std::process::Command;
///
/// let status = Command::new("sh").arg("-c").arg("kill -TERM $$").status()?;
/// assert_eq!(returncode(status), -15);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn returncode(status: ExitStatus) -> i32 {
    // One of the two, as nobody asked for stopped processes.
    status.code().or(status.signal().map(|signal| -signal)).unwrap_or(status.into_raw())
}

//! Input in, output out, and the status: all at once, so that neither side waits for a full pipe of the other.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::process::Output;
use std::task::{Context, Poll};

use landspout_iostream::{IoStream, StreamError};

use super::{Subprocess, SubprocessError};

/// What is handed to the pipe at once, in bytes: as much as a pipe usually holds.
const PIECE_SIZE: usize = 64 * 1024;

impl Subprocess {
    /// Writes `input` and ends it, reads what the child writes until it ends that, and waits for the child. What is no pipe is
    /// left alone and counts as empty. A child that doesn't read its input is no error. The status may be any. A process that
    /// the child leaves behind with its pipes open is waited for as well.
    ///
    /// `communicate` of Python's `subprocess`, and std's `wait_with_output` with input.
    ///
    /// ```
    /// use landspout_ioloop::IoLoop;
    /// use landspout_process::Subprocess;
    /// use std::process::{Command, Stdio};
    ///
    /// let output = IoLoop::current().run_sync(async {
    ///     let mut command = Command::new("sort");
    ///     Subprocess::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?.communicate(b"b\na\n").await
    /// }).unwrap()?;
    /// assert!(output.status.success());
    /// assert_eq!(output.stdout, b"a\nb\n");
    /// # Ok::<(), landspout_process::SubprocessError>(())
    /// ```
    ///
    /// Dropping the future drops the `Subprocess`.
    ///
    /// # Errors
    /// [`SubprocessError::Output`] when the child writes more than the `max_buffer_size` of its stream, or the stream fails
    /// otherwise; those of [`wait`](Self::wait).
    pub async fn communicate(mut self, input: &[u8]) -> Result<Output, SubprocessError> {
        let (stdin, stdout, stderr) = (self.stdin.take(), self.stdout.take(), self.stderr.take());
        let mut input = pin!(feed(stdin, input));
        let (mut out, mut err) = (pin!(collect(stdout)), pin!(collect(stderr)));
        let (mut fed, mut stdout, mut stderr) = (None, None, None);
        let all = poll_fn(|cx| {
            let fed = advance(input.as_mut(), &mut fed, cx)?;
            let stdout = advance(out.as_mut(), &mut stdout, cx)?;
            let stderr = advance(err.as_mut(), &mut stderr, cx)?;
            if fed && stdout && stderr { Poll::Ready(Ok(())) } else { Poll::Pending }
        });
        all.await.map_err(SubprocessError::Output)?;
        let status = self.wait().await?;
        Ok(Output { status, stdout: stdout.unwrap_or_default(), stderr: stderr.unwrap_or_default() })
    }
}

async fn feed(stdin: Option<IoStream>, input: &[u8]) -> Result<(), StreamError> {
    let Some(stdin) = stdin else { return Ok(()) };
    for piece in input.chunks(stdin.options().max_write_buffer_size.clamp(1, PIECE_SIZE)) {
        match stdin.write(piece) {
            Ok(written) => {
                if written.await.is_err() {
                    // It reads no more; what it has to say about that comes by the other pipes.
                    return Ok(());
                }
            }
            Err(StreamError::Closed(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn collect(stream: Option<IoStream>) -> Result<Vec<u8>, StreamError> {
    let Some(stream) = stream else { return Ok(Vec::new()) };
    stream.read_until_close().await.map(Vec::from)
}

/// Polls a future that isn't done yet; whether it is now.
fn advance<T>(
    future: Pin<&mut impl Future<Output = Result<T, StreamError>>>,
    done: &mut Option<T>,
    cx: &mut Context<'_>,
) -> Result<bool, StreamError> {
    if done.is_none() {
        if let Poll::Ready(result) = future.poll(cx) {
            *done = Some(result?);
        }
    }
    Ok(done.is_some())
}

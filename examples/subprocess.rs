//! Other programs beside the loop: one that is talked to over its pipes, and one that doesn't end.
//!
//! ```sh
//! cargo run --example subprocess
//! ```
//! In Tornado: `Subprocess` with `STREAM` for each pipe, and `wait_for_exit`. Here the command is std's, a pipe of it becomes
//! a stream, and anything that is awaited can have a deadline.

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use landspout::ioloop::{IoLoop, RunSyncError, with_timeout};
use landspout::iostream::{IoStream, StreamError};
use landspout::process::{Subprocess, SubprocessError, SubprocessOptions, returncode};

/// Reads lines, counts their letters, tells on stderr what it does, and ends with its input. The status is no success.
const COUNTER: &str = r#"while read word; do
    echo "looking at $word" >&2
    echo "$word has ${#word} letters"
done
echo "no more words" >&2
exit 3"#;

fn main() -> Result<(), support::Failure> {
    let flag =
        support::Flag("--deadline", "MS", "how long a child may take to answer or to end, in milliseconds [1000]");
    let arguments = support::Arguments::read("Talks to child processes over their pipes.", &[flag]);
    let deadline = Duration::from_millis(arguments.value("--deadline").unwrap_or(1000));

    support::stop_on_signals()?;
    let result = IoLoop::current().run_sync(async move {
        talk(deadline).await?;
        stuck(deadline).await
    });
    match result {
        Ok(result) => result,
        // A signal. The children were killed with the futures that held them.
        Err(RunSyncError::Stopped) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Should the future that holds the child be dropped, the child is not to go on alone.
fn spawn(command: &mut Command) -> Result<Subprocess, SubprocessError> {
    let child = Subprocess::spawn_with(command, &SubprocessOptions::new().kill_on_drop(true))?;
    println!("{:?} is process {}", command.get_program(), child.pid());
    Ok(child)
}

async fn talk(deadline: Duration) -> Result<(), support::Failure> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", COUNTER]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(&mut command)?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        unreachable!("all three are piped");
    };
    // A callback, for those who don't wait.
    child.set_exit_callback(|_| println!("the loop noticed its end"));
    // What it has to say besides comes when it comes.
    let chatter = IoLoop::current().spawn(print_lines(stderr));

    for word in ["tornado", "waterspout", "landspout"] {
        stdin.write(format!("{word}\n").as_bytes())?;
        let answer = with_timeout(deadline, stdout.read_until(b"\n", Some(1000))).await??;
        println!("answer: {}", String::from_utf8_lossy(&answer).trim_end());
    }
    // Its input ends. Everything that was written is sent before.
    drop(stdin);
    chatter.await??;
    match with_timeout(deadline, child.wait_for_exit()).await? {
        Ok(_) => println!("it ended well"),
        // Tornado raises CalledProcessError.
        Err(SubprocessError::Failed { status, .. }) => println!("it ended with {status}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn print_lines(stream: IoStream) -> Result<(), StreamError> {
    loop {
        match stream.read_until(b"\n", Some(1000)).await {
            Ok(line) => println!("stderr: {}", String::from_utf8_lossy(&line).trim_end()),
            Err(StreamError::Closed(None)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// `cat` waits for input that never comes.
async fn stuck(deadline: Duration) -> Result<(), support::Failure> {
    let child = spawn(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()))?;
    if let Err(late) = with_timeout(deadline, child.wait()).await {
        println!("{late}: SIGTERM");
        child.terminate()?;
    }
    // It may take its time to clean up, but not for ever.
    let status = match with_timeout(deadline, child.wait()).await {
        Ok(status) => status?,
        Err(_) => {
            child.kill()?;
            child.wait().await?
        }
    };
    println!("it ended with {status}; Python's number for that is {}", returncode(status));
    Ok(())
}

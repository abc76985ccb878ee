//! How long a server takes from its start to its first answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;
use crate::answers::{Answers, Known};
use crate::cost;
use crate::http;
use crate::options::Options;
use crate::state;
use crate::window::{Totals, Window};

/// How often it is started in a sample.
const STARTS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the command behind `--` again and again, which prints where it listens. Told are the medians of the time until the first
/// answer is there, and of the CPU time of the server until then.
pub(crate) fn run(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    window.begin()?;
    let mut starts = (0..STARTS).map(|_| start(options)).collect::<Result<Vec<_>, _>>()?;
    let totals = Totals { requests: STARTS as u64, ..Totals::default() };
    window.end(&totals)?;
    let mut median = |field: fn(&(Duration, Duration)) -> Duration| {
        starts.sort_by_key(field);
        field(&starts[STARTS / 2]).as_nanos()
    };
    let (elapsed, spent) = (median(|start| start.0), median(|start| start.1));
    window.note(&format!("startup_ns={elapsed} startup_cpu_ns={spent}"));
    Ok(totals)
}

/// Ends with us, whatever happens.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(options: &Options) -> Result<(Duration, Duration), Error> {
    let (program, arguments) = options.command.split_first().ok_or("startup: a command after -- is missing")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    let begin = Instant::now();
    let mut server = Server(on_cpu(options.server_cpu, command)?);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().ok_or("the server has no output")?).read_line(&mut line)?;
    let address = line.trim().rsplit(' ').next().unwrap_or_default();
    let mut stream = TcpStream::connect(address).map_err(|error| format!("it printed {line:?}: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&http::get(options))?;
    let (mut answers, mut known, mut buffer) = (Answers::new(None), Known::default(), [0; 4096]);
    loop {
        let received = stream.read(&mut buffer)?;
        if received == 0 {
            return Err("the server closed the connection".into());
        }
        let found = answers.take(&buffer[..received], &mut known).map_err(|problem| problem.to_string())?;
        if found.answers > 0 {
            let elapsed = begin.elapsed();
            return Ok((elapsed, cost::run_time(&server.0.id().to_string())?));
        }
    }
}

/// A process inherits the CPU of the thread that starts it.
fn on_cpu(cpu: Option<usize>, mut command: Command) -> Result<Child, Error> {
    let starting = thread::spawn(move || -> Result<Child, String> {
        if let Some(cpu) = cpu {
            state::pin(cpu).map_err(|error| format!("CPU {cpu}: {error}"))?;
        }
        command.spawn().map_err(|error| format!("{command:?}: {error}"))
    });
    Ok(starting.join().map_err(|_| "the starting thread panicked")??)
}

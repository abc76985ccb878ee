//! Connections that stay open and do nothing more, each after one request; and what they take of the server's memory.
//!
//! Rules: they are held by processes of their own, since one may have only so many descriptors, each with a source address of
//! its own, since an address has only so many ports. They end with a reset, so that no address is left in TIME_WAIT.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Error;
use crate::answers::{Answers, Known};
use crate::http;
use crate::options::Options;
use crate::state;
use crate::window::{Totals, Window};

/// Of one process: what is usual allows 20,000 descriptors, and an address has 28,000 ports.
const EACH: usize = 15_000;
/// What a server has at hand before it takes more. Never are more of them asked for at a time.
const FEW: usize = 10;
const MANY: usize = 10_000;
/// A server that has no descriptors left may pause before it accepts again.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a holder says when all its connections are there.
const READY: &str = "held";

/// Connections that are held as long as this lives.
#[derive(Default)]
pub(crate) struct Held(Vec<Child>);

impl Held {
    /// Opens so many more.
    pub(crate) fn open(&mut self, options: &Options, count: usize) -> Result<(), Error> {
        self.open_from(options, &[(count, None)])
    }

    /// Opens so many more from each of these CPUs, at the same time.
    pub(crate) fn open_from(&mut self, options: &Options, parts: &[(usize, Option<usize>)]) -> Result<(), Error> {
        let before = self.0.len();
        for (count, cpu) in parts {
            let mut left = *count;
            while left > 0 {
                let share = left.min(EACH);
                self.start_holder(options, share, *cpu)?;
                left -= share;
            }
        }
        for holder in &mut self.0[before..] {
            let output = holder.stdout.as_mut().ok_or("a holder has no output")?;
            if BufReader::new(output).lines().next().transpose()?.as_deref() != Some(READY) {
                return Err("idle connections failed".into());
            }
        }
        Ok(())
    }

    fn start_holder(&mut self, options: &Options, count: usize, cpu: Option<usize>) -> Result<(), Error> {
        let source = Ipv4Addr::new(127, 0, 0, u8::try_from(self.0.len() + 2)?).to_string();
        let (port, count) = (options.address()?.port().to_string(), count.to_string());
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["hold", "--port", &port, "--source", &source, "--connections", &count]);
        command.args(cpu.iter().flat_map(|cpu| ["--cpu".to_owned(), cpu.to_string()]));
        self.0.push(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        Ok(())
    }

    /// Ends them.
    ///
    /// # Errors
    /// When the server ended one before.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        for holder in &mut self.0 {
            drop(holder.stdin.take());
            if !holder.wait()?.success() {
                return Err("the server closed idle connections".into());
            }
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for mut holder in self.0.drain(..) {
            // It waits for the end of its input.
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

/// Holds connections until its input ends.
pub(crate) fn hold(options: &Options) -> Result<String, Error> {
    allow_descriptors()?;
    if let Some(cpu) = options.cpu {
        state::pin(cpu).map_err(|error| format!("--cpu {cpu}: {error}"))?;
    }
    let (address, request) = (options.address()?, http::get(options));
    let mut known = Known::default();
    let mut held = Vec::with_capacity(options.connections.unwrap_or(1));
    while held.len() < held.capacity() {
        let batch = (held.capacity() - held.len()).min(FEW);
        let first = held.len();
        for _ in 0..batch {
            held.push(ask(options.source, address, &request)?);
        }
        for socket in &held[first..] {
            await_answer(socket, &mut known)?;
        }
    }
    println!("{READY}");
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    let closed = held.iter().filter(|socket| !is_open(socket)).count();
    if closed > 0 {
        return Err(format!("the server closed {closed} idle connections").into());
    }
    Ok(format!("connections={}", held.len()))
}

/// A new connection with a request.
fn ask(source: Ipv4Addr, address: SocketAddrV4, request: &[u8]) -> Result<OwnedFd, Error> {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    net::bind(&socket, &SocketAddrV4::new(source, 0))?;
    net::connect(&socket, &address)?;
    match net::send(&socket, request, SendFlags::NOSIGNAL)? {
        sent if sent == request.len() => Ok(socket),
        _ => Err("the kernel took only a part of a request".into()),
    }
}

fn await_answer(socket: &OwnedFd, known: &mut Known) -> Result<(), Error> {
    let mut answers = Answers::new(None);
    let mut buffer = [0; 4096];
    loop {
        let (received, _) = net::recv(socket, &mut buffer, RecvFlags::empty())?;
        if received == 0 {
            return Err("the server closed a connection that was to stay".into());
        }
        let found = answers.take(&buffer[..received], known).map_err(|problem| problem.to_string())?;
        if found.answers > 0 {
            return Ok(());
        }
    }
}

/// Neither its end nor anything else is there.
fn is_open(socket: &OwnedFd) -> bool {
    net::recv(socket, &mut [0], RecvFlags::DONTWAIT) == Err(Errno::AGAIN)
}

/// The server's memory with few connections and with many. It makes no requests besides.
pub(crate) fn idle(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let many = options.connections.unwrap_or(MANY).max(FEW + 1);
    let mut held = Held::default();
    let empty = window.resident()?;
    window.begin()?;
    held.open(options, FEW)?;
    let few = window.resident()?;
    held.open(options, many - FEW)?;
    let full = window.resident()?;
    let totals = Totals { requests: many as u64, ..Totals::default() };
    window.end(&totals)?;
    held.close()?;
    window.note(&format!("more={} empty_bytes={empty} few_bytes={few} many_bytes={full}", many - FEW));
    Ok(totals)
}

/// As many as the system lets us have.
pub(crate) fn allow_descriptors() -> rustix::io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
}

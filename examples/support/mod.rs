//! What every example needs and none of them is about: flags, a log, the line with the address, an orderly end.
//!
//! Nothing here is a part of landspout; read the example first.
#![allow(dead_code, reason = "every example compiles this file and uses some of it")]

use std::error::Error;
use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::exit;
use std::str::FromStr;

use landspout::ioloop::signal::{SIGINT, SIGTERM};
use landspout::ioloop::{IoLoop, LoopError};
use landspout::process::task_id;
use tracing::Level;

/// Whatever `main` fails with. std prints it by `Debug` and ends the program with status 1.
pub(crate) struct Failure(Box<dyn Error>);

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Failure {
    /// For people: what went wrong, and why.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut error = &*self.0;
        while let Some(cause) = error.source() {
            write!(f, ": {cause}")?;
            error = cause;
        }
        Ok(())
    }
}

/// A flag as it is typed, its value's name in the help (empty for a switch, which takes none), and what it means.
pub(crate) struct Flag(pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static str);

pub(crate) const PORT: Flag = Flag("--port", "N", "listen on this port, 0 for any free one [8888]");
pub(crate) const WORKERS: Flag = Flag("--workers", "N", "how many workers, 0 for one per CPU [0]");
const VERBOSE: Flag = Flag("--verbose", "", "log more, on stderr; RUST_LOG=error|warn|info|debug|trace does, too");
const HELP: Flag = Flag("--help", "", "print this");

/// The flags that were given, as texts.
pub(crate) struct Arguments {
    given: Vec<(&'static str, String)>,
}

impl Arguments {
    /// Reads the command line and starts the log. `--help` ends the program with status 0, what is not in `flags` with 2.
    pub(crate) fn read(about: &str, flags: &[Flag]) -> Self {
        let flags: Vec<&Flag> = flags.iter().chain([&VERBOSE, &HELP]).collect();
        let arguments = Self::parse(&flags, std::env::args().skip(1)).unwrap_or_else(|problem| wrong_usage(&problem));
        if arguments.has("--help") {
            print_help(about, &flags);
            exit(0);
        }
        start_log(&arguments);
        arguments
    }

    /// `--name value` or `--name=value`.
    fn parse(flags: &[&Flag], mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut given = Vec::new();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let flag = flags.iter().find(|flag| flag.0 == name).ok_or_else(|| format!("unknown argument {word:?}"))?;
            let value = match (flag.1, value) {
                ("", None) => String::new(),
                ("", Some(_)) => return Err(format!("{name} takes no value")),
                (_, Some(value)) => value,
                (meta, None) => words.next().ok_or_else(|| format!("{name} wants a value: {name} {meta}"))?,
            };
            given.push((flag.0, value));
        }
        Ok(Self { given })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// Where a flag is repeated the last one counts.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// All values of a flag that may be repeated.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// A value that is no `T` ends the program with status 2.
    pub(crate) fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Option<T> {
        let value = self.text(name)?;
        Some(value.parse().unwrap_or_else(|error| wrong_usage(&format!("{name} {value}: {error}"))))
    }

    pub(crate) fn port(&self) -> u16 {
        self.value(PORT.0).unwrap_or(8888)
    }

    /// 0 means one per CPU.
    pub(crate) fn workers(&self) -> usize {
        self.value(WORKERS.0).unwrap_or(0)
    }
}

/// Ends the program as shells do when a command is used wrongly: with status 2.
pub(crate) fn wrong_usage(problem: &str) -> ! {
    eprintln!("error: {problem}\nTry --help.");
    exit(2);
}

fn print_help(about: &str, flags: &[&Flag]) {
    println!("{about}\n\nUsage: cargo run --example {} -- [FLAGS]\n", env!("CARGO_CRATE_NAME"));
    let typed = |flag: &Flag| format!("{} {}", flag.0, flag.1);
    let width = flags.iter().map(|flag| typed(flag).len()).max().unwrap_or(0);
    for flag in flags {
        println!("  {:width$}  {}", typed(flag), flag.2);
    }
}

/// The crates tell what happens through `tracing`; a program decides where that goes.
fn start_log(arguments: &Arguments) {
    let default = if arguments.has("--verbose") { Level::DEBUG } else { Level::INFO };
    let level = std::env::var("RUST_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(default);
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false).init();
}

/// Prints where the server is found. It listens already, so whoever reads the line can connect at once.
pub(crate) fn announce(scheme: &str, addresses: &[SocketAddr]) {
    if let Some(address) = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first()) {
        println!("{scheme}://{}/", reachable(*address));
    }
}

/// As [`announce`], of several workers only by the first. When that runs, the parent takes signals.
pub(crate) fn announce_first(scheme: &str, addresses: &[SocketAddr]) {
    if task_id().unwrap_or(0) == 0 {
        announce(scheme, addresses);
    }
}

/// "Every interface" is no place to go to; this machine is one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => return address,
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, address.port())
}

/// Has Ctrl-C and SIGTERM end `IoLoop::start` on this thread, so that `main` returns and the exit status is 0.
///
/// This makes the thread's loop: a program that forks calls it in the workers.
pub(crate) fn stop_on_signals() -> Result<(), LoopError> {
    let io_loop = IoLoop::current();
    [SIGINT, SIGTERM].into_iter().try_for_each(|signal| io_loop.add_signal_handler(signal, || IoLoop::current().stop()))
}

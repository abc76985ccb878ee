//! The load of `cargo xtask compare`: one client thread that is cheaper than the servers it asks, and the accounting of what
//! they spend. It prints one line of `key=value` words.
//!
//! Rules: each kind of load is one row of [`KINDS`] and one file. A kind drives its connections and asks its [`Window`] at each
//! turn; warm-up, CPU times, the state of the machine and what is printed are the same for all. What a server does wrong is
//! counted in `errors=`, its first instance goes to stderr, and the sample is worth nothing then.
#![forbid(unsafe_code)]

mod answers;
mod around;
mod connections;
mod cost;
mod echo;
mod http;
mod idle;
mod options;
mod spread;
mod startup;
mod state;
mod tls;
mod window;

use std::process::ExitCode;

use options::Options;
use window::{Totals, Window};

/// What may go wrong without being the server's fault.
type Error = Box<dyn std::error::Error>;

/// A kind of load: its name, what `--help` says, and how it runs until its window ends.
type Kind = (&'static str, &'static str, fn(&Options, &mut Window) -> Result<Totals, Error>);

const KINDS: &[Kind] = &[
    ("keepalive", "GET / again and again on the same connections", http::keepalive),
    ("pipelined", "the same, --batch requests at a time", http::pipelined),
    ("churn", "GET / with `Connection: close`, a connection for each", http::churn),
    ("post", "POST /echo with 16 KiB that have a Content-Length, and come back", http::post),
    ("post-chunked", "the same in four chunks", http::post_chunked),
    ("stream", "GET /stream/1073741824; its bytes are counted", http::stream),
    ("tls", "GET / over TLS 1.3 on the same connections", tls::keepalive),
    ("tls-handshake", "GET / over TLS 1.3, a connection and a full handshake for each", tls::handshake),
    ("tls-resumed", "the same, but each resumes the one before", tls::resumed),
    ("echo", "64 bytes that come back, again and again", echo::ping_pong),
    ("bulk", "a stream that comes back, written in pieces of 64 KiB", echo::bulk),
    ("idle", "10,000 connections, each idle after a request; the server's memory is told", idle::idle),
    ("both", "GET / again and again, half of the connections from each of the two CPUs", spread::both),
    ("balance", "1,000 idle connections; how many each of the --workers has is told", spread::balance),
];

const HELP: &str = "\
usage: landspout-load KIND --port N [OPTION..]
       landspout-load around --pid N [OPTION..] -- COMMAND [ARGUMENT..]
       landspout-load startup [OPTION..] -- COMMAND [ARGUMENT..]
       landspout-load hold --port N --connections N [--source ADDRESS]
       landspout-load state

  around  runs a command as the load, and prints what the server spent meanwhile
  startup runs a command that prints where it listens, until it has answered once, again and again
  hold    opens connections with one request each, and keeps them until its input ends
  state   prints the nanoseconds that a cache line needs from CPU to CPU and back

  --port N             of the server, on 127.0.0.1
  --pid N              of the server: what it and its children spend is printed
  --server-cpu N       where it runs; together with --cpu, the state of the machine is measured before and after
  --cpu N              where the load runs
  --place WHERE        apart, or together: then it runs on the server's CPU nevertheless (default apart)
  --connections N      default 64 (stream: 1)
  --idle N             further ones that stay idle after a request (default 0)
  --source ADDRESS     where they come from (hold; default 127.0.0.1)
  --workers N          of the server (balance; default 1)
  --batch N            requests that are sent together (pipelined; default 16)
  --closer WHO         server, or client (churn; default server)
  --headers WHICH      short, or a browser's (default short)
  --warm-up S          seconds before those that count (default 0.3)
  --seconds S          seconds that count (default 1)

Kinds:
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("landspout-load: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<String, Error> {
    let (kind, rest) = arguments.split_first().ok_or("a kind of load is missing; --help lists them")?;
    if let "--help" | "-h" = kind.as_str() {
        let kinds = KINDS.iter().map(|(name, help, _)| format!("  {name:<13} {help}\n"));
        return Ok(format!("{HELP}{}", kinds.collect::<String>()).trim_end().to_owned());
    }
    let options = Options::parse(rest)?;
    match kind.as_str() {
        "state" => {
            Ok(format!("state={:.1}", state::round_trip(options.server_cpu.unwrap_or(0), options.cpu.unwrap_or(1))?))
        }
        "hold" => idle::hold(&options),
        "startup" => window::measured(&options, startup::run),
        "around" => window::measured(&options, around::run),
        kind => match KINDS.iter().find(|(name, _, _)| *name == kind) {
            Some((_, _, load)) => window::measured(&options, *load),
            None => Err(format!("no kind of load {kind:?}; --help lists them").into()),
        },
    }
}

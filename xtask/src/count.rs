//! `cargo xtask count`: how many instructions of user code landspout spends on a request, by callgrind, in the program that
//! `cargo xtask compare` measures. Unlike times, these hardly depend on the machine and on what else it does.
//!
//! Rules: a case is counted in a short run and a long one, so that start-up and end cancel out; what it may need at most stands in
//! [`CASES`]. With more the chore fails, with less it asks for the number to be lowered. Another compiler may give other
//! numbers: then they are only shown.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::interop;
use crate::peers::{self, Peer, Started};

/// A request, how it comes, and what one of them took when it was last recorded.
struct Case {
    name: &'static str,
    request: &'static str,
    load: Load,
    recorded: f64,
}

#[derive(Clone, Copy)]
enum Load {
    /// On so many connections, which are kept. A batch of so many requests is sent on each, before any answer is looked at.
    Kept { connections: usize, batch: usize },
    /// On a connection for each, which the request asks to end.
    New,
}

/// One connection, one request at a time.
const ALONE: Load = Load::Kept { connections: 1, batch: 1 };

const CASES: [Case; 5] = [
    Case { name: "keep-alive", request: SHORT, load: ALONE, recorded: 2_612.0 },
    Case {
        name: "keep-alive, 64 connections",
        request: SHORT,
        load: Load::Kept { connections: 64, batch: 1 },
        recorded: 2_209.0,
    },
    Case { name: "pipelined × 16", request: SHORT, load: Load::Kept { connections: 1, batch: 16 }, recorded: 1_049.0 },
    Case { name: "keep-alive, a browser's head", request: BROWSER, load: ALONE, recorded: 5_471.0 },
    Case { name: "connection per request", request: LAST, load: Load::New, recorded: 6_450.0 },
];
/// The compiler of these numbers.
const RECORDED_WITH: &str = "rustc 1.95.0";
/// What more of it is a failure. Two runs differ by much less.
const TOLERANCE: f64 = 0.03;

const SHORT: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// 12 fields, 700 bytes.
const BROWSER: &str = "GET /?story=2026/11/some-stories&ref=front HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/png,image/svg+xml,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.7,de;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: http://www.example.com/articles/2026/11/\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes; _ga=GA1.2.1234567890.1234567890; \
    visited=2026-11-20T12:00:00Z; lang=en; tz=Etc/GMT0\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Priority: u=0, i\r\n\
    \r\n";
/// All divisible by every batch on all connections of a case.
const SHORT_RUN: usize = 1_600;
const LONG_RUN: usize = 33_600;
/// For a server whose short run takes seconds, as an interpreted one's.
const LESS_LONG_RUN: usize = 3_200;
const PATIENCE: Duration = Duration::from_secs(8);
/// Only a server that hangs takes that long.
const DEADLINE: Duration = Duration::from_secs(60);

/// Counts all cases.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    install()?;
    let peer = peers::find("landspout")?;
    peers::build(root, peer)?;
    let compiler = Command::new("rustc").arg("--version").output().map_err(|error| format!("rustc: {error}"))?;
    let comparable = String::from_utf8_lossy(&compiler.stdout).starts_with(RECORDED_WITH);
    if !comparable {
        println!("count: the numbers were recorded with {RECORDED_WITH}, this is another compiler");
    }
    let mut grown = Vec::new();
    for Case { name, request, load, recorded } in CASES {
        let counted = instructions(root, peer, request, load)?;
        let change = counted / recorded - 1.0;
        println!("{name}: {counted:.0} instructions a request, recorded were {recorded:.0} ({:+.1} %)", change * 100.0);
        if comparable && change > TOLERANCE {
            grown.push(name);
        } else if comparable && change < -TOLERANCE {
            println!("count: {name} got cheaper: please record that in xtask/src/count.rs");
        }
    }
    if grown.is_empty() { Ok(()) } else { Err(format!("a request needs more than recorded: {}", grown.join(", "))) }
}

/// What counting needs.
pub(crate) fn install() -> Result<(), String> {
    interop::install_missing(&[("valgrind", &["valgrind"])])
}

/// The instructions of user code that a peer, which was built, spends on a short request when `batch` are sent at a time on one
/// connection.
pub(crate) fn per_request(root: &Path, peer: &Peer, batch: usize) -> Result<f64, String> {
    instructions(root, peer, SHORT, Load::Kept { connections: 1, batch })
}

fn instructions(root: &Path, peer: &Peer, request: &str, load: Load) -> Result<f64, String> {
    let begin = Instant::now();
    let short = collected(root, peer, request, load, SHORT_RUN)?;
    let long_run = if begin.elapsed() < PATIENCE { LONG_RUN } else { LESS_LONG_RUN };
    let long = collected(root, peer, request, load, long_run)?;
    Ok(long.saturating_sub(short) as f64 / (long_run - SHORT_RUN) as f64)
}

/// The instructions of a whole run that answers so many requests, in all processes.
fn collected(root: &Path, peer: &Peer, request: &str, load: Load, requests: usize) -> Result<u64, String> {
    let prefix = &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let Started { running, address } = peers::start(root, peer, &peers::Options { prefix, ..Default::default() })?;
    let asked = match load {
        Load::Kept { connections, batch } => ask(address, request, connections, batch, requests),
        Load::New => ask_anew(address, request, requests),
    };
    asked.map_err(|error| format!("asking under callgrind: {error}"))?;
    running.terminate()?;
    let output = running.output();
    let number = |line: &str| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok();
    let numbers: Vec<u64> = output.lines().filter_map(number).collect();
    if numbers.is_empty() { Err(format!("callgrind printed no sum:\n{output}")) } else { Ok(numbers.iter().sum()) }
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask_anew(address: SocketAddr, request: &str, requests: usize) -> std::io::Result<()> {
    let mut answer = Vec::new();
    for _ in 0..requests {
        let mut stream = connect(address)?;
        stream.write_all(request.as_bytes())?;
        answer.clear();
        stream.read_to_end(&mut answer)?;
    }
    Ok(())
}

fn ask(address: SocketAddr, request: &str, connections: usize, batch: usize, requests: usize) -> std::io::Result<()> {
    let mut streams = (0..connections).map(|_| connect(address)).collect::<std::io::Result<Vec<_>>>()?;
    let mut answer = [0; 4096];
    // The body's last byte ends the first answer; all have its length.
    streams[0].write_all(request.as_bytes())?;
    let mut length = 0;
    while !answer[..length].ends_with(b"Hello, World!") {
        match streams[0].read(&mut answer[length..])? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => length += n,
        }
    }
    let batches = request.as_bytes().repeat(batch);
    let mut answers = vec![0; length * batch];
    for _ in 0..requests / batch / connections {
        for stream in &mut streams {
            stream.write_all(&batches)?;
        }
        for stream in &mut streams {
            stream.read_exact(&mut answers)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browsers_head_has_the_size_that_figures_name() {
        assert_eq!((BROWSER.lines().filter(|line| line.contains(": ")).count(), BROWSER.len()), (12, 700));
    }
}

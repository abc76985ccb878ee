//! Moves much through pairs of streams and looks at what it takes: that each byte arrives, and that memory stays where it
//! was, however much goes through.
//!
//! ```sh
//! cargo run --release -p landspout-iostream --features tls-ring --example transfer           # 1024 MiB each way
//! cargo run --release -p landspout-iostream --features tls-ring --example transfer 100 tls   # less, over TLS alone
//! ```
//! Both ends are on one loop and in one process, so the figures are those of both. Linux tells the memory; elsewhere only
//! the bytes are checked.

use std::hash::{DefaultHasher, Hasher};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use landspout_ioloop::IoLoop;
use landspout_iostream::{IoStream, StreamError, StreamOptions};

/// A certificate is made on the fly.
#[cfg(feature = "tls")]
#[path = "../tests/common/tls.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use more of it")]
mod tls;

const MIB: usize = 1024 * 1024;
/// What a transfer may add to the process at its peak: buffers of a few streams, not a share of what goes through.
const MAX_GROWTH: usize = 4 * MIB;
const PIECE: usize = 64 * 1024;

#[derive(Debug, Clone, Copy)]
enum Over {
    Tcp,
    Unix,
    Pipe,
    #[cfg(feature = "tls")]
    Tls,
}

const ALL: &[(&str, Over)] = &[
    ("tcp", Over::Tcp),
    ("unix", Over::Unix),
    ("pipe", Over::Pipe),
    #[cfg(feature = "tls")]
    ("tls", Over::Tls),
];

impl Over {
    async fn pair(self) -> (IoStream, IoStream) {
        let options = StreamOptions::new;
        match self {
            Self::Tcp => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
                let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
                let other = listener.accept().expect("connected").0;
                let stream = |socket| IoStream::from_tcp(socket, options()).expect("a socket");
                (stream(one), stream(other))
            }
            Self::Unix => {
                let (one, other) = UnixStream::pair().expect("descriptors");
                let stream = |socket| IoStream::from_unix(socket, options()).expect("a socket");
                (stream(one), stream(other))
            }
            Self::Pipe => {
                let (reader, writer) = nix::unistd::pipe().expect("descriptors");
                let stream = |fd| IoStream::from_pipe(fd, options()).expect("a pipe");
                (stream(writer), stream(reader))
            }
            #[cfg(feature = "tls")]
            Self::Tls => tls::secured(Box::pin(Self::Tcp.pair()).await).await,
        }
    }

    fn both_ways(self) -> bool {
        !matches!(self, Self::Pipe)
    }
}

/// Sends `total` bytes, no two pieces alike, no faster than they are taken. Gives their hash.
async fn send(stream: IoStream, total: usize, seed: u64) -> Result<u64, StreamError> {
    let mut hasher = DefaultHasher::new();
    let mut piece = vec![0; PIECE];
    let (mut sent, mut state) = (0, seed);
    while sent < total {
        for word in piece.chunks_exact_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            word.copy_from_slice(&state.to_le_bytes());
        }
        hasher.write(&piece);
        stream.write(&piece)?.await?;
        sent += piece.len();
    }
    Ok(hasher.finish())
}

/// Reads `total` bytes and gives their hash.
async fn receive(stream: IoStream, total: usize) -> Result<u64, StreamError> {
    let mut hasher = DefaultHasher::new();
    let mut memory = vec![0; PIECE];
    let mut received = 0;
    while received < total {
        let n = stream.read_into_partial(&mut memory).await?;
        hasher.write(&memory[..n]);
        received += n;
    }
    Ok(hasher.finish())
}

/// In bytes: what the process has in memory, and what it had at most since `forget_peak`.
fn memory() -> Option<(usize, usize)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok().map(|kib: usize| kib * 1024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Moves `total` bytes, each way if there are two, and prints a row. Gives whether all was as it should be.
fn transfer(name: &str, over: Over, total: usize) -> bool {
    let io_loop = IoLoop::new().expect("a loop");
    forget_peak();
    let before = memory();
    let moved = io_loop.run_sync(async move {
        let begin = IoLoop::current().now();
        let (one, other) = over.pair().await;
        let mut ways = vec![(one.clone(), other.clone())];
        if over.both_ways() {
            ways.push((other, one));
        }
        let tasks: Vec<_> = ways
            .into_iter()
            .zip(1..)
            .map(|((from, to), seed)| {
                let io_loop = IoLoop::current();
                (io_loop.spawn(send(from, total, seed)), io_loop.spawn(receive(to, total)))
            })
            .collect();
        let mut equal = Vec::new();
        for (sent, received) in tasks {
            equal.push(sent.await.expect("it ends")? == received.await.expect("it ends")?);
        }
        Ok::<_, StreamError>((equal, IoLoop::current().now() - begin))
    });
    let (equal, time) = match moved.expect("the loop runs") {
        Ok(moved) => moved,
        Err(error) => {
            println!("{name:<6} FAILED: {error}");
            return false;
        }
    };
    let rate = (equal.len() * total) as f64 / MIB as f64 / time.as_secs_f64();
    let all_equal = equal.iter().all(|equal| *equal);
    let hashes = if all_equal { "equal" } else { "DIFFERENT" };
    print!("{name:<6} {} x {:>5} MiB  {rate:>6.0} MiB/s  hashes {hashes}", equal.len(), total / MIB);
    let (Some((rss_before, _)), Some((rss, peak))) = (before, memory()) else {
        println!();
        return all_equal;
    };
    let growth = peak.saturating_sub(rss_before);
    let verdict = if growth <= MAX_GROWTH { "" } else { "  TOO MUCH" };
    let kib = |bytes: usize| bytes / 1024;
    println!("  VmRSS {:>5} -> {:>5} KiB, VmHWM {:>5} KiB{verdict}", kib(rss_before), kib(rss), kib(peak));
    all_equal && growth <= MAX_GROWTH
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let total = words.iter().find_map(|word| word.parse().ok()).unwrap_or(1024) * MIB;
    let names: Vec<&String> = words.iter().filter(|word| word.parse::<usize>().is_err()).collect();
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|(known, _)| *known == name.as_str())) {
        eprintln!("error: {unknown:?}; usage: transfer [MIB] [tcp] [unix] [pipe] [tls]");
        return ExitCode::from(2);
    }
    let chosen = ALL.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted.as_str() == *name));
    // One small round first, so that what is made once (scratch buffers, tables of cryptography) is there before.
    let mut well = chosen.clone().all(|(name, over)| transfer(name, *over, MIB));
    println!();
    for (name, over) in chosen {
        well &= transfer(name, *over, total);
    }
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

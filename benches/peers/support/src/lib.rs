//! What every peer of the comparison needs and none of them is about: flags, a listening socket, the line with its
//! address, the end by SIGTERM, the contents of the answers. The contract of a peer stands in `benches/README.md`.
//!
//! Nothing here runs while requests are served, but for the accept loop of those that are limits.
#![forbid(unsafe_code)]

#[cfg(feature = "epoll")]
pub mod epoll;
#[cfg(feature = "tls")]
pub mod tls;

use std::fmt::Display;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use socket2::{Domain, Socket, Type};

/// The body of `GET /`.
pub const HELLO: &str = "Hello, World!";
/// What `GET /stream/BYTES` is sent in.
pub const PIECE_SIZE: usize = 64 * 1024;
/// A piece of it.
pub static PIECE: [u8; PIECE_SIZE] = [b'x'; PIECE_SIZE];

/// A flag that a peer doesn't have.
const WRONG_USAGE: i32 = 2;
/// A flag that the peer has and this machine can't do: io_uring, for one.
const NOT_HERE: i32 = 3;

/// What the command line said.
pub struct Arguments {
    given: Vec<(&'static str, String)>,
}

impl Arguments {
    /// Reads `--port N` and the flags of this peer, as `--certfile F` or, without a value, `--io-uring`. What isn't among them ends
    /// the program with status 2.
    pub fn read(flags: &[&'static str]) -> Self {
        let mut given = Vec::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let known = flags.iter().chain(&["--port N"]).map(|flag| flag.split_once(' ').unwrap_or((flag, "")));
            let Some((name, meta)) = known.into_iter().find(|(name, _)| *name == word) else {
                refuse(WRONG_USAGE, format_args!("no flag {word} here; there are --port N {}", flags.join(" ")));
            };
            let value = if meta.is_empty() { Some(String::new()) } else { words.next() };
            match value {
                Some(value) => given.push((name, value)),
                None => refuse(WRONG_USAGE, format_args!("{name} wants a value: {name} {meta}")),
            }
        }
        Self { given }
    }

    pub fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.given.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// A value that is no number ends the program with status 2.
    pub fn number(&self, name: &str) -> Option<usize> {
        let text = self.text(name)?;
        Some(text.parse().unwrap_or_else(|_| refuse(WRONG_USAGE, format_args!("{name} {text} is no number"))))
    }

    /// 0, any free port, unless told.
    pub fn port(&self) -> u16 {
        match self.number("--port").map(u16::try_from) {
            Some(Ok(port)) => port,
            Some(Err(_)) => refuse(WRONG_USAGE, "--port goes up to 65535"),
            None => 0,
        }
    }

    /// The files of `--certfile` and `--keyfile`, if TLS is wanted.
    pub fn certificate(&self) -> Option<(&str, &str)> {
        match (self.text("--certfile"), self.text("--keyfile")) {
            (Some(certfile), Some(keyfile)) => Some((certfile, keyfile)),
            (None, None) => None,
            _ => refuse(WRONG_USAGE, "--certfile and --keyfile belong together"),
        }
    }
}

fn refuse(status: i32, problem: impl Display) -> ! {
    eprintln!("error: {problem}");
    exit(status)
}

/// Ends the program with status 3: this machine can't do what a flag asks for.
pub fn not_here(problem: impl Display) -> ! {
    refuse(NOT_HERE, problem)
}

/// Ends the program with status 3 where the administrator has turned io_uring off; for peers that don't fail in good order then.
pub fn expect_io_uring() {
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    if disabled.trim() == "2" {
        not_here("this kernel refuses io_uring");
    }
}

/// A listening socket that doesn't block, with the longest backlog that the system allows. Connections inherit TCP_NODELAY
/// from it, so that no peer has to set it for each.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    // The kernel cuts it down to net.core.somaxconn.
    socket.listen(i32::MAX)?;
    Ok(socket.into())
}

/// Prints where the peer is found; it listens already.
pub fn announce(address: SocketAddr) {
    println!("listening on {address}");
}

/// From now on SIGTERM ends the process at once, with status 0. It takes no thread and no part of the peer's loop.
pub fn exit_on_sigterm() -> io::Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGTERM, 0, always)?;
    Ok(())
}

/// BYTES of `/stream/BYTES`.
pub fn stream_length(path: &str) -> Option<u64> {
    path.strip_prefix("/stream/")?.parse().ok()
}

/// The next piece of an answer of which so many bytes are left.
pub fn next_piece(left: u64) -> &'static [u8] {
    &PIECE[..usize::try_from(left).map_or(PIECE_SIZE, |left| left.min(PIECE_SIZE))]
}

//! The practical limit and no peer: an epoll loop that only looks for the blank line behind a head and answers with
//! ready-made bytes. One read and one write for what came at once, one `epoll_ctl` in a connection's life, one timer for the date.
//!
//! It knows two requests by their first byte: whatever begins with `P` is followed by a body of exactly [`ECHO`] bytes, which goes
//! back; any other is answered with the greeting. A client that doesn't take its answers is closed. It doesn't look whether a client
//! wants its connection closed: with `--close` it closes each behind a greeting.
#![forbid(unsafe_code)]

mod workers;

use std::error::Error;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use memchr::memmem::Finder;
use peer_support::epoll::{accept_all, number};
use peer_support::{Arguments, HELLO};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{Errno, read, write};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// The only length of a body.
const ECHO: usize = 16 * 1024;
const BLANK_LINE: &[u8] = b"\r\n\r\n";
/// Ready-made answers to requests that came at once; when more came, they leave in several writes.
const READY: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().any(|word| word == workers::INHERITED) {
        return workers::inherited();
    }
    let arguments = Arguments::read(&["--close", "--workers N", "--start fork|threads"]);
    if let Some(count) = arguments.number(workers::COUNT) {
        return workers::run(count, &arguments);
    }
    let listener = peer_support::listen(arguments.port())?;
    peer_support::exit_on_sigterm()?;
    peer_support::announce(listener.local_addr()?);
    serve(&listener, arguments.has("--close"))?;
    Ok(())
}

fn serve(listener: &TcpListener, closes: bool) -> Result<(), Errno> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let listening = number(listener);
    epoll::add(&epoll, listener, EventData::new_u64(listening as u64), EventFlags::IN)?;
    // By the number of the descriptor.
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Vec::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut answers = Answers::new(closes);
    // A date is good for a second.
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let second = Timespec { tv_sec: 1, tv_nsec: 0 };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: second, it_value: second })?;
    let ticking = number(&timer);
    epoll::add(&epoll, &timer, EventData::new_u64(ticking as u64), EventFlags::IN)?;
    loop {
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Err(Errno::INTR) => continue,
            result => result?,
        };
        for event in events.drain(..) {
            let at = event.data.u64() as usize;
            if at == listening {
                accept_all(listener, &epoll, &mut connections, Connection::new)?;
            } else if at == ticking {
                // How often it went off.
                let _ = read(&timer, &mut buffer[..8]);
                answers = Answers::new(closes);
            } else if let Some(Some(connection)) = connections.get_mut(at)
                && !connection.is_readable(&mut buffer, &answers)
            {
                // Closing it takes it out of epoll.
                connections[at] = None;
            }
        }
    }
}

struct Connection {
    socket: OwnedFd,
    awaited: Awaited,
    /// How much of the blank line what came last ended with.
    seen: u8,
    /// The answer to a POST as far as it is there.
    echo: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Awaited {
    Head,
    RestOfGet,
    RestOfPost,
    Body,
}

impl Connection {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, awaited: Awaited::Head, seen: 0, echo: Vec::new() }
    }

    /// False if it is at its end.
    fn is_readable(&mut self, buffer: &mut [u8], answers: &Answers) -> bool {
        match read(&self.socket, &mut *buffer) {
            Ok(0) => false,
            Ok(n) => self.receive(&buffer[..n], answers),
            Err(Errno::AGAIN | Errno::INTR) => true,
            Err(_) => false,
        }
    }

    fn receive(&mut self, mut bytes: &[u8], answers: &Answers) -> bool {
        let mut greetings = 0;
        while let Some(first) = bytes.first() {
            if let Awaited::Head = self.awaited {
                self.awaited = if *first == b'P' { Awaited::RestOfPost } else { Awaited::RestOfGet };
            }
            if let Awaited::Body = self.awaited {
                let (body, rest) = bytes.split_at(bytes.len().min(answers.echo.len() + ECHO - self.echo.len()));
                self.echo.extend_from_slice(body);
                bytes = rest;
                if self.echo.len() == answers.echo.len() + ECHO {
                    self.awaited = Awaited::Head;
                    if !self.send(&self.echo) {
                        return false;
                    }
                }
                continue;
            }
            let Some(end) = end_of_head(bytes, &mut self.seen, &answers.blank_line) else { break };
            bytes = &bytes[end..];
            if let Awaited::RestOfPost = self.awaited {
                if !self.greet(&mut greetings, answers) {
                    return false;
                }
                self.awaited = Awaited::Body;
                self.echo.clear();
                self.echo.extend_from_slice(&answers.echo);
            } else {
                self.awaited = Awaited::Head;
                greetings += 1;
                if greetings == READY && !self.greet(&mut greetings, answers) {
                    return false;
                }
            }
        }
        self.greet(&mut greetings, answers)
    }

    fn greet(&self, greetings: &mut usize, answers: &Answers) -> bool {
        let count = std::mem::take(greetings);
        count == 0 || (self.send(&answers.greetings[..count * answers.length]) && !answers.closes)
    }

    fn send(&self, bytes: &[u8]) -> bool {
        write(&self.socket, bytes) == Ok(bytes.len())
    }
}

/// Behind the blank line, if it is there.
fn end_of_head(bytes: &[u8], seen: &mut u8, blank_line: &Finder<'_>) -> Option<usize> {
    // It began in what came before.
    for (at, byte) in bytes.iter().enumerate() {
        match (*seen, byte) {
            (0, _) => break,
            (1 | 3, b'\n') | (2, b'\r') => *seen += 1,
            (_, b'\r') => *seen = 1,
            _ => *seen = 0,
        }
        if *seen == 4 {
            *seen = 0;
            return Some(at + 1);
        }
    }
    if *seen > 0 {
        return None;
    }
    let found = blank_line.find(bytes);
    if found.is_none() {
        let ends = (1..BLANK_LINE.len()).rev().find(|length| bytes.ends_with(&BLANK_LINE[..*length]));
        *seen = ends.unwrap_or(0) as u8;
    }
    found.map(|at| at + BLANK_LINE.len())
}

/// Ready-made, with one date.
struct Answers {
    /// Each greeting is the last thing on its connection.
    closes: bool,
    /// One answer of `length` bytes after the other.
    greetings: Vec<u8>,
    length: usize,
    /// The head of an answer to POST.
    echo: Vec<u8>,
    blank_line: Finder<'static>,
}

impl Answers {
    fn new(closes: bool) -> Self {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let head = |content_type, length| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nDate: {date}\r\n\r\n"
            )
        };
        let mut greeting = head("text/plain", HELLO.len()) + HELLO;
        if closes {
            greeting = greeting.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
        }
        Self {
            closes,
            length: greeting.len(),
            greetings: greeting.repeat(READY).into_bytes(),
            echo: head("application/octet-stream", ECHO).into_bytes(),
            blank_line: Finder::new(BLANK_LINE),
        }
    }
}

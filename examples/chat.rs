//! A chat for many terminals: whoever connects gives a name, and what one says the others read.
//!
//! ```sh
//! cargo run --example chat
//! nc 127.0.0.1 8888          # or telnet; in several terminals
//! ```
//! In Tornado: a subclass of `TCPServer` that keeps its streams. What a public server of this kind has to hold against: a
//! terminal that doesn't read what it is sent must neither hold the others up nor fill the memory, one that sends without
//! end must not drown them, and what it sends must not reach into their terminals as control characters.

mod support;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use landspout::ioloop::{IoLoop, sleep, with_timeout};
use landspout::iostream::{IoStream, StreamError};
use landspout::netutil::PeerAddress;
use landspout::tcpserver::TcpServerOptions;

/// In bytes, without the line end. A longer line is not passed on.
const MAX_LINE: usize = 500;
/// In characters.
const MAX_NAME: usize = 20;
/// How far a terminal may be behind with reading, in bytes, beyond what the kernel holds for it.
const MAX_BEHIND: usize = 64 * 1024;
/// How long a connection may take to give its name.
const NAME_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a last line may take to leave.
const GRACE: Duration = Duration::from_secs(2);

const HELP: &str = "What you type the others read. /who tells who is here, /quit leaves.";

fn main() -> Result<(), support::Failure> {
    let seats = support::Flag("--seats", "N", "how many connections there may be at once [200]");
    let rate =
        support::Flag("--rate", "N", "how many lines per second are taken from one terminal, 0 for any number [10]");
    let arguments = support::Arguments::read("A chat for many terminals.", &[support::PORT, seats, rate]);
    let room = Rc::new(Room {
        members: RefCell::default(),
        seats: Cell::new(arguments.value("--seats").unwrap_or(200)),
        pause: Duration::from_secs(1).checked_div(arguments.value("--rate").unwrap_or(10)),
    });

    let serving = room.clone();
    let server = TcpServerOptions::new()
        .max_write_buffer_size(MAX_BEHIND)
        .read_chunk_size(4096)
        .handler(async move |stream, address| serve(&serving, stream, address).await);
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    support::announce("tcp", &server.addresses());
    IoLoop::current().start()?;

    // Whoever doesn't read the last words within that time misses them.
    server.stop();
    let _ = IoLoop::current().run_sync_timeout(GRACE, async move { room.close().await });
    Ok(())
}

/// Who is here. No lock: everything happens on one thread, and nothing waits while the list is borrowed.
struct Room {
    members: RefCell<Vec<Rc<Member>>>,
    /// How many more connections there may be.
    seats: Cell<usize>,
    /// Between two lines of a terminal.
    pause: Option<Duration>,
}

struct Member {
    name: String,
    stream: IoStream,
}

/// A connection's life. Whatever goes wrong with it is its terminal's matter.
async fn serve(room: &Room, stream: IoStream, address: PeerAddress) {
    tracing::debug!("{address} connected");
    match visit(room, &stream).await {
        Ok(last_words) => {
            let _ = write(&stream, last_words);
            let _ = with_timeout(GRACE, stream.flush()).await;
        }
        Err(error) => tracing::debug!("{address}: {error}"),
    }
    stream.close();
}

/// Returns what there is to say at the end.
async fn visit(room: &Room, stream: &IoStream) -> Result<&'static str, StreamError> {
    let Some(_seat) = Seat::take(room) else { return Ok("All seats are taken. Try again later.") };
    // People read along: no line waits for the next.
    stream.set_nodelay(true)?;
    let mut lines = Lines { stream: stream.clone(), skipping: false };
    let Ok(member) = with_timeout(NAME_TIMEOUT, enter(room, &mut lines)).await else {
        return Ok("Nobody is let in without a name.");
    };
    let member = member?;
    let left = chat(room, &member, &mut lines).await;
    // One that was too slow has been removed already.
    if room.remove(&member) {
        room.tell(&format!("* {} left", member.name), None);
    }
    left.map(|()| "Goodbye.")
}

/// Asks for a name until it is a good one, and lets it in.
async fn enter(room: &Room, lines: &mut Lines) -> Result<Rc<Member>, StreamError> {
    let stream = &lines.stream.clone();
    loop {
        write(stream, "Your name?")?;
        let name = lines.next().await?.unwrap_or_default();
        let good = |character: char| character.is_alphanumeric() || "-_.".contains(character);
        if name.is_empty() || name.chars().count() > MAX_NAME || !name.chars().all(good) {
            write(stream, &format!("A name has up to {MAX_NAME} letters, digits or -_. and no space."))?;
        } else if room.members.borrow().iter().any(|member| member.name.to_lowercase() == name.to_lowercase()) {
            write(stream, "There is somebody of that name.")?;
        } else {
            write(stream, &format!("Welcome, {name}. {HELP}"))?;
            room.tell(&format!("* {name} came in"), None);
            let member = Rc::new(Member { name, stream: stream.clone() });
            room.members.borrow_mut().push(member.clone());
            return Ok(member);
        }
        room.pause().await;
    }
}

/// Until `/quit`, the stream's end, or until it is dropped.
async fn chat(room: &Room, member: &Rc<Member>, lines: &mut Lines) -> Result<(), StreamError> {
    let Member { name, stream } = &**member;
    while room.has(member) {
        match lines.next().await?.as_deref() {
            None => write(stream, &format!("* That line is too long; {MAX_LINE} bytes are the limit."))?,
            Some("") => {}
            Some("/quit") => return Ok(()),
            Some("/who") => write(stream, &room.who())?,
            Some(command) if command.starts_with('/') => write(stream, HELP)?,
            Some(said) => room.tell(&format!("<{name}> {said}"), Some(member)),
        }
        room.pause().await;
    }
    Ok(())
}

impl Room {
    /// Sends a line to everybody, or everybody else. Nobody is waited for: what a terminal doesn't take is buffered, and
    /// once that is too much the terminal is dropped.
    fn tell(&self, line: &str, except: Option<&Rc<Member>>) {
        let mut slow = Vec::new();
        for member in self.members.borrow().iter() {
            let left_out = except.is_some_and(|except| Rc::ptr_eq(except, member));
            // Another error means a stream that is closed. Its own task notices that.
            if !left_out && matches!(write(&member.stream, line), Err(StreamError::WriteBufferFull { .. })) {
                slow.push(member.clone());
            }
        }
        for member in slow {
            if self.remove(&member) {
                member.stream.close();
                self.tell(&format!("* {} didn't keep up and was dropped", member.name), None);
            }
        }
    }

    /// Nothing is read meanwhile. Who sends faster than that waits, in the end in its own kernel.
    async fn pause(&self) {
        if let Some(pause) = self.pause {
            sleep(pause).await;
        }
    }

    fn who(&self) -> String {
        let members = self.members.borrow();
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        format!("* {} here: {}", names.len(), names.join(", "))
    }

    fn has(&self, member: &Rc<Member>) -> bool {
        self.members.borrow().iter().any(|other| Rc::ptr_eq(other, member))
    }

    /// Whether it was still there.
    fn remove(&self, member: &Rc<Member>) -> bool {
        let mut members = self.members.borrow_mut();
        let before = members.len();
        members.retain(|other| !Rc::ptr_eq(other, member));
        members.len() < before
    }

    async fn close(&self) {
        let members = self.members.take();
        for member in &members {
            let _ = write(&member.stream, "* The server goes down. Goodbye.");
        }
        // They are all on their way; this only waits for them.
        for member in &members {
            let _ = member.stream.flush().await;
            member.stream.close();
        }
    }
}

/// A connection's place. Leaving it makes room for another.
struct Seat<'a>(&'a Room);

impl<'a> Seat<'a> {
    fn take(room: &'a Room) -> Option<Self> {
        room.seats.set(room.seats.get().checked_sub(1)?);
        Some(Self(room))
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.seats.set(self.0.seats.get() + 1);
    }
}

/// What a terminal sends, line by line.
struct Lines {
    stream: IoStream,
    /// In the middle of a line that is too long.
    skipping: bool,
}

impl Lines {
    /// The next line, without its end (LF, or CR LF as telnet sends it) and as plain text; `None` once for each line that is too
    /// long. Works in the stream's own buffer, so that no more of such a line is kept than was read at once.
    async fn next(&mut self) -> Result<Option<String>, StreamError> {
        loop {
            let end = self.stream.with_buffered(|bytes| bytes.iter().position(|&byte| byte == b'\n'));
            let buffered = self.stream.with_buffered(<[u8]>::len);
            match end {
                Some(end) => {
                    let line = self.stream.take_buffered(end + 1);
                    if !std::mem::take(&mut self.skipping) {
                        let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
                        return Ok((line.len() <= MAX_LINE).then(|| plain(line)));
                    }
                }
                None if self.skipping => self.stream.consume(buffered),
                None if buffered > MAX_LINE + "\r".len() => {
                    self.skipping = true;
                    self.stream.consume(buffered);
                    return Ok(None);
                }
                None => {}
            }
            // Not after a line that was taken: there may be another one.
            if end.is_none() {
                poll_fn(|cx| self.stream.poll_fill(cx)).await?;
            }
        }
    }
}

/// Nothing that moves the cursor of another terminal, or rings its bell.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let characters = text.chars().map(|character| if character == '\t' { ' ' } else { character });
    characters.filter(|character| !character.is_control()).collect::<String>().trim().to_owned()
}

/// CR LF, since a raw terminal wants the CR and no other minds it.
fn write(stream: &IoStream, line: &str) -> Result<(), StreamError> {
    stream.write(format!("{line}\r\n").as_bytes()).map(drop)
}

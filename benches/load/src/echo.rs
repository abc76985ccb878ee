//! The kinds of load on a server that sends back what it gets: small messages to and fro, and one long stream.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use crate::Error;
use crate::options::Options;
use crate::window::{Totals, Window};

const MESSAGE: &[u8; 64] = b"sixty-four bytes that go there and come back, again and again...";
/// What is written at a time.
const PIECE: usize = 64 * 1024;
/// What is on its way there and back at most. With more, buffers fill up, and who waits for whom, by chance, tells more than what a
/// byte costs.
const ON_THE_WAY: u64 = 4 * PIECE as u64;
/// More than a read brings.
const BUFFER: usize = 256 * 1024;

/// A connection sends a message when it got the one before.
pub(crate) fn ping_pong(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let count = options.connections.unwrap_or(64);
    // Each with what it got of a message.
    let mut connections = Vec::with_capacity(count);
    for index in 0..count {
        let socket = connect(options)?;
        epoll::add(&epoll, &socket, EventData::new_u64(index as u64), EventFlags::IN | EventFlags::ET)?;
        send(&socket)?;
        connections.push((socket, 0));
    }
    let mut totals = Totals::default();
    let mut buffer = [0; 4096];
    let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 256];
    while window.open(&totals)? {
        for index in wait(&epoll, &mut events, window)? {
            let (socket, got) = &mut connections[index];
            let Some(received) = receive(socket, &mut buffer, RecvFlags::empty())? else {
                continue;
            };
            if !MESSAGE[*got..].starts_with(&buffer[..received]) {
                return Err("the echo is not what was sent".into());
            }
            *got += received;
            if *got == MESSAGE.len() {
                *got = 0;
                totals.requests += 1;
                totals.bytes += MESSAGE.len() as u64;
                send(socket)?;
            }
        }
    }
    Ok(totals)
}

fn send(socket: &OwnedFd) -> Result<(), Error> {
    match net::send(socket, MESSAGE, SendFlags::NOSIGNAL)? {
        sent if sent == MESSAGE.len() => Ok(()),
        _ => Err("the kernel took only a part of a message".into()),
    }
}

/// One connection writes pieces, and reads what comes back. The kernel drops that, so that no copying of ours is
/// waited for.
pub(crate) fn bulk(options: &Options, window: &mut Window) -> Result<Totals, Error> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let socket = connect(options)?;
    epoll::add(&epoll, &socket, EventData::new_u64(0), EventFlags::IN | EventFlags::OUT | EventFlags::ET)?;
    let piece = vec![b'x'; PIECE];
    let mut buffer = vec![0; BUFFER];
    let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 16];
    // Of what was sent, so much is missing; of the piece that is being sent, so much is gone.
    let (mut totals, mut missing, mut gone) = (Totals::default(), 0, 0);
    while window.open(&totals)? {
        wait(&epoll, &mut events, window)?.for_each(drop);
        let mut stuck = false;
        // By turns, so that neither side fills up.
        while !stuck {
            stuck = true;
            if missing < ON_THE_WAY {
                match net::send(&socket, &piece[gone..], SendFlags::NOSIGNAL) {
                    Ok(sent) => {
                        gone = (gone + sent) % PIECE;
                        missing += sent as u64;
                        stuck = false;
                    }
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if let Some(received) = receive(&socket, &mut buffer, RecvFlags::TRUNC)? {
                totals.bytes += received as u64;
                totals.requests = totals.bytes / PIECE as u64;
                missing = missing.checked_sub(received as u64).ok_or("more came back than was sent")?;
                stuck = false;
            }
            if !window.open(&totals)? {
                return Ok(totals);
            }
        }
    }
    Ok(totals)
}

fn connect(options: &Options) -> Result<OwnedFd, Error> {
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    net::connect(&socket, &options.address()?)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Nothing when nothing is there.
fn receive(socket: &OwnedFd, buffer: &mut [u8], flags: RecvFlags) -> Result<Option<usize>, Error> {
    match net::recv(socket, buffer, flags) {
        Ok((0, _)) => Err("the server closed the connection".into()),
        Ok((received, _)) => Ok(Some(received)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The connections that are ready.
fn wait<'a>(
    epoll: &OwnedFd,
    events: &'a mut [Event],
    window: &Window,
) -> Result<impl Iterator<Item = usize> + use<'a>, Error> {
    // Not for ever, since a server that answers nothing raises no event.
    let timeout = window.left().clamp(Duration::from_millis(1), Duration::from_secs(1)).try_into()?;
    let ready = match epoll::wait(epoll, &mut *events, Some(&timeout)) {
        Err(Errno::INTR) => 0,
        outcome => outcome?,
    };
    Ok(events[..ready].iter().map(|event| event.data.u64() as usize))
}

//! Drives connections with an epoll loop: each has one batch of requests under way, and sends the next when all are answered.
//!
//! Rules: a connection is registered once, edge-triggered, for both directions. A read that did not fill the buffer took all
//! there was, so no second one has to find that out; what comes later raises an edge of its own. A connection that went wrong is
//! counted and given up. No answer after all connections were given up, or too many errors, end the load. Where the server closes,
//! the socket connects again: on the loopback a client does most of the work of TCP, so that it is to have little of its own.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};

use crate::Error;
use crate::answers::{Answers, Known};
use crate::options::{Closer, Options};
use crate::window::{Totals, Window};

/// What every connection does.
pub(crate) struct Plan {
    /// When the command line says nothing else.
    pub(crate) connections: usize,
    /// The bytes of a batch.
    pub(crate) request: Vec<u8>,
    /// Its answers.
    pub(crate) batch: u64,
    /// Connections are closed after a batch, and new ones take the place.
    pub(crate) closes: Option<Closer>,
    /// Bodies are long: the kernel drops them, so that no copying of ours is waited for.
    pub(crate) discards: bool,
    /// The length of each body.
    pub(crate) expected: Option<u64>,
}

impl Plan {
    /// One request at a time, on 64 connections that stay.
    pub(crate) fn new(request: Vec<u8>) -> Self {
        Self { connections: 64, request, batch: 1, closes: None, discards: false, expected: None }
    }
}

/// More than a pipelined batch of answers, or as much as a bulk transfer has at a time.
const BUFFER: usize = 256 * 1024;
const MAX_ERRORS: u64 = 100;

/// Goes on until the window closes.
pub(crate) fn drive(options: &Options, plan: &Plan, window: &mut Window) -> Result<Totals, Error> {
    let mut load = Load {
        plan,
        address: options.address()?,
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        buffer: vec![0; BUFFER],
        known: Known::default(),
        totals: Totals::default(),
    };
    let count = options.connections.unwrap_or(plan.connections);
    let mut connections: Vec<Option<Connection>> = (0..count).map(|_| None).collect();
    for (index, slot) in connections.iter_mut().enumerate() {
        load.open(index, slot);
    }
    let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 256];
    while window.open(&load.totals)? && load.totals.errors < MAX_ERRORS {
        // Not for ever, since a server that answers nothing raises no event.
        let timeout = window.left().clamp(Duration::from_millis(1), Duration::from_secs(1)).try_into()?;
        let ready = match epoll::wait(&load.epoll, &mut events, Some(&timeout)) {
            Err(Errno::INTR) => 0,
            outcome => outcome?,
        };
        for event in &events[..ready] {
            load.turn(&mut connections[event.data.u64() as usize], event.flags);
        }
        if connections.iter().all(Option::is_none) {
            break;
        }
    }
    Ok(load.totals)
}

struct Load<'a> {
    plan: &'a Plan,
    address: SocketAddrV4,
    epoll: OwnedFd,
    /// All connections read into it.
    buffer: Vec<u8>,
    known: Known,
    totals: Totals,
}

struct Connection {
    socket: OwnedFd,
    /// Of the batch.
    sent: usize,
    /// Of the batch.
    unanswered: u64,
    answers: Answers,
}

/// What a turn of a connection ends with.
enum Next {
    Wait,
    Reconnect,
}

impl Load<'_> {
    /// Makes a connection and sends.
    fn open(&mut self, index: usize, slot: &mut Option<Connection>) {
        match self.connect(index) {
            Ok(connection) => {
                let connection = slot.insert(connection);
                if let Err(problem) = send(self.plan, connection) {
                    self.give_up(slot, problem);
                }
            }
            Err(problem) => self.give_up(slot, problem),
        }
    }

    fn connect(&self, index: usize) -> Result<Connection, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if self.plan.closes == Some(Closer::Client) {
            // Who closes first can't use its port again for a while: 64 addresses have ports enough.
            net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, index as u8), 0))?;
        }
        let both = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &socket, EventData::new_u64(index as u64), both)?;
        let answers = Answers::new(self.plan.expected);
        let mut connection = Connection { socket, sent: 0, unanswered: 0, answers };
        self.begin(&mut connection)?;
        Ok(connection)
    }

    /// Makes a new connection of one that was closed.
    fn reconnect(&self, connection: &mut Connection) -> Result<(), Errno> {
        net::connect_unspec(&connection.socket)?;
        self.begin(connection)?;
        send(self.plan, connection)
    }

    fn begin(&self, connection: &mut Connection) -> Result<(), Errno> {
        connection.sent = 0;
        connection.unanswered = self.plan.batch;
        match net::connect(&connection.socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn turn(&mut self, slot: &mut Option<Connection>, flags: EventFlags) {
        let Some(connection) = slot else { return };
        let sent = if connection.sent < self.plan.request.len() { send(self.plan, connection) } else { Ok(()) };
        let outcome = match sent {
            Ok(()) if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) => {
                self.receive(connection, flags.contains(EventFlags::RDHUP))
            }
            Ok(()) => Ok(Next::Wait),
            Err(problem) => Err(problem.to_string()),
        };
        let outcome = match outcome {
            Ok(Next::Wait) => Ok(()),
            Ok(Next::Reconnect) => self.reconnect(connection).map_err(|error| error.to_string()),
            Err(problem) => Err(problem),
        };
        if let Err(problem) = outcome {
            self.give_up(slot, problem);
        }
    }

    /// Reads what there is, and sends the next batch when this one is answered. `ending`: behind it comes the end.
    fn receive(&mut self, connection: &mut Connection, ending: bool) -> Result<Next, String> {
        loop {
            let dropped = if self.plan.discards { connection.answers.body_left() } else { 0 };
            let room = match dropped {
                0 => BUFFER,
                left => BUFFER.min(usize::try_from(left).unwrap_or(BUFFER)),
            };
            let flags = if dropped > 0 { RecvFlags::TRUNC } else { RecvFlags::empty() };
            let received = match net::recv(&connection.socket, &mut self.buffer[..room], flags) {
                Ok((received, _)) => received,
                Err(Errno::AGAIN) => return Ok(Next::Wait),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.to_string()),
            };
            if received == 0 {
                return self.ended(connection);
            }
            let found = match dropped {
                0 => connection.answers.take(&self.buffer[..received], &mut self.known),
                _ => connection.answers.skip(received as u64),
            };
            let found = found.map_err(|problem| problem.to_string())?;
            self.totals.requests += found.answers;
            self.totals.bytes += found.bytes;
            let left = connection.unanswered.checked_sub(found.answers);
            connection.unanswered = left.ok_or("more answers than requests")?;
            if connection.unanswered == 0 && self.plan.closes.is_none() {
                connection.sent = 0;
                connection.unanswered = self.plan.batch;
                send(self.plan, connection).map_err(|error| error.to_string())?;
            } else if connection.unanswered == 0 && self.plan.closes == Some(Closer::Client) && !ending {
                net::shutdown(&connection.socket, Shutdown::Write).map_err(|error| error.to_string())?;
            }
            if received < room {
                return if ending { self.ended(connection) } else { Ok(Next::Wait) };
            }
        }
    }

    fn ended(&self, connection: &Connection) -> Result<Next, String> {
        let whole = self.plan.closes.is_some() && connection.unanswered == 0 && connection.answers.is_between();
        if whole { Ok(Next::Reconnect) } else { Err("the server closed the connection".to_owned()) }
    }

    fn give_up(&mut self, slot: &mut Option<Connection>, problem: impl Display) {
        if self.totals.errors == 0 {
            eprintln!("landspout-load: {problem}");
        }
        self.totals.errors += 1;
        *slot = None;
    }
}

/// Sends what is missing of the batch, as far as it goes now.
fn send(plan: &Plan, connection: &mut Connection) -> Result<(), Errno> {
    while connection.sent < plan.request.len() {
        match net::send(&connection.socket, &plan.request[connection.sent..], SendFlags::NOSIGNAL) {
            Ok(sent) => connection.sent += sent,
            // Or not connected yet.
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

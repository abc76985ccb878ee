//! Accepting connections on a loop, in batches.
//!
//! Rules:
//! - The registration is edge-triggered: its flag stays up until the kernel says that nobody waits. Whatever ends a batch
//!   earlier (the cap, `pause`, a shortage) also sees to it that another batch begins.
//! - Nothing is borrowed while the callback runs; it may remove or pause its own handler, and the batch ends there.
//! - A panic in the callback costs the connection it had and nothing else.
//! - No error makes a spin: what concerns one connection is skipped, anything else waits.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::rc::{Rc, Weak};
use std::time::Duration;

use landspout_ioloop::{EventTarget, IoLoop, LoopError, Ready, Registration, TimeoutHandle, log_panic};

use socket2::SockRef;

use crate::{Connection, DEFAULT_BACKLOG, Listener, PeerAddress};

/// A good cap for a listener that forked siblings share: who wakes first must not take everything (Tornado issue 2202).
pub const SHARED_ACCEPT_BATCH: u32 = 8;

/// The pause after a shortage of descriptors or memory. It doubles with each retry that fails as well.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Calls `callback` for each connection that comes in, on the loop of this thread: [`AcceptOptions::add_accept_handler`]
/// with the defaults.
///
/// ```
/// use landspout_ioloop::IoLoop;
/// use landspout_netutil::{add_accept_handler, bind_sockets};
///
/// let socket = bind_sockets(0, "127.0.0.1")?.remove(0);
/// let address = socket.local_addr()?;
/// add_accept_handler(socket, |connection, peer| {
///     println!("{peer} is here");
///     drop(connection);
///     IoLoop::current().stop();
/// })?;
/// let client = std::net::TcpStream::connect(address)?;
/// IoLoop::current().start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// See [`AcceptOptions::add_accept_handler`].
pub fn add_accept_handler(
    listener: impl Into<Listener>,
    callback: impl FnMut(Connection, PeerAddress) + 'static,
) -> Result<AcceptHandler, LoopError> {
    AcceptOptions::new().add_accept_handler(listener, callback)
}

/// What [`add_accept_handler`] takes beyond listener and callback.
#[derive(Clone, Debug)]
pub struct AcceptOptions {
    batch: u32,
    nodelay: bool,
}

impl Default for AcceptOptions {
    fn default() -> AcceptOptions {
        AcceptOptions::new()
    }
}

impl AcceptOptions {
    /// At most [`DEFAULT_BACKLOG`] connections a turn.
    pub const fn new() -> AcceptOptions {
        AcceptOptions { batch: DEFAULT_BACKLOG, nodelay: false }
    }

    /// How many connections are accepted in one turn of the loop, at least one; the others have to wait until everybody else
    /// had a turn. [`SHARED_ACCEPT_BATCH`] is good for a listener that several processes accept from.
    pub const fn batch(mut self, connections: u32) -> AcceptOptions {
        self.batch = connections;
        self
    }

    /// Whether connections over TCP send small writes at once, with Nagle's algorithm off. Default false. The listener is told,
    /// and connections inherit it; only those that waited already when it was told cost a system call each.
    pub const fn nodelay(mut self, nodelay: bool) -> AcceptOptions {
        self.nodelay = nodelay;
        self
    }

    /// Calls `callback` for each connection that comes in at `listener`, on the loop of this thread.
    ///
    /// Connections are non-blocking and close-on-exec; the listener is made non-blocking. What the kernel reports of a
    /// single connection that is gone already (`ECONNABORTED` and others) is skipped. When descriptors or memory run out
    /// (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`), accepting pauses for 100 ms, doubling up to a second while the
    /// shortage lasts, and one warning is logged; connections wait in the backlog meanwhile. A panic of the callback is
    /// logged, and closes the connection it was given.
    ///
    /// It goes on until [`AcceptHandler::remove`], or until the loop is closed, which closes the listener. To drop the
    /// returned handle changes nothing, as in Tornado.
    ///
    /// # Errors
    /// [`LoopError::Poller`] when the system refuses the listener, [`LoopError::Closed`] on a closed loop. The listener is
    /// closed then.
    pub fn add_accept_handler(
        &self,
        listener: impl Into<Listener>,
        callback: impl FnMut(Connection, PeerAddress) + 'static,
    ) -> Result<AcceptHandler, LoopError> {
        let listener = listener.into();
        // A blocking listener, say one inherited from a service manager, would stop the loop when it has nobody.
        listener.set_nonblocking(true)?;
        if let (true, Listener::Tcp(listener)) = (self.nodelay, &listener) {
            SockRef::from(listener).set_tcp_nodelay(true)?;
        }
        let registration = Registration::new(&IoLoop::current(), listener.as_fd(), Ready::NONE)?;
        Ok(AcceptHandler { acceptor: Acceptor::start(self, Source::new(listener), registration, Box::new(callback)) })
    }
}

/// Controls an accept handler: Tornado's remover and more. A cheap handle; clones control the same handler, and all
/// methods may be used inside the callback.
#[derive(Clone)]
pub struct AcceptHandler {
    acceptor: Rc<Acceptor>,
}

impl AcceptHandler {
    /// Ends accepting, within the callback too: no further connection of the batch is taken. Hands the listener back with
    /// whoever waits in its backlog; to drop it closes it. `None` if that has happened already or the loop was closed.
    ///
    /// Unlike Tornado's remover this owns the listener, so that `handler.remove();` closes it.
    pub fn remove(&self) -> Option<Listener> {
        self.acceptor.end(true).and_then(Source::into_listener)
    }

    /// Takes no connection until [`resume`](Self::resume): they wait in the backlog, and when that is full, in their clients.
    /// For a limit of connections. Within the callback it ends the batch.
    pub fn pause(&self) {
        self.acceptor.paused.set(true);
    }

    /// Ends a [`pause`](Self::pause). Who has waited is accepted in the next turn.
    pub fn resume(&self) {
        if self.acceptor.paused.replace(false) {
            self.acceptor.schedule();
        }
    }

    /// Whether [`pause`](Self::pause) is in force. A pause for want of descriptors doesn't count.
    pub fn is_paused(&self) -> bool {
        self.acceptor.paused.get()
    }
}

impl fmt::Debug for AcceptHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptHandler")
            .field("removed", &self.acceptor.source.borrow().is_none())
            .field("paused", &self.is_paused())
            .finish_non_exhaustive()
    }
}

type Callback = Box<dyn FnMut(Connection, PeerAddress)>;

struct Acceptor {
    /// `None` once removed. Borrowed for one accept at a time.
    source: RefCell<Option<Source>>,
    registration: RefCell<Option<Registration>>,
    /// Empty while it runs, and once removed.
    callback: Cell<Option<Callback>>,
    batch: u32,
    /// Connections may be there that came before the listener was told, and are to be told themselves.
    tell_nodelay: Cell<bool>,
    paused: Cell<bool>,
    /// A batch is due in the next turn; events until then start none.
    scheduled: Cell<bool>,
    /// A shortage: the next batch is the timer's.
    retry: Cell<Option<TimeoutHandle>>,
    pause: Cell<Duration>,
    /// The warning of this shortage is out. Over when nobody waits any more, not with the next connection: at the limit,
    /// one accept succeeds for each connection that closes.
    short: Cell<bool>,
    /// The loop holds its targets weakly, and the user may drop the handle: it lives by itself until it ends.
    myself: Cell<Option<Rc<Acceptor>>>,
}

impl Acceptor {
    fn start(options: &AcceptOptions, source: Source, registration: Registration, callback: Callback) -> Rc<Acceptor> {
        let acceptor = Rc::new(Acceptor {
            source: RefCell::new(Some(source)),
            registration: RefCell::new(None),
            callback: Cell::new(Some(callback)),
            batch: options.batch.max(1),
            tell_nodelay: Cell::new(options.nodelay),
            paused: Cell::new(false),
            scheduled: Cell::new(false),
            retry: Cell::new(None),
            pause: Cell::new(FIRST_PAUSE),
            short: Cell::new(false),
            myself: Cell::new(None),
        });
        let target: Weak<Acceptor> = Rc::downgrade(&acceptor);
        registration.set_target(target);
        registration.watch(Ready::READABLE);
        acceptor.registration.replace(Some(registration));
        acceptor.myself.set(Some(acceptor.clone()));
        acceptor
    }

    /// Accepts until nobody waits, the cap is reached or something is in the way.
    fn run(self: &Rc<Self>) {
        let mut last_skipped = None;
        for _ in 0..self.batch {
            if self.paused.get() {
                return;
            }
            let Some(accepted) = self.source.borrow().as_ref().map(Source::accept) else { return };
            match accepted {
                Ok((connection, peer)) => {
                    last_skipped = None;
                    if let (true, Connection::Tcp(socket)) = (self.tell_nodelay.get(), &connection) {
                        // A refusal is a connection that is being reset, which shows itself soon.
                        let _ = socket.set_nodelay(true);
                    }
                    self.pause.set(FIRST_PAUSE);
                    self.call(connection, peer);
                }
                Err(error) => match Verdict::of(&error) {
                    Verdict::NobodyWaits => return self.nobody_waits(),
                    Verdict::Skip => last_skipped = Some(error),
                    Verdict::Wait => return self.wait(&error),
                },
            }
        }
        match last_skipped {
            // A whole batch of "this connection is gone" is no accident; without a pause it might go on for ever.
            Some(error) => self.wait(&error),
            None => self.schedule(),
        }
    }

    fn call(&self, connection: Connection, peer: PeerAddress) {
        let Some(mut callback) = self.callback.take() else { return };
        log_panic("in an accept callback", || callback(connection, peer));
        if self.source.borrow().is_some() {
            self.callback.set(Some(callback));
        }
    }

    fn nobody_waits(&self) {
        self.tell_nodelay.set(false);
        if let Some(registration) = &*self.registration.borrow() {
            registration.clear(Ready::READABLE);
        }
        if self.short.replace(false) {
            tracing::info!("accepting connections again");
        }
    }

    /// Has another batch run in the next turn.
    fn schedule(self: &Rc<Self>) {
        let Some(io_loop) = self.io_loop() else { return };
        if !self.scheduled.replace(true) {
            let acceptor = Rc::downgrade(self);
            io_loop.add_callback(move || {
                if let Some(acceptor) = acceptor.upgrade() {
                    acceptor.scheduled.set(false);
                    acceptor.run_if_ready();
                }
            });
        }
    }

    /// Has another batch run after a pause.
    fn wait(self: &Rc<Self>, error: &io::Error) {
        let Some(io_loop) = self.io_loop() else { return };
        let pause = self.pause.get();
        if !self.short.replace(true) {
            tracing::warn!("cannot accept connections, next try in {} ms: {error}", pause.as_millis());
        }
        self.pause.set(LONGEST_PAUSE.min(pause * 2));
        let acceptor = Rc::downgrade(self);
        let retry = io_loop.call_later(pause, move || {
            if let Some(acceptor) = acceptor.upgrade() {
                acceptor.retry.set(None);
                acceptor.run_if_ready();
            }
        });
        self.retry.set(Some(retry));
    }

    fn run_if_ready(self: &Rc<Self>) {
        let ready = self.registration.borrow().as_ref().is_some_and(|r| r.ready().contains(Ready::READABLE));
        let retry = self.retry.take();
        let waits = retry.is_some();
        self.retry.set(retry);
        if ready && !waits && !self.scheduled.get() {
            self.run();
        }
    }

    fn io_loop(&self) -> Option<IoLoop> {
        self.registration.borrow().as_ref().and_then(Registration::io_loop)
    }

    /// Lets go of everything; what is left is the shell that handles point to.
    fn end(&self, loop_lives: bool) -> Option<Source> {
        let source = self.source.take()?;
        if let Some(registration) = self.registration.take() {
            if let (Some(io_loop), Some(retry)) = (registration.io_loop(), self.retry.take()) {
                io_loop.remove_timeout(retry);
            }
            // Forked siblings may have the same listener open: closing it here would not take it out of the poller.
            if let (true, Some(fd)) = (loop_lives, source.fd()) {
                registration.deregister(fd);
            }
        }
        let callback = self.callback.take();
        let myself = self.myself.take();
        drop((callback, myself));
        Some(source)
    }
}

impl EventTarget for Acceptor {
    fn ready(self: Rc<Self>, _: Ready) {
        self.run_if_ready();
    }

    fn flush(self: Rc<Self>) {}

    fn loop_closed(self: Rc<Self>) {
        self.end(false);
    }
}

/// Where connections come from. mio's listeners make them non-blocking and close-on-exec in the one call of accept4(2),
/// where std needs two.
enum Source {
    Tcp(mio::net::TcpListener),
    Unix(mio::net::UnixListener),
    #[cfg(test)]
    Script(RefCell<tests::Script>),
}

impl Source {
    fn new(listener: Listener) -> Source {
        match listener {
            Listener::Tcp(listener) => Source::Tcp(mio::net::TcpListener::from_std(listener)),
            Listener::Unix(listener) => Source::Unix(mio::net::UnixListener::from_std(listener)),
        }
    }

    fn accept(&self) -> io::Result<(Connection, PeerAddress)> {
        match self {
            Source::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Connection::Tcp(stream.into()), PeerAddress::Inet(peer)))
            }
            Source::Unix(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Connection::Unix(stream.into()), PeerAddress::Unix(peer)))
            }
            #[cfg(test)]
            Source::Script(script) => script.borrow_mut().accept(),
        }
    }

    fn fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        match self {
            Source::Tcp(listener) => Some(listener.as_fd()),
            Source::Unix(listener) => Some(listener.as_fd()),
            #[cfg(test)]
            Source::Script(_) => None,
        }
    }

    fn into_listener(self) -> Option<Listener> {
        match self {
            Source::Tcp(listener) => Some(Listener::Tcp(listener.into())),
            Source::Unix(listener) => Some(Listener::Unix(listener.into())),
            #[cfg(test)]
            Source::Script(_) => None,
        }
    }
}

/// What an error of accept(2) means for the batch.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The backlog is empty.
    NobodyWaits,
    /// One connection is lost, or a signal came; go on with the next.
    Skip,
    /// A shortage, or something unheard of: later.
    Wait,
}

impl Verdict {
    fn of(error: &io::Error) -> Verdict {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::WouldBlock => Verdict::NobodyWaits,
            Kind::Interrupted
            | Kind::ConnectionAborted
            | Kind::ConnectionReset
            // A firewall's rule (Linux).
            | Kind::PermissionDenied
            // accept(2), "Error handling": Linux hands out network errors that wait on the new connection.
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::TimedOut => Verdict::Skip,
            _ if error.raw_os_error().is_some_and(|code| LOST_CONNECTION.contains(&code)) => Verdict::Skip,
            _ => Verdict::Wait,
        }
    }
}

/// Those of accept(2)'s network errors that have no stable `ErrorKind`: EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET. (Where the
/// numbers are others, such an error makes a pause instead.)
const LOST_CONNECTION: &[i32] =
    if cfg!(any(target_os = "linux", target_os = "android")) { &[71, 92, 112, 64] } else { &[] };

#[cfg(test)]
mod tests;

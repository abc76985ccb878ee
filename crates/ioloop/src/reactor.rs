//! The poller and what is registered with it.
//!
//! Rules: a token carries a generation, so that an event of a source that is gone never reaches its successor in the
//! same slot; nobody is called while anything here is borrowed.

use std::cell::{Cell, RefCell};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Poll};
use slab::Slab;

use crate::error::LoopError;
use crate::events::Events;
use crate::panic::log_panic;
use crate::registration::{Readiness, Ready};
use crate::task::Tasks;

/// Events fetched by one poll. More are ready then? The next turn's poll brings them at once.
const EVENTS_PER_POLL: usize = 1024;
/// The token of the cross-thread waker.
const WAKER: mio::Token = mio::Token(usize::MAX);
/// The token of the signals' pipe.
#[cfg(feature = "signal")]
const SIGNALS: mio::Token = mio::Token(usize::MAX - 1);

/// Names one registered source: its slot, and the generation of its stay there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    index: u32,
    /// Not 0, so that nothing is needed to say that there is no token.
    generation: NonZeroU32,
}

impl Token {
    fn to_mio(self) -> mio::Token {
        mio::Token((self.generation.get() as usize) << 32 | self.index as usize)
    }

    fn from_mio(token: mio::Token) -> Option<Self> {
        Some(Self { index: token.0 as u32, generation: NonZeroU32::new((token.0 >> 32) as u32)? })
    }
}

struct Source {
    generation: NonZeroU32,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Registration(Rc<Readiness>),
    Handler(Rc<Handler>),
}

/// What a user gave to `add_handler`.
struct Handler {
    fd: RawFd,
    events: Cell<Events>,
    /// Empty while it runs.
    callback: Cell<Option<Callback>>,
}

type Callback = Box<dyn FnMut(RawFd, Events)>;

/// What arrived besides the sources' own events.
#[derive(Default)]
pub(crate) struct Arrived {
    pub(crate) events: usize,
    pub(crate) from_other_threads: bool,
    #[cfg(feature = "signal")]
    pub(crate) signals: bool,
}

/// What a registration is told of.
fn both_directions() -> Interest {
    let interest = Interest::READABLE | Interest::WRITABLE;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let interest = interest | Interest::PRIORITY;
    interest
}

pub(crate) struct Reactor {
    /// `None` once the loop is closed.
    poll: RefCell<Option<Poll>>,
    /// Taken out while a batch is dispatched.
    events: Cell<Option<mio::Events>>,
    sources: RefCell<Slab<Source>>,
    /// By descriptor, since these are small numbers.
    handlers: RefCell<Vec<Option<Token>>>,
    next_generation: Cell<NonZeroU32>,
}

impl Reactor {
    /// The reactor and the waker for its `Remote`.
    pub(crate) fn new() -> io::Result<(Self, mio::Waker)> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        let reactor = Self {
            poll: RefCell::new(Some(poll)),
            events: Cell::new(Some(mio::Events::with_capacity(EVENTS_PER_POLL))),
            sources: RefCell::default(),
            handlers: RefCell::default(),
            next_generation: Cell::new(NonZeroU32::MIN),
        };
        Ok((reactor, waker))
    }

    /// Without a descriptor it only gets its slot, so that it is told of the loop's end.
    pub(crate) fn register(&self, fd: Option<RawFd>, readiness: Rc<Readiness>) -> Result<Token, LoopError> {
        self.insert(fd.map(|fd| (fd, both_directions())), Kind::Registration(readiness))
    }

    /// Polls a descriptor for a registration that has its slot already.
    pub(crate) fn begin(&self, fd: RawFd, token: Token) -> Result<(), LoopError> {
        let poll = self.poll.borrow();
        let poll = poll.as_ref().ok_or(LoopError::Closed)?;
        poll.registry().register(&mut SourceFd(&fd), token.to_mio(), both_directions())?;
        Ok(())
    }

    pub(crate) fn deregister(&self, fd: RawFd) {
        let result = match &*self.poll.borrow() {
            Some(poll) => poll.registry().deregister(&mut SourceFd(&fd)),
            None => Ok(()),
        };
        if let Err(error) = result {
            // The descriptor was closed before, as Tornado's users do: the system has forgotten it by itself.
            tracing::debug!("descriptor {fd} was not registered: {error}");
        }
    }

    /// Frees a source's slot; its events reach nobody from here on.
    pub(crate) fn forget(&self, token: Token) {
        let removed = {
            let mut sources = self.sources.borrow_mut();
            match sources.get(token.index as usize) {
                Some(source) if source.generation == token.generation => sources.try_remove(token.index as usize),
                _ => None,
            }
        };
        drop(removed);
    }

    pub(crate) fn add_handler(&self, fd: RawFd, events: Events, callback: Callback) -> Result<(), LoopError> {
        if self.handler(fd).is_some() {
            return Err(LoopError::HandlerExists(fd));
        }
        let handler = Handler { fd, events: Cell::new(events), callback: Cell::new(Some(callback)) };
        let token = self.insert(Some((fd, events.interest())), Kind::Handler(Rc::new(handler)))?;
        let (mut handlers, index) = (self.handlers.borrow_mut(), fd as usize);
        if handlers.len() <= index {
            handlers.resize(index + 1, None);
        }
        handlers[index] = Some(token);
        Ok(())
    }

    fn handler(&self, fd: RawFd) -> Option<Token> {
        self.handlers.borrow().get(usize::try_from(fd).ok()?).copied().flatten()
    }

    pub(crate) fn update_handler(&self, fd: RawFd, events: Events) -> Result<(), LoopError> {
        let token = self.handler(fd).ok_or(LoopError::NoHandler(fd))?;
        if let Some(Kind::Handler(handler)) = self.find(token) {
            self.reregister(&handler, events, token)?;
            handler.events.set(events);
        }
        Ok(())
    }

    /// False if the descriptor had no handler.
    pub(crate) fn remove_handler(&self, fd: RawFd) -> bool {
        let Some(token) = self.handler(fd) else { return false };
        self.handlers.borrow_mut()[fd as usize] = None;
        self.deregister(fd);
        self.forget(token);
        true
    }

    /// Waits for events, calls `waited`, and dispatches them.
    pub(crate) fn turn(&self, timeout: Option<Duration>, tasks: &Tasks, waited: impl FnOnce()) -> io::Result<Arrived> {
        let Some(mut events) = self.events.take() else { return Ok(Arrived::default()) };
        let polled = match &mut *self.poll.borrow_mut() {
            Some(poll) => poll.poll(&mut events, timeout),
            None => Ok(()),
        };
        match polled {
            // A signal handler ran, or a debugger looked: there are no events, and the next turn polls again.
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.events.set(Some(events));
                return Err(error);
            }
            _ => waited(),
        }
        let mut arrived = Arrived::default();
        for event in &events {
            arrived.events += 1;
            match event.token() {
                WAKER => arrived.from_other_threads = true,
                #[cfg(feature = "signal")]
                SIGNALS => arrived.signals = true,
                token => {
                    if let Some(token) = Token::from_mio(token) {
                        self.dispatch(token, event, tasks);
                    }
                }
            }
        }
        events.clear();
        self.events.set(Some(events));
        Ok(arrived)
    }

    #[cfg(feature = "signal")]
    pub(crate) fn register_signals(&self, source: &mut dyn mio::event::Source) -> Result<(), LoopError> {
        let poll = self.poll.borrow();
        let poll = poll.as_ref().ok_or(LoopError::Closed)?;
        source.register(poll.registry(), SIGNALS, Interest::READABLE)?;
        Ok(())
    }

    /// Takes every source out; true if there was any. Targets are told to let go of their descriptors.
    pub(crate) fn remove_all(&self) -> bool {
        let sources = std::mem::take(&mut *self.sources.borrow_mut());
        self.handlers.borrow_mut().clear();
        let any = !sources.is_empty();
        for (_, source) in sources {
            log_panic("while a handler was dropped", || match source.kind {
                Kind::Registration(readiness) => {
                    if let Some(target) = readiness.target() {
                        target.loop_closed();
                    }
                }
                Kind::Handler(handler) => drop(handler),
            });
        }
        any
    }

    /// Frees the poller's descriptor.
    pub(crate) fn close(&self) {
        self.poll.borrow_mut().take();
    }

    fn insert(&self, polled: Option<(RawFd, Interest)>, kind: Kind) -> Result<Token, LoopError> {
        let poll = self.poll.borrow();
        let poll = poll.as_ref().ok_or(LoopError::Closed)?;
        let mut sources = self.sources.borrow_mut();
        let slot = sources.vacant_entry();
        let generation = self.next_generation.get();
        // The two highest generations would, with the highest indices, collide with the tokens above.
        let next = generation.checked_add(1).filter(|next| next.get() < u32::MAX - 1);
        self.next_generation.set(next.unwrap_or(NonZeroU32::MIN));
        let token = Token { index: slot.key() as u32, generation };
        if let Some((fd, interest)) = polled {
            poll.registry().register(&mut SourceFd(&fd), token.to_mio(), interest)?;
        }
        slot.insert(Source { generation, kind });
        Ok(token)
    }

    fn find(&self, token: Token) -> Option<Kind> {
        let sources = self.sources.borrow();
        let source = sources.get(token.index as usize)?;
        (source.generation == token.generation).then(|| source.kind.clone())
    }

    #[inline]
    fn dispatch(&self, token: Token, event: &mio::event::Event, tasks: &Tasks) {
        let ready = Ready::of_event(event);
        let kind = match self.sources.borrow().get(token.index as usize) {
            Some(source) if source.generation == token.generation => match &source.kind {
                Kind::Registration(readiness) if readiness.raise_for_task(ready, tasks) => return,
                kind => kind.clone(),
            },
            // Removed by an earlier handler of this batch, or closed since the poll.
            _ => return,
        };
        self.call(token, &kind, ready, tasks);
    }

    #[inline(never)]
    fn call(&self, token: Token, kind: &Kind, ready: Ready, tasks: &Tasks) {
        match kind {
            Kind::Registration(readiness) => {
                log_panic("in an event target", || readiness.raise(ready, tasks));
            }
            Kind::Handler(handler) => self.run_handler(token, handler, ready),
        }
    }

    fn run_handler(&self, token: Token, handler: &Handler, ready: Ready) {
        let mut events = Events::NONE;
        if ready.contains(Ready::READABLE) {
            events |= Events::READ;
        }
        if ready.contains(Ready::WRITABLE) {
            events |= Events::WRITE;
        }
        events = events.intersection(handler.events.get());
        if ready.intersects(Ready::ERROR | Ready::WRITE_CLOSED) {
            events |= Events::ERROR;
        }
        if events.is_empty() {
            return;
        }
        let Some(mut callback) = handler.callback.take() else { return };
        log_panic(format_args!("in the handler of descriptor {}", handler.fd), || callback(handler.fd, events));
        if self.find(token).is_none() {
            // A handler that removed itself is dropped here, after it returned.
            log_panic("when a handler was dropped", || drop(callback));
        } else {
            handler.callback.set(Some(callback));
            // Level semantics: what the handler left is reported again. This is their price.
            if let Err(error) = self.reregister(handler, handler.events.get(), token) {
                tracing::warn!("descriptor {} cannot be watched any more: {error}", handler.fd);
            }
        }
    }

    fn reregister(&self, handler: &Handler, events: Events, token: Token) -> Result<(), LoopError> {
        let poll = self.poll.borrow();
        let poll = poll.as_ref().ok_or(LoopError::Closed)?;
        poll.registry().reregister(&mut SourceFd(&handler.fd), token.to_mio(), events.interest())?;
        Ok(())
    }
}

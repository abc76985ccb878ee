//! The second door to the poller, for streams and listeners: readiness flags and wakers.
//!
//! A handler (`IoLoop::add_handler`) keeps Tornado's level-triggered contract and pays a system call for it each time. A
//! `Registration` is edge-triggered: one registration for both directions over the whole life of a connection, never
//! renewed. Its owner reads until the transport is drained, clears the flag, and is told of the next edge.

use std::cell::Cell;
use std::fmt;
use std::ops::BitOr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::commons::Commons;
use crate::error::LoopError;
use crate::ioloop::IoLoop;
use crate::reactor::Token;
use crate::task::{TaskKey, Tasks};

/// A set of readiness flags.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready(u8);

impl Ready {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A read may bring something: data, the end, or an error.
    pub const READABLE: Self = Self(1);
    /// A write may take something, or fail.
    pub const WRITABLE: Self = Self(2);
    /// The peer has closed its writing side: after the data that is still there comes the end.
    pub const READ_CLOSED: Self = Self(4);
    /// The connection is gone: what is written reaches nobody.
    pub const WRITE_CLOSED: Self = Self(8);
    /// The descriptor has an error to tell.
    pub const ERROR: Self = Self(16);
    /// The peer has sent urgent data, at which a read stops short although more may lie behind. Linux tells of it.
    pub const PRIORITY: Self = Self(32);

    /// Whether every flag of `other` is set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any flag of `other` is set.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// "Readable" follows from the end and from an error, and so does "writable": a pipe's hang-up can come alone.
    #[inline]
    pub(crate) fn of_event(event: &mio::event::Event) -> Self {
        let mut ready = Self::NONE;
        if event.is_readable() {
            ready = ready | Self::READABLE;
        }
        if event.is_writable() {
            ready = ready | Self::WRITABLE;
        }
        if event.is_read_closed() {
            ready = ready | Self::READ_CLOSED | Self::READABLE;
        }
        if event.is_write_closed() {
            ready = ready | Self::WRITE_CLOSED | Self::WRITABLE;
        }
        if event.is_error() {
            ready = ready | Self::ERROR | Self::READABLE | Self::WRITABLE;
        }
        if event.is_priority() {
            ready = ready | Self::PRIORITY;
        }
        ready
    }
}

impl BitOr for Ready {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READABLE, "READABLE"),
            (Self::WRITABLE, "WRITABLE"),
            (Self::READ_CLOSED, "READ_CLOSED"),
            (Self::WRITE_CLOSED, "WRITE_CLOSED"),
            (Self::ERROR, "ERROR"),
            (Self::PRIORITY, "PRIORITY"),
        ];
        f.debug_set().entries(names.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| name)).finish()
    }
}

/// What a loop calls without anybody polling a future: the owner of a [`Registration`], usually a stream.
pub trait EventTarget {
    /// A flag of the registration's [`watch`](Registration::watch) set was raised.
    fn ready(self: Rc<Self>, ready: Ready);

    /// The turn ends: write what is buffered. Called once after each [`Registration::flush_later`].
    fn flush(self: Rc<Self>);

    /// The loop closes: let go of the descriptor.
    fn loop_closed(self: Rc<Self>);

    /// The operating system refuses to watch the descriptor of a [deferred](Registration::deferred) registration: let go of it,
    /// since nothing will ever be heard of it. The default does as if the loop closed.
    fn unwatchable(self: Rc<Self>, error: LoopError) {
        drop(error);
        self.loop_closed();
    }
}

/// One source of readiness on a loop. See the crate's introduction, "Two doors to the poller".
///
/// It borrows the descriptor only while it is made and never closes it. Dropping it, which costs no system call, is
/// for an owner who closes the descriptor next; [`deregister`](Self::deregister) is for one who keeps it.
pub struct Registration {
    commons: Rc<Commons>,
    readiness: Rc<Readiness>,
    /// `None` once deregistered.
    token: Option<Token>,
}

/// The state that the loop and the registration's owner share.
#[derive(Default)]
pub(crate) struct Readiness {
    flags: Cell<u8>,
    /// Flags for which the target is called.
    watch: Cell<u8>,
    /// The poller knows nothing of it.
    detached: Cell<bool>,
    reader: Cell<Reader>,
    /// Who waits otherwise. Rarely anybody: tasks nearly always are polled by their loop, and streams flush by themselves.
    others: Cell<Option<Box<Others>>>,
    target: Cell<Option<Weak<dyn EventTarget>>>,
}

/// Who waits to read, if that is a task of the loop. Before anybody has waited, the place is free for the descriptor.
#[derive(Clone, Copy, Default)]
enum Reader {
    #[default]
    Nobody,
    Task(TaskKey),
    /// Nobody for anything: the poller isn't told of this descriptor yet.
    Deferred(RawFd),
}

/// Who waits, but for a task that waits to read.
#[derive(Default)]
struct Others {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Readiness {
    /// Raises flags and wakes the reader, where that is all that is to be done and the reader is a task of the loop, so that
    /// nothing foreign runs. Otherwise it does nothing and says no: [`raise`](Self::raise) is called for.
    #[inline]
    pub(crate) fn raise_for_task(&self, ready: Ready, tasks: &Tasks) -> bool {
        if ready.0 & self.watch.get() != 0 || self.has_others() {
            return false;
        }
        self.flags.set(self.flags.get() | ready.0);
        if ready.contains(Ready::READABLE) {
            if let Some(task) = self.take_reader() {
                tasks.wake_task(task);
            }
        }
        true
    }

    /// Raises flags and tells whom it concerns.
    pub(crate) fn raise(&self, ready: Ready, tasks: &Tasks) {
        self.flags.set(self.flags.get() | ready.0);
        if ready.contains(Ready::READABLE) {
            self.wake_reader(tasks);
        }
        if ready.contains(Ready::WRITABLE) {
            if let Some(writer) = self.with_others(|others| others.writer.take()) {
                writer.wake();
            }
        }
        if ready.0 & self.watch.get() != 0 {
            if let Some(target) = self.target() {
                target.ready(ready);
            }
        }
    }

    #[inline]
    fn has_others(&self) -> bool {
        let others = self.others.take();
        let any = others.is_some();
        self.others.set(others);
        any
    }

    /// Looks at who waits beside a task that waits to read, if there is anybody.
    fn with_others<T>(&self, look: impl FnOnce(&mut Others) -> Option<T>) -> Option<T> {
        let mut others = self.others.take()?;
        let found = look(&mut others);
        self.others.set((others.reader.is_some() || others.writer.is_some()).then_some(others));
        found
    }

    #[inline]
    fn take_reader(&self) -> Option<TaskKey> {
        let Reader::Task(task) = self.reader.get() else { return None };
        self.reader.set(Reader::Nobody);
        Some(task)
    }

    fn wake_reader(&self, tasks: &Tasks) {
        if let Some(task) = self.take_reader() {
            tasks.wake_task(task);
        }
        if let Some(reader) = self.with_others(|others| others.reader.take()) {
            reader.wake();
        }
    }

    /// Has `waker` woken when something is to be read, in place of who was to be before.
    #[inline]
    fn keep_reader(&self, waker: &Waker, tasks: &Tasks) {
        let task = tasks.current_if_woken_by(waker);
        self.reader.set(task.map_or(Reader::Nobody, Reader::Task));
        if task.is_none() || self.has_others() {
            self.keep_other(waker, |others| &mut others.reader, task.is_none());
        }
    }

    /// Puts a clone of `waker` into its place, unless the same task's is there already, or empties the place.
    #[cold]
    fn keep_other(&self, waker: &Waker, place: impl FnOnce(&mut Others) -> &mut Option<Waker>, wanted: bool) {
        // Foreign code, while nothing is taken out.
        let new = wanted.then(|| waker.clone());
        let mut others = self.others.take().unwrap_or_default();
        let place = place(&mut others);
        let old = match (&*place, &new) {
            (Some(old), Some(new)) if old.will_wake(new) => None,
            _ => std::mem::replace(place, new),
        };
        self.others.set((others.reader.is_some() || others.writer.is_some()).then_some(others));
        drop(old);
    }

    pub(crate) fn target(&self) -> Option<Rc<dyn EventTarget>> {
        let target = self.target.take();
        let alive = target.as_ref().and_then(Weak::upgrade);
        self.target.set(target);
        alive
    }
}

impl Registration {
    /// Registers a descriptor for both directions, edge-triggered. `assumed` are the flags it starts with: a connected
    /// socket is as good as always writable, and to assume it readable costs a read that finds nothing.
    ///
    /// # Errors
    /// [`LoopError::Poller`] when the operating system refuses the descriptor (a regular file, or one registered already),
    /// [`LoopError::Closed`] on a closed loop.
    pub fn new(io_loop: &IoLoop, fd: BorrowedFd<'_>, assumed: Ready) -> Result<Self, LoopError> {
        Self::build(io_loop, assumed, Some(fd), Reader::Nobody)
    }

    /// As [`new`](Self::new), but the operating system is told of the descriptor no sooner than somebody has to wait for it, or
    /// [`watch`](Self::watch)es it, be it for room while the flag for that is down: who finds everything at once, and closes,
    /// spares the system call. Until then no flag goes up by itself. The descriptor has to stay open until then, or the registration has to learn by [`forgo`](Self::forgo)
    /// that it doesn't.
    ///
    /// A refusal of the system is told to the target: [`EventTarget::unwatchable`].
    ///
    /// # Errors
    /// [`LoopError::Closed`] on a closed loop.
    pub fn deferred(io_loop: &IoLoop, fd: BorrowedFd<'_>, assumed: Ready) -> Result<Self, LoopError> {
        Self::build(io_loop, assumed, None, Reader::Deferred(fd.as_raw_fd()))
    }

    /// A registration without a source: whoever simulates a transport raises its flags by [`raise`](Self::raise). The end of
    /// the loop is told to its target as to any other.
    ///
    /// # Errors
    /// [`LoopError::Closed`] on a closed loop.
    pub fn detached(io_loop: &IoLoop, assumed: Ready) -> Result<Self, LoopError> {
        Self::build(io_loop, assumed, None, Reader::Nobody)
    }

    fn build(io_loop: &IoLoop, assumed: Ready, fd: Option<BorrowedFd<'_>>, reader: Reader) -> Result<Self, LoopError> {
        if io_loop.is_closed() {
            return Err(LoopError::Closed);
        }
        let readiness = Rc::new(Readiness::default());
        readiness.flags.set(assumed.0);
        readiness.detached.set(fd.is_none());
        readiness.reader.set(reader);
        let token = io_loop.inner.reactor.register(fd.map(|fd| fd.as_raw_fd()), readiness.clone())?;
        Ok(Self { commons: io_loop.inner.commons.clone(), readiness, token: Some(token) })
    }

    /// Has the operating system told of a [deferred](Self::deferred) descriptor now: for an owner who looks at flags without ever
    /// waiting. Does nothing the second time.
    #[inline]
    pub fn begin(&self) {
        if let Reader::Deferred(fd) = self.readiness.reader.get() {
            self.begin_with(fd);
        }
    }

    /// The descriptor is about to be closed: the operating system is not to be told of it any more.
    #[inline]
    pub fn forgo(&self) {
        if let Reader::Deferred(_) = self.readiness.reader.get() {
            self.readiness.reader.set(Reader::Nobody);
        }
    }

    #[inline(never)]
    fn begin_with(&self, fd: RawFd) {
        self.readiness.reader.set(Reader::Nobody);
        let (Some(io_loop), Some(token)) = (self.io_loop(), self.token) else { return };
        match io_loop.inner.reactor.begin(fd, token) {
            Ok(()) => self.readiness.detached.set(false),
            Err(error) => {
                // Not now: the owner may be in the midst of something.
                let readiness = Rc::downgrade(&self.readiness);
                io_loop.add_callback(move || {
                    if let Some(target) = readiness.upgrade().and_then(|readiness| readiness.target()) {
                        target.unwatchable(error);
                    }
                });
            }
        }
    }

    /// The monotonic time of the loop's turn: [`IoLoop::now`].
    #[inline]
    pub fn now(&self) -> Instant {
        self.commons.now()
    }

    /// Takes one of the operations that a task may do in one poll without ever having to wait. When none is left the task is
    /// woken, to go on after the others had their turn. For operations that may always be ready.
    #[inline]
    pub fn poll_proceed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.commons.poll_proceed(cx)
    }

    /// Whether the loop polls other tasks in the same round as the current one. Says nothing where no task is polled.
    #[inline]
    pub fn in_company(&self) -> bool {
        self.commons.tasks.in_company()
    }

    /// Has the current task polled again behind the others of its round, as a rule in the same turn of the loop. For what many tasks do
    /// in two steps: each step is cheaper when all take it one after the other, since the processor has its code at hand then.
    ///
    /// False, and nothing happens, if `cx` isn't the current task's own.
    #[inline]
    pub fn make_way(&self, cx: &Context<'_>) -> bool {
        self.commons.tasks.make_way(cx.waker())
    }

    /// The loop, unless it is gone.
    #[inline]
    pub fn io_loop(&self) -> Option<IoLoop> {
        self.commons.io_loop().map(|inner| IoLoop { inner })
    }

    /// The flags that are up.
    #[inline]
    pub fn ready(&self) -> Ready {
        Ready(self.readiness.flags.get())
    }

    /// Takes flags down, after a read or write that showed the transport to be drained or full.
    #[inline]
    pub fn clear(&self, ready: Ready) {
        self.readiness.flags.set(self.readiness.flags.get() & !ready.0);
    }

    /// Puts flags up, wakes who waits for them and calls the target if it watches them, as an event would.
    pub fn raise(&self, ready: Ready) {
        self.readiness.raise(ready, &self.commons.tasks);
    }

    /// Ready when [`Ready::READABLE`] is up; otherwise the task is woken when it goes up. One task at a time.
    #[inline]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ready().contains(Ready::READABLE) {
            return Poll::Ready(());
        }
        self.wake_on_read(cx);
        Poll::Pending
    }

    /// Ready when [`Ready::WRITABLE`] is up; otherwise the task is woken when it goes up. One task at a time.
    #[inline]
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ready().contains(Ready::WRITABLE) {
            return Poll::Ready(());
        }
        self.begin();
        self.readiness.keep_other(cx.waker(), |others| &mut others.writer, true);
        Poll::Pending
    }

    /// Has the task woken at the next read event, whatever the flags say now.
    #[inline]
    pub fn wake_on_read(&self, cx: &mut Context<'_>) {
        self.begin();
        self.readiness.keep_reader(cx.waker(), &self.commons.tasks);
    }

    /// Wakes the task that waits to read, for a reason of the owner's.
    pub fn wake_reader(&self) {
        self.readiness.wake_reader(&self.commons.tasks);
    }

    /// Whom the loop calls. Held weakly.
    pub fn set_target(&self, target: Weak<dyn EventTarget>) {
        let old = self.readiness.target.replace(Some(target));
        drop(old);
    }

    /// For which flags the loop calls the target.
    #[inline]
    pub fn watch(&self, flags: Ready) {
        self.readiness.watch.set(flags.0);
        // Room that is there needs no event. "Readable" may be only assumed.
        if flags.0 & !(self.readiness.flags.get() & Ready::WRITABLE.0) != 0 {
            self.begin();
        }
    }

    /// Has `target` flushed once before the loop polls next.
    #[inline]
    pub fn flush_later(&self, target: Rc<dyn EventTarget>) {
        self.commons.flush_later(target);
    }

    /// [`IoLoop::with_scratch`], without going through the loop.
    #[inline]
    pub fn with_scratch<T>(&self, f: impl FnOnce(&mut [u8]) -> T) -> T {
        self.commons.buffers.with_scratch(f)
    }

    /// [`IoLoop::take_buffer`], without going through the loop.
    #[inline]
    pub fn take_buffer(&self) -> Vec<u8> {
        self.commons.buffers.take()
    }

    /// [`IoLoop::give_buffer`], without going through the loop.
    #[inline]
    pub fn give_buffer(&self, buffer: Vec<u8>) {
        self.commons.buffers.give(buffer);
    }

    /// Takes the descriptor out of the poller, for an owner who keeps it open. Nothing is reported any more.
    pub fn deregister(mut self, fd: BorrowedFd<'_>) {
        if let (Some(inner), Some(token)) = (self.commons.io_loop(), self.token.take()) {
            if !self.readiness.detached.get() {
                inner.reactor.deregister(fd.as_raw_fd());
            }
            inner.reactor.forget(token);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let (Some(inner), Some(token)) = (self.commons.io_loop(), self.token.take()) {
            // The poller's own entry dies with the descriptor; until then its events name a token that is nobody's.
            inner.reactor.forget(token);
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("ready", &self.ready()).field("token", &self.token).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every connection has of these, besides a slot in the poller's table.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_registration_is_small() {
        assert_eq!(size_of::<Registration>(), 24);
        // With the two counts of an `Rc`.
        assert_eq!(size_of::<Readiness>() + 16, 56);
    }
}

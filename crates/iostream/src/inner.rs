//! A stream's state and all of its transitions: filling the read buffer, flushing the write buffer, connecting, ending.
//!
//! Rules: wakers and callbacks run, and foreign values are dropped, only after the state's borrow has ended; a transport
//! never calls back into its own stream.

use std::cell::{RefCell, RefMut};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use landspout_ioloop::{EventTarget, IoLoop, Ready, Registration};

use crate::buffer::Buffer;
use crate::error::{CloseCause, StreamError};
use crate::stream::StreamOptions;
use crate::transport::Transport;

/// From this many buffered bytes on a write doesn't wait for the end of the turn, and what is being written goes to the
/// kernel from where it is.
const FLUSH_MARK: usize = 16 * 1024;

pub(crate) struct Inner {
    pub(crate) registration: Registration,
    pub(crate) options: StreamOptions,
    pub(crate) state: RefCell<State>,
}

pub(crate) struct State {
    /// `None` once closed.
    transport: Option<Box<dyn Transport>>,
    pub(crate) phase: Phase,
    pub(crate) cause: Option<CloseCause>,
    /// A read future waits.
    pub(crate) reading: bool,
    /// In the loop's list of streams to flush.
    dirty: bool,
    pub(crate) read: Buffer,
    pub(crate) write: Buffer,
    /// Bytes handed to the kernel over the stream's life.
    pub(crate) flushed: u64,
    /// Who waits for `flushed` to pass a mark.
    waiters: Vec<Waiter>,
    next_waiter: u32,
    pub(crate) close_callback: Option<Box<dyn FnOnce()>>,
    /// Keeps the stream while bytes are to be sent although no handle is left: what was accepted is not lost.
    keep_alive: Option<Rc<Inner>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    /// As `Ending`, once the connection stands.
    ConnectingToEnd,
    Open,
    /// Nothing more is read or accepted; what was accepted is still sent.
    Ending,
    Closed,
}

impl Phase {
    fn is_connecting(self) -> bool {
        matches!(self, Self::Connecting | Self::ConnectingToEnd)
    }
}

struct Waiter {
    /// `None`: a task that polls, and is known by its waker.
    id: Option<u32>,
    mark: u64,
    waker: Waker,
}

impl State {
    pub(crate) fn new(transport: Box<dyn Transport>, phase: Phase) -> Self {
        Self {
            transport: Some(transport),
            phase,
            cause: None,
            reading: false,
            dirty: false,
            read: Buffer::default(),
            write: Buffer::default(),
            flushed: 0,
            waiters: Vec::new(),
            next_waiter: 0,
            close_callback: None,
            keep_alive: None,
        }
    }

    /// The position after the last byte that was accepted.
    pub(crate) fn queued(&self) -> u64 {
        self.flushed + self.write.len() as u64
    }

    pub(crate) fn closed_error(&self) -> StreamError {
        StreamError::Closed(self.cause.clone())
    }

    fn accepts_writes(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Open)
    }
}

/// What a flush leaves to be done without a borrow.
enum Flushed {
    Nothing,
    Progress,
    Failed(CloseCause),
}

// Reading.
impl Inner {
    /// Gets at least one more byte into the read buffer.
    pub(crate) fn poll_fill(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        loop {
            let phase = self.state.borrow().phase;
            match phase {
                Phase::Open => {}
                Phase::Connecting => {
                    self.registration.wake_on_read(cx);
                    return Poll::Pending;
                }
                Phase::ConnectingToEnd | Phase::Ending | Phase::Closed => {
                    return Poll::Ready(Err(self.state.borrow().closed_error()));
                }
            }
            if self.registration.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
            match self.fill() {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(Unfilled::WouldBlock) => {}
                Err(Unfilled::Closed) => return Poll::Ready(Err(self.state.borrow().closed_error())),
            }
        }
    }

    /// One read of unknown length, by way of the loop's scratch buffer.
    pub(crate) fn fill(self: &Rc<Self>) -> Result<(), Unfilled> {
        let Some(io_loop) = self.registration.io_loop() else { return Err(self.closed_by(CloseCause::LoopClosed)) };
        let read = io_loop.with_scratch(|scratch| {
            let mut state = self.state.borrow_mut();
            // One byte past the limit proves that the peer sent more; a read that asks for the limit must not meet it.
            let room = self.options.max_buffer_size.saturating_sub(state.read.len()).max(1);
            let asked = self.options.read_chunk_size.min(scratch.len()).min(room);
            let got = self.read_transport(&mut state, &mut scratch[..asked])?;
            if got > 0 && !state.read.has_memory() {
                state.read.adopt(io_loop.take_buffer());
            }
            state.read.extend(&scratch[..got]);
            Ok((got, state.read.len()))
        });
        match read {
            Ok((0, _)) => Err(self.end_of_input()),
            Ok((_, buffered)) if buffered > self.options.max_buffer_size => {
                let max_buffer_size = self.options.max_buffer_size;
                tracing::error!("read buffer of {max_buffer_size} bytes is full, closing the stream");
                Err(self.closed_by(CloseCause::ReadBufferFull { max_buffer_size }))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(self.read_failed(error)),
        }
    }

    /// One read straight into the caller's memory, for when nothing is buffered. 0 is "would block".
    pub(crate) fn fill_directly(self: &Rc<Self>, target: &mut [u8]) -> Result<usize, Unfilled> {
        let read = {
            let mut state = self.state.borrow_mut();
            self.read_transport(&mut state, target)
        };
        match read {
            Ok(0) => Err(self.end_of_input()),
            Ok(got) => Ok(got),
            Err(error) => Err(self.read_failed(error)),
        }
    }

    /// Consumes from the read buffer and lets the memory go when nothing is left.
    #[inline]
    pub(crate) fn consumed(self: &Rc<Self>, state: &mut State) {
        if !state.read.is_empty() {
            return;
        }
        if let Some(io_loop) = self.registration.io_loop() {
            io_loop.give_buffer(state.read.take_memory());
        }
        // A close that was held back by unread data can be noticed now.
        if state.close_callback.is_some() && self.registration.ready().intersects(Ready::READ_CLOSED | Ready::ERROR) {
            self.mark_dirty(state);
        }
    }

    fn read_transport(&self, state: &mut State, target: &mut [u8]) -> io::Result<usize> {
        let Some(transport) = &mut state.transport else { return Err(io::ErrorKind::NotConnected.into()) };
        let result = transport.read(target);
        match &result {
            // After the peer has closed, only 0 or an error means that this was all.
            Ok(got) if self.registration.ready().intersects(Ready::READ_CLOSED | Ready::ERROR) || *got == 0 => {}
            Ok(got) if transport.drained(target.len(), *got) => self.registration.clear(Ready::READABLE),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.registration.clear(Ready::READABLE),
            _ => {}
        }
        result
    }

    fn read_failed(self: &Rc<Self>, error: io::Error) -> Unfilled {
        if error.kind() == io::ErrorKind::WouldBlock {
            return Unfilled::WouldBlock;
        }
        let cause = CloseCause::from(error);
        if !cause.is_disconnect() {
            tracing::warn!("error on read: {cause}");
        }
        self.closed_by(cause)
    }

    /// The peer sent its last byte. What we still have to send goes out first.
    fn end_of_input(self: &Rc<Self>) -> Unfilled {
        self.close_when_flushed();
        Unfilled::Closed
    }

    fn closed_by(self: &Rc<Self>, cause: CloseCause) -> Unfilled {
        self.close_with(Some(cause));
        Unfilled::Closed
    }

    /// Finds out whether the peer's close is all that is left to read. Also while a read waits: it may be dropped, or
    /// never polled again.
    fn notice_close(self: &Rc<Self>) {
        let concerned = {
            let state = self.state.borrow();
            state.read.is_empty() && state.phase == Phase::Open && state.close_callback.is_some()
        };
        if concerned && self.registration.ready().contains(Ready::READABLE) {
            // Data stays in the buffer for the next reader, and the notice waits.
            let _ = self.fill();
        }
    }
}

/// Why a fill brought nothing.
pub(crate) enum Unfilled {
    WouldBlock,
    Closed,
}

// Writing.
impl Inner {
    /// Accepts `data`, to be sent after what was accepted before. Gives the position after it.
    pub(crate) fn queue(self: &Rc<Self>, data: &[u8]) -> Result<u64, StreamError> {
        let (end, flushed) = {
            let mut state = self.with_room(data.len())?;
            let state = &mut *state;
            let direct = state.write.len() + data.len() >= FLUSH_MARK;
            let (sent, flushed) = if direct { self.write_directly(state, data) } else { (0, Flushed::Nothing) };
            if sent < data.len() {
                self.give_write_memory(state);
                state.write.extend(&data[sent..]);
                self.mark_dirty(state);
            }
            (state.queued(), flushed)
        };
        self.after_flush(flushed)?;
        Ok(end)
    }

    /// Lets `compose` append to the write buffer, all or nothing being its own business.
    #[inline]
    pub(crate) fn queue_with<T>(
        self: &Rc<Self>,
        expected: usize,
        compose: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> Result<T, StreamError> {
        let (result, much) = {
            let mut state = self.with_room(expected)?;
            let state = &mut *state;
            self.give_write_memory(state);
            let result = state.write.append_with(compose);
            if !state.write.is_empty() {
                self.mark_dirty(state);
            }
            (result, state.write.len() >= FLUSH_MARK)
        };
        if much {
            self.flush_now()?;
        }
        Ok(result)
    }

    /// Hands to the kernel what it takes.
    pub(crate) fn flush_now(self: &Rc<Self>) -> Result<(), StreamError> {
        let flushed = {
            let mut state = self.state.borrow_mut();
            if state.write.is_empty() { Flushed::Nothing } else { self.write_directly(&mut state, &[]).1 }
        };
        self.after_flush(flushed)
    }

    /// Ready once `flushed` has reached `mark`. `id` names a waiting future, from [`waiter_id`](Self::waiter_id), which
    /// says so when it goes; a task that only polls has none.
    pub(crate) fn poll_flushed(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        mark: u64,
        id: Option<u32>,
    ) -> Poll<Result<(), StreamError>> {
        if self.state.borrow().flushed < mark {
            // Somebody waits: no reason to hold it back until the end of the turn.
            let _ = self.flush_now();
        }
        let state = self.state.borrow();
        if state.flushed >= mark {
            return Poll::Ready(Ok(()));
        }
        if state.phase == Phase::Closed {
            return Poll::Ready(Err(state.closed_error()));
        }
        drop(state);
        self.wait(cx.waker(), mark, id);
        Poll::Pending
    }

    pub(crate) fn waiter_id(&self) -> u32 {
        let mut state = self.state.borrow_mut();
        state.next_waiter = state.next_waiter.wrapping_add(1);
        state.next_waiter
    }

    /// Remembers to wake whoever waits for `mark`; of a polling task the earliest mark.
    fn wait(&self, waker: &Waker, mark: u64, id: Option<u32>) {
        let known = |waiter: &Waiter| waiter.id == id && (id.is_some() || waiter.waker.will_wake(waker));
        if self.state.borrow().waiters.iter().any(|waiter| known(waiter) && waiter.waker.will_wake(waker)) {
            return;
        }
        let waiter = Waiter { id, mark, waker: waker.clone() };
        let mut state = self.state.borrow_mut();
        let old = match state.waiters.iter_mut().find(|waiter| known(waiter)) {
            Some(place) => Some(std::mem::replace(place, waiter)),
            None => {
                state.waiters.push(waiter);
                None
            }
        };
        drop(state);
        drop(old);
    }

    /// The future that waited is gone.
    pub(crate) fn forget_waiter(&self, id: u32) {
        let mut state = self.state.borrow_mut();
        let place = state.waiters.iter().position(|waiter| waiter.id == Some(id));
        let waiter = place.map(|at| state.waiters.remove(at));
        drop(state);
        drop(waiter);
    }

    /// The state, when there is room for `asked` more bytes.
    fn with_room(self: &Rc<Self>, asked: usize) -> Result<RefMut<'_, State>, StreamError> {
        let state = self.state.borrow_mut();
        match self.check_room(&state, asked) {
            Ok(()) => Ok(state),
            Err(StreamError::WriteBufferFull { .. }) if !state.write.is_empty() => {
                // Some of it may wait for nothing but the end of the turn.
                drop(state);
                self.flush_now()?;
                let state = self.state.borrow_mut();
                self.check_room(&state, asked).map(|()| state)
            }
            Err(error) => Err(error),
        }
    }

    fn check_room(&self, state: &State, asked: usize) -> Result<(), StreamError> {
        if !state.accepts_writes() {
            return Err(state.closed_error());
        }
        let (limit, pending) = (self.options.max_write_buffer_size, state.write.len());
        if pending.saturating_add(asked) > limit {
            Err(StreamError::WriteBufferFull { limit, pending, asked })
        } else {
            Ok(())
        }
    }

    fn give_write_memory(&self, state: &mut State) {
        if !state.write.has_memory() {
            if let Some(io_loop) = self.registration.io_loop() {
                state.write.adopt(io_loop.take_buffer());
            }
        }
    }

    fn mark_dirty(self: &Rc<Self>, state: &mut State) {
        if !state.dirty {
            state.dirty = true;
            self.registration.flush_later(self.clone());
        }
    }

    /// Writes the buffer and then `data`; tells how much of `data` the kernel took.
    fn write_directly(&self, state: &mut State, data: &[u8]) -> (usize, Flushed) {
        let mut sent = 0;
        let mut progress = Flushed::Nothing;
        let Some(transport) = &mut state.transport else { return (0, progress) };
        if state.phase.is_connecting() {
            return (0, progress);
        }
        while self.registration.ready().contains(Ready::WRITABLE) {
            let buffered = state.write.as_slice();
            let rest = &data[sent..];
            let written = match (buffered.is_empty(), rest.is_empty()) {
                (true, true) => break,
                (false, true) => transport.write(&[IoSlice::new(buffered)]),
                (true, false) => transport.write(&[IoSlice::new(rest)]),
                (false, false) => transport.write(&[IoSlice::new(buffered), IoSlice::new(rest)]),
            };
            let asked = buffered.len() + rest.len();
            match written {
                Ok(written) => {
                    let from_buffer = written.min(buffered.len());
                    state.write.consume(from_buffer);
                    sent += written - from_buffer;
                    state.flushed += written as u64;
                    progress = Flushed::Progress;
                    if written < asked {
                        // A short write says that the kernel's buffer is full (epoll(7)); the next edge says when not.
                        self.registration.clear(Ready::WRITABLE);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.registration.clear(Ready::WRITABLE),
                Err(error) => return (sent, Flushed::Failed(error.into())),
            }
        }
        (sent, progress)
    }

    /// Wakes who waited for what was sent, and ends the stream if that was all that kept it, or if it failed.
    fn after_flush(self: &Rc<Self>, flushed: Flushed) -> Result<(), StreamError> {
        if let Flushed::Failed(cause) = flushed {
            if !cause.is_disconnect() {
                tracing::warn!("error on write: {cause}");
            }
            self.close_with(Some(cause));
            return Err(self.state.borrow().closed_error());
        }
        let mut state = self.state.borrow_mut();
        let drained = state.write.is_empty();
        let released = if drained {
            if let (true, Some(io_loop)) = (state.write.has_memory(), self.registration.io_loop()) {
                io_loop.give_buffer(state.write.take_memory());
            }
            state.keep_alive.take()
        } else {
            state.keep_alive.replace(self.clone())
        };
        let ended = drained && state.phase == Phase::Ending;
        self.update_watch(&state);
        drop(state);
        if let Flushed::Progress = flushed {
            self.wake_reached();
        }
        if ended {
            self.close_with(None);
        }
        drop(released);
        Ok(())
    }

    /// Wakes those whose mark is reached, in order.
    fn wake_reached(&self) {
        let mut state = self.state.borrow_mut();
        let reached = state.flushed;
        if !state.waiters.iter().any(|waiter| waiter.mark <= reached) {
            return;
        }
        let (done, waiting): (Vec<_>, _) =
            std::mem::take(&mut state.waiters).into_iter().partition(|waiter| waiter.mark <= reached);
        state.waiters = waiting;
        drop(state);
        for waiter in done {
            waiter.waker.wake();
        }
    }

    /// Which events concern the stream without anybody polling a future.
    pub(crate) fn update_watch(&self, state: &State) {
        let mut watch = Ready::NONE;
        if state.phase.is_connecting() || !state.write.is_empty() {
            watch = watch | Ready::WRITABLE;
        }
        if state.close_callback.is_some() {
            watch = watch | Ready::READ_CLOSED | Ready::ERROR;
        }
        self.registration.watch(watch);
    }
}

// Connecting and ending.
impl Inner {
    /// Sends what was accepted, then closes. Nothing more is read.
    pub(crate) fn close_when_flushed(self: &Rc<Self>) {
        if self.flush_now().is_err() {
            return;
        }
        let mut state = self.state.borrow_mut();
        let unsent = !state.write.is_empty();
        match state.phase {
            Phase::Connecting if unsent => state.phase = Phase::ConnectingToEnd,
            Phase::Open if unsent => state.phase = Phase::Ending,
            Phase::ConnectingToEnd | Phase::Ending => return,
            Phase::Connecting | Phase::Open | Phase::Closed => {
                drop(state);
                self.close_with(None);
                return;
            }
        }
        drop(state);
        self.registration.wake_reader();
    }

    /// Closes at once. In this order: the descriptor is closed, the reader and the writers learn of it, and the close
    /// callback is planned behind them.
    pub(crate) fn close_with(self: &Rc<Self>, cause: Option<CloseCause>) {
        let mut state = self.state.borrow_mut();
        if state.phase == Phase::Closed {
            return;
        }
        state.phase = Phase::Closed;
        state.cause = cause;
        let transport = state.transport.take();
        let waiters = std::mem::take(&mut state.waiters);
        let callback = state.close_callback.take();
        let keep_alive = state.keep_alive.take();
        let unsent = state.write.take_memory();
        self.registration.watch(Ready::NONE);
        drop(state);
        drop(transport);
        self.registration.wake_reader();
        for waiter in waiters {
            waiter.waker.wake();
        }
        if let Some(io_loop) = self.registration.io_loop() {
            io_loop.give_buffer(unsent);
            if let Some(callback) = callback {
                call_after_tasks(&io_loop, callback);
            }
        }
        drop(keep_alive);
    }

    /// Ready once the connection stands, or can't.
    pub(crate) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let phase = self.state.borrow().phase;
        match phase {
            Phase::Connecting | Phase::ConnectingToEnd => {
                // Before the first byte: so it learns of the connection before any writer does.
                self.wait(cx.waker(), 0, None);
                Poll::Pending
            }
            Phase::Open | Phase::Ending => Poll::Ready(Ok(())),
            Phase::Closed => Poll::Ready(Err(self.state.borrow().closed_error())),
        }
    }

    fn finish_connect(self: &Rc<Self>) {
        let outcome = match &mut self.state.borrow_mut().transport {
            Some(transport) => transport.take_error(),
            None => return,
        };
        match outcome {
            Ok(None) => {
                let mut state = self.state.borrow_mut();
                state.phase = if state.phase == Phase::ConnectingToEnd { Phase::Ending } else { Phase::Open };
                self.update_watch(&state);
                drop(state);
                self.wake_reached();
                self.registration.wake_reader();
            }
            Ok(Some(error)) | Err(error) => self.close_with(Some(error.into())),
        }
    }

    /// Calls the transport, unless it is gone.
    pub(crate) fn with_transport<T>(&self, f: impl FnOnce(&mut dyn Transport) -> T) -> Option<T> {
        self.state.borrow_mut().transport.as_deref_mut().map(f)
    }
}

impl EventTarget for Inner {
    fn ready(self: Rc<Self>, ready: Ready) {
        let connecting = self.state.borrow().phase.is_connecting();
        if connecting && ready.contains(Ready::WRITABLE) {
            self.finish_connect();
        }
        if ready.contains(Ready::WRITABLE) {
            let _ = self.flush_now();
        }
        if ready.intersects(Ready::READ_CLOSED | Ready::ERROR) {
            self.notice_close();
        }
    }

    fn flush(self: Rc<Self>) {
        self.state.borrow_mut().dirty = false;
        let _ = self.flush_now();
        if self.registration.ready().intersects(Ready::READ_CLOSED | Ready::ERROR) {
            self.notice_close();
        }
    }

    fn loop_closed(self: Rc<Self>) {
        self.close_with(Some(CloseCause::LoopClosed));
    }
}

impl Inner {
    pub(crate) fn io_loop(&self) -> Option<IoLoop> {
        self.registration.io_loop()
    }

    /// Whether a read of the transport makes sense.
    pub(crate) fn can_read_now(&self) -> bool {
        self.state.borrow().phase == Phase::Open && self.registration.ready().contains(Ready::READABLE)
    }
}

impl Drop for Inner {
    /// The last handle's way to close: nothing is left to be sent, and nobody to wait.
    fn drop(&mut self) {
        let callback = self.state.get_mut().close_callback.take();
        if let (Some(callback), Some(io_loop)) = (callback, self.registration.io_loop()) {
            call_after_tasks(&io_loop, callback);
        }
    }
}

/// Runs a close callback as a task: behind those of the waiting reads and writes, which were woken before. As a callback it
/// would overtake them, since a turn begins with the callbacks.
pub(crate) fn call_after_tasks(io_loop: &IoLoop, callback: Box<dyn FnOnce()>) {
    drop(io_loop.spawn(async move { callback() }));
}

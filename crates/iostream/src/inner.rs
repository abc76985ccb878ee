//! A stream's state and its transitions: filling the read buffer, connecting, ending; [`sending`] has those of the write buffer,
//! [`securing`] those of a handshake.
//!
//! Rules: wakers and callbacks run, and foreign values are dropped, only after the state's borrow has ended; a transport
//! never calls back into its own stream.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use landspout_ioloop::{EventTarget, IoLoop, LoopError, Ready, Registration};

use crate::buffer::Buffer;
use crate::error::{CloseCause, StreamError};
use crate::options::StreamOptions;
use crate::transport::Transport;

mod patience;
mod securing;
mod segments;
mod sending;

use patience::Patience;
use securing::Handshake;
use segments::Segments;
use sending::Waiter;

/// Of a transport that has layers: what it has already taken apart, and then what is behind that.
const READS_TO_AN_ALERT: u32 = 2;

pub(crate) struct Inner {
    pub(crate) registration: Registration,
    pub(crate) options: Rc<StreamOptions>,
    pub(crate) state: RefCell<State>,
}

pub(crate) struct State {
    /// `None` once closed.
    transport: Option<Box<dyn Transport>>,
    pub(crate) phase: Phase,
    /// A read future waits.
    pub(crate) reading: bool,
    /// In the loop's list of streams to flush.
    dirty: bool,
    pub(crate) read: Buffer,
    pub(crate) write: Buffer,
    /// Bytes handed to the kernel over the stream's life.
    pub(crate) flushed: u64,
    next_waiter: u32,
    rare: Option<Box<Rare>>,
    /// Keeps the stream while bytes are to be sent although no handle is left: what was accepted is not lost.
    keep_alive: Option<Rc<Inner>>,
    /// To be done before the phase is `Open`.
    handshake: Option<Box<Handshake>>,
    /// The transport is one that has bytes of its own to send at times.
    layered: bool,
    /// It has some now.
    own_output: bool,
    /// The peer's end leaves the stream open, as `AsyncRead` and `AsyncWrite` have it.
    pub(crate) half_open: bool,
    /// It was read.
    pub(crate) input_ended: bool,
    pub(crate) output: Output,
    /// Some bytes were accepted, and then given up.
    pub(crate) gave_up: bool,
    on_close: OnClose,
}

/// What the end is to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnClose {
    EndInOrder,
    Abort,
    /// The transport doesn't know of that condition, and is told when the bytes are out.
    AbortIfUnsent,
}

/// Where bytes that are accepted wait to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// In the write buffer.
    Buffered,
    /// In the segments, and behind them in the write buffer.
    Segmented,
    /// Nothing is accepted or sent any more.
    Ended,
}

/// What a stream has at times, and an idle one as a rule has not.
#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) cause: Option<CloseCause>,
    /// Who waits for `flushed` to pass a mark.
    waiters: Vec<Waiter>,
    pub(crate) close_callback: Option<Box<dyn FnOnce()>>,
    /// Ends the stream if its bytes don't go.
    patience: Option<Patience>,
    /// What is sent before the write buffer.
    segments: Option<Box<Segments>>,
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.cause.is_none()
            && self.waiters.is_empty()
            && self.close_callback.is_none()
            && self.patience.is_none()
            && self.segments.is_none()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Or in the handshake after it: nothing can be read or sent yet.
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

impl State {
    pub(crate) fn new(transport: Box<dyn Transport>, phase: Phase) -> Self {
        Self {
            transport: Some(transport),
            phase,
            reading: false,
            dirty: false,
            read: Buffer::default(),
            write: Buffer::default(),
            flushed: 0,
            next_waiter: 0,
            rare: None,
            keep_alive: None,
            handshake: None,
            layered: false,
            own_output: false,
            half_open: false,
            input_ended: false,
            output: Output::Buffered,
            gave_up: false,
            on_close: OnClose::EndInOrder,
        }
    }

    /// The position after the last byte that was accepted. What was given up is behind all that was sent.
    pub(crate) fn queued(&self) -> u64 {
        self.flushed + self.unsent() as u64 + u64::from(self.gave_up)
    }

    /// How many bytes wait to be sent.
    #[inline]
    pub(crate) fn unsent(&self) -> usize {
        let in_segments = if self.output == Output::Segmented { self.unsent_in_segments() } else { 0 };
        in_segments + self.write.len()
    }

    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        !self.write.is_empty() || self.output == Output::Segmented
    }

    pub(crate) fn closed_error(&self) -> StreamError {
        StreamError::Closed(self.cause().cloned())
    }

    /// Why it was closed, or ended without a goodbye.
    pub(crate) fn cause(&self) -> Option<&CloseCause> {
        self.rare.as_ref()?.cause.as_ref()
    }

    pub(crate) fn has_close_callback(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.close_callback.is_some())
    }

    fn waiters(&self) -> &[Waiter] {
        self.rare.as_ref().map_or(&[], |rare| &rare.waiters)
    }

    fn take_waiters(&mut self) -> Vec<Waiter> {
        self.rare.as_mut().map(|rare| std::mem::take(&mut rare.waiters)).unwrap_or_default()
    }

    fn patience(&self) -> Option<&Patience> {
        self.rare.as_ref()?.patience.as_ref()
    }

    /// Gives its memory back if nothing is in it.
    fn forget_rare(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }

    fn take_patience(&mut self) -> Option<Patience> {
        self.rare.as_mut()?.patience.take()
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn accepts_writes(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Open) && self.output != Output::Ended
    }

    /// What a write fails with when no more are accepted.
    fn unwritable_error(&self) -> StreamError {
        let open = matches!(self.phase, Phase::Connecting | Phase::Open);
        if open && self.output == Output::Ended { StreamError::WriteEnded } else { self.closed_error() }
    }
}

// Reading.
impl Inner {
    /// Gets at least one more byte into the read buffer.
    pub(crate) fn poll_fill(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        loop {
            if self.state.borrow().phase != Phase::Open {
                return self.poll_fill_unopened(cx);
            }
            if self.registration.poll_readable(cx).is_pending() || self.registration.poll_proceed(cx).is_pending() {
                return Poll::Pending;
            }
            match self.fill() {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(Unfilled::WouldBlock) => {}
                Err(Unfilled::Closed) => return Poll::Ready(Err(self.state.borrow().closed_error())),
            }
        }
    }

    #[cold]
    fn poll_fill_unopened(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let state = self.state.borrow();
        if state.phase != Phase::Connecting {
            return Poll::Ready(Err(state.closed_error()));
        }
        drop(state);
        self.registration.wake_on_read(cx);
        Poll::Pending
    }

    /// One read of unknown length, by way of the loop's scratch buffer.
    #[inline]
    pub(crate) fn fill(self: &Rc<Self>) -> Result<(), Unfilled> {
        let read = self.registration.with_scratch(|scratch| {
            let mut state = self.state.borrow_mut();
            // One byte past the limit proves that the peer sent more; a read that asks for the limit must not meet it.
            let room = self.options.max_buffer_size.saturating_sub(state.read.len()).max(1);
            let asked = self.options.read_chunk_size.min(scratch.len()).min(room);
            let got = self.read_transport(&mut state, &mut scratch[..asked])?;
            if got > 0 {
                self.keep(&mut state, &scratch[..got]);
            }
            Ok((got, state.read.len()))
        });
        match read {
            Ok((1.., buffered)) if buffered <= self.options.max_buffer_size => Ok(()),
            other => Err(self.unfilled(other.map(|(got, _)| got))),
        }
    }

    /// Appends to the read buffer.
    #[inline]
    fn keep(&self, state: &mut State, bytes: &[u8]) {
        if !state.read.has_memory() {
            state.read.adopt(self.registration.take_buffer());
        }
        state.read.extend(bytes);
    }

    #[cold]
    fn unfilled(self: &Rc<Self>, read: io::Result<usize>) -> Unfilled {
        match read {
            Ok(0) => self.end_of_input(),
            Ok(_) => {
                let max_buffer_size = self.options.max_buffer_size;
                tracing::error!("read buffer of {max_buffer_size} bytes is full, closing the stream");
                self.closed_by(CloseCause::ReadBufferFull { max_buffer_size })
            }
            Err(error) => self.read_failed(error),
        }
    }

    /// Before the stream is closed because a write failed: what the peer said before it broke off may lie in the kernel, above all
    /// why it did so. What a read brings, within the limit, is kept for whoever reads; an alert of TLS, which may be behind it, is
    /// given back.
    #[cold]
    fn save_input(&self) -> Option<CloseCause> {
        self.registration.with_scratch(|scratch| {
            let mut state = self.state.borrow_mut();
            let reads = if state.layered { READS_TO_AN_ALERT } else { 1 };
            for _ in 0..reads {
                let room = self.options.max_buffer_size.saturating_sub(state.read.len());
                let asked = scratch.len().min(room);
                if asked == 0 {
                    break;
                }
                match self.read_transport(&mut state, &mut scratch[..asked]) {
                    Ok(0) => break,
                    Ok(got) => self.keep(&mut state, &scratch[..got]),
                    Err(error) => return Some(CloseCause::from(error)).filter(CloseCause::is_failed_trust),
                }
            }
            None
        })
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

    /// Drops `n` bytes, or all if there are fewer, from the front of the read buffer.
    #[inline]
    pub(crate) fn consume(self: &Rc<Self>, state: &mut State, n: usize) {
        if state.read.consume(n) {
            self.all_consumed(state);
        }
    }

    /// Lets the read buffer's memory go when nothing is left in it.
    #[inline]
    pub(crate) fn consumed(self: &Rc<Self>, state: &mut State) {
        if state.read.is_empty() {
            self.all_consumed(state);
        }
    }

    #[inline(never)]
    fn all_consumed(self: &Rc<Self>, state: &mut State) {
        self.registration.give_buffer(state.read.take_memory());
        // A close that was held back by unread data can be noticed now.
        if state.has_close_callback() && self.registration.ready().intersects(Ready::READ_CLOSED | Ready::ERROR) {
            self.mark_dirty(state);
        }
    }

    #[inline]
    fn read_transport(&self, state: &mut State, target: &mut [u8]) -> io::Result<usize> {
        let Some(transport) = &mut state.transport else { return Err(io::ErrorKind::NotConnected.into()) };
        let result = transport.read(target);
        match &result {
            // After the peer has closed, only 0 or an error means that this was all, and after urgent data "nothing now".
            Ok(0) => {}
            Ok(_) if self.registration.ready().intersects(Ready::READ_CLOSED | Ready::ERROR | Ready::PRIORITY) => {}
            Ok(got) if transport.drained(target.len(), *got) => self.registration.clear(Ready::READABLE),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.registration.clear(Ready::READABLE),
            _ => {}
        }
        if state.layered {
            self.note_own_output(state);
        }
        result
    }

    fn read_failed(self: &Rc<Self>, error: io::Error) -> Unfilled {
        if error.kind() == io::ErrorKind::WouldBlock {
            return Unfilled::WouldBlock;
        }
        let cause = CloseCause::from(error);
        if cause == CloseCause::Truncated {
            // An end all the same, and our answer may still be welcome.
            self.state.borrow_mut().rare().cause = Some(cause);
            return self.end_of_input();
        }
        cause.log("read");
        self.closed_by(cause)
    }

    /// The peer sent its last byte. What we still have to send goes out first.
    fn end_of_input(self: &Rc<Self>) -> Unfilled {
        let mut state = self.state.borrow_mut();
        state.input_ended = true;
        let stays = state.half_open && state.output != Output::Ended;
        drop(state);
        if !stays {
            self.close_when_flushed();
        }
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
            state.read.is_empty() && state.phase == Phase::Open && state.has_close_callback()
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

// Connecting and ending.
impl Inner {
    /// Sends what was accepted, then closes. Nothing more is read.
    pub(crate) fn close_when_flushed(self: &Rc<Self>) {
        self.announce_last_write();
        if self.flush_now().is_err() {
            return;
        }
        let mut state = self.state.borrow_mut();
        let mut unsent = state.has_unsent();
        if !unsent && state.phase == Phase::Open && !self.said_goodbye(&mut state) {
            unsent = true;
            state.keep_alive = Some(self.clone());
        }
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
        self.linger();
        self.registration.wake_reader();
    }

    /// A layer's goodbye goes along with the last bytes then. Segments may take more than one call, so that behind them it goes by
    /// itself.
    fn announce_last_write(&self) {
        let mut state = self.state.borrow_mut();
        let usual = state.phase == Phase::Open && state.output == Output::Buffered && state.on_close != OnClose::Abort;
        let State { transport, layered: true, .. } = &mut *state else { return };
        if let Some(transport) = transport.as_mut().filter(|_| usual) {
            transport.last_write();
        }
    }

    /// Closes at once. In this order: the descriptor is closed, the reader and the writers learn of it, and the close
    /// callback is planned behind them.
    pub(crate) fn close_with(self: &Rc<Self>, cause: Option<CloseCause>) {
        let mut state = self.state.borrow_mut();
        if state.phase == Phase::Closed {
            return;
        }
        state.phase = Phase::Closed;
        // An end without a goodbye is known before the stream is closed for it.
        let cause = cause.or_else(|| state.cause().cloned());
        let clean = !state.is_aborted_by_end() && cause.is_none();
        state.gave_up |= state.has_unsent();
        let transport = state.transport.take();
        let handshake = state.handshake.take();
        let rare = state.rare.take();
        if cause.is_some() {
            state.rare().cause = cause;
        }
        let keep_alive = state.keep_alive.take();
        let memory = state.write.take_memory();
        state.output = Output::Ended;
        self.registration.watch(Ready::NONE);
        self.registration.forgo();
        drop(state);
        if let (Some(mut transport), true) = (transport, clean) {
            transport.close();
        }
        self.registration.wake_reader();
        if let Some(rare) = rare {
            self.part_with(*rare);
        }
        self.forget_handshake(handshake);
        self.registration.give_buffer(memory);
        drop(keep_alive);
    }

    /// Of a closed stream.
    fn part_with(&self, rare: Rare) {
        for waiter in rare.waiters {
            waiter.waker.wake();
        }
        self.forget_patience(rare.patience);
        if let (Some(callback), Some(io_loop)) = (rare.close_callback, self.registration.io_loop()) {
            call_after_tasks(&io_loop, callback);
        }
        drop(rare.segments);
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
            Ok(None) if self.state.borrow().handshake.is_some() => self.begin_handshake(),
            Ok(None) => self.opened(),
            Ok(Some(error)) | Err(error) => self.close_with(Some(error.into())),
        }
    }

    /// The connection stands; what was written goes out with the flush that follows.
    fn opened(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        state.phase = if state.phase == Phase::ConnectingToEnd { Phase::Ending } else { Phase::Open };
        self.update_watch(&state);
        drop(state);
        self.wake_reached();
        self.registration.wake_reader();
    }

    /// Calls the transport, unless it is gone.
    pub(crate) fn with_transport<T>(&self, f: impl FnOnce(&mut dyn Transport) -> T) -> Option<T> {
        self.state.borrow_mut().transport.as_deref_mut().map(f)
    }
}

impl EventTarget for Inner {
    fn ready(self: Rc<Self>, ready: Ready) {
        let (connecting, shaking_hands) = {
            let state = self.state.borrow();
            (state.phase.is_connecting(), state.handshake.as_ref().is_some_and(|handshake| handshake.begun()))
        };
        if shaking_hands {
            self.go_on_with_handshake();
        } else if connecting && ready.contains(Ready::WRITABLE) {
            self.finish_connect();
        }
        // The end of a handshake leaves it to the end of the turn.
        if ready.contains(Ready::WRITABLE) && !shaking_hands {
            let _ = self.flush_now();
        }
        if ready.intersects(Ready::READ_CLOSED | Ready::ERROR) {
            self.notice_close();
        }
        // Its last bytes were perhaps what kept the stream.
        Self::released(&self);
    }

    fn flush(self: Rc<Self>) {
        if !self.flush_at_once() {
            let _ = self.flush_now();
            // Had the last handle gone before, this list was what kept the stream.
            Self::released(&self);
        }
        if self.registration.ready().intersects(Ready::READ_CLOSED | Ready::ERROR) {
            self.notice_close();
        }
    }

    fn loop_closed(self: Rc<Self>) {
        self.close_with(Some(CloseCause::LoopClosed));
    }

    fn unwatchable(self: Rc<Self>, error: LoopError) {
        let cause = CloseCause::from(io::Error::from(error));
        tracing::warn!("a stream cannot be watched: {cause}");
        self.close_with(Some(cause));
    }
}

impl Inner {
    pub(crate) fn io_loop(&self) -> Option<IoLoop> {
        self.registration.io_loop()
    }

    pub(crate) fn is_layered(&self) -> bool {
        self.state.borrow().layered
    }

    /// Whether a read of the transport makes sense.
    pub(crate) fn can_read_now(&self) -> bool {
        self.state.borrow().phase == Phase::Open && self.registration.ready().contains(Ready::READABLE)
    }
}

impl Drop for Inner {
    /// The last handle's way to close: nothing is left to be sent, and nobody to wait.
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let callback = state.rare.as_mut().and_then(|rare| rare.close_callback.take());
        let handshake = state.handshake.take();
        let patience = state.take_patience();
        // The last handle's way to close is a clean one.
        let clean = !state.is_aborted_by_end();
        if let (true, Some(transport)) = (state.layered && clean, &mut state.transport) {
            transport.close();
        }
        self.forget_handshake(handshake);
        self.forget_patience(patience);
        if let (Some(callback), Some(io_loop)) = (callback, self.registration.io_loop()) {
            call_after_tasks(&io_loop, callback);
        }
    }
}

/// Runs a close callback as a task: behind those of the waiting reads and writes, which were woken before. As a callback it
/// would overtake them, since a turn begins with the callbacks.
pub(crate) fn call_after_tasks(io_loop: &IoLoop, callback: Box<dyn FnOnce()>) {
    io_loop.spawn_detached(async move { callback() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IoStream;

    /// What an idle connection costs here, besides its registration in the loop and the box of its transport: these bytes
    /// in one allocation, and no buffer. To be raised only
    /// knowingly.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn an_idle_stream_is_small() {
        assert!(size_of::<Inner>() <= 168, "{}", size_of::<Inner>());
        assert_eq!(size_of::<IoStream>(), 8);
    }

    #[test]
    fn an_idle_stream_holds_no_buffer() {
        fn held(stream: &IoStream) -> (bool, bool, usize) {
            let state = stream.inner.state.borrow();
            (state.read.has_memory(), state.write.has_memory(), state.waiters().len())
        }
        let io_loop = IoLoop::new().unwrap();
        let test = io_loop.run_sync(async {
            let (one, other) = IoStream::pair().unwrap();
            for _ in 0..3 {
                assert_eq!((held(&one), held(&other)), ((false, false, 0), (false, false, 0)));
                let large = one.write(&vec![b'x'; 1_000_000]).unwrap();
                assert!(held(&one).1);
                other.read_bytes(999_999).await.unwrap();
                assert!(held(&other).0);
                other.read_bytes(1).await.unwrap();
                large.await.unwrap();
                one.write(b"small").unwrap();
                other.read_until(b"l", None).await.unwrap();
                other.read_bytes(1).await.unwrap();
            }
            // A read that waits needs none either.
            let reading = IoLoop::current().spawn({
                let other = other.clone();
                async move { other.read_bytes(10).await }
            });
            while !other.reading() {
                landspout_ioloop::sleep(std::time::Duration::ZERO).await;
            }
            assert_eq!(held(&other), (false, false, 0));
            reading.abort();
        });
        test.unwrap();
    }
}

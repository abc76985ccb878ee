//! Sending: what a write accepts, who flushes it, and who learns that it went.
//!
//! Positions: a stream counts the bytes it handed to the kernel over its life; a write is done when that count has passed
//! the position after its last byte. So writes are done in order, and a future needs to know nothing but a number.

use std::cell::RefMut;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use landspout_ioloop::Ready;

use super::{Inner, OnClose, Output, Phase, State};
use crate::error::{CloseCause, StreamError};

/// From this many buffered bytes on a write doesn't wait for the end of the turn, and what is being written goes to the
/// kernel from where it is.
const FLUSH_MARK: usize = 16 * 1024;

/// Somebody who waits for a position.
pub(super) struct Waiter {
    /// `None`: a task that polls, and is known by its waker.
    id: Option<u32>,
    mark: u64,
    pub(super) waker: Waker,
}

impl State {
    /// Says whether what was accepted so far is only a part.
    pub(crate) fn abort_on_close(&mut self, abort: bool) {
        self.on_close = match abort {
            true => OnClose::Abort,
            false if self.on_close == OnClose::EndInOrder => return,
            // Given up, they would be missing.
            false if self.has_unsent() => OnClose::AbortIfUnsent,
            false => OnClose::EndInOrder,
        };
        if let (Some(transport), true) = (&mut self.transport, self.on_close != OnClose::AbortIfUnsent) {
            transport.abort_on_close(abort);
        }
    }

    pub(crate) fn aborts_on_close(&self) -> bool {
        self.on_close == OnClose::Abort
    }

    /// Whether the stream, should it end now, breaks off.
    #[inline]
    pub(super) fn is_aborted_by_end(&mut self) -> bool {
        self.on_close != OnClose::EndInOrder && self.is_aborted_unless_sent()
    }

    #[cold]
    fn is_aborted_unless_sent(&mut self) -> bool {
        if self.on_close == OnClose::AbortIfUnsent {
            self.abort_on_close(false);
        }
        self.on_close != OnClose::EndInOrder
    }
}

/// What a flush leaves to be done without a borrow.
pub(super) enum Flushed {
    Nothing,
    Progress,
    /// Of segments, which are to be dropped.
    Segments,
    Failed(CloseCause),
}

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

    /// The flush of a turn's end as it nearly always is: all bytes go in one write, and nothing and nobody waits for that. False
    /// if more is to be done.
    #[inline]
    pub(super) fn flush_at_once(self: &Rc<Self>) -> bool {
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        state.dirty = false;
        let usual =
            state.phase == Phase::Open && !state.layered && state.keep_alive.is_none() && state.waiters().is_empty();
        let buffered = state.output == Output::Buffered && !state.write.is_empty();
        let Some(transport) = state.transport.as_mut().filter(|_| usual && buffered) else {
            return false;
        };
        if !self.registration.ready().contains(Ready::WRITABLE) {
            return false;
        }
        match transport.write(&[IoSlice::new(state.write.as_slice())]) {
            Ok(written) => {
                debug_assert!(written <= state.write.len(), "a transport that takes more than it is given");
                state.flushed += written as u64;
                state.write.consume(written);
            }
            Err(error) => {
                drop(guard);
                self.flush_failed(error);
                return false;
            }
        }
        if !state.write.is_empty() {
            // As in `write_directly`.
            self.registration.clear(Ready::WRITABLE);
            return false;
        }
        self.registration.give_buffer(state.write.take_memory());
        true
    }

    #[cold]
    fn flush_failed(self: &Rc<Self>, error: io::Error) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.registration.clear(Ready::WRITABLE);
        } else {
            let _ = self.after_flush(Flushed::Failed(error.into()));
        }
    }

    /// Hands to the kernel what it takes.
    #[inline(never)]
    pub(crate) fn flush_now(self: &Rc<Self>) -> Result<(), StreamError> {
        let flushed = {
            let mut state = self.state.borrow_mut();
            if !state.has_unsent() && !state.own_output {
                Flushed::Nothing
            } else {
                self.write_directly(&mut state, &[]).1
            }
        };
        self.after_flush(flushed)
    }

    /// Likewise, without waiting to be told of room: the kernel tells when there is a third of it. A peer that reads little, and
    /// slowly, has made some.
    #[cold]
    pub(crate) fn flush_unasked(self: &Rc<Self>) -> Result<(), StreamError> {
        // Of a connection that isn't there yet it would say that it is.
        if !self.state.borrow().phase.is_connecting() {
            self.registration.raise(Ready::WRITABLE);
        }
        self.flush_now()
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
        let sent = state.flushed >= mark;
        if state.phase == Phase::Closed || state.output == Output::Ended {
            return Poll::Ready(if sent { Ok(()) } else { Err(state.unwritable_error()) });
        }
        drop(state);
        if sent {
            // A peer that takes everything at once would otherwise keep whoever writes and waits busy for ever.
            return self.registration.poll_proceed(cx).map(Ok);
        }
        self.wait(cx.waker(), mark, id);
        Poll::Pending
    }

    /// Ends the writing side at once: what is unsent is given up, and nothing more is accepted. `None` on a closed stream.
    pub(crate) fn shutdown_write(self: &Rc<Self>) -> Option<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        if state.phase != Phase::Closed && state.is_aborted_by_end() {
            // No transport can break off one direction.
            drop(state);
            self.close_with(None);
            return Some(Ok(()));
        }
        let result = state.transport.as_mut().map(|transport| transport.shutdown_write())?;
        if state.layered {
            self.note_own_output(&mut state);
        }
        match &result {
            Ok(()) => {}
            // It can't be ended without the other one.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                drop(state);
                self.close_with(None);
                return Some(Ok(()));
            }
            Err(_) => return Some(result),
        }
        state.gave_up |= state.has_unsent();
        let (memory, segments) = (state.write.take_memory(), state.take_segments());
        state.output = Output::Ended;
        let waiters = state.take_waiters();
        let keep_alive = if state.own_output { None } else { state.keep_alive.take() };
        if state.own_output {
            // Keeps the stream until the transport's last words are out.
            self.mark_dirty(&mut state);
        }
        let nothing_left = state.phase == Phase::Ending || (state.half_open && state.input_ended);
        self.update_watch(&state);
        drop(state);
        if nothing_left {
            self.close_with(None);
        }
        self.registration.give_buffer(memory);
        for waiter in waiters {
            waiter.waker.wake();
        }
        drop(segments);
        drop(keep_alive);
        Some(result)
    }

    pub(crate) fn waiter_id(&self) -> u32 {
        let mut state = self.state.borrow_mut();
        state.next_waiter = state.next_waiter.wrapping_add(1);
        state.next_waiter
    }

    /// Remembers to wake whoever waits for `mark`; of a polling task the earliest mark.
    pub(super) fn wait(&self, waker: &Waker, mark: u64, id: Option<u32>) {
        let known = |waiter: &Waiter| waiter.id == id && (id.is_some() || waiter.waker.will_wake(waker));
        let served = |waiter: &Waiter| known(waiter) && waiter.waker.will_wake(waker) && waiter.mark <= mark;
        if self.state.borrow().waiters().iter().any(served) {
            return;
        }
        let waiter = Waiter { id, mark, waker: waker.clone() };
        let mut state = self.state.borrow_mut();
        let waiters = &mut state.rare().waiters;
        let old = match waiters.iter_mut().find(|waiter| known(waiter)) {
            Some(place) => Some(std::mem::replace(place, waiter)),
            None => {
                waiters.push(waiter);
                None
            }
        };
        drop(state);
        drop(old);
    }

    /// The future that waited is gone.
    pub(crate) fn forget_waiter(&self, id: u32) {
        let mut state = self.state.borrow_mut();
        let place = state.waiters().iter().position(|waiter| waiter.id == Some(id));
        let waiter = place.map(|at| state.rare().waiters.remove(at));
        drop(state);
        drop(waiter);
    }

    /// The state, when there is room for `asked` more bytes.
    #[inline]
    fn with_room(self: &Rc<Self>, asked: usize) -> Result<RefMut<'_, State>, StreamError> {
        let state = self.state.borrow_mut();
        let fits = state.write.len().saturating_add(asked) <= self.options.max_write_buffer_size;
        let usual = matches!(state.phase, Phase::Connecting | Phase::Open) && state.output == Output::Buffered;
        if fits && usual { Ok(state) } else { self.make_room(state, asked) }
    }

    /// Some of what is in the way may wait for nothing but the end of the turn.
    #[cold]
    pub(super) fn make_room<'a>(
        self: &'a Rc<Self>,
        state: RefMut<'a, State>,
        asked: usize,
    ) -> Result<RefMut<'a, State>, StreamError> {
        match self.check_room(&state, asked) {
            Err(StreamError::WriteBufferFull { .. }) if state.has_unsent() => {}
            checked => return checked.map(|()| state),
        }
        drop(state);
        self.flush_now()?;
        let state = self.state.borrow_mut();
        self.check_room(&state, asked).map(|()| state)
    }

    fn check_room(&self, state: &State, asked: usize) -> Result<(), StreamError> {
        if !state.accepts_writes() {
            return Err(state.unwritable_error());
        }
        let (limit, pending) = (self.options.max_write_buffer_size, state.unsent());
        if pending.saturating_add(asked) > limit {
            Err(StreamError::WriteBufferFull { limit, pending, asked })
        } else {
            Ok(())
        }
    }

    #[inline]
    fn give_write_memory(&self, state: &mut State) {
        if !state.write.has_memory() {
            state.write.adopt(self.registration.take_buffer());
        }
    }

    #[inline(always)]
    pub(super) fn mark_dirty(self: &Rc<Self>, state: &mut State) {
        if !state.dirty {
            state.dirty = true;
            self.registration.flush_later(self.clone());
        }
    }

    /// Writes the buffer and then `data`; tells how much of `data` the kernel took.
    pub(super) fn write_directly(&self, state: &mut State, data: &[u8]) -> (usize, Flushed) {
        if state.output == Output::Segmented {
            return self.write_segments(state, data);
        }
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
                (true, true) if !state.own_output => break,
                (true, true) => {
                    state.own_output = false;
                    transport.write(&[])
                }
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
        if state.layered {
            self.note_own_output(state);
        }
        (sent, progress)
    }

    /// Wakes who waited for what was sent, and ends the stream if that was all that kept it, or if it failed.
    fn after_flush(self: &Rc<Self>, flushed: Flushed) -> Result<(), StreamError> {
        if let Flushed::Failed(cause) = flushed {
            let cause = self.save_input().unwrap_or(cause);
            cause.log("write");
            self.close_with(Some(cause));
            return Err(self.state.borrow().closed_error());
        }
        let mut state = self.state.borrow_mut();
        let sent = !state.has_unsent() && !state.own_output;
        let drained = sent && (state.phase != Phase::Ending || self.said_goodbye(&mut state));
        let released = if drained {
            self.registration.give_buffer(state.write.take_memory());
            state.keep_alive.take()
        } else {
            if self.options.send_timeout.is_some() && !self.registration.ready().contains(Ready::WRITABLE) {
                self.refused(&mut state);
            }
            state.keep_alive.replace(self.clone())
        };
        let ended = drained && state.phase == Phase::Ending;
        self.update_watch(&state);
        drop(state);
        if !matches!(flushed, Flushed::Nothing) {
            self.wake_reached();
        }
        if ended {
            self.close_with(None);
        }
        if let Flushed::Segments = flushed {
            self.drop_sent_segments();
        }
        drop(released);
        Ok(())
    }

    /// Whether the goodbye of a layer is out, which it says when all else is: it may have to wait for room as well.
    pub(super) fn said_goodbye(&self, state: &mut State) -> bool {
        if state.layered && state.output != Output::Ended && !state.is_aborted_by_end() {
            state.output = Output::Ended;
            let said = state.transport.as_mut().map(|transport| transport.shutdown_write());
            self.note_own_output(state);
            if !matches!(said, Some(Ok(()))) {
                // Nobody can hear it.
                return true;
            }
        }
        !state.own_output
    }

    /// Wakes those whose mark is reached, in order.
    pub(super) fn wake_reached(&self) {
        let mut state = self.state.borrow_mut();
        let reached = state.flushed;
        if !state.waiters().iter().any(|waiter| waiter.mark <= reached) {
            return;
        }
        let (done, waiting): (Vec<_>, _) = state.take_waiters().into_iter().partition(|waiter| waiter.mark <= reached);
        state.rare().waiters = waiting;
        state.forget_rare();
        drop(state);
        for waiter in done {
            waiter.waker.wake();
        }
    }

    /// Which events concern the stream without anybody polling a future.
    pub(crate) fn update_watch(&self, state: &State) {
        let mut watch = Ready::NONE;
        if state.phase.is_connecting() || state.has_unsent() || state.own_output {
            watch = watch | Ready::WRITABLE;
        }
        if state.handshake.is_some() {
            watch = watch | Ready::READABLE;
        }
        if state.has_close_callback() {
            watch = watch | Ready::READ_CLOSED | Ready::ERROR;
        }
        self.registration.watch(watch);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use super::*;
    use crate::IoStream;
    use landspout_ioloop::IoLoop;

    /// A peer that never reads, futures that are asked and dropped, and a task that polls again and again.
    #[test]
    fn waiters_do_not_pile_up() {
        let io_loop = IoLoop::new().unwrap();
        let test = io_loop.run_sync(async {
            let (one, _other) = IoStream::pair().unwrap();
            one.write(&vec![0; 10_000_000]).unwrap();
            let waiters = || one.inner.state.borrow().waiters().len();
            poll_fn(|cx| {
                for n in 0..100 {
                    let mut written = pin!(one.write(b"x").unwrap());
                    assert!(written.as_mut().poll(cx).is_pending());
                    assert!(written.as_mut().poll(cx).is_pending());
                    assert_eq!(waiters(), 1 + usize::from(n > 0));
                    assert!(one.poll_flush(cx).is_pending());
                    assert_eq!(waiters(), 2);
                }
                Poll::Ready(())
            })
            .await;
            assert_eq!(waiters(), 1, "the task's own");
            one.close();
            assert_eq!(waiters(), 0);
        });
        test.unwrap();
    }
}

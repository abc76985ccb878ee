//! Shared bytes that wait to be sent: from where they are, ahead of the write buffer.
//!
//! The bytes to send are, in this order, the segments and the write buffer. What is buffered when a segment comes becomes a segment
//! itself; so the write buffer is always the end, to which small writes are appended. The segments live in a box that
//! exists only while there are some, and [`Output::Segmented`] says that there are.
//!
//! Rule: a segment is somebody else's memory, whose drop may run foreign code. So segments that were sent are kept until
//! the state's borrow has ended.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use landspout_ioloop::Ready;

use super::sending::Flushed;
use super::{Inner, Output, State};
use crate::error::StreamError;
use crate::transport::Transport;

/// Shared bytes from this length on are kept as they are. To copy fewer costs less than a segment.
const SHARED_FROM: usize = 8 * 1024;

/// With this much unsent a stream is not ready for more, and shared bytes don't wait for the end of the turn. A quick peer
/// takes so much at once; over the loopback, calls with 512 KiB or 1 MiB need more CPU time for each byte.
const HIGH_WATER: usize = 768 * 1024;

/// So many pieces go to the kernel in one call.
const GATHERED: usize = 64;

/// Shared bytes on their way.
#[derive(Default)]
pub(super) struct Segments {
    waiting: VecDeque<Bytes>,
    /// Of all that wait.
    len: usize,
    /// To be dropped when nothing is borrowed.
    sent: Vec<Bytes>,
}

impl Segments {
    /// Offers the kernel all that waits, then `buffered`, then `rest`, as far as it fits into one call. Gives what it took and
    /// what it was offered.
    fn write(&self, transport: &mut dyn Transport, buffered: &[u8], rest: &[u8]) -> (io::Result<usize>, usize) {
        let pieces = self.waiting.iter().map(|segment| &segment[..]).chain([buffered, rest]);
        let (mut gathered, mut count, mut offered) = ([IoSlice::new(&[]); GATHERED], 0, 0);
        for (place, piece) in gathered.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            *place = IoSlice::new(piece);
            count += 1;
            offered += piece.len();
        }
        (transport.write(&gathered[..count]), offered)
    }

    /// Takes `n` bytes, at most what there is, from the front; tells how many.
    fn consume(&mut self, n: usize) -> usize {
        let consumed = n.min(self.len);
        self.len -= consumed;
        let mut left = consumed;
        while let Some(first) = self.waiting.front_mut() {
            if left < first.len() {
                first.advance(left);
                break;
            }
            left -= first.len();
            self.sent.extend(self.waiting.pop_front());
        }
        consumed
    }
}

impl State {
    fn append_segment(&mut self, segment: Bytes) {
        let buffered = (!self.write.is_empty()).then(|| self.write.take_all());
        self.output = Output::Segmented;
        let segments = self.rare().segments.get_or_insert_default();
        for segment in buffered.into_iter().chain([segment]) {
            segments.len += segment.len();
            segments.waiting.push_back(segment);
        }
    }

    /// All that there are, sent or not.
    pub(super) fn take_segments(&mut self) -> Option<Box<Segments>> {
        self.rare.as_mut()?.segments.take()
    }

    #[cold]
    pub(super) fn unsent_in_segments(&self) -> usize {
        self.rare.as_ref().and_then(|rare| rare.segments.as_ref()).map_or(0, |segments| segments.len)
    }
}

impl Inner {
    /// As [`queue`](Self::queue), for bytes that needn't be copied.
    pub(crate) fn queue_bytes(self: &Rc<Self>, bytes: Bytes) -> Result<u64, StreamError> {
        if bytes.len() < SHARED_FROM {
            return self.queue(&bytes);
        }
        let (end, much) = {
            let mut state = self.make_room(self.state.borrow_mut(), bytes.len())?;
            state.append_segment(bytes);
            self.mark_dirty(&mut state);
            (state.queued(), state.unsent() >= self.high_water())
        };
        if much {
            self.flush_now()?;
        }
        Ok(end)
    }

    /// [`write_directly`](Self::write_directly), while there are segments.
    #[cold]
    pub(super) fn write_segments(&self, state: &mut State, data: &[u8]) -> (usize, Flushed) {
        let (mut sent, mut progress) = (0, Flushed::Nothing);
        while !state.phase.is_connecting() && self.registration.ready().contains(Ready::WRITABLE) {
            let State {
                transport: Some(transport),
                write,
                rare: Some(rare),
                output: output @ Output::Segmented,
                flushed,
                ..
            } = &mut *state
            else {
                // What is behind the segments, and nothing as a rule.
                let (more, flushed) = self.write_directly(state, &data[sent..]);
                return (sent + more, if let Flushed::Failed(_) = flushed { flushed } else { progress });
            };
            let Some(segments) = &mut rare.segments else { break };
            let (written, offered) = segments.write(transport.as_mut(), write.as_slice(), &data[sent..]);
            match written {
                Ok(written) => {
                    let behind = written - segments.consume(written);
                    if segments.len == 0 {
                        *output = Output::Buffered;
                    }
                    let from_buffer = behind.min(write.len());
                    write.consume(from_buffer);
                    sent += behind - from_buffer;
                    *flushed += written as u64;
                    progress = Flushed::Segments;
                    if written < offered {
                        // As in `write_directly`.
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

    /// How many bytes wait to be sent.
    #[inline]
    pub(crate) fn unsent(&self) -> usize {
        let (buffered, segmented) = {
            let state = self.state.borrow();
            (state.write.len(), state.output == Output::Segmented)
        };
        if segmented { self.unsent_with_segments() } else { buffered }
    }

    #[cold]
    fn unsent_with_segments(&self) -> usize {
        self.state.borrow().unsent()
    }

    /// To be called when nothing is borrowed.
    #[cold]
    pub(super) fn drop_sent_segments(&self) {
        let mut state = self.state.borrow_mut();
        let waiting = state.output == Output::Segmented;
        let Some(rare) = &mut state.rare else { return };
        let (some, all) = match &mut rare.segments {
            Some(segments) if waiting => (std::mem::take(&mut segments.sent), None),
            segments => (Vec::new(), segments.take()),
        };
        state.forget_rare();
        drop(state);
        drop((some, all));
    }

    /// Ready while less than the mark is unsent.
    pub(crate) fn poll_ready(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let high = self.high_water();
        if self.state.borrow().unsent() >= high {
            // Somebody waits for it.
            let _ = self.flush_now();
        }
        let state = self.state.borrow();
        if !state.accepts_writes() {
            return Poll::Ready(Err(state.unwritable_error()));
        }
        if state.unsent() < high {
            drop(state);
            // As in `poll_flushed`.
            return self.registration.poll_proceed(cx).map(Ok);
        }
        let mark = state.queued() - high as u64 + 1;
        drop(state);
        self.wait(cx.waker(), mark, None);
        Poll::Pending
    }

    /// Half of a small limit, so that whoever waits and then writes as much again is not refused.
    fn high_water(&self) -> usize {
        HIGH_WATER.min(self.options.max_write_buffer_size / 2).max(1)
    }
}

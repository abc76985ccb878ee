//! Bytes in order: appended at the end, consumed at the front.

use bytes::{Buf, Bytes};

/// Results from this size on leave the buffer without being copied, if they are all of it.
const GIVE_AWAY: usize = 2048;
/// And from this size on, if there is no more that is consumed before them: the memory is too large to be used again.
const GROWN: usize = 8 * 1024;

/// A byte queue over one `Vec`.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    /// What lies before is consumed.
    start: usize,
}

impl Buffer {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == self.start
    }

    /// Whether there is memory to append to.
    #[inline]
    pub(crate) fn has_memory(&self) -> bool {
        self.bytes.capacity() != 0
    }

    /// Gives the queue memory; only for one that has none.
    pub(crate) fn adopt(&mut self, memory: Vec<u8>) {
        debug_assert!(!self.has_memory());
        self.bytes = memory;
    }

    /// Takes the memory away, consumed bytes and all.
    #[inline]
    pub(crate) fn take_memory(&mut self) -> Vec<u8> {
        self.start = 0;
        std::mem::take(&mut self.bytes)
    }

    #[inline]
    pub(crate) fn extend(&mut self, data: &[u8]) {
        // Make room by moving what is left to the front, but only when at least as much was consumed: so each byte is moved
        // once on the average, and the memory stays within a small multiple of what it holds.
        if self.start >= self.len() && self.bytes.len() + data.len() > self.bytes.capacity() {
            self.forget_consumed();
        }
        self.bytes.extend_from_slice(data);
    }

    /// Moves what is left to the front.
    #[cold]
    fn forget_consumed(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
    }

    /// Lets `compose` append to the queue.
    #[inline]
    pub(crate) fn append_with<T>(&mut self, compose: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        // As in `extend`, but nobody knows yet how much will come; a little that is consumed does no harm.
        if self.start >= GROWN && self.start >= self.len() {
            self.forget_consumed();
        }
        let old_len = self.bytes.len();
        let result = compose(&mut self.bytes);
        debug_assert!(self.bytes.len() >= old_len, "appending only");
        result
    }

    /// Drops `n` bytes, or all if there are fewer. Whether nothing is left.
    #[inline]
    pub(crate) fn consume(&mut self, n: usize) -> bool {
        let all = n >= self.len();
        if all {
            self.bytes.clear();
            self.start = 0;
        } else {
            self.start += n;
        }
        all
    }

    /// Consumes `n` bytes and gives them out.
    pub(crate) fn take(&mut self, n: usize) -> Bytes {
        let worth_it = if self.start == 0 { n >= GIVE_AWAY } else { n >= GROWN && n >= self.start };
        if worth_it && n == self.len() {
            return self.take_all();
        }
        let taken = Bytes::copy_from_slice(&self.as_slice()[..n]);
        self.consume(n);
        taken
    }

    /// Takes all of it, and the memory only if it is much.
    pub(crate) fn take_all(&mut self) -> Bytes {
        if self.len() < GIVE_AWAY {
            return self.take(self.len());
        }
        let start = self.start;
        let mut all = Bytes::from(self.take_memory());
        all.advance(start);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tornado's TestStreamBuffer: pieces below and above the threshold, with the length right after each step.
    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = move |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % limit as u64) as usize
        };
        for largest in [10, 5000, 40_000] {
            let (mut buffer, mut model, mut value) = (Buffer::default(), Vec::new(), 0_u8);
            for _ in 0..3000 {
                let piece: Vec<u8> = (0..next(largest))
                    .map(|_| {
                        value = value.wrapping_add(1);
                        value
                    })
                    .collect();
                buffer.extend(&piece);
                model.extend_from_slice(&piece);
                let n = next(buffer.len() + 1);
                if next(2) == 0 {
                    assert_eq!(buffer.take(n), model[..n]);
                } else {
                    buffer.consume(n);
                }
                model.drain(..n);
                assert_eq!(buffer.as_slice(), model);
                assert_eq!((buffer.len(), buffer.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }

    /// A long queue of which a little is taken and a little is added, again and again, as by a peer that reads slowly: the
    /// bytes in between are moved once in a while, and the memory is a small multiple of them.
    #[test]
    fn appending_to_a_long_queue_does_not_move_it_each_time() {
        const LENGTH: usize = 1 << 20;
        const PIECE: [u8; 1024] = [1; 1024];
        let ways: [fn(&mut Buffer); 2] =
            [|buffer| buffer.extend(&PIECE), |buffer| buffer.append_with(|bytes| bytes.extend_from_slice(&PIECE))];
        for append in ways {
            let mut buffer = Buffer::default();
            buffer.extend(&vec![0; LENGTH]);
            let mut moves = 0;
            for _ in 0..4096 {
                buffer.consume(PIECE.len());
                let start = buffer.start;
                append(&mut buffer);
                moves += usize::from(buffer.start < start);
                assert_eq!(buffer.len(), LENGTH);
                assert!(buffer.bytes.capacity() <= 4 * LENGTH + PIECE.len());
            }
            assert!(moves <= 4, "four times the queue's length went through it: {moves}");
        }
    }
}

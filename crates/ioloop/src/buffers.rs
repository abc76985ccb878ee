//! Memory that streams borrow from their loop instead of owning it.

use std::cell::{Cell, RefCell};

/// The scratch buffer's size: what one `read` can bring at most. Tornado's `read_chunk_size` is the same 64 KiB.
const SCRATCH_SIZE: usize = 64 * 1024;
/// A buffer that grew past this goes back to the allocator, so that one large message doesn't stay resident.
const KEPT_CAPACITY: usize = 8 * 1024;
/// With `KEPT_CAPACITY` this bounds what a loop keeps for nobody: 1 MiB.
const KEPT_BUFFERS: usize = 128;

/// The loop's free list of buffers and its one scratch buffer.
#[derive(Default)]
pub(crate) struct Buffers {
    scratch: Cell<Option<Box<[u8]>>>,
    free: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    #[inline]
    pub(crate) fn with_scratch<T>(&self, f: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut scratch = self.scratch.take().unwrap_or_else(new_scratch);
        let result = f(&mut scratch);
        self.scratch.set(Some(scratch));
        result
    }

    #[inline]
    pub(crate) fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == 0 || buffer.capacity() > KEPT_CAPACITY {
            return;
        }
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT_BUFFERS {
            buffer.clear();
            free.push(buffer);
        }
    }
}

#[cold]
fn new_scratch() -> Box<[u8]> {
    vec![0; SCRATCH_SIZE].into()
}

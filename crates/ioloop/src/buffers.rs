//! Memory that streams borrow from their loop instead of owning it.

use std::cell::{Cell, RefCell};

/// The scratch buffer's size: what one `read` can bring at most. Tornado's `read_chunk_size` is the same 64 KiB.
const SCRATCH_SIZE: usize = 64 * 1024;
/// As much of a zeroed allocation is fresh from the system with the usual allocators, zero without having been written to. So pages of
/// the scratch buffer that no read reaches never get memory, and what is behind it costs an address range.
const FRESH_SIZE: usize = 128 * 1024;
/// A buffer that grew past this goes back to the allocator, so that one large message doesn't stay resident.
const KEPT_CAPACITY: usize = 8 * 1024;
/// With `KEPT_CAPACITY` this bounds what a loop keeps for nobody: 1 MiB.
const KEPT_BUFFERS: usize = 128;

/// The loop's free list of buffers and its one scratch buffer.
#[derive(Default)]
pub(crate) struct Buffers {
    scratch: Cell<Option<Box<[u8; FRESH_SIZE]>>>,
    free: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    #[inline]
    pub(crate) fn with_scratch<T>(&self, f: impl FnOnce(&mut [u8]) -> T) -> T {
        let mut scratch = self.scratch.take().unwrap_or_else(new_scratch);
        let result = f(&mut scratch[..SCRATCH_SIZE]);
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
fn new_scratch() -> Box<[u8; FRESH_SIZE]> {
    vec![0; FRESH_SIZE].try_into().expect("it has that length")
}

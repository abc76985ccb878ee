//! Writing: bytes are accepted at the call, sent by the loop, and a future tells when.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::error::StreamError;
use crate::inner::Inner;
use crate::stream::IoStream;

impl IoStream {
    /// Accepts `data` and sends it: by the end of this turn of the loop at the latest, together with what else was
    /// written, and as the peer takes it.
    ///
    /// The future only observes: it is ready when the bytes were handed to the kernel, and fails when the stream closed
    /// before. Awaiting it flushes at once; dropping it changes nothing.
    ///
    /// # Errors
    /// At the call: [`StreamError::Closed`], [`StreamError::WriteEnded`], or [`StreamError::WriteBufferFull`] with nothing
    /// accepted.
    pub fn write(&self, data: &[u8]) -> Result<Written, StreamError> {
        let mark = self.inner.queue(data)?;
        Ok(Written { inner: self.inner.clone(), mark, waiter: None })
    }

    /// Waits until everything written so far was handed to the kernel.
    ///
    /// # Errors
    /// [`StreamError::Closed`] when the stream closed before.
    pub fn flush(&self) -> Written {
        let mark = self.inner.state.borrow().queued();
        Written { inner: self.inner.clone(), mark, waiter: None }
    }
}

/// Observes a [`write`](IoStream::write).
///
/// # Cancel safety
/// Dropping it changes nothing; the bytes are sent all the same.
pub struct Written {
    inner: Rc<Inner>,
    /// Ready when the stream has sent this many bytes over its life.
    mark: u64,
    waiter: Option<u32>,
}

impl Future for Written {
    type Output = Result<(), StreamError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let id = *this.waiter.get_or_insert_with(|| this.inner.waiter_id());
        let poll = this.inner.poll_flushed(cx, this.mark, Some(id));
        if poll.is_ready() {
            this.waiter = None;
        }
        poll
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(id) = self.waiter {
            self.inner.forget_waiter(id);
        }
        Inner::released(&self.inner);
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("mark", &self.mark).finish_non_exhaustive()
    }
}

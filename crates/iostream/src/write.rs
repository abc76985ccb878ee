//! Writing: bytes are accepted at the call, sent by the loop, and a future tells when.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

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

    /// As [`write`](Self::write), for bytes that needn't be copied: from 8 KiB on they are kept and sent from where they are. Several
    /// such pieces, and what is written between them, leave in one system call.
    ///
    /// They wait for the end of the turn, or until so much is unsent that the stream is no more [`ready`](Self::ready). All of
    /// them count for [`max_write_buffer_size`](crate::StreamOptions::max_write_buffer_size).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_bytes(&self, data: impl Into<Bytes>) -> Result<Written, StreamError> {
        let mark = self.inner.queue_bytes(data.into())?;
        Ok(Written { inner: self.inner.clone(), mark, waiter: None })
    }

    /// Waits while much is unsent: ready as long as it is less than 768 KiB, or than half of
    /// [`max_write_buffer_size`](crate::StreamOptions::max_write_buffer_size) if that is less. Who awaits it before each piece sends no
    /// faster than the peer reads, and several pieces in one system call; [`flush`](Self::flush) waits for each of them.
    /// `drain` of asyncio's `StreamWriter`; Tornado has only the future of a write.
    ///
    /// # Errors
    /// [`StreamError::Closed`], [`StreamError::WriteEnded`]: nothing more can be written.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    #[doc(alias = "drain")]
    pub async fn ready(&self) -> Result<(), StreamError> {
        poll_fn(|cx| self.poll_ready(cx)).await
    }

    /// As [`ready`](Self::ready), for those who poll.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.inner.poll_ready(cx)
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

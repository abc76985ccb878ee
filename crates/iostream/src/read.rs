//! The ways to read. Each looks at the buffer, fills it until the condition holds, and only then consumes.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::buffer::Buffer;
use crate::error::{CloseCause, StreamError};
use crate::inner::{Inner, Phase, Unfilled};
use crate::stream::IoStream;

/// From this size on a read goes straight into the caller's memory; smaller ones fetch more than was asked for.
const DIRECT_READ: usize = 4096;

impl IoStream {
    /// Reads exactly `n` bytes.
    ///
    /// # Errors
    /// [`StreamError::Closed`] when the stream ends before; [`StreamError::ReadTooLarge`] when `n` exceeds the limit of the
    /// buffer; [`StreamError::AlreadyReading`].
    ///
    /// # Cancel safety
    /// Dropping the future consumes nothing.
    pub async fn read_bytes(&self, n: usize) -> Result<Bytes, StreamError> {
        let limit = self.options().max_buffer_size;
        if n > limit {
            return Err(StreamError::ReadTooLarge { limit, asked: n });
        }
        self.read_when(|buffer| Ok((buffer.len() >= n).then_some(n))).await
    }

    /// Reads between 1 and `n` bytes, as soon as there are any. `n` = 0 gives nothing at once. Tornado's
    /// `read_bytes(n, partial=True)`.
    ///
    /// # Errors
    /// [`StreamError::Closed`] at the end; [`StreamError::AlreadyReading`].
    ///
    /// # Cancel safety
    /// Dropping the future consumes nothing.
    pub async fn read_bytes_partial(&self, n: usize) -> Result<Bytes, StreamError> {
        self.read_when(|buffer| Ok((n == 0 || !buffer.is_empty()).then_some(n.min(buffer.len())))).await
    }

    /// Reads up to and including `delimiter`. With `max_bytes` the delimiter has to end within that many bytes.
    ///
    /// An empty delimiter is found at once.
    ///
    /// # Errors
    /// [`StreamError::Closed`] when the stream ends before, or, with the cause
    /// [`CloseCause::UnsatisfiableRead`], when `max_bytes` is exceeded, which closes the stream;
    /// [`StreamError::AlreadyReading`].
    ///
    /// # Cancel safety
    /// Dropping the future consumes nothing.
    pub async fn read_until(&self, delimiter: &[u8], max_bytes: Option<usize>) -> Result<Bytes, StreamError> {
        let finder = Finder::new(delimiter);
        let max_bytes = max_bytes.unwrap_or(usize::MAX);
        // No match begins before this; a search that goes on where it ended keeps the cost linear.
        let mut searched = 0;
        self.read_when(|buffer| {
            let bytes = buffer.as_slice();
            // Somebody may have consumed meanwhile.
            searched = searched.min(bytes.len());
            match finder.find(&bytes[searched..]) {
                Some(at) if searched + at + delimiter.len() <= max_bytes => Ok(Some(searched + at + delimiter.len())),
                Some(_) => Err(CloseCause::UnsatisfiableRead { max_bytes }),
                None if bytes.len() > max_bytes => Err(CloseCause::UnsatisfiableRead { max_bytes }),
                None => {
                    searched = bytes.len().saturating_sub(delimiter.len() - 1);
                    Ok(None)
                }
            }
        })
        .await
    }

    /// Reads all that comes until the stream ends, however it ends, within `max_buffer_size`.
    ///
    /// On a closed stream it gives what is left in the buffer, perhaps nothing.
    ///
    /// # Errors
    /// [`StreamError::Closed`] with [`CloseCause::ReadBufferFull`] when the peer sends more than the buffer holds;
    /// [`StreamError::AlreadyReading`].
    ///
    /// # Cancel safety
    /// Dropping the future consumes nothing.
    pub async fn read_until_close(&self) -> Result<Bytes, StreamError> {
        match self.read_when(|_| Ok(None)).await {
            Err(StreamError::Closed(cause)) if !matches!(cause, Some(CloseCause::ReadBufferFull { .. })) => {
                let all = self.inner.state.borrow().read.len();
                Ok(self.take_buffered(all))
            }
            other => other,
        }
    }

    /// Fills the target. What it has when the future ends, or is dropped, is [`ReadTarget::filled`].
    ///
    /// # Errors
    /// [`StreamError::Closed`] when the stream ends before; the bytes that came are in the target;
    /// [`StreamError::AlreadyReading`].
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what was read is in the target and counted.
    ///
    /// ```
    /// # use landspout_ioloop::IoLoop;
    /// # use landspout_iostream::{IoStream, ReadTarget};
    /// # IoLoop::current().run_sync(async {
    /// # let (here, there) = IoStream::pair().unwrap();
    /// here.write(b"hello").unwrap();
    /// let mut memory = [0; 5];
    /// let mut target = ReadTarget::new(&mut memory);
    /// there.read_into(&mut target).await.unwrap();
    /// assert_eq!(target.filled(), b"hello");
    /// # }).unwrap();
    /// ```
    pub async fn read_into(&self, target: &mut ReadTarget<'_>) -> Result<(), StreamError> {
        let _reading = Reading::begin(&self.inner)?;
        poll_fn(|cx| {
            loop {
                if target.is_full() {
                    return Poll::Ready(Ok(()));
                }
                match self.poll_read_into(cx, &mut target.memory[target.filled..]) {
                    Poll::Ready(Ok(n)) => target.filled += n,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Reads into `memory` what is there, as soon as there is anything, and tells how much. 0 only for empty memory.
    /// Tornado's `read_into(buf, partial=True)`.
    ///
    /// # Errors
    /// [`StreamError::Closed`] at the end; [`StreamError::AlreadyReading`].
    ///
    /// # Cancel safety
    /// Dropping the future consumes nothing.
    pub async fn read_into_partial(&self, memory: &mut [u8]) -> Result<usize, StreamError> {
        let _reading = Reading::begin(&self.inner)?;
        if memory.is_empty() {
            return Ok(0);
        }
        poll_fn(|cx| self.poll_read_into(cx, memory)).await
    }

    /// One step of `read_into`, which consumes only when it is ready.
    pub(crate) fn poll_read_into(&self, cx: &mut Context<'_>, memory: &mut [u8]) -> Poll<Result<usize, StreamError>> {
        loop {
            let mut state = self.inner.state.borrow_mut();
            if !state.read.is_empty() {
                let n = memory.len().min(state.read.len());
                memory[..n].copy_from_slice(&state.read.as_slice()[..n]);
                self.inner.consume(&mut state, n);
                return Poll::Ready(Ok(n));
            }
            drop(state);
            if memory.len() >= DIRECT_READ && self.inner.can_read_now() {
                if self.inner.registration.poll_proceed(cx).is_pending() {
                    return Poll::Pending;
                }
                match self.inner.fill_directly(memory) {
                    Ok(n) => return Poll::Ready(Ok(n)),
                    Err(Unfilled::WouldBlock | Unfilled::Closed) => {}
                }
            }
            match self.inner.poll_fill(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Waits until `ready` says how many bytes the read is to take, and takes them. An error of `ready` closes the stream.
    async fn read_when(
        &self,
        mut ready: impl FnMut(&Buffer) -> Result<Option<usize>, CloseCause>,
    ) -> Result<Bytes, StreamError> {
        let _reading = Reading::begin(&self.inner)?;
        let n = poll_fn(|cx| {
            loop {
                let checked = ready(&self.inner.state.borrow().read);
                match checked {
                    Ok(Some(n)) => return Poll::Ready(Ok(n)),
                    Ok(None) => {}
                    Err(cause) => return Poll::Ready(Err(self.inner.unsatisfiable(cause))),
                }
                match self.inner.poll_fill(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await?;
        Ok(self.take_buffered(n))
    }
}

impl Inner {
    /// Ends the stream of a read that can't succeed any more.
    pub(crate) fn unsatisfiable(self: &Rc<Self>, cause: CloseCause) -> StreamError {
        tracing::info!("unsatisfiable read, closing the stream: {cause}");
        self.close_with(Some(cause.clone()));
        StreamError::Closed(Some(cause))
    }
}

/// Memory of the caller's, and how much of it [`IoStream::read_into`] has filled.
#[derive(Debug)]
pub struct ReadTarget<'a> {
    memory: &'a mut [u8],
    filled: usize,
}

impl<'a> ReadTarget<'a> {
    /// Nothing filled yet.
    pub fn new(memory: &'a mut [u8]) -> Self {
        Self { memory, filled: 0 }
    }

    /// What has been filled.
    pub fn filled(&self) -> &[u8] {
        &self.memory[..self.filled]
    }

    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        self.filled == self.memory.len()
    }
}

/// Marks the stream as being read; one read at a time.
pub(crate) struct Reading<'a>(&'a Rc<Inner>);

impl<'a> Reading<'a> {
    pub(crate) fn begin(inner: &'a Rc<Inner>) -> Result<Self, StreamError> {
        let mut state = inner.state.borrow_mut();
        match std::mem::replace(&mut state.reading, true) {
            false => Ok(Self(inner)),
            // The one that waits has failed, it only wasn't told yet.
            true if state.phase == Phase::Closed => Err(state.closed_error()),
            true => Err(StreamError::AlreadyReading),
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.state.borrow_mut().reading = false;
    }
}

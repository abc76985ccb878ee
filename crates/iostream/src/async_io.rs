//! The traits by which the ecosystem's codecs and protocols read and write: `futures_io`'s and tokio's `AsyncRead` and
//! `AsyncWrite`. tokio's are traits and no more here: nothing of its runtime comes with them.
//!
//! Rules: what these traits promise goes before what Tornado does. 0 bytes are the peer's clean end and nothing else; after it
//! the stream can still be written to; a writer who never flushes waits for the peer instead of filling memory.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use crate::error::StreamError;
use crate::stream::IoStream;

/// From this many unsent bytes on a write waits until half of them are gone. As much as one read brings.
const HIGH_WATER: usize = 64 * 1024;

impl IoStream {
    /// What `read` gives, with the peer's clean end as 0.
    fn poll_async_read(
        &self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&Self, &mut Context<'_>) -> Poll<Result<usize, StreamError>>,
    ) -> Poll<io::Result<usize>> {
        {
            let mut state = self.inner.state.borrow_mut();
            if state.reading {
                return Poll::Ready(Err(StreamError::AlreadyReading.into()));
            }
            state.half_open = true;
            if state.input_ended && state.cause().is_none() && state.read.is_empty() {
                return Poll::Ready(Ok(0));
            }
        }
        match ready!(read(self, cx)) {
            Ok(n) => Poll::Ready(Ok(n)),
            Err(StreamError::Closed(None)) if self.inner.state.borrow().input_ended => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// Accepts as much as may wait to be sent, at least a byte.
    fn poll_async_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        // A peer that takes everything at once must not keep the loop for itself.
        ready!(self.inner.registration.poll_proceed(cx));
        let high = HIGH_WATER.min(self.options().max_write_buffer_size).max(1);
        loop {
            let mut accepted = 0;
            for buf in bufs {
                let room = high.saturating_sub(self.pending_write());
                let n = buf.len().min(room);
                match self.inner.queue(&buf[..n]) {
                    Ok(_) => accepted += n,
                    // The next call will say so.
                    Err(_) if accepted > 0 => break,
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
                if n < buf.len() {
                    break;
                }
            }
            if accepted > 0 {
                return Poll::Ready(Ok(accepted));
            }
            let half_gone = self.inner.state.borrow().queued() - high as u64 / 2;
            ready!(self.inner.poll_flushed(cx, half_gone, None))?;
        }
    }

    fn poll_async_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx).map_err(Into::into)
    }

    /// Sends what was accepted and ends the writing side; once both are ended the stream is closed.
    fn poll_async_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed() {
            ready!(self.inner.poll_connected(cx))?;
        }
        ready!(self.poll_flush(cx))?;
        match self.shutdown_write_now() {
            Ok(()) | Err(StreamError::Closed(None)) => Poll::Ready(Ok(())),
            // What shutdown(2) says of a connection that the peer has reset: as ended as it can be.
            Err(StreamError::Closed(Some(cause))) if cause.io_kind() == Some(io::ErrorKind::NotConnected) => {
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(feature = "futures-io")]
mod futures {
    use std::pin::Pin;

    use super::{Context, IoSlice, IoStream, Poll, io};

    /// With the feature `futures-io`; tokio's trait behaves in the same way.
    ///
    /// - 0 bytes are the peer's clean end. An end without a goodbye of TLS, a reset, and our own [`close`](IoStream::close) are
    ///   errors.
    /// - After the end the stream stays open, so that it can still be written to; `poll_close`, `close` or the last handle
    ///   closes it. (`read_until` and its kin close it at the end, as Tornado does.)
    /// - One reader at a time, as everywhere: while a read of ours waits this is an error. A poll leaves no claim behind: of two
    ///   tasks that poll, the later one is woken.
    ///
    /// There is no `AsyncBufRead`: the buffer belongs to all handles of the stream and can't be lent across polls. Who needs it
    /// wraps the stream in a `BufReader`.
    impl futures_io::AsyncRead for IoStream {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
            if buf.is_empty() {
                return Poll::Ready(Ok(0));
            }
            self.poll_async_read(cx, |stream, cx| stream.poll_read_into(cx, buf))
        }
    }

    /// With the feature `futures-io`; tokio's trait behaves in the same way.
    ///
    /// - A write is accepted at once as long as less than 64 KiB wait to be sent, or `max_write_buffer_size` if that is less;
    ///   then it waits until half of them are gone. It is sent without a flush, too: with the turn of the loop at the latest.
    /// - Flushed means handed to the kernel.
    /// - [`write`](IoStream::write), [`flush`](IoStream::flush) and [`close`](IoStream::close) of the stream hide those of `AsyncWriteExt`
    ///   from a handle; `AsyncWriteExt::close(&mut stream)`, `write_all`, and code that is generic over the trait mean these.
    /// - `poll_close` (tokio's `poll_shutdown`) sends what was accepted and ends the writing side, over TLS with its goodbye.
    ///   The peer can still send. When its end was read before, or comes to be read, the stream is closed.
    impl futures_io::AsyncWrite for IoStream {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_async_write(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.poll_async_write(cx, bufs)
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_async_flush(cx)
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_async_close(cx)
        }
    }
}

#[cfg(feature = "tokio")]
mod tokio {
    use std::pin::Pin;
    use std::task::ready;

    use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{Context, IoSlice, IoStream, Poll, io};

    /// With the feature `tokio`; it behaves as the trait of `futures_io`.
    impl AsyncRead for IoStream {
        fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            // By way of the stream's buffer: memory that is not initialized can't be lent to the kernel without unsafe code.
            let there = ready!(self.poll_async_read(cx, |stream, cx| {
                if stream.with_buffered(<[u8]>::is_empty) {
                    ready!(stream.inner.poll_fill(cx))?;
                }
                Poll::Ready(Ok(stream.with_buffered(<[u8]>::len)))
            }))?;
            let n = there.min(buf.remaining());
            self.parse_buffered(|bytes| (n, buf.put_slice(&bytes[..n])));
            Poll::Ready(Ok(()))
        }
    }

    /// With the feature `tokio`; it behaves as the trait of `futures_io`.
    impl AsyncWrite for IoStream {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_async_write(cx, &[IoSlice::new(buf)])
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.poll_async_write(cx, bufs)
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_async_flush(cx)
        }

        fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_async_close(cx)
        }
    }
}

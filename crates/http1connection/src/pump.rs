//! Between a stream and the codec, for both sides of a connection: steps of a decoder over what is buffered, more of it before
//! a deadline, and pieces of a body on their way out.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use landspout_http1::{DecodeError, Decoded, Event, Framed};
use landspout_httputil::HttpOutputError;
use landspout_ioloop::Deadline;
use landspout_iostream::{IoStream, StreamError};

/// The head of a chunk and its end: what framing adds to a piece of a body at most.
pub(crate) const CHUNK_OVERHEAD: usize = 32;
/// Pieces from this size on are not copied behind their framing but handed to the stream as they are.
const LARGE_PIECE: usize = 4096;

/// One step of a decoder over what is buffered. Data is left in the buffer, for whoever handles the event.
#[inline(always)]
pub(crate) fn step<H>(
    stream: &IoStream,
    decode: impl FnOnce(&[u8]) -> Result<Decoded<H>, DecodeError>,
) -> Result<Option<Event<H>>, DecodeError> {
    let decoded = stream.parse_buffered(|buffered| {
        let decoded = decode(buffered);
        let done_with = match &decoded {
            Ok(Decoded { consumed, event: Some(Event::Data(range)) }) => consumed - range.len(),
            Ok(Decoded { consumed, .. }) => *consumed,
            Err(_) => 0,
        };
        (done_with, decoded)
    })?;
    Ok(decoded.event)
}

pub(crate) enum Filled {
    More,
    /// Something else came first.
    Nothing,
    End,
    TooLate,
}

/// Gets more into the read buffer, before the deadline.
pub(crate) async fn fill(stream: &IoStream, deadline: &Deadline) -> Filled {
    poll_fn(|cx| match stream.poll_fill(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Filled::More),
        Poll::Ready(Err(_)) => Poll::Ready(Filled::End),
        Poll::Pending => deadline.poll_expired(cx).map(|()| Filled::TooLate),
    })
    .await
}

/// A piece of a body on its way out.
#[derive(Clone, Copy)]
pub(crate) enum Piece<'a> {
    Borrowed(&'a [u8]),
    /// It needn't be copied.
    Shared(&'a Bytes),
}

/// Frames one piece of a body and hands it to the stream, all or nothing.
pub(crate) fn write_piece<'a>(
    stream: &IoStream,
    piece: Piece<'a>,
    frame: impl FnOnce(&'a [u8]) -> Result<Framed<'a>, HttpOutputError>,
) -> Result<(), HttpOutputError> {
    let chunk = match piece {
        Piece::Borrowed(chunk) => chunk,
        Piece::Shared(chunk) => chunk,
    };
    // The stream is asked for room for all of it before the encoder counts anything.
    let expected = chunk.len() + CHUNK_OVERHEAD;
    let large = chunk.len() >= LARGE_PIECE;
    let append = |framed: &Framed<'_>, out: &mut Vec<u8>| match large {
        true => out.extend_from_slice(framed.prefix()),
        false => framed.append_to(out),
    };
    let framed = stream.write_with(expected, |out| frame(chunk).inspect(|framed| append(framed, out)));
    let framed = framed.map_err(output_error)??;
    if !large || framed.is_empty() {
        return Ok(());
    }
    // Behind its framing.
    let written = match piece {
        Piece::Borrowed(chunk) => stream.write(chunk),
        Piece::Shared(chunk) => stream.write_bytes(chunk.clone()),
    };
    written.map_err(output_error)?;
    if framed.suffix().is_empty() {
        return Ok(());
    }
    stream.write_with(0, |out| out.extend_from_slice(framed.suffix())).map_err(output_error)
}

pub(crate) fn output_error(error: StreamError) -> HttpOutputError {
    match error {
        StreamError::WriteBufferFull { limit, .. } => HttpOutputError::WriteBufferFull(limit),
        _ => HttpOutputError::Closed,
    }
}

/// Lets the loop's other tasks run.
pub(crate) async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

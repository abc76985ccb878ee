//! The pump: moves requests from the stream through the codec to the delegate, one after the other.
//!
//! Rules: the next head is parsed only when the request before is over, on both sides; of the delegate's `finish` and
//! `on_connection_close` at most one runs to its end. Neither is called when the application has answered before the
//! message's end or has detached the stream, has panicked, or is cancelled with the loop: the delegate is dropped then.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use landspout_http1::{BodyLength, DecodeError, Event, HeadStep, Limits, RequestDecoder};
use landspout_httputil::{
    BoxError, HttpInputError, HttpMessageDelegate, HttpOutputError, HttpServerConnectionDelegate,
};

use crate::connection::{Behind, Http1Connection, Link, refuse_unread};
use crate::pace::{Late, Pace, earliest};
use crate::params::Http1ConnectionParameters;
use crate::pump::{Filled, fill, pause, step};
use crate::refusal::Refusal;
use crate::rendered::Rendered;
use crate::server::LINGER;
use crate::watch::{Gone, watch};
use crate::worker::{Desk, Outcome};

/// With this much unsent a pipelining peer waits for its next answer: it is not reading.
const UNSENT_LIMIT: usize = 64 * 1024;
/// After so many requests without a pause a connection lets the others run.
const REQUESTS_PER_POLL: u32 = 64;
/// Of a body that the application didn't want, this much is read to keep the connection, as Go does.
pub(crate) const SKIPPED_BODY: u64 = 256 * 1024;

/// The interim answer to `Expect: 100-continue` (RFC 9110, section 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What the connections of one server share.
pub(crate) struct Core<D> {
    pub(crate) delegate: D,
    pub(crate) params: Http1ConnectionParameters,
    /// What a connection may bring; see [`Link::requests_left`].
    pub(crate) requests: u32,
    pub(crate) limits: Rc<Limits>,
    pub(crate) rendered: Rc<Rendered>,
}

/// The life of a worker. It never ends; whoever drops it ends it.
pub(crate) async fn worker<D>(core: Rc<Core<D>>, desk: Rc<Desk>)
where
    D: HttpServerConnectionDelegate,
{
    let mut decoder = RequestDecoder::new(core.limits.clone());
    loop {
        let link = desk.next_job().await;
        let outcome = serve(&core, &link, &desk, &mut decoder).await;
        drop(link);
        decoder.reset();
        desk.done(outcome);
    }
}

/// Serves what comes until the connection falls idle or ends.
async fn serve<D>(core: &Core<D>, shared: &Rc<Link>, desk: &Desk, decoder: &mut RequestDecoder) -> Outcome
where
    D: HttpServerConnectionDelegate,
{
    let link = &**shared;
    if link.idle_behind.take() == Behind::EmptyLine {
        decoder.set_empty_line_skipped();
    }
    let mut served = 0;
    // When the first byte of a head came that did not come whole.
    let mut began = None;
    loop {
        match link.stream.parse_buffered(|buffered| decoder.decode_head(buffered)) {
            HeadStep::Complete => {}
            HeadStep::Incomplete => {
                if decoder.is_idle() {
                    // Nothing of the next request is here: a look whether it has come meanwhile, and the connection is idle.
                    match poll_fn(|cx| Poll::Ready(link.stream.poll_fill(cx))).await {
                        Poll::Ready(Ok(())) => continue,
                        // What was answered before is still to be sent.
                        Poll::Ready(Err(_)) => return Outcome::Close,
                        Poll::Pending => {}
                    }
                    link.idle_behind.set(match served {
                        _ if decoder.empty_line_skipped() => Behind::EmptyLine,
                        0 | 1 => Behind::Request,
                        _ => Behind::Batch,
                    });
                    return Outcome::Idle;
                }
                if began.is_none() {
                    began = Some(link.stream.now());
                    head_began(core, link);
                }
                match more_of_head(core, link).await {
                    Ok(()) => continue,
                    Err(outcome) => return outcome,
                }
            }
            HeadStep::Faulty => return malformed(core, link, decoder),
        }
        link.deadline.clear();
        link.requests_left.set(link.requests_left.get().saturating_sub(1));
        let outcome = 'request: {
            let exchange;
            // A scope of its own: to drop the delegate where it is costs less than to move it into a `drop`.
            {
                let mut delegate;
                // Likewise: what is gone before anything is awaited takes no place in the worker.
                let received = {
                    exchange = desk.begin(decoder, began.take().unwrap_or_else(|| link.stream.now()));
                    delegate = core.delegate.start_request(link.id, exchange.clone());
                    if decoder.body() != BodyLength::None {
                        let limit = exchange.max_body_size.get().unwrap_or(core.limits.max_body_size);
                        exchange.expect_body(decoder.expect_continue(), decoder.body(), limit);
                    }
                    watch(link, &exchange, delegate.headers_received(decoder.start_line(), decoder.headers()))
                };
                let received = received.await;
                if let Err(outcome) = Request::new(core, link, &exchange).check(received) {
                    break 'request Request::new(core, link, &exchange).broken_off(&mut delegate, outcome);
                }
                if link.is_detached() {
                    exchange.settle_announced();
                    break 'request Outcome::Detached;
                }
                if decoder.body() != BodyLength::None {
                    let request = Request::new(core, link, &exchange);
                    match request.receive_body(decoder, &mut delegate).await {
                        Ok(Received::Whole) => {}
                        Ok(Received::Answered) => break 'request exchange.conclude(),
                        Ok(Received::AnsweredUnread) => break 'request Outcome::Linger,
                        Err(outcome) => break 'request request.broken_off(&mut delegate, outcome),
                    }
                }
                match watch(link, &exchange, delegate.finish()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        let request = Request::new(core, link, &exchange);
                        break 'request request.end(request.failed(&*error));
                    }
                    Err(Gone) => {
                        break 'request Request::new(core, link, &exchange).broken_off(&mut delegate, Outcome::Cut);
                    }
                }
            }
            if !exchange.is_finished() {
                break 'request await_response(shared, desk, exchange).await;
            }
            exchange.conclude()
        };
        link.context.restore();
        if outcome != Outcome::Idle {
            // Unless the client asked for the end, it may be sending more; some do although they asked.
            let more = decoder.head().keep_alive || link.stream.with_buffered(|unread| !unread.is_empty());
            let answered = matches!(outcome, Outcome::Close | Outcome::Deliver);
            return if answered && more { Outcome::Linger } else { outcome };
        }
        if !decoder.start_next() {
            return Outcome::Close;
        }
        if link.stream.pending_write() > UNSENT_LIMIT && link.stream.flush().await.is_err() {
            return Outcome::Cut;
        }
        served += 1;
        if served % REQUESTS_PER_POLL == 0 {
            pause().await;
        }
    }
}

/// Something of a head is there, but not all of it: its time begins.
#[cold]
fn head_began<D>(core: &Core<D>, link: &Link) {
    let params = &core.params;
    if params.first_byte_timeout.is_some() && link.requests_left.get() == core.requests {
        // What was set was for the first byte alone.
        link.deadline.clear();
    }
    if !link.deadline.is_set() {
        link.deadline_in(params.header_timeout);
    }
    let end = params.head_timeout.and_then(|timeout| link.stream.now().checked_add(timeout));
    if let Some(deadline) = earliest(link.deadline.get(), end) {
        link.deadline.set(deadline);
    }
}

/// Reads on for a head of which something is there.
async fn more_of_head<D>(core: &Core<D>, link: &Link) -> Result<(), Outcome> {
    match fill(&link.stream, &link.deadline).await {
        Filled::More | Filled::Nothing => Ok(()),
        Filled::End => Err(Outcome::Close),
        Filled::TooLate => {
            tracing::info!("{} from {}", Refusal::HeadTimeout, link.context);
            Err(answer_unread(core, link, &Refusal::HeadTimeout))
        }
    }
}

fn answer_unread<D>(core: &Core<D>, link: &Link, refusal: &Refusal<'_>) -> Outcome {
    refuse_unread(link, &core.rendered, refusal);
    Outcome::Linger
}

/// What came is no request.
#[cold]
fn malformed<D>(core: &Core<D>, link: &Link, decoder: &mut RequestDecoder) -> Outcome {
    let Err(error) = decoder.decode(b"") else { return Outcome::Cut };
    tracing::info!("malformed HTTP message from {}: {error}", link.context);
    answer_unread(core, link, &Refusal::Malformed(&error))
}

/// One step of the decoder over what is buffered. Data is left in the buffer, for whoever handles the event.
fn decode(link: &Link, decoder: &mut RequestDecoder) -> Result<Option<Event>, DecodeError> {
    step(&link.stream, |buffered| decoder.decode(buffered))
}

/// A request that is under way.
struct Request<'a, D> {
    core: &'a Core<D>,
    link: &'a Link,
    exchange: &'a Rc<Http1Connection>,
}

impl<'a, D> Request<'a, D> {
    fn new(core: &'a Core<D>, link: &'a Link, exchange: &'a Rc<Http1Connection>) -> Self {
        Self { core, link, exchange }
    }
}

/// The delegate is gone and the response isn't complete: somebody kept the exchange, and will finish it or let it go, or both
/// at once. Then its drop says what becomes of the connection.
#[cold]
async fn await_response(link: &Rc<Link>, desk: &Desk, exchange: Rc<Http1Connection>) -> Outcome {
    desk.leave();
    exchange.leave_to_the_application();
    let kept = Rc::downgrade(&exchange);
    drop(exchange);
    poll_fn(|cx| {
        let Some(exchange) = kept.upgrade() else {
            desk.resume(None, link);
            return Poll::Ready(link.left.take().unwrap_or(Outcome::Cut));
        };
        if exchange.poll_finished(cx).is_ready() {
            let outcome = exchange.conclude();
            exchange.settle();
            desk.resume(Some(exchange), link);
            return Poll::Ready(outcome);
        }
        if link.stream.peer_is_gone() {
            link.stream.close();
            exchange.report_close();
            return Poll::Ready(Outcome::Cut);
        }
        if link.stream.peer_has_closed() {
            exchange.report_close();
        }
        link.stream.wake_on_event(cx);
        Poll::Pending
    })
    .await
}

/// How much of a body the delegate got.
enum Received {
    Whole,
    /// The application was done before that; the rest was skipped.
    Answered,
    /// Likewise, but there is too much to skip.
    AnsweredUnread,
}

impl<D> Request<'_, D>
where
    D: HttpServerConnectionDelegate,
{
    /// Gives the body and the trailers to the delegate. `Err`: they can't be completed.
    async fn receive_body(
        &self,
        decoder: &mut RequestDecoder,
        delegate: &mut D::Delegate,
    ) -> Result<Received, Outcome> {
        let (link, exchange) = (self.link, self.exchange);
        let mut expect_continue = decoder.expect_continue();
        if let Some(bytes) = exchange.max_body_size.get() {
            decoder.set_max_body_size(bytes);
        }
        exchange.settle_announced();
        exchange.receiving.set(true);
        let mut pace = Pace::new(&self.core.params, self.core.params.body_timeout, link.stream.now());
        let received = loop {
            if exchange.is_finished() && !decoder.is_complete() {
                // A client that waits for `100 Continue` may send the body or not: nobody can tell where it ends.
                self.heed_body_timeout(&mut pace);
                let skipped = !expect_continue && self.skip_body(decoder, pace.end()).await;
                break if skipped { Received::Answered } else { Received::AnsweredUnread };
            }
            match decode(link, decoder) {
                Ok(Some(Event::Data(range))) => {
                    // Whoever has begun to send doesn't wait.
                    expect_continue = false;
                    let begin = link.stream.now();
                    pace.received(range.len(), begin);
                    self.deliver(range.len(), delegate).await?;
                    pace.held_up(link.stream.now() - begin);
                }
                Ok(Some(Event::Trailers(trailers))) => {
                    self.check(watch(link, exchange, delegate.trailers_received(trailers)).await)?;
                }
                Ok(Some(Event::End)) => {
                    exchange.body_read();
                    break Received::Whole;
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    if std::mem::take(&mut expect_continue) && !exchange.head_sent() {
                        let sent = link.stream.write_with(CONTINUE.len(), |out| out.extend_from_slice(CONTINUE));
                        sent.map_err(|_| Outcome::Cut)?;
                    }
                    self.heed_body_timeout(&mut pace);
                    match pace.deadline() {
                        Some(deadline) => link.deadline.set(deadline),
                        None => link.deadline.clear(),
                    }
                    let filled = match pace.is_over(link.stream.now()) {
                        true => Filled::TooLate,
                        false => self.more_of_body().await,
                    };
                    match filled {
                        Filled::More | Filled::Nothing => {}
                        // What was answered before is still to be sent.
                        Filled::End => return Err(Outcome::Close),
                        Filled::TooLate => {
                            let late = match pace.late() {
                                Late::Whole => Refusal::BodyTimeout,
                                Late::Pace => Refusal::BodyTooSlow,
                            };
                            tracing::info!("{late} from {}", link.context);
                            return Err(exchange.fail(&late));
                        }
                    }
                }
                Err(error) => {
                    tracing::info!("malformed HTTP message from {}: {error}", link.context);
                    return Err(exchange.fail(&Refusal::Malformed(&error)));
                }
            }
        };
        exchange.receiving.set(false);
        link.deadline.clear();
        Ok(received)
    }

    /// Does as the application says, if it has said something new.
    fn heed_body_timeout(&self, pace: &mut Pace) {
        if let Some(timeout) = self.exchange.body_timeout.take() {
            pace.set(timeout, self.link.stream.now());
        }
    }

    /// Waits for more of the body, or until another task sets the body's time or answers.
    async fn more_of_body(&self) -> Filled {
        let (link, exchange) = (self.link, self.exchange);
        let mut filling = pin!(fill(&link.stream, &link.deadline));
        poll_fn(|cx| match exchange.poll_finished_or_timed(cx) {
            Poll::Ready(()) => Poll::Ready(Filled::Nothing),
            Poll::Pending => filling.as_mut().poll(cx),
        })
        .await
    }

    /// Gives `len` buffered bytes of the body to the delegate, in pieces of at most `chunk_size`.
    async fn deliver(&self, mut len: usize, delegate: &mut D::Delegate) -> Result<(), Outcome> {
        while len > 0 && !self.exchange.is_finished() {
            let piece = self.link.stream.take_buffered(len.min(self.core.params.chunk_size.max(1)));
            len -= piece.len();
            self.check(watch(self.link, self.exchange, delegate.data_received(piece)).await)?;
        }
        // What an application that is done doesn't want any more.
        self.link.stream.consume(len);
        Ok(())
    }

    /// Reads the rest of a body that nobody wants, if that is little. `end`: when its whole time is over. True: the next request can
    /// follow.
    async fn skip_body(&self, decoder: &mut RequestDecoder, end: Option<Instant>) -> bool {
        if !self.exchange.keep_alive() {
            return false;
        }
        let goodbye = self.link.stream.now() + LINGER;
        self.link.deadline.set(end.map_or(goodbye, |end| end.min(goodbye)));
        let mut skipped = 0;
        while skipped <= SKIPPED_BODY {
            match decode(self.link, decoder) {
                Ok(Some(Event::Data(range))) => {
                    self.link.stream.consume(range.len());
                    skipped += range.len() as u64;
                }
                Ok(Some(Event::End)) => return true,
                Ok(Some(_)) => {}
                Ok(None) => match fill(&self.link.stream, &self.link.deadline).await {
                    Filled::More | Filled::Nothing => {}
                    Filled::End | Filled::TooLate => return false,
                },
                Err(_) => return false,
            }
        }
        false
    }

    /// The message ends before its end.
    #[cold]
    fn broken_off(&self, delegate: &mut D::Delegate, outcome: Outcome) -> Outcome {
        self.exchange.settle_announced();
        self.exchange.receiving.set(false);
        if outcome == Outcome::Detached {
            return outcome;
        }
        if outcome == Outcome::Cut {
            self.link.stream.close();
        }
        delegate.on_connection_close();
        self.end(outcome)
    }

    /// No further request follows; if the response isn't complete, whoever wanted to write it learns that.
    #[cold]
    fn end(&self, outcome: Outcome) -> Outcome {
        if outcome == Outcome::Cut {
            self.link.stream.close();
        }
        self.exchange.report_close();
        outcome
    }

    /// What to do when one of the delegate's methods has ended.
    #[inline]
    fn check(&self, watched: Result<Result<(), BoxError>, Gone>) -> Result<(), Outcome> {
        match watched {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.failed(&*error)),
            Err(Gone) => Err(Outcome::Cut),
        }
    }

    #[cold]
    fn failed(&self, error: &(dyn std::error::Error + 'static)) -> Outcome {
        let refusal = match error.downcast_ref::<HttpInputError>() {
            Some(input) => {
                tracing::info!("bad request from {}: {input}", self.link.context);
                Refusal::Input(input)
            }
            // Clients come and go: a handler that hands that on has not failed.
            None if matches!(error.downcast_ref(), Some(HttpOutputError::Closed)) => {
                tracing::debug!("a request handler ended with its connection: {error}");
                return if self.link.is_detached() { Outcome::Detached } else { self.exchange.break_off() };
            }
            None => {
                match error.source() {
                    Some(cause) => tracing::error!("error in a request handler: {error}: {cause}"),
                    None => tracing::error!("error in a request handler: {error}"),
                }
                Refusal::Failed(error)
            }
        };
        self.exchange.fail(&refusal)
    }
}

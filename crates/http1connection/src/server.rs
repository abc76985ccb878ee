//! A server's connections: `Http1Service`, what they share, and `Http1ServerConnection`, one of them.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use landspout_httputil::{HttpServerConnectionDelegate, RequestContext, ServerConnectionId};
use landspout_ioloop::{Deadline, IoLoop, Ready, log_panic};
use landspout_iostream::IoStream;

use crate::connection::{Behind, Link, Stage};
use crate::params::Http1ConnectionParameters;
use crate::refusal::{ErrorResponse, Refusal, Shape};
use crate::rendered::Rendered;
use crate::serve::{Core, worker};
use crate::worker::{Desk, Outcome, Worker, Workers};

/// How long a connection with an answer that the peer may not have read is kept, at most and without a word from the peer.
/// nginx's `lingering_time` and `lingering_timeout`.
pub(crate) const LINGER: Duration = Duration::from_secs(30);
const LINGER_SILENCE: Duration = Duration::from_secs(5);
/// How long the kernel has to send the last bytes of a cut body that only a reset can end: a reset throws away what it has not sent.
/// It is of little use to a client, so it is little time.
const GRACE_OF_RESET: Duration = Duration::from_secs(1);
/// How long a server that drains waits for the first request of a connection: as Go's `Shutdown`. Whoever has just connected is
/// about to send one.
const FIRST_REQUEST_OF_DRAIN: Duration = Duration::from_secs(5);

/// So much may lie in each read buffer while other connections are read: not for long, but a processor's cache is small.
const LITTLE: usize = 4 * 1024;

/// One delegate and its settings, ready to serve any number of connections on this thread.
///
/// Making one touches no loop: it may be made before a process forks.
pub struct Http1Service {
    start: Box<dyn Start>,
    rendered: Rc<Rendered>,
}

/// Hides the type of the workers' coroutine, which has no name. One call per connection.
trait Start {
    fn start(&self, io_loop: &IoLoop, link: Rc<Link>);

    /// In bytes: a connection's task, and a worker's coroutine.
    #[cfg(test)]
    fn sizes(&self) -> (usize, usize);
}

impl Http1Service {
    /// Serves with `delegate`, which makes a message delegate for each request.
    pub fn new<D>(delegate: D, params: Http1ConnectionParameters) -> Self
    where
        D: HttpServerConnectionDelegate + 'static,
    {
        #[cfg(feature = "gzip")]
        if params.decompress {
            let delegate = crate::gzip::GzipRequests::new(delegate, &params);
            return Self::with(delegate, params);
        }
        Self::with(delegate, params)
    }

    fn with<D>(delegate: D, params: Http1ConnectionParameters) -> Self
    where
        D: HttpServerConnectionDelegate + 'static,
    {
        let params = params.normalized();
        let (limits, requests) = (Rc::new(params.limits.clone()), params.requests());
        let rendered = Rc::new(Rendered::new());
        let core = Rc::new(Core { delegate, params, requests, limits, rendered: rendered.clone() });
        let make = {
            let core = core.clone();
            move |desk: Rc<Desk>| worker(core.clone(), desk)
        };
        let workers = Workers::new(make, rendered.clone());
        Self { start: Box::new(Service { shared: Rc::new(Shared { core, workers }) }), rendered }
    }

    /// Has `shape` decide about headers and body of the answers that this service gives to errors itself, instead of the status in
    /// words as plain text. The status, the framing and the end of the connection behind the answer stay as they are. `shape` is
    /// called when there is such an answer, and must be quick. A panic in it is caught. The first one counts.
    pub fn error_response(self, shape: impl Fn(&Refusal<'_>) -> ErrorResponse + 'static) -> Self {
        self.rendered.refusals.set(Shape::new(shape));
        self
    }
}

impl fmt::Debug for Http1Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Service").finish_non_exhaustive()
    }
}

struct Service<D, F, M> {
    shared: Rc<Shared<D, F, M>>,
}

struct Shared<D, F, M> {
    core: Rc<Core<D>>,
    workers: Workers<F, M>,
}

impl<D, F, M> Start for Service<D, F, M>
where
    D: HttpServerConnectionDelegate + 'static,
    F: Future<Output = ()> + 'static,
    M: Fn(Rc<Desk>) -> F + 'static,
{
    fn start(&self, io_loop: &IoLoop, link: Rc<Link>) {
        let params = &self.shared.core.params;
        link.deadline_in(match (params.first_byte_timeout, params.header_timeout) {
            (Some(first), Some(head)) => Some(first.min(head)),
            (first, head) => first.or(head),
        });
        link.requests_left.set(self.shared.core.requests);
        // Who had the stream before, to read the header of the PROXY protocol for instance, may have left bytes in it.
        let waits = link.stream.with_buffered(<[u8]>::is_empty);
        let mut serving = Serving { shared: self.shared.clone(), link, phase: Phase::Fresh };
        if !waits {
            serving.begin_request();
        }
        io_loop.spawn_detached(serving);
    }

    #[cfg(test)]
    fn sizes(&self) -> (usize, usize) {
        (size_of::<Serving<D, F, M>>(), size_of::<F>())
    }
}

/// A connection that requests come by: Tornado's `HTTP1ServerConnection`. The handle that remains with the server.
#[doc(alias = "HTTP1ServerConnection")]
#[derive(Clone)]
pub struct Http1ServerConnection {
    link: Weak<Link>,
    id: ServerConnectionId,
}

impl Http1ServerConnection {
    /// Serves requests from `stream` until it ends, by a task on the stream's loop. The service's delegate learns of the end
    /// by `on_close`.
    pub fn start_serving(stream: IoStream, context: RequestContext, service: &Http1Service) -> Self {
        let id = ServerConnectionId::new();
        let Some(io_loop) = stream.io_loop() else { return Self { link: Weak::new(), id } };
        // Answers that leave in pieces are not to wait for the peer's acknowledgements. A refusal shows itself elsewhere.
        let _ = stream.set_nodelay(true);
        let deadline = Deadline::new(&io_loop);
        let link = Rc::new(Link {
            stream,
            context,
            id,
            deadline,
            requests_left: Cell::default(),
            draining: Cell::default(),
            left: Cell::default(),
            stage: Cell::default(),
            idle_behind: Cell::default(),
        });
        let handle = Self { link: Rc::downgrade(&link), id };
        service.start.start(&io_loop, link);
        handle
    }

    /// Who this is, for the delegate's `on_close`.
    pub fn id(&self) -> ServerConnectionId {
        self.id
    }

    /// Closes the connection at once; a response under way is cut. One that was detached is left alone.
    pub fn close(&self) {
        if let Some(link) = self.link.upgrade().filter(|link| !link.is_detached()) {
            link.stream.close();
        }
    }

    /// Has the connection end as soon as nothing is under way on it. An idle one is closed, one on which no byte of a request came
    /// yet in 5 seconds, unless a request comes; a request that is under way is answered with `Connection: close`, and
    /// where the answer's head is out already, the connection ends behind it, or behind the answer to a request that was
    /// pipelined meanwhile. Nobody waits for that here: see [`closed`](Self::closed), and `on_close` of the delegate.
    pub fn drain(&self) {
        let Some(link) = self.link.upgrade().filter(|link| !link.is_detached()) else { return };
        link.requests_left.set(0);
        if !link.draining.replace(true) {
            // Has its task look whether something came, before it gives up.
            link.stream.raiser().raise(Ready::READABLE);
        }
    }

    /// Whether [`drain`](Self::drain) was called.
    pub fn is_draining(&self) -> bool {
        self.link.upgrade().is_some_and(|link| link.draining.get())
    }

    /// Whether the last answer was sent, and the connection only waits for the peer to close it.
    pub fn is_answered(&self) -> bool {
        self.link.upgrade().is_some_and(|link| link.stage.get() == Stage::Answered)
    }

    /// Whether the connection is closed, or detached.
    pub fn closed(&self) -> bool {
        self.link.upgrade().is_none_or(|link| link.is_detached() || link.stream.closed())
    }
}

impl fmt::Debug for Http1ServerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1ServerConnection").field("id", &self.id).field("closed", &self.closed()).finish()
    }
}

/// The task of one connection: small, since idle connections consist of it.
struct Serving<D: HttpServerConnectionDelegate, F, M> {
    shared: Rc<Shared<D, F, M>>,
    link: Rc<Link>,
    phase: Phase<F>,
}

enum Phase<F> {
    /// Waiting for the connection's first byte.
    Fresh,
    /// Waiting for another request's first byte.
    Idle,
    /// Requests of a client that pipelines are read, and others read theirs before these are served: each step is cheaper when all
    /// take it one after the other.
    Filled,
    /// A worker has the connection.
    Busy(Worker<F>),
    /// The last answer is on its way; then the connection ends.
    Ending,
    /// Likewise, but only the writing side ends then. `unsent` bytes were left when this was last looked at.
    Flushing { unsent: usize, limit: FlushLimit },
    /// What was written is with the kernel, for a while; then the connection is reset.
    Parting,
    /// Reading what the peer still sends, so that its kernel doesn't throw our answer away (RFC 9112, section 9.6).
    Lingering { until: Instant },
}

/// How long the last answer may take without progress.
#[derive(Clone, Copy)]
enum FlushLimit {
    /// As long as the goodbye behind it.
    Linger,
    /// As long as any stream has to send its last bytes.
    Stream,
}

impl<D, F, M> Serving<D, F, M>
where
    D: HttpServerConnectionDelegate,
    F: Future<Output = ()>,
    M: Fn(Rc<Desk>) -> F,
{
    fn wait_for_request(&mut self) {
        // A request has cleared the last deadline; an empty line, which is none, has not.
        if !self.link.deadline.is_set() {
            self.link.deadline_in(self.shared.core.params.header_timeout);
        }
        self.phase = Phase::Idle;
    }

    fn begin_request(&mut self) {
        let worker = self.shared.workers.take();
        worker.give(self.link.clone());
        self.phase = Phase::Busy(worker);
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        match self.link.stream.poll_fill(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(None),
            // What it was answered before may not be sent yet.
            Poll::Ready(Err(_)) => Poll::Ready(Some(Outcome::Close)),
            Poll::Pending => {
                if self.link.requests_left.get() == 0 {
                    self.hurry();
                }
                self.link.deadline.poll_expired(cx).map(|()| Some(Outcome::Close))
            }
        }
    }

    /// The server wants the connection to end: no further request is awaited.
    #[cold]
    fn hurry(&self) {
        let grace = if let Phase::Fresh = self.phase { FIRST_REQUEST_OF_DRAIN } else { Duration::ZERO };
        let end = self.link.stream.now() + grace;
        self.link.deadline.set(self.link.deadline.get().map_or(end, |deadline| deadline.min(end)));
    }

    fn flush_and_linger(&mut self, limit: FlushLimit) {
        self.flush_on(usize::MAX, limit);
    }

    fn flush_on(&mut self, unsent: usize, limit: FlushLimit) {
        self.link.deadline.clear();
        self.link.deadline_in(match limit {
            FlushLimit::Linger => Some(LINGER),
            FlushLimit::Stream => self.link.stream.options().linger_timeout,
        });
        self.phase = Phase::Flushing { unsent, limit };
    }

    /// Sends the last answer, and reads meanwhile: a peer that sends everything before it reads would wait for us as we for
    /// it. Ready when it is sent and the writing side ended (true), unless the end is to be a reset, or will never be.
    #[inline(never)]
    fn poll_last_answer(&mut self, unsent: usize, limit: FlushLimit, cx: &mut Context<'_>) -> Poll<bool> {
        let stream = &self.link.stream;
        if self.link.deadline.poll_expired(cx).is_ready() {
            // A peer that reads slowly may have made room that the kernel didn't tell of. An error shows itself below.
            let _ = stream.try_flush();
        }
        if let Poll::Ready(sent) = stream.poll_flush(cx) {
            return Poll::Ready(sent.is_ok() && (stream.aborts_on_close() || stream.shutdown_write_now().is_ok()));
        }
        while let Poll::Ready(Ok(())) = stream.poll_fill(cx) {
            stream.consume(usize::MAX);
        }
        let left = stream.pending_write();
        if left < unsent {
            self.flush_on(left, limit);
        }
        self.link.deadline.poll_expired(cx).map(|()| false)
    }

    fn poll_parting(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.link.stream.peer_is_gone() {
            return Poll::Ready(());
        }
        self.link.stream.wake_on_event(cx);
        self.link.deadline.poll_expired(cx)
    }

    fn linger(&mut self, until: Instant) {
        self.link.deadline.set((self.link.stream.now() + LINGER_SILENCE).min(until));
        self.phase = Phase::Lingering { until };
    }

    fn poll_lingering(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.link.stream.poll_fill(cx) {
                Poll::Ready(Ok(())) => {
                    self.link.stream.consume(usize::MAX);
                    self.linger(until);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return self.link.deadline.poll_expired(cx),
            }
        }
    }
}

impl<D, F, M> Future for Serving<D, F, M>
where
    D: HttpServerConnectionDelegate,
    F: Future<Output = ()>,
    M: Fn(Rc<Desk>) -> F,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let outcome = match &mut this.phase {
                Phase::Fresh | Phase::Idle => match this.poll_idle(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(None) => {
                        if this.link.idle_behind.get() == Behind::Batch && this.link.stream.make_way(cx, LITTLE) {
                            this.phase = Phase::Filled;
                            return Poll::Pending;
                        }
                        this.begin_request();
                        continue;
                    }
                    Poll::Ready(Some(outcome)) => outcome,
                },
                Phase::Filled if this.link.stream.closed() => Outcome::Cut,
                Phase::Filled => {
                    this.begin_request();
                    continue;
                }
                Phase::Busy(worker) => match worker.poll(cx) {
                    Poll::Pending => {
                        this.tell_if_detached();
                        return Poll::Pending;
                    }
                    Poll::Ready(outcome) => {
                        if let Phase::Busy(worker) = std::mem::replace(&mut this.phase, Phase::Idle) {
                            this.shared.workers.give_back(worker);
                        }
                        outcome
                    }
                },
                Phase::Ending => return this.link.stream.poll_flush(cx).map(|_| ()),
                Phase::Flushing { unsent, limit } => {
                    let (unsent, limit) = (*unsent, *limit);
                    match this.poll_last_answer(unsent, limit, cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(true) if this.link.stream.aborts_on_close() => {
                            this.link.deadline.set(this.link.stream.now() + GRACE_OF_RESET);
                            this.phase = Phase::Parting;
                            continue;
                        }
                        Poll::Ready(true) => {
                            this.link.stage.set(Stage::Answered);
                            this.linger(this.link.stream.now() + LINGER);
                            continue;
                        }
                        Poll::Ready(false) => Outcome::Cut,
                    }
                }
                Phase::Parting => match this.poll_parting(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => Outcome::Cut,
                },
                Phase::Lingering { until } => {
                    let until = *until;
                    match this.poll_lingering(until, cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(()) => Outcome::Cut,
                    }
                }
            };
            if outcome != Outcome::Idle {
                this.end_serving();
            }
            match outcome {
                // It drains, and the answer that has just left didn't say that it was the last.
                Outcome::Idle if this.link.requests_left.get() == 0 => this.flush_and_linger(FlushLimit::Linger),
                // The worker has asked the stream for more, for this task.
                Outcome::Idle => {
                    this.wait_for_request();
                    if this.link.deadline.poll_expired(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Outcome::Close => {
                    this.link.stream.close_when_flushed();
                    this.phase = Phase::Ending;
                }
                Outcome::Linger => this.flush_and_linger(FlushLimit::Linger),
                Outcome::Deliver => this.flush_and_linger(FlushLimit::Stream),
                Outcome::Cut => {
                    this.link.stream.close();
                    return Poll::Ready(());
                }
                Outcome::Detached => return Poll::Ready(()),
            }
        }
    }
}

impl<D: HttpServerConnectionDelegate, F, M> Serving<D, F, M> {
    /// The application took the stream, and still works in the delegate.
    #[inline]
    fn tell_if_detached(&self) {
        if self.link.stage.get() == Stage::Detaching {
            self.link.stage.set(Stage::Detached);
            self.report_close();
        }
    }

    /// No request follows: from now on the stream can't be detached.
    fn end_serving(&self) {
        if self.link.stage.get() == Stage::Serving {
            self.link.stage.set(Stage::Over);
        }
    }

    #[cold]
    fn report_close(&self) {
        let (delegate, id) = (&self.shared.core.delegate, self.link.id);
        log_panic("in on_close", || delegate.on_close(id));
    }
}

impl<D: HttpServerConnectionDelegate, F, M> Drop for Serving<D, F, M> {
    fn drop(&mut self) {
        // The application's part in a request that is cancelled goes first; and who keeps an exchange doesn't keep the socket.
        let phase = std::mem::replace(&mut self.phase, Phase::Ending);
        log_panic("while a request was dropped", || drop(phase));
        if !self.link.is_detached() {
            self.link.stream.close_when_flushed();
        }
        if self.link.stage.get() != Stage::Detached {
            self.report_close();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use landspout_httputil::{BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, RequestStartLine};

    use super::*;

    /// A delegate whose `finish` is a future of more than `N` bytes.
    struct Holding<const N: usize>;

    impl<const N: usize> HttpServerConnectionDelegate for Holding<N> {
        type Delegate = Self;

        fn start_request(&self, _: ServerConnectionId, _: Rc<dyn HttpConnection>) -> Self {
            Self
        }
    }

    impl<const N: usize> HttpMessageDelegate for Holding<N> {
        async fn headers_received(&mut self, _: RequestStartLine, _: HttpHeaders) -> Result<(), BoxError> {
            Ok(())
        }

        async fn data_received(&mut self, _: Bytes) -> Result<(), BoxError> {
            Ok(())
        }

        async fn finish(&mut self) -> Result<(), BoxError> {
            let held = [1_u8; N];
            std::future::ready(()).await;
            if held.iter().all(|byte| *byte == 1) { Ok(()) } else { Err("the memory of a future changed".into()) }
        }
    }

    fn sizes<const N: usize>() -> (usize, usize) {
        Http1Service::new(Holding::<N>, Http1ConnectionParameters::default()).start.sizes()
    }

    /// What an idle connection consists of, besides its stream: a task that is as small for a handler with a future of 16 KiB, and
    /// the link. The numbers are those of 64-bit machines.
    #[test]
    fn the_size_of_an_idle_connection() {
        let ((task, coroutine), (task_16k, coroutine_16k)) = (sizes::<1>(), sizes::<16_384>());
        assert_eq!(task, task_16k);
        assert!(coroutine < 2048 && coroutine_16k > 16_384, "{coroutine}, {coroutine_16k}");
        assert!(task <= 40, "a task of {task} bytes");
        assert!(size_of::<Link>() <= 120, "a link of {} bytes", size_of::<Link>());
    }
}

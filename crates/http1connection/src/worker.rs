//! Boxes for requests: taken at a request's first byte, given back when the connection falls idle.
//!
//! A delegate's futures can be large, and an idle connection shall not carry them. So a connection's own task is small,
//! and what a request needs lives in a *worker*: a boxed coroutine that serves one connection after another. It is never
//! moved and never built anew, however many requests it serves.
//!
//! Whatever panics in there, be it the application or the pump, is caught here, once for each poll: it costs the worker and
//! the request, which is answered with 500 if that is still possible.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use landspout_http1::RequestDecoder;
use landspout_ioloop::report_panic;

use crate::connection::{Http1Connection, Link};
use crate::rendered::Rendered;

/// Workers that wait for work at most; further ones are freed. What they keep resident is bounded with that.
const IDLE_WORKERS: usize = 256;

/// What became of the connection that a worker served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything that came was answered; the next request is awaited.
    Idle,
    /// To be closed once everything is sent.
    Close,
    /// To be closed likewise, but the peer may still be sending: read on for a while, or it loses the answer to a reset.
    Linger,
    /// Likewise, and the peer has as much time to take the answer as for `Close`.
    Deliver,
    /// Closed already, or not worth another byte.
    Cut,
    /// Not to be touched: the stream is the application's.
    Detached,
}

/// Where a connection's task and its worker meet.
pub(crate) struct Desk {
    job: Cell<Option<Rc<Link>>>,
    outcome: Cell<Option<Outcome>>,
    /// The worker panicked; it must not be polled again.
    broken: Cell<bool>,
    /// The exchange under way, or the last one's memory.
    exchange: RefCell<Rc<Http1Connection>>,
}

impl Desk {
    fn new(rendered: Rc<Rendered>) -> Self {
        let exchange = RefCell::new(Rc::new(Http1Connection::vacant(rendered)));
        Self { job: Cell::default(), outcome: Cell::default(), broken: Cell::default(), exchange }
    }

    /// The worker's side: waits for a connection to serve.
    pub(crate) async fn next_job(&self) -> Rc<Link> {
        let link = poll_fn(|_| match self.job.take() {
            Some(link) => Poll::Ready(link),
            // Whoever brings a job polls the worker; no waker is needed.
            None => Poll::Pending,
        })
        .await;
        Http1Connection::take_up(&mut self.exchange.borrow_mut(), link.clone());
        link
    }

    /// The worker's side: begins an exchange.
    #[inline(always)]
    pub(crate) fn begin(&self, decoder: &RequestDecoder, now: Instant) -> Rc<Http1Connection> {
        let mut exchange = self.exchange.borrow_mut();
        Http1Connection::begin(&mut exchange, decoder, now);
        exchange.clone()
    }

    /// The worker's side: lets go of the exchange under way, which the application keeps. What is left here is connected to
    /// nothing, so that a panic meanwhile doesn't answer in its place.
    pub(crate) fn leave(&self) {
        Http1Connection::vacate(&mut self.exchange.borrow_mut());
    }

    /// The worker's side: the exchange that it has left is over. It takes it back, if it is still there.
    pub(crate) fn resume(&self, exchange: Option<Rc<Http1Connection>>, link: &Rc<Link>) {
        match exchange {
            Some(exchange) => drop(self.exchange.replace(exchange)),
            None => Http1Connection::take_up(&mut self.exchange.borrow_mut(), link.clone()),
        }
    }

    /// The worker's side: hands the connection back.
    pub(crate) fn done(&self, outcome: Outcome) {
        Http1Connection::vacate(&mut self.exchange.borrow_mut());
        self.outcome.set(Some(outcome));
    }
}

pub(crate) struct Worker<F> {
    desk: Rc<Desk>,
    coroutine: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Worker<F> {
    #[inline]
    pub(crate) fn give(&self, link: Rc<Link>) {
        self.desk.job.set(Some(link));
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        // The coroutine never ends; whether it is done with its job, the desk says.
        let polled = catch_unwind(AssertUnwindSafe(|| self.coroutine.as_mut().poll(cx)));
        if let Err(payload) = polled {
            return Poll::Ready(self.panicked(&*payload));
        }
        match self.desk.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl<F> Worker<F> {
    #[cold]
    fn panicked(&self, payload: &(dyn Any + Send)) -> Outcome {
        report_panic(&"in a request handler", payload);
        self.desk.broken.set(true);
        let exchange = self.desk.exchange.borrow().clone();
        exchange.panicked()
    }
}

/// The free list of a server's workers.
pub(crate) struct Workers<F, M> {
    idle: RefCell<Vec<Worker<F>>>,
    make: M,
    rendered: Rc<Rendered>,
}

impl<F, M> Workers<F, M>
where
    F: Future<Output = ()>,
    M: Fn(Rc<Desk>) -> F,
{
    pub(crate) fn new(make: M, rendered: Rc<Rendered>) -> Self {
        Self { idle: RefCell::default(), make, rendered }
    }

    #[inline]
    pub(crate) fn take(&self) -> Worker<F> {
        let idle = self.idle.borrow_mut().pop();
        idle.unwrap_or_else(|| self.make())
    }

    #[cold]
    fn make(&self) -> Worker<F> {
        let desk = Rc::new(Desk::new(self.rendered.clone()));
        Worker { coroutine: Box::pin((self.make)(desk.clone())), desk }
    }

    #[inline]
    pub(crate) fn give_back(&self, worker: Worker<F>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_WORKERS && !worker.desk.broken.get() {
            idle.push(worker);
        } else {
            drop(idle);
            drop(worker);
        }
    }
}

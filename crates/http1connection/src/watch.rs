//! Awaiting the application while watching the peer.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use landspout_ioloop::panic_message;
use pin_project_lite::pin_project;

use crate::connection::{Http1Connection, Link};

/// How a future of the application ended.
pub(crate) enum Watched<T> {
    Done(T),
    /// It panicked; that was logged.
    Panicked,
    /// The connection was reset, hung up or closed; the future has to be dropped.
    Gone,
}

pin_project! {
    /// Polls a future of the application, and while it is pending looks at the connection's state, not at its data: bytes that
    /// were pipelined hide nothing.
    ///
    /// A peer that ends its sending side (FIN) still gets its answer; the exchange's close callback is called once. A
    /// reset, a hang-up or a failed write ends the wait.
    pub(crate) struct Watch<'a, F> {
        #[pin]
        future: F,
        link: &'a Link,
        exchange: &'a Http1Connection,
    }
}

pub(crate) fn watch<'a, F: Future>(link: &'a Link, exchange: &'a Http1Connection, future: F) -> Watch<'a, F> {
    Watch { future, link, exchange }
}

impl<F: Future> Future for Watch<'_, F> {
    type Output = Watched<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let future = this.future;
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Ready(output)) => return Poll::Ready(Watched::Done(output)),
            Ok(Poll::Pending) => {}
            Err(payload) => {
                tracing::error!("panic in a request handler: {}", panic_message(&*payload));
                return Poll::Ready(Watched::Panicked);
            }
        }
        let stream = &this.link.stream;
        if stream.peer_is_gone() {
            return Poll::Ready(Watched::Gone);
        }
        if stream.peer_has_closed() {
            this.exchange.report_close();
        }
        stream.wake_on_event(cx);
        Poll::Pending
    }
}

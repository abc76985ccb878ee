//! Awaiting the application while watching the peer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::connection::{Http1Connection, Link};

/// The connection was reset, hung up or closed; the future that was awaited has to be dropped.
pub(crate) struct Gone;

pin_project! {
    /// Polls a future of the application, and while it is pending looks at the connection's state, not at its data: bytes that
    /// were pipelined hide nothing.
    ///
    /// A peer that ends its sending side (FIN) still gets its answer; the exchange's close callback is called once. A
    /// reset, a hang-up or a failed write ends the wait. Once the future has detached the stream, only it is polled.
    pub(crate) struct Watch<'a, F> {
        #[pin]
        future: F,
        link: &'a Link,
        exchange: &'a Http1Connection,
    }
}

#[inline]
pub(crate) fn watch<'a, F: Future>(link: &'a Link, exchange: &'a Http1Connection, future: F) -> Watch<'a, F> {
    Watch { future, link, exchange }
}

impl<F: Future> Future for Watch<'_, F> {
    type Output = Result<F::Output, Gone>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if this.link.is_detached() {
            // The stream has another reader.
            return Poll::Pending;
        }
        let stream = &this.link.stream;
        if stream.peer_is_gone() {
            return Poll::Ready(Err(Gone));
        }
        if stream.peer_has_closed() {
            this.exchange.report_close();
        }
        stream.wake_on_event(cx);
        Poll::Pending
    }
}

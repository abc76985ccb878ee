//! Happy Eyeballs: who of several addresses answers first.
//!
//! A host has addresses of two families, and one family may lead nowhere without saying so. So (RFC 8305, in the form that
//! Tornado gave it):
//!
//! ```text
//!   primary    ── 1st ──────────── fails ─► 2nd ─── ...      the family of the first address
//!                       │             │
//!                       delay (300 ms), or the first failure, whatever comes first
//!                       │
//!   secondary           └─► 1st ── fails ─► 2nd ─── ...      all others
//! ```
//!
//! Rules:
//! - One attempt per family is under way at a time; within a family, addresses are tried in their order.
//! - The first to connect wins, and the attempt of the other family is dropped, which closes it, before anybody hears of it.
//! - It fails when both families are through, not earlier, and keeps why each attempt failed.
//!
//! It knows no sockets: what an attempt is, the caller says.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use landspout_ioloop::{Sleep, sleep};

#[cfg(test)]
mod tests;

/// One call of Happy Eyeballs: a future, which gives the first connection, or nothing when all attempts have failed.
///
/// # Cancel safety
/// Dropping it drops the attempts that are under way.
#[must_use = "a future does nothing unless it is awaited"]
pub(crate) struct Connector<'a, C, F, E> {
    /// Makes an attempt.
    connect: C,
    primary: Lane<F>,
    secondary: Lane<F>,
    /// Until it is over the secondary family waits.
    delay: Delay,
    /// The caller's, who wants to know them also when it gives up waiting.
    failures: &'a mut Vec<E>,
}

enum Delay {
    /// It counts from the first attempt.
    NotBegun(Duration),
    Running(Sleep),
    Over,
}

/// The addresses of one family.
struct Lane<F> {
    addresses: vec::IntoIter<SocketAddr>,
    attempt: Option<Pin<Box<F>>>,
}

/// Nothing is pinned but the boxed attempts.
impl<C, F, E> Unpin for Connector<'_, C, F, E> {}

impl<'a, S, C, F, E> Connector<'a, C, F, E>
where
    C: FnMut(SocketAddr) -> F,
    F: Future<Output = Result<S, E>>,
{
    /// `connect` makes an attempt; why it failed is added to `failures`.
    pub(crate) fn new(addresses: Vec<SocketAddr>, delay: Duration, connect: C, failures: &'a mut Vec<E>) -> Self {
        let (primary, secondary) = split(addresses);
        let delay = if secondary.is_empty() { Delay::Over } else { Delay::NotBegun(delay) };
        Self { connect, primary: Lane::new(primary), secondary: Lane::new(secondary), delay, failures }
    }
}

impl<S, C, F, E> Future for Connector<'_, C, F, E>
where
    C: FnMut(SocketAddr) -> F,
    F: Future<Output = Result<S, E>>,
{
    /// `None`: all have failed.
    type Output = Option<S>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S>> {
        let this = self.get_mut();
        loop {
            let primary = this.primary.poll(cx, &mut this.connect);
            let secondary = match primary {
                Step::Pending | Step::Through if this.delay.is_over(cx) => this.secondary.poll(cx, &mut this.connect),
                _ => Step::Pending,
            };
            match (primary, secondary) {
                (Step::Connected(stream), _) | (_, Step::Connected(stream)) => {
                    this.primary.attempt = None;
                    this.secondary.attempt = None;
                    return Poll::Ready(Some(stream));
                }
                (Step::Failed(error), _) | (_, Step::Failed(error)) => {
                    this.failures.push(error);
                    this.delay = Delay::Over;
                }
                (Step::Through, Step::Through) => return Poll::Ready(None),
                (Step::Pending, _) | (_, Step::Pending) => return Poll::Pending,
            }
        }
    }
}

/// The addresses of the first one's family, and the others.
fn split(addresses: Vec<SocketAddr>) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
    let of_the_first = addresses.first().is_some_and(SocketAddr::is_ipv4);
    addresses.into_iter().partition(|address| address.is_ipv4() == of_the_first)
}

impl Delay {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if let Delay::NotBegun(duration) = self {
            *self = Delay::Running(sleep(*duration));
        }
        if let Delay::Running(sleep) = self {
            if Pin::new(sleep).poll(cx).is_pending() {
                return false;
            }
            *self = Delay::Over;
        }
        true
    }
}

enum Step<S, E> {
    Pending,
    Connected(S),
    Failed(E),
    /// No address is left.
    Through,
}

impl<F> Lane<F> {
    fn new(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses: addresses.into_iter(), attempt: None }
    }

    /// Begins the next attempt if none is under way.
    fn poll<S, E>(&mut self, cx: &mut Context<'_>, connect: &mut impl FnMut(SocketAddr) -> F) -> Step<S, E>
    where
        F: Future<Output = Result<S, E>>,
    {
        if self.attempt.is_none() {
            self.attempt = self.addresses.next().map(|address| Box::pin(connect(address)));
        }
        let Some(attempt) = &mut self.attempt else { return Step::Through };
        let Poll::Ready(result) = attempt.as_mut().poll(cx) else { return Step::Pending };
        self.attempt = None;
        match result {
            Ok(stream) => Step::Connected(stream),
            Err(error) => Step::Failed(error),
        }
    }
}

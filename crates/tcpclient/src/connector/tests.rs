//! The race without sockets: attempts end when a test says so, on a clock that a test moves.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

use landspout_ioloop::{IoLoop, ManualClock, with_timeout};

use super::*;

const DELAY: Duration = Duration::from_millis(300);
const ALMOST: Duration = Duration::from_millis(299);
const A_LITTLE: Duration = Duration::from_millis(1);

fn v4(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 80))
}

fn v6(number: u16) -> SocketAddr {
    SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, number], 80))
}

/// A race on a loop of its own.
struct Race {
    io_loop: IoLoop,
    clock: ManualClock,
    attempts: Rc<Attempts>,
    outcome: Rc<RefCell<Option<Outcome>>>,
}

/// How a race ended: the winner (held, so that it stays open), or why nobody won.
enum Outcome {
    Won(Stream),
    Lost(Vec<SocketAddr>),
    TimedOut(Vec<SocketAddr>),
}

#[derive(Default)]
struct Attempts {
    begun: RefCell<Vec<SocketAddr>>,
    ended: RefCell<HashMap<SocketAddr, bool>>,
    wakers: RefCell<Vec<Waker>>,
    closed: RefCell<Vec<SocketAddr>>,
}

/// What an attempt holds open.
struct Stream {
    address: SocketAddr,
    attempts: Rc<Attempts>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.attempts.closed.borrow_mut().push(self.address);
    }
}

struct Attempt(Option<Stream>);

impl Future for Attempt {
    type Output = Result<Stream, SocketAddr>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let stream = self.0.as_ref().unwrap();
        let ended = stream.attempts.ended.borrow().get(&stream.address).copied();
        match ended {
            Some(true) => Poll::Ready(Ok(self.0.take().unwrap())),
            Some(false) => Poll::Ready(Err(stream.address)),
            None => {
                stream.attempts.wakers.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Race {
    fn between(addresses: &[SocketAddr]) -> Race {
        Race::begin(addresses, None)
    }

    fn within(limit: Duration, addresses: &[SocketAddr]) -> Race {
        Race::begin(addresses, Some(limit))
    }

    fn begin(addresses: &[SocketAddr], limit: Option<Duration>) -> Race {
        let clock = ManualClock::new();
        let io_loop = IoLoop::with_clock(clock.clone());
        io_loop.make_current();
        let race = Race { io_loop, clock, attempts: Rc::default(), outcome: Rc::default() };
        let (attempts, outcome, addresses) = (race.attempts.clone(), race.outcome.clone(), addresses.to_vec());
        let running = async move {
            let mut failures = Vec::new();
            let connect = |address| {
                attempts.begun.borrow_mut().push(address);
                Attempt(Some(Stream { address, attempts: attempts.clone() }))
            };
            let connector = Connector::new(addresses, DELAY, connect, &mut failures);
            let ended = match limit {
                Some(limit) => with_timeout(limit, connector).await,
                None => Ok(connector.await),
            };
            outcome.replace(Some(match ended {
                Ok(Some(stream)) => Outcome::Won(stream),
                Ok(None) => Outcome::Lost(failures),
                Err(_) => Outcome::TimedOut(failures),
            }));
        };
        drop(race.io_loop.spawn(running));
        race.settle();
        race
    }

    /// Lets the loop do what there is to do.
    fn settle(&self) {
        for _ in 0..3 {
            self.io_loop.add_callback(|| IoLoop::current().stop());
            self.io_loop.start().unwrap();
        }
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.settle();
    }

    fn end(&self, address: SocketAddr, success: bool) {
        self.attempts.ended.borrow_mut().insert(address, success);
        self.attempts.wakers.take().into_iter().for_each(Waker::wake);
        self.settle();
    }

    fn connects(&self, address: SocketAddr) {
        self.end(address, true);
    }

    fn fails(&self, address: SocketAddr) {
        self.end(address, false);
    }

    /// The addresses tried so far, in order.
    #[track_caller]
    fn assert_tried(&self, addresses: &[SocketAddr]) {
        assert_eq!(*self.attempts.begun.borrow(), addresses);
    }

    /// The attempts that are closed, in order; those that failed are among them.
    #[track_caller]
    fn assert_closed(&self, addresses: &[SocketAddr]) {
        assert_eq!(*self.attempts.closed.borrow(), addresses);
    }

    #[track_caller]
    fn assert_running(&self) {
        assert!(self.outcome.borrow().is_none());
    }

    #[track_caller]
    fn assert_won_by(&self, address: SocketAddr) {
        match &*self.outcome.borrow() {
            Some(Outcome::Won(stream)) => assert_eq!(stream.address, address),
            _ => panic!("nobody has won"),
        }
        self.assert_idle();
    }

    #[track_caller]
    fn assert_lost(&self, failures: &[SocketAddr]) {
        assert!(matches!(&*self.outcome.borrow(), Some(Outcome::Lost(failed)) if failed == failures));
        self.assert_idle();
    }

    #[track_caller]
    fn assert_timed_out(&self, failures: &[SocketAddr]) {
        assert!(matches!(&*self.outcome.borrow(), Some(Outcome::TimedOut(failed)) if failed == failures));
        self.assert_idle();
    }

    /// What is over leaves no timer behind.
    #[track_caller]
    fn assert_idle(&self) {
        assert_eq!(self.io_loop.pending_timeouts(), 0);
    }
}

#[test]
fn addresses_of_one_family_are_all_primary() {
    assert_eq!(split(vec![v4(1), v4(2)]), (vec![v4(1), v4(2)], vec![]));
    assert_eq!(split(vec![v6(1), v6(2)]), (vec![v6(1), v6(2)], vec![]));
    assert_eq!(split(vec![]), (vec![], vec![]));
}

#[test]
fn the_family_of_the_first_address_is_primary_in_the_order_given() {
    let mixed = vec![v4(2), v6(2), v4(1), v6(1)];
    assert_eq!(split(mixed), (vec![v4(2), v4(1)], vec![v6(2), v6(1)]));
    assert_eq!(split(vec![v6(1), v4(1)]), (vec![v6(1)], vec![v4(1)]));
}

#[test]
fn the_first_address_connects_and_nothing_else_is_tried() {
    let race = Race::between(&[v4(1), v4(2), v6(1)]);
    race.assert_tried(&[v4(1)]);
    race.connects(v4(1));
    race.assert_won_by(v4(1));
    race.pass(DELAY);
    race.assert_tried(&[v4(1)]);
    race.assert_closed(&[]);
}

#[test]
fn the_only_address_fails_and_that_is_the_error() {
    let race = Race::between(&[v4(1)]);
    race.fails(v4(1));
    race.assert_lost(&[v4(1)]);
    race.assert_closed(&[v4(1)]);
}

#[test]
fn the_first_address_fails_and_the_second_connects() {
    let race = Race::between(&[v4(1), v4(2)]);
    race.fails(v4(1));
    race.assert_tried(&[v4(1), v4(2)]);
    race.connects(v4(2));
    race.assert_won_by(v4(2));
    race.assert_closed(&[v4(1)]);
}

#[test]
fn both_addresses_fail_and_the_error_has_both() {
    let race = Race::between(&[v4(1), v4(2)]);
    race.fails(v4(1));
    race.assert_running();
    race.fails(v4(2));
    race.assert_lost(&[v4(1), v4(2)]);
}

#[test]
fn with_one_family_the_delay_changes_nothing() {
    let race = Race::between(&[v4(1), v4(2)]);
    race.assert_idle();
    race.pass(DELAY * 2);
    race.assert_tried(&[v4(1)]);
    race.fails(v4(1));
    race.assert_tried(&[v4(1), v4(2)]);
    race.connects(v4(2));
    race.assert_won_by(v4(2));
}

#[test]
fn a_first_failure_starts_the_next_address_and_the_other_family() {
    let race = Race::between(&[v4(1), v4(2), v6(1), v6(2)]);
    race.fails(v4(1));
    race.assert_tried(&[v4(1), v4(2), v6(1)]);
    race.connects(v6(1));
    race.assert_won_by(v6(1));
    race.assert_closed(&[v4(1), v4(2)]);
}

#[test]
fn the_delay_starts_the_other_family_and_once_it_has_won_a_failure_starts_nothing() {
    let race = Race::between(&[v4(1), v4(2), v6(1), v6(2)]);
    race.pass(ALMOST);
    race.assert_tried(&[v4(1)]);
    race.pass(A_LITTLE);
    race.assert_tried(&[v4(1), v6(1)]);
    race.connects(v6(1));
    race.assert_won_by(v6(1));
    race.assert_closed(&[v4(1)]);
    race.fails(v4(1));
    race.assert_tried(&[v4(1), v6(1)]);
}

#[test]
fn a_failure_beside_the_other_family_starts_the_next_address_of_its_own() {
    let race = Race::between(&[v4(1), v4(2), v6(1), v6(2)]);
    race.pass(DELAY);
    race.fails(v4(1));
    race.assert_tried(&[v4(1), v6(1), v4(2)]);
    race.connects(v6(1));
    race.assert_won_by(v6(1));
    race.assert_closed(&[v4(1), v4(2)]);
}

#[test]
fn the_first_family_wins_late_and_the_loser_is_closed() {
    let race = Race::between(&[v4(1), v4(2), v6(1), v6(2)]);
    race.pass(DELAY);
    race.assert_tried(&[v4(1), v6(1)]);
    race.connects(v4(1));
    race.assert_won_by(v4(1));
    race.assert_closed(&[v6(1)]);
    // It would have connected, too.
    race.connects(v6(1));
    race.assert_won_by(v4(1));
    race.assert_closed(&[v6(1)]);
}

#[test]
fn the_error_comes_when_both_families_are_through_and_not_before() {
    let race = Race::between(&[v4(1), v4(2), v6(1), v6(2)]);
    race.pass(DELAY);
    race.fails(v4(1));
    race.assert_tried(&[v4(1), v6(1), v4(2)]);
    race.fails(v6(1));
    race.assert_tried(&[v4(1), v6(1), v4(2), v6(2)]);
    race.fails(v4(2));
    race.assert_running();
    race.fails(v6(2));
    race.assert_lost(&[v4(1), v6(1), v4(2), v6(2)]);
}

#[test]
fn an_overall_timeout_closes_the_attempt_and_starts_nothing_more() {
    let race = Race::within(DELAY * 2, &[v4(1), v4(2)]);
    race.pass(DELAY + ALMOST);
    race.assert_running();
    race.pass(A_LITTLE);
    race.assert_timed_out(&[]);
    race.assert_closed(&[v4(1)]);
    race.fails(v4(1));
    race.assert_tried(&[v4(1)]);
}

#[test]
fn an_overall_timeout_leaves_a_winner_alone() {
    let race = Race::within(DELAY * 2, &[v4(1), v4(2)]);
    race.connects(v4(1));
    race.assert_won_by(v4(1));
    race.pass(DELAY * 3);
    race.assert_won_by(v4(1));
    race.assert_closed(&[]);
}

#[test]
fn an_overall_timeout_ends_a_second_attempt() {
    let race = Race::within(DELAY * 2, &[v4(1), v4(2)]);
    race.fails(v4(1));
    race.assert_tried(&[v4(1), v4(2)]);
    race.pass(DELAY * 2);
    race.assert_timed_out(&[v4(1)]);
    race.assert_closed(&[v4(1), v4(2)]);
}

#[test]
fn an_error_before_the_overall_timeout_stays_the_error() {
    let race = Race::within(DELAY * 2, &[v4(1), v4(2)]);
    race.fails(v4(1));
    race.fails(v4(2));
    race.assert_lost(&[v4(1), v4(2)]);
    race.pass(DELAY * 3);
    race.assert_lost(&[v4(1), v4(2)]);
}

#[test]
fn an_overall_timeout_closes_the_attempts_of_both_families() {
    let race = Race::within(DELAY * 2, &[v4(1), v4(2), v6(1), v6(2)]);
    race.pass(DELAY);
    race.assert_tried(&[v4(1), v6(1)]);
    race.pass(DELAY);
    race.assert_timed_out(&[]);
    race.assert_closed(&[v4(1), v6(1)]);
    race.connects(v6(1));
    race.assert_tried(&[v4(1), v6(1)]);
}

#[test]
fn the_winner_closes_the_attempt_that_is_still_under_way() {
    let race = Race::within(DELAY * 4, &[v4(1), v4(2), v6(1), v6(2)]);
    race.pass(DELAY);
    race.connects(v6(1));
    race.assert_won_by(v6(1));
    race.assert_closed(&[v4(1)]);
    race.pass(DELAY * 4);
    race.assert_closed(&[v4(1)]);
}

#[test]
fn after_an_overall_timeout_the_delay_starts_nothing() {
    let race = Race::within(DELAY / 3, &[v4(1), v4(2), v6(1), v6(2)]);
    race.pass(DELAY / 3);
    race.assert_timed_out(&[]);
    race.pass(DELAY);
    race.assert_tried(&[v4(1)]);
    race.assert_closed(&[v4(1)]);
}

#[test]
fn attempts_that_fail_at_once_are_walked_through_at_once() {
    let addresses = [v4(1), v6(1), v4(2), v6(2), v4(3)];
    let race = Race::between(&addresses);
    for address in addresses.into_iter().filter(|address| *address != v4(1)) {
        race.attempts.ended.borrow_mut().insert(address, false);
    }
    race.fails(v4(1));
    race.assert_lost(&[v4(1), v4(2), v4(3), v6(1), v6(2)]);
}

#[test]
fn no_address_is_no_winner() {
    Race::between(&[]).assert_lost(&[]);
}

#[test]
fn a_race_that_is_given_up_closes_its_attempts() {
    let race = Race::between(&[v4(1), v6(1)]);
    race.pass(DELAY);
    race.io_loop.close().unwrap();
    race.assert_closed(&[v4(1), v6(1)]);
}

/// Also if the future is kept.
#[test]
fn whoever_loses_is_closed_with_the_others_victory() {
    let attempts: Rc<Attempts> = Rc::default();
    attempts.ended.borrow_mut().extend([(v4(1), false), (v6(1), true)]);
    let connect = {
        let attempts = attempts.clone();
        move |address| Attempt(Some(Stream { address, attempts: attempts.clone() }))
    };
    let closed = attempts.clone();
    let closed_by_then = IoLoop::current().run_sync(async move {
        let mut failures = Vec::new();
        let mut connector = Connector::new(vec![v4(1), v4(2), v6(1)], DELAY, connect, &mut failures);
        let winner = (&mut connector).await.unwrap();
        assert_eq!(winner.address, v6(1));
        closed.closed.borrow().clone()
    });
    assert_eq!(closed_by_then, Ok(vec![v4(1), v4(2)]));
}

/// The one that failed is closed before its successor begins: a source port can be used again.
#[test]
fn a_failed_attempt_is_closed_before_the_next_one_begins() {
    let closed_by_then = Rc::new(Cell::new(None));
    let attempts: Rc<Attempts> = Rc::default();
    attempts.ended.borrow_mut().extend([(v4(1), false), (v4(2), true)]);
    let seen = closed_by_then.clone();
    let connect = move |address| {
        seen.set(Some(attempts.closed.borrow().len()));
        Attempt(Some(Stream { address, attempts: attempts.clone() }))
    };
    let connected = IoLoop::current().run_sync(async move {
        let mut failures = Vec::new();
        Connector::new(vec![v4(1), v4(2)], DELAY, connect, &mut failures).await.is_some()
    });
    assert_eq!(connected, Ok(true));
    assert_eq!(closed_by_then.get(), Some(1));
}

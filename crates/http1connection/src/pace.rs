//! How long to wait for more of a body: until its whole time is over, or until it falls behind the least pace.
//!
//! The pace is a budget of time: it begins with the grace, each byte adds what it may take at the least rate, and it never
//! holds more than the grace. So a body may pause, but not for longer than that, however much came before; and one that trickles in
//! can't keep its connection for longer than its bytes are worth. What the application takes for a piece is added, too: while
//! it works the peer can't be blamed.

use std::time::{Duration, Instant};

use crate::params::Http1ConnectionParameters;

pub(crate) struct Pace {
    /// The end of the body's whole time.
    whole: Option<Instant>,
    /// The end of the budget.
    budget: Option<Instant>,
    /// Bytes per second.
    rate: u32,
    grace: Duration,
}

/// Why no more is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    Whole,
    Pace,
}

impl Pace {
    /// The body begins.
    pub(crate) fn new(params: &Http1ConnectionParameters, timeout: Option<Duration>, now: Instant) -> Self {
        let (rate, grace) = (params.min_body_rate, params.body_rate_grace);
        let budget = (rate > 0).then(|| now.checked_add(grace)).flatten();
        Self { whole: timeout.and_then(|timeout| now.checked_add(timeout)), budget, rate, grace }
    }

    /// The application sets another time from now on. Without any the peer may also be as slow as it likes.
    pub(crate) fn set(&mut self, timeout: Option<Duration>, now: Instant) {
        self.whole = timeout.and_then(|timeout| now.checked_add(timeout));
        if timeout.is_none() {
            self.budget = None;
        }
    }

    /// So many bytes came.
    pub(crate) fn received(&mut self, bytes: usize, now: Instant) {
        if let Some(budget) = self.budget {
            let worth = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / u64::from(self.rate));
            self.budget = Some((budget + worth).min(now + self.grace));
        }
    }

    /// The application took so long for them.
    pub(crate) fn held_up(&mut self, took: Duration) {
        self.budget = self.budget.and_then(|budget| budget.checked_add(took));
    }

    /// The end of the whole time, if there is one.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.whole
    }

    /// When to give up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        earliest(self.whole, self.budget)
    }

    /// Whether the whole time has passed. Then nothing more is taken, not even what has come: an application that takes its time
    /// for each piece would find more of them for ever.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.whole.is_some_and(|end| end <= now)
    }

    /// What was too late when the deadline has passed.
    pub(crate) fn late(&self) -> Late {
        if self.whole.is_some() && self.deadline() == self.whole { Late::Whole } else { Late::Pace }
    }
}

pub(crate) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use landspout_ioloop::{IoLoop, ManualClock};

    use super::*;

    fn begin() -> Instant {
        IoLoop::with_clock(ManualClock::new()).now()
    }

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn pace(rate: u32, grace: u64, timeout: Option<u64>, now: Instant) -> Pace {
        let params = Http1ConnectionParameters {
            min_body_rate: rate,
            body_rate_grace: seconds(grace),
            ..Http1ConnectionParameters::default()
        };
        Pace::new(&params, timeout.map(seconds), now)
    }

    #[test]
    fn bytes_buy_time_up_to_the_grace() {
        let begin = begin();
        let mut pace = pace(100, 10, None, begin);
        let mut at = |bytes, after| {
            pace.received(bytes, begin + seconds(after));
            pace.deadline().map(|deadline| (deadline - begin).as_secs())
        };
        assert_eq!(at(0, 0), Some(10));
        assert_eq!(at(200, 5), Some(12));
        assert_eq!(at(100_000_000, 6), Some(16), "no more than the grace");
        assert_eq!(at(usize::MAX, 7), Some(17));
        assert_eq!(at(1, 16), Some(17));
    }

    #[test]
    fn what_the_application_takes_is_not_the_peers_fault() {
        let begin = begin();
        let mut pace = pace(100, 10, Some(60), begin);
        pace.held_up(seconds(30));
        assert_eq!((pace.deadline(), pace.late()), (Some(begin + seconds(40)), Late::Pace));
        pace.held_up(seconds(30));
        assert_eq!(
            (pace.deadline(), pace.late()),
            (Some(begin + seconds(60)), Late::Whole),
            "but the whole time counts"
        );
        pace.held_up(Duration::MAX);
        assert_eq!(pace.deadline(), Some(begin + seconds(60)));
    }

    #[test]
    fn without_limits_there_is_no_deadline() {
        let begin = begin();
        assert_eq!(pace(0, 10, None, begin).deadline(), None);
        assert_eq!(pace(1, u64::MAX, None, begin).deadline(), None);
        assert_eq!(pace(0, 10, Some(u64::MAX), begin).deadline(), None);
        let mut slow = pace(1000, 10, Some(20), begin);
        slow.set(Some(seconds(5)), begin + seconds(1));
        assert_eq!(slow.deadline(), Some(begin + seconds(6)));
        slow.set(None, begin + seconds(2));
        slow.received(10, begin + seconds(3));
        assert_eq!(slow.deadline(), None);
    }
}

//! What is rendered once and sent many times, for all connections of a server: the date, once a second, and constant heads.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime};

use landspout_http1::RenderedHeads;
use landspout_httputil::imf_fixdate;

use crate::refusal::Shape;

/// `Sun, 06 Nov 1994 08:49:37 GMT` (IMF-fixdate, RFC 9110, section 5.6.7).
pub(crate) type HttpDate = [u8; 29];

pub(crate) struct Rendered {
    /// Heads of responses, dated.
    pub(crate) heads: RefCell<RenderedHeads>,
    /// Answers to errors; rendered when there is one.
    pub(crate) refusals: Shape,
    /// When the next second begins, on the loop's clock.
    valid_until: Cell<Option<Instant>>,
}

impl Rendered {
    pub(crate) fn new() -> Self {
        Self { heads: RefCell::default(), refusals: Shape::default(), valid_until: Cell::new(None) }
    }

    /// Has the heads dated `now`. `wall` is asked for the time of day once a second.
    #[inline]
    pub(crate) fn refresh(&self, now: Instant, wall: impl FnOnce() -> SystemTime) {
        if self.valid_until.get().is_none_or(|until| now >= until) {
            self.format(now, wall());
        }
    }

    #[cold]
    fn format(&self, now: Instant, wall: SystemTime) {
        self.heads.borrow_mut().set_date(&imf_fixdate(wall));
        let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let rest = Duration::from_nanos(1_000_000_000 - u64::from(since_epoch.subsec_nanos()));
        self.valid_until.set(Some(now + rest));
    }
}

#[cfg(test)]
mod tests {
    use landspout_ioloop::{IoLoop, ManualClock};

    use super::*;

    #[test]
    fn changes_with_the_second_and_not_before() {
        let clock = ManualClock::new();
        clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_400));
        let io_loop = IoLoop::with_clock(clock.clone());
        let turn = || io_loop.run_sync(async {}).unwrap();
        let rendered = Rendered::new();
        let date = || {
            rendered.refresh(io_loop.now(), || io_loop.wall_time());
            *rendered.heads.borrow().date()
        };
        assert_eq!(&date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance(Duration::from_millis(599));
        turn();
        assert_eq!(&date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        clock.advance(Duration::from_millis(1));
        turn();
        assert_eq!(&date(), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }
}

//! What can be waited for on a descriptor, with Tornado's names and values.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of readiness events: [`READ`](Events::READ), [`WRITE`](Events::WRITE), [`ERROR`](Events::ERROR).
///
/// The values are Tornado's, which are those of epoll: 1, 4 and 0x18.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Events(u32);

impl Events {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// There is something to read, or the peer closed its side.
    pub const READ: Self = Self(0x001);
    /// There is room to write.
    pub const WRITE: Self = Self(0x004);
    /// An error or a hang-up. Always reported, asked for or not.
    pub const ERROR: Self = Self(0x018);

    /// Whether every event of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether this set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The number that Tornado uses for this set.
    pub const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What the poller is asked for. It always reports errors; a set without a direction has to name one all the same.
    pub(crate) fn interest(self) -> mio::Interest {
        match (self.contains(Self::READ), self.contains(Self::WRITE)) {
            (true, true) => mio::Interest::READABLE | mio::Interest::WRITABLE,
            (false, true) => mio::Interest::WRITABLE,
            (_, false) => mio::Interest::READABLE,
        }
    }
}

impl BitOr for Events {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Vec::new();
        for (event, name) in [(Self::READ, "READ"), (Self::WRITE, "WRITE"), (Self::ERROR, "ERROR")] {
            if self.contains(event) {
                names.push(name);
            }
        }
        f.write_str(if names.is_empty() { "NONE".to_owned() } else { names.join(" | ") }.as_str())
    }
}

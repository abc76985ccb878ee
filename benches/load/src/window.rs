//! The time that counts: a warm-up, then a span between two readings of the meter; and the line that tells about it.

use std::time::{Duration, Instant};

use crate::Error;
use crate::cost::{Meter, Reading};
use crate::idle::Held;
use crate::options::Options;
use crate::state;

/// What a load did since its begin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Answered ones.
    pub(crate) requests: u64,
    /// Of answers' bodies.
    pub(crate) bytes: u64,
    pub(crate) errors: u64,
}

/// A load asks it at every turn whether to go on.
pub(crate) struct Window {
    meter: Meter,
    seconds: Duration,
    /// When the warm-up ends, then when the count ends.
    next: Instant,
    begin: Option<(Reading, Totals)>,
    /// What is to be printed, once it is over.
    words: Option<String>,
    /// What a kind has to tell besides.
    notes: String,
}

impl Window {
    /// Whether the load has to go on. The totals that it has at the two ends of the window make the difference that is printed.
    pub(crate) fn open(&mut self, totals: &Totals) -> Result<bool, Error> {
        if Instant::now() < self.next {
            return Ok(true);
        }
        let reading = self.meter.read()?;
        match &self.begin {
            None => {
                self.next = Instant::now() + self.seconds;
                self.begin = Some((reading, *totals));
                Ok(true)
            }
            Some((first, before)) => {
                let requests = totals.requests - before.requests;
                let bytes = totals.bytes - before.bytes;
                self.words = Some(format!("requests={requests} bytes={bytes} {}", reading.since(first)));
                Ok(false)
            }
        }
    }

    /// Begins to count now, for a load that has no turns and ends by itself.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        self.begin = Some((self.meter.read()?, Totals::default()));
        Ok(())
    }

    /// Ends what `begin` began.
    pub(crate) fn end(&mut self, totals: &Totals) -> Result<(), Error> {
        self.next = Instant::now();
        self.open(totals).map(|_| ())
    }

    /// Words to print behind the others.
    pub(crate) fn note(&mut self, words: &str) {
        self.notes.push(' ');
        self.notes.push_str(words);
    }

    /// What the server has resident, in bytes.
    pub(crate) fn resident(&self) -> Result<u64, Error> {
        self.meter.resident()
    }

    /// How long to wait at most before asking again.
    pub(crate) fn left(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }
}

/// Runs a load between two looks at the state of the machine, and tells about it in one line.
pub(crate) fn measured(
    options: &Options,
    load: fn(&Options, &mut Window) -> Result<Totals, Error>,
) -> Result<String, Error> {
    let look = || match (options.server_cpu, options.cpu) {
        (Some(one), Some(other)) => state::round_trip(one, other).map(Some),
        _ => Ok(None),
    };
    let before = look()?;
    if let Some(cpu) = if options.together { options.server_cpu } else { options.cpu } {
        state::pin(cpu).map_err(|error| format!("--cpu {cpu}: {error}"))?;
    }
    let mut held = Held::default();
    held.open(options, options.idle)?;
    let meter = Meter::new(options)?;
    let next = Instant::now() + options.warm_up;
    let mut window = Window { meter, seconds: options.seconds, next, begin: None, words: None, notes: String::new() };
    let totals = load(options, &mut window)?;
    let mut words = window.words.take().unwrap_or_else(|| "requests=0 bytes=0".to_owned());
    words.push_str(&format!(" errors={} peak_kib={}", totals.errors, window.meter.peak()?));
    words.push_str(&window.notes);
    held.close()?;
    if let (Some(before), Some(after)) = (before, look()?) {
        words.push_str(&format!(" state_before={before:.1} state_after={after:.1}"));
    }
    Ok(words)
}

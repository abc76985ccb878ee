//! What is logged while a test runs.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Has this program's log go to whoever is in [`logged`] on the same thread. Every test comes by here before anything is logged:
/// whether an event's place in the code is worth a call is decided once for all threads, when it is first met.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Lines).expect("nobody else installs one"));
}

/// Gives what `f` returns and the lines that this thread logged meanwhile, without those of the lowest levels.
pub fn logged<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    install();
    LINES.set(Some(Vec::new()));
    let result = f();
    (result, LINES.take().unwrap_or_default())
}

/// Those that an operator has to look at.
pub fn alarms(lines: &[String]) -> Vec<&str> {
    let alarm = |line: &&str| line.starts_with("ERROR") || line.starts_with("WARN");
    lines.iter().map(String::as_str).filter(alarm).collect()
}

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// The smallest subscriber: each event is a line of level and message.
struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = format!("{} ", event.metadata().level());
        event.record(&mut Message(&mut line));
        // A thread that ends has nobody who asks.
        let _ = LINES.try_with(|lines| lines.borrow_mut().as_mut().map(|lines| lines.push(line)));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

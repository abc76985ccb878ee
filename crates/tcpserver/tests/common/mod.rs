//! What the test files share: a loop for each test, and a log that can be read.

#![allow(dead_code, unreachable_pub, reason = "each test file is a program of its own and uses a part of this")]

use std::cell::{Cell, RefCell};
use std::fmt::{Debug, Write};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Once;
use std::task::{Poll, Waker};
use std::time::Duration;

use landspout_ioloop::IoLoop;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// A test that would hang ends after this.
pub const GUARD: Duration = Duration::from_secs(120);

/// Runs a test's future on a loop of its own.
pub fn run<F: Future + 'static>(future: F) -> F::Output {
    install();
    let io_loop = IoLoop::new().expect("a loop");
    let output = io_loop.run_sync_timeout(GUARD, future).expect("the test ends by itself");
    io_loop.close().expect("the loop stands still");
    output
}

/// Waits for the loop's next turn: what was queued before has run, and streams were flushed.
pub async fn next_turn() {
    let turned = Rc::new(Cell::new(false));
    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    IoLoop::current().add_callback({
        let turned = turned.clone();
        move || {
            turned.set(true);
            waker.wake();
        }
    });
    poll_fn(|_| if turned.get() { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Lets `n` turns of the loop pass.
pub async fn turns(n: usize) {
    for _ in 0..n {
        next_turn().await;
    }
}

/// Polls a future once.
pub async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Turns the loop until the condition holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        next_turn().await;
    }
}

/// Something to wait for, until the test opens it.
#[derive(Clone, Default)]
pub struct Gate(Rc<(Cell<bool>, RefCell<Vec<Waker>>)>);

impl Gate {
    pub fn open(&self) {
        self.0.0.set(true);
        for waker in self.0.1.take() {
            waker.wake();
        }
    }

    pub async fn wait(&self) {
        poll_fn(|cx| {
            if self.0.0.get() {
                return Poll::Ready(());
            }
            self.0.1.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

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
        let _ = LINES.try_with(|lines| match &mut *lines.borrow_mut() {
            Some(lines) => lines.push(line),
            // The loop only logs what fails in a handler or a task: without a reader that fails the test.
            None if line.starts_with("ERROR panic") && !std::thread::panicking() => panic!("{line}"),
            None => {}
        });
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

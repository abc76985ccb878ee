//! What the test files share: a clock that ends the loop when it has nothing left to do, and a log that can be read.

#![allow(dead_code, unreachable_pub, reason = "each test file is a program of its own and uses a part of this")]

use std::cell::{Cell, RefCell};
use std::fmt::{Debug, Write};
use std::future::Future;
use std::io::{Read, Write as _};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Once;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use landspout_ioloop::{Clock, IoLoop, ManualClock};
use tracing::field::{Field, Visit};
use tracing::span;

/// Where real time has to pass, a test that would hang ends after this.
pub const GUARD: Duration = Duration::from_secs(60);

/// How many idle-looking polls are a spin.
const SPIN: usize = 20_000;

/// A clock that stands still unless it is moved, and stops the loop as soon as it would block: what a loop does until
/// then is all that it has to do, so no test waits and none hangs.
#[derive(Clone)]
pub struct StillClock {
    time: ManualClock,
    asked: Rc<RefCell<Vec<Option<Instant>>>>,
    /// How often the time was read since the loop thought of blocking.
    reads: Rc<Cell<usize>>,
}

impl StillClock {
    pub fn advance(&self, by: Duration) {
        self.time.advance(by);
    }

    /// The deadlines up to which the loop wanted to block since this was asked last, one for each poll without other work.
    pub fn asked(&self) -> Vec<Option<Instant>> {
        self.asked.take()
    }
}

impl Clock for StillClock {
    fn monotonic(&self) -> Instant {
        self.reads.set(self.reads.get() + 1);
        assert!(self.reads.get() < SPIN, "the loop spins");
        self.time.monotonic()
    }

    fn wall(&self) -> SystemTime {
        self.time.wall()
    }

    fn block_for(&self, _: Instant, deadline: Option<Instant>) -> Option<Duration> {
        self.reads.set(0);
        self.asked.borrow_mut().push(deadline);
        assert!(self.asked.borrow().len() < SPIN, "the loop spins");
        Some(Duration::ZERO)
    }

    fn idled(&self, deadline: Option<Instant>) {
        if deadline.is_none_or(|at| at > self.time.monotonic()) {
            IoLoop::current().stop();
        }
    }
}

/// A loop whose time stands still.
pub fn still_loop() -> (IoLoop, StillClock) {
    install_log();
    let clock = StillClock { time: ManualClock::new(), asked: Rc::default(), reads: Rc::default() };
    let io_loop = IoLoop::with_clock(clock.clone());
    (io_loop, clock)
}

/// Runs the loop of [`still_loop`] until it would block.
pub fn run_until_idle(io_loop: &IoLoop) {
    io_loop.start().expect("the loop runs");
}

/// Runs a loop with a real clock until somebody stops it; fails instead of hanging.
pub fn run_until_stopped(io_loop: &IoLoop) {
    let late = Rc::new(Cell::new(false));
    let guard = io_loop.call_later(GUARD, {
        let (late, io_loop) = (late.clone(), io_loop.clone());
        move || {
            late.set(true);
            io_loop.stop();
        }
    });
    io_loop.start().expect("the loop runs");
    io_loop.remove_timeout(guard);
    assert!(!late.get(), "nobody stopped the loop");
}

/// A list that closures of a test write to, in the order in which they run.
pub struct Trace<T = &'static str>(Rc<RefCell<Vec<T>>>);

impl<T> Default for Trace<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T> Clone for Trace<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Trace<T> {
    pub fn push(&self, entry: T) {
        self.0.borrow_mut().push(entry);
    }

    /// A closure that writes `entry`.
    pub fn pusher(&self, entry: T) -> impl FnOnce() + use<T> {
        let trace = self.clone();
        move || trace.push(entry)
    }

    pub fn take(&self) -> Vec<T> {
        self.0.take()
    }

    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// Runs its closure when it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A value that panics when it is dropped.
pub fn bomb(text: &'static str) -> OnDrop<impl FnMut()> {
    OnDrop(move || panic!("{text}"))
}

/// A connected pair of sockets that never block.
pub fn socket_pair() -> (UnixStream, UnixStream) {
    let (one, other) = UnixStream::pair().expect("a pair of sockets");
    one.set_nonblocking(true).unwrap();
    other.set_nonblocking(true).unwrap();
    (one, other)
}

/// Reads at most `limit` bytes; how many came.
pub fn read_some(mut socket: &UnixStream, limit: usize) -> usize {
    socket.read(&mut vec![0; limit]).expect("there is something to read")
}

pub fn write_all(mut socket: &UnixStream, bytes: &[u8]) {
    socket.write_all(bytes).expect("there is room to write");
}

/// Lets other tasks run once.
#[derive(Default)]
pub struct YieldNow(bool);

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pub fn yield_now() -> YieldNow {
    YieldNow::default()
}

/// Has this program's log go to whoever is in [`logged`] on the same thread. Tests come by here before anything is logged:
/// whether an event's place in the code is worth a call is decided once for all threads, when it is first met.
pub fn install_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Lines).expect("nobody else installs one"));
    WATCHED.set(true);
}

/// Gives what `f` returns and the messages that this thread logged meanwhile.
pub fn logged<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    install_log();
    LINES.set(Some(Vec::new()));
    let result = f();
    (result, LINES.take().unwrap_or_default())
}

/// Asserts that of the lines exactly one is an error and says `text`.
#[track_caller]
pub fn assert_one_error(lines: &[String], text: &str) {
    let errors: Vec<_> = lines.iter().filter(|line| line.starts_with("ERROR")).collect();
    assert!(errors.len() == 1 && errors[0].contains(text), "expected one error with {text:?}: {lines:#?}");
}

thread_local! {
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    /// A test's own thread. The loop would only log what fails in a callback, and the test would go on: an error that is logged
    /// while nobody is in [`logged`] fails it.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// The smallest subscriber: each event is a line of level and message.
struct Lines;

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = format!("{} ", event.metadata().level());
        event.record(&mut Message(&mut line));
        // A thread that ends has nobody who asks.
        let _ = LINES.try_with(|lines| match &mut *lines.borrow_mut() {
            Some(lines) => lines.push(line),
            None if line.starts_with("ERROR") && WATCHED.get() && !std::thread::panicking() => panic!("{line}"),
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

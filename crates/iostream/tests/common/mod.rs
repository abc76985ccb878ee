//! What the test files share: pairs of streams over every transport, and ways to watch them.

#![allow(
    dead_code,
    unreachable_pub,
    unused_macros,
    reason = "each test file is a program of its own and uses a part of this"
)]

pub mod counting;
pub mod simulated;
#[cfg(feature = "tls")]
pub mod tls;
pub mod wakers;

use std::cell::{Cell, RefCell};
use std::fmt::{Debug, Write};
use std::future::{Future, poll_fn};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use landspout_ioloop::IoLoop;
use landspout_iostream::{IoStream, StreamError, StreamOptions};
use tracing::field::{Field, Visit};
use tracing::span;

/// A test that would hang ends after this.
pub const GUARD: Duration = Duration::from_secs(60);

/// How many random sequences of calls a test makes over each transport. `cargo xtask soak` asks for more.
pub fn sequences() -> u64 {
    std::env::var("LANDSPOUT_SEQUENCES").map_or(1000, |number| number.parse().expect("a number"))
}

/// Runs a test's future on a loop of its own.
pub fn run<F: Future + 'static>(future: F) -> F::Output {
    LISTENING.call_once(listen);
    let io_loop = IoLoop::new().expect("a loop");
    let guard = GUARD * sequences().div_ceil(1000) as u32;
    let output = io_loop.run_sync_timeout(guard, future).expect("the test ends by itself");
    io_loop.close().expect("the loop stands still");
    output
}

/// What a pair of streams is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Tcp,
    Unix,
    /// Carries bytes from the first stream to the second only.
    Pipe,
    /// Memory, cut into pieces of odd sizes.
    Simulated,
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls,
    /// TLS over `Simulated`: records arrive in pieces, and what is sent is taken in pieces.
    #[cfg(feature = "tls")]
    TlsSimulated,
}

impl Over {
    pub const ALL: &[Self] = &[
        Self::Tcp,
        Self::Unix,
        Self::Pipe,
        Self::Simulated,
        #[cfg(feature = "tls")]
        Self::Tls,
        #[cfg(feature = "tls")]
        Self::TlsSimulated,
    ];

    /// Two connected streams; the first one can always write, the second one can always read.
    pub async fn pair(self) -> (IoStream, IoStream) {
        self.pair_with(StreamOptions::new(), StreamOptions::new()).await
    }

    pub async fn pair_with(self, first: StreamOptions, second: StreamOptions) -> (IoStream, IoStream) {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls | Self::TlsSimulated => {
                let below = if self == Self::Tls { Self::Tcp } else { Self::Simulated };
                let pair = tls::secured(below.plain_pair(first, second)).await;
                // The server's tickets leave at the end of its turn.
                next_turn().await;
                pair
            }
            plain => plain.plain_pair(first, second),
        }
    }

    pub fn plain_pair(self, first: StreamOptions, second: StreamOptions) -> (IoStream, IoStream) {
        match self {
            Self::Tcp => {
                let (one, other) = tcp_sockets();
                (IoStream::from_tcp(one, first).unwrap(), IoStream::from_tcp(other, second).unwrap())
            }
            Self::Unix => {
                let (one, other) = UnixStream::pair().unwrap();
                (IoStream::from_unix(one, first).unwrap(), IoStream::from_unix(other, second).unwrap())
            }
            Self::Pipe => {
                let (reader, writer) = os_pipe();
                (IoStream::from_pipe(writer, first).unwrap(), IoStream::from_pipe(reader, second).unwrap())
            }
            Self::Simulated => simulated::pair(simulated::CAPACITY, first, second),
            #[cfg(feature = "tls")]
            Self::Tls | Self::TlsSimulated => unreachable!("made of another pair"),
        }
    }

    pub fn both_ways(self) -> bool {
        self != Self::Pipe
    }
}

/// Makes a test of each named case (`async fn case(over: Over)`) for each transport: `case::tcp`, `case::unix`, ...
macro_rules! over_each_transport {
    ($($case:ident),+ $(,)?) => {$(
        mod $case {
            #[test]
            fn tcp() {
                $crate::common::run(super::$case($crate::common::Over::Tcp));
            }
            #[test]
            fn unix() {
                $crate::common::run(super::$case($crate::common::Over::Unix));
            }
            #[test]
            fn pipe() {
                $crate::common::run(super::$case($crate::common::Over::Pipe));
            }
            #[test]
            fn simulated() {
                $crate::common::run(super::$case($crate::common::Over::Simulated));
            }
            #[cfg(feature = "tls")]
            #[test]
            fn tls() {
                $crate::common::run(super::$case($crate::common::Over::Tls));
            }
            #[cfg(feature = "tls")]
            #[test]
            fn tls_simulated() {
                $crate::common::run(super::$case($crate::common::Over::TlsSimulated));
            }
        }
    )+};
}

/// As `over_each_transport`, without the one that carries bytes in one direction only.
macro_rules! over_each_two_way_transport {
    ($($case:ident),+ $(,)?) => {$(
        mod $case {
            #[test]
            fn tcp() {
                $crate::common::run(super::$case($crate::common::Over::Tcp));
            }
            #[test]
            fn unix() {
                $crate::common::run(super::$case($crate::common::Over::Unix));
            }
            #[test]
            fn simulated() {
                $crate::common::run(super::$case($crate::common::Over::Simulated));
            }
            #[cfg(feature = "tls")]
            #[test]
            fn tls() {
                $crate::common::run(super::$case($crate::common::Over::Tls));
            }
            #[cfg(feature = "tls")]
            #[test]
            fn tls_simulated() {
                $crate::common::run(super::$case($crate::common::Over::TlsSimulated));
            }
        }
    )+};
}

/// A connected pair of blocking TCP sockets.
pub fn tcp_sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

/// The two ends of a pipe, reader first.
pub fn os_pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe().unwrap()
}

/// A path where nothing is yet.
pub fn temporary_path(what: &str) -> std::path::PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("landspout-iostream-{what}-{}-{number}", std::process::id()))
}

/// Polls once with the task's waker.
pub async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Lets the other tasks that are ready run.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits for the loop's next turn: what was queued before has run, and streams were flushed.
pub async fn next_turn() {
    let turned = Rc::new(std::cell::Cell::new(false));
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

pub async fn turns(n: usize) {
    for _ in 0..n {
        next_turn().await;
    }
}

/// Turns the loop until the condition holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        next_turn().await;
    }
}

/// Spawns on the current loop.
pub fn spawn<F: Future + 'static>(future: F) -> landspout_ioloop::JoinHandle<F::Output> {
    IoLoop::current().spawn(future)
}

/// Closed by a failure of the transport of this kind.
#[track_caller]
pub fn assert_closed_by<T: Debug>(result: &Result<T, StreamError>, kind: std::io::ErrorKind) {
    match result {
        Err(StreamError::Closed(Some(cause))) if cause.io_kind() == Some(kind) => {}
        other => panic!("expected a close by {kind:?}, got {other:?}"),
    }
}

/// Closed, with no cause: the peer's clean end or our own close.
#[track_caller]
pub fn assert_closed_cleanly<T: Debug>(result: &Result<T, StreamError>) {
    assert!(matches!(result, Err(StreamError::Closed(None))), "expected a clean close, got {result:?}");
}

/// Random numbers that are the same in each run.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// A list that the parts of a test write to, in the order in which they run.
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

impl<T: 'static> Trace<T> {
    pub fn push(&self, entry: T) {
        self.0.borrow_mut().push(entry);
    }

    /// A close callback that writes `entry`.
    pub fn callback(&self, entry: T) -> Option<Box<dyn FnOnce()>> {
        let trace = self.clone();
        Some(Box::new(move || trace.push(entry)))
    }

    pub fn take(&self) -> Vec<T> {
        self.0.take()
    }

    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Runs its closure when it is dropped.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Gives what `f` returns and the lines that this thread logged meanwhile, without those of the lowest levels.
pub fn logged<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    LISTENING.call_once(listen);
    LINES.with_borrow_mut(Vec::clear);
    READ.set(true);
    let result = f();
    READ.set(false);
    (result, LINES.take())
}

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// Somebody is in [`logged`]. The loop only logs what fails in a task that nobody awaits: without a reader that fails the test.
    static READ: Cell<bool> = const { Cell::new(false) };
}

/// One subscriber for the process, there before the first test logs: one for each thread, coming and going, can miss a place
/// that logs for the first time on another thread.
static LISTENING: Once = Once::new();

fn listen() {
    tracing::subscriber::set_global_default(ByThread).expect("nobody else listens");
}

/// The smallest subscriber: each event is a line of level and message.
struct ByThread;

impl tracing::Subscriber for ByThread {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = format!("{} ", event.metadata().level());
        event.record(&mut Message(&mut line));
        let read = READ.try_with(Cell::get).unwrap_or(true) || std::thread::panicking();
        assert!(read || !line.starts_with("ERROR panic"), "{line}");
        // A thread that ends may log, too.
        let _ = LINES.try_with(|lines| lines.borrow_mut().push(line));
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

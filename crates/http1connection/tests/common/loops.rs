//! Loops for tests, and what parts of a test tell each other.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use landspout_ioloop::{IoLoop, ManualClock};

/// A test that would hang ends after this.
pub const GUARD: Duration = Duration::from_secs(120);

/// Runs a test's future on a loop of its own.
pub fn run<F: Future + 'static>(future: F) -> F::Output {
    super::log::install();
    let io_loop = IoLoop::new().expect("a loop");
    let output = io_loop.run_sync_timeout(GUARD, future).expect("the test ends by itself");
    io_loop.close().expect("the loop stands still");
    output
}

/// Runs a test's future on a loop whose time jumps to the next deadline when nothing else is to be done. All peers have to
/// live on it, over [`connect_pair`]. A test that would hang jumps over the guard.
pub fn run_jumping<F: Future + 'static>(test: impl FnOnce(ManualClock) -> F) -> F::Output {
    super::log::install();
    let clock = ManualClock::jumping();
    let io_loop = IoLoop::with_clock(clock.clone());
    let output = io_loop.run_sync_timeout(Duration::from_secs(1_000_000), test(clock));
    let output = output.expect("the test ends by itself");
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

/// Runs blocking code in a thread and waits for its result on the loop.
pub async fn in_thread<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(f);
    // The thread's end is not an event of the loop; what it does to its sockets is, and the turns don't block.
    until(|| thread.is_finished()).await;
    thread.join().expect("the thread's own assertions hold")
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

    /// How many have come to wait; those that were woken for something else count again.
    pub fn waiters(&self) -> usize {
        self.0.1.borrow().len()
    }

    /// Somebody has come to wait.
    pub fn is_waited_for(&self) -> bool {
        !self.0.1.borrow().is_empty()
    }
}

/// A list that the parts of a test write to, in the order in which they run.
#[derive(Clone, Default)]
pub struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    pub fn push(&self, entry: impl Into<String>) {
        self.0.borrow_mut().push(entry.into());
    }

    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub fn has(&self, entry: &str) -> bool {
        self.count(entry) > 0
    }

    pub fn count(&self, entry: &str) -> usize {
        self.0.borrow().iter().filter(|known| *known == entry).count()
    }

    /// A close callback that writes `entry`.
    pub fn callback(&self, entry: &str) -> Option<Box<dyn FnOnce()>> {
        let (trace, entry) = (self.clone(), entry.to_owned());
        Some(Box::new(move || trace.push(entry)))
    }
}

/// Writes an entry when it is dropped.
pub struct OnDrop(pub Trace, pub &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.push(self.1);
    }
}

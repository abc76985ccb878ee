//! Tasks: futures that a loop runs on its thread.
//!
//! A task is an `async-task` allocation that holds its future and travels as a `Runnable` through the ready queue of its
//! loop. A wake on the loop's thread is a push; from another thread it goes through [`Remote`]. The loop also keeps
//! a waker of every live task, so that closing it can cancel them all.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use async_task::{FallibleTask, Runnable};
use pin_project_lite::pin_project;
use slab::Slab;

use crate::error::{JoinError, log_panic, panic_message};
use crate::remote::Remote;
use crate::turn::Turn;

/// Runnables of one loop, waiting for their poll.
pub(crate) type ReadyQueue = RefCell<VecDeque<Runnable>>;

thread_local! {
    /// The ready queues of the loops that live on this thread, by loop number: nearly always one.
    static READY: RefCell<Vec<(u64, Rc<ReadyQueue>)>> = const { RefCell::new(Vec::new()) };
}

/// The tasks of one loop.
pub(crate) struct Tasks {
    loop_number: u64,
    ready: Rc<ReadyQueue>,
    live: Rc<LiveTasks>,
    remote: Remote,
    turn: Rc<Turn>,
    accepting: Cell<bool>,
}

/// A waker of each task that is neither done nor cancelled.
type LiveTasks = RefCell<Slab<Waker>>;

impl Tasks {
    pub(crate) fn new(loop_number: u64, remote: Remote, turn: Rc<Turn>) -> Self {
        let ready = Rc::new(ReadyQueue::default());
        READY.with(|queues| queues.borrow_mut().push((loop_number, ready.clone())));
        Self { loop_number, ready, live: Rc::default(), remote, turn, accepting: Cell::new(true) }
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        if !self.accepting.get() {
            return JoinHandle::new(None);
        }
        let mut live = self.live.borrow_mut();
        let slot = live.vacant_entry();
        let entry = LiveEntry { live: Rc::downgrade(&self.live), key: slot.key() };
        let guarded = Guarded { future: Some(future), _entry: entry };
        let (loop_number, remote) = (self.loop_number, self.remote.clone());
        let schedule = move |runnable| schedule(loop_number, &remote, runnable);
        let (runnable, task) = async_task::spawn_local(guarded, schedule);
        slot.insert(runnable.waker());
        drop(live);
        runnable.schedule();
        JoinHandle::new(Some(task.fallible()))
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Polls the ready tasks, and those that these make ready, for at most `rounds` rounds.
    pub(crate) fn run(&self, rounds: usize) {
        for _ in 0..rounds {
            let count = self.ready.borrow().len();
            if count == 0 {
                return;
            }
            for _ in 0..count {
                let Some(runnable) = self.pop() else { return };
                // Nothing that could panic runs unguarded inside: async-task would end the process.
                self.turn.refill();
                runnable.run();
            }
        }
    }

    /// Takes in a runnable that another thread woke.
    pub(crate) fn push(&self, runnable: Runnable) {
        self.ready.borrow_mut().push_back(runnable);
    }

    /// From here on new tasks are refused: their handles say that they were cancelled.
    pub(crate) fn refuse(&self) {
        self.accepting.set(false);
    }

    /// Cancels every live task and drops its future. True if there was any.
    pub(crate) fn cancel_all(&self) -> bool {
        let live: Vec<Waker> = self.live.borrow().iter().map(|(_, waker)| waker.clone()).collect();
        let mut any = !live.is_empty();
        for waker in live {
            // A woken task comes back as a runnable, and dropping a runnable drops the future.
            waker.wake();
        }
        for runnable in self.remote.take_runnables() {
            self.push(runnable);
        }
        while let Some(runnable) = self.pop() {
            any = true;
            drop(runnable);
        }
        any
    }

    /// No wake reaches the queue any more.
    pub(crate) fn detach_from_thread(&self) {
        let _ = READY.try_with(|queues| queues.borrow_mut().retain(|(number, _)| *number != self.loop_number));
    }

    fn pop(&self) -> Option<Runnable> {
        self.ready.borrow_mut().pop_front()
    }
}

/// What a wake does.
fn schedule(loop_number: u64, remote: &Remote, runnable: Runnable) {
    let mut runnable = Some(runnable);
    // `try_with`: a waker may fire while its thread's locals are being destroyed.
    let _ = READY.try_with(|queues| {
        if let Some((_, queue)) = queues.borrow().iter().find(|(number, _)| *number == loop_number) {
            queue.borrow_mut().extend(runnable.take());
        }
    });
    if let Some(runnable) = runnable {
        remote.push_runnable(runnable);
    }
}

pin_project! {
    /// A task's future: a panic ends this task alone, and the end, however it comes, strikes it off the live ones.
    ///
    /// Futures and results are dropped here, under guard: a panic in a destructor that async-task runs ends the process.
    struct Guarded<F> {
        #[pin]
        future: Option<F>,
        _entry: LiveEntry,
    }

    impl<F> PinnedDrop for Guarded<F> {
        fn drop(this: Pin<&mut Self>) {
            this.drop_future();
        }
    }
}

impl<F> Guarded<F> {
    fn drop_future(self: Pin<&mut Self>) {
        let mut future = self.project().future;
        if future.is_some() {
            log_panic("while a task was dropped", || future.set(None));
        }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Outcome<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.as_mut().project().future.as_pin_mut() else { return Poll::Pending };
        let result = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => {
                tracing::error!("panic in task: {}", panic_message(&*payload));
                Err(JoinError::Panicked(payload))
            }
        };
        self.drop_future();
        Poll::Ready(Outcome(Some(result)))
    }
}

/// A task's result, empty once its handle took it.
struct Outcome<T>(Option<Result<T, JoinError>>);

impl<T> Drop for Outcome<T> {
    fn drop(&mut self) {
        if let Some(unwanted) = self.0.take() {
            log_panic("while the result of a task was dropped", || drop(unwanted));
        }
    }
}

struct LiveEntry {
    live: Weak<LiveTasks>,
    key: usize,
}

impl Drop for LiveEntry {
    fn drop(&mut self) {
        let waker = self.live.upgrade().and_then(|live| live.borrow_mut().try_remove(self.key));
        drop(waker);
    }
}

/// The result of a task that is still to come.
///
/// Dropping the handle leaves the task running, as a Tornado future that nobody awaits; [`abort`](Self::abort) ends it.
///
/// # Cancel safety
/// Dropping the handle while awaiting it loses nothing but the result.
pub struct JoinHandle<T> {
    /// `None`: the loop was closed already.
    task: Option<FallibleTask<Outcome<T>>>,
    /// What belongs to a loop stays on its thread, although async-task would allow more.
    _not_send: PhantomData<Rc<()>>,
}

impl<T> JoinHandle<T> {
    fn new(task: Option<FallibleTask<Outcome<T>>>) -> Self {
        Self { task, _not_send: PhantomData }
    }

    /// Cancels the task: its future is dropped on its loop, at the next turn at the latest.
    pub fn abort(mut self) {
        // Dropping the task (where `detach` would let it run on) cancels it.
        drop(self.task.take());
    }

    /// Whether the result is there, or will never be.
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(FallibleTask::is_finished)
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = &mut self.task else { return Poll::Ready(Err(JoinError::Cancelled)) };
        Pin::new(task)
            .poll(cx)
            .map(|outcome| outcome.and_then(|mut outcome| outcome.0.take()).unwrap_or(Err(JoinError::Cancelled)))
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.detach();
        }
    }
}

impl<T> std::fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IoLoop;

    #[test]
    fn a_closed_loop_leaves_no_queue_on_its_thread() {
        let loops = [(); 3].map(|()| IoLoop::new().unwrap());
        assert_eq!(READY.with_borrow(Vec::len), 3);
        for io_loop in loops {
            io_loop.close().unwrap();
        }
        assert_eq!(READY.with_borrow(Vec::len), 0);
    }

    #[test]
    fn a_task_whose_wake_is_under_way_elsewhere_is_waited_for() {
        let remote = IoLoop::new().unwrap().remote();
        let tasks = Tasks::new(u64::MAX, remote.clone(), Rc::new(Turn::new(std::time::Instant::now())));
        let handle = tasks.spawn(std::future::pending::<()>());
        // Another thread has marked it as scheduled, and was stopped before it could hand the runnable over.
        let under_way = tasks.pop().unwrap();
        assert!(tasks.cancel_all(), "it is still alive");
        assert!(!handle.is_finished());
        remote.push_runnable(under_way);
        assert!(tasks.cancel_all());
        assert!(handle.is_finished());
        assert!(!tasks.cancel_all());
        tasks.detach_from_thread();
    }

    /// What a task of this kind of future occupies besides the header of async-task.
    fn guarded_size<F: Future>(_: &F) -> usize {
        size_of::<Guarded<F>>()
    }

    #[test]
    fn the_loops_own_part_of_a_task_is_16_bytes() {
        async fn leaf(bytes: [u8; 100]) -> u8 {
            std::future::pending::<()>().await;
            bytes[0]
        }
        let future = leaf([0; 100]);
        assert_eq!(guarded_size(&future).next_multiple_of(8), size_of_val(&future).next_multiple_of(8) + 16);
        let boxed: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async {});
        assert_eq!(guarded_size(&boxed), size_of_val(&boxed) + 16);
    }
}

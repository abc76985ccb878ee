//! Tasks: futures that a loop runs on its thread.
//!
//! A task is a box that holds its future, a slot in the loop's table, and a waker that knows the slot. What wakes it on the
//! loop's own account (a descriptor, a timer) keeps the slot's number alone, a [`Wakee`]: that is copied, compared and woken
//! without a count, a lock or an atomic operation. The waker is for everybody else: on the loop's thread its wake finds the
//! slot, from another thread it goes through [`Remote`].
//!
//! Rules: a key carries a generation, so that a wake of a task that is gone never reaches its successor in the same slot;
//! nothing of a future's runs or is dropped while anything here is borrowed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, RawWakerVTable, Wake, Waker};

use pin_project_lite::pin_project;
use slab::Slab;

use crate::commons::Commons;
use crate::error::JoinError;
use crate::panic::{log_panic, report_panic};
use crate::remote::Remote;

thread_local! {
    /// The loops that live on this thread: nearly always one.
    static LOCAL: RefCell<Vec<Rc<Commons>>> = const { RefCell::new(Vec::new()) };
}

/// Names one task: its slot, and the generation of its stay there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaskKey {
    index: u32,
    generation: u32,
}

/// Whom an event wakes: a task of the loop whose event it is, or anybody.
#[derive(Debug)]
pub(crate) enum Wakee {
    Task(TaskKey),
    Other(Box<Waker>),
}

/// The tasks of one loop.
pub(crate) struct Tasks {
    slots: RefCell<Slab<Slot>>,
    /// Those that wait for their poll, in the order in which they were woken. Two lists take turns, so that neither is allocated
    /// anew.
    ready: RefCell<Vec<TaskKey>>,
    round: Cell<Vec<TaskKey>>,
    next_generation: Cell<u32>,
    /// Of the task that is being polled.
    current: Cell<Option<Current>>,
    /// It isn't alone in its round.
    in_company: Cell<bool>,
    remote: Remote,
}

struct Slot {
    generation: u32,
    /// It is in `ready`.
    queued: bool,
    /// Its next turn is its end.
    aborted: bool,
    /// Both are out while it is polled.
    future: Option<BoxedFuture>,
    waker: Option<Waker>,
}

type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A task by its waker's two pointers, which are unique while it lives.
#[derive(Clone, Copy)]
struct Current {
    data: *const (),
    vtable: &'static RawWakerVTable,
    key: TaskKey,
}

impl Tasks {
    pub(crate) fn new(remote: Remote) -> Self {
        Self {
            slots: RefCell::default(),
            ready: RefCell::default(),
            round: Cell::default(),
            next_generation: Cell::new(0),
            current: Cell::new(None),
            in_company: Cell::new(false),
            remote,
        }
    }

    /// Queues a future for its first poll.
    pub(crate) fn spawn(&self, future: BoxedFuture) -> TaskKey {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.vacant_entry();
        let generation = self.next_generation.get();
        self.next_generation.set(generation.wrapping_add(1));
        let key = TaskKey { index: u32::try_from(slot.key()).expect("fewer than 2^32 tasks"), generation };
        let handle = TaskWaker { key, remote: self.remote.clone(), under_way: AtomicBool::new(false) };
        let waker = Some(Arc::new(handle).into());
        slot.insert(Slot { generation, queued: true, aborted: false, future: Some(future), waker });
        self.ready.borrow_mut().push(key);
        key
    }

    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
    }

    /// Polls the ready tasks, and those that these make ready, for at most `rounds` rounds. `before` is called before each.
    #[inline]
    pub(crate) fn run(&self, rounds: usize, before: impl Fn()) {
        for _ in 0..rounds {
            if !self.has_ready() {
                return;
            }
            let mut round = self.ready.replace(self.round.take());
            self.in_company.set(round.len() > 1);
            for key in &round {
                before();
                self.poll(*key);
            }
            // Its waker's place in memory may be another's by now.
            self.current.set(None);
            round.clear();
            self.round.set(round);
        }
    }

    #[inline]
    fn poll(&self, key: TaskKey) {
        let Some((mut future, waker)) = self.take_to_poll(key) else { return };
        self.current.set(Some(Current { data: waker.data(), vtable: waker.vtable(), key }));
        let mut cx = Context::from_waker(&waker);
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => self.put_back(key, future, waker),
            ended => self.end(key, future, waker, ended.err()),
        }
    }

    /// `None` for a task that is gone, or is to go.
    #[inline]
    fn take_to_poll(&self, key: TaskKey) -> Option<(BoxedFuture, Waker)> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)?;
        slot.queued = false;
        match (slot.future.take(), slot.waker.take()) {
            (Some(future), Some(waker)) if !slot.aborted => Some((future, waker)),
            (future, _) => {
                drop(slots);
                self.drop_task(key, future);
                None
            }
        }
    }

    #[inline]
    fn put_back(&self, key: TaskKey, future: BoxedFuture, waker: Waker) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(key.index as usize) {
            slot.future = Some(future);
            slot.waker = Some(waker);
        }
    }

    #[inline(never)]
    fn end(&self, key: TaskKey, future: BoxedFuture, waker: Waker, panic: Option<Box<dyn Any + Send>>) {
        if let Some(payload) = panic {
            report_panic(&"in task", &*payload);
        }
        self.drop_task(key, Some(future));
        drop(waker);
    }

    #[cold]
    fn drop_task(&self, key: TaskKey, future: Option<BoxedFuture>) {
        let slot = self.slots.borrow_mut().try_remove(key.index as usize);
        log_panic("while a task was dropped", || drop((future, slot)));
    }

    /// Makes a task ready, unless it is gone or ready already.
    #[inline]
    pub(crate) fn wake_task(&self, key: TaskKey) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(key.index as usize) {
            if slot.generation == key.generation && !slot.queued {
                slot.queued = true;
                self.ready.borrow_mut().push(key);
            }
        }
    }

    /// A wake from another thread has arrived.
    pub(crate) fn wake_from_remote(&self, woken: &TaskWaker) {
        // Whoever wakes from here on wakes anew; what was done before those that came too late is seen by the poll.
        woken.under_way.swap(false, Ordering::AcqRel);
        self.wake_task(woken.key);
    }

    /// Has the task end at its next turn.
    fn abort(&self, key: TaskKey) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(key.index as usize) {
            slot.aborted |= slot.generation == key.generation;
        }
        self.wake_task(key);
    }

    /// Drops every task and its future, for a loop that closes. True if there was any.
    pub(crate) fn cancel_all(&self) -> bool {
        let slots = self.slots.take();
        self.ready.borrow_mut().clear();
        let any = !slots.is_empty();
        for (_, slot) in slots {
            log_panic("while a task was dropped", || drop(slot));
        }
        any
    }
}

// Whom to wake.
impl Tasks {
    /// Whom `waker` wakes.
    pub(crate) fn wakee(&self, waker: &Waker) -> Wakee {
        match self.current_if_woken_by(waker) {
            Some(task) => Wakee::Task(task),
            None => Wakee::Other(Box::new(waker.clone())),
        }
    }

    /// The task that is being polled, if it is the one that `waker` wakes.
    #[inline]
    pub(crate) fn current_if_woken_by(&self, waker: &Waker) -> Option<TaskKey> {
        let current = self.current.get()?;
        let same = current.data == waker.data() && ptr::eq(current.vtable, waker.vtable());
        same.then_some(current.key)
    }

    /// Whether to wake `wakee` is as good as `waker`. At worst it says no.
    #[inline]
    pub(crate) fn wakes(&self, wakee: &Wakee, waker: &Waker) -> bool {
        match wakee {
            Wakee::Task(key) => self.current_if_woken_by(waker) == Some(*key),
            Wakee::Other(other) => other.will_wake(waker),
        }
    }

    /// Whether other tasks are polled in the same round as the current one.
    #[inline]
    pub(crate) fn in_company(&self) -> bool {
        self.in_company.get()
    }

    /// Has the current task polled again in the next round. False: `waker` isn't its own.
    #[inline]
    pub(crate) fn make_way(&self, waker: &Waker) -> bool {
        let current = self.current_if_woken_by(waker);
        current.inspect(|task| self.wake_task(*task)).is_some()
    }

    #[inline]
    pub(crate) fn wake(&self, wakee: Wakee) {
        match wakee {
            Wakee::Task(key) => self.wake_task(key),
            Wakee::Other(waker) => waker.wake(),
        }
    }
}

/// What is behind a task's `Waker`.
pub(crate) struct TaskWaker {
    key: TaskKey,
    remote: Remote,
    /// A wake from another thread, which the loop hasn't seen yet.
    under_way: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // `try_with`: a waker may fire while its thread's locals are being destroyed.
        let local = LOCAL.try_with(|loops| {
            let loops = loops.borrow();
            let home = loops.iter().find(|commons| commons.tasks.remote.is(&self.remote));
            home.inspect(|commons| commons.tasks.wake_task(self.key)).is_some()
        });
        if !local.unwrap_or(false) && !self.under_way.swap(true, Ordering::AcqRel) {
            self.remote.wake(self.clone());
        }
    }
}

/// Has wakes on this thread reach the loop's tasks.
pub(crate) fn attach_to_thread(commons: &Rc<Commons>) {
    LOCAL.with_borrow_mut(|loops| loops.push(commons.clone()));
}

/// No wake reaches the loop's tasks any more.
pub(crate) fn detach_from_thread(commons: &Rc<Commons>) {
    let detached = LOCAL.try_with(|loops| {
        let mut loops = loops.borrow_mut();
        let mine = loops.iter().position(|other| Rc::ptr_eq(other, commons))?;
        Some(loops.swap_remove(mine))
    });
    drop(detached);
}

/// Makes a task of a future whose result somebody may want.
pub(crate) fn spawn<F>(commons: &Rc<Commons>, future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    let result = Rc::new(Joint { result: Cell::default(), ended: Cell::new(false), joiner: Cell::default() });
    let handle = |task| JoinHandle { joint: result.clone(), task, _not_send: PhantomData };
    let joined = Joined { future: Some(future), joint: result.clone() };
    if commons.closed.get() {
        log_panic("while a task was dropped", || drop(joined));
        return handle(None);
    }
    let key = commons.tasks.spawn(Box::pin(joined));
    handle(Some((Rc::downgrade(commons), key)))
}

pin_project! {
    /// A task's future with the place of its result: a panic ends the task alone and is its result. However the future ends, it is
    /// dropped, and then whoever waits is woken.
    struct Joined<F: Future> {
        #[pin]
        future: Option<F>,
        joint: Rc<Joint<F::Output>>,
    }

    impl<F: Future> PinnedDrop for Joined<F> {
        fn drop(this: Pin<&mut Self>) {
            this.drop_future();
        }
    }
}

impl<F: Future> Joined<F> {
    fn drop_future(self: Pin<&mut Self>) {
        let mut this = self.project();
        if this.future.is_some() {
            log_panic("while a task was dropped", || this.future.set(None));
            this.joint.end();
        }
    }
}

impl<F: Future> Future for Joined<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = self.as_mut().project().future.as_pin_mut() else { return Poll::Ready(()) };
        let result = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(payload) => {
                report_panic(&"in task", &*payload);
                Err(JoinError::Panicked(payload))
            }
        };
        self.joint.result.set(Some(result));
        self.drop_future();
        Poll::Ready(())
    }
}

/// Where a task and its handle meet.
struct Joint<T> {
    /// Empty before the end, after a cancelled task's end, and once the handle took it.
    result: Cell<Option<Result<T, JoinError>>>,
    ended: Cell<bool>,
    /// Who awaits the handle.
    joiner: Cell<Option<Waker>>,
}

impl<T> Joint<T> {
    fn end(&self) {
        self.ended.set(true);
        if let Some(joiner) = self.joiner.take() {
            log_panic("in a waker", || joiner.wake());
        }
    }
}

impl<T> Drop for Joint<T> {
    fn drop(&mut self) {
        if let Some(unwanted) = self.result.take() {
            log_panic("while the result of a task was dropped", || drop(unwanted));
        }
    }
}

/// The result of a task that is still to come.
///
/// Dropping the handle leaves the task running, as a Tornado future that nobody awaits; [`abort`](Self::abort) ends it.
///
/// # Cancel safety
/// Dropping the handle while awaiting it loses nothing but the result.
pub struct JoinHandle<T> {
    joint: Rc<Joint<T>>,
    /// `None`: the loop was closed already.
    task: Option<(Weak<Commons>, TaskKey)>,
    /// What belongs to a loop stays on its thread.
    _not_send: PhantomData<Rc<()>>,
}

impl<T> JoinHandle<T> {
    /// Cancels the task: its future is dropped on its loop, at the next turn at the latest.
    pub fn abort(self) {
        if let Some((commons, key)) = &self.task {
            if let Some(commons) = commons.upgrade() {
                commons.tasks.abort(*key);
            }
        }
    }

    /// Whether the result is there, or will never be.
    pub fn is_finished(&self) -> bool {
        self.joint.ended.get()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let joint = &self.joint;
        if joint.ended.get() {
            return Poll::Ready(joint.result.take().unwrap_or(Err(JoinError::Cancelled)));
        }
        let old = joint.joiner.take();
        let waker = match old {
            Some(old) if old.will_wake(cx.waker()) => old,
            _ => cx.waker().clone(),
        };
        joint.joiner.set(Some(waker));
        Poll::Pending
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
    fn a_closed_loop_leaves_nothing_on_its_thread() {
        let loops = [(); 3].map(|()| IoLoop::new().unwrap());
        assert_eq!(LOCAL.with_borrow(Vec::len), 3);
        for io_loop in loops {
            io_loop.close().unwrap();
        }
        assert_eq!(LOCAL.with_borrow(Vec::len), 0);
    }

    #[test]
    fn a_wake_that_comes_after_the_end_of_a_task_does_not_reach_its_successor() {
        let io_loop = IoLoop::new().unwrap();
        let tasks = &io_loop.inner.commons.tasks;
        let first = tasks.spawn(Box::pin(std::future::ready(())));
        tasks.run(1, || {});
        let second = tasks.spawn(Box::pin(std::future::pending()));
        tasks.run(1, || {});
        assert_eq!((first.index, tasks.has_ready()), (second.index, false));
        tasks.wake_task(first);
        tasks.abort(first);
        assert!(!tasks.has_ready());
        tasks.wake_task(second);
        assert!(tasks.has_ready());
    }

    /// What a task occupies besides the box of its future: a slot in the table, and what is behind its waker.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_loops_own_part_of_a_task_is_80_bytes() {
        assert_eq!((size_of::<Slot>(), size_of::<Slab<Slot>>()), (40, 40));
        // With the two counts of an `Arc`.
        assert_eq!(size_of::<TaskWaker>() + 16, 40);
    }
}

//! The end of a loop: what is dropped, in which order, on which thread, and what lives on harmlessly.

mod common;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::Duration;

use common::*;
use landspout_ioloop::{EventTarget, Events, IoLoop, JoinError, LoopError, Ready, Registration, RunSyncError, sleep};

fn on_drop(trace: &Trace, name: &'static str) -> OnDrop<impl FnMut() + use<>> {
    let trace = trace.clone();
    OnDrop(move || trace.push(name))
}

#[test]
fn tasks_callbacks_timeouts_handlers_are_dropped_in_this_order() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let (socket, _peer) = socket_pair();
    let owned = on_drop(&trace, "handler");
    let handler = move |_, _| {
        let _ = &owned;
    };
    io_loop.add_handler(&socket, Events::READ, handler).unwrap();
    let owned = on_drop(&trace, "timeout");
    io_loop.call_later(Duration::from_secs(1), move || drop(owned));
    let owned = on_drop(&trace, "callback");
    io_loop.add_callback(move || drop(owned));
    let owned = on_drop(&trace, "task");
    io_loop.spawn(async move {
        let _owned = owned;
        pending::<()>().await;
    });
    io_loop.close().unwrap();
    assert_eq!(trace.take(), ["task", "callback", "timeout", "handler"]);
    assert!(io_loop.is_closed());
}

#[test]
fn a_closed_loop_refuses_everything_quietly_or_by_an_error() {
    let (io_loop, _clock) = still_loop();
    io_loop.close().unwrap();
    assert_eq!(io_loop.close(), Ok(()), "twice is fine");

    let payload = Rc::new(());
    let capture = || payload.clone();
    let captured = capture();
    io_loop.add_callback(move || drop(captured));
    let captured = capture();
    io_loop.spawn_callback(async move || drop(captured));
    let captured = capture();
    io_loop.add_future(async {}, move |()| drop(captured));
    let captured = capture();
    io_loop.call_later(Duration::ZERO, move || drop(captured));
    let captured = capture();
    drop(io_loop.spawn(async move { drop(captured) }));
    let (socket, _peer) = socket_pair();
    let captured = capture();
    let handler = move |_, _| {
        let _ = &captured;
    };
    assert_eq!(io_loop.add_handler(&socket, Events::READ, handler), Err(LoopError::Closed));
    assert_eq!(Rc::strong_count(&payload), 1, "something was kept");

    io_loop.remove_handler(&socket);
    assert!(io_loop.update_handler(&socket, Events::READ).is_err());
    assert!(matches!(Registration::new(&io_loop, socket.as_fd(), Ready::NONE), Err(LoopError::Closed)));
    assert_eq!(io_loop.start(), Err(LoopError::Closed));
    assert_eq!(io_loop.run_sync(async {}), Err(RunSyncError::Loop(LoopError::Closed)));
    io_loop.stop();
}

#[test]
fn a_running_loop_cannot_be_closed() {
    let (io_loop, _clock) = still_loop();
    let outcome = Rc::new(RefCell::new(None));
    io_loop.add_callback({
        let outcome = outcome.clone();
        move || drop(outcome.replace(Some(IoLoop::current().close())))
    });
    run_until_idle(&io_loop);
    assert_eq!(outcome.take(), Some(Err(LoopError::AlreadyRunning)));
    assert!(!io_loop.is_closed());
}

/// What is dropped makes new work, which makes new work when it is dropped: all of it is refused, and the close ends.
#[test]
fn work_that_appears_while_the_loop_closes_is_dropped_too() {
    fn again(left: usize, count: Rc<Cell<usize>>) -> OnDrop<Box<dyn FnMut()>> {
        OnDrop(Box::new(move || {
            count.set(count.get() + 1);
            if left == 0 {
                return;
            }
            let io_loop = IoLoop::current();
            let next = again(left - 1, count.clone());
            io_loop.add_callback(move || drop(next));
            let next = again(left - 1, count.clone());
            io_loop.call_later(Duration::ZERO, move || drop(next));
            let next = again(left - 1, count.clone());
            drop(io_loop.spawn(async move { drop(next) }));
            let (socket, _peer) = socket_pair();
            let next = again(left - 1, count.clone());
            let handler = move |_, _| {
                let _ = &next;
            };
            assert_eq!(io_loop.add_handler(&socket, Events::READ, handler), Err(LoopError::Closed));
        }))
    }
    let (io_loop, _clock) = still_loop();
    let count = Rc::new(Cell::new(0));
    let first = again(3, count.clone());
    io_loop.spawn(async move {
        let _first = first;
        pending::<()>().await;
    });
    run_until_idle(&io_loop);
    io_loop.close().unwrap();
    assert_eq!(count.get(), 1 + 4 + 16 + 64);
}

#[test]
fn a_task_woken_by_the_drop_of_another_is_dropped_once() {
    let (io_loop, _clock) = still_loop();
    let wakers = Rc::new(RefCell::new(Vec::<Waker>::new()));
    let drops = Rc::new(Cell::new(0));
    for _ in 0..10 {
        let (wakers, drops) = (wakers.clone(), drops.clone());
        let wakes_all = OnDrop({
            let wakers = wakers.clone();
            move || {
                drops.set(drops.get() + 1);
                wakers.borrow().iter().for_each(Waker::wake_by_ref);
            }
        });
        io_loop.spawn(async move {
            let _wakes_all = wakes_all;
            poll_fn(|cx| {
                wakers.borrow_mut().push(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
        });
    }
    run_until_idle(&io_loop);
    io_loop.close().unwrap();
    assert_eq!(drops.get(), 10);
    wakers.borrow().iter().for_each(Waker::wake_by_ref);
}

#[test]
fn close_inside_of_close_is_harmless() {
    let (io_loop, _clock) = still_loop();
    let outcome = Rc::new(RefCell::new(None));
    let closes = OnDrop({
        let outcome = outcome.clone();
        move || drop(outcome.replace(Some(IoLoop::current().close())))
    });
    io_loop.add_callback(move || drop(closes));
    io_loop.close().unwrap();
    assert_eq!(outcome.take(), Some(Ok(())));
}

#[test]
fn panics_of_what_is_dropped_are_logged_and_stop_nothing() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let (registered, _other_peer) = socket_pair();
    let trace = Trace::default();
    struct Bad;
    impl EventTarget for Bad {
        fn ready(self: Rc<Self>, _: Ready) {}
        fn flush(self: Rc<Self>) {}
        fn loop_closed(self: Rc<Self>) {
            panic!("cannot let go");
        }
    }
    let registration = Registration::new(&io_loop, registered.as_fd(), Ready::NONE).unwrap();
    let target: Rc<dyn EventTarget> = Rc::new(Bad);
    registration.set_target(Rc::downgrade(&target));
    let owned = bomb("task");
    io_loop.spawn(async move {
        let _owned = owned;
        pending::<()>().await;
    });
    let owned = bomb("callback");
    io_loop.add_callback(move || drop(owned));
    let owned = bomb("timeout");
    io_loop.call_later(Duration::from_secs(1), move || drop(owned));
    let owned = (bomb("handler"), on_drop(&trace, "rest of the handler"));
    let handler = move |_, _| {
        let _ = &owned;
    };
    io_loop.add_handler(&socket, Events::READ, handler).unwrap();
    let (closed, lines) = logged(|| io_loop.close());
    assert_eq!(closed, Ok(()));
    let errors: Vec<_> = lines.iter().filter(|line| line.starts_with("ERROR")).collect();
    assert_eq!(errors.len(), 5, "{errors:#?}");
    assert_eq!(trace.take(), ["rest of the handler"]);
}

#[test]
fn the_drop_of_the_last_handle_closes() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    let owned = on_drop(&trace, "task");
    let handle = io_loop.spawn(async move {
        let _owned = owned;
        pending::<()>().await;
    });
    let remote = io_loop.remote();
    let second = io_loop.clone();
    drop(io_loop);
    IoLoop::clear_current();
    assert_eq!(trace.take(), [""; 0]);
    drop(second);
    assert_eq!(trace.take(), ["task"]);
    assert_eq!(remote.stop(), Err(LoopError::Closed));
    assert!(handle.is_finished());
}

/// Counts the drops on the thread that made it, and those elsewhere.
struct CountedDrop {
    home: ThreadId,
    at_home: Arc<AtomicUsize>,
}

impl Drop for CountedDrop {
    fn drop(&mut self) {
        assert_eq!(std::thread::current().id(), self.home, "dropped on a foreign thread");
        self.at_home.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted(at_home: &Arc<AtomicUsize>) -> CountedDrop {
    CountedDrop { home: std::thread::current().id(), at_home: at_home.clone() }
}

/// Tasks that give their wakers away; each future is dropped on this thread, whatever happens to the wakers elsewhere.
fn spawn_wakeable(io_loop: &IoLoop, count: usize, dropped: &Arc<AtomicUsize>) -> Vec<Waker> {
    let wakers = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..count {
        let (wakers, guard) = (wakers.clone(), counted(dropped));
        io_loop.spawn(poll_fn(move |cx| {
            let _ = &guard;
            wakers.borrow_mut().push(cx.waker().clone());
            Poll::<()>::Pending
        }));
    }
    io_loop.stop();
    io_loop.start().unwrap();
    wakers.take()
}

/// Several threads, so that one is often stopped in the middle of a wake: the close has to wait for what it will bring.
#[test]
fn wakers_on_other_threads_race_with_the_close() {
    const ROUNDS: usize = 1000;
    const THREADS: usize = 4;
    const TASKS: usize = 2;
    let dropped = Arc::new(AtomicUsize::new(0));
    let barrier = Arc::new(Barrier::new(THREADS + 1));
    let (senders, workers): (Vec<_>, Vec<_>) = (0..THREADS)
        .map(|_| {
            let (sender, receiver) = mpsc::channel::<Vec<Waker>>();
            let barrier = barrier.clone();
            let worker = std::thread::spawn(move || {
                for (round, wakers) in receiver.into_iter().enumerate() {
                    barrier.wait();
                    // A few more instructions each round, so that the close is met at many places.
                    for _ in 0..round % 64 {
                        std::hint::spin_loop();
                    }
                    for (i, waker) in wakers.into_iter().enumerate() {
                        match (round + i) % 4 {
                            0 | 1 => waker.wake(),
                            2 => {
                                waker.wake_by_ref();
                                drop(waker);
                            }
                            _ => drop(waker),
                        }
                    }
                }
            });
            (sender, worker)
        })
        .unzip();
    for round in 1..=ROUNDS {
        let io_loop = IoLoop::new().unwrap();
        for sender in &senders {
            sender.send(spawn_wakeable(&io_loop, TASKS, &dropped)).unwrap();
        }
        barrier.wait();
        io_loop.close().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), round * THREADS * TASKS, "a future outlived its loop");
    }
    drop(senders);
    for worker in workers {
        worker.join().expect("no wake panics");
    }
}

#[test]
fn wakers_that_outlive_their_loop_and_its_thread_are_harmless() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let wakers = std::thread::spawn({
        let dropped = dropped.clone();
        move || spawn_wakeable(&IoLoop::new().unwrap(), 3, &dropped)
    })
    .join()
    .unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 3, "the thread's end closed its loop");
    let mut wakers = wakers.into_iter();
    wakers.next().unwrap().wake();
    wakers.next().unwrap().wake_by_ref();
    drop(wakers);
}

/// Handles of the loop inside its own tasks and callbacks are a circle that the thread's end has to break.
#[test]
fn the_end_of_the_thread_closes_a_loop_that_its_own_tasks_hold() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let remote = std::thread::spawn({
        let dropped = dropped.clone();
        move || {
            let io_loop = IoLoop::current();
            let (guard, held) = (counted(&dropped), io_loop.clone());
            io_loop.spawn(async move {
                let _held = (guard, held);
                sleep(Duration::from_secs(3600)).await;
            });
            let (guard, held) = (counted(&dropped), io_loop.clone());
            io_loop.add_callback(move || drop((guard, held)));
            let (guard, held) = (counted(&dropped), io_loop.clone());
            io_loop.call_later(Duration::from_secs(3600), move || drop((guard, held)));
            io_loop.remote()
        }
    })
    .join()
    .unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    assert_eq!(remote.stop(), Err(LoopError::Closed));
}

thread_local! {
    /// Destroyed after the loop if it is touched before the loop is made, and before it otherwise.
    static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
}

/// Uses everything of a loop while the thread's locals are destroyed.
struct Kept {
    wakers: Vec<Waker>,
    registration: Option<Registration>,
    handle: Option<landspout_ioloop::JoinHandle<()>>,
    io_loop: Option<IoLoop>,
    reached: Arc<AtomicUsize>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut wakers = std::mem::take(&mut self.wakers).into_iter();
        wakers.by_ref().take(1).for_each(Waker::wake);
        wakers.by_ref().take(1).for_each(|waker| waker.wake_by_ref());
        drop(wakers);
        if let Some(registration) = self.registration.take() {
            registration.raise(Ready::READABLE);
        }
        if let Some(handle) = self.handle.take() {
            handle.abort();
        }
        if let Some(io_loop) = self.io_loop.take() {
            io_loop.add_callback(|| {});
            io_loop.call_later(Duration::ZERO, || {});
            drop(io_loop.spawn(async {}));
            io_loop.close().unwrap();
        }
        let _ = IoLoop::current_or_none();
        self.reached.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_threads_locals_may_be_destroyed_in_any_order() {
    for (touch_first, keep_loop) in [(true, true), (true, false), (false, true), (false, false)] {
        let dropped = Arc::new(AtomicUsize::new(0));
        let reached = Arc::new(AtomicUsize::new(0));
        let thread = std::thread::spawn({
            let (dropped, reached) = (dropped.clone(), reached.clone());
            move || {
                if touch_first {
                    KEPT.with_borrow(|_| {});
                }
                let io_loop = IoLoop::current();
                let wakers = spawn_wakeable(&io_loop, 3, &dropped);
                let registration = Some(Registration::detached(&io_loop, Ready::NONE).unwrap());
                let guard = counted(&dropped);
                let handle = Some(io_loop.spawn(async move {
                    let _guard = guard;
                    pending::<()>().await;
                }));
                let io_loop = keep_loop.then_some(io_loop);
                KEPT.set(Some(Kept { wakers, registration, handle, io_loop, reached }));
            }
        });
        let case = format!("touched first: {touch_first}, loop kept: {keep_loop}");
        thread.join().unwrap_or_else(|_| panic!("{case}"));
        assert_eq!(reached.load(Ordering::Relaxed), 1, "{case}");
        assert_eq!(dropped.load(Ordering::Relaxed), 4, "{case}");
    }
}

/// Destructors that ask for a loop while the thread ends.
#[test]
fn what_a_thread_drops_at_its_end_may_ask_for_a_loop() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    std::thread::spawn({
        let asked = asked.clone();
        move || {
            let io_loop = IoLoop::current();
            let guard = OnDrop(move || {
                let current = IoLoop::current_or_none().is_some_and(|io_loop| !io_loop.is_closed());
                asked.lock().unwrap().push(current);
            });
            drop(io_loop.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            }));
        }
    })
    .join()
    .unwrap();
    assert_eq!(*asked.lock().unwrap(), [false]);
}

/// Wakers that do not belong to a task of the loop are foreign code, too.
#[test]
fn a_foreign_waker_that_panics_is_logged() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("do not wake me");
        }
    }
    let (io_loop, clock) = still_loop();
    let trace = Trace::default();
    let waker = Waker::from(Arc::new(Bad));
    let mut pause = Box::pin(sleep(Duration::from_millis(1)));
    assert!(pause.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    io_loop.call_later(Duration::from_millis(1), trace.pusher("next"));
    clock.advance(Duration::from_millis(2));
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "do not wake me");
    assert_eq!(trace.take(), ["next"]);
}

#[test]
fn handles_of_tasks_say_cancelled_after_the_close() {
    let (io_loop, _clock) = still_loop();
    let handle = io_loop.spawn(pending::<()>());
    io_loop.close().unwrap();
    let another = IoLoop::new().unwrap();
    assert!(matches!(another.run_sync(handle), Ok(Err(JoinError::Cancelled))));
}

//! `Remote`, the one door for other threads.

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant, SystemTime};

use common::*;
use landspout_ioloop::{
    Clock, Deadline, IoLoop, JoinHandle, LoopError, Registration, Remote, Sleep, SystemClock, TimeoutHandle,
};

/// Tells another thread that the loop is about to block, for ever.
struct Blocks(mpsc::Sender<()>);

impl Clock for Blocks {
    fn monotonic(&self) -> Instant {
        SystemClock.monotonic()
    }

    fn wall(&self) -> SystemTime {
        SystemClock.wall()
    }

    fn block_for(&self, _: Instant, deadline: Option<Instant>) -> Option<Duration> {
        assert_eq!(deadline, None);
        // Nobody listens any more when the test is over.
        let _ = self.0.send(());
        None
    }
}

/// Tornado: test_add_callback_wakeup_other_thread. Each callback is posted when the loop has nothing to do but to block.
#[test]
fn add_callback_wakeup_other_thread() {
    let (sender, blocks) = mpsc::channel();
    let io_loop = IoLoop::with_clock(Blocks(sender));
    let remote = io_loop.remote();
    let count = Arc::new(AtomicUsize::new(0));
    let worker = std::thread::spawn({
        let count = count.clone();
        move || {
            for round in 0..100 {
                blocks.recv().unwrap();
                assert_eq!(count.load(Ordering::Relaxed), round);
                let count = count.clone();
                let callback = move || {
                    count.fetch_add(1, Ordering::Relaxed);
                };
                remote.add_callback(callback).unwrap();
            }
            blocks.recv().unwrap();
            remote.stop().unwrap();
        }
    });
    io_loop.start().unwrap();
    worker.join().unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 100);
}

/// Tornado: test_add_callback_from_signal_other_thread.
#[test]
fn add_callback_from_signal_other_thread() {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let io_loop = IoLoop::new().unwrap();
        sender.send(io_loop.remote()).unwrap();
        run_until_stopped(&io_loop);
        io_loop.close().unwrap();
    });
    let remote: Remote = receiver.recv().unwrap();
    remote.add_callback(|| IoLoop::current().stop()).unwrap();
    thread.join().unwrap();
    assert_eq!(remote.stop(), Err(LoopError::Closed));
}

/// Tornado: test_add_callback_while_closing. None of them panics, each runs or is refused or dropped with the loop.
#[test]
fn add_callback_while_closing() {
    let thread_count = 2;
    let mut refused = 0;
    for _ in 0..20 {
        let io_loop = IoLoop::new().unwrap();
        let barrier = Arc::new(Barrier::new(thread_count + 1));
        let payload = Arc::new(());
        let workers: Vec<_> = (0..thread_count)
            .map(|_| {
                let (remote, barrier, payload) = (io_loop.remote(), barrier.clone(), payload.clone());
                std::thread::spawn(move || {
                    barrier.wait();
                    let mut refused = 0;
                    for _ in 0..1000 {
                        let payload = payload.clone();
                        match remote.add_callback(move || drop(payload)) {
                            Ok(()) => {}
                            Err(LoopError::Closed) => refused += 1,
                            Err(other) => panic!("{other}"),
                        }
                    }
                    refused
                })
            })
            .collect();
        barrier.wait();
        io_loop.close().unwrap();
        for worker in workers {
            refused += worker.join().unwrap();
        }
        assert_eq!(Arc::strong_count(&payload), 1, "a callback lives on in a closed loop");
    }
    assert!(refused > 0, "the loop was closed before the last call in some round");
}

#[test]
fn callbacks_of_many_threads_run_once_each_in_their_order() {
    thread_local! {
        static SEEN: RefCell<Vec<(usize, usize)>> = const { RefCell::new(Vec::new()) };
    }
    let io_loop = IoLoop::new().unwrap();
    let workers: Vec<_> = (0..4)
        .map(|thread| {
            let remote = io_loop.remote();
            std::thread::spawn(move || {
                for i in 0..500 {
                    let posted = remote.add_callback(move || {
                        let all = SEEN.with_borrow_mut(|seen| {
                            seen.push((thread, i));
                            seen.len() == 2000
                        });
                        if all {
                            IoLoop::current().stop();
                        }
                    });
                    posted.unwrap();
                }
            })
        })
        .collect();
    run_until_stopped(&io_loop);
    for worker in workers {
        worker.join().unwrap();
    }
    let seen = SEEN.take();
    for thread in 0..4 {
        let order: Vec<_> = seen.iter().filter(|(from, _)| *from == thread).map(|(_, i)| *i).collect();
        assert_eq!(order, (0..500).collect::<Vec<_>>());
    }
}

#[test]
fn callbacks_posted_before_the_start_run() {
    let (io_loop, _clock) = still_loop();
    let (sender, receiver) = mpsc::channel();
    io_loop.remote().add_callback(move || sender.send(1).unwrap()).unwrap();
    run_until_idle(&io_loop);
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn a_callback_posted_by_a_callback_runs_too() {
    let (io_loop, _clock) = still_loop();
    let (sender, receiver) = mpsc::channel();
    let remote = io_loop.remote();
    io_loop.remote().add_callback(move || remote.add_callback(move || sender.send(1).unwrap()).unwrap()).unwrap();
    run_until_idle(&io_loop);
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn a_callback_that_panics_is_logged_and_costs_itself_alone() {
    let (io_loop, _clock) = still_loop();
    let (sender, receiver) = mpsc::channel();
    io_loop.remote().add_callback(|| panic!("from afar")).unwrap();
    io_loop.remote().add_callback(move || sender.send(1).unwrap()).unwrap();
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "from afar");
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn stop_stops_the_loop_that_it_belongs_to() {
    let (io_loop, _clock) = still_loop();
    // A callback makes another loop current and leaves it so: the still clock cannot stop this one any more.
    io_loop.add_callback(|| drop(IoLoop::new().unwrap()));
    io_loop.remote().stop().unwrap();
    io_loop.start().unwrap();
}

#[test]
fn a_stop_waits_for_the_callbacks_posted_before_it() {
    let (io_loop, _clock) = still_loop();
    let (sender, receiver) = mpsc::channel();
    let remote = io_loop.remote();
    remote.add_callback(move || sender.send(1).unwrap()).unwrap();
    remote.stop().unwrap();
    io_loop.start().unwrap();
    assert_eq!(receiver.try_recv(), Ok(1));
}

#[test]
fn a_remote_of_a_closed_loop_refuses() {
    let io_loop = IoLoop::new().unwrap();
    let remote = io_loop.remote();
    io_loop.close().unwrap();
    let payload = Arc::new(());
    let captured = payload.clone();
    assert_eq!(remote.add_callback(move || drop(captured)), Err(LoopError::Closed));
    assert_eq!(Arc::strong_count(&payload), 1);
    assert_eq!(remote.clone().stop(), Err(LoopError::Closed));
    assert_eq!(format!("{remote:?}"), "Remote { closed: true }");
}

#[test]
fn what_did_not_run_is_dropped_with_the_loop() {
    struct DroppedOn(Arc<std::sync::Mutex<Vec<std::thread::ThreadId>>>);
    impl Drop for DroppedOn {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(std::thread::current().id());
        }
    }
    let io_loop = IoLoop::new().unwrap();
    let remote = io_loop.remote();
    let dropped = Arc::default();
    let payload = DroppedOn(Arc::clone(&dropped));
    std::thread::spawn(move || remote.add_callback(move || drop(payload)).unwrap()).join().unwrap();
    drop(io_loop);
    IoLoop::clear_current();
    assert_eq!(*dropped.lock().unwrap(), [std::thread::current().id()]);
}

/// Compiles only for types that are not `Send`.
macro_rules! assert_not_send {
    ($($type:ty),*) => {
        $(const _: fn() = || {
            trait Ambiguous<A> {
                fn item() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct Sendable;
            impl<T: ?Sized + Send> Ambiguous<Sendable> for T {}
            let _ = <$type as Ambiguous<_>>::item;
        };)*
    };
}

assert_not_send!(IoLoop, Registration, Deadline, Sleep, JoinHandle<()>);

#[test]
fn remote_and_plain_handles_alone_may_travel() {
    fn travels<T: Send + Sync + 'static>() {}
    travels::<Remote>();
    // A number that means nothing without its loop.
    travels::<TimeoutHandle>();
}

//! Blocking work on other threads: who runs it, how its result comes back, and what is left when loop or pool end first.
#![cfg(feature = "executor")]

mod common;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use common::*;
use landspout_ioloop::{Executor, IoLoop, Job, JoinError, ThreadPoolExecutor};

/// Runs a loop with a real clock for one future; fails instead of hanging.
fn run<F: Future + 'static>(io_loop: &IoLoop, future: F) -> F::Output {
    install_log();
    io_loop.run_sync_timeout(GUARD, future).expect("the future is done")
}

/// Waits on a thread of a pool.
fn wait<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(GUARD).expect("the other side comes")
}

/// Sends when it is dropped, which for a thread's local means: when the thread ends.
struct SendOnDrop(Sender<()>);

impl Drop for SendOnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// Makes the calling thread tell its end.
fn tell_end_of_thread(sender: Sender<()>) {
    thread_local!(static END: RefCell<Option<SendOnDrop>> = const { RefCell::new(None) });
    END.set(Some(SendOnDrop(sender)));
}

/// Tornado: test_run_in_executor_gen, test_run_in_executor_native.
#[test]
fn two_jobs_that_wait_for_each_other_run_in_parallel_on_the_default_pool() {
    let io_loop = IoLoop::new().unwrap();
    let ((to_one, for_one), (to_other, for_other)) = (mpsc::channel(), mpsc::channel());
    let home = thread::current().id();
    let result = run(&io_loop, async move {
        let io_loop = IoLoop::current();
        let one = io_loop.run_in_executor(None, move || {
            to_other.send(thread::current().id()).unwrap();
            (1, wait(&for_one))
        });
        let other = io_loop.run_in_executor(None, move || {
            to_one.send(thread::current().id()).unwrap();
            (2, wait(&for_other))
        });
        (one.await.unwrap(), other.await.unwrap())
    });
    let ((1, other), (2, one)) = result else { panic!("the results keep their order: {result:?}") };
    assert!(one != other && one != home && other != home);
}

/// Tornado: test_set_default_executor.
#[test]
fn a_default_executor_gets_exactly_what_is_submitted() {
    struct Counting {
        pool: ThreadPoolExecutor,
        count: Cell<usize>,
    }
    impl Executor for Counting {
        fn execute(&self, job: Job) {
            self.count.set(self.count.get() + 1);
            self.pool.execute(job);
        }
    }
    let io_loop = IoLoop::new().unwrap();
    let executor = Rc::new(Counting { pool: ThreadPoolExecutor::new(1), count: Cell::new(0) });
    io_loop.set_default_executor(executor.clone());
    let answer = io_loop.run_in_executor(None, || 42);
    assert_eq!(run(&io_loop, answer).unwrap(), 42);
    assert_eq!(executor.count.get(), 1);
    let other = ThreadPoolExecutor::new(1);
    let answer = io_loop.run_in_executor(Some(&other), || 43);
    assert_eq!(run(&io_loop, answer).unwrap(), 43);
    assert_eq!(executor.count.get(), 1, "one that is named is used");
}

#[test]
fn closures_and_shared_executors_run_jobs() {
    let io_loop = IoLoop::new().unwrap();
    let inline = |job: Job| job();
    let on_a_thread = Arc::new(|job: Job| drop(thread::spawn(job)));
    let as_object: Rc<dyn Executor> = Rc::new(ThreadPoolExecutor::new(1));
    for executor in [&inline as &dyn Executor, &on_a_thread, &as_object] {
        let answer = io_loop.run_in_executor(Some(executor), || 7);
        assert_eq!(run(&io_loop, answer).unwrap(), 7);
    }
}

#[test]
fn a_job_begins_without_anybody_awaiting_it_and_ends_without_its_future() {
    let io_loop = IoLoop::new().unwrap();
    let (sender, receiver) = mpsc::channel();
    let (go, wait_for_go) = mpsc::channel();
    let future = io_loop.run_in_executor(None, move || {
        sender.send("begun").unwrap();
        wait(&wait_for_go);
        sender.send("done").unwrap();
    });
    assert_eq!(wait(&receiver), "begun");
    drop(future);
    go.send(()).unwrap();
    assert_eq!(wait(&receiver), "done");
}

#[test]
fn a_panic_in_a_job_is_logged_and_a_typed_error() {
    let (io_loop, _clock) = still_loop();
    let inline = |job: Job| job();
    let (future, lines) = logged(|| io_loop.run_in_executor(Some(&inline), || -> u32 { panic!("no {}", "luck") }));
    assert_one_error(&lines, "panic in a job of an executor: no luck");
    let error = io_loop.run_sync(future).unwrap().unwrap_err();
    assert!(matches!(error, JoinError::Panicked(_)) && error.to_string().ends_with("no luck"), "{error:?}");
}

#[test]
fn a_panic_costs_no_thread_of_the_pool() {
    let io_loop = IoLoop::new().unwrap();
    let pool = ThreadPoolExecutor::new(1);
    install_log();
    for _ in 0..10 {
        let future = io_loop.run_in_executor(Some(&pool), || -> u32 { panic!("again") });
        assert!(matches!(run(&io_loop, future), Err(JoinError::Panicked(_))));
        // Nobody waits for this one, so its result ends on the pool's thread.
        let (go, wait_for_go) = mpsc::channel();
        drop(io_loop.run_in_executor(Some(&pool), move || {
            wait(&wait_for_go);
            bomb("the result")
        }));
        go.send(()).unwrap();
        pool.execute(Box::new(|| panic!("a job from elsewhere")));
    }
    let answer = io_loop.run_in_executor(Some(&pool), || 42);
    assert_eq!(run(&io_loop, answer).unwrap(), 42);
}

#[test]
fn a_job_that_is_dropped_unrun_is_cancelled() {
    let (io_loop, _clock) = still_loop();
    let refuses = |job: Job| drop(job);
    let future = io_loop.run_in_executor(Some(&refuses), || 1);
    assert!(matches!(io_loop.run_sync(future), Ok(Err(JoinError::Cancelled))));
    // Also later, from another thread, while a task waits.
    let io_loop = IoLoop::new().unwrap();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeps = {
        let kept = kept.clone();
        move |job: Job| kept.lock().unwrap().push(job)
    };
    let future = io_loop.run_in_executor(Some(&keeps), || 1);
    let drops = thread::spawn(move || kept.lock().unwrap().clear());
    assert!(matches!(run(&io_loop, future), Err(JoinError::Cancelled)));
    drops.join().unwrap();
}

#[test]
fn a_closed_loop_drops_the_job() {
    let (io_loop, _clock) = still_loop();
    let other = IoLoop::new().unwrap();
    io_loop.close().unwrap();
    let payload = Arc::new(());
    let captured = payload.clone();
    let future = io_loop.run_in_executor(None, move || drop(captured));
    assert_eq!(Arc::strong_count(&payload), 1);
    assert!(matches!(other.run_sync(future), Ok(Err(JoinError::Cancelled))));
    let executor = Rc::new(|job: Job| job());
    io_loop.set_default_executor(executor.clone());
    assert_eq!(Rc::strong_count(&executor), 1, "a closed loop keeps nothing");
}

#[test]
fn a_loop_that_closes_lets_the_job_run_and_loses_the_result() {
    let io_loop = IoLoop::new().unwrap();
    let (go, wait_for_go) = mpsc::channel();
    let (sender, receiver) = mpsc::channel();
    let (end_of_thread, ended) = mpsc::channel();
    let begun = Rc::new(Cell::new(false));
    io_loop.spawn({
        let begun = begun.clone();
        async move {
            let job = IoLoop::current().run_in_executor(None, move || {
                tell_end_of_thread(end_of_thread);
                wait(&wait_for_go);
                SendOnDrop(sender)
            });
            begun.set(true);
            let _ = job.await;
            panic!("the loop is closed");
        }
    });
    io_loop.stop();
    io_loop.start().unwrap();
    assert!(begun.get());
    io_loop.close().unwrap();
    go.send(()).unwrap();
    wait(&receiver);
    assert_eq!(ended.recv_timeout(GUARD), Ok(()), "the default pool ends with its loop");
}

#[test]
fn a_future_that_outlives_its_loop_still_resolves() {
    let io_loop = IoLoop::new().unwrap();
    let (go, wait_for_go) = mpsc::channel();
    let future = Rc::new(RefCell::new(io_loop.run_in_executor(None, move || {
        wait(&wait_for_go);
        42
    })));
    let poll = move |cx: &mut Context<'_>| Pin::new(&mut *future.borrow_mut()).poll(cx);
    // Once, so that it holds a waker of the first loop.
    let once = poll.clone();
    let pending = run(&io_loop, poll_fn(move |cx| Poll::Ready(once(cx).is_pending())));
    assert!(pending);
    io_loop.close().unwrap();
    go.send(()).unwrap();
    assert_eq!(run(&IoLoop::new().unwrap(), poll_fn(poll)).unwrap(), 42);
}

/// A waker that is dropped may do anything, also run the very job.
#[test]
fn no_waker_is_dropped_while_the_result_is_locked() {
    #[derive(Default)]
    struct RunsJobs(Mutex<Vec<Job>>);
    impl Wake for RunsJobs {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for RunsJobs {
        fn drop(&mut self) {
            self.0.get_mut().unwrap().drain(..).for_each(|job| job());
        }
    }
    let (io_loop, _clock) = still_loop();
    let runs_jobs = Arc::new(RunsJobs::default());
    let keeps = {
        let runs_jobs = Arc::downgrade(&runs_jobs);
        move |job: Job| runs_jobs.upgrade().unwrap().0.lock().unwrap().push(job)
    };
    let mut future = io_loop.run_in_executor(Some(&keeps), || 42);
    let mut poll = |waker: Waker| Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
    assert!(poll(runs_jobs.into()).is_pending());
    assert!(poll(Waker::noop().clone()).is_pending(), "the job runs at its end");
    assert!(matches!(poll(Waker::noop().clone()), Poll::Ready(Ok(42))));
}

#[test]
fn a_pool_has_no_more_threads_than_it_may_and_keeps_the_order_of_jobs() {
    const JOBS: usize = 40;
    let io_loop = IoLoop::new().unwrap();
    for max_workers in [1, 3] {
        let pool = ThreadPoolExecutor::new(max_workers);
        assert_eq!(pool.max_workers(), max_workers);
        let begun = Arc::new(Mutex::new(Vec::new()));
        let jobs: Vec<_> = (0..JOBS)
            .map(|i| {
                let begun = begun.clone();
                io_loop.run_in_executor(Some(&pool), move || begun.lock().unwrap().push((i, thread::current().id())))
            })
            .collect();
        run(&io_loop, async {
            for job in jobs {
                job.await.unwrap();
            }
        });
        let begun = begun.lock().unwrap();
        let mut threads: Vec<ThreadId> = begun.iter().map(|(_, thread)| *thread).collect();
        threads.sort_by_key(|thread| format!("{thread:?}"));
        threads.dedup();
        assert!(threads.len() <= max_workers, "{threads:?}");
        if max_workers == 1 {
            assert!(begun.iter().map(|(i, _)| *i).eq(0..JOBS));
        }
    }
    assert!(ThreadPoolExecutor::new(0).max_workers() >= 5, "0 asks for the default");
}

/// As many jobs as threads, each waiting for all others: none of them may be queued behind a busy thread.
#[test]
fn every_thread_of_a_pool_is_used_before_a_job_has_to_wait() {
    const THREADS: usize = 8;
    let io_loop = IoLoop::new().unwrap();
    let pool = ThreadPoolExecutor::new(THREADS);
    for _ in 0..100 {
        let met = Arc::new((Mutex::new(0), std::sync::Condvar::new()));
        let jobs: Vec<_> = (0..THREADS)
            .map(|_| {
                let met = met.clone();
                io_loop.run_in_executor(Some(&pool), move || {
                    let mut count = met.0.lock().unwrap();
                    *count += 1;
                    met.1.notify_all();
                    let (_count, waited) = met.1.wait_timeout_while(count, GUARD, |count| *count < THREADS).unwrap();
                    assert!(!waited.timed_out(), "a job waits behind another one");
                })
            })
            .collect();
        run(&io_loop, async {
            for job in jobs {
                job.await.unwrap();
            }
        });
    }
}

#[test]
fn the_last_handle_of_a_pool_lets_the_queue_run_and_the_threads_end() {
    let pool = ThreadPoolExecutor::new(2);
    let (go, wait_for_go) = mpsc::channel();
    let (done, all_done) = mpsc::channel();
    let (end_of_thread, ended) = mpsc::channel();
    pool.execute(Box::new({
        let end_of_thread = end_of_thread.clone();
        move || {
            tell_end_of_thread(end_of_thread);
            wait(&wait_for_go);
        }
    }));
    let second = pool.clone();
    drop(pool);
    for i in 0..5 {
        let (done, end_of_thread) = (done.clone(), end_of_thread.clone());
        second.execute(Box::new(move || {
            tell_end_of_thread(end_of_thread);
            done.send(i).unwrap();
        }));
    }
    drop((second, end_of_thread, done));
    go.send(()).unwrap();
    let mut ran: Vec<i32> = (0..5).map(|_| wait(&all_done)).collect();
    ran.sort_unstable();
    assert_eq!(ran, [0, 1, 2, 3, 4]);
    while ended.recv_timeout(GUARD).map_err(|error| assert_eq!(error, mpsc::RecvTimeoutError::Disconnected)).is_ok() {}
}

/// Tornado: test_add_future_threads.
#[test]
fn add_future_takes_the_result_of_a_thread() {
    let io_loop = IoLoop::new().unwrap();
    let pool = ThreadPoolExecutor::new(1);
    let seen = Trace::default();
    io_loop.add_future(io_loop.run_in_executor(Some(&pool), || ()), {
        let seen = seen.clone();
        move |result| {
            seen.push(result.is_ok());
            IoLoop::current().stop();
        }
    });
    run_until_stopped(&io_loop);
    assert_eq!(seen.take(), [true]);
}

/// The handle of a pool may travel; submitting from many threads at once loses nothing.
#[test]
fn many_threads_submit_to_one_pool() {
    let pool = ThreadPoolExecutor::new(3);
    let (sender, receiver) = mpsc::channel();
    let submitters: Vec<_> = (0..4)
        .map(|_| {
            let (pool, sender) = (pool.clone(), sender.clone());
            thread::spawn(move || {
                for _ in 0..250 {
                    let sender = sender.clone();
                    pool.execute(Box::new(move || sender.send(()).unwrap()));
                }
            })
        })
        .collect();
    drop((pool, sender));
    for submitter in submitters {
        submitter.join().unwrap();
    }
    let mut count = 0;
    while receiver.recv_timeout(GUARD).is_ok() {
        count += 1;
    }
    assert_eq!(count, 1000);
}

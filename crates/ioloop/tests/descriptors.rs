//! A closed loop leaves no descriptor open. Counting them needs a process of its own: this file has a single test.

mod common;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::pending;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use landspout_ioloop::{EventTarget, Events, IoLoop, Ready, Registration};

/// The numbers of all open descriptors and what they name.
fn open_descriptors() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    // The directory's own descriptor is gone by the time its link is read.
    entries.filter_map(|path| Some(format!("{path:?} {:?}", std::fs::read_link(&path).ok()?))).collect()
}

/// A stream's stand-in: it owns its socket and lets go of it when the loop closes.
struct Stream {
    socket: RefCell<Option<UnixStream>>,
    registration: Registration,
}

impl EventTarget for Stream {
    fn ready(self: Rc<Self>, _: Ready) {}

    fn flush(self: Rc<Self>) {}

    fn loop_closed(self: Rc<Self>) {
        self.socket.take();
    }
}

fn stream(io_loop: &IoLoop, socket: UnixStream) -> Rc<Stream> {
    let registration = Registration::new(io_loop, socket.as_fd(), Ready::NONE).unwrap();
    let stream = Rc::new(Stream { socket: RefCell::new(Some(socket)), registration });
    let target: Rc<dyn EventTarget> = stream.clone();
    stream.registration.set_target(Rc::downgrade(&target));
    stream
}

/// Gives every part of a loop a socket to own. The streams are returned, since a user may keep them.
fn fill(io_loop: &IoLoop) -> Vec<Rc<Stream>> {
    let (one, other) = socket_pair();
    io_loop.spawn(async move {
        let _owned = one;
        pending::<()>().await;
    });
    // Never polled.
    io_loop.spawn(async move {
        let _owned = other;
        pending::<()>().await;
    });
    let (one, other) = socket_pair();
    io_loop.add_callback(move || drop(one));
    io_loop.call_later(Duration::from_secs(3600), move || drop(other));
    let (one, other) = socket_pair();
    for socket in [one, other] {
        let owned = socket.try_clone().unwrap();
        io_loop.add_handler(&socket, Events::READ, move |_, _| assert!(read_some(&owned, 10) > 0)).unwrap();
    }
    let (one, other) = socket_pair();
    io_loop.remote().add_callback(move || drop(one)).unwrap();
    #[cfg(feature = "signal")]
    {
        const SIGUSR2: i32 = 12;
        io_loop
            .add_signal_handler(SIGUSR2, move || {
                let _ = &other;
            })
            .unwrap();
    }
    #[cfg(not(feature = "signal"))]
    drop(other);
    let (one, other) = socket_pair();
    let streams = vec![stream(io_loop, one), stream(io_loop, other)];
    streams[0].registration.flush_later(streams[0].clone());
    streams
}

#[test]
fn close_closes_every_descriptor_and_ends_all_tasks() {
    // What a process opens once and keeps, such as the pipe behind all signals, is opened here.
    let warm_up = IoLoop::new().unwrap();
    drop(fill(&warm_up));
    warm_up.close().unwrap();
    drop(warm_up);

    assert!(!IoLoop::exists_in_process());
    let before = open_descriptors();

    // Closed as it was made, after it ran, and by the drop of its last handle.
    for run in [false, true] {
        for drop_only in [false, true] {
            let io_loop = IoLoop::new().unwrap();
            assert!(IoLoop::exists_in_process());
            let streams = fill(&io_loop);
            if run {
                io_loop.stop();
                io_loop.start().unwrap();
            }
            let remote = io_loop.remote();
            let task = io_loop.spawn(pending::<()>());
            assert!(open_descriptors().len() >= before.len() + 10, "there is something to close");
            if drop_only {
                IoLoop::clear_current();
                drop(io_loop);
                assert_eq!(open_descriptors(), before, "run: {run}, dropped");
            } else {
                io_loop.close().unwrap();
                assert_eq!(open_descriptors(), before, "run: {run}, closed while a handle lives");
            }
            assert!(task.is_finished());
            assert!(!IoLoop::exists_in_process());
            drop((remote, streams));
        }
    }

    // A thread that ends without a word, its loop held by a task of its own.
    std::thread::spawn(|| {
        let io_loop = IoLoop::current();
        drop(fill(&io_loop));
        let held = io_loop.clone();
        io_loop.spawn(async move {
            let _held = held;
            pending::<()>().await;
        });
    })
    .join()
    .unwrap();
    assert_eq!(open_descriptors(), before, "after the thread's end");
    assert!(!IoLoop::exists_in_process());
}

//! `Registration`, the edge-triggered door of streams: flags, wakers, targets.

mod common;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use common::*;
use landspout_ioloop::{Clock, EventTarget, IoLoop, LoopError, Ready, Registration};

fn register(io_loop: &IoLoop, socket: &UnixStream) -> Rc<Registration> {
    Rc::new(Registration::new(io_loop, socket.as_fd(), Ready::NONE).unwrap())
}

/// A task that waits for a direction as often as it is told to.
fn wait(io_loop: &IoLoop, registration: &Rc<Registration>, flag: Ready, trace: &Trace<Ready>) {
    let (registration, trace) = (registration.clone(), trace.clone());
    io_loop.spawn(async move {
        poll_fn(|cx| match flag == Ready::READABLE {
            true => registration.poll_readable(cx),
            false => registration.poll_writable(cx),
        })
        .await;
        trace.push(registration.ready());
    });
}

#[test]
fn flags_start_as_assumed() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let registration = Registration::new(&io_loop, socket.as_fd(), Ready::WRITABLE).unwrap();
    assert_eq!(registration.ready(), Ready::WRITABLE);
    registration.clear(Ready::READABLE);
    assert_eq!(registration.ready(), Ready::WRITABLE, "only what is named is taken down");
    registration.clear(Ready::WRITABLE);
    assert_eq!(registration.ready(), Ready::NONE);
}

#[test]
fn now_is_the_time_of_the_loops_turn() {
    let (io_loop, clock) = still_loop();
    let registration = Registration::detached(&io_loop, Ready::NONE).unwrap();
    clock.advance(std::time::Duration::from_secs(1));
    run_until_idle(&io_loop);
    assert_eq!(registration.now(), clock.monotonic());
}

#[test]
fn an_event_raises_its_flags_and_wakes_who_waits() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = register(&io_loop, &socket);
    let trace = Trace::default();
    wait(&io_loop, &registration, Ready::READABLE, &trace);
    run_until_idle(&io_loop);
    assert_eq!((registration.ready(), trace.len()), (Ready::WRITABLE, 0));
    write_all(&peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), [Ready::READABLE | Ready::WRITABLE]);
}

/// A task that takes two steps, and makes way in between if it isn't alone.
fn take_two_steps(io_loop: &IoLoop, name: &'static str, trace: &Trace<String>) {
    let registration = Registration::detached(io_loop, Ready::NONE).unwrap();
    let trace = trace.clone();
    io_loop.spawn(async move {
        let mut steps = 0;
        poll_fn(|cx| {
            steps += 1;
            trace.push(format!("{name}{steps}"));
            match steps == 1 && registration.in_company() && registration.make_way(cx) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
    });
}

#[test]
fn tasks_that_make_way_take_each_step_together_within_a_turn() {
    let (io_loop, _clock) = still_loop();
    let trace = Trace::default();
    for name in ["a", "b", "c"] {
        take_two_steps(&io_loop, name, &trace);
    }
    io_loop.add_callback({
        let (io_loop, trace) = (io_loop.clone(), trace.clone());
        // Runs before the tasks of this turn, and the one that it adds before those of the next.
        move || io_loop.add_callback(move || trace.push("the next turn".to_owned()))
    });
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["a1", "b1", "c1", "a2", "b2", "c2", "the next turn"]);
    take_two_steps(&io_loop, "alone", &trace);
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["alone1"]);
}

#[test]
fn only_the_current_task_can_make_way() {
    let (io_loop, _clock) = still_loop();
    let registration = Rc::new(Registration::detached(&io_loop, Ready::NONE).unwrap());
    assert!(!registration.make_way(&Context::from_waker(Waker::noop())), "there is none");
    for _ in 0..2 {
        let registration = registration.clone();
        io_loop.spawn(async move {
            assert!(registration.in_company());
            assert!(!registration.make_way(&Context::from_waker(Waker::noop())), "this is another's");
        });
    }
    run_until_idle(&io_loop);
}

#[test]
fn reader_and_writer_wait_apart() {
    let (io_loop, _clock) = still_loop();
    let registration = Rc::new(Registration::detached(&io_loop, Ready::NONE).unwrap());
    let (reader, writer) = (Trace::default(), Trace::default());
    wait(&io_loop, &registration, Ready::READABLE, &reader);
    wait(&io_loop, &registration, Ready::WRITABLE, &writer);
    run_until_idle(&io_loop);
    registration.raise(Ready::WRITABLE);
    run_until_idle(&io_loop);
    assert_eq!((reader.len(), writer.len()), (0, 1));
    registration.raise(Ready::READABLE);
    run_until_idle(&io_loop);
    assert_eq!((reader.len(), writer.len()), (1, 1));
}

#[test]
fn a_flag_that_is_up_is_ready_at_once() {
    let (io_loop, _clock) = still_loop();
    let registration = Rc::new(Registration::detached(&io_loop, Ready::READABLE).unwrap());
    let trace = Trace::default();
    for _ in 0..2 {
        wait(&io_loop, &registration, Ready::READABLE, &trace);
        run_until_idle(&io_loop);
    }
    assert_eq!(trace.take(), [Ready::READABLE; 2], "waiting takes no flag down");
}

/// What is not read is reported by no further event until more comes: the registration is not renewed.
#[test]
fn edges_are_reported_once() {
    let (io_loop, clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = register(&io_loop, &socket);
    write_all(&peer, b"x");
    run_until_idle(&io_loop);
    assert!(registration.ready().contains(Ready::READABLE));

    registration.clear(Ready::READABLE | Ready::WRITABLE);
    clock.asked();
    run_until_idle(&io_loop);
    assert_eq!((registration.ready(), clock.asked().len()), (Ready::NONE, 1));

    write_all(&peer, b"y");
    run_until_idle(&io_loop);
    assert!(registration.ready().contains(Ready::READABLE), "a new edge");
}

/// The kernel's own list of what the poller watches.
#[cfg(target_os = "linux")]
fn epoll_entries(socket: &UnixStream) -> Vec<u32> {
    let wanted = socket.as_raw_fd();
    let mut masks = Vec::new();
    for file in std::fs::read_dir("/proc/self/fdinfo").unwrap() {
        let Ok(text) = std::fs::read_to_string(file.unwrap().path()) else { continue };
        for line in text.lines().filter(|line| line.starts_with("tfd:")) {
            let words: Vec<_> = line.split_whitespace().collect();
            if words[1].parse() == Ok(wanted) {
                masks.push(u32::from_str_radix(words[3], 16).unwrap());
            }
        }
    }
    masks
}

#[cfg(target_os = "linux")]
#[test]
fn one_entry_serves_both_directions_for_all_its_life() {
    // EPOLLIN, PRI, OUT, RDHUP and ET; the kernel adds ERR and HUP.
    const EXPECTED: u32 = 0x1 | 0x2 | 0x4 | 0x2000 | 1 << 31 | 0x8 | 0x10;
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = register(&io_loop, &socket);
    for _ in 0..3 {
        write_all(&peer, b"x");
        run_until_idle(&io_loop);
        read_some(&socket, 10);
        registration.clear(Ready::READABLE);
        write_all(&socket, b"x");
        assert_eq!(epoll_entries(&socket), [EXPECTED]);
    }
    drop(registration);
    assert_eq!(epoll_entries(&socket), [EXPECTED], "a drop costs no system call");
}

#[cfg(target_os = "linux")]
#[test]
fn urgent_data_raises_priority_with_readable() {
    let (io_loop, _clock) = still_loop();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let socket = listener.accept().unwrap().0;
    let registration = Registration::new(&io_loop, socket.as_fd(), Ready::NONE).unwrap();
    std::io::Write::write_all(&mut &peer, b"x").unwrap();
    run_until_idle(&io_loop);
    assert!(!registration.ready().contains(Ready::PRIORITY));
    socket2::SockRef::from(&peer).send_out_of_band(b"!").unwrap();
    run_until_idle(&io_loop);
    assert!(registration.ready().contains(Ready::PRIORITY | Ready::READABLE), "{registration:?}");
}

#[test]
fn the_end_of_the_peers_writing_raises_read_closed_with_readable() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = register(&io_loop, &socket);
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    run_until_idle(&io_loop);
    let ready = registration.ready();
    assert!(ready.contains(Ready::READABLE | Ready::READ_CLOSED), "{ready:?}");
    assert!(!ready.intersects(Ready::WRITE_CLOSED | Ready::ERROR), "it can still be answered: {ready:?}");
}

#[test]
fn a_hang_up_raises_both_directions() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = register(&io_loop, &socket);
    drop(peer);
    run_until_idle(&io_loop);
    let all = Ready::READABLE | Ready::WRITABLE | Ready::READ_CLOSED | Ready::WRITE_CLOSED;
    assert!(registration.ready().contains(all), "{:?}", registration.ready());
}

#[test]
fn a_task_waits_in_one_place_and_the_last_one_is_woken() {
    let (io_loop, _clock) = still_loop();
    let registration = Rc::new(Registration::detached(&io_loop, Ready::NONE).unwrap());
    let trace = Trace::default();
    let polls = Rc::new(Cell::new(0));
    io_loop.spawn({
        let (registration, polls) = (registration.clone(), polls.clone());
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            registration.poll_readable(cx)
        })
    });
    run_until_idle(&io_loop);
    wait(&io_loop, &registration, Ready::READABLE, &trace);
    run_until_idle(&io_loop);
    registration.raise(Ready::READABLE);
    run_until_idle(&io_loop);
    assert_eq!((trace.len(), polls.get()), (1, 1));
}

#[test]
fn wake_on_read_waits_for_the_next_event_whatever_the_flags_say() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = register(&io_loop, &socket);
    write_all(&peer, b"x");
    run_until_idle(&io_loop);
    let polls = Rc::new(Cell::new(0));
    io_loop.spawn({
        let (registration, polls) = (registration.clone(), polls.clone());
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            registration.wake_on_read(cx);
            Poll::<()>::Pending
        })
    });
    run_until_idle(&io_loop);
    assert_eq!(polls.get(), 1, "readable already, but that is no event");
    write_all(&peer, b"y");
    run_until_idle(&io_loop);
    assert_eq!(polls.get(), 2);
    registration.wake_reader();
    run_until_idle(&io_loop);
    assert_eq!(polls.get(), 3);
}

/// Writes down for what it was called.
#[derive(Default)]
struct Target {
    ready: RefCell<Vec<Ready>>,
    closed: Cell<usize>,
    panics: Cell<bool>,
    /// Dropped at the next call.
    victim: RefCell<Option<Rc<Registration>>>,
    successor: RefCell<Option<Registration>>,
    quiet: RefCell<Option<UnixStream>>,
}

impl EventTarget for Target {
    fn ready(self: Rc<Self>, ready: Ready) {
        self.ready.borrow_mut().push(ready);
        if self.panics.get() {
            panic!("not ready for this");
        }
        if let Some(victim) = self.victim.take() {
            drop(victim);
            let quiet = self.quiet.borrow();
            let quiet = quiet.as_ref().unwrap();
            self.successor.replace(Some(Registration::new(&IoLoop::current(), quiet.as_fd(), Ready::NONE).unwrap()));
        }
    }

    fn flush(self: Rc<Self>) {}

    fn loop_closed(self: Rc<Self>) {
        self.closed.set(self.closed.get() + 1);
    }
}

fn target_of(registration: &Registration) -> Rc<Target> {
    let target = Rc::new(Target::default());
    let weak: Weak<dyn EventTarget> = Rc::downgrade(&(target.clone() as Rc<dyn EventTarget>));
    registration.set_target(weak);
    target
}

#[test]
fn a_target_is_called_for_what_it_watches() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = register(&io_loop, &socket);
    let target = target_of(&registration);
    run_until_idle(&io_loop);
    assert_eq!(target.ready.take(), [], "it watches nothing yet");

    registration.watch(Ready::READABLE);
    write_all(&peer, b"x");
    run_until_idle(&io_loop);
    let calls = target.ready.take();
    assert!(calls.len() == 1 && calls[0].contains(Ready::READABLE), "{calls:?}");

    registration.watch(Ready::READ_CLOSED);
    write_all(&peer, b"y");
    run_until_idle(&io_loop);
    assert_eq!(target.ready.take(), []);
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    run_until_idle(&io_loop);
    assert_eq!(target.ready.take().len(), 1);
}

#[test]
fn a_target_is_held_weakly() {
    let (io_loop, _clock) = still_loop();
    let registration = Registration::detached(&io_loop, Ready::NONE).unwrap();
    registration.watch(Ready::READABLE);
    let target = target_of(&registration);
    let weak = Rc::downgrade(&target);
    drop(target);
    assert!(weak.upgrade().is_none());
    registration.raise(Ready::READABLE);
    assert_eq!(registration.ready(), Ready::READABLE);
}

#[test]
fn a_target_that_panics_is_logged_and_costs_itself_alone() {
    let (io_loop, _clock) = still_loop();
    let (one, one_peer) = socket_pair();
    let (other, other_peer) = socket_pair();
    let registrations = [register(&io_loop, &one), register(&io_loop, &other)];
    let targets = [target_of(&registrations[0]), target_of(&registrations[1])];
    run_until_idle(&io_loop);
    targets[0].panics.set(true);
    for registration in &registrations {
        registration.watch(Ready::READABLE);
    }
    write_all(&one_peer, b"x");
    write_all(&other_peer, b"x");
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "not ready for this");
    assert_eq!(targets.map(|target| target.ready.take().len()), [1, 1]);
}

#[test]
fn a_detached_registration_does_what_it_is_told() {
    let (io_loop, _clock) = still_loop();
    let registration = Rc::new(Registration::detached(&io_loop, Ready::WRITABLE).unwrap());
    let target = target_of(&registration);
    registration.watch(Ready::READABLE);
    let trace = Trace::default();
    wait(&io_loop, &registration, Ready::READABLE, &trace);
    run_until_idle(&io_loop);
    registration.raise(Ready::READABLE | Ready::READ_CLOSED);
    assert_eq!(target.ready.take(), [Ready::READABLE | Ready::READ_CLOSED], "called at once");
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), [Ready::READABLE | Ready::WRITABLE | Ready::READ_CLOSED]);
}

#[test]
fn deregister_ends_the_reports_and_frees_the_descriptor_for_another() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = Registration::new(&io_loop, socket.as_fd(), Ready::NONE).unwrap();
    let target = target_of(&registration);
    registration.watch(Ready::READABLE);
    write_all(&peer, b"x");
    registration.deregister(socket.as_fd());
    run_until_idle(&io_loop);
    assert_eq!(target.ready.take(), []);

    let second = Registration::new(&io_loop, socket.as_fd(), Ready::NONE).unwrap();
    run_until_idle(&io_loop);
    assert!(second.ready().contains(Ready::READABLE), "what waits is reported to the new one");
}

#[test]
fn a_descriptor_is_registered_once() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let first = Registration::new(&io_loop, socket.as_fd(), Ready::NONE).unwrap();
    let refused = |io_loop: &IoLoop| match Registration::new(io_loop, socket.as_fd(), Ready::NONE) {
        Err(LoopError::Poller(error)) => assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists),
        other => panic!("{other:?}"),
    };
    refused(&io_loop);
    // A drop is for one who closes the descriptor next: the poller still knows it.
    drop(first);
    refused(&io_loop);
}

#[test]
fn a_dropped_registrations_events_reach_nobody() {
    let (io_loop, clock) = still_loop();
    let (socket, peer) = socket_pair();
    drop(register(&io_loop, &socket));
    write_all(&peer, b"x");
    let (quiet, _quiet_peer) = socket_pair();
    let successor = Registration::new(&io_loop, quiet.as_fd(), Ready::NONE).unwrap();
    clock.asked();
    run_until_idle(&io_loop);
    assert_eq!(successor.ready(), Ready::WRITABLE, "not readable, as its predecessor in the slot is");
    assert!(clock.asked().len() <= 2, "the stray edge comes once");
}

/// The first of the batch drops the other's registration and makes a new one, which takes the freed slot.
#[test]
fn a_slot_reused_in_the_batch_gets_no_event_of_its_predecessor() {
    let (io_loop, _clock) = still_loop();
    let (one, one_peer) = socket_pair();
    let (other, other_peer) = socket_pair();
    let mut registrations = [Some(register(&io_loop, &one)), Some(register(&io_loop, &other))];
    run_until_idle(&io_loop);
    let targets = [0, 1].map(|i| target_of(registrations[i].as_ref().unwrap()));
    for i in [0, 1] {
        registrations[i].as_ref().unwrap().watch(Ready::READABLE);
    }
    let mut quiet_peers = Vec::new();
    for i in [0, 1] {
        let (quiet, quiet_peer) = socket_pair();
        // Full, so that no event of its own comes.
        while std::io::Write::write(&mut &quiet, &[0; 65536]).is_ok() {}
        targets[i].victim.replace(registrations[1 - i].clone());
        targets[i].quiet.replace(Some(quiet));
        quiet_peers.push(quiet_peer);
    }
    registrations = [None, None];
    assert!(registrations[0].is_none());
    write_all(&one_peer, b"x");
    write_all(&other_peer, b"x");
    run_until_idle(&io_loop);
    let called: Vec<_> = targets.iter().filter(|target| !target.ready.borrow().is_empty()).collect();
    assert_eq!(called.len(), 1, "the other one was gone when its turn came");
    let successor = called[0].successor.take().expect("a successor was made");
    assert_eq!(successor.ready(), Ready::NONE);
}

#[test]
fn a_closing_loop_tells_the_targets_once() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let registration = register(&io_loop, &socket);
    let target = target_of(&registration);
    io_loop.close().unwrap();
    io_loop.close().unwrap();
    assert_eq!(target.closed.get(), 1);
}

#[test]
fn a_detached_registration_is_told_of_the_close_as_others() {
    let (io_loop, _clock) = still_loop();
    let registration = Registration::detached(&io_loop, Ready::NONE).unwrap();
    let target = target_of(&registration);
    let dropped = Registration::detached(&io_loop, Ready::NONE).unwrap();
    let forgotten = target_of(&dropped);
    drop(dropped);
    io_loop.close().unwrap();
    assert_eq!((target.closed.get(), forgotten.closed.get()), (1, 0));
    assert_eq!(Registration::detached(&io_loop, Ready::NONE).err(), Some(LoopError::Closed));
    registration.raise(Ready::READABLE);
}

#[test]
fn a_registration_that_outlives_its_loop_is_harmless() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let (kept, _kept_peer) = socket_pair();
    let registration = register(&io_loop, &socket);
    let second = Registration::new(&io_loop, kept.as_fd(), Ready::NONE).unwrap();
    io_loop.close().unwrap();
    assert!(matches!(Registration::new(&io_loop, kept.as_fd(), Ready::NONE), Err(LoopError::Closed)));
    assert!(registration.io_loop().is_some_and(|io_loop| io_loop.is_closed()));
    let time = io_loop.now();
    drop(io_loop);
    assert!(registration.io_loop().is_none());

    assert_eq!(registration.now(), time, "the loop's time outlives it");
    let target = target_of(&registration);
    registration.watch(Ready::READABLE);
    registration.raise(Ready::READABLE);
    assert_eq!(target.ready.take(), [Ready::READABLE]);
    registration.flush_later(target.clone());
    registration.wake_reader();
    second.deregister(kept.as_fd());

    // Another loop can have the descriptor.
    let (another, _clock) = still_loop();
    assert!(Registration::new(&another, kept.as_fd(), Ready::NONE).is_ok());
}

#[test]
fn a_closed_loop_keeps_no_dirty_target() {
    let (io_loop, _clock) = still_loop();
    let registration = Registration::detached(&io_loop, Ready::NONE).unwrap();
    let target = target_of(&registration);
    io_loop.close().unwrap();
    let weak = Rc::downgrade(&target);
    registration.flush_later(target);
    assert!(weak.upgrade().is_none());
}

/// While a closing loop drops its tasks these may still try to register something.
#[test]
fn a_closing_loop_takes_no_registration() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let outcome = Rc::new(RefCell::new(None));
    let on_drop = OnDrop({
        let (io_loop, outcome) = (io_loop.clone(), outcome.clone());
        move || {
            outcome.replace(Some(Registration::new(&io_loop, socket.as_fd(), Ready::NONE).map(drop)));
        }
    });
    io_loop.add_callback(move || drop(on_drop));
    io_loop.close().unwrap();
    assert_eq!(outcome.take(), Some(Err(LoopError::Closed)));
}

/// The first to wait has to learn of what came before, and of nothing twice.
#[test]
fn a_deferred_descriptor_is_watched_once_somebody_waits() {
    for flag in [Ready::READABLE, Ready::WRITABLE] {
        let (io_loop, _clock) = still_loop();
        let (socket, peer) = socket_pair();
        let registration = Rc::new(Registration::deferred(&io_loop, socket.as_fd(), Ready::NONE).unwrap());
        write_all(&peer, b"x");
        run_until_idle(&io_loop);
        assert_eq!(registration.ready(), Ready::NONE, "the poller knows nothing of it");
        // Neither takes the descriptor's number for a task.
        registration.wake_reader();
        registration.raise(Ready::PRIORITY);
        registration.clear(Ready::PRIORITY);
        let trace = Trace::default();
        wait(&io_loop, &registration, flag, &trace);
        run_until_idle(&io_loop);
        assert_eq!(trace.take(), [Ready::READABLE | Ready::WRITABLE]);
        registration.clear(Ready::READABLE);
        wait(&io_loop, &registration, Ready::READABLE, &trace);
        run_until_idle(&io_loop);
        assert_eq!(trace.len(), 0);
        write_all(&peer, b"y");
        run_until_idle(&io_loop);
        assert_eq!(trace.len(), 1);
        Rc::into_inner(registration).unwrap().deregister(socket.as_fd());
        assert!(Registration::new(&io_loop, socket.as_fd(), Ready::NONE).is_ok(), "taken out of the poller");
    }
}

#[test]
fn a_deferred_descriptor_is_watched_for_a_target_and_at_a_word() {
    let (io_loop, _clock) = still_loop();
    let (one, other) = socket_pair();
    let watched = Registration::deferred(&io_loop, one.as_fd(), Ready::NONE).unwrap();
    let target = target_of(&watched);
    watched.watch(Ready::NONE);
    run_until_idle(&io_loop);
    assert_eq!(watched.ready(), Ready::NONE);
    watched.watch(Ready::WRITABLE);
    run_until_idle(&io_loop);
    assert_eq!(target.ready.take(), [Ready::WRITABLE]);

    let begun = Registration::deferred(&io_loop, other.as_fd(), Ready::NONE).unwrap();
    run_until_idle(&io_loop);
    assert_eq!(begun.ready(), Ready::NONE);
    begun.begin();
    begun.begin();
    run_until_idle(&io_loop);
    assert_eq!(begun.ready(), Ready::WRITABLE);
}

/// Room that is there is nothing to wait for.
#[test]
fn a_deferred_descriptor_is_watched_for_room_when_there_is_none() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = Registration::deferred(&io_loop, socket.as_fd(), Ready::WRITABLE).unwrap();
    registration.watch(Ready::WRITABLE);
    write_all(&peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(registration.ready(), Ready::WRITABLE, "the poller knows nothing of it");
    registration.clear(Ready::WRITABLE);
    registration.watch(Ready::WRITABLE);
    run_until_idle(&io_loop);
    assert_eq!(registration.ready(), Ready::WRITABLE | Ready::READABLE);
}

/// Its number may be another descriptor's by then.
#[test]
fn a_deferred_descriptor_that_was_forgone_is_left_alone() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let registration = Rc::new(Registration::deferred(&io_loop, socket.as_fd(), Ready::NONE).unwrap());
    registration.forgo();
    write_all(&peer, b"x");
    let trace = Trace::default();
    wait(&io_loop, &registration, Ready::READABLE, &trace);
    registration.watch(Ready::READABLE);
    run_until_idle(&io_loop);
    assert_eq!((trace.len(), registration.ready()), (0, Ready::NONE));
}

#[test]
fn the_target_of_a_deferred_descriptor_learns_of_a_refusal_later() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let _other = register(&io_loop, &socket);
    let registration = Registration::deferred(&io_loop, socket.as_fd(), Ready::NONE).unwrap();
    let target = target_of(&registration);
    registration.watch(Ready::READABLE);
    assert_eq!(target.closed.get(), 0, "not in the midst of what it does");
    run_until_idle(&io_loop);
    assert_eq!(target.closed.get(), 1);
    registration.begin();
    run_until_idle(&io_loop);
    assert_eq!(target.closed.get(), 1, "once");
}

#[test]
fn the_target_of_a_deferred_descriptor_learns_of_the_loops_end() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let registration = Registration::deferred(&io_loop, socket.as_fd(), Ready::NONE).unwrap();
    let target = target_of(&registration);
    io_loop.close().unwrap();
    assert_eq!(target.closed.get(), 1);
    assert_eq!(Registration::deferred(&io_loop, socket.as_fd(), Ready::NONE).unwrap_err(), LoopError::Closed);
}

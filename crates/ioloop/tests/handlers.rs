//! `add_handler`, the level-triggered door.

mod common;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use common::*;
use landspout_ioloop::{Events, IoLoop, LoopError};

/// Writes every call of a handler down; reads `read` bytes in each.
fn watch(io_loop: &IoLoop, socket: &UnixStream, events: Events, read: usize) -> Trace<Events> {
    let trace = Trace::default();
    let copy = socket.try_clone().unwrap();
    let expected = socket.as_raw_fd();
    io_loop
        .add_handler(socket, events, {
            let trace = trace.clone();
            move |fd, events| {
                // First of all: a call that finds nothing to read panics below, which the loop only logs.
                trace.push(events);
                assert_eq!(fd, expected);
                if read > 0 {
                    read_some(&copy, read);
                }
            }
        })
        .unwrap();
    trace
}

/// Tornado: test_handler_callback_file_object. A handler gets the number, whatever it was added by.
#[test]
fn handler_callback_file_object() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let seen = Rc::new(Cell::new(None));
    io_loop
        .add_handler(&socket, Events::READ, {
            let (seen, socket) = (seen.clone(), socket.try_clone().unwrap());
            move |fd, events| {
                read_some(&socket, 10);
                seen.set(Some((fd, events)));
            }
        })
        .unwrap();
    write_all(&peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(seen.get(), Some((socket.as_raw_fd(), Events::READ)));
}

#[test]
fn a_handler_that_reads_one_byte_of_three_is_called_again() {
    let (io_loop, clock) = still_loop();
    let (socket, peer) = socket_pair();
    let calls = watch(&io_loop, &socket, Events::READ, 1);
    write_all(&peer, b"abc");
    run_until_idle(&io_loop);
    assert_eq!(calls.take(), [Events::READ; 3]);
    // And when all is read it is left in peace.
    clock.asked();
    run_until_idle(&io_loop);
    assert_eq!((calls.len(), clock.asked().len()), (0, 1));
}

#[test]
fn a_handler_that_reads_nothing_is_called_until_it_is_removed() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let calls = Rc::new(Cell::new(0));
    io_loop
        .add_handler(&socket, Events::READ, {
            let calls = calls.clone();
            move |fd, _| {
                calls.set(calls.get() + 1);
                if calls.get() == 5 {
                    IoLoop::current().remove_handler(&fd);
                }
            }
        })
        .unwrap();
    write_all(&peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(calls.get(), 5);
}

/// Tornado: test_read_while_writeable.
#[test]
fn read_while_writeable() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let calls = watch(&io_loop, &socket, Events::READ, 10);
    run_until_idle(&io_loop);
    assert_eq!(calls.take(), [], "it can be written to, which nobody asked for");
    write_all(&peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(calls.take(), [Events::READ]);
}

#[test]
fn both_directions_are_reported_together() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    write_all(&peer, b"x");
    let seen = Rc::new(Cell::new(Events::NONE));
    io_loop
        .add_handler(&socket, Events::READ | Events::WRITE, {
            let seen = seen.clone();
            move |fd, events| {
                seen.set(events);
                IoLoop::current().remove_handler(&fd);
            }
        })
        .unwrap();
    run_until_idle(&io_loop);
    assert_eq!(seen.get(), Events::READ | Events::WRITE);
}

/// Tornado: test_multiple_add.
#[test]
fn multiple_add() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let calls = watch(&io_loop, &socket, Events::READ, 10);
    let second = io_loop.add_handler(&socket, Events::READ, |_, _| panic!("was refused"));
    assert_eq!(second, Err(LoopError::HandlerExists(socket.as_raw_fd())));
    // The first one is none the worse for it.
    write_all(&peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(calls.take(), [Events::READ]);
}

/// Tornado: test_mixed_fd_fileobj. What counts is the descriptor, not the object that names it.
#[test]
fn mixed_fd_fileobj() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    io_loop.add_handler(&socket, Events::READ, |_, _| {}).unwrap();
    let by_number = io_loop.add_handler(&socket.as_fd(), Events::READ, |_, _| {});
    assert_eq!(by_number, Err(LoopError::HandlerExists(socket.as_raw_fd())));
    io_loop.remove_handler(&socket.as_raw_fd());
    io_loop.add_handler(&socket, Events::READ, |_, _| {}).unwrap();
}

/// Tornado: test_remove_without_add.
#[test]
fn remove_without_add() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    io_loop.remove_handler(&socket);
    io_loop.remove_handler(&socket);
    run_until_idle(&io_loop);
}

#[test]
fn removing_a_handler_whose_descriptor_was_closed_is_no_error() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    io_loop.add_handler(&socket, Events::READ, |_, _| panic!("it is closed")).unwrap();
    let fd = socket.as_raw_fd();
    drop(socket);
    drop(peer);
    run_until_idle(&io_loop);
    let ((), lines) = logged(|| io_loop.remove_handler(&fd));
    assert!(lines.iter().all(|line| line.starts_with("DEBUG")), "{lines:?}");
}

#[test]
fn update_handler_replaces_the_events() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    write_all(&peer, b"x");
    let calls = Trace::default();
    io_loop
        .add_handler(&socket, Events::NONE, {
            let calls = calls.clone();
            move |fd, events| {
                calls.push(events);
                // It leaves its source ready.
                IoLoop::current().update_handler(&fd, Events::NONE).unwrap();
            }
        })
        .unwrap();
    run_until_idle(&io_loop);
    assert_eq!(calls.take(), [], "nothing was asked for");
    for events in [Events::READ, Events::WRITE, Events::READ | Events::WRITE] {
        io_loop.update_handler(&socket, events).unwrap();
        run_until_idle(&io_loop);
        assert_eq!(calls.take(), [events]);
    }
}

#[test]
fn update_handler_without_add_is_an_error() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let no_handler = Err(LoopError::NoHandler(socket.as_raw_fd()));
    assert_eq!(io_loop.update_handler(&socket, Events::READ), no_handler);
    io_loop.add_handler(&socket, Events::READ, |_, _| {}).unwrap();
    io_loop.remove_handler(&socket);
    assert_eq!(io_loop.update_handler(&socket, Events::READ), no_handler);
}

#[test]
fn a_handler_updates_itself() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    write_all(&peer, b"x");
    let calls = Trace::default();
    io_loop
        .add_handler(&socket, Events::WRITE, {
            let calls = calls.clone();
            move |fd, events| {
                calls.push(events);
                let next = if events == Events::WRITE { Events::READ } else { Events::NONE };
                IoLoop::current().update_handler(&fd, next).unwrap();
            }
        })
        .unwrap();
    run_until_idle(&io_loop);
    assert_eq!(calls.take(), [Events::WRITE, Events::READ]);
}

#[test]
fn a_handler_for_errors_alone_learns_of_a_hang_up_and_of_nothing_else() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let calls = Trace::default();
    io_loop
        .add_handler(&socket, Events::ERROR, {
            let calls = calls.clone();
            move |fd, events| {
                calls.push(events);
                IoLoop::current().remove_handler(&fd);
            }
        })
        .unwrap();
    write_all(&peer, b"data that it does not want to hear of");
    run_until_idle(&io_loop);
    assert_eq!(calls.take(), []);
    drop(peer);
    run_until_idle(&io_loop);
    assert_eq!(calls.take(), [Events::ERROR]);
}

#[test]
fn a_hang_up_is_reported_whatever_was_asked_for() {
    for asked in [Events::NONE, Events::READ, Events::WRITE] {
        let (io_loop, _clock) = still_loop();
        let (socket, peer) = socket_pair();
        let calls = Trace::default();
        io_loop
            .add_handler(&socket, asked, {
                let calls = calls.clone();
                move |fd, events| {
                    calls.push(events);
                    if events.contains(Events::ERROR) {
                        IoLoop::current().remove_handler(&fd);
                    } else {
                        IoLoop::current().update_handler(&fd, Events::NONE).unwrap();
                    }
                }
            })
            .unwrap();
        run_until_idle(&io_loop);
        drop(peer);
        calls.take();
        run_until_idle(&io_loop);
        let got = calls.take();
        assert!(got.len() == 1 && got[0].contains(Events::ERROR), "asked for {asked:?}: {got:?}");
    }
}

/// Tornado: test_remove_handler_from_handler. Whichever runs first removes the other.
#[test]
fn remove_handler_from_handler() {
    let (io_loop, _clock) = still_loop();
    let (one, one_peer) = socket_pair();
    let (other, other_peer) = socket_pair();
    let calls = Rc::new(Cell::new(0));
    for (mine, theirs) in [(&one, &other), (&other, &one)] {
        let (calls, socket, theirs) = (calls.clone(), mine.try_clone().unwrap(), theirs.as_raw_fd());
        io_loop
            .add_handler(mine, Events::READ, move |_, _| {
                calls.set(calls.get() + 1);
                read_some(&socket, 10);
                IoLoop::current().remove_handler(&theirs);
            })
            .unwrap();
    }
    write_all(&one_peer, b"x");
    write_all(&other_peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_slot_that_is_reused_in_the_batch_gets_no_event_of_its_predecessor() {
    let (io_loop, _clock) = still_loop();
    let (one, one_peer) = socket_pair();
    let (other, other_peer) = socket_pair();
    let (quiet, quiet_peer) = socket_pair();
    let quiet = Rc::new(quiet);
    let quiet_calls = Rc::new(Cell::new(0));
    for (mine, theirs) in [(&one, &other), (&other, &one)] {
        let (socket, theirs) = (mine.try_clone().unwrap(), theirs.as_raw_fd());
        let (quiet, quiet_calls) = (quiet.clone(), quiet_calls.clone());
        io_loop
            .add_handler(mine, Events::READ, move |_, _| {
                read_some(&socket, 10);
                let io_loop = IoLoop::current();
                io_loop.remove_handler(&theirs);
                let (copy, quiet_calls) = (quiet.clone(), quiet_calls.clone());
                // Takes the place of the one just removed, whose event waits in this batch.
                io_loop
                    .add_handler(&*quiet, Events::READ, move |_, _| {
                        quiet_calls.set(quiet_calls.get() + 1);
                        read_some(&copy, 10);
                    })
                    .unwrap();
            })
            .unwrap();
    }
    write_all(&one_peer, b"x");
    write_all(&other_peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(quiet_calls.get(), 0, "an event of the removed handler reached its successor");
    write_all(&quiet_peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(quiet_calls.get(), 1);
}

#[test]
fn a_handler_replaced_in_the_batch_runs_as_the_new_one_in_the_next() {
    let (io_loop, _clock) = still_loop();
    let (one, one_peer) = socket_pair();
    let (other, other_peer) = socket_pair();
    let trace = Trace::default();
    for (mine, theirs) in [(&one, &other), (&other, &one)] {
        let (socket, theirs, trace) = (mine.try_clone().unwrap(), Rc::new(theirs.try_clone().unwrap()), trace.clone());
        let their_fd = if mine.as_raw_fd() == one.as_raw_fd() { other.as_raw_fd() } else { one.as_raw_fd() };
        io_loop
            .add_handler(mine, Events::READ, move |_, _| {
                trace.push("old");
                read_some(&socket, 10);
                let io_loop = IoLoop::current();
                io_loop.add_callback(trace.pusher("next turn"));
                io_loop.remove_handler(&their_fd);
                let (trace, copy) = (trace.clone(), theirs.clone());
                io_loop
                    .add_handler(&*theirs, Events::READ, move |_, _| {
                        read_some(&copy, 10);
                        trace.push("new");
                    })
                    .unwrap();
            })
            .unwrap();
    }
    write_all(&one_peer, b"x");
    write_all(&other_peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["old", "next turn", "new"]);
}

#[test]
fn a_handler_that_removes_itself_is_dropped_after_it_returned() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    write_all(&peer, b"x");
    let trace = Trace::default();
    let owned = OnDrop({
        let trace = trace.clone();
        move || trace.push("dropped")
    });
    io_loop
        .add_handler(&socket, Events::READ, {
            let trace = trace.clone();
            move |fd, _| {
                let _ = &owned;
                IoLoop::current().remove_handler(&fd);
                trace.push("returns");
            }
        })
        .unwrap();
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["returns", "dropped"]);
}

#[test]
fn a_handler_puts_another_one_in_its_place() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    write_all(&peer, b"ab");
    let trace = Trace::default();
    let socket = Rc::new(socket);
    io_loop
        .add_handler(&*socket, Events::READ, {
            let (trace, socket) = (trace.clone(), socket.clone());
            move |fd, _| {
                read_some(&socket, 1);
                trace.push("first");
                let io_loop = IoLoop::current();
                io_loop.remove_handler(&fd);
                let (trace, copy) = (trace.clone(), socket.clone());
                io_loop
                    .add_handler(&*socket, Events::READ, move |_, _| {
                        read_some(&copy, 1);
                        trace.push("second");
                    })
                    .unwrap();
            }
        })
        .unwrap();
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["first", "second"]);
}

#[test]
fn a_handler_that_owns_its_socket_closes_it_when_it_is_removed() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let fd = socket.as_raw_fd();
    let owner = socket.try_clone().unwrap();
    io_loop.add_handler(&socket, Events::READ, move |_, _| assert!(read_some(&owner, 10) > 0)).unwrap();
    drop(socket);
    io_loop.remove_handler(&fd);
    assert_eq!(read_some(&peer, 10), 0, "the peer sees the end");
}

/// Tornado: test_close_file_object, where close(all_fds=True) closes what was registered.
#[test]
fn close_file_object() {
    let (io_loop, _clock) = still_loop();
    let (socket, peer) = socket_pair();
    let owner = socket.try_clone().unwrap();
    io_loop.add_handler(&socket, Events::READ, move |_, _| assert!(read_some(&owner, 10) > 0)).unwrap();
    drop(socket);
    io_loop.close().unwrap();
    assert_eq!(read_some(&peer, 10), 0, "the peer sees the end");
}

#[test]
fn a_handler_that_panics_is_logged_stays_and_disturbs_nobody() {
    let (io_loop, _clock) = still_loop();
    let (bad, bad_peer) = socket_pair();
    let (good, good_peer) = socket_pair();
    let fd = bad.as_raw_fd();
    let copy = bad.try_clone().unwrap();
    let attempts = Rc::new(Cell::new(0));
    io_loop
        .add_handler(&bad, Events::READ, {
            let attempts = attempts.clone();
            move |_, _| {
                attempts.set(attempts.get() + 1);
                read_some(&copy, 1);
                panic!("cannot handle it");
            }
        })
        .unwrap();
    let calls = watch(&io_loop, &good, Events::READ, 10);
    write_all(&bad_peer, b"x");
    write_all(&good_peer, b"x");
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, &format!("panic in the handler of descriptor {fd}: cannot handle it"));
    assert_eq!((calls.take().len(), attempts.get()), (1, 1));

    // What it left unread is level-triggered for it, too.
    write_all(&bad_peer, b"yz");
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_eq!((lines.len(), attempts.get()), (2, 3));
}

/// So is what a handler takes along when it has removed itself.
#[test]
fn a_panic_while_a_handler_is_dropped_disturbs_nobody() {
    let (io_loop, _clock) = still_loop();
    let (bad, bad_peer) = socket_pair();
    let (good, good_peer) = socket_pair();
    let dropped = bomb("cannot be dropped");
    io_loop
        .add_handler(&bad, Events::READ, move |fd, _| {
            let _ = &dropped;
            IoLoop::current().remove_handler(&fd);
        })
        .unwrap();
    let calls = watch(&io_loop, &good, Events::READ, 10);
    write_all(&bad_peer, b"x");
    write_all(&good_peer, b"x");
    let ((), lines) = logged(|| run_until_idle(&io_loop));
    assert_one_error(&lines, "panic when a handler was dropped: cannot be dropped");
    assert_eq!(calls.take().len(), 1);
    write_all(&good_peer, b"y");
    run_until_idle(&io_loop);
    assert_eq!(calls.take().len(), 1);
}

#[test]
fn what_cannot_be_polled_is_refused() {
    let (io_loop, _clock) = still_loop();
    let file = File::open("/proc/self/stat").unwrap();
    let directory = File::open("/").unwrap();
    let mut refused = 0;
    for file in [&file, &directory] {
        match io_loop.add_handler(file, Events::READ, |_, _| {}) {
            Err(LoopError::Poller(_)) => refused += 1,
            other => assert_eq!(other, Ok(())),
        }
    }
    assert!(refused >= 1, "epoll takes no directory");
    // Nothing of a refused one stays: the next try is refused for the same reason.
    assert!(matches!(io_loop.add_handler(&directory, Events::READ, |_, _| {}), Err(LoopError::Poller(_))));
}

#[test]
fn handlers_may_use_the_loop_while_they_are_dropped() {
    let (io_loop, _clock) = still_loop();
    let (socket, _peer) = socket_pair();
    let (next, next_peer) = socket_pair();
    let next = Rc::new(RefCell::new(Some(next)));
    let trace = Trace::default();
    let on_drop = OnDrop({
        let (next, trace) = (next.clone(), trace.clone());
        move || {
            let io_loop = IoLoop::current();
            if let Some(next) = next.take() {
                let trace = trace.clone();
                let copy = next.try_clone().unwrap();
                let handler = move |_, _| {
                    read_some(&copy, 10);
                    trace.push("handler");
                };
                io_loop.add_handler(&next, Events::READ, handler).unwrap();
                io_loop.update_handler(&next, Events::READ).unwrap();
                std::mem::forget(next);
            }
            io_loop.add_callback(trace.pusher("callback"));
        }
    });
    let handler = move |_, _| {
        let _ = &on_drop;
    };
    io_loop.add_handler(&socket, Events::READ, handler).unwrap();
    io_loop.remove_handler(&socket);
    write_all(&next_peer, b"x");
    run_until_idle(&io_loop);
    assert_eq!(trace.take(), ["callback", "handler"]);
}

#[test]
fn events_have_the_values_of_tornado() {
    let values = [Events::NONE, Events::READ, Events::WRITE, Events::ERROR].map(Events::bits);
    assert_eq!(values, [0, 0x001, 0x004, 0x018]);
    assert_eq!([IoLoop::NONE, IoLoop::READ, IoLoop::WRITE, IoLoop::ERROR].map(Events::bits), values);
    assert_eq!(format!("{:?} {:?}", Events::READ | Events::ERROR, Events::NONE), "READ | ERROR NONE");
}

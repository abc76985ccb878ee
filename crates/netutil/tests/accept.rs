//! `add_accept_handler` with real listeners and clients.
#![cfg(feature = "ioloop")]

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use landspout_ioloop::{IoLoop, LoopError};
use landspout_netutil::{
    AcceptHandler, AcceptOptions, Connection, Listener, PeerAddress, SHARED_ACCEPT_BATCH, add_accept_handler,
    bind_sockets, bind_unix_socket,
};
use socket2::SockRef;

fn listener() -> (TcpListener, SocketAddr) {
    let socket = bind_sockets(0, "127.0.0.1").unwrap().remove(0);
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Clients whose connections wait in the backlog, in this order.
fn clients(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(address).unwrap()).collect()
}

/// Runs the loop until somebody stops it; a limit keeps a broken test from hanging.
fn run() {
    let io_loop = IoLoop::current();
    let too_late = Rc::new(Cell::new(false));
    let limit = io_loop.call_later(Duration::from_secs(30), {
        let too_late = too_late.clone();
        move || {
            too_late.set(true);
            IoLoop::current().stop();
        }
    });
    io_loop.start().unwrap();
    io_loop.remove_timeout(limit);
    assert!(!too_late.get(), "nothing happens");
}

/// Runs the loop for so many turns.
fn turns(count: usize) {
    fn step(left: usize) {
        let io_loop = IoLoop::current();
        match left {
            0 => io_loop.stop(),
            _ => io_loop.add_callback(move || step(left - 1)),
        }
    }
    step(count);
    run();
}

/// A callback that keeps connections and stops the loop with the last.
type Kept = Rc<RefCell<Vec<(Connection, PeerAddress)>>>;

fn keep(until: usize) -> (Kept, impl FnMut(Connection, PeerAddress) + 'static) {
    let kept = Kept::default();
    let keeper = kept.clone();
    let callback = move |connection, peer| {
        keeper.borrow_mut().push((connection, peer));
        if keeper.borrow().len() == until {
            IoLoop::current().stop();
        }
    };
    (kept, callback)
}

#[test]
fn connections_come_with_their_address_and_ready_for_a_loop() {
    let (socket, address) = listener();
    let (kept, callback) = keep(3);
    add_accept_handler(socket, callback).unwrap();
    let mut clients = clients(address, 3);
    run();
    for (client, (connection, peer)) in clients.iter_mut().zip(&*kept.borrow()) {
        assert_eq!(peer.inet(), Some(client.local_addr().unwrap()));
        let Connection::Tcp(stream) = connection else { panic!("a TCP connection") };
        let mut stream = stream;
        assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(closes_on_exec(connection));
        stream.write_all(b"hello").unwrap();
        let mut hello = [0; 5];
        client.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
    }
}

/// O_CLOEXEC in /proc/self/fdinfo.
fn closes_on_exec(connection: &Connection) -> bool {
    use std::os::fd::AsRawFd;
    if !cfg!(target_os = "linux") {
        return true;
    }
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", connection.as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0
}

#[test]
fn unix_connections_come_too() {
    let path = std::env::temp_dir().join(format!("landspout-accept-{}", std::process::id()));
    let socket = bind_unix_socket(&path).unwrap();
    let (kept, callback) = keep(1);
    let handler = add_accept_handler(socket, callback).unwrap();
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    run();
    let (connection, peer) = kept.borrow_mut().pop().unwrap();
    assert_eq!(peer.to_string(), "unix:");
    let Connection::Unix(mut stream) = connection else { panic!("a Unix connection") };
    stream.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert!(matches!(handler.remove(), Some(Listener::Unix(_))));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_blocking_listener_does_not_block_the_loop() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (_kept, callback) = keep(1);
    add_accept_handler(socket, callback).unwrap();
    let _client = clients(address, 1);
    // After the connection comes the accept that finds nobody.
    run();
    turns(2);
}

#[test]
fn whoever_waited_before_is_accepted() {
    let (socket, address) = listener();
    let _clients = clients(address, 5);
    let (kept, callback) = keep(5);
    add_accept_handler(socket, callback).unwrap();
    run();
    assert_eq!(kept.borrow().len(), 5);
}

#[test]
fn connections_send_small_writes_at_once_if_told_so_whenever_they_came() {
    for nodelay in [true, false] {
        let (socket, address) = listener();
        let _early = clients(address, 1);
        let (kept, callback) = keep(2);
        AcceptOptions::new().nodelay(nodelay).add_accept_handler(socket, callback).unwrap();
        turns(3);
        assert_eq!(kept.borrow().len(), 1);
        let _late = clients(address, 1);
        run();
        for (connection, _) in &*kept.borrow() {
            assert_eq!(SockRef::from(connection).tcp_nodelay().unwrap(), nodelay);
        }
    }
}

#[test]
fn a_turn_accepts_no_more_than_the_cap_and_nobody_is_forgotten() {
    let (socket, address) = listener();
    let clients = clients(address, 20);
    let (kept, callback) = keep(20);
    let counts = Rc::new(RefCell::new(Vec::new()));
    note_counts(kept.clone(), counts.clone());
    AcceptOptions::new().batch(SHARED_ACCEPT_BATCH).add_accept_handler(socket, callback).unwrap();
    run();
    let counts = counts.borrow();
    assert!(counts.windows(2).all(|pair| pair[1] - pair[0] <= 8), "{counts:?}");
    // In the order they came.
    let ports = clients.iter().map(|client| client.local_addr().unwrap());
    assert!(kept.borrow().iter().map(|(_, peer)| peer.inet().unwrap()).eq(ports));
}

/// Writes down in each turn how many connections there are.
fn note_counts(kept: Kept, counts: Rc<RefCell<Vec<usize>>>) {
    IoLoop::current().add_callback(move || {
        counts.borrow_mut().push(kept.borrow().len());
        if kept.borrow().len() < 20 {
            note_counts(kept, counts);
        }
    });
}

/// A place for the handler that its own callback can reach.
type Slot = Rc<RefCell<Option<AcceptHandler>>>;

#[test]
fn removal_inside_the_callback_ends_the_batch_and_hands_the_listener_back() {
    let (socket, address) = listener();
    let _clients = clients(address, 10);
    let (slot, calls, back) = (Slot::default(), Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let handler = add_accept_handler(socket, {
        let (slot, calls, back) = (slot.clone(), calls.clone(), back.clone());
        move |_, _| {
            calls.set(calls.get() + 1);
            back.set(slot.borrow().as_ref().unwrap().remove());
            IoLoop::current().stop();
        }
    })
    .unwrap();
    slot.replace(Some(handler.clone()));
    run();
    turns(2);
    assert_eq!(calls.get(), 1);
    assert!(handler.remove().is_none());
    let Some(Listener::Tcp(socket)) = back.take() else { panic!("the listener comes back") };
    assert_eq!(std::iter::from_fn(|| socket.accept().ok()).count(), 9);

    // It may be used once more.
    let (kept, callback) = keep(1);
    add_accept_handler(socket, callback).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    run();
    assert_eq!(kept.borrow().len(), 1);
}

#[test]
fn removal_drops_the_callback_and_closes_the_listener() {
    let (socket, address) = listener();
    let owned = Rc::new(());
    let handler = add_accept_handler(socket, {
        let owned = owned.clone();
        move |_, _| drop(owned.clone())
    })
    .unwrap();
    assert_eq!(Rc::strong_count(&owned), 2);
    drop(handler.remove());
    assert_eq!(Rc::strong_count(&owned), 1);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(format!("{handler:?}").contains("removed: true"));
}

/// A forked sibling has the same listener open: what it does must not reach us after the removal.
#[test]
fn a_removed_listener_that_lives_on_elsewhere_stays_silent() {
    let (socket, address) = listener();
    let _sibling = socket.try_clone().unwrap();
    let (kept, callback) = keep(1);
    let handler = add_accept_handler(socket, callback).unwrap();
    drop(handler.remove());
    let _client = TcpStream::connect(address).unwrap();
    turns(3);
    assert!(kept.borrow().is_empty());
}

#[test]
fn a_pause_keeps_clients_waiting_and_resuming_needs_no_new_one() {
    let (socket, address) = listener();
    let _clients = clients(address, 4);
    let (slot, calls) = (Slot::default(), Rc::new(Cell::new(0)));
    let handler = add_accept_handler(socket, {
        let (slot, calls) = (slot.clone(), calls.clone());
        move |connection, _| {
            calls.set(calls.get() + 1);
            // Two at a time.
            if calls.get() % 2 == 0 {
                slot.borrow().as_ref().unwrap().pause();
                IoLoop::current().stop();
            }
            drop(connection);
        }
    })
    .unwrap();
    slot.replace(Some(handler.clone()));
    run();
    assert!(handler.is_paused());
    turns(3);
    assert_eq!(calls.get(), 2);

    handler.resume();
    run();
    assert_eq!(calls.get(), 4);
    // Paused with nobody waiting; one comes, and waits.
    let _fifth = TcpStream::connect(address).unwrap();
    turns(3);
    assert_eq!(calls.get(), 4);
    handler.resume();
    turns(3);
    assert_eq!(calls.get(), 5);
}

#[test]
fn a_panic_costs_its_own_connection_alone() {
    let (socket, address) = listener();
    let mut clients = clients(address, 3);
    let kept = Rc::new(RefCell::new(Vec::new()));
    let mut number = 0;
    add_accept_handler(socket, {
        let kept = kept.clone();
        move |connection, _| {
            number += 1;
            assert_ne!(number, 2, "this is a test");
            kept.borrow_mut().push(connection);
            if number == 3 {
                IoLoop::current().stop();
            }
        }
    })
    .unwrap();
    run();
    assert_eq!(kept.borrow().len(), 2);
    assert_eq!(clients[1].read(&mut [0]).unwrap(), 0);
    for (client, connection) in [0, 2].into_iter().zip(&*kept.borrow()) {
        SockRef::from(connection).send(b"x").unwrap();
        clients[client].read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn a_closed_loop_closes_the_listener_and_drops_the_callback() {
    let (socket, address) = listener();
    let owned = Rc::new(());
    let handler = add_accept_handler(socket, {
        let owned = owned.clone();
        move |_, _| drop(owned.clone())
    })
    .unwrap();
    IoLoop::current().close().unwrap();
    assert_eq!(Rc::strong_count(&owned), 1);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(handler.remove().is_none());
    handler.resume();
}

#[test]
fn a_listener_that_is_registered_already_is_refused() {
    let (socket, _) = listener();
    let same = socket.as_fd().try_clone_to_owned().unwrap();
    // A duplicate is another descriptor: it may be added.
    let handler = add_accept_handler(socket, |_, _| ()).unwrap();
    add_accept_handler(TcpListener::from(same), |_, _| ()).unwrap();

    // A closed loop takes nobody.
    let io_loop = IoLoop::current();
    io_loop.close().unwrap();
    io_loop.make_current();
    let (socket, _) = listener();
    assert!(matches!(add_accept_handler(socket, |_, _| ()), Err(LoopError::Closed)));
    drop(handler);
    IoLoop::clear_current();
}

//! One loop per thread.

mod common;

use std::collections::HashSet;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use landspout_ioloop::IoLoop;
use landspout_iostream::IoStream;
use landspout_netutil::{AddressFamily, BindOptions};
use landspout_tcpserver::{ServerError, TcpServer, start_threads, start_threads_with};
use socket2::{Domain, Socket, Type};

/// A server that tells its thread's number.
fn numbered(number: usize, sockets: Vec<TcpListener>) -> Result<TcpServer, ServerError> {
    let server = TcpServer::new(async move |stream: IoStream, _| stream.write(number.to_string().as_bytes())?.await);
    server.add_sockets(sockets)?;
    Ok(server)
}

fn ask(address: SocketAddr) -> String {
    let mut answer = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn every_thread_serves_the_same_port() {
    let threads = start_threads(3, 0, "127.0.0.1", numbered).unwrap();
    let [address] = *threads.addresses() else { panic!("{:?}", threads.addresses()) };
    // The kernel deals connections out by a hash of the addresses: with some hundred clients each thread gets its share.
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        seen.insert(ask(address));
        if seen.len() == 3 {
            break;
        }
    }
    let expected = ["0", "1", "2"].map(str::to_owned);
    assert_eq!(seen, HashSet::from(expected));
    threads.stop();
    threads.join();
    assert!(TcpStream::connect(address).is_err(), "closed with the threads");
}

#[test]
fn options_say_on_what_the_threads_listen() {
    // Two sets of sockets on one port: `reuse_port` is on, although it wasn't asked for.
    let options = BindOptions::new().family(AddressFamily::Inet);
    let threads = start_threads_with(2, 0, None, &options, numbered).unwrap();
    assert!(threads.addresses().iter().all(SocketAddr::is_ipv4), "{:?}", threads.addresses());
    assert_eq!(threads.remotes().count(), 2);
}

#[test]
fn options_say_how_many_may_wait_for_a_thread() {
    // The first client is in for certain; of those that only begin to connect, the kernel ignores what exceeds the backlog.
    let waiting = |backlog| {
        let waiting = Arc::new(AtomicUsize::new(0));
        let options = BindOptions::new().backlog(backlog);
        let threads = start_threads_with(1, 0, "127.0.0.1", &options, {
            let waiting = waiting.clone();
            move |_, sockets: Vec<TcpListener>| {
                let address = sockets[0].local_addr().unwrap();
                let _first = TcpStream::connect(address).unwrap();
                let clients = [(); 8].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
                for client in &clients {
                    client.set_nonblocking(true).unwrap();
                    let _ = client.connect(&address.into());
                }
                let accepted = std::iter::from_fn(|| sockets[0].accept().ok()).count();
                waiting.store(accepted, Ordering::SeqCst);
                Ok(())
            }
        });
        drop(threads.unwrap());
        waiting.load(Ordering::SeqCst)
    };
    // listen(2) on Linux: a backlog of n holds n + 1.
    assert!(waiting(1) <= 2);
    assert_eq!(waiting(100), 9);
}

#[test]
fn each_thread_has_a_loop_of_its_own() {
    let seen = Arc::new(Mutex::new(Vec::<(usize, ThreadId)>::new()));
    let kept = Arc::new(AtomicUsize::new(0));
    /// What `set_up` returns lives until its thread ends.
    struct Kept(Arc<AtomicUsize>);
    impl Drop for Kept {
        fn drop(&mut self) {
            // Before the loop is closed: it can still be used.
            assert!(IoLoop::current_or_none().is_none_or(|io_loop| !io_loop.is_closed()));
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let threads = start_threads(2, 0, "127.0.0.1", {
        let (seen, kept) = (seen.clone(), kept.clone());
        move |number, sockets| {
            assert!(IoLoop::current_or_none().is_some(), "the loop is there already");
            seen.lock().unwrap().push((number, std::thread::current().id()));
            kept.fetch_add(1, Ordering::SeqCst);
            Ok((numbered(number, sockets)?, Kept(kept.clone())))
        }
    })
    .unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1]);
    assert_ne!(seen[0].1, seen[1].1);
    assert_eq!((kept.load(Ordering::SeqCst), threads.remotes().count()), (2, 2));
    assert!(IoLoop::current_or_none().is_none(), "none on the thread that started them");
    drop(threads);
    assert_eq!(kept.load(Ordering::SeqCst), 0, "dropping stops and waits");
}

#[test]
fn the_doors_lead_to_the_threads() {
    let threads = start_threads(2, 0, "127.0.0.1", numbered).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    for remote in threads.remotes() {
        let sender = sender.clone();
        remote.add_callback(move || sender.send(std::thread::current().id()).unwrap()).unwrap();
    }
    let ids: HashSet<_> = receiver.iter().take(2).collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn none_or_zero_means_one_for_each_cpu() {
    for count in [None, Some(0)] {
        let threads = start_threads(count, 0, "127.0.0.1", numbered).unwrap();
        assert_eq!(threads.remotes().count(), landspout_process::cpu_count());
    }
}

#[test]
fn all_interfaces_share_one_port() {
    let threads = start_threads(2, 0, None, numbered).unwrap();
    let ports: HashSet<_> = threads.addresses().iter().map(SocketAddr::port).collect();
    assert_eq!(ports.len(), 1, "{:?}", threads.addresses());
    let port = *ports.iter().next().unwrap();
    assert!(["0", "1"].contains(&&*ask(SocketAddr::from(([127, 0, 0, 1], port)))));
}

#[test]
fn a_thread_that_fails_to_start_stops_them_all() {
    let address = Arc::new(Mutex::new(None));
    let result = start_threads(3, 0, "127.0.0.1", {
        let address = address.clone();
        move |number, sockets| {
            *address.lock().unwrap() = Some(sockets[0].local_addr().unwrap());
            if number == 1 {
                return Err(ServerError::AlreadyStarted);
            }
            numbered(number, sockets)
        }
    });
    assert!(matches!(result, Err(ServerError::AlreadyStarted)));
    let address = address.lock().unwrap().unwrap();
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_thread_that_panics_at_its_start_is_an_error() {
    let result = start_threads(1, 0, "127.0.0.1", |_, _| -> Result<(), ServerError> { panic!("this was planned") });
    match result {
        Err(error @ ServerError::Thread(_)) => {
            let cause = std::error::Error::source(&error).unwrap();
            assert!(cause.to_string().contains("panicked"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let result = start_threads(2, taken.local_addr().unwrap().port(), "127.0.0.1", numbered);
    assert!(matches!(result, Err(ServerError::Bind(_))));
}

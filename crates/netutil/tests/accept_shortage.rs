//! Descriptors run out while clients come in.
//!
//! The only test in this binary. It runs itself once more under `ulimit -n`, to have a limit of its own.
#![cfg(all(feature = "ioloop", target_os = "linux"))]

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::fs::File;
use std::net::TcpStream;
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landspout_ioloop::{IoLoop, ManualClock};
use landspout_netutil::{add_accept_handler, bind_sockets};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const IN_CHILD: &str = "LANDSPOUT_FEW_DESCRIPTORS";

#[test]
fn a_shortage_of_descriptors_waits_and_passes() {
    if std::env::var_os(IN_CHILD).is_some() {
        return with_few_descriptors();
    }
    let output = Command::new("/bin/sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact a_shortage_of_descriptors_waits_and_passes --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .env(IN_CHILD, "1")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("1 passed"), "{stdout}");
}

fn with_few_descriptors() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    let socket = bind_sockets(0, "127.0.0.1").unwrap().remove(0);
    let address = socket.local_addr().unwrap();
    let kept = Rc::new(RefCell::new(Vec::new()));
    let when = Rc::new(Cell::new(None));
    add_accept_handler(socket, {
        let (kept, when) = (kept.clone(), when.clone());
        move |connection, _| {
            when.set(Some(IoLoop::current().now()));
            kept.borrow_mut().push(connection);
            if kept.borrow().len() == 3 {
                IoLoop::current().stop();
            }
        }
    })
    .unwrap();
    let _clients: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();

    // Whatever is left of the 64.
    let hoard = Rc::new(RefCell::new(Vec::new()));
    while let Ok(file) = File::open("/dev/null") {
        hoard.borrow_mut().push(file);
        assert!(hoard.borrow().len() < 64);
    }
    let began = io_loop.now();
    // Tries fail at 0, 100, 300, 700 ms; the next is at 1500.
    io_loop.call_later(Duration::from_millis(1200), {
        let hoard = hoard.clone();
        move || hoard.borrow_mut().clear()
    });
    io_loop.start().unwrap();

    assert_eq!(kept.borrow().len(), 3);
    // Whoever spins would have had them at 1200.
    assert_eq!(when.get().unwrap() - began, Duration::from_millis(1500));
    let lines = log.0.lock().unwrap();
    assert_eq!(lines.iter().filter(|line| line.starts_with("WARN")).count(), 1, "{lines:?}");
    assert!(lines[0].contains("cannot accept connections, next try in 100 ms: "), "{lines:?}");
}

/// Keeps the events.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("landspout")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        self.0 += &format!(" {value:?}");
    }
}

//! What no real listener does at command: errors of accept(2), in a script, on a clock that jumps.

use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use landspout_ioloop::ManualClock;

use super::*;

/// What accept(2) says, call by call; in the end, that nobody waits.
pub(super) struct Script {
    answers: VecDeque<Option<io::Error>>,
    calls: Rc<RefCell<Vec<Instant>>>,
}

impl Script {
    pub(super) fn accept(&mut self) -> io::Result<(Connection, PeerAddress)> {
        self.calls.borrow_mut().push(IoLoop::current().now());
        match self.answers.pop_front() {
            Some(None) => {
                let (stream, _) = UnixStream::pair()?;
                let peer = stream.peer_addr()?;
                Ok((stream.into(), peer.into()))
            }
            Some(Some(error)) => Err(error),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

const OK: Option<io::Error> = None;
const ECONNABORTED: i32 = if cfg!(target_os = "linux") { 103 } else { 53 };
const EMFILE: i32 = 24;

fn fails(code: i32) -> Option<io::Error> {
    Some(io::Error::from_raw_os_error(code))
}

/// An acceptor over a script, on a jumping clock, with everything it did.
struct Stage {
    io_loop: IoLoop,
    handler: AcceptHandler,
    began: Instant,
    calls: Rc<RefCell<Vec<Instant>>>,
    accepted: Rc<Cell<usize>>,
}

impl Stage {
    fn new(batch: u32, answers: impl IntoIterator<Item = Option<io::Error>>) -> Stage {
        let io_loop = IoLoop::with_clock(ManualClock::jumping());
        let calls = Rc::default();
        let script = Script { answers: answers.into_iter().collect(), calls: Rc::clone(&calls) };
        let registration = Registration::detached(&io_loop, Ready::NONE).unwrap();
        let accepted = Rc::new(Cell::new(0));
        let counter = accepted.clone();
        let callback = Box::new(move |_, _| counter.set(counter.get() + 1));
        let source = Source::Script(RefCell::new(script));
        let acceptor = Acceptor::start(&AcceptOptions::new().batch(batch), source, registration, callback);
        Stage { began: io_loop.now(), io_loop, handler: AcceptHandler { acceptor }, calls, accepted }
    }

    /// A connection came in, as the poller would say.
    fn event(&self) {
        self.handler.acceptor.registration.borrow().as_ref().unwrap().raise(Ready::READABLE);
    }

    /// Runs the loop for a while of its own time.
    fn run(&self, time: Duration) {
        let stop = self.io_loop.clone();
        self.io_loop.call_later(time, move || stop.stop());
        self.io_loop.start().unwrap();
    }

    /// When accept was called, in milliseconds since the beginning.
    fn call_times(&self) -> Vec<u128> {
        self.calls.borrow().iter().map(|at| (*at - self.began).as_millis()).collect()
    }

    fn ready(&self) -> bool {
        self.handler.acceptor.registration.borrow().as_ref().unwrap().ready().contains(Ready::READABLE)
    }
}

#[test]
fn lost_connections_are_skipped() {
    let stage = Stage::new(128, [OK, fails(ECONNABORTED), Some(io::ErrorKind::Interrupted.into()), OK]);
    stage.event();
    assert_eq!(stage.accepted.get(), 2);
    assert_eq!(stage.calls.borrow().len(), 5);
    assert!(!stage.ready());
}

#[test]
fn nothing_but_lost_connections_makes_a_pause() {
    let stage = Stage::new(4, (0..8).map(|_| fails(ECONNABORTED)).chain([OK]));
    stage.event();
    stage.run(Duration::from_secs(5));
    assert_eq!(stage.call_times(), [0, 0, 0, 0, 100, 100, 100, 100, 300, 300]);
    assert_eq!(stage.accepted.get(), 1);
}

#[test]
fn a_shortage_pauses_longer_and_longer_up_to_a_second() {
    let stage = Stage::new(128, (0..7).map(|_| fails(EMFILE)).chain([OK, OK]));
    stage.event();
    // New connections don't start a batch before its time.
    stage.event();
    stage.run(Duration::from_secs(10));
    assert_eq!(stage.call_times(), [0, 100, 300, 700, 1500, 2500, 3500, 4500, 4500, 4500]);
    assert_eq!(stage.accepted.get(), 2);
    assert!(!stage.ready());
    // It is over: the next connection is accepted at once.
    stage.event();
    assert_eq!(stage.calls.borrow().len(), 11);
}

#[test]
fn the_pause_is_short_again_after_a_connection() {
    let stage = Stage::new(128, [fails(EMFILE), fails(EMFILE), OK, fails(EMFILE), OK]);
    stage.event();
    stage.run(Duration::from_secs(10));
    assert_eq!(stage.call_times(), [0, 100, 300, 300, 400, 400]);
    // One shortage, since the backlog was never empty: one warning.
    assert!(!stage.handler.acceptor.short.get());
}

#[test]
fn removal_ends_a_shortage() {
    let stage = Stage::new(128, [fails(EMFILE), OK]);
    stage.event();
    assert_eq!(stage.io_loop.pending_timeouts(), 1);
    assert!(stage.handler.remove().is_none(), "a script is no listener");
    assert_eq!(stage.io_loop.pending_timeouts(), 0);
    stage.run(Duration::from_secs(1));
    assert_eq!((stage.calls.borrow().len(), stage.accepted.get()), (1, 0));
}

#[test]
fn resuming_does_not_cut_a_shortage_short() {
    let stage = Stage::new(128, [fails(EMFILE), OK]);
    stage.event();
    stage.handler.pause();
    stage.handler.resume();
    stage.run(Duration::from_millis(50));
    assert_eq!(stage.call_times(), [0]);
    stage.run(Duration::from_secs(1));
    assert_eq!(stage.call_times(), [0, 100, 100]);
}

#[test]
fn a_pause_during_a_shortage_holds_when_its_time_is_up() {
    let stage = Stage::new(128, [fails(EMFILE), OK]);
    stage.event();
    stage.handler.pause();
    stage.run(Duration::from_secs(1));
    assert_eq!(stage.call_times(), [0]);
    stage.handler.resume();
    stage.run(Duration::from_millis(1));
    assert_eq!(stage.accepted.get(), 1);
}

#[test]
fn the_cap_ends_a_batch_and_the_next_turn_goes_on() {
    let stage = Stage::new(3, [OK, OK, OK, OK, OK, OK, OK]);
    stage.event();
    assert_eq!(stage.accepted.get(), 3);
    // More events in the same turn don't lift the cap.
    stage.event();
    assert_eq!(stage.accepted.get(), 3);
    let turns = Rc::new(RefCell::new(Vec::new()));
    note_turns(&stage.io_loop, stage.accepted.clone(), turns.clone());
    stage.run(Duration::from_millis(1));
    assert_eq!(turns.borrow()[..3], [6, 7, 7]);
    assert!(!stage.ready());
}

/// Writes down how many connections there are, once a turn for the next three turns.
fn note_turns(io_loop: &IoLoop, accepted: Rc<Cell<usize>>, turns: Rc<RefCell<Vec<usize>>>) {
    let again = io_loop.clone();
    io_loop.add_callback(move || {
        turns.borrow_mut().push(accepted.get());
        if turns.borrow().len() < 3 {
            note_turns(&again, accepted, turns);
        }
    });
}

#[test]
fn verdicts() {
    let of = |code| Verdict::of(&io::Error::from_raw_os_error(code));
    assert_eq!(Verdict::of(&io::ErrorKind::WouldBlock.into()), Verdict::NobodyWaits);
    // Linux: ECONNABORTED, EPERM, and accept(2)'s list ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
    // ENETUNREACH.
    #[cfg(target_os = "linux")]
    for code in [103, 1, 100, 71, 92, 112, 64, 113, 101] {
        assert_eq!(of(code), Verdict::Skip, "{code}");
    }
    // EMFILE, ENFILE, ENOMEM, EINVAL; ENOBUFS.
    for code in [EMFILE, 23, 12, 22, if cfg!(target_os = "linux") { 105 } else { 55 }] {
        assert_eq!(of(code), Verdict::Wait, "{code}");
    }
}

//! The example `chat` as its terminals see it: what people type, and what the worst of them send.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use support::{DEADLINE, Example};

/// Somebody at a terminal that sends and shows bytes as they are, like `nc`.
struct Terminal(BufReader<TcpStream>);

impl Terminal {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Connects and gives a name that is free.
    fn join(address: SocketAddr, name: &str) -> Self {
        let mut terminal = Self::connect(address);
        terminal.expect("Your name?");
        terminal.send(format!("{name}\n").as_bytes());
        terminal
            .expect(&format!("Welcome, {name}. What you type the others read. /who tells who is here, /quit leaves."));
        terminal
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next line; empty at the end.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        match line.strip_suffix("\r\n") {
            Some(text) => text.to_owned(),
            None => {
                assert_eq!(line, "", "a line without its end");
                line
            }
        }
    }

    #[track_caller]
    fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line);
    }

    #[track_caller]
    fn expect_end(&mut self) {
        let mut rest = String::new();
        let read = self.0.read_line(&mut rest).unwrap();
        assert_eq!((read, rest.as_str()), (0, ""));
    }
}

/// `--rate` keeps people at their keyboards apart; here nobody is meant to wait.
const FAST: [&str; 2] = ["--rate", "0"];

#[test]
fn what_one_says_the_others_read() {
    let example = Example::start("chat", &FAST);
    let mut ann = Terminal::join(example.address(), "Ann");
    let mut bob = Terminal::join(example.address(), "bob");
    ann.expect("* bob came in");
    // A raw terminal ends lines with LF, telnet with CR LF; several may come at once, and one in pieces.
    ann.send(b"hello\nsecond\r\nthi");
    bob.expect("<Ann> hello");
    bob.expect("<Ann> second");
    ann.send(b"rd\n\n\r\n  \nlast\n");
    bob.expect("<Ann> third");
    bob.expect("<Ann> last");
    // Who speaks doesn't read it again.
    bob.send("grüße\n".as_bytes());
    ann.expect("<bob> grüße");
    ann.send(b"/who\n");
    ann.expect("* 2 here: Ann, bob");
    ann.send(b"/dance\n");
    ann.expect("What you type the others read. /who tells who is here, /quit leaves.");

    bob.send(b"/quit\r\n");
    bob.expect("Goodbye.");
    bob.expect_end();
    ann.expect("* bob left");
    // Leaving without a word.
    let bob = Terminal::join(example.address(), "bob");
    ann.expect("* bob came in");
    bob.0.get_ref().shutdown(Shutdown::Write).unwrap();
    ann.expect("* bob left");
    example.terminate();
}

#[test]
fn a_name_must_be_good_and_free() {
    let example = Example::start("chat", &FAST);
    let _ann = Terminal::join(example.address(), "Ann");
    let mut other = Terminal::connect(example.address());
    other.expect("Your name?");
    let too_long = "x".repeat(21);
    for name in ["", " ", "a b", "a\u{7}b c", "<b>", "/who", &too_long, &"x".repeat(5000)] {
        other.send(format!("{name}\r\n").as_bytes());
        other.expect("A name has up to 20 letters, digits or -_. and no space.");
        other.expect("Your name?");
    }
    for name in ["Ann", "ann", "ANN"] {
        other.send(format!("{name}\r\n").as_bytes());
        other.expect("There is somebody of that name.");
        other.expect("Your name?");
    }
    other.send("Jürgen_2.-\n".as_bytes());
    assert!(other.line().starts_with("Welcome, Jürgen_2.-."));
    example.terminate();
}

#[test]
fn control_characters_do_not_reach_others() {
    let example = Example::start("chat", &FAST);
    let mut ann = Terminal::join(example.address(), "ann");
    let mut bob = Terminal::join(example.address(), "bob");
    ann.expect("* bob came in");
    // Colours, a bell, a telnet command, bytes that are no UTF-8, a CR in the middle that would overwrite the name.
    bob.send(b"\x1b[31mred\x07\tend\x00\n\xff\xf4fake\r<ann> I\n\xc2\x9b2J\n");
    ann.expect("<bob> [31mred end");
    ann.expect("<bob> \u{fffd}\u{fffd}fake<ann> I");
    ann.expect("<bob> 2J");
    example.terminate();
}

#[test]
fn a_line_that_is_too_long_is_not_passed_on() {
    let example = Example::start("chat", &FAST);
    let mut ann = Terminal::join(example.address(), "ann");
    let mut bob = Terminal::join(example.address(), "bob");
    ann.expect("* bob came in");
    let limit = "y".repeat(500);
    bob.send(format!("{limit}\r\n{limit}\n{limit}y\n").as_bytes());
    ann.expect(&format!("<bob> {limit}"));
    ann.expect(&format!("<bob> {limit}"));
    bob.expect("* That line is too long; 500 bytes are the limit.");
    // Far more than anybody would want to buffer. It is told once, and what follows is a new line.
    bob.send(&vec![b'z'; 3_000_000]);
    bob.expect("* That line is too long; 500 bytes are the limit.");
    bob.send(b"zzz\nshort\n");
    ann.expect("<bob> short");
    bob.send(b"/who\n");
    bob.expect("* 2 here: ann, bob");
    example.terminate();
}

#[test]
fn a_terminal_that_does_not_read_is_dropped_and_holds_nobody_up() {
    let example = Example::start("chat", &FAST);
    let mut ann = Terminal::join(example.address(), "ann");
    let mut bob = Terminal::join(example.address(), "bob");
    ann.expect("* bob came in");
    let stuck = Terminal::join(example.address(), "stuck");
    ann.expect("* stuck came in");
    bob.expect("* stuck came in");
    // The kernel holds some megabytes for it, then the server 64 KiB. Ann reads all of it.
    let line = format!("{}\n", "w".repeat(499));
    let lines = 100;
    let batch = line.repeat(lines);
    let said = format!("<bob> {}", line.trim_end());
    let dropped = "* stuck didn't keep up and was dropped";
    let mut told = false;
    for _ in 0..1000 {
        bob.send(batch.as_bytes());
        let mut left = lines;
        while left > 0 {
            match ann.line() {
                text if text == said => left -= 1,
                text => {
                    assert_eq!(text, dropped);
                    told = true;
                }
            }
        }
        if told {
            break;
        }
    }
    assert!(told, "50 MB did not get rid of a terminal that reads nothing");
    bob.expect(dropped);
    ann.send(b"/who\n");
    ann.expect("* 2 here: ann, bob");
    // The name is free.
    drop(stuck);
    Terminal::join(example.address(), "stuck");
    example.terminate();
}

#[test]
fn who_sends_without_end_waits_and_the_others_do_not() {
    // Ten lines a second.
    let example = Example::start("chat", &[]);
    let mut ann = Terminal::join(example.address(), "ann");
    let mut bob = Terminal::join(example.address(), "bob");
    ann.expect("* bob came in");
    let mut flood = Terminal::join(example.address(), "flood");
    ann.expect("* flood came in");
    bob.expect("* flood came in");
    flood.send("drip\n".repeat(1000).as_bytes());
    ann.expect("<flood> drip");
    bob.send(b"hello\n");
    // A minute and a half would pass until all of it is said.
    let before = (0..1000).take_while(|_| ann.line() != "<bob> hello").count();
    assert!(before < 900, "{before} lines came before");
    example.terminate();
}

#[test]
fn nobody_is_let_in_when_all_seats_are_taken() {
    let example = Example::start("chat", &["--seats", "2", "--rate", "0"]);
    let mut ann = Terminal::join(example.address(), "ann");
    // Without a name it takes a seat, too.
    let nameless = Terminal::connect(example.address());
    let mut late = Terminal::connect(example.address());
    // The two connect in this order, and so are they accepted.
    late.expect("All seats are taken. Try again later.");
    late.expect_end();
    nameless.0.get_ref().shutdown(Shutdown::Both).unwrap();
    let end = Instant::now() + DEADLINE;
    let mut bob = loop {
        // The server may not have noticed yet.
        assert!(Instant::now() < end, "the seat is not free within {DEADLINE:?}");
        let mut bob = Terminal::connect(example.address());
        if bob.line() == "Your name?" {
            break bob;
        }
    };
    bob.send(b"bob\n");
    ann.expect("* bob came in");
    example.terminate();
}

#[test]
fn everybody_is_told_when_the_server_ends() {
    // At the usual rate: somebody may be in the pause between two lines.
    let example = Example::start("chat", &[]);
    let mut ann = Terminal::join(example.address(), "ann");
    let mut bob = Terminal::join(example.address(), "bob");
    let _nameless = Terminal::connect(example.address());
    ann.expect("* bob came in");
    bob.send(b"one\n");
    ann.expect("<bob> one");
    example.terminate();
    for terminal in [&mut ann, &mut bob] {
        terminal.expect("* The server goes down. Goodbye.");
        terminal.expect_end();
    }
}

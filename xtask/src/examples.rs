//! `cargo xtask examples`: builds all examples, starts each, uses it once as a stranger would, and stops it.
//!
//! Rules: [`EXAMPLES`] is the list of them, and `tidy` compares it with the directory. A server is started on port 0 and
//! prints its address on stdout once it listens; that line is awaited, nobody sleeps. SIGTERM ends it with status 0; what is
//! no server ends by itself. Every wait has a deadline, and an example that fails is shown with all it printed.

mod client;
pub(crate) mod running;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::ci;
use client::Answer;
use running::Running;

/// An example, how to start it, what it must do.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    arguments: &'static [&'static str],
    use_once: fn(&Running) -> Result<(), String>,
    /// It ends by itself, with status 0; a server ends by SIGTERM.
    ends: bool,
}

/// Every file of `examples/`.
pub(crate) const EXAMPLES: &[Example] = &[
    server("hello", get),
    server("tcp_echo", tcp_echo),
    server("tls_echo", tls_echo),
    server("start_tls", start_tls),
    server("start_listen", get),
    Example { arguments: WORKERS, ..server("start_fork", forked) },
    Example { arguments: WORKERS, ..server("start_sockets", forked) },
    Example { arguments: WORKERS, ..server("start_threads", get) },
    server("delegate_chain", delegate_chain),
    Example { arguments: &[], ..server("unix_echo", unix_echo) },
    server("http_playground", playground),
    Example { ends: true, ..server("drain", drain) },
    Example { arguments: &["--port", "0", "--http-port", "0", "--hsts", "300"], ..server("https", https) },
    server("reverse_proxy", reverse_proxy),
    server("chat", chat),
    server("websocket_upgrade", websocket_upgrade),
    Example { arguments: &["--deadline", "300"], ..program("subprocess", subprocess) },
    Example { arguments: TWO_LINES, ..program("line_client", line_client) },
    program("happy_eyeballs", happy_eyeballs),
    server("upload", upload),
    Example { arguments: SERVED, ..server("static_files", static_files) },
    Example { arguments: &["--period", "20"], ..program("periodic", periodic) },
];

const TWO_LINES: &[&str] = &["--send", "hello", "--send", "how are you", "--timeout", "0.1"];
const SERVED: &[&str] = &["--port", "0", "--root", concat!(env!("CARGO_MANIFEST_DIR"), "/..")];
const WORKERS: &[&str] = &["--port", "0", "--workers", "2"];

const fn server(name: &'static str, use_once: fn(&Running) -> Result<(), String>) -> Example {
    Example { name, arguments: &["--port", "0"], use_once, ends: false }
}

const fn program(name: &'static str, use_once: fn(&Running) -> Result<(), String>) -> Example {
    Example { name, arguments: &[], use_once, ends: true }
}

/// Runs the named examples, or all when none is named.
pub(crate) fn run(root: &Path, names: &[&str]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| !EXAMPLES.iter().any(|example| example.name == **name)) {
        return Err(format!("no example {unknown:?} in the table of xtask/src/examples.rs"));
    }
    build(root)?;
    let directory = built_examples()?;
    let mut failed = Vec::new();
    for example in EXAMPLES.iter().filter(|example| names.is_empty() || names.contains(&example.name)) {
        let begin = Instant::now();
        match example.check(root, &directory) {
            Ok(()) => println!("example {}: ok in {}", example.name, ci::seconds(begin.elapsed())),
            Err(problem) => {
                println!("example {}: FAILED: {problem}", example.name);
                failed.push(example.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("examples that failed: {}", failed.join(", "))) }
}

fn build(root: &Path) -> Result<(), String> {
    ci::succeed(ci::cargo(root).args(["build", "--locked", "--package", "landspout-workbench", "--examples"]))
}

/// Where cargo puts examples: this program lies in the same target directory, whatever that is called.
pub(crate) fn built_examples() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(2).ok_or("xtask does not lie in a target directory")?;
    Ok(target.join("debug/examples"))
}

impl Example {
    fn check(&self, root: &Path, directory: &Path) -> Result<(), String> {
        // A binary of an example deleted long ago may still lie in the target directory.
        if !root.join(format!("examples/{}.rs", self.name)).is_file() {
            return Err(format!("examples/{}.rs does not exist", self.name));
        }
        let program = directory.join(self.name);
        usage(&program, if self.ends { &["--help"] } else { &["--port", "--path"] })?;
        let running = Running::start(&program, self.arguments).map_err(|error| error.to_string())?;
        (self.use_once)(&running)
            .and_then(|()| if self.ends { running.wait_for_end() } else { running.terminate() })
            .and_then(
                |()| if running.output().contains("panicked at") { Err("it panicked".to_owned()) } else { Ok(()) },
            )
            .map_err(|problem| format!("{problem}\n--- {} printed:\n{}---", self.name, running.output()))
    }
}

/// `--help` tells the flags, one of `flags` among them, and a flag that it doesn't tell is an error.
fn usage(program: &Path, flags: &[&str]) -> Result<(), String> {
    let run = |flag| Command::new(program).arg(flag).output().map_err(|error| error.to_string());
    let help = run("--help")?;
    let told = flags.iter().any(|flag| String::from_utf8_lossy(&help.stdout).contains(flag));
    if !help.status.success() || !told {
        return Err(format!("--help does not tell the flags: {help:?}"));
    }
    let unknown = run("--no-such-flag")?;
    let named = String::from_utf8_lossy(&unknown.stderr).contains("--no-such-flag");
    if unknown.status.code() == Some(2) && named { Ok(()) } else { Err(format!("--no-such-flag gave {unknown:?}")) }
}

fn get(running: &Running) -> Result<(), String> {
    let answer = client::http(running.address()?, "GET", "/", b"")?;
    expect(answer.status == 200 && !answer.body.is_empty(), "GET / gives 200 and a body", &answer)
}

/// A worker that is killed is replaced under its number, and the rest goes on.
fn forked(running: &Running) -> Result<(), String> {
    let answer = client::http(running.address()?, "GET", "/", b"")?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    // "Hello from worker 1 (pid 1234)"
    let words = text.trim_end().strip_prefix("Hello from worker ").and_then(|rest| rest.strip_suffix(")"));
    let Some((id, pid)) = words.and_then(|words| words.split_once(" (pid ")) else {
        return expect(false, "GET / tells the worker's number and process", &answer);
    };
    running::kill("KILL", pid)?;
    let started = format!("worker {id} (pid ");
    running.wait_for(&format!("that worker {id} was replaced"), |output| {
        output.lines().find(|line| line.starts_with(&started) && !line.contains(pid)).map(|_| ())
    })?;
    get(running)
}

fn playground(running: &Running) -> Result<(), String> {
    let address = running.address()?;
    let answer = client::http(address, "GET", "/", b"")?;
    expect(answer.status == 200 && answer.body == b"Hello, World!", "GET / gives `Hello, World!`", &answer)?;
    let answer = client::http(address, "POST", "/echo", b"one\0two")?;
    expect(answer.status == 200 && answer.body == b"one\0two", "POST /echo gives the body back", &answer)?;
    let answer = client::http(address, "GET", "/big?n=300000", b"")?;
    expect(answer.status == 200 && answer.body.len() == 300_000, "GET /big?n=300000 gives that many bytes", &answer)?;
    let answer = client::http(address, "GET", "/sleep?ms=1", b"")?;
    expect(answer.status == 200, "GET /sleep?ms=1 gives 200", &answer)?;
    let answer = client::http(address, "GET", "/events?n=2&ms=1", b"")?;
    expect(answer.status == 200 && answer.body == b"data: 1\n\ndata: 2\n\n", "GET /events?n=2 gives two", &answer)?;
    let answer = client::http(address, "HEAD", "/big?n=300000", b"")?;
    expect(answer.status == 200 && answer.body.is_empty(), "HEAD gives no body", &answer)?;
    let answer = client::http(address, "GET", "/big?n=much", b"")?;
    expect(answer.status == 400, "a bad query gives 400", &answer)?;
    let answer = client::http(address, "GET", "/echo", b"")?;
    expect(answer.status == 405, "a wrong method gives 405", &answer)?;
    let answer = client::http(address, "GET", "/nothing", b"")?;
    expect(answer.status == 404, "anything else gives 404", &answer)
}

/// With half a request under way it is asked to end: the request is answered, as the last, and then it ends by itself.
fn drain(running: &Running) -> Result<(), String> {
    let says = |what: &str| {
        running.wait_for(&format!("{what:?}"), |output| output.lines().any(|line| line.ends_with(what)).then_some(()))
    };
    let mut busy = client::tcp(running.address()?)?;
    let half = b"POST /busy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel";
    busy.write_all(half).map_err(|error| error.to_string())?;
    says("POST /busy is under way")?;
    running::kill("TERM", &running.id().to_string())?;
    says("draining")?;
    client::converse(&mut busy, b"lo", "Connection: close")?;
    drop(busy);
    says("1 connections ended well, 0 were cut")
}

/// Plain HTTP leads to the server of HTTPS; curl, where there is one, follows and trusts the certificate that was made.
fn https(running: &Running) -> Result<(), String> {
    let lines = |name: &str| {
        running.wait_for(&format!("its {name}"), |output| {
            output.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
        })
    };
    let (certificate, plain) = (lines("certificate: ")?, lines("http://")?);
    let plain: SocketAddr = plain.trim_end_matches('/').parse().map_err(|_| format!("no address: {plain}"))?;
    let port = running.address()?.port();
    let answer = client::http(plain, "GET", "/a?b", b"")?;
    let there = format!("https://127.0.0.1:{port}/a?b");
    let redirected = answer.status == 308 && answer.field("Location").as_ref() == Some(&there);
    expect(redirected, &format!("GET /a?b gives 308 and leads to {there}"), &answer)?;
    let follow = |expected: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--location", "--max-time", "30"]);
        curl.args(["--cacert", &certificate, &format!("http://localhost:{}/a?b", plain.port())]);
        match curl.output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(format!("curl: {error}")),
            Ok(output) if String::from_utf8_lossy(&output.stdout).contains(expected) => Ok(()),
            Ok(output) => Err(format!("curl found no {expected:?}: {output:?}")),
        }
    };
    follow(&format!("This is https://localhost:{port}/a?b\n"))?;
    follow("Strict-Transport-Security: max-age=300\r\n")?;
    running::kill("HUP", &running.id().to_string())?;
    running.wait_for("that it has read its certificate again", |output| {
        output.contains("new clients get the new certificate").then_some(())
    })?;
    follow("200 OK")
}

/// Each call of the chain is printed when it happens, under its name.
/// Its own upstream shows what reaches it.
fn reverse_proxy(running: &Running) -> Result<(), String> {
    let answer = client::http(running.address()?, "GET", "/path", b"")?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let proxied = text.starts_with("GET /path\n") && text.contains("\nX-Forwarded-For: 127.0.0.1\n");
    expect(answer.status == 200 && proxied, "GET /path reaches the upstream with X-Forwarded-For", &answer)
}

fn delegate_chain(running: &Running) -> Result<(), String> {
    let answer = client::http(running.address()?, "POST", "/", b"hello")?;
    expect(answer.status == 200, "POST / gives 200", &answer)?;
    running.wait_for("the calls of the chain in their order", |output| {
        let mut rest = output;
        for call in ["start_request", "headers_received", "data_received", "finish"] {
            rest = &rest[rest.find(call)? + call.len()..];
        }
        Some(())
    })
}

/// A good handshake with a message in the same packet, an echo and a goodbye: the client's, or the answer to what is too long or no
/// text; and handshakes that are none.
fn websocket_upgrade(running: &Running) -> Result<(), String> {
    let address = running.address()?;
    get(running)?;
    let handshake = |fields: &str| format!("GET /echo HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n");
    // Key and answer are those of RFC 6455, section 1.3.
    const GOOD: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    // A text and a goodbye with code 1000, masked with zeros; unmasked, the same comes back.
    const HELLO: [&[u8]; 2] = [b"\x81\x85\0\0\0\0Hello", b"\x81\x05Hello"];
    const GOODBYE: [&[u8]; 2] = [b"\x88\x82\0\0\0\0\x03\xe8", b"\x88\x02\x03\xe8"];
    // 64 KiB and a byte; the answer is a goodbye with code 1009.
    let too_long = [&b"\x82\xff\0\0\0\0\0\x01\0\x01\0\0\0\0"[..], &[0; 65537]].concat();
    // A text that is no UTF-8, and code 1007.
    const NO_TEXT: [&[u8]; 2] = [b"\x81\x81\0\0\0\0\xff", b"\x88\x02\x03\xef"];
    for (last, answer) in [(GOODBYE[0], GOODBYE[1]), (&too_long, b"\x88\x02\x03\xf1"), (NO_TEXT[0], NO_TEXT[1])] {
        let said = [handshake(GOOD).as_bytes(), HELLO[0], last].concat();
        let heard = client::converse_to_end(&mut client::tcp(address)?, &said)?;
        let text = String::from_utf8_lossy(&heard);
        let good = text.starts_with("HTTP/1.1 101 ")
            && text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
        if !good || !heard.ends_with(&[b"\r\n\r\n", HELLO[1], answer].concat()) {
            let (heard, answer) = (heard.escape_ascii(), answer.escape_ascii());
            return Err(format!("no handshake, echo and goodbye {answer}: {heard}"));
        }
    }
    for (good, bad, status) in [
        ("Version: 13", "Version: 12", "426 "),
        ("Upgrade: websocket", "Upgrade: h2c", "426 "),
        ("keep-alive, Upgrade", "keep-alive", "426 "),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", "400 "),
        ("Connection", "Origin: http://elsewhere.example\r\nConnection", "403 "),
    ] {
        client::converse(&mut client::tcp(address)?, handshake(&GOOD.replace(good, bad)).as_bytes(), status)?;
    }
    let version = handshake(&GOOD.replace("Version: 13", "Version: 12"));
    client::converse(&mut client::tcp(address)?, version.as_bytes(), "Sec-WebSocket-Version: 13\r\n")
}

/// One child answers and says more on stderr; the other one is ended by a signal.
fn subprocess(running: &Running) -> Result<(), String> {
    let lines = ["answer: waterspout has 10 letters", "stderr: no more words", "status: 3", "number for that is -15"];
    for line in lines {
        running.wait_for(&format!("{line:?}"), |output| output.contains(line).then_some(()))?;
    }
    Ok(())
}

/// Of a host's two addresses, IPv6 wins while it works; it loses when it is refused and when it is silent.
fn happy_eyeballs(running: &Running) -> Result<(), String> {
    running.wait_for("who won at which host, and how", |output| {
        let (good, rest) = output.split_once("good.test")?.1.split_once("refused.test")?;
        let (refused, silent) = rest.split_once("silent.test")?;
        let tells = good.contains("connected to [::1]") && !good.contains("trying 127.0.0.1");
        let tells = tells && refused.contains("refused") && refused.contains("connected to 127.0.0.1");
        let tells = tells && silent.contains("connected to 127.0.0.1") && silent.contains("gave up [::1]");
        (tells && silent.contains("it says")).then_some(())
    })
}

/// Ten ticks; slow polls that never overlap; the thread's result.
fn periodic(running: &Running) -> Result<(), String> {
    for line in ["tick 10\n", "there are 9592 primes below 100,000\n", "the end\n"] {
        running.wait_for(&format!("{line:?}"), |output| output.contains(line).then_some(()))?;
    }
    let output = running.output();
    let polls = output.lines().filter(|line| line.contains("slow poll")).enumerate();
    let overlap = polls.clone().any(|(i, line)| line.contains("begins") != (i % 2 == 0));
    if overlap || polls.count() == 0 { Err("the slow polls overlap, or there is none".to_owned()) } else { Ok(()) }
}

/// The answers come in two pieces; each read of the first one is given up and loses nothing.
fn line_client(running: &Running) -> Result<(), String> {
    running.wait_for("the answers behind time-outs", |output| {
        let mut rest = output;
        for line in
            ["(waiting, with 10 bytes", "you said: hello\n", "(waiting, with 10 bytes", "you said: how are you\n"]
        {
            rest = &rest[rest.find(line)? + line.len()..];
        }
        Some(())
    })
}

/// What one terminal sends the other one gets.
fn chat(running: &Running) -> Result<(), String> {
    let terminals = [client::tcp(running.address()?)?, client::tcp(running.address()?)?];
    let [mut ann, mut bob] = terminals;
    client::converse(&mut ann, b"ann\r\n", "Welcome, ann.")?;
    client::converse(&mut bob, b"bob\n", "Welcome, bob.")?;
    client::converse(&mut bob, b"hello\n/who\n", "2 here: ann, bob")?;
    client::converse(&mut ann, b"/quit\n", "<bob> hello\r\nGoodbye.")
}

/// Its own client trusts the certificate that the server has made.
fn tls_echo(running: &Running) -> Result<(), String> {
    as_client_of(running, "echo: hello over TLS\n")?;
    // A scanner costs nobody anything.
    let mut rubbish = client::tcp(running.address()?)?;
    rubbish.write_all(b"GET / HTTP/1.1\r\n\r\n").map_err(|error| error.to_string())?;
    as_client_of(running, "echo: hello over TLS\n")?;
    running::kill("HUP", &running.id().to_string())?;
    running.wait_for("that it has read its certificate again", |output| {
        output.contains("new clients get the new certificate").then_some(())
    })?;
    as_client_of(running, "echo: hello over TLS\n")
}

/// Its own client sees plain lines first, and lines over TLS after that.
fn start_tls(running: &Running) -> Result<(), String> {
    as_client_of(running, "plain 220 go ahead\nsecured by TLSv1.3\ntls   250 localhost\n")
}

/// Starts the same example as a client, with the certificate that the server tells; it has to print `expected`.
fn as_client_of(running: &Running, expected: &str) -> Result<(), String> {
    let address = running.address()?.to_string();
    let certificate = running.wait_for("where the certificate is", |output| {
        output.lines().find_map(|line| line.strip_prefix("certificate: ")).map(str::to_owned)
    })?;
    let run = Command::new(running.program()).args(["--connect", &address, "--ca", &certificate]).output();
    let output = run.map_err(|error| format!("its client doesn't run: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && printed.contains(expected) { Ok(()) } else { Err(format!("its client: {output:?}")) }
}

/// A file to send and to ask for, in the root of the repository.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");

/// What curl sends as a form is on disk after that, under a name that is harmless.
fn upload(running: &Running) -> Result<(), String> {
    let report = send_form(running.address()?)?;
    let sent = std::fs::read(FILE).map_err(|error| error.to_string())?;
    let kept = report.strip_prefix(&format!("file: {} bytes, kept as ", sent.len()));
    let kept = kept.and_then(|rest| rest.strip_suffix("\nnote: 5 bytes, no file\n"));
    let kept = kept.ok_or_else(|| format!("the form was answered by {report:?}"))?;
    let directory = running.wait_for("where uploads go", |output| {
        output.lines().find_map(|line| line.strip_prefix("uploads go to ")).map(PathBuf::from)
    })?;
    let path = directory.join(kept);
    let content = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    std::fs::remove_file(&path).map_err(|error| error.to_string())?;
    if content == sent { Ok(()) } else { Err(format!("{} differs from what was sent", path.display())) }
}

/// By curl, or by our own client where there is none.
fn send_form(address: SocketAddr) -> Result<String, String> {
    let (name, url) = ("../../landspout-example.toml", format!("http://{address}/"));
    let file = format!("file=@{FILE};filename={name}");
    match Command::new("curl").args(["-sS", "--max-time", "30", "-F", &file, "-F", "note=hello", &url]).output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(format!("curl -F: {output:?}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let content = std::fs::read_to_string(FILE).map_err(|error| error.to_string())?;
            let part = "--x\r\nContent-Disposition: form-data";
            let parts =
                format!("{part}; name=file; filename=\"{name}\"\r\n\r\n{content}\r\n{part}; name=note\r\n\r\nhello");
            let answer = client::post_form(address, "/", "x", format!("{parts}\r\n--x--\r\n").as_bytes())?;
            Ok(String::from_utf8_lossy(&answer.body).into_owned())
        }
        Err(error) => Err(format!("curl doesn't run: {error}")),
    }
}

fn static_files(running: &Running) -> Result<(), String> {
    let address = running.address()?;
    let file = std::fs::read(FILE).map_err(|error| error.to_string())?;
    let answer = client::http(address, "GET", "/Cargo.toml", b"")?;
    expect(answer.status == 200 && answer.body == file, "GET gives the file", &answer)?;
    let etag = answer.field("ETag").ok_or("no ETag")?;
    let answer = client::get_with(address, "/Cargo.toml", &[("Range", "bytes=10-19")])?;
    expect(answer.status == 206 && answer.body == file[10..20], "a range gives these bytes", &answer)?;
    let answer = client::get_with(address, "/Cargo.toml", &[("If-None-Match", &etag)])?;
    expect(answer.status == 304 && answer.body.is_empty(), "a tag that is current gives 304", &answer)?;
    for outside in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/.git/config"] {
        let answer = client::http(address, "GET", outside, b"")?;
        expect(answer.status == 404, "nothing outside is found", &answer)?;
    }
    Ok(())
}

fn tcp_echo(running: &Running) -> Result<(), String> {
    client::echo(client::tcp(running.address()?)?)
}

fn unix_echo(running: &Running) -> Result<(), String> {
    let path = running.wait_for("the path of its socket", |output| {
        let word = output.lines().find_map(|line| line.split_whitespace().find(|word| word.contains('/')))?;
        let path =
            word.trim_start_matches("http+unix:").trim_start_matches("unix:").trim_matches(['"', '`', '\'', ',']);
        Some(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
    })?;
    client::echo(client::unix(&path)?)
}

fn expect(holds: bool, what: &str, answer: &Answer) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("expected that {what}, but got: {answer}")) }
}

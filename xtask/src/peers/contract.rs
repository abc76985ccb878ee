//! What each peer has to answer, asked over plain sockets by a client of its own, or by openssl where it takes TLS.
//!
//! A difference in status, body or in the fields that the contract names is a failure. Fields that a peer adds, and what it can't
//! do, are shown in the table, since they explain its figures.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::asking::{Answer, Client};
use super::programs::target;
use super::{Ability, NotStarted, Options, Peer, STREAMED, Started, build, start, version};
use crate::ci::succeed;
use crate::interop;

/// Fields that the contract asks for.
const FIELDS: [&str; 3] = ["content-type", "content-length", "date"];
const HELLO: &[u8] = b"Hello, World!";
const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const PIPELINED: usize = 16;
const ECHO: usize = 16 * 1024;
/// No multiple of a piece.
const STREAM: usize = STREAMED[0] as usize;

/// Builds and checks these, and prints a row for each.
pub(super) fn check(root: &Path, peers: &[&Peer]) -> Result<(), String> {
    for peer in peers {
        println!("peers: building {}", peer.name);
        build(root, peer)?;
    }
    println!("| peer | version | answer to GET / | fields beyond the contract | lacks |\n|---|---|---|---|---|");
    let mut failed = Vec::new();
    for peer in peers {
        match row(root, peer) {
            Ok(row) => println!("| {} | {row} |", peer.name),
            Err(NotStarted::NotHere(problem)) => println!("| {} | skipped: {} | | | |", peer.name, problem.trim_end()),
            Err(NotStarted::Failed(problem)) => {
                println!("| {} | FAILED: {problem} | | | |", peer.name);
                failed.push(peer.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("peers that break the contract: {}", failed.join(", "))) }
}

/// Asks a peer for all it can do, and fills the columns behind its name.
fn row(root: &Path, peer: &Peer) -> Result<String, NotStarted> {
    let mut row = version(root, peer)?;
    let hello = if peer.can(Ability::Tls) { over_tls(root, peer)? } else { in_plain_text(root, peer)? };
    if let Some(hello) = hello {
        let beyond = hello.fields.iter().filter(|(name, _)| !FIELDS.contains(&name.to_ascii_lowercase().as_str()));
        let beyond: Vec<String> = beyond.map(|(name, value)| format!("`{name}: {value}`")).collect();
        write!(row, " | {} bytes | {}", hello.length, beyond.join(", ")).expect("a text takes everything");
    } else {
        row += " | | ";
    }
    let http = [Ability::Closes, Ability::Echo, Ability::EchoChunked, Ability::Stream];
    // Over TLS and of an echo no more is asked.
    let is_asked = peer.can(Ability::Hello) && !peer.can(Ability::Tls);
    let lacks = http.into_iter().filter(|ability| is_asked && !peer.can(*ability));
    let lacks: Vec<String> = lacks.map(|ability| format!("{ability:?}")).collect();
    Ok(row + " | " + &lacks.join(", "))
}

/// Ends a peer that has been asked; what it printed helps where it failed.
fn end<T>(started: &Started, asked: Result<T, String>) -> Result<T, String> {
    let asked = asked.map_err(|problem| format!("{problem}\n{}", started.running.output()))?;
    started.running.terminate()?;
    Ok(asked)
}

fn in_plain_text(root: &Path, peer: &Peer) -> Result<Option<Answer>, NotStarted> {
    let started = start(root, peer, &Options::default())?;
    let hello = end(&started, ask(peer, &started))?;
    if peer.can(Ability::Workers) {
        let reuse_port = peer.can(Ability::ReusePort).then_some("reuse-port");
        for way in ["fork", "threads"].into_iter().chain(reuse_port) {
            let started = start(root, peer, &Options { workers: Some((2, way)), ..Options::default() })?;
            end(&started, hello_twice(&started)).map_err(|problem| format!("two workers by {way}: {problem}"))?;
        }
    }
    Ok(hello)
}

fn ask(peer: &Peer, started: &Started) -> Result<Option<Answer>, String> {
    let mut hello = None;
    if peer.can(Ability::Hello) {
        hello = Some(hello_twice(started)?);
        pipelined(started)?;
    }
    if peer.can(Ability::Closes) {
        closes(started)?;
    }
    if peer.can(Ability::Echo) {
        echo(started, "its length", &format!("Content-Length: {ECHO}\r\n\r\n"), &body())?;
    }
    if peer.can(Ability::EchoChunked) {
        let mut chunked = Vec::new();
        for chunk in body().chunks(ECHO / 2) {
            chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            chunked.extend_from_slice(chunk);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        echo(started, "chunks", "Transfer-Encoding: chunked\r\n\r\n", &chunked)?;
    }
    if peer.can(Ability::Stream) {
        stream(started)?;
    }
    if peer.can(Ability::TcpEcho) {
        tcp_echo(started)?;
    }
    Ok(hello)
}

/// One after the other on one connection.
fn hello_twice(started: &Started) -> Result<Answer, String> {
    let mut client = Client::connect(started.address)?;
    let mut ask = || client.send(GET.as_bytes()).and_then(|()| client.answer()).and_then(is_hello);
    ask().and_then(|_| ask()).map_err(|problem| format!("GET /: {problem}"))
}

fn closes(started: &Started) -> Result<(), String> {
    let mut client = Client::connect(started.address)?;
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let asked = client.answer().and_then(is_hello).and_then(|_| client.end());
    asked.map_err(|problem| format!("GET / with a close: {problem}"))
}

fn pipelined(started: &Started) -> Result<(), String> {
    let mut client = Client::connect(started.address)?;
    client.send(GET.repeat(PIPELINED).as_bytes())?;
    for number in 1..=PIPELINED {
        client.answer().and_then(is_hello).map_err(|problem| format!("pipelined GET {number}: {problem}"))?;
    }
    Ok(())
}

/// Twice, since the first may find a connection in another state than those after it.
fn echo(started: &Started, kind: &str, end_of_head: &str, sent: &[u8]) -> Result<(), String> {
    let mut client = Client::connect(started.address)?;
    let head =
        format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n{end_of_head}");
    for _ in 0..2 {
        let asked = client.send(&[head.as_bytes(), sent].concat()).and_then(|()| client.answer());
        let checked = asked.and_then(|answer| has(&answer, "application/octet-stream", &body()));
        checked.map_err(|problem| format!("POST /echo with {kind}: {problem}"))?;
    }
    Ok(())
}

fn stream(started: &Started) -> Result<(), String> {
    let mut client = Client::connect(started.address)?;
    let request = format!("GET /stream/{STREAM} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for _ in 0..2 {
        let answer = client.send(request.as_bytes()).and_then(|()| client.answer());
        let checked = answer.and_then(|answer| match answer.body.len() {
            STREAM => has(&answer, "application/octet-stream", &answer.body),
            other => Err(format!("{other} bytes of {STREAM}")),
        });
        checked.map_err(|problem| format!("GET /stream/{STREAM}: {problem}"))?;
    }
    Ok(())
}

fn tcp_echo(started: &Started) -> Result<(), String> {
    let mut client = Client::connect(started.address)?;
    for sent in [b"short".to_vec(), body()] {
        client.send(&sent)?;
        if client.exactly(sent.len())? != sent {
            return Err(format!("the echo of {} bytes is not what was sent", sent.len()));
        }
    }
    Ok(())
}

fn is_hello(answer: Answer) -> Result<Answer, String> {
    has(&answer, "text/plain", HELLO)?;
    Ok(answer)
}

/// The contract: 200, the fields, the body.
fn has(answer: &Answer, content_type: &str, body: &[u8]) -> Result<(), String> {
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    let length = body.len().to_string();
    for (name, expected) in [("Content-Type", content_type), ("Content-Length", length.as_str())] {
        match answer.field(name) {
            Some(value) if value == expected => {}
            other => return Err(format!("{name}: {other:?}, not {expected}")),
        }
    }
    // `Sun, 06 Nov 1994 08:49:37 GMT`
    if !answer.field("Date").is_some_and(|date| date.len() == 29 && date.ends_with(" GMT")) {
        return Err(format!("Date: {:?}", answer.field("Date")));
    }
    if answer.body == body { Ok(()) } else { Err(format!("another body, of {} bytes", answer.body.len())) }
}

/// Without a blank line, which the raw loop would take for the end of a head.
fn body() -> Vec<u8> {
    (b'a'..=b'z').cycle().take(ECHO).collect()
}

/// A session of TLS 1.3, and one that resumes it.
fn over_tls(root: &Path, peer: &Peer) -> Result<Option<Answer>, NotStarted> {
    interop::install_missing(&[("openssl", &["openssl"])])?;
    let (certfile, keyfile) = certificate(root)?;
    let started = start(root, peer, &Options { certificate: Some((&certfile, &keyfile)), ..Options::default() })?;
    let session = target(root).join("session.pem");
    let asked = (|| {
        openssl(&started, "-sess_out", &session)?;
        let (shown, answer) = openssl(&started, "-sess_in", &session)?;
        match shown.contains("Reused, TLSv1.3") {
            true => is_hello(answer).map(Some),
            false => Err("the session was not resumed".to_owned()),
        }
    })();
    Ok(end(&started, asked)?)
}

/// Asks for `/`, and once more with a close; gives what openssl says about the session, and the first answer.
fn openssl(started: &Started, session: &str, file: &Path) -> Result<(String, Answer), String> {
    let run = || {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &started.address.to_string(), "-tls1_3", "-ign_eof", session]).arg(file);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(GET.as_bytes())?;
        stdin.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        child.wait_with_output()
    };
    let output = run().map_err(|error| format!("openssl s_client: {error}"))?.stdout;
    let at = output.windows(9).position(|window| window == b"HTTP/1.1 ");
    let at = at.ok_or_else(|| format!("no answer over TLS:\n{}", String::from_utf8_lossy(&output)))?;
    Ok((String::from_utf8_lossy(&output[..at]).into_owned(), Answer::read(&mut &output[at..])?))
}

/// A certificate on P-256 and its key, made once.
pub(crate) fn certificate(root: &Path) -> Result<(PathBuf, PathBuf), String> {
    let (certfile, keyfile) = (target(root).join("cert.pem"), target(root).join("key.pem"));
    if File::open(&certfile).is_err() || File::open(&keyfile).is_err() {
        fs::create_dir_all(target(root)).map_err(|error| format!("{}: {error}", target(root).display()))?;
        let mut command = Command::new("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
        ]);
        command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        command.arg("-keyout").arg(&keyfile).arg("-out").arg(&certfile).stderr(Stdio::null());
        succeed(&mut command)?;
    }
    Ok((certfile, keyfile))
}

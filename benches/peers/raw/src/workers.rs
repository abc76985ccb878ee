//! `--workers N --start fork|threads`: the same loop several times over one listening socket, so that what a second CPU costs the
//! kernel can be told from what it costs a server.

use std::error::Error;
use std::io::stdin;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;

use peer_support::Arguments;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::serve;

pub(crate) const COUNT: &str = "--workers";
/// A worker is told so by the process that starts it, and nobody else says it: the listening socket is the standard input.
pub(crate) const INHERITED: &str = "--inherited";

pub(crate) fn run(count: usize, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let listener = peer_support::listen(arguments.port())?;
    match arguments.text("--start") {
        Some("threads") => on_threads(count, &listener),
        None | Some("fork") => in_processes(count, &listener),
        Some(other) => Err(format!("--start fork or threads, not {other}").into()),
    }
}

/// They share no memory, as if they were forked. This process only waits.
fn in_processes(count: usize, listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    let mut children = Vec::new();
    for _ in 0..count {
        let socket = Stdio::from(listener.as_fd().try_clone_to_owned()?);
        children.push(Command::new(std::env::current_exe()?).arg(INHERITED).stdin(socket).spawn()?);
    }
    peer_support::exit_on_sigterm()?;
    peer_support::announce(listener.local_addr()?);
    for child in &mut children {
        child.wait()?;
    }
    Ok(())
}

/// One of them. It ends with its parent.
pub(crate) fn inherited() -> Result<(), Box<dyn Error>> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    peer_support::exit_on_sigterm()?;
    serve(&TcpListener::from(stdin().as_fd().try_clone_to_owned()?), false)?;
    Ok(())
}

/// This thread only waits.
fn on_threads(count: usize, listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    peer_support::exit_on_sigterm()?;
    peer_support::announce(listener.local_addr()?);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| serve(listener, false))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a worker doesn't panic"))
    })?;
    Ok(())
}

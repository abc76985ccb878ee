//! A read that brought less than was asked for mostly says that nothing is left. Here are the peers for whom it doesn't: what
//! they have sent must not lie in the kernel until they send more.

#[macro_use]
mod common;

use std::fs::File;
use std::io::{IoSlice, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use common::*;
use landspout_iostream::{IoStream, StreamOptions};
use nix::fcntl::OFlag;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// Everything was sent before the stream begins to read, so that one event tells of all.
async fn reads_everything(stream: IoStream, all: &[u8]) {
    let mut read = Vec::new();
    while read.len() < all.len() {
        read.extend_from_slice(&stream.read_bytes_partial(1000).await.unwrap());
    }
    assert_eq!(read, all);
}

/// The kernel ends a read at urgent data (tcp(7)): RFC 9293, section 3.8.5.
#[test]
fn urgent_data_hides_nothing_behind_it() {
    // At once, or when the event of the first bytes has come.
    for turns_between in [0, 3] {
        run(async move {
            let (socket, mut peer) = tcp_sockets();
            let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
            peer.write_all(b"before").unwrap();
            turns(turns_between).await;
            socket2::SockRef::from(&peer).send_out_of_band(b"!").unwrap();
            peer.write_all(b"behind").unwrap();
            // The urgent byte itself is no part of the stream.
            reads_everything(stream, b"beforebehind").await;
        });
    }
}

#[test]
fn urgent_data_on_unix_sockets_hides_nothing_behind_it() {
    run(async {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        peer.write_all(b"before").unwrap();
        if socket2::SockRef::from(&peer).send_out_of_band(b"!").is_err() {
            // Not every kernel has it.
            return;
        }
        peer.write_all(b"behind").unwrap();
        reads_everything(IoStream::from_unix(socket, StreamOptions::new()).unwrap(), b"beforebehind").await;
    });
}

/// The kernel ends a read at bytes that descriptors came with, unix(7). We take none, and they are closed.
#[test]
fn passed_descriptors_hide_nothing_behind_them() {
    run(async {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let pass = |text: &[u8]| {
            let fds = [theirs.as_raw_fd()];
            sendmsg::<()>(
                peer.as_raw_fd(),
                &[IoSlice::new(text)],
                &[ControlMessage::ScmRights(&fds)],
                MsgFlags::empty(),
                None,
            )
            .unwrap();
        };
        pass(b"one");
        pass(b"two");
        (&peer).write_all(b"three").unwrap();
        peer.flush().unwrap();
        reads_everything(IoStream::from_unix(socket, StreamOptions::new()).unwrap(), b"onetwothree").await;
        drop(theirs);
        let ours = IoStream::from_unix(ours, StreamOptions::new()).unwrap();
        assert_closed_cleanly(&ours.read_bytes(1).await);
    });
}

/// Each read of a pipe in packet mode brings one packet, pipe(2).
#[test]
fn packets_of_a_pipe_hide_nothing_behind_them() {
    run(async {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_DIRECT).unwrap();
        let mut writer = File::from(writer);
        for packet in ["one", "two", "three"] {
            writer.write_all(packet.as_bytes()).unwrap();
        }
        reads_everything(IoStream::from_pipe(reader, StreamOptions::new()).unwrap(), b"onetwothree").await;
    });
}

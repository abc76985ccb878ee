//! The transport that encrypts: rustls between a stream and the transport below it.
//!
//! What it holds: rustls keeps records that are not complete, and ciphertext that the transport below didn't take; `received` is
//! ciphertext that came along with more than the reader wanted. Between requests all three are empty.
//!
//! Rule: plaintext counts as written once its ciphertext is out. Until then `write` says `WouldBlock`, and the stream comes
//! again with the same bytes in front, as it does for a socket that is full.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustls::{ClientConnection, Connection, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};

use super::{Side, TlsFailure, TlsInfo};
use crate::transport::Transport;

/// Ciphertext read at once: a few records of 16 KiB and what is around them.
const RECEIVE: usize = 64 * 1024;
/// The longest record of TLS 1.2 and 1.3, header included (RFC 5246, section 6.2.3).
const LONGEST_RECORD: usize = 5 + 16 * 1024 + 2048;
/// Plaintext encrypted at once: four records.
const ENCRYPT: usize = 64 * 1024;
/// What one read may take of the peer's ciphertext without finding a byte for the reader. The peer has many session tickets to
/// give then, or means to keep this thread busy.
const FRUITLESS: usize = 256 * 1024;
/// What is read and dropped at a close, at most.
const READ_AWAY: usize = 256 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lends memory for one read of ciphertext: no transport keeps a buffer for that.
fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    scratch.resize(RECEIVE, 0);
    let result = read(&mut scratch);
    let _ = SCRATCH.try_with(|cell| cell.set(scratch));
    result
}

/// A server that took 0-RTT data would act on what anybody may have recorded and sent again.
pub(super) fn without_early_data(mut config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    if config.max_early_data_size != 0 {
        Arc::make_mut(&mut config).max_early_data_size = 0;
    }
    config
}

impl Side {
    /// # Errors
    /// When the configuration can serve nobody.
    pub(crate) fn connection(self) -> Result<Connection, TlsFailure> {
        let mut connection = match self {
            Side::Client(config, name) => Connection::from(ClientConnection::new(config, name)?),
            Side::Server(config) => Connection::from(ServerConnection::new(config)?),
        };
        // The stream has the buffers, and their limits.
        connection.set_buffer_limit(None);
        Ok(connection)
    }
}

pub(crate) struct TlsTransport {
    below: Box<dyn Transport>,
    connection: Connection,
    /// Ciphertext that rustls has not seen yet.
    received: Vec<u8>,
    /// What this read took since it began, none of it data.
    fruitless: usize,
    /// This read took all that the transport below had. What an earlier one found is no longer true.
    below_drained: bool,
    /// Plaintext at the front of the next write whose ciphertext is on its way.
    encrypted: usize,
    /// The peer said goodbye, or the connection below ended.
    ended: bool,
    /// Shown to the reader once all plaintext before it was read.
    failure: Option<TlsFailure>,
    /// The writing side of the transport below ends when the ciphertext is out.
    ending: bool,
    /// The next write brings all that is left.
    last: bool,
}

impl TlsTransport {
    /// `received` was read from `below` before.
    pub(crate) fn new(below: Box<dyn Transport>, connection: Connection, received: Vec<u8>) -> Self {
        Self {
            below,
            connection,
            received,
            fruitless: 0,
            below_drained: false,
            encrypted: 0,
            ended: false,
            failure: None,
            ending: false,
            last: false,
        }
    }

    /// Sends the ciphertext there is.
    fn send(&mut self) -> io::Result<()> {
        let Self { below, connection, .. } = self;
        while connection.wants_write() {
            connection.write_tls(&mut Below(&mut **below))?;
        }
        if std::mem::take(&mut self.ending) {
            self.below.shutdown_write()?;
        }
        Ok(())
    }

    /// As `send`, when another event will tell of the rest, or of the failure.
    fn send_some(&mut self) {
        let _ = self.send();
    }

    /// Decrypts what came, into `target` as far as it has room. Reads from below once if nothing is left from before.
    ///
    /// # Errors
    /// Those of the transport below, `WouldBlock` among them.
    fn receive(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if !self.received.is_empty() {
            let received = std::mem::take(&mut self.received);
            return Ok(self.decrypt(&received, target));
        }
        // Not much more than is wanted: the rest would wait here, where no limit of the stream counts it.
        let asked = (target.len() + LONGEST_RECORD).min(RECEIVE);
        with_scratch(|scratch| {
            let got = self.below.read(&mut scratch[..asked])?;
            self.below_drained = got != 0 && self.below.drained(asked, got);
            Ok(if got == 0 { self.end_of_input(target) } else { self.decrypt(&scratch[..got], target) })
        })
    }

    /// The connection below ended, with or without a goodbye; rustls knows.
    fn end_of_input(&mut self, target: &mut [u8]) -> usize {
        // Reading from nothing can't fail.
        let _ = self.connection.read_tls(&mut io::empty());
        self.process();
        self.ended = true;
        self.read_plaintext(target)
    }

    fn decrypt(&mut self, mut ciphertext: &[u8], target: &mut [u8]) -> usize {
        let (mut filled, came, mut done) = (0, ciphertext.len(), false);
        // Behind the peer's goodbye rustls takes nothing any more (RFC 8446, section 6.1: it is to be ignored).
        while !ciphertext.is_empty() && self.failure.is_none() && !self.ended {
            let handshaking = self.connection.is_handshaking();
            if self.connection.read_tls(&mut ciphertext).is_err() {
                // It holds as much plaintext as it takes, if the reader has no room for that. Otherwise it is a message of the
                // handshake that it has no room for, and never will.
                if handshaking || filled < target.len() {
                    let too_large = rustls::InvalidMessage::HandshakePayloadTooLarge;
                    self.failure = Some(rustls::Error::InvalidMessage(too_large).into());
                }
                break;
            }
            self.process();
            filled += self.read_plaintext(&mut target[filled..]);
            done = handshaking && !self.connection.is_handshaking();
            if done {
                break;
            }
        }
        self.fruitless += came - ciphertext.len();
        if self.fruitless > FRUITLESS && filled == 0 && self.failure.is_none() {
            let problem = format!("{FRUITLESS} bytes in a row without data");
            self.failure = Some(rustls::Error::General(problem).into());
        }
        if self.failure.is_none() && !self.ended {
            self.received = ciphertext.to_vec();
        }
        // A server's session tickets can go along with its first data. A client's last message can't: a server that refuses its
        // certificate closes with that data unread, and the reset that this makes may overtake the reason.
        let tickets = done && matches!(self.connection, Connection::Server(_));
        if !tickets && self.connection.wants_write() {
            self.send_some();
        }
        filled
    }

    fn process(&mut self) {
        match self.connection.process_new_packets() {
            Ok(state) => self.ended |= state.peer_has_closed(),
            Err(error) => {
                self.failure = Some(error.into());
                // The alert that tells the peer.
                self.send_some();
            }
        }
    }

    /// What the kernel has and nobody read would make its close(2) a reset, and our goodbye with the data before it might be
    /// lost. A client that never had to read still has the server's session tickets there.
    fn read_away(&mut self) {
        with_scratch(|scratch| {
            for _ in 0..READ_AWAY / RECEIVE {
                match self.below.read(scratch) {
                    Ok(got) if got == RECEIVE => {}
                    _ => break,
                }
            }
        });
    }

    /// The plaintext there is, as far as it fits.
    fn read_plaintext(&mut self, target: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < target.len() {
            match self.connection.reader().read(&mut target[filled..]) {
                Ok(0) | Err(_) => break,
                Ok(n) => filled += n,
            }
        }
        filled
    }
}

/// The transport below, as rustls wants it for its vectored writes.
struct Below<'a>(&'a mut dyn Transport);

impl Write for Below<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for TlsTransport {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.below.fd()
    }

    fn handshake(&mut self) -> io::Result<()> {
        loop {
            if self.failure.is_none() && !self.connection.is_handshaking() {
                return Ok(());
            }
            let unsent = self.send().err().filter(|error| error.kind() != io::ErrorKind::WouldBlock);
            if unsent.is_some() {
                // Why the peer left may lie in the kernel.
                let _ = self.receive(&mut []);
            }
            if let Some(failure) = &self.failure {
                return Err(failure.clone().into());
            }
            if let Some(error) = unsent {
                return Err(error);
            }
            if self.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.receive(&mut [])?;
        }
    }

    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.below_drained = false;
        self.fruitless = 0;
        loop {
            match self.connection.reader().read(target) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // 0 is the peer's goodbye, `UnexpectedEof` an end without one.
                result => return result,
            }
            if let Some(failure) = &self.failure {
                return Err(failure.clone().into());
            }
            match self.receive(target)? {
                0 => {}
                n => return Ok(n),
            }
        }
    }

    fn write(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone().into());
        }
        // The ciphertext of before, and the goodbye behind it, still have to go.
        if self.ending && !bufs.is_empty() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        // Otherwise what is on its way can go along with the first piece.
        if self.encrypted > 0 || bufs.is_empty() {
            self.send()?;
        }
        let mut left: usize = bufs.iter().map(|buf| buf.len()).sum();
        let mut done = std::mem::take(&mut self.encrypted);
        let mut skip = done;
        left = left.saturating_sub(done);
        for buf in bufs {
            let skipped = skip.min(buf.len());
            skip -= skipped;
            for piece in buf[skipped..].chunks(ENCRYPT) {
                self.encrypted = self.connection.writer().write(piece)?;
                left -= self.encrypted;
                if self.last && left == 0 {
                    self.connection.send_close_notify();
                }
                match self.send() {
                    Ok(()) => done += std::mem::take(&mut self.encrypted),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && done > 0 => return Ok(done),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(done)
    }

    fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    fn last_write(&mut self) {
        self.last = true;
    }

    fn drained(&self, asked: usize, got: usize) -> bool {
        let more = !self.received.is_empty() || self.ended || self.failure.is_some();
        got < asked && self.below_drained && !more
    }

    /// The goodbye of TLS (RFC 8446, section 6.1), and behind it the end of the writing side below.
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        self.ending = true;
        // The stream doesn't come again with what it gave up.
        self.encrypted = 0;
        match self.send() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    fn close(&mut self) {
        self.connection.send_close_notify();
        self.ending = false;
        self.send_some();
        self.read_away();
        self.below.close();
    }

    /// No goodbye, which the stream doesn't ask for then, and a reset below: many clients take an end without a goodbye for one in
    /// order.
    fn abort_on_close(&mut self, abort: bool) {
        self.below.abort_on_close(abort);
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.below.take_error()
    }

    fn set_nodelay(&mut self, nodelay: bool) -> io::Result<()> {
        self.below.set_nodelay(nodelay)
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.below.peer_addr()
    }

    fn tls(&self) -> Option<TlsInfo> {
        if self.connection.is_handshaking() {
            return None;
        }
        let server_name = match &self.connection {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        };
        Some(TlsInfo {
            version: match self.connection.protocol_version()? {
                ProtocolVersion::TLSv1_2 => "TLSv1.2",
                ProtocolVersion::TLSv1_3 => "TLSv1.3",
                _ => "unknown",
            },
            cipher: self.connection.negotiated_cipher_suite()?.suite().as_str().unwrap_or("unknown"),
            alpn: self.connection.alpn_protocol().map(<[u8]>::to_vec),
            peer_certificates: (self.connection.peer_certificates().unwrap_or_default().iter())
                .map(|certificate| certificate.as_ref().to_vec())
                .collect(),
            server_name,
            resumed: self.connection.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }
}

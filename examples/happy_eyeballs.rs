//! Happy Eyeballs: a host with two addresses, whose IPv6 works, is refused, or leads nowhere. What is tried when, and who wins.
//!
//! ```sh
//! cargo run --example happy_eyeballs
//! ```
//! In Tornado: `TCPClient().connect(host, port)` does the same, silently. Here `on_event` tells of each step. Nothing leaves this
//! machine: the server is in this program, and the hosts are known to a resolver of its own.

mod support;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use landspout::ioloop::{IoLoop, RunSyncError};
use landspout::iostream::IoStream;
use landspout::netutil::{AddressFamily, BindOptions, ResolveError, ResolveFuture, Resolver};
use landspout::tcpclient::{ConnectOptions, TcpClient};
use landspout::tcpserver::TcpServer;

fn main() -> Result<(), support::Failure> {
    let flag = support::Flag("--delay", "MS", "how long the first family has for itself, in milliseconds [300]");
    let arguments = support::Arguments::read("Connects to hosts whose IPv6 is good, bad, or worse.", &[flag]);
    let delay = Duration::from_millis(arguments.value("--delay").unwrap_or(300));

    let server = TcpServer::new(async |stream: IoStream, _address| stream.write(b"hello\n")?.await);
    server.listen(0, "127.0.0.1")?;
    server.listen(0, "::1")?;
    let [good, good6] = server.addresses()[..] else { unreachable!("it listens twice") };
    let hole = BlackHole::dig()?;

    support::stop_on_signals()?;
    let result = IoLoop::current().run_sync(async move {
        for (host, inet6) in [("good.test", good6), ("refused.test", refusing()?), ("silent.test", hole.address)] {
            let client = TcpClient::with_resolver(Known { host, addresses: vec![inet6, good] });
            connect(&client, host, delay).await?;
        }
        Ok(())
    });
    match result {
        Ok(result) => result,
        // A signal.
        Err(RunSyncError::Stopped) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn connect(client: &TcpClient, host: &str, delay: Duration) -> Result<(), support::Failure> {
    println!("{host}");
    let begin = IoLoop::current().now();
    let options = ConnectOptions::new().attempt_delay(delay).timeout(Duration::from_secs(10)).on_event(move |event| {
        let passed = IoLoop::current().now() - begin;
        println!("{:>6} ms  {event}", passed.as_millis());
    });
    let stream = client.connect_with(host, 80, &options).await?;
    let greeting = stream.read_until(b"\n", Some(100)).await?;
    println!("           it says {:?}", String::from_utf8_lossy(&greeting).trim_end());
    Ok(())
}

/// Knows one host, with its addresses in the order in which they are preferred. Where one host takes the place of another,
/// `OverrideResolver` does it.
struct Known {
    host: &'static str,
    addresses: Vec<SocketAddr>,
}

impl Resolver for Known {
    fn resolve(&self, host: &str, _port: u16, family: AddressFamily) -> ResolveFuture {
        let answer = match host == self.host {
            true => Ok(self.addresses.clone()),
            false => Err(ResolveError::NoAddress { host: host.to_owned(), family }),
        };
        Box::pin(async { answer })
    }
}

/// Where nobody listens any more.
fn refusing() -> io::Result<SocketAddr> {
    TcpListener::bind("[::1]:0")?.local_addr()
}

/// An address that answers neither yes nor no: a listener without room for one more.
struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    fn dig() -> Result<Self, support::Failure> {
        let listener = BindOptions::new().backlog(0).bind_sockets(0, "::1")?.remove(0);
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        // Even a backlog of 0 has room for one or two.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            queue.push(stream);
        }
        Ok(Self { address, _listener: listener, _queue: queue })
    }
}

//! One loop per thread: the way to use every CPU that Tornado doesn't have.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use landspout_ioloop::{IoLoop, Remote};
use landspout_netutil::BindOptions;
use landspout_process::cpu_count;

use crate::error::ServerError;

/// Starts `num_threads` threads (`None` or 0: one per CPU), each with a loop of its own and listening sockets of its own on
/// the same port (`SO_REUSEPORT`), among which the kernel deals the connections out.
///
/// `set_up` runs on each thread with its number and its sockets. What it returns, a server as a rule, is kept until the thread
/// ends. When it fails on any thread, all are stopped and the error is given here.
///
/// Against [`TcpServer::start`](crate::TcpServer::start): nothing is forked, so a library that needs threads is no
/// hindrance and memory can be shared; but a crash takes all of them.
///
/// ```
/// use landspout_iostream::IoStream;
/// use landspout_tcpserver::{TcpServer, start_threads};
///
/// let threads = start_threads(2, 0, "127.0.0.1", |_number, sockets| {
///     let server = TcpServer::new(async |stream: IoStream, _address| stream.write(b"hello\n")?.await);
///     server.add_sockets(sockets)?;
///     Ok(server)
/// })?;
/// println!("listening on {:?}", threads.addresses());
/// threads.stop();
/// threads.join();
/// # Ok::<(), landspout_tcpserver::ServerError>(())
/// ```
///
/// # Errors
/// [`ServerError::Bind`], [`ServerError::Thread`], [`ServerError::Loop`], and what `set_up` fails with.
pub fn start_threads<'a, K, S>(
    num_threads: impl Into<Option<usize>>,
    port: u16,
    address: impl Into<Option<&'a str>>,
    set_up: S,
) -> Result<ServerThreads, ServerError>
where
    S: Fn(usize, Vec<TcpListener>) -> Result<K, ServerError> + Send + Clone + 'static,
{
    start_threads_with(num_threads, port, address, &BindOptions::new(), set_up)
}

/// As [`start_threads`], with the family and the backlog of [`BindOptions`], the latter for each thread's sockets; `reuse_port` is
/// on in any case.
///
/// ```
/// use landspout_iostream::IoStream;
/// use landspout_netutil::BindOptions;
/// use landspout_tcpserver::{TcpServer, start_threads_with};
///
/// let options = BindOptions::new().backlog(4096);
/// let threads = start_threads_with(2, 0, "127.0.0.1", &options, |_number, sockets| {
///     let server = TcpServer::new(async |stream: IoStream, _address| stream.write(b"hello\n")?.await);
///     server.add_sockets(sockets)?;
///     Ok(server)
/// })?;
/// # threads.stop();
/// # threads.join();
/// # Ok::<(), landspout_tcpserver::ServerError>(())
/// ```
///
/// # Errors
/// Those of [`start_threads`].
pub fn start_threads_with<'a, K, S>(
    num_threads: impl Into<Option<usize>>,
    port: u16,
    address: impl Into<Option<&'a str>>,
    options: &BindOptions,
    set_up: S,
) -> Result<ServerThreads, ServerError>
where
    S: Fn(usize, Vec<TcpListener>) -> Result<K, ServerError> + Send + Clone + 'static,
{
    let count = num_threads.into().filter(|count| *count > 0).unwrap_or_else(cpu_count);
    let address = address.into();
    let options = options.clone().reuse_port(true);
    let mut threads = ServerThreads { threads: Vec::new(), addresses: Vec::new() };
    let mut port = port;
    let mut sets = Vec::new();
    for _ in 0..count {
        let sockets = options.bind_sockets(port, address)?;
        if threads.addresses.is_empty() {
            threads.addresses.extend(sockets.iter().filter_map(|socket| socket.local_addr().ok()));
        }
        port = threads.addresses.first().map_or(port, SocketAddr::port);
        sets.push(sockets);
    }
    for (number, sockets) in sets.into_iter().enumerate() {
        let (set_up, (report, reported)) = (set_up.clone(), mpsc::channel());
        let thread = thread::Builder::new()
            .name(format!("loop-{number}"))
            .spawn(move || run(|| set_up(number, sockets), &report))
            .map_err(ServerError::Thread)?;
        match reported.recv() {
            Ok(Ok(remote)) => threads.threads.push((remote, thread)),
            Ok(Err(error)) => return Err(error),
            // It panicked, which std has printed.
            Err(mpsc::RecvError) => {
                let panicked = std::io::Error::other(format!("setting up thread {number} panicked"));
                return Err(ServerError::Thread(panicked));
            }
        }
    }
    Ok(threads)
}

/// What one thread does.
fn run<K>(set_up: impl FnOnce() -> Result<K, ServerError>, report: &mpsc::Sender<Result<Remote, ServerError>>) {
    let io_loop = match IoLoop::new() {
        Ok(io_loop) => io_loop,
        Err(error) => return drop(report.send(Err(error.into()))),
    };
    let kept = match set_up() {
        Ok(kept) => kept,
        Err(error) => return drop(report.send(Err(error))),
    };
    let _ = report.send(Ok(io_loop.remote()));
    if let Err(error) = io_loop.start() {
        tracing::error!("the loop of a server thread failed: {error}");
    }
    drop(kept);
    let _ = io_loop.close();
}

/// The threads of [`start_threads`]. Dropping it stops them and waits for them.
pub struct ServerThreads {
    threads: Vec<(Remote, JoinHandle<()>)>,
    addresses: Vec<SocketAddr>,
}

impl ServerThreads {
    /// The addresses that all threads listen on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The doors to the threads' loops, by number.
    pub fn remotes(&self) -> impl Iterator<Item = &Remote> {
        self.threads.iter().map(|(remote, _)| remote)
    }

    /// Stops all loops: connections are closed with them.
    pub fn stop(&self) {
        for (remote, _) in &self.threads {
            // Closed means that its thread has ended already.
            let _ = remote.stop();
        }
    }

    /// Waits until all threads have ended.
    pub fn join(mut self) {
        self.wait();
    }

    fn wait(&mut self) {
        for (_, thread) in self.threads.drain(..) {
            // A panic has been printed by std and is over with the thread.
            let _ = thread.join();
        }
    }
}

impl Drop for ServerThreads {
    fn drop(&mut self) {
        self.stop();
        self.wait();
    }
}

impl fmt::Debug for ServerThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerThreads")
            .field("threads", &self.threads.len())
            .field("addresses", &self.addresses)
            .finish()
    }
}

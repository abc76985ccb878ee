//! What a server does with a connection: `HandleStream`, which an async closure also satisfies.

use std::rc::Rc;

use landspout_ioloop::IoLoop;
use landspout_iostream::{IoStream, StreamError};
use landspout_netutil::PeerAddress;

/// What a handler may fail with.
pub type BoxError = Box<dyn std::error::Error>;

/// Serves the connections of a [`TcpServer`](crate::TcpServer): Tornado's `TCPServer.handle_stream`, which a subclass overrides.
///
/// An async closure is one too, with or without a result:
///
/// ```
/// use landspout_iostream::IoStream;
/// use landspout_netutil::PeerAddress;
/// use landspout_tcpserver::{HandleStream, TcpServer};
///
/// struct Greeter {
///     word: String,
/// }
///
/// impl HandleStream for Greeter {
///     async fn handle_stream(&self, stream: IoStream, address: PeerAddress) -> Result<(), landspout_tcpserver::BoxError> {
///         stream.write(format!("{} {address}\n", self.word).as_bytes())?.await?;
///         Ok(())
///     }
/// }
///
/// let by_trait = TcpServer::new(Greeter { word: "Hello".into() });
/// let by_closure = TcpServer::new(async |stream: IoStream, _address| stream.write(b"Hello\n")?.await);
/// ```
pub trait HandleStream {
    /// Serves one connection. The accept loop doesn't wait for it: it runs as a task of its own.
    ///
    /// When it returns, the stream stays open as long as somebody holds it.
    ///
    /// # Errors
    /// An error is logged and closes the stream, and so does a panic. Not logged as one is [`StreamError::Closed`]: clients
    /// come and go.
    async fn handle_stream(&self, stream: IoStream, address: PeerAddress) -> Result<(), BoxError>;
}

impl<F, R> HandleStream for F
where
    F: AsyncFn(IoStream, PeerAddress) -> R,
    R: HandlerResult,
{
    async fn handle_stream(&self, stream: IoStream, address: PeerAddress) -> Result<(), BoxError> {
        self(stream, address).await.into_result()
    }
}

/// What a closure may return: nothing, or a `Result` of nothing with any error.
pub trait HandlerResult {
    /// As a result.
    ///
    /// # Errors
    /// The handler's.
    fn into_result(self) -> Result<(), BoxError>;
}

impl HandlerResult for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> HandlerResult for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// Runs a handler as a task.
pub(crate) fn spawn<H: HandleStream + 'static>(handler: Rc<H>, stream: IoStream, address: PeerAddress) {
    IoLoop::current().spawn(async move {
        let unfinished = CloseOnDrop(Some(stream.clone()));
        match handler.handle_stream(stream, address).await {
            Ok(()) => unfinished.release(),
            // Clients come and go: handing that on is no failure.
            Err(error) if matches!(error.downcast_ref(), Some(StreamError::Closed(_))) => {
                tracing::debug!("a connection handler ended with its stream: {error}");
            }
            Err(error) => tracing::error!("error in a connection handler: {error}"),
        }
    });
}

/// Closes the stream of a handler that failed, panicked or was cancelled.
struct CloseOnDrop(Option<IoStream>);

impl CloseOnDrop {
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(stream) = &self.0 {
            stream.close();
        }
    }
}

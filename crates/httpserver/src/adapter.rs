//! The links of the chain between connection and application.
//!
//! ```text
//! Http1ServerConnection ─► ServerDelegate ─► XHeadersDelegate (if asked for) ─► the user's delegate, or
//!                                                                               CallbackDelegate ─► the user's closure
//! ```
//! All of them are generic: the whole chain is one type, and no call in it is a virtual one.

use std::future::Future;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use landspout_httputil::{
    BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, HttpServerConnectionDelegate, HttpServerRequest,
    RequestStartLine, ServerConnectionId,
};

use crate::live::LiveConnections;
use crate::xheaders::Believer;

/// The server's own place in the chain: it keeps the set of connections. In Tornado `HTTPServer` is that itself.
pub(crate) struct ServerDelegate<D> {
    pub(crate) delegate: D,
    pub(crate) live: Rc<LiveConnections>,
}

impl<D: HttpServerConnectionDelegate> HttpServerConnectionDelegate for ServerDelegate<D> {
    type Delegate = D::Delegate;

    #[inline]
    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Self::Delegate {
        self.delegate.start_request(server_conn, request_conn)
    }

    fn on_close(&self, server_conn: ServerConnectionId) {
        self.live.remove(server_conn);
        self.delegate.on_close(server_conn);
    }
}

/// Has the proxy's headers applied to each request.
pub(crate) struct XHeadersDelegate<D> {
    pub(crate) delegate: D,
    pub(crate) believer: Rc<Believer>,
}

impl<D: HttpServerConnectionDelegate> HttpServerConnectionDelegate for XHeadersDelegate<D> {
    type Delegate = ServerRequestAdapter<D::Delegate>;

    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Self::Delegate {
        let (believer, connection) = (self.believer.clone(), request_conn.clone());
        ServerRequestAdapter { delegate: self.delegate.start_request(server_conn, request_conn), believer, connection }
    }

    fn on_close(&self, server_conn: ServerConnectionId) {
        self.delegate.on_close(server_conn);
    }
}

/// Applies the proxy's headers before the delegate sees the request: Tornado's `_ServerRequestAdapter`, of which later
/// versions made `_ProxyAdapter` and `_CallableAdapter`.
#[doc(alias = "_ServerRequestAdapter")]
#[doc(alias = "_ProxyAdapter")]
pub(crate) struct ServerRequestAdapter<M> {
    delegate: M,
    believer: Rc<Believer>,
    connection: Rc<dyn HttpConnection>,
}

impl<M: HttpMessageDelegate> HttpMessageDelegate for ServerRequestAdapter<M> {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        // The connection undoes it when the request is over.
        self.believer.apply_xheaders(self.connection.context(), &headers)?;
        self.delegate.headers_received(start_line, headers).await
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        self.delegate.data_received(chunk).await
    }

    async fn trailers_received(&mut self, trailers: HttpHeaders) -> Result<(), BoxError> {
        self.delegate.trailers_received(trailers).await
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.delegate.finish().await
    }

    fn on_connection_close(&mut self) {
        self.delegate.on_connection_close();
    }
}

/// What an async closure may return: nothing, or a `Result` of nothing with any error. An error that is an
/// [`HttpInputError`](landspout_httputil::HttpInputError) is answered with its status, any other with 500.
pub trait CallbackResult {
    /// As a result.
    ///
    /// # Errors
    /// The callback's.
    fn into_result(self) -> Result<(), BoxError>;
}

impl CallbackResult for () {
    #[inline]
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> CallbackResult for Result<(), E> {
    #[inline]
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// Makes a delegate of an async closure.
pub(crate) struct CallbackDelegate<F>(pub(crate) Rc<F>);

impl<F, R> HttpServerConnectionDelegate for CallbackDelegate<F>
where
    F: AsyncFn(HttpServerRequest) -> R,
    R: CallbackResult,
{
    type Delegate = CallableAdapter<F>;

    #[inline]
    fn start_request(&self, server_conn: ServerConnectionId, request_conn: Rc<dyn HttpConnection>) -> Self::Delegate {
        CallableAdapter {
            callback: self.0.clone(),
            server_connection: server_conn,
            connection: Some(request_conn),
            request: None,
            body: Body::default(),
        }
    }
}

/// Gathers a request and then calls the closure with it: Tornado's `_CallableAdapter`.
#[doc(alias = "_CallableAdapter")]
pub(crate) struct CallableAdapter<F> {
    callback: Rc<F>,
    server_connection: ServerConnectionId,
    /// Goes to the request.
    connection: Option<Rc<dyn HttpConnection>>,
    /// From its head on, without the body.
    request: Option<HttpServerRequest>,
    body: Body,
}

/// A body that comes in pieces; one that comes whole is not copied.
#[derive(Default)]
enum Body {
    #[default]
    Empty,
    Whole(Bytes),
    Gathered(BytesMut),
}

impl Body {
    fn push(&mut self, chunk: Bytes) {
        *self = match std::mem::take(self) {
            Body::Empty => Body::Whole(chunk),
            Body::Whole(first) => {
                let mut gathered = BytesMut::from(&*first);
                gathered.extend_from_slice(&chunk);
                Body::Gathered(gathered)
            }
            Body::Gathered(mut gathered) => {
                gathered.extend_from_slice(&chunk);
                Body::Gathered(gathered)
            }
        }
    }

    #[inline(always)]
    fn take(&mut self) -> Option<Bytes> {
        if matches!(self, Body::Empty) { None } else { self.take_bytes() }
    }

    #[inline(never)]
    fn take_bytes(&mut self) -> Option<Bytes> {
        match self {
            Body::Empty => None,
            Body::Whole(body) => Some(std::mem::take(body)),
            Body::Gathered(body) => Some(std::mem::take(body).freeze()),
        }
    }
}

impl<F, R> HttpMessageDelegate for CallableAdapter<F>
where
    F: AsyncFn(HttpServerRequest) -> R,
    R: CallbackResult,
{
    // Done at the call: what an `async fn` is called with would be moved into its future, and out of there at the first poll.
    #[inline(always)]
    fn headers_received(
        &mut self,
        start_line: RequestStartLine,
        headers: HttpHeaders,
    ) -> impl Future<Output = Result<(), BoxError>> {
        self.request = self
            .connection
            .take()
            .map(|connection| HttpServerRequest::new(start_line, headers, connection, self.server_connection));
        std::future::ready(Ok(()))
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        self.body.push(chunk);
        Ok(())
    }

    #[inline]
    async fn finish(&mut self) -> Result<(), BoxError> {
        // `headers_received` came before, by the chain's contract.
        let Some(mut request) = self.request.take() else { return Ok(()) };
        if let Some(body) = self.body.take() {
            request = request.with_body(body);
        }
        (self.callback)(request).await.into_result()
    }
}

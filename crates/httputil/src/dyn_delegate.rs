//! `DynMessageDelegate`: message delegates of different types behind one, for routers.
//!
//! The chain is dispatched statically, so a delegate that chooses among several kinds for each request needs a box; it costs
//! an allocation for each call, and only those who use it pay.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::delegate::HttpMessageDelegate;
use crate::error::BoxError;
use crate::headers::HttpHeaders;
use crate::start_line::RequestStartLine;

/// A message delegate of any type, in a box.
///
/// ```
/// use landspout_httputil::*;
///
/// struct Ignore;
///
/// impl HttpMessageDelegate for Ignore {
///     async fn headers_received(&mut self, _: RequestStartLine, _: HttpHeaders) -> Result<(), BoxError> {
///         Ok(())
///     }
///     async fn data_received(&mut self, _: Bytes) -> Result<(), BoxError> {
///         Ok(())
///     }
///     async fn finish(&mut self) -> Result<(), BoxError> {
///         Ok(())
///     }
/// }
///
/// let delegates: Vec<DynMessageDelegate> = vec![DynMessageDelegate::new(Ignore)];
/// # let _ = delegates;
/// ```
pub struct DynMessageDelegate<S = RequestStartLine> {
    delegate: Box<dyn Erased<S>>,
}

impl<S: 'static> DynMessageDelegate<S> {
    /// Puts a delegate into a box.
    pub fn new(delegate: impl HttpMessageDelegate<S> + 'static) -> Self {
        Self { delegate: Box::new(delegate) }
    }
}

impl<S: 'static> HttpMessageDelegate<S> for DynMessageDelegate<S> {
    async fn headers_received(&mut self, start_line: S, headers: HttpHeaders) -> Result<(), BoxError> {
        self.delegate.boxed_headers_received(start_line, headers).await
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        self.delegate.boxed_data_received(chunk).await
    }

    async fn trailers_received(&mut self, trailers: HttpHeaders) -> Result<(), BoxError> {
        self.delegate.boxed_trailers_received(trailers).await
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        self.delegate.boxed_finish().await
    }

    fn on_connection_close(&mut self) {
        self.delegate.closed();
    }
}

impl<S> fmt::Debug for DynMessageDelegate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynMessageDelegate").finish_non_exhaustive()
    }
}

type BoxFuture<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + 'a>>;

/// `HttpMessageDelegate` with futures that have a size.
trait Erased<S> {
    fn boxed_headers_received(&mut self, start_line: S, headers: HttpHeaders) -> BoxFuture<'_>;
    fn boxed_data_received(&mut self, chunk: Bytes) -> BoxFuture<'_>;
    fn boxed_trailers_received(&mut self, trailers: HttpHeaders) -> BoxFuture<'_>;
    fn boxed_finish(&mut self) -> BoxFuture<'_>;
    fn closed(&mut self);
}

impl<S: 'static, D: HttpMessageDelegate<S>> Erased<S> for D {
    fn boxed_headers_received(&mut self, start_line: S, headers: HttpHeaders) -> BoxFuture<'_> {
        Box::pin(self.headers_received(start_line, headers))
    }

    fn boxed_data_received(&mut self, chunk: Bytes) -> BoxFuture<'_> {
        Box::pin(self.data_received(chunk))
    }

    fn boxed_trailers_received(&mut self, trailers: HttpHeaders) -> BoxFuture<'_> {
        Box::pin(self.trailers_received(trailers))
    }

    fn boxed_finish(&mut self) -> BoxFuture<'_> {
        Box::pin(self.finish())
    }

    fn closed(&mut self) {
        self.on_connection_close();
    }
}

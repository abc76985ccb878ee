//! The link of the chain that takes multipart bodies apart while they arrive, and the delegate behind it.

use std::fmt;

use bytes::Bytes;

use super::{MultipartEvent, MultipartParser, MultipartPart, ParseMultipartConfig};
use crate::body::{ParseBodyConfig, multipart_boundary, refuse_content_encoding};
use crate::delegate::HttpMessageDelegate;
use crate::error::{BoxError, HttpInputError};
use crate::headers::{HttpHeaders, text};
use crate::start_line::RequestStartLine;

/// Takes a form part by part as it arrives: for uploads that don't fit into memory. [`MultipartReceiver`] calls it.
///
/// `headers_received` is called once; then for each part `part_received`, `data_received` for each piece of its content, and
/// `part_finished`; at the end `finish`, or `on_connection_close` instead. Each call is awaited before more is read, so a slow disk
/// slows the client down.
///
/// Tornado has no counterpart; its `HTTPServerRequest` holds each form in memory as a whole.
///
/// # Errors
/// As with [`HttpMessageDelegate`].
pub trait MultipartDelegate {
    /// The request begins. An error refuses it before its body is read.
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        let _ = (start_line, headers);
        Ok(())
    }

    /// A part begins.
    async fn part_received(&mut self, part: MultipartPart) -> Result<(), BoxError>;

    /// A piece of its content, never empty.
    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError>;

    /// The part is complete.
    async fn part_finished(&mut self) -> Result<(), BoxError>;

    /// The form is complete, and so is the request.
    async fn finish(&mut self) -> Result<(), BoxError>;

    /// The connection was closed before the form was complete; takes the place of `finish`.
    fn on_connection_close(&mut self) {}
}

/// A message delegate that takes `multipart/form-data` apart for a [`MultipartDelegate`].
///
/// A request of another content type is refused with 415, one that breaks the format with 400, a part above
/// [`max_part_size`](ParseMultipartConfig::max_part_size) with 413. How long the whole body may be is the connection's matter:
/// [`set_max_body_size`](crate::HttpConnection::set_max_body_size).
///
/// ```
/// use landspout_httputil::{BoxError, Bytes, MultipartDelegate, MultipartPart, MultipartReceiver};
///
/// #[derive(Default)]
/// struct Sizes(Vec<(String, usize)>);
///
/// impl MultipartDelegate for Sizes {
///     async fn part_received(&mut self, part: MultipartPart) -> Result<(), BoxError> {
///         self.0.push((part.name().to_owned(), 0));
///         Ok(())
///     }
///     async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
///         self.0.last_mut().expect("a part").1 += chunk.len();
///         Ok(())
///     }
///     async fn part_finished(&mut self) -> Result<(), BoxError> {
///         Ok(())
///     }
///     async fn finish(&mut self) -> Result<(), BoxError> {
///         println!("{:?}", self.0); // and answer
///         Ok(())
///     }
/// }
///
/// // What `HttpServerConnectionDelegate::start_request` returns, or passes its calls on to:
/// let link = MultipartReceiver::new(Sizes::default());
/// # let _ = link;
/// ```
///
/// # Cancel safety
/// Dropping one of its futures loses the rest of the piece that it was given.
pub struct MultipartReceiver<D> {
    delegate: D,
    /// Of `set_parse_body_config`, if there are no others.
    config: Option<ParseMultipartConfig>,
    /// Since the head is there.
    parser: Option<MultipartParser>,
}

impl<D: MultipartDelegate> MultipartReceiver<D> {
    /// With the limits of [`set_parse_body_config`](crate::set_parse_body_config).
    pub fn new(delegate: D) -> Self {
        Self { delegate, config: None, parser: None }
    }

    /// With limits of its own.
    pub fn with_config(delegate: D, config: ParseMultipartConfig) -> Self {
        Self { delegate, config: Some(config), parser: None }
    }

    /// The delegate behind it.
    pub fn delegate(&self) -> &D {
        &self.delegate
    }

    /// The delegate behind it.
    pub fn into_delegate(self) -> D {
        self.delegate
    }
}

impl<D: MultipartDelegate> HttpMessageDelegate for MultipartReceiver<D> {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        let config = self.config.unwrap_or_else(|| ParseBodyConfig::current().multipart);
        let content_type = headers.get("content-type").unwrap_or_default();
        let boundary = multipart_boundary(content_type)?
            .ok_or_else(|| HttpInputError::UnsupportedMediaType(text(content_type).into_owned()))?;
        refuse_content_encoding(&headers)?;
        self.parser = Some(MultipartParser::new(&boundary, &config)?);
        self.delegate.headers_received(start_line, headers).await
    }

    async fn data_received(&mut self, mut chunk: Bytes) -> Result<(), BoxError> {
        let Some(parser) = &mut self.parser else { return Ok(()) };
        while let Some(event) = parser.next_event(&mut chunk).map_err(HttpInputError::from)? {
            match event {
                MultipartEvent::Part(part) => self.delegate.part_received(part).await?,
                MultipartEvent::Data(data) => self.delegate.data_received(data).await?,
                MultipartEvent::PartEnd => self.delegate.part_finished().await?,
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        if let Some(parser) = &mut self.parser {
            parser.finish().map_err(HttpInputError::from)?;
        }
        self.delegate.finish().await
    }

    fn on_connection_close(&mut self) {
        self.delegate.on_connection_close();
    }
}

impl<D> fmt::Debug for MultipartReceiver<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultipartReceiver").field("parser", &self.parser).finish_non_exhaustive()
    }
}

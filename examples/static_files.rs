//! A directory served over HTTP: ranges, conditional requests, HEAD, and files of any size in constant memory.
//!
//! ```sh
//! cargo run --example static_files -- --root .
//! curl -i http://127.0.0.1:8888/README.md
//! curl -i -r 0-99 http://127.0.0.1:8888/README.md                                # 206; 416 behind the end
//! curl -i -z 'Fri, 01 Jan 2100 00:00:00 GMT' http://127.0.0.1:8888/README.md     # 304
//! curl -C - -O http://127.0.0.1:8888/large.iso                                   # goes on where it was broken off
//! ```
//! What the fields of a request mean is decided in `httputil`: `path_beneath`, `evaluate_preconditions`, `select_range`. Disks
//! can make one wait and can't be polled, so files are opened and read on the threads of the loop's executor, a
//! piece at a time: each piece is read when the one before it has left, so a slow client costs one piece of memory, and a slow disk
//! keeps no other client waiting.
//!
//! In Tornado: `tornado.web.StaticFileHandler`. It reads on the loop.

mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use landspout::httpserver::{BoxError, HttpConnection, HttpHeaders, HttpServer, HttpServerRequest, Method, StatusCode};
use landspout::httputil::{
    EntityTag, Precondition, RangeSelection, Validators, evaluate_preconditions, get_content_range, path_beneath,
    select_range,
};
use landspout::ioloop::IoLoop;
use support::Flag;

const ROOT: Flag = Flag("--root", "DIR", "serve the files in this directory [.]");
/// One job of the executor, and what a client that reads slowly holds in memory.
const PIECE_SIZE: usize = 64 * 1024;

fn main() -> Result<(), support::Failure> {
    let arguments = support::Arguments::read("Serves the files of a directory.", &[support::PORT, ROOT]);
    // What paths are compared with, so without symbolic links itself.
    let root: Arc<Path> = fs::canonicalize(arguments.text(ROOT.0).unwrap_or("."))?.into();
    let server = HttpServer::new(async move |request: HttpServerRequest| serve(&root, &request).await);
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    support::announce("http", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

async fn serve(root: &Arc<Path>, request: &HttpServerRequest) -> Result<(), BoxError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = HttpHeaders::from_static(&[("Content-Type", "text/plain"), ("Allow", "GET, HEAD")]);
        return refuse(request, StatusCode::METHOD_NOT_ALLOWED, &allow);
    }
    let Some(path) = path_beneath(request.path()).filter(|path| !is_hidden(path)) else {
        return refuse(request, StatusCode::NOT_FOUND, &PLAIN);
    };
    let ends_with_slash = request.path().ends_with('/');
    let found = {
        let root = root.clone();
        blocking(move || open(&root, &path, ends_with_slash)).await?
    };
    match found {
        Ok(Found::File(file)) => send(request, file).await,
        Ok(Found::Directory(location)) => {
            let headers = HttpHeaders::try_from_iter([("Location", location)])?;
            refuse(request, StatusCode::MOVED_PERMANENTLY, &headers)
        }
        Err(error) => {
            // To those who aren't let in, nothing is there.
            tracing::debug!("{}: {error}", request.path());
            refuse(request, StatusCode::NOT_FOUND, &PLAIN)
        }
    }
}

/// Runs something that may wait for the disk, on another thread.
async fn blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T, BoxError> {
    Ok(IoLoop::current().run_in_executor(None, job).await?)
}

enum Found {
    File(Opened),
    /// Where it is found: with a slash at the end, or the links in its page would lead elsewhere.
    Directory(String),
}

struct Opened {
    file: Arc<File>,
    size: u64,
    modified: SystemTime,
    content_type: &'static str,
}

fn is_hidden(path: &Path) -> bool {
    path.iter().any(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Runs on a thread of the executor.
fn open(root: &Path, beneath: &Path, ends_with_slash: bool) -> io::Result<Found> {
    let not_found = || io::Error::from(io::ErrorKind::NotFound);
    // Symbolic links are followed, and must not lead out. (Who can exchange directories while this runs can write here anyway.)
    let mut path = within(root, root.join(beneath))?;
    if path.is_dir() {
        if !ends_with_slash {
            // Made of the names, not of the target: `//host/..` at the start of a location would mean another host.
            let names = beneath.iter().map(|name| encode(name) + "/");
            return Ok(Found::Directory(format!("/{}", names.collect::<String>())));
        }
        path = within(root, path.join("index.html"))?;
    } else if ends_with_slash {
        return Err(not_found());
    }
    // Before it is opened: opening a FIFO would wait for its other end.
    if !fs::metadata(&path)?.is_file() {
        return Err(not_found());
    }
    let file = File::open(&path)?;
    let metadata = file.metadata()?;
    let (size, modified) = (metadata.len(), metadata.modified()?);
    Ok(Found::File(Opened { file: Arc::new(file), size, modified, content_type: content_type(&path) }))
}

fn within(root: &Path, path: PathBuf) -> io::Result<PathBuf> {
    let path = fs::canonicalize(path)?;
    match path.strip_prefix(root) {
        Ok(beneath) if !is_hidden(beneath) => Ok(path),
        _ => Err(io::Error::new(io::ErrorKind::PermissionDenied, "it lies outside of the root, or is hidden")),
    }
}

/// For a location: everything but letters, digits and a few signs in escapes.
fn encode(name: &OsStr) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let bytes = name.as_encoded_bytes().iter();
    bytes.map(|byte| if plain(*byte) { char::from(*byte).into() } else { format!("%{byte:02X}") }).collect()
}

async fn send(request: &HttpServerRequest, opened: Opened) -> Result<(), BoxError> {
    let validators = opened.validators();
    let mut headers = HttpHeaders::from_static(&[("Accept-Ranges", "bytes"), ("X-Content-Type-Options", "nosniff")]);
    validators.add_to(&mut headers)?;
    let connection = &**request.connection();
    match evaluate_preconditions(request.method(), request.headers(), Some(&validators)) {
        Precondition::Passed => {}
        Precondition::NotModified => {
            connection.write_headers(&StatusCode::NOT_MODIFIED.into(), &headers, b"")?;
            return Ok(connection.finish()?);
        }
        Precondition::Failed => return refuse(request, StatusCode::PRECONDITION_FAILED, &headers),
    }
    let (status, range) = match select_range(request.method(), request.headers(), &validators, opened.size) {
        RangeSelection::Whole => (StatusCode::OK, 0..opened.size),
        RangeSelection::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        RangeSelection::NotSatisfiable => {
            headers.set("Content-Range", get_content_range(None, opened.size))?;
            return refuse(request, StatusCode::RANGE_NOT_SATISFIABLE, &headers);
        }
    };
    if status == StatusCode::PARTIAL_CONTENT {
        headers.set("Content-Range", get_content_range(Some(range.clone()), opened.size))?;
    }
    headers.set("Content-Type", opened.content_type)?;
    headers.set("Content-Length", (range.end - range.start).to_string())?;
    connection.write_headers(&status.into(), &headers, b"")?;
    if *request.method() == Method::GET {
        send_range(connection, &opened.file, range.start, range.end).await?;
    }
    Ok(connection.finish()?)
}

async fn send_range(connection: &dyn HttpConnection, file: &Arc<File>, start: u64, end: u64) -> Result<(), BoxError> {
    let mut at = start;
    // One buffer goes to the executor and comes back with each piece.
    let mut buffer = Vec::new();
    while at < end {
        let size = usize::try_from(end - at).map_or(PIECE_SIZE, |left| left.min(PIECE_SIZE));
        let file = file.clone();
        buffer.resize(size, 0);
        let read = move || file.read_at(&mut buffer, at).map(|n| (buffer, n));
        let n;
        (buffer, n) = blocking(read).await??;
        if n == 0 {
            // The length is promised already, so the connection can only be cut.
            return Err("the file was shortened while it was sent".into());
        }
        connection.write(&buffer[..n])?;
        connection.flush().await?;
        at += n as u64;
    }
    Ok(())
}

impl Opened {
    /// Size and time of change, which file systems know to a few milliseconds at worst: what nginx, too, makes tags of.
    fn validators(&self) -> Validators {
        let since = self.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let tag = EntityTag::strong(format!("{:x}-{:x}", since.as_nanos(), self.size));
        Validators { etag: tag.ok(), last_modified: Some(self.modified) }
    }
}

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn refuse(request: &HttpServerRequest, status: StatusCode, headers: &HttpHeaders) -> Result<(), BoxError> {
    Ok(request.write_response(status, headers, format!("{status}\n"))?)
}

/// By the extension. A server in earnest has the list of the system, `/etc/mime.types`.
fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "md" | "toml" | "rs" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

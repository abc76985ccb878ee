//! Files of any size sent by a form, written to disk while they come in.
//!
//! ```sh
//! cargo run --example upload -- --directory /tmp/uploads --limit 10000000000
//! curl -F file=@large.iso -F note=hello http://127.0.0.1:8888/
//! ```
//! or open <http://127.0.0.1:8888/> in a browser. `HttpServerRequest::files` would hold the whole form in memory. Here a
//! `MultipartReceiver` takes it apart as it arrives, and each piece is on disk before the next one is read from the socket: memory
//! stays where it is, and a slow disk slows the sender down. Disks can't be polled, so a thread of the loop's executor writes.
//!
//! File names come from strangers: `harmless_filename` leaves nothing of them that could mean a place, and no file
//! that is there already is written to. A file that is broken off is removed; those before it stay.
//!
//! In Tornado: a `stream_request_body` handler, and a parser of one's own.

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use landspout::httpserver::{
    BoxError, HttpConnection, HttpHeaders, HttpMessageDelegate, HttpServerConnectionDelegate, HttpServerOptions,
    Method, RequestStartLine, ServerConnectionId, StatusCode,
};
use landspout::httputil::{MultipartDelegate, MultipartPart, MultipartReceiver, harmless_filename};
use landspout::ioloop::IoLoop;
use support::Flag;

const DIRECTORY: Flag = Flag("--directory", "DIR", "where the files go [landspout-uploads, with the temporary files]");
const LIMIT: Flag = Flag("--limit", "BYTES", "the largest form [1073741824]");
/// A progress line for each so many bytes of a file.
const STEP: u64 = 8 << 20;

fn main() -> Result<(), support::Failure> {
    let flags = [support::PORT, DIRECTORY, LIMIT];
    let arguments = support::Arguments::read("Writes the files of forms to disk while they come in.", &flags);
    let directory = arguments.text(DIRECTORY.0).map_or(std::env::temp_dir().join("landspout-uploads"), PathBuf::from);
    fs::create_dir_all(&directory)?;
    // A larger form is answered with 413: at once if it tells its length, else when it gets there.
    let limit = arguments.value(LIMIT.0).unwrap_or(1 << 30);
    println!("uploads go to {}", directory.display());
    let server = HttpServerOptions::new().max_body_size(limit).delegate(Uploads { directory: directory.into() });
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    support::announce("http", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

struct Uploads {
    directory: Arc<Path>,
}

impl HttpServerConnectionDelegate for Uploads {
    type Delegate = Exchange;

    fn start_request(&self, _: ServerConnectionId, connection: Rc<dyn HttpConnection>) -> Exchange {
        Exchange { connection, directory: self.directory.clone(), form: None }
    }
}

/// One request: the page is asked for, or a form is sent.
struct Exchange {
    connection: Rc<dyn HttpConnection>,
    directory: Arc<Path>,
    form: Option<MultipartReceiver<Form>>,
}

impl HttpMessageDelegate for Exchange {
    async fn headers_received(&mut self, start_line: RequestStartLine, headers: HttpHeaders) -> Result<(), BoxError> {
        let connection = &*self.connection;
        match *start_line.method() {
            _ if start_line.path() != "/" => refuse(connection, StatusCode::NOT_FOUND, &PLAIN),
            Method::GET | Method::HEAD => {
                Ok(connection.write_response(&StatusCode::OK.into(), &HTML, PAGE.as_bytes())?)
            }
            Method::POST => {
                let form = Form::new(self.connection.clone(), self.directory.clone());
                self.form.insert(MultipartReceiver::new(form)).headers_received(start_line, headers).await
            }
            _ => refuse(connection, StatusCode::METHOD_NOT_ALLOWED, &ALLOW),
        }
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        match &mut self.form {
            Some(form) => form.data_received(chunk).await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        match &mut self.form {
            Some(form) => form.finish().await,
            None => Ok(()),
        }
    }

    fn on_connection_close(&mut self) {
        if let Some(form) = &mut self.form {
            form.on_connection_close();
        }
    }
}

/// A form that is coming in, part after part.
struct Form {
    connection: Rc<dyn HttpConnection>,
    directory: Arc<Path>,
    /// The part that is coming in.
    name: String,
    size: u64,
    /// Where it goes, if it is a file. Other fields are counted only.
    file: Option<Arc<Upload>>,
    /// The answer, a line for each part.
    report: String,
}

impl Form {
    fn new(connection: Rc<dyn HttpConnection>, directory: Arc<Path>) -> Self {
        Self { connection, directory, name: String::new(), size: 0, file: None, report: String::new() }
    }
}

impl MultipartDelegate for Form {
    async fn part_received(&mut self, part: MultipartPart) -> Result<(), BoxError> {
        self.size = 0;
        self.name = part.name().to_owned();
        if let Some(filename) = part.filename() {
            let (directory, filename) = (self.directory.clone(), harmless_filename(filename));
            let upload = blocking(move || Upload::create(&directory, &filename)).await?;
            println!("{}: begins", upload.path.display());
            self.file = Some(Arc::new(upload));
        }
        Ok(())
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<(), BoxError> {
        let before = self.size;
        self.size += chunk.len() as u64;
        if let Some(upload) = &self.file {
            let writing = upload.clone();
            blocking(move || (&writing.file).write_all(&chunk)).await?;
            if before / STEP < self.size / STEP {
                println!("{}: {} MiB so far", upload.path.display(), self.size >> 20);
            }
        }
        Ok(())
    }

    async fn part_finished(&mut self) -> Result<(), BoxError> {
        let name = self.name.escape_debug();
        self.report += &match self.file.take() {
            Some(upload) => {
                upload.complete.store(true, Ordering::Relaxed);
                println!("{}: complete, {} bytes", upload.path.display(), self.size);
                let filename = upload.path.file_name().unwrap_or_default().to_string_lossy();
                format!("{name}: {} bytes, kept as {filename}\n", self.size)
            }
            None => format!("{name}: {} bytes, no file\n", self.size),
        };
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), BoxError> {
        Ok(self.connection.write_response(&StatusCode::CREATED.into(), &PLAIN, self.report.as_bytes())?)
    }

    fn on_connection_close(&mut self) {
        if let Some(upload) = &self.file {
            println!("{}: broken off after {} bytes", upload.path.display(), self.size);
        }
    }
}

/// Runs something that may wait for the disk, on another thread.
async fn blocking<T: Send + 'static>(job: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, BoxError> {
    Ok(IoLoop::current().run_in_executor(None, job).await??)
}

/// A file that is being written. It is removed when it is dropped before it was complete, whoever dropped it.
struct Upload {
    file: File,
    path: PathBuf,
    complete: AtomicBool,
}

impl Upload {
    /// Makes a new file under that name, or with a number before it if there is one already.
    fn create(directory: &Path, filename: &str) -> io::Result<Self> {
        for number in 0.. {
            let path = match number {
                0 => directory.join(filename),
                _ => directory.join(format!("{number}-{filename}")),
            };
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file, path, complete: AtomicBool::new(false) }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("the thousandth number ends it")
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !*self.complete.get_mut() {
            match fs::remove_file(&self.path) {
                Ok(()) => println!("{}: removed", self.path.display()),
                Err(error) => println!("{}: can't be removed: {error}", self.path.display()),
            }
        }
    }
}

fn refuse(connection: &dyn HttpConnection, status: StatusCode, headers: &HttpHeaders) -> Result<(), BoxError> {
    Ok(connection.write_response(&status.into(), headers, format!("{status}\n").as_bytes())?)
}

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain; charset=utf-8")]);
const HTML: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/html; charset=utf-8")]);
const ALLOW: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain"), ("Allow", "GET, HEAD, POST")]);

/// Without its script the form works as well.
const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<title>Upload</title>
<h1>Upload</h1>
<form method="post" enctype="multipart/form-data">
  <p><label>Files <input type="file" name="file" multiple required></label>
  <p><label>Note <input name="note"></label>
  <p><button>Send</button> <progress max="1" value="0"></progress>
</form>
<pre></pre>
<script>
  const form = document.querySelector("form");
  form.addEventListener("submit", event => {
    event.preventDefault();
    const request = new XMLHttpRequest();
    const tell = text => document.querySelector("pre").textContent = text;
    request.upload.onprogress = e => document.querySelector("progress").value = e.loaded / e.total;
    request.onload = () => tell(request.status == 201 ? request.responseText : `refused: ${request.status}`);
    request.onerror = () => tell("the connection broke");
    request.open("POST", "/");
    request.send(new FormData(form));
  });
</script>
</html>
"#;

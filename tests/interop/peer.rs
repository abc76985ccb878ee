//! Our end of the conversations with real peers: a server or a client of a small protocol, with TLS or without. The scripts
//! in this directory start it and talk to it.
//!
//! `--serve` and `--use` take the same words, except where it says otherwise:
//! - `echo`: whatever comes goes back. The client sends bytes in which nothing repeats, and compares.
//! - `http`: the least of HTTP/1.1. A server answers with the request's body, or with its path if it has none; a client asks
//!   for `/big` and writes what comes until the close to a file.
//! - `smtp`: a mail in plain lines up to STARTTLS, and over TLS from there (RFC 3207).
//! - `greet` (server): queues a greeting the moment a client connects, before any handshake is done.
//! - `requests` (client): HTTP/1.1 by our own client, see `requests.rs`.
//! - `reverse` (client): a line, which comes back reversed, as `openssl s_server -rev` does it.
//!
//! A server prints its address, then a line for what is agreed on with each client and one for how it leaves. A client
//! prints what it agreed on, and a last line that begins with `ok` or `error`.

mod mail;
mod requests;
#[path = "../../examples/support/mod.rs"]
mod support;

use std::error::Error;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use landspout::ioloop::IoLoop;
use landspout::iostream::{IoStream, StreamError, Tls};
use landspout::netutil::{CertReqs, SniCertificate, SslOptions, TlsVersion};
use landspout::tcpserver::TcpServerOptions;
use support::{Arguments, Flag};

const FLAGS: &[Flag] = &[
    support::PORT,
    Flag("--serve", "WORD", "be a server of this protocol: echo, http, smtp, greet"),
    Flag("--use", "WORD", "be a client of this protocol: echo, http, requests, smtp, reverse"),
    Flag("--connect", "ADDRESS", "where the client connects to"),
    Flag("--bytes", "N", "how many bytes the client sends [100000]"),
    Flag("--times", "N", "how often the client connects, one after the other [1]"),
    Flag("--request", "WORDS", "one more request of `requests`"),
    Flag("--output", "FILE", "where the client writes what it got"),
    Flag("--tls", "", "secure the connection; the flags below do, too"),
    Flag("--certfile", "FILE", "our certificate"),
    Flag("--keyfile", "FILE", "its key"),
    Flag("--sni-certfile", "FILE", "one more certificate of the server"),
    Flag("--sni-keyfile", "FILE", "its key"),
    Flag("--ca-certs", "FILE", "who signs the other side's certificates"),
    Flag("--cert-reqs", "WORD", "whether the other side shows a certificate: none, optional, required"),
    Flag("--name", "NAME", "the host name that the client expects"),
    Flag("--any-name", "", "the client takes a certificate of any name"),
    Flag("--alpn", "LIST", "protocols, with commas between them"),
    Flag("--minimum-version", "V", "1.2 or 1.3"),
    Flag("--maximum-version", "V", "1.2 or 1.3"),
    Flag("--handshake-timeout", "MS", "how long a handshake may take"),
];

/// How much is read and written at once.
const PIECE: usize = 64 * 1024;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Result<(), support::Failure> {
    let arguments = Arguments::read("Talks to other implementations.", FLAGS);
    match (arguments.text("--serve"), arguments.text("--use")) {
        (Some(protocol), None) => serve(&arguments, protocol.to_owned()),
        (None, Some(protocol)) => be_client(&arguments, protocol.to_owned()),
        _ => support::wrong_usage("either --serve or --use"),
    }
}

fn serve(arguments: &Arguments, protocol: String) -> Result<(), support::Failure> {
    let mut options = TcpServerOptions::new();
    let mut starting = None;
    if protocol == "smtp" {
        starting = Some(with_timeout(arguments, Tls::server(server_options(arguments).server_config()?)));
    } else if arguments.has("--certfile") {
        options = options.ssl_options(server_options(arguments))?;
        if let Some(limit) = arguments.value("--handshake-timeout") {
            options = options.handshake_timeout(Duration::from_millis(limit));
        }
    }
    let server = options.handler(async move |stream: IoStream, _| {
        let result = serve_one(&stream, &protocol, starting.clone()).await;
        println!("left: {}", how(&result, &stream));
        // Whether that is what it should be, the script at the other end knows.
        Ok::<(), StreamError>(())
    });
    server.listen(arguments.port(), "127.0.0.1")?;
    support::stop_on_signals()?;
    println!("listening on {}", server.addresses()[0]);
    IoLoop::current().start()?;
    Ok(())
}

async fn serve_one(stream: &IoStream, protocol: &str, starting: Option<Tls>) -> Outcome {
    match protocol {
        "smtp" => return mail::serve(stream, starting).await,
        // The handshake is still to be done.
        "greet" => drop(stream.write(b"welcome\n")?),
        _ => {}
    }
    stream.wait_for_handshake().await?;
    if stream.tls().is_some() {
        println!("secured: {}", agreed(stream));
    }
    match protocol {
        "http" => answer_http(stream).await,
        _ => echo(stream).await,
    }
}

async fn echo(stream: &IoStream) -> Outcome {
    loop {
        let piece = stream.read_bytes_partial(PIECE).await?;
        stream.write(&piece)?.await?;
    }
}

async fn answer_http(stream: &IoStream) -> Outcome {
    loop {
        let head = stream.read_until(b"\r\n\r\n", Some(PIECE)).await?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
        let body = match length {
            Some(length) => stream.read_bytes(length.trim().parse()?).await?.to_vec(),
            None => head.split(' ').nth(1).unwrap_or_default().as_bytes().to_vec(),
        };
        drop(stream.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())?);
        stream.write(&body)?.await?;
    }
}

fn be_client(arguments: &Arguments, protocol: String) -> Result<(), support::Failure> {
    let address: SocketAddr =
        arguments.value("--connect").unwrap_or_else(|| support::wrong_usage("--connect is missing"));
    let tls = if arguments.has("--name") { Some(client_tls(arguments)?) } else { None };
    let bytes = arguments.value("--bytes").unwrap_or(100_000);
    for _ in 0..arguments.value("--times").unwrap_or(1) {
        let output = arguments.text("--output").map(str::to_owned);
        let result = if protocol == "requests" {
            let requests = arguments.texts("--request").map(str::to_owned).collect();
            IoLoop::current().run_sync(requests::send(address, tls.clone(), requests))?
        } else {
            IoLoop::current().run_sync(use_once(address, tls.clone(), protocol.clone(), bytes, output))?
        };
        match result {
            Ok(did) => println!("ok: {did}"),
            Err(error) => {
                println!("error: {}", chain(&*error));
                std::process::exit(1);
            }
        }
    }
    Ok(())
}

async fn use_once(
    address: SocketAddr,
    tls: Option<Tls>,
    protocol: String,
    bytes: usize,
    output: Option<String>,
) -> Outcome<String> {
    let stream = IoStream::connect(address).await?;
    if protocol == "smtp" {
        return mail::send(&stream, tls).await;
    }
    if let Some(tls) = tls {
        stream.start_tls(tls).await?;
        println!("secured: {}", agreed(&stream));
    }
    let did = match protocol.as_str() {
        "echo" => compare_echo(&stream, bytes).await?,
        "reverse" => {
            stream.write(b"stressed\n")?.await?;
            let line = stream.read_until(b"\n", Some(PIECE)).await?;
            if line != "desserts\n" {
                return Err(format!("{line:?} came back").into());
            }
            "a line came back reversed".to_owned()
        }
        _ => {
            stream.write(b"GET /big HTTP/1.0\r\n\r\n")?.await?;
            let answer = stream.read_until_close().await?;
            if let Some(path) = output {
                std::fs::write(path, &answer)?;
            }
            if let Some(cause) = stream.error() {
                return Err(cause.into());
            }
            format!("{} bytes until a clean end", answer.len())
        }
    };
    stream.close();
    Ok(did)
}

/// Writes and reads at the same time: a peer that writes before it reads on would stand still otherwise.
async fn compare_echo(stream: &IoStream, total: usize) -> Outcome<String> {
    let writer = IoLoop::current().spawn({
        let stream = stream.clone();
        async move {
            let (mut pattern, mut left) = (Pattern::default(), total);
            while left > 0 {
                let piece = pattern.next(left.min(PIECE));
                stream.write(&piece)?.await?;
                left -= piece.len();
            }
            Ok::<(), StreamError>(())
        }
    });
    let (mut pattern, mut read) = (Pattern::default(), 0);
    while read < total {
        let piece = stream.read_bytes_partial(PIECE).await?;
        if piece != pattern.next(piece.len()) {
            return Err(format!("another byte than was sent came back, after {read}").into());
        }
        read += piece.len();
    }
    writer.await??;
    Ok(format!("{total} bytes came back as they were sent"))
}

/// Bytes in which nothing repeats soon: a linear congruential generator.
#[derive(Default)]
struct Pattern(u64);

impl Pattern {
    fn next(&mut self, n: usize) -> Vec<u8> {
        let byte = |_| {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 56) as u8
        };
        (0..n).map(byte).collect()
    }
}

fn server_options(arguments: &Arguments) -> SslOptions {
    let mut options = ssl_options(arguments);
    if let (Some(certificate), Some(key)) = (arguments.text("--sni-certfile"), arguments.text("--sni-keyfile")) {
        options = options.sni(SniCertificate::new(certificate).keyfile(key));
    }
    options
}

fn client_tls(arguments: &Arguments) -> Outcome<Tls> {
    let options = ssl_options(arguments).check_hostname(!arguments.has("--any-name"));
    let name = arguments.text("--name").unwrap_or_default();
    Ok(with_timeout(arguments, Tls::client(options.client_config()?, name)?))
}

fn with_timeout(arguments: &Arguments, tls: Tls) -> Tls {
    match arguments.value("--handshake-timeout") {
        Some(limit) => tls.handshake_timeout(Duration::from_millis(limit)),
        None => tls,
    }
}

fn ssl_options(arguments: &Arguments) -> SslOptions {
    let version = |text: &str| match text {
        "1.2" => TlsVersion::Tls12,
        "1.3" => TlsVersion::Tls13,
        _ => support::wrong_usage("versions are 1.2 and 1.3"),
    };
    let mut options = SslOptions::new();
    for (flag, set) in [
        ("--certfile", (|options, text| options.certfile(text)) as fn(SslOptions, &str) -> SslOptions),
        ("--keyfile", |options, text| options.keyfile(text)),
        ("--ca-certs", |options, text| options.ca_certs(text)),
        ("--alpn", |options, text| options.alpn(text.split(','))),
        ("--cert-reqs", |options, text| {
            options.cert_reqs(match text {
                "none" => CertReqs::None,
                "optional" => CertReqs::Optional,
                _ => CertReqs::Required,
            })
        }),
    ] {
        if let Some(text) = arguments.text(flag) {
            options = set(options, text);
        }
    }
    if let Some(text) = arguments.text("--minimum-version") {
        options = options.minimum_version(version(text));
    }
    if let Some(text) = arguments.text("--maximum-version") {
        options = options.maximum_version(version(text));
    }
    options
}

/// What the two sides have agreed on, in one line.
fn agreed(stream: &IoStream) -> String {
    let Some(info) = stream.tls() else { return "nothing".to_owned() };
    let text =
        |bytes: Option<Vec<u8>>| bytes.map_or("-".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let resumed = if info.resumed { "resumed" } else { "new" };
    format!(
        "{} {} alpn={} sni={} certificates={} {resumed}",
        info.version,
        info.cipher,
        text(info.alpn),
        info.server_name.as_deref().unwrap_or("-"),
        info.peer_certificates.len(),
    )
}

/// How a client left: cleanly, or why else.
fn how(result: &Outcome, stream: &IoStream) -> String {
    match (result, stream.error()) {
        (_, Some(cause)) => chain(&cause),
        (Err(error), None) if error.downcast_ref() == Some(&StreamError::Closed(None)) => "cleanly".to_owned(),
        (Err(error), None) => chain(&**error),
        (Ok(()), None) => "served".to_owned(),
    }
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

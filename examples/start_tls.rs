//! A conversation that begins in plain text and goes on over TLS, from both sides: what SMTP, IMAP and others do (RFC 3207).
//!
//! ```sh
//! cargo run --example start_tls                      # prints its address and where its certificate is
//! openssl s_client -starttls smtp -connect 127.0.0.1:8888 -CAfile CERTIFICATE -crlf
//! cargo run --example start_tls -- --connect 127.0.0.1:8888 --ca CERTIFICATE
//! ```
//! In Tornado: `stream = await stream.start_tls(server_side, ssl_options, server_hostname)`, which gives a new stream. Here the
//! stream stays the same one. It has to be idle for that: bytes that came in plain text must not pass for secured ones.

#[path = "support/certificate.rs"]
mod certificate;
mod support;

use std::net::SocketAddr;

use certificate::Certificate;
use landspout::ioloop::IoLoop;
use landspout::iostream::{IoStream, StreamError, Tls};
use landspout::netutil::SslOptions;
use landspout::tcpserver::{BoxError, TcpServer};
use support::{Arguments, Flag};

/// The longest line (RFC 5321, section 4.5.3.1.5), and some more.
const MAX_LINE: usize = 1000;

fn main() -> Result<(), support::Failure> {
    let flags = [
        support::PORT,
        Flag("--connect", "ADDRESS", "be a client of this server"),
        Flag("--ca", "FILE", "the certificate that the client trusts"),
    ];
    let arguments = Arguments::read("Begins in plain text and goes on over TLS.", &flags);
    match arguments.value("--connect") {
        Some(address) => be_client(&arguments, address),
        None => be_server(&arguments),
    }
}

fn be_server(arguments: &Arguments) -> Result<(), support::Failure> {
    let certificate = Certificate::make()?;
    let options = SslOptions::new().certfile(certificate.certfile()).keyfile(certificate.keyfile());
    let tls = Tls::server(options.server_config()?);
    let server = TcpServer::new(async move |stream: IoStream, _| serve(stream, &tls).await);
    server.listen(arguments.port(), None)?;
    support::stop_on_signals()?;
    Certificate::announce(&certificate.certfile());
    support::announce("smtp", &server.addresses());
    IoLoop::current().start()?;
    Ok(())
}

/// As much of SMTP as a client needs to get to STARTTLS and away again.
async fn serve(stream: IoStream, tls: &Tls) -> Result<(), StreamError> {
    say(&stream, "220 localhost").await?;
    loop {
        let line = listen(&stream).await?;
        let word = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match word.as_str() {
            "EHLO" if stream.tls().is_none() => say(&stream, "250-localhost\r\n250 STARTTLS").await?,
            "EHLO" => say(&stream, "250 localhost").await?,
            "STARTTLS" if stream.tls().is_none() => {
                // Awaiting it means that nothing is left to send when TLS begins.
                say(&stream, "220 go ahead").await?;
                stream.start_tls(tls.clone()).await?;
                tracing::info!("secured: {:?}", stream.tls().map(|tls| (tls.version, tls.cipher)));
            }
            "QUIT" => {
                say(&stream, "221 bye").await?;
                stream.close();
                return Ok(());
            }
            _ => say(&stream, "502 not here").await?,
        }
    }
}

fn be_client(arguments: &Arguments, address: SocketAddr) -> Result<(), support::Failure> {
    let mut options = SslOptions::new();
    if let Some(file) = arguments.text("--ca") {
        options = options.ca_certs(file);
    }
    let tls = Tls::client(options.client_config()?, "localhost")?;
    let talked = IoLoop::current().run_sync(talk(address, tls))?;
    talked.map_err(support::Failure::from)
}

async fn talk(address: SocketAddr, tls: Tls) -> Result<(), BoxError> {
    let stream = IoStream::connect(address).await?;
    expect(&stream, "220").await?;
    say(&stream, "EHLO localhost").await?;
    let answer = expect(&stream, "250").await?;
    if !answer.iter().any(|line| line.ends_with("STARTTLS")) {
        // Somebody between us may have taken it out; going on in plain text is what they want.
        return Err("the server offers no STARTTLS".into());
    }
    say(&stream, "STARTTLS").await?;
    expect(&stream, "220").await?;
    stream.start_tls(tls).await?;
    println!("secured by {}", stream.tls().map_or("nothing", |tls| tls.version));
    // What was said before may have been changed on its way: begin anew (RFC 3207, section 4.2).
    say(&stream, "EHLO localhost").await?;
    expect(&stream, "250").await?;
    say(&stream, "QUIT").await?;
    expect(&stream, "221").await?;
    Ok(())
}

/// The lines of an answer, which has to begin with a code.
async fn expect(stream: &IoStream, code: &str) -> Result<Vec<String>, BoxError> {
    let mut lines = Vec::new();
    loop {
        let line = listen(stream).await?;
        println!("{} {line}", if stream.tls().is_some() { "tls  " } else { "plain" });
        if !line.starts_with(code) {
            return Err(format!("no {code} but {line:?}").into());
        }
        let last = line.as_bytes().get(3) != Some(&b'-');
        lines.push(line);
        if last {
            return Ok(lines);
        }
    }
}

async fn listen(stream: &IoStream) -> Result<String, StreamError> {
    let line = stream.read_until(b"\r\n", Some(MAX_LINE)).await?;
    Ok(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
}

async fn say(stream: &IoStream, text: &str) -> Result<(), StreamError> {
    stream.write(format!("{text}\r\n").as_bytes())?.await
}

//! A client for protocols of lines: sends what you type, or what `--send` says, and prints the lines that come.
//!
//! ```sh
//! cargo run --example line_client                                        # to a slow server in this program
//! cargo run --example line_client -- --send hello --send "how are you"
//! cargo run --example line_client -- --to 127.0.0.1:8888                 # to examples/chat.rs, for one
//! ```
//! It shows what dropping a read loses: nothing. Each line is read with a time-out, which drops the read when it is over. The
//! half of a line that came by then stays in the stream, and the next read finds it. In Tornado the read that
//! `gen.with_timeout` gave up goes on in secret, and takes the line that nobody gets.

mod support;

use std::cell::Cell;
use std::io::{self, BufRead};
use std::rc::Rc;
use std::time::Duration;

use landspout::ioloop::{IoLoop, RunSyncError, sleep, with_timeout};
use landspout::iostream::{IoStream, StreamError};
use landspout::tcpclient::TcpClient;
use landspout::tcpserver::TcpServer;
use support::Flag;

/// A server that sends more without a line end is no server of lines.
const MAX_LINE: usize = 64 * 1024;

const TO: Flag = Flag("--to", "HOST:PORT", "where to connect to [a server in this program that answers slowly]");
const SEND: Flag = Flag("--send", "LINE", "send this and not what is typed; may be repeated");
const TIMEOUT: Flag = Flag("--timeout", "S", "after so many silent seconds say so, and give up once all was sent [5]");

fn main() -> Result<(), support::Failure> {
    let arguments = support::Arguments::read("Sends lines to a server and prints its lines.", &[TO, SEND, TIMEOUT]);
    let timeout = Duration::from_secs_f64(arguments.value::<f64>(TIMEOUT.0).unwrap_or(5.0).clamp(0.001, 1e6));
    let lines: Vec<String> = arguments.texts(SEND.0).map(str::to_owned).collect();
    let to = match arguments.text(TO.0) {
        Some(to) => to.to_owned(),
        None => slow_server(timeout)?.addresses()[0].to_string(),
    };
    let Some((host, Ok(port))) = to.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.parse())) else {
        support::wrong_usage(&format!("{to:?} is not HOST:PORT"));
    };

    support::stop_on_signals()?;
    match IoLoop::current().run_sync(talk(host, port, lines, timeout)) {
        Ok(result) => result,
        // A signal.
        Err(RunSyncError::Stopped) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn talk(host: String, port: u16, lines: Vec<String>, timeout: Duration) -> Result<(), support::Failure> {
    let stream = TcpClient::new().connect(host.trim_matches(['[', ']']), port).await?;
    let all_sent = Rc::new(Cell::new(false));
    // A handle for each direction; both mean the same stream.
    let printing = IoLoop::current().spawn(print_lines(stream.clone(), timeout, all_sent.clone()));
    if lines.is_empty() {
        while let Some(line) = typed_line().await? {
            stream.write(line.as_bytes())?.await?;
        }
    } else {
        for line in lines {
            stream.write(format!("{line}\n").as_bytes())?.await?;
        }
    }
    // Our end, by which the server knows that this was all. Its answers still come.
    stream.shutdown_write().await?;
    all_sent.set(true);
    printing.await?
}

/// Reading stdin may block, so it is done on another thread.
async fn typed_line() -> Result<Option<String>, support::Failure> {
    let read = || {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|n| (n > 0).then_some(line))
    };
    Ok(IoLoop::current().run_in_executor(None, read).await??)
}

/// Prints what comes until the server ends.
async fn print_lines(stream: IoStream, timeout: Duration, all_sent: Rc<Cell<bool>>) -> Result<(), support::Failure> {
    loop {
        match with_timeout(timeout, stream.read_until(b"\n", Some(MAX_LINE))).await {
            Ok(Ok(line)) => print!("{}", String::from_utf8_lossy(&line)),
            Ok(Err(StreamError::Closed(None))) => {
                // A last line without its end.
                print!("{}", String::from_utf8_lossy(&stream.read_until_close().await?));
                return Ok(());
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                let begun = stream.with_buffered(<[u8]>::len);
                println!("(waiting, with {begun} bytes of a line)");
                if all_sent.get() && begun == 0 {
                    return Err("the server says nothing more and does not end".into());
                }
            }
        }
    }
}

/// Answers each line in two pieces, with a pause between them in which the client's patience ends.
fn slow_server(patience: Duration) -> Result<TcpServer, support::Failure> {
    let server = TcpServer::new(async move |stream: IoStream, _address| {
        loop {
            let line = match stream.read_until(b"\n", Some(MAX_LINE)).await {
                Ok(line) => line,
                Err(StreamError::Closed(None)) => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.write(b"you said: ")?.await?;
            sleep(patience * 3 / 2).await;
            stream.write(&line)?.await?;
        }
    });
    server.listen(0, "127.0.0.1")?;
    Ok(server)
}

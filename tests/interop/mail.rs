//! As much of SMTP as `STARTTLS` (RFC 3207) needs, from both sides.

use landspout::iostream::{IoStream, Tls};

use crate::{Outcome, agreed};

const LINE: Option<usize> = Some(1000);

/// Takes mails until the client says QUIT. Before STARTTLS it takes none.
pub(crate) async fn serve(stream: &IoStream, mut tls: Option<Tls>) -> Outcome {
    say(stream, "220 mail.example.com").await?;
    loop {
        let line = read_line(stream).await?;
        match line.split(' ').next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" if tls.is_some() => say(stream, "250-mail.example.com\r\n250 STARTTLS").await?,
            "STARTTLS" => {
                let Some(tls) = tls.take() else {
                    say(stream, "503 once is enough").await?;
                    continue;
                };
                say(stream, "220 go ahead").await?;
                // What a client (or somebody between us) sent behind the command was not sent under TLS: it is refused.
                stream.start_tls(tls).await?;
                println!("secured: {}", agreed(stream));
            }
            "QUIT" => return say(stream, "221 bye").await.map(|()| stream.close()),
            "EHLO" | "RSET" | "NOOP" => say(stream, "250 fine").await?,
            _ if tls.is_some() => say(stream, "530 STARTTLS first").await?,
            "MAIL" | "RCPT" => say(stream, "250 fine").await?,
            "DATA" => {
                say(stream, "354 go on").await?;
                let mail = stream.read_until(b"\r\n.\r\n", Some(1 << 20)).await?;
                println!("mail: {} bytes", mail.len());
                say(stream, "250 taken").await?;
            }
            _ => say(stream, "500 what?").await?,
        }
    }
}

/// Sends one mail, over TLS.
pub(crate) async fn send(stream: &IoStream, tls: Option<Tls>) -> Outcome<String> {
    expect(stream, "220").await?;
    if !ask(stream, "EHLO client.example.com", "250").await?.contains("STARTTLS") {
        return Err("the server has no STARTTLS".into());
    }
    ask(stream, "STARTTLS", "220").await?;
    stream.start_tls(tls.ok_or("--name is missing")?).await?;
    println!("secured: {}", agreed(stream));
    ask(stream, "EHLO client.example.com", "250").await?;
    ask(stream, "MAIL FROM:<one@example.com>", "250").await?;
    ask(stream, "RCPT TO:<two@example.com>", "250").await?;
    ask(stream, "DATA", "354").await?;
    ask(stream, &format!("Subject: hello\r\n\r\n{}.", "a line of the mail\r\n".repeat(1000)), "250").await?;
    ask(stream, "QUIT", "221").await?;
    Ok("a mail was taken".to_owned())
}

async fn say(stream: &IoStream, line: &str) -> Outcome {
    Ok(stream.write(format!("{line}\r\n").as_bytes())?.await?)
}

async fn read_line(stream: &IoStream) -> Outcome<String> {
    let line = stream.read_until(b"\r\n", LINE).await?;
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

async fn ask(stream: &IoStream, line: &str, code: &str) -> Outcome<String> {
    say(stream, line).await?;
    expect(stream, code).await
}

/// Reads a reply of one line or several.
async fn expect(stream: &IoStream, code: &str) -> Outcome<String> {
    let mut reply = String::new();
    loop {
        let line = read_line(stream).await?;
        if !line.starts_with(code) {
            return Err(format!("{line:?} where {code} was expected").into());
        }
        reply.push_str(&line);
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(reply);
        }
    }
}

//! nginx: its configuration from the template in `benches/peers/nginx`, and the files that it streams.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use super::STREAMED;
use super::programs::{Options, Started, run};

/// Open at once, a little fewer than a process may have descriptors here.
pub(super) const CONNECTIONS: usize = 16_384;

/// Starts it with what it needs in that directory, behind the words of a prefix.
pub(super) fn start(
    root: &Path,
    directory: &Path,
    mut words: Vec<String>,
    options: &Options<'_>,
) -> Result<Started, String> {
    if options.workers.is_some() || !options.flags.is_empty() {
        return Err("it takes no flags here".to_owned());
    }
    let address = free_address().map_err(|error| format!("a free port: {error}"))?;
    let streamed = root.join("target/peers/streamed");
    let write = || {
        fs::create_dir_all(directory)?;
        lay_out(&streamed)?;
        let template = fs::read_to_string(root.join("benches/peers/nginx/nginx.conf"))?;
        fs::write(directory.join("nginx.conf"), configuration(&template, directory, &streamed, address.port(), options))
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", directory.display()))?;
    let (place, file) = (directory.to_string_lossy().into_owned(), directory.join("nginx.conf"));
    words.extend(["nginx", "-e", "stderr", "-p", &place, "-c", &file.to_string_lossy()].map(str::to_owned));
    let running = run(&words)?;
    // It listens before that.
    let started = running.wait_for("its worker", |output| output.contains("start worker process ").then_some(()));
    started.map_err(|problem| format!("{problem}\n{}", running.output()))?;
    Ok(Started { running, address })
}

/// nginx can't tell which port it got, so it is given one that was free a moment ago.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Files that are nothing but a hole. They stay from start to start and are read here, since the first reader of a page has the
/// kernel find memory for it, which costs many times what sending it does.
fn lay_out(streamed: &Path) -> std::io::Result<()> {
    fs::create_dir_all(streamed)?;
    for length in STREAMED {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(streamed.join(length.to_string()))?;
        file.set_len(length)?;
        std::io::copy(&mut file, &mut std::io::sink())?;
    }
    Ok(())
}

fn configuration(template: &str, directory: &Path, streamed: &Path, port: u16, options: &Options<'_>) -> String {
    let (mut ssl, mut certificate) = ("", String::new());
    if let Some((certfile, keyfile)) = options.certificate {
        ssl = " ssl";
        certificate = format!(
            "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3; ssl_session_tickets on;",
            certfile.display(),
            keyfile.display()
        );
    }
    // Only root's workers are somebody else's, who might not see the files.
    template
        .replace("@USER@", &std::env::var("USER").unwrap_or_else(|_| "root".to_owned()))
        .replace("@CONNECTIONS@", &options.connections.unwrap_or(CONNECTIONS).to_string())
        .replace("@DIRECTORY@", &directory.to_string_lossy())
        .replace("@STREAMED@", &streamed.to_string_lossy())
        .replace("@PORT@", &port.to_string())
        .replace("@SSL@", ssl)
        .replace("@CERTIFICATE@", &certificate)
}

/// `nginx 1.22.1, OpenSSL 3.0.15`
pub(super) fn version() -> Result<String, String> {
    let output = Command::new("nginx").arg("-V").stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("nginx: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    shown_version(&text).ok_or_else(|| format!("nginx -V says {text:?}"))
}

fn shown_version(text: &str) -> Option<String> {
    let (_, version) = text.lines().find_map(|line| line.split_once("nginx/"))?;
    let version = version.split_whitespace().next()?;
    let ssl = text.lines().find_map(|line| line.strip_prefix("built with OpenSSL "));
    Some(match ssl.and_then(|rest| rest.split_whitespace().next()) {
        Some(ssl) => format!("nginx {version}, OpenSSL {ssl}"),
        None => format!("nginx {version}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        let text = "nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.15 3 Sep 2024\nTLS SNI support enabled\n";
        assert_eq!(shown_version(text).as_deref(), Some("nginx 1.22.1, OpenSSL 3.0.15"));
        assert_eq!(shown_version("nginx version: nginx/1.27.0 (Ubuntu)\n").as_deref(), Some("nginx 1.27.0"));
        assert_eq!(shown_version("what?"), None);
    }

    #[test]
    fn the_template_is_filled() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let template = fs::read_to_string(root.join("benches/peers/nginx/nginx.conf")).unwrap();
        let plain = configuration(&template, Path::new("d"), Path::new("s"), 8888, &Options::default());
        assert!(plain.contains("listen 127.0.0.1:8888 reuseport"), "{plain}");
        let with = Options { certificate: Some((Path::new("c.pem"), Path::new("k.pem"))), ..Options::default() };
        let tls = configuration(&template, Path::new("d"), Path::new("s"), 1, &with);
        assert!(tls.contains("listen 127.0.0.1:1 ssl reuseport") && tls.contains("ssl_certificate c.pem;"), "{tls}");
        // The first line tells of the words.
        assert!(!plain.lines().chain(tls.lines()).any(|line| line.contains('@')), "{tls}");
    }
}

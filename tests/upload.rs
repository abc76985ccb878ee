//! The example `upload` as its users see it: files on disk while they come in, limits, and names that are harmless.

mod support;

use std::fs;
use std::path::PathBuf;

use support::Example;
use support::client::{Answer, Client, get, request};

/// A directory for uploads and the server that fills it. The directory is removed when it is dropped.
struct Place {
    directory: PathBuf,
    example: Option<Example>,
}

impl Place {
    fn new(name: &str, arguments: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("landspout-upload-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let all = [&["--directory", directory.to_str().unwrap()], arguments].concat();
        let example = Some(Example::start("upload", &all));
        Self { directory, example }
    }

    fn example(&self) -> &Example {
        self.example.as_ref().unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(self.example().address())
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn content(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.join(name)).unwrap()
    }

    /// A thread may still be writing to it when the client is answered.
    fn wait_until_removed(&self, name: &str) {
        let line = format!("{name}: removed\n");
        self.example().wait_for("that it was removed", |output| output.contains(&line).then_some(()));
    }

    fn terminate(mut self) {
        self.example.take().unwrap().terminate();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.example.take());
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A part and what is before it.
fn part(disposition: &str, content: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("--xyz\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content.as_ref(), b"\r\n"].concat()
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), b"--xyz--\r\n".to_vec()].concat()
}

fn head(framing: &str) -> Vec<u8> {
    let fields = format!("Content-Type: multipart/form-data; boundary=xyz\r\n{framing}\r\n");
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes()
}

fn send(client: &mut Client, body: &[u8]) -> Answer {
    client.ask(&[head(&format!("Content-Length: {}", body.len())), body.to_vec()].concat())
}

fn chunk(content: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", content.len()).as_bytes(), content, b"\r\n"].concat()
}

#[test]
fn files_are_kept_and_fields_counted() {
    let place = Place::new("files", &[]);
    let mut client = place.client();
    let body = form(&[
        part("name=file; filename=one.bin", b"\r\n--xy\0\xff\r\n"),
        part("name=note", "hello"),
        part("name=file; filename=two.txt", ""),
        part("name=none; filename=\"\"", ""),
    ]);
    let answer = send(&mut client, &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(
        answer.text(),
        "file: 10 bytes, kept as one.bin\nnote: 5 bytes, no file\nfile: 0 bytes, kept as two.txt\nnone: 0 bytes, no file\n"
    );
    assert_eq!(place.files(), ["one.bin", "two.txt"]);
    assert_eq!(place.content("one.bin"), b"\r\n--xy\0\xff\r\n");
    // The same once more, over the same connection: nothing is overwritten.
    assert!(send(&mut client, &body).text().contains("kept as 1-one.bin"));
    assert_eq!(place.files(), ["1-one.bin", "1-two.txt", "one.bin", "two.txt"]);
    place.terminate();
}

#[test]
fn names_of_files_are_harmless() {
    let place = Place::new("names", &[]);
    let mut client = place.client();
    for (name, kept) in [
        ("../../../../../../tmp/landspout-escape", "landspout-escape"),
        ("/etc/landspout-escape.d/x", "x"),
        (r"..\\..\\boot.ini", "boot.ini"),
        ("..", "file"),
        (".profile", "profile"),
        ("é\u{202e}.txt", "é_.txt"),
    ] {
        let answer = send(&mut client, &form(&[part(&format!("name=f; filename=\"{name}\""), name)]));
        assert_eq!((answer.status, answer.text()), (201, &*format!("f: {} bytes, kept as {kept}\n", name.len())));
        assert_eq!(place.content(kept), name.as_bytes());
    }
    assert_eq!(place.files().len(), 6);
    let answer = send(&mut client, &form(&[part("name=\"f\tx\"", "")]));
    assert_eq!(answer.text(), "f\\tx: 0 bytes, no file\n");
    place.terminate();
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
fn a_large_file_is_on_disk_while_it_comes_in() {
    const MIB: usize = 1 << 20;
    let place = Place::new("large", &[]);
    let mut client = place.client();
    assert_eq!(send(&mut client, &form(&[])).status, 201);
    let before = resident(place.example().pid());
    let content: Vec<u8> = (0..24 * MIB).map(|i| (i % 251) as u8 ^ (i >> 16) as u8).collect();
    client.send(&head("Transfer-Encoding: chunked"));
    let body = form(&[part("name=f; filename=large", &content)]);
    let (first, rest) = body.split_at(9 * MIB);
    first.chunks(300_000).for_each(|piece| client.send(&chunk(piece)));
    place.example().wait_for("its progress", |output| output.contains("large: 8 MiB so far\n").then_some(()));
    assert!(place.content("large").starts_with(&content[..8 * MIB]));
    rest.chunks(300_000).for_each(|piece| client.send(&chunk(piece)));
    client.send(b"0\r\n\r\n");
    assert_eq!(client.answer().text(), format!("f: {} bytes, kept as large\n", 24 * MIB));
    let grown = resident(place.example().pid()).saturating_sub(before);
    assert!(grown < 8 * 1024, "it grew by {grown} KiB");
    assert!(place.content("large") == content, "the file is another one");
    place.terminate();
}

#[test]
fn a_form_above_the_limit_is_refused_and_leaves_nothing() {
    let place = Place::new("limit", &["--limit", "100000"]);
    let body = form(&[part("name=f; filename=large", "x".repeat(200_000))]);
    // By its length: before anything of it is read.
    let mut client = place.client();
    client.send(&head(&format!("Content-Length: {}", body.len())));
    assert_eq!(client.answer().status, 413);
    // In chunks: when it gets there.
    let mut client = place.client();
    client.send(&[head("Transfer-Encoding: chunked"), chunk(&body[..50_000])].concat());
    place.example().wait_for("the beginning", |output| output.contains("large: begins\n").then_some(()));
    assert_eq!(place.files(), ["large"]);
    client.send(&chunk(&body[50_000..]));
    assert_eq!(client.answer().status, 413);
    client.expect_end();
    place.wait_until_removed("large");
    assert_eq!(place.files().len(), 0);
    place.terminate();
}

#[test]
fn a_file_that_is_broken_off_is_removed_and_those_before_it_stay() {
    let place = Place::new("broken", &[]);
    let mut client = place.client();
    client.send(&head("Content-Length: 1000000"));
    client.send(&[part("name=f; filename=whole", "abc"), part("name=f; filename=half", "x".repeat(1000))].concat());
    place.example().wait_for("the second one", |output| output.contains("half: begins\n").then_some(()));
    drop(client);
    place.example().wait_for("the end", |output| output.contains("half: broken off after").then_some(()));
    place.wait_until_removed("half");
    assert_eq!(place.files(), ["whole"]);
    place.terminate();
}

#[test]
fn what_is_no_form_is_refused() {
    let place = Place::new("refused", &[]);
    let mut client = place.client();
    let page = client.ask(&get("/"));
    assert_eq!(page.status, 200);
    assert!(page.text().contains("multipart/form-data") && page.field("Content-Type").unwrap().contains("text/html"));
    client.send(&request("HEAD", "/"));
    assert_eq!(client.answer_to_head().status, 200);
    assert_eq!(client.ask(&get("/other")).status, 404);
    assert_eq!(client.ask(&request("DELETE", "/")).field("Allow"), Some("GET, HEAD, POST"));
    let post = |fields: &str, body: &str| {
        let mut client = place.client();
        let length = body.len();
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {length}\r\n\r\n{body}").as_bytes());
        client.answer().status
    };
    assert_eq!(post("", "abc"), 415);
    assert_eq!(post("Content-Type: text/plain\r\n", "abc"), 415);
    assert_eq!(post("Content-Type: multipart/form-data\r\n", "abc"), 400);
    let form = "Content-Type: multipart/form-data; boundary=xyz\r\n";
    for body in [
        "--abc--",
        "--xyz\r\n\r\nno header\r\n--xyz--",
        "--xyz\r\nContent-Disposition: form-data; name=f; filename=cut\r\n\r\nno end",
    ] {
        assert_eq!(post(form, body), 400, "{body:?}");
    }
    place.wait_until_removed("cut");
    assert_eq!(place.files().len(), 0);
    place.terminate();
}

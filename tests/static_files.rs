//! The example `static_files` as its users see it: files, ranges, conditional requests, and nothing outside of its root.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use support::Example;
use support::client::{Answer, Client, get};

/// Files to serve, and others that lie beside them. Removed when it is dropped.
struct Place {
    directory: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("landspout-static-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("root/sub dir")).unwrap();
        let place = Self { directory };
        for (path, content) in [
            ("root/index.html", "<p>index"),
            ("root/digits.txt", "0123456789"),
            ("root/empty", ""),
            ("root/sub dir/index.html", "<p>sub"),
            ("root/.hidden", "secret"),
            ("outside.txt", "secret"),
        ] {
            fs::write(place.directory.join(path), content).unwrap();
        }
        place
    }

    fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    fn serve(&self) -> Example {
        Example::start("static_files", &["--root", self.root().to_str().unwrap()])
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn with(method: &str, target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes()
}

fn digits(client: &mut Client, fields: &[(&str, &str)]) -> Answer {
    client.ask(&with("GET", "/digits.txt", fields))
}

/// Answers without content have no length, which `Client::ask` would wait for.
fn head_of(client: &mut Client, request: &[u8]) -> Answer {
    client.send(request);
    client.answer_to_head()
}

#[test]
fn files_and_directories() {
    let place = Place::new("files");
    let example = place.serve();
    let mut client = Client::connect(example.address());
    for (target, body, content_type) in [
        ("/digits.txt", "0123456789", "text/plain; charset=utf-8"),
        ("/empty", "", "application/octet-stream"),
        ("/", "<p>index", "text/html; charset=utf-8"),
        ("/index.html?query", "<p>index", "text/html; charset=utf-8"),
        ("/sub%20dir/", "<p>sub", "text/html; charset=utf-8"),
        ("http://localhost/digits.txt", "0123456789", "text/plain; charset=utf-8"),
    ] {
        let answer = client.ask(&get(target));
        assert_eq!((answer.status, answer.text()), (200, body), "{target}");
        assert_eq!(answer.field("Content-Type"), Some(content_type), "{target}");
        let head = head_of(&mut client, &with("HEAD", target, &[]));
        assert_eq!((head.status, head.field("Content-Length")), (200, Some(&*body.len().to_string())));
        assert_eq!(head.field("ETag"), answer.field("ETag"));
    }
    for (target, location) in [("/sub%20dir", "/sub%20dir/"), ("//sub%20dir", "/sub%20dir/")] {
        let answer = client.ask(&get(target));
        assert_eq!((answer.status, answer.field("Location")), (301, Some(location)), "{target}");
    }
    for target in ["/nothing", "/digits.txt/", "/digits.txt/x", "/sub%20dir/nothing", "*"] {
        let request = if target == "*" { with("OPTIONS", "*", &[]) } else { get(target) };
        assert_eq!(client.ask(&request).status, if target == "*" { 405 } else { 404 }, "{target}");
    }
    let answer = client.ask(&with("POST", "/digits.txt", &[("Content-Length", "0")]));
    assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD")));
    example.terminate();
}

#[test]
fn nothing_outside_of_the_root_is_found() {
    let place = Place::new("outside");
    let root = place.root();
    symlink("../outside.txt", root.join("link.txt")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("/", root.join("slash")).unwrap();
    symlink(".hidden", root.join("shown.txt")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("digits.txt", root.join("inside.txt")).unwrap();
    fs::create_dir(root.join("index")).unwrap();
    symlink("../../outside.txt", root.join("index/index.html")).unwrap();
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    let fifo = root.join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // A root whose name begins alike is another one.
    fs::create_dir(place.directory.join("root2")).unwrap();
    fs::write(place.directory.join("root2/x"), "secret").unwrap();
    symlink("../root2/x", root.join("neighbour")).unwrap();

    let example = place.serve();
    let mut client = Client::connect(example.address());
    for target in [
        "/../outside.txt",
        "/sub%20dir/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/.%2e/outside.txt",
        "/%2e%2e%2foutside.txt",
        "/..%2foutside.txt",
        "/..%5coutside.txt",
        "//../outside.txt",
        "/sub%20dir/..;/digits.txt",
        "/digits.txt%00",
        "/digits.txt%00.html",
        "/%00",
        "/%ff",
        "/%c0%ae%c0%ae/outside.txt",
        "/link.txt",
        "/up/outside.txt",
        "/up/",
        "/slash/etc/passwd",
        "/neighbour",
        "/index/",
        "/loop",
        "/socket",
        "/fifo",
        "/.hidden",
        "/%2ehidden",
        "/shown.txt",
        "http://localhost/../outside.txt",
    ] {
        let answer = client.ask(&get(target));
        assert_eq!(answer.status, 404, "{target}: {}", answer.head);
        assert!(!answer.text().contains("secret"), "{target}");
    }
    // A link that stays inside is followed.
    assert_eq!(client.ask(&get("/inside.txt")).text(), "0123456789");
    example.terminate();
}

#[test]
fn ranges() {
    let place = Place::new("ranges");
    let example = place.serve();
    let mut client = Client::connect(example.address());
    assert_eq!(digits(&mut client, &[]).field("Accept-Ranges"), Some("bytes"));
    for (range, body, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-5", "2345", "bytes 2-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=-200", "0123456789", "bytes 0-9/10"),
        ("bytes=5-500", "56789", "bytes 5-9/10"),
    ] {
        let answer = digits(&mut client, &[("Range", range)]);
        assert_eq!((answer.status, answer.text()), (206, body), "{range}");
        assert_eq!(answer.field("Content-Range"), Some(content_range), "{range}");
    }
    for range in ["bytes=10-", "bytes=-0", "bytes=99-100"] {
        let answer = digits(&mut client, &[("Range", range)]);
        assert_eq!((answer.status, answer.field("Content-Range")), (416, Some("bytes */10")), "{range}");
    }
    // What is no range, or more than one, gets the whole (RFC 9110, section 14.2).
    for range in ["bytes=5-2", "bytes=0-1,5-6", "lines=0-1", "bytes=a-b", "bytes"] {
        let answer = digits(&mut client, &[("Range", range)]);
        assert_eq!((answer.status, answer.text(), answer.field("Content-Range")), (200, "0123456789", None), "{range}");
    }
    let head = head_of(&mut client, &with("HEAD", "/digits.txt", &[("Range", "bytes=0-1")]));
    assert_eq!((head.status, head.field("Content-Length")), (200, Some("10")));
    example.terminate();
}

#[test]
fn conditional_requests() {
    let place = Place::new("conditions");
    let example = place.serve();
    let mut client = Client::connect(example.address());
    let answer = digits(&mut client, &[]);
    let (etag, date) = (answer.field("ETag").unwrap().to_owned(), answer.field("Last-Modified").unwrap().to_owned());
    let (etag, date) = (&*etag, &*date);
    let (past, future) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 2100 23:59:59 GMT");
    let weak = format!("W/{etag}");
    for (fields, expected) in [
        (&[("If-None-Match", etag)][..], 304),
        (&[("If-None-Match", &weak)], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"other\"")], 200),
        (&[("If-Modified-Since", date)], 304),
        (&[("If-Modified-Since", future)], 304),
        (&[("If-Modified-Since", past)], 200),
        (&[("If-Modified-Since", "yesterday")], 200),
        (&[("If-None-Match", "\"other\""), ("If-Modified-Since", date)], 200),
        (&[("If-None-Match", etag), ("If-Modified-Since", past)], 304),
        (&[("If-Match", etag)], 200),
        (&[("If-Match", "*")], 200),
        (&[("If-Match", &weak)], 412),
        (&[("If-Match", "\"other\"")], 412),
        (&[("If-Unmodified-Since", date)], 200),
        (&[("If-Unmodified-Since", past)], 412),
        (&[("If-Match", etag), ("If-Unmodified-Since", past)], 200),
        (&[("If-Match", "\"other\""), ("If-None-Match", etag)], 412),
        (&[("If-Match", etag), ("If-None-Match", etag)], 304),
        // Ranges come last.
        (&[("Range", "bytes=0-1"), ("If-None-Match", etag)], 304),
        (&[("Range", "bytes=0-1"), ("If-Match", "\"other\"")], 412),
        (&[("Range", "bytes=0-1"), ("If-Range", etag)], 206),
        (&[("Range", "bytes=0-1"), ("If-Range", date)], 206),
        (&[("Range", "bytes=0-1"), ("If-Range", &weak)], 200),
        (&[("Range", "bytes=0-1"), ("If-Range", "\"other\"")], 200),
        (&[("Range", "bytes=0-1"), ("If-Range", past)], 200),
        (&[("Range", "bytes=99-"), ("If-Range", "\"other\"")], 200),
        (&[("Range", "bytes=99-"), ("If-Range", etag)], 416),
    ] {
        let request = with("GET", "/digits.txt", fields);
        let answer = if expected == 304 { head_of(&mut client, &request) } else { client.ask(&request) };
        assert_eq!(answer.status, expected, "{fields:?}: {}", answer.head);
        assert_eq!((answer.field("ETag"), answer.field("Last-Modified")), (Some(etag), Some(date)), "{fields:?}");
        if expected == 304 {
            assert_eq!((answer.field("Content-Length"), answer.field("Content-Type")), (None, None));
        }
    }
    // A file that doesn't exist has no conditions.
    let answer = client.ask(&with("GET", "/nothing", &[("If-Match", "*"), ("If-None-Match", "*")]));
    assert_eq!(answer.status, 404);

    fs::write(place.root().join("digits.txt"), "changed").unwrap();
    let answer = digits(&mut client, &[("If-None-Match", etag)]);
    assert_eq!((answer.status, answer.text()), (200, "changed"));
    assert_ne!(answer.field("ETag"), Some(etag));
    example.terminate();
}

const LARGE: usize = 24 << 20;

fn large(path: &Path) -> Vec<u8> {
    let content: Vec<u8> = (0..LARGE).map(|i| (i % 251) as u8 ^ (i >> 16) as u8).collect();
    fs::write(path, &content).unwrap();
    content
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[test]
fn a_large_file_waits_for_its_reader_on_the_disk() {
    let place = Place::new("large");
    let content = large(&place.root().join("large.bin"));
    let example = place.serve();
    let (mut slow, mut other) = (Client::connect(example.address()), Client::connect(example.address()));
    assert_eq!(other.ask(&get("/digits.txt")).text(), "0123456789");
    let before = resident(example.pid());
    slow.send(&get("/large.bin"));
    let head = slow.head().unwrap();
    assert_eq!((head.status, head.field("Content-Length")), (200, Some(&*LARGE.to_string())));
    let mut received = Vec::new();
    for _ in 0..50 {
        received.extend(slow.some(100));
        assert_eq!(other.ask(&get("/digits.txt")).text(), "0123456789");
    }
    assert!(resident(example.pid()) < before + 8 * 1024, "it grew by {} KiB", resident(example.pid()) - before);
    while received.len() < LARGE {
        received.extend(slow.some(LARGE));
    }
    assert!(received == content, "the file came differently");
    assert_eq!(slow.ask(&get("/digits.txt")).text(), "0123456789");
    let tail = slow.ask(&with("GET", "/large.bin", &[("Range", "bytes=-1000000")]));
    assert!(tail.status == 206 && tail.body == content[LARGE - 1_000_000..]);
    example.terminate();
}

/// The promised length can't be kept, and the client has to see that.
#[test]
fn a_file_that_is_shortened_meanwhile_ends_in_a_cut() {
    let place = Place::new("shortened");
    large(&place.root().join("large.bin"));
    let example = place.serve();
    let mut client = Client::connect(example.address());
    client.send(&get("/large.bin"));
    assert_eq!(client.head().unwrap().status, 200);
    fs::OpenOptions::new().write(true).open(place.root().join("large.bin")).unwrap().set_len(1).unwrap();
    let error = client.read_exactly(LARGE).unwrap_err();
    assert!(matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset), "{error}");
    assert_eq!(Client::connect(example.address()).ask(&get("/digits.txt")).text(), "0123456789");
    example.terminate();
}

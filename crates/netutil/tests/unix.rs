//! `bind_unix_socket` against the file system: modes, stale and live files, abstract names.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use landspout_netutil::{BindError, UnixBindOptions, bind_unix_socket};
use socket2::SockRef;

/// A directory of the test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("landspout-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// One byte goes from a new client to whoever accepts on `listener`.
fn talk(listener: &UnixListener, mut client: UnixStream) {
    listener.set_nonblocking(false).unwrap();
    client.write_all(b"x").unwrap();
    let mut byte = [0];
    listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn a_new_file_has_the_mode_and_listens() {
    let directory = Directory::new("new");
    let path = directory.join("s");
    let listener = bind_unix_socket(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert!(SockRef::from(&listener).nonblocking().unwrap());
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_path()));
    talk(&listener, UnixStream::connect(&path).unwrap());

    // The file outlives its listener.
    drop(listener);
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
}

#[test]
fn the_mode_is_the_one_asked_for_whatever_the_umask() {
    let directory = Directory::new("mode");
    for wanted in [0o666, 0o660, 0o777, 0o200] {
        let path = directory.join(&format!("{wanted:o}"));
        let _listener = UnixBindOptions::new().mode(wanted).bind_unix_socket(&path).unwrap();
        assert_eq!(mode(&path), wanted);
    }
}

#[test]
fn a_stale_file_is_replaced() {
    let directory = Directory::new("stale");
    let path = directory.join("s");
    drop(UnixBindOptions::new().mode(0o777).bind_unix_socket(&path).unwrap());
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let listener = bind_unix_socket(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    talk(&listener, UnixStream::connect(&path).unwrap());
}

#[test]
fn a_live_socket_is_left_alone_unless_told_otherwise() {
    let directory = Directory::new("live");
    let path = directory.join("s");
    let first = bind_unix_socket(&path).unwrap();
    let error = bind_unix_socket(&path).unwrap_err();
    assert_eq!(error, BindError::InUse { path: path.clone() });
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    // The probe came and went; the first server is as it was.
    let mut end = Vec::new();
    first.accept().unwrap().0.read_to_end(&mut end).unwrap();
    assert!(end.is_empty());
    talk(&first, UnixStream::connect(&path).unwrap());

    let second = UnixBindOptions::new().replace_live(true).bind_unix_socket(&path).unwrap();
    talk(&second, UnixStream::connect(&path).unwrap());
}

#[test]
fn a_live_socket_with_a_full_backlog_is_live() {
    let directory = Directory::new("full");
    let path = directory.join("s");
    let _listener = UnixBindOptions::new().backlog(0).bind_unix_socket(&path).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    assert_eq!(bind_unix_socket(&path).unwrap_err(), BindError::InUse { path });
}

#[test]
fn a_datagram_socket_is_somebody_too() {
    let directory = Directory::new("datagram");
    let path = directory.join("s");
    let datagrams = UnixDatagram::bind(&path).unwrap();
    assert_eq!(bind_unix_socket(&path).unwrap_err(), BindError::InUse { path: path.clone() });
    drop(datagrams);
    bind_unix_socket(&path).unwrap();
}

#[test]
fn what_is_not_a_socket_is_not_touched() {
    let directory = Directory::new("other");
    let file = directory.join("file");
    fs::write(&file, "precious").unwrap();
    assert_eq!(bind_unix_socket(&file).unwrap_err(), BindError::NotASocket { path: file.clone() });
    let force = UnixBindOptions::new().replace_live(true);
    assert_eq!(force.bind_unix_socket(&file).unwrap_err(), BindError::NotASocket { path: file.clone() });
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    let link = directory.join("link");
    symlink(directory.join("nowhere"), &link).unwrap();
    assert_eq!(bind_unix_socket(&link).unwrap_err(), BindError::NotASocket { path: link.clone() });
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_bad_path_is_an_error_and_leaves_no_file() {
    let directory = Directory::new("bad");
    let long = directory.join(&"x".repeat(108));
    for path in [Path::new(""), Path::new("with\0nul"), &long] {
        match bind_unix_socket(path).unwrap_err() {
            BindError::Unix { path: named, source } => {
                assert_eq!(named, path);
                assert_eq!(source.kind(), ErrorKind::InvalidInput);
            }
            other => panic!("{other:?}"),
        }
    }
    let error = bind_unix_socket(directory.join("missing/s")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 0);
}

#[test]
fn a_file_we_may_not_connect_to_needs_force() {
    let directory = Directory::new("denied");
    let path = directory.join("s");
    drop(bind_unix_socket(&path).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    match bind_unix_socket(&path) {
        // root may connect to anything, and finds that nobody is there.
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            UnixBindOptions::new().replace_live(true).bind_unix_socket(&path).unwrap();
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_makes_no_file() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("landspout-abstract-{}", std::process::id());
    let path = format!("\0{name}");
    let listener = bind_unix_socket(&path).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    talk(&listener, UnixStream::connect_addr(&address).unwrap());

    let error = bind_unix_socket(&path).unwrap_err();
    assert_eq!(error, BindError::InUse { path: path.clone().into() });
    assert_eq!(error.to_string(), format!("another process listens on @{name}"));
    let force = UnixBindOptions::new().replace_live(true);
    assert_eq!(force.bind_unix_socket(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(listener);
    bind_unix_socket(&path).unwrap();
}

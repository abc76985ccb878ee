//! A failed bind leaves no descriptor and no file behind.
//!
//! The only test in this binary: it counts the descriptors of the process.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::net::UnixListener;

use landspout_netutil::{AddressFamily, BindOptions, UnixBindOptions, bind_sockets};

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_failed_bind_leaves_nothing_open() {
    // Taken on IPv6 only: the IPv4 wildcard is bound first, then given up.
    let taken = BindOptions::new().family(AddressFamily::Inet6).bind_sockets(0, None).unwrap();
    let port = taken[0].local_addr().unwrap().port();
    let before = descriptors();
    for _ in 0..10 {
        let error = bind_sockets(port, None).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on [::]:{port}"));
    }
    assert_eq!(descriptors(), before);
    // Its IPv4 half is free again.
    BindOptions::new().family(AddressFamily::Inet).bind_sockets(port, None).unwrap();

    let directory = std::env::temp_dir().join(format!("landspout-leak-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    let live = directory.join("live");
    let _listener = UnixListener::bind(&live).unwrap();
    let before = descriptors();
    for _ in 0..10 {
        UnixBindOptions::new().bind_unix_socket(&live).unwrap_err();
        UnixBindOptions::new().bind_unix_socket(directory.join("missing/file")).unwrap_err();
    }
    assert_eq!(descriptors(), before);
    fs::remove_dir_all(&directory).unwrap();
}

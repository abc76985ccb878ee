//! `bind_sockets` against the kernel: which addresses, which options, which errors.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use landspout_netutil::{AddressFamily, BindError, BindOptions, bind_sockets};
use socket2::SockRef;

fn ports(sockets: &[TcpListener]) -> Vec<u16> {
    sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect()
}

#[test]
fn nobody_and_nothing_mean_every_address_of_both_families() {
    for address in [None, Some("")] {
        let sockets = bind_sockets(0, address).unwrap();
        let shown: Vec<String> = sockets.iter().map(|socket| socket.local_addr().unwrap().ip().to_string()).collect();
        assert_eq!(shown, ["0.0.0.0", "::"]);
        let ports = ports(&sockets);
        assert_ne!(ports[0], 0);
        assert_eq!(ports[0], ports[1]);
        // They accept under either address, each family on its own socket.
        let _four = TcpStream::connect(("127.0.0.1", ports[0])).unwrap();
        let _six = TcpStream::connect(("::1", ports[0])).unwrap();
        for (socket, v4) in sockets.iter().zip([true, false]) {
            socket.set_nonblocking(false).unwrap();
            assert_eq!(socket.accept().unwrap().1.is_ipv4(), v4);
        }
    }
}

#[test]
fn a_name_gets_one_port_for_all_its_addresses() {
    let sockets = bind_sockets(0, "localhost").unwrap();
    let ports = ports(&sockets);
    assert!(!ports.is_empty() && ports.iter().all(|&port| port == ports[0]), "{ports:?}");
    assert!(sockets.iter().all(|socket| socket.local_addr().unwrap().ip().is_loopback()));
}

#[test]
fn a_family_restricts_the_set() {
    let four = BindOptions::new().family(AddressFamily::Inet).bind_sockets(0, None).unwrap();
    assert!(four.len() == 1 && four[0].local_addr().unwrap().is_ipv4());
    let six = BindOptions::new().family(AddressFamily::Inet6).bind_sockets(0, None).unwrap();
    assert!(six.len() == 1 && six[0].local_addr().unwrap().is_ipv6());

    let error = BindOptions::new().family(AddressFamily::Inet6).bind_sockets(0, "127.0.0.1").unwrap_err();
    assert_eq!(error, BindError::NoAddress { address: "127.0.0.1".into(), family: AddressFamily::Inet6 });
    assert_eq!(error.to_string(), "127.0.0.1 has no IPv6 address to listen on");
}

#[test]
fn sockets_have_the_options_they_should() {
    for socket in bind_sockets(0, None).unwrap() {
        let options = SockRef::from(&socket);
        assert!(options.reuse_address().unwrap());
        assert!(options.nonblocking().unwrap());
        assert!(!options.reuse_port().unwrap());
        if socket.local_addr().unwrap().is_ipv6() {
            assert!(options.only_v6().unwrap());
        }
        assert_eq!(socket.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(closes_on_exec(&socket));
    }
}

/// O_CLOEXEC (0o2000000) in /proc/self/fdinfo.
#[cfg(target_os = "linux")]
fn closes_on_exec(socket: &impl AsRawFd) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", socket.as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0
}

#[cfg(not(target_os = "linux"))]
fn closes_on_exec(_: &impl AsRawFd) -> bool {
    true
}

#[test]
fn a_restarted_server_gets_its_port_back_despite_time_wait() {
    let sockets = bind_sockets(0, "127.0.0.1").unwrap();
    let address = sockets[0].local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    sockets[0].set_nonblocking(false).unwrap();
    // The server's end closes first and keeps the port in TIME_WAIT.
    drop(sockets[0].accept().unwrap());
    assert_eq!(client.peek(&mut [0]).unwrap(), 0);
    drop(client);
    drop(sockets);
    bind_sockets(address.port(), "127.0.0.1").unwrap();
}

#[test]
fn reuse_port_shares_a_port_and_nothing_else_does() {
    let shared = BindOptions::new().reuse_port(true);
    let first = shared.bind_sockets(0, "127.0.0.1").unwrap();
    let port = ports(&first)[0];
    let second = shared.bind_sockets(port, "127.0.0.1").unwrap();
    assert_eq!(ports(&second), [port]);
    assert_eq!(bind_sockets(port, "127.0.0.1").unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = bind_sockets(0, "127.0.0.1").unwrap();
    let address = taken[0].local_addr().unwrap();
    match bind_sockets(address.port(), "127.0.0.1").unwrap_err() {
        BindError::Bind { address: named, source } => {
            assert_eq!(named, address);
            assert_eq!(source.kind(), ErrorKind::AddrInUse);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_of_another_host_is_an_error() {
    // TEST-NET-1 of RFC 5737.
    let error = bind_sockets(0, "192.0.2.1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0");
}

#[test]
fn an_unknown_name_is_an_error() {
    // A label of 64 letters is too long for DNS (RFC 1035, section 2.3.4): no resolver asks anybody about it.
    let name = "x".repeat(64) + ".invalid";
    for name in [name.as_str(), "with\0nul", "[::1]"] {
        match bind_sockets(0, name).unwrap_err() {
            BindError::Resolve { address, .. } => assert_eq!(address, name),
            other => panic!("{other:?}"),
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_backlog_is_what_was_asked_for() {
    let accepted = |sockets: &[TcpListener]| std::iter::from_fn(|| sockets[0].accept().ok()).count();

    // The first client is in for certain; of those that only begin to connect, the kernel ignores what exceeds the backlog.
    let sockets = BindOptions::new().backlog(1).bind_sockets(0, "127.0.0.1").unwrap();
    let address = sockets[0].local_addr().unwrap();
    let _first = TcpStream::connect(address).unwrap();
    let _others: Vec<socket2::Socket> = (0..8)
        .map(|_| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address.into());
            socket
        })
        .collect();
    // listen(2) on Linux: a backlog of n holds n + 1.
    let count = accepted(&sockets);
    assert!((1..=2).contains(&count), "{count}");

    // The default lets a hundred wait.
    let sockets = bind_sockets(0, "127.0.0.1").unwrap();
    let address = sockets[0].local_addr().unwrap();
    let _clients: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(accepted(&sockets), 100);
}

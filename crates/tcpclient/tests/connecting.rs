//! Connecting to real listeners on the loopback.

mod common;

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use landspout_ioloop::IoLoop;
use landspout_iostream::StreamOptions;
use landspout_netutil::{AddressFamily, ResolveError};
use landspout_tcpclient::{ConnectError, ConnectEvent, ConnectOptions, Stage, TcpClient};

use common::{
    BlackHole, Fixed, Ignorant, Silent, assert_talks, listen, listen_dual, refused, run, run_jumping, v4, v6,
};

fn dual(port: u16) -> TcpClient {
    TcpClient::with_resolver(Fixed::new(&[v6(port), v4(port)]))
}

#[test]
fn a_server_on_ipv4_is_reached_by_its_address() {
    run(async {
        let (listener, port) = listen(v4(0));
        let stream = TcpClient::new().connect("127.0.0.1", port).await.unwrap();
        assert_eq!(stream.peer_addr(), Some(v4(port)));
        assert_talks(&stream, &listener).await;
    });
}

#[test]
fn a_server_on_ipv4_is_reached_by_a_name_of_both_families() {
    run(async {
        let (listener, port) = listen(v4(0));
        let stream = dual(port).connect("both.test", port).await.unwrap();
        assert_eq!(stream.peer_addr(), Some(v4(port)));
        assert_talks(&stream, &listener).await;
        let stream = TcpClient::new().connect("localhost", port).await.unwrap();
        assert_talks(&stream, &listener).await;
    });
}

#[test]
fn a_server_on_ipv6_is_reached_by_its_address() {
    run(async {
        let (listener, port) = listen(v6(0));
        let stream = TcpClient::new().connect("::1", port).await.unwrap();
        assert_talks(&stream, &listener).await;
        let inet6 = ConnectOptions::new().af(AddressFamily::Inet6);
        let stream = TcpClient::new().connect_with("::1", port, &inet6).await.unwrap();
        assert_talks(&stream, &listener).await;
    });
}

#[test]
fn a_server_on_ipv6_is_reached_by_a_name_of_both_families() {
    run(async {
        let (listener, port) = listen(v6(0));
        let client = TcpClient::with_resolver(Fixed::new(&[v4(port), v6(port)]));
        let stream = client.connect("both.test", port).await.unwrap();
        assert_eq!(stream.peer_addr(), Some(v6(port)));
        assert_talks(&stream, &listener).await;
    });
}

#[test]
fn a_server_on_both_families_is_reached_by_either_address_and_by_name() {
    run(async {
        let (inet, inet6, port) = listen_dual();
        let client = TcpClient::new();
        assert_talks(&client.connect("127.0.0.1", port).await.unwrap(), &inet).await;
        assert_talks(&client.connect("::1", port).await.unwrap(), &inet6).await;
        // The name's first address is preferred.
        assert_talks(&dual(port).connect("both.test", port).await.unwrap(), &inet6).await;
        let options = ConnectOptions::new().af(AddressFamily::Inet);
        assert_talks(&dual(port).connect_with("both.test", port, &options).await.unwrap(), &inet).await;
    });
}

#[test]
fn a_refused_connection_is_an_io_error() {
    let (_inet, _inet6, port) = refused();
    let error = run(async move { TcpClient::new().connect("127.0.0.1", port).await }).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string(), format!("cannot connect to \"127.0.0.1\", port {port}, tried 127.0.0.1:{port}"));
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn when_all_fail_the_error_has_each_address_and_its_cause() {
    let (_inet, _inet6, port) = refused();
    let error = run(async move { dual(port).connect("both.test", port).await }).unwrap_err();
    let ConnectError::Failed { host, port: asked, attempts } = &error else { panic!("{error:?}") };
    assert_eq!((host.as_str(), *asked), ("both.test", port));
    let addresses: Vec<SocketAddr> = attempts.iter().map(|attempt| attempt.address).collect();
    assert_eq!(addresses, [v6(port), v4(port)]);
    for attempt in attempts {
        assert_eq!(attempt.cause.io_kind(), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(attempt.source_address, None);
    }
    let last = error.source().unwrap();
    assert_eq!(last.to_string(), format!("cannot connect to {}", v4(port)));
    assert!(last.source().unwrap().to_string().contains("refused"));
    assert!(error.to_string().ends_with(&format!("tried [::1]:{port}, 127.0.0.1:{port}")));
}

#[test]
fn a_source_address_that_is_not_ours_is_an_error() {
    let (_listener, port) = listen(v4(0));
    let foreign = IpAddr::from([192, 0, 2, 1]);
    let options = ConnectOptions::new().source_ip(foreign);
    let error = run(async move { TcpClient::new().connect_with("127.0.0.1", port, &options).await }).unwrap_err();
    let ConnectError::Failed { attempts, .. } = &error else { panic!("{error:?}") };
    assert_eq!(attempts[0].source_address, Some(SocketAddr::new(foreign, 0)));
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    assert_eq!(error.source().unwrap().to_string(), format!("cannot bind to 192.0.2.1:0 for 127.0.0.1:{port}"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_source_address_of_ours_is_used() {
    let (listener, port) = listen(v4(0));
    // All of 127.0.0.0/8 is the loopback on Linux, and none of it is what the system would pick but 127.0.0.1.
    let source = IpAddr::from([127, 1, 2, 3]);
    let options = ConnectOptions::new().source_ip(source);
    let stream = run(async move { TcpClient::new().connect_with("127.0.0.1", port, &options).await }).unwrap();
    assert_eq!(listener.accept().unwrap().1.ip(), source);
    drop(stream);
}

#[test]
fn a_source_port_that_cannot_be_had_is_an_error() {
    let (_listener, port) = listen(v4(0));
    let (_other, taken) = listen(v4(0));
    let options = ConnectOptions::new().source_port(taken);
    let error = run(async move { TcpClient::new().connect_with("127.0.0.1", port, &options).await }).unwrap_err();
    let ConnectError::Failed { attempts, .. } = &error else { panic!("{error:?}") };
    assert_eq!(attempts[0].source_address, Some(v4(taken)));
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn a_source_port_without_an_address_is_one_of_the_loopback_of_each_family() {
    let (inet, inet6, port) = listen_dual();
    for (listener, host, source) in [(inet, "127.0.0.1", v4(0)), (inet6, "::1", v6(0))] {
        let (reserved, free) = listen(source);
        drop(reserved);
        let options = ConnectOptions::new().source_port(free);
        let stream = run(async move { TcpClient::new().connect_with(host, port, &options).await }).unwrap();
        assert_eq!(listener.accept().unwrap().1, SocketAddr::new(source.ip(), free));
        drop(stream);
    }
}

#[test]
fn only_addresses_of_the_sources_family_are_tried() {
    let (inet, _inet6, port) = listen_dual();
    let options = ConnectOptions::new().source_ip(Ipv4Addr::LOCALHOST.into());
    run(async move {
        let stream = dual(port).connect_with("both.test", port, &options).await.unwrap();
        assert_talks(&stream, &inet).await;
        let options = options.af(AddressFamily::Inet6);
        let error = dual(port).connect_with("both.test", port, &options).await.unwrap_err();
        let (source_ip, family) = (Ipv4Addr::LOCALHOST.into(), AddressFamily::Inet6);
        assert_eq!(error, ConnectError::SourceFamily { source_ip, family });
        let options = ConnectOptions::new().source_ip(Ipv6Addr::LOCALHOST.into()).af(AddressFamily::Inet6);
        assert!(dual(port).connect_with("both.test", port, &options).await.is_ok());
    });
}

#[test]
fn a_lookup_that_fails_is_the_error() {
    let error = run(async { TcpClient::with_resolver(Ignorant).connect("nobody.test", 80).await }).unwrap_err();
    let ConnectError::Resolve(cause) = &error else { panic!("{error:?}") };
    assert_eq!(cause.host(), "nobody.test");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(error.source().unwrap().to_string(), "cannot resolve \"nobody.test\"");
}

#[test]
fn a_resolver_without_an_answer_is_an_error() {
    let error = run(async { TcpClient::with_resolver(Fixed::new(&[])).connect("nobody.test", 80).await }).unwrap_err();
    let (host, family) = ("nobody.test".to_owned(), AddressFamily::Unspecified);
    assert_eq!(error, ConnectError::Resolve(ResolveError::NoAddress { host, family }));
}

#[test]
fn a_resolver_that_never_answers_ends_in_a_timeout() {
    let limit = Duration::from_millis(50);
    let options = ConnectOptions::new().timeout(limit);
    let client = TcpClient::with_resolver(Silent);
    let all = client.clone();
    let error = run_jumping(async move { all.connect_with("slow.test", 80, &options).await }).unwrap_err();
    let expected = |limit| ConnectError::Timeout {
        host: "slow.test".to_owned(),
        port: 80,
        stage: Stage::Resolve,
        limit,
        attempts: Vec::new(),
    };
    assert_eq!(error, expected(limit));
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "\"slow.test\", port 80: the lookup was not done within 50ms");

    // The stage's own limit, where it is shorter.
    let options = ConnectOptions::new().timeout(limit * 2).resolve_timeout(limit).connect_timeout(limit / 2);
    let error = run_jumping(async move { client.connect_with("slow.test", 80, &options).await }).unwrap_err();
    assert_eq!(error, expected(limit));
}

#[cfg(target_os = "linux")]
#[test]
fn attempts_without_an_answer_end_in_a_timeout() {
    let hole = BlackHole::at(v4(0));
    let (_inet, _inet6, closed) = refused();
    let resolver = Fixed::new(&[v6(closed), hole.address]);
    let limit = Duration::from_secs(10);
    for options in [
        ConnectOptions::new().connect_timeout(limit),
        ConnectOptions::new().timeout(limit),
        ConnectOptions::new().connect_timeout(limit).timeout(limit * 2),
    ] {
        let client = TcpClient::with_resolver(resolver.clone());
        let error = run_jumping(async move {
            let begin = IoLoop::current().now();
            let error = client.connect_with("slow.test", 80, &options).await.unwrap_err();
            let passed = IoLoop::current().now() - begin;
            assert!(passed >= limit && passed < limit + Duration::from_secs(1), "{passed:?}");
            error
        });
        let ConnectError::Timeout { stage: Stage::Connect, limit: named, attempts, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((*named, attempts.len()), (limit, 1));
        assert_eq!(attempts[0].address, v6(closed));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_family_that_leads_nowhere_costs_the_delay() {
    let hole = BlackHole::at(v6(0));
    let (listener, port) = listen(v4(0));
    let resolver = Fixed::new(&[hole.address, v4(port)]);
    let delay = Duration::from_millis(1234);
    for (options, expected) in [
        (ConnectOptions::new(), Duration::from_millis(300)),
        (ConnectOptions::new().attempt_delay(delay), delay),
        (ConnectOptions::new().attempt_delay(Duration::ZERO), Duration::ZERO),
    ] {
        let client = TcpClient::with_resolver(resolver.clone());
        let stream = run_jumping(async move {
            let begin = IoLoop::current().now();
            let stream = client.connect_with("half.test", port, &options).await.unwrap();
            let passed = IoLoop::current().now() - begin;
            assert!(passed >= expected && passed < expected + Duration::from_millis(10), "{passed:?}");
            stream
        });
        assert!(listener.accept().is_ok());
        drop(stream);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_tried_is_told_as_it_happens() {
    let hole = BlackHole::at(v6(0));
    let (_inet, _inet6, closed) = refused();
    let (_listener, port) = listen(v4(0));
    let addresses = [v6(closed), hole.address, v4(port)];
    let client = TcpClient::with_resolver(Fixed::new(&addresses));
    let told: Rc<RefCell<Vec<String>>> = Rc::default();
    let teller = told.clone();
    let options = ConnectOptions::new().on_event(move |event| {
        assert!(!matches!(event, ConnectEvent::Failed(attempt) if attempt.address != v6(closed)));
        teller.borrow_mut().push(event.to_string());
    });
    run(async move { client.connect_with("some.test", port, &options).await.unwrap() });
    let expected = [
        format!("resolved to {addresses:?}"),
        format!("trying [::1]:{closed}"),
        format!("cannot connect to [::1]:{closed}: {}", std::io::Error::from_raw_os_error(111)),
        format!("trying {}", hole.address),
        format!("trying 127.0.0.1:{port}"),
        format!("connected to 127.0.0.1:{port}"),
        format!("gave up {}", hole.address),
    ];
    assert_eq!(*told.borrow(), expected);
}

#[test]
fn the_stream_has_the_limits_that_were_asked_for() {
    let (_listener, port) = listen(v4(0));
    run(async move {
        let limits = StreamOptions::new().max_write_buffer_size(4096);
        let options = ConnectOptions::new().stream_options(limits).max_buffer_size(10_000);
        let stream = TcpClient::new().connect_with("127.0.0.1", port, &options).await.unwrap();
        assert_eq!(*stream.options(), limits.max_buffer_size(10_000).read_chunk_size(5000));
    });
}

#[test]
fn a_client_makes_many_connections_at_once() {
    run(async {
        let (listener, port) = listen(v4(0));
        let client = TcpClient::new();
        let mut calls = Vec::new();
        for _ in 0..20 {
            let client = client.clone();
            calls.push(IoLoop::current().spawn(async move { client.connect("127.0.0.1", port).await }));
        }
        for call in calls {
            let stream = call.await.unwrap().unwrap();
            assert_talks(&stream, &listener).await;
        }
    });
}

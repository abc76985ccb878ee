//! The PROXY protocol before the first byte: whom a server believes, what its handlers see, and what becomes of the rest.

mod common;

use std::cell::RefCell;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use common::*;
use landspout_ioloop::{IoLoop, ManualClock};
use landspout_iostream::{IoStream, StreamOptions};
use landspout_netutil::{PeerAddress, TrustedPeers, bind_unix_socket};
use landspout_tcpserver::{ProxyProtocol, TcpServer, TcpServerOptions};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02\x07\xC6\x33\x64\x01\xDC\x04\x01\xBB";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const CLIENT: &str = "192.0.2.7:56324";

fn from_loopback() -> ProxyProtocol {
    ProxyProtocol::trusting(TrustedPeers::loopback())
}

/// Answers each line with the peer's address and the line.
fn telling(options: TcpServerOptions) -> TcpServer {
    let server =
        options.handler(async |stream: IoStream, address: PeerAddress| -> Result<(), landspout_tcpserver::BoxError> {
            loop {
                let line = stream.read_until(b"\n", Some(1000)).await?;
                stream.write(format!("{address} {}", String::from_utf8_lossy(&line)).as_bytes())?;
            }
        });
    server.listen(0, "127.0.0.1").unwrap();
    server
}

/// The connection stands when this returns; the server accepts it when the loop turns.
fn connect(server: &TcpServer) -> IoStream {
    IoStream::from_tcp(TcpStream::connect(server.addresses()[0]).unwrap(), StreamOptions::new()).unwrap()
}

async fn line(stream: &IoStream) -> String {
    String::from_utf8(stream.read_until(b"\n", None).await.unwrap().to_vec()).unwrap()
}

/// Nothing came, and nothing will.
async fn refused(stream: &IoStream) {
    assert_eq!(stream.read_until_close().await.unwrap_or_default(), "", "it is closed without a word");
}

#[test]
fn the_peer_is_who_the_proxy_says_it_is() {
    run(async {
        let server = telling(TcpServerOptions::new().proxy_protocol(from_loopback()));
        for header in [V1, V2] {
            let client = connect(&server);
            client.write(header).unwrap().await.unwrap();
            client.write(b"one\n").unwrap();
            assert_eq!(line(&client).await, format!("{CLIENT} one\n"));
            client.write(b"two\n").unwrap();
            assert_eq!(line(&client).await, format!("{CLIENT} two\n"));
        }
    });
}

#[test]
fn a_header_may_come_in_pieces_and_with_what_follows_it() {
    run(async {
        let server = telling(TcpServerOptions::new().proxy_protocol(from_loopback()));
        for header in [V1, V2] {
            let bytes = [header, b"one\ntwo\n"].concat();
            for cut in 0..=bytes.len() {
                let client = connect(&server);
                client.write(&bytes[..cut]).unwrap();
                turns(3).await;
                client.write(&bytes[cut..]).unwrap();
                assert_eq!(line(&client).await, format!("{CLIENT} one\n"), "cut at {cut}");
                assert_eq!(line(&client).await, format!("{CLIENT} two\n"), "cut at {cut}");
            }
        }
    });
}

#[test]
fn without_a_client_the_peer_is_the_proxy() {
    run(async {
        let server = telling(TcpServerOptions::new().proxy_protocol(from_loopback()));
        for header in [V2_LOCAL, b"PROXY UNKNOWN\r\n"] {
            let socket = TcpStream::connect(server.addresses()[0]).unwrap();
            let address = socket.local_addr().unwrap();
            let client = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
            client.write(&[header, b"check\n"].concat()).unwrap();
            assert_eq!(line(&client).await, format!("{address} check\n"));
        }
    });
}

#[test]
fn the_stream_knows_its_socket() {
    run(async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let server = TcpServerOptions::new().proxy_protocol(from_loopback()).on_stream({
            let seen = seen.clone();
            move |stream, address| seen.borrow_mut().push((stream.peer_addr().unwrap(), address.inet().unwrap()))
        });
        server.listen(0, "127.0.0.1").unwrap();
        let socket = TcpStream::connect(server.addresses()[0]).unwrap();
        let own = socket.local_addr().unwrap();
        let client = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
        client.write(V1).unwrap();
        until(|| !seen.borrow().is_empty()).await;
        assert_eq!(*seen.borrow(), [(own, CLIENT.parse().unwrap())]);
    });
}

#[test]
fn peers_that_are_not_trusted_are_refused_unheard() {
    run(async {
        let nobody = ProxyProtocol::trusting("10.0.0.0/8, ::1, unix".parse().unwrap());
        let server = telling(TcpServerOptions::new().proxy_protocol(nobody));
        for bytes in [V1, b"one\n", b""] {
            let client = connect(&server);
            let _ = client.write(bytes);
            refused(&client).await;
        }
        let counts = server.connections();
        assert_eq!((counts.open, counts.accepted, counts.refused, counts.refused_proxy_protocol), (0, 3, 0, 3));
    });
}

#[test]
fn peers_that_are_not_trusted_may_speak_for_themselves() {
    run(async {
        let others = ProxyProtocol::trusting("10.0.0.0/8".parse().unwrap()).serve_others(true);
        let server = telling(TcpServerOptions::new().proxy_protocol(others));
        let socket = TcpStream::connect(server.addresses()[0]).unwrap();
        let own = socket.local_addr().unwrap();
        let client = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
        client.write(V1).unwrap();
        assert_eq!(line(&client).await, format!("{own} {}", String::from_utf8_lossy(V1)), "a header is data");
    });
}

#[test]
fn unix_sockets_are_trusted_if_they_are_named() {
    run(async {
        let path = std::env::temp_dir().join(format!("landspout-proxy-protocol-{}", std::process::id()));
        for (trusted, answer) in [(TrustedPeers::none().unix(true), Some(CLIENT)), (TrustedPeers::loopback(), None)] {
            let server = telling(TcpServerOptions::new().proxy_protocol(ProxyProtocol::trusting(trusted)));
            server.add_socket(bind_unix_socket(&path).unwrap()).unwrap();
            let client = IoStream::connect_unix(&path).await.unwrap();
            let _ = client.write(&[V1, b"one\n"].concat());
            match answer {
                Some(address) => assert_eq!(line(&client).await, format!("{address} one\n")),
                None => refused(&client).await,
            }
            std::fs::remove_file(&path).unwrap();
        }
    });
}

#[test]
fn what_is_no_header_closes_the_connection_and_is_logged() {
    let ((), lines) = logged(|| {
        run(async {
            let server = telling(TcpServerOptions::new().proxy_protocol(from_loopback()));
            for bytes in
                [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY TCP4 here there 1 2\r\none\n", b"\x16\x03\x01\x02\0\x01"]
            {
                let client = connect(&server);
                client.write(bytes).unwrap();
                refused(&client).await;
            }
            assert_eq!(server.connections().refused_proxy_protocol, 3);
            until(|| server.connections().open == 0).await;
        });
    });
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, expected) in lines.iter().zip(["no header of the PROXY protocol", "malformed PROXY line", "no header"]) {
        assert!(line.starts_with("INFO closing a connection of 127.0.0.1:") && line.contains(expected), "{line}");
    }
}

#[test]
fn a_header_of_version_2_has_a_limit() {
    run(async {
        let server = telling(TcpServerOptions::new().proxy_protocol(from_loopback().max_header_size(27)));
        let client = connect(&server);
        client.write(V2).unwrap();
        refused(&client).await;
        let server = telling(TcpServerOptions::new().proxy_protocol(from_loopback().max_header_size(28)));
        let client = connect(&server);
        client.write(&[V2, b"one\n"].concat()).unwrap();
        assert_eq!(line(&client).await, format!("{CLIENT} one\n"));
    });
}

/// Whoever looks whether the port is open is no incident, whoever stops in the middle is.
#[test]
fn a_connection_may_end_before_its_header() {
    let ((), lines) = logged(|| {
        run(async {
            let server = telling(TcpServerOptions::new().proxy_protocol(from_loopback()));
            drop(connect(&server));
            until(|| server.connections().accepted == 1 && server.connections().open == 0).await;
            assert_eq!(server.connections().refused_proxy_protocol, 0);
            let client = connect(&server);
            client.write(&V1[..20]).unwrap();
            drop(client);
            until(|| server.connections().refused_proxy_protocol == 1).await;
        });
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("ended within the header"), "{lines:?}");
}

#[test]
fn a_header_has_a_deadline() {
    install();
    let clock = ManualClock::new();
    let io_loop = IoLoop::with_clock(clock.clone());
    let test = io_loop.run_sync(async move {
        let server = telling(TcpServerOptions::new().proxy_protocol(from_loopback()));
        let (silent, slow, good) = (connect(&server), connect(&server), connect(&server));
        until(|| server.connections().accepted == 3).await;
        for n in 0..9 {
            slow.write(&V1[n..=n]).unwrap();
            clock.advance(Duration::from_secs(1));
            turns(3).await;
        }
        assert_eq!(server.connections().open, 3);
        good.write(&[V1, b"one\n"].concat()).unwrap();
        assert_eq!(line(&good).await, format!("{CLIENT} one\n"));
        clock.advance(Duration::from_secs(1));
        refused(&silent).await;
        refused(&slow).await;
        assert_eq!(server.connections().refused_proxy_protocol, 2);
        clock.advance(Duration::from_secs(100));
        good.write(b"two\n").unwrap();
        assert_eq!(line(&good).await, format!("{CLIENT} two\n"));
    });
    test.unwrap();
}

#[test]
fn the_limit_for_each_peer_counts_clients() {
    run(async {
        let options = TcpServerOptions::new().proxy_protocol(from_loopback()).max_connections_per_peer(1);
        let server = telling(options);
        // Three of the proxy, which nobody has spoken for.
        let waiting = [connect(&server), connect(&server), connect(&server)];
        until(|| server.connections().open == 3).await;
        let [first, second, other] = &waiting;
        first.write(&[V1, b"one\n"].concat()).unwrap();
        assert_eq!(line(first).await, format!("{CLIENT} one\n"));
        second.write(&[V2, b"one\n"].concat()).unwrap();
        refused(second).await;
        assert_eq!(server.connections().refused_per_peer, 1);
        other.write(b"PROXY TCP4 192.0.2.8 198.51.100.1 1 443\r\none\n").unwrap();
        assert_eq!(line(other).await, "192.0.2.8:1 one\n");
        // A place that is free again.
        first.close();
        until(|| server.connections().open == 1).await;
        let again = connect(&server);
        again.write(&[V1, b"one\n"].concat()).unwrap();
        assert_eq!(line(&again).await, format!("{CLIENT} one\n"));
    });
}

#[test]
fn a_drain_waits_for_nobody_who_has_not_arrived() {
    run(async {
        let patient = from_loopback().header_timeout(Duration::from_secs(3600));
        let server = telling(TcpServerOptions::new().proxy_protocol(patient));
        let (waiting, served) = (connect(&server), connect(&server));
        served.write(&[V1, b"one\n"].concat()).unwrap();
        assert_eq!(line(&served).await, format!("{CLIENT} one\n"));
        assert_eq!(server.connections().open, 2);
        let drained = IoLoop::current().spawn({
            let server = server.clone();
            async move { server.drain(Duration::from_secs(60)).await }
        });
        refused(&waiting).await;
        served.write(b"two\n").unwrap();
        assert_eq!(line(&served).await, format!("{CLIENT} two\n"));
        served.close();
        assert_eq!(drained.await.unwrap(), 0);
    });
}

/// It has to be cut at the deadline like any other.
#[test]
fn a_drain_cuts_who_has_arrived() {
    run(async {
        let server = telling(TcpServerOptions::new().proxy_protocol(from_loopback()));
        let served = connect(&server);
        served.write(&[V1, b"one\n"].concat()).unwrap();
        assert_eq!(line(&served).await, format!("{CLIENT} one\n"));
        assert_eq!(server.drain(Duration::ZERO).await, 1);
        refused(&served).await;
    });
}

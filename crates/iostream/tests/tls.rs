//! TLS: beginning it, who is trusted, what is agreed on, what is said at the end, and what a bad peer can't do. That streams
//! read, write and close over TLS as over anything else is shown where these are tested.
#![cfg(feature = "tls")]

#[macro_use]
mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use common::tls::{
    Authority, BOTH_VERSIONS, NAME, WORLD, client, client_config, client_config_of, secured, server, server_config,
    server_config_of,
};
use common::*;
use landspout_ioloop::{IoLoop, ManualClock};
use landspout_iostream::{CloseCause, IoStream, StreamError, StreamOptions, Tls, TlsFailure};

fn plain() -> (IoStream, IoStream) {
    Over::Tcp.plain_pair(StreamOptions::new(), StreamOptions::new())
}

/// A stream and the blocking socket of its peer.
fn with_socket() -> (IoStream, std::net::TcpStream) {
    let (one, other) = tcp_sockets();
    (IoStream::from_tcp(one, StreamOptions::new()).unwrap(), other)
}

fn failure(result: Result<(), StreamError>) -> TlsFailure {
    match result {
        Err(StreamError::Closed(Some(CloseCause::Tls(failure)))) => failure,
        other => panic!("no failure of TLS but {other:?}"),
    }
}

/// Tornado: TestIOStreamStartTLS.test_start_tls_smtp.
#[test]
fn plain_lines_then_tls_on_the_same_streams() {
    run(async {
        let (server_side, client_side) = plain();
        let served = spawn(async move {
            server_side.write(b"220 mail\r\n").unwrap();
            assert_eq!(server_side.read_until(b"\r\n", Some(100)).await.unwrap(), &b"EHLO me\r\n"[..]);
            server_side.write(b"250 STARTTLS\r\n").unwrap();
            assert_eq!(server_side.read_until(b"\r\n", Some(100)).await.unwrap(), &b"STARTTLS\r\n"[..]);
            // Not awaited: what is only waiting for the turn's end goes out as it is.
            server_side.write(b"220 go ahead\r\n").unwrap();
            let clone = server_side.clone();
            assert!(!clone.is_layered());
            server_side.start_tls(server()).await.unwrap();
            assert!(clone.is_layered(), "every handle is of the same stream");
            assert_eq!(clone.read_until(b"\r\n", Some(100)).await.unwrap(), &b"MAIL\r\n"[..]);
            clone.write(b"250 OK\r\n").unwrap().await.unwrap();
        });
        assert_eq!(client_side.read_until(b"\r\n", None).await.unwrap(), &b"220 mail\r\n"[..]);
        client_side.write(b"EHLO me\r\n").unwrap();
        assert_eq!(client_side.read_until(b"\r\n", None).await.unwrap(), &b"250 STARTTLS\r\n"[..]);
        client_side.write(b"STARTTLS\r\n").unwrap();
        assert_eq!(client_side.read_until(b"\r\n", None).await.unwrap(), &b"220 go ahead\r\n"[..]);
        client_side.start_tls(client()).await.unwrap();
        client_side.write(b"MAIL\r\n").unwrap();
        assert_eq!(client_side.read_until(b"\r\n", None).await.unwrap(), &b"250 OK\r\n"[..]);
        served.await.unwrap();
    });
}

/// Tornado: TestIOStreamStartTLS.test_handshake_fail.
#[test]
fn a_certificate_of_nobody_we_know_is_refused_on_both_sides() {
    let ((), lines) = logged(|| {
        run(async {
            let (one, other) = plain();
            let stranger = Arc::new(client_config_of(BOTH_VERSIONS, Authority::new().roots()));
            one.begin_tls(Tls::client(stranger, NAME).unwrap()).unwrap();
            let served = spawn(async move { other.start_tls(server()).await });
            let refused = failure(one.wait_for_handshake().await);
            assert!(refused.is_certificate() && !refused.is_alert(), "{refused}");
            assert!(one.closed());
            let told = failure(served.await.unwrap());
            assert!(told.is_alert() && !told.is_certificate(), "{told}");
        });
    });
    assert_eq!(lines.len(), 2, "one line for each side: {lines:?}");
    assert!(lines.iter().all(|line| line.starts_with("INFO handshake with 127.0.0.1:")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("invalid peer certificate")), "with what rustls says: {lines:?}");
}

/// Tornado: TestIOStreamStartTLS.test_check_hostname, TestIOStreamCheckHostname.test_no_match.
#[test]
fn a_certificate_for_another_name_is_refused() {
    run(async {
        let (one, other) = plain();
        let served = spawn(async move { other.start_tls(server()).await });
        let tls = Tls::client(Arc::new(client_config()), "bar.example.com").unwrap();
        let refused = failure(one.start_tls(tls).await);
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert!(refused.is_certificate() && why.contains("bar.example.com"), "{why}");
        assert!(failure(served.await.unwrap()).is_alert());
    });
}

#[test]
fn a_server_name_is_a_host_name_or_an_address() {
    let config = Arc::new(client_config());
    for name in ["", "with space", "a..b", "\0"] {
        let refused = Tls::client(config.clone(), name).unwrap_err();
        assert_eq!(refused.name, name);
    }
    for name in ["localhost", "127.0.0.1", "::1", "foo.example.com"] {
        Tls::client(config.clone(), name).unwrap();
    }
}

/// Tornado: WaitForHandshakeTest.test_wait_for_handshake_future and test_wait_for_handshake_already_connected; and where Tornado
/// has test_wait_for_handshake_already_waiting_error, several may wait.
#[test]
fn any_number_of_tasks_wait_for_a_handshake() {
    run(async {
        let (one, other) = plain();
        other.begin_tls(server()).unwrap();
        let waiting: Vec<_> = [other.clone(), other.clone()]
            .map(|stream| spawn(async move { stream.wait_for_handshake().await }))
            .into_iter()
            .collect();
        turns(3).await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        assert_eq!((other.tls(), other.is_layered()), (None, true), "nothing is agreed on yet");
        one.start_tls(client()).await.unwrap();
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        assert!(other.tls().is_some());
        other.wait_for_handshake().await.unwrap();
        other.wait_for_handshake().await.unwrap();
        // A stream without TLS has no handshake to wait for.
        let (plain, _peer) = plain();
        plain.wait_for_handshake().await.unwrap();
        assert_eq!(plain.tls(), None);
    });
}

/// Neither side reads, writes or waits: the loop does it all.
#[test]
fn a_handshake_needs_nobody_who_reads_or_writes() {
    run(async {
        let (one, other) = plain();
        one.begin_tls(client()).unwrap();
        other.begin_tls(server()).unwrap();
        until(|| one.tls().is_some() && other.tls().is_some()).await;
    });
}

/// Tornado: TestIOStreamWebHTTPS.test_write_while_connecting.
#[test]
fn what_is_written_before_goes_out_when_the_handshake_is_done() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let stream = IoStream::connecting(socket, &address.into(), StreamOptions::new()).unwrap();
        stream.begin_tls(client()).unwrap();
        let order = Trace::default();
        let (waiting, trace) = (stream.clone(), order.clone());
        let connected = spawn(async move {
            waiting.connected().await.unwrap();
            trace.push("connected");
        });
        let (written, trace) = (stream.write(b"hello").unwrap(), order.clone());
        let written = spawn(async move {
            written.await.unwrap();
            trace.push("written");
        });
        let accepted = IoStream::from_tcp(listener.accept().unwrap().0, StreamOptions::new()).unwrap();
        assert!(order.is_empty() && stream.writing());
        accepted.begin_tls(server()).unwrap();
        assert_eq!(accepted.read_bytes(5).await.unwrap(), "hello");
        connected.await.unwrap();
        written.await.unwrap();
        assert_eq!(order.take(), ["connected", "written"]);
    });
}

#[test]
fn connect_tls_and_its_refusals() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = spawn(async move {
            let mut streams = Vec::new();
            listener.set_nonblocking(true).unwrap();
            while streams.len() < 2 {
                match listener.accept() {
                    Ok((socket, _)) => {
                        let stream = IoStream::from_tcp(socket, StreamOptions::new()).unwrap();
                        streams.push((stream.start_tls(server()).await, stream));
                    }
                    Err(_) => next_turn().await,
                }
            }
            streams
        });
        let stream = IoStream::connect_tls(address, client()).await.unwrap();
        assert_eq!(stream.tls().unwrap().peer_certificates, [WORLD.server.certificate.to_vec()]);
        let other_name = Tls::client(Arc::new(client_config()), "other.example.com").unwrap();
        assert!(failure(IoStream::connect_tls(address, other_name).await.map(drop)).is_certificate());
        let outcomes: Vec<bool> = served.await.unwrap().into_iter().map(|(result, _)| result.is_ok()).collect();
        assert_eq!(outcomes, [true, false]);
        // Nobody listens there any more.
        assert_closed_by(&IoStream::connect_tls(address, client()).await, std::io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn what_was_agreed_on() {
    run(async {
        let versions: [(&[_], _, _); 2] = [
            (&[&rustls::version::TLS12], "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
            (&[&rustls::version::TLS13], "TLSv1.3", "TLS13_AES_256_GCM_SHA384"),
        ];
        for (versions, version, cipher) in versions {
            let (mut offered, mut taken) = (client_config_of(versions, WORLD.authority.roots()), server_config());
            offered.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            taken.alpn_protocols = vec![b"http/1.1".to_vec()];
            let (offered, taken) = (Arc::new(offered), Arc::new(taken));
            for resumed in [false, true] {
                let (one, other) = plain();
                one.begin_tls(Tls::client(offered.clone(), NAME).unwrap()).unwrap();
                other.start_tls(Tls::server(taken.clone())).await.unwrap();
                one.wait_for_handshake().await.unwrap();
                let (ours, theirs) = (one.tls().unwrap(), other.tls().unwrap());
                for side in [&ours, &theirs] {
                    assert_eq!((side.version, side.cipher, side.resumed), (version, cipher, resumed));
                    assert_eq!(side.alpn.as_deref(), Some(&b"http/1.1"[..]));
                }
                assert_eq!((ours.server_name.as_deref(), theirs.server_name.as_deref()), (None, Some(NAME)));
                assert_eq!(ours.peer_certificates, [WORLD.server.certificate.to_vec()]);
                assert!(theirs.peer_certificates.is_empty(), "clients were not asked");
                // The ticket of TLS 1.3 comes behind the handshake.
                other.write(b"x").unwrap();
                one.read_bytes(1).await.unwrap();
            }
        }
    });
}

#[test]
fn nothing_in_common_is_told() {
    run(async {
        let (one, other) = plain();
        let old = Arc::new(client_config_of(&[&rustls::version::TLS12], WORLD.authority.roots()));
        let new = Arc::new(server_config_of(&[&rustls::version::TLS13], false));
        one.begin_tls(Tls::client(old, NAME).unwrap()).unwrap();
        assert!(!failure(other.start_tls(Tls::server(new)).await).is_alert());
        assert!(failure(one.wait_for_handshake().await).is_alert());
    });
}

#[test]
fn clients_show_certificates_when_asked() {
    run(async {
        let asking = Arc::new(server_config_of(BOTH_VERSIONS, true));
        let mut shown = client_config();
        let known = rustls::sign::CertifiedKey::from_der(
            vec![WORLD.client.certificate.clone()],
            WORLD.client.key(),
            &common::tls::provider(),
        );
        shown.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(known.unwrap()));
        let (one, other) = plain();
        one.begin_tls(Tls::client(Arc::new(shown), NAME).unwrap()).unwrap();
        other.start_tls(Tls::server(asking.clone())).await.unwrap();
        assert_eq!(other.tls().unwrap().peer_certificates, [WORLD.client.certificate.to_vec()]);

        let (one, other) = plain();
        one.begin_tls(client()).unwrap();
        assert!(!failure(other.start_tls(Tls::server(asking)).await).is_alert());
        // In TLS 1.3 the client believes to be done before the server has looked; the next read tells.
        let told = one.read_bytes(1).await.map(drop);
        assert!(failure(told).is_alert());
    });
}

/// What is read or written in plain would be taken for what came over TLS, or the other way round (CVE-2011-0411).
#[test]
fn tls_begins_on_idle_streams_alone() {
    run(async {
        let (one, other) = plain();
        let reading = spawn({
            let one = one.clone();
            async move { one.read_bytes(2).await }
        });
        until(|| one.reading()).await;
        assert_eq!(one.begin_tls(client()), Err(StreamError::NotIdle), "a read waits");
        other.write(b"two lines").unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), "tw");
        assert_eq!(one.begin_tls(client()), Err(StreamError::NotIdle), "bytes are unread");
        assert_eq!(one.read_bytes(7).await.unwrap(), "o lines", "and still there");
        let large = one.write(&vec![b'x'; 20_000_000]).unwrap();
        assert_eq!(one.begin_tls(client()), Err(StreamError::NotIdle), "bytes are unsent");
        other.read_bytes(20_000_000).await.unwrap();
        large.await.unwrap();
        let shared = one.write_bytes(vec![b'x'; 20_000_000]).unwrap();
        assert_eq!(one.begin_tls(client()), Err(StreamError::NotIdle), "shared bytes are unsent");
        other.read_bytes(20_000_000).await.unwrap();
        shared.await.unwrap();
        one.begin_tls(client()).unwrap();
        assert_eq!(one.begin_tls(client()), Err(StreamError::NotIdle), "it has begun");
        other.begin_tls(server()).unwrap();
        one.wait_for_handshake().await.unwrap();
        other.close();
        assert_eq!(other.begin_tls(server()), Err(StreamError::Closed(None)));
    });
}

/// TLS in TLS: a layer lies over whatever is there.
#[test]
fn a_layer_over_a_layer() {
    run(async {
        let (one, other) = secured(secured(plain()).await).await;
        one.write(b"twice").unwrap();
        assert_eq!(other.read_bytes(5).await.unwrap(), "twice");
        one.close();
        assert_closed_cleanly(&other.read_bytes(1).await);
    });
}

/// Every byte of the handshake, of the records and of the goodbye arrives alone.
#[test]
fn bytes_that_come_one_by_one() {
    run(async {
        for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
            let wires = simulated::wired(simulated::CAPACITY, StreamOptions::new(), StreamOptions::new());
            wires.there.limit_pieces(1);
            wires.back.limit_pieces(1);
            let (one, other) = (wires.first, wires.second);
            let config = Arc::new(client_config_of(versions, WORLD.authority.roots()));
            one.begin_tls(Tls::client(config, NAME).unwrap()).unwrap();
            other.begin_tls(server()).unwrap();
            one.write(b"question\n").unwrap();
            assert_eq!(other.read_until(b"\n", None).await.unwrap(), "question\n");
            other.write(b"answer\n").unwrap();
            other.close_when_flushed();
            assert_eq!(one.read_until_close().await.unwrap(), "answer\n");
            assert_eq!(one.error(), None);
        }
    });
}

/// A handshake that is larger than what the connection takes at once waits for room, and so does what follows it.
#[test]
fn a_handshake_over_a_narrow_connection() {
    run(async {
        let wires = simulated::wired(100, StreamOptions::new(), StreamOptions::new());
        let (one, other) = secured((wires.first, wires.second)).await;
        let data = Random::new(3).bytes(100_000);
        let expected = data.clone();
        let received = spawn(async move { other.read_bytes(expected.len()).await.unwrap() == expected });
        one.write(&data).unwrap().await.unwrap();
        assert!(received.await.unwrap());
    });
}

/// A server's tickets are sent when its handshake is done, and nobody may write for a long time.
#[test]
fn what_is_left_of_a_handshake_goes_out_by_itself() {
    run(async {
        let (client, server) = (Arc::new(client_config()), Arc::new(server_config()));
        for resumed in [false, true] {
            let wires = simulated::wired(100, StreamOptions::new(), StreamOptions::new());
            let (one, other) = (wires.first, wires.second);
            one.begin_tls(Tls::client(client.clone(), NAME).unwrap()).unwrap();
            other.start_tls(Tls::server(server.clone())).await.unwrap();
            assert_eq!(other.tls().unwrap().resumed, resumed);
            let reading = spawn(async move { one.read_bytes(1).await });
            turns(100).await;
            reading.abort();
        }
    });
}

#[test]
fn a_close_says_goodbye() {
    run(async {
        for how in ["close", "close_when_flushed", "shutdown_write", "drop"] {
            let (one, other) = secured(plain()).await;
            one.write(b"last words").unwrap();
            match how {
                "close" => one.close(),
                "close_when_flushed" => one.close_when_flushed(),
                "shutdown_write" => one.shutdown_write().await.unwrap(),
                _ => drop(one.clone()),
            }
            let rest = spawn(async move { (other.read_until_close().await.unwrap(), other.error()) });
            if how == "drop" {
                drop(one);
            }
            assert_eq!(rest.await.unwrap(), ("last words".into(), None), "{how}");
        }
    });
}

/// The goodbye waits for room as the bytes before it do, also when it is the last handle that went.
#[test]
fn a_gentle_close_says_goodbye_over_a_narrow_connection() {
    run(async {
        for (length, gently) in (0..300).flat_map(|length| [(length, true), (length, false)]) {
            let wires = simulated::wired(100, StreamOptions::new(), StreamOptions::new());
            let (one, other) = secured((wires.first, wires.second)).await;
            // The server's tickets are out of the way.
            let mut read = Box::pin(one.read_bytes(1));
            for _ in 0..20 {
                assert!(poll_once(read.as_mut()).await.is_none());
                next_turn().await;
            }
            drop(read);
            let data = Random::new(5).bytes(length);
            one.write(&data).unwrap();
            if gently {
                one.close_when_flushed();
            }
            drop(one);
            let rest = other.read_until_close().await;
            assert_eq!((rest, other.error()), (Ok(data.into()), None), "{length} bytes, gently: {gently}");
        }
    });
}

/// Somebody cut the connection, or it broke: what came came, but it may not be all (RFC 8446, section 6.1).
#[test]
fn an_end_without_a_goodbye_is_told_apart() {
    run(async {
        let (stream, mut socket) = with_socket();
        let thread = std::thread::spawn(move || {
            let mut session =
                rustls::ClientConnection::new(Arc::new(client_config()), NAME.try_into().unwrap()).unwrap();
            let mut tls = rustls::Stream::new(&mut session, &mut socket);
            tls.write_all(b"half a messa").unwrap();
            tls.flush().unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            // It hears our answer all the same.
            let mut answer = [0; 6];
            rustls::Stream::new(&mut session, &mut socket).read_exact(&mut answer).unwrap();
            answer
        });
        stream.start_tls(server()).await.unwrap();
        assert_eq!(stream.read_bytes(12).await.unwrap(), "half a messa");
        stream.write(b"answer").unwrap();
        assert_eq!(stream.read_bytes(1).await, Err(StreamError::Closed(Some(CloseCause::Truncated))));
        until(|| stream.closed()).await;
        assert_eq!(stream.error(), Some(CloseCause::Truncated));
        assert_eq!(&thread.join().unwrap(), b"answer");
    });
}

/// RFC 8446, section 6.1: what comes after the goodbye is ignored, however much it is.
#[test]
fn what_comes_behind_the_goodbye_is_ignored() {
    for behind in [1, 5000, 200_000] {
        run(async move {
            let (stream, mut socket) = with_socket();
            let thread = std::thread::spawn(move || {
                let mut session =
                    rustls::ClientConnection::new(Arc::new(client_config()), NAME.try_into().unwrap()).unwrap();
                let mut tls = rustls::Stream::new(&mut session, &mut socket);
                tls.write_all(b"question").unwrap();
                tls.flush().unwrap();
                session.send_close_notify();
                let mut last = Vec::new();
                session.write_tls(&mut last).unwrap();
                last.resize(last.len() + behind, b'?');
                // The other side may be through before all of it is sent.
                let _ = socket.write_all(&last);
                socket
            });
            stream.start_tls(server()).await.unwrap();
            assert_eq!(stream.read_until_close().await.unwrap(), "question");
            assert_eq!(stream.error(), None);
            drop((stream, thread.join().unwrap()));
        });
    }
}

/// Each is read and put away. That may go on for as long as the peer likes, and nobody else would have a turn.
#[test]
fn session_tickets_without_end_are_refused() {
    run(async {
        let wires = simulated::wired(10_000_000, StreamOptions::new(), StreamOptions::new());
        let mut config = server_config();
        // In short records, since rustls takes little of what a long one holds in pieces.
        (config.send_tls13_tickets, config.max_fragment_size) = (5_000, Some(128));
        wires.second.begin_tls(Tls::server(Arc::new(config))).unwrap();
        wires.second.write(b"at last").unwrap();
        wires.first.start_tls(client()).await.unwrap();
        let failure = failure(wires.first.read_bytes(7).await.map(drop));
        let why = std::error::Error::source(&failure).unwrap().to_string();
        assert!(why.contains("262144 bytes in a row without data"), "{why}");
    });
}

/// Tornado: SSLTest.test_non_ssl_request and test_error_logging: it is dropped at once, with one line and no trace.
#[test]
fn rubbish_is_refused_at_once() {
    let rubbish: [&[u8]; 5] =
        [b"GET / HTTP/1.0\r\n\r\n", &[0; 100], &[0xff; 20_000], b"\x16\x03\x01\xff\xff", b"SSH-2.0-scan\r\n"];
    for bytes in rubbish {
        let ((), lines) = logged(|| {
            run(async move {
                let (stream, mut socket) = with_socket();
                stream.begin_tls(server()).unwrap();
                let callback = Trace::default();
                stream.set_close_callback(callback.callback("closed"));
                socket.write_all(bytes).unwrap();
                assert!(!failure(stream.wait_for_handshake().await).is_alert());
                until(|| !callback.is_empty()).await;
            });
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("INFO handshake with 127.0.0.1:"), "{lines:?}");
    }
}

/// A message of the handshake that is cut into so many records that rustls has no room for all of it before its end.
#[test]
fn a_handshake_message_that_never_fits_is_refused() {
    const LENGTH: usize = 0xffff;
    let mut hello = vec![1, 0, (LENGTH >> 8) as u8, LENGTH as u8];
    hello.resize(4 + LENGTH, 0);
    for piece in [1000, 16_384] {
        let records: Vec<u8> = (hello.chunks(piece))
            .flat_map(|piece| [&[22, 3, 1, (piece.len() >> 8) as u8, piece.len() as u8], piece].concat())
            .collect();
        run(async move {
            let (stream, mut socket) = with_socket();
            stream.begin_tls(server()).unwrap();
            let thread = std::thread::spawn(move || {
                let _ = socket.write_all(&records);
                socket
            });
            assert!(!failure(stream.wait_for_handshake().await).is_alert());
            assert!(stream.closed());
            thread.join().unwrap();
        });
    }
}

/// A port scan: nothing is wrong with that, and nothing is logged.
#[test]
fn a_peer_that_leaves_in_the_middle_is_no_news() {
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let ((), lines) = logged(|| {
            run(async move {
                let (stream, mut socket) = with_socket();
                stream.begin_tls(server()).unwrap();
                socket.write_all(bytes).unwrap();
                drop(socket);
                let left = stream.wait_for_handshake().await;
                assert_eq!(left, Err(StreamError::Closed(Some(CloseCause::Truncated))));
            });
        });
        assert!(lines.is_empty(), "{lines:?}");
    }
}

/// Tornado issue 2373: there a write that waits for a silent peer keeps the loop busy. Here the loop wakes for the deadline alone.
#[test]
fn a_silent_peer_costs_one_wake_up_at_the_deadline() {
    let clock = ManualClock::jumping();
    let io_loop = IoLoop::with_clock(clock.clone());
    let began = io_loop.now();
    let limit = Duration::from_secs(7);
    let ((), lines) = logged(|| {
        io_loop
            .run_sync(async move {
                let (stream, _silent) = with_socket();
                stream.begin_tls(server().handshake_timeout(limit)).unwrap();
                let written = stream.write(b"too early").unwrap();
                let timeout = StreamError::Closed(Some(CloseCause::HandshakeTimeout { limit }));
                assert_eq!(written.await, Err(timeout.clone()));
                assert_eq!(stream.wait_for_handshake().await, Err(timeout.clone()));
                assert_eq!(stream.read_bytes(1).await, Err(timeout));
            })
            .unwrap();
    });
    assert!(clock.jumps().iter().all(|at| *at <= began + limit + Duration::from_millis(1)), "{:?}", clock.jumps());
    assert_eq!(io_loop.pending_timeouts(), 0);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("not done within 7s"), "{lines:?}");
}

#[test]
fn a_handshake_that_is_done_or_given_up_has_no_deadline() {
    let io_loop = IoLoop::new().unwrap();
    io_loop
        .run_sync(async {
            let (one, other) = secured(plain()).await;
            assert_eq!(IoLoop::current().pending_timeouts(), 0);
            drop((one, other));
            let (one, other) = plain();
            one.begin_tls(client()).unwrap();
            assert_eq!(IoLoop::current().pending_timeouts(), 1);
            drop(one);
            assert_eq!(IoLoop::current().pending_timeouts(), 0, "dropped");
            other.begin_tls(server()).unwrap();
            other.close();
            assert_eq!(IoLoop::current().pending_timeouts(), 0, "closed");
        })
        .unwrap();
}

/// Tornado issue 2785: there it leaks the descriptor.
#[test]
fn whoever_gives_up_waiting_still_has_the_stream() {
    run(async {
        let (one, other) = plain();
        assert!(poll_once(Box::pin(one.start_tls(client())).as_mut()).await.is_none());
        other.begin_tls(server()).unwrap();
        one.write(b"later").unwrap();
        assert_eq!(other.read_bytes(5).await.unwrap(), "later");
    });
}

/// Limits of reads are those of plaintext: ciphertext is longer.
#[test]
fn limits_count_plaintext() {
    run(async {
        const LIMIT: usize = 40_000;
        let limited = StreamOptions::new().max_buffer_size(LIMIT);
        let (one, other) = secured(Over::Tcp.plain_pair(StreamOptions::new(), limited)).await;
        one.write(&[b'x'; LIMIT]).unwrap();
        assert_eq!(other.read_bytes(LIMIT).await.unwrap().len(), LIMIT);
        one.write(&[b'x'; 999]).unwrap();
        one.write(b"\n").unwrap();
        assert_eq!(other.read_until(b"\n", Some(1000)).await.unwrap().len(), 1000);
        one.write(&[b'x'; LIMIT + 1]).unwrap();
        let full = CloseCause::ReadBufferFull { max_buffer_size: LIMIT };
        assert_eq!(other.read_until(b"\n", None).await, Err(StreamError::Closed(Some(full))));
    });
}

/// A server that took it would act on what anybody may have recorded (RFC 8446, section 8). So its tickets don't offer it,
/// whatever the configuration says.
#[test]
fn early_data_is_not_taken() {
    let (mut eager, mut trusting) = (client_config(), server_config());
    eager.enable_early_data = true;
    trusting.max_early_data_size = 1000;
    let (eager, trusting) = (Arc::new(eager), Arc::new(trusting));
    for resumed in [false, true] {
        let (eager, trusting) = (eager.clone(), trusting.clone());
        run(async move {
            let (stream, mut socket) = with_socket();
            let thread = std::thread::spawn(move || {
                let mut session = rustls::ClientConnection::new(eager, NAME.try_into().unwrap()).unwrap();
                let offered = session.early_data().is_some();
                let mut tls = rustls::Stream::new(&mut session, &mut socket);
                tls.write_all(b"x").unwrap();
                tls.read_exact(&mut [0]).unwrap();
                offered
            });
            stream.start_tls(Tls::server(trusting)).await.unwrap();
            assert_eq!(stream.tls().unwrap().resumed, resumed);
            assert_eq!(stream.read_bytes(1).await.unwrap(), "x");
            stream.write(b"y").unwrap().await.unwrap();
            assert!(!thread.join().unwrap(), "resumed: {resumed}");
        });
    }
}

/// Something plain that TLS follows without a pause: the PROXY protocol does that.
#[test]
fn unread_bytes_may_be_the_beginning_of_the_handshake() {
    run(async {
        let (server_side, client_side) = plain();
        client_side.write(b"plain\n").unwrap().await.unwrap();
        client_side.begin_tls(client()).unwrap();
        assert_eq!(server_side.read_until(b"\n", None).await.unwrap(), &b"plain\n"[..]);
        assert!(server_side.with_buffered(|unread| unread.starts_with(b"\x16\x03")), "a handshake's record");
        assert_eq!(server_side.begin_tls(server()), Err(StreamError::NotIdle), "unless it is asked for");
        server_side.start_tls(server().take_unread(true)).await.unwrap();
        client_side.write(b"secret\n").unwrap();
        assert_eq!(server_side.read_until(b"\n", None).await.unwrap(), &b"secret\n"[..]);
        assert!(server_side.tls().is_some() && client_side.tls().is_some());
    });
    // What isn't the beginning of one fails it.
    run(async {
        let (server_side, socket) = with_socket();
        (&socket).write_all(b"plain\nand more of it\n").unwrap();
        server_side.read_until(b"\n", None).await.unwrap();
        failure(server_side.start_tls(server().take_unread(true)).await);
    });
}

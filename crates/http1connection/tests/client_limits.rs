//! What a client doesn't put up with: heads and bodies that are too large, too late or too slow.

mod common;

use std::time::Duration;

use common::responses::*;
use common::*;
use landspout_http1connection::{DecodeError, Http1ConnectionParameters, Limits, ResponseError};
use landspout_ioloop::sleep;

#[test]
fn limits_of_head_and_body() {
    let limits = Limits { max_header_size: 1024, max_body_size: 65_536, ..Limits::default() };
    let params = Http1ConnectionParameters { limits, ..Default::default() };
    run(async move {
        for (filler, body, error) in [
            (100, 65_536, None),
            (1024, 0, Some(DecodeError::HeadTooLarge(1024))),
            (100, 65_537, Some(DecodeError::BodyTooLarge(65_536))),
        ] {
            let (client, server) = client_with(params.clone());
            ask(&client, "GET", "/").unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: {body}\r\n\r\n", "x".repeat(filler));
            server.write(head.as_bytes()).unwrap();
            server.write(&vec![b'x'; body]).unwrap();
            let result = client.read_response(&mut Reader::new()).await;
            match error {
                None => assert_eq!(after(&result), "reusable"),
                Some(error) => assert_eq!(result.unwrap_err(), ResponseError::Malformed(error)),
            }
        }
        // One response may have another limit.
        let (client, server) = client_with(params);
        for allowed in [true, false] {
            ask(&client, "GET", "/").unwrap();
            server.write(&[b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", &[b'x'; 65_537][..]].concat()).unwrap();
            let mut reader = Reader::acting({
                let client = client.clone();
                move |entry| {
                    if allowed && entry.starts_with("headers") {
                        client.set_max_body_size(65_537);
                    }
                    async { Ok(()) }
                }
            });
            assert_eq!(client.read_response(&mut reader).await.is_ok(), allowed);
        }
    });
}

fn params_with(set: impl FnOnce(&mut Http1ConnectionParameters)) -> Http1ConnectionParameters {
    let mut params = Http1ConnectionParameters::default();
    set(&mut params);
    params
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_time_for_a_head_begins_when_the_request_is_complete_and_with_each_interim_response() {
    run_jumping(|_| async {
        let (client, server) = client_pair(params_with(|params| params.header_timeout = Some(seconds(10))));
        client.write_headers(&line("POST", "/"), &fields(""), b"").unwrap();
        let io_loop = landspout_ioloop::IoLoop::current();
        let reading = spawn({
            let client = client.clone();
            async move { client.read_response(&mut Reader::new()).await.unwrap_err() }
        });
        // An upload that takes its time.
        sleep(seconds(100)).await;
        assert!(!client.stream().closed());
        client.finish().unwrap();
        sleep(seconds(9)).await;
        server.write(b"HTTP/1.1 102 Processing\r\n\r\n").unwrap();
        let begin = io_loop.now();
        assert_eq!(reading.await.unwrap(), ResponseError::HeaderTimeout);
        assert_eq!(io_loop.now() - begin, seconds(10));
        assert!(client.stream().closed());
    });
}

/// A request that the server takes slowly isn't complete for it: its time begins when nothing of it waits any more.
#[test]
fn the_time_for_a_head_begins_when_the_server_has_the_request() {
    run_jumping(|_| async {
        let (client, server) = client_pair(params_with(|params| params.header_timeout = Some(seconds(10))));
        let body = vec![b'x'; 5_000_000];
        client.write_request(&line("POST", "/"), &fields(""), &body).unwrap();
        spawn(async move {
            for _ in 0..25 {
                sleep(seconds(3)).await;
                server.read_bytes(200_000).await.unwrap();
            }
            server.write(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            sleep(seconds(1)).await;
        });
        assert_eq!(after(&client.read_response(&mut Reader::new()).await), "reusable");

        // One that takes nothing of it is given up all the same.
        let (client, _server) = client_pair(params_with(|params| params.header_timeout = Some(seconds(10))));
        client.write_request(&line("POST", "/"), &fields(""), &body).unwrap();
        let begin = landspout_ioloop::IoLoop::current().now();
        assert_eq!(client.read_response(&mut Reader::new()).await.unwrap_err(), ResponseError::HeaderTimeout);
        assert!(landspout_ioloop::IoLoop::current().now() - begin <= seconds(20));
    });
}

/// Whoever reads already learns of the time that begins with the end of the request.
#[test]
fn a_silent_server_is_given_up_when_the_time_for_a_head_is_over() {
    run_jumping(|_| async {
        let (client, _server) = client_pair(params_with(|params| params.header_timeout = Some(seconds(10))));
        client.write_headers(&line("POST", "/"), &fields(""), b"").unwrap();
        let reading = spawn({
            let client = client.clone();
            async move { client.read_response(&mut Reader::new()).await.unwrap_err() }
        });
        sleep(seconds(100)).await;
        client.finish().unwrap();
        let begin = landspout_ioloop::IoLoop::current().now();
        assert_eq!(reading.await.unwrap(), ResponseError::HeaderTimeout);
        assert_eq!(landspout_ioloop::IoLoop::current().now() - begin, seconds(10));
    });
}

/// The application's own close ends a read, whatever is buffered.
#[test]
fn a_close_within_a_body_ends_it() {
    run(async {
        let (client, server) = client_with(params_with(|params| params.chunk_size = 10));
        ask(&client, "GET", "/").unwrap();
        server.write(&[b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", &[b'x'; 1000][..]].concat()).unwrap();
        let mut reader = Reader::acting({
            let client = client.clone();
            move |entry| {
                if entry.starts_with("data") {
                    client.close();
                }
                async { Ok(()) }
            }
        });
        assert_eq!(client.read_response(&mut reader).await.unwrap_err(), ResponseError::Closed(None));
    });
}

#[test]
fn limits_that_were_set_for_a_response_hold_for_no_other_one() {
    run_jumping(|_| async {
        let (client, server) = client_pair(Http1ConnectionParameters::default());
        let mut limiting = Reader::acting({
            let client = client.clone();
            move |entry| {
                if entry.starts_with("data") {
                    // Too late for this one.
                    client.set_body_timeout(Some(seconds(1)));
                    client.set_max_body_size(1);
                }
                async { Ok(()) }
            }
        });
        ask(&client, "GET", "/1").unwrap();
        server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        assert_eq!(after(&client.read_response(&mut limiting).await), "reusable");
        server.read_until(b"\r\n\r\n", None).await.unwrap();
        ask(&client, "GET", "/2").unwrap();
        server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").unwrap();
        let _answering = spawn(async move {
            sleep(seconds(5)).await;
            server.write(b"hi").unwrap().await.unwrap();
            server
        });
        assert_eq!(after(&client.read_response(&mut Reader::new()).await), "reusable");
    });
}

#[test]
fn a_body_that_takes_too_long_or_comes_too_slowly_is_given_up() {
    run_jumping(|_| async {
        for (params, own, error) in [
            (params_with(|params| params.body_timeout = Some(seconds(10))), None, ResponseError::BodyTimeout),
            (params_with(|_| {}), Some(seconds(3)), ResponseError::BodyTimeout),
            (
                params_with(|params| (params.min_body_rate, params.body_rate_grace) = (1000, seconds(5))),
                None,
                ResponseError::BodyTooSlow,
            ),
        ] {
            let (client, server) = client_pair(params);
            ask(&client, "GET", "/").unwrap();
            server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx").unwrap();
            let trickle = spawn(async move {
                while server.write(b"x").is_ok() {
                    sleep(seconds(1)).await;
                }
            });
            let mut reader = Reader::acting({
                let client = client.clone();
                move |entry| {
                    if entry.starts_with("headers") && own.is_some() {
                        client.set_body_timeout(own);
                    }
                    async { Ok(()) }
                }
            });
            assert_eq!(client.read_response(&mut reader).await.unwrap_err(), error);
            assert!(reader.trace.has("connection close") && client.stream().closed());
            trickle.await.unwrap();
        }
    });
}

#[test]
fn another_task_can_set_the_time_while_the_body_is_awaited() {
    run_jumping(|_| async {
        let (client, server) = client_pair(params_with(|params| params.body_timeout = Some(seconds(100))));
        ask(&client, "GET", "/").unwrap();
        server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx").unwrap();
        let begin = landspout_ioloop::IoLoop::current().now();
        let _setting = spawn({
            let client = client.clone();
            async move {
                sleep(seconds(5)).await;
                client.set_body_timeout(Some(seconds(10)));
            }
        });
        assert_eq!(client.read_response(&mut Reader::new()).await.unwrap_err(), ResponseError::BodyTimeout);
        assert_eq!(landspout_ioloop::IoLoop::current().now() - begin, seconds(15));
    });
}

#[test]
fn a_body_whose_bytes_are_always_there_has_its_time_all_the_same() {
    run_jumping(|_| async {
        let (client, server) = client_pair(params_with(|params| params.body_timeout = Some(seconds(10))));
        ask(&client, "GET", "/").unwrap();
        server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        server.write(&vec![b'x'; 1_000_000]).unwrap();
        let mut reader = Reader::acting(async |entry| {
            if entry.starts_with("data") {
                sleep(seconds(3)).await;
            }
            Ok(())
        });
        assert_eq!(client.read_response(&mut reader).await.unwrap_err(), ResponseError::BodyTimeout);
        assert!(reader.trace.has("connection close") && client.stream().closed());
    });
}

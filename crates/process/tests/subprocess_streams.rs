//! A child's pipes as streams.
#![cfg(feature = "subprocess")]

mod children;

use std::process::{Command, Stdio};

use children::{run, sh, waiting};
use landspout_iostream::{IoStream, StreamError, StreamOptions};
use landspout_process::{Subprocess, SubprocessError, SubprocessOptions};

fn piped(command: &mut Command) -> Subprocess {
    Subprocess::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap()
}

#[test]
fn a_child_is_talked_to_over_its_pipes_both_ways() {
    run(async {
        let mut child = piped(&mut sh("while read line; do echo \"<$line>\"; done; echo over"));
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        for line in ["one", "two"] {
            stdin.write(format!("{line}\n").as_bytes()).unwrap();
            assert_eq!(stdout.read_until(b"\n", None).await.unwrap(), format!("<{line}>\n"));
        }
        stdin.close();
        assert_eq!(stdout.read_until_close().await.unwrap(), "over\n");
        assert!(child.wait_for_exit().await.unwrap().success());
    });
}

#[test]
fn a_child_sees_that_its_stdin_was_closed_and_gets_what_was_written_before() {
    run(async {
        for close in [|stdin: IoStream| stdin.close(), drop, |stdin: IoStream| stdin.close_when_flushed()] {
            let mut child = piped(&mut Command::new("cat"));
            let stdin = child.stdin.take().unwrap();
            stdin.write(b"hello").unwrap();
            close(stdin);
            assert_eq!(child.stdout.as_ref().unwrap().read_until_close().await.unwrap(), "hello");
            child.wait_for_exit().await.unwrap();
        }
    });
}

#[test]
fn standard_error_is_a_stream_of_its_own() {
    run(async {
        let child = piped(&mut sh("echo out; echo err >&2"));
        assert_eq!(child.stderr.as_ref().unwrap().read_until_close().await.unwrap(), "err\n");
        assert_eq!(child.stdout.as_ref().unwrap().read_until_close().await.unwrap(), "out\n");
        child.wait_for_exit().await.unwrap();
    });
}

#[test]
fn what_is_no_pipe_is_no_stream() {
    run(async {
        let child = Subprocess::spawn(sh("echo hello").stdout(Stdio::piped())).unwrap();
        assert!(child.stdin.is_none() && child.stderr.is_none());
        assert_eq!(child.stdout.as_ref().unwrap().read_until_close().await.unwrap(), "hello\n");
        child.wait_for_exit().await.unwrap();
    });
}

/// A pipe holds 64 KiB: both directions stop several times until the other side moves on.
#[test]
fn megabytes_go_through_a_child() {
    run(async {
        let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut child = piped(&mut Command::new("cat"));
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        stdin.write(&data).unwrap();
        drop(stdin);
        let mut back = Vec::new();
        while back.len() < data.len() {
            back.extend_from_slice(&stdout.read_bytes_partial(100_000).await.unwrap());
        }
        assert!(back == data);
        assert_eq!(stdout.read_bytes(1).await, Err(StreamError::Closed(None)));
        child.wait_for_exit().await.unwrap();
    });
}

/// Would a child have the other one's input open, that one's `cat` would never see its end.
#[test]
fn children_do_not_hold_each_others_pipes() {
    run(async {
        let mut first = piped(&mut Command::new("cat"));
        let second = waiting(0);
        drop(first.stdin.take());
        assert_eq!(first.stdout.as_ref().unwrap().read_until_close().await.unwrap(), "");
        first.wait_for_exit().await.unwrap();
        drop(second);
    });
}

/// `O_NONBLOCK` belongs to an end, not to a process; a program that meets EAGAIN where it expects to wait gives up.
#[cfg(target_os = "linux")]
#[test]
fn only_our_ends_of_the_pipes_are_non_blocking() {
    run(async {
        let mut child = piped(&mut sh("cat"));
        let flags = |fd: u32| {
            let info = std::fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", child.pid())).unwrap();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
            u32::from_str_radix(&flags, 8).unwrap()
        };
        for fd in 0..3 {
            assert_eq!(flags(fd) & 0o4000, 0, "descriptor {fd}");
        }
        // Both ends of a pipe have the same name there, and it has one of each.
        let directory = format!("/proc/{}/fd", child.pid());
        let open =
            std::fs::read_dir(&directory).unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        let open: Vec<_> = open.collect();
        for fd in 0..3 {
            let name = std::fs::read_link(format!("{directory}/{fd}")).unwrap();
            assert_eq!(open.iter().filter(|other| **other == name).count(), 1, "descriptor {fd} in {open:?}");
        }
        drop(child.stdin.take());
        child.wait_for_exit().await.unwrap();
    });
}

#[test]
fn writing_to_a_child_that_is_gone_closes_the_stream() {
    run(async {
        let child = piped(&mut sh("exit 0"));
        child.wait_for_exit().await.unwrap();
        let stdin = child.stdin.as_ref().unwrap();
        let result = match stdin.write(b"hello") {
            Ok(written) => written.await,
            Err(error) => Err(error),
        };
        assert!(matches!(result, Err(StreamError::Closed(_))), "{result:?}");
    });
}

#[test]
fn streams_have_the_limits_that_were_asked_for() {
    run(async {
        let options = SubprocessOptions::new().streams(StreamOptions::new().max_write_buffer_size(10));
        let child = Subprocess::spawn_with(Command::new("cat").stdin(Stdio::piped()), &options).unwrap();
        let refused = child.stdin.as_ref().unwrap().write(&[0; 11]);
        assert!(matches!(refused, Err(StreamError::WriteBufferFull { limit: 10, .. })));
        child.kill().unwrap();
        child.wait().await.unwrap();
    });
}

#[test]
fn communicate_moves_both_ways_at_once_and_gives_the_status() {
    run(async {
        // More than the pipes hold, in all three directions, and the child reads and writes in turns.
        let input = "x".repeat(200_000).into_bytes();
        let script = "head -c 100000; head -c 200000 /dev/zero >&2; cat; exit 3";
        let output = piped(&mut sh(script)).communicate(&input).await.unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(output.stdout == input);
        assert!(output.stderr == [0; 200_000]);

        // Limits of the streams bound what is kept, and what is fed at once.
        let small = StreamOptions::new().max_buffer_size(1000).max_write_buffer_size(7);
        let options = SubprocessOptions::new().streams(small).kill_on_drop(true);
        let mut cat = Command::new("cat");
        let child = Subprocess::spawn_with(cat.stdin(Stdio::piped()).stdout(Stdio::piped()), &options).unwrap();
        assert_eq!(child.communicate(&input[..900]).await.unwrap().stdout, &input[..900]);
        let child = Subprocess::spawn_with(&mut cat, &options).unwrap();
        let result = child.communicate(&input).await;
        assert!(matches!(result, Err(SubprocessError::Output(StreamError::Closed(Some(_))))), "{result:?}");
    });
}

#[test]
fn communicate_takes_a_child_that_does_not_read_as_it_is() {
    run(async {
        let input = vec![b'x'; 1_000_000];
        let output = piped(&mut sh("exec <&-; echo enough")).communicate(&input).await.unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"enough\n"[..]));
        // And without any pipe it only waits.
        let output = Subprocess::spawn(&mut sh("exit 4")).unwrap().communicate(b"nobody reads this").await.unwrap();
        assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(4), Vec::new(), Vec::new()));
    });
}

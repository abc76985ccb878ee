//! No descriptor is left behind, whether a child started or not, nor when there are no more of them. They are counted for a
//! process: each test runs in one of its own.
#![cfg(all(feature = "subprocess", target_os = "linux"))]

mod children;

use std::process::{Command, Stdio};

use children::{in_a_process_of_its_own, run, sh};
use landspout_process::{Subprocess, SubprocessError};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn piped(command: &mut Command) -> Result<Subprocess, SubprocessError> {
    Subprocess::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn nothing_is_left_open() {
    if let Some(status) = in_a_process_of_its_own("nothing_is_left_open", Command::new("env")) {
        assert!(status.success(), "{status}");
        return;
    }
    let at_first = descriptors();
    run(async {
        // The loop's pipe for signals is made with the first, and stays.
        piped(&mut sh("exit 0")).unwrap().wait().await.unwrap();
        let before = descriptors();
        for _ in 0..20 {
            assert!(piped(&mut Command::new("/no/such/program")).is_err());
            assert!(piped(sh("exit 0").current_dir("/no/such/directory")).is_err());
            assert!(piped(&mut Command::new("/etc/passwd")).is_err());
        }
        assert_eq!(descriptors(), before);
        for _ in 0..20 {
            piped(&mut sh("cat")).unwrap().communicate(b"hello").await.unwrap();
            let child = piped(&mut sh("exit 0")).unwrap();
            child.wait().await.unwrap();
        }
        assert_eq!(descriptors(), before);
    });
    assert_eq!(descriptors(), at_first);
}

#[test]
fn without_descriptors_a_start_is_refused_and_the_children_of_before_go_on() {
    let test = "without_descriptors_a_start_is_refused_and_the_children_of_before_go_on";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "ulimit -n 80; exec \"$@\"", "sh"]);
    if let Some(status) = in_a_process_of_its_own(test, shell) {
        assert!(status.success(), "{status}");
        return;
    }
    run(async {
        piped(&mut sh("exit 0")).unwrap().wait().await.unwrap();
        let before = descriptors();
        // All but a few that are enough for none, one, ... of what a start needs.
        for spare in 0..6 {
            let mut children = Vec::new();
            while let Ok(child) = piped(&mut sh("cat")) {
                children.push(child);
                assert!(children.len() < 40, "the limit is not in force");
            }
            let mut last = children.pop().unwrap();
            let kept: Vec<_> = (0..spare).map_while(|_| std::fs::File::open("/dev/null").ok()).collect();
            match piped(&mut sh("cat")) {
                Err(SubprocessError::Spawn { program, source }) => {
                    assert_eq!((program.to_str(), source.raw_os_error()), (Some("/bin/sh"), Some(24)));
                }
                other => panic!("{other:?}"),
            }
            drop(kept);
            last.stdin.take();
            last.wait_for_exit().await.unwrap();
            drop(last);
            for child in children {
                assert_eq!(child.communicate(b"hello").await.unwrap().stdout, b"hello");
            }
            assert_eq!(descriptors(), before);
        }
    });
}

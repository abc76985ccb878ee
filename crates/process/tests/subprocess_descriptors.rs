//! No descriptor and no listener is left behind, whether a child started or not. One test: they are counted for the process.
#![cfg(all(feature = "subprocess", target_os = "linux"))]

mod children;

use std::process::{Command, Stdio};

use children::{run, sh};
use landspout_process::{Subprocess, SubprocessError};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn piped(command: &mut Command) -> Result<Subprocess, SubprocessError> {
    Subprocess::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))
}

#[test]
fn nothing_is_left_open() {
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

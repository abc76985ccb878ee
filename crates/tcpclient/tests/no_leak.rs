//! Nothing stays open after a call that failed or was given up. By itself in a process, since it counts descriptors.
#![cfg(target_os = "linux")]

mod common;

use std::time::Duration;

use landspout_ioloop::{IoLoop, ManualClock, with_timeout};
use landspout_tcpclient::{ConnectOptions, TcpClient};

use common::{BlackHole, Fixed, Silent, refused, v4, v6};

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn what_failed_timed_out_or_was_given_up_leaves_nothing_open() {
    let (hole4, hole6) = (BlackHole::at(v4(0)), BlackHole::at(v6(0)));
    let (_inet, _inet6, closed) = refused();
    let holes = Fixed::new(&[v6(closed), v4(closed), hole6.address, hole4.address]);
    let io_loop = IoLoop::with_clock(ManualClock::jumping());
    io_loop.make_current();
    let before = open_descriptors();
    let second = Duration::from_secs(1);
    for _ in 0..3 {
        let holes = holes.clone();
        io_loop
            .run_sync(async move {
                // Both families are under way by then.
                let client = TcpClient::with_resolver(holes);
                assert!(with_timeout(second, client.connect("slow.test", 80)).await.is_err());
                let during = IoLoop::current().spawn({
                    let client = client.clone();
                    async move { client.connect("slow.test", 80).await.is_ok() }
                });
                landspout_ioloop::sleep(second).await;
                assert!(open_descriptors() >= before + 2);
                during.abort();
                landspout_ioloop::sleep(second).await;
                assert_eq!(open_descriptors(), before);
                let options = ConnectOptions::new().timeout(second);
                assert!(client.connect_with("slow.test", 80, &options).await.is_err());
                let options = ConnectOptions::new().source_ip([192, 0, 2, 1].into());
                assert!(client.connect_with("slow.test", 80, &options).await.is_err());
                let client = TcpClient::with_resolver(Silent);
                assert!(with_timeout(second, client.connect("slow.test", 80)).await.is_err());
                let refusing = Fixed::new(&[v6(closed), v4(closed)]);
                assert!(TcpClient::with_resolver(refusing).connect("refused.test", 80).await.is_err());
            })
            .unwrap();
        assert_eq!(open_descriptors(), before);
    }
}

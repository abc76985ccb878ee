//! Invariant 7: making a server and binding touch no loop, since `start` may fork after them.
//!
//! The only test in this binary: it asks about the whole process.

use landspout_ioloop::IoLoop;
use landspout_iostream::IoStream;
use landspout_netutil::BindOptions;
use landspout_tcpserver::{TcpServer, TcpServerOptions};

#[test]
fn neither_new_nor_bind_makes_a_loop() {
    let server = TcpServer::new(async |stream: IoStream, _| stream.write(b"hello")?.await);
    server.bind(0, "127.0.0.1").unwrap();
    server.bind_with(0, None, &BindOptions::new().reuse_port(true)).unwrap();
    assert!(server.addresses().len() >= 2);
    let other = TcpServerOptions::new().on_stream(|_, _| {});
    other.stop();
    server.stop();
    server.bind(0, "127.0.0.1").unwrap();
    assert!(!IoLoop::exists_in_process());
    // What accepts needs one, of course.
    server.start(1).unwrap();
    assert!(IoLoop::exists_in_process());
}

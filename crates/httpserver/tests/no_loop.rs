//! Invariant 7: making a server and binding touch no loop, since `start` may fork after them.
//!
//! The only test in this binary: it asks about the whole process.

use landspout_httpserver::{HttpHeaders, HttpServer, HttpServerOptions, HttpServerRequest, StatusCode};
use landspout_ioloop::IoLoop;

#[test]
fn neither_new_nor_bind_makes_a_loop() {
    let answer =
        async |request: HttpServerRequest| request.write_response(StatusCode::OK, &HttpHeaders::new(), "hello");
    let server = HttpServer::new(answer);
    server.bind(0, "127.0.0.1").unwrap();
    let other = HttpServerOptions::new().xheaders(true).no_keep_alive(true).callback(answer);
    other.bind(0, None).unwrap();
    assert_eq!((server.addresses().len(), server.connections()), (1, 0));
    other.stop();
    assert!(!IoLoop::exists_in_process());
    // What accepts needs one, of course.
    server.start(1).unwrap();
    assert!(IoLoop::exists_in_process());
}

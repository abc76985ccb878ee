//! Ten thousand requests leave nothing behind.
//!
//! The only test in this binary: it looks at the memory of the whole process.
#![cfg(target_os = "linux")]

mod common;

use common::*;
use landspout_httpserver::{HttpHeaders, HttpServer, HttpServerRequest, StatusCode};

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn ten_thousand_requests_and_a_thousand_connections_leave_no_growth() {
    run(async {
        let server = HttpServer::new(async |request: HttpServerRequest| {
            // Everything that a request may need to allocate: a close callback with a handle of its own, arguments, a form.
            let handle = request.connection().clone();
            request.connection().set_close_callback(Some(Box::new(move || drop(handle))));
            assert_eq!(request.query_arguments().get("a").unwrap(), b"b");
            request.write_response(StatusCode::OK, &HttpHeaders::new(), request.body())
        });
        let address = listen(&server);
        let requests = [
            "GET /?a=b HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
            "POST /?a=b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
        ];
        let batch = requests.concat();
        let serve = async |connections: usize, batches: usize| {
            for _ in 0..connections {
                let client = connect(address);
                for _ in 0..batches {
                    client.send(&batch);
                    for body in ["", "abc", "abc"] {
                        assert_eq!(client.response().await.text(), body);
                    }
                }
                client.hang_up();
            }
            until(|| server.connections() == 0).await;
        };
        // Warm: free lists and the allocator's own stock.
        serve(200, 5).await;
        let before = resident();
        serve(1, 3000).await;
        serve(1000, 1).await;
        let grown = resident().saturating_sub(before);
        // A leak of 32 bytes a request would be 384 KiB.
        assert!(grown < 256, "{grown} KiB more after 12,000 requests");
    });
}

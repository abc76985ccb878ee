//! The smallest server: `cargo run --example hello`, then `curl -i http://127.0.0.1:8888/`.

use landspout::httpserver::{HttpHeaders, HttpServer, HttpServerRequest, StatusCode};
use landspout::ioloop::IoLoop;

const PLAIN: HttpHeaders = HttpHeaders::from_static(&[("Content-Type", "text/plain")]);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().skip_while(|arg| arg != "--port").nth(1).map_or(Ok(8888), |port| port.parse())?;
    let server = HttpServer::new(async |request: HttpServerRequest| {
        request.write_response(StatusCode::OK, &PLAIN, "Hello, World!")
    });
    server.listen(port, None)?;
    println!("http://127.0.0.1:{}/", server.addresses()[0].port());
    IoLoop::current().start()?;
    Ok(())
}

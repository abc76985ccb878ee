//! A thousand connections that wait. A file, and so a process, of its own: with other tests beside it the usual limit of
//! 1,024 descriptors would not do.

mod support;

use support::Example;
use support::client::{Client, get};

#[test]
fn a_thousand_idle_connections_are_served_when_they_ask_again() {
    let example = Example::start("http_playground", &[]);
    let address = example.address();
    let mut clients: Vec<Client> = (0..1000).map(|_| Client::connect(address)).collect();
    for round in 0..2 {
        // All requests are on their way before the first answer is looked at.
        clients.iter_mut().for_each(|client| client.send(&get("/")));
        for (number, client) in clients.iter_mut().enumerate() {
            let answer = client.answer();
            assert_eq!((answer.status, answer.text()), (200, "Hello, World!"), "connection {number}, round {round}");
        }
    }
    // They are idle now; the server ends them all and leaves with status 0.
    example.terminate();
    clients.iter_mut().for_each(Client::expect_end);
}

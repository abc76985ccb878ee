//! Responses that the application can't complete: the client sees that something is missing.

mod common;

use common::client::is_reset;
use common::recorder::{Connection, begin, ok};
use common::*;
use landspout_httputil::{BoxError, HttpOutputError};

const OLD: &str = "GET /cut HTTP/1.0\r\n\r\n";

/// How an application fails to complete a response of which half is out.
type Failure = fn(Connection) -> Result<(), BoxError>;

const FAILURES: [(&str, Failure); 4] = [
    ("an error", |_| Err("half is all there is".into())),
    ("an error of another connection", |_| Err(HttpOutputError::Closed.into())),
    ("a panic", |_| panic!("this was planned")),
    ("the last handle", |_| done()),
];

/// Answers `/cut` in half and fails, everything else with its path.
fn failing(failure: Failure) -> Recorder {
    Recorder::new(move |connection: Connection, call| async move {
        match call {
            Call::Finish(path) if path == "/cut" => {
                begin(&connection)?;
                connection.write(b"half")?;
                failure(connection)
            }
            Call::Finish(path) => ok(&connection, path),
            _ => done(),
        }
    })
}

/// Reads what comes, up to a reset.
async fn until_reset(client: &Client) -> String {
    let mut all = Vec::new();
    let error = loop {
        match client.stream.read_bytes_partial(65_536).await {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(error) => break error,
        }
    };
    assert!(is_reset(&error), "{error:?} after {:?}", String::from_utf8_lossy(&all));
    String::from_utf8(all).unwrap()
}

/// RFC 9112, section 6.3, rule 8: such a body is whole when the connection ends in order.
#[test]
fn a_cut_body_that_ends_with_the_connection_ends_with_a_reset() {
    for (name, failure) in FAILURES {
        logged(|| {
            run(async move {
                for half_closed in [false, true] {
                    let recorder = failing(failure);
                    let trace = recorder.trace.clone();
                    let (client, _) = connect(&service(recorder));
                    client.send(OLD);
                    if half_closed {
                        client.end_sending();
                    }
                    let all = until_reset(&client).await;
                    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.ends_with("\r\n\r\nhalf"), "{name}: {all}");
                    until(|| trace.has("close")).await;
                }
            });
        });
    }
}

/// The server ends it, and not the application.
#[test]
fn a_body_that_ends_with_the_connection_is_cut_by_a_close() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => {
                begin(&connection)?;
                connection.write(b"half")?;
                std::future::pending().await
            }
            _ => done(),
        });
        let (client, connection) = connect(&service(recorder));
        client.send(OLD);
        assert_eq!(client.head().await.status, 200);
        connection.close();
        assert_eq!(until_reset(&client).await, "half");
    });
}

#[test]
fn a_whole_body_that_ends_with_the_connection_ends_in_order() {
    run(async {
        let recorder = Recorder::new(async |connection: Connection, call| match call {
            Call::Finish(_) => {
                begin(&connection)?;
                connection.write(b"all of ")?;
                connection.flush().await?;
                connection.write(b"it")?;
                Ok(connection.finish()?)
            }
            _ => done(),
        });
        let (client, _) = connect(&service(recorder));
        client.send(OLD);
        assert_eq!(client.response().await.text(), "all of it");
    });
}

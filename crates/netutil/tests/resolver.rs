//! Host names to addresses, with each resolver.
#![cfg(feature = "resolver")]

use std::cell::Cell;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;

use landspout_ioloop::{IoLoop, Job, ThreadPoolExecutor};
use landspout_netutil::{AddressFamily, BlockingResolver, OverrideResolver, ResolveError, Resolver, ThreadedResolver};

use AddressFamily::{Inet, Inet6, Unspecified};

type Answer = Result<Vec<SocketAddr>, ResolveError>;

fn resolve(resolver: &impl Resolver, host: &str, port: u16, family: AddressFamily) -> Answer {
    IoLoop::current().run_sync(resolver.resolve(host, port, family)).unwrap()
}

/// All that ask the system.
fn resolvers() -> [Box<dyn Resolver>; 3] {
    let own = ThreadPoolExecutor::new(2);
    [
        Box::new(ThreadedResolver::new()),
        Box::new(ThreadedResolver::with_executor(own)),
        Box::new(BlockingResolver::new()),
    ]
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn localhost_is_the_loopback() {
    for resolver in resolvers() {
        let all = resolve(&resolver, "localhost", 80, Unspecified).unwrap();
        assert!(all.contains(&address("127.0.0.1:80")) || all.contains(&address("[::1]:80")), "{all:?}");
        let inet = resolve(&resolver, "localhost", 81, Inet).unwrap();
        assert_eq!(inet, [address("127.0.0.1:81")]);
    }
}

#[test]
fn a_name_that_cannot_be_looked_up_is_an_error_that_names_it() {
    // No question leaves this machine: no label has more than 63 bytes (RFC 1035, section 2.3.4).
    let name = format!("{}.test", "x".repeat(64));
    for resolver in resolvers() {
        for name in [name.as_str(), "", "a\0b", "[::1]"] {
            let error = resolve(&resolver, name, 80, Unspecified).unwrap_err();
            assert!(matches!(&error, ResolveError::Lookup { host, .. } if host == name), "{error:?}");
            assert!(error.to_string().contains(&format!("{name:?}")) && error.source().is_some());
            assert_eq!(std::io::Error::from(error).to_string(), format!("cannot resolve {name:?}"));
        }
    }
}

#[test]
fn an_address_is_its_own_answer() {
    for resolver in resolvers() {
        assert_eq!(resolve(&resolver, "192.0.2.1", 80, Unspecified), Ok(vec![address("192.0.2.1:80")]));
        assert_eq!(resolve(&resolver, "2001:db8::1", 80, Inet6), Ok(vec![address("[2001:db8::1]:80")]));
        let expected = ResolveError::NoAddress { host: "192.0.2.1".to_owned(), family: Inet6 };
        assert_eq!(resolve(&resolver, "192.0.2.1", 80, Inet6), Err(expected));
    }
}

#[test]
fn an_address_needs_no_thread() {
    let jobs = Rc::new(Cell::new(0));
    let counted = jobs.clone();
    let resolver = ThreadedResolver::with_executor(move |_: Job| counted.set(counted.get() + 1));
    resolve(&resolver, "192.0.2.1", 80, Unspecified).unwrap();
    resolve(&resolver, "::1", 80, Inet).unwrap_err();
    assert_eq!(jobs.get(), 0);
    // That one drops its jobs.
    let expected = ResolveError::Abandoned { host: "localhost".to_owned() };
    assert_eq!(resolve(&resolver, "localhost", 80, Unspecified), Err(expected));
    assert_eq!(jobs.get(), 1);
}

#[test]
fn the_loop_goes_on_while_a_thread_looks() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = Cell::new(Some(receiver));
    // The lookup begins when the loop says so, which it could not if it stood still.
    let resolver = ThreadedResolver::with_executor(move |job: Job| {
        let receiver = receiver.take().unwrap();
        std::thread::spawn(move || {
            receiver.recv().unwrap();
            job();
        });
    });
    let answer = IoLoop::current().run_sync(async move {
        let answer = resolver.resolve("localhost", 80, Inet);
        IoLoop::current().add_callback(move || sender.send(()).unwrap());
        answer.await
    });
    assert_eq!(answer.unwrap(), Ok(vec![address("127.0.0.1:80")]));
}

#[test]
fn a_lookup_may_be_given_up() {
    let kept: Rc<Cell<Option<Job>>> = Rc::default();
    let keeper = kept.clone();
    let resolver = ThreadedResolver::with_executor(move |job: Job| keeper.set(Some(job)));
    drop(resolver.resolve("localhost", 80, Inet));
    kept.take().unwrap()();
}

#[test]
fn an_override_for_each_family_gives_that_address() {
    let resolver = OverrideResolver::new(BlockingResolver::new())
        .host_port_family(("google.com", 80, Inet), ("1.2.3.4", 80))
        .host_port_family(("google.com", 80, Inet6), ("2a02:6b8:7c:40c:c51e:495f:e23a:3", 80));
    assert_eq!(resolve(&resolver, "google.com", 80, Inet), Ok(vec![address("1.2.3.4:80")]));
    let expected = address("[2a02:6b8:7c:40c:c51e:495f:e23a:3]:80");
    assert_eq!(resolve(&resolver, "google.com", 80, Inet6), Ok(vec![expected]));
}

#[test]
fn the_override_that_says_most_counts() {
    let resolver = OverrideResolver::new(BlockingResolver::new())
        .host("example.test", "10.0.0.1")
        .host_port(("example.test", 443), ("10.0.0.2", 8443))
        .host_port_family(("example.test", 443, Inet6), ("::1", 9443));
    assert_eq!(resolve(&resolver, "example.test", 443, Inet6), Ok(vec![address("[::1]:9443")]));
    assert_eq!(resolve(&resolver, "example.test", 443, Inet), Ok(vec![address("10.0.0.2:8443")]));
    assert_eq!(resolve(&resolver, "example.test", 443, Unspecified), Ok(vec![address("10.0.0.2:8443")]));
    assert_eq!(resolve(&resolver, "Example.TEST", 80, Inet), Ok(vec![address("10.0.0.1:80")]));
    // The family is asked of the result, too.
    let expected = ResolveError::NoAddress { host: "10.0.0.1".to_owned(), family: Inet6 };
    assert_eq!(resolve(&resolver, "example.test", 80, Inet6), Err(expected));
}

#[test]
fn who_is_not_overridden_is_asked_for() {
    let resolver = OverrideResolver::new(ThreadedResolver::new()).host("example.test", "localhost");
    assert_eq!(resolve(&resolver, "192.0.2.7", 80, Inet), Ok(vec![address("192.0.2.7:80")]));
    assert_eq!(resolve(&resolver, "example.test", 80, Inet), Ok(vec![address("127.0.0.1:80")]));
    // Overrides are not followed from one to the next.
    let nobody = "x".repeat(64);
    let chained = OverrideResolver::new(BlockingResolver::new()).host(&nobody, "127.0.0.1").host("b", &nobody);
    assert_eq!(resolve(&chained, "b", 80, Inet).unwrap_err().host(), nobody);
}

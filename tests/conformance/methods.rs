//! What methods mean for a message's framing and for the answer (RFC 9110, section 9).

use crate::harness::{Case, check};

/// Name, source, the whole request, what is expected.
const REQUESTS: &[(&str, &str, &str, &str)] = &[
    ("GET", "9110 9.3.1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200=Hello,_World! open"),
    (
        "GET with a body",
        "9110 9.3.1; Http11Probe COMP-GET-WITH-CL-BODY",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "200=Hello,_World! open",
    ),
    (
        "GET with a body of no bytes",
        "9110 9.3.1",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "200=Hello,_World! open",
    ),
    ("GET of a large answer", "9110 9.3.1", "GET /big?n=100000 HTTP/1.1\r\nHost: a\r\n\r\n", "200 open"),
    ("GET of an empty answer", "9112 6.3", "GET /big?n=0 HTTP/1.1\r\nHost: a\r\n\r\n", "200= open"),
    ("GET of chunks", "9112 7.1", "GET /events?n=1&ms=0 HTTP/1.1\r\nHost: a\r\n\r\n", "200=data:_1 open"),
    ("GET of no chunks", "9112 7.1", "GET /events?n=0&ms=0 HTTP/1.1\r\nHost: a\r\n\r\n", "200= open"),
    ("GET without its argument", "9110 15.5.1", "GET /big HTTP/1.1\r\nHost: a\r\n\r\n", "400 open"),
    ("GET with a bad argument", "9110 15.5.1", "GET /big?n=x HTTP/1.1\r\nHost: a\r\n\r\n", "400 open"),
    ("HEAD", "9110 9.3.2; Http11Probe COMP-HEAD-NO-BODY", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200! open"),
    ("HEAD of a large answer", "9110 9.3.2", "HEAD /big?n=1000000000000 HTTP/1.1\r\nHost: a\r\n\r\n", "200! open"),
    ("HEAD of chunks", "9110 9.3.2; Tornado's suite", "HEAD /events?n=2&ms=0 HTTP/1.1\r\nHost: a\r\n\r\n", "200! open"),
    (
        "HEAD with a body",
        "9110 9.3.2; Http11Probe SMUG-HEAD-CL-BODY",
        "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "200! open",
    ),
    ("HEAD of nothing", "9110 9.3.2", "HEAD /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "404! open"),
    ("HEAD where there is no GET", "9110 9.3.2", "HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n", "405! open"),
    ("HEAD with a bad argument", "9110 9.3.2", "HEAD /big?n=x HTTP/1.1\r\nHost: a\r\n\r\n", "400! open"),
    ("HEAD and close", "9110 9.3.2", "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200! closed"),
    ("HEAD that is malformed", "9110 9.3.2", "HEAD / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", "400! closed"),
    ("HEAD without Host", "9112 3.2", "HEAD / HTTP/1.1\r\n\r\n", "400! closed"),
    ("HEAD of another version", "9110 15.6.6", "HEAD / HTTP/3.0\r\nHost: a\r\n\r\n", "505! closed"),
    (
        "HEAD and an unknown expectation",
        "9110 10.1.1",
        "HEAD / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n",
        "417! closed",
    ),
    ("POST", "9110 9.3.3", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "200=hello open"),
    (
        "POST of a form",
        "9110 9.3.3",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\na=b&c=%zz",
        "200=a=b&c=%zz open",
    ),
    (
        "POST of something",
        "9110 15.5.16; Http11Probe COMP-POST-UNSUPPORTED-CT",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-nonsense\r\nContent-Length: 5\r\n\r\nhello",
        "200=hello open",
    ),
    (
        "POST with a range",
        "9110 14.2; Http11Probe COMP-RANGE-POST",
        "POST /echo HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nContent-Length: 5\r\n\r\nhello",
        "200=hello open",
    ),
    (
        "POST where there is none",
        "9110 15.5.6",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "405 open",
    ),
    ("PUT", "9110 15.5.6", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "405 open"),
    ("PATCH", "5789 2; llhttp", "PATCH / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\ncccccccccc", "405 open"),
    ("DELETE", "9110 15.5.6; Http11Probe COMP-405-ALLOW", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "405 open"),
    ("DELETE with a body", "9110 9.3.5", "DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "405 open"),
    (
        "TRACE",
        "9110 9.3.8; Http11Probe COMP-METHOD-TRACE",
        "TRACE / HTTP/1.1\r\nHost: a\r\nAuthorization: secret\r\n\r\n",
        "405 open",
    ),
    (
        "TRACE with a body of no bytes",
        "9110 9.3.8",
        "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "405 open",
    ),
    (
        "OPTIONS",
        "9110 9.3.7; Http11Probe COMP-OPTIONS-ALLOW, COMP-NO-CL-IN-204",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
        "204 open",
    ),
    (
        "OPTIONS with a body",
        "9110 9.3.7; Http11Probe SMUG-OPTIONS-CL-BODY",
        "OPTIONS /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "204 open",
    ),
    (
        "OPTIONS of the server, with a body",
        "9110 9.3.7",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "204 open",
    ),
    ("OPTIONS of nothing", "9110 9.3.7", "OPTIONS /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "404 open"),
    ("OPTIONS in HTTP/1.0", "9110 9.3.7", "OPTIONS / HTTP/1.0\r\n\r\n", "204 closed"),
    ("CONNECT", "9110 9.3.6", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "405 open"),
    (
        "CONNECT in HTTP/1.0",
        "9110 9.3.6; llhttp",
        "CONNECT HOME0.NETSCAPE.COM:443 HTTP/1.0\r\nUser-agent: Mozilla/1.1N\r\n\r\n",
        "405 closed",
    ),
    (
        "CONNECT and what would go through the tunnel",
        "9110 9.3.6; llhttp",
        "CONNECT a:443 HTTP/1.0\r\n\r\nsome data\r\nand yet even more data",
        "405 closed",
    ),
    ("QUERY", "9110 9.1; llhttp", "QUERY / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "405 open"),
    ("PROPFIND", "4918 9.1", "PROPFIND / HTTP/1.1\r\nHost: a\r\nDepth: 1\r\n\r\n", "405 open"),
    ("REPORT", "3253 3.6; llhttp", "REPORT /test HTTP/1.1\r\nHost: a\r\n\r\n", "404 open"),
    ("SOURCE", "llhttp", "SOURCE /music/sweet/music HTTP/1.1\r\nHost: a\r\n\r\n", "404 open"),
    ("method of another path", "9110 15.5.6", "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", "405 open"),
];

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    REQUESTS.iter().map(|(name, source, request, expected)| Case::new(name, source, *request, *expected))
}

#[test]
fn requests() {
    check(cases());
}

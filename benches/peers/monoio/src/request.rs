//! What a head says.

use std::io;
use std::mem::MaybeUninit;
use std::str;

use httparse::{Header, Request, Status};
use peer_support::stream_length;

const MAX_HEADERS: usize = 64;

pub(crate) struct Head {
    /// In bytes, the blank line included.
    pub(crate) length: usize,
    pub(crate) route: Route,
    pub(crate) body: Body,
    pub(crate) close: bool,
}

pub(crate) enum Route {
    Hello,
    Echo,
    Stream(u64),
    Unknown,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Body {
    Length(u64),
    Chunked,
}

/// `None` until all of it is there.
pub(crate) fn head(input: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(input, &mut fields) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(invalid(&error.to_string())),
    };
    let route = match request.path.unwrap_or_default() {
        "/" => Route::Hello,
        "/echo" => Route::Echo,
        path => stream_length(path).map_or(Route::Unknown, Route::Stream),
    };
    let mut head = Head { length, route, body: Body::Length(0), close: request.version == Some(0) };
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let length = str::from_utf8(field.value).ok().and_then(|value| value.parse().ok());
            head.body = Body::Length(length.ok_or_else(|| invalid("Content-Length"))?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(invalid("Transfer-Encoding"));
            }
            head.body = Body::Chunked;
        } else if field.name.eq_ignore_ascii_case("connection") {
            head.close |= field.value.eq_ignore_ascii_case(b"close");
        }
    }
    Ok(Some(head))
}

pub(crate) fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

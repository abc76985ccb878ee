//! What the command line says.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;
use std::time::Duration;

use crate::Error;

/// The flags, with their defaults. Which of them matter depends on the kind of load.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) port: Option<u16>,
    pub(crate) pid: Option<u32>,
    pub(crate) server_cpu: Option<usize>,
    pub(crate) cpu: Option<usize>,
    /// The load runs on the server's CPU, too.
    pub(crate) together: bool,
    pub(crate) connections: Option<usize>,
    /// Further ones that are open and do nothing.
    pub(crate) idle: usize,
    /// The address that connections come from, where one is not enough.
    pub(crate) source: Ipv4Addr,
    /// How many the server has.
    pub(crate) workers: usize,
    pub(crate) batch: usize,
    pub(crate) headers: Headers,
    pub(crate) closer: Closer,
    pub(crate) warm_up: Duration,
    pub(crate) seconds: Duration,
    /// What follows `--`.
    pub(crate) command: Vec<String>,
}

/// The fields of a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headers {
    Short,
    Browser,
}

/// Who closes a connection behind its only answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closer {
    /// It is asked to.
    Server,
    /// For servers that don't when they are asked to. The server is told by one more read.
    Client,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Error> {
        let mut options = Self {
            port: None,
            pid: None,
            server_cpu: None,
            cpu: None,
            together: false,
            connections: None,
            idle: 0,
            source: Ipv4Addr::LOCALHOST,
            workers: 1,
            batch: 16,
            headers: Headers::Short,
            closer: Closer::Server,
            warm_up: Duration::from_millis(300),
            seconds: Duration::from_secs(1),
            command: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            if flag == "--" {
                options.command = arguments.cloned().collect();
                break;
            }
            let value = arguments.next().ok_or_else(|| format!("{flag}: its value is missing"))?;
            match flag.as_str() {
                "--port" => options.port = Some(number(flag, value)?),
                "--pid" => options.pid = Some(number(flag, value)?),
                "--server-cpu" => options.server_cpu = Some(number(flag, value)?),
                "--place" => options.together = is_together(value)?,
                "--cpu" => options.cpu = Some(number(flag, value)?),
                "--connections" => options.connections = Some(positive(flag, value)?),
                "--idle" => options.idle = number(flag, value)?,
                "--source" => options.source = number(flag, value)?,
                "--workers" => options.workers = positive(flag, value)?,
                "--batch" => options.batch = positive(flag, value)?,
                "--closer" => options.closer = Closer::named(value)?,
                "--headers" => options.headers = Headers::named(value)?,
                "--warm-up" => options.warm_up = seconds(flag, value)?,
                "--seconds" => options.seconds = seconds(flag, value)?,
                _ => return Err(format!("no flag {flag:?}; --help lists them").into()),
            }
        }
        Ok(options)
    }

    pub(crate) fn address(&self) -> Result<SocketAddrV4, Error> {
        let port = self.port.ok_or("--port is missing")?;
        Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
    }
}

fn is_together(place: &str) -> Result<bool, Error> {
    match place {
        "apart" => Ok(false),
        "together" => Ok(true),
        _ => Err(format!("--place: apart or together, not {place:?}").into()),
    }
}

impl Closer {
    fn named(name: &str) -> Result<Self, Error> {
        match name {
            "server" => Ok(Self::Server),
            "client" => Ok(Self::Client),
            _ => Err(format!("--closer: server or client, not {name:?}").into()),
        }
    }
}

impl Headers {
    fn named(name: &str) -> Result<Self, Error> {
        match name {
            "short" => Ok(Self::Short),
            "browser" => Ok(Self::Browser),
            _ => Err(format!("--headers: short or browser, not {name:?}").into()),
        }
    }
}

fn number<T: FromStr>(flag: &str, value: &str) -> Result<T, Error> {
    value.parse().map_err(|_| format!("{flag}: no such number: {value:?}").into())
}

fn positive(flag: &str, value: &str) -> Result<usize, Error> {
    match number(flag, value)? {
        0 => Err(format!("{flag}: has to be positive").into()),
        number => Ok(number),
    }
}

fn seconds(flag: &str, value: &str) -> Result<Duration, Error> {
    let seconds: f64 = number(flag, value)?;
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{flag}: {error}").into())
}

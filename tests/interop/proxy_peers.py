"""nginx and HAProxy in front of our HTTP server, the example http_playground: what it learns of the client, by header fields
and by the PROXY protocol, and what becomes of uploads, big answers and kept connections.

The clients connect from 127.0.0.5, so that they can be told from the proxies, which connect from 127.0.0.1.
"""

import contextlib
import csv
import hashlib
import http.client
import os
import socket
import ssl
import time

from harness import *

CLIENT = "127.0.0.5"
# What a client makes up: each field is one that some server would believe.
LIES = {"X-Forwarded-For": "9.9.9.9", "X-Real-IP": "8.8.8.8", "Forwarded": "for=7.7.7.7;proto=https", "X-Scheme": "https"}
TRUST = ("--trust", "127.0.0.1")
LAYERS = ("plain", "TLS")


class Playground(Child):
    """Our server."""

    def __init__(self, *arguments):
        super().__init__([Setting.playground, "--port", "0", "--address", "127.0.0.1", *arguments])
        self.name = "our server"

    @property
    def port(self):
        return int(self.wait_for(r"https?://127\.0\.0\.1:(\d+)").group(1))

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                stop_server(self)
        finally:
            self.end()


def nginx(server, location, scheme="http"):
    """nginx before `server`, with these lines where it hands requests on. Gives its port."""
    return running_nginx(f"""
        client_max_body_size 0;
        upstream ours {{ server 127.0.0.1:{server.port}; keepalive 4; }}
        server {{
            listen 127.0.0.1:PORT;
            location / {{ proxy_pass {scheme}://ours; proxy_http_version 1.1; proxy_set_header Connection ""; {location} }}
        }}""")


@contextlib.contextmanager
def haproxy(server, line, mode="http", more="", address="127.0.0.1"):
    """HAProxy before `server`, with these words behind the server's address. Gives its port."""
    port = free_port(address)
    control = file("haproxy.sock")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(control)
    bind = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    with open(file("haproxy.cfg"), "w") as config:
        config.write(f"""
global
    stats socket {control} mode 600 level admin
defaults
    mode {mode}
    timeout connect {DEADLINE}s
    timeout client {DEADLINE}s
    timeout server {DEADLINE}s
    timeout check {DEADLINE}s
listen front
    bind {bind}
    {more}
    server ours 127.0.0.1:{server.port} {line}
""")
    with Child(["haproxy", "-db", "-f", file("haproxy.cfg")]) as child:
        wait_until_listening(child, port, address)
        yield port


def haproxy_says(command):
    """The answer of HAProxy's control socket."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(DEADLINE)
        control.connect(file("haproxy.sock"))
        control.sendall(command.encode() + b"\n")
        answer = b""
        while piece := control.recv(65536):
            answer += piece
    return answer.decode()


@contextlib.contextmanager
def client(port, address="127.0.0.1", source=CLIENT):
    connection = http.client.HTTPConnection(address, port, timeout=DEADLINE, source_address=(source, 0))
    with contextlib.closing(connection):
        yield connection


def ask(connection, path, method="GET", body=None, headers=None):
    """Status and body."""
    connection.request(method, path, body=body, headers=headers or {}, encode_chunked=False)
    answer = connection.getresponse()
    return answer.status, answer.read()


def told(connection, headers=None):
    """Protocol, IP address and the connection's address, as our server sees them."""
    status, body = ask(connection, "/client", headers=headers)
    expect(status, 200, "status")
    return body.decode().split()


def moves_bytes(port, source=CLIENT):
    """An upload of known length, one in chunks, a big answer; on one connection of the client's."""
    body = os.urandom(8 << 20)
    with client(port, source=source) as connection:
        expect(ask(connection, "/echo", "POST", body), (200, body), "an upload")
        # Chunks of a size of their own.
        pieces = (body[at : at + 70_001] for at in range(0, len(body), 70_001))
        connection.request("POST", "/echo", body=pieces, headers={"Transfer-Encoding": "chunked"}, encode_chunked=True)
        answer = connection.getresponse()
        expect((answer.status, answer.read() == body), (200, True), "a chunked upload")
        size = 100 << 20
        connection.request("GET", f"/big?n={size}")
        answer = connection.getresponse()
        digest, got = hashlib.sha256(), 0
        while piece := answer.read(1 << 20):
            digest.update(piece)
            got += len(piece)
        expected = hashlib.sha256(b"x" * size).hexdigest()
        expect((got, digest.hexdigest()), (size, expected), "bytes of a big answer")
        expect(ask(connection, "/big?n=1000", "HEAD"), (200, b""), "HEAD")
        expect(ask(connection, "/events?n=3&ms=1")[1].count(b"data:"), 3, "events")
        expect(ask(connection, "/nothing")[0], 404, "a path that isn't there")
    return f"{len(body) >> 20} MiB up, {size >> 20} MiB down"


FAMILIES = {
    "X-Forwarded-For": (
        "--xheaders",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;",
    ),
    "X-Real-IP": ("--x-real-ip", "proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Scheme $scheme;"),
    "Forwarded": ("--forwarded", 'proxy_set_header Forwarded "for=$remote_addr;proto=$scheme";'),
}


@case("nginx with {} -> our server", needs=["nginx"], each=tuple(FAMILIES))
def nginx_fields(family):
    flag, location = FAMILIES[family]
    with Playground(flag, *TRUST) as server, nginx(server, location) as port:
        for lies in ({}, LIES):
            with client(port) as connection:
                expect(told(connection, lies)[:2], ["http", CLIENT], f"the client, with {lies}")
        # Not by way of the proxy: this client is no trusted one.
        with client(server.port) as connection:
            expect(told(connection, LIES)[:2], ["http", CLIENT], "a client that comes directly")
    with Playground(flag, "--trust", "10.0.0.0/8") as server, nginx(server, location) as port:
        with client(port) as connection:
            expect(told(connection)[:2], ["http", "127.0.0.1"], "the client of a proxy that isn't trusted")
        server.wait_for("is not trusted", lines=server.err)


@case("nginx, {} -> our server: kept connections, uploads, big answers", needs=["nginx"], each=LAYERS)
def nginx_streams(layer):
    tls = ("--tls",) if layer == "TLS" else ()
    scheme = "https" if tls else "http"
    location = FAMILIES["X-Forwarded-For"][1] + "proxy_request_buffering off; proxy_buffering off;"
    with Playground("--xheaders", *TRUST, *tls) as server, nginx(server, location, scheme) as port:
        ports = set()
        for _ in range(3):
            with client(port) as connection:
                ports.update(told(connection)[2] for _ in range(10))
        expect(len(ports), 1, "connections from nginx to us")
        remark = moves_bytes(port)
    return remark


@case("nginx -> our server: an upload that is refused early", needs=["nginx"])
def nginx_refusal():
    with Playground("--max-body-size", "1000") as server, nginx(server, "proxy_request_buffering off;") as port:
        for _ in range(3):
            with client(port) as connection:
                expect(ask(connection, "/echo", "POST", b"x" * 1_000_000)[0], 413, "status")
        with client(port) as connection:
            expect(ask(connection, "/echo", "POST", b"x" * 1000)[0], 200, "status")


SENDING = {
    "send-proxy": "send-proxy",
    "send-proxy-v2": "send-proxy-v2",
    "send-proxy-v2-ssl-cn": "send-proxy-v2-ssl-cn",
    "send-proxy-v2, crc32c": "send-proxy-v2 proxy-v2-options crc32c,unique-id",
}


@case("HAProxy with {} -> our server", needs=["haproxy"], each=tuple(SENDING))
def haproxy_header(sending):
    with Playground("--proxy-protocol", *TRUST) as server:
        with haproxy(server, SENDING[sending], "tcp", more="unique-id-format %ci-%ts") as port:
            with client(port) as connection:
                for _ in range(3):
                    protocol, ip, address = told(connection, LIES)
                    expect((protocol, ip, address.split(":")[0]), ("http", CLIENT, CLIENT), "the client")
                expect(address, "%s:%d" % connection.sock.getsockname(), "its address")
            moves_bytes(port)


@case("HAProxy with {} -> our server: a client on IPv6", needs=["haproxy"], each=("send-proxy", "send-proxy-v2"))
def haproxy_ipv6(sending):
    try:
        free_port("::1")
    except OSError as error:
        raise Skip(f"no IPv6: {error}")
    with Playground("--proxy-protocol", *TRUST) as server, haproxy(server, sending, "tcp", address="::1") as port:
        with client(port, "::1", "::1") as connection:
            expect(told(connection)[:2], ["http", "::1"], "the client")


@case("HAProxy with send-proxy-v2, TLS by {} -> our server", needs=["haproxy"], each=("HAProxy", "the client"))
def haproxy_tls(who):
    line = "send-proxy-v2" + (" ssl verify none" if who == "HAProxy" else "")
    with Playground("--proxy-protocol", "--tls", *TRUST) as server, haproxy(server, line, "tcp") as port:
        with client(port) as connection:
            if who == "the client":
                context = ssl._create_unverified_context()
                connection.connect()
                connection.sock = context.wrap_socket(connection.sock)
            for _ in range(3):
                expect(told(connection)[:2], ["https", CLIENT], "the client")
        if who == "HAProxy":
            return moves_bytes(port)


@case("HAProxy -> our server: not trusted, or without the header", needs=["haproxy"])
def haproxy_distrust():
    for trust, line in (("10.0.0.0/8", "send-proxy"), ("127.0.0.1", "")):
        with Playground("--proxy-protocol", "--trust", trust) as server, haproxy(server, line) as port:
            with client(port) as connection:
                expect(ask(connection, "/client")[0], 502, "status from HAProxy")
            if not line:
                server.wait_for("no header of the PROXY protocol", lines=server.err)


CHECKS = {
    "HTTP, send-proxy-v2": ("send-proxy-v2", "option httpchk GET /", "L7OK", "--proxy-protocol"),
    "HTTP, send-proxy": ("send-proxy", "option httpchk GET /", "L7OK", "--proxy-protocol"),
    "connecting, send-proxy-v2": ("send-proxy-v2", "", "L4OK", "--proxy-protocol"),
    "HTTP": ("", "option httpchk GET /", "L7OK", "--xheaders"),
}


@case("HAProxy -> our server: health checks, {}", needs=["haproxy"], each=tuple(CHECKS))
def haproxy_checks(kind):
    line, more, status, flag = CHECKS[kind]
    with Playground(flag, *TRUST) as server, haproxy(server, line + " check inter 20ms", more=more) as port:

        def column(name):
            rows = csv.DictReader(haproxy_says("show stat").removeprefix("# ").splitlines())
            return next(row[name] for row in rows if row["svname"] == "ours")

        end = time.monotonic() + DEADLINE
        # An asterisk is before a result while the next check goes on.
        while (result := column("check_status").removeprefix("* ")) != status:
            check(time.monotonic() < end, f"no check came out as {status}: {result}")
            time.sleep(0.02)
        with client(port) as connection:
            expect(ask(connection, "/")[0], 200, "status")
        # Dozens of them later.
        for _ in range(20):
            time.sleep(0.02)
            expect((column("check_status").removeprefix("* "), column("chkfail")), (status, "0"), "result and failures")
        check(not server.err, f"something to log: {server.err}")


@case("HAProxy with option forwardfor, {} -> our server", needs=["haproxy"], each=LAYERS)
def haproxy_fields(layer):
    tls = ("--tls",) if layer == "TLS" else ()
    more = "option forwardfor\n    http-reuse always\n    http-request set-header X-Forwarded-Proto http"
    with Playground("--xheaders", *TRUST, *tls) as server:
        with haproxy(server, "ssl verify none" if tls else "", more=more) as port:
            ports = set()
            for source in (CLIENT, "127.0.0.6", CLIENT):
                with client(port, source=source) as connection:
                    for _ in range(5):
                        protocol, ip, address = told(connection, LIES)
                        expect((protocol, ip), ("http", source), "the client")
                        ports.add(address)
            expect(len(ports), 1, "connections from HAProxy to us, for two clients")
            return moves_bytes(port)

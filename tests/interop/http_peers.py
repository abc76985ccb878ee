"""Servers of HTTP that our client, requests.rs, talks to: nginx and Tornado's HTTPServer.

A row of a case is a request and the line that our client prints for its answer, or the beginning of it.
"""

import contextlib
import os

from harness import *
from python_peers import server_context
from tornado_peers import Server, tornado_case

MIB = 1 << 20


def ask(to, rows, flags=()):
    """Sends the requests of the rows over as few connections as the server lets, and compares."""
    requests = [word for request, _ in rows for word in ("--request", request)]
    with Peer("--use", "requests", "--connect", to, *requests, *flags) as client:
        status = client.finish()
        answers = [line.removeprefix("answer: ") for line in client.out if line.startswith("answer: ")]
        for (request, expected), found in zip(rows, answers):
            check(found.startswith(expected), f"{request}: {found!r}, not {expected!r}")
        check(status == 0, f"status {status} with {client.printed()}")
        return client.out[-1]


@contextlib.contextmanager
def nginx(locations, secure=False):
    """nginx with these locations. Gives where it listens."""
    root = file("nginx-root")
    os.makedirs(root, exist_ok=True)
    with open(os.path.join(root, "big"), "wb") as big:
        big.write(os.urandom(5 * MIB))
    tls = f"ssl_certificate {file('server.pem')}; ssl_certificate_key {file('server.key')};" if secure else ""
    ssl = "ssl" if secure else ""
    with running_nginx(f"server {{ listen 127.0.0.1:PORT {ssl}; root {root}; {tls} {locations} }}") as port:
        yield f"127.0.0.1:{port}"


PLAIN_LOCATIONS = """
    location = /hello { return 200 "hello"; }
    location = /nothing { return 204; }
    location = /moved { return 302 /hello; }
"""


@case("our client -> nginx, {}: answers of each kind on one connection", needs=["nginx", "openssl"], each=("TCP", "TLS"))
def nginx_answers(layer):
    secure = layer == "TLS"
    with nginx(PLAIN_LOCATIONS, secure) as to:
        line = ask(
            to,
            [
                ("GET /hello", "200 [] 5 bytes"),
                ("HEAD /hello", "200 [] 0 bytes"),
                ("GET /nothing", "204 [] 0 bytes"),
                ("HEAD /big", "200 [] 0 bytes"),
                ("GET /big", f"200 [] {5 * MIB} bytes"),
                ("GET /missing", "404 []"),
                ("DELETE /hello", "200 [] 5 bytes"),
                ("GET /moved", "302 []"),
                ("GET /hello", "200 [] 5 bytes"),
            ],
            CLIENT_TLS if secure else (),
        )
        expect(line, "ok: 9 answers on 1 connections", "the last line")


@case("our client -> nginx: bodies of each framing, which it hands on and gets back", needs=["nginx"])
def nginx_echo():
    with Peer("--serve", "http") as server:
        locations = f"location / {{ client_max_body_size 0; proxy_pass http://127.0.0.1:{server.port}; }}"
        with nginx(locations) as to:
            sent = f"{5 * MIB} bytes, what was sent, kept; sent {5 * MIB} of {5 * MIB}"
            return ask(
                to,
                [
                    (f"POST / length {5 * MIB}", f"200 [] {sent}"),
                    (f"POST / chunks {5 * MIB}", f"200 [] {sent}"),
                    (f"PUT / expect {5 * MIB}", f"200 [100] {sent}"),
                    ("GET /path", "200 [] 5 bytes, another body, kept"),
                ],
            )


@case("our client -> nginx: a refusal before the body is there", needs=["nginx"])
def nginx_refuses():
    with nginx("client_max_body_size 1k; location / { proxy_pass http://127.0.0.1:9; }") as to:
        return ask(
            to,
            [
                # It says so at once, closes its side, and throws away what comes.
                (f"POST / length {100 * MIB}", "413 []"),
                # Nothing of this one is sent.
                (f"POST / expect {100 * MIB}", "413 []"),
                ("GET /missing", "502 []"),
            ],
        )


@case("our client -> nginx: connections that it closes", needs=["nginx"])
def nginx_closes():
    with nginx(f"keepalive_requests 2; {PLAIN_LOCATIONS}") as to:
        rows = [("GET /hello", "200 [] 5 bytes, another body, " + ("kept", "closed")[n % 2]) for n in range(5)]
        expect(ask(to, rows), "ok: 5 answers on 3 connections", "the last line")


class Web(Server):
    """Tornado's HTTPServer with an application of each kind of answer."""

    def __init__(self, context=None):
        super().__init__(None, context)

    def serving(self):
        from tornado.httpserver import HTTPServer
        from tornado.web import Application, HTTPError, RequestHandler, stream_request_body

        class Hello(RequestHandler):
            def get(self):
                self.write("hello")

            head = get

        class Nothing(RequestHandler):
            def get(self):
                self.set_status(204)

        class Pieces(RequestHandler):
            async def get(self):
                for _ in range(100):
                    self.write(b"x" * 1000)
                    await self.flush()

        class Echo(RequestHandler):
            def post(self):
                self.write(self.request.body)

            put = post

        @stream_request_body
        class Refusing(RequestHandler):
            def prepare(self):
                raise HTTPError(403)

            def data_received(self, chunk):
                pass

        application = Application(
            [("/hello", Hello), ("/nothing", Nothing), ("/pieces", Pieces), ("/echo", Echo), ("/refusing", Refusing)]
        )
        return HTTPServer(application, ssl_options=self.context)


@tornado_case("our client -> Tornado's HTTPServer, {}: answers and bodies of each kind on one connection")
def tornado_answers(secure):
    sent = f"{MIB} bytes, what was sent, kept; sent {MIB} of {MIB}"
    with Web(server_context() if secure else None) as server:
        line = ask(
            server.to[1],
            [
                ("GET /hello", "200 [] 5 bytes"),
                ("HEAD /hello", "200 [] 0 bytes"),
                ("GET /nothing", "204 [] 0 bytes"),
                ("GET /pieces", "200 [] 100000 bytes"),
                (f"POST /echo length {MIB}", f"200 [] {sent}"),
                (f"POST /echo chunks {MIB}", f"200 [] {sent}"),
                (f"PUT /echo expect {MIB}", f"200 [100] {sent}"),
                ("GET /missing", "404 []"),
                ("GET /hello", "200 [] 5 bytes"),
            ],
            CLIENT_TLS if secure else (),
        )
        expect(line, "ok: 9 answers on 1 connections", "the last line")


@case("our client -> Tornado's HTTPServer: a refusal instead of 100 Continue", needs=["tornado"])
def tornado_refuses():
    with Web() as server:
        return ask(
            server.to[1],
            [
                (f"POST /refusing expect {100 * MIB}", "403 []"),
                ("GET /hello", "200 [] 5 bytes"),
            ],
        )

"""Tornado itself as the other end: its streams, its TCP server and client, in threads with loops of their own."""

import asyncio
import logging
import os
import threading

from harness import *
from python_peers import client_context, server_context

BIG = 8 << 20
TLS = (False, True)


def words(secure):
    return "TLS" if secure else "TCP"


def tornado_case(name):
    """A case for plain TCP and one for TLS; `name` has a place for the word."""

    def add(function):
        for secure in TLS:
            needs = ["tornado", "openssl"] if secure else ["tornado"]
            case(name.format(words(secure)), needs=needs)(lambda secure=secure: function(secure))
        return function

    return add


class Server:
    """A TCPServer of Tornado that calls `handle` with each stream; left when the block ends."""

    def __init__(self, handle, context=None):
        self.handle, self.context = handle, context
        self.ready = threading.Event()
        self.failures = []

    def __enter__(self):
        self.thread = Background(lambda: asyncio.run(self.run()))
        check(self.ready.wait(DEADLINE), "Tornado doesn't start")
        return self

    async def run(self):
        from tornado.netutil import bind_sockets

        logging.getLogger("tornado").setLevel(logging.CRITICAL)
        server = self.serving()
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        self.to = ("--connect", f"127.0.0.1:{sockets[0].getsockname()[1]}")
        self.loop, self.end = asyncio.get_running_loop(), asyncio.Event()
        self.ready.set()
        await self.end.wait()
        server.stop()

    def serving(self):
        from tornado.tcpserver import TCPServer

        outer = self

        class Serving(TCPServer):
            async def handle_stream(self, stream, address):
                try:
                    await outer.handle(stream)
                except Exception as failure:
                    outer.failures.append(failure)

        return Serving(ssl_options=self.context)

    def __exit__(self, kind, *_):
        self.loop.call_soon_threadsafe(self.end.set)
        self.thread.join()
        if kind is None and self.failures:
            raise self.failures[0]


async def echo(stream):
    from tornado.iostream import StreamClosedError

    try:
        while True:
            await stream.write(await stream.read_bytes(65536, partial=True))
    except StreamClosedError as closed:
        check(closed.real_error is None, f"it ended with {closed.real_error}")


def as_client(port, talk, secure):
    """Has Tornado's TCPClient connect to us and `talk`."""

    async def run():
        from tornado.tcpclient import TCPClient

        # It knows no other name than the one it connects to, so that the name is compared with nothing.
        context = client_context() if secure else None
        if secure:
            context.check_hostname = False
        stream = await TCPClient().connect("127.0.0.1", port, ssl_options=context)
        await asyncio.wait_for(talk(stream), DEADLINE)
        # `start_tls` leaves nothing in it.
        if stream.socket:
            stream.close()

    logging.getLogger("tornado").setLevel(logging.CRITICAL)
    Background(lambda: asyncio.run(run())).join()


@tornado_case("our client -> Tornado's TCPServer, {}: 8 MiB both ways")
def to_tornado(secure):
    with Server(echo, server_context() if secure else None) as server:
        flags = CLIENT_TLS if secure else ()
        return good_client("echo", *server.to, *flags, "--bytes", BIG)


@tornado_case("Tornado's TCPClient -> our server, {}: 8 MiB both ways")
def from_tornado(secure):
    data = os.urandom(BIG)

    async def talk(stream):
        written = stream.write(data)
        check(await stream.read_bytes(BIG) == data, "other bytes came back")
        await written

    with Peer("--serve", "echo", *(SERVER_TLS if secure else ())) as server:
        as_client(server.port, talk, secure)
        # Tornado closes the socket without a goodbye.
        return server.wait_for("left: (.*)").group(1)


@tornado_case("Tornado's TCPClient -> our server, {}: each kind of read")
def reads(secure):
    async def talk(stream):
        await stream.write(b"a line\nhead\r\n\r\n0123456789word and more words")
        expect(await stream.read_until(b"\n"), b"a line\n", "read_until")
        expect(await stream.read_until_regex(b"\r?\n\r?\n"), b"head\r\n\r\n", "read_until_regex")
        memory = bytearray(10)
        expect(await stream.read_into(memory), 10, "read_into")
        expect(bytes(memory), b"0123456789", "what it read")
        expect(await stream.read_bytes(4), b"word", "read_bytes")
        expect(await stream.read_until(b"words"), b" and more words", "read_until")

    with Peer("--serve", "echo", *(SERVER_TLS if secure else ())) as server:
        as_client(server.port, talk, secure)


@tornado_case("our client -> Tornado's TCPServer, {}: read until it closes")
def until_close(secure):
    body = os.urandom(1 << 20)

    async def answer(stream):
        await stream.read_until(b"\r\n\r\n")
        await stream.write(body)
        stream.close()

    with Server(answer, server_context() if secure else None) as server:
        flags = CLIENT_TLS if secure else ()
        # Tornado says no goodbye when it closes: with TLS that can't be told from a truncated answer, and isn't.
        what = bad_client("without a goodbye", "http", *server.to, *flags, "--output", "got") if secure else good_client(
            "http", *server.to, "--output", "got"
        )
    with open(file("got"), "rb") as got:
        check(got.read() == body, "another body came")
    return what


@case("our client, STARTTLS -> Tornado's start_tls", needs=["tornado", "openssl"])
def our_start_tls():
    mails = []

    async def converse(stream):
        await stream.write(b"220 tornado.example.com\r\n")
        secure = False
        while True:
            word = (await stream.read_until(b"\r\n")).split()[0].upper()
            if word == b"EHLO":
                await stream.write(b"250 fine\r\n" if secure else b"250-tornado.example.com\r\n250 STARTTLS\r\n")
            elif word == b"STARTTLS":
                await stream.write(b"220 go ahead\r\n")
                stream = await stream.start_tls(True, server_context())
                secure = True
            elif word == b"DATA":
                await stream.write(b"354 go on\r\n")
                mails.append(await stream.read_until(b"\r\n.\r\n"))
                await stream.write(b"250 taken\r\n")
            elif word == b"QUIT":
                await stream.write(b"221 bye\r\n")
                stream.close()
                return
            else:
                await stream.write(b"250 fine\r\n")

    with Server(converse) as server:
        line = good_client("smtp", *server.to, *CLIENT_TLS)
    expect(len(mails), 1, "mails")
    return line


@case("Tornado's start_tls, STARTTLS -> our server", needs=["tornado", "openssl"])
def their_start_tls():
    async def talk(stream):
        async def ask(line, code):
            await stream.write(line + b"\r\n")
            reply = await stream.read_until_regex(rb"(^|\n)\d\d\d [^\n]*\n")
            check(reply.startswith(code), reply)

        await stream.read_until(b"\r\n")
        await ask(b"EHLO tornado.example.com", b"250")
        await ask(b"STARTTLS", b"220")
        stream = await stream.start_tls(False, client_context(), server_hostname=NAME)
        expect(stream.socket.version(), "TLSv1.3", "version")
        await ask(b"EHLO tornado.example.com", b"250")
        await ask(b"MAIL FROM:<one@example.com>", b"250")
        await ask(b"DATA", b"354")
        await ask(b"hello\r\n.", b"250")
        await ask(b"QUIT", b"221")

    with Peer("--serve", "smtp", *SERVER_TLS) as server:
        as_client(server.port, talk, False)
        server.wait_for("mail: 10 bytes")


@case("our client -> Tornado's TCPServer, TLS: with our certificate and without", needs=["tornado", "openssl"])
def our_certificate():
    with Server(echo, server_context(ask=True)) as server:
        good_client("echo", *server.to, *CLIENT_TLS, *CLIENT_CERTIFICATE)
    with Server(echo, server_context(ask=True)) as server:
        line = bad_client("alert|reset", "echo", *server.to, *CLIENT_TLS)
        server.failures.clear()
        return line

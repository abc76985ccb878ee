"""Python's `socket` and `ssl` as the other end."""

import contextlib
import os
import select
import socket
import ssl
import threading

from harness import *


def client_context(version=None, ca="ca.pem", certificate=None):
    context = ssl.create_default_context(cafile=file(ca))
    if version:
        context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv" + version.replace(".", "_")]
    if certificate:
        context.load_cert_chain(file(certificate + ".pem"), file(certificate + ".key"))
    return context


def server_context(version=None, ask=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file("server.pem"), file("server.key"))
    if version:
        context.minimum_version = context.maximum_version = ssl.TLSVersion["TLSv" + version.replace(".", "_")]
    if ask:
        context.load_verify_locations(file("ca.pem"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def secured(port, context, name=NAME, session=None):
    return context.wrap_socket(connect(port), server_hostname=name, session=session)


def echo_through(stream, size):
    """Sends and reads at the same time, and compares. In one thread: an SSL object doesn't take two."""
    data, sent, got = memoryview(os.urandom(size)), 0, bytearray()
    stream.setblocking(False)
    while len(got) < size:
        waits = True
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while sent < size:
                sent += stream.send(data[sent : sent + 65536])
                waits = False
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            piece = stream.recv(65536)
            check(piece, f"it ended after {len(got)} of {size} bytes")
            got += piece
            waits = False
        if waits:
            ready = select.select([stream], [stream] if sent < size else [], [], DEADLINE)
            check(any(ready), f"nothing moves after {len(got)} of {size} bytes")
    stream.settimeout(DEADLINE)
    check(got == data, "other bytes came back")


def echo_until_end(stream):
    """Sends back what comes, until it ends."""
    count = 0
    while piece := stream.recv(65536):
        stream.sendall(piece)
        count += len(piece)
    return count


def serve_once(handle, context=None):
    """A server for one connection in a thread, and the flags that lead our client to it."""
    listening, port = listener()

    def run():
        with listening:
            stream, _ = listening.accept()
        stream.settimeout(DEADLINE)
        with stream:
            if not context:
                return handle(stream)
            with context.wrap_socket(stream, server_side=True) as stream:
                return handle(stream)

    return Background(run), ("--connect", f"127.0.0.1:{port}")


@case("Python socket -> our server: 8 MiB both ways", smoke=True)
def plain():
    with Peer("--serve", "echo") as server:
        with connect(server.port) as stream:
            echo_through(stream, 8 << 20)
        server.wait_for("left: cleanly")


@case("our client -> Python socket: 8 MiB both ways", smoke=True)
def plain_to():
    thread, to = serve_once(echo_until_end)
    line = good_client("echo", *to, "--bytes", 8 << 20)
    expect(thread.join(), 8 << 20, "bytes that came")
    return line


@case("Python ssl, TLS {} -> our server: 8 MiB both ways, a clean end", smoke=True, needs=["openssl"], each=VERSIONS)
def from_ssl(version):
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        with secured(server.port, client_context(version)) as stream:
            expect(stream.version(), "TLSv" + version, "version")
            echo_through(stream, 8 << 20)
            # Says goodbye, and waits for ours.
            stream.unwrap()
        server.wait_for("left: cleanly")
        return server.wait_for("secured: (.*)").group(1)


@case("our client -> Python ssl, TLS {}: 8 MiB both ways, a clean end", smoke=True, needs=["openssl"], each=VERSIONS)
def to_ssl(version):
    # `recv` gives no bytes for a goodbye, and raises for an end without one.
    thread, to = serve_once(echo_until_end, server_context(version))
    line = good_client("echo", *to, *CLIENT_TLS, "--bytes", 8 << 20)
    expect(thread.join(), 8 << 20, "bytes that came")
    return line


@case("Python ssl, TLS {} -> our server: a session is resumed", needs=["openssl"], each=VERSIONS)
def resumed(version):
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        context = client_context(version)
        with secured(server.port, context) as stream:
            echo_through(stream, 1000)
            session = stream.session
        with secured(server.port, context, session=session) as stream:
            echo_through(stream, 1000)
            check(stream.session_reused, "not resumed")
        server.wait_for("secured: .* resumed")


@case("Python ssl, TLS {} -> our server: an end without goodbye is told apart", needs=["openssl"], each=VERSIONS)
def truncated(version):
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        with secured(server.port, client_context(version)) as stream:
            echo_through(stream, 1000)
        return server.wait_for("left: (the connection ended without a goodbye)").group(1)


@case("our client -> Python ssl, TLS {}: a truncated answer is an error", needs=["openssl"], each=VERSIONS)
def truncated_answer(version):
    def answer(stream):
        stream.recv(65536)
        stream.sendall(b"the first half")

    thread, to = serve_once(answer, server_context(version))
    line = bad_client("without a goodbye", "http", *to, *CLIENT_TLS)
    thread.join()

    def whole(stream):
        answer(stream)
        stream.unwrap().close()

    thread, to = serve_once(whole, server_context(version))
    good_client("http", *to, *CLIENT_TLS)
    thread.join()
    return line


@case("our client -> Python ssl, TLS {}: with our certificate and without", needs=["openssl"], each=VERSIONS)
def our_certificate(version):
    thread, to = serve_once(echo_until_end, server_context(version, ask=True))
    good_client("echo", *to, *CLIENT_TLS, *CLIENT_CERTIFICATE)
    thread.join()
    thread, to = serve_once(echo_until_end, server_context(version, ask=True))
    line = bad_client("alert", "echo", *to, *CLIENT_TLS)
    try:
        thread.join()
        raise AssertionError("Python served a client without certificate")
    except ssl.SSLError:
        return line


@case("Python ssl, TLS {} -> our server: with a client's certificate and without", needs=["openssl"], each=VERSIONS)
def client_certificate(version):
    with Peer("--serve", "echo", *SERVER_TLS, "--ca-certs", "ca.pem", "--cert-reqs", "required") as server:
        with secured(server.port, client_context(version, certificate="client")) as stream:
            echo_through(stream, 1000)
        for certificate in (None, "stranger"):
            try:
                with secured(server.port, client_context(version, certificate=certificate)) as stream:
                    stream.sendall(b"x")
                    check(not stream.recv(1), "it was served")
                raise AssertionError("no alert came")
            except ssl.SSLError as error:
                refusal = error.reason
        server.wait_for("handshake with", 2, lines=server.err)
        return refusal


@case("Python ssl -> our server: an unknown authority, another name", needs=["openssl"])
def distrust():
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        for context, name in ((client_context(ca="other-ca.pem"), NAME), (client_context(), OTHER_NAME)):
            try:
                secured(server.port, context, name)
                raise AssertionError("Python believed it")
            except ssl.SSLCertVerificationError:
                pass
        server.wait_for("handshake with", 2, lines=server.err)
        server.wait_for("left: .*alert", 2)


@case("our client -> Python ssl: an unknown authority, another name", needs=["openssl"])
def our_distrust():
    for flags, says in (
        (("--ca-certs", "other-ca.pem", "--name", NAME), "UnknownIssuer"),
        (("--ca-certs", "ca.pem", "--name", OTHER_NAME), "[Nn]ame"),
    ):
        thread, to = serve_once(echo_until_end, server_context())
        bad_client(says, "echo", *to, *flags)
        try:
            thread.join()
            raise AssertionError("Python saw no alert")
        except ssl.SSLError as error:
            alert = error.reason
    return alert


def dribble(port, limit):
    """A proxy that passes the first bytes of both directions on one at a time."""
    listening, own = listener()

    def pump(source, target):
        passed = 0
        while piece := source.recv(1 if passed < limit else 65536):
            target.sendall(piece)
            passed += len(piece)
        target.shutdown(socket.SHUT_WR)

    def run():
        with listening:
            client, _ = listening.accept()
        with client, connect(port) as server:
            for stream in (client, server):
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = Background(pump, server, client)
            pump(client, server)
            back.join()

    return Background(run), own


@case("Python ssl, TLS {} -> our server: byte by byte", needs=["openssl"], each=VERSIONS)
def byte_by_byte(version):
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        proxy, port = dribble(server.port, 20_000)
        with secured(port, client_context(version)) as stream:
            echo_through(stream, 100_000)
            stream.unwrap()
        proxy.join()
        server.wait_for("left: cleanly")


@case("our client -> Python ssl, TLS {}: byte by byte", needs=["openssl"], each=VERSIONS)
def our_byte_by_byte(version):
    thread, to = serve_once(echo_until_end, server_context(version))
    proxy, port = dribble(int(to[1].rsplit(":", 1)[1]), 20_000)
    good_client("echo", "--connect", f"127.0.0.1:{port}", *CLIENT_TLS)
    thread.join()
    proxy.join()


@case("plain Python socket -> our TLS server: refused at once, one line in the log", smoke=True, needs=["openssl"])
def plain_at_tls():
    with Peer("--serve", "http", *SERVER_TLS) as server:
        with connect(server.port) as stream:
            stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            try:
                while piece := stream.recv(1000):
                    answer += piece
            except ConnectionResetError:
                pass
        check(b"HTTP" not in answer, answer)
        line = server.wait_for("handshake with", lines=server.err).string
        expect(len(server.err), 1, f"lines in the log {server.err}")
        return line.split("handshake", 1)[1]


@case("Python ssl: 50 clients at once", needs=["openssl"])
def crowd():
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        port, context, start = server.port, client_context(), threading.Barrier(50)

        def client():
            start.wait(DEADLINE)
            with secured(port, context) as stream:
                echo_through(stream, 100_000)
                stream.unwrap()

        for thread in [Background(client) for _ in range(50)]:
            thread.join()
        server.wait_for("left: cleanly", 50)

"""curl as a client of our server, which speaks the least of HTTP/1.1."""

import os

from harness import *


def curl(port, *arguments, name=NAME, status=0):
    return tool(
        *("curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(DEADLINE)),
        *("--resolve", f"{name}:{port}:127.0.0.1", *arguments, f"https://{name}:{port}/path"),
        status=status,
    )


@case("curl, TLS {} -> our server: a page", smoke=True, needs=["curl", "openssl"], each=VERSIONS)
def page(version):
    with Peer("--serve", "http", *SERVER_TLS, "--alpn", "http/1.1") as server:
        expect(curl(server.port, "--cacert", "ca.pem", "--tlsv" + version, "--tls-max", version), "/path", "the page")
        server.wait_for("left: cleanly")
        return server.wait_for("secured: (.*)").group(1)


@case("curl -> our server: 5 MiB both ways", needs=["curl", "openssl"])
def upload():
    big = os.urandom(5 << 20)
    with open(file("big"), "wb") as out:
        out.write(big)
    with Peer("--serve", "http", *SERVER_TLS) as server:
        curl(server.port, "--cacert", "ca.pem", "--data-binary", "@big", "-H", "Expect:", "--output", "got")
    with open(file("got"), "rb") as got:
        check(got.read() == big, "another body came back")


@case("curl -> our server: two requests on one connection", needs=["curl", "openssl"])
def keep_alive():
    with Peer("--serve", "http", *SERVER_TLS) as server:
        again = f"https://{NAME}:{server.port}/again"
        text = curl(server.port, "--cacert", "ca.pem", "--write-out", "(%{num_connects})", again)
        expect(text, "/again(1)/path(0)", "pages and new connections")


@case("curl -> our server: an unknown authority, another name", smoke=True, needs=["curl", "openssl"])
def distrust():
    with Peer("--serve", "http", *SERVER_TLS) as server:
        curl(server.port, "--cacert", "other-ca.pem", status=60)
        curl(server.port, "--cacert", "ca.pem", name=OTHER_NAME, status=60)
        expect(curl(server.port, "--insecure", name=OTHER_NAME), "/path", "the page")
        # The name is compared when the handshake is done, with most of the libraries that curl is built with.
        return server.wait_for("handshake with .* failed: (.*)", lines=server.err).group(1)


@case("curl, TLS {} -> our server: with a client's certificate and without", needs=["curl", "openssl"], each=VERSIONS)
def client_certificate(version):
    flags = ("--cacert", "ca.pem", "--tlsv" + version, "--tls-max", version)
    ours = ("--cert", "client.pem", "--key", "client.key")
    with Peer("--serve", "http", *SERVER_TLS, "--ca-certs", "ca.pem", "--cert-reqs", "required") as server:
        expect(curl(server.port, *flags, *ours), "/path", "the page")
        # Which status it is depends on the version of TLS and of curl: refused in the handshake, or when it reads.
        for refused in ((), ("--cert", "stranger.pem", "--key", "stranger.key")):
            text = curl(server.port, *flags, *refused, status=None)
            check("/path" not in text and "alert" in text, f"not refused: {text}")
    with Peer("--serve", "http", *SERVER_TLS, "--ca-certs", "ca.pem", "--cert-reqs", "optional") as server:
        expect(curl(server.port, *flags), "/path", "the page without a certificate")
        expect(curl(server.port, *flags, *ours), "/path", "the page with one")
        server.wait_for("certificates=0")
        server.wait_for("certificates=[12]")

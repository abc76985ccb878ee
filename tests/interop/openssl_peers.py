"""`openssl s_client` and `openssl s_server` as the other end."""

import contextlib
import os

from harness import *

S_CLIENT = ("openssl", "s_client", "-CAfile", "ca.pem", "-verify_return_error")
NAMED = ("-servername", NAME, "-verify_hostname", NAME)


def s_client(port, *flags, stdin=True):
    return Child([*S_CLIENT, *NAMED, "-connect", f"127.0.0.1:{port}", *flags], stdin=stdin)


def s_server(*flags, certificate="server"):
    arguments = ("openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", f"{certificate}.pem", "-key", f"{certificate}.key")
    return Child([*arguments, *flags], stdin=True)


def to(server):
    """The flags that lead our client there. s_server prints `ACCEPT 127.0.0.1:12345`."""
    return ("--connect", server.wait_for(r"ACCEPT (127\.0\.0\.1:\d+)").group(1))


def flag(version):
    return "-tls" + version.replace(".", "_")


@case("openssl s_client, TLS {} -> our server: lines both ways", smoke=True, needs=["openssl"], each=VERSIONS)
def lines(version):
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        with s_client(server.port, flag(version), "-quiet", "-no_ign_eof") as client:
            for number in range(100):
                client.send(b"line %d\n" % number)
                client.wait_for(rf"^line {number}$")
            client.send(b"x" * 15_000 + b"\n")
            client.wait_for("x{15000}")
            client.close_stdin()
            expect(client.finish(), 0, "status of s_client")
        agreed = server.wait_for(r"secured: (.*)").group(1)
        check(agreed.startswith("TLSv" + version), agreed)
        check(f"sni={NAME}" in agreed, agreed)
        server.wait_for("left: cleanly")
        return agreed


@case("openssl s_client, TLS {} -> our server: sessions are resumed", needs=["openssl"], each=VERSIONS)
def resumed(version):
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        for count, (file_flag, word) in enumerate((("-sess_out", "New"), ("-sess_in", "Reused")), 1):
            with s_client(server.port, flag(version), file_flag, "session.pem", "-no_ign_eof") as client:
                client.wait_for(rf"^{word}, TLSv{version}")
                # In TLS 1.3 the ticket comes after the handshake.
                client.send(b"a line\n")
                client.wait_for("^a line$")
                client.close_stdin()
                expect(client.finish(), 0, "status of s_client")
            server.wait_for(r"left: cleanly", count)
        server.wait_for(r"secured: .* resumed")


@case("openssl s_client, TLS {} -> our server: with a client's certificate", needs=["openssl"], each=VERSIONS)
def client_certificate(version):
    with Peer("--serve", "echo", *SERVER_TLS, "--ca-certs", "ca.pem", "--cert-reqs", "required") as server:
        with s_client(server.port, flag(version), "-quiet", "-cert", "client.pem", "-key", "client.key") as client:
            client.send(b"a line\n")
            client.wait_for("^a line$")
        server.wait_for("secured: .* certificates=[12]")


@case("openssl s_client, TLS {} -> our server: without one, or a stranger's, it is refused", needs=["openssl"], each=VERSIONS)
def no_client_certificate(version):
    with Peer("--serve", "echo", *SERVER_TLS, "--ca-certs", "ca.pem", "--cert-reqs", "required") as server:
        for flags in ((), ("-cert", "stranger.pem", "-key", "stranger.key")):
            with s_client(server.port, flag(version), "-quiet", *flags) as client:
                with contextlib.suppress(BrokenPipeError):
                    client.send(b"a line\n")
                check(client.finish() != 0, "s_client is content")
                check(any("alert" in line for line in client.err), client.printed())
                check(not any("a line" in line for line in client.out), "it was served")
        server.wait_for("left: ", 2)
        lines = [line for line in server.err if "handshake with" in line]
        expect(len(lines), 2, f"lines in the log {server.err}")


@case("openssl s_client -> our server: ALPN chooses", needs=["openssl"])
def alpn():
    with Peer("--serve", "echo", *SERVER_TLS, "--alpn", "http/1.1,spdy/1") as server:
        with s_client(server.port, "-alpn", "h2,spdy/1,http/1.1") as client:
            client.wait_for("ALPN protocol: http/1.1")
        server.wait_for("secured: .* alpn=http/1.1")
        with s_client(server.port, "-alpn", "h2") as client:
            check(client.finish() != 0, "a protocol that isn't ours was accepted")


@case("openssl s_client -> our server: SNI chooses the certificate", needs=["openssl"])
def sni():
    second = ("--sni-certfile", "second.pem", "--sni-keyfile", "second.key")
    with Peer("--serve", "echo", *SERVER_TLS, *second) as server:
        for name, subject in ((NAME, "server"), (OTHER_NAME, "second"), ("unknown.example.com", "server")):
            with Child([*S_CLIENT, "-connect", f"127.0.0.1:{server.port}", "-servername", name]) as client:
                client.wait_for(rf"subject=CN ?= ?{subject}")


@case("openssl s_client -> our server: TLS 1.1 is refused", needs=["openssl"])
def old_version():
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        with s_client(server.port, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0") as client:
            check(client.finish() != 0, "TLS 1.1 was accepted")
        server.wait_for("handshake with .* failed", lines=server.err)


@case("openssl s_client, TLS 1.3 -> our server: keys are updated", needs=["openssl"])
def key_update():
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        with s_client(server.port, "-tls1_3") as client:
            for number in range(3):
                client.send(f"line {number}\n".encode())
                client.wait_for(rf"^line {number}$")
                client.send(b"K\n")
                client.wait_for("KEYUPDATE", number + 1, lines=client.err)
            client.send(b"the last\n")
            client.wait_for("^the last$")


@case("our client -> openssl s_server, TLS {}: lines both ways", smoke=True, needs=["openssl"], each=VERSIONS)
def to_s_server(version):
    with s_server("-rev", flag(version)) as server:
        with Peer("--use", "reverse", *to(server), *CLIENT_TLS) as client:
            agreed = client.wait_for("secured: (.*)").group(1)
            check(agreed.startswith("TLSv" + version), agreed)
            client.wait_for("ok: a line came back reversed")
            expect(client.finish(), 0, "status of our client")
        return agreed


@case("our client -> openssl s_server, TLS {}: 8 MiB and a clean end", needs=["openssl"], each=VERSIONS)
def download(version):
    big = os.urandom(8 << 20)
    with open(file("big"), "wb") as out:
        out.write(big)
    with s_server("-WWW", flag(version)) as server:
        line = good_client("http", *to(server), *CLIENT_TLS, "--output", "got")
    with open(file("got"), "rb") as got:
        head, _, body = got.read().partition(b"\r\n\r\n")
    check(head.startswith(b"HTTP/1.0 200"), head[:100])
    check(body == big, "another file came")
    return line


@case("our client -> openssl s_server, TLS {}: sessions are resumed", needs=["openssl"], each=VERSIONS)
def our_resumption(version):
    with s_server("-rev", flag(version)) as server:
        with Peer("--use", "reverse", "--times", "3", *to(server), *CLIENT_TLS) as client:
            expect(client.finish(), 0, f"status of our client, {client.printed()}")
            agreed = [line.rsplit(" ", 1)[1] for line in client.out if line.startswith("secured")]
            expect(agreed, ["new", "resumed", "resumed"], "sessions")


@case("our client -> openssl s_server, TLS {}: with our certificate", needs=["openssl"], each=VERSIONS)
def our_certificate(version):
    ask = ("-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem")
    with s_server("-rev", flag(version), *ask) as server:
        good_client("reverse", *to(server), *CLIENT_TLS, *CLIENT_CERTIFICATE)
    with s_server("-rev", flag(version), *ask) as server:
        return bad_client("alert", "reverse", *to(server), *CLIENT_TLS)


@case("our client -> openssl s_server: an unknown authority, another name", needs=["openssl"])
def distrust():
    with s_server("-rev") as server:
        there = to(server)
        bad_client("UnknownIssuer", "reverse", *there, "--ca-certs", "other-ca.pem", "--name", NAME)
        bad_client("[Nn]ame", "reverse", *there, "--ca-certs", "ca.pem", "--name", OTHER_NAME)
        good_client("reverse", *there, "--ca-certs", "ca.pem", "--name", OTHER_NAME, "--any-name")
        good_client("reverse", *there, "--name", OTHER_NAME, "--cert-reqs", "none")


@case("our client -> openssl s_server: ALPN and SNI reach it", needs=["openssl"])
def our_offers():
    with s_server("-rev", "-alpn", "http/1.1") as server:
        with Peer("--use", "reverse", *to(server), *CLIENT_TLS, "--alpn", "h2,http/1.1") as client:
            client.wait_for("secured: .* alpn=http/1.1")
            client.wait_for("^ok")
            expect(client.finish(), 0, "status of our client")
    with s_server("-rev", "-servername", OTHER_NAME, "-cert2", "second.pem", "-key2", "second.key") as server:
        for name in (NAME, OTHER_NAME):
            good_client("reverse", *to(server), "--ca-certs", "ca.pem", "--name", name)


@case("our client -> openssl s_server: a version that only one side has", needs=["openssl"])
def no_common_version():
    with s_server("-rev", "-tls1_2") as server:
        return bad_client("[Vv]ersion|alert", "reverse", *to(server), *CLIENT_TLS, "--minimum-version", "1.3")


@case("openssl s_client -> our server: it takes part in renegotiation no more", needs=["openssl"])
def renegotiation():
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        with s_client(server.port, "-tls1_2") as client:
            client.send(b"a line\n")
            client.wait_for("^a line$")
            client.send(b"R\n")
            client.wait_for("RENEGOTIATING", lines=client.err)
            # It may have been refused, and be gone, by now.
            with contextlib.suppress(BrokenPipeError):
                client.send(b"another line\n")
            server.wait_for("left: |another", lines=server.out)
        return server.wait_for("left: (.*)").group(1)

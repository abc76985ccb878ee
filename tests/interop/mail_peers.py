"""`STARTTLS` in the middle of a conversation: Python's smtplib as client, a server by hand."""

import smtplib
import ssl

from harness import *
from python_peers import client_context, serve_once, server_context

MAIL = "Subject: hello\r\n\r\n" + "a line of the mail\r\n" * 1000


@case("smtplib, STARTTLS with TLS {} -> our server", smoke=True, needs=["openssl"], each=VERSIONS)
def smtplib_to_us(version):
    with Peer("--serve", "smtp", *SERVER_TLS) as server:
        # The host name is that which the certificate is compared with.
        client = smtplib.SMTP(timeout=DEADLINE)
        client.connect("127.0.0.1", server.port)
        client._host = NAME
        client.ehlo()
        check(client.has_extn("starttls"), "no STARTTLS")
        try:
            client.mail("one@example.com")
            code = client.docmd("RCPT", "TO:<two@example.com>")[0]
            expect(code, 530, "answer to a mail before STARTTLS")
        finally:
            client.rset()
        client.starttls(context=client_context(version))
        client.ehlo()
        check(not client.has_extn("starttls"), "STARTTLS is offered twice")
        for number in range(3):
            expect(client.sendmail("one@example.com", "two@example.com", MAIL), {}, f"mail {number}")
        client.quit()
        server.wait_for("mail: ", 3)
        agreed = server.wait_for("secured: (.*)").group(1)
        check(agreed.startswith("TLSv" + version), agreed)
        return agreed


@case("openssl s_client -starttls smtp, TLS {} -> our server", needs=["openssl"], each=VERSIONS)
def s_client_to_us(version):
    with Peer("--serve", "smtp", *SERVER_TLS) as server:
        starting = ("-starttls", "smtp", "-quiet", "-crlf", "-verify_return_error", "-verify_hostname", NAME)
        there = ("-CAfile", "ca.pem", "-connect", f"127.0.0.1:{server.port}", "-tls" + version.replace(".", "_"))
        with Child(["openssl", "s_client", *starting, *there], stdin=True) as client:
            client.send(b"EHLO client.example.com\nNOOP\n")
            client.wait_for("^250 fine", 2)
            # A Q alone would end s_client.
            client.send(b"quit\n")
            client.wait_for("^221")
            client.finish()
        return server.wait_for("secured: (.*)").group(1)


@case("smtplib, STARTTLS -> our server: a certificate that isn't trusted", needs=["openssl"])
def distrust():
    with Peer("--serve", "smtp", *SERVER_TLS) as server:
        client = smtplib.SMTP(timeout=DEADLINE)
        client.connect("127.0.0.1", server.port)
        client._host = NAME
        client.ehlo()
        try:
            client.starttls(context=client_context(ca="other-ca.pem"))
            raise AssertionError("smtplib believed it")
        except ssl.SSLCertVerificationError:
            pass
        return server.wait_for("left: (.*alert.*)").group(1)


@case("a command behind STARTTLS is never taken as sent over TLS", smoke=True, needs=["openssl"])
def injected():
    with Peer("--serve", "smtp", *SERVER_TLS) as server:
        with connect(server.port) as stream:
            lines = stream.makefile("rb")
            check(lines.readline().startswith(b"220"), "no greeting")
            stream.sendall(b"STARTTLS\r\nRSET\r\n")
            check(lines.readline().startswith(b"220"), "STARTTLS was refused")
            expect(lines.readline(), b"", "what comes next")
        check(not any("secured" in line for line in server.out), "it was secured")
        return server.wait_for("left: (.*)").group(1)


def converse(stream, context):
    """A mail server's side of it."""
    mails, secure = 0, False
    lines = stream.makefile("rb")
    stream.sendall(b"220 python.example.com\r\n")
    while line := lines.readline():
        word = line.split()[0].upper()
        if word == b"EHLO":
            stream.sendall(b"250 fine\r\n" if secure else b"250-python.example.com\r\n250 STARTTLS\r\n")
        elif word == b"STARTTLS":
            stream.sendall(b"220 go ahead\r\n")
            stream = context.wrap_socket(stream, server_side=True)
            lines, secure = stream.makefile("rb"), True
        elif word == b"DATA":
            stream.sendall(b"354 go on\r\n")
            text = []
            while (line := lines.readline()) != b".\r\n":
                check(line, "the mail doesn't end")
                text.append(line)
            expect(b"".join(text).decode(), MAIL, "the mail")
            mails += secure
            stream.sendall(b"250 taken\r\n")
        elif word == b"QUIT":
            stream.sendall(b"221 bye\r\n")
            break
        else:
            stream.sendall(b"250 fine\r\n")
    stream.close()
    return mails


@case("our client, STARTTLS with TLS {} -> Python's sockets", smoke=True, needs=["openssl"], each=VERSIONS)
def to_python(version):
    context = server_context(version)
    thread, to = serve_once(lambda stream: converse(stream, context))
    line = good_client("smtp", *to, *CLIENT_TLS)
    expect(thread.join(), 1, "mails that came over TLS")
    return line


@case("our client, STARTTLS -> Python's sockets: another name", needs=["openssl"])
def other_name():
    context = server_context()
    thread, to = serve_once(lambda stream: converse(stream, context))
    line = bad_client("[Nn]ame", "smtp", *to, "--ca-certs", "ca.pem", "--name", OTHER_NAME)
    try:
        thread.join()
        raise AssertionError("Python saw no alert")
    except ssl.SSLError:
        return line

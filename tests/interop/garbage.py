"""Rubbish at the TLS port, and clients that stall, while good clients are served."""

import contextlib
import random
import socket
import struct
import threading
import time

from harness import *
from python_peers import client_context, echo_through, secured

# What scanners and lost clients send first.
PROBES = {
    "nothing": b"",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "line ends": b"\r\n\r\n" * 100,
    "zeros": bytes(1000),
    "SSLv2 hello": bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0") + bytes(16),
    "a record of 0 bytes": bytes.fromhex("1603010000"),
    "a record of 64 KiB": bytes.fromhex("160301ffff") + bytes(65535),
    "half a hello": bytes.fromhex("16030100ff010000fb0303"),
    "an alert": bytes.fromhex("15030300020228"),
    "application data": bytes.fromhex("1703030010") + bytes(16),
    "a change of cipher": bytes.fromhex("140303000101"),
    "RDP": bytes.fromhex("0300002f2ae00000000000436f6f6b69653a206d737473686173683d41646d696e"),
    "SMB": bytes.fromhex("00000054ff534d4272000000001801280000000000000000000000000000"),
}


def probe(port, data, reset):
    """Sends, reads what comes, and leaves, gently or not."""
    with connect(port) as stream, contextlib.suppress(OSError):
        stream.sendall(data)
        if reset:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(65536):
            pass


def scan(port, dice, count):
    for _ in range(count):
        data = dice.choice([*PROBES.values(), dice.randbytes(dice.randrange(1, 4000))])
        probe(port, data, dice.random() < 0.2)


@case("garbage at the TLS port while good clients are served", needs=["openssl"])
def scanned():
    with Peer("--serve", "echo", *SERVER_TLS) as server:
        port, context, done = server.port, client_context(), threading.Event()

        def good_client():
            count = 0
            with secured(port, context) as lasting:
                while not done.is_set():
                    echo_through(lasting, 10_000)
                    with secured(port, context) as fresh:
                        echo_through(fresh, 10_000)
                        fresh.unwrap()
                    count += 1
                lasting.unwrap()
            return count

        clients = [Background(good_client) for _ in range(4)]
        sizes = []
        for turn in range(6):
            scanners = [Background(scan, port, random.Random(10 * turn + n), 100) for n in range(4)]
            for scanner in scanners:
                scanner.join()
            sizes.append(server.memory())
        done.set()
        served = sum(client.join() for client in clients)
        check(served > 0, "no good client was served")
        # The first rounds fill what is kept for reuse.
        growth = sizes[-1] - sizes[1]
        check(growth < 512, f"memory in KiB after each round: {sizes}")
        quiet = [line for line in server.err if " INFO handshake with " in line]
        expect(server.err, quiet, "what else is in the log")
        check(len(quiet) <= 2400, f"{len(quiet)} lines for 2400 connections")
        return f"2400 scans, {len(quiet)} lines in the log, {2 * served} good connections, {growth} KiB more"


@case("each kind of garbage: one line in the log at most, and at once", smoke=True, needs=["openssl"])
def each_kind():
    lines = 0
    for name, data in PROBES.items():
        with Peer("--serve", "echo", *SERVER_TLS) as server:
            probe(server.port, data, False)
            server.wait_for("left: ")
            check(not any("secured" in line for line in server.out), f"{name} was taken for TLS")
            check(len(server.err) <= 1 and all("INFO handshake with" in line for line in server.err), (name, server.err))
            lines += len(server.err)
    return f"{len(PROBES)} kinds, {lines} lines"


@case("1,000 stalled handshakes with queued writes cost no time", needs=["openssl"])
def stalled():
    count, seconds = 1000, 10
    with Peer("--serve", "greet", *SERVER_TLS) as server:
        port = server.port
        with contextlib.ExitStack() as stack:
            for number in range(count):
                stream = stack.enter_context(connect(port))
                if number % 2:
                    stream.sendall(PROBES["half a hello"])
            with secured(port, client_context()) as stream:
                expect(stream.recv(100), b"welcome\n", "what was queued before the handshake")
            before = usage(server)
            time.sleep(seconds)
            after = usage(server)
        ticks, switches = after[0] - before[0], after[1] - before[1]
        check(ticks <= 1, f"{ticks} clock ticks in {seconds} s")
        check(switches <= 5, f"it woke {switches} times in {seconds} s")
        return f"{ticks} ticks, {switches} wake-ups in {seconds} s; {server.memory()} KiB"


def usage(server):
    """Clock ticks that it ran, and how often it waited."""
    with open(f"/proc/{server.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{server.process.pid}/status") as status:
        waits = next(line for line in status if line.startswith("voluntary_ctxt_switches"))
    return int(fields[11]) + int(fields[12]), int(waits.split()[1])


@case("a stalled handshake ends at its deadline", smoke=True, needs=["openssl"])
def deadline():
    with Peer("--serve", "echo", *SERVER_TLS, "--handshake-timeout", "200") as server:
        with connect(server.port) as stream:
            stream.sendall(PROBES["half a hello"])
            expect(stream.recv(1), b"", "what comes")
        return server.wait_for("left: (.*)").group(1)

"""Tornado's HTTPServer with a callback for whole requests, which is what it has that is fastest: no tornado.web. One process.

It runs on asyncio's own loop, or with --uvloop on that of libuv.
"""

import argparse
import asyncio
import os
import signal
import socket
import time

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, ResponseStartLine, format_timestamp

HELLO = b"Hello, World!"
PIECE = b"x" * 65536
OK = ResponseStartLine("HTTP/1.1", 200, "OK")
NOT_FOUND = ResponseStartLine("HTTP/1.1", 404, "Not Found")
STREAM = "/stream/"


class Date:
    """The date of this second, made once."""

    second, text = 0, ""

    @classmethod
    def now(cls):
        second = int(time.time())
        if second != cls.second:
            cls.second, cls.text = second, format_timestamp(second)
        return cls.text


def answer(request):
    """What a server calls with each request."""
    if request.path == "/":
        respond(request.connection, OK, "text/plain", HELLO)
    elif request.path == "/echo":
        respond(request.connection, OK, "application/octet-stream", request.body)
    elif request.path.startswith(STREAM):
        asyncio.ensure_future(stream(request.connection, int(request.path[len(STREAM) :])))
    else:
        respond(request.connection, NOT_FOUND, "text/plain", b"")


def respond(connection, start_line, content_type, body):
    connection.write_headers(start_line, headers(content_type, len(body)), body)
    connection.finish()


async def stream(connection, left):
    connection.write_headers(OK, headers("application/octet-stream", left))
    while left:
        piece = PIECE[:left]
        # Ready when the client has taken it.
        await connection.write(piece)
        left -= len(piece)
    connection.finish()


def headers(content_type, length):
    return HTTPHeaders({"Content-Type": content_type, "Content-Length": str(length), "Date": Date.now()})


async def serve(port):
    listener = socket.create_server(("127.0.0.1", port), backlog=65535)
    listener.setblocking(False)
    # Connections inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = HTTPServer(answer)
    server.add_socket(listener)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    await asyncio.Event().wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--uvloop", action="store_true")
    arguments = parser.parse_args()
    if arguments.uvloop:
        import uvloop

        uvloop.run(serve(arguments.port))
    else:
        asyncio.run(serve(arguments.port))


if __name__ == "__main__":
    main()

"""Compares what landspout makes of bytes with what Python's h11 makes of them.

Its argument is a file with a line for each input, as differential.rs writes it: the input, how landspout's reading ends, and
method:target:body of each request that it took, all bytes in hexadecimal. Inputs that both take and frame differently are
printed, and make this fail. What one side refuses or leaves unread is no difference: nothing behind it is ever served.
"""

import sys

import h11

NOT_FOUND = h11.Response(status_code=404, headers=[("Content-Length", "0")])


def read(data):
    """The requests that h11 takes from these bytes, and how it ends: Refused, Closed or Waits."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    requests, head, body = [], None, b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return requests, "Refused"
        if isinstance(event, h11.Request):
            head, body = (event.method, event.target), b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            requests.append((*head, body))
            connection.send(NOT_FOUND)
            connection.send(h11.EndOfMessage())
            if connection.states[h11.CLIENT] is not h11.DONE or connection.states[h11.SERVER] is not h11.DONE:
                return requests, "Closed"
            connection.start_next_cycle()
        else:
            return requests, "Waits"


def normal(target):
    """As differential.rs has it: scheme and host in lower case, and no empty path."""
    lower = target.lower()
    for scheme in (b"http://", b"https://"):
        if lower.startswith(scheme):
            rest = target[len(scheme):]
            end = min([rest.find(mark) for mark in (b"/", b"?") if mark in rest] or [len(rest)])
            path = rest[end:] if rest[end:].startswith(b"/") else b"/" + rest[end:]
            return scheme + rest[:end].lower() + path
    return target


def main():
    differences = both = 0
    with open(sys.argv[1], encoding="ascii") as frames:
        for number, line in enumerate(frames, 1):
            data, our_end, *ours = line.rstrip("\n").split(" ")
            data = bytes.fromhex(data)
            ours = [tuple(bytes.fromhex(part) for part in request.split(":")) for request in ours]
            ours = [(method, normal(target), body) for method, target, body in ours]
            theirs, their_end = read(data)
            theirs = [(method, normal(target), body) for method, target, body in theirs]
            shared = min(len(ours), len(theirs))
            both += shared
            shorter_end = our_end if len(ours) < len(theirs) else their_end
            if ours[:shared] != theirs[:shared] or (len(ours) != len(theirs) and shorter_end == "Waits"):
                differences += 1
                print(f"{data!r}\n  ours  {our_end} {ours}\n  h11's {their_end} {theirs}")
    print(f"{number} inputs, {both} requests taken by both, {differences} framed differently by h11 {h11.__version__}")
    if differences or not both:
        sys.exit(1)


main()

"""What every case needs: the list of cases, our program as a child process, certificates, and waits that end.

Rules: only the loopback is used; every wait has a deadline, generous enough that only a failure meets it; what was
started is ended, however a case ends.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

DEADLINE = 30
NAME = "foo.example.com"
OTHER_NAME = "bar.example.com"
VERSIONS = ("1.2", "1.3")

CASES = []


class Skip(Exception):
    """The case can't run on this machine."""


class Case:
    def __init__(self, name, function, smoke, needs):
        self.name, self.function, self.smoke, self.needs = name, function, smoke, needs


def case(name, *, smoke=False, needs=(), each=(None,)):
    """Lists a function as a case, once for each of `each`. It returns a remark for the table, or raises."""

    def add(function):
        for argument in each:
            full = name if argument is None else name.format(argument)
            call = function if argument is None else (lambda argument=argument: function(argument))
            CASES.append(Case(full, call, smoke, needs))
        return function

    return add


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def expect(found, expected, what):
    check(found == expected, f"{what}: {found!r}, not {expected!r}")


class Setting:
    """Where things are; set by run.py."""

    peer = None
    playground = None
    work = None


class Child:
    """A program under test or the other end of it, with what it prints, line by line."""

    def __init__(self, arguments, stdin=False, env=None):
        self.name = os.path.basename(arguments[0])
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Setting.work,
            env=env,
        )
        self.out, self.err = [], []
        self.changed = threading.Condition()
        self.open = 2
        for pipe, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=self._collect, args=(pipe, lines), daemon=True).start()

    def _collect(self, pipe, lines):
        for line in pipe:
            with self.changed:
                lines.append(line.decode(errors="replace").rstrip("\r\n"))
                self.changed.notify_all()
        with self.changed:
            self.open -= 1
            self.changed.notify_all()

    def wait_for(self, pattern, count=1, lines=None):
        """The match in the `count`th line that has one, of stdout unless told otherwise."""
        lines = self.out if lines is None else lines

        def found():
            matches = [match for match in (re.search(pattern, line) for line in lines) if match]
            return matches[count - 1] if len(matches) >= count else None

        end = time.monotonic() + DEADLINE
        with self.changed:
            while not (match := found()):
                left = end - time.monotonic()
                check(left > 0, f"{self.name} did not print /{pattern}/ {count} times: {self.printed()}")
                check(self.open, f"{self.name} ended without printing /{pattern}/ {count} times: {self.printed()}")
                self.changed.wait(left)
            return match

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close_stdin(self):
        self.process.stdin.close()

    def printed(self):
        return f"stdout {self.out[-20:]}, stderr {self.err[-20:]}"

    def finish(self):
        """Waits for its end and gives its status."""
        status = self.process.wait(DEADLINE)
        end = time.monotonic() + DEADLINE
        with self.changed:
            while self.open:
                check(time.monotonic() < end, f"{self.name} ended, but who has its pipes?")
                self.changed.wait(0.1)
        return status

    def end(self):
        """Kills it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        if self.process.stdin and not self.process.stdin.closed:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


class Peer(Child):
    """Our program, see peer.rs."""

    def __init__(self, *arguments, verbose=False):
        port = ("--port", "0") if arguments[0] == "--serve" else ()
        super().__init__([Setting.peer, *arguments, *port], env={**os.environ, "RUST_LOG": "debug" if verbose else "info"})
        self.name = "our server" if arguments[0] == "--serve" else "our client"

    @property
    def port(self):
        return int(self.wait_for(r"listening on 127\.0\.0\.1:(\d+)").group(1))

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
        finally:
            self.end()

    def stop(self):
        """A server ends with SIGTERM, a client by itself; neither panics."""
        if self.name == "our server":
            stop_server(self)
        check(not any("panicked at" in line for line in self.err), f"{self.name} panicked: {self.printed()}")

    def memory(self):
        """What it has in memory, in KiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def stop_server(server):
    """Ends one of our servers, which has to go well."""
    check(server.process.poll() is None, f"{server.name} ended by itself: {server.printed()}")
    server.process.send_signal(signal.SIGTERM)
    expect(server.finish(), 0, f"status of {server.name}")
    check(not any("panicked at" in line for line in server.err), f"{server.name} panicked: {server.printed()}")


def run_client(*arguments):
    """Runs our client to its end; its last line."""
    with Peer("--use", *arguments) as client:
        status = client.finish()
        line = client.out[-1] if client.out else ""
        check((status == 0) == line.startswith("ok"), f"status {status} with {client.printed()}")
        return line


def good_client(*arguments):
    line = run_client(*arguments)
    check(line.startswith("ok"), line)
    return line


def bad_client(pattern, *arguments):
    line = run_client(*arguments)
    check(line.startswith("error") and re.search(pattern, line), f"{line!r} is not an error with /{pattern}/")
    return line


def tool(*arguments, stdin=b"", status=0):
    """Runs a program to its end; what it printed on stdout and stderr together."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=Setting.work,
        timeout=DEADLINE,
    )
    text = done.stdout.decode(errors="replace")
    if status is not None:
        check(done.returncode == status, f"{arguments[0]} ended with {done.returncode}, not {status}: {text[-2000:]}")
    return text


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def listener():
    """A listening socket and its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(DEADLINE)
    return listening, listening.getsockname()[1]


class Background:
    """A thread whose failure is the case's."""

    def __init__(self, function, *arguments):
        self.failure = self.result = None

        def run():
            try:
                self.result = function(*arguments)
            except BaseException as failure:
                self.failure = failure

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def join(self):
        self.thread.join(DEADLINE)
        check(not self.thread.is_alive(), "a thread of the case hangs")
        if self.failure:
            raise self.failure
        return self.result


def file(name):
    return os.path.join(Setting.work, name)


def free_port(address="127.0.0.1"):
    """Neither of the two can be asked which port it got."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as free:
        return free.getsockname()[1]


def wait_until_listening(child, port, address="127.0.0.1"):
    end = time.monotonic() + DEADLINE
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((address, port), timeout=DEADLINE).close()
        check(child.open, f"{child.name} has ended: {child.printed()}")
        check(time.monotonic() < end, f"{child.name} doesn't listen: {child.printed()}")
        time.sleep(0.01)


@contextlib.contextmanager
def running_nginx(http):
    """nginx with these lines in its `http` block, PORT in them being where it listens. Gives that port."""
    port, work = free_port(), file("nginx")
    kinds = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    for kind in kinds:
        os.makedirs(os.path.join(work, kind), exist_ok=True)
    paths = " ".join(f"{kind}_temp_path {work}/{kind};" for kind in kinds)
    with open(os.path.join(work, "nginx.conf"), "w") as config:
        config.write(f"""
            daemon off; master_process off; pid {work}/pid; error_log stderr warn;
            events {{ worker_connections 64; }}
            http {{ access_log off; {paths} {http.replace("PORT", str(port))} }}""")
    with Child(["nginx", "-e", "stderr", "-p", work, "-c", os.path.join(work, "nginx.conf")]) as child:
        wait_until_listening(child, port)
        yield port


def make_certificates():
    """Two authorities; of the first the servers' certificates and a client's, of the second a client's."""
    for authority in ("ca", "other-ca"):
        tool(
            *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -batch".split(),
            *("-subj", f"/CN={authority}", "-keyout", f"{authority}.key", "-out", f"{authority}.pem"),
        )
    for name, authority, alternative in (
        ("server", "ca", f"DNS:{NAME}"),
        ("second", "ca", f"DNS:{OTHER_NAME}"),
        ("client", "ca", "DNS:client.example.com"),
        ("stranger", "other-ca", "DNS:stranger.example.com"),
    ):
        with open(file(f"{name}.ext"), "w") as extensions:
            extensions.write(f"subjectAltName={alternative}\nbasicConstraints=critical,CA:false\n")
        tool(
            *"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -batch".split(),
            *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        tool(
            *"openssl x509 -req -days 2 -CAcreateserial".split(),
            *("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-in", f"{name}.csr"),
            *("-extfile", f"{name}.ext", "-out", f"{name}.pem"),
        )


SERVER_TLS = ("--certfile", "server.pem", "--keyfile", "server.key")
CLIENT_TLS = ("--ca-certs", "ca.pem", "--name", NAME)
CLIENT_CERTIFICATE = ("--certfile", "client.pem", "--keyfile", "client.key")


def only(version):
    """The flags for one version of TLS."""
    return ("--minimum-version", version, "--maximum-version", version)


def missing(needs):
    """The first of these programs and modules that isn't there."""
    for need in needs:
        module = need.removeprefix("python:")
        if need == "tornado" or module != need:
            if importlib.util.find_spec(module) is None:
                return need
        elif not shutil.which(need):
            return need
    return None

"""Clients of every day at our HTTP server, the example http_playground: curl, Python's requests, httpx and aiohttp, Node's
fetch, Chromium. Each over plain connections and over TLS, with connections that are kept, uploads of both framings, parallel
requests. And Chromium at the example websocket_upgrade, whose page it uses as a person would.
"""

import asyncio
import concurrent.futures
import gzip
import http.server
import json
import os
import shutil
import signal
import tempfile
import threading

from harness import *
from proxy_peers import Playground

LAYERS = ("plain", "TLS")
BIG = 3_000_000
UPLOAD = bytes(range(256)) * 4000


class Server(Playground):
    """Our server, over TLS or without."""

    def __init__(self, layer, *arguments):
        super().__init__(*(("--tls",) if layer == "TLS" else ()), *arguments)
        self.url = self.wait_for(r"https?://127\.0\.0\.1:\d+").group(0)
        self.certificate = self.wait_for(r"certificate: (.*)").group(1) if layer == "TLS" else None


def pieces():
    """An upload whose length nobody tells in advance."""
    for start in range(0, len(UPLOAD), 50_000):
        yield UPLOAD[start : start + 50_000]


async def async_pieces():
    for piece in pieces():
        yield piece


def connections(seen):
    """How many connections brought these answers of /client."""
    return len(set(seen))


@case("curl, kept connections and uploads, {}", needs=["curl"], each=LAYERS)
def curl(layer):
    with Server(layer) as server:
        trust = ("--cacert", server.certificate) if server.certificate else ()
        with open(file("upload"), "wb") as upload:
            upload.write(UPLOAD)
        common = ("curl", "--silent", "--show-error", "--fail", "--max-time", DEADLINE, *trust)
        url = server.url
        # Three requests by one call use one connection.
        seen = tool(*common, f"{url}/client", f"{url}/client", f"{url}/client", "--write-out", "%{num_connects}\n")
        expect(sum(int(line) for line in seen.splitlines() if line in "012"), 1, "connections")
        for framing in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue")):
            tool(*common, *framing, "--data-binary", "@upload", "--output", "echoed", f"{url}/echo")
            with open(file("echoed"), "rb") as echoed:
                check(echoed.read() == UPLOAD, f"the echo of an upload with {framing} differs")
        many = [word for n in range(50) for word in ("--output", f"many{n}", f"{url}/big?n={1000 + n}")]
        tool(*common, "--parallel", "--parallel-max", 10, *many)
        for n in range(50):
            expect(os.path.getsize(file(f"many{n}")), 1000 + n, "size of a parallel answer")
        tool(*common, "--head", f"{url}/big?n=1000")
        told = tool(*common, "--output", "/dev/null", "--write-out", "%{http_code}", f"{url}/nothing", status=22)
        check(told.endswith("404"), told)
    return "50 in parallel"


@case("curl, compressed both ways, {}", needs=["curl"], each=LAYERS)
def curl_compressed(layer):
    with Server(layer, "--decompress", "--compress") as server:
        trust = ("--cacert", server.certificate) if server.certificate else ()
        common = ("curl", "--silent", "--show-error", "--max-time", DEADLINE, *trust)
        # Two members, as `cat one.gz other.gz` makes them.
        with open(file("upload.gz"), "wb") as upload:
            upload.write(gzip.compress(UPLOAD[:500_000]) + gzip.compress(UPLOAD[500_000:]))
        sent = ("--header", "Content-Encoding: gzip", "--data-binary", "@upload.gz", f"{server.url}/echo")
        for framing in ((), ("--header", "Transfer-Encoding: chunked")):
            tool(*common, *framing, "--output", "echoed", *sent)
            with open(file("echoed"), "rb") as echoed:
                check(echoed.read() == UPLOAD, f"the echo of a compressed upload with {framing} differs")
        events = tool(*common, "--compressed", "--include", f"{server.url}/events?n=3&ms=10")
        check("content-encoding: gzip" in events.lower() and "data: 1\n\ndata: 2\n\ndata: 3\n\n" in events, events)


@case("Python's requests, {}", needs=["python:requests"], each=LAYERS)
def python_requests(layer):
    import requests

    with Server(layer) as server, requests.Session() as session:
        session.verify = server.certificate or True
        session.trust_env = False
        get = lambda path: session.get(server.url + path, timeout=DEADLINE)
        expect(get("/").text, "Hello, World!", "greeting")
        expect(connections(get("/client").text for _ in range(5)), 1, "connections")
        expect(len(get(f"/big?n={BIG}").content), BIG, "size of the big answer")
        post = lambda data: session.post(server.url + "/echo", data=data, timeout=DEADLINE).content
        check(post(UPLOAD) == UPLOAD, "the echo of an upload differs")
        check(post(pieces()) == UPLOAD, "the echo of a chunked upload differs")
        expect(session.head(server.url + "/big?n=5", timeout=DEADLINE).headers["Content-Length"], "5", "length told to HEAD")
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            sizes = list(pool.map(lambda n: len(get(f"/big?n={n}").content), range(1000, 1200)))
        expect(sizes, list(range(1000, 1200)), "sizes of parallel answers")
    return "200 answers on 20 threads"


@case("Python's httpx, {}", needs=["python:httpx"], each=LAYERS)
def python_httpx(layer):
    import httpx
    import ssl

    async def talk(server):
        trust = ssl.create_default_context(cafile=server.certificate) if server.certificate else True
        async with httpx.AsyncClient(base_url=server.url, verify=trust, timeout=DEADLINE, trust_env=False) as client:
            expect(connections([(await client.get("/client")).text for _ in range(5)]), 1, "connections")
            check((await client.post("/echo", content=UPLOAD)).content == UPLOAD, "the echo of an upload differs")
            chunked = await client.post("/echo", content=async_pieces())
            check(chunked.content == UPLOAD, "the echo of a chunked upload differs")
            answers = await asyncio.gather(*(client.get(f"/big?n={n}") for n in range(1000, 1200)))
            expect([len(answer.content) for answer in answers], list(range(1000, 1200)), "sizes of parallel answers")
            async with client.stream("GET", "/events?n=3&ms=10") as events:
                lines = [line async for line in events.aiter_lines() if line]
            expect(lines, ["data: 1", "data: 2", "data: 3"], "events")

    with Server(layer) as server:
        asyncio.run(talk(server))
    return "200 answers at once"


@case("Python's aiohttp, {}", needs=["python:aiohttp"], each=LAYERS)
def python_aiohttp(layer):
    import aiohttp
    import ssl

    async def talk(server):
        trust = ssl.create_default_context(cafile=server.certificate) if server.certificate else True
        connector = aiohttp.TCPConnector(ssl=trust, limit=50)
        timeout = aiohttp.ClientTimeout(total=DEADLINE)
        async with aiohttp.ClientSession(server.url, connector=connector, timeout=timeout) as session:

            async def get(path):
                async with session.get(path) as answer:
                    return await answer.read()

            async def post(data, **more):
                async with session.post("/echo", data=data, **more) as answer:
                    return await answer.read()

            expect(connections([await get("/client") for _ in range(5)]), 1, "connections")
            check(await post(UPLOAD) == UPLOAD, "the echo of an upload differs")
            check(await post(async_pieces()) == UPLOAD, "the echo of a chunked upload differs")
            check(await post(UPLOAD, expect100=True) == UPLOAD, "the echo of an upload behind 100 Continue differs")
            answers = await asyncio.gather(*(get(f"/big?n={n}") for n in range(1000, 1200)))
            expect([len(answer) for answer in answers], list(range(1000, 1200)), "sizes of parallel answers")

    with Server(layer) as server:
        asyncio.run(talk(server))
    return "200 answers at once"


NODE = """
const [url, big] = process.argv.slice(1);
const assert = (holds, what) => { if (!holds) throw new Error(what); };
const get = async path => (await fetch(url + path)).text();
const seen = new Set();
for (let n = 0; n < 5; n++) seen.add(await get("/client"));
// It begins the second request before the connection of the first is back in its pool.
assert(seen.size <= 2, `connections: ${[...seen]}`);
const upload = new Uint8Array(1_000_000).map((_, n) => n * 7 % 251);
const same = bytes => bytes.length === upload.length && bytes.every((byte, n) => byte === upload[n]);
const post = async options => new Uint8Array(await (await fetch(url + "/echo", { method: "POST", ...options })).arrayBuffer());
assert(same(await post({ body: upload })), "an upload");
const stream = new ReadableStream({ start(to) {
  for (let at = 0; at < upload.length; at += 50_000) to.enqueue(upload.slice(at, at + 50_000));
  to.close();
} });
assert(same(await post({ body: stream, duplex: "half" })), "a chunked upload");
const many = await Promise.all(Array.from({ length: 200 }, (_, n) => get(`/big?n=${1000 + n}`)));
assert(many.every((text, n) => text.length === 1000 + n), "parallel answers");
const chunks = (await fetch(`${url}/big?n=${big}`)).body;
let size = 0;
for await (const chunk of chunks) size += chunk.length;
assert(size === Number(big), `size ${size}`);
const left = await fetch(url + "/sleep?ms=60000", { signal: AbortSignal.timeout(50) }).catch(error => error.name);
assert(left === "TimeoutError", left);
console.log("ok");
"""


@case("Node's fetch, {}", needs=["node"], each=LAYERS)
def node(layer):
    with Server(layer) as server:
        arguments = ["node", "--input-type=module", "-e", NODE, server.url, str(BIG)]
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": server.certificate or ""}
        with Child(arguments, env=environment) as client:
            status = client.finish()
            check(status == 0 and client.out == ["ok"], client.printed())
    return "200 answers at once"


class Page:
    """A page for Chromium, by a server of its own, and the result that its script sends back."""

    def __init__(self, script):
        self.result, self.came = None, threading.Event()
        # What the script throws is the result, too.
        html = f"""<!DOCTYPE html><meta charset="utf-8"><body><script type="module">
            const assert = (holds, what) => {{ if (!holds) throw new Error(what); }};
            const run = async () => {{ {script} }};
            const result = await run().then(text => ["ok", text ?? ""], error => ["error", String(error)]);
            await fetch("/result", {{ method: "POST", body: JSON.stringify(result) }});
        </script>"""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                body = html.encode() if handler.path == "/" else b""
                handler.send_response(200 if body else 404)
                handler.send_header("Content-Type", "text/html")
                handler.send_header("Content-Length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            def do_POST(handler):
                self.result = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
                handler.send_response(204)
                handler.end_headers()
                self.came.set()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def show(self):
        """Has a browser of its own run the script; what it returned."""
        profile = tempfile.mkdtemp(prefix="landspout-chromium-")
        flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
        # The page talks to a server that isn't its own, and to a certificate that nobody signed.
        flags += " --disable-web-security --disable-site-isolation-trials --ignore-certificate-errors --disable-dev-shm-usage"
        # Nothing leaves the machine.
        nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        try:
            with Child(["chromium", *flags.split(), nowhere, f"--user-data-dir={profile}", url]) as browser:
                check(self.came.wait(2 * DEADLINE), f"no result: {browser.printed()}")
                browser.process.send_signal(signal.SIGTERM)
                browser.finish()
        finally:
            self.server.shutdown()
            self.server.server_close()
            shutil.rmtree(profile, ignore_errors=True)
        kind, text = self.result
        expect(kind, "ok", text)
        return text


@case("Chromium, parallel requests and uploads, {}", needs=["chromium"], each=LAYERS)
def chromium(layer):
    with Server(layer) as server:
        page = Page(
            f"""
            const url = "{server.url}";
            const get = async path => (await fetch(url + path, {{ cache: "no-store" }})).text();
            const many = await Promise.all(Array.from({{ length: 60 }}, (_, n) => get(`/big?n=${{1000 + n}}`)));
            assert(many.every((text, n) => text.length === 1000 + n), "parallel answers");
            const uploads = await Promise.all(Array.from({{ length: 12 }}, async (_, n) => {{
                const body = new Uint8Array(200_000 + n).fill(n);
                const answer = await fetch(url + "/echo", {{ method: "POST", body }});
                const echo = new Uint8Array(await answer.arrayBuffer());
                return echo.length === body.length && echo.every(byte => byte === n);
            }}));
            assert(uploads.every(same => same), "parallel uploads");
            const seen = new Set();
            for (let n = 0; n < 40; n++) seen.add(await get("/client"));
            assert(seen.size <= 6, `${{seen.size}} connections`);
            const reader = (await fetch(url + "/big?n={BIG}")).body.getReader();
            let size = 0;
            for (;;) {{
                const {{ done, value }} = await reader.read();
                if (done) break;
                size += value.length;
            }}
            assert(size === {BIG}, `size ${{size}}`);
            const events = await new Promise((done, failed) => {{
                const heard = [], source = new EventSource(url + "/events?n=3&ms=10");
                source.onmessage = event => {{
                    heard.push(event.data);
                    if (heard.length === 3) {{ source.close(); done(heard.join(" ")); }}
                }};
                source.onerror = () => failed("events");
            }});
            assert(events === "1 2 3", events);
            return `${{seen.size}} connections for 40 requests`;
            """
        )
        return page.show()


class WebSocketServer(Server):
    """Our example websocket_upgrade."""

    def __init__(self):
        Child.__init__(self, [os.path.join(os.path.dirname(Setting.playground), "websocket_upgrade"), "--port", "0"])
        self.name = "our server"
        self.url = self.wait_for(r"http://127\.0\.0\.1:\d+").group(0)


@case("Chromium, a WebSocket by detach: the example's own page", needs=["chromium"])
def chromium_websocket():
    with WebSocketServer() as server:
        page = Page(
            f"""
            const frame = document.createElement("iframe");
            frame.src = "{server.url}/";
            document.body.append(frame);
            await new Promise(loaded => {{ frame.onload = loaded; }});
            const inside = frame.contentDocument, find = selector => inside.querySelector(selector);
            const until = async (what, holds) => {{
                for (let n = 0; !holds(); n++) {{
                    assert(n < 1000, `${{what}}: ${{find("output").textContent}}`);
                    await new Promise(later => setTimeout(later, 10));
                }}
            }};
            await until("connected", () => find("output").textContent === "connected");
            const said = ["hello", "Grüße, 世界", "x".repeat(60_000)];
            for (const [n, text] of said.entries()) {{
                find("input").value = text;
                find("form").requestSubmit();
                await until("an echo", () => inside.querySelectorAll("li").length === n + 1);
            }}
            assert([...inside.querySelectorAll("li")].every((item, n) => item.textContent === said[n]), "echoes");
            frame.contentWindow.eval("socket.close(1000)");
            await until("closed", () => find("output").textContent === "closed: 1000, clean");
            // A message that is too long ends the conversation with the code for that.
            frame.contentWindow.location.reload();
            await new Promise(loaded => {{ frame.onload = loaded; }});
            const again = frame.contentDocument.querySelector("output");
            const waited = async text => {{
                for (let n = 0; again.textContent !== text; n++) {{
                    assert(n < 1000, `${{text}}: ${{again.textContent}}`);
                    await new Promise(later => setTimeout(later, 10));
                }}
            }};
            await waited("connected");
            frame.contentWindow.eval('socket.send("x".repeat(1_000_000))');
            await waited("closed: 1009, clean");
            // Another page's script is not let in.
            const stranger = await new Promise(done => {{
                const socket = new WebSocket("{server.url}/echo".replace("http", "ws"));
                socket.onopen = () => done("open");
                socket.onerror = () => done("refused");
            }});
            assert(stranger === "refused", stranger);
            """
        )
        page.show()
    return "echoes, a clean close, 1009 for a long message"

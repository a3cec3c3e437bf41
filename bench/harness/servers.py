"""The servers under test: VeloZ, its peers, and the floor. Each is started on a free port, awaited, told to
publish numbered events, and ended."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from .measure import children

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
LOAD = TARGET / "veloz-bench"
VELOZ = TARGET / "veloz"
PEERS = ROOT / "bench/peers"
RUST_PEERS = TARGET.parent / "bench-peers/release"


class Failed(Exception):
    """A measurement that could not be made, and what to do about it."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A process that listens on a port of 127.0.0.1."""

    name = "server"
    #: Where subscribers connect.
    stream = "/api/stream"
    #: Where orders are posted, as far as the server takes them.
    takes_orders = False
    #: How it is set up, for the report.
    settings = ""

    def __init__(self, command, port, env=None, pipe=False):
        self.port, self.started = port, time.monotonic()
        self.log = tempfile.TemporaryFile("w+")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} if pipe else {"stdout": self.log}
        try:
            self.process = subprocess.Popen([str(word) for word in command], env={**os.environ, **(env or {})},
                                            stderr=self.log, text=True, **pipes)
        except FileNotFoundError as error:
            raise Failed(f"{self.name}: {error.filename} is missing: `make bench` builds and installs it") from error

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def pids(self):
        return children(self.process.pid)

    def connects(self):
        socket.create_connection(("127.0.0.1", self.port), 1).close()
        return True

    def wait(self, ready=None, seconds=120):
        """Waits until it is ready; gives the seconds since it was started."""
        ready = ready or self.connects
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise Failed(f"{self.name} ended with status {self.process.returncode}: {self.log.read()[-2000:]}")
            try:
                if ready():
                    return time.monotonic() - self.started
            except OSError:
                pass
            time.sleep(0.002)
        raise Failed(f"{self.name} is not ready after {seconds} s")

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=30) as answer:
            return json.load(answer)

    def post(self, path, body):
        request = urllib.request.Request(f"http://{self.address}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def publish(self, start_ns, rate, events):
        """Publishes numbered events from that time on; `rate` 0 is as fast as it goes. Returns a function that waits
        until all are published."""
        command = [LOAD, "--address", self.address, "publish", "--path", "/publish", "--events", events,
                   "--start-ns", start_ns]
        command += ["--rate", rate] if rate else []
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)

        def wait():
            _, complaint = process.communicate(timeout=300)
            if process.returncode != 0:
                raise Failed(f"{self.name}: the publisher failed: {complaint.strip()}")

        return wait

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            return self.process.wait(30)
        finally:
            self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is not None:
            return
        _, *started = self.pids
        self.stop(signal.SIGKILL)
        # What it started does not end with it: a worker that is left would cost those measured after it.
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Veloz(Server):
    """The gateway as installed; its publisher is a replay of a capture, so that journal and engine are measured too.

    The capture is played from the moment of the POST that starts it: what that POST takes is counted into the
    latency."""

    name = "VeloZ"
    takes_orders = True
    settings = "as installed (VELOZ_DURABILITY=process); events come from a replay and pass engine and journal"

    def __init__(self, work, rate=None, events=0, data=None, options=(), **env):
        self.data = Path(data or tempfile.mkdtemp(dir=work))
        port = free_port()
        settings = {"VELOZ_PORT": port, "VELOZ_DATA_DIR": self.data, "VELOZ_MARKET_SOURCE": "none",
                    "VELOZ_SIM_BALANCES": "USDT=1000000000,BTC=1000"}
        if events:
            capture = self.data.with_suffix(".capture")
            if not capture.exists():
                write_capture(capture, rate or 1000, events)
            settings |= {"VELOZ_MARKET_SOURCE": "replay", "VELOZ_REPLAY_FILE": capture, "VELOZ_REPLAY_PAUSED": 1,
                         "VELOZ_REPLAY_SPEED": "1" if rate else "max"}
        settings |= env
        super().__init__([VELOZ, "serve", *options], port, {name: str(value) for name, value in settings.items()})

    def newest(self):
        """The newest event of the log."""
        return self.get("/api/events?limit=1")["newest"]

    def publish(self, start_ns, rate, events):
        body = b'{"run":true}'
        head = f"POST /api/replay HTTP/1.1\r\nHost: {self.address}\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        client = socket.create_connection(("127.0.0.1", self.port), 10)
        # Known to the server before the moment comes.
        client.sendall(f"GET /health HTTP/1.1\r\nHost: {self.address}\r\n\r\n".encode())
        client.recv(4096)
        time.sleep(max(start_ns - time.monotonic_ns() - 300_000, 0) / 1e9)
        while time.monotonic_ns() < start_ns:
            pass
        client.sendall(request)

        def wait():
            answer = client.recv(4096)
            client.close()
            if not answer.startswith(b"HTTP/1.1 200"):
                raise Failed(f"VeloZ did not start the replay: {answer.decode(errors='replace')}")

        return wait


def write_capture(path, rate, events):
    with path.open("wb") as out:
        subprocess.run([LOAD, "capture", "--rate", str(rate), "--events", str(events)], stdout=out, check=True)


class Floor(Server):
    """A bare loop of `write`."""

    name = "floor"
    settings = "one thread that writes the same bytes to each socket, one after another"

    def __init__(self, work, rate=None, events=0, per_write=1):
        self.per_write = per_write
        port = free_port()
        super().__init__([LOAD, "--address", f"127.0.0.1:{port}", "floor"], port, pipe=True)

    def connects(self):
        return self.process.stdout.readline().startswith("listening")

    def publish(self, start_ns, rate, events):
        self.process.stdin.write(f"run {start_ns} {rate} {events} {self.per_write}\n")
        self.process.stdin.flush()
        return lambda: self.process.stdout.readline()


class Nchan(Server):
    """nchan on nginx, of Debian's packages."""

    name = "nchan"
    settings = "1 worker, tcp_nodelay, no access log, every message kept (bench/peers/nchan.conf)"

    def __init__(self, work, rate=None, events=0):
        directory, port = Path(tempfile.mkdtemp(dir=work)), free_port()
        text = (PEERS / "nchan.conf").read_text()
        for place, value in (("WORKERS", 1), ("DIR", directory), ("PORT", port)):
            text = text.replace("{%s}" % place, str(value))
        config = directory / "nginx.conf"
        config.write_text(text)
        nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if nginx is None:
            raise Failed("nchan: nginx is missing: run `scripts/setup bench`")
        super().__init__([nginx, "-c", config, "-p", "/usr/share/nginx"], port)

    @staticmethod
    def version():
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}, ", "nginx", "libnginx-mod-nchan"],
                              capture_output=True, text=True)
        return done.stdout.strip(" ,")


class Python(Server):
    """The standard library's HTTP server, of the kind that the first VeloZ was."""

    name = "Python, keep-alive"
    takes_orders = True
    settings = "http.server.ThreadingHTTPServer, a thread a connection, HTTP/1.1, no Nagle, engine over stdio"
    options = ()

    def __init__(self, work, rate=None, events=0):
        port = free_port()
        super().__init__([sys.executable, PEERS / "python_gateway.py", "--port", port, *self.options], port)


class PythonPerRequest(Python):
    """The same as it comes: HTTP/1.0, so each request is a connection and a thread."""

    name = "Python, a thread a request"
    settings = "the same as the library has it: HTTP/1.0, a connection and a thread for each request"
    options = ("--per-request",)


class AxumSse(Server):
    """What one would write in Rust: axum's SSE type over tokio's broadcast channel."""

    name = "axum"
    settings = "axum::response::sse over tokio::sync::broadcast, its buffer larger than the load, mimalloc"

    def __init__(self, work, rate=None, events=0):
        port = free_port()
        super().__init__([RUST_PEERS / "axum_sse", f"127.0.0.1:{port}"], port)


class BetterSse(Server):
    """What one would write in JavaScript: npm's better-sse."""

    name = "better-sse"
    settings = "a better-sse channel on node:http, one process"

    def __init__(self, work, rate=None, events=0):
        port = free_port()
        super().__init__(["node", PEERS / "node/better_sse.mjs", port], port)


class Empty(Server):
    """Handlers that do nothing, on the HTTP library that VeloZ uses."""

    name = "empty handler"
    takes_orders = True
    settings = "hyper's http1, an answer of the same size"

    def __init__(self, work, rate=None, events=0, flavour="multi"):
        port = free_port()
        super().__init__([TARGET / "examples/empty_handler", f"127.0.0.1:{port}", flavour], port)

"""The loads: groups of subscribers in several processes, and order entry."""

import itertools
import json
import subprocess
import time

from .measure import Cpu, keep_apart, percentiles
from .servers import LOAD, Failed

#: A process has 20,000 file handles, and one that reads for many is a core by itself.
PER_PROCESS = 9_000


addresses = itertools.count()


def fresh_address():
    """A loopback address that no earlier load has used: its closed connections still hold their ports for a minute, and
    to look for a free one among them takes longer than to connect."""
    number = next(addresses)
    return f"127.{1 + number // 250}.0.{1 + number % 250}"


class Subscribers:
    """Subscribers that are connected, told when event 1 is due, and asked what they saw."""

    def __init__(self, server, count, events=0, rate=0, warm_up=0, timeout=60, processes=None, stalled=0, path=None,
                 first=1, total=None):
        self.processes, self.count = [], count
        number = processes or -(-count // PER_PROCESS)
        for i in range(number):
            share = count // number + (i < count % number)
            command = [LOAD, "--address", server.address, "subscribe", "--subscribers", share,
                       "--path", path or server.stream, "--from", fresh_address(), "--rate", rate, "--warm-up", warm_up, "--timeout-s", timeout,
                       "--first", first, "--stalled", stalled if i == 0 else 0]
            command += ["--bytes", total] if total else ["--events", events]
            self.processes.append(subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        connected = [self._line(p) for p in self.processes]
        self.began_ns = min(c["began_ns"] for c in connected)
        self.connect_ms = max(c["connect_ms"] for c in connected)
        self.connect_times = percentiles(*(c["times"] for c in connected))

    def _line(self, process):
        line = process.stdout.readline()
        if not line:
            complaint = process.stderr.read().strip().splitlines()
            self.end()
            raise Failed("subscribers: " + (complaint[0] if complaint else "ended without a word"))
        return json.loads(line)

    def start(self, start_ns):
        for process in self.processes:
            process.stdin.write(f"{start_ns}\n")
            process.stdin.flush()

    def result(self):
        """What all of them saw; waits until they have seen the last event or given up."""
        found = [self._line(p) for p in self.processes]
        self.end()
        total = {name: sum(f[name] for f in found) for name in ("delivered", "bytes", "lost", "repeated", "closed")}
        total["last_ns"] = max(f["last_ns"] for f in found)
        total["latency"] = percentiles(*(f["times"] for f in found))
        return total

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.stdin.close()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def fan_out(server, subscribers, rate, events, warm_up=0, timeout=90, stalled=0, processes=None, first=1, apart=False):
    """Events to subscribers, at a rate or (0) as fast as it goes; what it took. `first` is the number of the first.
    `apart` keeps server and subscribers from sharing a core."""
    with Subscribers(server, subscribers, events, rate, warm_up, timeout, processes, stalled, first=first) as load:
        if apart:
            keep_apart(server.pids, [process.pid for process in load.processes])
        start = time.monotonic_ns() + 300_000_000
        load.start(start)
        before = Cpu(server.pids)
        published = server.publish(start, rate, events)
        seen = load.result()
        total, user, system = Cpu(server.pids).since(before)
        published()
    seconds = (seen["last_ns"] - start) / 1e9
    return {
        "server": server.name, "subscribers": subscribers, "rate": rate, "events": events,
        "delivered": seen["delivered"], "lost": seen["lost"] + seen["repeated"], "closed": seen["closed"],
        "seconds": seconds, "deliveries_per_second": seen["delivered"] / seconds if seconds > 0 else 0,
        "event_bytes": seen["bytes"] / max(seen["delivered"], 1),
        "cpu_us": total * 1e6 / max(seen["delivered"], 1),
        "user_us": user * 1e6 / max(seen["delivered"], 1), "system_us": system * 1e6 / max(seen["delivered"], 1),
        "latency_us": seen["latency"], "connect_ms": load.connect_ms,
    }


def run(server, *args):
    """One of the loads that print one line of JSON."""
    done = subprocess.run([str(word) for word in (LOAD, "--address", server.address, *args)], capture_output=True,
                          text=True, timeout=300)
    if done.returncode != 0:
        raise Failed(f"{server.name}: veloz-bench {args[0]}: {done.stderr.strip()}")
    return json.loads(done.stdout)

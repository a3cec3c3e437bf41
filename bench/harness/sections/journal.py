"""The log: appending, catching up, starting, and finding a place in it."""

import http.client
import json
import random
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from .. import load
from ..measure import median, ratio_of_pairs
from ..servers import LOAD, TARGET, Failed, Server, Veloz, free_port, write_capture
from ..text import micros, number, reached, table

NAME, TITLE = "journal", "The log"
SPEED = TARGET / "examples/journal_speed"
LOOKUPS = 300
PLOTS = {"growth-log": "Start-up after `kill -9`, and the time to find a place in the log, with its size"}
PANELS = {"growth-log": 2}


class CatNc(Server):
    """`cat FILE | nc` to the first who connects: Debian's netcat-openbsd."""

    name = "cat | nc"

    def __init__(self, file):
        port = free_port()
        super().__init__(["sh", "-c", f"cat '{file}' | nc.openbsd -N -l 127.0.0.1 {port} >/dev/null"], port)

    def connects(self):
        """Whether it listens: a connection would be the one that it serves."""
        listens = f":{self.port:04X} 00000000:0000 0A"
        return any(listens in line for line in Path("/proc/net/tcp").read_text().splitlines())

    @staticmethod
    def version():
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", "netcat-openbsd"],
                              capture_output=True, text=True)
        return done.stdout


class Copy(Server):
    """A file by a bare loop of `read` and `write`: the same without the pipe between two processes."""

    name = "plain copy"

    def __init__(self, file):
        port = free_port()
        super().__init__([LOAD, "--address", f"127.0.0.1:{port}", "copy", file], port, pipe=True)

    def connects(self):
        return self.process.stdout.readline().startswith("listening")


def run(bench):
    return {"append": append(bench), "logs": logs(bench)}


def append(bench):
    """Rounds of the journal's append beside plain writes."""
    if not SPEED.exists():
        raise Failed(f"{SPEED} is missing: `make bench` builds it")
    rounds = []
    count = bench.pick(1, 11)
    for i in range(count):
        bench.progress(f"append, round {i + 1} of {count}")
        done = subprocess.run([SPEED, bench.work, "1"], capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            raise Failed(f"journal_speed: {done.stderr.strip()}")
        rounds.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return rounds


def logs(bench):
    """Logs of several sizes: start-up, lookup and, of the ten million, catch-up."""
    sizes = bench.pick([10_000, 200_000], [10_000, 1_000_000, 10_000_000])
    found = []
    for size in sizes:
        bench.progress(f"a log of {size:,} events")
        data = fill(bench, size)
        bench.progress(f"{size:,} events: start-up and lookups")
        one = start_ups(bench, data, size) | {"replayed_start_s": None}
        if size == sizes[-1]:
            with serve(bench, data) as server:
                server.wait(lambda: server.get("/health")["ok"])
                one["catch_up"] = catch_up(bench, server, size)
                server.stop(signal.SIGKILL)
        if size <= 1_000_000:
            for snapshot in data.rglob("*snap*"):
                snapshot.unlink()
            with serve(bench, data) as server:
                one["replayed_start_s"] = server.wait(lambda: server.get("/health")["ok"])
        found.append(one)
        subprocess.run(["rm", "-rf", data], check=True)
    return found


def serve(bench, data, **env):
    return Veloz(bench.work, data=data, VELOZ_RETENTION_BYTES="64GiB", **env)


def fill(bench, events):
    """A data directory with that many events, left by `kill -9`."""
    data, capture = bench.work / f"log-{events}", bench.work / "capture"
    write_capture(capture, 1_000, events)
    play(bench, data, capture, events)
    capture.unlink()
    return data


def play(bench, data, capture, newest):
    """Plays a capture, from its start, into a log until that has so many events."""
    source = {"VELOZ_MARKET_SOURCE": "replay", "VELOZ_REPLAY_FILE": capture, "VELOZ_REPLAY_SPEED": "max"}
    with serve(bench, data, options=["--from-start"], **source) as server:
        server.wait(lambda: server.newest() >= newest, 600)
        server.stop(signal.SIGKILL)


def place(bench, data, newest):
    """Places orders that rest and takes them back, into a log until that has so many events. How many it has then."""
    with serve(bench, data) as server:
        server.wait(lambda: server.get("/health")["ok"])
        while server.newest() < newest:
            load.run(server, "orders", "--connections", 64, "--seconds", bench.pick(1, 5))
        newest = server.newest()
        server.stop(signal.SIGKILL)
    return newest


def start_ups(bench, data, newest, recent=None, times=3):
    """Seconds from the start to the first answer, after `kill -9` each time; then the look-ups of the last one, in all
    of the log and, if asked for, among its `recent` newest."""
    seconds, replayed, found = [], None, {}
    for left in reversed(range(times)):
        with serve(bench, data) as server:
            seconds.append(server.wait(lambda: server.get("/health")["ok"]))
            replayed = replayed or server.newest() - snapshot_event(server)
            if not left:
                found = {"lookup_us": lookups(server, newest)}
                if recent:
                    found["recent_us"] = lookups(server, newest, min(newest, recent))
            server.stop(signal.SIGKILL)
    return {"events": newest, "start_s": seconds, "replayed": replayed, **found}


def snapshot_event(server):
    """The newest event in a snapshot: a start replays those after it."""
    with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("veloz_journal_snapshot_event "))


def lookups(server, newest, among=None):
    """Pages of one event after ids chosen at random (`among`: only from so many of the newest), over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    chance, times = random.Random(1), []
    for _ in range(LOOKUPS):
        after = newest - 1 - chance.randrange(among or newest)
        began = time.perf_counter_ns()
        connection.request("GET", f"/api/events?after={after}&limit=1")
        page = json.load(connection.getresponse())
        times.append((time.perf_counter_ns() - began) / 1000)
        if page["items"][0]["id"] != after + 1:
            raise Failed(f"the event after {after} is {page['items'][0]['id']}")
    connection.close()
    times.sort()
    return {"p50": times[LOOKUPS // 2], "p99": times[LOOKUPS * 99 // 100]}


def catch_up(bench, server, events):
    """One reader through the whole log, beside `cat | nc` and a bare copy of the same bytes, in rounds. The first read
    checks every event; the others only count bytes, so that the reader is not what is measured."""
    path = "/api/stream?last_id=0"
    checked = read(server, path, events=events)
    if checked["lost"]:
        raise Failed(f"catch-up lost {checked['lost']} events")
    frames = bench.work / "frames"
    with frames.open("wb") as out:
        # The head that the reader waits for: `nc` knows nothing of HTTP.
        out.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        out.flush()
        subprocess.run([LOAD, "frames", "--events", str(events)], stdout=out, check=True)
    total = min(checked["bytes"], frames.stat().st_size)
    rounds = []
    for i in range(bench.pick(1, 5)):
        bench.progress(f"catch-up, round {i + 1}")
        seconds = [read(server, path, total=total)["seconds"]]
        for peer in (CatNc, Copy):
            with peer(frames) as other:
                other.wait()
                seconds.append(read(other, "/", total=total)["seconds"])
        rounds.append(seconds)
    frames.unlink()
    return {"checked_s": checked["seconds"], "bytes": total, "rounds": rounds, "netcat": CatNc.version()}


def read(server, path, events=0, total=None):
    with load.Subscribers(server, 1, events, path=path, total=total, timeout=200) as reader:
        reader.start(time.monotonic_ns())
        seen = reader.result()
    return seen | {"seconds": (seen["last_ns"] - reader.began_ns) / 1e9}


def report(result):
    rounds, found = result["append"], result["logs"]
    process = ratio_of_pairs((r["write_us"], r["append_us"]) for r in rounds)
    alike = ratio_of_pairs((r["write_alike_us"], r["append_us"]) for r in rounds)
    disk = ratio_of_pairs((r["write_disk_us"], r["append_disk_us"]) for r in rounds)
    one = next(log for log in found if "catch_up" in log)
    caught = one["catch_up"]
    seconds = median(ours for ours, _, _ in caught["rounds"])
    of_cat = ratio_of_pairs((cat, ours) for ours, cat, _ in caught["rounds"])
    of_copy = ratio_of_pairs((copy, ours) for ours, _, copy in caught["rounds"])
    mib = [caught["bytes"] / median(r[i] for r in caught["rounds"]) / 2**20 for i in range(3)]
    rate = one["events"] / seconds
    started = median(one["start_s"])
    batch = f"{rounds[0]['events_per_batch']} events, {rounds[0]['bytes_per_batch']:,} bytes"
    rows = [
        [f"append of a batch ({batch}) over `write` of the same bytes", f"{process:.0%} of its speed: "
         f"{micros(median(r['append_us'] for r in rounds))}, `write` {micros(median(r['write_us'] for r in rounds))}",
         "80 % or more", reached(process, 0.8, at_most=False)],
        ["the same over `write` to files that roll, are laid out and are synced by a second thread as the journal's are",
         f"{alike:.0%}: that takes {micros(median(r['write_alike_us'] for r in rounds))}", "80 % or more", reached(alike, 0.8, at_most=False)],
        ["append with `durability=disk` over `write` and `fdatasync`", f"{disk:.0%}: "
         f"{micros(median(r['append_disk_us'] for r in rounds))}, `write` and `fdatasync` "
         f"{micros(median(r['write_disk_us'] for r in rounds))}", "80 % or more", reached(disk, 0.8, at_most=False)],
        [f"catch-up of one reader through {one['events']:,} events", f"{rate:,.0f} events/s, "
         f"{caught['bytes'] / seconds / 2**20:,.0f} MiB/s (every event checked: {one['events'] / caught['checked_s']:,.0f}/s)",
         "2,000,000/s", reached(rate, 2e6, at_most=False)],
        ["the same over `cat FILE \\| nc` of the same bytes", f"{of_cat:.0%}: {mib[0]:,.0f} MiB/s, `cat \\| nc` {mib[1]:,.0f} MiB/s",
         "60 % or more", reached(of_cat, 0.6, at_most=False)],
        ["the same over a bare loop of `read` and `write` of 256 KiB", f"{of_copy:.0%}: that has {mib[2]:,.0f} MiB/s", "", ""],
        [f"start-up after `kill -9` with {one['events']:,} events", f"{started:.3f} s", "under 1 s", reached(started, 1)]]
    million = next((log for log in found if log["events"] == 1_000_000), None)
    if million:
        rows.append(["start-up with 1,000,000 events and no snapshot", f"{million['replayed_start_s']:.3f} s", "under 1 s",
                     reached(million["replayed_start_s"], 1)])
    sizes = [[f"{log['events']:,}", f"{median(log['start_s']):.3f} s", micros(log["lookup_us"]["p50"]),
              micros(log["lookup_us"]["p99"])] for log in found]
    return (f"{table(['figure', 'measured', 'to reach', ''], *rows)}\n\n"
            f"{table(['events in the log', 'start-up', 'one event found, p50', 'p99'], *sizes)}\n\n"
            "A lookup is a page of one event after an id chosen at random, request and answer included. Appends: medians of "
            f"{len(rounds)} rounds, each batch encoded first, untimed, on both sides; the plain `write` of the first row is to one "
            "file that nobody syncs, where the journal's is brought to the disk meanwhile, as that of the second row. Catch-up: "
            f"medians of {len(caught['rounds'])} rounds, the same reader; {caught['netcat']}.")


def plot(name, result, axes):
    logs_ = result["logs"]
    sizes = [log["events"] for log in logs_]
    axes[0].plot(sizes, [median(log["start_s"]) for log in logs_], "o-", markersize=4)
    axes[0].set(title="start-up, s")
    axes[1].plot(sizes, [log["lookup_us"]["p50"] for log in logs_], "o-", label="p50", markersize=4)
    axes[1].plot(sizes, [log["lookup_us"]["p99"] for log in logs_], "s--", label="p99", markersize=4)
    axes[1].set(title="one event found, µs")
    axes[1].legend(frameon=False)
    for axis in axes:
        axis.set(xscale="log", xlabel="events in the log")
        axis.set_ylim(bottom=0)

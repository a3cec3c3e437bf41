"""The largest log: that neither a start nor a look-up takes longer with ten times as many events."""

import shutil

from ..measure import median
from ..servers import Failed, write_capture
from ..text import micros, reached, table
from .journal import place, play, start_ups

NAME, TITLE = "large", "The log with 100 million events"
#: Only when it is asked for, by `--full` or by name: it takes minutes and the disk's space.
LARGE = True
ONCE = 10_000_000
FREE_BYTES = 28 << 30


def run(bench):
    times = bench.pick(2, 10)
    once = bench.pick(200_000, ONCE)
    free = shutil.disk_usage(bench.work).free
    if free < FREE_BYTES and not bench.quick:
        raise Failed(f"{free >> 30} GiB are free in {bench.work}, {FREE_BYTES >> 30} are needed: --work DIR names another place")
    data, capture = bench.work / "log", bench.work / "capture"
    write_capture(capture, 1_000, once)
    logs = []
    for played in range(1, times + 1):
        bench.progress(f"a log of {once * played:,} events")
        play(bench, data, capture, once * played)
        if played in (1, times):
            bench.progress(f"{once * played:,} events: start-up and lookups")
            logs.append(start_ups(bench, data, once * played, once))
    size = sum(file.stat().st_size for file in data.iterdir())
    shutil.rmtree(data)
    bench.progress(f"a log of {once:,} events of orders")
    events = place(bench, data, once)
    bench.progress(f"{events:,} events of orders: start-up and lookups")
    return {"logs": logs, "bytes": size, "orders": start_ups(bench, data, events, once)}


def report(result):
    small, large = result["logs"]
    orders = result["orders"]
    once = f"{small['events']:,}"
    started = [median(log["start_s"]) for log in (small, large, orders)]
    looked_up = large["recent_us"]["p50"] / small["recent_us"]["p50"]
    rows = [
        [f"start-up after `kill -9` with {small['events']:,} events", f"{started[0]:.3f} s", "under 1 s", reached(started[0], 1)],
        [f"the same with {large['events']:,}", f"{started[1]:.3f} s", "not longer: 1.25 times", reached(started[1], started[0] * 1.25)],
        [f"the same with {orders['events']:,} events, all of orders", f"{started[2]:.3f} s", "under 1 s", reached(started[2], 1)],
        [f"an event found among the newest {once}, p50, over that with a tenth as many", f"{looked_up:.2f} times",
         "does not grow: 1.25 times", reached(looked_up, 1.25)]]
    sizes = [[f"{log['events']:,}", f"{median(log['start_s']):.3f} s", f"{log['replayed']:,}",
              *(micros(log[where][p]) for where in ("recent_us", "lookup_us") for p in ("p50", "p99"))] for log in (small, large, orders)]
    heads = ["events in the log", "start-up", "events replayed", f"found among the newest {once}, p50", "p99", "in all, p50", "p99"]
    return (f"{table(['figure', 'measured', 'to reach', ''], *rows)}\n\n"
            f"{table(heads, *sizes)}\n\n"
            "What a start replays is what came after the newest snapshot: it goes by when the kill came, and not by the log. "
            "Of the orders that there ever were it reads a hash of each name, 4 bytes: the last line is of a log with "
            "nothing but orders placed and taken back, as fast as they are answered. "
            f"The others are one log of {result['bytes'] / 2**30:.1f} GiB, measured on its way there; start-ups: medians of "
            f"{len(small['start_s'])}. A lookup is a page of one event after an id chosen at random, request and answer included. Among as "
            "many of the newest it shows what finding costs; in all of a log about as large as the memory some wait for the disk.")

"""Idle subscribers: what each takes of memory, and how long it takes to connect many."""

import time

from .. import load
from ..measure import kernel_kib, memory_kib
from ..servers import AxumSse, Nchan, Veloz
from ..text import micros, number, reached, table

NAME, TITLE = "subscribers", "Idle subscribers: memory, and the time to connect them"
GOAL_KIB = 1.0
LARGEST = 19_000


def run(bench):
    found = []
    for kind in (Veloz, Nchan, AxumSse):
        counts = bench.pick([1_000], [10_000, LARGEST] if kind is Veloz else [10_000], [1_000, 10_000, LARGEST])
        for count in counts:
            bench.progress(f"{kind.name}: {count:,}")
            runs = [measure(bench, kind, count) for _ in range(bench.pick(1, 3) if kind is Veloz else 1)]
            found.append(sorted(runs, key=lambda r: r["each_kib"]["rss"])[len(runs) // 2])
    return {"runs": found}


def measure(bench, kind, count):
    with kind(bench.work) as server:
        server.wait()
        # What a first subscriber makes a server set up is not the price of each.
        with load.Subscribers(server, 100):
            pass
        time.sleep(0.3)
        before, kernel_before = memory_kib(server.pids), kernel_kib()
        with load.Subscribers(server, count, processes=2) as subscribers:
            during, kernel_during = memory_kib(server.pids), kernel_kib()
    each = {name: (during[name] - before[name]) / count for name in before}
    kernel = sum(kernel_during[name] - kernel_before[name] for name in kernel_before) / count
    return {"server": server.name, "subscribers": count, "each_kib": each, "kernel_kib": kernel,
            "total_kib": during, "connect_ms": subscribers.connect_ms, "connect_us": subscribers.connect_times}


def report(result):
    rows = [[run["server"], f"{run['subscribers']:,}", number(run["each_kib"]["rss"]), number(run["each_kib"]["pss"]),
             number(run["kernel_kib"]), f"{run['total_kib']['rss'] / 1024:,.0f}", f"{run['connect_ms']:,} ms",
             micros(run["connect_us"]["p50"]), micros(run["connect_us"]["p99"])] for run in result["runs"]]
    head = ["", "subscribers", "KiB each, resident", "proportional", "kernel, KiB a connection", "process, MiB",
            "all connected in", "one, p50", "p99"]
    ours = [run for run in result["runs"] if run["server"] == "VeloZ"][-1]
    goals = table(["figure", "measured", "to reach", ""],
                  [f"memory of an idle subscriber at {ours['subscribers']:,}", f"{ours['each_kib']['rss']:.2f} KiB",
                   "1 KiB or less", reached(ours["each_kib"]["rss"], GOAL_KIB)])
    return (f"{table(head, *rows)}\n\nUser space is the growth of the server's process; the kernel's share is that of both "
            "ends of a connection, the client's too (slab and TCP buffers of the whole machine). Connecting is from "
            f"`connect` to the whole response head, by two processes with 128 on their way each.\n\n{goals}\n\n"
            "A process here has 20,000 file handles, so one gateway ends near 19,000. Past that on paper: at "
            f"{ours['each_kib']['rss']:.2f} KiB each, 100,000 subscribers take {ours['each_kib']['rss'] * 100_000 / 1024:,.0f} MiB of "
            f"the process and {ours['kernel_kib'] * 100_000 / 2**20 / 2:,.1f} GiB of the kernel on the server's side.")

"""A subscriber that never reads, among 1000: what it costs the others."""

from .. import load
from ..measure import ratio_of_pairs
from ..servers import Veloz
from ..text import latencies, number, table

NAME, TITLE = "stalled", "A stalled subscriber among 1000"
SUBSCRIBERS, RATE = 999, 50
#: Events in the log before the load: more than the buffers of a socket hold.
BACKLOG = 100_000


def run(bench):
    events = bench.pick(100, 200)

    def measure(stalled):
        total = BACKLOG + events
        with Veloz(bench.work, RATE, total) as server:
            server.wait()
            # In the log at once; what then stalls has asked for all of it.
            server.post("/api/replay", {"steps": BACKLOG})
            return fan_out(server, events, stalled)

    pairs = []
    count = bench.pick(1, 5)
    for i in range(count):
        bench.progress(f"pair {i + 1} of {count}: without one, with one")
        both = {stalled: measure(stalled) for stalled in ((0, 1) if i % 2 == 0 else (1, 0))}
        pairs.append([both[1], both[0]])
    return {"pairs": pairs}


def fan_out(server, events, stalled):
    """The events after the backlog, timed from the first of them."""
    return load.fan_out(server, SUBSCRIBERS, RATE, BACKLOG + events, BACKLOG + events // 10, stalled=stalled,
                        first=BACKLOG + 1)


def report(result):
    def middle(index):
        runs = sorted((pair[index] for pair in result["pairs"]), key=lambda r: r["cpu_us"])
        return runs[len(runs) // 2]

    rows = [[name, number(run["cpu_us"]), *latencies(run["latency_us"]), run["lost"] + run["closed"]]
            for name, run in (("without it", middle(1)), ("with it", middle(0)))]
    cpu = ratio_of_pairs((a["cpu_us"], b["cpu_us"]) for a, b in result["pairs"])
    p50 = ratio_of_pairs((a["latency_us"]["p50"], b["latency_us"]["p50"]) for a, b in result["pairs"])
    p99 = ratio_of_pairs((a["latency_us"]["p99"], b["latency_us"]["p99"]) for a, b in result["pairs"])
    spread = sorted(b["cpu_us"] for _, b in result["pairs"])
    goals = table(["figure, with it over without it", "measured", "to reach"],
                  ["CPU a delivery", f"{cpu:.2f}", "1, as far as it can be measured"],
                  ["p50", f"{p50:.2f}", "1"], ["p99", f"{p99:.2f}", "1"])
    return (f"{table(['the other 999', 'CPU a delivery, µs', 'p50', 'p99', 'p99.9', 'max', 'lost'], *rows)}\n\n"
            f"It asked for {BACKLOG:,} events of the log and reads none of them: its socket is full before the load begins.\n\n"
            f"{goals}\n\nThe runs without it differ among themselves by {spread[-1] / spread[0] - 1:.0%} in CPU a delivery.")

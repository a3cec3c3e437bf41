"""1000 subscribers at 50 events a second: what a delivery costs, and how late it is.

Once as the kernel places them, and once with server and subscribers on a core each. Two cores are few: where the
kernel has a woken subscriber interrupt the sender on its own core, which varies from run to run, a delivery costs the
sender a third less (the data stay in that core's caches, and nobody on another core has to be woken)."""

from .. import load
from ..measure import median, ratio_of_pairs
from ..servers import AxumSse, BetterSse, Floor, Nchan, Python, Veloz
from ..text import latencies, number, reached, table

NAME, TITLE = "fanout", "Fan-out at 50 events a second, 1000 subscribers"
SUBSCRIBERS, RATE = 1000, 50
PEERS = (Nchan, AxumSse, BetterSse, Python)
GOAL_CPU, GOAL_P99, GOAL_IO_URING = 1.10, 1.2, 1.0


def run(bench):
    events = bench.pick(100, 200, 500)
    warm_up = RATE // 2

    def measure(kind, apart=False):
        # It cannot keep up: what it has to deliver later would grow with the length of the load.
        total = warm_up + (events // 4 if kind is Python else events)
        with kind(bench.work, RATE, total) as server:
            server.wait()
            found = load.fan_out(server, SUBSCRIBERS, RATE, total, warm_up, apart=apart)
        return found | {"settings": server.settings, "version": getattr(kind, "version", str)()}

    pairs, apart = [], []
    count = bench.pick(1, 5)
    for i in range(count):
        bench.progress(f"pair {i + 1} of {count}: floor, VeloZ")
        # Who goes first changes, so that neither always finds the machine as the other left it.
        first, second = (Floor, Veloz) if i % 2 == 0 else (Veloz, Floor)
        for into, is_apart in ((pairs, False), (apart, True)):
            both = {kind.name: measure(kind, is_apart) for kind in (first, second)}
            into.append([both["VeloZ"], both["floor"]])
    peers = []
    for kind in PEERS:
        bench.progress(kind.name)
        runs = [measure(kind) for _ in range(1 if kind is Python else bench.pick(1, 3))]
        peers.append(sorted(runs, key=lambda r: r["cpu_us"])[len(runs) // 2])
    return {"pairs": pairs, "apart": apart, "peers": peers}


def middle(runs):
    """The figures of several runs of one server: the median of each."""
    one = dict(runs[0])
    for name in ("cpu_us", "user_us", "system_us"):
        one[name] = median(run[name] for run in runs)
    one["latency_us"] = {at: median(run["latency_us"][at] for run in runs) for at in runs[0]["latency_us"]}
    for name in ("lost", "closed"):
        one[name] = sum(run[name] for run in runs)
    return one


def compared(pairs):
    """VeloZ and the floor, each in the middle of its runs; their ratios of processor time and p99; the former of each
    pair."""
    ours, floor = (middle([pair[side] for pair in pairs]) for side in (0, 1))
    cpu = ratio_of_pairs((a["cpu_us"], b["cpu_us"]) for a, b in pairs)
    p99 = ratio_of_pairs((a["latency_us"]["p99"], b["latency_us"]["p99"]) for a, b in pairs)
    return ours, floor, cpu, p99, ", ".join(f"{a['cpu_us'] / b['cpu_us']:.2f}" for a, b in pairs)


def report(result):
    ours, floor, cpu, p99, spread = compared(result["pairs"])
    ours_apart, floor_apart, cpu_apart, p99_apart, spread_apart = compared(result["apart"])

    def row(run, placed=""):
        return [run["server"] + placed, number(run["cpu_us"]), number(run["user_us"]), number(run["system_us"]),
                *latencies(run["latency_us"]), run["lost"] + run["closed"]]

    rows = [row(run) for run in (floor, ours, *result["peers"])]
    rows += [row(run, ", a core each") for run in (floor_apart, ours_apart)]
    figures = table(["", "CPU a delivery, µs", "user", "system", "p50", "p99", "p99.9", "max", "lost"], *rows)
    goals = table(
        ["figure", "measured", "to reach", ""],
        ["CPU a delivery, VeloZ over the floor", f"{cpu:.2f}", f"{GOAL_CPU:.2f} or less", reached(cpu, GOAL_CPU)],
        ["p99 of delivery, VeloZ over the floor", f"{p99:.2f}", f"{GOAL_P99} or less", reached(p99, GOAL_P99)],
        ["CPU a delivery, a core each", f"{cpu_apart:.2f}", "below 1 with io_uring", reached(cpu_apart, GOAL_IO_URING)],
        ["p99 of delivery, a core each", f"{p99_apart:.2f}", f"{GOAL_P99} or less", reached(p99_apart, GOAL_P99)])
    settings = "\n".join(f"- {run['server']}: {run['settings']}" + (f"; {run['version']}" if run["version"] else "")
                         for run in (floor, ours, *result["peers"]))
    return (f"{figures}\n\nTimes over all subscribers, from when the event was due. Medians of {len(result['pairs'])} "
            "interleaved pairs for VeloZ and the floor. \"A core each\": the server's threads on one, the subscribers' on "
            "the other. Without that the kernel has subscribers interrupt the sender on its own core, in some runs more "
            "than in others, and what a delivery costs differs by a third with it.\n\n"
            f"{goals}\n\nCPU over the floor, pair by pair: {spread}; a core each: {spread_apart}.\n\n{settings}")

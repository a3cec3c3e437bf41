"""Deliveries a second, as fast as each server goes, with nothing lost."""

from .. import load
from ..measure import median, ratio_of_pairs
from ..servers import AxumSse, BetterSse, Floor, Nchan, Python, Veloz
from ..text import number, reached, table

NAME, TITLE = "flatout", "Flat out: deliveries a second to 1000 subscribers"
SUBSCRIBERS = 1000
#: As many events as each needs for some seconds.
PEERS = ((Nchan, 600), (AxumSse, 400), (BetterSse, 300), (Python, 60))


class Floor64(Floor):
    """64 events a write."""

    name = "floor, 64 events a write"

    def __init__(self, work, rate=None, events=0):
        super().__init__(work, rate, events, per_write=64)


def run(bench):
    def measure(kind, events):
        with kind(bench.work, None, events) as server:
            server.wait()
            return load.fan_out(server, SUBSCRIBERS, 0, events, timeout=120)

    pairs = []
    count = bench.pick(1, 3, 5)
    for i in range(count):
        bench.progress(f"pair {i + 1} of {count}: floor, VeloZ")
        kinds = (Floor64, Veloz) if i % 2 == 0 else (Veloz, Floor64)
        both = {kind.name: measure(kind, bench.pick(3_200, 16_000)) for kind in kinds}
        pairs.append([both["VeloZ"], both[Floor64.name]])
    bench.progress("floor, one event a write")
    single = measure(Floor, bench.pick(200, 600))
    peers = []
    for kind, events in PEERS:
        bench.progress(kind.name)
        peers.append(measure(kind, events // bench.pick(4, 1)))
    return {"pairs": pairs, "floor": single, "peers": peers}


def report(result):
    ours = sorted((pair[0] for pair in result["pairs"]), key=lambda r: r["deliveries_per_second"])
    floor = sorted((pair[1] for pair in result["pairs"]), key=lambda r: r["deliveries_per_second"])
    ours, floor = ours[len(ours) // 2], floor[len(floor) // 2]
    share = ratio_of_pairs((a["deliveries_per_second"], b["deliveries_per_second"]) for a, b in result["pairs"])
    nchan = next(run for run in result["peers"] if run["server"] == "nchan")
    times = median(a["deliveries_per_second"] for a, _ in result["pairs"]) / nchan["deliveries_per_second"]

    def row(run):
        return [run["server"], number(run["deliveries_per_second"]), number(run["cpu_us"]), number(run["user_us"]),
                number(run["system_us"]), f"{run['events']:,}", run["lost"] + run["closed"]]

    figures = table(["", "deliveries/s", "CPU a delivery, µs", "user", "system", "events", "lost"],
                    *[row(run) for run in (floor, ours, result["floor"], *result["peers"])])
    goals = table(
        ["figure", "measured", "to reach", ""],
        ["deliveries/s, VeloZ over the floor with 64 events a write", f"{share:.0%}", "80 % or more",
         reached(share, 0.8, at_most=False)],
        ["deliveries/s, VeloZ over nchan", f"{times:.1f} times", "20 times", reached(times, 20, at_most=False)],
        ["events lost by VeloZ", str(sum(a["lost"] + a["closed"] for a, _ in result["pairs"])), "0",
         reached(sum(a["lost"] + a["closed"] for a, _ in result["pairs"]), 0)])
    return (f"{figures}\n\nFrom the first event to the last one seen by the last subscriber. The replay that feeds VeloZ "
            f"is faster than its subscribers, so they read from memory and from the log, and catch up.\n\n{goals}")

"""How cost and delay grow with subscribers and with events."""

from .. import load
from ..measure import memory_kib
from ..servers import Floor, Veloz
from ..text import latencies, number, table

NAME, TITLE = "growth", "Growth with subscribers and with events"
SUBSCRIBERS = (1, 10, 100, 1_000, 5_000, 10_000, 19_000)
RATES = (1, 10, 100, 1_000, 10_000, 100_000)
PRODUCT = 1_000_000
PLOTS = {"growth-subscribers": "CPU a delivery and delay at 50 events/s, from 1 to 19,000 subscribers",
         "growth-events": "CPU a delivery and delay for 10 subscribers, from 1 to 100,000 events/s"}
PANELS = {"growth-subscribers": 3, "growth-events": 2}


def run(bench):
    seconds = bench.pick(1, 3, 10)
    runs = {"subscribers": [], "events": []}
    for kind in (Veloz, Floor):
        for count in SUBSCRIBERS:
            bench.progress(f"{kind.name}: {count:,} subscribers")
            runs["subscribers"].append(measure(bench, kind, count, 50, seconds))
        for rate in RATES:
            bench.progress(f"{kind.name}: {rate:,} events/s")
            runs["events"].append(measure(bench, kind, 10, rate, seconds))
    for count in (100, 1_000) if not bench.quick else ():
        bench.progress(f"{PRODUCT:,} deliveries/s offered to {count:,}")
        runs["events"].append(measure(bench, Veloz, count, PRODUCT // count, seconds))
    return runs


def measure(bench, kind, subscribers, rate, seconds):
    events = max(int(rate * seconds), 5)
    with kind(bench.work, rate, events) as server:
        server.wait()
        found = load.fan_out(server, subscribers, rate, events, events // 10, processes=1 if subscribers < 1000 else 2)
        found["rss_mib"] = memory_kib(server.pids)["rss"] / 1024
    return found


def report(result):
    def row(run):
        return [run["server"], f"{run['subscribers']:,}", f"{run['rate']:,}", number(run["deliveries_per_second"]),
                number(run["cpu_us"]), *latencies(run["latency_us"]), number(run["rss_mib"]), run["lost"] + run["closed"]]

    head = ["", "subscribers", "events/s", "deliveries/s", "CPU a delivery, µs", "p50", "p99", "p99.9", "max",
            "process, MiB", "lost"]
    both = [table(head, *[row(run) for run in result[name]]) for name in ("subscribers", "events")]
    ours = [run for run in result["subscribers"] if run["server"] == "VeloZ"]
    base, last = next(run for run in ours if run["subscribers"] == 1000), ours[-1]
    times = last["subscribers"] / base["subscribers"]
    growth = table(
        [f"from {base['subscribers']:,} to {last['subscribers']:,} subscribers", "grows by", "linear would be"],
        ["CPU a second", f"{last['cpu_us'] * last['deliveries_per_second'] / (base['cpu_us'] * base['deliveries_per_second']):.1f}",
         f"{times:.0f}"],
        ["p50", f"{last['latency_us']['p50'] / base['latency_us']['p50']:.1f}", f"{times:.0f}"],
        ["p99", f"{last['latency_us']['p99'] / base['latency_us']['p99']:.1f}", f"{times:.0f}"],
        ["memory above that of one subscriber",
         f"{(last['rss_mib'] - ours[0]['rss_mib']) / max(base['rss_mib'] - ours[0]['rss_mib'], 0.01):.1f}", f"{times:.0f}"])
    return (f"{both[0]}\n\n{growth}\n\nWhat grows: the time to deliver one event, because one `write` a subscriber takes its time "
            "and the last subscriber waits for all before it; and memory, by the figure of an idle subscriber. Where more is "
            "offered than one core can write, events wait and go out together, so CPU a delivery falls instead of delay "
            f"growing without end.\n\n{both[1]}")


def plot(name, result, axes):
    by, label = ("subscribers", "subscribers") if name == "growth-subscribers" else ("rate", "events/s")
    runs = result["subscribers"] if by == "subscribers" else [r for r in result["events"] if r["subscribers"] == 10]
    panels = [("CPU a delivery, µs", lambda r: r["cpu_us"]), ("p99 of delivery, ms", lambda r: r["latency_us"]["p99"] / 1000)]
    if by == "subscribers":
        panels.append(("memory of the process, MiB", lambda r: r["rss_mib"]))
    for axis, (title, pick) in zip(axes, panels):
        for server, style in (("VeloZ", "o-"), ("floor", "s--")):
            of = [run for run in runs if run["server"] == server]
            axis.plot([run[by] for run in of], [pick(run) for run in of], style, label=server, markersize=4)
        axis.set(xscale="log", yscale="log", xlabel=label, title=title)
        axis.legend(frameon=False)

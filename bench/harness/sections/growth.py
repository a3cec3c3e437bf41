"""How cost and delay grow with subscribers and with events."""

from .. import load
from ..measure import median, memory_kib
from ..servers import Floor, Veloz
from ..text import latencies, number, reached, table

#: At the lower rate one core can always write each event to each of 19,000; at the higher it cannot.
CALM, BUSY = 2, 50
NAME, TITLE = "growth", "Growth with subscribers and with events"
SUBSCRIBERS = (1, 10, 100, 1_000, 5_000, 10_000, 19_000)
RATES = (1, 10, 100, 1_000, 10_000, 100_000)
#: Growth is told between these, each measured in so many rounds: one round that the machine disturbs decides nothing.
ENDS, ROUNDS = (1_000, 19_000), 3
PRODUCT = 1_000_000
PLOTS = {"growth-subscribers": "CPU a delivery, delay and memory from 1 to 19,000 subscribers",
         "growth-events": "CPU a delivery and delay for 10 subscribers, from 1 to 100,000 events/s"}
PANELS = {"growth-subscribers": 3, "growth-events": 2}

LINES = {"subscribers": (("VeloZ", BUSY, "o-"), ("VeloZ", CALM, "^-"), ("floor", BUSY, "s--"), ("floor", CALM, "v--")),
         "rate": (("VeloZ", None, "o-"), ("floor", None, "s--"))}


def run(bench):
    seconds = bench.pick(1, 3, 10)
    runs = {"subscribers": [], "events": [], "ends": []}
    for i in range(bench.pick(1, ROUNDS)):
        for count, kind in ((count, kind) for count in ENDS for kind in (Veloz, Floor)):
            bench.progress(f"round {i + 1}, {kind.name}: {count:,} subscribers at {CALM} events/s")
            runs["ends"].append(measure(bench, kind, count, CALM, seconds))
    for kind in (Veloz, Floor):
        for rate in (CALM, BUSY):
            for count in SUBSCRIBERS if kind is Veloz or rate == CALM else SUBSCRIBERS[:4]:
                if rate == CALM and count in ENDS:
                    runs["subscribers"].append(middle(runs["ends"], kind.name, count))
                    continue
                bench.progress(f"{kind.name}: {count:,} subscribers at {rate} events/s")
                runs["subscribers"].append(measure(bench, kind, count, rate, seconds))
        for rate in RATES if kind is Veloz else RATES[:-1]:
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


def of(runs, server, subscribers):
    return [run for run in runs if (run["server"], run["subscribers"]) == (server, subscribers)]


def middle(runs, server, subscribers):
    """The run whose p99 is the median."""
    runs = sorted(of(runs, server, subscribers), key=lambda run: run["latency_us"]["p99"])
    return runs[len(runs) // 2]


def report(result):
    def row(run):
        return [run["server"], f"{run['subscribers']:,}", f"{run['rate']:,}", number(run["deliveries_per_second"]),
                number(run["cpu_us"]), *latencies(run["latency_us"]), number(run["rss_mib"]), run["lost"] + run["closed"]]

    head = ["", "subscribers", "events/s", "deliveries/s", "CPU a delivery, µs", "p50", "p99", "p99.9", "max",
            "process, MiB", "lost"]
    both = [table(head, *[row(run) for run in result[name]]) for name in ("subscribers", "events")]
    one = next(run for run in result["subscribers"] if (run["server"], run["subscribers"], run["rate"]) == ("VeloZ", 1, CALM))
    first, last = ENDS
    times = last / first

    def by(server, pick):
        at = [median(pick(run) for run in of(result["ends"], server, count)) for count in ENDS]
        return at[1] / at[0]

    def grows(name, pick, of_floor=True):
        ours = by("VeloZ", pick)
        return [name, f"{ours:.1f}", f"{by('floor', pick):.1f}" if of_floor else "", f"{times:.0f}", reached(ours, times * 1.05)]

    growth = table(
        [f"from {first:,} to {last:,} subscribers at {CALM} events/s", "grows by", "the floor by", "linear is", ""],
        grows("CPU a second", lambda run: run["cpu_us"] * run["deliveries_per_second"]),
        grows("p50", lambda run: run["latency_us"]["p50"]), grows("p99", lambda run: run["latency_us"]["p99"]),
        grows("memory above that with one", lambda run: max(run["rss_mib"] - one["rss_mib"], 0.1), of_floor=False))
    return (f"{both[0]}\n\n{growth}\n\nMedians of {len(of(result['ends'], 'VeloZ', first))} rounds. What grows: the time to deliver one event, because each subscriber is a `write` and the last "
            "one waits for all before it; the CPU of an event likewise; and memory, by the figure of an idle subscriber. "
            f"At {BUSY} events/s one core cannot write every event to every subscriber past some 3,000: events wait for the "
            "round that is under way, at most one, and go out together. So a delivery then takes up to two rounds instead of "
            "one, and CPU a delivery falls. The floor, which does not batch, falls behind for ever there; it is shown as far "
            f"as it keeps up.\n\n{both[1]}")


def plot(name, result, axes):
    by, label = ("subscribers", "subscribers") if name == "growth-subscribers" else ("rate", "events/s")
    runs = result["subscribers"] if by == "subscribers" else [r for r in result["events"] if r["subscribers"] == 10]
    panels = [("CPU a delivery, µs", lambda r: r["cpu_us"]), ("p99 of delivery, ms", lambda r: r["latency_us"]["p99"] / 1000)]
    if by == "subscribers":
        panels.append(("memory of the process, MiB", lambda r: r["rss_mib"]))
    for axis, (title, pick) in zip(axes, panels):
        for server, rate, style in LINES[by]:
            line = [run for run in runs if run["server"] == server and rate in (None, run["rate"])]
            label_ = server if rate is None else f"{server}, {rate} events/s"
            axis.plot([run[by] for run in line], [pick(run) for run in line], style, label=label_, markersize=4)
        axis.set(xscale="log", yscale="log", xlabel=label, title=title)
        axis.legend(frameon=False)

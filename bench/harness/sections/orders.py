"""Order entry: how many a second, and how long from the POST to the event."""

from .. import load
from ..measure import median
from ..servers import Empty, Python, PythonPerRequest, Veloz
from ..text import micros, number, reached, table

NAME, TITLE = "orders", "Order entry"
RATE = 1_000


class EmptyOneThread(Empty):
    """On the other of tokio's runtimes, which the gateway has too."""

    name = "empty handler, one thread"

    def __init__(self, work):
        super().__init__(work, flavour="current")


def run(bench):
    seconds = bench.pick(1, 2.5, 10)
    rounds = bench.pick(1, 3, 5)
    slow = (Python, PythonPerRequest)
    kinds = (Veloz, Empty, EmptyOneThread, *slow)
    found = {kind.name: [] for kind in kinds}
    for i in range(rounds):
        for kind in kinds:
            bench.progress(f"round {i + 1} of {rounds}: {kind.name}")
            threads = ("--threads",) if kind is PythonPerRequest else ()
            with kind(bench.work) as server:
                server.wait()
                one = {}
                # First: the snapshots of a flood are made for a while after it.
                if kind is Veloz:
                    one["latency"] = load.run(server, "latency", "--rate", RATE, "--orders", int(RATE * seconds))
                elif kind in slow:
                    one["latency"] = load.run(server, "latency", "--rate", 100, "--orders", 200)
                one["one"] = load.run(server, "orders", "--seconds", seconds)
                one["many"] = load.run(server, "orders", "--connections", 64, "--seconds", seconds, *threads)
                if kind is Veloz:
                    one["after"] = load.run(server, "latency", "--rate", RATE, "--orders", int(RATE * seconds))
            found[kind.name].append(one)
    return {"runs": found, "settings": {kind.name: kind.settings for kind in (Empty, Python, PythonPerRequest)}
            | {Veloz.name: "as installed (VELOZ_DURABILITY=process), no market"}}


def report(result):
    runs = result["runs"]

    def per_second(name, load_name):
        return median(run[load_name]["requests_per_second"] for run in runs[name])

    def times(name, load_name, part):
        found = [run[load_name][part] for run in runs[name] if load_name in run]
        return [micros(median(one[f"{percentile}_us"] for one in found)) if found else "-"
                for percentile in ("p50", "p99", "p999")]

    def row(name):
        rates = [f"{run['latency']['rate']:,.0f}/s" for run in runs[name] if "latency" in run]
        return [name, number(per_second(name, "one")), number(per_second(name, "many")), *times(name, "one", "answer"),
                *(rates[:1] or ["-"]), *times(name, "latency", "post_to_event")]

    figures = table(["", "requests/s, 1 connection", "64 connections", "answer p50", "p99", "p99.9", "POST to event at",
                     "p50", "p99", "p99.9"], *[row(name) for name in runs])

    def ours(when, percentile):
        return median(run[when]["post_to_event"][percentile] for run in runs["VeloZ"])

    p50, p99 = ours("latency", "p50_us"), ours("latency", "p99_us")
    empty = {load_name: max(per_second(name, load_name) for name in ("empty handler", "empty handler, one thread"))
             for load_name in ("one", "many")}
    usual = per_second("VeloZ", "many") / per_second(Empty.name, "many")
    share = per_second("VeloZ", "many") / empty["many"]
    tuned = per_second("VeloZ", "one") / per_second("Python, keep-alive", "one")
    plain = per_second("VeloZ", "one") / per_second("Python, a thread a request", "one")
    goals = table(
        ["figure", "measured", "to reach", ""],
        ["POST to event at the one subscriber, 1,000 orders/s, p50", micros(p50), "200 µs", reached(p50, 200)],
        ["the same, p99", micros(p99), "1 ms", reached(p99, 1000)],
        ["p50 and p99 right after the flood of 64 connections, while its snapshots are made",
         f"{micros(ours('after', 'p50_us'))}, {micros(ours('after', 'p99_us'))}", "", ""],
        ["64 connections, VeloZ over an empty handler of the same library, on tokio's usual runtime", f"{usual:.0%}",
         "70 % or more", reached(usual, 0.7, at_most=False)],
        ["the same over the faster of the two empty handlers", f"{share:.0%}", "70 % or more",
         reached(share, 0.7, at_most=False)],
        ["1 connection, VeloZ over an empty handler", f"{per_second('VeloZ', 'one') / empty['one']:.0%}", "", ""],
        ["1 connection, VeloZ over Python with a thread a request", f"{plain:.1f} times", "10 times",
         reached(plain, 10, at_most=False)],
        ["the same of the empty handler, which no server on this library can pass",
         f"{empty['one'] / per_second('Python, a thread a request', 'one'):.1f} times", "", ""],
        ["1 connection, VeloZ over Python tuned with keep-alive", f"{tuned:.1f} times", "10 times",
         reached(tuned, 10, at_most=False)])
    settings = "\n".join(f"- {name}: {text}" for name, text in result["settings"].items())
    return (f"{figures}\n\nEvery second request is an order that rests, the others cancel it; each connection sends the next when "
            f"it has its answer. Medians of {len(runs['VeloZ'])} rounds.\n\n{goals}\n\nOver the faster empty handler the figure is "
            "not each run's: the two cores are both full there, and it was 62 to 70 % from run to run and host to host. "
            f"Over the other it was 84 to 92 %.\n\n{settings}")

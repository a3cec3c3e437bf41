"""The engine alone, beside the matching engines that the registries carry."""

import json
import re
import subprocess

from ..servers import LOAD, PEERS, ROOT, RUST_PEERS, Failed
from ..text import number, reached, table

NAME, TITLE = "engine", "The engine alone, on one thread"
RESTING, LARGEST = 100_000, 1_000_000
PLOTS = {"growth-engine": "The engine's operations per second and p99.9 with resting and with closed orders"}
PANELS = {"growth-engine": 2}


def call(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=240)
    if done.returncode != 0:
        raise Failed((done.stderr.strip() or f"{command[0]} failed").splitlines()[0])
    return json.loads(done.stdout)


def ours(resting, closed, operations):
    return call([LOAD, "engine", "--resting", resting, "--closed", closed, "--operations", operations])


def at_most(resting, operations):
    """With that many resting orders, or as many as the engine's own limit of open orders allows."""
    try:
        return ours(resting, 0, operations)
    except Failed as failure:
        refused = re.search(r"order-(\d+) does not rest.*max_open_orders", str(failure))
        if not refused:
            raise
        # One is taken, and one placed, before one is cancelled.
        return ours(int(refused[1]) - 3, 0, operations)


def rust(name):
    return lambda resting, operations: call([RUST_PEERS / "engine_peers", name, "--resting", resting,
                                             "--operations", operations])


def node(resting, operations):
    return call(["node", PEERS / "node/order_book.mjs", resting, operations])


def versions():
    """Of the peers, from what pins them."""
    rust_peers = (ROOT / "bench/peers/rust/Cargo.toml").read_text()
    npm = json.loads((PEERS / "node/package.json").read_text())["dependencies"]
    found = {name: re.search(rf'^{name} = "=([0-9.]+)"', rust_peers, re.MULTILINE)[1] for name in ("orderbook-rs", "rust_ob")}
    return found | {"nodejs-order-book": npm["nodejs-order-book"]}


def run(bench):
    operations = bench.pick(200_000, 1_000_000)
    at = versions()
    peers = {f"orderbook-rs {at['orderbook-rs']} (Rust)": rust("orderbook-rs"),
             f"rust_ob {at['rust_ob']} (Rust)": rust("rust-ob"),
             f"nodejs-order-book {at['nodejs-order-book']} (JavaScript)": node}
    rounds = bench.pick(1, 7)
    runs = {}
    for i in range(rounds):
        bench.progress(f"round {i + 1} of {rounds}: VeloZ")
        runs.setdefault("VeloZ", []).append(at_most(RESTING, operations))
        for name, peer in peers.items():
            bench.progress(f"round {i + 1} of {rounds}: {name}")
            # One that is a hundred times as slow need not do as many.
            runs.setdefault(name, []).append(peer(RESTING, operations // (10 if peer is node else 1)))
    # Round by round, so that a machine that is slow for a while is so for all of them.
    counts = (1_000, 10_000, 100_000, LARGEST)[:bench.pick(3, 4)]
    growth = {kind: {count: [] for count in counts} for kind in ("resting", "closed")}
    grown = bench.pick(1, 3)
    for i in range(grown):
        for count in counts:
            bench.progress(f"round {i + 1} of {grown}: {count:,} resting, and closed")
            growth["resting"][count].append(at_most(count, operations))
            growth["closed"][count].append(ours(1_000, count, operations))
    growth = {kind: [middle(runs) for runs in found.values()] for kind, found in growth.items()}
    return {"runs": runs, "growth": growth}


def middle(runs):
    return sorted(runs, key=lambda r: r["operations_per_second"])[len(runs) // 2]


def report(result):
    middles = {name: middle(runs) for name, runs in result["runs"].items()}
    rows = [[name, f"{run['operations_per_second']:,.0f}", f"{run['p50_ns']:,} ns", f"{run['p99_ns']:,} ns",
             f"{run['p999_ns'] / 1000:,.1f} µs", f"{run['max_ns'] / 1000:,.0f} µs", number(run["bytes_per_resting"])]
            for name, run in middles.items()]
    we = middles["VeloZ"]
    rate, late = we["operations_per_second"], we["p999_ns"] / 1000
    goals = table(["figure", "measured", "to reach", ""],
                  [f"orders/s on one core, {we['resting']:,} resting", f"{rate:,.0f}", "2,000,000", reached(rate, 2e6, at_most=False)],
                  ["p99.9 of an order", f"{late:.1f} µs", "20 µs", reached(late, 20)])
    grown = [[f"{run['resting']:,}", f"{run['closed']:,}", f"{run['operations_per_second']:,.0f}", f"{run['p50_ns']:,} ns",
              f"{run['p999_ns'] / 1000:,.1f} µs", number(run["bytes_per_resting"] if kind == "resting" else run["bytes_per_closed"])]
             for kind in ("resting", "closed") for run in result["growth"][kind]]
    return (f"{table(['', 'orders/s', 'p50', 'p99', 'p99.9', 'max', 'bytes a resting order'], *rows)}\n\n"
            f"{RESTING:,} orders rest on 1000 levels (VeloZ: {we['resting']:,}, its limit of open orders permitting); of eleven orders five place one more, five cancel one at random and "
            "one takes from the ask and fills. The peers only match; VeloZ also checks each order against instrument, balance "
            "and risk, keeps its state and idempotency for ever, books fees exactly and makes every event of the contract. "
            f"Medians of {len(result['runs']['VeloZ'])} rounds; in the second table of 3.\n\n"
            "orders/s: requests wait in batches of 64, made beforehand as whoever receives them makes them; what is timed is "
            "what the gateway does with a batch: a look at what its orders are about, then a step for each, its events made and "
            "dropped. p50 to max: each order alone, the two calls of the clock included. "
            "nodejs-order-book makes its requests in the time that is measured. What grows with resting orders is the wait for memory: "
            "counted with callgrind, an order takes as many instructions with 100,000 resting as with 1,000. A warm engine allocates "
            "for none (`crates/core/tests/allocations.rs`): its tables grow by a block for hundreds.\n\n"
            f"{goals}\n\n"
            f"{table(['resting', 'closed', 'orders/s', 'p50', 'p99.9', 'bytes an order'], *grown)}")


def plot(name, result, axes):
    for axis, (title, pick) in zip(axes, (("orders/s", lambda r: r["operations_per_second"]),
                                          ("p99.9, µs", lambda r: r["p999_ns"] / 1000))):
        for kind, style in (("resting", "o-"), ("closed", "s--")):
            runs = result["growth"][kind]
            axis.plot([run[kind] for run in runs], [pick(run) for run in runs], style, label=f"{kind} orders", markersize=4)
        axis.set(xscale="log", xlabel="orders", title=title)
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False)

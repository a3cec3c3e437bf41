"""A large capture into the journal, as fast as it goes."""

import subprocess
import time

from ..servers import TARGET, Failed, Veloz
from ..text import number, reached, table

NAME, TITLE = "replay", "A recorded market, as fast as it goes"
MAKE_CAPTURE = TARGET / "examples/make_capture"


def make(path, lines, *options):
    """A capture of the simulated market."""
    if not MAKE_CAPTURE.exists():
        raise Failed(f"{MAKE_CAPTURE} is missing: `make bench` builds it")
    with path.open("wb") as out:
        subprocess.run([MAKE_CAPTURE, str(lines), *options], stdout=out, check=True)


def run(bench):
    lines = bench.pick(1_000_000, 10_000_000)
    capture = bench.work / "capture"
    bench.progress(f"a capture of {lines:,} lines")
    make(capture, lines)
    runs = []
    for i in range(bench.pick(1, 3)):
        bench.progress(f"run {i + 1}")
        with Veloz(bench.work, VELOZ_MARKET_SOURCE="replay", VELOZ_REPLAY_FILE=capture, VELOZ_REPLAY_SPEED="max") as server:
            ready = server.wait(lambda: server.get("/health")["ok"])
            server.wait(lambda: server.get("/api/config")["market_source_state"] == "finished", 600)
            # The source has read all; the last of it is stored when the log has come to rest.
            events, took = 0, None
            while took is None or server.newest() > events:
                events, took = server.newest(), time.monotonic() - server.started - ready
                time.sleep(0.02)
            server.stop()
            size = sum(f.stat().st_size for f in server.data.rglob("*") if f.is_file())
        runs.append({"seconds": took, "events": events, "bytes": size})
    return {"lines": lines, "runs": runs}


def report(result):
    run = sorted(result["runs"], key=lambda r: r["seconds"])[len(result["runs"]) // 2]
    rate = run["events"] / run["seconds"]
    return table(["figure", "measured", "to reach", ""],
                 [f"replay at `max` of {result['lines']:,} lines", f"{number(run['seconds'])} s, "
                  f"{result['lines'] / run['seconds']:,.0f} lines/s", "", ""],
                 [f"events into the journal ({run['events']:,}, {run['bytes'] / 1e6:,.0f} MB)", f"{rate:,.0f}/s", "300,000/s",
                  reached(rate, 300_000, at_most=False)])

"""Measures VeloZ beside its peers and beside the floor, in one run on one machine, and writes bench/RESULTS.md.

The figures to look at are the ratios: machine, kernel and load generator are the same for all sides, which run one
after another, never at once."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from . import report
from .measure import Progress, stolen_s
from .sections import ALL
from .servers import ROOT, Failed

RESULTS = ROOT / "target/bench"


class Bench:
    """What a section needs: where to work, how long to take, and whom to tell."""

    def __init__(self, work, quick, full):
        self.work, self.quick, self.full = Path(work), quick, full
        self.progress = Progress()

    def pick(self, quick, normal, full=None):
        """A number for the length of this run."""
        if self.quick:
            return quick
        return full if self.full and full is not None else normal


def arguments():
    names = [section.NAME for section in ALL]
    parser = argparse.ArgumentParser(
        prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"""sections: {", ".join(names)}

examples:
  bench/run                                   everything, about 10 minutes
  bench/run --quick                           a look, about 2 minutes; RESULTS.md stays as it is
  bench/run --section fanout --section orders only these; RESULTS.md keeps the others as they were last measured
  bench/run --full                            with the large ones: 100 million events, 19,000 subscribers throughout
  bench/run --section large                   only the 100 million events: 3 minutes, 28 GiB of disk (--work DIR: where)
  bench/run --report                          RESULTS.md and its plots again, from the last measurements""")
    parser.add_argument("--section", action="append", choices=names, metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--quick", action="store_true", help="short loads, for a look")
    parser.add_argument("--full", action="store_true", help="long loads")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--work", metavar="DIR", help="where data directories go (the system's temporary folder)")
    return parser.parse_args()


def main():
    args = arguments()
    RESULTS.mkdir(parents=True, exist_ok=True)
    failures = []
    if not args.report:
        failures = measure(args)
    results = saved()
    if args.quick:
        return report.failed(failures)
    report.write(results)
    print(f"written: {report.PAGE.relative_to(ROOT)}", file=sys.stderr)
    return report.failed(failures)


def measure(args):
    """Runs the sections; a failure of one is told and does not end the others."""
    wanted = [section for section in ALL if is_wanted(section, args)]
    failures = []
    for number, section in enumerate(wanted, 1):
        work = tempfile.mkdtemp(prefix="veloz-bench-", dir=args.work)
        bench = Bench(work, args.quick, args.full)
        print(f"[{number}/{len(wanted)}] {section.TITLE}", file=sys.stderr, flush=True)
        began, stolen = time.monotonic(), stolen_s()
        try:
            result = section.run(bench)
        except (Failed, OSError, subprocess.SubprocessError, LookupError, ValueError) as failure:
            failures.append(f"{section.NAME}: {failure}")
            bench.progress.end()
            told = failure if isinstance(failure, Failed) else traceback.format_exc()
            print(f"  failed: {told}", file=sys.stderr)
            continue
        finally:
            shutil.rmtree(work, ignore_errors=True)
        bench.progress.end()
        command = "bench/run" + (" --full" if args.full else "") + f" --section {section.NAME}"
        seconds = time.monotonic() - began
        result |= {"date": time.strftime("%Y-%m-%d %H:%M"), "seconds": round(seconds), "command": command,
                   "machine": report.machine(), "stolen": (stolen_s() - stolen) / seconds}
        text = section.report(result)
        print(f"\n{text}\n", flush=True)
        if not args.quick:
            (RESULTS / f"{section.NAME}.json").write_text(json.dumps(result, indent=1))
    return failures


def is_wanted(section, args):
    """Those that are named, or all but the large ones."""
    if args.section:
        return section.NAME in args.section
    return args.full or not getattr(section, "LARGE", False)


def saved():
    """The last measurement of each section."""
    found = {}
    for section in ALL:
        path = RESULTS / f"{section.NAME}.json"
        if path.exists():
            found[section.NAME] = json.loads(path.read_text())
    return found

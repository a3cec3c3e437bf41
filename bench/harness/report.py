"""Tables, plots and bench/RESULTS.md."""

import sys

from .measure import machine
from .sections import ALL
from .servers import ROOT

PAGE = ROOT / "bench/RESULTS.md"
PLOTS = ROOT / "bench/plots"

__all__ = ["PAGE", "failed", "machine", "write"]

HEAD = """# Results

Made by `make bench` (all of it: `bench/run`; one part: `bench/run --section NAME`). Server and load generator share the
machine; the sides of a comparison run one after another, and where a ratio is told it is the median of interleaved
pairs. A time on the stream is counted from when the event was due, so that a server which is late is not forgiven for
publishing late (coordinated omission). VeloZ stores every event (`VELOZ_DURABILITY=process`) unless it says otherwise;
its peers store nothing. An event is about 110 bytes of JSON, 148 on the wire.
"""


def write(results):
    """RESULTS.md and its plots, of what was measured; a section that was not measured here stays as it is."""
    written, parts = standing(), [HEAD]
    for section in ALL:
        result = results.get(section.NAME)
        if result is None:
            parts += written.get(section.TITLE, [])
            continue
        parts.append(f"## {section.TITLE}\n\n{section.report(result)}\n")
        parts += [f"![{caption}](plots/{name}.svg)\n" for name, caption in draw(section, result)]
        stolen = f"; its host took {result['stolen']:.2f} s of processor time a second" if "stolen" in result else ""
        parts.append(f"`{result['command']}`, {result['date']} UTC, {result['seconds']} s, on {result['machine']}{stolen}.\n")
    PAGE.write_text("\n".join(parts))


def standing():
    """The sections of the page as it stands, by title: elsewhere measured ones are not lost."""
    page = PAGE.read_text() if PAGE.exists() else ""
    return {text.partition("\n")[0]: [f"## {text.rstrip()}\n"] for text in page.split("\n## ")[1:]}


def draw(section, result):
    """The plots of a section as SVG."""
    plots = getattr(section, "PLOTS", {})
    if not plots:
        return []
    try:
        import matplotlib
    except ImportError:
        sys.exit("matplotlib is missing: run `scripts/setup bench` and use bench/.venv/bin/python")
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "veloz", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3,
                            "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none"}
    from matplotlib import pyplot

    PLOTS.mkdir(exist_ok=True)
    for name in plots:
        figure, axes = pyplot.subplots(1, section.PANELS.get(name, 1), figsize=(9, 3.2), layout="constrained")
        section.plot(name, result, axes)
        figure.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})
        pyplot.close(figure)
    return plots.items()


def failed(failures):
    """Tells what could not be measured; the exit status."""
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0

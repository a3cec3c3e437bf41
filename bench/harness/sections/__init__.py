"""The sections of the results, in the order of the report.

A section is a module with NAME (for `--section`), TITLE, `run(bench)`, which measures and gives back what JSON can
hold, `report(result)`, which makes Markdown of that, and, where there is something to see, `plot(result, axes)` with
PLOTS, the names of its pictures. `bench` (harness/main.py) has the work directory, `quick` and `full`, and tells progress.
"""

from . import engine, fanout, flatout, growth, journal, large, orders, replay, stalled, subscribers

ALL = (fanout, flatout, orders, subscribers, stalled, growth, replay, journal, large, engine)

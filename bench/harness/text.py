"""Figures as text."""


def table(head, *rows):
    """A table of Markdown."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def number(value, digits=3):
    """A number with that many digits that mean something, thousands apart."""
    if value is None or value != value:
        return "-"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    decimals = digits - 1
    while decimals > 0 and abs(value) >= 10 ** (digits - decimals):
        decimals -= 1
    return f"{value:,.{decimals}f}"


def micros(value):
    """A time given in microseconds."""
    return f"{number(value)} µs" if value < 1000 else f"{number(value / 1000)} ms"


def latencies(at):
    """The cells p50, p99, p99.9 and max."""
    return [micros(at[name]) for name in ("p50", "p99", "p99.9", "max")]


def reached(value, goal, at_most=True):
    """The mark beside a figure that has a goal."""
    return "reached" if (value <= goal if at_most else value >= goal) else "not reached"

"""What is read off the machine, and how figures of several runs become one."""

import os
import platform
import statistics
import sys
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def median(values):
    return statistics.median(values)


def ratio_of_pairs(pairs):
    """The median ratio of interleaved pairs (ours, theirs): what drifts on the machine hits both of a pair."""
    return median(ours / theirs for ours, theirs in pairs)


def percentiles(*histograms):
    """Microseconds at the usual percentiles of one distribution, told as [nanoseconds, count] by several processes."""
    counts = {}
    for value, count in (pair for histogram in histograms for pair in histogram):
        counts[value] = counts.get(value, 0) + count
    total, seen, at = sum(counts.values()), 0, {}
    wanted = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]
    for value in sorted(counts):
        seen += counts[value]
        while wanted and seen >= wanted[0][1] * total:
            at[wanted.pop(0)[0]] = value / 1000
    return at or {name: float("nan") for name, _ in wanted}


class Cpu:
    """Processor time of some processes, user and system, in seconds."""

    def __init__(self, pids):
        self.user = self.system = 0.0
        self.threads = {}
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            self.user += int(fields[11]) * TICK_S
            self.system += int(fields[12]) * TICK_S
            for task in Path(f"/proc/{pid}/task").iterdir():
                try:
                    self.threads[task.name] = int((task / "schedstat").read_text().split()[0]) / 1e9
                except OSError:
                    # It ended meanwhile.
                    continue

    def since(self, before):
        """Total, user and system. The sum of the threads is exact, where the ticks are of 10 ms; but only the ticks
        count threads that have ended."""
        ticks = (self.user - before.user) + (self.system - before.system)
        total = sum(spent - before.threads.get(thread, 0) for thread, spent in self.threads.items())
        if ticks > total + 3 * TICK_S:
            total = ticks
        user = (self.user - before.user) / ticks if ticks else 0.5
        return total, total * user, total * (1 - user)


def keep_apart(*groups):
    """Gives each group of processes a core of its own, all their threads."""
    for core, pids in zip(sorted(os.sched_getaffinity(0)), groups):
        for pid in pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                try:
                    os.sched_setaffinity(int(task.name), {core})
                except ProcessLookupError:
                    # It ended meanwhile.
                    continue


def memory_kib(pids):
    """Resident, proportional and private memory of some processes."""
    found = {"rss": 0, "pss": 0, "private": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, size = line.split()[:2]
            if name == "Rss:":
                found["rss"] += int(size)
            elif name == "Pss:":
                found["pss"] += int(size)
            elif name in ("Private_Clean:", "Private_Dirty:"):
                found["private"] += int(size)
    return found


def stolen_s():
    """Processor time that the host has taken from this virtual machine since it started."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()
    return int(fields[8]) * TICK_S


def kernel_kib():
    """What the kernel holds for sockets and all its small objects, of every process together."""
    slab = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()
                if line.startswith("Slab:"))
    pages = next(int(line.split()[-1]) for line in Path("/proc/net/sockstat").read_text().splitlines()
                 if line.startswith("TCP:"))
    return {"slab": slab, "tcp_buffers": pages * os.sysconf("SC_PAGE_SIZE") // 1024}


def children(pid):
    """A process and what it started."""
    found = [pid]
    for started in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = started.read_text().split()
        except OSError:
            # It ended meanwhile.
            continue
        for child in pids:
            found += children(int(child))
    return found


def machine():
    """What the figures were made on, in words."""
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()
                  if line.startswith("MemTotal"))
    return f"{os.cpu_count()} cores ({cpu}), {memory / 2**20:.0f} GiB, Linux {platform.release()}"


class Progress:
    """Tells on stderr what is being measured: in place on a terminal, a line each elsewhere."""

    def __init__(self):
        self.terminal = sys.stderr.isatty()

    def __call__(self, text):
        if self.terminal:
            print(f"\r\033[K  {text}", end="", file=sys.stderr, flush=True)
        else:
            print(f"  {text}", file=sys.stderr, flush=True)

    def end(self):
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

# SPDX-License-Identifier: Apache-2.0
"""What a process holds, looked at again and again, and whether it grows."""
import collections
import contextlib
import os
import pathlib
import statistics

MIB = 1 << 20

# By how much the later figure may be more.
# - Resident memory: the heap grows in steps of up to 1 MiB until the largest scrape by chance has had its room, which takes some five
#   minutes, and the stacks of 250 threads are touched bit by bit. So two minutes find what 100 kB are lost of in a scrape, such as a page
#   of it; half an hour finds 5 kB in a scrape, or 1 kB for each VM that has ended.
# - Kernel memory: what each CPU has been charged for in advance (64 pages), and caches of small objects.
# - Files and threads: a client that comes or goes while they are counted.
ALLOWED = {"resident memory": 3 * MIB, "kernel memory": 2 * MIB, "open files": 4, "threads": 1}


class Group:
    """A control group of the memory controller for the exporter alone, whose kernel memory can be read; none where that
    cannot be had."""

    def __init__(self):
        top = pathlib.Path("/sys/fs/cgroup")
        second = (top / "cgroup.controllers").exists()
        self._path = (top if second else top / "memory") / f"vcpu_soak.{os.getpid()}"
        self.there = False

    def __enter__(self):
        with contextlib.suppress(OSError):
            self._path.mkdir()
            self.there = self.kernel_bytes() is not None
        return self

    def __exit__(self, *_):
        with contextlib.suppress(FileNotFoundError):
            self._path.rmdir()

    def under(self):
        """The command that runs another one in it."""
        enter = 'echo $$ >"$0/cgroup.procs" && exec "$@"'
        return ("/bin/sh", "-c", enter, str(self._path)) if self.there else ()

    def kernel_bytes(self):
        with contextlib.suppress(FileNotFoundError):
            return int((self._path / "memory.kmem.usage_in_bytes").read_text())
        with contextlib.suppress(FileNotFoundError):
            for line in (self._path / "memory.stat").read_text().splitlines():
                if line.startswith("kernel "):
                    return int(line.split()[1])
        return None


class Watched:
    """An exporter's figures, {what: [(seconds, figure)]}."""

    def __init__(self, exporter, group):
        self._exporter = exporter
        self._group = group
        self._figures = collections.defaultdict(list)

    def look(self, seconds):
        status = pathlib.Path(f"/proc/{self._exporter.pid}/status").read_text()
        self._add("resident memory", seconds, int(status.partition("VmRSS:")[2].split()[0]) << 10)
        self._add("open files", seconds, len(self._exporter.open_files()))
        self._add("threads", seconds, self._exporter.thread_count())
        if self._group.there:
            self._add("kernel memory", seconds, self._group.kernel_bytes())

    def _add(self, what, seconds, figure):
        self._figures[what].append((seconds, figure))

    def course(self, what, parts=10):
        """Its median in each of so many parts of the time."""
        figures = [figure for _, figure in self._figures[what]]
        size = max(1, len(figures) // parts)
        return [statistics.median(figures[begin:begin + size]) for begin in range(0, len(figures), size)]

    def growth(self, until):
        """{what: (its median in the second third of the time, in the last)}; the first third is there to get warm."""
        def median(figures, begin, end):
            return statistics.median(figure for seconds, figure in figures if begin <= seconds < end)
        return {what: (median(figures, until / 3, until * 2 / 3), median(figures, until * 2 / 3, until + 60))
                for what, figures in self._figures.items()}


def problems(growth):
    return [f"{what} grew from {early} to {late}" for what, (early, late) in growth.items()
            if late > early + ALLOWED[what]]

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the exporter takes of a host in the long run: CPU time of it, its children, libvirtd and its eBPF programs.

Virtual machines under TCG, started by libvirt, work a bit meanwhile: a program is started on each vCPU every second.
Two exporters, with libvirt and without, are scraped as Prometheus does. Prints a table in Markdown; shares are of one
CPU. What the eBPF programs take belongs to whoever is switched, but for the pass over the tasks, which is in the
exporter's own time as well.
"""
import argparse
import collections
import contextlib
import os
import pathlib
import sys
import time

import bpf_stats
import real_guests
from cpu_clock import cpu_seconds, family, resident_mebibytes
from side_by_side import ask, series_of

import program  # of tests/program, by real_guests
from processes import wait_for  # of tests/live, likewise

GOAL = 0.0002  # Of one CPU: the exporter and its children.
ITERATORS = {"read_tasks", "read_accounts"}  # What runs in the exporter's own time.
BOOT_SECONDS = 600

Moment = collections.namedtuple("Moment", "clock own libvirtd programs")


def comm(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    return "?"


def programs(exporter):
    return bpf_stats.programs_of(exporter.pid) if bpf_stats.bpftool() else {}


def moment(exporter, libvirtd):
    own = {pid: cpu_seconds(pid) for pid in family(exporter.pid)}
    return Moment(time.monotonic(), own, cpu_seconds(libvirtd), programs(exporter))


class Watched:
    """An exporter and what it has taken since begin()."""

    def __init__(self, name, exporter, libvirtd):
        self.name = name
        self.exporter = exporter
        self._libvirtd = libvirtd
        self.walls = []
        self.series = 0
        self._begin = None

    def scrape(self):
        page, wall = ask(self.exporter.port, "/metrics")
        self.series = series_of(page)
        return page, wall

    def begin(self):
        self._begin = moment(self.exporter, self._libvirtd)

    def measure_scrape(self):
        self.walls.append(self.scrape()[1])

    def rows(self):
        """(what, CPU seconds, runs or None) since begin()."""
        begin, end = self._begin, moment(self.exporter, self._libvirtd)
        own = [(comm(pid), seconds - begin.own.get(pid, 0.0), None) for pid, seconds in end.own.items()]
        yield "exporter and children", sum(seconds for _, seconds, _ in own), None
        yield from own
        switched = 0.0
        for number, now in sorted(end.programs.items()):
            before = begin.programs.get(number, bpf_stats.Program(now.name, 0, 0.0))
            yield f"eBPF {now.name}", now.seconds - before.seconds, now.runs - before.runs
            switched += 0.0 if now.name in ITERATORS else now.seconds - before.seconds
        if end.programs:
            yield "eBPF, in others' time", switched, None
        yield "libvirtd", end.libvirtd - begin.libvirtd, None


def vcpu_rows(page):
    """{what: sum over all vCPUs}"""
    sums = collections.Counter()
    for line in page.splitlines():
        name, _, rest = line.partition("{")
        if name in ("vcpu_run_seconds_total", "vcpu_dispatches_total"):
            sums[name] += float(rest.rpartition("} ")[2].split()[0])
    return sums


def tasks():
    """Threads on this machine, each of which a scrape looks at."""
    return int(pathlib.Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


def print_table(watched, seconds, worked):
    print(f"{seconds:.0f} s, {len(watched[0].walls)} scrapes; the vCPUs took {worked['vcpu_run_seconds_total'] / seconds:.2f} "
          f"CPUs and were put on one {worked['vcpu_dispatches_total'] / seconds:.0f} times a second; "
          f"the host has {tasks()} tasks, and its load is {os.getloadavg()[2]:.1f}\n")
    for one in watched:
        print(f"### {one.name}: {one.series} series, {resident_mebibytes(family(one.exporter.pid)):.0f} MiB\n")
        print("| | CPU s | of one CPU | per run or scrape |\n|---|---|---|---|")
        for what, spent, runs in one.rows():
            each = "" if runs == 0 else f"{spent / runs * 1e9:.0f} ns, {runs} runs" if runs else ""
            if what == "exporter and children":
                each = f"{spent / len(one.walls) * 1e3:.2f} ms"
                verdict = "kept" if spent / seconds < GOAL else "missed"
                each += f"; goal of {GOAL:.2%} {verdict}"
            print(f"| {what} | {spent:.3f} | {spent / seconds:.4%} | {each} |")
        print()


def measure(watched, args):
    """Scrapes them every args.interval seconds for args.minutes; (seconds, what the vCPUs did)."""
    before = vcpu_rows(watched[0].scrape()[0])
    for one in watched:
        one.scrape()
        one.begin()
    began = time.monotonic()
    scrapes = max(1, round(args.minutes * 60 / args.interval))
    for number in range(scrapes):
        time.sleep(max(0.0, began + (number + 1) * args.interval - time.monotonic()))  # The measure itself.
        for one in watched:
            one.measure_scrape()
    seconds = time.monotonic() - began
    return seconds, vcpu_rows(watched[0].scrape()[0]) - before


def run(args, host, stack):
    machines = [real_guests.WorkingGuest(f"steady-{os.getpid()}-{number}", host, args.vcpus) for number in range(args.vms)]
    host.start(machines=machines)
    for machine in machines:
        wait_for(machine.is_ready, BOOT_SECONDS, f"{machine.name} to boot")
    libvirtd = host.libvirt.daemon.pid
    if bpf_stats.bpftool():
        stack.enter_context(bpf_stats.counting())
    watched = [Watched(name, stack.enter_context(program.Exporter(*flags)), libvirtd)
               for name, flags in (("with libvirt", ()), ("without libvirt", ("--no-libvirt",)))]

    def told(one):
        return one.scrape()[0].count("\nvcpu_run_seconds_total{") >= args.vms * args.vcpus
    for one in watched:
        wait_for(lambda one=one: told(one), 60, "all vCPUs to be seen", pause=0.5)
    wait_for(lambda: watched[0].scrape()[0].count("\nvcpu_libvirt_monitor_age_seconds{") >= args.vms, BOOT_SECONDS,
             "all QEMUs to have answered", pause=0.5)
    seconds, worked = measure(watched, args)
    print_table(watched, seconds, worked)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="directory with vcpu_exporter and fake_vmm")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--interval", type=float, default=15, help="seconds from scrape to scrape (default 15)")
    parser.add_argument("--vms", type=int, default=10)
    parser.add_argument("--vcpus", type=int, default=10, help="of each virtual machine (default 10)")
    args = parser.parse_args()
    missing = real_guests.what_is_missing()
    if missing:
        sys.exit(missing)
    with contextlib.ExitStack() as stack:
        stack.enter_context(program.installed(args.build.resolve()))
        run(args, stack.enter_context(real_guests.Host()), stack)


if __name__ == "__main__":
    main()

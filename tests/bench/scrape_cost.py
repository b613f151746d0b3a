#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a scrape costs: by collector and as a whole, of real processes and threads that look like virtual machines.

Prints a table, or with --growth how the CPU time grows with their number. Times depend on the machine and on who else
works on it; compare within one run.
"""
import argparse
import collections
import contextlib
import http.client
import math
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "program"))
import fleet  # noqa: E402
import program  # noqa: E402

DURATION = re.compile(r'^vcpu_scrape_collector_duration_seconds\{collector="(\w+)"\} (\S+)$', re.MULTILINE)
MS_PER_SECOND = 1e3
SCHEDULING = "/metrics?" + "&".join(f"collect[]={name}" for name in ("domain", "sched", "runqueue", "threads", "density"))
TOGETHER = ("memory", "cgroup", "numa")
MEMINFO = pathlib.Path("/proc/meminfo")
KINDS = {
    "whole": ("/metrics", {}),
    "whole, gzip": ("/metrics", {"Accept-Encoding": "gzip"}),
    "scheduling": (SCHEDULING, {}),
    "scheduling, gzip": (SCHEDULING, {"Accept-Encoding": "gzip"}),
    "scheduling, all vCPUs ran since": (SCHEDULING, {}),
}
AWAKE = {"scheduling, all vCPUs ran since"}


def cpu_seconds(pid):
    """Of all threads of a process, exactly."""
    run_ns = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It ended meanwhile.
            run_ns += int((task / "schedstat").read_text().split()[0])
    return run_ns / 1e9


def page_faults(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


def resident_mebibytes(pid, kind="VmRSS"):
    """Of these RssFile is shared with whoever else has the same program and libraries."""
    return int(re.search(rf"{kind}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


class Figures:
    """Of many scrapes, in milliseconds."""

    def __init__(self):
        self.wall, self.cpu, self.faults, self.by_collector = [], [], [], {}
        self.bytes = self.samples = 0

    def add(self, page, wall, cpu, faults):
        self.wall.append(wall * MS_PER_SECOND)
        self.cpu.append(cpu * MS_PER_SECOND)
        self.faults.append(faults)
        self.bytes = len(page)
        if page.startswith(b"\x1f\x8b"):
            return
        text = page.decode()
        self.samples = sum(1 for line in text.splitlines() if not line.startswith("#"))
        for collector, seconds in DURATION.findall(text):
            self.by_collector.setdefault(collector, []).append(float(seconds) * MS_PER_SECOND)


class Scraper:
    def __init__(self, exporter):
        self._pid = exporter.pid
        self._connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=60)

    def scrape(self, kind):
        target, headers = KINDS[kind]
        self._connection.request("GET", target, headers=headers)
        return self._connection.getresponse().read()

    def measure(self, kind, scrapes, wake=lambda: None):
        figures = Figures()
        for number in range(scrapes + 2):
            wake()
            faults, cpu, begin = page_faults(self._pid), cpu_seconds(self._pid), time.perf_counter()
            page = self.scrape(kind)
            wall, cpu = time.perf_counter() - begin, cpu_seconds(self._pid) - cpu
            if number >= 2:  # The first ones find what the later ones know.
                figures.add(page, wall, cpu, page_faults(self._pid) - faults)
        return figures


def measure(exporter, scrapes):
    return Scraper(exporter).measure("whole", scrapes)


def syscalls(exporter, kind, scrapes):
    """{name: calls per scrape} of the exporter's own threads."""
    scraper = Scraper(exporter)
    with tempfile.NamedTemporaryFile("r") as summary:
        strace = subprocess.Popen(["strace", "-f", "-c", "-o", summary.name, "-p", str(exporter.pid)],
                                  stderr=subprocess.PIPE, text=True)
        assert "attached" in strace.stderr.readline()
        for _ in range(scrapes):
            scraper.scrape(kind)
        strace.terminate()
        strace.communicate()
        calls = collections.Counter()
        for line in summary:
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                calls[words[-1]] += int(words[3]) / scrapes
    return calls


def p99(values):
    return sorted(values)[int(0.99 * (len(values) - 1))]


def print_table(by_kind):
    def row(name, values):
        print(f"| {name} | {statistics.median(values):.2f} | {p99(values):.2f} |")
    together = zip(*(by_kind["whole"].by_collector[name] for name in TOGETHER))
    print("| ms per scrape | median | p99 |\n|---|---|---|")
    for collector, values in by_kind["whole"].by_collector.items():
        row(collector, values)
    row(", ".join(TOGETHER[:-1]) + f" and {TOGETHER[-1]} together", [sum(scrape) for scrape in together])
    whole = by_kind["whole"]
    left = statistics.median(whole.cpu) - sum(map(statistics.median, whole.by_collector.values()))
    compressing = statistics.median(by_kind["whole, gzip"].cpu) - statistics.median(whole.cpu)
    print(f"| text and HTTP: what is left of the whole's CPU | {left:.2f} | |")
    print(f"| gzip: what it adds | {compressing:.2f} | |")
    for kind, figures in by_kind.items():
        row(f"{kind}: wall clock", figures.wall)
        row(f"{kind}: CPU of the exporter", figures.cpu)
    for kind, figures in by_kind.items():
        faults = f"{statistics.median(figures.faults):.0f} page faults (p99 {p99(figures.faults)})"
        print(f"\n{kind}: {figures.bytes / 1e6:.1f} MB, {faults}", end="")
    print()


def print_syscalls(exporter):
    calls = syscalls(exporter, "whole", 5)
    most = ", ".join(f"{name} {count:.0f}" for name, count in calls.most_common(8))
    print(f"\n{sum(calls.values()):.0f} system calls: {most}")


def exponent(sizes, costs):
    """Of the power by which costs grow with sizes: the slope of the line through their logarithms."""
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = statistics.mean(x), statistics.mean(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


def in_fleet(args, vms, act):
    with fleet.Fleet(program.fake_vmm_path(), vms, args.vcpus, args.quotas) as machines, \
            program.Exporter("--no-collector.libvirt", *args.flags) as exporter:
        return act(exporter, machines)


def grow(args):
    """What the first virtual machine costs besides itself is taken off: it is measured with none."""
    def cpu_of(vms):
        return statistics.median(in_fleet(args, vms, lambda exporter, _: measure(exporter, args.scrapes)).cpu)
    empty = cpu_of(0)
    sizes = [args.vms // 4, args.vms // 2, args.vms]
    costs = [cpu_of(size) for size in sizes]
    print(f"| virtual machines | vCPUs | ms of CPU per scrape |\n|---|---|---|\n| 0 | 0 | {empty:.2f} |")
    for size, cost in zip(sizes, costs):
        print(f"| {size} | {size * args.vcpus} | {cost:.2f} |")
    own = [cost - empty for cost in costs]
    power = f"{exponent(sizes, own):.2f}" if min(own) > 0 else "unknown: noise hides it"
    print(f"\nWithout that of no machine, it grows with the power {power}.")


def show(args, exporter, machines):
    by_kind = {kind: Scraper(exporter).measure(kind, args.scrapes, *[machines.wake] * (kind in AWAKE))
               for kind in KINDS}
    whole = by_kind["whole"]
    print(f"{args.vms} virtual machines, {args.vms * args.vcpus} vCPUs, {whole.samples} samples, "
          f"{whole.bytes / 1e6:.1f} MB, exporter at {resident_mebibytes(exporter.pid):.0f} MiB, of which "
          f"{resident_mebibytes(exporter.pid, 'RssFile'):.0f} MiB are files\n")
    print_table(by_kind)
    if shutil.which("strace"):
        print_syscalls(exporter)


def with_swap():
    """Runs this program again where the host seems to have a swap, which nobody else sees."""
    text = re.sub(r"(?m)^(Swap(?:Total|Free): +)\d+", r"\g<1>1048576", MEMINFO.read_text())
    with tempfile.NamedTemporaryFile("w", delete=False) as meminfo:
        meminfo.write(text)
    os.chmod(meminfo.name, 0o644)
    bind = f'mount --bind "$0" {MEMINFO} && rm "$0" && exec "$@"'
    os.execvp("unshare", ["unshare", "--mount", "/bin/sh", "-c", bind, meminfo.name, sys.executable, *sys.argv])


def has_swap():
    return int(re.search(r"SwapTotal: +(\d+)", MEMINFO.read_text())[1]) > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="directory with vcpu_exporter and fake_vmm")
    parser.add_argument("--vms", type=int, default=500)
    parser.add_argument("--vcpus", type=int, default=20, help="of each virtual machine (default 20)")
    parser.add_argument("--quotas", type=int, default=0, help="virtual machines with a CPU quota (default 0)")
    parser.add_argument("--swap", action="store_true", help="as on a host with a swap, where this one has none")
    parser.add_argument("--scrapes", type=int, default=50)
    parser.add_argument("--growth", action="store_true", help="how the cost grows, up to --vms")
    parser.epilog = "What stands behind -- are flags of the exporter."
    own, _, flags = " ".join(sys.argv[1:]).partition(" -- ")
    args = parser.parse_args(own.split())
    args.flags = flags.split()
    if args.swap and not has_swap():
        with_swap()
    with program.installed(args.build):
        if args.growth:
            grow(args)
        else:
            in_fleet(args, args.vms, lambda *host: show(args, *host))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a scrape costs: by collector and as a whole, of real processes and threads that look like virtual machines.

Prints a table. Times depend on the machine and on who else works on it; compare within one run.
"""
import argparse
import http.client
import pathlib
import re
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "program"))
import fleet  # noqa: E402
import program  # noqa: E402

DURATION = re.compile(r'^vcpu_scrape_collector_duration_seconds\{collector="(\w+)"\} (\S+)$', re.MULTILINE)
MS_PER_SECOND = 1e3


def cpu_seconds(pid):
    """Of all threads of a process, exactly."""
    run_ns = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        run_ns += int((task / "schedstat").read_text().split()[0])
    return run_ns / 1e9


def resident_mebibytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


class Figures:
    """Of many scrapes, in milliseconds."""

    def __init__(self):
        self.wall, self.cpu, self.by_collector = [], [], {}
        self.bytes = self.samples = 0

    def add(self, page, wall, cpu):
        self.wall.append(wall * MS_PER_SECOND)
        self.cpu.append(cpu * MS_PER_SECOND)
        self.bytes = len(page)
        text = page.decode()
        self.samples = sum(1 for line in text.splitlines() if not line.startswith("#"))
        for collector, seconds in DURATION.findall(text):
            self.by_collector.setdefault(collector, []).append(float(seconds) * MS_PER_SECOND)


def measure(exporter, scrapes):
    figures = Figures()
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=60)
    for number in range(scrapes + 2):
        cpu, begin = cpu_seconds(exporter.pid), time.perf_counter()
        connection.request("GET", "/metrics")
        page = connection.getresponse().read()
        wall, cpu = time.perf_counter() - begin, cpu_seconds(exporter.pid) - cpu
        if number >= 2:  # The first ones find what the later ones know.
            figures.add(page, wall, cpu)
    return figures


def p99(values):
    return sorted(values)[int(0.99 * (len(values) - 1))]


def print_table(figures):
    def row(name, values):
        print(f"| {name} | {statistics.median(values):.2f} | {p99(values):.2f} |")
    print("| ms per scrape | median | p99 |\n|---|---|---|")
    for collector, values in figures.by_collector.items():
        row(collector, values)
    row("whole, wall clock", figures.wall)
    row("whole, CPU of the exporter", figures.cpu)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="directory with vcpu_exporter and fake_vmm")
    parser.add_argument("--vms", type=int, default=500)
    parser.add_argument("--vcpus", type=int, default=20, help="of each virtual machine (default 20)")
    parser.add_argument("--quotas", type=int, default=0, help="virtual machines with a CPU quota (default 0)")
    parser.add_argument("--scrapes", type=int, default=50)
    parser.epilog = "What stands behind -- are flags of the exporter."
    own, _, flags = " ".join(sys.argv[1:]).partition(" -- ")
    args = parser.parse_args(own.split())
    with program.installed(args.build), \
            fleet.Fleet(program.fake_vmm_path(), args.vms, args.vcpus, args.quotas), \
            program.Exporter("--no-collector.libvirt", *flags.split()) as exporter:
        figures = measure(exporter, args.scrapes)
        print(f"{args.vms} virtual machines, {args.vms * args.vcpus} vCPUs, {figures.samples} samples, "
              f"{figures.bytes / 1e6:.1f} MB, exporter at {resident_mebibytes(exporter.pid):.0f} MiB\n")
        print_table(figures)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a scrape costs of this exporter and of others, side by side on the same virtual machines.

The machines are QEMUs under TCG that libvirt runs, paused, so that they take no CPU time from who is measured. Each
round starts one exporter after the other, alone: what it costs without a scrape is measured first, then that of
scrapes, asked as Prometheus asks, in the order of the table turned by one from round to round. Prints tables in
Markdown, of medians over the rounds.
"""
import argparse
import collections
import contextlib
import gzip
import http.client
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

import real_guests
from cpu_clock import cpu_seconds, family, resident_mebibytes

import program  # of tests/program, by real_guests
from processes import Daemon, wait_for  # of tests/live, likewise

# As Prometheus 2.42 asks.
HEADERS = {"Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "Accept-Encoding": "gzip"}
SCHEDULING = "/metrics?" + "&".join(f"collect[]={name}" for name in ("domain", "sched", "runqueue", "threads", "density"))
INTERVAL_SECONDS = 15  # At which "all" of the table is scraped.
WARM_UPS = 3

Turn = collections.namedtuple("Turn", "cpu libvirtd wall series resident own_share libvirtd_share")


def listening_port(pid):
    """The port of 127.0.0.1 that the process listens on; None while there is none."""
    sockets = set()
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                sockets.add(os.readlink(entry.path))
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            return int(fields[1].partition(":")[2], 16)
    return None


def ask(port, target):
    """A page, as text, and the seconds until it was there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        began = time.perf_counter()
        connection.request("GET", target, headers=HEADERS)
        response = connection.getresponse()
        body = response.read()
        wall = time.perf_counter() - began
    assert response.status == 200, f"{target}: status {response.status}"
    return (gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body).decode(), wall


def series_of(page):
    return sum(1 for line in page.splitlines() if line and not line.startswith("#"))


class Exporter:
    """Any program that serves metrics on a port of its own choice."""

    def __init__(self, name, argv, target="/metrics", is_ready=lambda page: True):
        self.name = name
        self._argv = argv
        self._target = target
        self._is_ready = is_ready
        self._daemon = self._port = None

    def start(self, host):
        self._daemon = Daemon(self.name, self._argv, host.work / "exporter.log").start()
        self._port = wait_for(self._listens, 30, f"{self.name} to listen")
        wait_for(lambda: self._is_ready(self.scrape()[0]), 120, f"{self.name} to know all", pause=0.5)

    def _listens(self):
        self._daemon.signal(0)
        return listening_port(self.pid)

    @property
    def pid(self):
        return self._daemon.pid

    def scrape(self):
        return ask(self._port, self._target)

    def stop(self):
        self._daemon.stop()


class PlainReader:
    """Opens, reads and closes the files of each vCPU: the least that one has to do without eBPF."""

    name = "open, read, close"

    def __init__(self, path, pids):
        self._argv = [path, *map(str, pids)]
        self._process = None

    def start(self, _):
        self._process = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self):
        return self._process.pid

    def scrape(self):
        began = time.perf_counter()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        page = "".join(iter(self._process.stdout.readline, "# EOF\n"))
        return page, time.perf_counter() - began

    def stop(self):
        self._process.communicate()  # The end of its input ends it.


def exporters(build, host, machines):
    """All there are here, in the order of the table."""
    listen = "--web.listen-address=127.0.0.1:0"
    vcpus = sum(machine.vcpus for machine in machines)
    names = {machine.name for machine in machines}

    def knows_all(page):
        told = set(re.findall(r'^vcpu_domain_block_requests_total\{domain="([^"]*)"', page, re.MULTILINE))
        return names <= told and page.count("\nvcpu_run_seconds_total{") >= vcpus

    def knows_all_vcpus(page):
        return page.count("\nvcpu_run_seconds_total{") >= vcpus

    ours = [program.exporter_path(), listen]
    yield Exporter("vcpu_exporter", ours, is_ready=knows_all)
    yield Exporter("vcpu_exporter, scheduling", ours, SCHEDULING, knows_all_vcpus)
    yield Exporter("vcpu_exporter, scheduling, no libvirt", [*ours, "--no-libvirt"], SCHEDULING, knows_all_vcpus)
    yield PlainReader(str(build / "plain_reader"), host.pids(machines))
    libvirt = shutil.which("prometheus-libvirt-exporter")
    if libvirt:
        yield Exporter("libvirt_exporter", [libvirt, listen])
    node = shutil.which("prometheus-node-exporter")
    if node:
        yield Exporter("node_exporter", [node, listen])
        yield Exporter("node_exporter --collector.processes", [node, listen, "--collector.processes"])
        for collector in ("schedstat", "processes"):
            yield Exporter(f"node_exporter, {collector} alone",
                           [node, listen, "--collector.disable-defaults", f"--collector.{collector}"])


class Spent:
    """CPU seconds of a process, all below it, and libvirtd, and seconds on the wall, since it was made."""

    def __init__(self, pid, libvirtd):
        self._pid, self._libvirtd = pid, libvirtd
        self._begin = self._now()

    def _now(self):
        return [sum(map(cpu_seconds, family(self._pid))), cpu_seconds(self._libvirtd), time.perf_counter()]

    def until_now(self):
        return [end - begin for begin, end in zip(self._begin, self._now())]


def turn(exporter, host, args):
    """One exporter alone: first left in peace, then scraped. What it does in peace is taken off from its scrapes."""
    libvirtd = host.libvirt.daemon.pid
    exporter.start(host)
    try:
        for _ in range(WARM_UPS):
            exporter.scrape()
        peace = Spent(exporter.pid, libvirtd)
        time.sleep(args.peace)  # The measure itself: what happens when nothing is asked.
        own, ours_of_libvirtd, seconds = peace.until_now()
        own_share, libvirtd_share = own / seconds, ours_of_libvirtd / seconds
        walls = []
        scrapes = Spent(exporter.pid, libvirtd)
        for _ in range(args.scrapes):
            page, wall = exporter.scrape()
            walls.append(wall)
        own, ours_of_libvirtd, seconds = scrapes.until_now()
        return Turn(cpu=(own - own_share * seconds) / args.scrapes,
                    libvirtd=(ours_of_libvirtd - libvirtd_share * seconds) / args.scrapes,
                    wall=statistics.median(walls), series=series_of(page),
                    resident=resident_mebibytes(family(exporter.pid)), own_share=own_share, libvirtd_share=libvirtd_share)
    finally:
        exporter.stop()


def rounds(everybody, host, args):
    """{name: [turn of each round]}"""
    turns = {exporter.name: [] for exporter in everybody}
    for number in range(args.rounds):
        shift = number % len(everybody)
        for exporter in everybody[shift:] + everybody[:shift]:
            turns[exporter.name].append(turn(exporter, host, args))
    return turns


def row(name, turns):
    median = Turn(*map(statistics.median, zip(*turns)))
    of_scrape = max(0.0, median.cpu) + max(0.0, median.libvirtd)
    share = of_scrape / INTERVAL_SECONDS + median.own_share + median.libvirtd_share
    return (f"| {name} | {median.cpu * 1e3:.1f} | {max(0.0, median.libvirtd) * 1e3:.1f} | {median.wall * 1e3:.1f} "
            f"| {median.series:.0f} | {of_scrape / median.series * 1e6:.1f} | {median.resident:.0f} "
            f"| {median.own_share:.3%} | {median.libvirtd_share:.3%} | {share:.3%} |")


def print_table(args, count, turns):
    print(f"\n{count} virtual machines with {args.vcpus} vCPUs each; {args.rounds} rounds of {args.scrapes} scrapes, "
          f"{args.peace} s in peace before each\n")
    print("| | CPU ms per scrape | of libvirtd | wall ms | series | CPU us per series | RSS MiB | CPU in peace | of libvirtd "
          f"| all, scraped every {INTERVAL_SECONDS} s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, turns_of_it in turns.items():
        print(row(name, turns_of_it))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="directory with vcpu_exporter, fake_vmm and plain_reader")
    parser.add_argument("--vms", type=int, nargs="+", default=[40, 200], help="one table for each number (default 40 200)")
    parser.add_argument("--vcpus", type=int, default=4, help="of each virtual machine (default 4)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scrapes", type=int, default=10, help="of each exporter in each round (default 10)")
    parser.add_argument("--peace", type=float, default=20,
                        help="seconds without a scrape (default 20: libvirt is asked about all within 10)")
    parser.add_argument("--can", action="store_true", help="only say whether it can be measured here: yes, or what is missing")
    args = parser.parse_args()
    missing = real_guests.what_is_missing()
    if args.can:
        print(missing or "yes")
        return
    if missing:
        sys.exit(missing)
    machines = []
    with program.installed(args.build.resolve()), real_guests.Host() as host:
        for count in sorted(args.vms):
            more = [real_guests.PausedGuest(f"side-{os.getpid()}-{number}", host.work, args.vcpus)
                    for number in range(len(machines), count)]
            host.start("--paused", machines=more)
            machines += more
            print_table(args, count, rounds(list(exporters(args.build.resolve(), host, machines)), host, args))


if __name__ == "__main__":
    main()

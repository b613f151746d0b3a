# SPDX-License-Identifier: Apache-2.0
"""What the dashboards are tried on: a real exporter on this machine, whose VMs are processes of real threads that spin, and a real
Prometheus with the shipped rules that scrapes it. What this machine cannot make, and the other hosts of a fleet, are fixtures.
"""
import contextlib
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import fleet

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/live"))
from monitoring import get_json, hasten  # noqa: E402
from processes import Daemon, wait_for  # noqa: E402
import loopback  # noqa: E402, of tests/support, by processes

REAL = "kvm-01"
# VM: its threads, and for how much of a second they spin.
VMS = {
    "shop-db": (["CPU 0/KVM", "CPU 1/KVM", "IO iothread1"], 0.7),
    "batch": (["CPU 0/KVM", "CPU 1/KVM", "CPU 2/KVM"], 1),
    "web": (["CPU 0/KVM", "CPU 1/KVM"], 0.2),
    "cache": (["CPU 0/KVM", "vhost-4711"], 0.1),
}
# The one that the others suffer from.
AGGRESSOR = "batch"
# Two of them pinned to one CPU.
PINNED = ["web", "cache"]

SCRAPE = """
# Where all CPUs are taken, a second is soon over.
global: {{scrape_interval: 2s, evaluation_interval: 2s}}
rule_files: ["{rules}/vcpu_*.yml"]
scrape_configs:
  - job_name: vcpu_exporter
    # Not the VMs and programs of others who work on this machine.
    metric_relabel_configs:
      - {{source_labels: [domain, instance], regex: "({vms})?;{real}:9752|.*;([^k]|k[^v]|kvm-0[^1]).*", action: keep}}
      - {{source_labels: [culprit_kind, culprit, instance], regex: "([^h].*)?;.*|host;(prometheus|kworker|other);.*|host;.*;([^k]|k[^v]|kvm-0[^1]).*", action: keep}}
    static_configs:
"""
TARGET = """      - targets: ["{address}"]
        labels: {{instance: "{name}:9752", cluster: "{cluster}", __metrics_path__: "/{name}"}}
"""
FOREIGN_JOB = """
  - job_name: {name}
    static_configs:
      - targets: ["{address}"]
        labels: {{instance: "{name}:9273", cluster: "edge", __metrics_path__: "/{name}"}}
"""

LINE = re.compile(r'(?P<series>(?P<name>[\w:]+)(?:\{(?P<labels>.*)\})?) (?P<value>\S+)(?: (?P<move>[+~=])(?P<by>\S+))?')


def at(line, seconds):
    """A line of a fixture, so many seconds after the start. Nothing real is a straight line."""
    found = LINE.fullmatch(line)
    value, by = float(found["value"]), float(found["by"] or 0)
    phase = sum(found["series"].encode()) % 7
    if found["move"] == "+":
        value += by * (seconds + math.sin(seconds / 7 + phase) + 1)
    elif found["move"] == "=":
        value += by * seconds
    elif found["move"] == "~":
        value *= 1 + by * math.sin(seconds / 11 + phase)
    return f"{found['series']} {value!r}"


def domain_of(labels):
    found = re.search(r'domain="((?:[^"\\]|\\.)*)"', labels or "")
    return found and found[1]


def completed(page, lines, seconds):
    """The exporter's page, and fixtures for what it says nothing of."""
    told = {(found["name"], domain_of(found["labels"])) for found in map(LINE.match, page.split("\n")) if found}
    missing = [line for line in lines if (LINE.match(line)["name"], domain_of(LINE.match(line)["labels"])) not in told]
    return page + "".join(at(line, seconds) + "\n" for line in missing)


class Pages:
    """Serves /HOST for every host; of the real one what its exporter says."""

    def __init__(self, exporter_address):
        start = time.monotonic()
        host_lines = [line for line in (ROOT / "tests/dashboards/fixtures/host.txt").read_text().split("\n")
                      if line and not line.startswith("#")]

        class Handler(loopback.Handler):
            def do_GET(self):
                name, seconds = self.path[1:], time.monotonic() - start
                if name == REAL:
                    with urllib.request.urlopen(f"http://{exporter_address}/metrics", timeout=10) as answer:
                        body = completed(answer.read().decode(), host_lines, seconds)
                else:
                    body = "".join(at(line, seconds) + "\n" for line in fleet.lines(name))
                with contextlib.suppress(BrokenPipeError):  # Prometheus no longer waits for it.
                    self.answer(body.encode(), content_type=loopback.METRICS)

        self.server = loopback.Server(Handler)
        self.address = self.server.address

    def close(self):
        self.server.close()


class Vm:
    def __init__(self, program, name, threads, share):
        argv = ["/usr/bin/qemu-system-x86_64", "-name", f"guest={name},debug-threads=on", "-machine", "q35,accel=kvm",
                "-m", "8192", "-uuid", str(uuid.uuid5(uuid.NAMESPACE_DNS, name))]
        self.process = subprocess.Popen(["bash", "-c", 'exec -a "$0" "$FAKE" "$@"', *argv], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, "FAKE": str(program), "FAKE_VMM_THREADS": "|".join(threads)})
        assert self.process.stdout.readline() == "ready\n"
        if name in PINNED:
            for tid in os.listdir(f"/proc/{self.process.pid}/task"):
                os.sched_setaffinity(int(tid), {min(os.sched_getaffinity(0))})
        self.end = threading.Event()
        self.worker = threading.Thread(target=self.work, args=(share,))
        self.worker.start()

    def work(self, share):
        while not self.end.wait(1 - share):
            self.process.stdin.write(f"spin {int(share * 1000)}\n")
            self.process.stdin.flush()
            while self.process.stdout.readline().strip() not in ("done", ""):
                pass

    def close(self):
        self.end.set()
        self.worker.join()
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()


class Stage:
    def __init__(self, build, work):
        self.build, self.work = pathlib.Path(build).resolve(), pathlib.Path(work)
        self.closers, self.vms = [], []
        self.address = None
        self.end = None

    def start(self):
        for name, (threads, share) in VMS.items():
            vm = Vm(self.build / "fake_vmm", name, threads, share)
            self.vms.append(vm)
            self.closers.append(vm.close)
        exporter = self.daemon("exporter", [self.build / "vcpu_exporter", "--web.listen-address=127.0.0.1:0"])
        pages = Pages(exporter.listening_address())
        self.closers.append(pages.close)

        rules = self.work / "rules"
        rules.mkdir()
        for file in (ROOT / "deploy/prometheus").glob("vcpu_*.yml"):
            (rules / file.name).write_text(hasten(file.read_text()))
        config = self.work / "prometheus.yml"
        hosts = {name: ("edge" if name > "kvm-05" else "core") for name in [REAL, *fleet.HOSTS]}
        config.write_text(SCRAPE.format(rules=rules, vms="|".join(VMS), real=REAL) + "".join(
            TARGET.format(address=pages.address, name=name, cluster=cluster)
            for name, cluster in {**hosts, **{name: "cloud" for name in fleet.GUESTS}}.items()
        ) + TARGET.format(address="127.0.0.1:9", name="kvm-09", cluster="edge")  # Nobody answers there.
            + "".join(FOREIGN_JOB.format(address=pages.address, name=name) for name in fleet.FOREIGN))
        prometheus = self.daemon("prometheus", [shutil.which("prometheus"), f"--config.file={config}",
                                                f"--storage.tsdb.path={self.work}/data", "--web.listen-address=127.0.0.1:0"])
        self.address = prometheus.listening_address()

    def daemon(self, name, argv):
        daemon = Daemon(name, ["nice", "-n", "-5", *map(str, argv)] if os.geteuid() == 0 else list(map(str, argv)),
                        self.work / f"{name}.log")
        self.closers.append(daemon.stop)
        daemon.start()
        return daemon

    def rest(self, seconds):
        """Waits for data of so many seconds, then lets the VMs end: what comes now is not to compete with them. `end` is until when
        there are data."""
        wait_for(lambda: self.seconds_of_data() >= seconds, 2 * seconds, f"{seconds} s of data")
        self.end = int(time.time()) - 3
        for vm in self.vms:
            vm.close()

    def seconds_of_data(self):
        answer = self.ask("query", query=f'count_over_time(up{{instance="{REAL}:9752"}}[5m])')
        return 2 * int(answer["result"][0]["value"][1]) if answer and answer["result"] else 0

    def ask(self, path, **parameters):
        """Prometheus' answer; None while it starts. A query that it refuses is an HTTPError."""
        try:
            return get_json(self.address, f"/api/v1/{path}", **parameters)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:
                return None
            raise

    def close(self):
        while self.closers:
            self.closers.pop()()


def why_not_here(build):
    """Why there can be no stage, None when there can."""
    if not shutil.which("prometheus"):
        return "prometheus is not installed"
    missing = [name for name in ("vcpu_exporter", "fake_vmm") if not (pathlib.Path(build) / name).exists()]
    return f"not built: {' '.join(missing)}" if missing else None

# SPDX-License-Identifier: Apache-2.0
"""Pages of the exporter: fetched, parsed strictly, and watched for what is promised of them."""
import collections
import http.client
import json
import re
import select
import subprocess
import sys
import time

from kernel_truth import cpu_wait_ns

Sample = collections.namedtuple("Sample", "name labels value")

_LABEL = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*"'
_LINE = re.compile(rf"([a-zA-Z_:][\w:]*)(?:\{{({_LABEL}(?:,{_LABEL})*)?,?\}})? (\S+)")
_ONE_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\n"])*)"')
_UNESCAPED = {r"\\": "\\", r"\n": "\n", r"\"": '"'}

# What every page must hold for every vCPU, whatever state libvirtd and the VMs are in.
VCPU_COUNTERS = ("vcpu_run_seconds_total", "vcpu_steal_seconds_total", "vcpu_dispatches_total",
                 "vcpu_context_switches_total", "vcpu_migrations_total")


class Page:
    def __init__(self, text):
        self.samples = []
        for line in text.split("\n"):
            if not line or line.startswith("#"):
                continue
            found = _LINE.fullmatch(line)
            assert found, f"not a sample: {line!r}"
            labels = {name: re.sub(r"\\.", lambda escape: _UNESCAPED[escape[0]], value)
                      for name, value in _ONE_LABEL.findall(found[2] or "")}
            self.samples.append(Sample(found[1], labels, float(found[3])))

    def named(self, name, **labels):
        return [sample for sample in self.samples
                if sample.name == name and labels.items() <= sample.labels.items()]

    def value(self, name, **labels):
        """The one value of this name and labels, None when it is absent."""
        found = self.named(name, **labels)
        assert len(found) <= 1, f"{name}{labels} is not one series: {found}"
        return found[0].value if found else None

    def domains(self):
        return {sample.labels["domain"] for sample in self.named("vcpu_run_seconds_total")}

    def vcpus(self, name="vcpu_run_seconds_total"):
        """{(domain, vcpu)} that have a series of this name."""
        return {(sample.labels["domain"], int(sample.labels["vcpu"])) for sample in self.named(name)}


def fetch(address):
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, f"status {response.status}: {body[:200]}"
        return body.decode("utf-8")
    finally:
        connection.close()


def scrape(address):
    return Page(fetch(address))


class Findings:
    """What many pages, one after the other, say of the promises.

    Complete: every expected (domain, vcpu) has all its counters, and every collector succeeds.
    Unique: no series is there twice.
    Monotone: no _total of one VM instance (domain and start time) ever decreases.
    """

    def __init__(self, expected_vcpus):
        self.expected_vcpus = expected_vcpus
        self.problems = []
        self._last = {}

    def check(self, page):
        for name in VCPU_COUNTERS:
            missing = self.expected_vcpus - page.vcpus(name)
            if missing:
                self.problems.append(f"{name} is missing for {sorted(missing)}")
        for sample in page.named("vcpu_scrape_collector_success"):
            if sample.value != 1:
                self.problems.append(f"collector {sample.labels['collector']} failed")
        times = collections.Counter((name, *sorted(labels.items())) for name, labels, _ in page.samples)
        self.problems += [f"{series} is there {count} times" for series, count in times.items() if count > 1]
        starts = {sample.labels["domain"]: sample.value for sample in page.named("vcpu_domain_start_time_seconds")}
        for name, labels, value in page.samples:
            if not name.endswith("_total"):
                continue
            key = (name, starts.get(labels.get("domain")), tuple(sorted(labels.items())))
            if value < self._last.get(key, 0):
                self.problems.append(f"{name}{labels} fell from {self._last[key]} to {value}")
            self._last[key] = value


class Watch:
    """Scrapes ten times a second, in a process of its own that nothing but the exporter delays, until left."""

    def __init__(self, address, exporter_pid, expected_vcpus):
        self._arguments = [address, str(exporter_pid), json.dumps(sorted(expected_vcpus))]
        self._process = None
        self.scrapes = []  # (seconds, of which client or exporter were runnable but had no CPU)
        self.problems = []

    def __enter__(self):
        nice = ("nice", "-n", "-10")
        self._process = subprocess.Popen([*nice, sys.executable, "-B", __file__, *self._arguments],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        report = json.loads(self._process.communicate()[0])  # Closing its stdin ends it.
        self.scrapes = report["scrapes"]
        self.problems = report["problems"]

    def slowest_seconds(self):
        """The slowest scrape without its waits for a CPU: that those are long is what overcommitting means."""
        return max(seconds - cpu_wait_seconds for seconds, cpu_wait_seconds in self.scrapes)

    def usual_seconds(self):
        """What 19 of 20 scrapes stay below, waits for a CPU included."""
        ordered = sorted(seconds for seconds, _ in self.scrapes)
        return ordered[len(ordered) * 95 // 100]

    def summary(self):
        ordered = sorted(seconds for seconds, _ in self.scrapes)
        p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        return (f"{len(ordered)} scrapes: {p50 * 1e3:.1f} ms median, {p99 * 1e3:.1f} ms p99, "
                f"{ordered[-1] * 1e3:.1f} ms at most; "
                f"{self.slowest_seconds() * 1e3:.1f} ms at most without waits for a CPU")


def watch_until_stdin_ends(address, exporter_pid, expected_vcpus):
    findings = Findings(expected_vcpus)
    scrapes = []
    pause = 0
    while not select.select([sys.stdin], [], [], pause)[0]:
        began = time.monotonic()
        try:
            waited_ns = cpu_wait_ns("self") + cpu_wait_ns(exporter_pid)
            sent = time.monotonic()
            text = fetch(address)
            seconds = time.monotonic() - sent
            waited_ns = cpu_wait_ns("self") + cpu_wait_ns(exporter_pid) - waited_ns
            scrapes.append((seconds, waited_ns / 1e9))
            findings.check(Page(text))
        except http.client.RemoteDisconnected as error:
            # The server drops who has not sent his request within two seconds, and who had no CPU for so long has not.
            waited_ns = cpu_wait_ns("self") + cpu_wait_ns(exporter_pid) - waited_ns
            if waited_ns < 1_500_000_000:
                findings.problems.append(f"{type(error).__name__}: {error}, after {waited_ns / 1e9} s without a CPU")
        except Exception as error:  # whatever a scrape can suffer is a finding
            findings.problems.append(f"{type(error).__name__}: {error}")
        pause = max(0.0, 0.1 - (time.monotonic() - began))
    json.dump({"scrapes": scrapes, "problems": findings.problems}, sys.stdout)


if __name__ == "__main__":
    watch_until_stdin_ends(sys.argv[1], sys.argv[2], {tuple(vcpu) for vcpu in json.loads(sys.argv[3])})

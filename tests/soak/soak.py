# SPDX-License-Identifier: Apache-2.0
"""The exporter for SOAK_SECONDS, while VMs, clients and its configuration come and go."""
import collections
import contextlib
import os
import pathlib
import re
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "program"), str(HERE.parent / "support")]
import outcome  # noqa: E402
import program  # noqa: E402
import watched  # noqa: E402
from churn import STEADY, Churn, Host  # noqa: E402
from program import GZIP, OPENMETRICS, Exporter, Page, connect, gunzipped, hang_up, wait_for  # noqa: E402

SCRAPE_SECONDS = 1.0
SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "120"))
SANITIZED = bool(os.environ.get("SOAK_SANITIZED"))
ALL_WARM_SECONDS = 10
OUT_OF_ORDER_FOR = 10  # Pages in a row: a process that begins has no thread named as a vCPU's yet, for one.
KEPT_PAGES = 60  # So long a counter that is gone is remembered.

# Each has the starts of VMs, by which their counters are told apart.
REQUESTS = (("/metrics", {}), ("/metrics", OPENMETRICS), ("/metrics", GZIP), ("/metrics", {**OPENMETRICS, **GZIP}),
            ("/metrics?collect[]=domain&collect[]=sched&collect[]=runqueue", {}), ("/metrics?exclude[]=sched", GZIP))
CONFIGURATIONS = ("collectors: {density: false, threads: false}\nlog: {level: debug}\n",
                  "collectors: {density: true}\nlog: {level: info}\n")


class Findings:
    """What many pages, one after the other, say of what is promised."""

    def __init__(self):
        self.fallen = []
        self.failed = set()
        self.lost = set()
        self.seen = set()
        self._totals = {}
        self._last_seen = {}
        self._missing_for = collections.Counter()

    def check(self, number, page):
        self._check_totals(number, page.totals())
        self.failed |= {f"collector {name} failed" for name, success in page.collectors().items() if not success}
        for source in page.named("vcpu_source_available"):
            name = source.labels["source"]
            self._missing_for[name] = 0 if source.value else self._missing_for[name] + 1
            if name in self.healthy and self._missing_for[name] >= OUT_OF_ORDER_FOR:
                self.lost.add(f"source {name} is missing: {source.labels['reason']}")
        self.seen |= {domain for domain, _ in page.vcpus()}

    healthy = frozenset()  # Sources that are to stay.

    def _check_totals(self, number, totals):
        self.fallen += program.decreased(self._totals, totals)
        self._totals.update(totals)
        self._last_seen.update(dict.fromkeys(totals, number))
        if number % KEPT_PAGES == 0:
            for key in [key for key, last in self._last_seen.items() if last < number - KEPT_PAGES]:
                del self._totals[key], self._last_seen[key]


class Clients:
    """Slow, half-open and rude ones, some of each at any time."""

    def __init__(self, exporter):
        self._exporter = exporter
        self._held = collections.deque()

    def come_and_go(self, number):
        if number % 3 == 0:
            self._held.append(self._exporter.send(slow=True).socket)
        if number % 3 == 1:
            client = connect(self._exporter.port)
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: loc")
            self._held.append(client)
        if len(self._held) > 4:
            hang_up(self._held.popleft())

    def leave(self):
        while self._held:
            hang_up(self._held.popleft())


def available(page):
    return {source.labels["source"] for source in page.named("vcpu_source_available") if source.value}


class Soak:
    def __init__(self, exporter, configuration, figures):
        self.exporter = exporter
        self.findings = Findings()
        self.watched = figures
        self.clients = Clients(exporter)
        self.scrapes = 0
        self.refused = []
        self._configuration = configuration

    def run(self, churn):
        began = time.monotonic()
        while (now := time.monotonic() - began) < SOAK_SECONDS and not churn.problem and len(self.refused) < 10:
            if not self.findings.healthy and now > ALL_WARM_SECONDS:
                self.findings.healthy = available(self.exporter.page())
            self._once()
            self.watched.look(now)
            time.sleep(max(0.0, self.scrapes * SCRAPE_SECONDS - (time.monotonic() - began)))
        self.clients.leave()

    def _once(self):
        self.scrapes += 1
        target, headers = REQUESTS[self.scrapes % len(REQUESTS)]
        self.clients.come_and_go(self.scrapes)
        try:
            if self.scrapes % 10 == 0:
                self._reload()
            answer = self.exporter.ask(target, headers=headers)
            assert answer.status == 200, answer
            self.findings.check(self.scrapes, Page(gunzipped(answer) if "Accept-Encoding" in headers else answer.text))
        except Exception as error:  # Whatever a scrape can suffer is a finding.
            self.refused.append(f"{target} {headers}: {type(error).__name__}: {error}"[:500])


    def _reload(self):
        """By a signal and by a request, which may come at the same time."""
        program.write_file(CONFIGURATIONS[self.scrapes // 10 % len(CONFIGURATIONS)], self._configuration)
        self.exporter.process.send_signal(signal.SIGHUP)
        answer = self.exporter.ask("/-/reload", "POST", {"Content-Length": "0"})
        assert answer.status == 200, answer


def warm_up(exporter):
    """Each of the server's threads takes the memory that it keeps, its stack above all, with its first requests."""
    for target, headers in REQUESTS * 3:
        clients = [exporter.send(target, headers=headers) for _ in range(2 * exporter.thread_count())]
        for client in clients:
            with client:
                assert client.answer().status == 200


def told(figures):
    return ", ".join(f"{what} {early / watched.MIB:.1f} and {late / watched.MIB:.1f} MiB" if "memory" in what
                     else f"{early:.0f} and {late:.0f} {what}" for what, (early, late) in figures.items())


def rest(exporter):
    """(open files, threads) where nobody asks anything."""
    exporter.wait_until_idle()
    return len(exporter.open_files()), exporter.thread_count()


def soak(name, group, flags):
    def report(what, problems):
        outcome.report(f"{name}: {what}", problems[:5])
    configuration = program.write_file(CONFIGURATIONS[1])
    web = program.write_file("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    host = Host()
    flags = ("--web.max-requests=0", f"--config.file={configuration}", f"--web.config.file={web}", f"--path.procfs={host.path}", *flags)
    with Exporter(*flags, under=(*group.under(), *host.under())) as exporter:
        warm_up(exporter)
        files, threads = rest(exporter)
        figures = watched.Watched(exporter, group)
        run = Soak(exporter, configuration, figures)
        with Churn(host) as churn:
            run.run(churn)
        growth = figures.growth(SOAK_SECONDS)
        print(f"{run.scrapes} scrapes, {churn.begun} VMs begun, {churn.plugged} times vCPUs plugged; second and last third "
              f"of the time: {told(growth)}", flush=True)
        print("resident memory in MiB:", *(f"{memory / watched.MIB:.1f}" for memory in figures.course("resident memory")), flush=True)
        report("every scrape is answered by a page that parses", run.refused)
        report("no counter of a run of a VM falls", run.findings.fallen)
        report("every collector and every source that was there stays", sorted(run.findings.failed | run.findings.lost))
        if SANITIZED:  # It remembers every address.
            del growth["resident memory"]
        report("memory, files and threads do not grow", watched.problems(growth))
        page = exporter.page()
        left = sorted(page.vcpus())
        report("of VMs that have ended nothing is shown", [f"{left} are shown"] if left else [])
        with contextlib.suppress(program.NotInTime):
            wait_for(lambda: rest(exporter) <= (files, threads), "rest")
        after = rest(exporter)
        report("when all have left it has the files and threads of its beginning",
               [f"{after[0]} files and {after[1]} threads, after {files} and {threads}"] if after > (files, threads) else [])
        missing = [] if churn.begun > SOAK_SECONDS and churn.plugged else ["too few VMs began: " + str(churn.problem)]
        missing += [f"{steady} was never seen" for steady in STEADY if steady not in run.findings.seen]
        missing += [f"only {len(run.findings.seen)} VMs were seen"] if len(run.findings.seen) < churn.begun / 10 else []
        missing += [] if exporter.log().count('msg="Configuration reloaded"') > 1 else ["the configuration was not read again"]
        missing += [] if not program.AS_ROOT or page.value("vcpu_source_available", source="task_iterator") else ["no eBPF"]
        report("VMs came and went and were seen, and the configuration was read again", missing)
    said = [line for line in exporter.log().splitlines() if re.search("Sanitizer|level=error|^ +#[0-4] ", line)]
    said += [f"it ended with {exporter.process.returncode}"] if exporter.process.returncode else []
    outcome.report(f"{name}: no error is logged, and it ends well", said[:30])


def main(build_directory=HERE.parents[1] / "build" / "tests", name="soak", *flags):
    with program.installed(pathlib.Path(build_directory).resolve()), watched.Group() as group:
        soak(name, group, flags)
        left = program.left_over()
        outcome.report(f"{name}: no process is left", [f"{pid} {line[:200]}" for pid, line in left.items()])
    return outcome.failed()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

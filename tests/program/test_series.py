# SPDX-License-Identifier: Apache-2.0
"""How many series a host has, by what a real Prometheus takes in of it: the table of the README, preset by preset."""
import collections
import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest
import urllib.parse
import urllib.request

import yaml

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import fleet  # noqa: E402
import program  # noqa: E402
from program import SOURCE, Exporter, wait_for  # noqa: E402

EXPORTER_PRESETS = ("minimal", "standard", "full")  # deploy/presets
SCRAPE_PRESETS = ("minimal", "standard", "all")  # deploy/prometheus/presets; all: none of them
# Who took a VM's time are as many as there are, up to a limit of its own.
CULPRITS = "vcpu_stolen_by_seconds_total"

Budget = collections.namedtuple("Budget", "host cpu vm vcpu")


def budgets():
    """{(exporter's preset, scrape's preset): Budget} of the README's table."""
    rows = re.findall(r"(?m)^\| `(\w+)` \| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", (SOURCE / "README.md").read_text())
    return {(exporter, scrape): Budget(*map(int, figures)) for exporter, scrape, *figures in rows}


def scrape_job(exporter_preset, scrape_preset, port):
    job = {"job_name": f"{exporter_preset}-{scrape_preset}", "scrape_interval": "1s",
           "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    if scrape_preset == "all":
        return job
    return job | yaml.safe_load((SOURCE / f"deploy/prometheus/presets/{scrape_preset}.yml").read_text())


class Prometheus:
    """A real one, that scrapes these jobs from the end of __enter__ to the begin of __exit__."""

    def __init__(self, jobs):
        self._directory = program.scratch_directory()
        program.write_file(yaml.safe_dump({"scrape_configs": jobs}), self._directory / "prometheus.yml")
        self._log = self._directory / "log"
        self._process = self._address = None

    def __enter__(self):
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={self._directory}/prometheus.yml", f"--storage.tsdb.path={self._directory}/data",
                 "--web.listen-address=127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._address = wait_for(self._address_in_log, "Prometheus to listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()

    def _address_in_log(self):
        found = re.search(r'address=(127\.0\.0\.1:[1-9]\d*)', self._log.read_text(errors="replace"))
        return found and found[1]

    def by_job(self, expression):
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://{self._address}/api/v1/query?{query}", timeout=10) as answer:
                result = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError:
            return {}  # It is not ready yet.
        return {series["metric"]["job"]: int(series["value"][1]) for series in result}


Taken = collections.namedtuple("Taken", "of_vms of_host")


@unittest.skipUnless(program.AS_ROOT, "only root makes control groups")
@unittest.skipUnless(shutil.which("prometheus"), "prometheus is not installed")
class Series(unittest.TestCase):
    def taken(self, vms, vcpus):
        """{(exporter's preset, scrape's preset): Taken} of a host with so many VMs."""
        with fleet.Fleet(program.fake_vmm_path(), vms, vcpus):
            exporters = {}
            for preset in EXPORTER_PRESETS:
                exporter = self.enterContext(Exporter("--no-libvirt", "--config.file", SOURCE / f"deploy/presets/{preset}.yml"))
                wait_for(lambda exporter=exporter: len(exporter.page().named("vcpu_domain_info")) >= vms, f"{vms} VMs")
                exporters[preset] = exporter
            if not exporters["standard"].page().value("vcpu_source_available", source="task_iterator"):
                self.skipTest("without eBPF there are less")
            jobs = [scrape_job(preset, scrape, exporter.port)
                    for preset, exporter in exporters.items() for scrape in SCRAPE_PRESETS]
            with Prometheus(jobs) as prometheus:
                return self.counted(prometheus, [job["job_name"] for job in jobs])

    def counted(self, prometheus, names):
        def all_scraped():
            total = prometheus.by_job("scrape_samples_post_metric_relabeling")
            stored = prometheus.by_job('count by (job) ({__name__=~"vcpu_.+|process_.+"})')
            # Prometheus' own figure of what it takes in is that of what it has.
            return set(total) == set(names) and total == stored
        wait_for(all_scraped, "every job to be scraped")
        of_vms = prometheus.by_job(f'count by (job) ({{domain=~"vm[0-9]+", __name__!="{CULPRITS}"}})')
        of_host = prometheus.by_job('count by (job) ({__name__=~"vcpu_.+|process_.+", domain=""})')
        return {tuple(name.split("-")): Taken(of_vms[name], of_host[name]) for name in names}

    def test_a_host_has_as_many_series_as_the_readme_says(self):
        promised = budgets()
        self.assertEqual(set(promised), {(exporter, scrape) for exporter in EXPORTER_PRESETS for scrape in SCRAPE_PRESETS})
        cpus = len(pathlib.Path("/proc/stat").read_text().split("cpu")) - 2
        for vms, vcpus in ((2, 1), (3, 3)):
            for presets, taken in self.taken(vms, vcpus).items():
                budget = promised[presets]
                with self.subTest(vms=vms, vcpus=vcpus, presets=presets):
                    self.assertEqual(taken.of_vms, vms * budget.vm + vms * vcpus * budget.vcpu)
                    self.assertLessEqual(taken.of_host, budget.host + cpus * budget.cpu)
                    self.assertGreater(taken.of_host, budget.host // 3)

    def test_presets_of_the_scrape_keep_what_is_asked_for(self):
        documented = set(re.findall(r"(?m)^\| `(vcpu_\w+)`", (SOURCE / "README.md").read_text()))
        documented |= {"process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"}

        def asked_by(*patterns):
            text = "".join(path.read_text() for pattern in patterns for path in (SOURCE / pattern).parent.glob(
                pathlib.Path(pattern).name))
            return {name for name in documented if re.search(rf"\b{name}(_bucket|_sum|_count)?\b", text)}
        rules = ("deploy/prometheus/vcpu_rules.yml", "deploy/prometheus/vcpu_alerts.yml")
        asked = {"minimal": asked_by(*rules), "standard": asked_by(*rules, "dashboards/out/*.json")}
        for preset, names in asked.items():
            config = scrape_job("", preset, 0)["metric_relabel_configs"][0]
            # A histogram is kept by the names of its series.
            kept = {name for name in documented
                    if re.fullmatch(config["regex"], name) or re.fullmatch(config["regex"], f"{name}_bucket")}
            self.assertEqual(kept, names, preset)

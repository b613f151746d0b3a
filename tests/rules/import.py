#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/prometheus/import.sh on configurations that others wrote, and what a real Prometheus then has. Prints "ok|not ok|skip" lines."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
for folder in ("live", "support"):
    sys.path.append(str(ROOT / "tests" / folder))
from outcome import failed, report  # noqa: E402
from processes import Daemon  # noqa: E402
from waiting import wait_for  # noqa: E402

SHIPPED = ROOT / "deploy/prometheus"
GRAFANA, RUNBOOKS = "https://graphs.corp:3000/grafana", "https://wiki.corp/runbooks"
FOREIGN = """\
# Ours, by hand.
global:
  scrape_interval: 15s  # as everywhere

# Rules of all teams.
rule_files:
    # - "first.yml"
    - "team/*.yml"   # theirs
    - 'other.yml'

scrape_configs:
- job_name: "vcpu_exporter"
  static_configs:
  - targets: ["localhost:9752"]
"""
OTHERS = {"other.yml": "groups: [{name: other, rules: [{record: 'a:b', expr: '1'}]}]\n"}
ENTRIES = "    - vcpu_rules.yml\n    - vcpu_alerts.yml\n"


class Foreign:
    """A directory with a prometheus.yml that is not ours."""

    def __init__(self, config=FOREIGN):
        self.made = tempfile.TemporaryDirectory()
        self.directory = pathlib.Path(self.made.name)
        self.config = self.directory / "prometheus.yml"
        if config is not None:
            self.config.write_text(config, encoding="utf-8")
        for name, text in OTHERS.items():
            (self.directory / name).write_text(text, encoding="utf-8")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.made.cleanup()

    def run(self, *options):
        return subprocess.run([SHIPPED / "import.sh", *options, self.directory], text=True, capture_output=True)

    def files(self):
        return {path.name: path.read_text(encoding="utf-8") for path in self.directory.iterdir()}

    def entries(self):
        return yaml.safe_load(self.config.read_text(encoding="utf-8"))["rule_files"]


def links(text, kind):
    return re.findall(rf'{kind}: "([^"]*)"', text)


def import_problems(foreign):
    first = foreign.run("--grafana-url", GRAFANA + "/", "--runbooks-url", RUNBOOKS)
    if first.returncode:
        yield first.stderr
        return
    once = foreign.files()
    if once["prometheus.yml"] != FOREIGN.replace("rule_files:\n", "rule_files:\n" + ENTRIES):
        yield f"prometheus.yml became {once['prometheus.yml']}"
    if set(once) != {"prometheus.yml", "vcpu_rules.yml", "vcpu_alerts.yml", *OTHERS}:
        yield f"left {sorted(once)}"
    # Again, without the options: what they said stays.
    again = foreign.run()
    if again.returncode or foreign.files() != once:
        yield f"a second call changes something: {again.stderr}"
    alerts, shipped = once["vcpu_alerts.yml"], (SHIPPED / "vcpu_alerts.yml").read_text(encoding="utf-8")
    for kind, base in {"dashboard_url": GRAFANA + "/d/", "runbook_url": RUNBOOKS + "/Vcpu"}.items():
        wrong = [link for link in links(alerts, kind) if not link.startswith(base)]
        if wrong or len(links(alerts, kind)) != len(links(shipped, kind)):
            yield f"{kind}: {wrong[:1]}"

    def text_alone(text):
        return re.sub(r'(dashboard_url|runbook_url): "[^"]*"', "", text)
    if text_alone(alerts) != text_alone(shipped):
        yield "it changes more of the alerts than links"


def groups_of(*files):
    return {group["name"] for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]}


def prometheus_problems(foreign):
    """What a real Prometheus has of an imported configuration."""
    checked = subprocess.run(["promtool", "check", "config", foreign.config], text=True, capture_output=True)
    if checked.returncode:
        yield checked.stderr
    with tempfile.TemporaryDirectory() as work:
        daemon = Daemon("prometheus", [shutil.which("prometheus"), f"--config.file={foreign.config}", f"--storage.tsdb.path={work}/data",
                                       "--web.listen-address=127.0.0.1:0"], pathlib.Path(work, "log"))
        daemon.start()
        try:
            address = daemon.listening_address()
            wanted = groups_of(*SHIPPED.glob("vcpu_*.yml"), foreign.directory / "other.yml")

            def loaded():
                with urllib.request.urlopen(f"http://{address}/api/v1/rules", timeout=10) as answer:
                    return {group["name"] for group in json.load(answer)["data"]["groups"]}
            wait_for(lambda: loaded() == wanted, 20, f"groups {sorted(wanted)}")
        except AssertionError as problem:
            yield str(problem)
        finally:
            daemon.stop()


# How rule_files stand elsewhere, and what becomes of them.
WAYS = {
    "no rule_files": ("global: {}\n", ["vcpu_rules.yml", "vcpu_alerts.yml"]),
    "no line end": ("global: {}", ["vcpu_rules.yml", "vcpu_alerts.yml"]),
    "empty, as Debian's": ("rule_files:\n  # - \"first.yml\"\n\n# Scrapes.\nscrape_configs: []\n", ["vcpu_rules.yml", "vcpu_alerts.yml"]),
    "an empty list": ("rule_files: []  # none yet\n", ["vcpu_rules.yml", "vcpu_alerts.yml"]),
    "no indent": ("rule_files:\n- other.yml\nscrape_configs:\n- job_name: a\n", ["vcpu_rules.yml", "vcpu_alerts.yml", "other.yml"]),
    "one is there": ("rule_files:\n  - 'vcpu_rules.yml'  # ours\n", ["vcpu_alerts.yml", "vcpu_rules.yml"]),
    "a pattern has them": ("rule_files:\n  - \"vcpu_*.yml\"\n", ["vcpu_*.yml"]),
}


def way_problems():
    for name, (config, wanted) in WAYS.items():
        with Foreign(config) as foreign:
            done = foreign.run()
            entries = foreign.entries() if not done.returncode else done.stderr
            if entries != wanted:
                yield f"{name}: {entries}"


def link_problems():
    """prometheus.yml may be a link, as others' tools lay it, and stays one; a file of alerts without links is no hindrance."""
    with Foreign() as foreign:
        real = foreign.directory / "elsewhere/real.yml"
        real.parent.mkdir()
        foreign.config.rename(real)
        foreign.config.symlink_to(real)
        (foreign.directory / "vcpu_alerts.yml").write_text("groups: []\n", encoding="utf-8")
        done = foreign.run()
        if done.returncode or not foreign.config.is_symlink() or ENTRIES not in real.read_text(encoding="utf-8"):
            yield f"exit {done.returncode}: {done.stderr}: {real.read_text(encoding='utf-8')}"
        if set(path.name for path in foreign.directory.iterdir()) != {"prometheus.yml", "vcpu_rules.yml", "vcpu_alerts.yml", "elsewhere",
                                                                      *OTHERS}:
            yield f"left {sorted(foreign.directory.iterdir())}"


def refusal(config, *options):
    """What it says where it refuses; nothing must have changed."""
    with Foreign(config) as foreign:
        before = foreign.files()
        done = foreign.run(*options)
        after = foreign.files()
        kept = after.get("prometheus.yml") == before.get("prometheus.yml") and not any("import" in name for name in after)
        return done.stderr if done.returncode == 1 and kept else f"exit {done.returncode}, files {sorted(after)}: {done.stderr}"


def refusal_problems():
    flow = "rule_files: [other.yml]\n"
    refused = {
        "there is no ": refusal(None),
        "add these to rule_files": refusal(flow),
        "promtool refuses them": refusal("global: {}\nrule_files:\n  - other.yml\nnonsense: 1\n"),
        "--grafana-url wants a URL": refusal(FOREIGN, "--grafana-url", "graphs.corp"),
        "usage: import.sh": refusal(FOREIGN, "--nonsense"),
    }
    yield from (f"not \"{wanted}\" but {said!r}" for wanted, said in refused.items() if wanted not in said)


def main():
    if not shutil.which("promtool") or not shutil.which("prometheus"):
        print("skip import.sh: no Prometheus installed")
        return
    with Foreign() as foreign:
        report("import.sh adds the rules to a foreign Prometheus, and again, with its own links", list(import_problems(foreign)))
        foreign.run("--platforms")
        report("import.sh: Prometheus loads every group", list(prometheus_problems(foreign)))
    report("import.sh finds rule_files in every form", list(way_problems()))
    report("import.sh follows a link", list(link_problems()))
    report("import.sh says what it cannot do, and leaves prometheus.yml as it was", list(refusal_problems()))


main()
sys.exit(failed())

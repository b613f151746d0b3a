#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lints the generated dashboards, and holds every metric that dashboards, rules and runbooks name to the exporter's page.

What exists is what tests/golden/host.prom serves, and what the README's table holds, each of which the program says
(tests/house_test.sh); what may be used earlier stands in later_metrics.txt.
"""
import json
import pathlib
import re
import shutil
import sys

import yaml

import promql
import rules

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from outcome import failed, report  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/host.prom"
LATER = pathlib.Path(__file__).with_name("later_metrics.txt")
PROMETHEUS_OWN = {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}
# The exporter says them of itself, but not on the golden page.
PROCESS = {"process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"}
# Of other hypervisors' exporters: dashboards/rules/platforms.libsonnet says where they were read.
FOREIGN = ("vsphere_", "vmware_", "xcp_", "windows_")
# In runbooks: the exporter itself, its account, and parameters of virsh schedinfo.
NO_METRICS = {"vcpu_exporter", "vcpu_period", "vcpu_quota"}


def name_of(rule):
    return rule.__name__.replace("_", "-")


def lint(dashboards):
    for rule in rules.LINTER + rules.OURS:
        if rule is rules.target_promql_rule and not shutil.which("promtool"):
            print(f"skip {name_of(rule)}: promtool is not installed")
            continue
        report(f"dashboard-linter {name_of(rule)}" if rule in rules.LINTER else f"dashboard {name_of(rule)}",
               [f"{file}: {problem}" for file, dashboard in dashboards.items() for problem in rule(dashboard)])
    uids = [dashboard["uid"] for dashboard in dashboards.values()]
    report("dashboard links-lead-to-dashboards", [f"{file}: {problem}" for file, dashboard in dashboards.items()
                                                  for problem in rules.links_lead_to_dashboards(dashboard, uids)])
    report("dashboard uids-differ", [uid for uid in set(uids) if uids.count(uid) > 1])


def used_by_dashboards(dashboards):
    for file, dashboard in dashboards.items():
        for where, expr in rules.targets(dashboard):
            yield from ((f"{file} {where}", selector[0].removesuffix("_bucket")) for selector in promql.selectors(expr))
        for variable in rules.variables(dashboard, "query"):
            metrics = re.match(r'label_values\((?:\{__name__=~")?([\w:|]+)', variable["query"]["query"])
            yield from ((f"{file} ${variable['name']}", metric) for metric in metrics[1].split("|"))


def used_by_rules(all_rules):
    for rule in all_rules:
        yield from ((rule.get("record") or rule["alert"], selector[0]) for selector in promql.selectors(rule["expr"]))


def used_by_runbooks():
    for runbook in sorted((ROOT / "deploy/runbooks").glob("*.md")):
        for name in re.findall(r"(?<![\w:/.-])[a-z_]*:?vcpu_[a-z_]+(?::\w+)?(?![\w(|])", runbook.read_text()):
            if name not in NO_METRICS:
                yield runbook.name, name


def branches(expr):
    """What stands between the `or`s of an expression, those in brackets left alone."""
    depth, parts = 0, [""]
    for word in re.split(r"(\(|\)|\bor\b)", expr):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "or" and depth == 0:
            parts.append("")
        else:
            parts[-1] += word
    return parts


def silent_alerts(all_rules, later):
    """Of an alert, or a branch of one, that rests on what no exporter serves yet, the runbook says so."""
    for rule in all_rules:
        dead = [{name for name, *_ in promql.selectors(branch)} & later for branch in branches(rule["expr"])] if "alert" in rule else []
        for name in set().union(*dead):
            runbook = " ".join((ROOT / f"deploy/runbooks/{rule['alert']}.md").read_text().split())
            if f"`{name}`, which no source tells yet" not in runbook:
                yield f"{rule['alert']}: {name}, {'all' if all(dead) else 'a branch'} of it rests on that"


def check_names(dashboards):
    files = sorted((ROOT / "deploy/prometheus").glob("vcpu_*.yml"))
    all_rules = [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in all_rules if "record" in rule}
    in_use = list(used_by_dashboards(dashboards)) + list(used_by_rules(all_rules)) + list(used_by_runbooks())

    report("recorded series are used", [name for name in recorded if name not in {metric for _, metric in in_use}])
    if not GOLDEN.exists():
        print(f"skip metrics exist: {GOLDEN.relative_to(ROOT)} is not there")
        return
    served = set(re.findall(r"^# HELP (\S+)", GOLDEN.read_text(errors="replace"), re.M))
    served |= set(re.findall(r"^\| `(vcpu_\w+)` \|", (ROOT / "README.md").read_text(), re.M))
    later = {line for line in LATER.read_text().split("\n") if line and not line.startswith("#")}
    known = served | later | recorded | PROMETHEUS_OWN | PROCESS
    report("metrics exist", sorted({f"{where}: {metric}" for where, metric in in_use
                                    if metric not in known and not metric.startswith(FOREIGN)}))
    report("alerts on later metrics say so", list(silent_alerts(all_rules, later)))
    report("later metrics are not served yet", [f"{name}: remove it from {LATER.name}" for name in sorted(later & served)])


dashboards = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "dashboards/out").glob("*.json"))}
report("dashboards are there", [] if dashboards else ["dashboards/out holds none"])
lint(dashboards)
check_names(dashboards)
sys.exit(failed())

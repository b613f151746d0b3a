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
import subprocess
import sys
import tempfile

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


def recorded_by(all_rules):
    return {rule["record"] for rule in all_rules if "record" in rule}


def known_metrics():
    served = set(re.findall(r"^# HELP (\S+)", GOLDEN.read_text(errors="replace"), re.M))
    served |= set(re.findall(r"^\| `(vcpu_\w+)` \|", (ROOT / "README.md").read_text(), re.M))
    later = {line for line in LATER.read_text().split("\n") if line and not line.startswith("#")}
    return served, later


def unknown_metrics(in_use, all_rules):
    served, later = known_metrics()
    known = served | later | recorded_by(all_rules) | PROMETHEUS_OWN | PROCESS
    return sorted({f"{where}: {metric}" for where, metric in in_use if metric not in known and not metric.startswith(FOREIGN)})


def check_names(dashboards):
    files = sorted((ROOT / "deploy/prometheus").glob("vcpu_*.yml"))
    all_rules = [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    in_use = list(used_by_dashboards(dashboards)) + list(used_by_rules(all_rules)) + list(used_by_runbooks())

    report("recorded series are used", [name for name in recorded_by(all_rules) if name not in {metric for _, metric in in_use}])
    if not GOLDEN.exists():
        print(f"skip metrics exist: {GOLDEN.relative_to(ROOT)} is not there")
        return
    served, later = known_metrics()
    report("metrics exist", unknown_metrics(in_use, all_rules))
    report("alerts on later metrics say so", list(silent_alerts(all_rules, later)))
    report("later metrics are not served yet", [f"{name}: remove it from {LATER.name}" for name in sorted(later & served)])


def jsonnet(source):
    return json.loads(subprocess.run(["jsonnet", "-e", source], cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def numbers(config):
    if isinstance(config, (dict, list)):
        for value in config.values() if isinstance(config, dict) else config:
            yield from numbers(value)
    elif isinstance(config, (int, float)):
        yield config


def unexplained_steps(dashboards, config):
    """Every limit that is drawn is of the config, or what a share of it leaves."""
    known = {round(value, 9) for number in numbers(config) for value in (number, 1 - number)}
    for file, dashboard in dashboards.items():
        for steps in rules.parts(dashboard, "steps"):
            yield from (f"{file}: {step['value']}" for step in steps if step["value"] is not None and round(step["value"], 9) not in known)
    for source in sorted((ROOT / "dashboards/boards").glob("*.libsonnet")):
        yield from (f"{source.name}: {found}" for found in
                    re.findall(r"thresholds?(?:Lines)?\([^)]*?(?<![\w.])\d(?! - config)[^)]*\)|(?:warning|critical): \d(?! - config)[^,]*", source.read_text()))


CHANGED = """(import 'dashboards/mixin.libsonnet') + { _config+:: {
  selector: 'job="vms"', rateWindow: '3m', alerts+: { VcpuStealHigh+: { warning+: { above: 0.07 } } },
} }"""


def problems_of_a_change():
    """Who takes the mixin with another job, another window, another limit, gets rules and dashboards of one piece."""
    made = jsonnet(f"local made = {CHANGED}; {{ rules: [made.prometheusRules, made.prometheusPlatformRules, made.prometheusAlerts],"
                   " dashboards: made.grafanaDashboards }")
    for groups in made["rules"]:
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump(groups, file)  # JSON is YAML
            file.flush()
            answer = subprocess.run(["promtool", "check", "rules", "--lint-fatal", file.name], capture_output=True, text=True)
        if answer.returncode:
            yield " ".join(answer.stderr.split())
    all_rules = [rule for groups in made["rules"] for group in groups["groups"] for rule in group["rules"]]
    in_use = list(used_by_dashboards(made["dashboards"])) + list(used_by_rules(all_rules))
    yield from unknown_metrics(in_use, all_rules)
    yield from (f"{rule.get('alert') or rule['record']} has the shipped job" for rule in all_rules if "vcpu_exporter\"" in rule["expr"])
    limits = {rule["labels"]["severity"]: rule["expr"].split()[-1] for rule in all_rules if rule.get("alert") == "VcpuStealHigh"}
    if limits["warning"] != "0.07":
        yield f"VcpuStealHigh: {limits}"


OTHER_LIMITS = """(import 'dashboards/mixin.libsonnet') + { _config+:: { alerts: std.mapWithKey(
  function(_, alert) std.mapWithKey(
    function(_, limit) limit + if 'above' in limit then { above: 1.5 * limit.above } else {}, alert
  ), super.alerts
) } }"""


def typed_limits():
    """Texts that still tell the shipped limits where others are configured."""
    for file, dashboard in jsonnet(f"({OTHER_LIMITS}).grafanaDashboards").items():
        yield from (f"{file}: {problem}" for problem in rules.limits_drawn_are_told(dashboard))


def check_config(dashboards):
    if not shutil.which("jsonnet") or not shutil.which("promtool"):
        print("skip limits are the config's, another config makes a whole mixin: jsonnet or promtool is not installed")
        return
    report("every limit drawn is the config's", list(unexplained_steps(dashboards, jsonnet("(import 'dashboards/config.libsonnet')._config"))))
    report("another config makes a whole mixin", list(problems_of_a_change()))
    report("descriptions tell the config's limits", list(typed_limits()))


dashboards = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "dashboards/out").glob("*.json"))}
report("dashboards are there", [] if dashboards else ["dashboards/out holds none"])
lint(dashboards)
check_names(dashboards)
check_config(dashboards)
sys.exit(failed())

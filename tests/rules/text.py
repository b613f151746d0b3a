#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds alerts, runbooks and thresholds together, and the alerts to the ecosystem's lint rules (mixtool's among them)."""
import json
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "deploy/runbooks"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]

failures = 0


def report(name, problems):
    global failures
    failures += bool(problems)
    print(f"not ok {name}: {'; '.join(problems)}" if problems else f"ok {name}")


def load_groups():
    groups = []
    for file in ["vcpu_rules.yml", "vcpu_alerts.yml"]:
        groups += yaml.safe_load((ROOT / "deploy/prometheus" / file).read_text())["groups"]
    return groups


def load_config():
    source = f"(import '{ROOT}/dashboards/config.libsonnet')._config"
    return json.loads(subprocess.run(["jsonnet", "-e", source], check=True, capture_output=True, text=True).stdout)


def lint_groups(groups):
    for group in groups:
        if len(group["name"]) > 40 or len(group["rules"]) > 20:
            yield f"{group['name']}: a name of at most 40 characters and at most 20 rules"


def lint_recording(rule):
    if not re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", rule["record"]) or "_total" in rule["record"]:
        yield f"{rule['record']}: not level:metric:operations"


def lint_alert(rule):
    annotations = rule["annotations"]
    conditions = {
        "CamelCase of at most 40 characters": re.fullmatch(r"([A-Z][a-z0-9]+)+", rule["alert"]) and len(rule["alert"]) <= 40,
        "severity critical, warning or info": rule["labels"].get("severity") in ["critical", "warning", "info"],
        "no value in a label": not any("{{" in value for value in rule["labels"].values()),
        "an untemplated summary with a capital or vCPU first and a period last":
            re.fullmatch(r"([A-Z]|vCPU)[^{}]*\.", annotations.get("summary", "")),
        "a templated description": "{{" in annotations.get("description", ""),
        "a humanised value": not re.search(r"\$value\s*\}\}", annotations.get("description", "")),
        "a dashboard_url": annotations.get("dashboard_url"),
        "a time to wait": rule.get("for"),
    }
    for condition, kept in conditions.items():
        if not kept:
            yield f"{rule['alert']}: {condition}"


def lint_runbook(path):
    lines = path.read_text().splitlines()
    headings = [line[2:] for line in lines if line.startswith("# ")]
    sections = [line[3:] for line in lines if line.startswith("## ")]
    if headings != [path.stem]:
        yield f"{path.name}: its one H1 is not {path.stem}"
    if sections != SECTIONS:
        yield f"{path.name}: sections are not {', '.join(SECTIONS)}"


def limit_text(limit):
    """How a limit reads in prose: 'above 5%' (shares are below 1), 'above 2', or 'down'."""
    above = limit.get("above")
    if above is None:
        return "down"
    return f"above {above * 100:g}%" if above < 1 else f"above {above:g}"


def check_limits(name, limits, rules):
    """The runbook's bullets '- **warning**: above 5% ... for 15m', expr, for and description all say the configured limit."""
    runbook = (RUNBOOKS / f"{name}.md").read_text()
    bullet_line = r"^- \*\*(critical|warning|info)\*\*: (.*)$"
    bullets = dict(re.findall(bullet_line, runbook, re.M))
    if re.search(r"(above|more than|over) [\d.]+", re.sub(bullet_line, "", runbook, flags=re.M), re.I):
        yield f"{name}: the runbook states a limit outside its bullets"
    by_severity = {rule["labels"]["severity"]: rule for rule in rules if rule["alert"] == name}
    if not set(bullets) == set(by_severity) == set(limits):
        yield f"{name}: severities differ: runbook {set(bullets)}, rules {set(by_severity)}, config {set(limits)}"
        return
    for severity, limit in limits.items():
        rule, bullet, text = by_severity[severity], bullets[severity], limit_text(limit)
        if not re.fullmatch(rf"{re.escape(text)}( .*)? for {limit['for']}", bullet):
            yield f"{name}: runbook says '{bullet}', config says {text} ... for {limit['for']}"
        if rule["for"] != limit["for"]:
            yield f"{name}: {severity} waits {rule['for']}, config says {limit['for']}"
        if "above" in limit and set(re.findall(r"> (\S+)", rule["expr"])) != {"%g" % limit["above"]}:
            yield f"{name}: {severity} expr has another limit than {limit['above']}"
        if "above" in limit and not re.search(re.escape(text) + r"(?![\d%])(?!\.\d)", rule["annotations"]["description"]):
            yield f"{name}: the {severity} description does not say {text}"


groups = load_groups()
config = load_config()
recordings = [rule for group in groups for rule in group["rules"] if "record" in rule]
alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
names = {rule["alert"] for rule in alerts}
runbooks = sorted(RUNBOOKS.glob("*.md"))

report("rules: groups are small", list(lint_groups(groups)))
report("rules: recording rules are level:metric:operations", [p for r in recordings for p in lint_recording(r)])
report("rules: alerts carry what an operator needs", [p for r in alerts for p in lint_alert(r)])
report("rules: no alert name and severity twice",
       [f"{r['alert']} {r['labels']['severity']}" for i, r in enumerate(alerts)
        if any((r["alert"], r["labels"]) == (o["alert"], o["labels"]) for o in alerts[:i])])
report("runbooks: one for each alert, none besides",
       [f"{name} lacks one" if name in names else f"{name}.md has no alert" for name in names ^ {p.stem for p in runbooks}])
report("runbooks: runbook_url leads to it",
       [f"{r['alert']}: {r['annotations'].get('runbook_url')}" for r in alerts
        if r["annotations"].get("runbook_url") != config["runbookUrl"] % r["alert"]
        or not r["annotations"]["runbook_url"].endswith(f"/deploy/runbooks/{r['alert']}.md")])
report("runbooks: title and sections", [p for path in runbooks for p in lint_runbook(path)])
report("runbooks: limits equal the config",
       [p for name in sorted(names & {path.stem for path in runbooks} & set(config["alerts"]))
        for p in check_limits(name, config["alerts"][name], alerts)] +
       [f"config has no limits for {name}, or limits for no alert" for name in names ^ set(config["alerts"])])
sys.exit(failures > 0)

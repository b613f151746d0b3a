#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds alerts, runbooks and thresholds together, and the alerts to the ecosystem's lint rules (mixtool's among them)."""
import json
import pathlib
import re
import subprocess
import sys

import yaml

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from outcome import failed, report  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "deploy/runbooks"
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Verification"]


def load_groups():
    groups = []
    for file in sorted((ROOT / "deploy/prometheus").glob("vcpu_*.yml")):
        groups += yaml.safe_load(file.read_text())["groups"]
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


def promtool_cases():
    """(alert, severities expected) of every alert_rule_test; an empty set is a quiet case."""
    for file in sorted((ROOT / "tests/rules").glob("*.test.yml")):
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                yield case["alertname"], {alert["exp_labels"]["severity"] for alert in case["exp_alerts"]}


def check_cases(alerts):
    cases = list(promtool_cases())
    for name, severity in sorted({(rule["alert"], rule["labels"]["severity"]) for rule in alerts}):
        if not any(severity in found for alert, found in cases if alert == name):
            yield f"{name} {severity}: no firing case"
        if not any(severity not in found for alert, found in cases if alert == name):
            yield f"{name} {severity}: no quiet case"


def panel_titles():
    files = sorted((ROOT / "dashboards/out").glob("*.json"))
    return {panel["title"] for file in files for panel in json.loads(file.read_text())["panels"] if panel["type"] != "row"}


def named_panels(path):
    """Runbooks name panels as: panel "Title", or Panels "One", "Two" of a VM and "Three"."""
    text = " ".join(path.read_text().split())
    for sentence in re.findall(r'\b[Pp]anels? ("[^"]+"(?:[^".;:()]*"[^"]+")*)', text):
        yield from re.findall(r'"([^"]+)"', sentence)


def lint_panels(path, titles):
    named = list(named_panels(path))
    if not named:
        yield f"{path.name}: names no panel"
    yield from (f'{path.name}: no dashboard has a panel "{title}"' for title in named if title not in titles)


def check_provisioning():
    """Grafana says nothing of what it does not understand."""
    folder = ROOT / "deploy/grafana/provisioning"
    wanted = {"datasources": {"name", "type", "url"}, "dashboards": {"name", "type", "options"}}
    for kind, keys in wanted.items():
        for file in sorted((folder / kind).glob("*.yml")) or [folder / kind]:
            text = yaml.safe_load(file.read_text()) if file.is_file() else {}
            entries = text.get("datasources" if kind == "datasources" else "providers", [])
            if text.get("apiVersion") != 1 or not entries or any(keys - set(entry) for entry in entries):
                yield f"{file.relative_to(ROOT)}: without apiVersion 1, or an entry without {', '.join(sorted(keys))}"


BOUNDS = {"above": "above", "atLeast": "at least", "below": "below"}
NUMBER = r"\d+(?:\.\d+)?(?:%| [KMG]iB|[smhd]\b)?"


def written(value):
    """How a value of the config may read in prose: 5% or 0.05, 1 MiB, 15m."""
    if isinstance(value, str):
        return {value}
    units = {f"{value / size:g} {unit}" for unit, size in [("KiB", 2**10), ("MiB", 2**20), ("GiB", 2**30)] if value % size == 0}
    return {f"{value:g}", f"{value * 100:g}%"} | units


def plain(value):
    """As PromQL has it: 5 or 0.05, never 1e+06."""
    return f"{int(value)}" if value == int(value) else f"{value:g}"


def values_of(limit):
    """Every number and every duration of an alert's limits, those of its windows included."""
    for value in limit if isinstance(limit, list) else limit.values():
        if isinstance(value, (dict, list)):
            yield from values_of(value)
        elif isinstance(value, (int, float)) or re.fullmatch(r"\d+[smhd]", value):
            yield value


def bound_texts(limit):
    """'above 5%', 'at least 50%', 'below 15%', in each of its spellings; none for what is up or down."""
    return [f"{word} {text}" for key, word in BOUNDS.items() if key in limit for text in written(limit[key])]


def with_recorded(expr, recordings):
    """The expression and those of all recorded series that it builds on."""
    text, seen = expr, set()
    while names := {r["record"] for r in recordings if r["record"] in text} - seen:
        seen |= names
        text += " ".join(r["expr"] for r in recordings if r["record"] in names)
    return text


def says(text, phrase):
    return re.search(rf"(?<![\d.]){re.escape(phrase)}(?![\d%])(?!\.\d)", text)


def check_bullet(where, limit, bullet):
    """'- **warning**: above 5% ... for 15m' holds every value of the config and no other number."""
    bounds = bound_texts(limit)
    if bounds and not any(bullet.startswith(text) for text in bounds) or not bullet.endswith(f"for {limit['for']}"):
        yield f"{where}: runbook says '{bullet}', config says {' or '.join(bounds)} ... for {limit['for']}"
    for value in values_of(limit):
        if not any(says(bullet, text) for text in written(value)):
            yield f"{where}: the runbook's bullet does not say {value}"
    known = {text for value in values_of(limit) for text in written(value)}
    yield from (f"{where}: the runbook's bullet says {number}, the config does not"
                for number in re.findall(NUMBER, bullet) if number not in known)


def check_rule(where, limit, rule, recordings):
    """The expression, the time to wait and the description all have the configured limits."""
    if rule["for"] != limit["for"]:
        yield f"{where}: waits {rule['for']}, config says {limit['for']}"
    numbers = [value for value in values_of(limit) if not isinstance(value, str)]
    expr = with_recorded(rule["expr"], recordings)
    yield from (f"{where}: expr does not have {plain(value)}" for value in numbers
                if not re.search(rf"(?<![\d.]){re.escape(plain(value))}(?![\d.])", expr))
    compared = re.findall(r"[<>=]=? (?:bool )?([\d.]+)", rule["expr"])
    yield from (f"{where}: expr compares with {number}, which is not in the config"
                for number in compared if float(number) not in numbers + [0])
    if bounds := bound_texts(limit):
        if not any(says(rule["annotations"]["description"], text) for text in bounds):
            yield f"{where}: the description does not say {' or '.join(bounds)}"


def check_limits(name, limits, rules, recordings):
    runbook = (RUNBOOKS / f"{name}.md").read_text()
    bullet_line = r"^- \*\*(critical|warning|info)\*\*: (.*(?:\n  .*)*)$"
    bullets = {severity: " ".join(text.split()) for severity, text in re.findall(bullet_line, runbook, re.M)}
    if re.search(r"(above|below|at least|more than|over) [\d.]+", re.sub(bullet_line, "", runbook, flags=re.M), re.I):
        yield f"{name}: the runbook states a limit outside its bullets"
    by_severity = {rule["labels"]["severity"]: rule for rule in rules if rule["alert"] == name}
    if not set(bullets) == set(by_severity) == set(limits):
        yield f"{name}: severities differ: runbook {set(bullets)}, rules {set(by_severity)}, config {set(limits)}"
        return
    for severity, limit in limits.items():
        yield from check_bullet(f"{name} {severity}", limit, bullets[severity])
        yield from check_rule(f"{name} {severity}", limit, by_severity[severity], recordings)


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
report("rules: a firing and a quiet case for each alert", list(check_cases(alerts)))
report("runbooks: one for each alert, none besides",
       [f"{name} lacks one" if name in names else f"{name}.md has no alert" for name in names ^ {p.stem for p in runbooks}])
report("runbooks: runbook_url leads to it",
       [f"{r['alert']}: {r['annotations'].get('runbook_url')}" for r in alerts
        if r["annotations"].get("runbook_url") != config["runbookUrl"] % r["alert"]
        or not r["annotations"]["runbook_url"].endswith(f"/deploy/runbooks/{r['alert']}.md")])
report("runbooks: the README leads to each",
       [name for name in sorted(names)
        if not re.search(rf"^\| {name} \|.*\(deploy/runbooks/{name}\.md\) \|$", (ROOT / "README.md").read_text(), re.M)])
report("runbooks: title and sections", [p for path in runbooks for p in lint_runbook(path)])
report("grafana: provisioning files are what Grafana reads", list(check_provisioning()))
report("runbooks: each names panels, which exist", [p for path in runbooks for p in lint_panels(path, panel_titles())])
report("runbooks: limits equal the config",
       [p for name in sorted(names & {path.stem for path in runbooks} & set(config["alerts"]))
        for p in check_limits(name, config["alerts"][name], alerts, recordings)] +
       [f"config has no limits for {name}, or limits for no alert" for name in names ^ set(config["alerts"])])
sys.exit(failed())

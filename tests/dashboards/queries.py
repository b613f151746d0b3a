# SPDX-License-Identifier: Apache-2.0
"""Asks a real Prometheus every query of every dashboard: none may fail, come back empty or not a number, and every label that a
legend or a table names must be there. Then clicks its way from the worst VM of the fleet to who takes its time.
"""
import json
import pathlib
import re
import time
import urllib.error

import clicks
import fleet
import rules
import stage

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 90
RATE_SECONDS = 10
EVERYTHING = {"cluster": ".*", "job": ".+", "instance": ".+", "top": "10"}
ONE_HOST = {**EVERYTHING, "instance": f"{stage.REAL}:9752"}
# What is chosen on each dashboard.
CHOSEN = {"vcpu-host.json": ONE_HOST, "vcpu-vm.json": {**ONE_HOST, "domain": "shop-db"}}


def load():
    return {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "dashboards/out").glob("*.json"))}


def chosen_on(name):
    return CHOSEN.get(name, EVERYTHING)


def interpolated(expr, values, span):
    expr = expr.replace("$__rate_interval", f"{RATE_SECONDS}s").replace("$__range", f"{span}s")
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], expr)


def answer(where, panel, target, values):
    """What Prometheus has for a target: series with their values."""
    expr = interpolated(target["expr"], values, 30)
    if panel["type"] != "timeseries":
        data = where.ask("query", query=expr)
        return [(series["metric"], [series["value"]]) for series in (data or {"result": []})["result"]]
    now = time.time()
    data = where.ask("query_range", query=expr, start=now - 10, end=now, step=2)
    return [(series["metric"], series["values"]) for series in (data or {"result": []})["result"]]


def problems_of_target(where, panel, target, values):
    try:
        found = answer(where, panel, target, values)
    except urllib.error.HTTPError as refused:
        yield refused.read().decode(errors="replace")[:200]
        return
    if not found:
        yield "no data"
    if any(value in ("NaN", "+Inf", "-Inf") for _, series in found for _, value in series):
        yield "not a number"
    if panel["type"] != "table":
        for name in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            if found and not all(labels.get(name) for labels, _ in found):
                yield f"the legend's {name} is missing"


def columns(panel):
    return [name for t in panel.get("transformations", []) if t["id"] == "filterFieldsByName" for name in t["options"]["include"]["names"]]


def problems_of_table(where, panel, values):
    """Columns are labels, or values by the letter of their target."""
    there = set().union(*({"Value", f"Value #{target['refId']}", *labels} for target in panel["targets"]
                          for labels, _ in answer(where, panel, target, values)), set())
    yield from (f"no column {name}" for name in columns(panel) if name not in there)


def problems_of_links(where, panel, values):
    """A culprit with a link is a VM: a process of the host has no dashboard, even if a VM is called alike."""
    for column in clicks.linked_columns(panel):
        if (name := clicks.columns(panel)[column]) not in ("domain", "instance"):
            yield from (f"{panel['title']}: {labels['culprit']} of kind {labels['culprit_kind']} has a link"
                        for labels, _ in answer(where, panel, panel["targets"][0], values)
                        if labels.get(name) and labels["culprit_kind"] not in ("domain", "overhead"))


def problems_of_variable(where, variable, values):
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", interpolated(variable["query"]["query"], values, 30))
    if not where.ask(f"label/{found[2]}/values", **{"match[]": found[1]}):
        yield "no values"


def problems_of(where, name, dashboard):
    values = chosen_on(name)
    for variable in rules.variables(dashboard, "query"):
        yield from (f"${variable['name']}: {problem}" for problem in problems_of_variable(where, variable, values))
    for panel in rules.panels(dashboard):
        for target in panel["targets"]:
            yield from (f"{panel['title']}/{target['refId']}: {problem}"
                        for problem in problems_of_target(where, panel, target, values))
        if panel["type"] == "table":
            yield from (f"{panel['title']}: {problem}" for problem in problems_of_table(where, panel, values))
            yield from problems_of_links(where, panel, values)


def ranked(where, dashboard, title, values):
    """A table of a dashboard, and the labels of its rows as they are sorted."""
    panel = next(panel for panel in rules.panels(dashboard) if panel["title"] == title)
    column = clicks.columns(panel)[panel["options"]["sortBy"][0]["displayName"]]
    target = next((t for t in panel["targets"] if column == f"Value #{t['refId']}"), panel["targets"][0])
    rows = answer(where, panel, target, values)
    return panel, [labels for labels, _ in sorted(rows, key=lambda row: -float(row[1][0][1]))]


def problems_of_the_way(where, dashboards):
    """Three clicks: the slow VM on Fleet, its culprit, and what that one does."""
    by_uid = {dashboard["uid"]: dashboard for dashboard in dashboards.values()}
    overview, worst = ranked(where, by_uid["vcpu-fleet"], "Worst VMs, and who takes their time", ONE_HOST)
    # The aggressor wants more CPUs than there are, and waits as well.
    slow = next((labels for labels in worst if labels["domain"] != stage.AGGRESSOR), None)
    if not slow:
        yield "no VM is slow"
        return
    uid, values = clicks.click(overview, "VM", slow, ONE_HOST)
    values = {**values, "top": "10"}
    culprits, found = ranked(where, by_uid[uid], "Culprits now", values)
    first = next((labels for labels in found if labels["culprit_kind"] == "domain" and labels.get("vm")), {})
    if first.get("culprit") != stage.AGGRESSOR:
        yield f"who takes the time of {slow['domain']} is {first.get('culprit', 'nobody')}, not {stage.AGGRESSOR}"
        return
    uid, values = clicks.click(culprits, "Culprit VM", first, values)
    for panel in rules.panels(by_uid[uid]):
        if panel["title"] in ("Worst vCPU waits", "Run time by vCPU") and not answer(where, panel, panel["targets"][0], {**values, "top": "10"}):
            yield f"{panel['title']} is empty for {values}"


def values_of_variable(where, dashboard, name, values):
    variable = next(v for v in rules.variables(dashboard, "query") if v["name"] == name)
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", interpolated(variable["query"]["query"], values, 30))
    return where.ask(f"label/{found[2]}/values", **{"match[]": found[1]}) or []


def shown_contention(dashboard):
    """The panels' targets that show recorded contention."""
    return [(panel, target) for panel in rules.panels(dashboard) for target in panel["targets"]
            if "vcpu_contention:" in target["expr"] and not re.search("vcpu_(stolen_by|pinned)", target["expr"])]


def problems_of_foreign(where, dashboards):
    """Hosts of other hypervisors can be chosen, their VMs too, and what is known of them is shown."""
    for host, vms in fleet.FOREIGN_VMS.items():
        for name in ("vcpu-fleet.json", "vcpu-host.json", "vcpu-vm.json"):
            if host not in values_of_variable(where, dashboards[name], "instance", EVERYTHING):
                yield f"{name}: {host} cannot be chosen"
        chosen = {**EVERYTHING, "instance": host}
        if set(values_of_variable(where, dashboards["vcpu-vm.json"], "domain", chosen)) != set(vms):
            yield f"vcpu-vm.json: the VMs of {host} are not {vms}"
        for name, values in [("vcpu-host.json", chosen), *(("vcpu-vm.json", {**chosen, "domain": vm}) for vm in vms)]:
            shown = shown_contention(dashboards[name])
            if not shown:
                yield f"{name}: no panel shows contention"
            yield from (f"{name}: {panel['title']} of {values}: {problem}" for panel, target in shown
                        for problem in problems_of_target(where, panel, target, values))
    counted = {panel["title"]: answer(where, panel, panel["targets"][0], {**EVERYTHING, "instance": "|".join(fleet.FOREIGN_VMS)})
               for panel in rules.panels(dashboards["vcpu-fleet.json"]) if panel["title"] in ("Hosts", "VMs")}
    for title, count in {"Hosts": len(fleet.FOREIGN_VMS), "VMs": sum(map(len, fleet.FOREIGN_VMS.values()))}.items():
        told = [float(value) for _, values in counted[title] for _, value in values]
        if told != [count]:
            yield f"vcpu-fleet.json: {title} is {told}, not {count}"


def check_foreign(where, dashboards):
    end = time.monotonic() + DEADLINE_SECONDS
    while (problems := list(problems_of_foreign(where, dashboards))) and time.monotonic() < end:
        time.sleep(0.5)
    name = "queries answered: hosts of other hypervisors"
    print(f"not ok {name}: {'; '.join(problems)}" if problems else f"ok {name}", flush=True)
    return bool(problems)


def check(where, dashboards):
    """Whether all are well; data arrive with the first scrapes, so what is still missing at the deadline is wrong."""
    questions = {f"queries answered: {name}": lambda name=name, dashboard=dashboard: problems_of(where, name, dashboard)
                 for name, dashboard in dashboards.items()}
    questions["the noisy neighbour of a slow VM in three clicks"] = lambda: problems_of_the_way(where, dashboards)
    failed = False
    for name, ask in questions.items():
        end = time.monotonic() + DEADLINE_SECONDS
        while (problems := list(ask())) and time.monotonic() < end:
            time.sleep(0.5)
        print(f"not ok {name}: {'; '.join(problems)}" if problems else f"ok {name}", flush=True)
        failed |= bool(problems)
    return check_foreign(where, dashboards) or failed

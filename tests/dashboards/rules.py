# SPDX-License-Identifier: Apache-2.0
"""The rules of grafana/dashboard-linter under their own names, then those of this project. Each yields what breaks it.

Not ported: the two Loki rules; nothing here queries logs.
"""
import json
import re
import subprocess
import tempfile

import promql

DRAWABLE = {"timeseries", "stat", "table", "bargauge"}
UNITS = {"percentunit", "s", "short", "cps", "iops", "reqps", "bytes", "Bps", "hertz", "celsius", "bool", "none"}
GRAFANA_VARIABLES = {"__rate_interval", "__range"}


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets(dashboard):
    """(where, query) of every target."""
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            yield f"{panel['title']}/{target['refId']}", target["expr"]


def variables(dashboard, kind=None):
    return [v for v in dashboard["templating"]["list"] if kind in (None, v["type"])]


def template_datasource_rule(dashboard):
    found = [(v["name"], v.get("label")) for v in variables(dashboard, "datasource")]
    if found != [("datasource", "Data source")]:
        yield f"not one datasource variable 'datasource' labelled 'Data source': {found}"


def template_target_variable(dashboard, name):
    found = [v for v in variables(dashboard, "query") if v["name"] == name]
    if not found:
        yield f"no query variable {name}"
        return
    wanted = {"label": name.capitalize(), "multi": True, "allValue": ".+"}
    yield from (f"{name}: {k} is not {v!r}" for k, v in wanted.items() if found[0].get(k) != v)
    if found[0].get("datasource", {}).get("uid") not in ("$datasource", "${datasource}"):
        yield f"{name}: datasource is not $datasource"


def template_job_rule(dashboard):
    yield from template_target_variable(dashboard, "job")


def template_instance_rule(dashboard):
    yield from template_target_variable(dashboard, "instance")


def template_label_promql_rule(dashboard):
    for variable in variables(dashboard, "query"):
        if not re.fullmatch(r"(label_names|label_values|metrics|query_result)\(.*\)", variable["query"]["query"]):
            yield f"{variable['name']}: {variable['query']['query']}"


def template_on_time_change_reload_rule(dashboard):
    yield from (f"{v['name']}: refresh is not 2" for v in variables(dashboard, "query") if v.get("refresh") != 2)


def panel_datasource_rule(dashboard):
    for panel in panels(dashboard):
        for what in [panel] + panel.get("targets", []):
            if what.get("datasource", {}).get("uid") not in ("$datasource", "${datasource}"):
                yield f"{panel['title']}: datasource is not $datasource"


def panel_title_description_rule(dashboard):
    for panel in panels(dashboard):
        if not panel.get("title") or not panel.get("description"):
            yield f"panel {panel.get('id')}: without title or description"


def panel_units_rule(dashboard):
    for panel in panels(dashboard):
        properties = [p for o in panel["fieldConfig"].get("overrides", []) for p in o["properties"] if p["id"] == "unit"]
        for unit in [panel["fieldConfig"]["defaults"].get("unit")] + [p["value"] for p in properties]:
            if unit not in UNITS:
                yield f"{panel['title']}: unit {unit!r}"


def panel_no_targets_rule(dashboard):
    yield from (f"{panel['title']}: no query" for panel in panels(dashboard) if not panel.get("targets"))


def target_promql_rule(dashboard):
    for where, expr in targets(dashboard):
        rule = {"groups": [{"name": "panel", "rules": [{"record": "panel", "expr": promql.with_values(expr)}]}]}
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump(rule, file)  # JSON is YAML
            file.flush()
            answer = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True)
        if answer.returncode:
            yield f"{where}: {' '.join(answer.stderr.split())}"


def target_rate_interval_rule(dashboard):
    for where, expr in targets(dashboard):
        for metric, _, span, function in promql.selectors(expr):
            if function in ("rate", "irate") and span != "$__rate_interval":
                yield f"{where}: {function} of {metric} over [{span}]"


def target_label(dashboard, label):
    for where, expr in targets(dashboard):
        for metric, matchers, _, _ in promql.selectors(expr):
            # What is recorded of a whole cluster has no instance.
            if label == "instance" and metric.startswith("cluster:"):
                continue
            if f'{label}=~"${label}"' not in matchers:
                yield f'{where}: {metric} without {label}=~"${label}"'


def target_job_rule(dashboard):
    yield from target_label(dashboard, "job")


def target_instance_rule(dashboard):
    yield from target_label(dashboard, "instance")


def target_counter_agg_rule(dashboard):
    for where, expr in targets(dashboard):
        for metric, _, _, function in promql.selectors(expr):
            if metric.endswith("_total") and function not in ("rate", "irate", "increase"):
                yield f"{where}: {metric} outside rate, irate and increase"


def uneditable_dashboard(dashboard):
    if dashboard.get("editable") is not False:
        yield "editable"


# Ours.


def drawable_panels(dashboard):
    yield from (f"{p['title']}: {p['type']}" for p in panels(dashboard) if p["type"] not in DRAWABLE)


def fixed_identity(dashboard):
    ids = [panel.get("id") for panel in dashboard["panels"]]
    if not dashboard.get("uid") or not dashboard.get("title"):
        yield "without uid or title"
    if None in ids or len(set(ids)) != len(ids):
        yield f"panel ids are not unique: {ids}"


def grid_without_overlap(dashboard):
    taken = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        if place["x"] < 0 or place["x"] + place["w"] > 24:
            yield f"{panel['title']}: beyond the 24 columns"
        for cell in [(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])]:
            if taken.setdefault(cell, panel["title"]) != panel["title"]:
                yield f"{panel['title']}: over {taken[cell]}"
                break


def variables_are_defined(dashboard):
    defined = {v["name"] for v in variables(dashboard)} | GRAFANA_VARIABLES
    queries = list(targets(dashboard)) + [(v["name"], v["query"]["query"]) for v in variables(dashboard, "query")]
    for where, expr in queries:
        yield from (f"{where}: ${name}" for name in promql.variables(expr) - defined)
    used = set().union(*(promql.variables(json.dumps(what)) for what in dashboard["panels"] + variables(dashboard)))
    yield from (f"${v['name']} is never used" for v in variables(dashboard) if v["name"] not in used)


def top_n_by_variable(dashboard):
    for where, expr in targets(dashboard):
        yield from (f"{where}: topk({n})" for n in re.findall(r"topk(?: by \([^)]*\))? ?\(\s*([^,]+),", expr) if n not in ("$top", "1"))


def target_cluster(dashboard):
    yield from target_label(dashboard, "cluster")


def fleet_asks_recorded_series(dashboard):
    """A thousand hosts' raw series are too many; up and ALERTS are as few as recorded ones."""
    if dashboard["uid"] != "vcpu-fleet":
        return
    variables_ask = [(v["name"], re.sub(r"^label_values\(|, \w+\)$", "", v["query"]["query"])) for v in variables(dashboard, "query")]
    for where, expr in list(targets(dashboard)) + variables_ask:
        yield from (f"{where}: {metric}" for metric, *_ in promql.selectors(expr) if ":" not in metric and metric not in ("up", "ALERTS"))


def links(what):
    """Every link in a panel or dashboard."""
    if isinstance(what, dict):
        if what.get("url"):
            yield what
        what = list(what.values())
    if isinstance(what, list):
        for part in what:
            yield from links(part)


def parts(what, name):
    """Everything of that name, however deep."""
    if isinstance(what, dict):
        if name in what:
            yield what[name]
        what = list(what.values())
    if isinstance(what, list):
        for part in what:
            yield from parts(part, name)


def links_lead_to_dashboards(dashboard, uids):
    for url in sorted({link["url"] for link in links(dashboard)}):
        if not (uid := re.match(r"/d/([\w-]+)\?", url)) or uid[1] not in uids:
            yield f"no such dashboard: {url}"
        elif "${__url_time_range}" not in url or "${datasource:queryparam}" not in url:
            yield f"loses the time or the data source: {url}"


def links_name_columns(dashboard):
    """A link of a table takes its values from columns that the table has."""
    for panel in panels(dashboard):
        organized = [t["options"]["renameByName"].values() for t in panel.get("transformations", []) if t["id"] == "organize"]
        for link in links(panel):
            for name in re.findall(r'__data\.fields(?:\.(\w+)|\["([^"]+)"\])', link["title"] + link["url"]):
                if not any("".join(name) in columns for columns in organized):
                    yield f"{panel['title']}: links by column {''.join(name)!r}, which it has not"


def links_follow_their_row(dashboard):
    """A row is of one host; several may be chosen."""
    yield from (f"{panel['title']}: {link['url']}" for panel in panels(dashboard) for link in links(panel)
                if re.search(r"var-(?:instance|domain)=\$\{(?!__)", link["url"]))


TEACHING = re.compile(r"(?P<shows>.+\.)\n\n\*\*Good:\*\* (?P<good>.+\.)\n\n\*\*Bad:\*\* (?P<bad>.+\.)")


def descriptions_teach(dashboard):
    """What is shown, what good looks like, what is bad: each in sentences."""
    for panel in panels(dashboard):
        told = TEACHING.fullmatch(panel["description"])
        if not told or len(told["shows"].split()) < 4 or len(told["bad"].split()) < 3:
            yield f"{panel['title']}: does not say what it shows, what is good, what is bad"


def limits_drawn(panel):
    """(limit, unit) of every colour and line of a panel, its columns included."""
    settings = [panel["fieldConfig"]["defaults"]]
    settings += [{p["id"]: p["value"] for p in o["properties"]} for o in panel["fieldConfig"]["overrides"]]
    for setting in settings:
        for step in setting.get("thresholds", {}).get("steps", []):
            if step["value"] is not None:
                yield step["value"], setting.get("unit")


def spellings(value, unit):
    """5%, 1 MiB, 50 ms, 2.5; one is also any."""
    scales = {"percentunit": [(100, "%")], "s": [(1, " s"), (1000, " ms")], "Bps": [(2**-20, " MiB")], "bytes": [(2**-20, " MiB")]}
    return [f"{value * scale:g}{name}" for scale, name in scales.get(unit, [(1, "")])] + ["any"] * (value == 1)


def limits_drawn_are_told(dashboard):
    """From when on it is bad, in figures."""
    for panel in panels(dashboard):
        told = panel["description"].partition("**Good:**")[2]
        for value, unit in limits_drawn(panel):
            if not any(re.search(rf"(?<![\w.]){re.escape(text)}(?!\w|\.\d)", told) for text in spellings(value, unit)):
                yield f"{panel['title']}: draws {' or '.join(spellings(value, unit))} and does not say so"


LINTER = [template_datasource_rule, template_job_rule, template_instance_rule, template_label_promql_rule,
          template_on_time_change_reload_rule, panel_datasource_rule, panel_title_description_rule, panel_units_rule,
          panel_no_targets_rule, target_promql_rule, target_rate_interval_rule, target_job_rule, target_instance_rule,
          target_counter_agg_rule, uneditable_dashboard]
OURS = [drawable_panels, fixed_identity, grid_without_overlap, variables_are_defined, top_n_by_variable, target_cluster,
        fleet_asks_recorded_series, links_name_columns, links_follow_their_row, descriptions_teach, limits_drawn_are_told]

# SPDX-License-Identifier: Apache-2.0
"""What a click on a table's row leads to: the dashboard and its variables, as Grafana fills a link in."""
import re
import urllib.parse


def columns(panel):
    """The label or the value of each column that a table has, by its title."""
    organized = [t["options"]["renameByName"] for t in panel["transformations"] if t["id"] == "organize"]
    return {title: field for renamed in organized for field, title in renamed.items()}


def link_of(panel, column):
    properties = [p for o in panel["fieldConfig"]["overrides"] if o["matcher"]["options"] == column for p in o["properties"]]
    return next(p["value"][0]["url"] for p in properties if p["id"] == "links")


def linked_columns(panel):
    overrides = panel["fieldConfig"].get("overrides", []) if panel["type"] == "table" else []
    return [o["matcher"]["options"] for o in overrides if any(p["id"] == "links" for p in o["properties"])]


def click(panel, column, labels, chosen):
    """(uid of the dashboard, its variables) that a click on this column of the row with these labels leads to."""
    cells = {title: labels.get(field, "") for title, field in columns(panel).items()}
    url = link_of(panel, column)
    url = re.sub(r'\$\{__data\.fields\["([^"]+)"\]:percentencode\}', lambda found: urllib.parse.quote(cells[found[1]], safe=""), url)
    url = re.sub(r"\$\{(\w+):queryparam\}", lambda found: f"var-{found[1]}={urllib.parse.quote(chosen.get(found[1], ''))}", url)
    page = urllib.parse.urlsplit(url.replace("&${__url_time_range}", ""))
    given = urllib.parse.parse_qs(page.query, keep_blank_values=True)
    return page.path.removeprefix("/d/"), {name.removeprefix("var-"): values[0] for name, values in given.items()}

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Renders the shipped templates with amtool for every kind of notification. Prints "ok|not ok|skip" lines.

Usage: templates.py DIRECTORY   where the *.tmpl are
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from notifications import TITLED

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from outcome import failed, report  # noqa: E402


def rendered(directory, template, group):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as data:
        json.dump(group, data)
        data.flush()
        done = subprocess.run(["amtool", "template", "render", f"--template.glob={directory}/*.tmpl", f"--template.data={data.name}",
                               f'--template.text={{{{ template "{template}" . }}}}'], text=True, capture_output=True)
    return done.stdout if done.returncode == 0 else done.stderr


def paragraph(alert):
    """What is to be said of one alert, apart from its heading."""
    labels, annotations = alert["labels"], alert["annotations"]
    resolved = ", resolved" if alert["status"] == "resolved" else ""
    return [f"{labels['alertname']} ({labels['severity']}{resolved}): ", f"\n{annotations['description']}\n",
            f"\nRunbook: {annotations['runbook_url']}\n", f"\nDashboard: {annotations['dashboard_url']}\n"]


def problems_of(directory, group, title):
    if (said := rendered(directory, "vcpu.title", group)) != title:
        yield f"title: {said}"
    paragraphs = rendered(directory, "vcpu.text", group).split("\n\n")
    if [text for text in paragraphs if not text.strip()] != paragraphs[len(group["alerts"]):]:
        yield f"text: {len(group['alerts'])} alerts in {paragraphs}"
    for alert, text in zip(group["alerts"], paragraphs):
        yield from (f"text: no {words!r} in {text}" for words in paragraph(alert) if words not in text + "\n")
    # Alone it is told as its title tells it.
    if len(group["alerts"]) == 1 and title.split(": ")[1] not in paragraphs[0]:
        yield f"text: not about {title}: {paragraphs[0]}"
    if (said := rendered(directory, "vcpu.dashboard", group)) != group["alerts"][0]["annotations"]["dashboard_url"]:
        yield f"dashboard: {said}"


def main(directory):
    for what, (group, title) in TITLED.items():
        if shutil.which("amtool"):
            report(f"templates: {what}", list(problems_of(directory, group, title)))
        else:
            print(f"skip templates: {what}: amtool is not installed")


main(sys.argv[1])
sys.exit(failed())

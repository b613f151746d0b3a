#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sends alerts to a real Alertmanager with our configuration and looks at which ones it mutes and what arrives.

Usage: inhibition.py alertmanager.yml
"""
import json
import os
import pathlib
import queue
import sys
import tempfile

from alertmanager import ALERTMANAGER, Alertmanager, key, until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from outcome import failed, report  # noqa: E402
import loopback  # noqa: E402


class Webhook:
    """Stands for the pager and the ticket system; keeps (path, notification) of what it was sent."""

    def __init__(self):
        received = self.received = queue.Queue()

        class Handler(loopback.Handler):
            def do_POST(self):
                received.put((self.path, json.loads(self.sent())))
                self.answer()

        self.address = loopback.Server(Handler).address


def alert(name, severity, instance, **labels):
    return {"alertname": name, "severity": severity, "job": "vcpu_exporter", "instance": instance, **labels}


PATHS = {"critical": "/page", "warning": "/ticket"}
GROUPED_BY = {"/page": ("cluster", "instance"), "/ticket": ("alertname", "cluster", "instance", "domain")}
PAGED_TOGETHER = {"VcpuStealHigh", "VcpuStarved", "VcpuMemorySwapping"}

# Each instance is one situation: what is sent, and whether it is muted.
SITUATIONS = {
    "critical mutes the warning and info of its VM only": [
        (alert("VcpuStealHigh", "critical", "a:9752", domain="web"), False),
        (alert("VcpuStealHigh", "warning", "a:9752", domain="web"), True),
        (alert("VcpuStealHigh", "info", "a:9752", domain="web"), True),
        (alert("VcpuStealHigh", "warning", "a:9752", domain="db"), False),
        (alert("VcpuStealHigh", "warning", "a2:9752", domain="web"), False),
        (alert("VcpuQuotaThrottled", "warning", "a:9752", domain="web"), False),
    ],
    "a saturated host mutes the steal of its VMs only": [
        (alert("VcpuHostSaturated", "critical", "b:9752"), False),
        (alert("VcpuStealHigh", "critical", "b:9752", domain="web"), True),
        (alert("VcpuStealHigh", "warning", "b:9752", domain="db"), True),
        (alert("VcpuReserveExhausted", "warning", "b:9752"), True),
        (alert("VcpuThreadDensityHigh", "warning", "b:9752"), False),
        (alert("VcpuStealHigh", "critical", "b2:9752", domain="web"), False),
    ],
    "a lost exporter mutes everything else of its host only": [
        (alert("VcpuExporterDown", "critical", "c:9752"), False),
        (alert("VcpuStealHigh", "critical", "c:9752", domain="web"), True),
        (alert("VcpuThreadDensityHigh", "warning", "c:9752"), True),
        (alert("VcpuHostSaturated", "critical", "c:9752"), True),
        (alert("NodeDown", "critical", "c:9752"), False),
        (alert("VcpuExporterDown", "critical", "c2:9752"), False),
        (alert("VcpuStealHigh", "critical", "c:9752", domain="web", cluster="far"), False),
    ],
    "a host beyond the cliff mutes that it is dense": [
        (alert("VcpuThreadDensityCliff", "critical", "e:9752"), False),
        (alert("VcpuThreadDensityHigh", "warning", "e:9752"), True),
        (alert("VcpuThreadDensityHigh", "warning", "e2:9752"), False),
        (alert("VcpuStealHigh", "warning", "e:9752", domain="web"), False),
    ],
    "a disk that does not answer mutes that it is slow": [
        (alert("VcpuIoStalled", "warning", "f:9752", domain="web", device="vda"), False),
        (alert("VcpuIoLatencySurge", "warning", "f:9752", domain="web", device="vda"), True),
        (alert("VcpuIoLatencySurge", "warning", "f:9752", domain="web", device="vdb"), False),
        (alert("VcpuIoLatencySurge", "warning", "f:9752", domain="db", device="vda"), False),
    ],
    "what is critical about a host mutes no other": [
        (alert("VcpuStealHigh", "critical", "g:9752", domain="web", cluster="near"), False),
        (alert("VcpuStarved", "critical", "g:9752", domain="db", cluster="near"), False),
        (alert("VcpuMemorySwapping", "critical", "g:9752", cluster="near"), False),
        (alert("VcpuStarved", "critical", "g:9752", domain="db", cluster="far"), False),
    ],
    "a warning mutes nothing": [
        (alert("VcpuStealHigh", "warning", "d:9752", domain="web"), False),
        (alert("VcpuStealHigh", "info", "d:9752", domain="web"), False),
        (alert("VcpuThreadDensityHigh", "warning", "d:9752"), False),
    ],
}


def check_muting(alertmanager):
    for name, situation in SITUATIONS.items():
        alertmanager.send([{"labels": labels} for labels, _ in situation])
    expected = {key(labels): muted for situation in SITUATIONS.values() for labels, muted in situation}
    # Muting is decided when a group is notified, so the states settle a moment after the alerts came in.
    try:
        until(lambda: alertmanager.states() == expected, "states")
    except TimeoutError:
        pass
    states = alertmanager.states()
    for name, situation in SITUATIONS.items():
        wrong = [f"{labels} should be {'muted' if muted else 'heard'}"
                 for labels, muted in situation if states.get(key(labels)) != muted]
        report(f"inhibition: {name}", wrong)


def check_delivery(webhook):
    """Everything heard arrives at the receiver of its severity; nothing muted and no info arrives anywhere."""
    expected = {(PATHS[labels["severity"]], key(labels)) for situation in SITUATIONS.values()
                for labels, muted in situation if not muted and labels["severity"] in PATHS}
    arrived, groups = set(), []

    def all_arrived():
        while not webhook.received.empty():
            path, notification = webhook.received.get()
            arrived.update((path, key(a["labels"])) for a in notification["alerts"])
            groups.append((path, notification))
        return expected <= arrived

    try:
        until(all_arrived, "deliveries")
    except TimeoutError:
        pass
    missing, extra = expected - arrived, arrived - expected
    report("delivery: pages to the pager, tickets to the ticket system, the muted nowhere",
           [f"missing {sorted(missing)}, not expected {sorted(extra)}"] if missing or extra else [])
    check_grouping(groups)


def check_grouping(groups):
    """One page for all that is critical about a host, one ticket for each kind of alert of each VM."""
    problems = []
    for path, notification in groups:
        by = GROUPED_BY[path]
        wanted = [{name: alert["labels"][name] for name in by if name in alert["labels"]} for alert in notification["alerts"]]
        if any(labels != notification["groupLabels"] for labels in wanted):
            problems.append(f"{path}: {notification['groupLabels']} has {[alert['labels'] for alert in notification['alerts']]}")
    seen = [(path, key(notification["groupLabels"])) for path, notification in groups]
    problems += [f"{path}: {labels} came in several" for path, labels in sorted(set(seen)) if seen.count((path, labels)) > 1]
    together = [notification for path, notification in groups if path == "/page" and len(notification["alerts"]) == 3]
    if [{alert["labels"]["alertname"] for alert in notification["alerts"]} for notification in together] != [PAGED_TOGETHER]:
        problems.append("not one page with all that is critical about one host")
    report("grouping: a page for a host, a ticket for a kind of alert of a VM", problems)


def main(config_path):
    if not ALERTMANAGER:
        for name in ["inhibition", "delivery"]:
            print(f"skip {name}: no Alertmanager installed")
        return
    webhook = Webhook()
    with tempfile.TemporaryDirectory() as directory:
        config = open(config_path).read()
        fast = config.replace("localhost:9099", webhook.address).replace("group_wait: 30s", "group_wait: 1s")
        for change in ["localhost:9099", "group_wait: 30s"]:
            if change not in config:
                return report("inhibition", [f"{config_path} no longer contains '{change}'"])
        copy = os.path.join(directory, "alertmanager.yml")
        with open(copy, "w") as file:
            file.write(fast)
        alertmanager = Alertmanager(copy, directory)
        try:
            until(alertmanager.ready, "Alertmanager ready")
            check_muting(alertmanager)
            check_delivery(webhook)
        except (RuntimeError, TimeoutError, OSError) as problem:
            report("inhibition", [str(problem)])
        finally:
            alertmanager.stop()


main(sys.argv[1])
sys.exit(failed())

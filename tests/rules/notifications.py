# SPDX-License-Identifier: Apache-2.0
"""Notifications as Alertmanager makes them, and how each is headed whatever receiver it goes to."""


def alert(name="VcpuStealHigh", status="firing", **labels):
    return {"status": status, "labels": {"alertname": name, "severity": "critical", "instance": "kvm1:9752", **labels},
            "annotations": {"description": f"{labels.get('domain')} waits.", "runbook_url": f"https://runbooks/{name}.md",
                            "dashboard_url": "https://grafana/d/vcpu-vm?var-domain=web"}}


def group_of(*alerts, status="firing"):
    """Common is what all of them have."""
    common = dict(set.intersection(*({*one["labels"].items()} for one in alerts)))
    return {"version": "4", "status": status, "alerts": list(alerts), "groupLabels": {}, "commonLabels": common,
            "commonAnnotations": {}}


NOISY = {"domain": "web", "culprit": "batch", "culprit_kind": "domain"}
# {what: (notification, title)}
TITLED = {
    "a VM": (group_of(alert(domain="web")), "[FIRING:1] VcpuStealHigh: web on kvm1:9752"),
    "a VM and its culprit": (group_of(alert("VcpuNoisyNeighbour", **NOISY)),
                             "[FIRING:1] VcpuNoisyNeighbour: web on kvm1:9752, by VM batch"),
    "a host process as culprit": (group_of(alert("VcpuNoisyNeighbour", **{**NOISY, "culprit": "backup", "culprit_kind": "host"})),
                                  "[FIRING:1] VcpuNoisyNeighbour: web on kvm1:9752, by host process backup"),
    "a host": (group_of(alert("VcpuHostSaturated")), "[FIRING:1] VcpuHostSaturated: kvm1:9752"),
    "VMs of a host": (group_of(alert(domain="web"), alert(domain="db")), "[FIRING:2] VcpuStealHigh: kvm1:9752"),
    "all of a VM": (group_of(alert(domain="web"), alert("VcpuStarved", domain="web")), "[FIRING:2] vCPU alerts: web on kvm1:9752"),
    "several hosts": (group_of(alert(), alert(instance="kvm2:9752")), "[FIRING:2] VcpuStealHigh: several hosts"),
    "a VM that moved": (group_of(alert(domain="web"), alert(domain="web", instance="kvm2:9752")),
                        "[FIRING:2] VcpuStealHigh: web on several hosts"),
    "one of two resolved": (group_of(alert(domain="web"), alert(domain="db", status="resolved")),
                            "[FIRING:1] VcpuStealHigh: kvm1:9752"),
    "resolved": (group_of(alert(domain="web", status="resolved"), status="resolved"), "[RESOLVED] VcpuStealHigh: web on kvm1:9752"),
}

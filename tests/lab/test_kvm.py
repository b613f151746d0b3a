# SPDX-License-Identifier: Apache-2.0
"""KVM's statistics of a real KVM guest: debugfs, QEMU's query-stats, and what the exporter makes of them as nobody."""
import json
import sys

from lab_guest import HERE, LabTest

sys.path.append(str(HERE.parent / "live"))
from scrape import Page  # noqa: E402

NAME = "inner-kvm"
REASONS = {"halt": "halt_exits", "io": "io_exits", "mmio": "mmio_exits", "irq": "irq_exits",
           "irq_window": "irq_window_exits", "nmi_window": "nmi_window_exits", "hypercall": "hypercalls"}
USED = ["exits", *REASONS.values(), "halt_wait_ns", "halt_poll_success_ns", "halt_poll_fail_ns", "preemption_reported",
        "preemption_other", "directed_yield_attempted", "directed_yield_successful"]
ADDRESS = "127.0.0.1:9754"
TRUTH = f"""
        cd /sys/kernel/debug/kvm/$(cat /run/{NAME}.pid)-*
        for name in {' '.join(USED)}; do echo "$name $(cat $name)"; done
"""

STEPS = {
    "kvm_guest": f"""
        start_inner_guest {NAME} 1 2 idle -qmp tcp:127.0.0.1:4444,server=on,wait=off
        await_inner_guest {NAME}
        vcpu_exporter --no-libvirt --no-ebpf --web.listen-address={ADDRESS} 2>/run/kvm_exporter.log &
        echo $! >/run/kvm_exporter.pid
        await_seen {ADDRESS} /run/kvm_exporter.log {NAME}
    """,
    "kvm_rights": "grep -E '^(Uid|CapEff|CapPrm)' /proc/$(cat /run/kvm_exporter.pid)/status",
    "kvm_before": TRUTH,
    "kvm_page": f"wget -q -O - http://{ADDRESS}/metrics",
    "kvm_after": TRUTH,
    "kvm_query_stats": """
        { echo '{"execute":"qmp_capabilities"}'; echo '{"execute":"query-stats","arguments":{"target":"vcpu"}}'
          sleep 3; } | nc 127.0.0.1 4444
    """,
    "kvm_end": f"kill $(cat /run/kvm_exporter.pid) $(cat /run/{NAME}.pid)",
}


def truth(text):
    return {name: int(value) for name, value in (line.split() for line in text.splitlines() if line)}


class Kvm(LabTest):
    def test_1_exits_of_a_kvm_guest_are_told_as_debugfs_has_them(self):
        rights = self.output("kvm_rights")
        self.assertIn("Uid:\t65534", rights)
        self.assertIn("CapEff:\t0000000000000000", rights)
        before, page, after = truth(self.output("kvm_before")), Page(self.output("kvm_page")), truth(
            self.output("kvm_after"))
        self.assertGreater(before["exits"], 1000)
        for reason, name in REASONS.items():
            told = page.value("vcpu_kvm_exits_total", domain=NAME, reason=reason)
            self.assertIsNotNone(told, reason)
            self.assertLessEqual(before[name], told, reason)
            self.assertGreaterEqual(after[name], told, reason)
        whole = sum(sample.value for sample in page.named("vcpu_kvm_exits_total", domain=NAME))
        self.assertLessEqual(before["exits"], whole)
        self.assertGreaterEqual(after["exits"], whole)
        other = page.value("vcpu_kvm_exits_total", domain=NAME, reason="other")
        print(f"# exits of an idle guest with 2 vCPUs: {whole:.0f}, of no named reason {other:.0f}")
        preemptions = page.value("vcpu_kvm_preemptions_total", domain=NAME)
        self.assertLessEqual(before["preemption_reported"] + before["preemption_other"], preemptions)
        self.assertGreaterEqual(after["preemption_reported"] + after["preemption_other"], preemptions)
        yields = {sample.labels["result"]: sample.value
                  for sample in page.named("vcpu_kvm_directed_yields_total", domain=NAME)}
        self.assertEqual({"success", "fail"}, set(yields))
        for name, told in (("directed_yield_successful", yields["success"]),
                           ("directed_yield_attempted", sum(yields.values()))):
            self.assertLessEqual(before[name], told, name)
            self.assertGreaterEqual(after[name], told, name)
        print(f"# directed yields meanwhile: {before['directed_yield_attempted']} to {after['directed_yield_attempted']}")
        self.assertEqual(1, page.value("vcpu_source_available", source="kvm_statistics", reason=""))
        self.assertIn("debugfs does not", page.named("vcpu_source_available", source="kvm_halt_times")[0].labels["reason"])

    def test_2_qemu_knows_the_statistics_of_kvm_by_the_names_of_debugfs(self):
        answers = [json.loads(line) for line in self.output("kvm_query_stats").splitlines() if line.startswith("{")]
        vcpus, = [answer["return"] for answer in answers if answer.get("return")]
        self.assertEqual(2, len(vcpus))
        sums = {}
        for vcpu in vcpus:
            stats = {stat["name"]: stat["value"] for stat in vcpu["stats"]}
            self.assertLessEqual(set(USED), set(stats))
            for name in USED:
                sums[name] = sums.get(name, 0) + stats[name]
        # debugfs was read before.
        for name, value in truth(self.output("kvm_after")).items():
            self.assertGreaterEqual(sums[name], value, name)

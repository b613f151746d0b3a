# SPDX-License-Identifier: Apache-2.0
"""Quota and pressure of a real KVM guest in groups of cgroup version 2, made as libvirt makes them."""
import sys

from lab_guest import HERE, LabTest

sys.path.append(str(HERE.parent / "live"))
from scrape import Findings, Page  # noqa: E402

NAME = "inner-quota"
GROUPS = """
        scope='/sys/fs/cgroup/machine.slice/machine-qemu\\x2d1\\x2dinner.scope'
        vcpu0=$scope/libvirt/vcpu0
        address=127.0.0.1:9753
"""
TRUTH = GROUPS + """
        echo "throttled $(awk '/^throttled_usec / { print $2 }' $vcpu0/cpu.stat)"
        for resource in cpu memory io; do
          sed -n "s/^\\([a-z]*\\) .*total=/domain $resource \\1 /p" $scope/$resource.pressure
          sed -n "s/^\\([a-z]*\\) .*total=/host $resource \\1 /p" /proc/pressure/$resource
        done
"""

STEPS = {
    "cgroup_guest": f"start_inner_guest {NAME} 1 1 spin; await_inner_guest {NAME}",
    # A domain for the VM, the threads in threaded groups below `libvirt`.
    "cgroup_groups": GROUPS + f"""
        pid=$(cat /run/{NAME}.pid)
        echo +cpu >/sys/fs/cgroup/cgroup.subtree_control
        mkdir -p $vcpu0 $scope/libvirt/emulator
        echo +cpu >/sys/fs/cgroup/machine.slice/cgroup.subtree_control
        echo +cpu >$scope/cgroup.subtree_control
        echo $pid >$scope/libvirt/cgroup.procs
        echo threaded >$vcpu0/cgroup.type
        echo threaded >$scope/libvirt/emulator/cgroup.type
        echo +cpu >$scope/libvirt/cgroup.subtree_control
        for task in /proc/$pid/task/*; do
          group=emulator
          grep -q '^CPU 0/KVM' $task/comm && group=vcpu0
          echo ${{task##*/}} >$scope/libvirt/$group/cgroup.threads
        done
        vcpu_exporter --no-libvirt --web.listen-address=$address 2>/run/cgroup_exporter.log &
        echo $! >/run/cgroup_exporter.pid
        await_seen $address /run/cgroup_exporter.log {NAME}
    """,
    "cgroup_free_page": GROUPS + "wget -q -O - http://$address/metrics",
    "cgroup_limit": GROUPS + """
        echo "20000 100000" >$vcpu0/cpu.max
        is_enough() { [ "$(awk '/^throttled_usec / { print $2 }' $vcpu0/cpu.stat)" -ge 3000000 ]; }
        await 40 is_enough
        # Quotas are not looked at in every scrape.
        is_told() { wget -q -O - http://$address/metrics | grep -q '^vcpu_domain_cpu_quota_cores'; }
        await 20 is_told
    """,
    "cgroup_before": TRUTH,
    "cgroup_page": GROUPS + "wget -q -O - http://$address/metrics",
    "cgroup_after": TRUTH,
    "cgroup_end": f"kill $(cat /run/cgroup_exporter.pid) $(cat /run/{NAME}.pid)",
}


def truth(text):
    """{(whose, resource, kind) or (throttled,): seconds}"""
    rows = [line.split() for line in text.splitlines() if line]
    return {tuple(key): int(microseconds) / 1e6 for *key, microseconds in rows}


class Cgroup(LabTest):
    def test_1_the_quota_of_a_kvm_vcpu_is_told_as_cpu_stat_does(self):
        free, page = Page(self.output("cgroup_free_page")), Page(self.output("cgroup_page"))
        self.assertEqual([], free.named("vcpu_domain_cpu_quota_cores"))
        self.assertEqual([], free.named("vcpu_throttled_seconds_total"))
        self.assertEqual(100, page.value("vcpu_domain_cpu_weight", domain=NAME))
        self.assertEqual(0.2, page.value("vcpu_domain_cpu_quota_cores", domain=NAME))
        before, after = truth(self.output("cgroup_before")), truth(self.output("cgroup_after"))
        vcpu = page.value("vcpu_throttled_seconds_total", domain=NAME, vcpu="0")
        vm = page.value("vcpu_domain_throttled_seconds_total", domain=NAME)
        print(f"# throttled_usec {before['throttled',]:.3f} s before, {vcpu:.3f} s on the page, "
              f"{after['throttled',]:.3f} s after")
        for told in (vcpu, vm):
            self.assertLessEqual(before["throttled",] - 1e-6, told)
            self.assertGreaterEqual(after["throttled",] + 1e-6, told)
        findings = Findings({(NAME, 0)})
        findings.check(free)
        findings.check(page)
        self.assertEqual([], findings.problems)
        self.assertEqual(1, page.value("vcpu_source_available", source="vm_cpu_cgroup"))

    def test_2_the_pressure_of_the_guest_and_of_the_host_are_the_kernels(self):
        page = Page(self.output("cgroup_page"))
        before, after = truth(self.output("cgroup_before")), truth(self.output("cgroup_after"))
        self.assertGreater(before["domain", "cpu", "some"], 2)
        for whose, resource, kind in (key for key in before if len(key) == 3):
            told = page.value(f"vcpu_{whose}_pressure_seconds_total", resource=resource, kind=kind)
            if (whose, resource, kind) == ("host", "cpu", "full"):
                self.assertIsNone(told)
                continue
            self.assertIsNotNone(told, f"{whose} {resource} {kind}")
            self.assertLessEqual(before[whose, resource, kind] - 1e-6, told)
            self.assertGreaterEqual(after[whose, resource, kind] + 1e-6, told)
        for source in ("pressure", "vm_pressure"):
            self.assertEqual(1, page.value("vcpu_source_available", source=source))

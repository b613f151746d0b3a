# SPDX-License-Identifier: Apache-2.0
"""What collectors host and security say of a real KVM host, beside what its kernel says: machine checks, KVM, verdicts."""
import sys

from lab_guest import HERE, LabTest

sys.path.append(str(HERE.parent / "live"))
from scrape import Page  # noqa: E402

STEPS = {
    "posture_page": "vcpu_exporter --once --no-libvirt --no-ebpf",
    "posture_truth": """
        for name in npt avic nested sev; do
          [ ! -e /sys/module/kvm_amd/parameters/$name ] || echo "$name $(cat /sys/module/kvm_amd/parameters/$name)"
        done
        for flag in svm smep smap; do
          grep -m1 -q "^flags.* $flag\\( \\|$\\)" /proc/cpuinfo && echo "$flag 1" || echo "$flag 0"
        done
        echo "smt $(cat /sys/devices/system/cpu/smt/active)"
        awk '$1 == "MCE:" { for (i = 2; i <= NF; ++i) sum += $i; print "MCE", sum }' /proc/interrupts
        for file in /sys/devices/system/cpu/vulnerabilities/*; do
          echo "verdict ${file##*/} $(cat $file)"
        done
    """,
}

FEATURES = {"npt": "ept_or_npt", "avic": "apicv_or_avic", "nested": "nested", "sev": "sev",
            "svm": "vmx_or_svm", "smep": "smep", "smap": "smap", "smt": "smt"}
STATUS = {"Not": "not_affected", "Mitigation:": "mitigated", "Vulnerable": "vulnerable", "Vulnerable:": "vulnerable"}


class Posture(LabTest):
    def truth(self):
        return [line.split(" ", 1) for line in self.output("posture_truth").splitlines() if " " in line]

    def test_1_posture_security_features_are_what_kvm_and_the_cpu_say(self):
        page, truth = Page(self.output("posture_page")), dict(self.truth())
        self.assertIn("npt", truth)
        for name, feature in FEATURES.items():
            if name in truth:
                told = page.value("vcpu_host_security_feature", feature=feature)
                self.assertEqual(truth[name] in ("Y", "1"), told == 1, f"{feature}: {truth[name]}, but {told}")
                self.assertIsNotNone(told, feature)

    def test_2_posture_verdicts_on_vulnerabilities_are_the_kernels(self):
        page = Page(self.output("posture_page"))
        verdicts = [rest.split() for key, rest in self.truth() if key == "verdict"]
        self.assertGreater(len(verdicts), 5)
        for name, first, *_ in verdicts:
            expected = STATUS.get(first)
            told = [sample.labels["status"] for sample in page.named("vcpu_host_vulnerability")
                    if sample.labels["name"] == name]
            self.assertEqual([expected] if expected else [], told, f"{name}: {first}")

    def test_3_posture_machine_checks_are_counted_and_what_the_machine_lacks_is_named(self):
        page = Page(self.output("posture_page"))
        counted = dict(self.truth()).get("MCE")
        print(f"# machine checks: {counted}")
        self.assertEqual(None if counted is None else float(counted), page.value("vcpu_host_machine_checks_total"))
        self.assertEqual(counted is not None, page.value("vcpu_source_available", source="machine_checks") == 1)
        self.assertEqual(2, page.value("vcpu_host_packages"))
        for source in ("cpu_temperature", "cpu_frequency", "cpu_throttles"):
            self.assertEqual(0, page.value("vcpu_source_available", source=source), source)

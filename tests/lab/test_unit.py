# SPDX-License-Identifier: Apache-2.0
"""The tests of the eBPF programs (tests/collectors/runqueue_test.cpp, tests/inventory) on Debian's kernel."""
import pathlib
import re

from lab_guest import LabTest, fake_vmm_beside

# With the CPUs of a common machine; what lasts long is a step of its own. Left out are shares within 5 % of a clock, which an
# emulated machine does not hold, and threads of SCHED_FIFO, which lock it up.
RUN = "taskset -c 0,1 vcpu_tests --gtest_color=no --gtest_filter='{}' || true"
FILTERS = {
    "unit_quota": "RunqueueQuota.IsACulpritOfItsOwn:RunqueueQuota.OfTheWholeVm*",
    "unit_sums": "Runqueue.Every*:Runqueue.AVcpu*:Runqueue.OnRequest*:RunqueuePlaces*",
    "unit_vhost": "Runqueue.AVhost*",
}
STEPS = {
    # Where the tests were built to look for it.
    "unit_fake_vmm": 'mkdir -p "$(dirname "$(cat /fake_vmm_path)")"; ln -s /usr/bin/fake_vmm "$(cat /fake_vmm_path)"',
} | {name: RUN.format(tests) for name, tests in FILTERS.items()}
MODULES = ["vhost_net"]
SECONDS = 170


def prepare(initrd, exporter, _work):
    initrd.add_program(pathlib.Path(exporter).resolve().with_name("vcpu_tests"), "/usr/bin/vcpu_tests")
    initrd.add("/fake_vmm_path", str(fake_vmm_beside(exporter)))


class Unit(LabTest):
    def assert_all_passed(self, step):
        self.output("unit_fake_vmm")
        output = self.output(step)
        results = re.findall(r"^\[ +(OK|FAILED|SKIPPED) +\] (\S+) \(\d+ ms\)$", output, re.MULTILINE)
        self.assertNotEqual([], results, output[-600:])
        self.assertEqual(set(), {(name, how) for how, name in results if how != "OK"}, output[-1200:])
        # One that crashes prints no result.
        self.assertRegex(output, rf"\[==========\] {len(results)} tests? from .* ran\.")

    def test_1_unit_a_quota_is_a_culprit_on_6_1(self):
        self.assert_all_passed("unit_quota")

    def test_2_unit_each_nanosecond_of_run_delay_is_charged_on_6_1(self):
        self.assert_all_passed("unit_sums")

    def test_3_unit_a_thread_of_vhost_is_overhead_on_6_1(self):
        self.assert_all_passed("unit_vhost")

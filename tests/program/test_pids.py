# SPDX-License-Identifier: Apache-2.0
"""Pids and tids that come again, in a small pid namespace, and where eBPF tells more than /proc: nobody gets another's
figures."""
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import unittest

from pid_namespace import LAST_PID, at_pid
from program import AS_ROOT, Exporter, FakeVm, decreased, exporter_path, wait_for

HERE = pathlib.Path(__file__).resolve().parent


@unittest.skipUnless(AS_ROOT and shutil.which("unshare"), "only root makes pid namespaces")
class PidsThatComeAgain(unittest.TestCase):
    def inside(self, what):
        """In a namespace of its own, whose processes end with the first of them."""
        done = subprocess.run(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-B",
             HERE / "pid_namespace.py", pathlib.Path(exporter_path()).parent, what],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-1500:])

    def test_counters_do_not_fall_while_pids_wrap_around(self):
        release = tuple(int(part) for part in platform.release().split(".")[:2])
        if release < (6, 14):
            self.skipTest("before Linux 6.14 pid_max is the whole host's")
        self.inside("wrap")

    def test_a_vm_with_the_pid_and_the_name_of_another_has_figures_of_its_own(self):
        if not pathlib.Path("/proc/sys/kernel/ns_last_pid").exists():
            self.skipTest("this kernel does not let the next pid be chosen")
        self.inside("again")


def tid_of(vm, thread):
    tasks = pathlib.Path(f"/proc/{vm.pid}/task")
    tid, = [int(task.name) for task in tasks.iterdir() if (task / "comm").read_text() == f"{thread}\n"]
    return tid


def figures(page, domain):
    """(steal by the kernel's run_delay, waits in the histogram, time stolen by all culprits), in seconds."""
    return tuple(sum(sample.value for sample in page.named(name, domain=domain)) for name in (
        "vcpu_steal_seconds_total", "vcpu_runqueue_latency_seconds_sum", "vcpu_stolen_by_seconds_total"))


@unittest.skipUnless(AS_ROOT and LAST_PID.exists(), "nobody but root chooses the next pid, if the kernel lets anybody")
class AccountsOfTidsThatComeAgain(unittest.TestCase):
    def setUp(self):
        self.exporter = self.enterContext(Exporter("--no-libvirt"))
        runqueue, = self.exporter.page().named("vcpu_source_available", source="runqueue")
        if not runqueue.value:
            self.skipTest(runqueue.labels["reason"])
        allowed = os.sched_getaffinity(0)
        self.addCleanup(os.sched_setaffinity, 0, allowed)
        os.sched_setaffinity(0, {max(allowed)})  # Theirs as well, so that they wait for each other.

    def spin(self, *vms):
        for vm in vms:
            vm.process.stdin.write(b"spin 20\n")
            vm.process.stdin.flush()
        for vm in vms:
            wait_for(lambda vm=vm: vm.process.stdout.readline() == b"done\n", "the VM to have spun")

    def test_a_vcpu_with_the_tid_of_another_vms_has_waits_of_its_own(self):
        vms = [self.enterContext(FakeVm(f"swap-{number}")) for number in (0, 1)]
        page = self.exporter.page_with(4, "swap-")
        seen, begin, swapped = {}, {vm: figures(page, vm.name.decode()) for vm in vms}, 0
        while swapped < 6:
            self.spin(*vms)
            page = self.exporter.page_with(4, "swap-")
            tids = [tid_of(vm, "CPU 1/KVM") for vm in vms]
            for vm, tid in zip(vms, tids):
                vm.tell("remove CPU 1/KVM")
                # Who has joined a thread may be faster than its end.
                thread = pathlib.Path(f"/proc/{vm.pid}/task/{tid}")
                wait_for(lambda thread=thread: not thread.exists(), "the thread to end")
            for vm, tid in zip(vms, reversed(tids)):
                at_pid(tid, lambda vm=vm: vm.tell("add CPU 1/KVM"))
                # Who else starts something takes one now and then.
                swapped += tid_of(vm, "CPU 1/KVM") == tid
            page = self.exporter.page_with(4, "swap-")
            self.assertEqual(decreased(seen, page.totals()), [])
            seen.update(page.totals())
            for vm in vms:
                steal, *others = [now - then for now, then in zip(figures(page, vm.name.decode()), begin[vm])]
                for other in others:
                    self.assertAlmostEqual(other, steal, delta=1e-5, msg=vm.name)
        self.assertGreater(steal, 0.02)

    @staticmethod
    def at_very_pid(pid, name):
        """None where somebody else has got the pid."""
        vm = at_pid(pid, lambda: FakeVm(name))
        if vm.pid == pid:
            return vm
        vm.kill()
        return None

    def test_a_vm_with_the_pid_of_another_has_not_taken_what_that_one_took(self):
        victim, first = (self.enterContext(FakeVm(f"rob-{name}")) for name in ("victim", "first"))
        begin = figures(self.exporter.page_with(4, "rob-"), "rob-victim")
        for _ in range(10):
            self.spin(victim, first)
        first.kill()
        self.enterContext(wait_for(lambda: self.at_very_pid(first.pid, "rob-second"), "the pid to be given again"))
        page = wait_for(lambda: (page := self.exporter.page()).vcpus("rob-second") and page, "the second to be seen")
        taken = {culprit: page.value("vcpu_stolen_by_seconds_total", domain="rob-victim", culprit=culprit,
                                     culprit_kind="domain") or 0 for culprit in ("rob-first", "rob-second", "other")}
        self.assertGreater(taken["rob-first"] + taken["other"], 0.05, taken)
        self.assertLess(taken["rob-second"], 0.01, taken)
        steal, *others = [now - then for now, then in zip(figures(page, "rob-victim"), begin)]
        for other in others:
            self.assertAlmostEqual(other, steal, delta=1e-5)

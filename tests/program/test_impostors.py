# SPDX-License-Identifier: Apache-2.0
"""An ordinary user who starts what looks like VMs: he is told by his uid, and has no more than his share."""
import contextlib
import os
import pathlib
import shutil
import unittest

from program import AS_ROOT, Exporter, FakeVm, fake_vmm_path, scratch_directory, wait_for

NOBODY = 65534
UUID = "12345678-1234-1234-1234-123456789abc"
USER_VMS = 256
USER_THREADS = 4096


def uids(page, prefix):
    """{domain: uid} of the domains whose name begins so."""
    return {sample.labels["domain"]: sample.labels["uid"] for sample in page.named("vcpu_domain_info")
            if sample.labels["domain"].startswith(prefix)}


def dropped(page, reason):
    return page.value("vcpu_series_dropped_total", reason=reason) or 0


def memory_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


def room_for_tasks():
    """How many tasks can be started without anybody else coming short of pids."""
    most = int(pathlib.Path("/proc/sys/kernel/pid_max").read_text())
    tasks = int(pathlib.Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    return most - tasks - 5000


@unittest.skipUnless(AS_ROOT, "only root can start processes as another user")
class Impostors(unittest.TestCase):
    def test_an_impostor_is_told_by_his_uid(self):
        with FakeVm("bank"), FakeVm("bank", user=NOBODY), Exporter() as exporter:
            exporter.page_with(4, "bank@")
            self.assertEqual(sorted(uids(exporter.page(), "bank").values()), ["0", str(NOBODY)])

    def test_an_impostor_by_a_set_uid_program_is_told_and_hides_nobody(self):
        set_uid = scratch_directory() / "vmm"
        shutil.copy(fake_vmm_path(), set_uid)
        set_uid.chmod(0o4755)
        options = ("-uuid", UUID)
        impostor = self.enterContext(FakeVm("bank", options=options, user=NOBODY, program=set_uid))
        if os.stat(f"/proc/{impostor.pid}").st_uid != 0:
            self.skipTest("no set-uid programs in /tmp")
        self.enterContext(FakeVm("bank", options=options))
        for flags in ((), ("--no-ebpf",)):
            with self.subTest(flags=flags), Exporter(*flags) as exporter:
                page = exporter.page_with(4, "bank")
                self.assertEqual(sorted(uids(page, "bank").values()), ["0", str(NOBODY)])
                self.assertEqual(len({domain for domain, _ in page.vcpus("bank")}), 2)


@unittest.skipUnless(AS_ROOT, "only root can start processes as another user")
class Crowds(unittest.TestCase):
    """Of an ordinary user; beside it a VM of root's that has to be seen all the while."""

    def watch(self, exporter, shown, *left_out):
        """Some pages once there are `shown` domains of the crowd; each leaves out so many more VMs for each reason."""
        settled = wait_for(lambda: self.settled(exporter, shown), f"{shown} VMs of the crowd", timeout=40)
        for _ in range(3):
            page = exporter.page()
            self.assertEqual(page.vcpus("genuine"), {("genuine", 0), ("genuine", 1)})
            self.assertEqual(len(uids(page, "crowd")), shown)
            for reason, vms in left_out:
                self.assertEqual(dropped(page, reason) - dropped(settled, reason), vms, reason)
            [source] = page.named("vcpu_source_available", source="all_vms")
            self.assertEqual(source.value, 0)
            self.assertIn("--limit", source.labels["reason"])
            self.assertEqual({name for name, success in page.collectors().items() if not success}, set())
            settled = page
        return settled

    def settled(self, exporter, shown):
        """A page, once two in a row leave out equally many: command lines come one by one."""
        before, page = (exporter.page() for _ in range(2))
        after = exporter.page()
        counts = [sum(dropped(one, reason) for reason in ("user_vm_limit", "user_thread_limit"))
                  for one in (before, page, after)]
        return (len(uids(after, "crowd")) == shown and counts[2] - counts[1] == counts[1] - counts[0]
                and len(after.vcpus("genuine")) == 2 and after)

    def test_of_six_hundred_vms_of_one_user_256_are_shown(self):
        crowd = 600
        if room_for_tasks() < 3 * crowd:
            self.skipTest("there are too few pids left for a crowd")
        with contextlib.ExitStack() as stack, Exporter() as exporter:
            for number in range(crowd):
                stack.enter_context(FakeVm(f"crowd-{number}", ["CPU 0/KVM"], user=NOBODY))
            stack.enter_context(FakeVm("genuine"))
            page = self.watch(exporter, USER_VMS, ("user_vm_limit", crowd - USER_VMS))
            self.assertEqual(set(uids(page, "crowd").values()), {str(NOBODY)})

    def test_of_thirty_thousand_threads_of_one_user_4096_are_shown_at_most(self):
        threads = 800
        # As many as the kernel has pids for here; with one process that alone has more than is shown of all.
        vms = min(25, (room_for_tasks() - USER_THREADS) // threads)
        if vms < 8:
            self.skipTest("there are too few pids left for a crowd")
        with contextlib.ExitStack() as stack, Exporter() as exporter, Exporter("--no-ebpf") as without_ebpf:
            before = memory_kib(exporter.pid)
            stack.enter_context(FakeVm("crowd-big", ["CPU 0/KVM"] * (USER_THREADS + 1), user=NOBODY))
            for number in range(vms):
                names = [f"CPU {vcpu}/KVM" for vcpu in range(threads)]
                stack.enter_context(FakeVm(f"crowd-{number}", names, user=NOBODY))
            stack.enter_context(FakeVm("genuine"))
            shown = USER_THREADS // (threads + 1)
            for one in (exporter, without_ebpf):
                page = self.watch(one, shown, ("user_thread_limit", vms + 1 - shown))
                self.assertEqual(len(page.vcpus("crowd")), shown * threads)
            # What it takes to make such a page, and not what the crowd would take.
            self.assertLess(memory_kib(exporter.pid) - before, 200 * 1024)

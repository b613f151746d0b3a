# SPDX-License-Identifier: Apache-2.0
"""An ordinary user who starts what looks like VMs: he is told by his uid, and has no more than his share."""
import contextlib
import os
import pathlib
import shutil
import signal
import time
import unittest

from program import AS_ROOT, Exporter, FakeVm, decreased, fake_vmm_path, scratch_directory, wait_for

NOBODY = 65534
ANOTHER = 65533  # An ordinary user as well.
UUID = "12345678-1234-1234-1234-123456789abc"
USER_VMS = 256
USER_THREADS = 4096

MANY_THREADS = 100_000
KIB_PER_THREAD = 64  # What the kernel and a process take for one, and more.
PID_MAX = pathlib.Path("/proc/sys/kernel/pid_max")


def uids(page, prefix):
    """{domain: uid} of the domains whose name begins so."""
    return {sample.labels["domain"]: sample.labels["uid"] for sample in page.named("vcpu_domain_info")
            if sample.labels["domain"].startswith(prefix)}


def dropped(page, reason):
    return page.value("vcpu_series_dropped_total", reason=reason) or 0


def memory_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])


def cpu_seconds(pid):
    times = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def number_in(path):
    return int(pathlib.Path(path).read_text().split()[0])


def tasks_now():
    return int(pathlib.Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


def room_for_tasks():
    """How many tasks can be started without anybody else coming short of pids."""
    return number_in(PID_MAX) - tasks_now() - 5000


def missing_for(threads):
    """What the machine has too little of for so many threads more; None where it has all."""
    if number_in("/proc/sys/kernel/threads-max") < tasks_now() + threads + 5000:
        return "the kernel allows too few threads (kernel.threads-max)"
    meminfo = pathlib.Path("/proc/meminfo").read_text()
    available = int(meminfo.partition("MemAvailable:")[2].split()[0])
    return "there is too little memory" if available < threads * KIB_PER_THREAD else None


@unittest.skipUnless(AS_ROOT, "only root can start processes as another user")
class Impostors(unittest.TestCase):
    def test_an_impostor_is_told_by_his_uid(self):
        with FakeVm("bank", user=NOBODY) as impostor, FakeVm("bank"), Exporter() as exporter:
            self.assertEqual(uids(exporter.page_with(4, "bank"), "bank"),
                             {"bank": "0", f"bank@{impostor.pid}": str(NOBODY)})

    def test_an_impostor_changes_neither_label_nor_counters_of_the_vm_he_calls_himself(self):
        with FakeVm("bank", options=("-uuid", UUID)), Exporter() as exporter:
            alone = exporter.page_with(2, "bank")
            with FakeVm("bank", options=("-uuid", UUID), user=NOBODY):
                both = exporter.page_with(4, "bank")
            after = exporter.page()
        self.assertEqual(uids(both, "bank"), {"bank": "0", f"bank@{UUID[:8]}": str(NOBODY)})
        for page in (both, after):
            self.assertLessEqual({("bank", 0), ("bank", 1)}, page.vcpus("bank"))
            self.assertEqual(decreased(alone.totals(), page.totals()), [])
            self.assertEqual(page.value("vcpu_domain_start_time_seconds", domain="bank"),
                             alone.value("vcpu_domain_start_time_seconds", domain="bank"))

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
                self.assertEqual(uids(page, "bank"), {"bank": "0", f"bank@{UUID[:8]}": str(NOBODY)})
                self.assertEqual(len({domain for domain, _ in page.vcpus("bank")}), 2)


@unittest.skipUnless(AS_ROOT, "only root can start processes as another user")
class Crowds(unittest.TestCase):
    """Of ordinary users; beside it a VM of root's that has to be seen all the while."""

    def watch(self, exporter, shown, *left_out, target="/metrics"):
        """Some pages once there are `shown` domains of the crowd; each leaves out so many more VMs for each reason."""
        settled = wait_for(lambda: self.settled(exporter, shown, target), f"{shown} VMs of the crowd", timeout=40)
        for _ in range(3):
            page = exporter.page(target)
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

    def settled(self, exporter, shown, target):
        """A page, once two in a row leave out equally many: command lines come one by one."""
        before, page = (exporter.page(target) for _ in range(2))
        after = exporter.page(target)
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

    def allow_pids(self, threads):
        """So many more, for as long as the test takes."""
        before = PID_MAX.read_text()
        if room_for_tasks() >= threads:
            return
        try:
            PID_MAX.write_text(str(number_in(PID_MAX) + threads))
        except OSError as error:
            self.skipTest(f"there are too few pids, and no more to be had: {error}")
        self.addCleanup(PID_MAX.write_text, before)

    def test_of_a_hundred_thousand_threads_4096_of_each_user_are_shown_at_most(self):
        missing = missing_for(MANY_THREADS)
        if missing:
            self.skipTest(missing)
        self.allow_pids(MANY_THREADS)
        signal.alarm(180)  # On a busy machine such a crowd takes its time to come and to go.
        threads = 800
        big = 25_000  # A thread takes two of the 65530 areas of memory that a process may have.
        vms = (MANY_THREADS - big) // threads + 1
        users = (ANOTHER, NOBODY)  # As the kernel lets no user have so many (RLIMIT_NPROC).
        shown = len(users) * (USER_THREADS // (threads + 1))
        with contextlib.ExitStack() as stack, Exporter("--no-libvirt") as exporter:
            stack.enter_context(FakeVm("genuine"))
            before, tasks = memory_kib(exporter.pid), tasks_now()
            stack.enter_context(FakeVm("crowd-big", [f"CPU 0/KVM*{big}"], user=NOBODY))
            for number in range(vms):
                names = [f"CPU {vcpu}/KVM" for vcpu in range(threads)]
                stack.enter_context(FakeVm(f"crowd-{number}", names, user=users[number % 2]))
            self.assertGreater(tasks_now() - tasks, 0.95 * MANY_THREADS)  # Others come and go.
            page = self.watch(exporter, shown, ("user_thread_limit", vms + 1 - shown),
                              target="/metrics?collect[]=domain&collect[]=sched")
            self.assertEqual(len(page.vcpus("crowd")), shown * threads)
            used, began = cpu_seconds(exporter.pid), time.monotonic()
            whole = exporter.ask().text
            took, used = time.monotonic() - began, cpu_seconds(exporter.pid) - used
            samples = sum('{domain="crowd' in line for line in whole.splitlines())
            self.assertLess(used, 2)
            self.assertLess(took, 10)  # Prometheus waits so long, unless it is told otherwise.
            self.assertLess(samples, len(users) * USER_THREADS * 12)
            # What it takes to make such a page, and not what the crowd would take.
            self.assertLess(memory_kib(exporter.pid) - before, 200 * 1024)

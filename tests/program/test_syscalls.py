# SPDX-License-Identifier: Apache-2.0
"""Which files of /proc a scrape opens: some of them stop the guest whose process they belong to."""
import collections
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import fleet  # noqa: E402
import program  # noqa: E402
import scrape_cost  # noqa: E402
from program import Exporter, FakeVm, wait_for  # noqa: E402

# Of other processes; none of them takes the lock of a process's memory. cmdline does, and is read once.
ALLOWED = {"", "task", "stat", "schedstat", "status", "sched", "comm", "cgroup", "cmdline"}
ALLOWED_OF_HOST = {"", "stat", "meminfo", "vmstat", "pressure/cpu", "pressure/memory", "pressure/io", "interrupts", "cpuinfo",
                   "cmdline"}

HAS_SWAP = not re.search(r"SwapTotal: +0 kB", pathlib.Path("/proc/meminfo").read_text())

OPENED = re.compile(r'open(?:at2?)?\((?:(?:AT_FDCWD|\d+)<(?P<at>[^>]*)>, |AT_FDCWD, )?"(?P<path>[^"]*)"')


def opened(trace):
    """The absolute paths that were opened, or would have been, in their order."""
    for line in trace.splitlines():
        found = OPENED.search(line)
        if found:
            path = found["path"]
            yield path if path.startswith("/") else f"{found['at']}/{path}"


class Syscalls(unittest.TestCase):
    def test_twenty_scrapes_open_only_harmless_files_and_each_command_line_once(self):
        with Exporter() as exporter:
            [iterator] = exporter.page().named("vcpu_source_available", source="task_iterator")
        for flags in ((), ("--no-ebpf",)) if iterator.value else ((),):
            with self.subTest(flags=flags):
                self.check(flags, reads_threads="--no-ebpf" in flags or not iterator.value)

    @unittest.skipUnless(program.AS_ROOT, "only root makes control groups")
    def test_files_of_control_groups_stay_open(self):
        strace, log = self.strace()
        with fleet.Fleet(program.fake_vmm_path(), vms=3, vcpus=2, quotas=3) as vms, \
                Exporter("--no-libvirt", under=strace) as exporter:
            pid = exporter.pid
            page = exporter.page_with(6, "vm")
            if page.value("vcpu_source_available", source="task_iterator") == 0:
                self.skipTest("without eBPF nothing tells that a process is in the groups it was in")
            for _ in range(20):
                exporter.page()
            limited = len(page.named("vcpu_throttled_seconds_total"))
            groups = [f"/proc/{process.pid}/cgroup" for process in vms.processes]
        paths = collections.Counter(opened(wait_for(lambda: self.complete(log, pid), "the trace to be written")))
        read_once = [path for path in paths if path.endswith((".pressure", "/memory.numa_stat", "/cpu.stat")) or path in groups]
        self.assertGreaterEqual(len(read_once), len(groups) + limited)
        for path in read_once:
            self.assertEqual(paths[path], 1, path)

    @unittest.skipUnless(program.AS_ROOT, "only root makes control groups")
    def test_calls_of_a_scrape_grow_with_vms_and_not_with_vcpus(self):
        self.strace()  # Or skips.
        reads, opens = {}, {}
        for vms, vcpus in ((2, 2), (5, 2), (8, 2), (8, 12)):
            with self.subTest(vms=vms, vcpus=vcpus):
                seen, calls = self.calls_of_a_scrape(vms, vcpus)
                # Others' VMs have the same files, where they have groups of their own.
                reads[vms, vcpus] = (seen, round(calls["pread64"]))
                opens[vms, vcpus] = (seen, calls["openat"], calls["read"])
                # Waits for each other's threads, and for who asks, are as many as they are.
                total = sum(count for name, count in calls.items() if name not in ("futex", "poll", "sendto"))
                self.assertLess(total, 260 + 10 * os.cpu_count() + 6 * seen)
        each = {(reads[many, 2][1] - reads[few, 2][1]) / (reads[many, 2][0] - reads[few, 2][0]) for few, many in ((2, 5), (5, 8))}
        self.assertEqual(len(each), 1, reads)
        self.assertLessEqual(each.pop(), 5, reads)
        self.assertEqual(reads[8, 2], reads[8, 12])
        # Of 80 vCPUs more a few are looked at, in turn, whether they have a quota, and the pass over the tasks is longer.
        few, many = opens[8, 2], opens[8, 12]
        self.assertEqual(few[0], many[0], opens)
        self.assertLess(many[1] - few[1], 80 / 20, opens)
        self.assertLess(many[2] - few[2], 80 / 10, opens)

    def calls_of_a_scrape(self, vms, vcpus):
        """(VMs with groups of their own, {name: calls}); others may run VMs on this machine as well."""
        with fleet.Fleet(program.fake_vmm_path(), vms, vcpus), Exporter("--no-libvirt") as exporter:
            if exporter.page().value("vcpu_source_available", source="task_iterator") == 0:
                self.skipTest("without eBPF every thread has files of its own")
            scraper = scrape_cost.Scraper(exporter)
            for _ in range(20):  # Each VM's groups are looked for every sixteenth time.
                scraper.scrape("whole")

            def counted_undisturbed():
                before = len(exporter.page().named("vcpu_domain_cpu_weight"))
                calls = scrape_cost.syscalls(exporter, "whole", 16)
                return before == len(exporter.page().named("vcpu_domain_cpu_weight")) and (before, calls)
            return wait_for(counted_undisturbed, "scrapes while no VM comes or goes", timeout=40)

    def strace(self):
        """A command that runs another one and logs what that opens, and its log."""
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        log = program.scratch_directory() / "trace"
        # -D: the process started is the exporter itself.
        strace = ("strace", "-D", "-f", "-q", "-y", "-s", "300", "-e", "trace=open,openat,openat2", "-e", "signal=none",
                  "-o", str(log))
        if subprocess.run([*strace[:2], *strace[3:-2], "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("strace may not trace here")
        return strace, log

    def check(self, flags, reads_threads):
        strace, log = self.strace()
        prefix = f"traced{''.join(flags)}-"
        vms = [self.enterContext(FakeVm(f"{prefix}{number}")) for number in range(3)]
        with Exporter("--no-libvirt", *flags, under=strace) as exporter:
            pid = exporter.pid
            exporter.page_with(6, prefix)
            for _ in range(20):
                self.assertEqual(len(exporter.page().vcpus(prefix)), 6)
        trace = wait_for(lambda: self.complete(log, pid), "the trace to be written")

        of_processes = collections.Counter()
        # The first scrape begins with a look at which nodes there are.
        for path in itertools.dropwhile(lambda path: path != "/sys/devices/system/node/online", opened(trace)):
            found = re.fullmatch(r"/proc(?:/(?P<pid>\d+))?(?:/task/\d+)?(?:/(?P<file>[^/].*))?", path)
            if not found or int(found["pid"] or 0) == pid:
                continue
            file = (found["file"] or "").removeprefix("task/")
            if found["pid"]:
                of_processes[int(found["pid"]), file] += 1
                self.assertIn(file, ALLOWED, path)
            elif not file.startswith(("self", "sys/")):  # What is its own, and what its C library asks.
                self.assertIn(file, ALLOWED_OF_HOST, path)
        for vm in vms:
            self.assertEqual(of_processes[vm.pid, "cmdline"], 1)
            if reads_threads:
                self.assertGreaterEqual(of_processes[vm.pid, "schedstat"], 20)
            else:
                self.assertEqual(of_processes[vm.pid, "schedstat"], 0)
                # The pass over the tasks tells all but what of the memory is in the swap.
                self.assertEqual(of_processes[vm.pid, "status"] >= 20, HAS_SWAP)

    @staticmethod
    def complete(path, pid):
        trace = path.read_text(errors="replace")
        return re.search(rf"(?m)^{pid} +\+\+\+ exited", trace) and trace

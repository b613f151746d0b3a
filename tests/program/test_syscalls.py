# SPDX-License-Identifier: Apache-2.0
"""Which files of /proc a scrape opens: some of them stop the guest whose process they belong to."""
import collections
import itertools
import re
import shutil
import subprocess
import unittest

import program
from program import Exporter, FakeVm, wait_for

# Of other processes; none of them takes the lock of a process's memory. cmdline does, and is read once.
ALLOWED = {"", "task", "stat", "schedstat", "status", "sched", "comm", "cgroup", "cmdline"}
ALLOWED_OF_HOST = {"", "stat", "meminfo", "vmstat", "pressure/cpu", "pressure/memory", "pressure/io"}

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
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        directory = program.scratch_directory()
        # -D: the process started is the exporter itself.
        strace = ("strace", "-D", "-f", "-q", "-y", "-s", "300", "-e", "trace=open,openat,openat2", "-e", "signal=none",
                  "-o", str(directory / "trace"))
        if subprocess.run([*strace[:2], *strace[3:-2], "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("strace may not trace here")
        vms = [self.enterContext(FakeVm(f"traced-{number}")) for number in range(3)]
        with Exporter("--no-libvirt", under=strace) as exporter:
            pid = exporter.pid
            exporter.page_with(6, "traced-")
            for _ in range(20):
                self.assertEqual(len(exporter.page().vcpus("traced-")), 6)
        trace = wait_for(lambda: self.complete(directory / "trace", pid), "the trace to be written")

        of_processes = collections.Counter()
        # The first scrape begins with a look at which processes there are.
        for path in itertools.dropwhile(lambda path: path != "/proc", opened(trace)):
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
            self.assertGreaterEqual(of_processes[vm.pid, "schedstat"], 20)

    @staticmethod
    def complete(path, pid):
        trace = path.read_text(errors="replace")
        return re.search(rf"(?m)^{pid} +\+\+\+ exited", trace) and trace

# SPDX-License-Identifier: Apache-2.0
"""Pids and tids that come again, in a small pid namespace: nobody gets another's figures."""
import pathlib
import platform
import shutil
import subprocess
import sys
import unittest

from program import AS_ROOT, exporter_path

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

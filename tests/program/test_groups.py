# SPDX-License-Identifier: Apache-2.0
"""Control groups as whoever may make some makes them: with any name, at any depth, of any kind. Real groups."""
import contextlib
import errno
import os
import pathlib
import unittest

from program import AS_ROOT, OPENMETRICS, Exporter, FakeVm, wait_for

MOUNTED = pathlib.Path("/sys/fs/cgroup")
VERSION_2 = MOUNTED / "unified" if (MOUNTED / "unified").is_dir() else MOUNTED
MEASURED = [top for top in (VERSION_2, *(MOUNTED / controller for controller in ("cpu", "memory", "hugetlb")))
            if (top / "cgroup.procs").exists()]
ANOTHER = 65533  # An ordinary user, and not the one that the exporter becomes.

HOSTILE = (  # (name, whether it is a VM's own when a VM is alone in it)
    (b"evil\\x2dgroup\\x22.scope", True),
    (b"machine-qemu\\x2d1\\x2d\\.scope", True),
    (b"machine-qemu\\x2d2\\x2d\xff\xc3(\" }.scope", True),
    (b'evil"} evil 1 # {', True),
    (b"evil space\t\x01\x1b[31m\r\x7f", True),
    ("evil \u20ac \u202e \u2028".encode(), True),
    (b"evil: 0::/", True),
    (b"evil,cpu:memory", True),
    (b"..evil", False),  # As if it led out of the hierarchy.
    (b"evil..", True),
    (b"evil (deleted)", True),
    (b"x" * 255, True),
    (b"\xe2\x82\xac" * 85, True),
    # Where a VM's threads are in, the group above is the VM's, if it is one.
    (b"vcpu0", False),
    (b"emulator", False),
    (b"libvirt", False),
)


class Groups:
    """Groups below one of ours at the top of a hierarchy. They go when this is left, in which nobody must live then."""

    def __init__(self, top):
        self._opened = [os.open(top, os.O_RDONLY)]
        self._made = []  # (descriptor of the one above, name)
        self.ours = self.make(f"vcpu-groups-{os.getpid()}".encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for above, name in reversed(self._made):
            wait_for(lambda above=above, name=name: self._removed(above, name), f"the group {name[:40]} to be empty")
        for descriptor in self._opened:
            os.close(descriptor)

    @staticmethod
    def _removed(above, name):
        try:
            os.rmdir(name, dir_fd=above)
        except OSError as error:
            return error.errno != errno.EBUSY
        return True

    def make(self, name, above=None):
        """A descriptor of it: the path of a deep one is longer than a path may be."""
        above = self._opened[0] if above is None else above
        os.mkdir(name, dir_fd=above)
        self._made.append((above, name))
        self._opened.append(os.open(name, os.O_RDONLY, dir_fd=above))
        return self._opened[-1]

    @staticmethod
    def write(group, file, value):
        descriptor = os.open(file, os.O_WRONLY, dir_fd=group)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)


def with_cpu_controller():
    """(where, file of the weight, the weight that it becomes on the page for a number); None: no group may have one."""
    if (MOUNTED / "cpu/cpu.shares").exists():
        return MOUNTED / "cpu", "cpu.shares", lambda value: value * 100 / 1024
    controllers = VERSION_2 / "cgroup.subtree_control"
    if controllers.exists() and "cpu" in controllers.read_text().split():
        return VERSION_2, "cpu.weight", float
    return None


def failed(page):
    return {name for name, success in page.collectors().items() if not success}


@unittest.skipUnless(AS_ROOT and (VERSION_2 / "cgroup.procs").exists(), "only root makes groups at the top")
class HostileGroups(unittest.TestCase):
    def setUp(self):
        self.exporter = self.enterContext(Exporter("--no-libvirt"))

    def test_whatever_a_group_is_called_its_vm_has_its_figures_and_no_others(self):
        where = with_cpu_controller()
        if not where:
            self.skipTest("no group can be given the cpu controller")
        top, file, shown = where
        groups = self.enterContext(Groups(top))
        with self.assertRaises(OSError):  # Else a line of /proc/PID/cgroup might be anybody's.
            groups.make(b"evil\n0::/other", groups.ours)
        if top == VERSION_2:
            groups.write(groups.ours, "cgroup.subtree_control", "+cpu")
        with contextlib.ExitStack() as vms:
            expected = {}
            for number, (name, is_own) in enumerate(HOSTILE):
                group = groups.make(name, groups.ours)
                groups.write(group, file, 200 + 16 * number)
                vm = vms.enter_context(FakeVm(f"grouped-{number}"))
                groups.write(group, "cgroup.procs", vm.pid)
                expected[f"grouped-{number}"] = shown(200 + 16 * number) if is_own else None
            for headers in ({}, OPENMETRICS):
                page = self.exporter.page_with(2 * len(HOSTILE), "grouped-", headers)
                self.assertEqual({domain: page.value("vcpu_domain_cpu_weight", domain=domain) for domain in expected},
                                 expected)
                self.assertEqual(failed(page), set())

    def test_a_group_so_deep_that_its_path_is_too_long_is_nobodys_and_hides_nothing(self):
        # The first is too long with what is in it, the second by itself.
        for number, last in enumerate((240, 255)):
            with self.subTest(last=last), Groups(VERSION_2) as groups:
                group = groups.ours
                for length in (*[255] * 15, last):
                    group = groups.make(b"d" * length, group)
                with FakeVm(f"deep-{number}") as vm:
                    groups.write(group, "cgroup.procs", vm.pid)
                    self.assert_no_figures_and_a_reason(f"deep-{number}")

    def test_a_group_of_threads_is_nobodys_and_hides_nothing(self):
        with Groups(VERSION_2) as groups, FakeVm("threaded") as vm:
            threads = groups.make(b"threads", groups.ours)
            groups.write(threads, "cgroup.type", "threaded")
            groups.write(groups.ours, "cgroup.procs", vm.pid)
            groups.write(threads, "cgroup.threads", vm.pid)  # Its first thread.
            self.assert_no_figures_and_a_reason("threaded")

    def test_what_the_owner_of_a_group_keeps_to_himself_has_a_reason_and_hides_nothing(self):
        pressures = {f"{resource}.pressure" for resource in ("cpu", "memory", "io")}
        by_name = b"machine-qemu\\x2d1\\x2dkept.scope"  # Of which nobody looks who is in it.
        for number, (name, kept) in enumerate((
                (b"kept", {"cgroup.procs"}), (by_name, pressures), (by_name, None), (b"kept", {"."}), (by_name, {"."}))):
            with self.subTest(name=name, kept=kept), contextlib.ExitStack() as stack:
                hierarchies = [stack.enter_context(Groups(top)) for top in MEASURED]
                vm = stack.enter_context(FakeVm(f"kept-{number}", user=ANOTHER))
                for groups in hierarchies:
                    group = groups.make(name, groups.ours)
                    groups.write(group, "cgroup.procs", vm.pid)
                    for file in (kept or set(os.listdir(group))) & {".", *os.listdir(group)}:
                        os.chmod(file, 0, dir_fd=group)
                self.assert_no_figures_and_a_reason(f"kept-{number}")

    def assert_no_figures_and_a_reason(self, domain):
        """Of its group of version 2, and no collector fails for that."""
        page = self.exporter.page_with(2, domain)
        self.assertEqual(failed(page), set())
        self.assertEqual(page.named("vcpu_domain_pressure_seconds_total", domain=domain), [])
        source, = page.named("vcpu_source_available", source="vm_pressure")
        self.assertNotEqual(source.labels["reason"], "")

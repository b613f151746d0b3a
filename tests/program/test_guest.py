# SPDX-License-Identifier: Apache-2.0
"""Which hypervisor this machine runs under, told to root and to others."""
import pathlib
import unittest

from program import AS_ROOT, Exporter, wait_for

DSDT = pathlib.Path("/sys/firmware/acpi/tables/DSDT")
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@unittest.skipUnless(AS_ROOT, "only root is shown ACPI's tables")
class Guest(unittest.TestCase):
    def told(self, under=()):
        with Exporter("--no-libvirt", "--no-ebpf", "--collector.disable-defaults", "--collector.guest", under=under) as exporter:
            found = wait_for(lambda: exporter.page().named("vcpu_guest_info"), "the hypervisor")
            return [sample.labels["hypervisor"] for sample in found]

    def test_a_firecracker_is_told_by_a_start_as_root_and_else_is_any_kvm(self):
        if not DSDT.exists() or DSDT.read_bytes()[10:16] != b"FIRECK":
            self.skipTest("this is no guest of Firecracker")
        self.assertEqual(self.told(), ["firecracker"])
        self.assertEqual(self.told(AS_NOBODY), ["kvm"])

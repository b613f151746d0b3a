# SPDX-License-Identifier: Apache-2.0
"""Every query of dashboards Host, VM and Exporter, asked of a real Prometheus that scrapes the exporter beside real guests, without any
fixture. Start by test.sh.
"""
import atexit
import pathlib
import sys
import unittest
import urllib.error

import guests
import lab as laboratory
import monitoring
import test_live
from processes import wait_for

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "dashboards"))
import queries  # noqa: E402

LAB = None
DISK, QUOTA, NEIGHBOUR = "dash-disk", "dash-quota", "dash-neighbour"
SPINNING_SECTOR = bytes.fromhex("ebfe")
# QEMUs are asked for their disks every 10 s.
WINDOW_SECONDS = 30

HARDWARE = "a sensor, a counter or a file of the kernel that a machine may lack"
NO_CLUSTER = "targets need no label cluster: all of them are chosen then"
NO_SWAP = "a machine without swap"
NO_KVM = "guests are emulated, KVM has no part in it"
NO_PAST = "recorded of a day or a week, and these guests have just begun"
NO_PRESSURE = "a kernel without pressure figures, or control groups of version 1"
OTHER_PLATFORM = "a VM is of one platform, of OpenStack here"
# Where there may be no data, and why: a variable, a panel, "PANEL/QUERY" or "PANEL: no column NAME". All else has to be there.
MAY_BE_EMPTY = {
    "vcpu-host.json": {
        "$cluster": NO_CLUSTER, "Hottest": HARDWARE, "Temperature": HARDWARE, "Slowed down for heat": HARDWARE, "Clock": HARDWARE,
        "Machine checks": HARDWARE, "Vulnerabilities": HARDWARE, "Pressure": NO_PRESSURE, "VMs/I": NO_SWAP,
        "VMs: no column Value #I": NO_SWAP, "VMs with vCPUs to spare": NO_PAST, "CPUs busy, now and in 3d/B": NO_PAST,
        "Density, now and in 3d/B": NO_PAST, **{f"VMs with vCPUs to spare: no column {name}": NO_PAST for name in
                                               ("domain", "instance", *(f"Value #{letter}" for letter in "ABCD"))},
    },
    "vcpu-vm.json": {
        "$cluster": NO_CLUSTER, "Exits from the guest": NO_KVM, "Halted, and polling": NO_KVM, "Pressure of its group": NO_PRESSURE,
        "Swapped": NO_SWAP, "Memory/C": NO_SWAP, "Who it is: no column kubevirt_namespace": OTHER_PLATFORM,
        "Who it is: no column proxmox_vmid": OTHER_PLATFORM,
    },
    "vcpu-exporter.json": {"$cluster": NO_CLUSTER},
}
NO_QUOTA = "a VM without a quota"
WITHOUT_QUOTA = {"Quota": NO_QUOTA, "Periods stopped by the quota": NO_QUOTA, "Used, and what its quota allows/B": NO_QUOTA,
                 "Used, and what its quota allows/C": NO_QUOTA}
RESTS = "nothing is asked of its disk"
WITHOUT_REQUESTS = {"Slowest disk": RESTS, "Time of a request": RESTS}


def setUpModule():
    global LAB
    queries.RATE_SECONDS = WINDOW_SECONDS
    LAB = laboratory.Lab(sys.argv[1], monitoring.AT_ONCE._replace(window=lambda _: f"{WINDOW_SECONDS}s"))
    atexit.register(LAB.close)
    LAB.start()
    # All on one CPU: each of them waits for the others.
    LAB.create(guests.BareGuest(DISK, LAB.work, busy=True), guests.BareGuest(QUOTA, LAB.work, code=SPINNING_SECTOR),
               guests.BareGuest(NEIGHBOUR, LAB.work, code=SPINNING_SECTOR), cpus=LAB.cpus[-1:])
    LAB.libvirt.virsh("schedinfo", QUOTA, "--live", "--set", "vcpu_quota=20000")


class Prometheus:
    """As tests/dashboards asks one."""

    @staticmethod
    def ask(path, **parameters):
        try:
            return monitoring.get_json(LAB.prometheus.address, f"/api/v1/{path}", **parameters)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # still replaying its empty log
                return None
            raise


def is_forgiven(problem, may_be_empty):
    """No data where there need not be any. Nothing forgives what is not a number, or a legend without its label."""
    where, _, what = problem.rpartition(": ")
    empty = what in ("no data", "no values") and not {where, where.rpartition("/")[0]}.isdisjoint(may_be_empty)
    return empty or (what.startswith("no column ") and problem in may_be_empty)


class Dashboards(unittest.TestCase):
    def assert_answered(self, name, more=None, **chosen):
        dashboard = queries.load()[name]
        queries.CHOSEN[name] = {**queries.EVERYTHING, "instance": LAB.address, **chosen}
        may_be_empty = {**MAY_BE_EMPTY[name], **(more or {})}

        def problems():
            found = list(queries.problems_of(Prometheus, name, dashboard))
            return [problem for problem in found if not is_forgiven(problem, may_be_empty)], found
        try:
            _, empty = wait_for(lambda: (told := problems()) and not told[0] and told, 2 * WINDOW_SECONDS, "every query to be answered")
            print(f"# {dashboard['title']}, may be empty and is: {', '.join(empty)}", flush=True)
        except AssertionError:
            self.assertEqual([], problems()[0])

    def test_1_dashboard_host_shows_real_guests(self):
        self.assert_answered("vcpu-host.json")

    def test_2_dashboard_vm_shows_a_guest_that_works_its_disk(self):
        self.assert_answered("vcpu-vm.json", WITHOUT_QUOTA, domain=DISK)

    def test_3_dashboard_vm_shows_a_guest_with_a_quota_whose_disk_rests(self):
        self.assert_answered("vcpu-vm.json", WITHOUT_REQUESTS, domain=QUOTA)

    def test_4_dashboard_exporter_shows_the_exporter_of_real_guests(self):
        self.assert_answered("vcpu-exporter.json")


def main():
    return test_live.run(Dashboards, sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

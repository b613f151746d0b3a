# SPDX-License-Identifier: Apache-2.0
"""Two real nodes, 10 within and 30 across, and processes that look like QEMU with memory here and threads there."""
import sys

from lab_guest import HERE, LabTest

sys.path.append(str(HERE.parent / "live"))
from scrape import Page  # noqa: E402

MEBIBYTE = 1 << 20

STEPS = {
    "numa": """
        echo +memory >/sys/fs/cgroup/cgroup.subtree_control
        start_fake_vm placed 0-1 "allocate anon 0 128"
        start_fake_vm spread 0-1 "allocate anon 0 64" "allocate shared 1 64"
        start_fake_vm apart 0,2 "allocate anon 0 128"
        start_fake_vm misplaced 2-3 "allocate anon 0 64" "allocate shared 0 64"
        for name in placed spread apart misplaced; do await_memory $name 128; done
        vcpu_exporter --once --no-libvirt
    """,

    # 64 MiB of huge pages on node 1, threads on node 0, and no hugetlb controller: the kernel does not say where.
    "numa_maps": """
        echo +memory >/sys/fs/cgroup/cgroup.subtree_control
        echo 32 >/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages
        start_fake_vm uncounted 0-1 "allocate huge 1 64"
        vcpu_exporter --once --no-libvirt
        echo "@@@"
        vcpu_exporter --collector.numa.maps --no-libvirt --no-ebpf --web.listen-address=127.0.0.1:9753 2>/run/numa_maps.log &
        exporter=$!
        told() {
          wget -q -O /run/numa_maps.page http://127.0.0.1:9753/metrics &&
            grep -q '^vcpu_domain_numa_misplacement_ratio{domain="uncounted"' /run/numa_maps.page
        }
        await 80 told || { grep hugepages /run/numa_maps.log /run/numa_maps.page >&2; exit 1; }
        cat /run/numa_maps.page
        echo "@@@"
        grep -h '^Cap[EP]\\|^Uid' /proc/$exporter/status
        cat /run/numa_maps.log
        kill $exporter
    """,

    "numa_hugetlb": """
        echo +memory +hugetlb >/sys/fs/cgroup/cgroup.subtree_control
        echo 32 >/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages
        start_fake_vm counted 0-1 "allocate huge 1 64"
        vcpu_exporter --once --no-libvirt
    """,
}


class Numa(LabTest):
    def ratios(self, page, domain):
        return (page.value("vcpu_domain_numa_misplacement_ratio", domain=domain),
                page.value("vcpu_domain_numa_distance_ratio", domain=domain))

    def assert_ratios(self, page, domain, misplacement, distance):
        told = self.ratios(page, domain)
        print(f"# {domain}: misplacement {told[0]}, distance {told[1]}")
        self.assertAlmostEqual(told[0], misplacement, delta=0.02)
        self.assertAlmostEqual(told[1], distance, delta=0.02 * distance)

    def reason(self, page, source):
        [sample] = page.named("vcpu_source_available", source=source)
        return sample.labels["reason"]

    def test_7_numa_misplacement_and_distance_are_those_of_the_memory(self):
        page = Page(self.output("numa"))
        self.assertEqual(30, page.value("vcpu_host_numa_distance", **{"from": "0", "to": "1"}))
        self.assertEqual(10, page.value("vcpu_host_numa_distance", **{"from": "1", "to": "1"}))
        self.assert_ratios(page, "placed", 0, 1)
        self.assert_ratios(page, "spread", 0.5, 2)
        self.assert_ratios(page, "misplaced", 1, 3)
        for domain, on_node_0, on_node_1 in (("placed", 128, 0), ("spread", 64, 64), ("misplaced", 128, 0)):
            for node, mebibytes in ((0, on_node_0), (1, on_node_1)):
                value = page.value("vcpu_domain_memory_bytes", domain=domain, numa_node=str(node))
                self.assertAlmostEqual(value / MEBIBYTE, mebibytes, delta=0.02 * 128)

    def test_8_numa_misplacement_weighs_vcpus_by_their_run_time(self):
        page = Page(self.output("numa"))
        # One vCPU may have been put on node 0, the other on node 1: whatever it is, the figures say which.
        near, run = 0, 0
        for vcpu in ("0", "1"):
            node = page.value("vcpu_numa_node", domain="apart", vcpu=vcpu)
            seconds = page.value("vcpu_run_seconds_total", domain="apart", vcpu=vcpu)
            near += seconds * (node == 0)
            run += seconds
        self.assert_ratios(page, "apart", 1 - near / run, 1 + 2 * (1 - near / run))

    def test_9_numa_maps_tell_where_huge_pages_lie_that_no_group_counts(self):
        without, with_maps, process = self.output("numa_maps").split("@@@\n")
        self.assertEqual((None, None), self.ratios(Page(without), "uncounted"))
        self.assertIn("--collector.numa.maps", self.reason(Page(without), "vm_hugepages"))
        page = Page(with_maps)
        self.assertEqual("", self.reason(page, "vm_hugepages"))
        self.assert_ratios(page, "uncounted", 1, 3)
        value = page.value("vcpu_domain_memory_bytes", domain="uncounted", numa_node="1")
        self.assertAlmostEqual(value / MEBIBYTE, 64, delta=2)
        # Not root, with one right, of which the log speaks.
        self.assertIn("Uid:\t65534\t65534", process)
        for kind in ("CapPrm", "CapEff"):
            self.assertIn(f"{kind}:\t0000000000080000", process)
        self.assertIn("CAP_SYS_PTRACE is kept, for collector numa", process)

    def test_9_numa_huge_pages_are_those_of_the_hugetlb_group(self):
        page = Page(self.output("numa_hugetlb"))
        self.assertEqual("", self.reason(page, "vm_hugepages"))
        self.assert_ratios(page, "counted", 1, 3)
        self.assertEqual(64 * MEBIBYTE, 2 * MEBIBYTE * round(
            page.value("vcpu_domain_memory_bytes", domain="counted", numa_node="1") / MEBIBYTE / 2))

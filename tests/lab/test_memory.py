# SPDX-License-Identifier: Apache-2.0
"""Swap for real: of two QEMUs that only hold memory one is squeezed into less than it has, and then all of it is read.

Nothing runs in them, so what the kernel says just before and just after a page is what the page must say. The swap is a
file on ext4, which lies in compressed memory: the machine has no disk.
"""
import sys

from lab_guest import HERE, LabTest

sys.path.append(str(HERE.parent / "live"))
from scrape import Page  # noqa: E402

MODULES = ["lzo-rle", "zram"]
MIB = 1 << 20
GUEST_BYTES, LIMIT_BYTES = 64 * MIB, 40 * MIB
SWAP_BYTES = 128 * MIB
# What swapping the one VM out or in may move, of the machine and of that VM; whatever else is told stays as it was.
MAY_MOVE = {
    "vcpu_domain_memory_bytes",  # What is in the swap is on no node, so that the rest may lie otherwise.
    "vcpu_domain_numa_misplacement_ratio",
    "vcpu_domain_numa_distance_ratio",
    "vcpu_domain_swap_bytes",
    "vcpu_domain_page_table_bytes",
    "vcpu_domain_major_faults_total",
    "vcpu_domain_pressure_seconds_total",
    "vcpu_host_swap_bytes_total",
    "vcpu_host_pressure_seconds_total",
}
KINDS_MAY_MOVE = {"available", "page_tables", "swap_free"}  # Of vcpu_host_memory_bytes.
# Neither squeezed nor read, a QEMU still wakes up now and then.
AT_REST = MIB
RATIO_AT_REST = 0.02

LOOK = """
    look() {  # "KEY VALUE" of the kernel's
      for name in mem-tight mem-calm; do
        echo "$name.swap $(cat /sys/fs/cgroup/$name/memory.swap.current)"
        status=$(cat /proc/$(cat /run/$name.pid)/status)
        echo "$name.page_table $(echo "$status" | awk '/^VmPTE:/ { print $2 * 1024 }')"
        echo "$name.faults $(cut -d' ' -f12 /proc/$(cat /run/$name.pid)/stat)"
      done
      awk '/^pswp(in|out) / { print $1, $2 * 4096 }' /proc/vmstat
      awk '/^Swap(Total|Free):/ { print $1, $2 * 1024 }' /proc/meminfo
      echo end
    }
    page() {
      vcpu_exporter --once --no-libvirt --collector.disable-defaults --collector.memory --collector.numa --collector.cgroup "$@"
      echo end
    }
    look
    page --no-ebpf
    look
"""
LOOK_WITH_EBPF = """
    page
    look
"""

STEPS = {
    "memory_guests": """
        echo 256M >/sys/block/zram0/disksize
        mke2fs -b 4096 /dev/zram0 >/dev/null
        mkdir /swap
        mount -t ext4 /dev/zram0 /swap
        dd if=/dev/zero of=/swap/file bs=1M count=128 conv=fsync
        mkswap /swap/file >/dev/null
        swapon /swap/file
        grep -q '^/swap/file  *file' /proc/swaps
        echo +memory >/sys/fs/cgroup/cgroup.subtree_control
        mkfifo /run/mem-tight.in /run/mem-calm.in
        for name in mem-tight mem-calm; do
          mkdir /sys/fs/cgroup/$name
          sh -c 'echo $$ >/sys/fs/cgroup/'$name'/cgroup.procs; exec "$@"' sh \\
            /usr/bin/qemu-system-x86_64 -name guest=$name,debug-threads=on -accel kvm -cpu host \\
            -m 64 -mem-prealloc -S -nodefaults -display none -monitor stdio -pidfile /run/$name.pid \\
            <>/run/$name.in >/run/$name.out 2>&1 &
        done
        for name in mem-tight mem-calm; do
          echo 'info kvm' >/run/$name.in
          await 40 grep -q 'kvm support' /run/$name.out || { cat /run/$name.out >&2 && exit 1; }
        done
    """,
    "memory_free": LOOK,
    "memory_squeezed": f"""
        echo {LIMIT_BYTES} >/sys/fs/cgroup/mem-tight/memory.max
        {LOOK}
    """,
    "memory_read": f"""
        echo 'pmemsave 0 {GUEST_BYTES} "/dev/null"' >/run/mem-tight.in
        echo 'info status' >/run/mem-tight.in
        await 60 grep -q 'VM status' /run/mem-tight.out
        {LOOK}
        {LOOK_WITH_EBPF}
    """,
    "memory_end": """
        kill $(cat /run/mem-tight.pid) $(cat /run/mem-calm.pid)
        gone() { [ -z "$(cat /sys/fs/cgroup/mem-*/cgroup.procs)" ]; }
        await 20 gone
        swapoff /swap/file
        umount /swap
    """,
}


def figures(text):
    return {key: int(value) for key, value in (line.split() for line in text.splitlines() if line.strip())}


class MemoryLab(LabTest):
    def assert_told(self, step):
        """Every figure of the step's pages is the kernel's, as it was before the page and after it. The first page's."""
        *parts, _ = self.output(step).split("end\n")
        pages = [(figures(before), Page(page), figures(after))
                 for before, page, after in zip(parts[::2], parts[1::2], parts[2::2])]
        for before, page, after in pages:
            self.assert_page(step, before, page, after)
        return self.told(pages[0][1]), [page for _, page, _ in pages]

    def told(self, page):
        told = {"pswpin": page.value("vcpu_host_swap_bytes_total", direction="in"),
                "pswpout": page.value("vcpu_host_swap_bytes_total", direction="out"),
                "SwapTotal:": page.value("vcpu_host_memory_bytes", kind="swap_total"),
                "SwapFree:": page.value("vcpu_host_memory_bytes", kind="swap_free")}
        for name in ("mem-tight", "mem-calm"):
            told[f"{name}.swap"] = page.value("vcpu_domain_swap_bytes", domain=name)
            told[f"{name}.page_table"] = page.value("vcpu_domain_page_table_bytes", domain=name)
            told[f"{name}.faults"] = page.value("vcpu_domain_major_faults_total", domain=name)
        return told

    def assert_page(self, step, before, page, after):
        told = self.told(page)
        self.assertEqual(before.keys(), told.keys())
        for key, value in told.items():
            slack = 0 if key.endswith(".faults") else AT_REST
            self.assertIsNotNone(value, f"{step}: no {key}")
            self.assertLessEqual(min(before[key], after[key]) - slack, value, f"{step}: {key}")
            self.assertGreaterEqual(max(before[key], after[key]) + slack, value, f"{step}: {key}")

    def test_1_nothing_is_in_the_swap_at_first(self):
        self.output("memory_guests")
        told, [page] = self.assert_told("memory_free")
        self.assertEqual(0, told["mem-tight.swap"])
        self.assertEqual(0, told["mem-calm.swap"])
        self.assertAlmostEqual(SWAP_BYTES, told["SwapTotal:"], delta=AT_REST)
        self.assertEqual(1, page.value("vcpu_source_available", source="swap", reason=""))
        for name in ("mem-tight", "mem-calm"):
            self.assertEqual(GUEST_BYTES, page.value("vcpu_domain_memory_max_bytes", domain=name))
        every_maximum = sum(sample.value for sample in page.named("vcpu_domain_memory_max_bytes"))
        self.assertAlmostEqual(every_maximum / page.value("vcpu_host_memory_bytes", kind="total"),
                               page.value("vcpu_host_memory_overcommit_ratio"))

    def test_2_what_a_vm_has_in_the_swap_is_told_of_it_alone(self):
        free, [page_before] = self.assert_told("memory_free")
        squeezed, [page] = self.assert_told("memory_squeezed")
        print(f"# in the swap {squeezed['mem-tight.swap'] / MIB:.1f} MiB, "
              f"swapped out {(squeezed['pswpout'] - free['pswpout']) / MIB:.1f} MiB")
        least = GUEST_BYTES - LIMIT_BYTES
        self.assertGreater(squeezed["mem-tight.swap"], least)
        self.assertGreater(squeezed["pswpout"] - free["pswpout"], least)
        self.assertGreater(free["SwapFree:"] - squeezed["SwapFree:"], least)
        self.assert_nothing_else(page_before, page)

    def test_3_reading_the_swap_back_is_major_faults_of_that_vm_alone(self):
        squeezed, [page_before] = self.assert_told("memory_squeezed")
        read, [page, by_ebpf] = self.assert_told("memory_read")
        faults = read["mem-tight.faults"] - squeezed["mem-tight.faults"]
        swapped_in = read["pswpin"] - squeezed["pswpin"]
        print(f"# {faults:.0f} major faults, swapped in {swapped_in / MIB:.1f} MiB")
        self.assertGreater(faults, 100)
        self.assertGreater(swapped_in, (GUEST_BYTES - LIMIT_BYTES) / 2)
        self.assert_nothing_else(page_before, page)
        self.assertEqual([0, 1], [each.value("vcpu_source_available", source="task_iterator") for each in (page, by_ebpf)])
        self.assert_nothing_else(page, by_ebpf)
        self.output("memory_end")

    def assert_nothing_else(self, old, new):
        """Of all that the three collectors tell of the machine and the two VMs."""
        before, after = at_rest(old), at_rest(new)
        self.assertGreater(len(before), 10)
        self.assertEqual(before.keys(), after.keys())
        moved = {series: (value, after[series]) for series, value in before.items()
                 if abs(after[series] - value) > slack(series[0])}
        self.assertEqual({}, moved)


def slack(name):
    return AT_REST if name.endswith("_bytes") else RATIO_AT_REST if name.endswith("_ratio") else 0


def may_move(sample):
    if sample.name == "vcpu_host_memory_bytes":
        return sample.labels["kind"] in KINDS_MAY_MOVE
    return sample.name in MAY_MOVE and sample.labels.get("domain") != "mem-calm"


def at_rest(page):
    """{series: value} of what must stay as it is."""
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in page.samples
            if sample.name.startswith(("vcpu_domain_", "vcpu_host_", "vcpu_throttled_")) and
            sample.labels.get("domain") in (None, "mem-tight", "mem-calm") and not may_move(sample)}

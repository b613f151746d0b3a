# SPDX-License-Identifier: Apache-2.0
"""Swap for real: of two QEMUs that only hold memory one is squeezed into less than it has, and then all of it is read.

Nothing runs in them, so what the kernel says just before and just after a page is what the page must say.
"""
import sys

from lab_guest import HERE, LabTest

sys.path.append(str(HERE.parent / "live"))
from scrape import Page  # noqa: E402

MODULES = ["lzo-rle", "zram"]
MIB = 1 << 20
GUEST_BYTES, LIMIT_BYTES = 64 * MIB, 40 * MIB
# Neither squeezed nor read, a QEMU still wakes up now and then.
AT_REST = MIB

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
    look
    vcpu_exporter --once --no-ebpf --no-libvirt
    echo end
    look
"""

STEPS = {
    "memory_guests": """
        echo 256M >/sys/block/zram0/disksize
        mkswap /dev/zram0 >/dev/null
        swapon /dev/zram0
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
    """,
    "memory_end": """
        kill $(cat /run/mem-tight.pid) $(cat /run/mem-calm.pid)
        gone() { [ -z "$(cat /sys/fs/cgroup/mem-*/cgroup.procs)" ]; }
        await 20 gone
        swapoff /dev/zram0
    """,
}


def figures(text):
    return {key: int(value) for key, value in (line.split() for line in text.splitlines() if line.strip())}


class MemoryLab(LabTest):
    def look(self, step):
        """What the kernel said before, the page, and what it said after."""
        before, page, after, _ = self.output(step).split("end\n")
        return figures(before), Page(page), figures(after)

    def assert_told(self, step):
        """Every figure of the page is the kernel's."""
        before, page, after = self.look(step)
        told = {"pswpin": page.value("vcpu_host_swap_bytes_total", direction="in"),
                "pswpout": page.value("vcpu_host_swap_bytes_total", direction="out"),
                "SwapTotal:": page.value("vcpu_host_memory_bytes", kind="swap_total"),
                "SwapFree:": page.value("vcpu_host_memory_bytes", kind="swap_free")}
        for name in ("mem-tight", "mem-calm"):
            told[f"{name}.swap"] = page.value("vcpu_domain_swap_bytes", domain=name)
            told[f"{name}.page_table"] = page.value("vcpu_domain_page_table_bytes", domain=name)
            told[f"{name}.faults"] = page.value("vcpu_domain_major_faults_total", domain=name)
        self.assertEqual(before.keys(), told.keys())
        for key, value in told.items():
            slack = 0 if key.endswith(".faults") else AT_REST
            self.assertIsNotNone(value, f"{step}: no {key}")
            self.assertLessEqual(min(before[key], after[key]) - slack, value, f"{step}: {key}")
            self.assertGreaterEqual(max(before[key], after[key]) + slack, value, f"{step}: {key}")
        return told, page

    def test_1_nothing_is_in_the_swap_at_first(self):
        self.output("memory_guests")
        told, page = self.assert_told("memory_free")
        self.assertEqual(0, told["mem-tight.swap"])
        self.assertEqual(0, told["mem-calm.swap"])
        self.assertAlmostEqual(256 * MIB, told["SwapTotal:"], delta=AT_REST)
        self.assertEqual(1, page.value("vcpu_source_available", source="swap", reason=""))
        for name in ("mem-tight", "mem-calm"):
            self.assertEqual(GUEST_BYTES, page.value("vcpu_domain_memory_max_bytes", domain=name))
        every_maximum = sum(sample.value for sample in page.named("vcpu_domain_memory_max_bytes"))
        self.assertAlmostEqual(every_maximum / page.value("vcpu_host_memory_bytes", kind="total"),
                               page.value("vcpu_host_memory_overcommit_ratio"))

    def test_2_what_a_vm_has_in_the_swap_is_told_of_it_alone(self):
        free, _ = self.assert_told("memory_free")
        squeezed, _ = self.assert_told("memory_squeezed")
        print(f"# in the swap {squeezed['mem-tight.swap'] / MIB:.1f} MiB, "
              f"swapped out {(squeezed['pswpout'] - free['pswpout']) / MIB:.1f} MiB")
        least = GUEST_BYTES - LIMIT_BYTES
        self.assertGreater(squeezed["mem-tight.swap"], least)
        self.assertGreater(squeezed["pswpout"] - free["pswpout"], least)
        self.assertGreater(free["SwapFree:"] - squeezed["SwapFree:"], least)
        self.assert_calm(free, squeezed)

    def test_3_reading_the_swap_back_is_major_faults_of_that_vm_alone(self):
        squeezed, _ = self.assert_told("memory_squeezed")
        read, _ = self.assert_told("memory_read")
        faults = read["mem-tight.faults"] - squeezed["mem-tight.faults"]
        swapped_in = read["pswpin"] - squeezed["pswpin"]
        print(f"# {faults:.0f} major faults, swapped in {swapped_in / MIB:.1f} MiB")
        self.assertGreater(faults, 100)
        self.assertGreater(swapped_in, (GUEST_BYTES - LIMIT_BYTES) / 2)
        self.assert_calm(squeezed, read)
        self.output("memory_end")

    def assert_calm(self, old, new):
        self.assertEqual({key: value for key, value in old.items() if key.startswith("mem-calm.")},
                         {key: value for key, value in new.items() if key.startswith("mem-calm.")})

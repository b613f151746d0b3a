# SPDX-License-Identifier: Apache-2.0
"""Steal as the host measures it and as the guest suffers it: an exporter beside a real KVM guest, and one inside.

The host's page is fetched before and after each of the guest's, as all of it takes its time here.
"""
import collections
import os
import sys

from lab_guest import HERE, LabTest, inner_initrd

sys.path.append(str(HERE.parent / "live"))
from scrape import Page  # noqa: E402

NAME = "inner-steal"
VCPUS = ("0", "1")
WINDOW = int(os.environ.get("VCPU_LAB_STEAL_SECONDS") or 10)  # Of each case.
SECONDS = 60 + 4 * (WINDOW + 10)
TICK = 0.01  # What /proc/stat counts in.

LOOK = f"""
        outside() {{ wget -q -O - 'http://127.0.0.1:9755/metrics?collect[]=sched' | grep '^vcpu_steal_seconds.*"{NAME}"'; }}
        inside() {{
          exec 4<>/run/steal.out
          echo page >/run/steal.in
          while read -r -t 30 line <&4; do
            [ "$line" != end ] || return 0
            echo "$line"
          done
          echo "the guest does not answer" >&2
          return 1
        }}
        look() {{
          outside
          inside
          echo "@@ $(cut -d' ' -f1 /proc/uptime)"
          outside
          echo @@
        }}
        measure() {{
          look
          sleep {WINDOW}
          look
        }}
        pin() {{  # pin CPU CPU: those of the two vCPUs
          local task
          for task in /proc/$(cat /run/{NAME}.pid)/task/*; do
            case $(cat $task/comm) in
              "CPU 0/KVM") taskset -pc $1 ${{task##*/}} ;;
              "CPU 1/KVM") taskset -pc $2 ${{task##*/}} ;;
            esac
          done >/dev/null
        }}
        group=/sys/fs/cgroup/{NAME}
"""

STEPS = {
    "steal_guest": LOOK + f"""
        mkfifo /run/steal.in /run/steal.out
        start_inner_guest {NAME} 2-3 2 spin -m 256 -initrd /boot/steal.initrd -serial pipe:/run/steal
        await_inner_guest {NAME}
        echo +cpu >/sys/fs/cgroup/cgroup.subtree_control
        mkdir $group
        cat /run/{NAME}.pid >$group/cgroup.procs
        vcpu_exporter --no-libvirt --web.listen-address=127.0.0.1:9755 2>/run/steal_exporter.log &
        await 20 outside >/dev/null || {{ cat /run/steal_exporter.log >&2; exit 1; }}
        inside
    """,
    "steal_contention": LOOK + """
        pin 2 3
        spin_on 2
        two=$!
        spin_on 3
        three=$!
        measure
        kill $two $three
    """,
    "steal_quota": LOOK + """
        echo "60000 100000" >$group/cpu.max
        measure
        echo "max 100000" >$group/cpu.max
    """,
    "steal_pinned_together": LOOK + """
        pin 3 3
        measure
    """,
    "steal_pinned_apart": LOOK + """
        pin 2 3
        measure
    """,
}

CASES = {
    "steal_contention": "each vCPU shares its CPU with a busy loop",
    "steal_quota": "the VM has 60 ms of each 100 ms",
    "steal_pinned_together": "both vCPUs are pinned to one CPU",
    "steal_pinned_apart": "each vCPU is pinned to a CPU of its own",
}

Look = collections.namedtuple("Look", "before inside after uptime")


def prepare(initrd, exporter, work):
    inner_initrd(exporter).write(work / "steal.initrd")
    initrd.add_file(work / "steal.initrd", "/boot/steal.initrd")


def outside(text):
    page = Page(text)
    return {vcpu: page.value("vcpu_steal_seconds_total", domain=NAME, vcpu=vcpu) for vcpu in VCPUS}


def looks(output):
    parts = output.split("@@")
    for first, second in zip(parts[::2], parts[1::2]):
        uptime, _, after = second.strip().partition("\n")
        page = Page(first)
        inside = {cpu: page.value("vcpu_guest_steal_seconds_total", cpu=cpu) for cpu in VCPUS}
        yield Look(outside(first), inside, outside(after), float(uptime))


class Steal(LabTest):
    def growth(self, begin, end, vcpu):
        """(by the host, by the guest, how much the host's may be off as the pages are not of one moment)"""
        def middle(look):
            return (look.before[vcpu] + look.after[vcpu]) / 2
        unsure = sum(look.after[vcpu] - look.before[vcpu] for look in (begin, end)) / 2
        return middle(end) - middle(begin), end.inside[vcpu] - begin.inside[vcpu], unsure

    def test_1_steal_is_the_same_from_outside_and_from_inside(self):
        self.assertIn('vcpu_guest_info{hypervisor="kvm"} 1', self.output("steal_guest"))
        print(f"# | both vCPUs of a guest, {WINDOW} s | steal by the host | by the guest | difference |")
        for case, title in CASES.items():
            begin, end = looks(self.output(case))
            host, guest = (sum(self.growth(begin, end, vcpu)[side] for vcpu in VCPUS) for side in (0, 1))
            difference = f"{100 * (guest - host) / host:+.1f} %" if host > 0.1 else ""
            print(f"# | {title} | {host:.2f} s in {end.uptime - begin.uptime:.1f} s | {guest:.2f} s | {difference} |")
            for vcpu in VCPUS:
                by_host, by_guest, unsure = self.growth(begin, end, vcpu)
                self.assertAlmostEqual(by_host, by_guest, delta=0.02 * by_host + unsure + 2 * TICK,
                                       msg=f"{case}, vCPU {vcpu}")

    def test_2_steal_is_what_each_case_must_make_of_it(self):
        def share(case):
            begin, end = looks(self.output(case))
            return [self.growth(begin, end, vcpu)[1] / (end.uptime - begin.uptime) for vcpu in VCPUS]
        for case in ("steal_contention", "steal_quota", "steal_pinned_together"):
            for one in share(case):
                self.assertGreater(one, 0.2, case)
        for one in share("steal_pinned_apart"):
            self.assertLess(one, min(share("steal_contention")) / 2)

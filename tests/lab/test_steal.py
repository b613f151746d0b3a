# SPDX-License-Identifier: Apache-2.0
"""Steal as the host measures it and as the guest suffers it: an exporter beside a real KVM guest, and one inside.

A page takes its time here, so the two are not of one moment: each is between two uptimes of its own machine, which have the
same clock (kvm-clock), and what is compared is steal per second. Over a minute or more the two agree within 2 %.
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
IDLE = 0.01  # Steal in a second that nobody would miss, of one that is not contended.

LOOK = f"""
        outside() {{
          local began
          began=$(cut -d' ' -f1 /proc/uptime)
          wget -q -O /run/steal.page 'http://127.0.0.1:9755/metrics?collect[]=sched'
          echo "uptime $began $(cut -d' ' -f1 /proc/uptime)"
          grep '^vcpu_steal_seconds.*"{NAME}"' /run/steal.page
        }}
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
          echo @@
          inside
          echo @@
        }}
        measure() {{
          sleep 2  # What comes is to be as it stays.
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

View = collections.namedtuple("View", "uptime unsure steal")  # Seconds; steal by vCPU.


def prepare(initrd, exporter, work):
    inner_initrd(exporter).write(work / "steal.initrd")
    initrd.add_file(work / "steal.initrd", "/boot/steal.initrd")


def view(text, name, label):
    uptimes, _, samples = text.strip().partition("\n")
    began, ended = (float(word) for word in uptimes.split()[1:])
    steal = {sample.labels[label]: sample.value for sample in Page(samples).named(name)}
    return View((began + ended) / 2, (ended - began) / 2, steal)


def growth(output):
    """(host, guest) from their first view to their second one."""
    texts = output.split("@@")
    for index, name, label in ((0, "vcpu_steal_seconds_total", "vcpu"), (1, "vcpu_guest_steal_seconds_total", "cpu")):
        begin, end = (view(texts[index + offset], name, label) for offset in (0, 2))
        seconds = end.uptime - begin.uptime
        yield View(seconds, (begin.unsure + end.unsure) / seconds,
                   {vcpu: (end.steal[vcpu] - begin.steal[vcpu]) / seconds for vcpu in VCPUS})


def allowed(case, host, guest, by_host):
    """How far the two may be apart, in a second: 2 %, and two ticks over the window."""
    delta = 0.02 * by_host + 2 * TICK / guest.uptime
    if WINDOW < 60:  # A page's time is much of it.
        delta += (host.unsure + guest.unsure) * by_host
    return delta + IDLE if case == "steal_pinned_apart" else delta


class Steal(LabTest):
    def test_1_steal_is_the_same_from_outside_and_from_inside(self):
        guest_page = self.output("steal_guest")
        self.assertIn('vcpu_guest_info{hypervisor="kvm"} 1', guest_page)
        print(f"# | steal in a second, over {WINDOW} s | by the host | by the guest | difference |")
        for case, title in CASES.items():
            host, guest = growth(self.output(case))
            both = {"both vCPUs": (sum(host.steal.values()), sum(guest.steal.values()))}
            each = {f"vCPU {vcpu}": (host.steal[vcpu], guest.steal[vcpu]) for vcpu in VCPUS}
            for who, (by_host, by_guest) in {**both, **each}.items():
                difference = f"{100 * (by_guest - by_host) / by_host:+.1f} %" if by_host > 0.05 else ""
                print(f"# | {title}, {who} | {by_host:.3f} s | {by_guest:.3f} s | {difference} |")
                self.assertAlmostEqual(by_host, by_guest, delta=allowed(case, host, guest, by_host), msg=f"{case}, {who}")

    def test_2_steal_is_what_each_case_must_make_of_it(self):
        def share(case):
            return growth(self.output(case))
        for case in ("steal_contention", "steal_quota", "steal_pinned_together"):
            for side in share(case):
                self.assertGreater(min(side.steal.values()), 0.2, case)
        for side in share("steal_pinned_apart"):
            self.assertLess(max(side.steal.values()), 0.15)

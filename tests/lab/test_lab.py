# SPDX-License-Identifier: Apache-2.0
"""The machine is what it should be, what a quota does to run_delay there, and the exporter beside real KVM guests."""
import sys

from lab_guest import HERE, LabTest

sys.path.append(str(HERE.parent / "live"))
from scrape import Findings, Page  # noqa: E402

SPINNING = ("inner-spin", 0)
INNER_VCPUS = {SPINNING, ("inner-idle", 0), ("inner-idle", 1)}

STEPS = {
    "machine": """
        echo "kernel $(uname -r)"
        echo "btf_bytes $(wc -c </sys/kernel/btf/vmlinux)"
        echo "controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
        echo "mounted $(cut -d' ' -f3 /proc/mounts | tr '\\n' ' ')"
        for node in /sys/devices/system/node/node*; do
          echo "${node##*/} $(cat "$node/cpulist") $(cat "$node/distance")"
        done
    """,

    # A busy loop alone on CPU 3, first free, then with three tenths of it: what do schedstat and cpu.stat say?
    "quota": """
        cgroup=/sys/fs/cgroup/quota
        echo +cpu >/sys/fs/cgroup/cgroup.subtree_control
        mkdir $cgroup
        spin_on 3
        spinner=$!
        echo $spinner >$cgroup/cgroup.procs
        await 10 grep -q 'Cpus_allowed_list:.3$' /proc/$spinner/status
        figures() {  # WHEN UPTIME RUN_NS WAIT_NS DISPATCHES PERIODS THROTTLED_PERIODS THROTTLED_US
          echo "$1 $(cut -d' ' -f1 /proc/uptime) $(cat /proc/$spinner/schedstat)" \
            $(awk '/^(nr_periods|nr_throttled|throttled_usec) / { print $2 }' $cgroup/cpu.stat)
        }
        figures free
        sleep 3
        figures limited
        echo "30000 100000" >$cgroup/cpu.max
        sleep 6
        figures end
        kill $spinner
    """,

    "inner_guests": """
        start_inner_guest inner-spin 0 1 spin
        start_inner_guest inner-idle 2-3 2 idle
        await_inner_guest inner-spin
        await_inner_guest inner-idle
    """,
    "before_once": "vcpu_schedstats inner-spin inner-idle",
    "once": "vcpu_exporter --once",
    "after_once": "vcpu_schedstats inner-spin inner-idle",

    "serve": """
        vcpu_exporter --web.listen-address=127.0.0.1:9752 2>/run/vcpu_exporter.log &
        exporter=$!
        await_seen 127.0.0.1:9752 /run/vcpu_exporter.log inner-spin inner-idle
        cat /proc/$exporter/task/*/status
        spin_on 0
    """,
    "before_first": "vcpu_schedstats inner-spin inner-idle; cat /proc/uptime",
    "first_page": "wget -q -O - http://127.0.0.1:9752/metrics",
    "after_first": "vcpu_schedstats inner-spin inner-idle",
    # Not for some seconds: until the kernel has seen the spinning vCPU wait for two.
    "crowded": """
        waited() { vcpu_schedstats inner-spin | cut -d' ' -f4; }
        enough=$(($(waited) + 2000000000))
        is_enough() { [ "$(waited)" -ge $enough ]; }
        await 40 is_enough
    """,
    "before_second": "vcpu_schedstats inner-spin inner-idle; cat /proc/uptime",
    "second_page": "wget -q -O - http://127.0.0.1:9752/metrics",
    "after_second": "vcpu_schedstats inner-spin inner-idle",

    # The spinning guest gets a fifth of a CPU: its quota throttles its only vCPU for nearly all of the rest.
    "limited_vcpu": """
        cgroup=/sys/fs/cgroup/limited
        mkdir $cgroup
        echo "20000 100000" >$cgroup/cpu.max
        cat /run/inner-spin.pid >$cgroup/cgroup.procs
        look() {  # The page may come late: what is true before and after it.
          grep throttled_usec $cgroup/cpu.stat
          wget -q -O - http://127.0.0.1:9752/metrics | grep '_by_seconds_total.*inner-spin.*"quota"'
          grep throttled_usec $cgroup/cpu.stat
        }
        sleep 1
        look
        sleep 12
        look
    """,
}


def schedstats(text):
    """{(domain, vcpu): (run, wait, dispatches)}, in seconds."""
    rows = [line.split() for line in text.splitlines() if len(line.split()) == 5]
    return {(name, int(vcpu)): (int(run) / 1e9, int(wait) / 1e9, int(dispatches))
            for name, vcpu, run, wait, dispatches in rows}


class Lab(LabTest):
    def assert_between(self, before, page, after):
        """The page's figures of every inner vCPU lie between what the kernel said in the steps before and after."""
        before, after = schedstats(self.output(before)), schedstats(self.output(after))
        self.assertEqual(INNER_VCPUS, before.keys())
        for vcpu in sorted(INNER_VCPUS):
            labels = {"domain": vcpu[0], "vcpu": str(vcpu[1])}
            for metric, low, high in zip(
                    ("vcpu_run_seconds_total", "vcpu_steal_seconds_total", "vcpu_dispatches_total"),
                    before[vcpu], after[vcpu]):
                value = page.value(metric, **labels)
                self.assertIsNotNone(value, f"no {metric} of {vcpu}")
                # A double that counts seconds holds the nanoseconds.
                self.assertLessEqual(low - 1e-6, value, f"{metric} of {vcpu} is less than the kernel said before")
                self.assertGreaterEqual(high + 1e-6, value, f"{metric} of {vcpu} is more than the kernel said after")

    def test_1_a_linux_6_1_host_with_two_nodes_boots(self):
        found = dict(line.split(" ", 1) for line in self.output("machine").splitlines())
        self.assertRegex(found["kernel"], r"^6\.1\.")
        self.assertGreater(int(found["btf_bytes"]), 1_000_000)
        self.assertLessEqual({"cpu", "cpuset", "memory", "io", "pids"}, set(found["controllers"].split()))
        self.assertLessEqual({"cgroup2", "debugfs", "tracefs", "bpf"}, set(found["mounted"].split()))
        self.assertEqual("0-1 10 30", found["node0"])
        self.assertEqual("2-3 30 10", found["node1"])

    def test_2_a_quota_throttles_a_busy_loop(self):
        figures = {when: [float(figure) for figure in rest] for when, *rest in
                   map(str.split, self.output("quota").splitlines())}

        def told(name, begin, end):
            wall, run, wait, _, periods, throttled_periods, throttled = (
                new - old for old, new in zip(figures[begin], figures[end]))
            print(f"# {name}: in {wall:.2f} s run {run / 1e9:.3f} s, run_delay {wait / 1e9:.3f} s, "
                  f"throttled_usec {throttled / 1e6:.3f} s in {throttled_periods:.0f} of {periods:.0f} periods")
            return wall, wait / 1e9, throttled / 1e6

        wall, waited, throttled = told("a busy loop alone on its CPU", "free", "limited")
        self.assertEqual(0, throttled)
        self.assertLess(waited, 0.05 * wall)
        wall, waited, throttled = told('the same with cpu.max "30000 100000"', "limited", "end")
        self.assertGreater(throttled, 0.5 * wall)
        # What is stopped by a quota is in run_delay; it may wait for others besides.
        self.assertGreater(waited, 0.98 * throttled)
        self.assertLess(waited, throttled + 0.05 * wall)

    def test_3_once_agrees_with_the_kernel_on_kvm_guests(self):
        self.output("inner_guests")
        page = Page(self.output("once"))
        for domain in ("inner-spin", "inner-idle"):
            self.assertEqual(1, page.value("vcpu_domain_info", domain=domain, vmm="qemu", accel="kvm"), domain)
        self.assertEqual(INNER_VCPUS, page.vcpus())
        self.assert_between("before_once", page, "after_once")
        self.assertEqual(1, page.value("vcpu_source_available", source="task_iterator", reason=""))
        self.assertIsNotNone(page.value("vcpu_waiting_seconds", domain="inner-spin"))
        # A host that is both: this one has VMs, and is QEMU's guest itself.
        self.assertEqual(1, page.value("vcpu_guest_info", hypervisor="tcg"))
        self.assertEqual(["0", "1", "2", "3"],
                         [sample.labels["cpu"] for sample in page.named("vcpu_guest_steal_seconds_total")])
        self.assertEqual(2, page.value("vcpu_host_numa_nodes"))
        self.assertEqual(0, page.value("vcpu_numa_node", domain="inner-spin", vcpu="0"))
        self.assertEqual(1, page.value("vcpu_numa_node", domain="inner-idle", vcpu="0"))

    def test_4_served_counters_do_not_fall_and_steal_beside_a_busy_loop_grows(self):
        self.output("serve")
        first, second = Page(self.output("first_page")), Page(self.output("second_page"))
        findings = Findings(INNER_VCPUS)
        findings.check(first)
        findings.check(second)
        self.assertEqual([], findings.problems)
        self.assertIsNone(first.value("vcpu_host_core_scheduled_vcpus"))  # Without CONFIG_SCHED_CORE.
        self.assert_between("before_first", first, "after_first")
        self.assert_between("before_second", second, "after_second")

        def steal_growth(domain, vcpu):
            old, new = (page.value("vcpu_steal_seconds_total", domain=domain, vcpu=str(vcpu))
                        for page in (first, second))
            return new - old

        began, ended = (float(self.output(step).splitlines()[-1].split()[0])
                        for step in ("before_first", "before_second"))
        growth = steal_growth(*SPINNING)
        print(f"# {SPINNING[0]} beside a busy loop: steal grew {growth:.3f} s in {ended - began:.2f} s")
        self.output("crowded")
        self.assertGreaterEqual(growth, 2)
        self.assertGreater(growth, 2 * max(steal_growth("inner-idle", 0), steal_growth("inner-idle", 1)))

    def test_4_no_thread_that_serves_has_any_right_left(self):
        """Started as root, by default; and yet eBPF is read (test 5)."""
        found = {}
        for line in self.output("serve").splitlines():
            name, _, value = line.partition(":\t")
            found.setdefault(name, set()).add(value.strip())
        self.assertGreater(len(found["Pid"]), 1)
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual({"0" * 16}, found[name], name)
        self.assertEqual({"65534\t65534\t65534\t65534"}, found["Uid"])
        self.assertEqual({"1"}, found["NoNewPrivs"])
        self.assertEqual({"2"}, found["Seccomp"])

    def test_5_the_waits_of_a_kvm_vcpu_and_who_caused_them_are_told(self):
        first, second = Page(self.output("first_page")), Page(self.output("second_page"))
        [source] = second.named("vcpu_source_available", source="runqueue")
        self.assertEqual("", source.labels["reason"])
        [quota] = second.named("vcpu_source_available", source="runqueue_quota")
        print(f"# quota told apart on this kernel: {quota.value:.0f} {quota.labels['reason']}")
        domain = SPINNING[0]

        def growth(page_value):
            return page_value(second) - page_value(first)

        def stolen(page, **labels):
            return sum(sample.value for sample in page.named("vcpu_stolen_by_seconds_total", domain=domain, **labels))

        steal = growth(lambda page: page.value("vcpu_steal_seconds_total", domain=domain, vcpu="0"))
        waited = growth(lambda page: page.value("vcpu_runqueue_latency_seconds_sum", domain=domain))
        everybody = growth(stolen)
        by_host = growth(lambda page: stolen(page, culprit_kind="host"))
        print(f"# steal {steal:.3f} s, histogram {waited:.3f} s, all culprits {everybody:.3f} s, host {by_host:.3f} s")
        # The figures of one page are some milliseconds apart.
        self.assertAlmostEqual(steal, waited, delta=0.03 * steal)
        self.assertAlmostEqual(waited, everybody, delta=1e-6)
        self.assertGreater(by_host, 0.8 * waited)
        self.assertLess(growth(lambda page: stolen(page, culprit_kind="unknown")), 0.01 * waited)

    def test_6_a_quota_is_a_culprit_of_its_own(self):
        earliest, quota, early, late, quota_after, latest = (
            float(line.split()[-1]) for line in self.output("limited_vcpu").splitlines())
        told = quota_after - quota
        least, most = (late - early) / 1e6, (latest - earliest) / 1e6
        print(f"# stolen by the quota {told:.3f} s, throttled in cpu.stat {least:.3f} to {most:.3f} s")
        self.assertGreater(least, 6)
        self.assertGreater(told, 0.98 * least)
        self.assertLess(told, 1.02 * most)

# SPDX-License-Identifier: Apache-2.0
"""Collector perf on Debian's kernel, whose kernel.perf_event_paranoid knows a level 3, and on real KVM vCPUs."""
import sys

from lab_guest import HERE, LabTest

sys.path.append(str(HERE.parent / "live"))
from scrape import Page  # noqa: E402

DOMAIN = "inner-spin"

# What one vCPU's thread has done, as the kernel counts it: run ns and switches.
TRUTH = """
        truth() {
          for task in /proc/$(cat /run/inner-spin.pid)/task/*; do
            grep -q '^CPU 0/KVM' $task/comm || continue
            echo "truth $(cut -d' ' -f1 $task/schedstat) $(awk '/ctxt_switches/ { sum += $2 } END { print sum }' $task/status)"
          done
        }
"""

STEPS = {
    "perf_guest": """
        if [ ! -e /run/inner-spin.pid ]; then  # Not where all tests run.
          start_inner_guest inner-spin 0 1 spin
          await_inner_guest inner-spin
        fi
    """,
    "perf_refused": """
        cat /proc/sys/kernel/perf_event_paranoid
        vcpu_exporter --collector.perf --web.listen-address=127.0.0.1:9753 2>/run/perf_refused.log &
        await 20 wget -q -O /dev/null http://127.0.0.1:9753/-/ready || { cat /run/perf_refused.log >&2 && exit 1; }
        refused() { wget -q -O - http://127.0.0.1:9753/metrics | grep '^vcpu_source_available{source="perf".* 0$'; }
        await 20 refused
        kill $!
    """,
    # Two pages, and the truth before and after each of them.
    "perf_counted": TRUTH + """
        echo 2 >/proc/sys/kernel/perf_event_paranoid
        vcpu_exporter --collector.perf --web.listen-address=127.0.0.1:9754 2>/run/perf_counted.log &
        await 20 wget -q -O /dev/null http://127.0.0.1:9754/-/ready || { cat /run/perf_counted.log >&2 && exit 1; }
        grep CapEff /proc/$!/status
        perf() { wget -q -O - http://127.0.0.1:9754/metrics | grep '^vcpu_perf_.*inner-spin'; }
        await 20 perf >/dev/null
        truth
        perf | sed 's/^/first /'
        truth
        sleep 4
        truth
        perf | sed 's/^/second /'
        truth
        kill $!
    """,
}


class Perf(LabTest):
    def test_7_debians_level_3_is_named_as_what_refuses_to_count(self):
        self.output("perf_guest")
        level, source = self.output("perf_refused").splitlines()[:2]
        self.assertEqual("3", level)
        self.assertIn("kernel.perf_event_paranoid is 3, which needs CAP_SYS_ADMIN; set it to 2", source)

    def test_8_at_level_2_what_a_kvm_vcpu_does_is_counted_as_the_kernel_counts_it(self):
        output = self.output("perf_counted")
        self.assertIn("CapEff:\t0000004000000000", output)
        lines = output.splitlines()
        ran, switched = zip(*([int(word) for word in line.split()[1:]] for line in lines if line.startswith("truth ")))
        first, second = (Page("\n".join(line.removeprefix(page) for line in lines if line.startswith(page)))
                         for page in ("first ", "second "))

        def growth(name, **labels):
            return second.value(name, **labels) - first.value(name, **labels)
        counted = growth("vcpu_perf_events_total", domain=DOMAIN, vcpu="0", event="context_switches")
        observed = growth("vcpu_perf_observed_seconds_total", domain=DOMAIN, vcpu="0")
        least, most = ran[2] - ran[1], ran[3] - ran[0]
        print(f"# in 4 s: {counted:.0f} switches, {observed:.3f} s observed; /proc says between {switched[2] - switched[1]} "
              f"and {switched[3] - switched[0]}, {least / 1e9:.3f} s and {most / 1e9:.3f} s")
        self.assertGreaterEqual(counted, switched[2] - switched[1])
        self.assertLessEqual(counted, switched[3] - switched[0])
        # What the switch itself takes is in /proc's figure alone.
        self.assertGreater(observed, 0.8 * least / 1e9)
        self.assertLessEqual(observed, most / 1e9)

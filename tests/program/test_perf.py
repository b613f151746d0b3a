# SPDX-License-Identifier: Apache-2.0
"""Collector perf: the one right it keeps, what it counts of VMs that start later, and what it says where it may not."""
import os
import pathlib
import re
import signal
import unittest

import program
from program import Exporter, FakeVm, ProcView, run, scratch_directory, status_of, wait_for, write_file

CAP_PERFMON = 1 << 38
SOFTWARE = ("context_switches", "page_faults", "cpu_migrations")
COUNT_SOFTWARE = ("--collector.perf", *(f"--collector.perf.event={event}" for event in SOFTWARE))
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def reason(page, source="perf"):
    [sample] = page.named("vcpu_source_available", source=source)
    return sample.labels["reason"]


def capabilities(pid, tid):
    status = status_of(f"{pid}/task/{tid}")
    return {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def perf_events(pid):
    links = []
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(link))
        except FileNotFoundError:
            pass
    return [link for link in links if "perf_event" in link]


def thread_named(pid, name):
    for comm in pathlib.Path(f"/proc/{pid}/task").glob("*/comm"):
        if comm.read_text().strip() == name:
            return int(comm.parent.name)
    return None


def switches(pid, tid):
    """Voluntary and involuntary, as the kernel counts them."""
    text = pathlib.Path(f"/proc/{pid}/task/{tid}/status").read_text()
    return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", text)))


def run_seconds(pid, tid):
    return int(pathlib.Path(f"/proc/{pid}/task/{tid}/schedstat").read_text().split()[0]) / 1e9


class Rights(unittest.TestCase):
    def setUp(self):
        if not program.AS_ROOT:
            self.skipTest("not root")

    def assert_every_thread_has(self, exporter, kept):
        for tid in os.listdir(f"/proc/{exporter.pid}/task"):
            self.assertEqual(capabilities(exporter.pid, tid),
                             {"CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": 0, "CapAmb": 0})
            self.assertEqual(status_of(f"{exporter.pid}/task/{tid}")["NoNewPrivs"], "1")

    def test_no_capability_is_kept_unless_the_collector_is_on(self):
        for flags in ((), ("--no-collector.perf",)):
            with self.subTest(flags=flags), Exporter(*flags) as exporter:
                exporter.page()
                self.assert_every_thread_has(exporter, 0)
                self.assertIn('msg="No capability is held"', exporter.log())
                self.assertEqual(perf_events(exporter.pid), [])

    def test_with_the_collector_cap_perfmon_alone_is_kept_and_that_is_said(self):
        with Exporter("--collector.perf") as exporter:
            exporter.page()
            self.assert_every_thread_has(exporter, CAP_PERFMON)
            self.assertNotIn("0", status_of(exporter.pid)["Uid"].split())
            self.assertIn('msg="CAP_PERFMON is kept, for collector perf"', exporter.log())
            self.assertNotIn("No capability is held", exporter.log())

    def test_the_child_that_asks_libvirt_does_not_inherit_it(self):
        with Exporter("--collector.perf", "--libvirt.uri=test:///default") as exporter:
            exporter.page()
            children = exporter.children()
            if not children:
                self.skipTest("built without libvirt")
            for child in children:
                held = capabilities(child, child)
                self.assertEqual((held["CapEff"], held["CapPrm"]), (0, 0))

    def test_switched_on_by_a_reload_it_says_that_it_takes_a_restart(self):
        path = write_file("", scratch_directory() / "config.yml")
        with Exporter("--config.file", path) as exporter:
            write_file("collectors: {perf: true}\n", path)
            os.kill(exporter.pid, signal.SIGHUP)
            wait_for(lambda: "perf" in exporter.page().collectors(), "the collector to be on")
            page = exporter.page()
            self.assertEqual(page.collectors()["perf"], 1)
            self.assertRegex(reason(page), "^has not been on since the start, when rights are given up; restart")
            self.assertEqual(perf_events(exporter.pid), [])

    def test_switched_off_by_a_reload_it_closes_all_events(self):
        path = write_file("collectors: {perf: true}\n", scratch_directory() / "config.yml")
        with FakeVm("counted"), Exporter("--config.file", path) as exporter:
            exporter.page_with(2, "counted")
            if reason(exporter.page()):
                self.skipTest(reason(exporter.page()))
            wait_for(lambda: exporter.page() and len(perf_events(exporter.pid)) > 2, "events to be open")
            write_file("collectors: {perf: false}\n", path)
            os.kill(exporter.pid, signal.SIGHUP)
            wait_for(lambda: not perf_events(exporter.pid), "all events to be closed")


class Counting(unittest.TestCase):
    """VMs of root, started after the exporter has become another user."""

    def setUp(self):
        if not program.AS_ROOT:
            self.skipTest("not root")
        self.view = ProcView()  # Of this machine's VMs, those of the test.
        self.exporter = self.count()
        why = reason(self.exporter.page())
        if why:
            self.skipTest(why)

    def count(self, *flags):
        return self.enterContext(Exporter(*COUNT_SOFTWARE, "--collector.perf.window=1ms", "--path.procfs",
                                          self.view.path, *flags))

    def start(self, name):
        vm = self.enterContext(FakeVm(name))
        self.view.show(vm.pid)
        return vm

    def wait_for_events(self, count):
        """Scrapes until so many are open, besides the exporter's own one."""
        wait_for(lambda: self.exporter.page() and len(perf_events(self.exporter.pid)) == count + 1, f"{count} events")

    def test_what_a_vm_that_starts_later_does_is_counted_as_the_kernel_counts_it(self):
        vm = self.start("later")
        self.wait_for_events(2 * len(SOFTWARE))
        tid = thread_named(vm.pid, "CPU 0/KVM")
        switched, ran = switches(vm.pid, tid), run_seconds(vm.pid, tid)
        vm.tell("spin 1000")

        def settled():
            before = switches(vm.pid, tid)
            page = self.exporter.page()
            return switches(vm.pid, tid) == before and page
        page = wait_for(settled, "the threads to sleep again")
        switched, ran = switches(vm.pid, tid) - switched, run_seconds(vm.pid, tid) - ran
        counted = {event: page.value("vcpu_perf_events_total", domain="later", vcpu="0", event=event)
                   for event in SOFTWARE}
        self.assertGreater(switched, 0)
        self.assertEqual(counted["context_switches"], switched)
        self.assertGreaterEqual(min(counted.values()), 0)
        observed = page.value("vcpu_perf_observed_seconds_total", domain="later", vcpu="0")
        self.assertAlmostEqual(observed, ran, delta=0.05 * ran)
        self.assertEqual({reason(page, f"perf_{event}") for event in SOFTWARE}, {""})

    def test_nothing_falls_while_vms_take_turns(self):
        vms = [self.start(f"turn-{number}") for number in range(3)]
        exporter = self.count(f"--collector.perf.max-descriptors={2 * len(SOFTWARE)}")
        before = exporter.page_with(6, "turn-").totals()
        seen = set()
        for _ in range(12):
            for vm in vms:
                vm.tell("spin 5")
            page = exporter.page()
            self.assertEqual(program.decreased(before, page.totals()), [])
            self.assertLessEqual(len(perf_events(exporter.pid)), 2 * len(SOFTWARE) + 1)
            before = page.totals()
            seen |= {(sample.labels["domain"], int(sample.labels["vcpu"]))
                     for sample in page.named("vcpu_perf_observed_seconds_total")}
        self.assertEqual(seen, page.vcpus("turn-"))

    def test_a_stopped_vm_does_not_hold_up_perf(self):
        vm = self.start("stopped")
        vm.stop()
        self.wait_for_events(2 * len(SOFTWARE))
        page = self.exporter.page()
        self.assertEqual((page.collectors()["perf"], reason(page)), (1, ""))
        vm.go_on()

    def test_the_events_of_a_vm_that_ends_are_closed_in_silence(self):
        vm = self.start("ending")
        self.wait_for_events(2 * len(SOFTWARE))
        vm.kill()
        self.wait_for_events(0)
        page = self.exporter.page()
        self.assertEqual((page.collectors()["perf"], reason(page)), (1, ""))


class Refused(unittest.TestCase):
    def setUp(self):
        if not program.AS_ROOT:
            self.skipTest("not root")

    def test_without_the_right_the_reason_says_which(self):
        with FakeVm("of-root"), Exporter("--collector.perf", under=AS_NOBODY) as exporter:
            page = exporter.page_with(2, "of-root")
            self.assertEqual(page.collectors()["perf"], 1)
            self.assertRegex(reason(page), "CAP_PERFMON|kernel.perf_event_paranoid")
            self.assertEqual(page.named("vcpu_perf_events_total"), [])
            self.assertIn('msg="No capability is held"', exporter.log())

    def test_a_level_that_the_right_does_not_satisfy_is_named(self):
        view = ProcView()
        (view.path / "sys" / "kernel").mkdir(parents=True)
        (view.path / "sys" / "kernel" / "perf_event_paranoid").write_text("3\n")
        with Exporter("--collector.perf", "--path.procfs", view.path, under=AS_NOBODY) as exporter:
            self.assertEqual(
                reason(exporter.page()),
                "not allowed: kernel.perf_event_paranoid is 3, which needs CAP_SYS_ADMIN; set it to 2")

    def test_an_event_that_is_none_is_named_on_one_line(self):
        done = run("--collector.perf", "--collector.perf.event=cylces", "--config.check")
        if done.returncode == 0:
            self.skipTest("built without libpfm4, which knows them")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r'\Avcpu_exporter: [^\n]*"cylces"[^\n]*did you mean "cycles"[^\n]*\n\Z')

    def test_without_a_pmu_hardware_events_are_said_not_to_be_offered(self):
        done = run("--once", "--collector.perf", "--collector.perf.event=cycles", "--collector.perf.event=page-faults")
        page = program.Page(done.stdout)
        self.assertEqual(reason(page, "perf_page_faults"), "")
        if not reason(page, "perf_cycles"):
            self.skipTest("this machine has a PMU")
        self.assertRegex(reason(page, "perf_cycles"), "^not offered by this CPU, or hidden by the hypervisor")

# SPDX-License-Identifier: Apache-2.0
"""Virtual machines as they come: with hostile names, dying, stopped, and with threads that come and go."""
import statistics
import threading
import time
import unittest

from program import Exporter, FakeVm, Page, ProcView, decreased, run, wait_for

HOSTILE = (  # (name, the label it has to become, or how that begins)
    (b'evil"quotes""', 'evil"quotes""'),
    (b"evil\\slash\\n\\", "evil\\slash\\n\\"),
    (b"evil\nline\n# TYPE x counter\nx 1", "evilline# TYPE x counterx 1"),
    (b"evil utf8 \xff\xc3( \xe2\x82\xac \xed\xa0\x80", "evil utf8 \ufffd\ufffd( \u20ac \ufffd\ufffd\ufffd"),
    (b"evil\x01\x1b[31m\x7f\r\t\xc2\x85red", "evil[31mred"),
    (b'evil{x="y"} 1 # {} <b>', 'evil{x="y"} 1 # {} <b>'),
    (b"evil long " + b"x" * 10240, "evil long xxx"),
    (b"evil long " + b"x" * 10239 + b"y", "evil long xxx"),
    (b"evil long " + b"\xe2\x82\xac" * 4000, "evil long \u20ac"),
)


class HostileNames(unittest.TestCase):
    def setUp(self):
        for name, _ in HOSTILE:
            self.enterContext(FakeVm(name))

    def assert_all_there(self, page):
        domains = {domain for domain, _ in page.vcpus("evil")}
        self.assertEqual(len(domains), len(HOSTILE), domains)
        self.assertEqual(page.vcpus("evil"), {(domain, vcpu) for domain in domains for vcpu in (0, 1)})
        for _, label in HOSTILE:
            self.assertTrue(label in domains or (label.startswith("evil long") and
                            any(domain.startswith(label) for domain in domains)), (label, domains))
        for domain in domains:
            self.assertLessEqual(len(domain.encode()), 256)
            self.assertTrue(domain.isprintable(), domain)

    def test_hostile_names_leave_the_page_of_once_whole(self):
        done = run("--once")
        self.assertEqual(done.returncode, 0)
        self.assert_all_there(Page(done.stdout))

    def test_hostile_names_leave_both_formats_over_http_whole(self):
        with Exporter() as exporter:
            self.assert_all_there(exporter.page_with(2 * len(HOSTILE), "evil"))
            self.assert_all_there(exporter.page(headers={"Accept": "application/openmetrics-text; version=1.0.0"}))
            self.assertNotIn("<b>", exporter.ask("/").text)


class Churn(threading.Thread):
    """Thirty VMs, each killed and started anew under its name, one after the other, until left."""

    def __init__(self):
        super().__init__()
        self._left = threading.Event()
        self.restarts = 0

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._left.set()
        self.join()

    def run(self):  # A fake VM does not outlive the thread that started it.
        vms = []
        try:
            while not self._left.is_set():
                if len(vms) == 30:
                    vms.pop(0).kill()
                    self.restarts += 1
                vms.append(FakeVm(f"churn-{(self.restarts + len(vms)) % 30}"))
                vms[-1].tell("spin 1")
        finally:
            for vm in vms:
                vm.kill()


class ComingAndGoing(unittest.TestCase):
    def test_vms_that_are_started_and_killed_meanwhile_break_no_page(self):
        with Exporter() as exporter, Churn() as churn:
            totals = {}
            seen = set()
            for number in range(100):
                headers = ({}, {"Accept": "application/openmetrics-text; version=1.0.0"})[number % 2]
                page = exporter.page(headers=headers)
                self.assertEqual({name for name, success in page.collectors().items() if not success}, set())
                after = page.totals()
                self.assertEqual(decreased(totals, after), [])
                totals.update(after)
                seen |= {domain for domain, _ in page.vcpus("churn-")}
        self.assertGreater(churn.restarts, 30)
        self.assertGreater(len(seen), 20)

    def test_a_vcpu_that_is_unplugged_and_plugged_again_goes_on_counting(self):
        vm = self.enterContext(FakeVm("plug", ["CPU 0/KVM", "CPU 1/KVM", "IO disk0", "worker"]))
        exporter = self.enterContext(Exporter("--path.procfs", ProcView(vm.pid).path))
        vm.tell("spin 30")
        first = exporter.page_with(2)
        self.assertEqual(first.vcpus(), {("plug", 0), ("plug", 1)})
        self.assertEqual({sample.labels["role"] for sample in first.named("vcpu_domain_thread_run_seconds_total")},
                         {"emulator", "iothread", "worker"})
        vm.tell("remove CPU 1/KVM")
        vm.tell("remove worker")
        gone = exporter.page()
        self.assertEqual(gone.vcpus(), {("plug", 0)})
        self.assertEqual(decreased(first.totals(), gone.totals()), [])
        self.assertGreaterEqual(gone.value("vcpu_domain_thread_run_seconds_total", role="worker"),
                                first.value("vcpu_domain_thread_run_seconds_total", role="worker"))
        vm.tell("add CPU 1/KVM")
        vm.tell("add CPU 2/KVM")
        vm.tell("add worker")
        back = exporter.page()
        self.assertEqual(back.vcpus(), {("plug", 0), ("plug", 1), ("plug", 2)})
        self.assertEqual(decreased({**first.totals(), **gone.totals()}, back.totals()), [])
        vm.tell("spin 30")
        self.assertGreater(exporter.page().value("vcpu_run_seconds_total", vcpu="1"),
                           back.value("vcpu_run_seconds_total", vcpu="1"))

    def test_sums_of_vcpus_keep_what_an_unplugged_one_got(self):
        vm = self.enterContext(FakeVm("summed-vm"))
        exporter = self.enterContext(Exporter("--no-collector.sched.per-vcpu", "--no-libvirt"))

        def summed(page):
            return {(name, *labels.items()): value for name, labels, value in page.samples
                    if labels.get("domain") == "summed-vm" and name in (
                        "vcpu_domain_run_seconds_total", "vcpu_domain_dispatches_total", "vcpu_domain_steal_seconds_total")}
        first = wait_for(lambda: summed(exporter.page()), "the VM to be seen")
        self.assertEqual(len(first), 3)
        vm.tell("spin 200")
        both = exporter.page()
        run_seconds = both.value("vcpu_domain_run_seconds_total", domain="summed-vm")
        self.assertGreater(run_seconds, 0)
        self.assertEqual(both.value("vcpu_domain_present_vcpus", domain="summed-vm"), 2)
        vm.tell("remove CPU 1/KVM")
        one = exporter.page()
        self.assertEqual(one.value("vcpu_domain_present_vcpus", domain="summed-vm"), 1)
        vm.tell("add CPU 1/KVM")
        again = exporter.page()
        for before, after in ((both, one), (one, again)):
            self.assertEqual(decreased(summed(before), summed(after)), [])
        self.assertEqual(one.vcpus("summed-vm"), set())

    def test_a_vm_that_ends_and_comes_again_has_a_new_start(self):
        exporter = self.enterContext(Exporter())
        starts = []
        for _ in range(2):
            with FakeVm("again"):
                starts.append(exporter.page_with(2, "again").value("vcpu_domain_start_time_seconds", domain="again"))
            self.assertEqual(exporter.page().vcpus("again"), set())
            ended = time.monotonic()
            wait_for(lambda ended=ended: time.monotonic() > ended + 0.02, "two ticks of the clock of starts")
        self.assertLess(abs(starts[1] - time.time()), 10)
        self.assertGreater(starts[1], starts[0])

    def test_a_stopped_vm_costs_a_scrape_nothing(self):
        vms = [self.enterContext(FakeVm(f"stopped-{number}")) for number in range(3)]
        with Exporter() as exporter:
            running, _ = self.scrapes(exporter)
            for vm in vms:
                vm.stop()
            stopped, before = self.scrapes(exporter)
            # One that was stopped before the exporter saw it.
            with Exporter() as late:
                self.scrapes(late)
            for vm in vms:
                vm.go_on()
                vm.tell("spin 5")
            _, after = self.scrapes(exporter)
        self.assertEqual(decreased(before.totals(), after.totals()), [])
        self.assertLess(statistics.median(stopped), 3 * statistics.median(running) + 0.02)
        self.assertLess(max(stopped), 1)

    def scrapes(self, exporter):
        """(seconds each took, the last page)"""
        exporter.page_with(6, "stopped-")
        seconds = []
        for _ in range(20):
            began = time.monotonic()
            answer = exporter.ask()
            seconds.append(time.monotonic() - began)
            page = Page(answer.text)
            self.assertEqual(page.vcpus("stopped-"), {(f"stopped-{vm}", vcpu) for vm in range(3) for vcpu in (0, 1)})
        return seconds, page

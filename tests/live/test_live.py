# SPDX-License-Identifier: Apache-2.0
"""The exporter on a host with real, overcommitted guests, while these and libvirtd are mistreated. Start by test.sh."""
import atexit
import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
import traceback
import unittest

import hostile_guest
import kernel_truth
import lab as laboratory
import scrape
from processes import Daemon, process_state, wait_for

LAB = None
PLAIN = COMMA = QUOTED = None  # Three guests that spin, with names as users choose them.
SCRAPE_LIMIT_SECONDS = 0.1
ALLOCATED_AT_ONCE = "<memoryBacking><allocation mode='immediate'/></memoryBacking>"
TWO_BOUND_CELLS = """
  <cpu mode='maximum'><numa>
    <cell id='0' cpus='0' memory='64' unit='MiB'/><cell id='1' cpus='1' memory='64' unit='MiB'/>
  </numa></cpu>
  <numatune>
    <memory mode='strict' nodeset='0'/><memnode cellid='0' mode='strict' nodeset='0'/>
  </numatune>"""


def setUpModule():
    global LAB, PLAIN, COMMA, QUOTED
    LAB = laboratory.Lab(sys.argv[1])
    # Not tearDownModule: it would be skipped after Ctrl-C, and a spinning guest would stay behind.
    atexit.register(LAB.close)
    LAB.start()
    PLAIN = LAB.guest("live-plain")
    COMMA = LAB.guest("live, with a comma")
    QUOTED = LAB.guest('live "quoted" \\ {x="1"} \u2603')
    LAB.create(PLAIN, COMMA, QUOTED)


def vcpus_of(*guests):
    return {(guest.name, vcpu) for guest in guests for vcpu in range(guest.vcpus)}


def by_vcpu(result):
    """A PromQL result as {(domain, vcpu): value}, of the lab's guests only."""
    ours = {PLAIN.name, COMMA.name, QUOTED.name}
    return {(labels["domain"], int(labels["vcpu"])): value for labels, value in result if labels["domain"] in ours}


class Live(unittest.TestCase):
    maxDiff = None

    def assert_kept_promises(self, watch):
        self.assertEqual([], watch.problems[:5])
        print(f"# {watch.summary()}", flush=True)
        self.assertLess(watch.slowest_seconds(), SCRAPE_LIMIT_SECONDS, watch.summary())
        self.assertLess(watch.usual_seconds(), SCRAPE_LIMIT_SECONDS, watch.summary())

    def assert_between(self, before, value, after, what):
        tolerance = 1e-6  # of a float64 that counts seconds
        self.assertLessEqual(before - tolerance, value, f"{what} is less than the kernel said before")
        self.assertGreaterEqual(after + tolerance, value, f"{what} is more than the kernel said after")

    def assert_kernel_agrees(self, pid, before, value_of, domain):
        """value_of(metric, vcpu, **labels) lies between the kernel's figures before and now."""
        after = kernel_truth.vcpu_figures(pid)
        self.assertTrue(before)
        for vcpu, old in before.items():
            new = after[vcpu]
            for metric, labels, low, high in (
                    ("vcpu_run_seconds_total", {}, old.run_ns / 1e9, new.run_ns / 1e9),
                    ("vcpu_steal_seconds_total", {}, old.wait_ns / 1e9, new.wait_ns / 1e9),
                    ("vcpu_dispatches_total", {}, old.dispatches, new.dispatches),
                    ("vcpu_context_switches_total", {"kind": "voluntary"}, old.voluntary, new.voluntary),
                    ("vcpu_context_switches_total", {"kind": "involuntary"}, old.involuntary, new.involuntary),
                    ("vcpu_migrations_total", {}, old.migrations, new.migrations)):
                value = value_of(metric, vcpu, **labels)
                self.assertIsNotNone(value, f"no {metric} {labels} of {domain}, vCPU {vcpu}")
                self.assert_between(low, value, high, f"{metric} {labels} of {domain}, vCPU {vcpu}")

    def assert_page_agrees_with_kernel(self, domain, pid):
        before = kernel_truth.vcpu_figures(pid)
        LAB.scrape()  # This one may share a page that was begun before; the next cannot.
        page = LAB.scrape()
        self.assert_kernel_agrees(
            pid, before, lambda metric, vcpu, **labels: page.value(metric, domain=domain, vcpu=str(vcpu), **labels),
            domain)

    def wait_for_page(self, condition, timeout, what):
        return wait_for(lambda: condition(LAB.scrape()), timeout, what)

    def test_1_prometheus_shows_how_each_vcpu_of_overcommitted_guests_is_scheduled(self):
        prometheus = LAB.prometheus
        expected = vcpus_of(PLAIN, COMMA, QUOTED)

        def rates():
            run = by_vcpu(prometheus.query("rate(vcpu_run_seconds_total[10s])"))
            steal = by_vcpu(prometheus.query("rate(vcpu_steal_seconds_total[10s])"))
            always_runnable = all(0.9 < run.get(vcpu, 0) + steal.get(vcpu, 0) < 1.1 for vcpu in expected)
            return (run, steal) if always_runnable else None

        run, steal = wait_for(rates, 60, "run + steal of all spinning vCPUs to be the wall clock")
        self.assertEqual(expected, set(steal))
        self.assertGreater(min(steal.values()), 0.1)
        # Six always runnable threads on two CPUs wait two thirds of the time, more if others compute here, too.
        self.assertGreater(sum(steal.values()) / len(steal), 0.6)
        self.assertLess(sum(run.values()), len(LAB.cpus) * 1.05)

        involuntary = by_vcpu(prometheus.query('rate(vcpu_context_switches_total{kind="involuntary"}[10s])'))
        self.assertEqual(expected, set(involuntary))
        self.assertGreater(min(involuntary.values()), 1)
        migrations = by_vcpu(prometheus.query("vcpu_migrations_total"))
        self.assertEqual(expected, set(migrations))
        self.assertGreater(min(migrations.values()), 0)

        (_, density), = prometheus.query("vcpu_host_thread_density_ratio")
        (_, cores), = prometheus.query("vcpu_host_cores")
        self.assertGreaterEqual(density, len(expected) / cores)
        if cores <= len(LAB.cpus):
            self.assertGreater(density, 2)
        assigned = [value for labels, value in prometheus.query("vcpu_cpu_assigned_vcpus")
                    if int(labels["cpu"]) in LAB.cpus]
        self.assertEqual(len(LAB.cpus), len(assigned))
        self.assertGreater(min(assigned), 2)

    def test_2_the_figures_in_prometheus_agree_with_the_kernel(self):
        for guest in (PLAIN, COMMA, QUOTED):
            pid = LAB.pid(guest)
            before = kernel_truth.vcpu_figures(pid)
            began = time.time()
            samples = {}

            def scraped_twice_since():
                # Twice: the first may share a page that was begun before.
                for metric in ("run_seconds", "steal_seconds", "dispatches", "context_switches", "migrations"):
                    for labels, values in LAB.prometheus.query(f"vcpu_{metric}_total[10s]"):
                        new = [value for moment, value in values if moment > began]
                        if labels["domain"] == guest.name and len(new) >= 2:
                            key = (labels["__name__"], int(labels["vcpu"]), labels.get("kind"))
                            samples[key] = new[1]
                return len(samples) == 6 * guest.vcpus

            wait_for(scraped_twice_since, 20, f"Prometheus to have scraped {guest.name}")
            self.assert_kernel_agrees(
                pid, before, lambda metric, vcpu, kind=None: samples[metric, vcpu, kind], guest.name)

    def test_3_alertmanager_delivers_the_page_of_overcommitted_guests_or_of_the_host_that_they_saturate(self):
        names = {PLAIN.name, COMMA.name, QUOTED.name}
        pages = LAB.webhook.firing

        def steal_fires():
            fires = LAB.prometheus.query('ALERTS{alertname="VcpuStealHigh", severity="critical", alertstate="firing"}')
            return names <= {labels["domain"] for labels, _ in fires}

        wait_for(steal_fires, 90, "VcpuStealHigh of each guest to fire")
        # Guests that have all CPUs of this machine saturate it: then the host is the news, and theirs is muted.
        wait_for(lambda: names <= set(pages("/page", "VcpuStealHigh")) or pages("/page", "VcpuHostSaturated"), 90,
                 "the page VcpuStealHigh of each guest, or VcpuHostSaturated, at the webhook")
        for name, alert in pages("/page", "VcpuStealHigh").items():
            self.assertIn(name, alert["annotations"]["description"])
        for alertname in ("VcpuStealHigh", "VcpuHostSaturated"):
            for alert in pages("/page", alertname).values():
                self.assertEqual("critical", alert["labels"]["severity"])
                self.assertTrue(alert["annotations"]["runbook_url"].endswith(f"/{alertname}.md"))

    def test_3_memory_is_what_virsh_says(self):
        self.wait_for_page(lambda page: len(page.named("vcpu_domain_memory_balloon_bytes")) == 3, 20,
                           "libvirt's figures of all guests")
        page = LAB.scrape()
        for guest in (PLAIN, COMMA, QUOTED):
            virsh = dict(re.findall(r"(Max|Used) memory: +(\d+) KiB",
                                    LAB.libvirt.virsh("dominfo", guest.name).stdout))
            self.assertEqual(int(virsh["Max"]) * 1024, page.value("vcpu_domain_memory_max_bytes", domain=guest.name))
            self.assertEqual(int(virsh["Used"]) * 1024,
                             page.value("vcpu_domain_memory_balloon_bytes", domain=guest.name))
        self.assertAlmostEqual(3 * 128 * 1024 ** 2 / page.value("vcpu_host_memory_bytes", kind="total"),
                               page.value("vcpu_host_memory_overcommit_ratio"))

    def test_4_a_guest_is_paused_killed_and_created_again_with_its_name(self):
        name = COMMA.name
        self.addCleanup(LAB.make_run, COMMA)
        with LAB.watch(PLAIN, QUOTED) as watch:
            LAB.libvirt.virsh("suspend", name)
            self.wait_for_page(lambda page: page.value("vcpu_domain_state", domain=name, state="paused") == 1, 40,
                               "state paused")
            page = LAB.scrape()
            self.assertEqual(0, page.value("vcpu_domain_state", domain=name, state="running"))
            for vcpu in range(COMMA.vcpus):
                run = page.value("vcpu_run_seconds_total", domain=name, vcpu=str(vcpu))
                self.assertEqual(run, LAB.scrape().value("vcpu_run_seconds_total", domain=name, vcpu=str(vcpu)))
            LAB.libvirt.virsh("resume", name)
            self.wait_for_page(lambda page: page.value("vcpu_domain_state", domain=name, state="running") == 1, 40,
                               "state running")

            old_start = LAB.scrape().value("vcpu_domain_start_time_seconds", domain=name)
            LAB.destroy(COMMA)
            self.wait_for_page(lambda page: not any(s.labels.get("domain") == name for s in page.samples), 5,
                               "every series of the killed guest to end")
            wait_for(lambda: not any(domain == name for domain, _ in
                                     by_vcpu(LAB.prometheus.query("vcpu_run_seconds_total"))), 10,
                     "the series to end in Prometheus")

            LAB.create(COMMA)
            self.wait_for_page(lambda page: vcpus_of(COMMA) <= page.vcpus(), 5, "the series to come back")
            self.assertGreater(LAB.scrape().value("vcpu_domain_start_time_seconds", domain=name), old_start)
            self.assert_page_agrees_with_kernel(name, LAB.pid(COMMA))
        self.assert_kept_promises(watch)

    def test_5_libvirtd_is_killed_stopped_and_restarted(self):
        libvirtd = LAB.libvirt.daemon

        def wait_for_libvirt(up):
            self.wait_for_page(lambda page: page.value("vcpu_libvirt_up") == up, 60, f"vcpu_libvirt_up {up}")

        with LAB.watch(PLAIN, COMMA, QUOTED) as watch:
            wait_for_libvirt(1)
            libvirtd.kill()
            wait_for_libvirt(0)
            LAB.libvirt.start()
            wait_for_libvirt(1)

            libvirtd.signal(signal.SIGSTOP)
            self.addCleanup(lambda: libvirtd.signal(signal.SIGCONT))
            stopped = time.monotonic()
            wait_for_libvirt(0)
            wait_for(lambda: time.monotonic() - stopped > 16, 20, "libvirtd to have been stopped for long")
            self.assertEqual(0, LAB.scrape().value("vcpu_libvirt_up"))
            libvirtd.signal(signal.SIGCONT)
            wait_for_libvirt(1)

            LAB.libvirt.restart()
            wait_for_libvirt(1)
        self.assert_kept_promises(watch)

    def test_6_the_qemu_of_a_guest_is_stopped(self):
        pid = LAB.pid(PLAIN)
        # A libvirtd that has just been restarted asks its QEMUs itself; a command that asks one, too, comes after that.
        LAB.libvirt.virsh("dommemstat", PLAIN.name)
        with LAB.watch(PLAIN, COMMA, QUOTED) as watch:
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(lambda: os.kill(pid, signal.SIGCONT))
            wait_for(lambda: process_state(pid) == "T", 5, "the QEMU to stop")
            stopped = time.monotonic()
            # The others are still asked: what libvirt says of them is news, not the cache.
            LAB.libvirt.virsh("suspend", COMMA.name)
            self.addCleanup(lambda: LAB.libvirt.virsh("resume", COMMA.name))
            self.wait_for_page(lambda page: page.value("vcpu_domain_state", domain=COMMA.name, state="paused") == 1, 40,
                               "the other guest's state paused")

            def stopped_for_long():
                # What is asked of libvirt, the balloon included, it knows without the QEMU: no answer is late.
                page = LAB.scrape()
                self.assertEqual(1, page.value("vcpu_libvirt_up"))
                self.assertEqual(128 * 1024 ** 2, page.value("vcpu_domain_memory_balloon_bytes", domain=PLAIN.name))
                return time.monotonic() - stopped > 16

            wait_for(stopped_for_long, 20, "the QEMU to have been stopped for long")
            self.assert_page_agrees_with_kernel(PLAIN.name, pid)
            run = LAB.scrape().value("vcpu_run_seconds_total", domain=PLAIN.name, vcpu="0")
            os.kill(pid, signal.SIGCONT)
            self.wait_for_page(
                lambda page: page.value("vcpu_run_seconds_total", domain=PLAIN.name, vcpu="0") > run, 10,
                "the continued guest to run")
            self.wait_for_page(lambda page: page.value("vcpu_libvirt_up") == 1, 40, "vcpu_libvirt_up 1")
        self.assert_kept_promises(watch)

    def test_7_a_vcpu_is_plugged_and_unplugged(self):
        LAB.destroy(COMMA, QUOTED)
        # No vCPU is plugged a second time: QEMU 7.2 crashes of that under TCG.
        guest = LAB.guest("live-plug", vcpus=1, maximum_vcpus=2, spins=False)
        LAB.create(guest)
        self.addCleanup(LAB.destroy, guest)
        pid = LAB.pid(guest)

        def wait_for_vcpus(count):
            present = {(guest.name, vcpu) for vcpu in range(count)}
            self.wait_for_page(lambda page: {v for v in page.vcpus() if v[0] == guest.name} == present, 5,
                               f"the series of {count} vCPUs")
            self.wait_for_page(lambda page: page.value("vcpu_domain_vcpus", domain=guest.name, kind="current") == count,
                               40, f"libvirt's count of {count} vCPUs")

        with LAB.watch(PLAIN, guest) as watch:
            LAB.libvirt.virsh("setvcpus", guest.name, "2", "--live")
            wait_for_vcpus(2)
            page = LAB.scrape()
            self.assertEqual(len(page.vcpus()), page.value("vcpu_host_vcpus"))
            self.assertEqual(2, page.value("vcpu_domain_vcpus", domain=guest.name, kind="maximum"))
            self.assert_page_agrees_with_kernel(guest.name, pid)
            # QEMU 7.2 under TCG ends the thread but never tells libvirt, which times out and looks when restarted.
            LAB.libvirt.virsh("setvcpus", guest.name, "1", "--live", check=False)
            wait_for(lambda: len(kernel_truth.vcpu_threads(pid)) == 1, 30, "QEMU to have ended a vCPU thread")
            LAB.libvirt.restart()
            wait_for_vcpus(1)
            page = LAB.scrape()
            self.assertEqual(len(page.vcpus()), page.value("vcpu_host_vcpus"))
        self.assert_kept_promises(watch)

    def test_8_a_qemu_without_libvirt_is_seen_and_two_of_one_name_stay_apart(self):
        # PLAIN runs on in libvirt; these two are started by hand.
        lonely = LAB.guest("live-lonely", vcpus=1, spins=False)
        twin = LAB.guest(PLAIN.name, vcpus=1, spins=False)
        processes = {guest: Daemon("QEMU", guest.plain_command(), LAB.work / f"qemu-{guest.uuid}.log")
                     for guest in (lonely, twin)}

        def start(guest):
            self.addCleanup(processes[guest].stop)
            processes[guest].start()
            wait_for(guest.is_ready, 60, f"{guest.name} to boot")

        with LAB.watch() as watch:
            start(lonely)
            self.assert_page_agrees_with_kernel(lonely.name, processes[lonely].pid)

            start(twin)
            twin_name = f"{PLAIN.name}@{twin.uuid[:8]}"
            libvirt_name = f"{PLAIN.name}@{PLAIN.uuid[:8]}"
            domains = LAB.scrape().domains()
            self.assertLessEqual({lonely.name, twin_name, libvirt_name}, domains)
            self.assertNotIn(PLAIN.name, domains)
            self.assert_page_agrees_with_kernel(twin_name, processes[twin].pid)
            self.assert_page_agrees_with_kernel(libvirt_name, LAB.pid(PLAIN))

            processes[twin].stop()
            self.wait_for_page(lambda page: twin_name not in page.domains(), 5, "the twin's series to end")
            domains = LAB.scrape().domains()
            self.assertIn(libvirt_name, domains)
            self.assertNotIn(PLAIN.name, domains)
        self.assert_kept_promises(watch)

    def test_8_a_guest_whose_title_and_metadata_are_hostile_breaks_no_page(self):
        guest = hostile_guest.HostileGuest(LAB.work)
        LAB.create(guest)
        self.addCleanup(LAB.destroy, guest)
        exporter = Daemon("labelled exporter", [LAB.program, "--web.listen-address=127.0.0.1:0", *hostile_guest.FLAGS],
                          LAB.work / "exporter-labelled.log")
        self.addCleanup(exporter.stop)
        exporter.start()
        address = exporter.listening_address()
        named = "vcpu_domain_metadata_info"

        def told():
            found = scrape.scrape(address).named(named, openstack_flavor=hostile_guest.OF_NOVA["openstack_flavor"][1])
            return found and found[0].labels
        labels = wait_for(told, 30, "its metadata to be told")
        self.assertEqual({}, hostile_guest.differences(labels))
        page = scrape.fetch(address)
        checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
        self.assertEqual((0, ""), (checked.returncode, checked.stderr))
        self.assertNotIn("evil_total", {sample.name for sample in scrape.Page(page).samples})

        LAB.prometheus.watch_also("labelled", address)
        self.addCleanup(LAB.prometheus.forget, "labelled")
        (stored, _), = wait_for(lambda: LAB.prometheus.query(f'{named}{{instance="labelled",own_quotes!=""}}'), 30,
                                "Prometheus to have it")
        self.assertEqual({}, hostile_guest.differences(
            {label: value for label, value in stored.items() if label not in ("__name__", "instance", "job")}))
        self.assertEqual([], LAB.prometheus.query("evil_total or evil"))

    def test_9_a_quota_that_libvirt_sets_is_told_per_vcpu_and_vm(self):
        guest = LAB.guest("live-quota")
        LAB.create(guest)
        self.addCleanup(LAB.destroy, guest)
        pid = LAB.pid(guest)
        if LAB.libvirt.virsh("schedinfo", guest.name, check=False).returncode != 0:
            self.skipTest("libvirt has no cpu controller here")
        page = LAB.scrape()
        self.assertIsNotNone(page.value("vcpu_domain_cpu_weight", domain=guest.name))
        for metric in ("vcpu_domain_cpu_quota_cores", "vcpu_domain_throttled_seconds_total",
                       "vcpu_throttled_seconds_total"):
            self.assertEqual([], page.named(metric, domain=guest.name), metric)

        with LAB.watch(guest) as watch:
            LAB.libvirt.virsh("schedinfo", guest.name, "--live", "--set", "vcpu_quota=5000")
            wait_for(lambda: min(kernel_truth.throttled_seconds(pid).values()) > 2, 60, "the quota to stop the vCPUs")
            before = kernel_truth.throttled_seconds(pid)
            LAB.scrape()  # This one may share a page that was begun before; the next cannot.
            page = LAB.scrape()
            after = kernel_truth.throttled_seconds(pid)
            self.assertEqual(0.05 * guest.vcpus, page.value("vcpu_domain_cpu_quota_cores", domain=guest.name))
            for vcpu, seconds in before.items():
                told = page.value("vcpu_throttled_seconds_total", domain=guest.name, vcpu=str(vcpu))
                self.assertIsNotNone(told)
                self.assert_between(seconds, told, after[vcpu], f"throttled time of vCPU {vcpu}")
            told = page.value("vcpu_domain_throttled_seconds_total", domain=guest.name)
            self.assert_between(sum(before.values()), told, sum(after.values()), "throttled time of the VM")
            print(f"# throttled: vCPUs {before} s in cpu.stat before, VM {told:.3f} s on the page", flush=True)

            LAB.libvirt.virsh("schedinfo", guest.name, "--live", "--set", "vcpu_quota=-1")
            self.wait_for_page(
                lambda page: page.value("vcpu_domain_cpu_quota_cores", domain=guest.name) is None, 5,
                "the quota to end")
            # What it took stays counted.
            self.assertGreaterEqual(LAB.scrape().value("vcpu_domain_throttled_seconds_total", domain=guest.name), told)
        self.assertEqual([], watch.problems[:5])


    def test_9_memory_is_the_resident_size(self):
        """Of a VM of the size that they have: of a small one the files that QEMU maps are more than 5 %."""
        guest = LAB.guest("live-resident", spins=False, mebibytes=2048, more_xml=ALLOCATED_AT_ONCE)
        LAB.create(guest)
        self.addCleanup(LAB.destroy, guest)
        LAB.libvirt.virsh("suspend", guest.name)
        pid = LAB.pid(guest)

        def memory_agrees():
            told = sum(sample.value for sample in LAB.scrape().named("vcpu_domain_memory_bytes", domain=guest.name))
            truth = kernel_truth.resident_bytes(pid)
            return abs(told - truth) < 0.05 * truth and (told, truth)

        told, truth = wait_for(memory_agrees, 20, "the guest's memory to be its process's resident size")
        self.assertGreater(told, guest.mebibytes << 20)
        print(f"# resident {truth / 2**20:.0f} MiB, told {told / 2**20:.0f} MiB", flush=True)

    def test_9_memory_and_numa_cells_are_told_of_a_stopped_qemu_too(self):
        guest = LAB.guest("live-cells", spins=False, more_xml=TWO_BOUND_CELLS)
        LAB.create(guest)
        self.addCleanup(LAB.destroy, guest)
        pid = LAB.pid(guest)

        def memory_agrees():
            told = LAB.scrape().value("vcpu_domain_memory_bytes", domain=guest.name, numa_node="0")
            truth = kernel_truth.anonymous_and_shared_bytes(pid)
            return told and abs(told - truth) < 0.05 * truth

        wait_for(memory_agrees, 20, "the guest's memory to be what its process has")
        page = LAB.scrape()
        self.assertEqual(0, page.value("vcpu_domain_numa_misplacement_ratio", domain=guest.name))
        self.assertEqual(1, page.value("vcpu_domain_numa_distance_ratio", domain=guest.name))

        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.kill(pid, signal.SIGCONT))
        wait_for(lambda: process_state(pid) == "T", 5, "the QEMU to stop")
        # A child that knows nothing yet asks for the XML of all domains, and is not held up by the stopped one.
        child = subprocess.Popen([sys.argv[1], "--internal.libvirt-child=1,1000", "--libvirt.uri=qemu:///system"],
                                 stdout=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)
        self.assertTrue(select.select([child.stdout], [], [], 10)[0], "no answer for 10 s")
        frame = os.read(child.stdout.fileno(), 1 << 20)
        # As protocol.h has it: two cells, vCPU 0 in one and vCPU 1 in the other, both bound to node 0.
        self.assertIn(struct.pack("<9I", 2, 1, 0, 1, 0, 1, 1, 1, 0), frame)

    def test_z_the_filter_of_system_calls_holds_and_has_killed_nobody(self):
        self.assertEqual(1, LAB.scrape().value("vcpu_source_available", source="seccomp"))
        self.assertEqual([], LAB.killed_by_the_filter_of_system_calls())


def interrupt(*_):
    raise KeyboardInterrupt


class OneLineEach(unittest.TestResult):
    """ok NAME / not ok NAME: reason / skip NAME: reason"""

    def __init__(self):
        super().__init__()
        self.reported = set()
        self.lab_problem = "the lab did not start"

    def report(self, verdict, test, reason=""):
        self.reported.add(test)
        print(f"{verdict} {name_of(test)}{': ' if reason else ''}{' '.join(reason.split())}", flush=True)

    def addSuccess(self, test):
        self.report("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.report("skip", test, reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.not_ok(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.not_ok(test, err)

    def not_ok(self, test, err):
        traceback.print_exception(*err)
        problem = f"{err[0].__name__}: {err[1]}"
        if isinstance(test, unittest.TestCase):
            self.report("not ok", test, problem)
        else:  # setUpModule
            self.lab_problem = f"the lab did not start: {problem}"


def name_of(test):
    return "live: " + test.id().rpartition(".test_")[2][2:].replace("_", " ")


def run(test_case, words):
    signal.signal(signal.SIGTERM, interrupt)
    every_test = [test for test in unittest.defaultTestLoader.loadTestsFromTestCase(test_case)
                  if all(word in test.id() for word in words)]
    result = OneLineEach()
    reason = laboratory.why_not_here()
    if reason:
        for test in every_test:
            result.report("skip", test, reason)
        return 0
    unittest.TestSuite(every_test).run(result)
    for test in every_test:
        if test not in result.reported:
            result.report("not ok", test, result.lab_problem)
    return 0 if result.wasSuccessful() else 1


def main():
    return run(Live, sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

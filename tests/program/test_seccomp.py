# SPDX-License-Identifier: Apache-2.0
"""The exporter's own filter of system calls: over every thread of it and its children, and in nobody's way."""
import os
import signal
import unittest

from program import Exporter, FakeVm, status_of, wait_for
from test_lifecycle import HangingLibvirtd, source_reason

FILTERED = "2"  # Seccomp: in /proc/PID/status.


def of_all_threads(pid, name):
    return {status_of(f"{pid}/task/{tid}")[name] for tid in os.listdir(f"/proc/{pid}/task")}


class Seccomp(unittest.TestCase):
    def setUp(self):
        with Exporter("--no-libvirt") as exporter:
            self.reason = source_reason(exporter.page(), "seccomp")

    def need_filter(self):
        if self.reason:
            self.skipTest(self.reason)

    def test_every_thread_and_every_child_has_a_filter_and_no_new_privileges(self):
        self.need_filter()
        with HangingLibvirtd() as libvirtd, Exporter(f"--libvirt.uri={libvirtd.uri}") as exporter:
            child = libvirtd.child_of(exporter)
            exporter.page()
            self.assertGreater(exporter.thread_count(), 1)
            for pid in (exporter.pid, child, *exporter.children()):
                self.assertEqual(of_all_threads(pid, "Seccomp"), {FILTERED})
                self.assertEqual(of_all_threads(pid, "NoNewPrivs"), {"1"})
            # A child that ends is started again, by what the filter leaves.
            os.kill(child, signal.SIGKILL)
            wait_for(lambda: set(exporter.children()) - {child} and libvirtd.child_of(exporter) != child, "another child")
            self.assertEqual(of_all_threads(libvirtd.child_of(exporter), "Seccomp"), {FILTERED})

    def test_the_filter_takes_nothing_from_the_page(self):
        self.need_filter()
        with FakeVm("filtered"):
            pages = []
            for flags in ((), ("--no-seccomp",)):
                with Exporter("--collector.perf", *flags) as exporter:
                    exporter.page_with(2, "filtered")
                    pages.append(exporter.page())
        with_filter, without = pages
        self.assertEqual(source_reason(with_filter, "seccomp"), "")
        self.assertEqual(source_reason(without, "seccomp"), "switched off (--no-seccomp)")
        self.assertEqual(self.sources_but_seccomp(with_filter), self.sources_but_seccomp(without))
        self.assertEqual(with_filter.collectors(), without.collectors())

    def test_without_it_there_is_no_filter(self):
        with Exporter("--no-libvirt", "--no-seccomp") as exporter:
            self.assertEqual(of_all_threads(exporter.pid, "Seccomp"), {status_of("self")["Seccomp"]})

    @staticmethod
    def sources_but_seccomp(page):
        return {(sample.labels["source"], sample.labels["reason"]) for sample in page.named("vcpu_source_available")
                if sample.labels["source"] != "seccomp"}

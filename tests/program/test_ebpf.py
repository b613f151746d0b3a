# SPDX-License-Identifier: Apache-2.0
"""The exporter's eBPF programs: opened with rights, read without, let go of when they are switched off."""
import os
import pathlib
import signal
import unittest

from program import Exporter, FakeVm, scratch_directory, wait_for, write_file


def ebpf_files(pid):
    """What the process holds open of eBPF."""
    links = (os.readlink(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir())
    return [link for link in links if "bpf" in link]


def reason(page):
    """Why the programs are not there; "" where they are."""
    [sample] = page.named("vcpu_source_available", source="runqueue")
    return sample.labels["reason"]


class Ebpf(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("not root")
        with Exporter() as exporter:
            why = reason(exporter.page())
        if why:
            self.skipTest(why)

    def test_what_was_opened_as_root_is_read_without_any_right(self):
        with FakeVm("waits"), Exporter() as exporter:
            exporter.page_with(2, "waits")
            status = pathlib.Path(f"/proc/{exporter.pid}/status").read_text()
            self.assertIn("CapEff:\t0000000000000000", status)
            page = exporter.page()
            self.assertEqual(page.collectors()["runqueue"], 1)
            self.assertEqual(len(page.named("vcpu_runqueue_latency_seconds_bucket", domain="waits", le="+Inf")), 1)
            kinds = {sample.labels["culprit_kind"] for sample in page.named("vcpu_stolen_by_seconds_total", domain="waits")}
            self.assertLessEqual({"self", "domain", "host", "idle", "unknown"}, kinds)

    def test_switched_off_at_the_start_it_attaches_nothing(self):
        for flag in ("--no-collector.runqueue", "--no-ebpf"):
            with self.subTest(flag=flag), Exporter(flag) as exporter:
                self.assertEqual(ebpf_files(exporter.pid), [])

    def test_switched_off_by_a_reload_it_detaches_at_once(self):
        path = write_file("collectors: {runqueue: true}\n", scratch_directory() / "config.yml")
        with Exporter(f"--config.file={path}") as exporter:
            self.assertNotEqual(ebpf_files(exporter.pid), [])
            write_file("collectors: {runqueue: false}\n", path)
            os.kill(exporter.pid, signal.SIGHUP)
            wait_for(lambda: not ebpf_files(exporter.pid), "the programs to be let go of")
            write_file("collectors: {runqueue: true}\n", path)
            os.kill(exporter.pid, signal.SIGHUP)
            wait_for(lambda: "runqueue" in exporter.page().collectors(), "the collector to be on")
            self.assertEqual(reason(exporter.page()), "switched off at the start; restart to attach it")

    def test_without_rights_the_reason_says_which_are_needed(self):
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        with Exporter(under=as_nobody) as exporter:
            self.assertIn("CAP_BPF", reason(exporter.page()))
            self.assertEqual(exporter.page().collectors()["runqueue"], 1)

# SPDX-License-Identifier: Apache-2.0
"""The exporter's eBPF programs: opened with rights, read without, let go of when they are switched off."""
import contextlib
import os
import pathlib
import signal
import unittest

from program import Exporter, FakeVm, scratch_directory, wait_for, write_file


def each(directory, look):
    """What `look` says of each file; one that is closed meanwhile is none."""
    for path in pathlib.Path(directory).iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield look(path)


def ebpf_files(pid):
    """What the process holds open of eBPF."""
    return [link for link in each(f"/proc/{pid}/fd", os.readlink) if "bpf" in link]


def hooks(pid):
    """Where the kernel runs programs of the process: an iterator runs when it is read, and only then."""
    texts = each(f"/proc/{pid}/fdinfo", pathlib.Path.read_text)
    return [text for text in texts if "link_type:" in text and "link_type:\titer" not in text]


def reason(page, source="runqueue"):
    """Why the programs are not there; "" where they are."""
    [sample] = page.named("vcpu_source_available", source=source)
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

    def test_tasks_are_read_without_any_right_and_without_their_files(self):
        with FakeVm("waits") as vm, Exporter() as exporter:
            page = exporter.page_with(2, "waits")
            self.assertEqual(reason(page, "task_iterator"), "")
            self.assertEqual(len(page.named("vcpu_waiting_seconds", domain="waits")), 1)
            self.assertEqual(page.named("vcpu_source_available", source="task_schedstat"), [])

    def test_switched_off_at_the_start_it_attaches_nothing(self):
        with Exporter("--no-ebpf") as exporter:
            self.assertEqual(ebpf_files(exporter.pid), [])
        with Exporter("--no-collector.runqueue") as exporter:
            self.assertEqual(hooks(exporter.pid), [])

    def test_switched_off_by_a_reload_it_detaches_at_once(self):
        path = write_file("collectors: {runqueue: true}\n", scratch_directory() / "config.yml")
        with Exporter(f"--config.file={path}") as exporter:
            self.assertNotEqual(hooks(exporter.pid), [])
            write_file("collectors: {runqueue: false}\n", path)
            os.kill(exporter.pid, signal.SIGHUP)
            wait_for(lambda: not hooks(exporter.pid), "the programs to be let go of")
            write_file("collectors: {runqueue: true}\n", path)
            os.kill(exporter.pid, signal.SIGHUP)
            wait_for(lambda: "runqueue" in exporter.page().collectors(), "the collector to be on")
            self.assertEqual(reason(exporter.page()), "switched off at the start; restart to attach it")

    def test_where_proc_is_not_the_hosts_it_is_read_and_the_reason_says_so(self):
        own_pids = ("unshare", "--pid", "--mount-proc", "--fork", "--kill-child")
        hosts_proc = scratch_directory()
        with_hosts_proc = ("unshare", "--mount", "sh", "-c", f'mount --bind /proc {hosts_proc} && exec "$0" "$@"')
        cases = [
            (own_pids, (), "pid namespace"),
            ((*with_hosts_proc, *own_pids), (f"--path.procfs={hosts_proc}",), "pid namespace"),
            (("unshare", "--time", "--fork", "--kill-child", "--boottime=1000000"), (), "time namespace"),
        ]
        for under, flags, words in cases:
            with self.subTest(under=" ".join(under)), Exporter(*flags, under=under) as exporter:
                page = exporter.page()
                self.assertIn(words, reason(page))
                self.assertIn(words, reason(page, "task_iterator"))
                self.assertEqual(page.named("vcpu_source_available", source="procfs")[0].value, 1)

    def test_without_btf_tasks_are_read_from_proc_and_the_reason_says_so(self):
        without = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"')
        with FakeVm("waits"), Exporter(under=without) as exporter:
            page = exporter.page_with(2, "waits")
            for source in ("runqueue", "task_iterator"):
                self.assertEqual(reason(page, source), "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)", source)
            self.assertEqual(len(page.named("vcpu_run_seconds_total", domain="waits")), 2)
            self.assertEqual(page.named("vcpu_runqueue_latency_seconds_bucket"), [])

    def test_without_rights_the_reason_says_which_are_needed(self):
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        with Exporter(under=as_nobody) as exporter:
            self.assertIn("CAP_BPF", reason(exporter.page()))
            self.assertIn("CAP_BPF", reason(exporter.page(), "task_iterator"))
            self.assertEqual(exporter.page().collectors()["runqueue"], 1)

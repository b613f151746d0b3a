# SPDX-License-Identifier: Apache-2.0
"""A machine that fails the exporter: no descriptors, no memory, no CPU time, no room, clocks that jump, stops and kills."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import unittest

import program
from program import Exporter, FakeVm, ProcView, decreased, state_of, wait_for

FAKETIME = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
FULL = pathlib.Path("/dev/full")


def under_limit(limit):
    """A command that runs another one with so many descriptors."""
    return ("sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh")


def limit_descriptors(pid, soft):
    """Of a process that may have become another user, as that user: root may lack CAP_SYS_RESOURCE."""
    status = program.status_of(pid)
    uid, gid = status["Uid"].split()[0], status["Gid"].split()[0]
    as_user = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups") if program.AS_ROOT else ()
    subprocess.run([*as_user, "prlimit", f"--pid={pid}", f"--nofile={soft}:"], check=True, capture_output=True)


class Group:
    """A new control group of version 1 or 2, whichever has the controller; `command` runs another one in it."""

    def __init__(self, controller):
        top = pathlib.Path("/sys/fs/cgroup")
        self.version = 1 if (top / controller / "cgroup.procs").exists() else 2
        if self.version == 1:
            top = top / controller
        elif controller not in (top / "cgroup.subtree_control").read_text().split():
            raise unittest.SkipTest(f"no control group here has the controller {controller}")
        self.path = top / f"vcpu_test_{os.getpid()}_{controller}"
        try:
            self.path.mkdir()
        except OSError as error:
            raise unittest.SkipTest(f"no control group can be made here: {error}") from None
        self.command = ("sh", "-c", f'echo $$ >{self.path}/cgroup.procs; exec "$@"', "sh")

    def set(self, name, value):
        (self.path / name).write_text(str(value))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        wait_for(self._removed, "the control group to be empty")

    def _removed(self):
        with contextlib.suppress(OSError):
            self.path.rmdir()
            return True
        return False


class Descriptors(unittest.TestCase):
    def test_with_few_descriptors_it_serves_or_ends_with_a_line(self):
        vms = [self.enterContext(FakeVm(f"few-{number}")) for number in range(3)]
        for limit in (64, 24, 16, 12, 9, 7, 5):
            with self.subTest(limit=limit):
                exporter = Exporter("--no-libvirt", under=under_limit(limit))
                try:
                    with exporter:
                        page = exporter.page()
                        if limit == 64:
                            self.assertEqual(len(exporter.page_with(6, "few-").vcpus("few-")), 2 * len(vms))
                        else:  # What is missing is said.
                            self.assertTrue(len(page.vcpus("few-")) == 6 or 0.0 in page.collectors().values()
                                            or any(not source.value for source in page.named("vcpu_source_available")))
                except AssertionError as error:
                    if "the exporter ended with" not in str(error):
                        raise
                    # The dynamic linker has a line of its own.
                    self.assertIn(exporter.process.returncode, (1, 127), exporter.log())
                    self.assertEqual(len([line for line in exporter.log().splitlines() if "level=info" not in line]), 1,
                                     exporter.log())

    def test_when_others_take_all_descriptors_it_serves_again_as_soon_as_they_are_free(self):
        vm = self.enterContext(FakeVm("later"))
        with Exporter("--no-libvirt", "--path.procfs", ProcView(vm.pid).path) as exporter:
            before = exporter.page_with(2, "later")
            limit_descriptors(exporter.pid, len(exporter.open_files()) + 2)
            starved = []
            with contextlib.suppress(OSError, AssertionError):
                starved.append(exporter.page())
            limit_descriptors(exporter.pid, 1024)
            after = exporter.page_with(2, "later")
            for page in (*starved, after):
                self.assertEqual(decreased(before.totals(), page.totals()), [])
            self.assertEqual(after.collectors(), before.collectors())


@unittest.skipUnless(program.AS_ROOT, "only root makes control groups")
class Groups(unittest.TestCase):
    def test_with_too_little_memory_it_is_killed_or_serves_whole_pages(self):
        vm = self.enterContext(FakeVm("small"))
        killed = 0
        served = 0
        for mib in (256, 24, 12, 6):
            with self.subTest(mib=mib), Group("memory") as group:
                group.set("memory.max" if group.version == 2 else "memory.limit_in_bytes", mib << 20)
                exporter = Exporter("--no-libvirt", "--path.procfs", ProcView(vm.pid).path, under=group.command)
                try:
                    with exporter:
                        for _ in range(3):
                            self.assertIn("inventory", exporter.page().collectors())
                        served += 1
                except (OSError, AssertionError):
                    wait_for(lambda: exporter.process.poll() is not None, "it to be killed")
                    self.assertIn(exporter.process.returncode, (1, -signal.SIGKILL), exporter.log())
                    killed += 1
        self.assertGreaterEqual(served, 1)
        self.assertGreaterEqual(killed, 1)

    def test_with_little_cpu_time_its_pages_are_whole(self):
        vm = self.enterContext(FakeVm("slow"))
        with Group("cpu") as group:
            if group.version == 2:
                group.set("cpu.max", "5000 100000")
            else:
                group.set("cpu.cfs_quota_us", 5000)
            # The programs are loaded by then, which would take it a minute.
            with Exporter("--no-libvirt", "--no-ebpf", "--path.procfs", ProcView(vm.pid).path,
                          under=group.command) as exporter:
                before = exporter.page_with(2, "slow")
                hurried = exporter.page(headers={"X-Prometheus-Scrape-Timeout-Seconds": "0.6"})
                self.assertEqual(decreased(before.totals(), hurried.totals()), [])
                self.assertEqual(set(hurried.collectors()), set(before.collectors()))


class FullDisk(unittest.TestCase):
    def test_once_says_that_its_page_could_not_be_written(self):
        with open(FULL, "wb") as full:
            done = program.run("--once", "--no-libvirt", "--no-ebpf", stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.splitlines()[-1], "vcpu_exporter: cannot write to standard output")

    def test_it_serves_while_its_log_cannot_be_written(self):
        # Its port is looked up, as no line tells it.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with open(FULL, "wb") as full:
            process = subprocess.Popen([program.exporter_path(), f"--web.listen-address=127.0.0.1:{port}", "--no-libvirt",
                                        "--no-ebpf"], stdin=subprocess.DEVNULL, stdout=full, stderr=full)
        try:
            def page():
                with contextlib.suppress(OSError), program.Client(port, "/metrics", "GET", None, False, None) as client:
                    return client.answer()
                return None
            for _ in range(2):
                self.assertEqual(wait_for(page, "a page").status, 200)
        finally:
            process.terminate()
            self.assertEqual(process.wait(timeout=20), 0)


class Clocks(unittest.TestCase):
    @unittest.skipUnless(FAKETIME, "libfaketime is not installed")
    def test_a_clock_that_jumps_moves_no_counter_and_no_start_time(self):
        vm = self.enterContext(FakeVm("timeless"))
        offset = program.write_file("+0d\n", program.scratch_directory() / "offset")
        env = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
               "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1"}
        # The library makes calls of its own.
        path = program.write_file("")
        with Exporter("--no-libvirt", "--no-seccomp", "--path.procfs", ProcView(vm.pid).path, "--config.file", path,
                      env=env) as exporter:
            before = exporter.page_with(2, "timeless")
            years = []
            for jump in ("-400d", "+800d", "+0d"):
                program.write_file(jump + "\n", offset)
                program.write_file("", path)
                exporter.ask("/-/reload", "POST")  # It tells the time, so that the jump is seen.
                page = exporter.page()
                years.append(page.value("vcpu_exporter_config_last_reload_success_timestamp_seconds"))
                self.assertEqual(decreased(before.totals(), page.totals()), [])
                for name in ("vcpu_domain_start_time_seconds", "process_start_time_seconds"):
                    self.assertEqual([sample.value for sample in page.named(name)],
                                     [sample.value for sample in before.named(name)])
                self.assertEqual(page.collectors(), before.collectors())
                before = page
            day = 86400
            self.assertGreater(years[1] - years[0], 1000 * day)
            self.assertLess(years[2] - years[1], -700 * day)


COUNT_SWITCHES = ("--collector.perf", "--collector.perf.event=context_switches")
OF_OURS = {"runqueue": ("vcpu_runqueue_latency_seconds_count", "vcpu_stolen_by_seconds_total"),
           "perf": ("vcpu_perf_events_total", "vcpu_perf_observed_seconds_total")}  # By source.


def sum_of(page, name, domain):
    return sum(sample.value for sample in page.named(name, domain=domain))


class StopsAndKills(unittest.TestCase):
    def test_stopped_in_the_middle_of_a_scrape_it_goes_on_and_the_next_is_right(self):
        vm = self.enterContext(FakeVm("halted"))
        view = ProcView(vm.pid)
        with Exporter("--no-libvirt", "--path.procfs", view.path) as exporter:
            before = exporter.page_with(2, "halted")
            view.hold()
            with exporter.send() as client:
                wait_for(lambda: program.requests_read(exporter.port) >= 1, "the scrape to begin")
                exporter.wait_until_idle()
                os.kill(exporter.pid, signal.SIGSTOP)
                wait_for(lambda: state_of(exporter.pid) == "T", "it to stop")
                vm.tell("spin 1")
                os.kill(exporter.pid, signal.SIGCONT)
                view.let_pass()
                held = client.answer()
                self.assertEqual(held.status, 200)
            (view.path / "stat").unlink()
            (view.path / "stat").symlink_to("/proc/stat")
            after = exporter.page()
            for first, then in ((before, program.Page(held.text)), (program.Page(held.text), after)):
                self.assertEqual(decreased(first.totals(), then.totals()), [])
            self.assertEqual(after.collectors(), before.collectors())

    def test_killed_and_started_again_the_kernels_counters_go_on_and_its_own_begin_at_zero(self):
        name = f"outlives-{os.getpid()}"  # On the host's own /proc, where eBPF works, others have VMs too.
        vm = self.enterContext(FakeVm(name))
        of_kernel = ("vcpu_run_seconds_total", "vcpu_steal_seconds_total", "vcpu_context_switches_total")
        of_ours = self.counted_by_itself()
        flags = ("--no-libvirt", *COUNT_SWITCHES)

        def well_counted():
            vm.tell("spin 1")
            page = exporter.page()
            return all(sum_of(page, counter, name) for counter in of_ours) and page
        with Exporter(*flags) as exporter:
            exporter.page_with(2, name)
            wait_for(well_counted, "all to be counted")
            for _ in range(50):  # More than is counted until the first page of the next.
                vm.tell("spin 1")
            before = exporter.page()
            os.kill(exporter.pid, signal.SIGKILL)
            exporter.process.wait()
        with Exporter(*flags) as exporter:
            after = exporter.page_with(2, name)
            for counter in of_kernel:
                self.assertEqual(len(after.named(counter, domain=name)), len(before.named(counter, domain=name)), counter)
                self.assertGreaterEqual(sum_of(after, counter, name), sum_of(before, counter, name), counter)
            self.assertEqual(after.value("vcpu_domain_start_time_seconds", domain=name),
                             before.value("vcpu_domain_start_time_seconds", domain=name))
            for counter in of_ours:
                self.assertLess(sum_of(after, counter, name), sum_of(before, counter, name), counter)
            wait_for(well_counted, "all to be counted again")
            text = exporter.ask().text
            for family in {counter.removesuffix("_count") for counter in of_ours}:
                self.assertRegex(text, rf"\n# HELP {family} [^\n]*; starts at 0 when the exporter starts; [^\n]*\n")

    @staticmethod
    def counted_by_itself():
        """The counters that are not the kernel's, as far as they are to be had here."""
        with Exporter("--no-libvirt", *COUNT_SWITCHES) as exporter:
            page = exporter.page()
        return [name for source, names in OF_OURS.items() for name in names
                if page.value("vcpu_source_available", source=source, reason="") == 1]

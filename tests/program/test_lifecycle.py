# SPDX-License-Identifier: Apache-2.0
"""Starting without rights, stopping at once, and what systemd is told."""
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest

import program
from program import Exporter, FakeVm, ProcView, connect, requests_read, state_of, status_of, statuses_of_threads, wait_for
from systemd_unit import STRACE, whole_trace

VALGRIND = ("valgrind", "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
            f"--suppressions={pathlib.Path(__file__).with_name('valgrind.supp')}", "--vgdb=no")
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


class HangingLibvirtd:
    """Lets in whoever comes, and never says a word."""

    def __init__(self):
        directory = program.scratch_directory()
        self.uri = f"qemu:///system?socket={directory}/libvirt-sock-ro"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{directory}/libvirt-sock-ro")
        os.chmod(f"{directory}/libvirt-sock-ro", 0o777)
        self._listener.listen()
        self._listener.settimeout(20)
        self._clients = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in (self._listener, *self._clients):
            each.close()

    def child_of(self, exporter):
        """The exporter's child, once it has said what it wants."""
        client, _ = self._listener.accept()
        self._clients.append(client)
        client.settimeout(20)
        assert client.recv(1)
        child, = exporter.children()
        return child


def source_reason(page, source):
    sample, = page.named("vcpu_source_available", source=source)
    return sample.labels["reason"]


class Privileges(unittest.TestCase):
    def assert_harmless(self, pid, user):
        for status in statuses_of_threads(pid):
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertEqual(set(status["Uid"].split()), {str(user.pw_uid)})
            self.assertEqual(set(status["Gid"].split()), {str(user.pw_gid)})
            for name in CAPABILITY_SETS if program.AS_ROOT else CAPABILITY_SETS[:3]:
                self.assertEqual(int(status[name], 16), 0, name)
            self.assertNotIn("0", status["Groups"].split() if program.AS_ROOT else [])

    @staticmethod
    def default_user():
        try:
            return pwd.getpwnam("vcpu_exporter")
        except KeyError:
            return pwd.getpwnam("nobody")

    def test_as_root_it_becomes_nobody_without_any_capability(self):
        if not program.AS_ROOT:
            self.skipTest("not root")
        with Exporter() as exporter:
            exporter.page()
            self.assert_harmless(exporter.pid, self.default_user())

    def test_as_root_it_has_no_right_to_a_port_below_1024_any_more_when_it_listens(self):
        if not program.AS_ROOT:
            self.skipTest("not root")
        if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
            self.skipTest("everybody may listen on port 80 here")
        done = program.run("--no-libvirt", "--log.level=error", "--web.listen-address=127.0.0.1:80")
        self.assertEqual((done.returncode, done.stderr), (
            1, "vcpu_exporter: cannot listen on 127.0.0.1:80: Permission denied; ports below 1024 need CAP_NET_BIND_SERVICE: "
               "choose a higher one\n"))

    def test_as_root_it_gives_everything_up_before_it_listens(self):
        if not program.AS_ROOT:
            self.skipTest("not root")
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        trace = program.scratch_directory() / "trace"
        with Exporter("--no-libvirt", under=(*STRACE, str(trace))) as exporter:
            self.assert_harmless(exporter.pid, self.default_user())
            pid = exporter.pid
        made = wait_for(lambda: whole_trace(pid, trace), "the trace to be written")
        calls = re.findall(r"(?m)^\d+ +(setresuid|capset|listen)\(", made)
        self.assertEqual(calls[calls.index("listen"):], ["listen"], calls)
        self.assertLessEqual({"setresuid", "capset"}, set(calls))

    def test_as_root_it_becomes_the_user_it_is_told(self):
        if not program.AS_ROOT:
            self.skipTest("not root")
        with Exporter("--user=daemon") as exporter:
            self.assert_harmless(exporter.pid, pwd.getpwnam("daemon"))

    def test_an_ordinary_user_runs_it_as_it_is(self):
        user = self.default_user() if program.AS_ROOT else pwd.getpwuid(os.getuid())
        under = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        under = under if program.AS_ROOT else ()
        with FakeVm("of-somebody") as vm, Exporter("--path.procfs", ProcView(vm.pid).path, under=under) as exporter:
            exporter.page_with(2, "of-somebody")
            status = status_of(exporter.pid)
            self.assertEqual((status["CapEff"], status["NoNewPrivs"]), ("0" * 16, "1"))
            self.assertEqual(status["Uid"].split()[0], str(user.pw_uid))

    def test_without_any_right_all_that_proc_shows_to_everyone_is_served(self):
        if not program.AS_ROOT:
            self.skipTest("not root: there is nobody to compare with")
        user = self.default_user()
        under = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--bounding-set=-all")
        # What takes rights at the start, and is not in /proc: eBPF, and KVM's statistics in debugfs.
        flags = ("--no-ebpf", "--no-collector.kvm", "--no-libvirt")
        with FakeVm("of-root") as vm:
            proc = f"--path.procfs={ProcView(vm.pid).path}"
            with Exporter(*flags, proc) as exporter:
                of_root = exporter.page_with(2, "of-root")
            with Exporter(*flags, proc, under=under) as exporter:
                of_nobody = exporter.page_with(2, "of-root")
                self.assert_harmless(exporter.pid, user)
        self.assertEqual(set(of_nobody.collectors().values()), {1.0})
        for page in (of_root, of_nobody):
            self.assertEqual(len(page.named("vcpu_steal_seconds_total", domain="of-root")), 2)
        self.assertEqual({sample.name for sample in of_nobody.samples}, {sample.name for sample in of_root.samples})
        sources = [{sample.labels["source"]: sample.value for sample in page.named("vcpu_source_available")}
                   for page in (of_nobody, of_root)]
        self.assertEqual(*sources)

    def test_where_no_thread_is_left_to_listen_it_says_so_and_ends(self):
        if not program.AS_ROOT:
            self.skipTest("not root: other processes of this user count as well")
        # A user of nobody's, as the limit is counted per user.
        limited = subprocess.run(
            ["setpriv", "--reuid=64321", "--regid=64321", "--clear-groups", "bash", "-c", "ulimit -u 100; exec \"$0\" \"$@\"",
             program.exporter_path(), "--no-libvirt", "--log.level=error", "--web.listen-address=127.0.0.1:0"],
            capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(limited.returncode, 1, limited)
        self.assertRegex(limited.stderr, "^vcpu_exporter: cannot listen: too few threads are allowed; raise .*\n$")

    def test_closed_standard_descriptors_are_no_sockets(self):
        closed = ("sh", "-c", "exec \"$0\" \"$@\" <&- >&-")
        with Exporter(under=closed) as exporter:
            for fd in (0, 1):
                self.assertEqual(os.readlink(f"/proc/{exporter.pid}/fd/{fd}"), "/dev/null")

    def test_the_child_that_asks_libvirt_has_no_rights_either(self):
        with HangingLibvirtd() as libvirtd, Exporter(f"--libvirt.uri={libvirtd.uri}") as exporter:
            child = libvirtd.child_of(exporter)
            self.assertEqual(int(status_of(child)["CapEff"], 16), 0)
            self.assertEqual(status_of(child)["Uid"], status_of(exporter.pid)["Uid"])


class Stopping(unittest.TestCase):
    def assert_ends(self, exporter, number=signal.SIGTERM):
        code, seconds = exporter.signal_and_wait(number)
        self.assertEqual(code, 0, exporter.log())
        self.assertLess(seconds, 1)

    def test_sigterm_and_sigint_end_it_within_a_second(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Exporter() as exporter:
                exporter.page()
                self.assert_ends(exporter, number)

    def test_sigterm_ends_it_within_a_second_with_slow_clients_connected(self):
        vm = self.enterContext(FakeVm('"' * 250, [f"CPU {vcpu}/KVM" for vcpu in range(150)]))
        with Exporter("--path.procfs", ProcView(vm.pid).path) as exporter:
            exporter.page_with(150)
            readers = [self.enterContext(exporter.send(slow=True)) for _ in range(5)]
            for reader in readers:
                reader.take(1000)
            idle = [self.enterContext(connect(exporter.port)) for _ in range(10)]
            halfway = [self.enterContext(connect(exporter.port)) for _ in range(10)]
            for client in halfway:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHo")
            clients = len(idle) + len(halfway) + len(readers)
            wait_for(lambda: requests_read(exporter.port) >= clients, "all clients to be served")
            self.assert_ends(exporter)

    def test_sigterm_ends_it_within_a_second_in_the_middle_of_a_scrape(self):
        view = ProcView()
        with Exporter("--path.procfs", view.path) as exporter:
            view.hold()
            self.enterContext(exporter.send())
            wait_for(lambda: requests_read(exporter.port) == 1, "the scrape to begin")
            exporter.wait_until_idle()
            self.assert_ends(exporter)

    def test_sigterm_ends_it_within_a_second_while_its_child_hangs(self):
        for stopped in (False, True):
            with HangingLibvirtd() as libvirtd, Exporter(f"--libvirt.uri={libvirtd.uri}") as exporter:
                child = libvirtd.child_of(exporter)
                if stopped:
                    os.kill(child, signal.SIGSTOP)
                    wait_for(lambda child=child: state_of(child) == "T", "the child to stop")
                self.assert_ends(exporter)
                wait_for(lambda child=child: not os.path.exists(f"/proc/{child}"), "the child to end")

    def test_valgrind_finds_no_error_and_no_leak_from_start_to_end(self):
        if not shutil.which("valgrind"):
            self.skipTest("no valgrind")
        vm = self.enterContext(FakeVm("examined"))
        libvirtd = self.enterContext(HangingLibvirtd())
        # Its child is not itself there: /proc/self/exe is valgrind's. So it is started again and again.
        with Exporter("--no-ebpf", "--no-seccomp", "--path.procfs", ProcView(vm.pid).path, f"--libvirt.uri={libvirtd.uri}",
                      under=VALGRIND) as exporter:
            exporter.page_with(2)
            wait_for(lambda: "ended" in source_reason(exporter.page(), "libvirt"), "the child to end")
            code, seconds = exporter.signal_and_wait(signal.SIGTERM)
            self.assertEqual(code, 0, exporter.log())
            self.assertIn("ERROR SUMMARY: 0 errors", exporter.log())
            print(f"# under valgrind it ended in {seconds:.1f} s, the search for leaks included")
            self.assertLess(seconds, 2)

    def test_valgrind_finds_no_error_and_no_leak_when_it_stops_while_a_call_hangs(self):
        """By the unit tests: their children are shells, which run beside valgrind and not under it. They hold the stop to
        2 s, under valgrind too."""
        if not shutil.which("valgrind"):
            self.skipTest("no valgrind")
        tests = ("LibvirtMonitorTest.StopWaitsForNoChild", "LibvirtCacheTest.StopWaitsForNoChild")
        began = time.monotonic()
        done = subprocess.run([*VALGRIND, program.build / "vcpu_tests", f"--gtest_filter={':'.join(tests)}"],
                              capture_output=True, text=True, timeout=55, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("[  PASSED  ] 2 tests.", done.stdout)
        self.assertIn("ERROR SUMMARY: 0 errors", done.stderr)
        self.assertIn("definitely lost: 0 bytes" if "definitely lost" in done.stderr else "no leaks are possible", done.stderr)
        print(f"# both stops under valgrind took {time.monotonic() - began:.1f} s, its start included")


class Systemd(unittest.TestCase):
    def setUp(self):
        path = program.scratch_directory() / "notify"
        self.socket = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.bind(str(path))
        self.socket.settimeout(20)
        path.chmod(0o777)  # Whoever the exporter becomes.
        self.env = {"NOTIFY_SOCKET": str(path)}

    def next_message(self):
        """The next one that is no sign of life."""
        while True:
            message = dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())
            if message != {"WATCHDOG": "1"}:
                return message

    def test_systemd_is_told_of_start_reload_and_stop(self):
        with Exporter(env=self.env) as exporter:
            self.assertEqual(self.next_message()["READY"], "1")
            self.assertEqual(exporter.ask("/-/ready").status, 200)
            os.kill(exporter.pid, signal.SIGHUP)
            reloading = self.next_message()
            self.assertEqual(reloading["RELOADING"], "1")
            self.assertGreater(int(reloading["MONOTONIC_USEC"]), 0)
            self.assertEqual(self.next_message()["READY"], "1")
            exporter.process.terminate()
            self.assertEqual(self.next_message()["STOPPING"], "1")

    def test_systemd_sees_signs_of_life_as_often_as_it_wants(self):
        with Exporter(env={**self.env, "WATCHDOG_USEC": "300000"}):
            self.assertEqual(self.next_message()["READY"], "1")
            began = time.monotonic()
            self.assertEqual([self.socket.recv(4096) for _ in range(5)], [b"WATCHDOG=1"] * 5)
            self.assertLess(time.monotonic() - began, 5 * 0.3)

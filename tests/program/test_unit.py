# SPDX-License-Identifier: Apache-2.0
"""What the systemd unit leaves the exporter: as its user, with its capabilities, in its view of /proc and /sys.

No systemd runs here. setpriv, a mount namespace and a filter of system calls stand for it (tests/support/filtered.py), and
those that are made are compared with what SystemCallFilter= and the like allow.
"""
import base64
import contextlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import unittest

import pki
import program
import systemd_unit
from program import GZIP, Exporter, FakeVm, ProcView, status_of, statuses_of_threads, wait_for
from systemd_unit import FILTERED, PROXY, STRACE, UNIT, UNITS, settings

CAPABILITIES = ["bpf", "perfmon"]

# ProtectKernelTunables=yes: /sys is read-only, and these two files are nobody's.
VIEW = """
set -e
mount -o remount,bind,ro /sys
for file in /proc/kallsyms /proc/kcore; do [ ! -e "$file" ] || mount --bind "$0" "$file"; done
exec "$@"
"""


class Traced(unittest.TestCase):
    def need_tools(self):
        missing = systemd_unit.missing_for_trace()
        if missing:
            self.skipTest(missing)

    def assert_allowed(self, unit, pid, trace, expected):
        """Nothing of it is what the unit forbids, and it is no trace of nothing: `expected` was done."""
        made = wait_for(lambda: systemd_unit.whole_trace(pid, trace), "the trace to be written")
        self.assertLessEqual({*expected, "execve", "mmap", "socket"}, systemd_unit.calls_of(made))
        self.assertEqual(systemd_unit.forbidden(unit, made), [])


class Unit(Traced):
    def setUp(self):
        if not program.AS_ROOT:
            self.skipTest("not root")
        for name in ("AmbientCapabilities", "CapabilityBoundingSet"):
            self.assertEqual(settings(name), [["CAP_" + capability.upper() for capability in CAPABILITIES]])
        nobodys = program.scratch_directory() / "inaccessible"
        nobodys.touch(mode=0)
        wanted = ",".join("+" + capability for capability in CAPABILITIES)
        self.unfiltered = ["unshare", "--mount", "sh", "-c", VIEW, str(nobodys),
                           "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
                           f"--bounding-set=-all,{wanted}", f"--inh-caps=-all,{wanted}", f"--ambient-caps=-all,{wanted}"]
        tried = subprocess.run([*self.unfiltered, "true"], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            self.skipTest(f"this root may not do what systemd does: {tried.stderr.strip()}")

    @property
    def under(self):
        missing = systemd_unit.missing_for_filter()
        if missing:
            self.skipTest(missing)
        return [*self.unfiltered, *FILTERED]

    def assert_holds(self, exporter, capabilities):
        for status in statuses_of_threads(exporter.pid):
            held = [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")]
            self.assertEqual(held, [0, capabilities, capabilities, 0])

    def test_under_the_unit_ebpf_works_and_the_capabilities_are_given_up(self):
        with Exporter() as exporter:  # As root.
            [source] = exporter.page().named("vcpu_source_available", source="runqueue")
        if not source.value:
            self.skipTest(source.labels["reason"])
        with FakeVm("of-unit"), Exporter(under=self.under) as exporter:
            page = exporter.page_with(2, "of-unit")
            [source] = page.named("vcpu_source_available", source="runqueue")
            self.assertEqual(source.labels["reason"], "")
            self.assertEqual(len(page.named("vcpu_runqueue_latency_seconds_count", domain="of-unit")), 1)
            self.assertEqual(set(page.collectors().values()), {1.0})
            self.assertEqual(status_of(exporter.pid)["Uid"].split()[0], "65534")
            self.assert_holds(exporter, 0)
            self.assertIn('msg="No capability is held"', exporter.log())

    def test_under_the_unit_perf_counts_what_others_vms_do_and_keeps_its_capability_alone(self):
        view = ProcView()
        with Exporter("--collector.perf", "--path.procfs", view.path, under=self.under) as exporter:
            vm = self.enterContext(FakeVm("of-unit"))  # Of root, after rights were given up.
            view.show(vm.pid)
            exporter.page_with(2, "of-unit")
            [source] = exporter.page().named("vcpu_source_available", source="perf")
            if "perf_event_paranoid" in source.labels["reason"]:
                self.skipTest(source.labels["reason"])

            def counted():
                vm.tell("spin 1")
                return exporter.page().named("vcpu_perf_events_total", domain="of-unit", event="context_switches")
            self.assertEqual(len(wait_for(counted, "switches to be counted")), 2)
            self.assert_holds(exporter, 1 << 38)  # CAP_PERFMON

    def test_under_the_unit_tls_works_with_credentials_that_systemd_hands_over(self):
        authority, clients = pki.Authority("authority"), pki.Authority("authority of the clients")
        pair = authority.issue("server")
        # As systemd makes it: the directory and the copies in it are the service user's, and nobody else's.
        directory = program.scratch_directory()
        sources = {"web-config.yml": program.SOURCE / "deploy" / "web-config.example.yml", "tls.crt": pair.cert,
                   "tls.key": pair.key, "clients.crt": clients.cert}
        shown = [line.removeprefix("#LoadCredential=") for line in UNIT.read_text().splitlines()
                 if line.startswith("#LoadCredential=")]
        self.assertEqual(shown, [f"{name}:/etc/vcpu_exporter/{name}" for name in sources])
        for name, source in sources.items():
            shutil.copy(source, directory / name)
            (directory / name).chmod(0o400)
        for path in (directory, *directory.iterdir()):
            os.chown(path, 65534, 65534)
        directory.chmod(0o500)
        client = clients.client()
        context = ssl.create_default_context(cafile=authority.cert)
        context.load_cert_chain(client.cert, client.key)
        with Exporter("--web.config.file", directory / "web-config.yml", under=self.under, tls=context) as exporter:
            password = base64.b64encode(b"prometheus:change me").decode()
            exporter.page(headers={"Authorization": f"Basic {password}"})
            self.assertNotIn("Every user of this machine can read", exporter.log())
            self.assert_holds(exporter, 0)

    def test_the_unit_allows_every_system_call_that_is_made(self):
        self.need_tools()
        directory = program.scratch_directory()
        directory.chmod(0o777)
        pair = pki.self_signed("server")
        web = program.write_file("tls_server_config: {cert_file: %s, key_file: %s}\n" % (pair.cert, pair.key))
        with FakeVm("of-unit"), Exporter("--collector.perf", "--web.config.file", web,
                                         under=[*self.unfiltered, *STRACE, str(directory / "trace")],
                                         tls=ssl.create_default_context(cafile=pair.cert)) as exporter:
            pid = exporter.pid
            exporter.page_with(2, "of-unit")
            exporter.page()
            self.assertEqual(exporter.ask(headers=GZIP).status, 200)
            os.kill(pid, signal.SIGHUP)
            wait_for(lambda: "Configuration reloaded" in exporter.log(), "the reload")
            self.assertEqual(exporter.page().collectors()["runqueue"], 1)
        self.assert_allowed(UNIT, pid, directory / "trace", {"bpf", "perf_event_open", "capset"})


class Proxy(Traced):
    """As its socket unit starts it: with the socket as descriptor 3."""

    def setUp(self):
        self.need_tools()
        [[self.proxyd, address]] = settings("ExecStart", PROXY)
        self.assertEqual(address, "127.0.0.1:9752")
        if not os.access(self.proxyd, os.X_OK):
            self.skipTest(f"{self.proxyd} is not installed")
        socket_unit = UNITS / "vcpu_exporter-proxy.socket"
        self.assertEqual(settings("ListenStream", socket_unit), [["[::]:9752"]])
        self.assertEqual(settings("BindIPv6Only", socket_unit), [["ipv6-only"]])
        self.listener = self.enterContext(socket.socket(socket.AF_INET6))
        try:
            self.listener.bind(("::1", 0))
        except OSError as error:
            self.skipTest(f"no IPv6 here: {error}")
        self.listener.listen()

    @contextlib.contextmanager
    def proxy_to(self, exporter, trace):
        run = f"LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\" 3<&{self.listener.fileno()}"
        process = subprocess.Popen([*STRACE, str(trace), "sh", "-c", run, "sh", self.proxyd, f"127.0.0.1:{exporter.port}"],
                                   pass_fds=[self.listener.fileno()])
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=20)

    def page(self):
        client = http.client.HTTPConnection("::1", self.listener.getsockname()[1], timeout=20)
        with contextlib.closing(client):
            client.request("GET", "/metrics")
            answer = client.getresponse()
            self.assertEqual(answer.status, 200)
            return program.Page(answer.read().decode())

    def test_by_the_proxy_a_page_comes_over_ipv6(self):
        trace = program.scratch_directory() / "trace"
        with Exporter() as exporter, self.proxy_to(exporter, trace) as process:
            self.assertEqual(set(self.page().collectors()), set(exporter.page().collectors()))
        self.assert_allowed(PROXY, process.pid, trace, {"accept4", "connect", "splice"})

# SPDX-License-Identifier: Apache-2.0
"""What is said to flags, and how --once, --help and --version answer."""
import os
import re
import shutil
import socket
import subprocess
import time
import unittest

import program
from program import Exporter, FakeVm, Page, run

FLAGS = ("--web.listen-address", "--web.config.file", "--web.telemetry-path", "--web.max-requests", "--config.file",
         "--config.check", "--collector.disable-defaults", "--path.procfs", "--path.sysfs", "--log.level",
         "--log.format", "--once", "--version", "--help")

BAD_FLAGS = (  # (flags, what the line has to name)
    (["--no.such.flag"], "--no.such.flag"),
    (["--collector.nosuch"], "--collector.nosuch"),
    (["--web.max-requests=many"], "--web.max-requests"),
    (["--web.max-requests=-1"], "--web.max-requests"),
    (["--web.max-requests="], "--web.max-requests"),
    (["--web.max-requests", "1", "--web.max-requests", "2"], "--web.max-requests"),
    (["--web.listen-address=9752"], "--web.listen-address"),
    (["--web.listen-address=:65536"], "--web.listen-address"),
    (["--web.telemetry-path=metrics"], "--web.telemetry-path"),
    (["--web.telemetry-path=/"], "--web.telemetry-path"),
    (["--log.level=loud"], "--log.level"),
    (["--log.format=xml"], "--log.format"),
    (["--path.procfs="], "--path.procfs"),
    (["--once=false"], "--once"),
    (["--once", "--config.check"], "--config.check"),
    (["--collector.sched", "--no-collector.sched"], "--collector.sched"),
    (["--config.file"], "--config.file"),
    (["--config.file", "--once"], "--config.file"),
    (["stray\nline"], "stray"),
)


class CommandLine(unittest.TestCase):
    def assert_one_line(self, done, *needles):
        """It ended with 1 and one line, for a person, that has these words."""
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Avcpu_exporter: [^\n]+\n\Z")
        for needle in needles:
            self.assertIn(needle, done.stderr)

    def test_help_has_every_flag(self):
        done = run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for flag in FLAGS:
            self.assertRegex(done.stdout, rf"(?m)^ +(-h,)?{re.escape(flag)}\b")

    def test_help_has_every_collector_and_says_how_to_switch_one_off(self):
        help_text = run("--help").stdout
        self.assertIn("--no-", help_text)
        with Exporter() as exporter:
            collectors = set(exporter.page().collectors()) - {"inventory"}
        self.assertGreaterEqual(collectors, {"sched", "threads", "density", "host"})
        for collector in collectors:
            self.assertIn(f"--collector.{collector} ", help_text)
            self.assertEqual(run(f"--no-collector.{collector}", "--config.check").returncode, 0)

    def test_version_is_the_one_of_the_page(self):
        done = run("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        build, = Page(run("--once").stdout).named("vcpu_exporter_build_info")
        self.assertIn(build.labels["version"], done.stdout)
        self.assertIn(build.labels["revision"], done.stdout)

    def test_a_bad_flag_is_named_on_one_line(self):
        for flags, needle in BAD_FLAGS:
            with self.subTest(flags=flags):
                self.assert_one_line(run(*flags), needle)

    def test_a_taken_port_is_named_on_one_line(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.assert_one_line(run(f"--web.listen-address={address}", "--log.level=error"), address, "in use")

    def test_an_address_of_another_machine_is_named_on_one_line(self):
        address = "192.0.2.1:0"  # RFC 5737: nobody's.
        self.assert_one_line(run(f"--web.listen-address={address}", "--log.level=error"), address)

    def test_an_ipv6_address_is_named_on_one_line_where_civetweb_has_none(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6 here")
        try:
            done = run("--web.listen-address=[::1]:0", "--log.level=error", timeout=3)
        except subprocess.TimeoutExpired:
            self.skipTest("this civetweb listens on IPv6")
        self.assert_one_line(done, "[::1]:0", "IPv6")

    def test_a_user_that_does_not_exist_is_named_on_one_line(self):
        if not program.AS_ROOT:
            self.skipTest("only root changes its user")
        self.assert_one_line(run("--user=nosuchuser", "--once"), "nosuchuser")

    def test_several_addresses_are_all_listened_on(self):
        with Exporter("--web.listen-address=localhost:0") as exporter:
            ports = re.findall(r"msg=Listening address=\S+:(\d+)", program.wait_for(
                lambda: exporter.log().count("msg=Listening") == 2 and exporter.log(), "both lines Listening"))
            self.assertEqual(len(set(ports)), 2)
            for port in map(int, ports):
                with program.Client(port, "/-/ready") as client:
                    self.assertEqual(client.answer().status, 200)

    def test_logs_are_json_where_wanted(self):
        done = run("--once", "--log.format=json")
        for line in done.stderr.splitlines():
            self.assertRegex(line, r'^\{"ts":"[^"]+","level":"\w+","msg":".*\}$')


class Once(unittest.TestCase):
    def test_once_prints_a_page_and_ends_soon(self):
        began = time.monotonic()
        done = run("--once")
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(set(Page(done.stdout).collectors().values()), {1.0})

    def test_promtool_accepts_the_page_of_once(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed")
        with FakeVm("promtool-vm"):
            page = run("--once").stdout
        self.assertIn('domain="promtool-vm"', page)
        done = subprocess.run(["promtool", "check", "metrics"], input=page, text=True, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_once_says_so_where_nobody_takes_its_page(self):
        with open("/dev/full", "w") as full:
            done = run("--once", "--log.level=error", stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Avcpu_exporter: [^\n]+\n\Z")
        reader, writer = os.pipe()
        os.close(reader)
        done = run("--once", "--log.level=error", stdout=writer)
        os.close(writer)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Avcpu_exporter: [^\n]+\n\Z")

# SPDX-License-Identifier: Apache-2.0
"""The configuration file: what is refused and how, and what reading it again does."""
import os
import signal
import unittest

import program
from program import Exporter, Page, run, wait_for, write_file

BAD_FILES = (  # (what is wrong, the file, the line it is on)
    ("an unknown key", "web:\n  max_requests: 1\n  listen_adresses: []\n", 3),
    ("an unknown section", "log:\n  level: info\nwebb: {}\n", 3),
    ("an unknown collector", "collectors:\n  shed: true\n", 2),
    ("a list for a number", "web:\n  max_requests: [1]\n", 2),
    ("a text for a number", "web:\n  max_requests: many\n", 2),
    ("a number in quotes", "web:\n  max_requests: '40'\n", 2),
    ("a text for a list", "web:\n  listen_addresses: ':9752'\n", 2),
    ("a text for a switch", "collectors:\n  host: maybe\n", 2),
    ("a value for a section", "\nlog: debug\n", 2),
    ("no value", "log:\n  level:\n", 2),
    ("an alias", "log:\n  level: info\n  format: *level\n", 3),
    ("an anchor", "log:\n  level: &level info\n", 2),
    ("a key twice", "log:\n  level: info\n  level: warn\n", 3),
    ("a bad level", "log:\n  level: loud\n", 2),
    ("no YAML", "log: {level: info\nweb: ]\n", 2),
    ("no UTF-8", b"log:\n  level: \xff\n", 2),
    ("two documents", "log: {}\n---\nlog: {}\n", 2),
)


class ConfigurationFile(unittest.TestCase):
    def assert_refused(self, path, place):
        for mode in (["--config.check"], ["--once"], ["--web.listen-address=127.0.0.1:0"]):
            done = run("--config.file", path, *mode)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stdout, "")
            self.assertRegex(done.stderr, r"\Avcpu_exporter: [^\n]+\n\Z")
            self.assertIn(place, done.stderr)

    def test_a_bad_file_is_refused_with_one_line_that_names_file_and_line(self):
        for what, contents, line in BAD_FILES:
            with self.subTest(what):
                path = write_file(contents)
                self.assert_refused(path, f"{path}:{line}: ")

    def test_a_file_over_a_megabyte_is_refused(self):
        path = write_file("# " + "x" * (1 << 20) + "\n")
        self.assert_refused(path, str(path))

    def test_a_file_that_cannot_be_read_is_refused(self):
        directory = program.scratch_directory()
        os.mkfifo(directory / "fifo")
        for path in (directory / "missing.yml", directory, directory / "fifo"):
            with self.subTest(path=path.name):
                self.assert_refused(path, str(path))

    def test_a_check_says_that_the_example_is_good(self):
        done = run("--config.check", "--config.file", program.SOURCE / "deploy" / "config.example.yml")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"\A[^\n]+\n\Z")

    def test_an_empty_file_is_good(self):
        self.assertEqual(run("--config.check", "--config.file", write_file("")).returncode, 0)

    def test_a_flag_wins_over_the_file(self):
        path = write_file("collectors:\n  host: false\n  sched: false\nlog:\n  level: debug\n")
        done = run("--once", "--config.file", path, "--collector.host", "--log.level=error")
        self.assertEqual(done.stderr, "")
        collectors = Page(done.stdout).collectors()
        self.assertIn("host", collectors)
        self.assertNotIn("sched", collectors)


class Reload(unittest.TestCase):
    def setUp(self):
        self.path = write_file("collectors: {density: true}\n")
        self.exporter = self.enterContext(Exporter("--config.file", self.path, "--collector.host", "--no-libvirt"))

    def successful(self):
        return self.exporter.page().value("vcpu_exporter_config_last_reload_successful")

    def by_post(self, contents):
        write_file(contents, self.path)
        return self.exporter.ask("/-/reload", "POST")

    def test_a_collector_that_is_switched_off_disappears_by_post(self):
        self.assertIn("density", self.exporter.page().collectors())
        self.assertEqual(self.by_post("collectors: {density: false}\n").status, 200)
        page = self.exporter.page()
        self.assertNotIn("density", page.collectors())
        self.assertEqual(page.named("vcpu_host_thread_density_ratio"), [])
        self.assertEqual(self.exporter.ask("/metrics?collect[]=density").status, 400)
        self.assertEqual(self.by_post("").status, 200)
        self.assertIn("density", self.exporter.page().collectors())

    def test_a_collector_that_is_switched_off_disappears_by_sighup(self):
        self.assertIn("density", self.exporter.page().collectors())
        write_file("collectors: {density: false}\n", self.path)
        os.kill(self.exporter.pid, signal.SIGHUP)
        wait_for(lambda: "density" not in self.exporter.page().collectors(), "density to be off")

    def test_a_bad_file_keeps_the_old_configuration_and_says_why_by_post(self):
        self.assertEqual(self.successful(), 1)
        answer = self.by_post("collectors:\n  density: false\n  nosuch: true\n")
        self.assertEqual(answer.status, 500)
        self.assertRegex(answer.text, r"\A[^\n]+\n\Z")
        self.assertIn(f"{self.path}:3: ", answer.text)
        self.assertIn(f"{self.path}:3: ", self.exporter.log())
        self.assertEqual(self.successful(), 0)
        self.assertIn("density", self.exporter.page().collectors())
        self.assertEqual(self.by_post("collectors: {density: false}\n").status, 200)
        self.assertEqual(self.successful(), 1)

    def test_a_bad_file_keeps_the_old_configuration_by_sighup(self):
        write_file("collectors: [density]\n", self.path)
        os.kill(self.exporter.pid, signal.SIGHUP)
        wait_for(lambda: self.successful() == 0, "the reload to fail")
        self.assertIn("density", self.exporter.page().collectors())
        self.path.unlink()
        self.assertEqual(self.exporter.ask("/-/reload", "POST").status, 500)
        self.assertEqual(self.successful(), 0)
        write_file("", self.path)
        os.kill(self.exporter.pid, signal.SIGHUP)
        wait_for(lambda: self.successful() == 1, "the reload to succeed")

    def test_who_asks_for_it_again_and_again_does_not_fill_the_log(self):
        for contents, status in (("collectors: {nosuch: true}\n", 500), ("", 200)):
            self.assertEqual(self.by_post(contents).status, status)
            lines = self.exporter.log().count("\n")
            for _ in range(200):
                self.assertEqual(self.exporter.ask("/-/reload", "POST").status, status)
            self.assertEqual(self.exporter.log().count("\n"), lines)

    def test_a_flag_wins_over_the_file_that_is_read_again(self):
        self.assertEqual(self.by_post("collectors: {host: false, density: false}\n").status, 200)
        collectors = self.exporter.page().collectors()
        self.assertIn("host", collectors)
        self.assertNotIn("density", collectors)

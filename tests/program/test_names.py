# SPDX-License-Identifier: Apache-2.0
"""Names of VMs, tenants and programs as keyed hashes."""
import hashlib
import hmac
import os
import re
import subprocess
import unittest

import program
from program import Exporter, FakeVm, fake_vmm_path, run, scratch_directory, wait_for

KEY = "5d41402abc4b2a76b9719d911017c592"
# What is said where nobody is named.
UNNAMED = {"idle", "irq", "quota", "unknown", "other"}


def hashed(name):
    return hmac.new(KEY.encode(), name.encode(), hashlib.sha256).hexdigest()[:16]


def key_file(text=KEY + "\n", mode=0o600):
    path = scratch_directory() / "names.key"
    path.write_text(text)
    path.chmod(mode)
    return path


class SecretTool:
    """A program of the host's that is no VM, and spins when it is told to."""

    def __init__(self):
        self.process = subprocess.Popen(["secret-tool"], executable=fake_vmm_path(), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env={"FAKE_VMM_THREADS": "spinner"})
        assert self.process.stdout.readline() == b"ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def spin(self, ms):
        self.process.stdin.write(b"spin %d\n" % ms)
        self.process.stdin.flush()


class Names(unittest.TestCase):
    def test_names_are_shown_as_hashes_that_whoever_has_the_key_can_make(self):
        with FakeVm("secret-shop", options=("-uuid", "12345678-1234-1234-1234-123456789abc")), \
                Exporter("--privacy.name-key-file", key_file()) as exporter:
            text = wait_for(lambda: (page := exporter.ask().text) and hashed("secret-shop") in page and page, "the VM")
            self.assertNotIn("secret", text)
            page = exporter.page()
            self.assertEqual(page.vcpus(hashed("secret-shop")), {(hashed("secret-shop"), vcpu) for vcpu in (0, 1)})
            info, = page.named("vcpu_domain_info", domain=hashed("secret-shop"))
            self.assertEqual(info.labels["uuid"], hashed("12345678-1234-1234-1234-123456789abc"))
            self.assertNotIn("secret", exporter.ask("/").text)

    def test_one_key_gives_the_same_names_after_a_restart_and_with_once(self):
        with FakeVm("secret-shop"):
            for _ in range(2):
                with Exporter("--privacy.name-key-file", key_file()) as exporter:
                    exporter.page_with(2, hashed("secret-shop"))
            done = run("--once", "--privacy.name-key-file", key_file())
        self.assertIn(f'vcpu_run_seconds_total{{domain="{hashed("secret-shop")}"', done.stdout)

    def test_no_culprit_is_called_by_its_name(self):
        if not program.AS_ROOT:
            self.skipTest("not root: no eBPF")
        cpu = {min(os.sched_getaffinity(0))}
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cpu)  # Theirs as well.
        try:
            vms = [self.enterContext(FakeVm(f"secret-{name}")) for name in ("shop", "bank")]
            tool = self.enterContext(SecretTool())
        finally:
            os.sched_setaffinity(0, allowed)
        exporter = self.enterContext(Exporter("--privacy.name-key-file", key_file()))

        def culprits():
            for spinner in (*vms, tool):
                spinner.process.stdin.write(b"spin 300\n")
                spinner.process.stdin.flush()
            text = exporter.ask().text
            self.assertNotIn("secret", text)
            found = set(re.findall(r'vcpu_stolen_by_seconds_total\{[^}]*culprit_kind="(\w+)",culprit="([^"]*)"', text))
            named = {("domain", hashed("secret-shop")), ("domain", hashed("secret-bank")), ("host", hashed("secret-tool"))}
            return named <= found and found
        found = wait_for(culprits, "each of the three to be a culprit", pause=0.2)
        for kind, culprit in found:
            self.assertTrue(culprit in UNNAMED or re.fullmatch(r"[0-9a-f]{16}(@[0-9a-f]+)?", culprit), (kind, culprit))

    def test_a_key_that_is_none_is_one_line_and_the_end(self):
        for key, needle in ((key_file("short\n"), "openssl rand -hex 32"), ("/nonexistent/key", "No such file")):
            for mode in ("--config.check", "--once"):
                done = run("--privacy.name-key-file", key, mode)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertRegex(done.stderr, r"\A[^\n]+\n\Z")
                self.assertIn(needle, done.stderr)

    def test_a_key_that_everybody_can_read_is_warned_of(self):
        with Exporter("--privacy.name-key-file", key_file(mode=0o644)) as exporter:
            self.assertIn("can read the key in", exporter.log())
        with Exporter("--privacy.name-key-file", key_file()) as exporter:
            self.assertNotIn("can read the key in", exporter.log())

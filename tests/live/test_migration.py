# SPDX-License-Identifier: Apache-2.0
"""A live migration of a booted guest between two libvirtds, each with an exporter that sees both processes. Start by test.sh."""
import atexit
import contextlib
import subprocess
import sys
import unittest

import lab as laboratory
import scrape
import test_live
from private_libvirt import SOCKET, URI, SecondLibvirt
from processes import Daemon, process_state, wait_for

LAB = None
TARGET = None  # The libvirtd that guests migrate to,
TARGET_EXPORTER = TARGET_ADDRESS = None  # and the exporter that asks it.
GUEST = None


def setUpModule():
    global LAB, TARGET, TARGET_EXPORTER, TARGET_ADDRESS, GUEST
    LAB = laboratory.Lab(sys.argv[1])
    atexit.register(LAB.close)
    LAB.start_exporter()
    TARGET = SecondLibvirt(LAB.work)
    LAB.closers.append(TARGET.close)
    TARGET.start()
    TARGET_EXPORTER = Daemon("second exporter", [LAB.program, "--web.listen-address=127.0.0.1:0",
                                                 f"--libvirt.uri={URI}?socket={TARGET.read_only_socket}"],
                             LAB.work / "exporter-of-target.log")
    LAB.closers.append(TARGET_EXPORTER.stop)
    TARGET_EXPORTER.start()
    TARGET_ADDRESS = TARGET_EXPORTER.listening_address()
    GUEST = LAB.guest("moving", vcpus=1, reads_disk=True)
    LAB.create(GUEST)


class Migration:
    """Goes on until it is let finish: at 1 MiB/s, what the guest reads into its memory all the time takes longer to send
    than the millisecond for which QEMU may stop it."""

    def __init__(self, guest):
        self.guest = guest
        self.process = subprocess.Popen(
            ["virsh", "--quiet", "--connect", f"qemu+unix:///system?socket={SOCKET}", "migrate", "--live", "--unsafe",
             "--bandwidth", "1", guest.name, f"qemu+unix:///system?socket={TARGET.socket}",
             "--migrateuri", f"unix://{LAB.work}/migration"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def __enter__(self):
        """There is nothing to be set before it has begun; until then QEMU has 0.3 s."""
        wait_for(lambda: self.goes_on() and self.virsh("migrate-setmaxdowntime", "1"), 60, "the migration to begin")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def virsh(self, command, value):
        return LAB.libvirt.virsh(command, self.guest.name, value, check=False).returncode == 0

    def goes_on(self):
        assert self.process.poll() is None, f"it has ended: {self.process.stdout.read()}"
        return True

    def finish(self):
        for command, value in (("migrate-setspeed", "1000"), ("migrate-setmaxdowntime", "10000")):
            wait_for(lambda command=command, value=value: self.process.poll() is not None or self.virsh(command, value),
                     60, f"{command} to be taken")
        assert self.process.wait(timeout=120) == 0, self.process.stdout.read()


def start_time(page):
    return page.value("vcpu_domain_start_time_seconds", domain=GUEST.name)


def states(page):
    return {sample.labels["state"] for sample in page.named("vcpu_domain_state", domain=GUEST.name) if sample.value}


def disk(page):
    return page.value("vcpu_domain_block_requests_total", domain=GUEST.name, device="sda", op="read")


def pages():
    """What the source's exporter says, and what the target's says."""
    return scrape.scrape(LAB.address), scrape.scrape(TARGET_ADDRESS)


def wait_for_pages(condition, what):
    def pages_if():
        both = pages()
        return both if condition(*both) else None
    return wait_for(pages_if, 60, what)


def second_processes(page):
    return page.value("vcpu_series_dropped_total", reason="second_process_of_a_vm") or 0


class TwoLibvirts(unittest.TestCase):
    maxDiff = None

    def test_1_a_vm_that_migrates_is_one_vm_on_every_page(self):
        wait_for_pages(lambda source, _: disk(source), "the disk's figures")
        before, before_at_target = pages()
        self.assertEqual(({"running"}, set()), (states(before), states(before_at_target)))
        self.assertIsNone(disk(before_at_target))
        source_pid = LAB.pid(GUEST)

        expected = {(GUEST.name, vcpu) for vcpu in range(GUEST.vcpus)}
        with contextlib.ExitStack() as stack:
            watches = [stack.enter_context(scrape.Watch(LAB.address, LAB.exporter.pid, expected)),
                       stack.enter_context(scrape.Watch(TARGET_ADDRESS, TARGET_EXPORTER.pid, expected))]
            migration = stack.enter_context(Migration(GUEST))
            wait_for(lambda: migration.goes_on() and TARGET.qemus(), 60, "the target's QEMU")
            dropped = [second_processes(page) for page in pages()]
            for _ in range(20):
                during = pages()
                self.assertEqual([start_time(before)] * 2, [start_time(page) for page in during])
            self.assertTrue(migration.goes_on())
            for page, earlier in zip(during, dropped):
                self.assertGreater(second_processes(page), earlier)
            migration.finish()
            wait_for(lambda: process_state(source_pid) is None, 30, "the source's QEMU to end")
            after, after_at_target = wait_for_pages(
                lambda source, target: not states(source) and states(target) == {"running"}
                and disk(target) and start_time(target) > start_time(before), "the target's figures")
            moved_on = disk(after_at_target)
            wait_for_pages(lambda _, target: disk(target) > moved_on, "newer figures of the target")

        self.assertGreater(start_time(after), start_time(before))
        self.assertEqual(start_time(after), start_time(after_at_target))
        self.assertIsNone(disk(after), "libvirt does not know it here any more")
        self.assertEqual(1, after_at_target.value("vcpu_domain_state_reason_info", domain=GUEST.name, state="running",
                                                  reason="migrated"))
        for watch in watches:
            self.assertEqual([], watch.problems[:5])
            print(f"# {watch.summary()}", flush=True)
            self.assertLess(watch.slowest_seconds(), test_live.SCRAPE_LIMIT_SECONDS, watch.summary())


def main():
    return test_live.run(TwoLibvirts, sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())

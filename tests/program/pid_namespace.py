# SPDX-License-Identifier: Apache-2.0
"""Runs as the first process of a pid namespace that has its own /proc (test_pids.py): pids are few there, and come
again. usage: pid_namespace.py BUILD_DIRECTORY wrap|again. What does not hold is an exception."""
import os
import pathlib
import signal
import sys
import time

import program
from program import Exporter, FakeVm, decreased, wait_for

FEW_PIDS = 340  # Below 300 none is given a second time; the exporter has 260 threads.
LAST_PID = pathlib.Path("/proc/sys/kernel/ns_last_pid")


def burn_pids(count):
    for _ in range(count):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)


def at_pid(pid, make):
    """What make() starts gets this pid."""
    LAST_PID.write_text(str(pid - 1))
    return make()


def two_ticks():
    """Of the clock that tells two processes of one pid apart."""
    began = time.monotonic()
    wait_for(lambda: time.monotonic() > began + 0.02, "two ticks of the clock of starts")


def wrap():
    """Threads and processes come and go, and their pids with them; some VMs stay."""
    pid_max = pathlib.Path("/proc/sys/kernel/pid_max")
    # Of this namespace alone (Linux 6.14): test_pids.py has looked.
    pid_max.write_text(str(FEW_PIDS))
    with Exporter("--no-ebpf") as exporter, FakeVm("steady", ["CPU 0/KVM", "CPU 1/KVM", "worker"]) as steady:
        exporter.page_with(2, "steady")
        seen = {}
        pids = set()
        turns = 0
        for number in range(60):
            for thread in ("CPU 1/KVM", "worker"):
                steady.tell(f"remove {thread}")
            burn_pids(FEW_PIDS // 3 + number % 7)
            for thread in ("worker", "CPU 1/KVM"):
                steady.tell(f"add {thread}")
            steady.tell("spin 5")
            with FakeVm(f"guest-{number}") as guest:
                turns += guest.pid in pids
                pids.add(guest.pid)
                page = exporter.page_with(4)
                assert page.vcpus("steady") == {("steady", 0), ("steady", 1)}, page.vcpus()
                assert page.vcpus("guest-") == {(f"guest-{number}", vcpu) for vcpu in (0, 1)}, page.vcpus()
                # It has done nothing yet: what it shows would be another's.
                for sample in page.named("vcpu_run_seconds_total", domain=f"guest-{number}"):
                    busy = page.value("vcpu_run_seconds_total", domain="steady", vcpu="0")
                    assert number < 20 or sample.value < busy, (sample, busy)
                after = page.totals()
                fallen = decreased(seen, after)
                assert not fallen, fallen
                seen.update(after)
    assert max(pids) < FEW_PIDS, max(pids)
    assert turns > 0, "no pid came again"


def again():
    """A VM ends; another one, that does nothing, gets its pid and its threads' tids, under its name."""
    with Exporter("--no-ebpf") as exporter:
        first = at_pid(2000, lambda: FakeVm("twin"))
        first.tell("spin 500")
        busy = exporter.page_with(2, "twin")
        first.kill()
        two_ticks()
        second = at_pid(2000, lambda: FakeVm("twin"))
        with second:
            assert second.pid == first.pid == 2000, (first.pid, second.pid)
            # No page without it in between: a reader that kept the first one would not notice.
            idle = exporter.page_with(2, "twin")
            start = "vcpu_domain_start_time_seconds"
            assert idle.value(start, domain="twin") > busy.value(start, domain="twin")
            for vcpu in "01":
                had, has = (page.value("vcpu_run_seconds_total", domain="twin", vcpu=vcpu) for page in (busy, idle))
                assert has < had / 2, f"vCPU {vcpu} has {has} s of {had} s"


def main(build_directory, what):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with program.installed(pathlib.Path(build_directory)):
        {"wrap": wrap, "again": again}[what]()


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of a QEMU's vCPU threads, read without the exporter: the figures it is judged by."""
import collections
import os
import re

Figures = collections.namedtuple("Figures", "run_ns wait_ns dispatches voluntary involuntary migrations")


def vcpu_threads(pid):
    """{vcpu index: tid} from the thread names that debug-threads=on gives."""
    threads = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/comm", encoding="utf-8", errors="replace") as comm:
                found = re.fullmatch(r"CPU (\d+)/(?:TCG|KVM)", comm.read().strip())
        except (FileNotFoundError, ProcessLookupError):
            continue
        if found:
            threads[int(found[1])] = int(tid)
    return threads


def figures(pid, tid):
    task = f"/proc/{pid}/task/{tid}"
    with open(f"{task}/schedstat", encoding="ascii") as schedstat:
        run_ns, wait_ns, dispatches = map(int, schedstat.read().split())
    with open(f"{task}/status", encoding="utf-8", errors="replace") as status:
        switches = dict(re.findall(r"^(\w+_ctxt_switches):\s+(\d+)$", status.read(), re.MULTILINE))
    with open(f"{task}/sched", encoding="utf-8", errors="replace") as sched:
        migrations = re.search(r"^se\.nr_migrations\s*:\s*(\d+)$", sched.read(), re.MULTILINE)
    return Figures(run_ns, wait_ns, dispatches, int(switches["voluntary_ctxt_switches"]),
                   int(switches["nonvoluntary_ctxt_switches"]), int(migrations[1]))


def vcpu_figures(pid):
    return {vcpu: figures(pid, tid) for vcpu, tid in vcpu_threads(pid).items()}


def cpu_group(pid, tid):
    """The directory of the control group that schedules a thread."""
    with open(f"/proc/{pid}/task/{tid}/cgroup", encoding="utf-8", errors="replace") as cgroup:
        groups = {controllers: path for _, controllers, path in
                  (line.rstrip("\n").split(":", 2) for line in cgroup)}
    for controllers, path in groups.items():
        if "cpu" in controllers.split(","):
            return f"/sys/fs/cgroup/cpu{path}"
    return f"/sys/fs/cgroup{groups['']}"


def throttled_seconds(pid):
    """{vcpu index: seconds} that each vCPU's own group was stopped by its quota."""
    seconds = {}
    for vcpu, tid in vcpu_threads(pid).items():
        with open(f"{cpu_group(pid, tid)}/cpu.stat", encoding="ascii") as stat:
            figures = dict(line.split() for line in stat)
        seconds[vcpu] = (int(figures["throttled_usec"]) / 1e6 if "throttled_usec" in figures
                         else int(figures["throttled_time"]) / 1e9)
    return seconds


def cpu_wait_ns(pid):
    """How long the threads of a process have been runnable without a CPU."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as schedstat:
                total += int(schedstat.read().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def resident_bytes(pid):
    """What of a process is in memory, the files that it maps among it, huge pages aside."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) * 1024


def anonymous_and_shared_bytes(pid):
    """What a process has in memory that is not the page cache of a file, huge pages aside."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        kilobytes = dict(line.split(":") for line in status if line.startswith("Rss"))
    return sum(int(kilobytes[kind].split()[0]) for kind in ("RssAnon", "RssShmem")) * 1024

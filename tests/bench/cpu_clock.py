# SPDX-License-Identifier: Apache-2.0
"""CPU time of processes to the nanosecond, that of threads that have ended included; what they hold in memory."""
import contextlib
import pathlib
import re
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from children import children_of  # noqa: E402

CPUCLOCK_SCHED = 2  # Of the kernel's include/linux/posix-timers.h: what clock_getcpuclockid(3) makes of a pid.


def cpu_seconds(pid):
    """Of a process since it began; 0 of one that has ended."""
    try:
        return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        return 0.0


def family(pid):
    """The process and all below it."""
    return [pid] + [member for child in children_of(pid) for member in family(child)]


def resident_mebibytes(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found = re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(errors="replace"))
            total += int(found[1]) if found else 0
    return total / 1024

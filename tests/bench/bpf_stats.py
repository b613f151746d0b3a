# SPDX-License-Identifier: Apache-2.0
"""What the kernel counts of eBPF programs: how often they ran and for how long."""
import collections
import contextlib
import ctypes
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess

SYS_BPF = {"x86_64": 321, "aarch64": 280}
# Of linux/bpf.h. The one counts from now until its descriptor is closed, whoever else counts; the sysctl
# kernel.bpf_stats_enabled would stay on where we are killed.
BPF_ENABLE_STATS, BPF_STATS_RUN_TIME = 32, 0

Program = collections.namedtuple("Program", "name runs seconds")


def bpftool():
    return shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin")


@contextlib.contextmanager
def counting():
    """The kernel counts, which makes each run a few dozen ns longer."""
    libc = ctypes.CDLL(None, use_errno=True)
    statistic = ctypes.c_uint32(BPF_STATS_RUN_TIME)
    descriptor = libc.syscall(SYS_BPF[platform.machine()], BPF_ENABLE_STATS, ctypes.byref(statistic), ctypes.sizeof(statistic))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), f"the kernel counts no eBPF programs: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        os.close(descriptor)


def held_by(pid):
    """The ids of the programs that the process has open, or a link to them."""
    ids = set()
    for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # Closed meanwhile.
            ids.update(map(int, re.findall(r"^prog_id:\s*(\d+)", entry.read_text(), re.MULTILINE)))
    return ids


def programs_of(pid):
    """{id: Program} of those that the process holds, since they were first counted."""
    held = held_by(pid)
    shown = subprocess.run([bpftool(), "--json", "prog", "show"], capture_output=True, check=True).stdout
    return {program["id"]: Program(program.get("name", "?"), program.get("run_cnt", 0), program.get("run_time_ns", 0) / 1e9)
            for program in json.loads(shown) if program["id"] in held}

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command under vcpu_exporter.service's filter of system calls, for real: what is not allowed fails with EPERM.

usage: filtered.py COMMAND [ARGUMENT...]

Of MemoryDenyWriteExecute= it has what systemd's own filter has of mmap(2) and mprotect(2). Needs no_new_privs set.
"""
import errno
import mmap
import os
import sys

import seccomp
import systemd_unit

WRITE_EXECUTE = mmap.PROT_WRITE | mmap.PROT_EXEC


def is_of_this_machine(name):
    """systemd's groups name those of every machine."""
    try:
        return seccomp.resolve_syscall(seccomp.Arch(), name) >= 0
    except ValueError:
        return False


def load():
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in filter(is_of_this_machine, systemd_unit.allowed_system_calls(systemd_unit.UNIT)):
        if name == "mmap":
            for protection in (0, mmap.PROT_WRITE, mmap.PROT_EXEC):
                rules.add_rule(seccomp.ALLOW, name, seccomp.Arg(2, seccomp.MASKED_EQ, WRITE_EXECUTE, protection))
        elif name in ("mprotect", "pkey_mprotect"):
            rules.add_rule(seccomp.ALLOW, name, seccomp.Arg(2, seccomp.MASKED_EQ, mmap.PROT_EXEC, 0))
        else:
            rules.add_rule(seccomp.ALLOW, name)
    rules.load()


if __name__ == "__main__":
    load()
    os.execvp(sys.argv[1], sys.argv[1:])

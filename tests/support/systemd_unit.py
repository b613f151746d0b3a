# SPDX-License-Identifier: Apache-2.0
"""What the systemd units allow, and what of a trace by strace they do not."""
import importlib.util
import pathlib
import re
import shutil
import subprocess

UNITS = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNIT = UNITS / "vcpu_exporter.service"
PROXY = UNITS / "vcpu_exporter-proxy.service"

# Runs the command that follows under UNIT's filter.
FILTERED = ("/usr/bin/python3", "-B", str(pathlib.Path(__file__).with_name("filtered.py")))

# Runs a command and writes to the file that follows. -D: the process started is the command itself.
STRACE = ("strace", "-D", "-f", "-q", "-o")

# What directives other than SystemCallFilter= and RestrictAddressFamilies= forbid, as it looks in a trace.
FORBIDDEN = {
    "MemoryDenyWriteExecute=": re.compile(r"PROT_WRITE\|PROT_EXEC|mprotect\([^)]*PROT_EXEC|SHM_EXEC"),
    "RestrictNamespaces=": re.compile(r"CLONE_NEW|\b(?:unshare|setns)\("),
    "RestrictRealtime=": re.compile(r"\bsched_set\w+\(.*SCHED_(?:FIFO|RR|DEADLINE)"),
    "RestrictSUIDSGID=": re.compile(r"S_IS[UG]ID"),
    "LockPersonality=": re.compile(r"\bpersonality\("),
}


def missing_for_trace():
    """Which of what this takes is not installed; empty: all is."""
    return " ".join(f"{tool} is not installed" for tool in ("strace", "systemd-analyze") if not shutil.which(tool))


def missing_for_filter():
    if not shutil.which("systemd-analyze"):
        return "systemd-analyze is not installed"
    return "" if importlib.util.find_spec("seccomp") else "python3-seccomp is not installed"


def settings(name, unit=UNIT):
    """The unit's lines of this name, each as its words."""
    return [line.split("=", 1)[1].split() for line in unit.read_text().splitlines() if line.startswith(name + "=")]


def system_calls(name):
    """A call, or all of a group as systemd knows it."""
    if not name.startswith("@"):
        return {name}
    said = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    lines = [line.strip() for line in said.splitlines()[1:]]
    return set().union(*(system_calls(line) for line in lines if line and not line.startswith("#")))


def allowed_system_calls(unit):
    allowed = set()
    for words in settings("SystemCallFilter", unit):
        if words[0].startswith("~"):
            allowed -= set().union(*map(system_calls, [words[0][1:], *words[1:]]))
        else:
            allowed |= set().union(*map(system_calls, words))
    return allowed


def whole_trace(pid, path):
    """Its text once the process has ended, until then None."""
    trace = path.read_text(errors="replace")
    return trace if re.search(rf"(?m)^{pid} +\+\+\+ ", trace) else None


def calls_of(trace):
    return set(re.findall(r"(?m)^\d+ +(\w+)\(", trace))


def forbidden(unit, trace):
    """What of the trace the unit does not allow, one line each."""
    found = [f"SystemCallFilter= {call}" for call in sorted(calls_of(trace) - allowed_system_calls(unit))]
    families = set(re.findall(r"\bsocket(?:pair)?\((\w+)", trace))
    found += [f"RestrictAddressFamilies= {family}"
              for family in sorted(families - set(*settings("RestrictAddressFamilies", unit)))]
    return found + [f"{directive} {line}" for directive, call in FORBIDDEN.items()
                    for line in trace.splitlines() if call.search(line)]

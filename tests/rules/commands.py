#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads every command of every runbook as its program would: the shell, virsh, promtool, and sysctl against this kernel.

virsh runs on libvirt's test driver and only has to understand the line: the VMs of the runbooks do not exist there. XML is defined as part of a
domain, and has to fit its schema.
"""
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from outcome import failed, report  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNBOOKS = sorted((ROOT / "deploy/runbooks").glob("*.md"))
NOT_UNDERSTOOD = re.compile(r"unknown command|requires <|doesn't support option|unexpected data|malformed|mutually exclusive|"
                            r"Numeric value .* malformed|Scaled numeric value|invalid", re.I)
# Of kernels with what this machine may lack.
SYSCTLS = {"kernel.numa_balancing", "vm.swappiness", "vm.nr_hugepages", "kernel.sched_rt_runtime_us"}


def code_blocks(path):
    """The indented blocks after a blank line, with the lines that they continue on, as in Markdown."""
    block, blank = [], True
    for line in path.read_text().splitlines() + [""]:
        if re.match(r" {4}", line) and (block or blank) and not re.match(r" +(\d+\.|-) ", line):
            block.append(line)
        elif block:
            yield "\n".join(block)
            block = []
        blank = not line.strip()


def run(*command, text=None):
    answer = subprocess.run(command, input=text, capture_output=True, text=True, stdin=None if text else subprocess.DEVNULL)
    return answer.returncode, " ".join((answer.stdout + answer.stderr).split())


def is_xml(block):
    return block.lstrip().startswith("<")


def shell_problems():
    for path in RUNBOOKS:
        for block in code_blocks(path):
            if not is_xml(block):
                code, said = run("bash", "-n", "-c", block)
                if code:
                    yield f"{path.name}: {said}"


def virsh_lines():
    for path in RUNBOOKS:
        for line in re.findall(r"\bvirsh ([^|;)\n`]+)", "\n".join(filter(lambda b: not is_xml(b), code_blocks(path)))):
            yield path.name, line.strip()


def virsh_problems():
    for where, line in virsh_lines():
        words = ["1" if word == "MIB" else word for word in shlex.split(line)]
        _, said = run("virsh", "-c", "test:///default", *words)
        if NOT_UNDERSTOOD.search(said) and "invalid argument: " not in said:
            yield f"{where}: virsh {line}: {said}"


DOMAIN = "<domain type='kvm'><name>vm</name>{size}<os><type arch='x86_64' machine='q35'>hvm</type></os>{block}</domain>"
SIZE = "<memory unit='GiB'>16</memory><vcpu>8</vcpu>"


def xml_problems():
    """What is to stand in a VM's XML is defined there, as libvirt's schema has it."""
    for path in RUNBOOKS:
        for block in filter(is_xml, code_blocks(path)):
            with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
                file.write(DOMAIN.format(size="" if "<vcpu>" in block else SIZE, block=block))
                file.flush()
                code, said = run("virsh", "-c", "test:///default", "define", "--validate", file.name)
            if code:
                yield f"{path.name}: {said}"


def promql_problems():
    queries = [(path.name, query) for path in RUNBOOKS
               for query in re.findall(r"promtool query instant \S+ '([^']+)'", path.read_text())]
    for where, query in queries:
        rule = {"groups": [{"name": "runbook", "rules": [{"record": "runbook", "expr": query}]}]}
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump(rule, file)  # JSON is YAML
            file.flush()
            code, said = run("promtool", "check", "rules", file.name)
        if code:
            yield f"{where}: {said}"


def sysctl_problems():
    for path in RUNBOOKS:
        for name in re.findall(r"\bsysctl (?:-w )?([a-z_.0-9]+)", path.read_text()):
            if name not in SYSCTLS and not pathlib.Path("/proc/sys", name.replace(".", "/")).exists():
                yield f"{path.name}: sysctl {name}"


CHECKS = {"shell": ("bash", shell_problems), "virsh": ("virsh", virsh_problems), "XML": ("virsh", xml_problems),
          "PromQL": ("promtool", promql_problems), "sysctl": ("bash", sysctl_problems)}
for what, (program, check) in CHECKS.items():
    if shutil.which(program):
        report(f"runbooks: {what} understands every line", list(check()))
    else:
        print(f"skip runbooks: {what}: {program} is not installed")
sys.exit(failed())

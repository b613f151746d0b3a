#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How many instructions a part of a scrape takes for each sample, counted by valgrind: the same on a busy machine.

Exits 1 where one takes more than is written here. Whoever makes a part cheaper lowers its bound. The bounds are those of
the tests' build (-O1), with a tenth to spare.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

VMS = 10
# Of a part of vcpu_parts, for each of its samples; of a parser, for each text.
BOUNDS = {
    "parse_task_schedstat": 1480,
    "parse_task_stat": 9410,
    "parse_task_status": 1810,
    "sched": 750,
    "kvm": 1885,
    "memory": 5090,
    "cgroup": 3390,
    "numa": 5150,
    "text": 720,
    "openmetrics": 720,
}


def counted(parts, part, times):
    """(instructions, samples) of that many runs, with all that comes before them."""
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(parts), "--run", part, str(VMS),
                           str(times)], capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1]), int(done.stdout)


def of_each_sample(parts, part):
    few, samples = counted(parts, part, 1)
    more, _ = counted(parts, part, 3)
    return (more - few) / 2 / samples


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path, help="directory with vcpu_parts")
    args = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is not installed")
    print("| part | instructions for each sample | at most |\n|---|---|---|")
    too_many = []
    for part, bound in BOUNDS.items():
        spent = of_each_sample(args.build / "vcpu_parts", part)
        print(f"| {part} | {spent:.0f} | {bound} |", flush=True)
        if spent > bound:
            too_many.append(f"{part} takes {spent:.0f} instructions for each sample, above {bound}")
    sys.exit("; ".join(too_many) if too_many else 0)


if __name__ == "__main__":
    main()

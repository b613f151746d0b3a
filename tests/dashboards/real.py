#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The dashboards with real data: every query answered by a real Prometheus, every panel drawn. Prints "ok|not ok|skip" lines.

usage: real.py BUILD   where vcpu_exporter and fake_vmm are
"""
import sys
import tempfile

import queries
import stage


def main():
    build = sys.argv[1]
    if missing := stage.why_not_here(build):
        print(f"skip queries answered: {missing}")
        return 0
    with tempfile.TemporaryDirectory(prefix="vcpu-dashboards-") as work:
        where = stage.Stage(build, work)
        try:
            where.start()
            return queries.check(where, queries.load())
        finally:
            where.close()


sys.exit(main())

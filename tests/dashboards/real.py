#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The dashboards with real data: every query answered by a real Prometheus, every panel drawn. Prints "ok|not ok|skip" lines.

usage: real.py BUILD [EXCERPTS]   BUILD: where vcpu_exporter and fake_vmm are; pictures go to BUILD/pictures/out
                                  EXCERPTS: directory for the README's
"""
import signal
import sys
import tempfile

import pictures
import queries
import stage


def interrupt(*_):
    raise KeyboardInterrupt  # What was started is stopped on its way.


def main():
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, interrupt)
    build, excerpts = sys.argv[1], (sys.argv[2:] or [None])[0]
    dashboards = queries.load()
    npm = pictures.Npm(build)
    if npm.problem:
        print(f"skip dashboards fit @grafana/schema: {npm.problem}")
    failed = not npm.problem and pictures.check_schema(npm)
    if missing := stage.why_not_here(build):
        print(f"skip queries answered, pictures drawn: {missing}")
        return failed
    with tempfile.TemporaryDirectory(prefix="vcpu-dashboards-") as work:
        where = stage.Stage(build, work)
        try:
            where.start()
            failed |= queries.check(where, dashboards)
            if npm.problem:
                print(f"skip pictures drawn: {npm.problem}")
                return failed
            return pictures.draw(where, npm, dashboards, excerpts) or failed
        finally:
            where.close()


sys.exit(main())

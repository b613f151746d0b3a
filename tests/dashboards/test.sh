#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The dashboards. Prints "ok|not ok|skip NAME" lines; exits 1 on any failure.
#
# usage: test.sh [BUILD]   BUILD: where the exporter and fake_vmm are, default build/tests
build=$(realpath -m "${1:-$(dirname "$0")/../../build/tests}")
cd "$(dirname "$0")" || exit 1
failed=0
# -B: no __pycache__ in the source tree.
/usr/bin/python3 -B lint.py || failed=1
/usr/bin/python3 -B import.py || failed=1
/usr/bin/python3 -B real.py "$build" || failed=1
exit $failed

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The dashboards. Prints "ok|not ok|skip NAME" lines; exits 1 on any failure.
cd "$(dirname "$0")" || exit 1
failed=0
# -B: no __pycache__ in the source tree.
/usr/bin/python3 -B lint.py || failed=1
/usr/bin/python3 -B queries.py || failed=1
exit $failed

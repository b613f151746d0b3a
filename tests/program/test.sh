#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The program as its users meet it: flags, files, signals and sockets, and no look inside.
# usage: test.sh [BUILD_DIRECTORY [WORD...]], only the tests whose name has the words, or of that file (test_rude).
# One line per test; fails if one fails.
# The build directory, build/tests by default, has vcpu_exporter and fake_vmm. Works as root and as an ordinary user.
exec /usr/bin/python3 -B "$(dirname "$0")/run.py" "$@"

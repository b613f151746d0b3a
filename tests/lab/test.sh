#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The exporter on a second kernel, Debian's 6.1, as the host of real KVM guests: all in one emulated machine with two
# NUMA nodes and cgroup v2. Needs neither KVM nor root. Prints "ok NAME", "not ok NAME: reason" or "skip NAME: reason"
# for each test.
#
# usage: test.sh [EXPORTER [WORD...]]   EXPORTER: default build/tests/vcpu_exporter
#                                       WORD: only tests with these words in their names
# The kernel is kept in $VCPU_LAB_CACHE, build/lab by default: only the first run downloads it.
here=$(dirname "$(realpath "$0")")
[ $# -gt 0 ] || set -- "$here/../../build/tests/vcpu_exporter"
exec /usr/bin/python3 -B "$here/run.py" "$@"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes faults for real and looks at which alerts arrive: the exporter, libvirtd, guests, Prometheus with the shipped rules,
# Alertmanager with the shipped routes, all private to this test. Prints "ok NAME", "not ok NAME: reason" or
# "skip NAME: reason" for each fault; deploy/demo.sh tells the same to a person. Without words also that demo.sh leaves nothing.
#
# usage: test.sh [EXPORTER [WORD...]]   EXPORTER: default build/release/vcpu_exporter
#                                       WORD: only faults with one of these words in their names
here=$(dirname "$(realpath "$0")")
[ $# -gt 0 ] || set -- "$here/../../build/release/vcpu_exporter"
status=0
/usr/bin/python3 -B "$here/run.py" "$@" || status=1
[ $# -gt 1 ] || /usr/bin/python3 -B "$here/test_demo.py" "$1" || status=1
exit $status

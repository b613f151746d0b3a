#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The exporter with real guests, libvirtd, Prometheus and Alertmanager, all private to this test. Prints "ok NAME",
# "not ok NAME: reason" or "skip NAME: reason" for each test.
#
# usage: test.sh [EXPORTER [WORD...]]   EXPORTER: default build/release/vcpu_exporter
#                                       WORD: only tests with these words in their names
here=$(dirname "$(realpath "$0")")
[ $# -gt 0 ] || set -- "$here/../../build/release/vcpu_exporter"
status=0
for tests in test_live.py test_libvirt.py test_migration.py test_dashboards.py; do
  /usr/bin/python3 -B "$here/$tests" "$@" || status=1
done
exit $status

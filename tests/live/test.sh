#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The live test: the exporter with real guests, libvirtd, Prometheus and Alertmanager, all private to this test.
# usage: test.sh [WORD...], only the tests whose name has the words. One line per test; fails if one fails.
# VCPU_EXPORTER names another binary than build/release/vcpu_exporter.
exec /usr/bin/python3 -B "$(dirname "$0")/test_live.py" "$@"

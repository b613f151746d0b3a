#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The exporter for a long time, while VMs, clients and its configuration come and go: nothing of it grows, nothing fails.
# usage: [SOAK_SECONDS=120] test.sh [BUILD_DIRECTORY [NAME]]
# One line per test, which begins with NAME, by default soak. As root with eBPF; as an ordinary user without.
exec /usr/bin/python3 -B "$(dirname "$0")/soak.py" "$@"

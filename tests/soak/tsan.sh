#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What has threads, built with -DVCPU_SANITIZE=thread: the unit tests of that, and a soak of the exporter. No access of two threads
# to the same memory may go without a lock between them. usage: [SOAK_SECONDS=30] tsan.sh [BUILD_DIRECTORY], build/tsan by default.
# Prints "ok NAME" or "not ok NAME: reason".
set -u
cd "$(dirname "$0")/../.."
build=$(realpath "${1:-build/tsan}")
. tests/support/result.sh

# Where the sanitizer wants memory to be, newer kernels put what they place at random.
steady() { setarch --addr-no-randomize "$@"; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export TSAN_OPTIONS="suppressions=$PWD/tests/soak/tsan.supp history_size=4 exitcode=66"
steady "$build/vcpu_tests" --gtest_color=no >"$log" 2>&1
status=$?
result "tsan: unit tests of what has threads" \
  "$([ $status = 0 ] && grep -q '^\[  PASSED  \] [1-9]' "$log" ||
    { echo "status $status:" && grep -E '^\[  FAILED|WARNING: ThreadSanitizer|^ +#[0-4] |SUMMARY' "$log" | head -n 30; })"

SOAK_SANITIZED=1 SOAK_SECONDS=${SOAK_SECONDS:-30} steady tests/soak/test.sh "$build" "tsan: soak" || failed=1
exit $failed

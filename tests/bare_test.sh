#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# An exporter built without anything optional: whole, and it says what it lacks.
# usage: bare_test.sh PROGRAM. Prints "ok NAME" or "not ok NAME: ...".
set -u

page=$("$1" --once --libvirt.uri=test:///default --collector.perf \
  --collector.perf.event=page-faults --collector.perf.event=SOME_EVENT \
  2>/dev/null)
failed=0
expect() { # expect NAME LINE
  if grep -qF "$2" <<<"$page"; then
    echo "ok $1"
  else
    echo "not ok $1: no line with $2"
    failed=1
  fi
}
expect "serves the host" "vcpu_host_thread_density_ratio "
expect "says that it was built without libvirt" \
  'vcpu_source_available{source="libvirt",reason="built without libvirt'
for source in task_iterator runqueue; do
  expect "says that it was built without eBPF for $source" \
    "vcpu_source_available{source=\"$source\",reason=\"this program was built without eBPF\"} 0"
done
expect "says that it was built without libseccomp" \
  'vcpu_source_available{source="seccomp",reason="this program was built without libseccomp"} 0'
expect "says that libvirt is not up" "vcpu_libvirt_up 0"
if [ "$(id -u)" = 0 ]; then
  expect "knows the generic perf events" \
    'vcpu_source_available{source="perf_page_faults",reason=""} 1'
  expect "says that it was built without libpfm4" \
    'vcpu_source_available{source="perf_SOME_EVENT",reason="not a generic event, and this program was built without libpfm4'
fi
exit $failed
